//! Negations with what they govern: the smallest clause that would say the opposite without its negation.

mod conditions;
mod implied;
mod verbs;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use self::conditions::{CONDITION_PARTS, CONDITION_PHRASES, CONDITIONS, FIRST_CONDITIONS};
use self::implied::{IMPLYING, IMPLYING_PARTS, IMPLYING_STEMS};
use self::verbs::{NE_LETTERS, NE_OTHERS, PERSIAN, SWAHILI, TURKISH};
use self::words::{
    BUT, EXCEPTION_PARTS, EXCEPTION_PHRASES, EXCEPTIONS, NEGATION_PHRASES, NEGATIONS, NEUTRAL, OR, PARTS,
    VERB_PREFIXES,
};
use super::script::is_unspaced;
use super::sentences;

/// Longer clauses are cut like other text; the negation then stays with the word that it negates.
const LONGEST: usize = 480;
/// A longer sentence with a condition is not whole: what is whole of it is the condition with the clause beside it.
const LONGEST_CONDITION: usize = 240;
/// A longer clause that begins with `but` stands by itself.
const LONGEST_LIMIT: usize = 80;
/// Bytes between two spaces of scripts that write words together.
const SPARSE: usize = 30;
/// A clause of fewer words belongs to the one before it: `..., but not before two`.
const FEW_WORDS: usize = 5;
/// Clauses of so many words, or of so many bytes beside the comma of Chinese and Japanese lists, are items of a list, which one negation
/// governs: `it covers no theft, fire or frost`.
const ITEM_WORDS: usize = 2;
const ITEM_BYTES: usize = 18;

/// The effects that words of the lists have.
const NEGATES: u8 = 1;
const EXCEPTS: u8 = 2;
const CONDITION: u8 = 4;
const FIRST: u8 = 8;
const IMPLIES: u8 = 16;

/// The words of all lists with what they do: every word of a text is looked up.
static WORDS: LazyLock<HashMap<&str, u8>> = LazyLock::new(|| {
    let mut words = HashMap::new();
    let lists =
        [(NEGATIONS, NEGATES), (EXCEPTIONS, EXCEPTS), (CONDITIONS, CONDITION), (FIRST_CONDITIONS, FIRST)];
    for (list, does) in lists.into_iter().chain([(IMPLYING, IMPLIES)]) {
        for word in list.split_whitespace() {
            *words.entry(word).or_default() |= does;
        }
    }
    words
});
/// The phrases in one search each: there are many, and every clause of a text is asked. Most have none of them.
static SAYS_ANY: LazyLock<Regex> = LazyLock::new(|| {
    any_of(&[EXCEPTION_PHRASES, NEGATION_PHRASES, CONDITION_PHRASES, IMPLYING_STEMS].concat())
});
static SAYS_EXCEPTION: LazyLock<Regex> = LazyLock::new(|| any_of(EXCEPTION_PHRASES));
static SAYS_NEGATION: LazyLock<Regex> = LazyLock::new(|| any_of(NEGATION_PHRASES));
static SAYS_IMPLIED: LazyLock<Regex> = LazyLock::new(|| any_of(IMPLYING_STEMS));
static SAYS_CONDITION: LazyLock<Regex> = LazyLock::new(|| any_of(CONDITION_PHRASES));
/// The parts of words in one search each, too.
static HAS_ANY: LazyLock<Regex> =
    LazyLock::new(|| any_of(&[EXCEPTION_PARTS, PARTS, CONDITION_PARTS, IMPLYING_PARTS].concat()));
static HAS_EXCEPTION: LazyLock<Regex> = LazyLock::new(|| any_of(EXCEPTION_PARTS));
static HAS_NEGATION: LazyLock<Regex> = LazyLock::new(|| any_of(PARTS));
static HAS_IMPLIED: LazyLock<Regex> = LazyLock::new(|| any_of(IMPLYING_PARTS));
static IS_NEUTRAL: LazyLock<Regex> = LazyLock::new(|| any_of(NEUTRAL));
/// The month of May, in languages that do not call it so by a capital alone.
static MAY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:\d\.?|\b(?:im|ende|mitte|anfang|bis|seit|ab|en|le|du|de|au|fin|1er)) mai\b")
        .expect("a test compiles it")
});
static HAS_CONDITION: LazyLock<Regex> = LazyLock::new(|| any_of(CONDITION_PARTS));

