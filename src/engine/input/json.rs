//! The strings of a JSON text that may become smaller. Everything else stays as it is spelt, and what is left of a
//! string keeps its spelling too, so that the result is JSON with the same types and numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::compress::{
    CompressError, Compressed, Document, KeptDocument, Place, Prompt, Section, Share, Stages, Target,
};
use crate::engine::api::KeyRule;
use crate::text::{JsonError, JsonKind, JsonToken, TokenCounter, escaped_ranges, json_tokens};

/// The rule of members that no other rule names.
const OTHERS: &str = "*";
/// Times that strings are compressed until the whole fits.
const ATTEMPTS: usize = 8;
/// Bytes of a string that is a value rather than a text.
const SHORT: usize = 32;
/// Bytes of an id, such as a digest or an address.
const ID: usize = 80;

/// A JSON text and those of its strings that may become smaller.
#[derive(Debug)]
pub(in crate::engine) struct Strings {
    text: String,
    texts: Vec<Text>,
    objects: Vec<Object>,
}

/// A string.
#[derive(Debug)]
struct Text {
    /// The bytes between the quotes.
    inside: Range<usize>,
    says: String,
    rule: KeyRule,
}

/// The strings that are kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    /// Short ones, and ids, are kept.
    Short,
    /// Ids alone.
    Ids,
}

impl Text {
    /// Returns whether the string is kept whole: it is a value that its parts do not tell, and no rate is asked for.
    fn is_whole(&self, whole: Whole) -> bool {
        let says = self.says.trim();
        let is_id = !says.contains(char::is_whitespace)
            && (says.len() <= SHORT || says.len() <= ID && says.is_ascii());
        self.rule.rate.is_none()
            && !self.rule.removable
            && (is_id || whole == Whole::Short && says.len() <= SHORT)
    }
}

/// An object that has a member which may go.
#[derive(Debug, Default)]
struct Object {
    /// The position after the opening bracket.
    start: usize,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    range: Range<usize>,
    /// The string without which it goes.
    removable: Option<usize>,
}

/// An open object or array.
struct Frame<'a> {
    /// The state of the object; `None` for an array.
    object: Option<Object>,
    /// The rule for strings inside that have no key of their own.
    rule: Option<&'a KeyRule>,
    /// The rule for the member that is being read.
    member: Option<&'a KeyRule>,
    member_start: usize,
}

impl Strings {
    /// Finds the strings that `rules` name by their members' keys, at any depth; `*` stands for all others, and
    /// without rules every string is meant. What stands in a named object or array goes by its rule.
    pub(super) fn find(text: String, rules: &BTreeMap<String, KeyRule>) -> Result<Self, JsonError> {
        let tokens = json_tokens(&text)?;
        let every = KeyRule::default();
        let others = rules.get(OTHERS).or(rules.is_empty().then_some(&every));
        let mut finder =
            Finder { text: &text, rules, others, open: Vec::new(), texts: Vec::new(), objects: Vec::new() };
        for token in &tokens {
            finder.take(token);
        }
        let Finder { texts, objects, .. } = finder;
        Ok(Self { text, texts, objects })
    }

    /// The strings, as documents, of which something stays.
    pub(super) fn kept_places(&self) -> BTreeMap<usize, Place> {
        let stays =
            |(document, string): (usize, &Text)| (!string.rule.removable).then_some((document, Place::Word));
        self.texts.iter().enumerate().filter_map(stays).collect()
    }

    /// The strings as documents of a prompt, and their own rates.
    pub(super) fn documents(&self) -> (Vec<Document>, Vec<Section>) {
        let document = |(i, place): (usize, &Text)| Document {
            id: i.to_string(),
            title: None,
            text: place.says.clone(),
        };
        let section = |(document, place): (usize, &Text)| {
            place.rule.rate.map(|rate| Section {
                document,
                range: 0..place.says.len(),
                share: Share::Rate(rate),
            })
        };
        let documents = self.texts.iter().enumerate().map(document).collect();
        (documents, self.texts.iter().enumerate().filter_map(section).collect())
    }

