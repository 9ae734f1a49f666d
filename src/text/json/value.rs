//! Values by their place in a JSON text, so that a part can be replaced and all else stays as it was spelt.
//!
//! The text is checked once, as a whole; from then on values are found by skipping, without recursion and without
//! building a tree, so that a hostile text costs no more memory than it has bytes.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::IgnoredAny;

use super::{skip_space, string_end};

/// A value inside a text that is valid JSON.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonValue<'a> {
    text: &'a str,
    start: usize,
    end: usize,
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonMember<'a> {
    pub(crate) key: JsonValue<'a>,
    pub(crate) value: JsonValue<'a>,
}

/// A key that an object has twice, so that two readers may take different values for it.
#[derive(Debug)]
pub(crate) struct DuplicateKey(pub(crate) &'static str);

impl<'a> JsonValue<'a> {
    /// The one value that `text` is.
    ///
    /// # Errors
    /// The text is not JSON.
    pub(crate) fn document(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<IgnoredAny>(text)?;
        Ok(Self::at(text, skip_space(text.as_bytes(), 0)))
    }

    fn at(text: &'a str, start: usize) -> Self {
        Self { text, start, end: value_end(text.as_bytes(), start) }
    }

    /// Returns the position in the text.
    pub(crate) fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Returns the encoded form.
    pub(crate) fn raw(self) -> &'a str {
        self.text.get(self.range()).unwrap_or_default()
    }

    fn first(self) -> u8 {
        self.text.as_bytes().get(self.start).copied().unwrap_or_default()
    }

    pub(crate) fn is_string(self) -> bool {
        self.first() == b'"'
    }

    pub(crate) fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// A string's spelling without its quotes, and where that stands.
    pub(crate) fn inside(self) -> Option<(Range<usize>, &'a str)> {
        let inside = self.start + 1..self.end.checked_sub(1)?;
        Some((inside.clone(), self.text.get(inside)?)).filter(|_| self.is_string())
    }

    /// Returns the decoded value of a string. None for other values, and for strings with a half of a surrogate pair.
    pub(crate) fn string(self) -> Option<Cow<'a, str>> {
        let (_, inside) = self.inside()?;
        if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
            return Some(Cow::Borrowed(inside));
        }
        serde_json::from_str(self.raw()).ok().map(Cow::Owned)
    }

    fn says(self, word: &str) -> bool {
        self.string().is_some_and(|text| text == word)
    }

    /// Members of an object, in order. None for other values.
    pub(crate) fn members(self) -> impl Iterator<Item = JsonMember<'a>> {
        let mut at = self.is_object().then_some(self.start + 1);
        std::iter::from_fn(move || {
            let key = self.next_at(at?)?;
            let colon = skip_space(self.text.as_bytes(), key.end);
            let value = Self::at(self.text, skip_space(self.text.as_bytes(), colon + 1));
            at = Some(value.end);
            Some(JsonMember { key, value })
        })
    }

    /// Elements of an array, in order. None for other values.
    pub(crate) fn elements(self) -> impl Iterator<Item = JsonValue<'a>> {
        let mut at = (self.first() == b'[').then_some(self.start + 1);
        std::iter::from_fn(move || {
            let value = self.next_at(at?)?;
            at = Some(value.end);
            Some(value)
        })
    }

    /// The next key or element behind `at`, past a comma; none at the closing bracket.
    fn next_at(self, at: usize) -> Option<Self> {
        let mut at = skip_space(self.text.as_bytes(), at);
        if self.text.as_bytes().get(at) == Some(&b',') {
            at = skip_space(self.text.as_bytes(), at + 1);
        }
        (at + 1 < self.end).then(|| Self::at(self.text, at))
    }

    /// The members called `names`. What is not an object has none.
    ///
    /// # Errors
    /// The object has one of them twice.
    pub(crate) fn fields<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<[Option<JsonValue<'a>>; N], DuplicateKey> {
        let mut found = [None; N];
        for member in self.members() {
            let Some(place) = names.iter().position(|name| member.key.says(name)) else { continue };
            if found[place].replace(member.value).is_some() {
                return Err(DuplicateKey(names[place]));
            }
        }
        Ok(found)
    }
}

/// The end of the value that begins at `at`.
fn value_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at).unwrap_or(bytes.len());
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + depth,
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Returns `text` as a JSON string spells it between its quotes.
pub(crate) fn inside_quotes(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn document(text: &str) -> JsonValue<'_> {
        JsonValue::document(text).unwrap()
    }

    #[test]
    fn values_are_found_where_they_stand() {
        let text = " { \"a\" : [ 1.50 , \"x\\\"]\" ,{ } ], \"b\":{\"c\":null}\n, \"\" :-0 } ";
        let top = document(text);
        let members: Vec<_> =
            top.members().map(|m| (m.key.string().unwrap().into_owned(), m.value.raw())).collect();
        let expected = [("a", "[ 1.50 , \"x\\\"]\" ,{ } ]"), ("b", "{\"c\":null}"), ("", "-0")];
        assert_eq!(members, expected.map(|(key, value)| (key.to_owned(), value)));
        let array = top.members().next().unwrap().value;
        let elements: Vec<_> = array.elements().map(JsonValue::raw).collect();
        assert_eq!(elements, ["1.50", "\"x\\\"]\"", "{ }"]);
        for empty in ["{}", "[ ]", "[]", "{\n}", "\"{}\"", "17"] {
            let value = document(empty);
            assert_eq!((value.members().count(), value.elements().count()), (0, 0), "{empty}");
        }
    }

    #[test]
    fn keys_are_compared_by_what_they_say() {
        let [model, other] = document(r#"{"mod\u0065l": 1, "x": 2}"#).fields(["model", "other"]).unwrap();
        assert_eq!((model.map(JsonValue::raw), other.map(JsonValue::raw)), (Some("1"), None));
        let twice = document(r#"{"model": 1, "mod\u0065l": 2}"#).fields(["model"]);
        assert_eq!(twice.unwrap_err().0, "model");
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        let value = document(&deep);
        assert_eq!(value.members().next().unwrap().value.raw().len(), 2_000_000);
    }

    proptest! {
        #[test]
        fn what_serde_reads_is_found(keys in prop::collection::vec((any::<String>(), any::<String>()), 0..6)) {
            let array: Vec<_> = keys.iter().map(|(key, text)| serde_json::json!({ key: [text, 1, {"a": text}] })).collect();
            for text in [serde_json::to_string(&array).unwrap(), serde_json::to_string_pretty(&array).unwrap()] {
                let found: Vec<_> = document(&text).elements().map(|object| {
                    let member = object.members().next().unwrap();
                    (member.key.string().unwrap().into_owned(), member.value.elements().next().unwrap().string().unwrap().into_owned())
                }).collect();
                prop_assert_eq!(&found, &keys);
            }
        }
    }
}
