//! Vectors and rankings in the forms that clients of other services know.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::models::Embedder;
use super::{Engine, EngineError, ErrorKind};
use crate::compress::{self, Document, Prompt};
use crate::model::{Cancel, Embedder as _, Reranker, ScoreError};
use crate::text::decode_cl100k;

/// The optional prefix of names of models in this process.
const LOCAL: &str = "local/";

/// Body of `POST /v1/embeddings`, as `OpenAI`'s clients send it. Fields that are not listed are passed over.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub struct EmbeddingsRequest {
    /// A text, a list of texts, the token ids of a text, or a list of such ids. Ids are those of `cl100k_base`,
    /// which `OpenAI`'s clients send.
    #[schema(value_type = Object)]
    pub input: EmbeddingsInput,
    /// Name of the configured embedder, with or without `local/` before it, or left out.
    pub model: Option<String>,
    /// `float` (default) or `base64`.
    #[serde(default)]
    pub encoding_format: Encoding,
    /// Values of a vector; only as many as the model gives.
    pub dimensions: Option<usize>,
    /// The use of the texts, `document` (default) or `query`: some models read questions otherwise. Whatever is none of
    /// these counts as `document`.
    #[serde(default)]
    pub input_type: InputType,
}

/// The use of texts that are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase", from = "Value")]
pub enum InputType {
    /// Texts that are searched.
    #[default]
    Document,
    /// Questions that they are searched for.
    Query,
}

/// The texts to embed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct EmbeddingsInput(Vec<String>);

/// The encoding of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64.
    Base64,
}

/// Answer of `POST /v1/embeddings`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EmbeddingsResponse {
    /// Always `list`.
    pub object: &'static str,
    /// A vector for each text, in the order sent.
    pub data: Vec<Embedding>,
    /// Model that made them.
    pub model: String,
    /// The fingerprint of the model's files, by which collections tell it from others of its name.
    pub identity: String,
    /// Token counts.
    pub usage: EmbedderUsage,
}

/// Vector of one text.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: &'static str,
    /// Place of the text in the request, from 0.
    pub index: usize,
    /// The vector, of length 1.
    pub embedding: Vector,
}

/// A vector, as it was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Vector {
    /// The values as numbers.
    Float(Vec<f32>),
    /// The values as little-endian 32-bit floats in base64.
    Base64(String),
}

/// Tokens that the embedder read.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct EmbedderUsage {
    /// Tokens of the texts.
    pub prompt_tokens: usize,
    /// The number of tokens, equal to `prompt_tokens`.
    pub total_tokens: usize,
}

/// Body of `POST /v1/rerank`, as clients of Cohere and Jina send it. Fields that are not listed are passed over.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
pub struct RerankRequest {
    /// Name of the configured reranker or embedder, with or without `local/` before it. Left out, the reranker ranks where one
    /// is configured, else the embedder.
    pub model: Option<String>,
    /// The query that documents are ranked by.
    pub query: String,
    /// Texts, or objects with a `text`.
    pub documents: Vec<RerankDocument>,
    /// Most results; by default all.
    pub top_n: Option<usize>,
    /// Whether results include the texts, as objects, however they were sent.
    #[serde(default)]
    pub return_documents: bool,
}

/// A document to rank.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum RerankDocument {
    /// The text itself.
    Text(String),
    /// An object with its text.
    Object(RerankText),
}

/// A document as an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
pub struct RerankText {
    /// The text of the document.
    pub text: String,
}

impl RerankDocument {
    fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Object(RerankText { text }) => text,
        }
    }
}

/// Answer of `POST /v1/rerank`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RerankResponse {
    /// Unique name of this answer.
    pub id: String,
    /// Model that ranked: the reranker or the embedder.
    pub model: String,
    /// The documents, the most relevant first.
    pub results: Vec<RerankResult>,
    /// Token counts, where Jina's clients look for them.
    pub usage: EmbedderUsage,
    /// Token counts, where Cohere's clients look for them.
    pub meta: RerankMeta,
}

/// The metadata of a response in Cohere's API.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RerankMeta {
    /// Version of that API.
    pub api_version: RerankVersion,
    /// Token counts.
    pub tokens: RerankTokens,
}

/// Version of Cohere's API that an answer is in the form of.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RerankVersion {
    /// Always `1`.
    pub version: &'static str,
}

/// Tokens as Cohere's API counts them.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RerankTokens {
    /// Tokens of the query and the documents.
    pub input_tokens: usize,
    /// Always 0.
    pub output_tokens: usize,
}

/// A document and its worth.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RerankResult {
    /// The index in the request, from 0.
    pub index: usize,
    /// 0 to 1, the more the better. An order, not a probability; of a reranker, the sigmoid of its score.
    pub relevance_score: f64,
    /// The text, where it was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<RerankText>,
}