/// Returns a pattern that matches each of `phrases` wherever it stands.
fn any_of(phrases: &[&str]) -> Regex {
    let phrases: Vec<String> = phrases.iter().map(|phrase| regex::escape(phrase)).collect();
    Regex::new(&phrases.join("|")).expect("a test compiles it")
}

/// The polarity of a clause with regard to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Polarity {
    Plain,
    /// Negated by what a word means, such as `refuse` or `seldom`.
    Implied,
    Negated,
    Exception,
}

/// The relation of a clause or sentence to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sense {
    polarity: Polarity,
    /// Set if it makes a condition, or may make one where a clause of it begins with the word.
    conditional: bool,
}

impl Sense {
    fn is_plain(self) -> bool {
        self.polarity == Polarity::Plain && !self.conditional
    }
}

/// Returns whether `text` negates or excludes something.
#[must_use]
pub fn negates(text: &str) -> bool {
    sense(text, true).polarity > Polarity::Implied
}

/// Returns whether a clause negates or excludes something, or makes a condition for what it governs.
pub(crate) fn governs(clause: &str) -> bool {
    !sense(clause, false).is_plain()
}

/// The clauses of `text` that hold a negation or a condition with what it governs, and the sentences that hold an
/// exception: sorted and disjoint.
pub(super) fn negated_clauses(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for sentence in sentences(text) {
        let sense = sense(&text[sentence.clone()], true);
        if sense.is_plain() {
            continue;
        }
        let whole = trimmed(text, sentence.clone());
        if sense.polarity == Polarity::Exception && whole.len() <= LONGEST {
            found.push(whole);
        } else {
            found.extend(of_sentence(text, sentence));
        }
    }
    found
}

/// The negated and conditional clauses of one sentence.
fn of_sentence(text: &str, sentence: Range<usize>) -> Vec<Range<usize>> {
    let whole = trimmed(text, sentence.clone());
    let clauses = clauses(text, sentence);
    let senses: Vec<Sense> = clauses.iter().map(|clause| sense(&text[clause.clone()], false)).collect();
    let is_short = whole.len() <= LONGEST_CONDITION && clauses.len() > 1;
    if is_short && senses.iter().any(|sense| sense.conditional) {
        return vec![whole];
    }
    let mut found: Vec<Range<usize>> = Vec::new();
    for (i, (clause, sense)) in clauses.iter().zip(senses).enumerate() {
        if sense.is_plain() {
            continue;
        }
        let own = &text[clause.clone()];
        let spaced = of_spaced(text, clause.clone());
        if !spaced.is_empty() {
            found.extend(spaced);
            continue;
        }
        let joins = sense.polarity == Polarity::Exception
            || sense.conditional
            || own.unicode_words().take(FEW_WORDS).count() < FEW_WORDS
            || own.len() <= LONGEST_LIMIT && limits(own);
        let item = |&other: &usize| {
            let own = &text[clauses[other].clone()];
            let listed = text[..clauses[other].start].ends_with('、') && own.len() <= ITEM_BYTES;
            listed || is_item(own)
        };
        let before = (0..i).rev().take_while(item).count();
        let after = (i + 1..clauses.len()).take_while(item).count();
        let first = i - if joins && i > 0 { before.max(1) } else { before };
        let last = (i + if joins && i == 0 { after.max(1) } else { after }).min(clauses.len() - 1);
        let whole = trimmed(text, clauses[first].start..clauses[last].end);
        let whole = if whole.len() > LONGEST { trimmed(text, clause.clone()) } else { whole };
        match found.last_mut() {
            Some(before) if before.end > whole.start && whole.end - before.start <= LONGEST => {
                before.end = before.end.max(whole.end);
            }
            Some(before) if before.end > whole.start => {}
            _ if whole.len() <= LONGEST => found.push(whole),
            _ => {}
        }
    }
    found
}

