//! The assembly of a prompt for a question: solved examples like it, and what collections hold about it, compressed to
//! a budget, with citations.

pub mod api;
mod few_shot;
mod passages;
mod template;

use std::time::Instant;

use api::{Citation, Ledger, Message, PromptFormat, PromptRequest, PromptResponse, TokensByPart};
use few_shot::Frame;
use passages::{Found, Source};
use template::{Passage, Rendered, Template, Variables};

use super::api::{CompressRequest, CompressResponse, DocumentInput, Return, Warning};
use super::collections::api::SearchRequest;
use super::examples::api::SelectRequest;
use super::examples::{Example, MOST as EXAMPLES};
use super::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::compress::{Method, Mode};
use crate::model::Cancel;
use crate::text::TokenCounter;

/// Most collections, and most banks, of a request.
const NAMES: usize = 16;
/// Times that documents are compressed until the prompt fits.
const ATTEMPTS: usize = 6;
/// Template where none is named.
const TEMPLATE: &str = "answer";

/// Prompts from questions and what collections and banks of an engine hold about them. Calls block.
#[derive(Debug)]
pub struct Prompts<'a> {
    engine: &'a Engine,
}

impl<'a> Prompts<'a> {
    /// The prompts of `engine`.
    pub(super) fn of(engine: &'a Engine) -> Self {
        Self { engine }
    }
}

impl Prompts<'_> {
    /// Returns the name and the description of each template that is compiled in.
    ///
    /// # Errors
    /// Only by a defect of this crate.
    pub fn templates(&self) -> Result<Vec<(String, String)>, EngineError> {
        template::built_in()
    }

    /// Finds what collections hold about a question, compresses it to a budget and renders a prompt with citations.
    ///
    /// # Errors
    /// What must be in the prompt exceeds the budget; also see [`EngineError`].
    pub fn build(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError> {
        let start = Instant::now();
        check(request)?;
        let template =
            Template::of(request.template.as_deref().unwrap_or(TEMPLATE), self.engine.models.allows_files())?;
        let counter = self.engine.models.counter(request.tokenizer.as_deref(), request.model.as_deref())?;
        let job = Job { engine: self.engine, request, template, counter: counter.as_ref(), cancel };
        let bare = job.render(&[], &[])?;
        let bare_tokens = counter.count(&bare.text());
        if bare_tokens > request.target_tokens {
            return Err(infeasible(bare_tokens, request.target_tokens));
        }
        let frame = job.frame((bare, bare_tokens))?;
        let retrieving = Instant::now();
        let (mut found, mut warnings) = job.retrieve()?;
        let retrieve = milliseconds_since(retrieving);
        let compressing = Instant::now();
        let fitted = job.fit(&found.sources, &frame)?;
        let compress = milliseconds_since(compressing);
        let Frame { tokens: frame_tokens, milliseconds, candidates: examples, .. } = frame;
        let alone =
            Fitted { rendered: frame.rendered, tokens: frame_tokens, kept: Vec::new(), method: Method::Auto };
        let Fitted { rendered, tokens: total, kept, method } = fitted.unwrap_or(alone);
        warnings.extend(job.warnings(&found, &kept));
        found.mark(&kept);
        let tokens = job.tokens([total, frame_tokens, bare_tokens]);
        let mut response = PromptResponse {
            id: format!("prompt-{}", uuid::Uuid::now_v7().simple()),
            citations: citations(&found.sources, &kept),
            ledger: Ledger {
                chosen: found.candidates.iter().filter(|candidate| candidate.chosen).count(),
                found_tokens: found.sources.iter().map(|source| counter.count(&source.text)).sum(),
                candidates: found.candidates,
                examples,
                tokens,
                requested_tokens: request.target_tokens,
                tokenizer: counter.name().to_owned(),
                approximate: counter.approximate(),
                method,
                template: job.template.info.clone(),
            },
            prompt: None,
            messages: None,
            warnings,
            timing_ms: super::api::Timing::default(),
        };
        match request.format {
            PromptFormat::Text => response.prompt = Some(rendered.text()),
            PromptFormat::Messages => response.messages = Some(messages(rendered)),
        }
        response.timing_ms.stages.extend([
            ("examples", milliseconds),
            ("retrieve", retrieve),
            ("compress", compress),
        ]);
        response.timing_ms.total = milliseconds_since(start);
        Ok(response)
    }
}

