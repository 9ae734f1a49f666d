//! Items that prose counts: `1. Open it. 2. Fill it.`, `(a) the first, (b) the second`, `Step 3: Close it.`

use std::collections::HashMap;
use std::ops::Range;

/// Most bytes of the word before a number: `Step 3:`.
const LONGEST_WORD: usize = 24;
/// Most bytes of what stands in brackets, and most digits of a number.
const LONGEST: usize = 5;
const MOST_DIGITS: usize = 3;
/// Most bytes between two marks that follow each other.
const FARTHEST: usize = 4000;

/// An item of prose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Bytes of its mark: `2.`, `(b)`, `Step 3:`.
    pub(crate) mark: Range<usize>,
    /// The end of what the mark is of.
    pub(crate) end: usize,
}

/// The numerals of marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum System {
    Digits,
    Small,
    Capital,
    SmallRoman,
    CapitalRoman,
    Han,
}

/// The form of a mark: the word before its number, the sign behind that, and the numerals.
type Form<'t> = (&'t str, char, System);

/// The forms that a mark may have, with its number in each.
type Readings<'t> = Vec<(Form<'t>, u32)>;

/// What may be a mark.
struct Candidate<'t> {
    range: Range<usize>,
    /// Its forms with the numbers that it has in them: `(i)` is a letter or the first of Roman numerals.
    readings: Readings<'t>,
    /// The sentence that it stands in.
    sentence: usize,
    /// The form by which it follows another one, or is followed.
    form: Option<Form<'t>>,
}

/// Returns the items that `sentences`, which follow each other in `text`, count by at least two marks of one form with
/// one number behind the other. What a mark at the beginning of a sentence is of goes on to the next one of its form, and
/// with the last one to the end of the sentence.
pub(crate) fn items(text: &str, sentences: &[Range<usize>]) -> Vec<Item> {
    let mut candidates = candidates(text, sentences);
    if candidates.len() < 2 {
        return Vec::new();
    }
    let mut last: HashMap<Form, (u32, usize)> = HashMap::new();
    for at in 0..candidates.len() {
        let own = &candidates[at];
        let follows = own.readings.iter().find_map(|&(form, number)| {
            let &(before, place) = last.get(&form)?;
            let near = own.range.start - candidates[place].range.end <= FARTHEST;
            (near && before + 1 == number).then_some((form, number, place))
        });
        match follows {
            Some((form, number, before)) => {
                last.insert(form, (number, at));
                candidates[before].form = Some(form);
                candidates[at].form = Some(form);
            }
            None => last.extend(own.readings.iter().map(|&(form, number)| (form, (number, at)))),
        }
    }
    ended(text, sentences, candidates)
}

/// The marks that are such, each with the end of its item.
fn ended(text: &str, sentences: &[Range<usize>], candidates: Vec<Candidate>) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    // The items that are open, the outermost first, and whether each begins its sentence.
    let mut open: Vec<(Form, usize, bool)> = Vec::new();
    let mut sentence = 0;
    for Candidate { range, sentence: own, form, .. } in candidates {
        let Some(form) = form else { continue };
        // What stands within a sentence ends with it.
        if own != sentence {
            open.retain(|&(.., begins)| begins);
            sentence = own;
        }
        if let Some(before) = open.iter().position(|(other, ..)| *other == form) {
            items[open[before].1].end = range.start;
            for (_, item, _) in open.drain(before..) {
                items[item].end = items[item].end.min(range.start);
            }
        }
        let begins = text[sentences[own].start..range.start].trim().is_empty();
        open.push((form, items.len(), begins));
        items.push(Item { mark: range, end: sentences[own].end });
    }
    items
}

