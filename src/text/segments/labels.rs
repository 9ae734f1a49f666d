//! Labels in prose: the name before or above a value, without which that would be of something else.
//!
//! `- NAME: its value`, `**Name**` on a line above its value, `Name:: value`, `:Name: value`, `Name` above `: value`,
//! `TERMINATION` or `Comment by Ida, 3 May:` above a paragraph.

use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::sentences;

/// Most words of a label without marks around it.
const MOST_WORDS: usize = 4;
/// Most bytes of a title above a paragraph, and fewest of its letters.
const LONGEST_TITLE: usize = 60;
const FEW_LETTERS: usize = 4;

static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    let bold = r"(?:\*\*[^*\n]{1,60}\*\*|__[^_\n]{1,60}__)(?: ?\([^()\n]{1,40}\))?(?: ?[:：]| [-–—]|$)";
    let code = r"`[^`\n]{1,60}`(?:, `[^`\n]{1,60}`)*(?: ?\([^()\n]{1,40}\))?(?: ?:| [-–—])";
    let item = r"(?:[-*+•]|\d{1,3}[.)]) +";
    Regex::new(&format!(
        r"^\s*(?:{item}(?:{bold}|{code}|[\p{{L}}\d_.$-][^\n:：.!?()*`]{{0,40}}(?::(?:\s|$)|：))|{bold}|:[\w -]{{1,40}}:\s|\[\^[^\]\s]{{1,40}}\]:\s|[^\s:][^:\n]{{0,40}}::(?:\s|$))"
    ))
    .expect("a test compiles it")
});

/// Most bytes of a sentence that counts votes, and of the one that says what about.
const LONGEST_TALLY: usize = 80;
const LONGEST_MOTION: usize = 400;
/// Counts of votes, and a word with a result: `Vote 4 in favour`, `Rejected, 3 to 2.`
static TALLY: LazyLock<Regex> = LazyLock::new(|| {
    let sides = r"in favou?r|against|abst\w+|dafür|dagegen|Enthaltung\w*|contre|a favor|en contra|favorevoli|contrari|contra|tegen|emot|proti|przeciw|против|проти";
    Regex::new(&format!(
        r"\d (?:votes? )?(?:{sides})(?:\W|$)|^\p{{L}}+[,:]? \(?\d+ ?(?:to|zu|à|[-–:]) ?\d+\)?\W*$"
    ))
    .expect("a test compiles it")
});

/// Returns whether a sentence is nothing but the count of votes on what the one before it says.
fn is_tally(sentence: &str) -> bool {
    sentence.len() <= LONGEST_TALLY
        && sentence.contains(|c: char| c.is_ascii_digit())
        && TALLY.is_match(sentence)
}

/// Returns the bytes of the label that a line begins with; 0 where it begins with none.
fn label(line: &Line) -> usize {
    let marked = |c: char| c.is_ascii_digit() || matches!(c, '-' | '*' | '+' | '•' | '_' | ':' | '[');
    if !line.content().starts_with(marked) && !line.text.contains("::") {
        return 0;
    }
    let Some(found) = LABEL.find(line.text) else { return 0 };
    let own = found.as_str().trim_end();
    let marked = own.contains(['*', '`', '_'])
        || own.ends_with("::")
        || own.starts_with('[')
        || own.trim_start().starts_with(':');
    if marked || own.split_whitespace().count() <= MOST_WORDS + 1 { own.len() } else { 0 }
}

/// Returns whether a line is a term above what defines it: `: what it is`.
fn is_term(lines: &[Line]) -> bool {
    let [term, value, ..] = lines else { return false };
    !term.gap && value.text.starts_with(": ") && !term.text.starts_with(": ")
}

/// Returns whether line `at` is the title of the paragraph that it begins: it ends with a colon, or is in capitals.
fn is_title(lines: &[Line], at: usize) -> bool {
    let line = &lines[at];
    let begins = at.checked_sub(1).is_none_or(|before| lines[before].gap);
    let letters = line.text.chars().filter(|c| c.is_uppercase()).count();
    let capitals = letters >= FEW_LETTERS
        && !line.text.contains(char::is_lowercase)
        && line.text.ends_with(|c: char| c.is_alphanumeric() || c == ')');
    let above = |next: &Line| next.text.contains(|c: char| c.is_alphabetic() && !c.is_uppercase());
    begins
        && !line.gap
        && line.text.len() <= LONGEST_TITLE
        && (capitals || line.text.ends_with([':', '：']))
        && lines.get(at + 1).is_some_and(above)
}

/// Returns the number of lines up to the end of what the label on the first of them is of: the next label or item, or
/// a blank line, but for what is indented behind it.
fn length(lines: &[Line], is_item: impl Fn(&Line) -> bool) -> usize {
    let ends = |at: usize| {
        label(&lines[at]) > 0
            || is_item(&lines[at])
            || is_term(&lines[at..])
            || lines[at - 1].gap && lines[at].indent <= lines[0].indent
    };
    (1..lines.len()).find(|&at| ends(at)).unwrap_or(lines.len())
}

