//! The input of a compression request, in one of its forms: a context, documents, sections, JSON or messages. Each
//! becomes documents for the methods, and what is left of those becomes that form again.

mod json;
mod messages;
mod tags;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use self::json::Strings;
use self::messages::Messages;
use self::tags::Untagged;
use super::EngineError;
use super::api::{CompressRequest, CompressResponse, DocumentInput, DocumentOutput, JsonInput, SectionInput};
use crate::compress::{CompressError, Compressed, Document, Place, Prompt, Section, Share, Target};
use crate::text::TokenCounter;

type Metadata = Vec<Option<serde_json::Value>>;

/// The input of a compression.
pub(super) struct Input {
    pub(super) documents: Vec<Document>,
    pub(super) metadata: Metadata,
    /// Parts that are kept whole or at a rate of their own.
    pub(super) sections: Vec<Section>,
    /// The question, where the form has one of its own.
    pub(super) question: Option<String>,
    pub(super) form: Form,
}

/// The form in which the result is put together.
pub(super) enum Form {
    Documents,
    /// Documents that were sent with tags.
    Tagged(Vec<Untagged>),
    Json(Strings),
    Messages(Messages),
}

impl Input {
    /// The one form that `request` has, of at most `most` documents.
    pub(super) fn of(request: &mut CompressRequest, most: usize) -> Result<Self, EngineError> {
        let given = [
            ("context", request.context.is_some()),
            ("documents", request.documents.is_some()),
            ("sections", request.sections.is_some()),
            ("json", request.json.is_some()),
            ("messages", request.messages.is_some()),
        ];
        let given: Vec<&'static str> =
            given.iter().filter(|(_, given)| *given).map(|&(name, _)| name).collect();
        if let [first, second, ..] = given[..] {
            let message = format!("give `{first}` or `{second}`, not both");
            return Err(EngineError::invalid("ambiguous_input", first, message));
        }
        if request.tags && !matches!(given[..], ["context" | "documents"]) {
            let message = "`tags` are read in `context` and `documents` alone";
            return Err(EngineError::invalid("invalid_tags", "tags", message));
        }
        let input = if let Some(text) = request.context.take() {
            Self::of_documents(vec![DocumentInput { text, ..DocumentInput::default() }], request.tags)
        } else if let Some(documents) = request.documents.take() {
            Self::of_documents(documents, request.tags)
        } else if let Some(sections) = request.sections.take() {
            Self::of_sections(sections)
        } else if let Some(json) = request.json.take() {
            Self::of_json(json)
        } else if let Some(messages) = request.messages.take() {
            let roles = request.roles.take().unwrap_or_else(|| messages::ROLES.map(str::to_owned).to_vec());
            Self::of_messages(messages, &roles, request.question.is_some())
        } else {
            let message = "nothing to compress: give `context` (a text), `documents` (a list), `sections`, `json` or \
                           `messages`";
            return Err(EngineError::invalid("missing_input", "context", message));
        }?;
        let count = input.documents.len();
        if count > most {
            let message = format!("{count} documents; at most {most} are allowed (`limits.documents`)");
            return Err(EngineError::too_many_documents(given[0], message));
        }
        Ok(input)
    }

    /// The target where every part of the texts has a rate of its own, or is kept whole: whatever that leaves. Strings of
    /// JSON have none, for what stands between them takes room, too.
    pub(super) fn target(&self) -> Option<Target> {
        let has_own = |(number, document): (usize, &Document)| {
            let start = self.sections.partition_point(|section| section.document < number);
            let own = self.sections[start..].iter().take_while(|section| section.document == number);
            let mut rest = document.text.clone().into_bytes();
            own.for_each(|section| rest[section.range.clone()].fill(b' '));
            String::from_utf8_lossy(&rest).trim().is_empty()
        };
        let is_json = matches!(self.form, Form::Json(_));
        (!is_json && self.documents.iter().enumerate().all(has_own)).then_some(Target::Rate(1.0))
    }

