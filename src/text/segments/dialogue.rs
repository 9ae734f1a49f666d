//! Turns of speakers, and cues of subtitles.
//!
//! `Ann: Yes.` on one line; the name and the time above what a chat exports; the name above the lines of a play.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Bytes of a turn that is kept or dropped whole; of a longer one its sentences are, each with its speaker.
const SHORT_TURN: usize = 240;

/// Most bytes of a line that holds a name alone, or with the time.
const LONGEST_NAME: usize = 60;
/// Fewest names above what is said.
const FEW: usize = 3;

/// Most characters of a speaker's name, what stands in brackets behind it apart, and of a name in pointed brackets.
const LONGEST_SPEAKER: usize = 39;
const LONGEST_NICK: usize = 30;
/// Most characters of a name before a wide colon.
const WIDE_NAME: usize = 8;
/// Labels of questions and of answers, in lower case: an answer says little without its question.
const QUESTIONS: [&str; 10] =
    ["q", "question", "f", "frage", "pregunta", "domanda", "pergunta", "вопрос", "问", "質問"];
const ANSWERS: [&str; 11] =
    ["a", "answer", "antwort", "r", "réponse", "respuesta", "risposta", "resposta", "ответ", "答", "回答"];

static SPEAKER: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"(?:\p{Lu}|\p{Lo})[\p{L}\p{M}\d_.'’&/ -]*(?: ?\([^()\n]{1,24}\))?|user|assistant|system|human|customer|agent|bot";
    // Chats are exported with the date before the time, in the order and with the marks of the writer's country.
    let date = r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\.?,? (?:um |at |à )?)?";
    let time = format!(
        r"(?:[\[(]?\u{{200e}}?{date}\d{{1,2}}[:.]\d{{2}}(?:[:.]\d{{2}})?(?:[ \u{{202f}}]?[AaPp]\.?[Mm]\.?)?[\])]?,? ?(?:[-–] ?)?)?"
    );
    Regex::new(&format!(
        r"^(?:[-*] )?{time}(?:\*\*|__|<|\[)?({name})(?:\*\*|__|>|\])?(?: ?(?::(?:\*\*)?(?:\s|$)|：(?:\*\*)?)|> )|^[\[(]?\d{{1,2}}:\d{{2}}(?::\d{{2}})?[\])]? <[@+%&~]?([\w|`\[\]{{}}^-]+)> "
    ))
    .expect("a test compiles it")
});
/// A name with the time at which its owner wrote, on a line of their own.
static WRITER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(r"^(\p{{L}}[\p{{L}}\p{{M}}\d_.'’&-]*(?: [\p{{L}}\p{{M}}\d_.'’&-]+){{0,3}})(?:\s+|,\s|\s+[—–·|-]\s+)\[?{TIME}\]?$"))
        .expect("a test compiles it")
});
/// The time alone, and the name that stands above it.
static WRITTEN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"^\s*\[?{TIME}\]?$")).expect("a test compiles it"));
static NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\p{L}[\p{L}\p{M}\d_.'’&-]*(?: [\p{L}\p{M}\d_.'’&-]+){0,3}$").expect("a test compiles it")
});
/// A time of day, with a date before it or behind.
const TIME: &str = r"(?:(?:[Tt]oday|[Yy]esterday|\d{1,4}[./-]\d{1,2}[./-]\d{1,4}),?(?: at)? )?\d{1,2}:\d{2}(?::\d{2})?(?:[ \u{202f}]?[AaPp]\.?[Mm]\.?)?(?:,? \d{1,4}[./-]\d{1,2}[./-]\d{1,4})?";
static CUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:\d{1,2}:)?\d{2}:\d{2}[.,]\d{3} --> ").expect("a test compiles it"));

/// Bytes of the label of a speaker that a line begins with, and the name.
fn speaker(line: &str) -> Option<(usize, &str)> {
    let found = SPEAKER.captures(line)?;
    let name = found.get(1).or_else(|| found.get(2))?.as_str();
    let end = found.get(0)?.end();
    let is_short = |name: &str, most| name.chars().nth(most).is_none();
    let fits = if is_wide(&line[..end]) {
        // No space stands behind a wide colon, and so none ends a name.
        is_short(name, WIDE_NAME)
    } else if found.get(1).is_some() {
        is_short(name.split('(').next()?.trim_end(), LONGEST_SPEAKER)
    } else {
        is_short(name, LONGEST_NICK)
    };
    (fits && name.split(' ').count() <= 5).then_some((end, name))
}

/// Returns whether a label ends with the colon of Chinese and Japanese.
fn is_wide(label: &str) -> bool {
    label.trim_end_matches('*').ends_with('：')
}

/// Returns whether a line is a question behind a wide colon.
fn asks(line: &str) -> bool {
    line.ends_with(['？', '?']) && speaker(line).is_some_and(|(end, _)| is_wide(&line[..end]))
}

