//! The texts of chat messages, in the forms of `OpenAI`'s and Anthropic's APIs. Whatever is not a text of a role that is
//! to be compressed - ids, tool calls, images, unknown members - stays as it is spelt.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::compress::{Document, Section, Share};
use crate::engine::EngineError;
use crate::text::{JsonKind, JsonToken, json_tokens, spelling_of};

/// Roles whose texts are compressed where the request does not say which.
pub(super) const ROLES: [&str; 3] = ["user", "assistant", "tool"];
/// Longest text, in bytes, of the last user that is taken for the question.
const QUESTION_BYTES: usize = 2000;

/// Messages and their texts.
#[derive(Debug)]
pub(in crate::engine) struct Messages {
    raw: Vec<Box<RawValue>>,
    texts: Vec<Text>,
    /// Text that is the question, so that it is no document.
    question: Option<usize>,
}

/// A text of a message.
#[derive(Debug)]
struct Text {
    message: usize,
    /// Between its quotes, in the message.
    inside: Range<usize>,
    says: String,
    id: String,
    compress: bool,
}

impl Messages {
    /// Finds the texts. Those of `roles` may be compressed; unless the request has a question, the last text of the
    /// last user is one where it is short.
    pub(super) fn read(
        messages: Vec<Box<RawValue>>,
        roles: &[String],
        has_question: bool,
    ) -> Result<Self, EngineError> {
        let mut texts = Vec::new();
        let mut last_user = None;
        for (number, message) in messages.iter().enumerate() {
            let refused = || {
                let message = format!("the message {number} is not an object with `role` and `content`");
                EngineError::invalid("invalid_messages", "messages", message)
            };
            let found = Found::of(message.get()).ok_or_else(refused)?;
            let compress = !found.twice && roles.contains(&found.role);
            for (place, inside) in found.texts {
                let says: String = serde_json::from_str(&message.get()[inside.start - 1..=inside.end])
                    .map_err(|_| refused())?;
                let id = place.map_or_else(
                    || format!("messages[{number}]"),
                    |part| format!("messages[{number}].content[{part}]"),
                );
                if found.role == "user" {
                    last_user = Some(texts.len());
                }
                texts.push(Text { message: number, inside, says, id, compress });
            }
        }
        let short = |&text: &usize| texts[text].says.len() <= QUESTION_BYTES;
        let question = last_user.filter(|_| !has_question).filter(short);
        Ok(Self { raw: messages, texts, question })
    }

    /// The question that is asked last.
    pub(super) fn question(&self) -> Option<&str> {
        self.question.map(|text| &*self.texts[text].says)
    }

    fn documents_of(&self) -> impl Iterator<Item = &Text> {
        self.texts.iter().enumerate().filter(|(i, _)| Some(*i) != self.question).map(|(_, text)| text)
    }

    /// The texts as documents of a prompt, with those that are kept whole.
    pub(super) fn documents(&self) -> (Vec<Document>, Vec<Section>) {
        let document = |text: &Text| Document { id: text.id.clone(), title: None, text: text.says.clone() };
        let whole = |(document, text): (usize, &Text)| {
            let range = 0..text.says.len();
            (!text.compress && !range.is_empty()).then_some(Section { document, range, share: Share::Whole })
        };
        (
            self.documents_of().map(document).collect(),
            self.documents_of().enumerate().filter_map(whole).collect(),
        )
    }

    /// The messages with what is left of their texts: by document, ranges that are kept and marks.
    pub(super) fn with<'a>(
        &self,
        left: impl Iterator<Item = (&'a [Range<usize>], &'a [(usize, String)])>,
    ) -> Vec<Box<RawValue>> {
        let mut parts: Vec<Vec<(Range<usize>, String)>> = vec![Vec::new(); self.raw.len()];
        for (text, (kept, marks)) in self.documents_of().zip(left) {
            let spelling = spelling_with(&self.raw[text.message].get()[text.inside.clone()], kept, marks);
            parts[text.message].push((text.inside.clone(), spelling));
        }
        let spliced = |(message, parts): (&RawValue, Vec<(Range<usize>, String)>)| {
            let (mut json, mut at) = (String::new(), 0);
            for (range, with) in parts {
                json += &message.get()[at..range.start];
                json += &with;
                at = range.end;
            }
            json += &message.get()[at..];
            // Strings stay strings: what was JSON still is.
            RawValue::from_string(json).unwrap_or_else(|_| message.to_owned())
        };
        self.raw.iter().map(|message| &**message).zip(parts).map(spliced).collect()
    }
}

