//! The tool in requests: its definition, the requests of further rounds, and calls that were kept from a client.

use serde_json::{Value as Json, json};

use super::{Call, TOOL, Turn};
use crate::text::{DuplicateKey, JsonValue};
use crate::wire::finder::{Piece, find};
use crate::wire::{Edit, Endpoint, Request};

/// The words that tell the model when to call the tool. They stand in conversations that go on: any change of them breaks
/// the prompt cache of all.
const DESCRIPTION: &str = "Returns the original text of a tool result from which lines were left out. A mark such as \
    `[58 lines left out: progress; recall 9c5ec9f0a1b2c3d4]` stands where lines are missing, and the 16 digits behind \
    `recall` are the id. Call this tool only when the missing lines are needed; ask for a range of lines where a part is \
    enough.";

/// The edit that adds the tool to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injection {
    /// The edit.
    pub edit: Edit,
    /// True where the model has said nothing yet, so that the conversation begins with this request.
    pub begins: bool,
}

/// A call that was kept from a client because another had gone to it already, with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// The call.
    pub call: Call,
    /// The result.
    pub result: String,
}

/// Returns the tool as an endpoint's requests define it, where they can have it.
fn definition(endpoint: Endpoint) -> Option<String> {
    let line = |meaning: &str| json!({"type": "integer", "minimum": 1, "description": meaning});
    let schema = json!({
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The id that the mark names behind `recall`."},
            "first_line": line("The first line of the original that is wanted, from 1; left out, the first there is."),
            "last_line": line("The last line that is wanted; left out, the last there is."),
        },
        "required": ["id"],
    });
    let tool = match endpoint {
        Endpoint::Messages | Endpoint::CountTokens => {
            json!({"name": TOOL, "description": DESCRIPTION, "input_schema": schema})
        }
        Endpoint::Responses => json!({
            "type": "function", "name": TOOL, "description": DESCRIPTION, "parameters": schema, "strict": false}),
        Endpoint::Chat => json!({
            "type": "function",
            "function": {"name": TOOL, "description": DESCRIPTION, "parameters": schema}}),
        Endpoint::Completions
        | Endpoint::Embeddings
        | Endpoint::Contents
        | Endpoint::CountContents
        | Endpoint::OllamaChat
        | Endpoint::OllamaGenerate
        | Endpoint::CohereChat => return None,
    };
    Some(tool.to_string())
}

/// Returns how the tool is added to a request. None where its endpoint has none, it has no tools or one of that name,
/// where several answers are asked for, or where the provider keeps the conversation, so that calls in it cannot be
/// hidden.
#[must_use]
pub fn injection(request: &Request) -> Option<Injection> {
    let [tools, n, store, previous, conversation, background] = request
        .top
        .fields(["tools", "n", "store", "previous_response_id", "conversation", "background"])
        .ok()?;
    let says = |value: Option<JsonValue>, raw: &str| value.is_some_and(|value| value.raw() == raw);
    let unset = |value: Option<JsonValue>| value.is_none() || says(value, "null");
    let definition = definition(request.endpoint)?;
    let fits = match request.endpoint {
        Endpoint::Chat => unset(n) || says(n, "1"),
        Endpoint::Responses => {
            let kept = [previous, conversation].into_iter().any(|kept| !unset(kept));
            says(store, "false") && !kept && !says(background, "true")
        }
        _ => true,
    };
    let (tools, messages) = (tools?, request.conversation?);
    let last = tools.elements().last().filter(|_| fits && !tools.elements().any(is_ours))?;
    let mut begins = true;
    for message in messages.elements() {
        find(message, &mut |piece| begins &= !matches!(piece, Piece::Answer)).ok()?;
    }
    let place = last.range().end;
    let with = format!(",{definition}");
    Some(Injection { edit: Edit { range: place..place, with }, begins })
}

/// Tells whether a tool of the client's has the name. One that cannot be read might.
fn is_ours(tool: JsonValue) -> bool {
    let Ok([name, function]) = tool.fields(["name", "function"]) else { return true };
    let inner = function.map(|function| function.fields(["name"]));
    let inner = match inner {
        Some(Err(_)) => return true,
        Some(Ok([name])) => name,
        None => None,
    };
    [name, inner].into_iter().flatten().any(|name| name.string().is_some_and(|name| name == TOOL))
}

