//! The folder of a run, and the settings that its results depend on.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

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
fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
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
    fn a_folder_is_of_one_setting() {
        let folder = tempfile::tempdir().unwrap();
        agree(folder.path(), &"d".to_owned()).unwrap();
        agree(folder.path(), &"d".to_owned()).unwrap();
        let said = format!("{:#}", agree(folder.path(), &"other".to_owned()).unwrap_err());
        assert!(said.contains("choose another --out"), "{said}");
    }
}
