//! `score`: how surprising each token of a text is.

use std::time::Instant;

use super::api::{ScoreRequest, ScoreResponse};
use super::{Engine, EngineError};
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