/// Returns whether a clause is an item of a list: a short one, or one behind `or`.
fn is_item(clause: &str) -> bool {
    let words = || clause.unicode_words();
    let few = words().take(ITEM_WORDS + 1).count() <= ITEM_WORDS;
    let is_or = words().next().is_some_and(|first| OR.contains(&first.to_lowercase().as_str()));
    !clause.starts_with(['(', '（'])
        && (few
            || is_or && clause.len() <= LONGEST_LIMIT
            || clause.ends_with('、') && clause.len() <= ITEM_BYTES)
}

/// Returns whether a clause begins as one does that limits the clause before it: `but not before 1 March`.
fn limits(clause: &str) -> bool {
    clause.unicode_words().next().is_some_and(|first| BUT.contains(&first.to_lowercase().as_str()))
}

/// The negated parts between the spaces of a clause in a script that has spaces between clauses alone; none in others.
fn of_spaced(text: &str, clause: Range<usize>) -> Vec<Range<usize>> {
    let own = &text[clause.clone()];
    let (bytes, spaces) = (own.len(), own.matches(' ').count());
    if spaces == 0 || bytes < SPARSE * spaces || !own.contains(is_unspaced) {
        return Vec::new();
    }
    let mut at = clause.start;
    let parts = own.split_inclusive(' ').map(|part| {
        at += part.len();
        at - part.len()..at
    });
    let negated =
        |part: &Range<usize>| part.len() <= LONGEST && !sense(&text[part.clone()], false).is_plain();
    parts.filter(negated).map(|part| trimmed(text, part)).collect()
}

/// The parts of a sentence between commas, semicolons, colons, dashes and brackets.
fn clauses(text: &str, sentence: Range<usize>) -> Vec<Range<usize>> {
    let own = &text[sentence.clone()];
    let (mut clauses, mut start) = (Vec::new(), 0);
    let mut chars = own.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let spaced = chars.peek().is_none_or(|(_, next)| next.is_whitespace());
        let ends = match c {
            ',' | ';' | ':' | ')' | '،' | '؛' => spaced,
            '，' | '；' | '：' | '、' | '）' | '—' | '。' => true,
            '(' | '（' => {
                if at > start {
                    clauses.push(sentence.start + start..sentence.start + at);
                }
                start = at;
                false
            }
            _ => false,
        };
        if ends {
            let end = at + c.len_utf8();
            clauses.push(sentence.start + start..sentence.start + end);
            start = end;
        }
    }
    if start < own.len() {
        clauses.push(sentence.start + start..sentence.end);
    }
    clauses
}

/// The sense of a clause, or of a whole `sentence`: in that any word may be the first of a clause.
fn sense(text: &str, sentence: bool) -> Sense {
    // The spaces make borders of words for phrases at the ends.
    let lower = format!(" {} ", text.to_lowercase());
    let says_any = SAYS_ANY.is_match(&lower);
    let mut conditional = says_any && SAYS_CONDITION.is_match(&lower);
    if says_any && SAYS_EXCEPTION.is_match(&lower) {
        return Sense { polarity: Polarity::Exception, conditional };
    }
    let negated =
        says_any && SAYS_NEGATION.is_match(&lower) || lower.split([',', ';', ':']).any(ends_with_prefix);
    let mut polarity = if negated || forbids_in_japanese(text) {
        Polarity::Negated
    } else if says_any && SAYS_IMPLIED.is_match(&lower) || may_forbid_in_turkish(text) {
        Polarity::Implied
    } else {
        Polarity::Plain
    };
    if text.bytes().any(|byte| byte >= 0xe0) && HAS_ANY.is_match(text) {
        conditional |= HAS_CONDITION.is_match(text);
        let telling = IS_NEUTRAL.replace_all(text, " ");
        if HAS_EXCEPTION.is_match(&telling) {
            return Sense { polarity: Polarity::Exception, conditional };
        }
        if HAS_NEGATION.is_match(&telling) {
            polarity = Polarity::Negated;
        } else if HAS_IMPLIED.is_match(&telling) {
            polarity = polarity.max(Polarity::Implied);
        }
    }
    for (i, word) in lower.unicode_words().enumerate() {
        if word.len() > 40 {
            continue;
        }
        let does = WORDS.get(word).copied().unwrap_or_default();
        conditional |= does & CONDITION != 0
            || (does & FIRST != 0 && (sentence || i == 0) && is_of_its_language(word, &lower));
        polarity = polarity.max(of_word(word, does, &lower));
        // Arabic and Hebrew write `and` in one with the word.
        if let Some(rest) = word.strip_prefix(['و', 'ف', 'ו']) {
            let does = WORDS.get(rest).copied().unwrap_or_default();
            conditional |= does & CONDITION != 0;
            polarity = polarity.max(of_word(rest, does, &lower));
        }
        if polarity == Polarity::Exception {
            break;
        }
    }
    Sense { polarity, conditional }
}