    fn of_documents(inputs: Vec<DocumentInput>, tags: bool) -> Result<Self, EngineError> {
        let (mut documents, mut metadata, mut sections) = (Vec::new(), Vec::new(), Vec::new());
        let mut untagged = Vec::new();
        for (i, input) in inputs.into_iter().enumerate() {
            let share = share(input.rate, input.compress, "documents")?;
            let mut text = input.text;
            if tags {
                let read = Untagged::read(&text).map_err(|error| {
                    EngineError::invalid("invalid_tags", "tags", format!("document {i}: {error}"))
                })?;
                let own = read.sections.iter().cloned();
                sections.extend(own.map(|(range, share)| Section { document: i, range, share }));
                text.clone_from(&read.text);
                untagged.push(read);
            }
            if let Some(share) = share.filter(|_| !text.is_empty()) {
                sections.push(Section { document: i, range: 0..text.len(), share });
            }
            let id = input.id.unwrap_or_else(|| i.to_string());
            documents.push(Document { id, title: input.title, text });
            metadata.push(input.metadata);
        }
        let form = if tags { Form::Tagged(untagged) } else { Form::Documents };
        Ok(Self { documents, metadata, sections, question: None, form })
    }

    /// One text, in the order and as close together as the sections were sent.
    fn of_sections(inputs: Vec<SectionInput>) -> Result<Self, EngineError> {
        let (mut text, mut sections) = (String::new(), Vec::new());
        for input in inputs {
            let start = text.len();
            text += &input.text;
            if let Some(share) = share(input.rate, input.compress, "sections")?.filter(|_| text.len() > start)
            {
                sections.push(Section { document: 0, range: start..text.len(), share });
            }
        }
        Ok(Self::of_form(vec![Document { id: "0".into(), title: None, text }], sections, Form::Documents))
    }

    fn of_json(input: JsonInput) -> Result<Self, EngineError> {
        for rule in input.keys.values() {
            share(rule.rate, true, "json")?;
        }
        let strings = Strings::find(input.text, &input.keys).map_err(|error| {
            EngineError::invalid("invalid_json_text", "json", format!("`json.text`: {error}"))
        })?;
        let (documents, sections) = strings.documents();
        if documents.is_empty() {
            let message = "nothing to compress: no key of the JSON that a rule names has a string";
            return Err(EngineError::invalid("empty_input", "json", message));
        }
        Ok(Self::of_form(documents, sections, Form::Json(strings)))
    }

    fn of_messages(
        messages: Vec<Box<RawValue>>,
        roles: &[String],
        has_question: bool,
    ) -> Result<Self, EngineError> {
        let messages = Messages::read(messages, roles, has_question)?;
        let (documents, sections) = messages.documents();
        let question = messages.question().map(str::to_owned);
        Ok(Self { question, ..Self::of_form(documents, sections, Form::Messages(messages)) })
    }

    fn of_form(documents: Vec<Document>, sections: Vec<Section>, form: Form) -> Self {
        Self { metadata: vec![None; documents.len()], documents, sections, question: None, form }
    }
}

/// Returns the share that a section's fields ask for.
fn share(rate: Option<f64>, compress: bool, param: &'static str) -> Result<Option<Share>, EngineError> {
    match rate {
        Some(rate) if !(0.0..=1.0).contains(&rate) => {
            let message = format!("the rate {rate} of a part must be from 0 to 1");
            Err(EngineError::invalid("invalid_rate", param, message))
        }
        _ if !compress => Ok(Some(Share::Whole)),
        rate => Ok(rate.map(Share::Rate)),
    }
}

impl Form {
    /// Returns whether the result has no place for the markers of folded text.
    pub(super) const fn is_verbatim(&self) -> bool {
        match self {
            Self::Documents => false,
            Self::Tagged(_) | Self::Json(_) | Self::Messages(_) => true,
        }
    }

    /// The documents that are not to be empty, and what stands for them.
    pub(super) fn places(&self, unmarked: bool) -> BTreeMap<usize, Place> {
        match self {
            Self::Json(strings) => strings.kept_places(),
            Self::Messages(messages) => messages.kept_places(unmarked),
            Self::Documents | Self::Tagged(_) => BTreeMap::new(),
        }
    }

    /// Compresses the prompt that this form became.
    pub(super) fn compress(
        &self,
        prompt: &Prompt,
        target: Target,
        counter: &dyn TokenCounter,
        compress: impl Fn(&Prompt, Target) -> Result<Compressed, CompressError>,
    ) -> Result<Compressed, CompressError> {
        match self {
            Self::Json(strings) => strings.compress(prompt, target, counter, compress),
            Self::Documents | Self::Tagged(_) | Self::Messages(_) => compress(prompt, target),
        }
    }

    /// The messages with what is left of their texts.
    pub(super) fn messages(&self, compressed: &Compressed) -> Option<Vec<Box<RawValue>>> {
        let Self::Messages(messages) = self else { return None };
        let left = compressed.documents.iter().map(|document| (&*document.kept, &*document.marks));
        Some(messages.with(left))
    }

