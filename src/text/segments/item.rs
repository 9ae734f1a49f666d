//! The marks of items of lists and of numbered paragraphs, and what leads into items.

/// The marks of the items of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `-`, `*`, `•`.
    Bullet(char),
    /// `1.`, `1)`, with the mark behind the number.
    Number(char),
    /// `a.`, `a)`.
    Letter(char),
    /// `(1)`.
    Bracketed,
    /// `(a)`, `(iv)`.
    BracketedLetter,
    /// `1.2`, `1.2.3`, with the count of dots between the numbers.
    Decimal(usize),
    /// `§ 3`, `Art. 7`, `第三条`.
    Section,
    /// `一、`, `（一）`, `①`: whether it stands in brackets, or in a circle.
    Han(bool, bool),
}

impl Style {
    /// Returns whether laws and contracts number their paragraphs so, and prose no lines by chance.
    pub(super) const fn is_legal(self) -> bool {
        match self {
            Self::Bullet(_) | Self::Number(_) | Self::Letter(_) => false,
            Self::Bracketed | Self::BracketedLetter | Self::Decimal(_) | Self::Section | Self::Han(..) => {
                true
            }
        }
    }
}

/// The mark that the content of a line begins with, and its bytes.
pub(super) fn mark(content: &str) -> Option<(Style, usize)> {
    let first = content.chars().next()?;
    let (style, length) = match first {
        '-' | '*' | '+' | '•' | '◦' | '▪' | '‣' => (Style::Bullet(first), first.len_utf8()),
        '(' | '（' => return bracketed(content),
        '①'..='⑳' => return Some((Style::Han(false, true), first.len_utf8())),
        '§' => return section(content),
        '第' => return article(content),
        'A' if content.starts_with("Art") => return section(content),
        c if is_han_number(c) => return han(content),
        c if c.is_ascii_digit() => numbered(content)?,
        c if c.is_ascii_alphabetic() => {
            let behind = content[1..].chars().next().filter(|c| matches!(c, '.' | ')'))?;
            (Style::Letter(behind), 2)
        }
        _ => return None,
    };
    is_apart(&content[length..]).then_some((style, length))
}

/// Returns whether white space and something else stand behind a mark.
fn is_apart(rest: &str) -> bool {
    rest.starts_with(char::is_whitespace) && !rest.trim().is_empty()
}

fn numbered(content: &str) -> Option<(Style, usize)> {
    let digits = |from: usize| content[from..].bytes().take_while(u8::is_ascii_digit).count();
    let (mut at, mut dots) = (digits(0), 0);
    if at > 3 {
        return None;
    }
    while content[at..].starts_with('.') && (1..=3).contains(&digits(at + 1)) && dots < 5 {
        at += 1 + digits(at + 1);
        dots += 1;
    }
    let behind = content[at..].chars().next().filter(|c| matches!(c, '.' | ')'));
    if dots == 0 {
        return Some((Style::Number(behind?), at + 1));
    }
    let at = at + usize::from(behind.is_some());
    // A quantity has its unit behind it, which is no capital as a rule.
    let starts = content[at..].trim_start().chars().next()?;
    (starts.is_alphabetic() && !starts.is_lowercase() || matches!(starts, '"' | '“' | '„' | '«'))
        .then_some((Style::Decimal(dots), at))
}

fn bracketed(content: &str) -> Option<(Style, usize)> {
    let open = content.chars().next()?.len_utf8();
    let (close, mark) = content.char_indices().take(8).find(|(_, c)| matches!(c, ')' | '）'))?;
    let inner = &content[open..close];
    let style = if !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit()) && inner.len() <= 3 {
        Style::Bracketed
    } else if !inner.is_empty() && inner.chars().all(is_han_number) {
        Style::Han(true, false)
    } else if is_letter(inner) || is_roman(inner) {
        Style::BracketedLetter
    } else {
        return None;
    };
    let end = close + mark.len_utf8();
    let rest = &content[end..];
    (is_apart(rest) || !rest.is_empty() && (mark == '）' || style == Style::Han(true, false)))
        .then_some((style, end))
}

/// Returns whether it is one letter, or one letter twice: `(aa)`.
fn is_letter(inner: &str) -> bool {
    let mut chars = inner.chars();
    chars.next().is_some_and(|first| first.is_alphabetic() && chars.all(|c| c == first))
        && inner.chars().count() <= 2
}

fn is_roman(inner: &str) -> bool {
    !inner.is_empty() && inner.len() <= 5 && inner.bytes().all(|byte| b"ivxIVX".contains(&byte))
}

