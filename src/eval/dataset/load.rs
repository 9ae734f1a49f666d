//! Loading of questions from files.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::manifest::{Documents, Manifest, Rows};
use super::template::{Row, fill};
use super::{DataFile, Needs, Question, Source, Span};
use crate::config::Env;

/// Files of the embedded sets.
const EMBEDDED: [(&str, &str); 4] = [
    ("embedded/documents.jsonl", include_str!("../../../eval/datasets/embedded/documents.jsonl")),
    ("embedded/questions.jsonl", include_str!("../../../eval/datasets/embedded/questions.jsonl")),
    ("embedded/kinds.documents.jsonl", include_str!("../../../eval/datasets/embedded/kinds.documents.jsonl")),
    ("embedded/kinds.questions.jsonl", include_str!("../../../eval/datasets/embedded/kinds.questions.jsonl")),
];

/// The folders where a dataset's files are searched.
#[derive(Debug, Clone)]
pub struct Files {
    /// Looked at in order.
    pub(super) folders: Vec<PathBuf>,
}

/// The location of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The file is embedded in this binary.
    Embedded,
    /// The file is in a folder.
    At(PathBuf),
    /// Nowhere.
    Missing,
}

impl Files {
    /// Looks in `data` first, where it is given, then in the cache that `env` names.
    #[must_use]
    pub fn new(data: Option<PathBuf>, env: &dyn Env) -> Self {
        Self { folders: data.into_iter().chain(Self::cache(env)).collect() }
    }

    /// Returns the folder of fetched datasets: `datasets` in `WHITTLE_CACHE`, else in the platform's cache folder.
    #[must_use]
    pub fn cache(env: &dyn Env) -> Option<PathBuf> {
        env.path("WHITTLE_CACHE")
            .or_else(|| Some(dirs::cache_dir()?.join("whittle")))
            .map(|cache| cache.join("datasets"))
    }

    /// Returns the location of a file.
    #[must_use]
    pub fn find(&self, path: &str) -> Place {
        if EMBEDDED.iter().any(|(name, _)| *name == path) {
            return Place::Embedded;
        }
        let places = self.folders.iter().map(|folder| folder.join(path));
        places.into_iter().find(|place| place.is_file()).map_or(Place::Missing, Place::At)
    }

    /// A file of a dataset, checked against its hash.
    ///
    /// # Errors
    /// It is nowhere, cannot be read, or is another file than the manifest describes.
    pub fn read(&self, manifest: &Manifest, path: &str) -> anyhow::Result<Cow<'static, str>> {
        let text = match self.find(path) {
            Place::Embedded => {
                let found = EMBEDDED.iter().find(|(name, _)| *name == path);
                found.map(|(_, text)| Cow::Borrowed(*text)).context("an embedded file is there")?
            }
            Place::At(place) => Cow::Owned(
                std::fs::read_to_string(&place)
                    .with_context(|| format!("cannot read {}", place.display()))?,
            ),
            Place::Missing => bail!(
                "{path} of the dataset `{}` is missing: give the folder that holds it with --data or \
                 WHITTLE_DATA, or run `whittle eval datasets pull {0}`; it was published at {}",
                manifest.name,
                manifest.source
            ),
        };
        if let Some(file) = manifest.files.iter().find(|file| file.path == path) {
            check(file, text.as_bytes())?;
        }
        Ok(text)
    }

    /// The questions of a dataset, in the order of its files.
    ///
    /// # Errors
    /// As [`Files::read`]; also where a row lacks what the manifest says it has.
    pub fn questions(&self, manifest: &Manifest) -> anyhow::Result<Vec<Question>> {
        let mut reader = Reader { files: self, manifest, rows: HashMap::new(), by_id: HashMap::new() };
        let mut questions = Vec::new();
        for path in &manifest.rows.files {
            for (number, mut row) in reader.table(path)?.into_iter().enumerate() {
                row.insert("@row".into(), number.into());
                row.insert("@file".into(), stem(path).into());
                questions.push(reader.question(&row).with_context(|| format!("{path}, row {}", number + 1))?);
            }
        }
        Ok(questions)
    }
}

/// Compares a file with what the manifest says of it.
fn check(file: &DataFile, bytes: &[u8]) -> anyhow::Result<()> {
    let hash = hash_of(bytes);
    if hash == file.sha256 {
        return Ok(());
    }
    bail!(
        "{} is not the file that the manifest describes: its sha256 is {hash}, the manifest gives {}",
        file.path,
        file.sha256
    )
}

/// The sha256 of a file, in hexadecimal digits.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    format!("{:x}", HexOf(&Sha256::digest(bytes)))
}

struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn stem(path: &str) -> String {
    let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
    name.split('.').next().unwrap_or_default().to_owned()
}

/// Reads rows; files of documents are read once.
struct Reader<'a> {
    files: &'a Files,
    manifest: &'a Manifest,
    rows: HashMap<String, Vec<Row>>,
    /// Rows of each file of documents that questions list by id.
    by_id: HashMap<String, HashMap<String, Row>>,
}

