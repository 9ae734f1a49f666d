//! `whittle models`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::progress::DownloadBar;
use crate::config::{Places, ProcessEnv, check_variables};
use crate::model::store::{Model, ModelStore, Role, State};

/// Fetch, list and check model files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle models list
  whittle models pull
  whittle models verify smollm2-135m-instruct
  whittle models import ./SmolLM2-135M-Instruct.Q4_1.gguf

Files are stored in WHITTLE_CACHE, else in the platform's cache folder. WHITTLE_MODELS names a manifest of
your own. WHITTLE_OFFLINE=1 prevents downloads. More: `whittle help models`, `whittle help inference`.")]
pub(super) struct ModelsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Download the files of one model, or of all models
    Pull {
        /// Name of a model
        name: Option<String>,
    },
    /// List the models and whether their files are present
    List,
    /// Compare the files in the cache with their hashes
    Verify {
        /// Name of a model
        name: Option<String>,
    },
    /// Copy a file of a known model into the cache
    Import {
        /// Path of the file
        path: PathBuf,
        /// Model that the file belongs to, if the manifest has no hash of it
        #[arg(long, value_name = "NAME")]
        model: Option<String>,
    },
}

pub(super) fn run(args: ModelsArgs) -> anyhow::Result<()> {
    check_variables(&ProcessEnv, &Places::usual())?;
    let store = ModelStore::from_environment(&ProcessEnv)?;
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    match args.command {
        Command::Pull { name } => {
            for model in chosen(&store, name.as_deref())? {
                if name.is_none() && !model.unverified.is_empty() {
                    writeln!(out, "{} cannot be downloaded: import its files", model.name)?;
                    continue;
                }
                store.ensure(&model.name, &DownloadBar::default())?;
                writeln!(out, "{} is present and verified", model.name)?;
            }
        }
        Command::List => list(&store, &mut out)?,
        Command::Verify { name } => verify(&store, name.as_deref(), &mut out)?,
        Command::Import { path, model: Some(model) } => {
            store.import_unverified(&path, &model)?;
            writeln!(out, "imported for {model}; its hash is recorded")?;
        }
        Command::Import { path, model: None } => writeln!(out, "imported as {}", store.import(&path)?)?,
    }
    Ok(())
}

fn chosen<'a>(store: &'a ModelStore, name: Option<&str>) -> anyhow::Result<Vec<&'a Model>> {
    Ok(match name {
        Some(name) => vec![store.manifest().model(name)?],
        None => store.manifest().models.iter().collect(),
    })
}

fn list(store: &ModelStore, out: &mut impl Write) -> anyhow::Result<()> {
    let models = &store.manifest().models;
    let width = models.iter().map(|model| model.name.len()).max().unwrap_or_default();
    for model in models {
        let role = match model.role {
            Role::Scorer => "scorer",
            Role::Embedder => "embedder",
            Role::TokenClassifier => "token-classifier",
        };
        let megabytes = model.files.iter().map(|file| file.size).sum::<u64>() as f64 / 1e6;
        let state = describe(store.state(model)?);
        writeln!(out, "{:width$}  {role:16}  {megabytes:7.1} MB  {:10}  {state}", model.name, model.licence)?;
    }
    Ok(())
}

fn verify(store: &ModelStore, name: Option<&str>, out: &mut impl Write) -> anyhow::Result<()> {
    let mut bad = 0;
    for model in chosen(store, name)? {
        let state = store.verify(model)?;
        writeln!(out, "{}: {}", model.name, describe(state))?;
        bad += usize::from(state == State::Corrupt || (name.is_some() && state != State::Verified));
    }
    if bad > 0 {
        bail!("{bad} of them cannot be used; `whittle models pull` downloads missing and corrupt files");
    }
    Ok(())
}

fn describe(state: State) -> &'static str {
    match state {
        State::Verified => "verified",
        State::Missing => "missing",
        State::Corrupt => "corrupt",
    }
}
