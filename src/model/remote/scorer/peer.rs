//! Another whittle's `/v1/score/tokens`.

use serde::{Deserialize, Serialize};

use super::vllm::same_tokens;
use super::{RemoteScorerOptions, ServedModel, request};
use crate::model::remote::client::RemoteClient;
use crate::model::remote::vectors::parsed;
use crate::model::remote::{RemoteError, RemoteServer};
use crate::model::{Cancel, ScoreError, ScoreJob};

/// Most tokens of a request, unless one sequence alone has more.
const REQUEST_TOKENS: usize = 65_536;
/// The text by which tokenizers are compared: words, digits, spaces, lines and letters of more than one byte.
const PROBE: &str = "Whittle 2026:  the 3rd of May,\n\tna\u{ef}ve caf\u{e9} \u{6a4b} {\"a\": [10.5]}";

#[derive(Serialize)]
struct TextRequest {
    text: &'static str,
}

#[derive(Deserialize)]
struct TextAnswer {
    ids: Vec<u32>,
}

#[derive(Serialize)]
struct TokensRequest<'a> {
    model: &'a str,
    sequences: Vec<Sequence<'a>>,
    whole: bool,
}

#[derive(Serialize)]
struct Sequence<'a> {
    prefix: &'a [u32],
    ids: &'a [u32],
}

#[derive(Deserialize)]
struct TokensAnswer {
    model: String,
    identity: String,
    window: usize,
    context: usize,
    sequences: Vec<Scores>,
}

#[derive(Deserialize)]
struct Scores {
    ids: Vec<u32>,
    nll: Vec<Option<f32>>,
}

/// Asks which model the other whittle has, and whether it cuts texts into the same tokens.
pub(super) fn find(
    client: &RemoteClient,
    options: &RemoteScorerOptions,
    cancel: &Cancel,
) -> Result<ServedModel, ScoreError> {
    let sent: Vec<u32> = options.tokenizer.encode(PROBE).iter().map(|token| token.id).collect();
    let text = request("/v1/score", &TextRequest { text: PROBE }, sent.len())?;
    let job = [ScoreJob { prefix: [].into(), ids: sent.clone() }];
    let tokens = tokens_request(options, &job, false)?;
    let bodies = client.send(vec![text, tokens], cancel)?;
    let [text, tokens] = &bodies[..] else { return Err(ScoreError::Model("two answers are missing".into())) };
    let read = || {
        let server = client.server();
        let answer: TokensAnswer = parsed(server, tokens)?;
        same_model(server, &options.served_model, &answer.model)?;
        same_tokens(server, &parsed::<TextAnswer>(server, text)?.ids, &sent)?;
        let TokensAnswer { identity, window, context, .. } = answer;
        if window == 0 || context == 0 {
            let reason = "its window or context is 0".into();
            return Err(RemoteError::Malformed { server: server.clone(), reason });
        }
        Ok(ServedModel { identity, context, window })
    };
    read().map_err(|error| client.refuse(error))
}

/// Has jobs scored as they are; `whole` as in [`crate::model::TokenScorer::score_whole`].
pub(super) fn score(
    client: &RemoteClient,
    options: &RemoteScorerOptions,
    (jobs, whole): (&[ScoreJob], bool),
    served: &ServedModel,
    cancel: &Cancel,
) -> Result<Vec<Vec<f32>>, ScoreError> {
    let batches = batches(jobs, options.batch.max(1));
    let requests = batches.iter().map(|batch| tokens_request(options, batch, whole));
    let bodies = client.send(requests.collect::<Result<_, _>>()?, cancel)?;
    let mut scores = Vec::with_capacity(jobs.len());
    for (batch, body) in batches.iter().zip(bodies) {
        let read = read(client.server(), &options.served_model, (batch, served), &body);
        scores.extend(read.map_err(|error| client.refuse(error))?);
    }
    Ok(scores)
}

/// Cuts jobs into batches of at most so many, and of not too many tokens.
fn batches(mut jobs: &[ScoreJob], most: usize) -> Vec<&[ScoreJob]> {
    let mut batches = Vec::new();
    while !jobs.is_empty() {
        let (mut count, mut tokens) = (0, 0);
        for job in jobs.iter().take(most) {
            tokens += job.prefix.len() + job.ids.len();
            if count > 0 && tokens > REQUEST_TOKENS {
                break;
            }
            count += 1;
        }
        let (batch, rest) = jobs.split_at(count);
        batches.push(batch);
        jobs = rest;
    }
    batches
}

fn tokens_request(
    options: &RemoteScorerOptions,
    jobs: &[ScoreJob],
    whole: bool,
) -> Result<super::RemoteRequest, ScoreError> {
    let sequences = jobs.iter().map(|job| Sequence { prefix: &job.prefix, ids: &job.ids }).collect();
    let body = TokensRequest { model: &options.served_model, sequences, whole };
    request("/v1/score/tokens", &body, jobs.iter().map(|job| job.ids.len()).sum())
}

fn same_model(server: &RemoteServer, wanted: &str, found: &str) -> Result<(), RemoteError> {
    if found == wanted {
        return Ok(());
    }
    let (wanted, found) = (wanted.to_owned(), found.chars().take(100).collect());
    Err(RemoteError::OtherModel { server: server.clone(), wanted, found })
}

fn read(
    server: &RemoteServer,
    model: &str,
    (jobs, served): (&[ScoreJob], &ServedModel),
    body: &[u8],
) -> Result<Vec<Vec<f32>>, RemoteError> {
    let answer: TokensAnswer = parsed(server, body)?;
    same_model(server, model, &answer.model)?;
    same_model(server, &served.identity, &answer.identity)?;
    let (sent, came) = (jobs.len(), answer.sequences.len());
    if sent != came {
        return Err(RemoteError::Count { server: server.clone(), sent, came });
    }
    answer.sequences.into_iter().zip(jobs).map(|(scores, job)| likelihoods(server, &scores, job)).collect()
}

fn likelihoods(server: &RemoteServer, scores: &Scores, job: &ScoreJob) -> Result<Vec<f32>, RemoteError> {
    same_tokens(server, &scores.ids, &job.ids)?;
    // The first token of all has no score.
    let unscored = usize::from(job.prefix.is_empty()).min(job.ids.len());
    let likelihood = |place: usize| {
        let found = scores.nll.get(place).copied().flatten().filter(|nll| nll.is_finite());
        found.ok_or_else(|| RemoteError::NoLikelihood { server: server.clone(), place })
    };
    (unscored..job.ids.len()).map(likelihood).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_a_bound_of_sequences_and_of_tokens() {
        let job = |length: usize| ScoreJob { prefix: [].into(), ids: vec![1; length] };
        let jobs = [job(1), job(2), job(3), job(REQUEST_TOKENS), job(REQUEST_TOKENS + 1), job(0)];
        let sizes = |most| batches(&jobs, most).iter().map(|batch| batch.len()).collect::<Vec<_>>();
        assert_eq!(sizes(8), [3, 1, 1, 1]);
        assert_eq!(sizes(2), [2, 1, 1, 1, 1]);
    }
}
