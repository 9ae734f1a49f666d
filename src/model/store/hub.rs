//! What a model hub knows of a repository: its files, their hashes and its licence.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::fetch::Sources;
use super::manifest::plain_name;
use super::own::{BESIDE, ENCODER, PICKLE, encoder_role, hash_of};
use super::{Model, ModelFile, Role, Source, StoreError};

/// The most bytes of a file that a hub gives without its hash, such as a configuration or a tokenizer.
const SMALL: u64 = 64 << 20;

/// A repository of a hub, in the form of the API of the Hugging Face hub with `blobs=true`.
#[derive(Debug, Deserialize)]
struct Repository {
    /// The commit.
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
    #[serde(default, rename = "cardData")]
    card: Value,
}

#[derive(Debug, Deserialize)]
struct Sibling {
    #[serde(rename = "rfilename")]
    name: String,
    #[serde(default)]
    size: u64,
    /// There for files that are kept apart for their size.
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    sha256: String,
}

/// The model in a repository at a revision, by the name of its one GGUF file, `file` where there are several, else with the
/// files of an encoder. Its sources name the commit, so that it stays what it is.
pub(super) fn model(
    sources: &Sources,
    repository: &str,
    revision: &str,
    file: Option<&str>,
) -> Result<Model, StoreError> {
    let refused = |reason: String| StoreError::NoModel { path: Path::new(repository).to_owned(), reason };
    let url = format!("{}/api/models/{repository}/revision/{revision}?blobs=true", sources.hub);
    let bytes = sources.small(&url, SMALL)?;
    let found: Repository =
        serde_json::from_slice(&bytes).map_err(|error| refused(format!("the hub's answer: {error}")))?;
    let wanted = found.wanted(file).map_err(refused)?;
    let base = format!("{}/{repository}/resolve/{}", sources.hub, found.sha);
    let (mut files, mut config) = (Vec::new(), Value::Null);
    for Sibling { name, size, lfs } in wanted {
        let (sha256, size) = if let Some(lfs) = lfs {
            (lfs.sha256.clone(), *size)
        } else {
            let bytes = sources.small(&format!("{base}/{name}"), SMALL)?;
            if name == "config.json" {
                config = serde_json::from_slice(&bytes).map_err(|error| refused(error.to_string()))?;
            }
            (hash_of(&bytes), bytes.len() as u64)
        };
        files.push(ModelFile { name: name.clone(), sha256, size });
    }
    let role = if files.len() == 1 { Role::Scorer } else { encoder_role(&config) };
    let named = |value: &Value, other: &str| value.as_str().unwrap_or(other).to_owned();
    Ok(Model {
        name: String::new(),
        role,
        architecture: named(&config["model_type"], "gguf"),
        licence: named(&found.card["license"], "unknown"),
        description: format!("{repository} at {revision}"),
        files,
        unverified: Vec::new(),
        sources: vec![Source::Hub { repository: repository.to_owned(), revision: found.sha }],
    })
}

impl Repository {
    fn wanted(&self, file: Option<&str>) -> Result<Vec<&Sibling>, String> {
        let named = |name: &str| self.siblings.iter().find(|sibling| sibling.name == name);
        if let Some(file) = file {
            let found = named(file).ok_or_else(|| format!("it has no file `{file}`"))?;
            return if found.is_gguf() { Ok(vec![found]) } else { Err(format!("`{file}` is no GGUF file")) };
        }
        let is_decoder = |sibling: &&Sibling| sibling.is_gguf() && plain_name(&sibling.name);
        let decoders: Vec<&Sibling> = self.siblings.iter().filter(is_decoder).collect();
        let encoder: Vec<&Sibling> = ENCODER.iter().filter_map(|name| named(name)).collect();
        let beside = BESIDE.iter().filter_map(|name| named(name));
        match decoders.len() {
            1 => Ok(decoders),
            0 if encoder.len() == ENCODER.len() => Ok(encoder.into_iter().chain(beside).collect()),
            0 if named("pytorch_model.bin").is_some() => Err(format!("`pytorch_model.bin`: {PICKLE}")),
            0 => Err(format!("it has neither a GGUF file nor all of {}", ENCODER.join(", "))),
            _ => {
                let size = |own: &Sibling| format!("{} ({:.0} MB)", own.name, own.size as f64 / 1e6);
                let names: Vec<String> = decoders.into_iter().map(size).collect();
                Err(format!("it has several GGUF files, name one behind a colon: {}", names.join(", ")))
            }
        }
    }
}

impl Sibling {
    fn is_gguf(&self) -> bool {
        self.name.to_ascii_lowercase().ends_with(".gguf")
    }
}
