//! Turns of speakers, and cues of subtitles.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Bytes of a turn that is kept or dropped whole; of a longer one its sentences are, each with its speaker.
const SHORT_TURN: usize = 240;

/// Most characters of a name before a wide colon.
const WIDE_NAME: usize = 8;
/// Labels of questions and of answers, in lower case: an answer says little without its question.
const QUESTIONS: [&str; 10] =
    ["q", "question", "f", "frage", "pregunta", "domanda", "pergunta", "вопрос", "问", "質問"];
const ANSWERS: [&str; 11] =
    ["a", "answer", "antwort", "r", "réponse", "respuesta", "risposta", "resposta", "ответ", "答", "回答"];

static SPEAKER: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"(?:\p{Lu}|\p{Lo})[\p{L}\p{M}\d_.'’&/ -]{0,38}(?: ?\([^()\n]{1,24}\))?|user|assistant|system|human|customer|agent|bot";
    // Chats are exported with the date before the time, in the order and with the marks of the writer's country.
    let date = r"(?:\d{1,4}[./-]\d{1,2}[./-]\d{1,4}\.?,? (?:um |at |à )?)?";
    let time = format!(
        r"(?:[\[(]?\u{{200e}}?{date}\d{{1,2}}[:.]\d{{2}}(?:[:.]\d{{2}})?(?:[ \u{{202f}}]?[AaPp]\.?[Mm]\.?)?[\])]?,? ?(?:[-–] ?)?)?"
    );
    Regex::new(&format!(
        r"^(?:[-*] )?{time}(?:\*\*|__|<|\[)?({name})(?:\*\*|__|>|\])?(?: ?(?::(?:\*\*)?(?:\s|$)|：(?:\*\*)?)|> )|^[\[(]?\d{{1,2}}:\d{{2}}(?::\d{{2}})?[\])]? <[@+%&~]?([\w|`\[\]{{}}^-]{{1,30}})> "
    ))
    .expect("a test compiles it")
});
static CUE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:\d{1,2}:)?\d{2}:\d{2}[.,]\d{3} --> ").expect("a test compiles it"));

/// Bytes of the label of a speaker that a line begins with, and the name.
fn speaker(line: &str) -> Option<(usize, &str)> {
    let found = SPEAKER.captures(line)?;
    let name = found.get(1).or_else(|| found.get(2))?.as_str();
    let end = found.get(0)?.end();
    // No space stands behind a wide colon, and so none ends a name.
    let most = if is_wide(&line[..end]) { WIDE_NAME } else { usize::MAX };
    (name.split(' ').count() <= 5 && name.chars().count() <= most).then_some((end, name))
}

/// Returns whether a label ends with the colon of Chinese and Japanese.
fn is_wide(label: &str) -> bool {
    label.trim_end_matches('*').ends_with('：')
}

/// Returns whether a line is a question behind a wide colon.
fn asks(line: &str) -> bool {
    line.ends_with(['？', '?']) && speaker(line).is_some_and(|(end, _)| is_wide(&line[..end]))
}

/// Are these lines turns: do at least two speak, and some of them more than once, in most of the lines or at least in
/// many of them, so that the others go on with a turn? A few lines behind wide colons are turns if one is a question.
pub(super) fn is_dialogue(lines: &[Line]) -> bool {
    let mut turns: HashMap<&str, usize> = HashMap::new();
    for (_, name) in lines.iter().filter_map(|line| speaker(line.text)) {
        *turns.entry(name).or_default() += 1;
    }
    let all: usize = turns.values().sum();
    let short = all == lines.len() && lines.iter().any(|line| asks(line.text));
    turns.len() > 1
        && (all > turns.len() || short)
        && (all * 2 > lines.len() || (all >= 6 && all >= turns.len() * 2 && all * 6 > lines.len()))
}

/// Returns whether these lines are subtitles.
pub(super) fn is_subtitles(lines: &[Line]) -> bool {
    lines.iter().filter(|line| CUE.is_match(line.text)).count() * 5 > lines.len()
}

/// Adds turns: short ones whole, of longer ones the sentences behind the speaker.
pub(super) fn dialogue(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut at = 0;
    // The number of the turn before, if that is a question.
    let mut question: Option<usize> = None;
    while at < lines.len() {
        let more = lines[at + 1..].iter().take_while(|line| speaker(line.text).is_none()).count();
        let turn = &lines[at..=at + more];
        let range = turn[0].range.start..turn[more].range.end;
        at += 1 + more;
        let label = speaker(turn[0].text).map_or(0, |(label, _)| label);
        let name = speaker(turn[0].text).map(|(_, name)| name.to_lowercase()).unwrap_or_default();
        let asked = question.take().filter(|_| ANSWERS.contains(&&*name));
        if label == 0 || range.len() <= SHORT_TURN {
            let number = builder.push(range, SegmentKind::Turn, around);
            if let Some(asked) = asked {
                builder.put_under(number, asked);
            }
            question = QUESTIONS.contains(&&*name).then_some(number);
            continue;
        }
        let said = range.start + builder.text[range.clone()].find(turn[0].text).unwrap_or_default() + label;
        let speaker = builder.push(range.start..said, SegmentKind::Speaker, around);
        if let Some(asked) = asked {
            builder.put_under(speaker, asked);
        }
        for sentence in sentences(&builder.text[said..range.end]) {
            let number = builder.push(said + sentence.start..said + sentence.end, SegmentKind::Said, around);
            builder.put_under(number, speaker);
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
