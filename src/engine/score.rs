//! `score`: how surprising each token of a text is, or of a sequence of token ids.

use std::time::Instant;

use super::api::{
    ScoreRequest, ScoreResponse, TokenScoreRequest, TokenScoreResponse, TokenScores, TokenSequence,
};
use super::embed::is_name;
use super::{Engine, EngineError, ErrorKind, shortened};
use crate::model::{Cancel, ScoreJob, Token, TokenScorer};

/// The extent of a long prefix that the scores take into account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The part that fits half of the scorer's window; cached.
    Window,
    /// All of it, up to the model's context.
    Whole,
}

pub(super) fn run(
    engine: &Engine,
    request: &ScoreRequest,
    reach: Reach,
    cancel: &Cancel,
) -> Result<ScoreResponse, EngineError> {
    if request.text.is_empty() {
        return Err(EngineError::invalid("empty_input", "text", "nothing to score: `text` is empty"));
    }
    let scorer = engine.models.scorer()?;
    let ids = |tokens: &[Token]| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
    let tokens = scorer.encode(&request.text);
    let prefix = ids(&scorer.encode(request.prefix.as_deref().unwrap_or_default()));
    let most = engine.limits.tokens;
    let run = tokens.len() + prefix.len();
    if run > most {
        return Err(EngineError::too_many_tokens("text and prefix have", run, most, Some("text")));
    }
    let conditioned = !prefix.is_empty();
    let start = Instant::now();
    let scores = match reach {
        Reach::Window => {
            let job = ScoreJob { prefix: prefix.into(), ids: ids(&tokens) };
            scorer.score(&[job], cancel)?.pop().unwrap_or_default()
        }
        Reach::Whole => scorer.score_whole(&prefix, &ids(&tokens), cancel)?,
    };
    let seconds = start.elapsed().as_secs_f64();
    let mean = (!scores.is_empty())
        .then(|| scores.iter().map(|&nll| f64::from(nll)).sum::<f64>() / scores.len() as f64);
    let unscored = (!conditioned).then_some(None);
    Ok(ScoreResponse {
        model: scorer.name().to_owned(),
        ids: ids(&tokens),
        tokens: tokens
            .iter()
            .map(|token| String::from_utf8_lossy(&request.text.as_bytes()[token.range.clone()]).into_owned())
            .collect(),
        ranges: tokens.iter().map(|token| [token.range.start, token.range.end]).collect(),
        nll: unscored.into_iter().chain(scores.into_iter().map(Some)).collect(),
        mean_nll: mean,
        perplexity: mean.map(f64::exp),
        seconds,
        tokens_per_second: run as f64 / seconds,
    })
}

/// Scores sequences of token ids.
pub(super) fn run_tokens(
    engine: &Engine,
    request: TokenScoreRequest,
    cancel: &Cancel,
) -> Result<TokenScoreResponse, EngineError> {
    engine.check_count("sequences", request.sequences.len())?;
    let scorer = engine.models.scorer()?;
    if let Some(asked) = request.model.as_deref().filter(|asked| !is_name(asked, scorer.name())) {
        let (asked, name) = (shortened(asked), scorer.name());
        let message = format!("there is no scorer `{asked}` here: name `{name}`, or leave `model` out");
        let (kind, param) = (ErrorKind::NotFound, Some("model"));
        return Err(EngineError { kind, code: "model_not_found", param, message });
    }
    let length = |sequence: &TokenSequence| sequence.prefix.len() + sequence.ids.len();
    let (all, most) = (request.sequences.iter().map(length).sum(), engine.limits.tokens);
    if all > most {
        return Err(EngineError::too_many_tokens("the sequences have", all, most, Some("sequences")));
    }
    let longest = request.sequences.iter().map(length).max().unwrap_or_default();
    if request.whole && longest > scorer.context() {
        let message = format!(
            "a sequence has {longest} tokens, and the model reads {} at most: send less",
            scorer.context()
        );
        return Err(EngineError::invalid("sequence_too_long", "sequences", message));
    }
    let ids = request.sequences.iter().flat_map(|sequence| sequence.prefix.iter().chain(&sequence.ids));
    if let Some((size, id)) = scorer.vocabulary().and_then(|size| Some((size, unknown(ids, size)?))) {
        let message = format!(
            "{id} is no token of `{}`, whose ids are below {size}: send ids of that model's vocabulary",
            scorer.name()
        );
        return Err(EngineError::invalid("unknown_token", "sequences", message));
    }
    let job = |TokenSequence { prefix, ids }| ScoreJob { prefix: Vec::into(prefix), ids };
    let jobs: Vec<ScoreJob> = request.sequences.into_iter().map(job).collect();
    let scores = if request.whole {
        let whole = |job: &ScoreJob| scorer.score_whole(&job.prefix, &job.ids, cancel);
        jobs.iter().map(whole).collect::<Result<_, _>>()?
    } else {
        scorer.score(&jobs, cancel)?
    };
    let sequence = |(job, scores): (ScoreJob, Vec<f32>)| {
        let unscored = job.ids.len().saturating_sub(scores.len());
        let nll = std::iter::repeat_n(None, unscored).chain(scores.into_iter().map(Some)).collect();
        TokenScores { ids: job.ids, nll }
    };
    Ok(TokenScoreResponse {
        model: scorer.name().to_owned(),
        identity: scorer.identity(),
        window: scorer.window(),
        context: scorer.context(),
        sequences: jobs.into_iter().zip(scores).map(sequence).collect(),
    })
}

/// Returns the first id that a vocabulary of so many tokens lacks.
fn unknown<'a>(mut ids: impl Iterator<Item = &'a u32>, size: usize) -> Option<u32> {
    ids.find(|&&id| id as usize >= size).copied()
}