/// The form of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A name before what is said on its line.
    Before,
    /// A name and a time above it.
    Timed,
    /// A name in capitals above the lines of a play, behind a blank line.
    Cue,
}

/// The label of a turn.
struct Label<'t> {
    /// Its first line.
    at: usize,
    /// The bytes of its line up to its end where what is said stands behind it, else the end in the text.
    end: usize,
    name: &'t str,
    form: Form,
}

/// The label that stands on line `at`, or from that on.
fn label<'t>(lines: &[Line<'t>], at: usize) -> Option<Label<'t>> {
    let line = &lines[at];
    let next = lines.get(at + 1).filter(|_| !line.gap);
    if let Some((end, name)) = speaker(line.text) {
        return Some(Label { at, end, name, form: Form::Before });
    }
    let next = next?;
    if line.text.len() > LONGEST_NAME {
        return None;
    }
    let is_time = |text: &str| text.contains(':') && text.contains(|c: char| c.is_ascii_digit());
    if is_time(line.text)
        && let Some(found) = WRITER.captures(line.text)
    {
        return Some(Label { at, end: line.range.end, name: found.get(1)?.as_str(), form: Form::Timed });
    }
    let above = is_time(next.text) && WRITTEN.is_match(next.text) && NAME.is_match(line.text);
    if above && !next.gap && lines.len() > at + 2 {
        return Some(Label { at, end: next.range.end, name: line.text, form: Form::Timed });
    }
    let first = at == 0 || lines[at - 1].gap;
    let name = cue(line.text).filter(|_| first && !next.content().starts_with(['-', '*', '•', '=', '|']))?;
    Some(Label { at, end: line.range.end, name, form: Form::Cue })
}

/// The name that a line is in a play: `IDA (off)`, `IDA.`
fn cue(line: &str) -> Option<&str> {
    let content = line.trim();
    let name = content.split_once('(').map_or(content, |(name, _)| name);
    let name = name.trim_end_matches([' ', '.', ':']);
    let of_name =
        |c: char| c.is_uppercase() || matches!(c, ' ' | '.' | '\'' | '’' | '-') || c.is_ascii_digit();
    (name.chars().filter(|c| c.is_uppercase()).count() > 1
        && name.chars().all(of_name)
        && name.split(' ').count() <= 4)
        .then_some(name)
}

/// The labels of turns: those of plays only where nothing else is one.
fn labels<'t>(lines: &[Line<'t>]) -> Vec<Label<'t>> {
    let mut labels: Vec<Label> = Vec::new();
    for at in 0..lines.len() {
        labels.extend(label(lines, at));
    }
    if labels.iter().any(|label| label.form == Form::Before) {
        labels.retain(|label| label.form != Form::Cue);
    }
    labels
}

/// Are these lines turns: do at least two speak, and some of them more than once, in most of the lines or at least in
/// many of them, so that the others go on with a turn? A few lines behind wide colons are turns if one is a question.
pub(super) fn is_dialogue(lines: &[Line]) -> bool {
    let labels = labels(lines);
    let mut turns: HashMap<&str, usize> = HashMap::new();
    for label in &labels {
        *turns.entry(label.name).or_default() += 1;
    }
    let all = labels.len();
    let short = all == lines.len() && lines.iter().any(|line| asks(line.text));
    let above = labels.iter().filter(|label| label.form != Form::Before).count();
    turns.len() > 1
        && (all > turns.len() || short)
        && (all * 2 > lines.len()
            || (all >= 6 && all >= turns.len() * 2 && all * 6 > lines.len())
            || (above == all && all >= FEW && all * 8 > lines.len()))
}

/// Returns whether these lines are subtitles.
pub(super) fn is_subtitles(lines: &[Line]) -> bool {
    lines.iter().filter(|line| CUE.is_match(line.text)).count() * 5 > lines.len()
}

/// Adds turns: short ones whole, of longer ones the sentences behind the speaker.
pub(super) fn dialogue(lines: &[Line], builder: &mut Builder, around: &Around) {
    let labels = labels(lines);
    let first = labels.first().map_or(lines.len(), |label| label.at);
    between(&lines[..first], builder, around);
    // The number of the turn before, if that is a question.
    let mut question: Option<usize> = None;
    for (number, label) in labels.iter().enumerate() {
        let next = labels.get(number + 1).map_or(lines.len(), |next| next.at);
        let own = &lines[label.at..next];
        let said = match label.form {
            Form::Before => {
                let line = own[0].range.clone();
                line.start + builder.text[line].find(own[0].text).unwrap_or_default() + label.end
            }
            Form::Timed | Form::Cue => label.end,
        };
        let ends = own.iter().position(|line| line.gap);
        let count = ends.filter(|_| label.form == Form::Cue).map_or(own.len(), |gap| gap + 1);
        let name = label.name.to_lowercase();
        let asked = question.take().filter(|_| ANSWERS.contains(&&*name));
        let range = own[0].range.start..own[count - 1].range.end;
        let turn = turn(range, said, builder, around);
        if let Some(asked) = asked {
            builder.put_under(turn, asked);
        }
        let short = builder.segments[turn].kind == SegmentKind::Turn;
        question = (short && QUESTIONS.contains(&&*name)).then_some(turn);
        between(&own[count..], builder, around);
    }
}

