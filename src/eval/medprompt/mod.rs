//! Medprompt's ladder (Nori et al. 2023): what each part of dynamic few-shot prompting adds, with examples as they are
//! and compressed.
//!
//! A [`task`] has questions with choices, and others to learn from. The model writes its own chains of thought for the
//! latter, of which those stay that led to the right answer. Then each question is asked on each [`Rung`]:
//! without examples, with random ones, with the nearest, with their thoughts, and of several orders of its choices
//! with a majority vote.

mod bank;
mod prompts;
mod rungs;
pub mod summary;
pub mod task;
mod vote;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::metrics::named_choice;
use super::reader::{ChatModel, Reply};
use super::{folder, parallel};
use crate::engine::Engine;
use crate::engine::examples::{Example, Selection};
use crate::jsonl::JsonLines;
use crate::random::Random;
use bank::Bank;
pub use rungs::{Arm, Rung};
use task::Task;

/// The settings of a run that its rows depend on: `run.json` in the folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Name of the task.
    pub task: String,
    /// The model that is asked.
    pub reader: String,
    /// Names the files of the models in this process.
    pub models: String,
    /// Examples before a question.
    pub examples: usize,
    /// Orders of the choices that vote.
    pub votes: usize,
    /// Share of the tokens of an example's question and thought that stays where it is compressed.
    pub rate: f64,
    /// Questions of the bank.
    pub bank: usize,
    /// Draws the questions, the random examples and the orders.
    pub seed: u64,
}

/// The result of a question on a rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the question.
    pub question: String,
    /// The arm of the experiment.
    #[serde(flatten)]
    pub arm: Arm,
    /// The choice of each vote, by its label in the question's own order; none where no choice was named.
    pub votes: Vec<Option<String>>,
    /// The choice of the majority.
    pub answer: Option<String>,
    /// Whether the choice is right.
    pub correct: bool,
    /// Tokens of all that was asked.
    pub input_tokens: u64,
    /// Tokens of all that was answered.
    pub output_tokens: u64,
    /// Milliseconds of all answers.
    pub milliseconds: f64,
}

/// The models and files that a run works with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Embeds and compresses.
    pub engine: &'a Engine,
    /// Is asked.
    pub model: &'a ChatModel<'a>,
    /// The number of questions that may be asked at once.
    pub at_once: usize,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Questions that there were to learn from, and those of them whose thought led to the right answer.
    pub bank: (usize, usize),
    /// The rows, one for each question and arm.
    pub rows: Vec<Row>,
}

/// Told of a run's progress.
pub trait Watch {
    /// A stage begins: so many steps, of which some are done already.
    fn stage(&mut self, what: &str, steps: usize, done: usize);
    /// Another step is done; a row, if it is one.
    fn step(&mut self, row: Option<&Row>);
}

/// Asks `questions` of `task` on each arm, except for the rows that `path` holds already.
///
/// # Errors
/// The folder holds another run, the bank has too few questions, or the model does not answer.
pub fn run(
    task: &Task,
    setting: &Setting,
    means: Means<'_>,
    path: &Path,
    watch: &mut dyn Watch,
) -> anyhow::Result<Outcome> {
    folder::agree(path, setting)?;
    let (mut file, there) = JsonLines::<Row>::open(&path.join(super::run::ROWS))?;
    let mut known: BTreeMap<(String, Arm), Row> =
        there.into_iter().map(|row| ((row.question.clone(), row.arm), row)).collect();
    let bank = Bank::build(task, setting, means, watch)?;
    let cells: Vec<(usize, Arm)> =
        (0..task.questions.len()).flat_map(|question| Arm::ALL.map(|arm| (question, arm))).collect();
    let mut rows: Vec<Option<Row>> = cells
        .iter()
        .map(|(question, arm)| known.remove(&(task.questions[*question].id.clone(), *arm)))
        .collect();
    let missing: Vec<usize> = (0..cells.len()).filter(|&i| rows[i].is_none()).collect();
    watch.stage("questions", cells.len(), cells.len() - missing.len());
    let asking = Asking { task, setting, means, bank: &bank };
    for batch in missing.chunks(means.at_once.max(1)) {
        for (&i, row) in batch.iter().zip(parallel::each(batch, |&i| asking.row(cells[i]))) {
            let row = file.append(&row?)?;
            watch.step(Some(&row));
            rows[i] = Some(row);
        }
    }
    Ok(Outcome { bank: bank.sizes(), rows: rows.into_iter().flatten().collect() })
}

struct Asking<'a> {
    task: &'a Task,
    setting: &'a Setting,
    means: Means<'a>,
    bank: &'a Bank,
}

impl Asking<'_> {
    fn row(&self, (number, arm): (usize, Arm)) -> anyhow::Result<Row> {
        let question = &self.task.questions[number];
        let shots = self.shots(number, arm)?;
        let votes = if arm.rung == Rung::Ensemble { self.setting.votes.max(1) } else { 1 };
        let (mut chosen, mut took) = (Vec::new(), Reply::default());
        for order in vote::orders(question, votes, self.setting.seed ^ number as u64) {
            let reply = self.means.model.answer(&prompts::ask(&shots, &order, arm.rung.reasons()))?;
            chosen.push(named_choice(&reply.text).and_then(|label| vote::own_label(question, &order, label)));
            took.input_tokens += reply.input_tokens;
            took.output_tokens += reply.output_tokens;
            took.milliseconds += reply.milliseconds;
        }
        let answer = vote::majority(&chosen);
        Ok(Row {
            question: question.id.clone(),
            arm,
            correct: answer.as_ref() == Some(&question.answer),
            answer,
            votes: chosen,
            input_tokens: took.input_tokens,
            output_tokens: took.output_tokens,
            milliseconds: took.milliseconds,
        })
    }

    /// The examples that stand before a question, the most similar last.
    fn shots(&self, number: usize, arm: Arm) -> anyhow::Result<Vec<Example>> {
        let question = &self.task.questions[number];
        let count = self.setting.examples;
        let shots = match arm.rung {
            Rung::ZeroShot => Vec::new(),
            Rung::RandomFewShot => {
                self.bank.random(question, count, &mut Random::new(self.setting.seed ^ !(number as u64)))
            }
            Rung::NearestFewShot | Rung::NearestThoughts | Rung::Ensemble => {
                let selection = Selection { count, ..Selection::default() };
                self.bank.nearest(question, arm.rung.reasons(), &selection, self.means.engine)?
            }
        };
        if !arm.compressed {
            return Ok(shots);
        }
        shots.iter().map(|shot| prompts::compressed(shot, self.setting.rate, self.means.engine)).collect()
    }
}
