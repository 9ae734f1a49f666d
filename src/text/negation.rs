//! Negations with what they govern: the smallest clause that would say the opposite without its negation.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use super::sentences;

/// Longer clauses are cut like other text; the negation then stays with the word that it negates.
const LONGEST: usize = 480;
/// Bytes between two spaces of scripts that write words together.
const SPARSE: usize = 30;
/// A clause of fewer words belongs to the one before it: `..., but not before two`.
const FEW_WORDS: usize = 5;

/// Words that negate or forbid, in lower case; those that are as often another word in another language are left out.
const NEGATIONS: &str = "not no never neither nor none nobody nothing nowhere cannot hardly barely scarcely \
    forbidden prohibited impossible unable exempt excluded \
    nicht kein keine keinen keinem keiner keines nie niemals nichts niemand weder kaum keinesfalls verboten untersagt \
    ne pas jamais aucun aucune ni rien guère interdit nul nulle \
    nunca jamás ningún ninguna ninguno tampoco nada nadie prohibido \
    non mai nessun nessuno nessuna né niente nulla neanche nemmeno neppure vietato \
    não jamais nenhum nenhuma nem ninguém proibido \
    niet geen nooit niets niemand nergens noch verboden \
    inte ej icke aldrig ingen inget inga varken ikke aldri ingenting ikkje \
    nie nigdy żaden żadna żadne żadnego żadnej nikt nic ani nigdzie zabrania \
    не нет ни никогда нельзя никто ничего никак нигде ничто запрещено запрещается \
    ні немає ніколи ніхто нічого \
    değil yok hiç asla hiçbir yoktur yasak yasaktır \
    ei eivät eikä eivätkä en emme ette älä älkää ellei ellen elleivät ikinä koskaan nem sohasem sem semmi senki nu nici niciodată nimeni nimic \
    není nejsou nikdy nikdo žádný žádná žádné nesmí nelze \
    δεν μη μην όχι ποτέ κανείς κανένα ούτε \
    không chưa đừng chẳng tidak bukan jangan belum \
    لا لم لن ليس ليست ليسوا غير ممنوع كلا ليس لا \
    לא אין אל אינו אינה אינם אסור מעולם \
    नहीं न मत ना कभी नही \
    نه نیست نباید هرگز هیچ";

/// Words that make an exception or a condition of what the whole sentence says.
const EXCEPTIONS: &str = "unless except excepting only without solely merely excluding \
    ohne außer nur ausgenommen ausschließlich lediglich sofern \
    sans sauf seulement hormis excepté uniquement \
    sin salvo excepto solo sólo solamente únicamente \
    senza tranne eccetto soltanto solamente purché \
    sem exceto só somente apenas \
    zonder behalve alleen slechts tenzij uitsluitend \
    utan utom bara endast såvida uten unntatt uden undtagen \
    bez oprócz tylko wyłącznie chyba poza \
    без кроме только лишь исключением \
    крім тільки лише \
    hariç sadece yalnızca olmadan dışında ancak olmadıkça \
    ilman paitsi vain nélkül csak kivéve fără doar decât \
    kromě pouze jen \
    χωρίς μόνο εκτός \
    trừ chỉ tanpa kecuali hanya \
    إلا بدون دون فقط عدا سوى باستثناء \
    רק אלא בלי ללא מלבד \
    बिना सिवाय केवल सिर्फ \
    مگر بدون فقط جز";

