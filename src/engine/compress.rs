//! `compress`: checks a request, runs a method, describes the result.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Instant;

use super::api::{
    CompressRequest, CompressResponse, DocumentInput, DocumentOutput, Return, Timing, Usage, Warning,
    WordOutput,
};
use super::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::compress::{
    self, CompressError, Compressed, Document, KeptDocument, KeptWord, Method, Mode, Prompt, Target, Tools,
};
use crate::model::{Cancel, Embedder, ScoreError, TokenClassifier, TokenScorer};
use crate::text::TokenCounter;

pub(super) fn run(
    engine: &Engine,
    mut request: CompressRequest,
    cancel: &Cancel,
) -> Result<CompressResponse, EngineError> {
    let start = Instant::now();
    let target = target(request.rate, request.target_tokens)?;
    let inputs = inputs(&mut request, engine.limits.documents)?;
    let (method, mode) = (request.method.unwrap_or_default(), request.mode.unwrap_or_default());
    let counter = engine.models.counter(request.tokenizer.as_deref(), request.model.as_deref())?;
    let (mut prompt, metadata) = prompt(request.instruction, inputs, request.question)?;
    prompt.demands = request.options.demands(&prompt.documents)?;
    let own_protector = request.options.protector()?;
    check_size(&prompt, counter.as_ref(), engine.limits.tokens)?;
    let (chosen, _) = method.resolved(mode, !prompt.question.trim().is_empty());
    let scorer = chosen.scores().then(|| engine.models.scorer()).transpose()?;
    let embedder = chosen.embeds().then(|| engine.models.embedder()).transpose()?;
    let classifier = chosen.classifies().then(|| engine.models.classifier()).transpose()?;
    let tools = Tools {
        scorer: scorer.as_deref().map(|scorer| scorer as &dyn TokenScorer),
        embedder: embedder.as_deref().map(|embedder| embedder as &dyn Embedder),
        classifier: classifier.as_deref().map(|classifier| classifier as &dyn TokenClassifier),
        counter: counter.as_ref(),
        protector: own_protector.as_ref().unwrap_or(&engine.protector),
        cancel,
    };
    let compressed = compress::compress(&prompt, target, method, mode, &tools)?;
    let returns = request.returns.unwrap_or_else(|| vec![Return::Ranges]);
    let mut response = describe(compressed, metadata, &returns, counter.as_ref());
    response.method = chosen;
    response.warnings.extend(warnings(mode, counter.as_ref()));
    response.timing_ms.total = milliseconds_since(start);
    Ok(response)
}

/// Exactly one of rate and target, within its range.
fn target(rate: Option<f64>, tokens: Option<usize>) -> Result<Target, EngineError> {
    match (rate, tokens) {
        (Some(_), Some(_)) => {
            Err(EngineError::invalid("ambiguous_target", "rate", "give `rate` or `target_tokens`, not both"))
        }
        (None, None) => Err(EngineError::invalid(
            "missing_target",
            "rate",
            "say how small the prompt is to become: `rate` (share of tokens to keep) or `target_tokens`",
        )),
        (Some(rate), None) if rate > 0.0 && rate <= 1.0 => Ok(Target::Rate(rate)),
        (Some(rate), None) => Err(EngineError::invalid(
            "invalid_rate",
            "rate",
            format!(
                "`rate` is {rate}; it must be above 0 and at most 1 (0.25 keeps a quarter of the tokens)"
            ),
        )),
        (None, Some(0)) => {
            Err(EngineError::invalid("invalid_target", "target_tokens", "`target_tokens` must be at least 1"))
        }
        (None, Some(tokens)) => Ok(Target::Tokens(tokens)),
    }
}

/// Exactly one of context and documents.
fn inputs(request: &mut CompressRequest, most: usize) -> Result<Vec<DocumentInput>, EngineError> {
    match (request.context.take(), request.documents.take()) {
        (Some(_), Some(_)) => {
            Err(EngineError::invalid("ambiguous_input", "context", "give `context` or `documents`, not both"))
        }
        (None, None) => Err(EngineError::invalid(
            "missing_input",
            "context",
            "nothing to compress: give `context` (a text) or `documents` (a list)",
        )),
        (Some(text), None) => Ok(vec![DocumentInput { id: None, title: None, text, metadata: None }]),
        (None, Some(documents)) if documents.len() > most => {
            let count = documents.len();
            let message = format!("{count} documents; at most {most} are taken (`limits.documents`)");
            Err(EngineError::too_many_documents("documents", message))
        }
        (None, Some(documents)) => Ok(documents),
    }
}

type Metadata = Vec<Option<serde_json::Value>>;