/// The spelling of the `kept` parts of a string, with `marks` before the bytes of what it says that they name. Marks
/// hold no character that JSON spells in another way.
fn spelling_with(inside: &str, kept: &[Range<usize>], marks: &[(usize, String)]) -> String {
    let (mut spelling, mut from) = (String::new(), 0);
    for (place, mark) in marks {
        spelling += &spelling_of(inside, &between(kept, from..*place));
        spelling += mark;
        from = *place;
    }
    spelling + &spelling_of(inside, &between(kept, from..usize::MAX))
}

/// The parts of `kept` that lie within `bounds`.
fn between(kept: &[Range<usize>], bounds: Range<usize>) -> Vec<Range<usize>> {
    let cut = kept.iter().map(|range| range.start.max(bounds.start)..range.end.min(bounds.end));
    cut.filter(|range| !range.is_empty()).collect()
}

/// What is found in one message.
#[derive(Debug, Default)]
struct Found {
    role: String,
    /// A key is there twice, so that nobody knows which of the two counts.
    twice: bool,
    /// Insides of strings, with the number of the part of the content that each is in.
    texts: Vec<(Option<usize>, Range<usize>)>,
}

impl Found {
    /// Reads one message. None for what is no object with a role.
    fn of(message: &str) -> Option<Self> {
        let tokens = json_tokens(message).ok()?;
        (tokens.first()?.kind == JsonKind::ObjectStart).then_some(())?;
        let says = |token: &JsonToken| serde_json::from_str::<String>(&message[token.range.clone()]).ok();
        let (mut found, mut roles, mut contents) = (Self::default(), 0, 0);
        for (key, value) in members(&tokens) {
            match (says(key)?.as_str(), value) {
                ("role", [role]) if role.kind == JsonKind::String => {
                    roles += 1;
                    found.role = says(role)?;
                }
                ("content", [text]) if text.kind == JsonKind::String => {
                    contents += 1;
                    found.texts.push((None, text.range.start + 1..text.range.end - 1));
                }
                ("content", parts)
                    if parts.first().is_some_and(|first| first.kind == JsonKind::ArrayStart) =>
                {
                    contents += 1;
                    let parts = elements(parts).into_iter().enumerate();
                    found.texts.extend(parts.filter_map(|(i, part)| Some((Some(i), text_of(part, &says)?))));
                }
                _ => {}
            }
        }
        found.twice = roles > 1 || contents > 1;
        (roles > 0).then_some(found)
    }
}

/// The text of a part of a content, if it is one of a text.
fn text_of(part: &[JsonToken], says: &dyn Fn(&JsonToken) -> Option<String>) -> Option<Range<usize>> {
    let (mut kind, mut texts) = (None, Vec::new());
    for (key, value) in members(part) {
        let [value] = value else { continue };
        match says(key)?.as_str() {
            "type" => kind = says(value),
            "text" if value.kind == JsonKind::String => {
                texts.push(value.range.start + 1..value.range.end - 1);
            }
            _ => {}
        }
    }
    let is_text = matches!(kind.as_deref(), Some("text" | "input_text" | "output_text"));
    (is_text && texts.len() == 1).then(|| texts.remove(0))
}

/// The members of the object that `tokens` are: each key with the tokens of its value.
fn members(tokens: &[JsonToken]) -> Vec<(&JsonToken, &[JsonToken])> {
    let is_object = tokens.first().is_some_and(|token| token.kind == JsonKind::ObjectStart);
    let parts = if is_object { elements(tokens) } else { Vec::new() };
    parts
        .into_iter()
        .filter_map(|part| part.split_first())
        .map(|(key, rest)| (key, rest.get(1..).unwrap_or_default()))
        .collect()
}