/// The same in several words, in lower case.
const EXCEPTION_PHRASES: &[&str] = &[
    "other than",
    "exception of",
    "apart from",
    "anything but",
    "instead of",
    "rather than",
    "as opposed to",
    "mit ausnahme",
    "es sei denn",
    "à moins que",
    "à moins qu",
    "à l'exception",
    "à l’exception",
    "a menos que",
    "a no ser que",
    "excepción de",
    "a meno che",
    "eccezione di",
    "a condizione",
    "exceção de",
    "uitzondering van",
    "mits ",
    "om inte",
    "undantag för",
    "med undantag",
    "med unntak",
    "bortset fra",
    "hvis ikke",
    "z wyjątkiem",
    "chyba że",
    "o ile nie",
    "за исключением",
    "при условии",
    "за винятком",
    "s výjimkou",
    "lukuun ottamatta",
    "ngoại trừ",
    "με εξαίρεση",
    "dengan pengecualian",
];
/// Negations in several words, or that endings are put to, in lower case.
const NEGATION_PHRASES: &[&str] = &[
    "failed to ",
    "fails to ",
    "fail to ",
    "failing to ",
    "refused to ",
    "refuses to ",
    "lack of ",
    "far from ",
    "değil",
];
/// The prefixes of German and Dutch verbs that stand at the end of a clause, and without which the verb says something
/// else: "kündigt an" announces, "kündigt" gives notice.
const VERB_PREFIXES: &[&str] = &[
    "an", "ab", "auf", "aus", "ein", "vor", "zu", "nach", "bei", "los", "fest", "zurück", "weg", "aan", "af",
    "uit",
];

/// Negations of scripts that are not written in words, or that are parts of words.
const PARTS: &[&str] = &[
    "不",
    "没",
    "沒",
    "未",
    "无",
    "無",
    "非",
    "别",
    "勿",
    "莫",
    "禁止",
    "否",
    "ない",
    "なかっ",
    "なく",
    "なけれ",
    "ません",
    "ませぬ",
    "ずに",
    "べから",
    "じゃな",
    "않",
    "못",
    "없",
    "아니",
    "아닙",
    "아닌",
    "마세요",
    "마십시오",
    "말아",
    "지 마",
    "지 말",
    "금지",
    "안 ",
    "ไม่",
    "ห้าม",
    "มิ",
    "อย่า",
];
const EXCEPTION_PARTS: &[&str] = &[
    "除",
    "只",
    "仅",
    "僅",
    "以外",
    "のみ",
    "だけ",
    "しか",
    "ยกเว้น",
    "เว้นแต่",
    "เฉพาะ",
    "เท่านั้น",
    "제외",
    "외에",
    "오직",
];
/// Endings of Turkish verbs that negate them.
const TURKISH: &[&str] = &[
    "madı",
    "medi",
    "maz",
    "mez",
    "mıyor",
    "miyor",
    "muyor",
    "müyor",
    "mayın",
    "meyin",
    "mayınız",
    "meyiniz",
    "mamalı",
    "memeli",
    "mayacak",
    "meyecek",
    "madan",
    "meden",
    "mazsa",
    "mezse",
    "mamalıdır",
    "memelidir",
    "maması",
    "memesi",
    "mayacaktır",
    "meyecektir",
    "mamış",
    "memiş",
    "mamıştır",
    "memiştir",
];

static NEGATES: LazyLock<HashSet<&str>> = LazyLock::new(|| NEGATIONS.split_whitespace().collect());
/// The phrases in one search each: there are many, and every clause of a text is asked.
static SAYS_EXCEPTION: LazyLock<Regex> = LazyLock::new(|| any_of(EXCEPTION_PHRASES));
static SAYS_NEGATION: LazyLock<Regex> = LazyLock::new(|| any_of(NEGATION_PHRASES));
static EXCEPTS: LazyLock<HashSet<&str>> = LazyLock::new(|| EXCEPTIONS.split_whitespace().collect());

/// Returns a pattern that matches each of `phrases` wherever it stands.
fn any_of(phrases: &[&str]) -> Regex {
    let phrases: Vec<String> = phrases.iter().map(|phrase| regex::escape(phrase)).collect();
    Regex::new(&phrases.join("|")).expect("a test compiles it")
}

/// The polarity of a clause with regard to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Polarity {
    Plain,
    Negated,
    Exception,
}

/// Returns whether `text` negates or excludes something.
#[must_use]
pub fn negates(text: &str) -> bool {
    polarity(text) != Polarity::Plain
}

/// The clauses of `text` that hold a negation, and the sentences that hold an exception: sorted and disjoint.
pub(super) fn negated_clauses(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for sentence in sentences(text) {
        let polarity = polarity(&text[sentence.clone()]);
        if polarity == Polarity::Plain {
            continue;
        }
        let whole = trimmed(text, sentence.clone());
        if polarity == Polarity::Exception && whole.len() <= LONGEST {
            found.push(whole);
        } else {
            found.extend(of_sentence(text, sentence));
        }
    }
    found
}