/// The request of the next round: `body` with the model's turn and the results of its calls, of which each says whether it
/// is an error. None where the body has no conversation.
#[must_use]
pub fn continued(endpoint: Endpoint, body: &str, turn: &Turn, results: &[(String, bool)]) -> Option<String> {
    let conversation = Request::read(endpoint, body.as_bytes()).ok()?.conversation?;
    let answered = turn.calls.iter().zip(results);
    let mut pieces = turn.pieces.clone();
    if endpoint == Endpoint::Messages {
        let results: Vec<Json> =
            answered.map(|(call, (text, failed))| block_of_result(&call.id, text, *failed)).collect();
        pieces.push(json!({"role": "user", "content": results}).to_string());
    } else {
        pieces.extend(answered.map(|(call, (text, _))| item_of_result(endpoint, call, text).to_string()));
    }
    let pieces = pieces.join(",");
    let edit = if conversation.is_string() {
        let first = format!("[{{\"role\":\"user\",\"content\":{}}},{pieces}]", conversation.raw());
        Edit { range: conversation.range(), with: first }
    } else {
        let place = conversation.elements().last()?.range().end;
        Edit { range: place..place, with: format!(",{pieces}") }
    };
    Some(crate::wire::splice(body, vec![edit]))
}

fn block_of_result(id: &str, text: &str, failed: bool) -> Json {
    let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": text});
    if failed {
        block["is_error"] = true.into();
    }
    block
}

/// The message or item of a result in `OpenAI`'s dialect.
fn item_of_result(endpoint: Endpoint, call: &Call, text: &str) -> Json {
    if endpoint == Endpoint::Chat {
        return json!({"role": "tool", "tool_call_id": call.id, "content": text});
    }
    let kind = if call.custom { "custom_tool_call_output" } else { "function_call_output" };
    json!({"type": kind, "call_id": call.id, "output": text})
}

fn item_of_call(endpoint: Endpoint, Call { id, name, arguments, .. }: &Call) -> Json {
    match endpoint {
        Endpoint::Chat => {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        }
        Endpoint::Responses => {
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
        }
        _ => {
            let input: Json = serde_json::from_str(arguments).unwrap_or_else(|_| json!({}));
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
    }
}

/// The edits that put calls which were kept from the client, and their results, back beside the calls that `kept` knows
/// them by. A call whose neighbour has no result is left out.
#[must_use]
pub fn reinserted(request: &Request, kept: impl Fn(&str) -> Vec<Late>) -> Vec<Edit> {
    let mut places = Places { endpoint: request.endpoint, calls: Vec::new(), results: Vec::new() };
    for message in request.conversation.iter().flat_map(|conversation| conversation.elements()) {
        // A message that has a key twice is left alone.
        places.read(message).unwrap_or_default();
    }
    let mut edits = Vec::new();
    for (id, call_place) in &places.calls {
        let result_place = places.results.iter().find(|(other, _)| other == id).map(|(_, place)| *place);
        let Some(result_place) = result_place else { continue };
        for Late { call, result } in kept(id) {
            let answer = match request.endpoint {
                Endpoint::Chat | Endpoint::Responses => item_of_result(request.endpoint, &call, &result),
                _ => block_of_result(&call.id, &result, false),
            };
            let call = item_of_call(request.endpoint, &call);
            edits.push(Edit { range: *call_place..*call_place, with: format!(",{call}") });
            edits.push(Edit { range: result_place..result_place, with: format!(",{answer}") });
        }
    }
    edits
}

/// The ends of calls and results in a body, by their ids.
struct Places {
    endpoint: Endpoint,
    calls: Vec<(String, usize)>,
    results: Vec<(String, usize)>,
}

impl Places {
    fn read(&mut self, message: JsonValue) -> Result<(), DuplicateKey> {
        if self.endpoint == Endpoint::Responses {
            let [kind, id] = message.fields(["type", "call_id"])?;
            let output = kind.and_then(JsonValue::string).is_some_and(|kind| kind.ends_with("_output"));
            self.note(output, id, message);
            return Ok(());
        }
        let [content, calls, id] = message.fields(["content", "tool_calls", "tool_call_id"])?;
        self.note(true, id, message);
        for call in calls.iter().flat_map(|calls| calls.elements()) {
            let [id] = call.fields(["id"])?;
            self.note(false, id, call);
        }
        for block in content.iter().flat_map(|content| content.elements()) {
            let [kind, id, answers] = block.fields(["type", "id", "tool_use_id"])?;
            match kind.and_then(JsonValue::string).as_deref() {
                Some("tool_use") => self.note(false, id, block),
                Some("tool_result") => self.note(true, answers, block),
                _ => {}
            }
        }
        Ok(())
    }

    /// Notes the first place of an id.
    fn note(&mut self, is_result: bool, id: Option<JsonValue>, value: JsonValue) {
        let Some(id) = id.and_then(JsonValue::string) else { return };
        let places = if is_result { &mut self.results } else { &mut self.calls };
        if !places.iter().any(|(known, _)| *known == id) {
            places.push((id.into_owned(), value.range().end));
        }
    }
}