/// Adds a turn of which the label ends at `said`; gives the number of the segment with the speaker.
fn turn(range: Range<usize>, said: usize, builder: &mut Builder, around: &Around) -> usize {
    if range.len() <= SHORT_TURN {
        return builder.push(range, SegmentKind::Turn, around);
    }
    let speaker = builder.push(range.start..said, SegmentKind::Speaker, around);
    for sentence in sentences(&builder.text[said..range.end]) {
        let number = builder.push(said + sentence.start..said + sentence.end, SegmentKind::Said, around);
        builder.put_under(number, speaker);
    }
    speaker
}

/// Adds what stands between turns: paragraphs, and the places of scenes.
fn between(lines: &[Line], builder: &mut Builder, around: &Around) {
    for paragraph in lines.chunk_by(|line, _| !line.gap) {
        let (Some(first), Some(last)) = (paragraph.first(), paragraph.last()) else { continue };
        let range = first.range.start..last.range.end;
        if paragraph.len() == 1 && !first.text.contains(char::is_lowercase) {
            builder.push(range, SegmentKind::Heading, around);
        } else if range.len() <= SHORT_TURN {
            builder.push(range, SegmentKind::Turn, around);
        } else {
            for sentence in sentences(&builder.text[range.clone()]) {
                let own = range.start + sentence.start..range.start + sentence.end;
                builder.push(own, SegmentKind::Said, around);
            }
        }
    }
}

/// Adds subtitles, a cue of number, times and text at a time.
pub(super) fn subtitles(lines: &[Line], builder: &mut Builder, around: &Around) {
    let starts: Vec<usize> = (0..lines.len())
        .filter(|&i| CUE.is_match(lines[i].text))
        .map(|i| i - usize::from(i > 0 && lines[i - 1].text.trim().bytes().all(|byte| byte.is_ascii_digit())))
        .collect();
    let mut at = 0;
    // The number of the cue before, if its sentence goes on.
    let mut open: Option<usize> = None;
    for end in starts.into_iter().filter(|&start| start > 0).chain([lines.len()]) {
        if end > at {
            let number =
                builder.push(lines[at].range.start..lines[end - 1].range.end, SegmentKind::Turn, around);
            let first = lines[at..end].iter().skip_while(|line| !CUE.is_match(line.text)).nth(1);
            let lower = first.is_some_and(|line| line.text.starts_with(char::is_lowercase));
            if let Some(before) = open.filter(|_| lower) {
                builder.tie(before, number);
            }
            let ended = lines[end - 1]
                .text
                .ends_with(['.', '!', '?', '…', '。', '！', '？', '"', '”', '♪', ']', ')']);
            open = (!ended).then_some(number);
            at = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn what_is_said_keeps_the_name_above_it() {
        let long = "It has been off since Sunday. Somebody took the fuse out. ".repeat(5);
        for [ida, per] in [
            ["Ida Lind  9:14 AM", "Per Ode  9:16 AM"],
            ["ida.lind — Today at 9:14 AM", "per — Today at 9:16 AM"],
            ["Ida\n  9:14 AM", "Per Ode\n  9:16 AM"],
            ["                    IDA", "                    PER (off)"],
            ["IDA.", "PER."],
        ] {
            let chat = format!(
                "{ida}\nThe gate is shut.\nI tried it.\n\n{per}\nIs the lamp on?\n\n{ida}\n{long}\n\n{per}\nSo it is.\n"
            );
            assert_eq!(kept_with(&chat, "fuse"), [ida.trim()], "{:?}", cut(&chat));
            assert!(cut(&chat).contains(&(SegmentKind::Turn, &*format!("{}\nIs the lamp on?", per.trim()))));
        }
    }

    #[test]
    fn what_is_done_in_a_play_is_said_by_nobody() {
        let play = "INT. OFFICE - NIGHT\n\nIDA\nWho is there?\n\nPER\nNobody.\n\nShe takes the key.\n\nEXT. PIER\n\nIDA\nGo home.\n\nPER\nNo.\n";
        assert!(cut(play).contains(&(SegmentKind::Turn, "She takes the key.")), "{:?}", cut(play));
        assert!(cut(play).contains(&(SegmentKind::Heading, "EXT. PIER")));
        let manual =
            "NAME\nThe gate.\n\nUSE\nOpen the gate with the key.\n\nNOTES\nIt sticks.\n\nBUGS\nNone.\n";
        assert!(cut(manual).iter().all(|(kind, _)| *kind != SegmentKind::Turn));
    }
}
