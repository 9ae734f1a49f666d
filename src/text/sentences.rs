//! Sentences.

mod abbreviations;

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use self::abbreviations::abbreviates;
pub(super) use self::abbreviations::opens;

/// Fewest characters of a part of a sentence in a script that ends none.
const CLAUSE: usize = 110;

/// Cuts `text` into sentences; the ranges, in bytes, together are the whole text.
///
/// Bounds are those of UAX #29, except behind abbreviations, initials, ordinals and the numbers of a list, and where a
/// line that ends within a sentence goes on in lower case on the next. A blank line always ends a sentence. White
/// space behind a sentence belongs to it, at the start of the text to the first. No grapheme is cut. Thai, Lao, Khmer and
/// Burmese put a space between clauses and often no mark behind sentences: there a space ends one of 110 characters or
/// more, where as many follow.
///
/// ```
/// let text = "Dr. Ames paid 3.50 for it. Nobody else did.";
/// let cut: Vec<&str> = whittle::text::sentences(text).into_iter().map(|range| &text[range]).collect();
/// assert_eq!(cut, ["Dr. Ames paid 3.50 for it. ", "Nobody else did."]);
/// ```
#[must_use]
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    // White space is looked at once, however many bounds are in it.
    let mut seen = skip_space(text, 0);
    for bound in bounds(text) {
        if bound < seen {
            continue;
        }
        let next = skip_space(text, bound);
        if next == seen || next == text.len() {
            continue;
        }
        seen = next;
        if ends(&text[start..next], &text[next..]) {
            sentences.push(start..next);
            start = next;
        } else if let Some(lead) = lead_of_item(&text[start..bound]) {
            sentences.push(start..start + lead);
            start += lead;
        }
    }
    if start < text.len() {
        sentences.push(start..text.len());
    }
    sentences.into_iter().flat_map(|sentence| clauses(text, sentence)).collect()
}

/// Cuts a sentence in a script that ends none at its spaces.
fn clauses(text: &str, sentence: Range<usize>) -> Vec<Range<usize>> {
    let own = &text[sentence.clone()];
    if !is_unmarked(own) {
        return vec![sentence];
    }
    let (mut clauses, mut start) = (Vec::new(), sentence.start);
    let (mut chars, mut left, mut after_space) = (0, own.chars().count(), false);
    for (at, grapheme) in own.grapheme_indices(true) {
        let is_space = grapheme.trim().is_empty();
        if after_space && !is_space && chars >= CLAUSE && left >= CLAUSE {
            clauses.push(start..sentence.start + at);
            (start, chars) = (sentence.start + at, 0);
        }
        let length = grapheme.chars().count();
        (chars, left, after_space) = (chars + length, left - length, is_space);
    }
    clauses.push(start..sentence.end);
    clauses
}

/// Returns whether most letters of `text` are of a script that often has no mark behind sentences.
fn is_unmarked(text: &str) -> bool {
    let (mut unmarked, mut letters) = (0, 0);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        unmarked += usize::from(
            matches!(c, '\u{E00}'..='\u{EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'),
        );
    }
    unmarked * 2 > letters
}

/// Bounds of UAX #29 sentences that are grapheme boundaries, too: one may lie behind a prepended mark.
fn bounds(text: &str) -> impl Iterator<Item = usize> {
    let mut graphemes = text.grapheme_indices(true).map(|(at, _)| at).peekable();
    text.split_sentence_bound_indices().map(|(at, _)| at).filter(move |&at| {
        while graphemes.next_if(|&start| start < at).is_some() {}
        graphemes.peek() == Some(&at)
    })
}

/// The first place from `at` on that is not white space.
fn skip_space(text: &str, at: usize) -> usize {
    // A combining mark makes a character of the space before it.
    at + text[at..].graphemes(true).take_while(|g| g.trim().is_empty()).map(str::len).sum::<usize>()
}

/// Returns whether `sentence`, trailing white space included, ends before `rest`.
fn ends(sentence: &str, rest: &str) -> bool {
    let words = sentence.trim_end();
    let space = &sentence[words.len()..];
    let lines = space.matches('\n').count().max(space.matches('\r').count());
    if lines > 1 || space.contains(['\u{c}', '\u{2029}']) {
        return true;
    }
    if let Some(words) = words.strip_suffix('.') {
        return !abbreviates(words, rest);
    }
    let wrapped = words.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ',' | '-' | '–' | '—'));
    !(lines == 1 && wrapped && rest.starts_with(char::is_lowercase))
}

/// Returns the bytes of a sentence before the number of an item that it ends with behind a colon or semicolon: `as
/// follows: 1.`
fn lead_of_item(sentence: &str) -> Option<usize> {
    let lead = sentence.trim_end().strip_suffix('.')?.trim_end_matches(|c: char| c.is_ascii_digit());
    lead.trim_end().ends_with([':', ';']).then_some(lead.len())
}

