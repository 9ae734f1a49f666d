//! The one finder of texts in a message: Chat's messages and those with a legacy `function` role, items of Responses,
//! Anthropic's messages with their blocks, Gemini's contents with their parts, and the messages of Ollama and Cohere. No
//! two of these forms have a key or type in common that means another thing, so that a message needs no name of its
//! dialect.

use std::ops::Range;

use crate::text::{DuplicateKey, JsonValue};

/// Types of a part that is text.
const TEXTS: [&str; 3] = ["text", "input_text", "output_text"];
/// Levels of an object in which texts are looked for.
const DEEPEST: usize = 8;

/// What a message has that is of concern, in order.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// The model speaks: what follows is a new turn.
    Answer,
    /// The model calls a tool.
    Call {
        /// What the result names, where calls have ids.
        id: Option<JsonValue<'a>>,
        name: Option<JsonValue<'a>>,
        input: Option<JsonValue<'a>>,
    },
    /// A tool answers a call, by what it says next.
    Result {
        /// The id of the call.
        id: Option<JsonValue<'a>>,
        /// The name of the tool.
        name: Option<JsonValue<'a>>,
    },
    /// Somebody says a text.
    Text(Found<'a>),
}

/// A text of a message.
#[derive(Debug)]
pub(super) struct Found<'a> {
    pub(super) by: By,
    pub(super) value: JsonValue<'a>,
    /// Its path in the message, empty for a content that is a string.
    path: String,
}

/// Whose a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The one whose role the message has, who is neither the user nor a tool.
    Role,
    User,
    Tool,
    /// A document that a user shows.
    Document,
}

/// A text of one message, for whoever compresses messages without a request around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageText {
    /// The role of the message, and `tool` for each result of a tool.
    pub role: String,
    /// Whether a user says it, and does not show it as a document, so that it may ask something.
    pub may_ask: bool,
    /// The text, decoded.
    pub text: String,
    /// The range of its spelling in the message, inside the quotes.
    pub place: Range<usize>,
    /// The path of the text in the message, empty for a content that is a string.
    pub path: String,
}

/// A reason why a message is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is in another form.
    #[error(
        "is not an object with `role` and `content`, as OpenAI's Chat and Anthropic's Messages have it, or with `parts`, as \
         Gemini's API has it, or an item with a `type`, as OpenAI's Responses have it"
    )]
    Unknown,
}

/// The texts of the message that `json` is. One that has a key twice has none, for nobody knows which of the two counts.
///
/// # Errors
/// It is no message of a form that is known.
pub fn message_texts(json: &str) -> Result<Vec<MessageText>, MessageError> {
    let message = JsonValue::document(json).map_err(|_| MessageError::Unknown)?;
    let named = |name: &str| {
        message.members().find(|member| member.key.string().is_some_and(|key| key == name)).map(|m| m.value)
    };
    let is_text = |value: Option<JsonValue>| value.is_some_and(JsonValue::is_string);
    let has_parts = named("parts").is_some() && named("content").is_none();
    if !is_text(named("role")) && !is_text(named("type")) && !has_parts {
        return Err(MessageError::Unknown);
    }
    let role = match named("role").and_then(JsonValue::string) {
        // What others call an assistant, and whose name may be left out.
        Some(role) if has_parts && role == "model" => "assistant".into(),
        None if has_parts => "user".into(),
        role => role.unwrap_or_default(),
    };
    let mut texts = Vec::new();
    let found = find(message, &mut |piece| {
        let Piece::Text(Found { by, value, path, .. }) = piece else { return };
        let (Some((place, _)), Some(text)) = (value.inside(), value.string()) else { return };
        let role = if by == By::Tool { "tool" } else { &*role }.to_owned();
        texts.push(MessageText { role, may_ask: by == By::User, text: text.into_owned(), place, path });
    });
    Ok(if found.is_ok() { texts } else { Vec::new() })
}

