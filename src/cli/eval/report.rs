//! `whittle eval report`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::DataArgs;
use crate::config::ProcessEnv;
use crate::eval::compare::{Finished, read_summary};
use crate::eval::dataset::Files;
use crate::eval::report::{self, Texts};
use crate::eval::summary::Summary;

/// Write report.html for a run, with charts, a table and the worst failures, and the main charts as SVG files
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Folder of a run
    folder: PathBuf,
    /// Leave out the worst failures, and with them all text of the data; only summary.json is needed
    #[arg(long)]
    figures_only: bool,
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: ReportArgs) -> anyhow::Result<()> {
    let summary = read_summary(&args.folder)?;
    if args.figures_only {
        return write(&args.folder, &summary, None);
    }
    let finished = Finished::read(&args.folder)?;
    let files = Files::new(args.data.data, &ProcessEnv);
    let questions = files.questions(&files.dataset(&finished.setting.dataset)?)?;
    write(&args.folder, &summary, Some(Texts { rows: &finished.rows, questions: &questions }))
}

/// Writes the report of a run into its folder.
pub(super) fn write(folder: &Path, summary: &Summary, texts: Option<Texts>) -> anyhow::Result<()> {
    let path = folder.join("report.html");
    let page = report::html(summary, texts)?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    for (name, svg) in report::images(summary)? {
        let path = folder.join(name);
        std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    anstream::eprintln!("{}", path.display());
    Ok(())
}