impl Engine {
    /// A vector for each text.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn embed(
        &self,
        request: EmbeddingsRequest,
        cancel: &Cancel,
    ) -> Result<EmbeddingsResponse, EngineError> {
        let EmbeddingsInput(texts) = request.input;
        self.check_count("input", texts.len())?;
        let embedder = self.models.embedder()?;
        check_model(&embedder, request.model.as_deref())?;
        if let Some(asked) = request.dimensions.filter(|&asked| asked != embedder.dimensions()) {
            let message = format!(
                "`dimensions` is {asked}; {} gives {} values",
                embedder.name(),
                embedder.dimensions()
            );
            return Err(EngineError::invalid("unsupported_dimensions", "dimensions", message));
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let usage = self.usage(|text| embedder.count(text, cancel), &texts, 1)?;
        let vectors = match request.input_type {
            InputType::Document => embedder.embed(&texts, cancel)?,
            InputType::Query => {
                texts.iter().map(|text| embedder.embed_query(text, cancel)).collect::<Result<_, _>>()?
            }
        };
        let data = vectors.into_iter().enumerate().map(|(index, values)| Embedding {
            object: "embedding",
            index,
            embedding: match request.encoding_format {
                Encoding::Float => Vector::Float(values),
                Encoding::Base64 => Vector::Base64(base64(&values)),
            },
        });
        Ok(EmbeddingsResponse {
            object: "list",
            data: data.collect(),
            model: embedder.name().to_owned(),
            identity: embedder.identity().to_owned(),
            usage,
        })
    }

    /// The vectors of texts, of length 1, in the order of the texts.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn vectors(&self, texts: &[&str], cancel: &Cancel) -> Result<Vec<Vec<f32>>, EngineError> {
        Ok(self.models.embedder()?.embed(texts, cancel)?)
    }

    /// Documents by what they have to do with a query: by the reranker where one is configured, else by the embedder,
    /// document and best sentence, and BM25.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn rerank(&self, request: &RerankRequest, cancel: &Cancel) -> Result<RerankResponse, EngineError> {
        self.check_count("documents", request.documents.len())?;
        if request.query.trim().is_empty() {
            let message = "`query` is empty: say what the documents are to answer";
            return Err(EngineError::invalid("empty_query", "query", message));
        }
        let texts = request.documents.iter().map(RerankDocument::text);
        let counted: Vec<&str> = texts.clone().chain([&*request.query]).collect();
        let document =
            |(i, text): (usize, &str)| Document { id: i.to_string(), title: None, text: text.into() };
        let prompt = Prompt {
            documents: texts.enumerate().map(document).collect(),
            question: request.query.clone(),
            ..Prompt::default()
        };
        let is_asked = |name: &str| request.model.as_deref().is_none_or(|asked| is_name(asked, name));
        let reranker = match self.models.reranker_name() {
            Some(name) if is_asked(&name) => self.models.reranker()?,
            _ => None,
        };
        let rank = |embedder: &Embedder| {
            check_model(embedder, request.model.as_deref())?;
            let usage = self.usage(|text| embedder.count(text, cancel), &counted, 1)?;
            Ok((embedder.name().to_owned(), usage, compress::rank(&prompt, embedder, cancel)?))
        };
        // Who names a model wants no other.
        let (model, usage, ranking) = match (reranker, &request.model) {
            (Some(reranker), named) => {
                // The question is read with each document.
                let pairs = request.documents.len();
                let usage = self.usage(|text| reranker.count(text, cancel), &counted, pairs)?;
                let rank = |by: &dyn Reranker| {
                    Ok((by.name().to_owned(), compress::rank_by_reranker(&prompt, by, cancel)?))
                };
                let (model, ranking) = match named {
                    Some(_) => rank(&*reranker).map_err(EngineError::from)?,
                    None => self.models.rerank_whole(|by| rank(by.unwrap_or(&*reranker)))?.0,
                };
                (model, usage, ranking)
            }
            (None, Some(_)) => rank(&*self.models.embedder()?)?,
            (None, None) => self.models.rank_whole(rank)?.0,
        };
        let most = request.top_n.unwrap_or(usize::MAX);
        let result = |(index, relevance_score): (usize, f64)| RerankResult {
            index,
            relevance_score,
            document: request
                .return_documents
                .then(|| RerankText { text: request.documents[index].text().to_owned() }),
        };
        Ok(RerankResponse {
            id: format!("rank-{}", uuid::Uuid::now_v7().simple()),
            model,
            results: ranking.into_iter().take(most).map(result).collect(),
            usage,
            meta: RerankMeta {
                api_version: RerankVersion { version: "1" },
                tokens: RerankTokens { input_tokens: usage.prompt_tokens, output_tokens: 0 },
            },
        })
    }

    pub(super) fn check_count(&self, param: &'static str, count: usize) -> Result<(), EngineError> {
        let most = self.limits.documents;
        if count == 0 {
            return Err(EngineError::invalid("empty_input", param, format!("`{param}` is an empty list")));
        }
        if count <= most {
            return Ok(());
        }
        let message = format!("`{param}` has {count} texts; at most {most} are allowed (`limits.documents`)");
        Err(EngineError::too_many_documents(param, message))
    }

    /// The tokens of texts as a model counts them, of the last so many `times`, which must be within the limit.
    fn usage(
        &self,
        count: impl Fn(&str) -> Result<usize, ScoreError>,
        texts: &[&str],
        times: usize,
    ) -> Result<EmbedderUsage, EngineError> {
        let mut tokens = 0;
        for (i, text) in texts.iter().enumerate() {
            tokens += count(text)? * if i + 1 == texts.len() { times } else { 1 };
        }
        let most = self.limits.tokens;
        if tokens <= most {
            return Ok(EmbedderUsage { prompt_tokens: tokens, total_tokens: tokens });
        }
        Err(EngineError::too_many_tokens("the texts have", tokens, most, None))
    }
}