/// Hands on what `message` has. One that has a key twice is left alone, for nobody knows which of the two counts.
pub(super) fn find<'a>(message: JsonValue<'a>, each: &mut dyn FnMut(Piece<'a>)) -> Result<(), DuplicateKey> {
    let [kind, role, content, parts] = message.fields(["type", "role", "content", "parts"])?;
    let (kind, role) = (kind.and_then(JsonValue::string), role.and_then(JsonValue::string));
    let mut finder = Finder { each };
    if let (None, None, Some(parts)) = (&kind, content, parts) {
        finder.parts(role.as_deref(), parts);
        return Ok(());
    }
    match (kind.as_deref().unwrap_or("message"), role.as_deref(), content) {
        ("message", Some("user"), Some(content)) => finder.content(content, By::User, ""),
        ("message", Some("tool" | "function"), Some(content)) => {
            let [id, name, tool] = message.fields(["tool_call_id", "name", "tool_name"])?;
            (finder.each)(Piece::Result { id, name: name.or(tool) });
            finder.content(content, By::Tool, "");
        }
        ("message", Some("system" | "developer"), content) => {
            if let Some(content) = content {
                finder.content(content, By::Role, "");
            }
        }
        ("message", _, content) => finder.answer(message, content)?,
        ("function_call_output" | "custom_tool_call_output", ..) => {
            let [id, output] = message.fields(["call_id", "output"])?;
            (finder.each)(Piece::Result { id, name: None });
            if let Some(output) = output {
                finder.content(output, By::Tool, "output");
            }
        }
        (kind, ..) => finder.made_by_model(message, kind)?,
    }
    Ok(())
}

/// Hands on the texts of documents that stand beside messages, each a text or an object with `data`.
pub(super) fn find_documents<'a>(documents: JsonValue<'a>, each: &mut dyn FnMut(Piece<'a>)) {
    let mut finder = Finder { each };
    for (number, document) in documents.elements().enumerate() {
        let path = format!("documents[{number}]");
        let data = if document.is_string() { Some(document) } else { data(document) };
        if let Some(data) = data {
            finder.strings(data, By::Document, &path, DEEPEST);
        }
    }
}

/// The data of a document of Cohere's: a text, or an object with texts. One that has a key twice is left alone.
fn data(document: JsonValue<'_>) -> Option<JsonValue<'_>> {
    document.fields(["data"]).ok().and_then(|[data]| data)
}

/// Walks one message.
struct Finder<'a, 'e> {
    each: &'e mut dyn FnMut(Piece<'a>),
}

