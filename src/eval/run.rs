//! Runs: every question with every method at every rate, one line a result.
//!
//! A line is written in one piece when its result is there, so a run that was killed loses the result in
//! work and no other; the next run with the same folder goes on where that one stopped.

mod measure;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::dataset::{AnswerKind, Manifest, Question, scorer};
use super::evidence::Evidence;
use super::folder;
use super::grading::Reading;
use super::metrics::Recall;
use super::readability::Broken;
use super::reader::{ChatModel, TokenPrice};
use super::suite::{self, Suite};
use crate::compress::{Method, Mode};
use crate::engine::{Engine, EngineError};
use crate::jsonl::JsonLines;
use crate::random::Random;
use measure::Measure;

/// The uncompressed prompt, as a method.
pub const WHOLE: &str = "whole";
/// The question without documents, as a method.
pub const CLOSED_BOOK: &str = "closed-book";
/// The two documents nearest to the question, whole, as a method: `extractive`'s ranking without its cuts.
pub const BEST_TWO: &str = "best-two";
/// The baselines, which compress nothing.
pub const LEVELS: [&str; 3] = [WHOLE, CLOSED_BOOK, BEST_TWO];

/// File of the rows in a run's folder.
pub const ROWS: &str = "rows.jsonl";

/// The settings of a run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the suite.
    pub suite: String,
    /// The dataset.
    pub manifest: Manifest,
    /// Methods, in order.
    pub methods: Vec<Method>,
    /// Rates, in order.
    pub rates: Vec<f64>,
    /// Most questions.
    pub limit: Option<usize>,
    /// Draws the questions and the resamples.
    pub seed: u64,
    /// The price of a reader's tokens, where figures are to state costs.
    pub price: Option<TokenPrice>,
}

/// The settings that a row depends on besides its question, method and rate: `run.json` in the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Name of the dataset.
    pub dataset: String,
    /// The sha256 of each of its files.
    pub files: BTreeMap<String, String>,
    /// The comparison of answers.
    pub answer: AnswerKind,
    /// The method that holds where none is named.
    pub default_method: String,
    /// Whether scores were cached between results; then times are those of a warm cache.
    pub score_cache: bool,
    /// The reader of the prompts.
    #[serde(default)]
    pub reader: Reader,
    /// The mode of compression.
    #[serde(default)]
    pub mode: Mode,
    /// The tokenizer that budgets are counted with.
    #[serde(default = "scorer", skip_serializing_if = "is_scorer")]
    pub tokenizer: String,
}

fn is_scorer(tokenizer: &String) -> bool {
    *tokenizer == scorer()
}

/// The reader of the prompts, in its written form: `likelihood`, `none` or the name of a model.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Reader {
    /// The scorer: how likely the gold answer is to it.
    #[default]
    Likelihood,
    /// Nothing: whether an answer is still in the prompt is all that is looked at.
    None,
    /// A model that is asked and whose answer is judged.
    Model(String),
}

impl From<String> for Reader {
    fn from(name: String) -> Self {
        match &*name {
            "likelihood" => Self::Likelihood,
            "none" => Self::None,
            _ => Self::Model(name),
        }
    }
}

impl From<Reader> for String {
    fn from(reader: Reader) -> Self {
        match reader {
            Reader::Likelihood => "likelihood".into(),
            Reader::None => "none".into(),
            Reader::Model(name) => name,
        }
    }
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Id of the question.
    pub question: String,
    /// The set of the question, where the dataset consists of sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Name of a method or one of [`LEVELS`].
    pub method: String,
    /// Share of the tokens asked for: 1 for [`WHOLE`], 0 for the other [`LEVELS`], which are asked for none.
    pub rate: f64,
    /// Names the models' files and their arithmetic.
    pub model: String,
    /// The outcome.
    pub outcome: Outcome,
}

/// The outcome of compressing one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The prompt was compressed and measured.
    Measured(Box<Measured>),
    /// The engine refused, with this code: the budget cannot be met or the method does not do such prompts.
    Refused(String),
}

