//! The folder of a run: `run.json`, which says what its rows depend on, and `rows.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, bail};

use super::{Row, Setting};

/// An open run folder. No other process can open it meanwhile.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// What was there when it was opened.
    pub(super) rows: Vec<Row>,
}

impl Journal {
    /// Opens or begins the run in `folder`.
    ///
    /// # Errors
    /// The folder cannot be written, another process writes it, or it holds a run of another setting.
    pub fn open(folder: &Path, setting: &Setting) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join("rows.jsonl");
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        if file.try_lock().is_err() {
            bail!("another process writes to {}: wait for it, or choose another --out", folder.display());
        }
        check_setting(folder, setting)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
        // A process that was killed while it wrote leaves half a line behind.
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        file.set_len(whole as u64).with_context(|| format!("cannot write {}", path.display()))?;
        file.seek(std::io::SeekFrom::End(0))?;
        let rows = parse(&bytes[..whole]).with_context(|| path.display().to_string())?;
        Ok(Self { file, rows })
    }

    /// Adds a result, in one write. Gives it as a run that goes on reads it: the last bit of a number may differ
    /// from what was measured, and figures must not tell whether a run was stopped.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn append(&mut self, row: &Row) -> anyhow::Result<Row> {
        let mut line = serde_json::to_vec(row)?;
        line.push(b'\n');
        self.file.write_all(&line).context("cannot write rows.jsonl; what is written stays valid")?;
        Ok(serde_json::from_slice(&line)?)
    }
}

/// The rows of a folder, half a line at its end left out.
///
/// # Errors
/// There is no `rows.jsonl`, or it holds something else.
pub fn read_rows(folder: &Path) -> anyhow::Result<Vec<Row>> {
    let path = folder.join("rows.jsonl");
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    parse(&bytes[..whole]).with_context(|| path.display().to_string())
}

fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Row>> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(i, line)| serde_json::from_slice(line).with_context(|| format!("line {}", i + 1))).collect()
}

fn check_setting(folder: &Path, setting: &Setting) -> anyhow::Result<()> {
    let path = folder.join("run.json");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let there: Setting =
                serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
            if there != *setting {
                bail!(
                    "{} holds a run of other data or settings ({} there, {} here): choose another --out",
                    folder.display(),
                    serde_json::to_string(&there)?,
                    serde_json::to_string(setting)?
                );
            }
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let written = write_whole(&path, &serde_json::to_vec_pretty(setting)?);
            written.with_context(|| format!("cannot write {}", path.display()))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Puts a file in its place whole or not at all.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut temporary = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    temporary.write_all(bytes)?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Outcome, Reader};
    use super::*;
    use crate::compress::Mode;
    use crate::eval::dataset::AnswerKind;

    fn setting(dataset: &str) -> Setting {
        Setting {
            dataset: dataset.into(),
            files: [("a".to_owned(), "b".to_owned())].into(),
            answer: AnswerKind::Extract,
            default_method: "llmlingua".into(),
            score_cache: true,
            reader: Reader::Likelihood,
            mode: Mode::Exact,
        }
    }

    fn row(question: &str) -> Row {
        Row {
            question: question.into(),
            method: "whole".into(),
            rate: 1.0,
            model: "m".into(),
            outcome: Outcome::Refused("budget_infeasible".into()),
        }
    }

    #[test]
    fn half_a_line_is_forgotten_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(folder.path(), &setting("d")).unwrap();
        journal.append(&row("1")).unwrap();
        journal.append(&row("2")).unwrap();
        drop(journal);
        let path = folder.path().join("rows.jsonl");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read_rows(folder.path()).unwrap(), [row("1")]);
        let mut journal = Journal::open(folder.path(), &setting("d")).unwrap();
        assert_eq!(journal.rows, [row("1")]);
        journal.append(&row("3")).unwrap();
        assert_eq!(read_rows(folder.path()).unwrap(), [row("1"), row("3")]);
    }

    #[test]
    fn a_folder_is_of_one_run_and_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), &setting("d")).unwrap();
        let said = |setting: &Setting| format!("{:#}", Journal::open(folder.path(), setting).unwrap_err());
        assert!(said(&setting("d")).contains("another process"));
        drop(journal);
        assert!(said(&setting("other")).contains("choose another --out"));
        std::fs::write(folder.path().join("rows.jsonl"), "{}\n").unwrap();
        assert!(said(&setting("d")).contains("line 1"));
    }
}
