//! `whittle models`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand};

use super::progress::DownloadBar;
use crate::config::{Config, Flags, Places, ProcessEnv, check_variables, load};
use crate::engine::{Engine, RemoteModel};
use crate::model::store::{MeasuredSpeed, Model, ModelStore, Origin, Role, State};

/// Fetch, list and check model files
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  whittle models list
  whittle models pull
  whittle models add ~/models/Qwen3-0.6B-Q8_0.gguf
  whittle models add hf:Qwen/Qwen3-0.6B-GGUF:Qwen3-0.6B-Q8_0.gguf --name qwen3
  whittle models add ollama:llama3.2:1b
  whittle models verify smollm2-135m-instruct
  whittle models import ./SmolLM2-135M-Instruct.Q4_1.gguf

Files are stored in WHITTLE_CACHE, else in the platform's cache folder. WHITTLE_MODELS names a manifest of
your own. WHITTLE_OFFLINE=1 prevents downloads. `list` shows the speeds that `whittle bench score` and
`whittle bench embed` measured on this machine, and names the models that the configuration has on other
machines; `verify` asks their servers. More: `whittle help models`, `whittle help inference`.")]
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
    /// List the models and whether their files are present, and those on other machines
    List,
    /// Compare the files in the cache with their hashes, and ask the servers of models on other machines
    Verify {
        /// Name of a model
        name: Option<String>,
    },
    /// Add a model of your own, so that the configuration can name it
    #[command(long_about = "\
Add a model of your own, so that the configuration can name it: `scorer.model = \"NAME\"`

ORIGIN is one of
  PATH                        a GGUF file, or a folder with model.safetensors, tokenizer.json and config.json
  hf:OWNER/NAME[@REVISION]    a repository of the model hub (WHITTLE_HUB) that has one GGUF file or an encoder
  hf:OWNER/NAME:FILE.gguf     one of several GGUF files
  ollama:NAME[:TAG]           a model that Ollama has fetched on this machine (OLLAMA_MODELS)
  https://HOST/FILE.gguf      a file at an address that WHITTLE_MODEL_URLS allows

Commit and sha256 are recorded in models.toml of the cache folder, and the files are held to them from then on.
Without adding it, `scorer.model = \"/path/of/model.gguf\"` uses a file where it is.")]
    Add {
        /// PATH, hf:OWNER/NAME[@REVISION][:FILE.gguf], ollama:NAME[:TAG] or the address of a file
        origin: Origin,
        /// Name of the model; by default from its file or repository
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Take a model away that was added, with its files in the cache
    Remove {
        /// Name of the model
        name: String,
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
        Command::Add { origin, name } => add(&store, &origin, name.as_deref(), &mut out)?,
        Command::Remove { name } => {
            store.remove(&name)?;
            writeln!(out, "{name} is removed")?;
        }
        Command::Verify { name } => verify(&store, name.as_deref(), &mut out)?,
        Command::Import { path, model: Some(model) } => {
            store.import_unverified(&path, &model)?;
            writeln!(out, "imported for {model}; its hash is recorded")?;
        }
        Command::Import { path, model: None } => writeln!(out, "imported as {}", store.import(&path)?)?,
    }
    Ok(())
}

fn add(store: &ModelStore, origin: &Origin, name: Option<&str>, out: &mut impl Write) -> anyhow::Result<()> {
    let found = |model: &Model| {
        let Model { name, architecture, licence, description, .. } = model;
        let (role, size) = (role(model), megabytes(model));
        anstream::eprintln!(
            "{name}: {role}, {architecture}, {size:.1} MB, licence {licence} ({description})"
        );
    };
    let model = store.add(origin, name, &found, &DownloadBar::default())?;
    let section = match model.role {
        Role::Scorer => "scorer",
        Role::Embedder => "embedder",
        Role::TokenClassifier => "classifier",
        Role::Reranker => "reranker",
        Role::Pruner => "pruner",
    };
    Ok(writeln!(out, "added: use it by {section}.model = \"{}\"", model.name)?)
}

fn role(model: &Model) -> &'static str {
    match model.role {
        Role::Scorer => "scorer",
        Role::Embedder => "embedder",
        Role::TokenClassifier => "token-classifier",
        Role::Reranker => "reranker",
        Role::Pruner => "pruner",
    }
}

fn megabytes(model: &Model) -> f64 {
    model.files.iter().map(|file| file.size).sum::<u64>() as f64 / 1e6
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
    write_row(out, width, ["model", "role", "family", "size", "licence", "files", "measured here"])?;
    for model in models {
        let (size, state) = (format!("{:.1} MB", megabytes(model)), describe(store.state(model)?));
        let speed = store.speed(model).map_or_else(|| "-".to_owned(), describe_speed);
        let Model { name, architecture, licence, .. } = model;
        write_row(out, width, [name, role(model), architecture, &size, licence, state, &speed])?;
    }
    for RemoteModel { role, kind, model, url, fallback, .. } in RemoteModel::of(&configured()) {
        let instead = fallback.map_or_else(String::new, |model| format!(", or {model} in rankings"));
        writeln!(out, "{model:width$}  {role:16}  remote: {kind} at {url}{instead}; not asked")?;
    }
    Ok(())
}

fn write_row(out: &mut impl Write, width: usize, columns: [&str; 7]) -> std::io::Result<()> {
    let [name, role, family, size, licence, files, speed] = columns;
    writeln!(out, "{name:width$}  {role:16}  {family:11}  {size:>10}  {licence:22}  {files:8}  {speed}")
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
    if name.is_none() { ask_servers(out) } else { Ok(()) }
}

/// Asks the servers of the models on other machines.
fn ask_servers(out: &mut impl Write) -> anyhow::Result<()> {
    let config = configured();
    if RemoteModel::of(&config).is_empty() {
        return Ok(());
    }
    let engine = Engine::new(&config, &ProcessEnv, Box::new(DownloadBar::default()))?;
    let mut bad = 0;
    for (model, answer) in engine.ask_remote_models() {
        let RemoteModel { role, model, url, .. } = model;
        match answer {
            Ok(answer) => writeln!(out, "{model}: the remote {role} at {url} {answer}")?,
            Err(error) => {
                bad += 1;
                writeln!(out, "{model}: {error}")?;
            }
        }
    }
    if bad > 0 {
        bail!("{bad} models on other machines cannot be used");
    }
    Ok(())
}

/// Returns the configuration; the default one where it is invalid, for files can be dealt with all the same.
fn configured() -> Config {
    load(&Flags::default(), &ProcessEnv, &Places::usual()).map(|loaded| loaded.config).unwrap_or_default()
}

fn describe_speed(MeasuredSpeed { tokens_per_second, precision }: MeasuredSpeed) -> String {
    format!("{tokens_per_second:.0} tokens/s in {}", precision.name())
}

fn describe(state: State) -> &'static str {
    match state {
        State::Verified => "verified",
        State::Missing => "missing",
        State::Corrupt => "corrupt",
    }
}