/// Returns whether a clause, in lower case, ends with what may be the prefix of its verb.
fn ends_with_prefix(clause: &str) -> bool {
    let clause = clause.trim_end_matches(|c: char| !c.is_alphanumeric());
    let last = clause.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    last.len() < clause.len() && VERB_PREFIXES.contains(&last)
}

/// Returns whether a clause ends as a prohibition does in Japanese: 触るな.
fn forbids_in_japanese(clause: &str) -> bool {
    let clause = clause.trim_end_matches(|c: char| !c.is_alphanumeric());
    clause
        .strip_suffix('な')
        .is_some_and(|verb| verb.ends_with(['う', 'く', 'ぐ', 'す', 'つ', 'ぬ', 'ぶ', 'む', 'る']))
}

/// Returns whether a clause may end as a prohibition does in Turkish, `kapıyı açma`; a noun may end alike.
fn may_forbid_in_turkish(clause: &str) -> bool {
    let clause = clause.trim_end_matches(|c: char| !c.is_alphanumeric());
    clause.ends_with(['a', 'e'])
        && clause.contains(['ı', 'ğ'])
        && clause.rsplit(' ').next().is_some_and(|last| {
            last.len() > 3 && !last.contains('-') && (last.ends_with("ma") || last.ends_with("me"))
        })
}

/// The polarity of a word within its clause, both in lower case.
fn of_word(word: &str, does: u8, clause: &str) -> Polarity {
    if does & EXCEPTS != 0 && is_of_its_language(word, clause) || is_korean_only(word) {
        return Polarity::Exception;
    }
    let negates = does & NEGATES != 0 && is_of_its_language(word, clause);
    let elided =
        word.ends_with("n't") || word.ends_with("n’t") || word.starts_with("n'") || word.starts_with("n’");
    let turkish = word.len() > 6 && TURKISH.iter().any(|end| word.ends_with(end));
    if elided || turkish || negates || is_negated_verb(word, clause) {
        Polarity::Negated
    } else if does & IMPLIES != 0 && is_of_its_language(word, clause) {
        Polarity::Implied
    } else {
        Polarity::Plain
    }
}

/// Returns whether a Korean word has the particle for `only` behind it, and is none that is written alike.
fn is_korean_only(word: &str) -> bool {
    const OTHERS: [&str; 6] = ["지만", "미만", "불만", "대만", "다만", "낭만"];
    word.strip_suffix('만').is_some_and(|noun| {
        let last = noun.chars().next_back().unwrap_or_default();
        noun.chars().count() > 1
            && !noun.starts_with(|c: char| c.is_ascii_digit())
            && matches!(last, '\u{AC00}'..='\u{D7A3}')
            && !matches!(last, '십' | '백' | '천' | '억')
            && !OTHERS.iter().any(|other| word.ends_with(other))
    })
}