/// Finds what may be a mark in each of the sentences.
fn candidates<'t>(text: &'t str, sentences: &[Range<usize>]) -> Vec<Candidate<'t>> {
    let mut found = Vec::new();
    for (number, sentence) in sentences.iter().enumerate() {
        let own = &text[sentence.clone()];
        let start = own.len() - own.trim_start().len();
        let mut at = 0;
        let mut add = |range: Range<usize>, readings: Readings<'t>| {
            let range = sentence.start + range.start..sentence.start + range.end;
            found.push(Candidate { range, readings, sentence: number, form: None });
        };
        if let Some((length, form, value)) = labelled(&own[start..]) {
            add(start..start + length, vec![(form, value)]);
            at = start + length;
        }
        while let Some(sign) = own[at..].find(is_sign) {
            let place = at + sign;
            let Some(c) = own[place..].chars().next() else { break };
            at = place + c.len_utf8();
            if let Some((range, readings)) = mark(own, place, c) {
                add(range, readings);
            }
        }
    }
    found
}

/// Returns whether a character ends a mark, or is one.
const fn is_sign(c: char) -> bool {
    matches!(c, '.' | ')' | '）' | '、' | '①'..='⑳')
}

/// The bytes of the word, the number and the sign that a sentence begins with, with their form and value: `Step 3:`.
fn labelled(sentence: &str) -> Option<(usize, Form<'_>, u32)> {
    let near = &sentence[..sentence.floor_char_boundary(LONGEST_WORD + LONGEST + 2)];
    let (word, rest) = near.split_once(' ')?;
    let is_word = word.chars().count() > 1 && word.chars().all(char::is_alphabetic);
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let sign = rest[digits..].chars().next().filter(|c| matches!(c, ':' | '.' | ')' | '：'))?;
    let number = rest[..digits].parse().ok().filter(|_| is_word && digits <= MOST_DIGITS)?;
    let length = word.len() + 1 + digits + sign.len_utf8();
    let apart = sign == '：' || sentence[length..].chars().next().is_none_or(char::is_whitespace);
    apart.then_some((length, (word, sign, System::Digits), number))
}

/// The mark that the sign `c` at `place` ends, and what it may be.
fn mark(text: &str, place: usize, c: char) -> Option<(Range<usize>, Readings<'_>)> {
    let end = place + c.len_utf8();
    if matches!(c, '①'..='⑳') {
        let value = u32::from(c) - u32::from('①') + 1;
        return Some((place..end, vec![(("", '①', System::Digits), value)]));
    }
    let wide = matches!(c, '）' | '、');
    if !wide && !text[end..].starts_with(char::is_whitespace) {
        return None;
    }
    let from = text.floor_char_boundary(place.saturating_sub(2 * LONGEST));
    let inner = &text[from..place];
    let start = inner.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || han(c).is_some()).len() + from;
    let (inner, before) = (&text[start..place], text[..start].chars().next_back());
    let opening = before.filter(|before| matches!((before, c), ('(', ')') | ('（', '）')));
    let (start, before) = match opening {
        Some(bracket) => (start - bracket.len_utf8(), text[..start - bracket.len_utf8()].chars().next_back()),
        None => (start, before),
    };
    // A number with a full stop begins a sentence, for within one it may end a reference.
    let stands = match (c, opening) {
        ('）', opening) => opening.is_some(),
        (_, Some(_)) | (')', None) => before.is_none_or(char::is_whitespace),
        _ => {
            let before = text[..start].trim_end().chars().next_back();
            before.is_none_or(|sign| c == '、' && matches!(sign, ':' | ';' | ',' | '：' | '；' | '，' | '。'))
        }
    };
    let form = if opening.is_some() { '(' } else { c };
    let readings: Vec<_> = if stands { values(inner, c) } else { Vec::new() }
        .into_iter()
        .map(|(system, value)| (("", form, system), value))
        .collect();
    (!readings.is_empty()).then_some((start..end, readings))
}

/// The numbers that a numeral may be.
fn values(numeral: &str, sign: char) -> Vec<(System, u32)> {
    let mut chars = numeral.chars();
    let (Some(first), rest) = (chars.next(), chars.as_str()) else { return Vec::new() };
    if first.is_ascii_digit() {
        let number = numeral.parse().ok().filter(|_| numeral.len() <= MOST_DIGITS);
        return number.map(|number| (System::Digits, number)).into_iter().collect();
    }
    if let Some(value) = han(first) {
        return if rest.is_empty() { vec![(System::Han, value)] } else { Vec::new() };
    }
    // A letter with a full stop is an initial.
    if sign == '.' {
        return Vec::new();
    }
    let small = first.is_ascii_lowercase();
    let (letters, roman_letters) =
        if small { (System::Small, System::SmallRoman) } else { (System::Capital, System::CapitalRoman) };
    let letter = rest.is_empty().then(|| (letters, u32::from(first.to_ascii_lowercase()) - u32::from('a')));
    let roman = roman(numeral).map(|value| (roman_letters, value));
    letter.into_iter().chain(roman).collect()
}