/// The negated clauses of one sentence.
fn of_sentence(text: &str, sentence: Range<usize>) -> Vec<Range<usize>> {
    let clauses = clauses(text, sentence);
    let mut found: Vec<Range<usize>> = Vec::new();
    for (i, clause) in clauses.iter().enumerate() {
        let own = &text[clause.clone()];
        let polarity = polarity(own);
        if polarity == Polarity::Plain {
            continue;
        }
        let spaced = of_spaced(text, clause.clone());
        if !spaced.is_empty() {
            found.extend(spaced);
            continue;
        }
        let short =
            polarity == Polarity::Exception || own.unicode_words().take(FEW_WORDS).count() < FEW_WORDS;
        let first = if short && i > 0 { i - 1 } else { i };
        let last = if short && i == 0 { (i + 1).min(clauses.len() - 1) } else { i };
        let whole = trimmed(text, clauses[first].start..clauses[last].end);
        let whole = if whole.len() > LONGEST { trimmed(text, clause.clone()) } else { whole };
        match found.last_mut() {
            Some(before) if before.end > whole.start && whole.end - before.start <= LONGEST => {
                before.end = whole.end;
            }
            Some(before) if before.end > whole.start => {}
            _ if whole.len() <= LONGEST => found.push(whole),
            _ => {}
        }
    }
    found
}

/// The negated parts between the spaces of a clause in a script that has spaces between clauses alone; none in others.
fn of_spaced(text: &str, clause: Range<usize>) -> Vec<Range<usize>> {
    let own = &text[clause.clone()];
    let (bytes, spaces) = (own.len(), own.matches(' ').count());
    if spaces == 0 || bytes < SPARSE * spaces {
        return Vec::new();
    }
    let mut at = clause.start;
    let parts = own.split_inclusive(' ').map(|part| {
        at += part.len();
        at - part.len()..at
    });
    let negated =
        |part: &Range<usize>| part.len() <= LONGEST && polarity(&text[part.clone()]) != Polarity::Plain;
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

fn polarity(text: &str) -> Polarity {
    let lower = text.to_lowercase();
    if SAYS_EXCEPTION.is_match(&lower) {
        return Polarity::Exception;
    }
    let mut found = if SAYS_NEGATION.is_match(&lower) || lower.split([',', ';', ':']).any(ends_with_prefix) {
        Polarity::Negated
    } else {
        Polarity::Plain
    };
    if text.bytes().any(|byte| byte >= 0xe0) {
        if EXCEPTION_PARTS.iter().any(|part| text.contains(part)) {
            return Polarity::Exception;
        }
        if PARTS.iter().any(|part| text.contains(part)) {
            found = Polarity::Negated;
        }
    }
    for word in lower.unicode_words() {
        if word.len() > 40 {
            continue;
        }
        found = found.max(of_word(word));
        // Arabic and Hebrew write `and` in one with the word.
        if let Some(rest) = word.strip_prefix(['و', 'ف', 'ו']) {
            found = found.max(of_word(rest));
        }
    }
    found
}

/// Returns whether a clause, in lower case, ends with what may be the prefix of its verb.
fn ends_with_prefix(clause: &str) -> bool {
    let clause = clause.trim_end_matches(|c: char| !c.is_alphanumeric());
    let last = clause.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    last.len() < clause.len() && VERB_PREFIXES.contains(&last)
}

fn of_word(word: &str) -> Polarity {
    if EXCEPTS.contains(word) {
        return Polarity::Exception;
    }
    let elided =
        word.ends_with("n't") || word.ends_with("n’t") || word.starts_with("n'") || word.starts_with("n’");
    let turkish = word.len() > 6 && TURKISH.iter().any(|end| word.ends_with(end));
    if elided || turkish || NEGATES.contains(word) { Polarity::Negated } else { Polarity::Plain }
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
        assert_eq!(found("The guard failed to lock the gate."), ["The guard failed to lock the gate"]);
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