    /// Ranges of the text that stay where these ranges of its strings do.
    fn kept(&self, strings: &[Vec<Range<usize>>]) -> Vec<Range<usize>> {
        let mut dropped: Vec<Range<usize>> = Vec::new();
        for (place, kept) in self.texts.iter().zip(strings) {
            let mut at = place.inside.start;
            for range in escaped_ranges(&self.text[place.inside.clone()], kept) {
                dropped.push(at..place.inside.start + range.start);
                at = place.inside.start + range.end;
            }
            dropped.push(at..place.inside.end);
        }
        for object in &self.objects {
            dropped.extend(object.without(|string| strings.get(string).is_some_and(Vec::is_empty)));
        }
        dropped.sort_by_key(|range| (range.start, range.end));
        let (mut kept, mut at) = (Vec::new(), 0);
        for range in dropped {
            if range.start > at {
                kept.push(at..range.start);
            }
            at = at.max(range.end);
        }
        if at < self.text.len() {
            kept.push(at..self.text.len());
        }
        kept
    }

    /// Compresses the strings, which are the documents of `prompt`, so that instruction, JSON and question fit `target`
    /// together. Something stays of each that may not go with its member; short ones stay whole, and where there is no
    /// room for that, ids.
    pub(super) fn compress(
        &self,
        prompt: &Prompt,
        target: Target,
        counter: &dyn TokenCounter,
        compress: impl Fn(&Prompt, Target) -> Result<Compressed, CompressError>,
    ) -> Result<Compressed, CompressError> {
        match self.compress_beside(&self.keeping(prompt, Whole::Short), target, counter, &compress) {
            Err(CompressError::Infeasible { .. }) => {
                self.compress_beside(&self.keeping(prompt, Whole::Ids), target, counter, &compress)
            }
            other => other,
        }
    }

    /// The prompt with what stays of its strings.
    fn keeping(&self, prompt: &Prompt, whole: Whole) -> Prompt {
        let mut prompt = prompt.clone();
        let constraints = &mut prompt.constraints;
        for (document, place) in self.texts.iter().enumerate() {
            if place.is_whole(whole) {
                let range = 0..place.says.len();
                constraints.sections.push(Section { document, range, share: Share::Whole });
            }
        }
        constraints.sections.sort_by_key(|section| section.document);
        prompt
    }

    /// Compresses the strings as far as `prompt` does not keep them.
    fn compress_beside(
        &self,
        prompt: &Prompt,
        target: Target,
        counter: &dyn TokenCounter,
        compress: impl Fn(&Prompt, Target) -> Result<Compressed, CompressError>,
    ) -> Result<Compressed, CompressError> {
        let rendered = |kept: &[Range<usize>]| {
            let json: String = kept.iter().map(|range| &self.text[range.clone()]).collect();
            let parts = [&*prompt.instruction, &json, &prompt.question];
            let all = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n");
            (counter.count(&all), all, json)
        };
        let (original_tokens, ..) = rendered(std::slice::from_ref(&(0..self.text.len())));
        let budget = target.tokens(original_tokens);
        let beside = prompt_tokens(prompt, counter);
        let nothing = vec![Vec::new(); self.texts.len()];
        let frame = rendered(&self.kept(&nothing)).0.saturating_sub(beside);
        let is_whole = |section: &Section| section.share == Share::Whole;
        let whole = prompt.constraints.sections.iter().all(is_whole) && original_tokens <= budget;
        // Where all fits as it is, so do the strings without the marks between them.
        // The blank lines between the strings that stay are none of the JSON's.
        let joins = self.texts.iter().filter(|place| !place.rule.removable).count();
        let mut room = if whole { usize::MAX } else { (budget + joins).saturating_sub(frame) };
        let infeasible = |needed: usize| CompressError::Infeasible { budget, needed: needed.max(budget + 1) };
        let mut last = infeasible(frame + beside);
        let mut stages = Stages::default();
        for _ in 0..ATTEMPTS {
            let compressed = match compress(prompt, Target::Tokens(room)) {
                Err(CompressError::Infeasible { needed, .. }) => {
                    return Err(infeasible((frame + needed).saturating_sub(joins)));
                }
                other => other?,
            };
            stages.add(&compressed.stages);
            let strings: Vec<_> = compressed.documents.iter().map(|document| document.kept.clone()).collect();
            let kept = self.kept(&strings);
            let (tokens, prompt, text) = rendered(&kept);
            if tokens <= budget {
                let document = KeptDocument { id: "0".into(), text, kept, ..KeptDocument::default() };
                return Ok(Compressed {
                    prompt,
                    documents: vec![document],
                    original_tokens,
                    compressed_tokens: tokens,
                    requested_tokens: budget,
                    stages,
                    ..compressed
                });
            }
            last = infeasible(tokens);
            // Escapes and pieces of words take tokens that the strings by themselves do not.
            room = room.min(compressed.compressed_tokens).saturating_sub((tokens - budget).max(1));
        }
        Err(last)
    }
}

