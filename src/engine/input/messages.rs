//! The texts of chat messages, in the forms of the APIs that the proxy knows, which its finder finds. Whatever
//! is not a text of a role that is to be compressed - ids, tool calls, images, unknown members - stays as it is spelt.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::compress::{Document, Place, Section, Share};
use crate::engine::EngineError;
use crate::text::{Noun, escaped};
use crate::wire::{MessageText, message_texts, own_words};

/// Roles whose texts are compressed where the request does not say which.
pub(super) const ROLES: [&str; 3] = ["user", "assistant", "tool"];
/// Longest text, in bytes, of the last user that is taken for the question.
const QUESTION_BYTES: usize = 2000;

/// Messages and their texts.
#[derive(Debug)]
pub(in crate::engine) struct Messages {
    raw: Vec<Box<RawValue>>,
    texts: Vec<Text>,
    /// The place of the text that asks, so that it is no document, and its question.
    question: Option<(usize, String)>,
}

/// A text of a message.
#[derive(Debug)]
struct Text {
    message: usize,
    /// The bytes between the quotes, in the message.
    inside: Range<usize>,
    says: String,
    id: String,
    /// Set if it is all that its message says.
    is_whole: bool,
    compress: bool,
}

impl Messages {
    /// Finds the texts. Those of `roles` may be compressed; unless the request has a question, the last words of the
    /// last user are one where they are short. What a client has put into a user's turn is nobody's question.
    pub(super) fn read(
        messages: Vec<Box<RawValue>>,
        roles: &[String],
        has_question: bool,
    ) -> Result<Self, EngineError> {
        let mut texts = Vec::new();
        let mut question = None;
        for (number, message) in messages.iter().enumerate() {
            let found = message_texts(message.get()).map_err(|error| {
                EngineError::invalid("invalid_messages", "messages", format!("the message {number} {error}"))
            })?;
            for MessageText { role, may_ask, text, place, path } in found {
                let own = own_words(&text).trim().to_owned();
                if may_ask && !own.is_empty() {
                    question = Some((texts.len(), own));
                }
                let is_whole = path.is_empty();
                let dot = if is_whole { "" } else { "." };
                let id = format!("messages[{number}]{dot}{path}");
                let compress = roles.contains(&role);
                texts.push(Text { message: number, inside: place, says: text, id, is_whole, compress });
            }
        }
        let question =
            question.filter(|_| !has_question).filter(|(_, question)| question.len() <= QUESTION_BYTES);
        Ok(Self { raw: messages, texts, question })
    }

    /// The question that is asked last.
    pub(super) fn question(&self) -> Option<&str> {
        self.question.as_ref().map(|(_, question)| &**question)
    }

    fn documents_of(&self) -> impl Iterator<Item = &Text> {
        let question = self.question.as_ref().map(|(place, _)| *place);
        self.texts.iter().enumerate().filter(move |(i, _)| Some(*i) != question).map(|(_, text)| text)
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

    /// The texts, as documents, that are not to be empty, and what stands for them: a mark, of the turn where the text is
    /// the whole of its message, or a word where there are to be no marks.
    pub(super) fn kept_places(&self, unmarked: bool) -> BTreeMap<usize, Place> {
        let place = |text: &Text| match text.is_whole {
            _ if unmarked => Place::Word,
            true => Place::Mark(Noun::Turns),
            false => Place::Mark(Noun::Lines),
        };
        self.documents_of().map(place).enumerate().collect()
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
        spelling += &escaped(inside, &between(kept, from..*place));
        spelling += mark;
        from = *place;
    }
    spelling + &escaped(inside, &between(kept, from..usize::MAX))
}

/// The parts of `kept` that lie within `bounds`.
fn between(kept: &[Range<usize>], bounds: Range<usize>) -> Vec<Range<usize>> {
    let cut = kept.iter().map(|range| range.start.max(bounds.start)..range.end.min(bounds.end));
    cut.filter(|range| !range.is_empty()).collect()
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
        assert!(twice.documents().0.is_empty());
        let part = r#"[{"role": "user", "content": [{"type": "text", "text": "a", "text": "b"}, 7, "x", {"text": "c"}]}]"#;
        assert!(read(part, &ROLES, true).documents().0.is_empty());
        for bad in ["[1]", "[{}]", r#"[{"content": "a"}]"#, r#"[[{"role": "user"}]]"#, r#"[{"role": 7}]"#] {
            let messages = serde_json::from_str(bad).unwrap();
            assert_eq!(Messages::read(messages, &[], false).unwrap_err().code, "invalid_messages", "{bad}");
        }
    }

    #[test]
    fn results_of_tools_are_a_tools_in_each_form() {
        let long = "The storm of 12 February is not covered.";
        let result = format!(r#"{{"type": "tool_result", "tool_use_id": "t", "content": "{long}"}}"#);
        for (message, id) in [
            (format!(r#"{{"role": "tool", "content": "{long}"}}"#), "messages[1]"),
            (format!(r#"{{"role": "function", "name": "f", "content": "{long}"}}"#), "messages[1]"),
            (format!(r#"{{"role": "user", "content": [{result}]}}"#), "messages[1].content[0].content"),
            (format!(r#"{{"type": "function_call_output", "output": "{long}"}}"#), "messages[1].output"),
            (
                format!(
                    r#"{{"parts": [{{"functionResponse": {{"name": "f", "response": {{"output": "{long}"}}}}}}]}}"#
                ),
                "messages[1].parts[0].response.output",
            ),
        ] {
            let json = format!(r#"[{{"role": "user", "content": "Is it covered?"}}, {message}]"#);
            let messages = read(&json, &["tool"], false);
            assert_eq!(messages.question(), Some("Is it covered?"), "{message}");
            let (documents, whole) = messages.documents();
            assert_eq!((&*documents[0].id, &*documents[0].text), (id, long));
            assert!(documents.len() == 1 && whole.is_empty(), "{message}");
            let kept: Vec<Range<usize>> = std::iter::once(0..9).collect();
            let less = messages.with([(&kept[..], &[][..])].into_iter());
            assert_eq!(less[1].get(), message.replace(long, "The storm"));
        }
    }

    #[test]
    fn what_a_client_puts_in_is_no_question() {
        let json = r#"[{"role": "user", "content": "Who won?"},
            {"role": "user", "content": "<system-reminder>Use tabs.</system-reminder>"}]"#;
        assert_eq!(read(json, &ROLES, false).question(), Some("Who won?"));
        let within = json.replace("</system-reminder>", "</system-reminder> Who lost?");
        assert_eq!(read(&within, &ROLES, false).question(), Some("Who lost?"));
    }
}
