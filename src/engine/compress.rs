//! `compress`: checks a request, runs a method, describes the result.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::time::Instant;

use super::api::{
    CompressRequest, CompressResponse, DocumentOutput, Return, Timing, Usage, Warning, WordOutput,
};
use super::input::Input;
use super::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::compress::{
    self, Choice, CompressError, Compressed, Constraints, Document, KeptDocument, KeptWord, Method, Mode,
    Prompt, Target, Tools,
};
use crate::model::{Cancel, Embedder, Reranker, ScoreError, TokenScorer};
use crate::text::{self, CachedCounter, Noun, Protector, TokenCounter};

pub(super) fn run(
    engine: &Engine,
    mut request: CompressRequest,
    cancel: &Cancel,
) -> Result<CompressResponse, EngineError> {
    let start = Instant::now();
    text::prepare();
    let asked = target(request.rate, request.target_tokens)?;
    let input = Input::of(&mut request, engine.limits.documents)?;
    // A pruner decides by itself how much goes.
    let whole = request.method.filter(|method| method.prunes()).map(|_| Target::Rate(1.0));
    let target = asked.or_else(|| input.target()).or(whole).ok_or_else(missing_target)?;
    let Input { documents, metadata, sections, question, form } = input;
    let (method, mode) = (request.method.unwrap_or_default(), request.mode.unwrap_or_default());
    let counter = engine.models.counter(request.tokenizer.as_deref(), request.model.as_deref())?;
    let counter = CachedCounter::new(counter);
    let mut prompt = prompt(request.instruction, documents, request.question.or(question))?;
    let constraints = request.options.constraints(&prompt.documents)?;
    let places = form.places(constraints.unmarked);
    prompt.constraints = Constraints { sections, places, verbatim: form.is_verbatim(), ..constraints };
    let own_protector = request.options.protector()?;
    check_size(&prompt, &counter, engine.limits.tokens)?;
    let protector = own_protector.as_ref().unwrap_or(&engine.protector);
    let cuts = own_protector.is_none().then_some(&engine.cuts);
    let bare = Tools { cuts, ..Tools::bare(&counter, protector, cancel) };
    let choice = Choice::of(&prompt, target, (method, mode), &bare)?;
    let chosen = choice.method;
    let scorer = chosen.scores().then(|| engine.models.scorer()).transpose()?;
    let classifier = chosen.classifies().then(|| engine.models.classifier()).transpose()?;
    let pruner = chosen.prunes().then(|| engine.models.pruner()).transpose()?;
    let tools = Tools {
        scorer: scorer.as_deref().map(|scorer| scorer as &dyn TokenScorer),
        classifier: classifier.as_deref(),
        pruner: pruner.as_deref(),
        ..bare
    };
    let compress = |embedder: Option<&dyn Embedder>, reranker: Option<&dyn Reranker>| {
        let tools = Tools { embedder, reranker, ..tools };
        form.compress(&prompt, target, &counter, |prompt, target| {
            compress::compress_as(prompt, target, &choice, mode, &tools)
        })
    };
    let ((compressed, other_reranker), other_embedder) = if chosen.embeds() {
        let models = &engine.models;
        models.rank_whole(|embedder| models.rerank_whole(|reranker| compress(Some(embedder), reranker)))?
    } else {
        ((compress(None, None)?, None), None)
    };
    let returns = request.returns.unwrap_or_else(|| vec![Return::Ranges]);
    let messages = form.messages(&compressed);
    let records = records_left_out(&compressed);
    let mut response = describe(compressed, metadata, &returns, &counter);
    name_protected(&mut response.documents, &prompt.documents, protector);
    form.as_sent(&mut response);
    (response.method, response.messages) = (chosen, messages);
    response.warnings.extend(records);
    response.warnings.extend(other_embedder.into_iter().chain(other_reranker));
    response.warnings.extend(warnings(mode, &counter));
    response.timing_ms.total = milliseconds_since(start);
    Ok(response)
}

/// At most one of rate and target, within its range.
fn target(rate: Option<f64>, tokens: Option<usize>) -> Result<Option<Target>, EngineError> {
    match (rate, tokens) {
        (Some(_), Some(_)) => {
            Err(EngineError::invalid("ambiguous_target", "rate", "give `rate` or `target_tokens`, not both"))
        }
        (None, None) => Ok(None),
        (Some(rate), None) if rate > 0.0 && rate <= 1.0 => Ok(Some(Target::Rate(rate))),
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
        (None, Some(tokens)) => Ok(Some(Target::Tokens(tokens))),
    }
}