/// Returns whether a word of the lists is likely to stand in the language that it is of, and not to be a frequent word of
/// another one.
fn is_of_its_language(word: &str, clause: &str) -> bool {
    let beside = |words: &[&str]| clause.unicode_words().any(|word| words.contains(&word));
    match word {
        // Italian `never`, but German and French `May`.
        "mai" => !MAY.is_match(clause),
        // Swedish and Danish, but a part of Spanish `for example`.
        "ej" => !clause.contains("p. ej") && !clause.contains("por ej"),
        // Romanian, but Dutch and Swedish `now`.
        "nu" => {
            clause.contains(['ă', 'î', 'ș', 'ț', 'ş', 'ţ'])
                || !clause.contains(['å', 'ä', 'ö', 'ø', 'æ', 'ë', 'ï', 'é'])
                    && !beside(&[
                        "het", "een", "is", "en", "van", "wordt", "er", "ik", "je", "nog", "zijn", "we",
                        "naar", "och", "det", "att", "har", "som", "jag", "den", "og", "tot", "bij", "op",
                        "le", "un",
                    ])
        }
        // English without its apostrophe, but French `whose`.
        "dont" => beside(&["i", "you", "we", "they", "please", "the", "to", "it", "that"]),
        // `a few` and `a little` are some.
        "few" | "little" => !clause.contains(&format!(" a {word} ")),
        // German `only then`, but also `at first`.
        "erst" => beside(&["ab", "nach", "seit", "um", "am", "im", "wenn", "dann", "darf", "dürfen"]),
        // Dutch `nor`, but German `still`.
        "noch" => beside(&["de", "het", "een", "van"]) && !beside(&["der", "die", "das", "und", "er"]),
        // Portuguese `hardly`, but German `times`.
        "mal" => beside(&["há", "se", "o", "os", "ele", "ela", "um", "uma", "no", "na", "de"]),
        // Indonesian `not`, but Polish and Czech `so` and `yes`.
        "tak" => beside(&[
            "yang", "dan", "di", "ada", "akan", "bisa", "dapat", "seorang", "pun", "boleh", "pernah",
        ]),
        // Swedish `only then`, but also `at first`.
        "först" => beside(&["efter", "när", "då", "får", "om", "från"]),
        // French `à peine`, but the penalty, too.
        "peine" => clause.contains(" à peine "),
        // English, Spanish and Italian, but Portuguese `in the`.
        "no" => {
            !clause.contains(['ã', 'õ', 'ê'])
                && !beside(&["um", "uma", "da", "em", "ao", "com", "é", "foi", "pelo", "pela"])
        }
        // Spanish `without`, but Scandinavian `his`.
        "sin" => {
            !clause.contains(['å', 'ä', 'ö', 'ø', 'æ'])
                && !beside(&[
                    "av", "af", "och", "og", "han", "hun", "det", "den", "til", "till", "med", "har",
                ])
        }
        // French and Italian `nor`, but Swedish `you`.
        "ni" => !clause.contains(['å', 'ä', 'ö']),
        // Italian and Portuguese `if`, but Spanish and French `oneself`.
        "se" => beside(&[
            "non", "il", "gli", "lo", "è", "di", "che", "não", "um", "uma", "você", "ele", "o", "os",
        ]),
        // Hungarian `if`, but Spanish and Italian `has`.
        "ha" => clause.contains(['ő', 'ű', 'ö', 'ü']) || beside(&["az", "nem", "nincs", "egy", "és"]),
        // Czech and Slovak `instead of`, but also `place`.
        "místo" | "miesto" => stands_for_another(clause),
        // Danish and Norwegian, but Finnish `when`.
        "kun" => clause.contains(['æ', 'ø', 'å']),
        // South Slavic, but a part of Polish `likewise`.
        "samo" => !clause.contains(['ł', 'ą', 'ę', 'ś']),
        // Swahili, but Slavic `was` and Indonesian `when`.
        "bila" => !clause.unicode_words().any(|word| {
            matches!(word, "je" | "se" | "su" | "sam" | "smo" | "bi" | "i" | "yang" | "anda" | "akan" | "dan")
        }),
        // Urdu, but Arabic and Persian `spending`.
        "صرف" => clause.contains(['ے', 'ں', 'ہ', 'ٹ', 'ڈ', 'ڑ']),
        _ => true,
    }
}

/// Returns whether a clause of Czech or Slovak begins with `instead of`, and not with a place or what is done there: `místo
/// konání`, `miesto je`.
fn stands_for_another(clause: &str) -> bool {
    const BEHIND_PLACE: [&str; 16] = [
        "je", "bylo", "bude", "má", "mělo", "se", "v", "ve", "na", "u", "pro", "pre", "kde", "s", "pobytu",
        "výkonu",
    ];
    let mut words = clause.unicode_words();
    let first = words.next();
    matches!(first, Some("místo" | "miesto"))
        && words.next().is_some_and(|next| {
            !next.ends_with("ní") && !next.ends_with("nia") && !BEHIND_PLACE.contains(&next)
        })
}