/// Tokens of instruction and question.
fn prompt_tokens(prompt: &Prompt, counter: &dyn TokenCounter) -> usize {
    counter.count(&prompt.instruction) + counter.count(&prompt.question)
}

impl Object {
    /// Returns the ranges to drop with the members whose strings are gone: each with the comma before it, or at the
    /// start the one after it.
    fn without(&self, gone: impl Fn(usize) -> bool) -> Vec<Range<usize>> {
        let is_gone = |member: &&Member| member.removable.is_some_and(&gone);
        let leading = self.members.iter().take_while(is_gone).count();
        let mut dropped = Vec::new();
        if let (true, Some(last)) = (leading > 0, self.members.last()) {
            let first = self.members.get(leading);
            dropped.push(self.start..first.map_or(last.range.end, |first| first.range.start));
        }
        for pair in self.members[leading..].windows(2) {
            if is_gone(&&pair[1]) {
                dropped.push(pair[0].range.end..pair[1].range.end);
            }
        }
        dropped
    }
}

struct Finder<'a> {
    text: &'a str,
    rules: &'a BTreeMap<String, KeyRule>,
    others: Option<&'a KeyRule>,
    open: Vec<Frame<'a>>,
    texts: Vec<Text>,
    objects: Vec<Object>,
}

impl<'a> Finder<'a> {
    fn take(&mut self, token: &JsonToken) {
        match token.kind {
            JsonKind::ObjectStart | JsonKind::ArrayStart => {
                let rule = self.rule();
                let object = (token.kind == JsonKind::ObjectStart)
                    .then(|| Object { start: token.range.end, members: Vec::new() });
                self.open.push(Frame { object, rule, member: None, member_start: 0 });
            }
            JsonKind::ObjectEnd | JsonKind::ArrayEnd => {
                let object = self.open.pop().and_then(|frame| frame.object);
                let removable =
                    |object: &Object| object.members.iter().any(|member| member.removable.is_some());
                self.objects.extend(object.filter(removable));
                self.end_value(token.range.end, None);
            }
            JsonKind::Key => {
                let name = self.says(token).unwrap_or_default();
                let rule = self.rules.get(&*name);
                if let Some(frame) = self.open.last_mut() {
                    (frame.member, frame.member_start) = (rule.or(frame.rule), token.range.start);
                }
            }
            JsonKind::String => {
                let string = self.string(token);
                self.end_value(token.range.end, string);
            }
            JsonKind::Literal => self.end_value(token.range.end, None),
            JsonKind::Comma | JsonKind::Colon => {}
        }
    }