/// `§ 3 Duties`, `Art. 7. Nobody`, `Artikel 7`.
fn section(content: &str) -> Option<(Style, usize)> {
    const WORDS: [&str; 9] =
        ["§§", "§", "Article", "Artikel", "Artículo", "Articolo", "Artigo", "Art.", "Art"];
    let word = WORDS.into_iter().find(|word| content.starts_with(word))?;
    let rest = content[word.len()..].trim_start();
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=4).contains(&digits) {
        return None;
    }
    let tail = rest[digits..].trim_start_matches(|c: char| c.is_ascii_lowercase() || matches!(c, '.' | ':'));
    let ends = tail.is_empty() || tail.starts_with(char::is_whitespace);
    ends.then_some((Style::Section, content.len() - tail.len()))
}

/// `第三条`.
fn article(content: &str) -> Option<(Style, usize)> {
    let rest = content.strip_prefix('第')?;
    let number = |c: char| is_han_number(c) || c.is_ascii_digit();
    let behind = rest.trim_start_matches(number);
    let unit = behind.chars().next().filter(|c| matches!(c, '条' | '條' | '章' | '款' | '項'))?;
    (behind.len() < rest.len()).then(|| (Style::Section, content.len() - behind.len() + unit.len_utf8()))
}

/// `一、`, `一．`, or a number with a space behind it.
fn han(content: &str) -> Option<(Style, usize)> {
    let rest = content.trim_start_matches(is_han_number);
    let mark = rest.chars().next().filter(|c| matches!(c, '、' | '．' | '.' | '\u{3000}'))?;
    let short = content.len() - rest.len() <= 9;
    short.then(|| (Style::Han(false, false), content.len() - rest.len() + mark.len_utf8()))
}

const fn is_han_number(c: char) -> bool {
    matches!(c, '一' | '二' | '三' | '四' | '五' | '六' | '七' | '八' | '九' | '十' | '百')
}

/// Returns whether a text names what stands below it by a colon.
pub(super) fn has_colon(text: &str) -> bool {
    text.trim_end_matches(['*', '_']).ends_with([':', '：'])
}

/// Returns whether a text ends within a sentence.
pub(super) fn runs_on(text: &str) -> bool {
    text.trim_end().ends_with(|c: char| {
        c.is_alphanumeric() || matches!(c, ',' | '，' | '、' | '-' | '–' | '—' | ')' | '"')
    })
}

/// Returns whether a sentence says that what follows is what it speaks of.
pub(super) fn announces(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "following",
        "folgende",
        "suivant",
        "siguiente",
        "seguenti",
        "seguinte",
        "volgende",
        "följande",
        "следующ",
        "次の",
        "以下の",
        "下列",
    ];
    let lower = text.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// Returns whether an item goes on behind its end: with the next item, or with what stands below the last.
pub(super) fn goes_on(item: &str) -> bool {
    const WORDS: [&str; 20] = [
        "and", "or", "und", "oder", "sowie", "et", "ou", "y", "o", "e", "i", "lub", "oraz", "и", "или",
        "och", "eller", "og", "ve", "veya",
    ];
    let item = item.trim_end();
    item.ends_with([',', ';', '，', '；', '、', '،', '؛'])
        || item.rsplit(char::is_whitespace).next().is_some_and(|last| WORDS.contains(&last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_items_are_told() {
        for (line, style) in [
            ("- rope", Style::Bullet('-')),
            ("12) rope", Style::Number(')')),
            ("b. rope", Style::Letter('.')),
            ("(2) Ropes", Style::Bracketed),
            ("(iv) ropes", Style::BracketedLetter),
            ("(ä) Seile", Style::BracketedLetter),
            ("2.1 The rope", Style::Decimal(1)),
            ("2.1.3. \"Rope\" means", Style::Decimal(2)),
            ("§ 3 Ropes", Style::Section),
            ("§ 3a", Style::Section),
            ("Art. 7. Nobody", Style::Section),
            ("第三条 船长", Style::Section),
            ("（二）绳子；", Style::Han(true, false)),
            ("二、绳子", Style::Han(false, false)),
            ("②绳子", Style::Han(false, true)),
        ] {
            assert_eq!(mark(line).map(|(style, _)| style), Some(style), "{line}");
        }
        for line in [
            "-rope",
            "12 ropes",
            "1.5 m of rope",
            "(see above) rope",
            "3.14",
            "Artists 7",
            "A rope",
            "一个人",
            "-",
        ] {
            assert_eq!(mark(line), None, "{line}");
        }
    }
}
