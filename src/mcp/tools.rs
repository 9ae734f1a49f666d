//! The tools: what each takes, does and returns.

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::recall::RecallInput;
use super::schema::arguments;
use super::{Host, schema};
use crate::compress::Method;
use crate::engine::api::{CompressRequest, CompressResponse, CountRequest, CountResponse, DocumentInput};
use crate::engine::collections::api::{
    CreateRequest, SearchRequest, SearchResponse, SourceDocument, UpsertRequest, UpsertResponse,
};
use crate::engine::examples::api::{SelectRequest, SelectResponse};
use crate::engine::prompt::api::{PromptRequest, PromptResponse};
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;
use crate::retrieve::{Filter, SearchMode};

/// The share of tokens that is kept where a call says nothing of a budget.
const DEFAULT_RATE: f64 = 0.5;

/// What a tool does with what there is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    /// Stores things; those of the same name are replaced. The same call twice changes nothing more.
    Replaces,
}

/// How a tool is run.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// By a function that blocks.
    Blocking(fn(&Host, JsonObject, &Cancel) -> Result<CallToolResult, EngineError>),
    /// By the originals, which are read by tasks of their own.
    Recall,
}

/// A tool.
pub(super) struct Definition {
    name: &'static str,
    title: &'static str,
    description: &'static str,
    effect: Effect,
    input: fn() -> JsonObject,
    output: Option<fn() -> JsonObject>,
    pub(super) work: Work,
}

/// All tools, in the order in which they are listed.
pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "compress",
        title: "Compress a text",
        description: "Make a long text or documents smaller, keeping what the question needs. Returns `prompt` and token \
                      counts.",
        effect: Effect::Reads,
        input: schema::input::<CompressInput>,
        output: Some(schema::output::<CompressResponse>),
        work: Work::Blocking(|host, arguments, cancel| {
            structured(arguments, |input: CompressInput| host.engine.compress(input.into(), cancel))
        }),
    },
    Definition {
        name: "read_file_compressed",
        title: "Read a file, compressed",
        description: "Read a text, code, PDF, HTML or office file and return it smaller, keeping what the question needs. \
                      Marks say where lines were left out. Do not edit a file from this: read it whole.",
        effect: Effect::Reads,
        input: schema::input::<FileInput>,
        output: None,
        work: Work::Blocking(read_file),
    },
    Definition {
        name: "search",
        title: "Search a collection",
        description: "Find the passages of a collection that best match a query, by words and by meaning.",
        effect: Effect::Reads,
        input: schema::input::<SearchInput>,
        output: Some(schema::output::<SearchResponse>),
        work: Work::Blocking(|host, arguments, cancel| {
            structured(arguments, |input: SearchInput| {
                let (collection, request) = input.parts();
                host.engine.collections().search(&collection, &request, cancel)
            })
        }),
    },
    Definition {
        name: "ingest",
        title: "Store documents",
        description: "Store documents in a collection, to be searched later. A document replaces the one with its id.",
        effect: Effect::Replaces,
        input: schema::input::<IngestInput>,
        output: Some(schema::output::<UpsertResponse>),
        work: Work::Blocking(|host, arguments, cancel| {
            structured(arguments, |input: IngestInput| ingest(&host.engine, input, cancel))
        }),
    },
    Definition {
        name: "prompt",
        title: "Build a prompt",
        description: "Build a prompt for a question within a token budget, from what collections and banks of examples \
                      hold about it, with numbered citations.",
        effect: Effect::Reads,
        input: schema::input::<PromptInput>,
        output: Some(schema::output::<PromptResponse>),
        work: Work::Blocking(|host, arguments, cancel| {
            structured(arguments, |input: PromptInput| host.engine.prompts().build(&input.into(), cancel))
        }),
    },
    Definition {
        name: "examples_select",
        title: "Select solved examples",
        description: "Select the solved examples of a bank that are most like a question.",
        effect: Effect::Reads,
        input: schema::input::<ExamplesInput>,
        output: Some(schema::output::<SelectResponse>),
        work: Work::Blocking(|host, arguments, cancel| {
            structured(arguments, |input: ExamplesInput| {
                let request = SelectRequest {
                    question: input.question,
                    count: input.count.unwrap_or(SelectRequest::default().count),
                    ..SelectRequest::default()
                };
                host.engine.banks().select(&input.bank, &request, cancel)
            })
        }),
    },
    Definition {
        name: "count_tokens",
        title: "Count tokens",
        description: "Count the tokens of a text, as a model's tokenizer does.",
        effect: Effect::Reads,
        input: schema::input::<CountRequest>,
        output: Some(schema::output::<CountResponse>),
        work: Work::Blocking(|host, arguments, _| {
            structured(arguments, |input: CountRequest| host.engine.count_tokens(&input))
        }),
    },
    Definition {
        name: "recall",
        title: "Recall an original",
        description: "Return what a mark such as [58 lines left out: progress; recall ID] stands for, whole or a range of \
                      its bytes.",
        effect: Effect::Reads,
        input: schema::input::<RecallInput>,
        output: None,
        work: Work::Recall,
    },
];