/// Figures of one compressed prompt. Tokens are those of [`Setting::tokenizer`], of the whole prompt, joins included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Tokens of the prompt as it was.
    pub original_tokens: usize,
    /// Tokens of the result.
    pub compressed_tokens: usize,
    /// Most tokens allowed.
    pub requested_tokens: usize,
    /// Does the context still hold an answer? None where no document is to hold it. Where the dataset consists of sets,
    /// that of `evidence`.
    pub retained: Option<bool>,
    /// The parts of what the question needs that are left, where the dataset consists of sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Mean negative log-likelihood, in nats a token, of the first answer after context and question. None where
    /// nothing reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nll: Option<f64>,
    /// Mean negative log-likelihood, in nats a token, of the text that is left, each document by itself. None where the
    /// scorer does not read, or nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_nll: Option<f64>,
    /// Units of the documents that are broken. None where nothing was compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
    /// The reply of a model. None where no model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Numbers and dates that are left.
    pub numbers: Recall,
    /// Names that are left.
    pub names: Recall,
    /// Digits that are left, each time that one occurs.
    #[serde(default)]
    pub digits: Recall,
    /// Words that begin with a capital that are left, each time that one occurs.
    #[serde(default)]
    pub capitals: Recall,
    /// Different numbers of the result that the original does not have: parts of longer ones.
    #[serde(default)]
    pub altered_numbers: usize,
    /// Milliseconds of the compressor; 0 where nothing was compressed.
    pub milliseconds: f64,
    /// The retained byte ranges of each document, where an answer or evidence was lost or a model's answer is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<Vec<[usize; 2]>>>,
}

/// A row's place in a run: a method's name and a rate.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arm {
    Whole,
    ClosedBook,
    BestTwo,
    Compressed(Method, f64),
}

impl Arm {
    fn key(&self) -> (String, f64) {
        match self {
            Self::Whole => (WHOLE.into(), 1.0),
            Self::ClosedBook => (CLOSED_BOOK.into(), 0.0),
            Self::BestTwo => (BEST_TWO.into(), 0.0),
            Self::Compressed(method, rate) => (suite::name_of(*method), *rate),
        }
    }
}

impl Arm {
    /// The place of its row among those of a question.
    fn of(&self, question: &Question) -> (String, String, String) {
        let (method, rate) = self.key();
        (question.id.clone(), method, rate.to_string())
    }
}

impl Plan {
    /// Builds the settings from a suite and the flags that override it.
    ///
    /// # Errors
    /// A method is unknown, or a rate out of its range.
    pub fn new(suite: &Suite, manifest: Manifest, overrides: &Overrides) -> anyhow::Result<Self> {
        let mut suite = suite.clone();
        if !overrides.methods.is_empty() {
            suite.methods.clone_from(&overrides.methods);
        }
        if !overrides.rates.is_empty() {
            suite.rates.clone_from(&overrides.rates);
        }
        if let Some(bad) = suite.rates.iter().find(|rate| !(**rate > 0.0 && **rate <= 1.0)) {
            let message = format!("the rate {bad} must be above 0 and at most 1");
            return Err(EngineError::invalid("invalid_rate", "rates", message).into());
        }
        let methods = suite.chosen()?;
        let limit = overrides.limit.or(suite.limit);
        let seed = overrides.seed;
        let price = overrides.price;
        Ok(Self { suite: suite.name, manifest, methods, rates: suite.rates, limit, seed, price })
    }

    /// The questions of the run. A smaller limit gives a part of what a larger one gives with the same seed.
    fn draw<'a>(&self, questions: &'a [Question]) -> Vec<&'a Question> {
        let mut order: Vec<usize> = (0..questions.len()).collect();
        if let Some(limit) = self.limit.filter(|&limit| limit < questions.len()) {
            Random::new(self.seed).shuffle(&mut order);
            order.truncate(limit);
            order.sort_unstable();
        }
        order.into_iter().map(|i| &questions[i]).collect()
    }

    fn arms(&self) -> Vec<Arm> {
        let compressed = self
            .methods
            .iter()
            .flat_map(|&method| self.rates.iter().map(move |&rate| Arm::Compressed(method, rate)));
        let ranked = self.manifest.answer == AnswerKind::Extract && !self.manifest.has_sets();
        // In sets a question often has a single document, which holds evidence or not.
        let best_two = ranked.then_some(Arm::BestTwo);
        [Arm::Whole, Arm::ClosedBook].into_iter().chain(best_two).chain(compressed).collect()
    }
}

