//! Numbers with what they count and what they name: `24 bottles`, `Gate 4`, 5 月 12 日.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::script::is_unspaced;

/// Most bytes of a word beside a number.
const LONGEST_WORD: usize = 40;
/// Most bytes of a number that may be a name.
const LONGEST_NAME: usize = 8;
/// Most bytes of spans that are joined.
const LONGEST: usize = 80;

/// Most bytes of a bracket that is whole.
const LONGEST_BRACKET: usize = 40;

/// Units of what is weighed or measured out.
const SUBSTANCES: [&str; 17] = [
    "g", "kg", "mg", "µg", "mcg", "ml", "mL", "cl", "dl", "l", "L", "oz", "lb", "lbs", "tbsp", "tsp", "cups",
];

/// Words between an amount and what it is one of.
const PARTITIVES: [&str; 5] = [" of ", " de ", " di ", " d'", " d’"];

/// Words that stand beside numbers by chance, in the languages that most texts are written in.
static FUNCTION_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    "a an the this that these those and or nor but of in on at to for from by with as than about over under only \
     some is are was were be been has have had will would can could may might must do does did it he she they we \
     you i who which when where while if so then there here not no since until till after before between during \
     all both each its his her their our your my also just \
     de la le les du des et ou à en au aux un une sur pour par avec dans est sont a ont qui que où ce il elle on \
     vers y o el los las al del un una con para por es son se su e ha hay lo gli i il di da che per nel nella \
     um uma os as do dos das no na nos nas em ao com são foi era \
     der die das den dem des ein eine einen einem einer und oder im am um zum zur vom von mit zu auf aus an ab ist \
     sind war waren wurde wurden wird werden hat haben nach vor bis seit bei als er sie es wir ich \
     het een van op met te bij voor is zijn was werd dat die er uit \
     och att det som är av till med för på i från og er til af var blev vid \
     w z na do od o się jest są i oraz to nie dla po za ze u s v ve a je byl byla bylo se že \
     и в на с по из за к от до не что как а но о у же для при это был была было были й та у з від до на \
     ve bir için ile de da bu şi și la cu din pe în este sunt az és egy hogy van volt ja on oli sekä tai \
     και σε με του της των το τα η ο οι από για που στο στη στην \
     في من على إلى عن مع و أن التي الذي كان هو هي در از به با که و را است این آن تا \
     में से का की के को है हैं और पर ने था थे यह dan di ke dari yang untuk pada dengan adalah itu ini và của là có cho"
        .split_whitespace()
        .collect()
});

/// Widens spans that are or end with a number by the word that says what is counted, and by a capitalised word before
/// them, whose number they are; joins numbers that stand side by side as one amount. `spans` are sorted and disjoint.
pub(super) fn with_neighbours(text: &str, mut spans: Vec<Range<usize>>) -> Vec<Range<usize>> {
    for span in &mut spans {
        // What is left of a word that a number is a part of is a name, and no amount.
        let own = &text[span.clone()];
        let is_part = text[..span.start].ends_with(|c: char| c.is_alphanumeric() && !is_unspaced(c));
        if !own.contains(char::is_numeric) || own.len() > LONGEST || is_part {
            continue;
        }
        // A pattern that takes the word behind a number takes any.
        if let Some((before, last)) = own.rsplit_once(' ')
            && before.ends_with(char::is_alphabetic)
            && FUNCTION_WORDS.contains(&*last.to_lowercase())
        {
            span.end = span.start + before.len();
            continue;
        }
        let behind = &text[span.end..];
        let more = if is_bare(own) { counted(behind) } else { weighed(own, behind) };
        let end = span.end + more.unwrap_or_default();
        let start = span.start
            - named(&text[..span.start]).filter(|_| may_name(own, &text[..span.start])).unwrap_or_default();
        *span = start..end;
    }
    let mut joined: Vec<Range<usize>> = Vec::new();
    for span in spans.into_iter().map(|span| with_brackets(text, span)) {
        match joined.last_mut() {
            Some(last) if span.start < last.end || are_one(text, last, &span) => {
                last.end = last.end.max(span.end);
            }
            _ => joined.push(span),
        }
    }
    joined
}

/// Returns whether a number has no unit yet, and is no year or time of day.
fn is_bare(number: &str) -> bool {
    number.ends_with(|c: char| c.is_numeric()) && !is_year(number) && !number.contains(':')
}

fn is_year(number: &str) -> bool {
    number.len() == 4 && matches!(number.parse(), Ok(1000..=2199))
}

/// Bytes of the word behind a number, and of the space before that, where it may be what is counted.
fn counted(behind: &str) -> Option<usize> {
    let space = behind.chars().next().filter(|c| matches!(c, ' ' | '\u{a0}' | '\u{202f}'))?.len_utf8();
    Some(space + noun(&behind[space..])?)
}

/// Bytes of the word that a text starts with, where it may be a noun.
fn noun(text: &str) -> Option<usize> {
    let word = text.split(|c: char| !is_of_word(c)).next()?.trim_end_matches(['\'', '’', '-']);
    is_noun(word).then_some(word.len())
}

/// Bytes behind a weight or a volume up to the end of what it is one of, with an adjective: ` Mehl`, ` of warm milk`.
fn weighed(amount: &str, behind: &str) -> Option<usize> {
    let unit = &amount[amount.trim_end_matches(char::is_alphabetic).len()..];
    if !SUBSTANCES.contains(&unit) {
        return None;
    }
    let partitive = PARTITIVES.into_iter().find(|&word| behind.starts_with(word)).unwrap_or_default();
    // The space behind it is the one before the noun.
    let start = partitive.trim_end().len();
    let first =
        if partitive.ends_with(['\'', '’']) { noun(&behind[start..]) } else { counted(&behind[start..]) };
    let first = start + first?;
    Some(first + counted(&behind[first..]).unwrap_or_default())
}