impl<'a> Finder<'a, '_> {
    fn text(&mut self, by: By, value: JsonValue<'a>, path: String) {
        if value.is_string() {
            (self.each)(Piece::Text(Found { by, value, path }));
        }
    }

    /// What the model says, and the calls beside it.
    fn answer(&mut self, message: JsonValue<'a>, content: Option<JsonValue<'a>>) -> Result<(), DuplicateKey> {
        (self.each)(Piece::Answer);
        let [calls, legacy] = message.fields(["tool_calls", "function_call"])?;
        for call in calls.iter().flat_map(|calls| calls.elements()) {
            let [id, function] = call.fields(["id", "function"])?;
            let Some(function) = function else { continue };
            let [name, input] = function.fields(["name", "arguments"])?;
            (self.each)(Piece::Call { id, name, input });
        }
        if let Some(function) = legacy {
            let [name, input] = function.fields(["name", "arguments"])?;
            (self.each)(Piece::Call { id: None, name, input });
        }
        let Some(content) = content else { return Ok(()) };
        if content.is_string() {
            self.text(By::Role, content, String::new());
        }
        for (number, part) in content.elements().enumerate() {
            let [kind, text, id, name, input] = part.fields(["type", "text", "id", "name", "input"])?;
            match (kind.and_then(JsonValue::string).as_deref(), text) {
                (Some("tool_use"), _) => (self.each)(Piece::Call { id, name, input }),
                (Some(kind), Some(text)) if TEXTS.contains(&kind) => {
                    self.text(By::Role, text, format!("content[{number}]"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// An item of Responses that the model, or the provider for it, has made: a call, at times with its result.
    fn made_by_model(&mut self, item: JsonValue<'a>, kind: &str) -> Result<(), DuplicateKey> {
        (self.each)(Piece::Answer);
        match kind {
            "function_call" | "custom_tool_call" => {
                let [id, name, arguments, input] = item.fields(["call_id", "name", "arguments", "input"])?;
                (self.each)(Piece::Call { id, name, input: arguments.or(input) });
            }
            "mcp_call" => {
                let [id, name, input, output] = item.fields(["id", "name", "arguments", "output"])?;
                (self.each)(Piece::Call { id, name, input });
                (self.each)(Piece::Result { id, name });
                if let Some(output) = output {
                    self.content(output, By::Tool, "output");
                }
            }
            "file_search_call" => {
                let [id, name, queries, results] = item.fields(["id", "type", "queries", "results"])?;
                (self.each)(Piece::Call { id, name, input: queries });
                (self.each)(Piece::Result { id, name });
                for (number, result) in results.iter().flat_map(|results| results.elements()).enumerate() {
                    let Ok([Some(text)]) = result.fields(["text"]) else { continue };
                    self.text(By::Tool, text, format!("results[{number}]"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A content: the text that it is, or its parts. It stands at `path`; an empty one is the message's own.
    fn content(&mut self, content: JsonValue<'a>, by: By, path: &str) {
        if content.is_string() {
            return self.text(by, content, path.to_owned());
        }
        let path = if path.is_empty() { "content" } else { path };
        for (number, part) in content.elements().enumerate() {
            // What has a key twice is left alone, and the others are read.
            self.part(part, by, &format!("{path}[{number}]")).unwrap_or_default();
        }
    }

    /// The parts of Gemini's: what the model says and calls, or what a user says and tools answer.
    fn parts(&mut self, role: Option<&str>, parts: JsonValue<'a>) {
        let by = match role {
            None | Some("user" | "function") => By::User,
            Some("system") => By::Role,
            Some(_) => {
                (self.each)(Piece::Answer);
                By::Role
            }
        };
        for (number, part) in parts.elements().enumerate() {
            // What has a key twice is left alone, and the others are read.
            self.part_without_type(part, by, &format!("parts[{number}]")).unwrap_or_default();
        }
    }

    /// A part of Gemini's, which may spell its keys in either of two ways.
    fn part_without_type(&mut self, part: JsonValue<'a>, by: By, path: &str) -> Result<(), DuplicateKey> {
        let [text, call, snake_call, result, snake_result] =
            part.fields(["text", "functionCall", "function_call", "functionResponse", "function_response"])?;
        if let Some(text) = text {
            self.text(by, text, path.to_owned());
        }
        if let Some(call) = call.or(snake_call) {
            let [id, name, input] = call.fields(["id", "name", "args"])?;
            (self.each)(Piece::Call { id, name, input });
        }
        if let Some(result) = result.or(snake_result) {
            let [id, name, response] = result.fields(["id", "name", "response"])?;
            (self.each)(Piece::Result { id, name });
            if let Some(response) = response {
                self.strings(response, By::Tool, &format!("{path}.response"), DEEPEST);
            }
        }
        Ok(())
    }

    /// The strings in a value, down to a depth.
    fn strings(&mut self, value: JsonValue<'a>, by: By, path: &str, depth: usize) {
        if value.is_string() {
            return self.text(by, value, path.to_owned());
        }
        let Some(depth) = depth.checked_sub(1) else { return };
        for (number, element) in value.elements().enumerate() {
            self.strings(element, by, &format!("{path}[{number}]"), depth);
        }
        for member in value.members() {
            let Some(key) = member.key.string() else { continue };
            self.strings(member.value, by, &format!("{path}.{key}"), depth);
        }
    }

    fn part(&mut self, part: JsonValue<'a>, by: By, path: &str) -> Result<(), DuplicateKey> {
        let [kind, text, content, source, citations, id, document] =
            part.fields(["type", "text", "content", "source", "citations", "tool_use_id", "document"])?;
        let shown = if by == By::User { By::Document } else { by };
        match (kind.and_then(JsonValue::string).as_deref(), text, content, source) {
            (Some(kind), Some(text), ..) if TEXTS.contains(&kind) => self.text(by, text, path.to_owned()),
            (Some("tool_result"), _, Some(content), _) if by == By::User => {
                (self.each)(Piece::Result { id, name: None });
                self.content(content, By::Tool, &format!("{path}.content"));
            }
            (Some("document"), .., None) => {
                if let Some(data) = document.and_then(data) {
                    self.strings(data, shown, &format!("{path}.document.data"), DEEPEST);
                }
            }
            // Citations count the characters of the text: it must stay as it is.
            (Some("search_result"), _, Some(content), _) if citations.is_none() => {
                self.content(content, shown, &format!("{path}.content"));
            }
            (Some("document"), .., Some(source)) if citations.is_none() => {
                let [kind, data, content] = source.fields(["type", "data", "content"])?;
                match (kind.and_then(JsonValue::string).as_deref(), data, content) {
                    (Some("text"), Some(data), _) => self.text(shown, data, format!("{path}.source")),
                    (Some("content"), _, Some(content)) => {
                        self.content(content, shown, &format!("{path}.source.content"));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of a message as `role path: text`, and the calls and answers.
    fn found(message: &str) -> Vec<String> {
        let (mut all, mut answered) = (Vec::new(), String::new());
        let value = JsonValue::document(message).unwrap();
        find(value, &mut |piece| {
            let says =
                |value: Option<JsonValue>| value.and_then(JsonValue::string).unwrap_or_default().into_owned();
            all.push(match piece {
                Piece::Answer => "answer".to_owned(),
                Piece::Call { id, name, input } => {
                    format!("call {} {} {}", says(id), says(name), input.map_or("", JsonValue::raw))
                }
                Piece::Result { id, name } => {
                    answered = format!("{}/{}", says(id), says(name));
                    return;
                }
                Piece::Text(Found { by: By::Tool, value, path }) => {
                    format!("Tool {path} {answered}: {}", says(Some(value)))
                }
                Piece::Text(Found { by, value, path }) => format!("{by:?} {path} : {}", says(Some(value))),
            });
        })
        .unwrap();
        all
    }

    #[test]
    fn texts_are_found_in_each_dialect() {
        let cases: [(&str, &[&str]); 25] = [
            (r#"{"role": "user", "content": "a"}"#, &["User  : a"]),
            (
                r#"{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image", "text": "x"}]}"#,
                &["User content[0] : a"],
            ),
            (r#"{"role": "system", "content": "a"}"#, &["Role  : a"]),
            (
                r#"{"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "a"}]}"#,
                &["Tool content[0] c/: a"],
            ),
            (r#"{"role": "function", "name": "f", "content": "a"}"#, &["Tool  /f: a"]),
            (
                r#"{"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}}"#,
                &["answer", r#"call  f "{}""#],
            ),
            (
                r#"{"role": "assistant", "content": "a", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}"#,
                &["answer", r#"call c f "{}""#, "Role  : a"],
            ),
            (
                r#"{"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}]}"#,
                &["answer", "Role content[0] : a", "call c f {}"],
            ),
            (
                r#"{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "a"}, {"type": "text", "text": "b"}]}"#,
                &["Tool content[0].content c/: a", "User content[1] : b"],
            ),
            (
                r#"{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "search_result", "content": [{"type": "text", "text": "a"}]}, {"type": "text", "text": "b"}]}]}"#,
                &["Tool content[0].content[0].content[0] c/: a", "Tool content[0].content[1] c/: b"],
            ),
            (
                r#"{"role": "user", "content": [{"type": "document", "source": {"type": "text", "data": "a"}}, {"type": "document", "source": {"type": "content", "content": "b"}}]}"#,
                &["Document content[0].source : a", "Document content[1].source.content : b"],
            ),
            (
                r#"{"role": "user", "content": [{"type": "search_result", "content": [{"type": "text", "text": "a"}]}, {"type": "search_result", "citations": {}, "content": [{"type": "text", "text": "b"}]}]}"#,
                &["Document content[0].content[0] : a"],
            ),
            (
                r#"{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}"#,
                &["User content[0] : a"],
            ),
            (r#"{"type": "function_call_output", "call_id": "c", "output": "a"}"#, &["Tool output c/: a"]),
            (
                r#"{"type": "custom_tool_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a"}]}"#,
                &["Tool output[0] c/: a"],
            ),
            (
                r#"{"type": "mcp_call", "id": "c", "name": "f", "arguments": "{}", "output": "a"}"#,
                &["answer", r#"call c f "{}""#, "Tool output c/f: a"],
            ),
            (
                r#"{"type": "file_search_call", "id": "c", "queries": ["q"], "results": [{"text": "a"}, {"file_id": "x"}, {"text": "b"}]}"#,
                &[
                    "answer",
                    r#"call c file_search_call ["q"]"#,
                    "Tool results[0] c/file_search_call: a",
                    "Tool results[2] c/file_search_call: b",
                ],
            ),
            (
                r#"{"role": "assistant", "content": "a", "thinking": "b", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}"#,
                &["answer", r#"call  f {"x": 1}"#, "Role  : a"],
            ),
            (r#"{"role": "tool", "tool_name": "f", "content": "a"}"#, &["Tool  /f: a"]),
            (
                r#"{"role": "tool", "tool_call_id": "c", "content": [{"type": "document", "document": {"id": "d", "data": "a"}}, {"type": "document", "document": {"data": {"title": "t", "text": "b"}}}]}"#,
                &[
                    "Tool content[0].document.data c/: a",
                    "Tool content[1].document.data.title c/: t",
                    "Tool content[1].document.data.text c/: b",
                ],
            ),
            (
                r#"{"role": "user", "content": [{"type": "document", "document": {"data": "a"}}, {"type": "document"}]}"#,
                &["Document content[0].document.data : a"],
            ),
            (r#"{"parts": [{"text": "a"}, {"inlineData": {"data": "x"}}]}"#, &["User parts[0] : a"]),
            (
                r#"{"role": "model", "parts": [{"text": "a", "thought": true}, {"functionCall": {"name": "f", "args": {}}}]}"#,
                &["answer", "Role parts[0] : a", "call  f {}"],
            ),
            (
                r#"{"role": "user", "parts": [{"functionResponse": {"id": "c", "name": "f", "response": {"output": "a", "n": 1, "rows": [{"x": "b"}]}}}, {"text": "c"}]}"#,
                &[
                    "Tool parts[0].response.output c/f: a",
                    "Tool parts[0].response.rows[0].x c/f: b",
                    "User parts[1] : c",
                ],
            ),
            (
                r#"{"role": "function", "parts": [{"function_response": {"name": "f", "response": {"result": "a"}}}]}"#,
                &["Tool parts[0].response.result /f: a"],
            ),
        ];
        for (message, wanted) in cases {
            assert_eq!(found(message), wanted, "{message}");
        }
    }

    #[test]
    fn messages_of_other_forms_are_refused() {
        for other in ["[]", "7", "{}", r#"{"role": 7}"#, r#"{"content": "a"}"#, "{"] {
            assert_eq!(message_texts(other), Err(MessageError::Unknown), "{other}");
        }
        assert_eq!(message_texts(r#"{"type": "reasoning", "summary": []}"#), Ok(Vec::new()));
    }

    #[test]
    fn roles_of_geminis_messages_have_the_usual_names() {
        let role = |message: &str| message_texts(message).unwrap().remove(0).role;
        assert_eq!(role(r#"{"parts": [{"text": "a"}]}"#), "user");
        assert_eq!(role(r#"{"role": "model", "parts": [{"text": "a"}]}"#), "assistant");
        let result = r#"{"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "a"}}}]}"#;
        assert_eq!(role(result), "tool");
    }

    #[test]
    fn what_is_nested_too_deep_is_left_alone() {
        let nested = |depth: usize| {
            let response = format!("{}\"a\"{}", "[".repeat(depth), "]".repeat(depth));
            let part = format!(r#"{{"functionResponse": {{"name": "f", "response": {response}}}}}"#);
            message_texts(&format!(r#"{{"role": "user", "parts": [{part}]}}"#)).unwrap().len()
        };
        assert_eq!([1, DEEPEST, DEEPEST + 1, 100_000].map(nested), [1, 1, 0, 0]);
    }

    #[test]
    fn what_is_twice_there_is_left_alone() {
        assert_eq!(message_texts(r#"{"role": "user", "content": "a", "content": "b"}"#), Ok(Vec::new()));
        let part = r#"{"role": "user", "content": [{"type": "text", "text": "a", "text": "b"}, {"type": "text", "text": "caf\u00e9"}]}"#;
        let texts = message_texts(part).unwrap();
        assert_eq!((texts.len(), &*texts[0].text, &*texts[0].path), (1, "café", "content[1]"));
        assert_eq!(&part[texts[0].place.clone()], "caf\\u00e9");
    }
}