impl Reader<'_> {
    /// Rows of a JSONL file, or of a member of a JSON file.
    fn table(&self, path: &str) -> anyhow::Result<Vec<Row>> {
        let text = if self.manifest.files.is_empty() {
            Cow::Owned(std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?)
        } else {
            self.files.read(self.manifest, path)?
        };
        if let Some(list) = &self.manifest.rows.list
            && self.manifest.rows.files.iter().any(|file| file == path)
        {
            let mut whole: Row = serde_json::from_str(&text).with_context(|| path.to_owned())?;
            let rows = whole.remove(list).with_context(|| format!("{path} has no member `{list}`"))?;
            return serde_json::from_value(rows).with_context(|| format!("`{list}` of {path}"));
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(i, line)| serde_json::from_str(line).with_context(|| format!("{path} line {}", i + 1)))
            .collect()
    }

    fn question(&mut self, row: &Row) -> anyhow::Result<Question> {
        let Rows { id, instruction, question, asked, answers, after, .. } = &self.manifest.rows;
        let question = fill(question, row)?;
        let given = row.get("instruction").and_then(Value::as_str).filter(|_| instruction.is_empty());
        let needs = self.manifest.rows.set.as_ref().map(|set| needs(set, row)).transpose()?;
        let open = needs.as_ref().is_some_and(|needs| !needs.operands.is_empty() || !needs.spans.is_empty());
        Ok(Question {
            id: fill(id, row)?,
            instruction: given.map_or_else(|| fill(instruction, row), |given| Ok(given.to_owned()))?,
            documents: self.documents(row)?,
            asked: asked.as_ref().map_or_else(|| Ok(question.clone()), |asked| fill(asked, row))?,
            question,
            answers: read_answers(row, answers, after.as_deref(), open)?,
            needs,
        })
    }

    fn documents(&mut self, row: &Row) -> anyhow::Result<Vec<Source>> {
        match &self.manifest.documents {
            Documents::Ids { column, file, id, title, text } => {
                let wanted: Vec<String> = column_of(row, column)?;
                let file = fill(file, row)?;
                if !self.by_id.contains_key(&file) {
                    let rows = self.rows_of(&file)?.iter().map(|row| Ok((fill(id, row)?, row.clone())));
                    let rows = rows.collect::<anyhow::Result<_>>()?;
                    self.by_id.insert(file.clone(), rows);
                }
                let by_id = &self.by_id[&file];
                let listed = wanted.into_iter().enumerate().map(|(i, id)| {
                    let found = by_id.get(&id).with_context(|| format!("{file} has no row `{id}`"))?;
                    let mut row: Row = found.clone();
                    row.insert("@place".into(), (i + 1).into());
                    if row.get("title").is_none_or(Value::is_null) {
                        row.insert("title".into(), "".into());
                    }
                    Ok(Source { title: fill(title, &row)?, text: fill(text, &row)?, id })
                });
                listed.collect()
            }
            Documents::First { count, file, text } => {
                let rows = self.rows_of(file)?.iter().take(*count).enumerate();
                rows.map(|(i, row)| {
                    Ok(Source { id: i.to_string(), title: String::new(), text: fill(text, row)? })
                })
                .collect()
            }
            Documents::Paragraphs { file } => {
                let text = self.files.read(self.manifest, &fill(file, row)?)?;
                // Above the line stands what is not for a model's eyes.
                let text = text.split_once("\n-----\n").map_or(&*text, |(_, below)| below);
                let paragraphs = text.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
                Ok(paragraphs
                    .enumerate()
                    .map(|(i, text)| Source {
                        id: i.to_string(),
                        title: String::new(),
                        text: text.to_owned(),
                    })
                    .collect())
            }
            Documents::Inline => inline(row),
        }
    }

    fn rows_of(&mut self, file: &str) -> anyhow::Result<&[Row]> {
        if !self.rows.contains_key(file) {
            let rows = self.table(file)?;
            self.rows.insert(file.to_owned(), rows);
        }
        Ok(&self.rows[file])
    }
}

fn inline(row: &Row) -> anyhow::Result<Vec<Source>> {
    let documents: Vec<Row> = column_of(row, "documents")?;
    let part =
        |row: &Row, column: &str| row.get(column).and_then(Value::as_str).unwrap_or_default().to_owned();
    let read = documents.iter().enumerate().map(|(i, document)| {
        let id = document.get("id").map_or_else(|| Ok(i.to_string()), |_| fill("{id}", document))?;
        Ok(Source { id, title: part(document, "title"), text: fill("{text}", document)? })
    });
    read.collect()
}

fn column_of<T: serde::de::DeserializeOwned>(row: &Row, column: &str) -> anyhow::Result<T> {
    let value = row.get(column).with_context(|| format!("the row has no column `{column}`"))?;
    serde_json::from_value(value.clone()).with_context(|| format!("column `{column}`"))
}

/// The columns of a row that say what its question needs besides an answer.
#[derive(Default, Deserialize)]
#[serde(default)]
struct NeedsRow {
    lang: Option<String>,
    all_answers: Vec<String>,
    gold_spans: Vec<Span>,
    any_span: bool,
}

fn needs(set: &str, row: &Row) -> anyhow::Result<Needs> {
    let NeedsRow { lang, all_answers: operands, gold_spans: spans, any_span } =
        NeedsRow::deserialize(Value::Object(row.clone())).context("what the question needs")?;
    let language = lang.unwrap_or_else(|| "en".into());
    Ok(Needs { set: fill(set, row)?, language, operands, spans, any_span })
}

/// One answer or a list of them; of each what stands behind the last `after`. There may be none where the question is
/// `open`, that is, needs something else.
fn read_answers(row: &Row, column: &str, after: Option<&str>, open: bool) -> anyhow::Result<Vec<String>> {
    let answers: Vec<String> = match row.get(column) {
        Some(Value::Array(_)) => column_of(row, column)?,
        None if open => Vec::new(),
        _ => vec![fill(&format!("{{{column}}}"), row)?],
    };
    let answers: Vec<String> = answers
        .iter()
        .map(|answer| after.and_then(|mark| answer.rsplit_once(mark)).map_or(&**answer, |(_, rest)| rest))
        .map(|answer| answer.trim().to_owned())
        .filter(|answer| !answer.is_empty())
        .collect();
    if answers.is_empty() && !open {
        bail!("column `{column}` holds no answer");
    }
    Ok(answers)
}
