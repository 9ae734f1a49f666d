//! Values on one line that are JSON but for their spelling or their end: the `repr` of Python, and what a tool cut off.

use std::ops::Range;

use crate::text::{JsonKind, JsonToken};

/// Fewer bytes go as they are, and of a list of rows.
const SHORTEST: usize = 200;
const SHORTEST_ROWS: usize = 100;
/// Fewer tokens, or keys, may be an aside in brackets.
const FEWEST_TOKENS: usize = 12;
const FEWEST_KEYS: usize = 2;
/// Fewest arrays or tuples of a list of such.
const FEWEST_ROWS: usize = 3;

/// The words that stand for values in JSON, Python and JavaScript.
const WORDS: [&str; 12] =
    ["true", "false", "null", "True", "False", "None", "NaN", "nan", "inf", "-inf", "Infinity", "undefined"];

/// Returns the tokens of the value that `line` is, and the range of it in the line. Of one that is cut off, the brackets
/// that are open are closed by tokens without bytes at its end, where `may_end` allows that.
pub(super) fn value(line: &str, may_end: bool) -> Option<(Vec<JsonToken>, Range<usize>)> {
    let own = line.trim();
    if own.len() < SHORTEST_ROWS || !own.starts_with(['{', '[']) {
        return None;
    }
    let start = line.len() - line.trim_start().len();
    let mut reader = Reader { text: line, at: start, tokens: Vec::new(), open: Vec::new() };
    let whole = reader.read(start + own.len())?;
    let Reader { mut tokens, open, .. } = reader;
    let count = |kind: JsonKind| tokens.iter().filter(|token| token.kind == kind).count();
    let rows = count(JsonKind::ArrayStart) > FEWEST_ROWS;
    if !whole && !may_end
        || !rows && (own.len() < SHORTEST || count(JsonKind::Key) < FEWEST_KEYS)
        || tokens.len() < FEWEST_TOKENS
    {
        return None;
    }
    let end = start + own.len();
    tokens.extend(open.into_iter().rev().map(|kind| JsonToken { kind, range: end..end }));
    Some((tokens, start..end))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<JsonToken>,
    /// The tokens that are to close what is open.
    open: Vec<JsonKind>,
}