/// Returns whether a mark ends sentences, in any script.
pub(crate) const fn is_terminal(mark: char) -> bool {
    matches!(
        mark,
        '.' | '!'
            | '?'
            | '…'
            | '。'
            | '！'
            | '？'
            | '．'
            | '｡'
            | '।'
            | '॥'
            | '؟'
            | '۔'
            | '።'
            | '၊'
            | '။'
            | '។'
    )
}

/// One upper-case letter.
fn is_capital(part: &str) -> bool {
    let mut chars = part.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.next().is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        let cases: [&[&str]; 28] = [
            &["It rained. ", "We stayed! ", "Why? ", "Who knows."],
            &["Mr. Smith met Dr. J. R. Jones vs. Brown et al. (2020). ", "They spoke."],
            &["See e.g. Paris, i.e. France. ", "Etc."],
            &["The U.S. Army left. ", "It left the U.S. ", "The rest stayed."],
            &["See No. 5 and Fig. 3. ", "No. ", "That is all."],
            &["It takes 40 W. ", "It is 45 °C. ", "Ask H. Lund."],
            &["Plan: ", "1. Go at 6 h. ", "2. Stay."],
            &["Both agree as follows: ", "1. Rights 1.1 Ida sells. ", "It is due."],
            &["It cost 3.5 million. ", "So it goes."],
            &["On Jan. 5 it fell. ", "He left at 5 p.m. ", "She stayed."],
            &["1. First item\n", "2. Second item\n", "- Third"],
            &["A wrapped line goes\non here. ", "Then ends.\n", "Next."],
            &["Title\n\n", "the text below\n\n\n  ", "and more"],
            &["Title\r\n", "The text\r\nwraps.\r\n\r\n", "more"],
            &["“Go.” ", "He went (at last.) ", "Then?! ", "Yes…"],
            &["今天下雨。", "我们走吗？", "好！」", "走吧。"],
            &["She and I. ", "Nobody else."],
            &["Hunde, z. B. Doggen, d. h. Rüden bzw. Welpen, z.B. Pudel. ", "Das reicht."],
            &["Vom 3. Oktober an wohnt er im 2. Stock. ", "Es kostet 3. ", "Danach ging er."],
            &["Lagos, p. ej. Sanabria, con la Sra. Gil, cf. pág. 4 Norte. ", "Fin."],
            &["Des lacs, c.-à-d. Annecy, par ex. Mme Roy. ", "Fin."],
            &["Озёра, т. е. Байкал, на ул. Мира. ", "В 1911 г. ", "Потом и т. д. ", "Всё."],
            &["Miasta, m.in. Łódź, tzn. Polska. ", "Städer, t.ex. Lund. ", "Dette er f.eks. Oslo. ", "Nei."],
            &["डॉ. सिंह आए। ", "प्रो. राव गए। ", "ড. রায় এলেন। ", "ดร. สมชาย"],
            &["Bkz. Ankara ve örn. İzmir. ", "Jl. Merdeka, TP. HCM. ", "Heard on NPR. ", "The end."],
            &["  \n Leading space. ", "Trailing. \n"],
            &["Wait... ", "What"],
            &["לא. ", "כן."],
        ];
        for want in cases {
            let text = want.concat();
            let got: Vec<&str> = sentences(&text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(got, want);
        }
    }

    #[test]
    fn where_nothing_ends_sentences_spaces_do() {
        let clause = format!("{} ", "ประโยคภาษาไทย".repeat(10));
        let text = clause.repeat(3);
        assert_eq!(sentences(&text).len(), 3);
        assert_eq!(sentences(&text[..clause.len() + 30]).len(), 1);
        assert_eq!(sentences(&"word ".repeat(100)).len(), 1);
    }

    #[test]
    fn white_space_alone_is_one_sentence() {
        assert_eq!(sentences(" \n\n "), [Range { start: 0, end: 4 }]);
        assert!(sentences("").is_empty());
    }

    proptest! {
        #[test]
        fn sentences_partition_the_text_between_graphemes(
            text in "[a-cA-C1 .?!。,\"”()\r\n\t預👩\u{200d}🏽\u{11a84}\u{600}\u{301}-]{0,60}|\\PC{0,60}|[\\s\\S]{0,40}"
        ) {
            let starts: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).chain([text.len()]).collect();
            let mut end = 0;
            for sentence in sentences(&text) {
                prop_assert_eq!(sentence.start, end);
                prop_assert!(sentence.end > end);
                prop_assert!(starts.binary_search(&sentence.end).is_ok(), "grapheme cut at {}", sentence.end);
                prop_assert!(!text[sentence.clone()].trim().is_empty() || text.trim().is_empty());
                prop_assert!(sentence.start == 0 || !text[sentence.clone()].starts_with([' ', '\n', '\t'])
                    || starts.binary_search(&(sentence.start + 1)).is_err());
                end = sentence.end;
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