/// Returns whether a request names the model called `name`.
pub(super) fn is_name(asked: &str, name: &str) -> bool {
    asked == name || asked.strip_prefix(LOCAL) == Some(name)
}

fn check_model(embedder: &Embedder, asked: Option<&str>) -> Result<(), EngineError> {
    let name = embedder.name();
    match asked.filter(|asked| !is_name(asked, name)) {
        None => Ok(()),
        Some(asked) => {
            let asked: String = asked.chars().take(80).collect();
            let message =
                format!("there is no embedding model `{asked}` here: name `{name}`, or leave `model` out");
            Err(EngineError {
                kind: ErrorKind::NotFound,
                code: "model_not_found",
                param: Some("model"),
                message,
            })
        }
    }
}

fn base64(values: &[f32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

impl From<Value> for InputType {
    fn from(value: Value) -> Self {
        match value.as_str() {
            // The second is what Cohere's clients send.
            Some("query" | "search_query") => Self::Query,
            _ => Self::Document,
        }
    }
}

impl TryFrom<Value> for EmbeddingsInput {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let texts = match value {
            Value::String(text) => vec![text],
            Value::Array(values) if values.first().is_some_and(Value::is_number) => vec![decoded(&values)?],
            Value::Array(values) => values
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    Value::Array(ids) => decoded(&ids),
                    _ => Err(WRONG_INPUT.to_owned()),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(WRONG_INPUT.into()),
        };
        match texts.iter().position(String::is_empty) {
            Some(place) => Err(format!("the text at place {place} is empty")),
            None => Ok(Self(texts)),
        }
    }
}

const WRONG_INPUT: &str = "expected a text, a list of texts, a list of token ids or a list of such lists";

fn decoded(ids: &[Value]) -> Result<String, String> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids: Option<Vec<u32>> = ids.iter().map(id).collect();
    let ids = ids.ok_or(WRONG_INPUT)?;
    decode_cl100k(&ids).ok_or_else(|| "these are no token ids of `cl100k_base`: send the text instead".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_come_in_four_forms() {
        let texts = |input: Value| EmbeddingsInput::try_from(input).map(|input| input.0);
        assert_eq!(texts(json!("a b")).unwrap(), ["a b"]);
        assert_eq!(texts(json!(["a", "b"])).unwrap(), ["a", "b"]);
        assert_eq!(texts(json!([9906, 1917])).unwrap(), ["Hello world"]);
        assert_eq!(texts(json!([[9906], [1917], "c"])).unwrap(), ["Hello", " world", "c"]);
        assert_eq!(texts(json!([])).unwrap(), [] as [&str; 0]);
        for (bad, wanted) in [
            (json!(5), "expected a text"),
            (json!([true]), "expected a text"),
            (json!([1, "a"]), "expected a text"),
            (json!([-1]), "expected a text"),
            (json!([4_294_967_295_u32]), "no token ids"),
            (json!([100_256]), "no token ids"),
            (json!(["a", ""]), "place 1 is empty"),
            (json!([[]]), "place 0 is empty"),
        ] {
            let error = texts(bad.clone()).unwrap_err();
            assert!(error.contains(wanted), "{bad}: {error}");
        }
    }

    #[test]
    fn the_use_of_texts_is_read_from_whatever_clients_send() {
        for (value, wanted) in [
            (json!("query"), InputType::Query),
            (json!("search_query"), InputType::Query),
            (json!("document"), InputType::Document),
            (json!("passage"), InputType::Document),
            (json!(null), InputType::Document),
            (json!(7), InputType::Document),
        ] {
            assert_eq!(serde_json::from_value::<InputType>(value).unwrap(), wanted);
        }
    }

    #[test]
    fn base64_is_of_little_endian_floats() {
        assert_eq!(base64(&[1.0, -2.0]), "AACAPwAAAMA=");
    }
}
