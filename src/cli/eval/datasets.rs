//! `whittle eval datasets`.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::DataArgs;
use crate::cli::progress::DownloadBar;
use crate::config::ProcessEnv;
use crate::eval::dataset::{DataFile, Files, Manifest, Place, built_in};
use crate::model::store::{ModelFile, Sources, fetch_file};

/// List datasets, download them, show where their files are
#[derive(Debug, Args)]
pub(super) struct DatasetsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the datasets and whether their files are present
    List {
        #[command(flatten)]
        data: DataArgs,
    },
    /// Download the files that are published one by one, and verify all files
    Pull {
        /// Name of a dataset
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
    /// Print the folder of a dataset
    Path {
        /// Name of a dataset
        name: String,
        #[command(flatten)]
        data: DataArgs,
    },
}

pub(super) fn run(args: DatasetsArgs) -> anyhow::Result<()> {
    let mut out = anstream::AutoStream::auto(std::io::stdout().lock());
    match args.command {
        Command::List { data } => list(&Files::new(data.data, &ProcessEnv), &mut out),
        Command::Pull { name, data } => {
            let files = Files::new(data.data, &ProcessEnv);
            pull(&files, &files.dataset(&name)?, &mut out)
        }
        Command::Path { name, data } => {
            let files = Files::new(data.data, &ProcessEnv);
            path(&files, &files.dataset(&name)?, &mut out)
        }
    }
}

fn list(files: &Files, out: &mut impl Write) -> anyhow::Result<()> {
    for manifest in built_in()? {
        let missing = manifest.files.iter().filter(|file| files.find(&file.path) == Place::Missing).count();
        let state = match (&manifest.sets, missing) {
            (Some(folder), _) => format!("{} sets are here", files.count_sets(folder)),
            (None, 0) => "here".to_owned(),
            (None, _) => format!("{missing} of {} files are missing", manifest.files.len()),
        };
        let Manifest { name, title, licence, split, .. } = &manifest;
        writeln!(out, "{name:9} {title} ({split}); {licence}: {state}")?;
    }
    Ok(())
}

fn path(files: &Files, manifest: &Manifest, out: &mut impl Write) -> anyhow::Result<()> {
    let mut missing = 0;
    for file in &manifest.files {
        match files.find(&file.path) {
            Place::At(place) => writeln!(out, "{}", place.display())?,
            Place::Embedded => writeln!(out, "{} (in this program)", file.path)?,
            Place::Missing => missing += 1,
        }
    }
    if missing > 0 {
        bail!("{missing} files are missing: `whittle eval datasets pull {}`", manifest.name);
    }
    Ok(())
}

fn pull(files: &Files, manifest: &Manifest, out: &mut impl Write) -> anyhow::Result<()> {
    let cache = Files::cache(&ProcessEnv).context("no folder for datasets: set WHITTLE_CACHE")?;
    let mut failures = Vec::new();
    for file in &manifest.files {
        let here = match (files.find(&file.path), &file.url) {
            (Place::Missing, Some(url)) => fetch(url, file, &cache),
            _ => Ok(()),
        };
        match here.and_then(|()| files.read(manifest, &file.path).map(drop)) {
            Ok(()) => writeln!(out, "{} is present and verified", file.path)?,
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    if !failures.is_empty() {
        bail!(
            "{} of {} files are not available:\n- {}",
            failures.len(),
            manifest.files.len(),
            failures.join("\n- ")
        );
    }
    Ok(())
}

fn fetch(url: &str, file: &DataFile, cache: &Path) -> anyhow::Result<()> {
    let place = cache.join(&file.path);
    let folder = place.parent().unwrap_or(cache);
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let wanted = ModelFile { name, sha256: file.sha256.clone(), size: file.size };
    Ok(fetch_file(&Sources::from_environment(&ProcessEnv), url, &wanted, folder, &DownloadBar::default())?)
}