/// Adds the sentences of lines that are nothing else: each needs the label that it stands behind.
pub(super) fn sentences_under_labels(
    lines: &[Line],
    is_item: impl Fn(&Line) -> bool,
    builder: &mut Builder,
    around: &Around,
) {
    let (mut at, mut plain) = (0, 0);
    while at < lines.len() {
        let line = &lines[at];
        let bytes = match label(line) {
            0 if is_term(&lines[at..]) || is_title(lines, at) => line.text.len(),
            bytes => bytes,
        };
        if bytes == 0 {
            at += 1;
            continue;
        }
        let count = length(&lines[at..], &is_item);
        let end = lines[at + count - 1].range.end;
        let start = line.range.start + builder.text[line.range.clone()].find(line.text).unwrap_or_default();
        let said = start + bytes;
        if builder.text[said..end].trim().is_empty() {
            at += count;
            continue;
        }
        sentence_segments(&lines[plain..at], builder, around);
        let number = builder.push(line.range.start..said, SegmentKind::Heading, around);
        for sentence in sentences(&builder.text[said..end]) {
            let own = builder.push(said + sentence.start..said + sentence.end, SegmentKind::Sentence, around);
            builder.put_under(own, number);
        }
        at += count;
        plain = at;
    }
    sentence_segments(&lines[plain..], builder, around);
}

/// Adds the sentences of lines.
fn sentence_segments(lines: &[Line], builder: &mut Builder, around: &Around) {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return };
    let range = first.range.start..last.range.end;
    let mut motion = None;
    for sentence in sentences(&builder.text[range.clone()]) {
        let own = range.start + sentence.start..range.start + sentence.end;
        let counts = is_tally(&builder.text[own.clone()]);
        let brief = own.len() <= LONGEST_MOTION;
        // One count says nothing without the other.
        let kind = if counts { SegmentKind::Said } else { SegmentKind::Sentence };
        let number = builder.push(own, kind, around);
        if let Some(motion) = motion.filter(|_| counts) {
            builder.need(number, motion);
        }
        // Several counts in turn are about one thing.
        if !counts {
            motion = brief.then_some(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn values_keep_their_labels() {
        for (text, value, label) in [
            (
                "Note by Ida, 3 May:\nThe mast is of oak. It leaks.\n\nNote by Per, 4 May:\nIt does not.\n",
                "leaks",
                "Note by Ida, 3 May:",
            ),
            ("THE HULL\nIt is of oak. It leaks.\n\nTHE MAST\nIt is of pine.\n", "of pine", "THE MAST"),
            (
                "All of it:\n\nIt is so.\n\n- LEVEL: from 0 to 9. It is 3 at first.\n- NAME: any. Not empty.\n",
                "3 at",
                "- LEVEL:",
            ),
            ("- **Hull** — oak, of 1931. It leaks.\n- **Mast** — pine.\n", "leaks", "- **Hull** —"),
            (
                "- `-q`, `--quiet`: say nothing at all.\n- `-v`: say more than that.\n",
                "nothing",
                "- `-q`, `--quiet`:",
            ),
            ("**Built**\n1931 in Lund\n\n**Owner**\nIda Moe\n", "Ida", "**Owner**"),
            ("Oakum\n: Old rope. It fills gaps.\n\nTar\n: It keeps water out.\n", "fills", "Oakum"),
            (
                "Oakum:: old rope that is there to fill gaps\nTar:: what keeps the water out of a boat\n",
                "keeps",
                "Tar::",
            ),
            (
                "1. Schritt eins: Das Tor öffnen. Es klemmt.\n2. Schritt zwei: Das Tor schließen.\n",
                "klemmt",
                "1. Schritt eins:",
            ),
        ] {
            assert!(kept_with(text, value).contains(&label), "{:?}", cut(text));
            assert!(cut(text).contains(&(SegmentKind::Heading, label)), "{:?}", cut(text));
        }
    }

    #[test]
    fn counts_of_votes_keep_what_they_are_about() {
        let minutes = "Ida moved to close the gate. Vote 4 in favour, 1 against. The lamp is old. The boat is to be sold. Rejected, 3 to 2. It rained 2 days.\n";
        assert_eq!(kept_with(minutes, "4 in"), ["Ida moved to close the gate."]);
        assert_eq!(kept_with(minutes, "3 to 2"), ["The boat is to be sold."]);
        assert!(kept_with(minutes, "rained").is_empty());
        let sides = "The boat is to be sold. Vote 4 in favour. Others 2 against.\n";
        assert_eq!(kept_with(sides, "2 against"), ["The boat is to be sold."]);
    }

    #[test]
    fn no_label_is_made_of_a_sentence() {
        for text in [
            "- It is late. Go home: the gate is shut.\n- Or stay.\n",
            "It was so: nobody came. And then **all** of them did.\n",
            "- The man at the gate said this: no.\n- Nobody heard it.\n",
            "**Nobody** came to see it.\n",
        ] {
            assert!(cut(text).iter().all(|(kind, _)| *kind == SegmentKind::Sentence), "{:?}", cut(text));
        }
    }
}