/// The value of a Roman numeral below forty, all of whose letters are small or capitals.
fn roman(numeral: &str) -> Option<u32> {
    const ONES: [&str; 10] = ["", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix"];
    let lower = numeral.to_ascii_lowercase();
    let ones = lower.trim_start_matches('x');
    let tens = lower.len() - ones.len();
    let alike = lower == numeral || numeral.to_ascii_uppercase() == numeral;
    let ones = ONES.iter().position(|own| *own == ones).filter(|_| alike && tens < 4)?;
    u32::try_from(10 * tens + ones).ok().filter(|&value| value > 0)
}

/// The value of a numeral of one Han character.
fn han(c: char) -> Option<u32> {
    "一二三四五六七八九十".chars().zip(1..).find(|&(numeral, _)| numeral == c).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::sentences;

    /// Returns the items of a text: each mark and what it is of.
    fn found(text: &str) -> Vec<(&str, &str)> {
        let items = items(text, &sentences(text));
        items
            .into_iter()
            .map(|item| (&text[item.mark.clone()], text[item.mark.end..item.end].trim()))
            .collect()
    }

    #[test]
    fn marks_go_with_what_they_count() {
        for (text, want) in [
            (
                "Do this. 1. Open it. It sticks. 2. Fill it. 3. Go. Nobody stays.",
                &[("1.", "Open it. It sticks."), ("2.", "Fill it."), ("3.", "Go.")][..],
            ),
            (
                "Ida may (a) row, (b) sail or (c) swim. She may not dive.",
                &[("(a)", "row,"), ("(b)", "sail or"), ("(c)", "swim.")],
            ),
            (
                "Step 1: Lift it. Step 2: Put it down. Done.",
                &[("Step 1:", "Lift it."), ("Step 2:", "Put it down.")],
            ),
            (
                "Both agree: 1. Rights 1.1 Ida sells it as follows: 2. Price 2.1 It is due in May.",
                &[("1.", "Rights 1.1 Ida sells it as follows:"), ("2.", "Price 2.1 It is due in May.")],
            ),
            ("Two ways: 1) by boat; 2) on foot.", &[("1)", "by boat;"), ("2)", "on foot.")]),
            ("It has (i) oars, (ii) a sail.", &[("(i)", "oars,"), ("(ii)", "a sail.")]),
            ("船有①桨，②帆。", &[("①", "桨，"), ("②", "帆。")]),
            ("需要：（1）开门；（2）关灯。", &[("（1）", "开门；"), ("（2）", "关灯。")]),
        ] {
            assert_eq!(found(text), want);
        }
    }

    #[test]
    fn items_stand_within_items() {
        let text = "1. Pay (a) rent, (b) heat. 2. Clean (a) the hall, (b) the stairs. 3. Sleep.";
        let want = [
            ("1.", "Pay (a) rent, (b) heat."),
            ("(a)", "rent,"),
            ("(b)", "heat."),
            ("2.", "Clean (a) the hall, (b) the stairs."),
            ("(a)", "the hall,"),
            ("(b)", "the stairs."),
            ("3.", "Sleep."),
        ];
        assert_eq!(found(text), want);
        let text = "1. Pay. It is (a) rent, (b) heat. It is late. 2. Clean.";
        assert_eq!(found(text)[0], ("1.", "Pay. It is (a) rent, (b) heat. It is late."));
    }

    #[test]
    fn numbers_of_other_things_are_no_marks() {
        for text in [
            "It cost 3. Then it cost 4. Nobody paid.",
            "See (a) there. See f(a) and g(b) now.",
            "In 1931 (a year) it was 2.5 m, and 3.5 m (b) later.",
            "He saw J. K. and L. M. there. Day 3: rain.",
            "(Nobody) came, (nothing) went.",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }
}
