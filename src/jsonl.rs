//! Files of JSON lines that only grow: what is in them survives a kill.

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
pub struct JsonLines<T> {
    file: File,
    lines: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> JsonLines<T> {
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
            bail!("another process writes to {shown}: wait for it to end, or choose another folder");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_line_is_forgotten_and_the_rest_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let (mut file, there) = JsonLines::<String>::open(&path).unwrap();
        assert!(there.is_empty());
        for line in ["one", "two"] {
            assert_eq!(file.append(&line.to_owned()).unwrap(), line);
        }
        drop(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read::<String>(&path).unwrap(), ["one"]);
        let (mut file, there) = JsonLines::<String>::open(&path).unwrap();
        assert_eq!(there, ["one"]);
        file.append(&"three".to_owned()).unwrap();
        assert_eq!(read::<String>(&path).unwrap(), ["one", "three"]);
    }

    #[test]
    fn a_file_is_of_one_process_and_says_where_it_is_broken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let open = || format!("{:#}", JsonLines::<String>::open(&path).unwrap_err());
        let file = JsonLines::<String>::open(&path).unwrap();
        assert!(open().contains("another process"));
        drop(file);
        std::fs::write(&path, "{}\n").unwrap();
        assert!(open().contains("line 1"));
    }
}