fn prompt(
    instruction: Option<String>,
    inputs: Vec<DocumentInput>,
    question: Option<String>,
) -> Result<(Prompt, Metadata), EngineError> {
    if inputs.iter().all(|input| input.text.trim().is_empty()) {
        return Err(EngineError::invalid(
            "empty_input",
            "documents",
            "nothing to compress: the context is empty or holds only white space",
        ));
    }
    let (mut documents, mut metadata, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    for (i, input) in inputs.into_iter().enumerate() {
        let id = input.id.unwrap_or_else(|| i.to_string());
        if !ids.insert(id.clone()) {
            return Err(EngineError::invalid(
                "duplicate_document_id",
                "documents",
                format!("two documents have the id `{id}`"),
            ));
        }
        documents.push(Document { id, title: input.title, text: input.text });
        metadata.push(input.metadata);
    }
    let (instruction, question) = (instruction.unwrap_or_default(), question.unwrap_or_default());
    Ok((Prompt { instruction, documents, question, ..Prompt::default() }, metadata))
}

fn check_size(prompt: &Prompt, counter: &dyn TokenCounter, most: usize) -> Result<(), EngineError> {
    let texts = prompt.documents.iter().map(|document| document.text.as_str());
    let tokens: usize =
        texts.chain([&*prompt.instruction, &*prompt.question]).map(|t| counter.count(t)).sum();
    if tokens <= most {
        return Ok(());
    }
    Err(EngineError::too_many_tokens("the prompt has", tokens, most, None))
}

fn describe(
    compressed: Compressed,
    metadata: Metadata,
    returns: &[Return],
    counter: &dyn TokenCounter,
) -> CompressResponse {
    let documents = compressed.documents.into_iter().zip(metadata);
    let documents =
        documents.map(|(document, metadata)| DocumentOutput { metadata, ..output(document, returns) });
    CompressResponse {
        id: format!("cmp-{}", uuid::Uuid::now_v7().simple()),
        prompt: compressed.prompt,
        method: Method::default(),
        reason: compressed.reason,
        documents: documents.collect(),
        usage: Usage {
            original_tokens: compressed.original_tokens,
            compressed_tokens: compressed.compressed_tokens,
            requested_tokens: compressed.requested_tokens,
            rate: compressed.compressed_tokens as f64 / compressed.original_tokens.max(1) as f64,
            tokenizer: counter.name().to_owned(),
            approximate: counter.approximate(),
        },
        timing_ms: Timing { total: 0.0, stages: compressed.stages.milliseconds },
        warnings: Vec::new(),
    }
}

fn output(document: KeptDocument, returns: &[Return]) -> DocumentOutput {
    let bounds = |range: &Range<usize>| [range.start, range.end];
    let asked = |what| returns.contains(&what);
    let word = |word: &KeptWord| WordOutput { range: bounds(&word.range), kept: word.kept };
    DocumentOutput {
        kept: asked(Return::Ranges).then(|| document.kept.iter().map(bounds).collect()),
        words: asked(Return::Words).then(|| document.words.iter().map(word).collect()),
        scores: asked(Return::Scores).then(|| document.words.iter().map(|word| word.score).collect()),
        id: document.id,
        text: document.text,
        rank: document.rank,
        score: document.score,
        metadata: None,
    }
}

fn warnings(mode: Mode, counter: &dyn TokenCounter) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if mode == Mode::Reference {
        warnings.push(Warning {
            code: "reference_mode",
            message:
                "reference mode reproduces llmlingua 0.2.2: the budget is not enforced and words may be cut"
                    .into(),
        });
    }
    if counter.approximate() {
        warnings.push(Warning {
            code: "approximate_tokenizer",
            message: format!("`{}` estimates: the model's own tokenizer is not public", counter.name()),
        });
    }
    warnings
}

impl From<CompressError> for EngineError {
    fn from(error: CompressError) -> Self {
        let message = error.to_string();
        match error {
            CompressError::Infeasible { .. } => Self {
                kind: ErrorKind::Infeasible,
                code: "budget_infeasible",
                param: Some("target_tokens"),
                message,
            },
            CompressError::Unsupported(_) => {
                Self { kind: ErrorKind::Infeasible, code: "unsupported_prompt", param: Some("mode"), message }
            }
            CompressError::Missing(_) | CompressError::Broken(_) => Self::internal(message),
            CompressError::Score(error) => error.into(),
        }
    }
}

impl From<ScoreError> for EngineError {
    fn from(error: ScoreError) -> Self {
        match error {
            ScoreError::Stopped(stopped) => stopped.into(),
            ScoreError::Model(message) => Self::internal(message),
        }
    }
}