/// Returns whether a word begins or ends as negated verbs do in Swahili, Persian, Tamil, or the Slavic and Baltic
/// languages that write `ne` in one with the verb.
fn is_negated_verb(word: &str, clause: &str) -> bool {
    if let Some(rest) = word.strip_prefix("ne") {
        // No other language has this ending: of Czech and Slovak prohibitions.
        return rest.ends_with("jte")
            || rest.len() >= 3
                && !NE_OTHERS.iter().any(|other| word.starts_with(other))
                && clause.contains(NE_LETTERS);
    }
    let is_swahili = |prefix: &&str| {
        word.strip_prefix(*prefix).is_some_and(|rest| {
            let past = ["ku", "ta", "ja"].iter().any(|tense| rest.starts_with(tense)) && rest.ends_with('a');
            rest.len() > 3 && (rest.ends_with('i') || past)
        })
    };
    if word.is_ascii() {
        return word.len() > 5
            && (word.starts_with("ha") && SWAHILI.iter().any(is_swahili)
                || (word.starts_with("usi") || word.starts_with("msi")) && word.ends_with('e'));
    }
    // Turkish has its endings above; Persian puts one prefix before every verb, and Tamil an ending behind it.
    word.starts_with("نمی") || is_negated_persian(word) || word.ends_with("ாது") || word.ends_with("ாமல்")
}

/// Returns whether a word is the negated form of one of the most frequent Persian verbs.
fn is_negated_persian(word: &str) -> bool {
    const ENDINGS: [&str; 8] = ["", "م", "ی", "د", "یم", "ید", "ند", "ه"];
    let Some(verb) = word.strip_prefix('ن') else { return false };
    PERSIAN.iter().any(|stem| verb.strip_prefix(stem).is_some_and(|ending| ENDINGS.contains(&ending)))
}

