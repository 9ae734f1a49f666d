//! Datasets that consist of sets: files in a folder, of which there may be more than this build knows.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::load::{Files, hash_of};
use super::manifest::{DataFile, Manifest, built_in, by_name};

/// The end of the name of a set's questions.
const QUESTIONS: &str = ".questions.jsonl";
/// The end of the name of a set's documents.
const DOCUMENTS: &str = ".documents.jsonl";

impl Files {
    /// A dataset of this build or of one's own, or one set of those in a folder. The files of sets are described as
    /// they are found, so that a run is told from one of other files.
    ///
    /// # Errors
    /// No dataset and no set has the name, or the files of a set cannot be read.
    pub fn dataset(&self, name: &str) -> anyhow::Result<Manifest> {
        for mut manifest in built_in()? {
            let Some(folder) = &manifest.sets else { continue };
            let found = self.sets(folder);
            let chosen: Vec<&Set> =
                found.iter().filter(|set| manifest.name == name || set.name == name).collect();
            if manifest.name == name && chosen.is_empty() {
                bail!(
                    "no set of the dataset `{name}` is there: give the folder that holds {folder}/SET{QUESTIONS} with \
                     --data or WHITTLE_DATA"
                );
            }
            if !chosen.is_empty() {
                let described =
                    chosen.iter().map(|set| set.files(folder)).collect::<anyhow::Result<Vec<_>>>()?;
                manifest.rows.files = described.iter().map(|[questions, _]| questions.path.clone()).collect();
                manifest.files = described.into_iter().flatten().collect();
                name.clone_into(&mut manifest.name);
                return Ok(manifest);
            }
        }
        by_name(name)
    }

    /// Returns whether a folder of sets has one that is called `name`.
    #[must_use]
    pub fn has_set(&self, name: &str) -> bool {
        let folders = built_in().unwrap_or_default().into_iter().filter_map(|manifest| manifest.sets);
        folders.flat_map(|folder| self.sets(&folder)).any(|set| set.name == name)
    }

    /// The number of sets in a folder.
    #[must_use]
    pub fn count_sets(&self, folder: &str) -> usize {
        self.sets(folder).len()
    }

    /// Sets of the first place that has some, by name.
    fn sets(&self, folder: &str) -> Vec<Set> {
        let places = self.folders.iter().map(|place| sets_in(&place.join(folder)));
        places.into_iter().find(|sets| !sets.is_empty()).unwrap_or_default()
    }
}

/// A set whose questions and documents are there.
#[derive(Debug)]
struct Set {
    name: String,
    folder: PathBuf,
}

impl Set {
    /// Descriptions of the file of questions and of that of documents.
    fn files(&self, folder: &str) -> anyhow::Result<[DataFile; 2]> {
        let describe = |end: &str| {
            let name = format!("{}{end}", self.name);
            let place = self.folder.join(&name);
            let bytes = std::fs::read(&place).with_context(|| format!("cannot read {}", place.display()))?;
            let (path, size) = (format!("{folder}/{name}"), bytes.len() as u64);
            anyhow::Ok(DataFile { path, sha256: hash_of(&bytes), size, url: None })
        };
        Ok([describe(QUESTIONS)?, describe(DOCUMENTS)?])
    }
}

fn sets_in(folder: &Path) -> Vec<Set> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| Some(name.strip_suffix(QUESTIONS)?.to_owned())).collect();
    names.retain(|name| !name.contains('.') && folder.join(format!("{name}{DOCUMENTS}")).is_file());
    names.sort_unstable();
    names.into_iter().map(|name| Set { name, folder: folder.to_owned() }).collect()
}
