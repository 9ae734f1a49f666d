//! Examples to choose from, with chains of thought of the model's own that led it to the right answer.

use super::prompts::ask;
use super::{Means, Setting, Watch};
use crate::engine::Engine;
use crate::engine::examples::{Candidate, Example, Selection, select, shuffled};
use crate::eval::medprompt::task::Task;
use crate::eval::metrics::named_choice;
use crate::eval::parallel;
use crate::model::Cancel;
use crate::random::Random;
use crate::text::normalise;

/// Orders of the choices in which a question is tried until its thought leads to the right answer.
const TRIES: usize = 3;
/// Questions that are embedded at once.
const BATCH: usize = 64;

pub(super) struct Bank {
    /// All, without thoughts.
    all: Vec<(Example, Vec<f32>)>,
    /// The examples with a thought that led to the right answer, in the order of the choices that it was written for.
    with_thoughts: Vec<(Example, Vec<f32>)>,
}

impl Bank {
    pub(super) fn build(
        task: &Task,
        setting: &Setting,
        means: Means<'_>,
        watch: &mut dyn Watch,
    ) -> anyhow::Result<Self> {
        let questions: Vec<&str> = task.bank.iter().map(|example| &*example.question).collect();
        let mut vectors = Vec::with_capacity(questions.len());
        for batch in questions.chunks(BATCH) {
            vectors.extend(means.engine.vectors(batch, &Cancel::never())?);
        }
        let all: Vec<(Example, Vec<f32>)> = task.bank.iter().cloned().zip(vectors).collect();
        watch.stage("chains of thought", all.len(), 0);
        let numbered: Vec<(usize, &(Example, Vec<f32>))> = all.iter().enumerate().collect();
        let mut with_thoughts = Vec::new();
        for batch in numbered.chunks(means.at_once.max(1)) {
            let thought = |(number, (example, vector)): &(usize, &(Example, Vec<f32>))| {
                let random = Random::new(setting.seed.rotate_left(17) ^ *number as u64);
                anyhow::Ok(solved(example, random, means)?.map(|solved| (solved, vector.clone())))
            };
            for solved in parallel::each(batch, thought) {
                with_thoughts.extend(solved?);
                watch.step(None);
            }
        }
        Ok(Self { all, with_thoughts })
    }

    /// Returns the number of examples, and of those with a thought.
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.all.len(), self.with_thoughts.len())
    }

    /// The nearest, of all or of those with a thought.
    pub(super) fn nearest(
        &self,
        question: &Example,
        thoughts: bool,
        selection: &Selection,
        engine: &Engine,
    ) -> anyhow::Result<Vec<Example>> {
        let vectors = engine.vectors(&[&question.question], &Cancel::never())?;
        let from = if thoughts { &self.with_thoughts } else { &self.all };
        let candidates: Vec<Candidate> =
            from.iter().map(|(example, vector)| Candidate { example, vector }).collect();
        let vector = vectors.first().map_or(&[][..], Vec::as_slice);
        let chosen = select((&question.question, vector), &candidates, selection);
        Ok(chosen.into_iter().map(|chosen| chosen.example.clone()).collect())
    }

    /// Drawn at random, but never the question itself.
    pub(super) fn random(&self, question: &Example, count: usize, random: &mut Random) -> Vec<Example> {
        let asked = normalise(&question.question);
        let mut places: Vec<usize> = (0..self.all.len()).collect();
        random.shuffle(&mut places);
        let others = places.into_iter().map(|place| &self.all[place].0);
        others.filter(|example| normalise(&example.question) != asked).take(count).cloned().collect()
    }
}

/// `example` with a thought that led the model to the right answer, if it has one in a few tries.
fn solved(example: &Example, mut random: Random, means: Means<'_>) -> anyhow::Result<Option<Example>> {
    for _ in 0..TRIES {
        let order = shuffled(example, &mut random);
        let reply = means.model.answer(&ask(&[], &order, true))?;
        if named_choice(&reply.text) == Some(&*order.answer) {
            return Ok(thought(&reply.text).map(|thought| Example { thought: Some(thought), ..order }));
        }
    }
    Ok(None)
}

/// Returns the text before the line of the answer.
fn thought(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.trim().lines().collect();
    let answer = lines.iter().rposition(|line| line.to_ascii_lowercase().contains("answer"));
    let thought = lines[..answer.unwrap_or(lines.len())].join("\n").trim().to_owned();
    (!thought.is_empty()).then_some(thought)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thought_is_what_stands_before_the_answer() {
        assert_eq!(
            thought("It is so.\nTherefore B.\nAnswer: [B]\n").as_deref(),
            Some("It is so.\nTherefore B.")
        );
        assert_eq!(thought("Only words [B]").as_deref(), Some("Only words [B]"));
        assert_eq!(thought("Answer: [B]"), None);
        assert_eq!(thought(""), None);
    }

    #[test]
    fn random_examples_are_never_the_question_itself() {
        let example =
            |question: &str| (Example { question: question.into(), ..Example::default() }, vec![1.0]);
        let bank = Bank { all: ["One?", "Two?", "Three?"].map(example).into(), with_thoughts: Vec::new() };
        for seed in 0..20 {
            let drawn = bank.random(&example("TWO").0, 3, &mut Random::new(seed));
            let questions: Vec<_> = drawn.iter().map(|example| &*example.question).collect();
            assert!(questions.len() == 2 && !questions.contains(&"Two?"), "{questions:?}");
        }
    }
}
