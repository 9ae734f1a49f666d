//! Models of the user's own: files on this machine that no manifest knows.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Model, ModelFile, ModelFiles, Role, StoreError, hash, hex, size_and_time};
use crate::model::local::GgufSummary;
use crate::telemetry::chain;

/// The files of an encoder, all of which it needs.
pub(super) const ENCODER: [&str; 3] = ["model.safetensors", "tokenizer.json", "config.json"];
/// The files of sentence-transformers that an encoder may have beside them.
pub(super) const BESIDE: [&str; 4] = [
    "modules.json",
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
];
/// Endings of files that run code when Python reads them.
const PICKLES: [&str; 6] = ["bin", "pt", "pth", "ckpt", "pkl", "pickle"];

/// The head of the pruner that was published with arXiv 2501.16214.
const PROVENCE: &str = "Provence";

/// The paths of a model's files: itself, or those of a folder with an encoder, whose names they have there.
fn parts(path: &Path) -> Vec<(Option<&'static str>, PathBuf)> {
    if !path.is_dir() {
        return vec![(None, path.to_owned())];
    }
    let beside = BESIDE.into_iter().filter(|name| path.join(name).is_file());
    ENCODER.into_iter().chain(beside).map(|name| (Some(name), path.join(name))).collect()
}

/// The files at `path` as they are now. Their hashes are kept in the folder `stamps`, so that a file which has not changed
/// since is not read for its hash again.
pub(super) fn files(path: &Path, stamps: &Path) -> Result<ModelFiles, StoreError> {
    let path = path.canonicalize().map_err(|e| StoreError::io("open the model", path, e))?;
    let paths: Vec<PathBuf> = parts(&path).into_iter().map(|(_, path)| path).collect();
    let hashes = paths.iter().map(|path| stamped(path, stamps)).collect::<Result<_, _>>()?;
    Ok(ModelFiles { paths, hashes })
}

fn stamped(path: &Path, stamps: &Path) -> Result<String, StoreError> {
    let metadata = fs::metadata(path).map_err(|e| StoreError::io("read", path, e))?;
    let now = size_and_time(&metadata);
    let name = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    let stamp = stamps.join(format!("{name}.ok"));
    if let Ok(known) = fs::read_to_string(&stamp)
        && let Some((when, sha256)) = known.rsplit_once(' ')
        && when == now
    {
        return Ok(sha256.to_owned());
    }
    let sha256 = hash(path)?;
    // Without its stamp a file is hashed again next time; no more is lost.
    fs::create_dir_all(stamps).and_then(|()| fs::write(&stamp, format!("{now} {sha256}"))).ok();
    Ok(sha256)
}

/// Reads what the file or folder at `path` is. Gives it as a model called `name` without sources, and the paths of its
/// files.
pub(super) fn inspect(path: &Path, name: String) -> Result<(Model, Vec<PathBuf>), StoreError> {
    let refused = |reason: String| StoreError::NoModel { path: path.to_owned(), reason };
    let parts = parts(path);
    let mut model = if path.is_dir() {
        if let Some((missing, _)) = parts.iter().find(|(_, part)| !part.is_file()) {
            let missing = missing.unwrap_or_default();
            return Err(refused(format!(
                "the folder has no `{missing}`; an encoder has {}",
                ENCODER.join(", ")
            )));
        }
        encoder(&path.join("config.json"))?
    } else {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        if PICKLES.contains(&&*end) {
            return Err(refused(PICKLE.into()));
        }
        decoder(path)?
    };
    for (own, part) in &parts {
        let size = fs::metadata(part).map_err(|e| StoreError::io("read", part, e))?.len();
        let file = own.map_or_else(|| format!("{name}.gguf"), str::to_owned);
        model.files.push(ModelFile { name: file, sha256: hash(part)?, size });
    }
    model.name = name;
    Ok((model, parts.into_iter().map(|(_, path)| path).collect()))
}

/// The reason for which a pickle is refused.
pub(super) const PICKLE: &str =
    "it is a pickle, which may run code when it is read: convert it to GGUF or safetensors";

/// A model that scores or embeds, by what its GGUF file says of itself.
fn decoder(path: &Path) -> Result<Model, StoreError> {
    let refused = |reason: String| StoreError::NoModel { path: path.to_owned(), reason };
    let summary = GgufSummary::read(path).map_err(|error| refused(chain(&error)))?;
    let GgufSummary { architecture, name, licence, context, embeds } = summary;
    let description = format!("{}, context {context}", name.unwrap_or_else(|| architecture.clone()));
    let role = if embeds { Role::Embedder } else { Role::Scorer };
    Ok(model(role, architecture, licence, description))
}

/// A model that embeds, classifies, reranks or prunes, by its `config.json`.
fn encoder(config: &Path) -> Result<Model, StoreError> {
    let refused = |reason: String| StoreError::NoModel { path: config.to_owned(), reason };
    let text = fs::read_to_string(config).map_err(|e| StoreError::io("read", config, e))?;
    let config: Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    let Some(architecture) = config["model_type"].as_str() else {
        return Err(refused("it has no `model_type`".into()));
    };
    let head = config["architectures"][0].as_str().unwrap_or_default();
    // A pruner's configuration has that of its encoder in it.
    let mut sizes = [&config["hidden_size"], &config["base_model_config"]["hidden_size"]].into_iter();
    let size = sizes.find_map(Value::as_u64).unwrap_or_default();
    let description = format!("{head}, {size} dimensions");
    Ok(model(encoder_role(&config), architecture.to_owned(), None, description))
}

/// The role of an encoder, by what its `config.json` says of its head.
pub(super) fn encoder_role(config: &Value) -> Role {
    let head = config["architectures"][0].as_str().unwrap_or_default();
    if config["base_model_config"].is_object() || head == PROVENCE {
        Role::Pruner
    } else if head.ends_with("ForTokenClassification") {
        Role::TokenClassifier
    } else if head.ends_with("ForSequenceClassification") {
        Role::Reranker
    } else {
        Role::Embedder
    }
}

fn model(role: Role, architecture: String, licence: Option<String>, description: String) -> Model {
    let licence = licence.unwrap_or_else(|| "unknown".into());
    let (name, files, unverified, sources) = Default::default();
    Model { name, role, architecture, licence, description, files, unverified, sources }
}

/// `text` with what no model's name may have replaced by `-`.
pub(super) fn plain(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_') { c } else { '-' };
    text.chars().map(kept).collect::<String>().trim_matches(['-', '.']).to_ascii_lowercase()
}

/// The hash of bytes, in hexadecimal digits.
pub(super) fn hash_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    hex(&sha2::Sha256::digest(bytes))
}
