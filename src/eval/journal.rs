//! What survives a kill: files of JSON lines that only grow, and the settings that a folder's lines depend on.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::marker::PhantomData;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An open file of JSON lines. No other process can open it meanwhile.
#[derive(Debug)]
pub struct Journal<T> {
    file: File,
    lines: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// Opens or begins the file at `path`, and gives what it holds. Half a line at its end, which a process leaves
    /// behind that was killed while it wrote, is cut off.
    ///
    /// # Errors
    /// The file cannot be written, another process writes it, or it holds something else.
    pub fn open(path: &Path) -> anyhow::Result<(Self, Vec<T>)> {
        let shown = path.display();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open {shown}"))?;
        if file.try_lock().is_err() {
            bail!("another process writes to {shown}: wait for it, or choose another --out");
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).with_context(|| format!("cannot read {shown}"))?;
        let whole = whole_lines(&bytes);
        file.set_len(whole.len() as u64).with_context(|| format!("cannot write {shown}"))?;
        file.seek(std::io::SeekFrom::End(0))?;
        let lines = parse(whole).with_context(|| shown.to_string())?;
        Ok((Self { file, lines: PhantomData }, lines))
    }

    /// Adds a line, in one write. Gives it as a process that goes on reads it: the last bit of a number may differ
    /// from what was measured, and figures must not tell whether a run was stopped.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn append(&mut self, line: &T) -> anyhow::Result<T> {
        let mut bytes = serde_json::to_vec(line)?;
        bytes.push(b'\n');
        self.file.write_all(&bytes).context("cannot write a result; what is written stays valid")?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// The lines of the file at `path`, half a line at its end left out.
///
/// # Errors
/// There is no such file, or it holds something else.
pub fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(whole_lines(&bytes)).with_context(|| path.display().to_string())
}

fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1)]
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> anyhow::Result<Vec<T>> {
    let lines = bytes.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(i, line)| serde_json::from_slice(line).with_context(|| format!("line {}", i + 1))).collect()
}

/// Puts `setting` into `run.json` of `folder`, which is made where there is none, or finds it there.
///
/// # Errors
/// The folder holds results of another setting, or cannot be written.
pub fn agree<S: Serialize + DeserializeOwned + PartialEq>(folder: &Path, setting: &S) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join("run.json");
    match std::fs::read(&path) {
        Ok(bytes) => {
            let there: S = serde_json::from_slice(&bytes).with_context(|| path.display().to_string())?;
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
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut temporary = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    temporary.write_all(bytes)?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_forgotten_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let (mut journal, there) = Journal::<String>::open(&path).unwrap();
        assert!(there.is_empty());
        for line in ["one", "two"] {
            assert_eq!(journal.append(&line.to_owned()).unwrap(), line);
        }
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read::<String>(&path).unwrap(), ["one"]);
        let (mut journal, there) = Journal::<String>::open(&path).unwrap();
        assert_eq!(there, ["one"]);
        journal.append(&"three".to_owned()).unwrap();
        assert_eq!(read::<String>(&path).unwrap(), ["one", "three"]);
    }

    #[test]
    fn a_folder_is_of_one_setting_and_a_file_of_one_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        agree(folder.path(), &"d".to_owned()).unwrap();
        let said = format!("{:#}", agree(folder.path(), &"other".to_owned()).unwrap_err());
        assert!(said.contains("choose another --out"), "{said}");
        let open = || format!("{:#}", Journal::<String>::open(&path).unwrap_err());
        let journal = Journal::<String>::open(&path).unwrap();
        assert!(open().contains("another process"));
        drop(journal);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(open().contains("line 1"));
    }
}