/// Returns the tool of that name.
pub(super) fn find(name: &str) -> Option<&'static Definition> {
    ALL.iter().find(|tool| tool.name == name)
}

impl Definition {
    /// Returns the tool as clients see it.
    pub(super) fn described(&self) -> Tool {
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(self.effect == Effect::Reads)
            .destructive(self.effect == Effect::Replaces)
            .idempotent(true)
            .open_world(false);
        let tool = Tool::new(self.name, self.description, (self.input)())
            .with_title(self.title)
            .with_annotations(annotations);
        match self.output {
            Some(output) => tool.with_raw_output_schema(output().into()),
            None => tool,
        }
    }
}

/// Arguments of `compress`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompressInput {
    /// The text. Give this or `documents`.
    text: Option<String>,
    /// Documents.
    documents: Option<Vec<CompressDocument>>,
    /// The question that the result must still answer; it stands at the end of the prompt.
    question: Option<String>,
    /// An instruction that stands before the documents.
    instruction: Option<String>,
    /// Share of the tokens to keep, above 0 and at most 1; 0.5 where neither this nor `target_tokens` is given.
    rate: Option<f64>,
    /// Most tokens of the result. Give this or `rate`.
    target_tokens: Option<usize>,
    /// The method; `auto` by default.
    method: Option<Method>,
    /// The model that the result is for, whose tokens are counted.
    model: Option<String>,
}

/// A document to compress.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CompressDocument {
    /// Unique in the call.
    id: Option<String>,
    /// Stays whole.
    title: Option<String>,
    /// The text.
    text: String,
}

impl From<CompressInput> for CompressRequest {
    fn from(input: CompressInput) -> Self {
        let CompressInput { text, documents, question, instruction, rate, target_tokens, method, model } =
            input;
        let document = |CompressDocument { id, title, text }| DocumentInput {
            id,
            title,
            text,
            ..DocumentInput::default()
        };
        Self {
            context: text,
            documents: documents.map(|documents| documents.into_iter().map(document).collect()),
            question,
            instruction,
            rate: rate_of(rate, target_tokens),
            target_tokens,
            method,
            model,
            // Byte ranges are for programs, and cost a model many tokens.
            returns: Some(Vec::new()),
            ..Self::default()
        }
    }
}

/// Arguments of `read_file_compressed`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileInput {
    /// The file: absolute, or below one of the folders that may be read.
    path: String,
    /// The question that the result must still answer.
    question: Option<String>,
    /// Share of the tokens to keep, above 0 and at most 1; 0.5 where neither this nor `target_tokens` is given.
    rate: Option<f64>,
    /// Most tokens of the file and the question together. Give this or `rate`.
    target_tokens: Option<usize>,
    /// The method; `auto` by default.
    method: Option<Method>,
}

/// Arguments of `search`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SearchInput {
    /// The collection.
    collection: String,
    /// What to look for.
    query: String,
    /// Most results, 1 to 1,000; 10 by default.
    top_k: Option<usize>,
    /// `hybrid` (the default), `lexical` or `dense`.
    mode: Option<SearchMode>,
    /// A condition on metadata, such as `{"field": "year", "gte": 1990}`, with `eq`, `in`, `gt`, `gte`, `lt`, `lte`,
    /// `exists`; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`.
    #[schema(value_type = Option<Object>)]
    filter: Option<Filter>,
}

impl SearchInput {
    fn parts(self) -> (String, SearchRequest) {
        let defaults = SearchRequest::default();
        let request = SearchRequest {
            query: self.query,
            top_k: self.top_k.unwrap_or(defaults.top_k),
            mode: self.mode.unwrap_or(defaults.mode),
            filter: self.filter,
            ..defaults
        };
        (self.collection, request)
    }
}

/// Arguments of `ingest`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IngestInput {
    /// The collection: 1 to 64 of a-z, 0-9, - and _.
    collection: String,
    /// The documents, stored together or not at all.
    documents: Vec<IngestDocument>,
    /// Whether the collection is made where there is none.
    #[serde(default)]
    create: bool,
}

/// A document to store.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IngestDocument {
    /// Unique in the collection; by default a hash of the document.
    id: Option<String>,
    /// Searched for as the text is.
    title: Option<String>,
    /// The text.
    text: String,
    /// Free data, which filters look at.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    metadata: JsonObject,
}

