//! Quotes of mails: lines behind `>`, each under the line that says whose it is.

use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Most bytes of a line that says whose a quote is.
const LONGEST_SOURCE: usize = 200;
/// Most bytes of the end of one, where it goes on from the line before.
const SHORT_END: usize = 24;

/// Words by which a mail says who wrote another: what is quoted in pieces, between answers, is under the same.
static WROTE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|\W)(?:wrote|writes|schrieb|geschrieben|écrit|escribió|escribio|scritto|escreveu|schreef|skrev|kirjoitti|napisała?|napsala?|написала?|пише|писал|yazdı|írta|a scris)(?:\W|$)|написал\(|写道|のメール|寫道|작성")
        .expect("a test compiles it")
});
/// The beginnings of such a line that goes on below.
static BEGINS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:On|Am|Le|El|Il|Em|Op|Den|W dniu|Dne|Il giorno) .*\d").expect("a test compiles it")
});

/// Returns whether a line is quoted.
pub(super) fn is_quoted(line: &Line) -> bool {
    line.text.starts_with('>')
}

/// Returns how often a line is quoted, and what is quoted.
fn quoted<'t>(line: &Line<'t>) -> (usize, &'t str) {
    let said = line.text.trim_start_matches(['>', ' ']);
    (line.text[..line.text.len() - said.len()].matches('>').count(), said)
}

/// Returns whether a text says whose the quote below it is: `On 3 May Ann wrote:`.
fn names_source(text: &str) -> bool {
    text.len() <= LONGEST_SOURCE && text.ends_with([':', '：'])
}

/// Returns the number of `lines` at their end that say whose the quote is that follows them.
pub(super) fn attribution(lines: &[Line]) -> usize {
    let [before @ .., last] = lines else { return 0 };
    if !names_source(last.text) {
        return 0;
    }
    1 + usize::from(before.last().is_some_and(|line| goes_on(line.text, last.text) && !line.gap))
}

/// Returns whether the end of an attribution goes on from the line before.
fn goes_on(before: &str, end: &str) -> bool {
    end.len() <= SHORT_END || BEGINS.is_match(before) && !BEGINS.is_match(end) && WROTE.is_match(end)
}

/// The sources of quotes that are open.
#[derive(Default)]
pub(super) struct Sources {
    /// The depth of quotation of each source that is open, and the number of its segment.
    open: Vec<(usize, usize)>,
}

impl Sources {
    /// Opens the source that is segment `number`, of which `text` says so.
    pub(super) fn open(&mut self, number: usize, depth: usize) {
        self.open.retain(|&(other, _)| other < depth);
        self.open.push((depth, number));
    }

    /// Ends what holds for the quote right below it alone: what no mail says of another.
    pub(super) fn end_quote(&mut self, builder: &Builder) {
        self.open
            .retain(|&(_, source)| WROTE.is_match(&builder.text[builder.segments[source].range.clone()]));
    }

    /// Adds quoted lines: each needs the line that says whose it is.
    pub(super) fn add(&mut self, lines: &[Line], builder: &mut Builder, around: &Around) {
        let mut at = 0;
        while at < lines.len() {
            let (depth, said) = quoted(&lines[at]);
            let inner = |from: usize| {
                let below = lines[from..].iter().map(quoted).find(|(_, said)| !said.is_empty());
                below.is_some_and(|(below, _)| below > depth)
            };
            let wraps = lines.get(at + 1).map(quoted).filter(|&(own, end)| {
                own == depth && BEGINS.is_match(said) && names_source(end) && WROTE.is_match(end)
            });
            let count = 1 + usize::from(wraps.is_some());
            let names = (wraps.is_some() || names_source(said)) && inner(at + count);
            let count = if names { count } else { 1 };
            // A line without a text says nothing by itself.
            let empty = lines[at + count..].iter().take_while(|line| quoted(line).1.is_empty()).count();
            let count = count + if said.is_empty() { 0 } else { empty };
            let range = lines[at].range.start..lines[at + count - 1].range.end;
            let kind = if names { SegmentKind::Parent } else { SegmentKind::Line };
            let number = builder.push(range, kind, around);
            if let Some(&(_, source)) = self.open.iter().rev().find(|&&(of, _)| of <= depth) {
                builder.put_under(number, source);
            }
            if names {
                self.open(number, depth + 1);
            }
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::kept_with;

    #[test]
    fn each_quote_is_under_its_source() {
        let mail = "I agree.\n\nOn 3 May 2024, Ann wrote:\n> Shall we paint it?\n>\n> Am 1.5.2024 schrieb Karl Maas:\n>> Das Tor rostet.\n>>\n>> Le 29 avril, Paul Roy a écrit :\n>>> Elle grince.\n>> So ist es.\n> It is ugly.\n";
        let (ann, karl) = ("On 3 May 2024, Ann wrote:", "> Am 1.5.2024 schrieb Karl Maas:");
        assert_eq!(kept_with(mail, "paint"), [ann]);
        assert_eq!(kept_with(mail, "rostet"), [ann, karl]);
        assert_eq!(kept_with(mail, "grince"), [ann, karl, ">> Le 29 avril, Paul Roy a écrit :"]);
        assert_eq!(kept_with(mail, "So ist"), [ann, karl]);
        assert_eq!(kept_with(mail, "ugly"), [ann]);
        let wrapped = "Yes.\n\nOn Monday, 3 May 2024 at 10:12, Ann Lee <ann@a.example>\nwrote, as she does each spring:\n> Is it?\n";
        assert!(kept_with(wrapped, "Is it?")[0].starts_with("On Monday"));
    }

    #[test]
    fn a_quote_between_answers_keeps_its_source() {
        let mail = "3 мая 2024 г. Иван написал(а):\n\n> Красить ворота?\n\nНет, рано.\n\n> Они ржавые.\n\nЭто так.\n";
        for part in ["Красить", "ржавые"] {
            assert_eq!(kept_with(mail, part), ["3 мая 2024 г. Иван написал(а):"]);
        }
        // What a sentence leads into is that alone.
        let notes =
            "This is the rule:\n\n> Shut the gate.\n\nNobody does it. It is so.\n\n> Open the gate.\n";
        assert_eq!(kept_with(notes, "Shut"), ["This is the rule:"]);
        assert!(kept_with(notes, "Open").is_empty());
    }
}