/// The flags that override a suite.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Methods by name; the suite's where there are none.
    pub methods: Vec<String>,
    /// Rates; the suite's where there are none.
    pub rates: Vec<f64>,
    /// Most questions; the suite's where none is given.
    pub limit: Option<usize>,
    /// Draws questions and resamples.
    pub seed: u64,
    /// The price of a reader's tokens.
    pub price: Option<TokenPrice>,
}

/// Told of a run's progress.
pub trait Watch {
    /// Reports the total number of results, and how many of them exist already.
    fn begin(&mut self, total: usize, done: usize);
    /// One more result.
    fn row(&mut self, row: &Row);
}

/// The models and files that a run works with.
#[derive(Debug, Clone, Copy)]
pub struct Means<'a> {
    /// Compresses, and scores where likelihood is asked for.
    pub engine: &'a Engine,
    /// Names the models' files and their arithmetic.
    pub model: &'a str,
    /// Is asked, where [`Setting::reader`] names a model.
    pub chat: Option<&'a ChatModel<'a>>,
    /// The number of prompts that may be read at once.
    pub at_once: usize,
}

/// Does what `plan` says, except for the rows that `folder` holds already; gives the rows of the plan.
///
/// # Errors
/// The folder holds a run of other data, data cannot be had, or the engine or the reader fails.
pub fn run(
    plan: &Plan,
    questions: &[Question],
    setting: &Setting,
    means: Means<'_>,
    folder: &Path,
    watch: &mut dyn Watch,
) -> anyhow::Result<Vec<Row>> {
    let questions = plan.draw(questions);
    if questions.is_empty() {
        bail!("the dataset `{}` holds no question", plan.manifest.name);
    }
    let arms = plan.arms();
    let cells: Vec<(&Question, &Arm)> =
        questions.iter().flat_map(|&question| arms.iter().map(move |arm| (question, arm))).collect();
    folder::agree(folder, setting)?;
    let (mut file, there) = JsonLines::<Row>::open(&folder.join(ROWS))?;
    let mut known: BTreeMap<(String, String, String), Row> = BTreeMap::new();
    for row in there.into_iter().filter(|row| row.model == means.model) {
        known.insert((row.question.clone(), row.method.clone(), row.rate.to_string()), row);
    }
    let mut rows: Vec<Option<Row>> =
        cells.iter().map(|(question, arm)| known.remove(&arm.of(question))).collect();
    let missing: Vec<usize> = (0..cells.len()).filter(|&i| rows[i].is_none()).collect();
    watch.begin(cells.len(), cells.len() - missing.len());
    let measure = Measure::new(means, setting)?;
    for batch in missing.chunks(means.at_once.max(1)) {
        let asked: Vec<_> = batch.iter().map(|&i| cells[i]).collect();
        for (&i, outcome) in batch.iter().zip(measure.outcomes(&asked)?) {
            let (question, arm) = cells[i];
            let (method, rate) = arm.key();
            let set = question.needs.as_ref().map(|needs| needs.set.clone());
            let (question, model) = (question.id.clone(), means.model.to_owned());
            let row = file.append(&Row { question, set, method, rate, model, outcome })?;
            watch.row(&row);
            rows[i] = Some(row);
        }
    }
    Ok(rows.into_iter().flatten().collect())
}

/// Rows of the same method and rate, in the order in which they first appear.
pub(super) fn groups<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<Vec<&'a Row>> {
    let mut places: HashMap<(&str, u64), usize> = HashMap::new();
    let mut groups: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let place = *places.entry((&*row.method, row.rate.to_bits())).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(row);
    }
    groups
}
