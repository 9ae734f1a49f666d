//! Abbreviations whose full stop ends no sentence, in the most used languages that write full stops.
//!
//! All are in lower case and without their last full stop. Those that are as often a word, a unit or the end of a list
//! (`etc.`, `usw.`, `и т. д.`) are left out: a small letter behind them goes on with the sentence anyway.

use super::is_capital;

/// Abbreviations behind which a sentence goes on.
const WITHIN: &str = "mr mrs ms dr prof st gen gov sen rep lt col capt sgt rev hon vs v cf al ca approx e.g i.e eg ie viz ph.d \
    bzw z.b d.h u.a i.d.r ggf evtl inkl zzgl abzgl bspw vgl sog hr fr geb allg insb dipl ing univ hrsg hptm \
    mme mlle mgr env p.ex c.-à-d éd \
    sr sra srta dra dña p.ej aprox gral lic profa exmo exma \
    sig sigg sig.ra dott dott.ssa prof.ssa avv geom p.es \
    bijv dhr mevr mw o.a d.w.z m.b.t i.v.m t.o.v resp incl excl drs \
    t.ex bl.a d.v.s dvs s.k jfr fr.o.m t.o.m f.eks jf hhv evt \
    m.in np tzn tj tzw ul inż św im \
    např tzv popř mudr judr sv npr odn pl kb ún özv \
    bkz örn doç yrd hz esim ks em huom nt piem t.i t.y pvz \
    т.е т.к т.н т.зв г ул им см напр проф акад тов гр пер просп обл вул ім див бул св тзв нпр \
    π.χ λ.χ δηλ βλ κ κα κκ \
    jl yth kab kec hlm tp ths pgs bw dk mh k.m \
    डॉ प्रो श्री सौ प्रा ডা ড মো மா திரு డా \
    د أ.د ดร รศ ผศ น.ส พ.ศ ค.ศ";

/// Abbreviations that keep a sentence open only where a number follows.
const BEFORE_NUMBER: &str = "no nos fig figs eq sec art vol ch p pp ver par \
    nr bd abs kap kl s n str anm ziff tel núm num pág pag cap alin pct blz godz ok pkt ust poz č čl odst br god \
    klo nro lk стр рис табл ст п пп гл д кв σελ αρ tgl \
    jan feb mar apr jun jul aug sep sept oct nov dec okt dez mär janv févr avr juil déc ene abr ago dic \
    янв февр авг сент окт нояб дек";

/// Abbreviations of several parts with spaces between them.
const SPACED: &[&str] = &[
    "z. b", "d. h", "u. a", "i. d. r", "c.-à-d", "p. ex", "par ex", "p. ej", "por ej", "p. es", "ad es",
    "de ex", "т. е", "т. к", "т. н", "m. in", "t. ex", "f. eks", "d. w. z", "d. v. s", "bl. a", "s. k",
    "π. χ",
];

/// Abbreviations that are units where a number stands before them: `1911 г.`, `5 см.`
const UNITS: &[&str] = &["г", "гр", "см", "kb", "em", "mw", "hr"];

/// The sign of Hindi that joins two letters of a word, and is none.
const VIRAMA: char = '\u{94D}';

/// Most characters of an abbreviation, and of one in several parts.
const LONGEST: usize = 8;

/// Words that begin a new sentence behind what might be initials: `made in the U.S. The rest`.
const OPENERS: &[&str] = &[
    "The", "This", "That", "These", "Those", "There", "It", "Its", "He", "She", "They", "We", "You", "His",
    "Her", "Their", "Our", "In", "On", "At", "As", "If", "But", "And", "For", "However", "When", "While",
    "What",
];

/// German months, which stand behind the number of a day with its full stop.
const MONTHS: &[&str] = &[
    "Januar",
    "Jänner",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// German words before the number of one in a sequence: `im 2. Stock`.
const BEFORE_ORDINAL: &[&str] =
    &["am", "im", "vom", "zum", "zur", "beim", "der", "die", "das", "dem", "den", "des"];

/// Returns whether the full stop after `words` is that of an abbreviation or of an ordinal, so that `rest` continues the
/// sentence.
pub(super) fn abbreviates(words: &str, rest: &str) -> bool {
    let within = |c: char| c.is_alphanumeric() || matches!(c, '.' | VIRAMA);
    let longest = words.char_indices().rev().take(LONGEST + 1);
    let start = longest.take_while(|&(_, c)| within(c)).last().map_or(words.len(), |(at, _)| at);
    let word = &words[start..];
    if word.is_empty() || word.chars().count() > LONGEST {
        return false;
    }
    let next = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    if word.bytes().all(|byte| byte.is_ascii_digit()) {
        return is_ordinal(word, words[..start].trim(), next);
    }
    // `I` ends sentences more often than it stands for a name.
    let is_unit = words[..start].trim_end().ends_with(|c: char| c.is_ascii_digit() || c == '°');
    let initials = word != "I" && word.split('.').all(is_capital) && !opens(next) && !is_unit;
    initials || begins_spaced(word, next, rest) || is_listed(words, start, next)
}

/// Returns whether a word in a capital begins a sentence behind what may be initials.
pub(in crate::text) fn opens(word: &str) -> bool {
    OPENERS.contains(&word)
}

/// Returns whether a number is that of an item of a list, or one in a sequence as German writes it.
fn is_ordinal(number: &str, before: &str, next: &str) -> bool {
    let last = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let is_day = number.len() <= 2 && MONTHS.contains(&next);
    let follows = number.len() <= 3 && BEFORE_ORDINAL.contains(&last.to_lowercase().as_str());
    let is_first = before.is_empty() || before.ends_with([':', ';']);
    is_first || is_day || follows && next.starts_with(char::is_uppercase)
}

/// Returns whether a small letter begins an abbreviation that goes on with a capital: `z. B.`
fn begins_spaced(word: &str, next: &str, rest: &str) -> bool {
    let mut letters = word.chars();
    let small = letters.next().is_some_and(char::is_lowercase) && letters.next().is_none();
    small
        && next.starts_with(char::is_alphabetic)
        && next.chars().count() <= 2
        && rest[next.len()..].starts_with('.')
}

/// Returns whether the word of `words` from `start` on is one of the lists, before the word `next`.
fn is_listed(words: &str, start: usize, next: &str) -> bool {
    let word = &words[start..];
    // A name in capitals is another word: NPR, but not npr.
    let shouts = |word: &str| word.chars().count() > 1 && !word.contains(char::is_lowercase);
    if word.contains(char::is_uppercase) && shouts(word) && !shouts(next) {
        return false;
    }
    let lower = word.to_lowercase();
    let is_one_of = |list: &str| list.split(' ').any(|own| own == lower);
    let is_unit = || {
        UNITS.contains(&lower.as_str()) && words[..start].trim_end().ends_with(|c: char| c.is_ascii_digit())
    };
    is_one_of(WITHIN) && !is_unit()
        || next.starts_with(|c: char| c.is_ascii_digit()) && is_one_of(BEFORE_NUMBER)
        || ends_spaced(words)
}

/// Returns whether `words` end with an abbreviation of several parts.
fn ends_spaced(words: &str) -> bool {
    let start = words.char_indices().rev().nth(LONGEST).map_or(0, |(at, _)| at);
    let lower = words[start..].to_lowercase();
    SPACED
        .iter()
        .any(|own| lower.strip_suffix(own).is_some_and(|before| !before.ends_with(char::is_alphanumeric)))
}