fn check(request: &PromptRequest) -> Result<(), EngineError> {
    let invalid = |code, param, message: String| Err(EngineError::invalid(code, param, message));
    if request.question.trim().is_empty() {
        return invalid(
            "empty_question",
            "question",
            "`question` is empty: say what is to be answered".into(),
        );
    }
    let PromptRequest { collections, banks, examples, .. } = request;
    if collections.is_empty() && banks.is_empty() {
        let message = "name a collection to answer from, or a bank of examples".into();
        return invalid("invalid_collections", "collections", message);
    }
    for (names, code, param) in
        [(collections, "invalid_collections", "collections"), (banks, "invalid_banks", "banks")]
    {
        if names.len() > NAMES {
            return invalid(code, param, format!("`{param}` has {} names; at most {NAMES} do", names.len()));
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|&(i, name)| names[..i].contains(name)) {
            return invalid(code, param, format!("`{twice}` is named twice in `{param}`"));
        }
    }
    if let Some(count) = examples.filter(|count| !(1..=EXAMPLES).contains(count)) {
        let message = format!("`examples` is {count}; it must be from 1 to {EXAMPLES}");
        return invalid("invalid_examples", "examples", message);
    }
    if request.search.is_some()
        && (request.mode.is_some() || request.top_k.is_some() || request.filter.is_some())
    {
        let message = "`mode`, `top_k` and `filter` stand in `search` where there is one: put them there";
        return invalid("ambiguous_search", "search", message.into());
    }
    if request.selection.is_some() && examples.is_some() {
        let message = "`examples` is the `count` of `selection` where there is one: put it there";
        return invalid("ambiguous_selection", "selection", message.into());
    }
    if request.target_tokens == 0 {
        return invalid("invalid_target", "target_tokens", "`target_tokens` must be at least 1".into());
    }
    Ok(())
}

/// Returns the search in each collection.
fn search(request: &PromptRequest) -> SearchRequest {
    let mut search = request.search.clone().unwrap_or_else(|| {
        let usual = SearchRequest::default();
        SearchRequest {
            mode: request.mode.unwrap_or(usual.mode),
            top_k: request.top_k.unwrap_or(usual.top_k),
            filter: request.filter.clone(),
            ..usual
        }
    });
    if search.query.is_empty() {
        search.query.clone_from(&request.question);
    }
    search
}

/// Returns the selection of examples.
fn selection(request: &PromptRequest) -> SelectRequest {
    let mut selection = request.selection.clone().unwrap_or_else(|| {
        let usual = SelectRequest::default();
        SelectRequest { count: request.examples.unwrap_or(usual.count), ..usual }
    });
    if selection.question.is_empty() {
        selection.question.clone_from(&request.question);
    }
    selection
}

fn infeasible(needed: usize, budget: usize) -> EngineError {
    let message = format!(
        "the budget of {budget} tokens cannot be met: question, instruction and template alone need {needed}, {} \
         more; raise `target_tokens` or shorten them",
        needed - budget
    );
    EngineError {
        kind: ErrorKind::Infeasible,
        code: "budget_infeasible",
        param: Some("target_tokens"),
        message,
    }
}

/// The part of a source that is in the prompt.
struct Kept {
    /// Place among the sources.
    source: usize,
    text: String,
    /// Byte ranges of the source's text.
    ranges: Vec<[usize; 2]>,
}

/// A prompt within its budget.
struct Fitted {
    rendered: Rendered,
    /// The number of tokens of the whole source.
    tokens: usize,
    kept: Vec<Kept>,
    method: Method,
}

/// One request, with what it is worked on with.
struct Job<'a> {
    engine: &'a Engine,
    request: &'a PromptRequest,
    template: Template,
    counter: &'a dyn TokenCounter,
    cancel: &'a Cancel,
}

