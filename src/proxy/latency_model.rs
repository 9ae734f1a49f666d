//! The estimate of compression's latency from earlier measurements.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::compress::Method;

/// Share of a new measurement in the mean.
const WEIGHT: f64 = 0.3;
/// Time after which a measurement says nothing any more: what was slow once, such as a model that had to be loaded, is
/// tried again.
const HOLDS: Duration = Duration::from_mins(1);

/// Tokens of a text up to which the scorer reads all of it, about: [`crate::compress`] bounds what it reads.
const SCORED: usize = 20_000;
/// The same of the embedder, which ranks texts by a question: new texts of 3,100, 8,000, 12,000, 32,000 and 100,000 tokens
/// took 0.23, 0.63, 0.81, 0.96 and 1.17 s in one run.
const RANKED: usize = 11_000;
/// The share of the time of a token that one takes which no model reads, by the same run.
const UNREAD: f64 = 0.05;

/// A kind of work that takes about the same time for each token that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    /// The method that the request asks for; the engine chooses where there is none.
    pub(super) method: Option<Method>,
    /// Whether there is a question, which the choice depends on.
    pub(super) question: bool,
}

impl Kind {
    /// The tokens that take as long as `tokens` do if each is read.
    fn work(self, tokens: usize) -> f64 {
        let read = match self.method {
            Some(Method::Hybrid | Method::Extractive) => tokens.min(RANKED),
            None | Some(Method::Auto) if self.question => tokens.min(RANKED),
            None | Some(Method::Auto | Method::LlmLingua) => tokens.min(SCORED),
            Some(_) => tokens,
        };
        read as f64 + UNREAD * (tokens - read) as f64
    }
}

/// Seconds that a token took in this process, by kind: exponentially weighted means. The first time of a kind, which may
/// have loaded models, says nothing of the next ones: `None` stands for it.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<HashMap<Kind, Option<LatencyModel>>>);

#[derive(Debug, Clone, Copy)]
struct LatencyModel {
    /// Seconds a token.
    seconds: f64,
    /// The time of the last measurement.
    at: Instant,
}

impl Paces {
    /// Time that `tokens` are likely to take; none where nothing was measured lately.
    pub(super) fn predict(&self, kind: Kind, tokens: usize, now: Instant) -> Option<Duration> {
        let latency_model = self.lately(kind, now)?;
        Duration::try_from_secs_f64(latency_model * kind.work(tokens)).ok()
    }

    /// Notes that `tokens` took so long.
    pub(super) fn measured(&self, kind: Kind, (tokens, took): (usize, Duration), now: Instant) {
        let seconds = per_token(kind.work(tokens), took);
        let mean = self.lately(kind, now).map_or(seconds, |mean| mean + WEIGHT * (seconds - mean));
        self.note(kind, mean, now);
    }

    /// Notes that `tokens` took longer than this. How much longer nobody knows: twice as long is assumed, so that a
    /// limit is found in a few steps.
    pub(super) fn cut_off(&self, kind: Kind, (tokens, after): (usize, Duration), now: Instant) {
        let seconds = 2.0 * per_token(kind.work(tokens), after);
        let slowest = self.lately(kind, now).map_or(seconds, |mean| mean.max(seconds));
        self.note(kind, slowest, now);
    }

    fn lately(&self, kind: Kind, now: Instant) -> Option<f64> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latency_model = known.get(&kind).copied().flatten();
        latency_model
            .filter(|latency_model| now.saturating_duration_since(latency_model.at) < HOLDS)
            .map(|latency_model| latency_model.seconds)
    }

    fn note(&self, kind: Kind, seconds: f64, at: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let latency_model = known.contains_key(&kind).then_some(LatencyModel { seconds, at });
        known.insert(kind, latency_model);
    }
}

fn per_token(work: f64, took: Duration) -> f64 {
    took.as_secs_f64() / work.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { method: None, question: true };
    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(paces: &Paces, tokens: usize, now: Instant) -> Option<f64> {
        paces.predict(KIND, tokens, now).map(|time| (time.as_secs_f64() * 1e6).round() / 1e6)
    }

    /// Paces with the first time of a kind behind them.
    fn warm(kind: Kind) -> Paces {
        let paces = Paces::default();
        paces.measured(kind, (1, SECOND), Instant::now());
        paces
    }

    #[test]
    fn what_was_measured_foretells_for_a_minute_by_kind() {
        let (paces, now) = (Paces::default(), Instant::now());
        // The first one, which may load a model.
        paces.measured(KIND, (1000, 60 * SECOND), now);
        assert_eq!(seconds(&paces, 1000, now), None);
        paces.measured(KIND, (1000, SECOND), now);
        assert_eq!(seconds(&paces, 5000, now), Some(5.0));
        paces.measured(KIND, (1000, 2 * SECOND), now + SECOND);
        assert_eq!(seconds(&paces, 1000, now + SECOND), Some(1.3));
        assert_eq!(seconds(&paces, 1000, now + 60 * SECOND), Some(1.3));
        assert_eq!(seconds(&paces, 1000, now + 61 * SECOND), None);
        for other in [Kind { question: false, ..KIND }, Kind { method: Some(Method::LlmLingua), ..KIND }] {
            assert_eq!(paces.predict(other, 1000, now), None);
        }
        // What is forgotten is not averaged with.
        paces.measured(KIND, (1000, 4 * SECOND), now + 70 * SECOND);
        assert_eq!(seconds(&paces, 1000, now + 70 * SECOND), Some(4.0));
    }

    #[test]
    fn a_long_text_takes_little_longer_than_what_is_read_of_it() {
        let (paces, now) = (warm(KIND), Instant::now());
        paces.measured(KIND, (2 * RANKED, 21 * SECOND), now);
        assert_eq!(seconds(&paces, RANKED, now), Some(20.0));
        assert_eq!(seconds(&paces, 11 * RANKED, now), Some(30.0));
        let scored = Kind { question: false, ..KIND };
        let paces = warm(scored);
        paces.measured(scored, (SCORED, 20 * SECOND), now);
        assert_eq!(paces.predict(scored, 11 * SCORED, now), Some(30 * SECOND));
        // A method that reads all takes as much longer as there is more.
        let whole = Kind { method: Some(Method::LongLlmLingua), ..KIND };
        let paces = warm(whole);
        paces.measured(whole, (SCORED, SECOND), now);
        assert_eq!(paces.predict(whole, 3 * SCORED, now), Some(3 * SECOND));
    }

    #[test]
    fn what_was_cut_off_is_taken_for_twice_as_long_and_never_for_faster() {
        let (paces, now) = (warm(KIND), Instant::now());
        paces.cut_off(KIND, (1000, SECOND), now);
        assert_eq!(seconds(&paces, 1000, now), Some(2.0));
        paces.cut_off(KIND, (1000, SECOND / 10), now);
        assert_eq!(seconds(&paces, 1000, now), Some(2.0));
        paces.measured(KIND, (0, Duration::MAX), now);
        assert_eq!(paces.predict(KIND, usize::MAX, now), None, "what no duration can hold");
    }
}