/// Widens a number that is a part of a short bracket to the whole bracket: `(206 to placebo)`, `(creatinine above 200)`.
fn with_brackets(text: &str, span: Range<usize>) -> Range<usize> {
    let is_border = |c: char| matches!(c, '(' | ')' | '\n');
    let near = text.floor_char_boundary(span.start.saturating_sub(LONGEST_BRACKET))
        ..text.ceil_char_boundary((span.end + LONGEST_BRACKET).min(text.len()));
    let opens = text[near.start..span.start].rfind(is_border).map(|at| near.start + at);
    let closes = text[span.end..near.end].find(is_border).map(|at| span.end + at);
    match (opens, closes) {
        (Some(start), Some(end))
            if text[start..].starts_with('(')
                && text[end..].starts_with(')')
                && end - start < LONGEST_BRACKET
                && end - start > span.len() + 1
                && !text[span.clone()].contains(is_border) =>
        {
            start..end + 1
        }
        _ => span,
    }
}

/// Bytes of the capitalised word before a number, and of the space behind it.
fn named(before: &str) -> Option<usize> {
    let rest = before.strip_suffix([' ', '\u{a0}'])?;
    let word = rest.rsplit(|c: char| !is_of_word(c)).next()?;
    let capital = word.starts_with(char::is_uppercase) && word.chars().nth(1).is_some();
    (capital && is_noun(word)).then_some(before.len() - rest.len() + word.len())
}

/// Returns whether a number may be that of the thing which is named before it; a year is, behind capitals alone.
fn may_name(number: &str, before: &str) -> bool {
    let is_short = number.len() <= LONGEST_NAME && number.starts_with(|c: char| c.is_ascii_digit());
    let is_plain = number.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '(' | ')' | ':'));
    let last = || before.trim_end().rsplit(' ').next().unwrap_or_default();
    is_short && is_plain && (!is_year(number) || last().chars().all(|c| c.is_uppercase() || c.is_numeric()))
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '\'' | '’' | '\u{300}'..='\u{36f}' | '\u{900}'..='\u{97f}')
}

/// Returns whether a word may be a noun: it has letters alone, and is none of the function words.
fn is_noun(word: &str) -> bool {
    word.starts_with(char::is_alphabetic)
        && word.len() <= LONGEST_WORD
        && !word.contains(|c: char| c.is_numeric() || is_unspaced(c))
        && !FUNCTION_WORDS.contains(&*word.to_lowercase())
}

/// Returns whether two spans are parts of one amount: 2024年5月, `3 h 20 min`.
fn are_one(text: &str, first: &Range<usize>, second: &Range<usize>) -> bool {
    let (a, b) = (&text[first.clone()], &text[second.clone()]);
    let starts = b.starts_with(char::is_numeric);
    let has_unit = a.contains(char::is_numeric) && a.ends_with(char::is_alphabetic);
    let gap = text.get(first.end..second.start);
    let is_apart = gap != Some("") && a.ends_with(is_unspaced);
    second.end - first.start <= LONGEST
        && starts
        && has_unit
        && !is_apart
        && matches!(gap, Some("" | " " | "\u{a0}"))
}

#[cfg(test)]
mod tests {
    use crate::text::{Protection, Protector};

    fn found(text: &str) -> Vec<&str> {
        Protector::new(&[Protection::Numbers], &[])
            .unwrap()
            .spans(text)
            .into_iter()
            .map(|range| &text[range])
            .collect()
    }

    #[test]
    fn numbers_have_what_they_count_and_name() {
        let cases: [(&str, &[&str]); 15] = [
            (
                "Man nehme 500 g Mehl, 20 g frische Hefe und 5 kg.",
                &["500 g Mehl", "20 g frische Hefe", "5 kg"],
            ),
            (
                "Add 250 ml of warm milk, 3 l d'eau, 2 kg de harina, over 5 mg iron.",
                &["250 ml of warm milk", "3 l d'eau", "2 kg de harina", "over 5 mg iron"],
            ),
            ("Of all (206 to one, 12 not) some (over 5) left (in May).", &["(206 to one, 12 not)", "over 5"]),
            ("There were 24 barrels of oil in 1931 on deck.", &["24 barrels", "1931"]),
            ("Go to Pier 4, then to the Dock 12B.", &["Pier 4", "Dock 12B"]),
            ("See Article 5(2)(b) and FY 2023.", &["Article 5(2)(b)", "FY 2023"]),
            ("Es kamen 3 Boote, 12 Kisten und 5 Mal Regen.", &["3 Boote", "12 Kisten", "5 Mal"]),
            ("Сегодня 12 человек ушли в 7.", &["Сегодня 12 человек", "7"]),
            ("Il a vu 3 bateaux, et 4 de ses amis.", &["3 bateaux", "4"]),
            ("It took 3 h 20 min and 12 kg 300 g.", &["3 h 20 min", "12 kg 300 g"]),
            ("船は2024年5月12日に出た。", &["2024年5月12日"]),
            ("배값은 3억 5천만 원이다.", &["3억 5천만 원"]),
            ("₹ 2 लाख और १२ लोग", &["₹ 2 लाख", "१२ लोग"]),
            ("١٢ شخصا في ٥٠٪", &["١٢ شخصا", "٥٠٪"]),
            ("The mast is 5'-8\" high, at 10⁻³ mol/L and p < 0.05.", &["5'-8\"", "10⁻³ mol/L", "p < 0.05"]),
        ];
        for (text, want) in cases {
            assert_eq!(found(text), want, "{text}");
        }
    }
}