    /// Returns the rule for the next value.
    fn rule(&self) -> Option<&'a KeyRule> {
        match self.open.last() {
            None => self.others,
            Some(frame) if frame.object.is_some() => frame.member,
            Some(frame) => frame.rule,
        }
    }

    fn says(&self, token: &JsonToken) -> Option<Cow<'a, str>> {
        let spelt = &self.text[token.range.clone()];
        if spelt.contains('\\') {
            // Half a surrogate pair says nothing.
            return serde_json::from_str(spelt).ok().map(Cow::Owned);
        }
        spelt.get(1..spelt.len() - 1).map(Cow::Borrowed)
    }

    /// The number of a string that may become smaller.
    fn string(&mut self, token: &JsonToken) -> Option<usize> {
        let rule = self.rule().filter(|rule| rule.compress)?;
        let says = self.says(token).filter(|says| !says.trim().is_empty())?.into_owned();
        let inside = token.range.start + 1..token.range.end - 1;
        self.texts.push(Text { inside, says, rule: *rule });
        Some(self.texts.len() - 1)
    }

    /// A value ended: of an object's member it is the end too.
    fn end_value(&mut self, end: usize, string: Option<usize>) {
        let Some(frame) = self.open.last_mut() else { return };
        let removable = string.filter(|_| frame.member.is_some_and(|rule| rule.removable));
        let range = frame.member_start..end;
        if let Some(object) = &mut frame.object {
            object.members.push(Member { range, removable });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn rules(json: &str) -> BTreeMap<String, KeyRule> {
        serde_json::from_str(json).unwrap()
    }

    fn said(strings: &Strings) -> Vec<&str> {
        strings.texts.iter().map(|place| &*place.says).collect()
    }

    fn left(strings: &Strings, kept: &[&[Range<usize>]]) -> String {
        let kept: Vec<Vec<Range<usize>>> = kept.iter().map(|ranges| ranges.to_vec()).collect();
        strings.kept(&kept).into_iter().map(|range| &strings.text[range]).collect()
    }

    #[test]
    fn strings_go_by_the_nearest_key_that_a_rule_names() {
        let text = r#"{"id": "x1", "body": {"text": "a b", "lang": "en"}, "notes": ["n 1", {"text": "n 2"}], "n": 1}"#;
        let find = |json| Strings::find(text.into(), &rules(json)).unwrap();
        assert_eq!(said(&find("{}")), ["x1", "a b", "en", "n 1", "n 2"]);
        assert_eq!(said(&find(r#"{"text": {}}"#)), ["a b", "n 2"]);
        assert_eq!(said(&find(r#"{"notes": {}, "text": {"compress": false}}"#)), ["n 1"]);
        assert_eq!(
            said(&find(r#"{"*": {}, "id": {"compress": false}, "lang": {"compress": false}}"#)),
            ["x1", "a b", "en", "n 1", "n 2"][1..2].iter().copied().chain(["n 1", "n 2"]).collect::<Vec<_>>()
        );
        let rated = find(r#"{"body": {"rate": 0.3}}"#);
        assert_eq!(
            rated.documents().1.iter().map(|section| section.share).collect::<Vec<_>>(),
            [Share::Rate(0.3); 2]
        );
    }

    #[test]
    fn members_that_may_go_take_their_comma_along() {
        let text = r#"{ "a": "1x", "b": "2x" , "c": 3, "d": "4x" }"#;
        let strings = Strings::find(text.into(), &rules(r#"{"*": {"removable": true}}"#)).unwrap();
        let all = from_ref(&(0..2));
        assert_eq!(left(&strings, &[all, all, all]), text);
        assert_eq!(left(&strings, &[&[], all, all]), r#"{"b": "2x" , "c": 3, "d": "4x" }"#);
        assert_eq!(left(&strings, &[&[], &[], all]), r#"{"c": 3, "d": "4x" }"#);
        assert_eq!(left(&strings, &[all, &[], &[]]), r#"{ "a": "1x" , "c": 3 }"#);
        let only = Strings::find(r#"[{"a": "x"}]"#.into(), &rules(r#"{"a": {"removable": true}}"#)).unwrap();
        assert_eq!(left(&only, &[&[]]), "[{}]");
    }

    #[test]
    fn defect_22_spelling_types_and_numbers_survive() {
        let text = r#"{"q": "say \"hi\"\n\\ there", "n": 987654, "pi": 3.14159265358979, "t": true, "z": null, "o": {"k": "a, b"}, "e": 1e5, "q": "<b>"}"#;
        let strings = Strings::find(text.into(), &BTreeMap::new()).unwrap();
        assert_eq!(said(&strings), ["say \"hi\"\n\\ there", "a, b", "<b>"]);
        // Without `hi`, then only the last word.
        let result = left(&strings, &[&[0..4, 8..17], from_ref(&(0..4)), from_ref(&(0..3))]);
        assert_eq!(result, text.replace(r#"\"hi\""#, ""));
        assert!(serde_json::from_str::<Value>(&result).is_ok());
        // Half a surrogate pair is left alone.
        assert!(Strings::find(r#"["\ud800 x"]"#.into(), &BTreeMap::new()).unwrap().texts.is_empty());
        assert!(Strings::find("{\"a\": }".into(), &BTreeMap::new()).is_err());
    }

    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}\"a b\"{}", "[{\"k\":".repeat(10_000), "}]".repeat(10_000));
        let strings = Strings::find(deep.clone(), &BTreeMap::new()).unwrap();
        assert_eq!(left(&strings, &[from_ref(&(0..1))]), deep.replace("a b", "a"));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i32>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
            "[a-c \\\\\"\n\u{1f600}é]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-d]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Returns whether `less` equals `more` but for strings, which may be shorter or, where `removable`, gone.
    fn is_less(less: &Value, more: &Value, removable: bool) -> bool {
        match (less, more) {
            (Value::String(_), Value::String(_)) => true,
            (Value::Array(less), Value::Array(more)) => {
                less.len() == more.len() && less.iter().zip(more).all(|(a, b)| is_less(a, b, removable))
            }
            (Value::Object(less), Value::Object(more)) => {
                less.iter()
                    .all(|(key, value)| more.get(key).is_some_and(|more| is_less(value, more, removable)))
                    && more
                        .iter()
                        .all(|(key, value)| less.contains_key(key) || (removable && value.is_string()))
            }
            (less, more) => less == more,
        }
    }

    proptest! {
        /// A fuzz target that runs with the tests.
        #[test]
        fn whatever_is_dropped_the_rest_is_json_of_the_same_types(
            value in value(), pretty in any::<bool>(), removable in any::<bool>(), keep in prop::collection::vec(0..3_u8, 40),
        ) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let rules = [("*".to_owned(), KeyRule { removable, ..KeyRule::default() })].into();
            let strings = Strings::find(text, &rules).unwrap();
            let kept: Vec<Vec<Range<usize>>> = strings.texts.iter().zip(keep).map(|(place, keep)| {
                let middle = (0..=place.says.len() / 2).rev().find(|&at| place.says.is_char_boundary(at)).unwrap_or(0);
                match keep {
                    0 => vec![],
                    1 if middle > 0 => std::iter::once(0..middle).collect(),
                    _ => std::iter::once(0..place.says.len()).collect(),
                }
            }).collect();
            let json: String = strings.kept(&kept).into_iter().map(|range| &strings.text[range]).collect();
            let result: Value = serde_json::from_str(&json).unwrap();
            prop_assert!(is_less(&result, &value, removable), "{json}");
        }

        #[test]
        fn what_is_no_json_is_refused_and_never_panics(text in "[\\[\\]{}:,\"a\\\\u0-9.eE+\\- tnl]{0,20}|\\PC{0,12}") {
            if let Ok(strings) = Strings::find(text, &BTreeMap::new()) {
                let nothing = vec![Vec::new(); strings.texts.len()];
                strings.kept(&nothing);
            }
        }
    }
}