    /// Ranges of texts as they were sent in the place of those of texts without tags.
    pub(super) fn as_sent(&self, response: &mut CompressResponse) {
        let Self::Tagged(untagged) = self else { return };
        for (document, untagged) in response.documents.iter_mut().zip(untagged) {
            untagged.restore(document);
        }
    }
}

impl Untagged {
    fn restore(&self, document: &mut DocumentOutput) {
        let sent = |&[start, end]: &[usize; 2]| self.as_sent(&(start..end));
        let bounds = |range: Range<usize>| [range.start, range.end];
        if let Some(kept) = &mut document.kept {
            *kept = kept.iter().flat_map(sent).map(bounds).collect();
        }
        for word in document.words.iter_mut().flatten() {
            // A word that a tag stands in begins before and ends behind it.
            let parts = sent(&word.range);
            if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
                word.range = [first.start, last.end];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::engine::api::CompressResponse;
    use crate::engine::{Engine, fakes};
    use crate::model::Cancel;

    fn compress(request: &Value) -> CompressResponse {
        let engine = Engine::builder().scorer(fakes::Lengths).embedder(fakes::Letters).build();
        let response =
            engine.compress(serde_json::from_value(request.clone()).unwrap(), &Cancel::never()).unwrap();
        assert!(response.usage.compressed_tokens <= response.usage.requested_tokens, "{}", response.prompt);
        response
    }

    #[test]
    fn strings_of_json_do_not_become_empty_and_ids_stay() {
        let visit = "The boiler in the cellar was looked at on Monday, and two of the four valves were found to be worn \
                     out. They have to be replaced before the winter comes.";
        for (text, whole) in [
            (json!({"id": "W-12", "state": "open", "by": "Ida Berg", "visit": visit}), true),
            (json!([{"sku": "A1", "says": visit}, {"sku": "B2", "says": visit, "in": "hall 4"}]), true),
            (
                json!({"key": "x_9", "notes": ["Ring the bell twice", "Wait by the gate", "Ask for Mr Lind"]}),
                false,
            ),
        ] {
            let text = text.to_string();
            let rate = if whole { 0.7 } else { 0.85 };
            let response = compress(&json!({"json": {"text": text}, "rate": rate}));
            let left: Value = serde_json::from_str(&response.prompt).unwrap();
            assert!(!response.prompt.contains("\"\"") && response.prompt.len() < text.len(), "{left}");
            for id in ["W-12", "A1", "B2", "x_9"] {
                assert_eq!(text.contains(id), response.prompt.contains(id), "{left}");
            }
            for short in ["open", "Ida Berg", "hall 4"] {
                assert_eq!(text.contains(short), response.prompt.contains(short), "{left}");
            }
        }
    }

    #[test]
    fn no_content_of_a_message_becomes_empty() {
        let long = "The harbour was closed for the winter, and the boats were laid up in the sheds behind the mill. ";
        let messages = |last: Value| {
            let others = (0..4).map(|i| {
                let role = ["user", "assistant"][i % 2];
                json!({"role": role, "content": format!("{i}. {}", long.repeat(2))})
            });
            others.chain([last, json!({"role": "user", "content": "When is it open?"})]).collect::<Vec<_>>()
        };
        for last in [
            json!({"role": "tool", "tool_call_id": "c", "content": "{\"gates\": [{\"no\": 1, \"open\": false}, {\"no\": 2, \"open\": true}]}"}),
            json!({"role": "user", "content": [{"type": "text", "text": long}, {"type": "text", "text": "Thank you."}]}),
            json!({"role": "assistant", "content": "I do not know. It may be in April, or in May."}),
        ] {
            for rate in [0.6, 0.4, 0.3] {
                let response = compress(&json!({"messages": messages(last.clone()), "rate": rate}));
                let left = serde_json::to_string(&response.messages).unwrap();
                assert!(!left.contains("\"content\":\"\"") && !left.contains("\"text\":\"\""), "{left}");
                let marked = left.matches("[1 turn left out]").count();
                assert_eq!(marked, response.prompt.matches("[1 turn left out]").count());
            }
            // Where no marks are wanted, something stays of each.
            let unmarked = json!({"messages": messages(last), "rate": 0.5, "options": {"marks": false}});
            let response = compress(&unmarked);
            assert!(!response.prompt.contains("left out"), "{}", response.prompt);
            assert!(response.documents.iter().all(|document| !document.text.is_empty()));
        }
    }
}