fn ingest(engine: &Engine, input: IngestInput, cancel: &Cancel) -> Result<UpsertResponse, EngineError> {
    let IngestInput { collection, documents, create } = input;
    let collections = engine.collections();
    if create && collections.get(&collection).is_err() {
        collections.create(&collection, CreateRequest::default())?;
    }
    let document = |IngestDocument { id, title, text, metadata }| SourceDocument {
        id,
        title,
        text,
        metadata,
        ..SourceDocument::default()
    };
    let documents = documents.into_iter().map(document).collect();
    collections.upsert(&collection, UpsertRequest { documents, ..UpsertRequest::default() }, cancel)
}

/// Arguments of `prompt`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PromptInput {
    /// The question.
    question: String,
    /// Collections to answer it from.
    #[serde(default)]
    collections: Vec<String>,
    /// Banks that solved examples are taken from.
    #[serde(default)]
    banks: Vec<String>,
    /// Most tokens of the whole prompt.
    target_tokens: usize,
    /// An additional instruction to the model.
    instruction: Option<String>,
    /// The template, `answer` by default.
    template: Option<String>,
}

impl From<PromptInput> for PromptRequest {
    fn from(input: PromptInput) -> Self {
        let PromptInput { question, collections, banks, target_tokens, instruction, template } = input;
        Self { question, collections, banks, target_tokens, instruction, template, ..Self::default() }
    }
}

/// Arguments of `examples_select`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExamplesInput {
    /// The bank.
    bank: String,
    /// The question.
    question: String,
    /// The number of examples, 1 to 100; 5 by default.
    count: Option<usize>,
}

fn rate_of(rate: Option<f64>, target_tokens: Option<usize>) -> Option<f64> {
    rate.or_else(|| target_tokens.is_none().then_some(DEFAULT_RATE))
}

/// Runs a tool whose result is JSON.
fn structured<I: DeserializeOwned, O: Serialize>(
    object: JsonObject,
    work: impl FnOnce(I) -> Result<O, EngineError>,
) -> Result<CallToolResult, EngineError> {
    let output = work(arguments(object)?)?;
    let value = serde_json::to_value(output)
        .map_err(|error| EngineError::internal(format!("a result has no JSON form: {error}")))?;
    Ok(CallToolResult::structured(value))
}

fn read_file(host: &Host, object: JsonObject, cancel: &Cancel) -> Result<CallToolResult, EngineError> {
    let input: FileInput = arguments(object)?;
    let text = host.roots.read(&input.path, host.limits.body_bytes, cancel)?;
    let request = CompressRequest {
        documents: Some(vec![DocumentInput { text, ..DocumentInput::default() }]),
        question: input.question,
        rate: rate_of(input.rate, input.target_tokens),
        target_tokens: input.target_tokens,
        method: input.method,
        returns: Some(Vec::new()),
        ..CompressRequest::default()
    };
    let response = host.engine.compress(request, cancel)?;
    let text = response.documents.into_iter().map(|document| document.text).collect::<String>();
    let usage = response.usage;
    let summary = format!(
        "{}: {} -> {} tokens ({})",
        input.path, usage.original_tokens, usage.compressed_tokens, usage.tokenizer
    );
    Ok(CallToolResult::success(vec![ContentBlock::text(text), ContentBlock::text(summary)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_has_a_schema_of_an_object_and_a_short_description() {
        for tool in ALL {
            let described = tool.described();
            assert_eq!(described.input_schema["type"], "object", "{}", tool.name);
            for schema in
                [Some(&described.input_schema), described.output_schema.as_ref()].into_iter().flatten()
            {
                let text = serde_json::to_string(&**schema).unwrap();
                assert!(!text.contains("$ref"), "{}: {text}", tool.name);
                assert_eq!(schema["type"], "object", "{}", tool.name);
            }
            assert!(tool.description.len() < 220, "{}", tool.name);
            let annotations = described.annotations.unwrap();
            assert_eq!(annotations.read_only_hint, Some(tool.name != "ingest"));
            assert_eq!(annotations.destructive_hint, Some(tool.name == "ingest"));
        }
    }

    #[test]
    fn half_is_kept_where_no_budget_is_named() {
        let rate = |input: CompressInput| CompressRequest::from(input).rate;
        assert_eq!(rate(CompressInput::default()), Some(0.5));
        assert_eq!(rate(CompressInput { target_tokens: Some(9), ..CompressInput::default() }), None);
        assert_eq!(rate(CompressInput { rate: Some(0.2), ..CompressInput::default() }), Some(0.2));
    }
}