/// `range` without white space and marks of punctuation at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let own = &text[range.clone()];
    let mark = |c: char| {
        c.is_whitespace()
            || matches!(
                c,
                '.' | ','
                    | ';'
                    | ':'
                    | '!'
                    | '?'
                    | '。'
                    | '，'
                    | '；'
                    | '：'
                    | '！'
                    | '？'
                    | '、'
                    | '।'
                    | '—'
            )
    };
    let start = range.start + own.len() - own.trim_start_matches(mark).len();
    let end = range.start + own.trim_end_matches(mark).len();
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        negated_clauses(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn clauses_hold_their_negations() {
        let text = "The gate is open, the alarm does not ring, and nobody saw him. Come in.";
        assert_eq!(found(text), ["the alarm does not ring, and nobody saw him"]);
        assert_eq!(
            found("Monday is fine, but not before ten, I sleep long."),
            ["Monday is fine, but not before ten"]
        );
        assert_eq!(
            found("The lease may end with notice of two weeks, but not before the last day of May."),
            ["The lease may end with notice of two weeks, but not before the last day of May"]
        );
        assert_eq!(
            found("You may enter, unless the lamp is red."),
            ["You may enter, unless the lamp is red"]
        );
        assert_eq!(found("It costs 1,200 euros. It is done."), [] as [&str; 0]);
        assert_eq!(found("他来了，但是没有带钥匙。"), ["但是没有带钥匙"]);
        assert_eq!(
            found("Die Firma kündigt zum Herbst eine Liste an, sie ist lang."),
            ["Die Firma kündigt zum Herbst eine Liste an"]
        );
        assert_eq!(
            found("Shops open on Sunday, with the exception of bakeries."),
            ["Shops open on Sunday, with the exception of bakeries"]
        );
        for text in [
            "The owner refused to pay",
            "The council rejected the plan",
            "The clerk declined the offer of the town",
            "The bank turned down the loan",
            "Místo kyslíku použijte dusík",
            "Miesto kyslíka použite dusík",
        ] {
            assert_eq!(found(&format!("{text}. It is so.")), [text]);
        }
        for text in ["Místo konání je sál u přístavu.", "Prices declined by 3 percent.", "To místo je staré."]
        {
            assert_eq!(found(text), [] as [&str; 0]);
        }
        assert_eq!(found("The guard failed to lock the gate."), ["The guard failed to lock the gate"]);
    }

    #[test]
    fn conditions_are_whole_with_what_they_govern() {
        for text in [
            "The boat sails at nine, if the wind drops",
            "Falls der Regen bleibt, fällt das Fest aus",
            "Якщо двері відчинені, лампа гасне",
            "Jeżeli pada deszcz, zostajemy w domu",
            "Ha esik az eső, otthon ülünk",
            "如果下雨，船就停",
            "अगर बारिश हो, नाव रुकेगी",
            "Eğer yağmur yağarsa, gemi kalır",
        ] {
            assert_eq!(found(&format!("{text}. A b.")), [text], "{text}");
        }
        assert_eq!(found("El barco se va a las dos, y se acaba. Il se lave."), [] as [&str; 0]);
    }

    #[test]
    fn words_of_other_languages_negate_nothing() {
        for text in [
            "El barco sale a las dos, se detiene en la isla y ha llegado tarde.",
            "Das Schiff fährt am 3. Mai und noch einmal im Mai.",
            "Le bateau part le 3 mai.",
            "De boot vaart nu en wordt nog gebouwd.",
            "Har ni sett båten som går i dag?",
            "Die Mitte der Brücke ist 90 m hoch.",
            "Unos lagos, p. ej. el de Sanabria, son hondos.",
            "O farol fica no porto e foi pintado de branco.",
            "Han solgte sin båt og kjøpte en større.",
            "请删除旧文件，再保存新的。",
            "港口有三只猫。",
            "배가 3년만에 돌아왔다.",
        ] {
            assert_eq!(found(text), [] as [&str; 0], "{text}");
            assert!(!negates(text), "{text}");
        }
        for question in [
            "¿En qué año se abrió el puente?",
            "เรือออกเดินทางอย่างไร",
            "船是否在未来出发？",
            "非常大的船叫什么？",
        ] {
            assert!(!negates(question), "{question}");
        }
    }

    #[test]
    fn what_implies_a_negation_is_kept_with_it_and_asks_for_no_exception() {
        for text in [
            "The crew declined to load the barrels",
            "Keep the lamp dry and avoid frost",
            "The ferry seldom sails in winter",
            "Few of the sailors had gloves",
            "Der Wirt weigert sich zu zahlen",
            "Le capitaine refuse de partir",
            "Сторож отказывается от ключа",
            "船长拒绝出港",
            "O barco é impossível de reparar",
        ] {
            assert_eq!(found(&format!("{text}. A b.")), [text], "{text}");
            assert!(!negates(text), "{text}");
        }
        assert_eq!(
            found("A few sailors had a little bread. Le port dont je parle est beau."),
            [] as [&str; 0]
        );
    }

    #[test]
    fn items_go_with_the_negation_that_governs_them() {
        assert_eq!(
            found(
                "The fare does not include bread, hot tea, or blankets for the night, and the sea is calm today."
            ),
            ["The fare does not include bread, hot tea, or blankets for the night"]
        );
        assert_eq!(
            found("Bread, tea and blankets are not included."),
            ["Bread, tea and blankets are not included"]
        );
        assert_eq!(found("票价不包括面包、热茶、毯子。"), ["票价不包括面包、热茶、毯子"]);
    }

    #[test]
    fn a_clause_without_marks_keeps_its_negated_parts() {
        let plain = "สระเปิดตั้งแต่เช้าถึงเย็นทุกวันตลอดปี";
        let negated = "ค่าเรียนไม่รวมค่าชุดว่ายน้ำ";
        let text = [plain, plain, plain, negated, plain, plain, plain].join(" ");
        assert!(text.len() > LONGEST);
        assert_eq!(found(&text), [negated]);
    }

    /// Sentences that negate, forbid or except, by language; the whole of each is one clause or one sentence.
    const SENTENCES: &str = include_str!("negations.txt");

    #[test]
    fn no_language_loses_its_negation() {
        let mut count = 0;
        for line in SENTENCES.lines().filter(|line| !line.is_empty()) {
            let (language, text) = line.split_once('\t').expect("a language and a sentence");
            let spans = negated_clauses(text);
            assert!(!spans.is_empty(), "{language}: {text}");
            count += 1;
        }
        assert!(count >= 200, "{count}");
    }
}