impl Reader<'_> {
    /// Reads up to `end`; returns whether all that was opened is closed. None if it is no such value.
    fn read(&mut self, end: usize) -> Option<bool> {
        loop {
            let space = &self.text[self.at..end];
            self.at = end - space.trim_start().len();
            if self.at == end {
                break;
            }
            if !self.tokens.is_empty() && self.open.is_empty() {
                return None;
            }
            if self.token(end).is_none() {
                // What is cut off may end within a word, but hardly before that.
                if end - self.at > 8 || self.text[self.at..end].contains(['{', '[', ',', ':', ' ']) {
                    return None;
                }
                break;
            }
        }
        if self.open.is_empty() {
            return Some(true);
        }
        while self.tokens.pop_if(|last| matches!(last.kind, JsonKind::Key | JsonKind::Colon)).is_some() {}
        Some(false)
    }

    fn token(&mut self, end: usize) -> Option<()> {
        let last = self.tokens.last().map(|token| token.kind);
        let in_object = self.open.last() == Some(&JsonKind::ObjectEnd);
        let after_value = !matches!(
            last,
            None | Some(JsonKind::Comma | JsonKind::Colon | JsonKind::ObjectStart | JsonKind::ArrayStart)
        );
        let is_key = in_object && matches!(last, Some(JsonKind::Comma | JsonKind::ObjectStart));
        let is_value = !after_value && !is_key;
        let (kind, length) = match self.text.as_bytes()[self.at] {
            b'{' if is_value => (JsonKind::ObjectStart, 1),
            b'[' | b'(' if is_value => (JsonKind::ArrayStart, 1),
            b'}' | b']' | b')' if last != Some(JsonKind::Colon) && last != Some(JsonKind::Key) => {
                let kind = self.open.pop()?;
                let fits = (kind == JsonKind::ObjectEnd) == (self.text.as_bytes()[self.at] == b'}');
                (fits.then_some(kind)?, 1)
            }
            b',' if after_value && last != Some(JsonKind::Key) => (JsonKind::Comma, 1),
            b':' if last == Some(JsonKind::Key) => (JsonKind::Colon, 1),
            b'"' | b'\'' if is_key => (JsonKind::Key, self.string(end)),
            b'"' | b'\'' if is_value => (JsonKind::String, self.string(end)),
            _ if is_key => (JsonKind::Key, self.name(end)?),
            _ if is_value => (JsonKind::Literal, self.literal(end)?),
            _ => return None,
        };
        match kind {
            JsonKind::ObjectStart => self.open.push(JsonKind::ObjectEnd),
            JsonKind::ArrayStart => self.open.push(JsonKind::ArrayEnd),
            _ => {}
        }
        self.tokens.push(JsonToken { kind, range: self.at..self.at + length });
        self.at += length;
        Some(())
    }

    /// Bytes of a string; one that is not closed goes to the end.
    fn string(&self, end: usize) -> usize {
        let bytes = &self.text.as_bytes()[self.at..end];
        let mut at = 1;
        while let Some(&byte) = bytes.get(at) {
            at += match byte {
                b'\\' => 2,
                byte if byte == bytes[0] => return at + 1,
                _ => 1,
            };
        }
        bytes.len()
    }

    /// Bytes of a key without quotes, as JavaScript has them.
    fn name(&self, end: usize) -> Option<usize> {
        let own = &self.text[self.at..end];
        let length = own.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$')?;
        (length > 0 && own[length..].trim_start().starts_with(':')).then_some(length)
    }

    /// Bytes of a number, a word, or the call that Python writes for a date or a decimal.
    fn literal(&self, end: usize) -> Option<usize> {
        let own = &self.text[self.at..end];
        let length = own.find([',', ':', '{', '}', '[', ']', '(', ')', '"', '\'']).unwrap_or(own.len());
        let word = own[..length].trim_end();
        if own[length..].starts_with('(') {
            let close = own.find(')')? + 1;
            let call = &own[length..close];
            let name = word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
            return (name && !call[1..].contains(['(', '{'])).then_some(close);
        }
        let number = word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.' | '_'));
        (number || WORDS.contains(&word)).then_some(word.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Segment, SegmentKind, segments};
    use super::*;

    /// Returns a list of boats as Python writes it.
    fn boats() -> String {
        let boat = |i: usize| {
            format!("{{'id': {i}, 'name': 'boat {i}', 'afloat': True, 'crew': None, 'length': {i}.5}}")
        };
        format!("[{}]", (0..12).map(boat).collect::<Vec<_>>().join(", "))
    }

    #[test]
    fn the_repr_of_python_goes_by_records() {
        let text = boats();
        let records: Vec<&str> = segments(&text)
            .iter()
            .filter(|segment| segment.kind == SegmentKind::Record)
            .map(|segment| text[segment.range.clone()].trim())
            .collect();
        assert_eq!(records.len(), 13);
        assert_eq!(records[3], "{'id': 2, 'name': 'boat 2', 'afloat': True, 'crew': None, 'length': 2.5},");
    }

    #[test]
    fn tuples_go_by_records() {
        let boat = |i: usize| format!("('boat {i}', 193{i}, 'Ida Moe of Lund', None)");
        let text = format!("[{}]", (0..9).map(boat).collect::<Vec<_>>().join(", "));
        let records: Vec<&str> = segments(&text).iter().map(|own| text[own.range.clone()].trim()).collect();
        assert_eq!(records[3], "('boat 2', 1932, 'Ida Moe of Lund', None),");
        assert_eq!(records.last(), Some(&"]"));
    }

    #[test]
    fn what_is_cut_off_goes_by_records() {
        for end in 300..420 {
            let text =
                boats().replace('\'', "\"").replace("True", "true").replace("None", "null")[..end].to_owned();
            let found = segments(&text);
            let of_value = |segment: &Segment| matches!(segment.kind, SegmentKind::Record | SegmentKind::Tag);
            assert!(found.iter().all(of_value), "{}", &text[end - 20..]);
            assert!(found.iter().all(|segment| !segment.range.is_empty()));
            assert_eq!(found.last().map(|last| last.range.end), Some(end));
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for text in [
            "[see the note below] and then go on: this is, of all things, a sentence",
            "{ let a = b; call(a, 'x'); if (a) { return b } }",
            "['a': 1, 'b': 2]",
        ] {
            assert_eq!(value(&format!("{text}{}", " x".repeat(100)), true), None, "{text}");
        }
        let cut = &boats()[..300];
        assert!(value(cut, true).is_some() && value(cut, false).is_none());
    }
}