impl Job<'_> {
    /// Searches the collections for the question, best first.
    fn retrieve(&self) -> Result<(Found, Vec<Warning>), EngineError> {
        let search = search(self.request);
        let (mut results, mut warnings) = (Vec::new(), Vec::new());
        for name in &self.request.collections {
            let response = self.engine.collections().search(name, &search, self.cancel)?;
            results.push((name.as_str(), response.results));
            warnings.extend(response.warnings);
        }
        Ok((Found::new(results), warnings))
    }

    /// The prompt with as much of the sources as there is room for; none where nothing of them fits.
    fn fit(&self, sources: &[Source], frame: &Frame) -> Result<Option<Fitted>, EngineError> {
        if sources.is_empty() {
            return Ok(None);
        }
        let budget = self.request.target_tokens;
        // The compressor counts the question with the documents, the frame has it already.
        let mut target = budget - frame.tokens + self.counter.count(&self.request.question);
        for _ in 0..ATTEMPTS {
            let compressed = match self.compress(sources, target) {
                Err(error) if error.kind == ErrorKind::Infeasible => return Ok(None),
                other => other?,
            };
            let (method, used) = (compressed.method, compressed.usage.compressed_tokens);
            let kept = kept(compressed);
            let rendered = self.render(&frame.examples, &passages(sources, &kept))?;
            let tokens = self.counter.count(&rendered.text());
            if tokens <= budget {
                return Ok((!kept.is_empty()).then_some(Fitted { rendered, tokens, kept, method }));
            }
            // What did not need all of its room has to give way all the same.
            target = target.min(used).saturating_sub(tokens - budget);
            if target == 0 {
                break;
            }
        }
        Ok(None)
    }

    fn compress(&self, sources: &[Source], target: usize) -> Result<CompressResponse, EngineError> {
        let document = |(i, source): (usize, &Source)| DocumentInput {
            id: Some(i.to_string()),
            title: Some(format!("[{}] {}", i + 1, source.title)),
            text: source.text.clone(),
            ..DocumentInput::default()
        };
        let request = CompressRequest {
            documents: Some(sources.iter().enumerate().map(document).collect()),
            question: Some(self.request.question.clone()),
            target_tokens: Some(target),
            method: self.request.method,
            mode: Some(Mode::Exact),
            model: self.request.model.clone(),
            tokenizer: self.request.tokenizer.clone(),
            returns: Some(vec![Return::Ranges]),
            ..CompressRequest::default()
        };
        self.engine.compress(request, self.cancel)
    }

    fn render(&self, examples: &[Example], documents: &[Passage<'_>]) -> Result<Rendered, EngineError> {
        self.template.render(&Variables {
            instruction: self.request.instruction.as_deref().unwrap_or_default(),
            question: &self.request.question,
            searched: !self.request.collections.is_empty(),
            examples: examples.iter().map(Into::into).collect(),
            documents: documents.to_vec(),
        })
    }

    fn warnings(&self, found: &Found, kept: &[Kept]) -> Option<Warning> {
        let (code, message) = if self.request.collections.is_empty() {
            return None;
        } else if found.sources.is_empty() {
            (
                "nothing_found",
                "the collections hold nothing about the question; the prompt has no documents".into(),
            )
        } else if kept.is_empty() {
            let budget = self.request.target_tokens;
            (
                "no_room",
                format!("nothing of what was found fits {budget} tokens; the prompt has no documents"),
            )
        } else {
            return None;
        };
        Some(Warning { code, message })
    }

    /// Parts that together are the whole; a join between two parts counts for the template.
    fn tokens(&self, [total, frame, bare]: [usize; 3]) -> TokensByPart {
        let count = |text: &str| self.counter.count(text);
        let question = count(&self.request.question).min(bare);
        let instruction = count(self.request.instruction.as_deref().unwrap_or_default()).min(bare - question);
        let (documents, examples) = (total.saturating_sub(frame), frame.saturating_sub(bare));
        let parts = documents + examples + instruction + question;
        TokensByPart { total, documents, examples, instruction, question, template: total - parts }
    }
}

/// Documents of which something is left, in order.
fn kept(compressed: CompressResponse) -> Vec<Kept> {
    let left = compressed.documents.into_iter().enumerate().filter(|(_, document)| !document.text.is_empty());
    left.map(|(source, document)| Kept {
        source,
        text: document.text,
        ranges: document.kept.unwrap_or_default(),
    })
    .collect()
}

fn passages<'a>(sources: &'a [Source], kept: &'a [Kept]) -> Vec<Passage<'a>> {
    let passage = |(i, kept): (usize, &'a Kept)| Passage {
        number: i + 1,
        title: &sources[kept.source].title,
        text: kept.text.trim(),
    };
    kept.iter().enumerate().map(passage).collect()
}

fn citations(sources: &[Source], kept: &[Kept]) -> Vec<Citation> {
    let citation = |(i, kept): (usize, &Kept)| {
        let source = &sources[kept.source];
        Citation {
            number: i + 1,
            collection: source.collection.clone(),
            document_id: source.document_id.clone(),
            title: source.title.clone(),
            ranges: kept.ranges.iter().map(|range| range.map(|at| source.start + at)).collect(),
        }
    };
    kept.iter().enumerate().map(citation).collect()
}

fn messages(rendered: Rendered) -> Vec<Message> {
    let system = Message { role: "system", content: rendered.system };
    let user = Message { role: "user", content: rendered.user };
    [system, user].into_iter().filter(|message| !message.content.is_empty()).collect()
}
