//! The file with the secret that originals are encrypted with: 64 hexadecimal digits, for its owner's eyes alone.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::cipher::Secret;

/// The secret in `file`, or a new one where there is no such file.
///
/// # Errors
/// The file cannot be read or made, others may read it, or it holds no secret. The text names the remedy.
pub(super) fn read_or_make(file: &Path) -> Result<Secret, String> {
    let failed = |error: io::Error| format!("cannot use the key of recall, {}: {error}", file.display());
    if let Some(secret) = read(file).map_err(failed)? {
        return parsed(file, &secret);
    }
    make(file).map_err(failed)?;
    // Another process may have been first.
    parsed(file, &read(file).map_err(failed)?.unwrap_or_default())
}

/// The text of the file. None where there is none.
fn read(file: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parsed(file: &Path, text: &str) -> Result<Secret, String> {
    let name = file.display();
    if is_open_to_others(file) {
        return Err(format!(
            "anybody can read the key of recall, {name}: `chmod 600` it, or make another one"
        ));
    }
    let secret = blake3::Hash::from_hex(text.trim()).map(|bits| *bits.as_bytes());
    secret.map_err(|_| {
        format!(
            "the key of recall, {name}, must hold 64 hexadecimal digits (`openssl rand -hex 32`): restore it, or \
             remove it to have a new one made, which gives up what was encrypted with it"
        )
    })
}

#[cfg(unix)]
fn is_open_to_others(file: &Path) -> bool {
    let mode =
        fs::metadata(file).map(|metadata| std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()));
    mode.is_ok_and(|mode| mode & 0o007 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}

fn make(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    // Only its owner can read a file that is made so.
    let mut made = NamedTempFile::new_in(folder)?;
    writeln!(made, "{}", blake3::Hash::from_bytes(secret).to_hex())?;
    made.as_file().sync_all()?;
    match made.persist_noclobber(file) {
        Ok(_) => tracing::info!(file = %file.display(), "made a key for recall"),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.error),
    }
    // The name is on disk only once its folder is.
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/originals.key");
        let secret = read_or_make(&file).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_or_make(&file).unwrap(), secret);
        assert_ne!(read_or_make(&folder.path().join("other.key")).unwrap(), secret);
    }

    #[test]
    fn a_file_that_is_no_key_or_that_others_may_read_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("originals.key");
        for text in ["", "short", &"g".repeat(64), &"a".repeat(63)] {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
            let error = read_or_make(&file).unwrap_err();
            assert!(error.contains("originals.key") && error.contains("64 hexadecimal"), "{error}");
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        fs::write(&file, "a".repeat(64)).unwrap();
        assert!(read_or_make(&file).is_ok());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(read_or_make(&file).unwrap_err().contains("chmod 600"));
    }
}
