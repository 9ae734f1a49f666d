//! Solved examples that a prompt shows, as many as there is room for.

use super::api::ExampleCandidate;
use super::template::Rendered;
use super::{Job, milliseconds_since, selection};
use crate::engine::EngineError;
use crate::engine::examples::Example;
use crate::engine::examples::api::SelectedExample;

/// Share of the room that examples may fill beside documents.
const SHARE: f64 = 0.5;

/// A prompt without documents: what must be in it, with the examples that fit.
pub(super) struct Frame {
    /// The examples in the order in which they are shown: the most similar one last.
    pub(super) examples: Vec<Example>,
    pub(super) rendered: Rendered,
    pub(super) tokens: usize,
    /// The examples that were found, the most similar one first.
    pub(super) candidates: Vec<ExampleCandidate>,
    /// Time that it took.
    pub(super) milliseconds: f64,
}

impl Job<'_> {
    /// Takes the most similar examples of all banks as long as they fit beside `bare` tokens.
    pub(super) fn frame(&self, bare: (Rendered, usize)) -> Result<Frame, EngineError> {
        let start = std::time::Instant::now();
        let (rendered, tokens) = bare;
        let mut frame =
            Frame { examples: Vec::new(), rendered, tokens, candidates: Vec::new(), milliseconds: 0.0 };
        let share = if self.request.collections.is_empty() { 1.0 } else { SHARE };
        let room = (self.request.target_tokens - tokens) as f64 * share;
        let most = tokens + room as usize;
        for (bank, SelectedExample { similarity, example }) in self.similar()? {
            let (id, mut shown) = (example.id.clone(), frame.examples.clone());
            shown.insert(0, example);
            let rendered = self.render(&shown, &[])?;
            let tokens = self.counter.count(&rendered.text());
            // One that is too long leaves room for a shorter one; a template may show none at all.
            let chosen = tokens <= most && rendered != frame.rendered;
            if chosen {
                (frame.examples, frame.rendered, frame.tokens) = (shown, rendered, tokens);
            }
            frame.candidates.push(ExampleCandidate { bank: bank.to_owned(), id, similarity, chosen });
        }
        frame.milliseconds = milliseconds_since(start);
        Ok(frame)
    }

    /// The examples of all banks that are most similar to the question, the best first.
    fn similar(&self) -> Result<Vec<(&str, SelectedExample)>, EngineError> {
        let request = selection(self.request);
        let mut found = Vec::new();
        for bank in &self.request.banks {
            let response = self.engine.banks().select(bank, &request, self.cancel)?;
            found.extend(response.examples.into_iter().rev().map(|example| (bank.as_str(), example)));
        }
        // Stable: of equals the one of the first bank stays first.
        found.sort_by(|(_, a), (_, b)| b.similarity.total_cmp(&a.similarity));
        found.truncate(request.count);
        Ok(found)
    }
}