fn missing_target() -> EngineError {
    let message = "say how small the prompt is to become: `rate` (share of tokens to keep) or `target_tokens`, or a \
                   rate for each part";
    EngineError::invalid("missing_target", "rate", message)
}

type Metadata = Vec<Option<serde_json::Value>>;

/// The prompt of what is given, which must hold something to compress.
fn prompt(
    instruction: Option<String>,
    documents: Vec<Document>,
    question: Option<String>,
) -> Result<Prompt, EngineError> {
    if documents.iter().all(|document| document.text.trim().is_empty()) {
        return Err(EngineError::invalid(
            "empty_input",
            "documents",
            "nothing to compress: the context is empty or holds only white space",
        ));
    }
    let mut ids = HashSet::new();
    if let Some(twice) = documents.iter().find(|document| !ids.insert(document.id.as_str())) {
        let message = format!("two documents have the id `{}`", twice.id);
        return Err(EngineError::invalid("duplicate_document_id", "documents", message));
    }
    let (instruction, question) = (instruction.unwrap_or_default(), question.unwrap_or_default());
    Ok(Prompt { instruction, documents, question, ..Prompt::default() })
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
    let mut left_out = BTreeMap::new();
    for (&noun, count) in compressed.documents.iter().flat_map(|document| &document.left_out) {
        *left_out.entry(noun).or_default() += count;
    }
    let documents = compressed.documents.into_iter().zip(metadata);
    let documents =
        documents.map(|(document, metadata)| DocumentOutput { metadata, ..output(document, returns) });
    CompressResponse {
        id: format!("cmp-{}", uuid::Uuid::now_v7().simple()),
        prompt: compressed.prompt,
        method: Method::default(),
        reason: compressed.reason,
        documents: documents.collect(),
        messages: None,
        usage: Usage {
            original_tokens: compressed.original_tokens,
            compressed_tokens: compressed.compressed_tokens,
            requested_tokens: compressed.requested_tokens,
            rate: compressed.compressed_tokens as f64 / compressed.original_tokens.max(1) as f64,
            tokenizer: counter.name().to_owned(),
            approximate: counter.approximate(),
        },
        timing_ms: Timing { total: 0.0, stages: compressed.stages.milliseconds },
        left_out,
        warnings: Vec::new(),
    }
}

fn output(document: KeptDocument, returns: &[Return]) -> DocumentOutput {
    let bounds = |range: &Range<usize>| [range.start, range.end];
    let asked = |what| returns.contains(&what);
    let word =
        |word: &KeptWord| WordOutput { range: bounds(&word.range), kept: word.kept, protected: Vec::new() };
    DocumentOutput {
        kept: asked(Return::Ranges).then(|| document.kept.iter().map(bounds).collect()),
        words: asked(Return::Words).then(|| document.words.iter().map(word).collect()),
        scores: asked(Return::Scores).then(|| document.words.iter().map(|word| word.score).collect()),
        id: document.id,
        text: document.text,
        left_out: document.left_out,
        rank: document.rank,
        score: document.score,
        metadata: None,
    }
}

/// Says of each word that is returned by which kinds of spans it is protected. Costs as much as finding the spans.
fn name_protected(outputs: &mut [DocumentOutput], documents: &[Document], protector: &Protector) {
    for (output, document) in outputs.iter_mut().zip(documents) {
        let Some(words) = &mut output.words else { continue };
        let ranges: Vec<_> = words.iter().map(|word| word.range[0]..word.range[1]).collect();
        for (word, kinds) in words.iter_mut().zip(protector.kinds(&document.text, &ranges)) {
            word.protected = kinds;
        }
    }
}

/// JSON has no place for marks: what is gone of it is said here.
fn records_left_out(compressed: &Compressed) -> Option<Warning> {
    let of = |document: &KeptDocument| {
        let count = document.left_out.get(&Noun::Records)?;
        Some(format!("{count} of document `{}`", document.id))
    };
    let counts: Vec<String> = compressed.documents.iter().filter_map(of).collect();
    let shown = counts.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
    let others =
        counts.len().checked_sub(9).map_or_else(String::new, |more| format!(" and of {} more", more + 1));
    (!counts.is_empty()).then(|| Warning {
        code: "records_left_out",
        message: format!("records of JSON were left out, which is not marked in it: {shown}{others}"),
    })
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
            ScoreError::Remote(error) => error.into(),
        }
    }
}
