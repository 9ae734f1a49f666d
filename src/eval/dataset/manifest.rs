//! The manifest of a dataset: its files, and how their rows are read.

use anyhow::Context;
use serde::Deserialize;

use crate::engine::EngineError;

/// A dataset's manifest: `eval/datasets/NAME.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Unique name.
    pub name: String,
    /// A title for people.
    pub title: String,
    /// Licence of the data.
    pub licence: String,
    /// The place where the data were published.
    pub source: String,
    /// Part of the data that is asked about.
    pub split: String,
    /// The comparison of answers.
    pub answer: AnswerKind,
    /// The tokenizer that budgets are counted with: the scorer's own, or that of a model that prompts are sent to.
    #[serde(default = "scorer")]
    pub tokenizer: String,
    /// The folder of a dataset that consists of sets: it has those whose files are there, `SET.questions.jsonl` and
    /// `SET.documents.jsonl`. The files are not known before they are found.
    #[serde(default)]
    pub sets: Option<String>,
    /// All files.
    #[serde(rename = "file", default)]
    pub files: Vec<DataFile>,
    /// The mapping from a row to a question.
    pub(super) rows: Rows,
    /// The source of its documents.
    pub(super) documents: Documents,
}

impl Manifest {
    /// Returns whether its questions belong to sets, and say what they need.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        self.rows.set.is_some()
    }
}

/// The name of the scorer's tokenizer.
#[must_use]
pub fn scorer() -> String {
    "scorer".into()
}

/// The comparison of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerKind {
    /// A passage of a document: it can be retained or lost.
    Extract,
    /// The last number of the answer.
    Number,
    /// The letter of an option.
    Choice,
    /// A text of its own that no document holds.
    Text,
}

/// A file of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFile {
    /// The path below the data folder, with forward slashes.
    pub path: String,
    /// 64 hexadecimal digits, lower case.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// The URL of just this file, if it was published alone.
    pub url: Option<String>,
}

/// The mapping from a row to a question. All but `files`, `list`, `answers` and `after` are templates: see
/// [`fill`](super::template::fill). Besides the row's own columns there are `{@row}`, its number from 0, and
/// `{@file}`, its file's name without folder and up to the first dot.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rows {
    /// Paths of JSONL files, or of JSON files where `list` is given.
    #[serde(default)]
    pub(super) files: Vec<String>,
    /// Member of a JSON file that holds the rows.
    pub(super) list: Option<String>,
    pub(super) id: String,
    #[serde(default)]
    pub(super) instruction: String,
    pub(super) question: String,
    /// The field of the question for a reader; by default the same as for the compressor.
    pub(super) asked: Option<String>,
    /// The column that holds the answer or the answers.
    pub(super) answers: String,
    /// The answer stands behind the last one of these.
    pub(super) after: Option<String>,
    /// The set that a question belongs to. Then the columns `lang` (`en` where it is missing), `all_answers`,
    /// `gold_spans` and `any_span` say what it needs, and it may have no answer of its own.
    pub(super) set: Option<String>,
}

/// The source of a question's documents.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Documents {
    /// A column lists the ids of rows of a JSONL file, whose path is a template. `{@place}` is the place in the list, from 1.
    Ids {
        column: String,
        file: String,
        id: String,
        #[serde(default)]
        title: String,
        text: String,
    },
    /// The first rows of a JSONL file: the same examples for every question.
    First { count: usize, file: String, text: String },
    /// A text file whose path is a template; its paragraphs are the documents.
    Paragraphs { file: String },
    /// The column `documents` holds objects with `text` and perhaps `id` and `title`.
    Inline,
}

/// Manifests of this build.
const BUILT_IN: [&str; 7] = [
    include_str!("../../../eval/datasets/embedded.toml"),
    include_str!("../../../eval/datasets/kinds.toml"),
    include_str!("../../../eval/datasets/domains.toml"),
    include_str!("../../../eval/datasets/nq.toml"),
    include_str!("../../../eval/datasets/gsm8k.toml"),
    include_str!("../../../eval/datasets/bbh.toml"),
    include_str!("../../../eval/datasets/medqa.toml"),
];

/// Rows of one's own: a JSONL file with the columns `id`, `question`, `answers`, `documents` and perhaps
/// `instruction`.
pub(super) fn own(path: &str) -> Manifest {
    Manifest {
        name: path.to_owned(),
        title: "own data".into(),
        licence: "not stated".into(),
        source: path.to_owned(),
        split: "all".into(),
        answer: AnswerKind::Extract,
        tokenizer: scorer(),
        sets: None,
        files: Vec::new(),
        rows: Rows {
            files: vec![path.to_owned()],
            list: None,
            id: "{id}".into(),
            instruction: String::new(),
            question: "{question}".into(),
            asked: None,
            answers: "answers".into(),
            after: None,
            set: None,
        },
        documents: Documents::Inline,
    }
}

/// The datasets that this build knows.
///
/// # Errors
/// None for a build that passes its tests.
pub fn built_in() -> anyhow::Result<Vec<Manifest>> {
    BUILT_IN.iter().map(|text| toml::from_str(text).context("a built-in dataset manifest")).collect()
}

/// A dataset of this build, or one's own where `name` is the path of a `.jsonl` file.
///
/// # Errors
/// No dataset has the name.
pub fn by_name(name: &str) -> anyhow::Result<Manifest> {
    if std::path::Path::new(name).extension().is_some_and(|extension| extension == "jsonl") {
        return Ok(own(name));
    }
    let all = built_in()?;
    let known = all.iter().map(|manifest| manifest.name.as_str()).collect::<Vec<_>>().join(", ");
    let unknown = || {
        let message = format!("unknown dataset `{name}`: there are {known}, or give a .jsonl file of yours");
        EngineError::invalid("unknown_dataset", "dataset", message).into()
    };
    all.into_iter().find(|manifest| manifest.name == name).ok_or_else(unknown)
}