/// What stands between the brackets of `tokens`, cut at the commas of that level.
fn elements(tokens: &[JsonToken]) -> Vec<&[JsonToken]> {
    let inside = tokens.get(1..tokens.len().saturating_sub(1)).unwrap_or_default();
    let mut depth = 0_usize;
    let is_comma = |token: &JsonToken| {
        match token.kind {
            JsonKind::ObjectStart | JsonKind::ArrayStart => depth += 1,
            JsonKind::ObjectEnd | JsonKind::ArrayEnd => depth -= 1,
            _ => {}
        }
        depth == 0 && token.kind == JsonKind::Comma
    };
    inside.split(is_comma).filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, roles: &[&str], has_question: bool) -> Messages {
        let roles: Vec<String> = roles.iter().map(ToString::to_string).collect();
        Messages::read(serde_json::from_str(json).unwrap(), &roles, has_question).unwrap()
    }

    const CHAT: &str = r#"[
        {"role": "system", "content": "Be brief."},
        {"content": [{"type": "text", "text": "caf\u00e9 \"x\" y"}, {"type": "image_url", "image_url": {"url": "data:,a b"}}], "role": "user", "id": 1.50},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "c 1", "function": {"name": "f", "arguments": "{\"a b\": 1}"}}]},
        {"role": "tool", "tool_call_id": "c 1", "content": "a long result"},
        {"role": "user", "content": "Which one?"}
    ]"#;

    #[test]
    fn texts_of_roles_are_documents_and_the_last_of_the_user_is_the_question() {
        let messages = read(CHAT, &ROLES, false);
        assert_eq!(messages.question(), Some("Which one?"));
        let (documents, whole) = messages.documents();
        let found: Vec<(&str, &str)> = documents.iter().map(|d| (&*d.id, &*d.text)).collect();
        assert_eq!(
            found,
            [
                ("messages[0]", "Be brief."),
                ("messages[1].content[0]", "café \"x\" y"),
                ("messages[3]", "a long result"),
            ]
        );
        assert_eq!(whole, [Section { document: 0, range: 0..9, share: Share::Whole }]);
        assert_eq!(read(CHAT, &ROLES, true).documents().0.len(), 4);
        assert!(read(CHAT, &["system"], false).documents().1.iter().all(|section| section.document > 0));
    }

    #[test]
    fn all_but_the_texts_stays_as_it_was_spelt() {
        let messages = read(CHAT, &ROLES, false);
        let all = [0..9, 0..11, 0..13].map(|range| Vec::from([range]));
        let given: Vec<Box<RawValue>> = serde_json::from_str(CHAT).unwrap();
        let texts =
            |messages: &[Box<RawValue>]| messages.iter().map(|m| m.get().to_owned()).collect::<Vec<_>>();
        let with = |kept: &[Vec<Range<usize>>], marks: &[(usize, String)]| {
            messages.with(kept.iter().map(|kept| (&**kept, marks)))
        };
        assert_eq!(texts(&with(&all, &[])), texts(&given));
        let less = with(&[all[0].clone(), vec![0..6, 10..11], vec![7..9, 9..13]], &[]);
        assert_eq!(less[1].get(), given[1].get().replace("\\\"x\\\" ", ""));
        let marked =
            with(&[all[0].clone(), vec![0..6, 10..11], all[2].clone()], &[(6, "[1 line left out]".into())]);
        assert_eq!(marked[1].get(), given[1].get().replace("\\\"x\\\" ", "[1 line left out]"));
        assert_eq!(less[3].get(), given[3].get().replace("a long ", ""));
    }

    #[test]
    fn what_is_unclear_is_left_alone_and_what_is_no_message_refused() {
        let twice = read(r#"[{"role": "user", "content": "a b", "content": "c d"}]"#, &ROLES, true);
        assert_eq!(twice.documents().1.len(), 2);
        let part = r#"[{"role": "user", "content": [{"type": "text", "text": "a", "text": "b"}, 7, "x", {"text": "c"}]}]"#;
        assert!(read(part, &ROLES, true).documents().0.is_empty());
        for bad in ["[1]", "[{}]", r#"[{"content": "a"}]"#, r#"[[{"role": "user"}]]"#, r#"[{"role": 7}]"#] {
            let messages = serde_json::from_str(bad).unwrap();
            assert_eq!(Messages::read(messages, &[], false).unwrap_err().code, "invalid_messages", "{bad}");
        }
    }
}
