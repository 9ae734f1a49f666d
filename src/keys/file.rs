//! The file with the keys: read and written whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{FILE, Key, KeyPolicy, new_secret};

/// Longest name of a key.
const NAME_CHARS: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    version: u32,
    #[serde(default)]
    keys: Vec<Key>,
}

const VERSION: u32 = 1;

/// An error of reading or changing keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot use the file with the keys, {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file does not hold keys.
    #[error("{} contains no keys: {reason}; restore it, or remove it and create new keys", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// A key cannot be made.
    #[error("{0}")]
    Invalid(String),
    /// No key has the id or name.
    #[error("no valid key has the id or name `{0}`: `whittle keys list` shows them")]
    NoSuchKey(String),
}

/// All keys in the folder `data`, revoked ones too; none where there is no file.
///
/// # Errors
/// See [`KeysError`].
pub fn read(data: &Path) -> Result<Vec<Key>, KeysError> {
    let path = data.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(KeysError::File { path, source }),
    };
    let malformed = |reason: String| KeysError::Malformed { path: path.clone(), reason };
    // The parser's own text would quote a line of the file.
    let keys: Keys = toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
    if keys.version != VERSION {
        return Err(malformed(format!(
            "it is of version {}, and this whittle knows {VERSION}",
            keys.version
        )));
    }
    Ok(keys.keys)
}

/// Makes a key and gives its secret, which is nowhere else.
///
/// # Errors
/// See [`KeysError`]; then nothing was changed.
pub fn create(data: &Path, name: &str, policy: KeyPolicy) -> Result<(Key, String), KeysError> {
    check(name, &policy).map_err(|reason| KeysError::Invalid(reason.to_owned()))?;
    let secret = new_secret().map_err(|error| KeysError::Invalid(format!("no random bits: {error}")))?;
    let key = Key::new(&secret, name.to_owned(), policy);
    let added = key.clone();
    change(data, |keys| {
        if keys.iter().any(|other| other.holds() && other.name == name) {
            let reason = format!("a key called `{name}` exists already: revoke it, or choose another name");
            return Err(KeysError::Invalid(reason));
        }
        keys.push(added);
        Ok(())
    })?;
    Ok((key, secret))
}

/// Revokes the key with that id or name.
///
/// # Errors
/// See [`KeysError`]; then nothing was changed.
pub fn revoke(data: &Path, id_or_name: &str) -> Result<Key, KeysError> {
    let mut revoked = None;
    change(data, |keys| {
        let named = |key: &&mut Key| key.holds() && (key.id == id_or_name || key.name == id_or_name);
        let key = keys.iter_mut().find(named);
        let key = key.ok_or_else(|| KeysError::NoSuchKey(id_or_name.chars().take(NAME_CHARS).collect()))?;
        key.revoked = Some(super::now());
        revoked = Some(key.clone());
        Ok(())
    })?;
    revoked.ok_or_else(|| KeysError::NoSuchKey(id_or_name.to_owned()))
}

/// Revokes the keys with those ids that are valid still.
///
/// # Errors
/// See [`KeysError`]; then nothing was changed.
pub(super) fn revoke_all(data: &Path, ids: &[String]) -> Result<(), KeysError> {
    change(data, |keys| {
        for key in keys.iter_mut().filter(|key| key.holds() && ids.contains(&key.id)) {
            key.revoked = Some(super::now());
        }
        Ok(())
    })
}

fn check(name: &str, policy: &KeyPolicy) -> Result<(), &'static str> {
    let fits = (1..=NAME_CHARS).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if !fits || name.trim() != name {
        return Err(
            "a key's name must have 1 to 64 characters, none of them a control character or at its ends a space",
        );
    }
    if policy.models.iter().any(|pattern| pattern.as_str().is_empty()) {
        return Err("the name of a model is empty: leave it out for any model");
    }
    if policy.requests_per_minute == Some(0) || policy.tokens_per_minute == Some(0) {
        return Err("a limit a minute must be at least 1: leave it out for none");
    }
    if policy.usd_per_day.is_some_and(|dollars| !(dollars.is_finite() && dollars > 0.0)) {
        return Err("a limit of dollars a day must be above 0: leave it out for none");
    }
    Ok(())
}

/// Changes the keys, one process at a time. Whoever reads meanwhile sees all of the old ones or all of the new ones.
fn change(data: &Path, change: impl FnOnce(&mut Vec<Key>) -> Result<(), KeysError>) -> Result<(), KeysError> {
    let path = data.join(FILE);
    let failed = |source| KeysError::File { path: path.clone(), source };
    std::fs::create_dir_all(data).map_err(failed)?;
    let lock = File::create(data.join(format!("{FILE}.lock"))).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let mut keys = read(data)?;
    change(&mut keys)?;
    write(data, &path, keys).map_err(failed)
}

fn write(data: &Path, path: &Path, keys: Vec<Key>) -> io::Result<()> {
    let text = toml::to_string(&Keys { version: VERSION, keys }).map_err(io::Error::other)?;
    // Only its owner can read a file that is made so.
    let mut file = NamedTempFile::new_in(data)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name is on disk only once its folder is.
    #[cfg(unix)]
    File::open(data)?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(data: &Path) -> Vec<String> {
        read(data).unwrap().into_iter().filter(Key::holds).map(|key| key.name).collect()
    }

    #[test]
    fn keys_are_made_kept_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let data = &folder.path().join("data");
        assert_eq!(read(data).unwrap(), []);
        let policy = KeyPolicy {
            models: vec![crate::config::Pattern::new("gpt-*")],
            requests_per_minute: Some(5),
            tokens_per_minute: Some(6),
            usd_per_day: Some(0.5),
            admin: true,
        };
        let (key, secret) = create(data, "one", policy).unwrap();
        let (other, _) = create(data, "two", KeyPolicy::default()).unwrap();
        assert_eq!(read(data).unwrap(), [key.clone(), other.clone()]);
        assert!(create(data, "one", KeyPolicy::default()).unwrap_err().to_string().contains("already"));
        assert_eq!(revoke(data, &key.id).unwrap().name, "one");
        assert!(matches!(revoke(data, "one"), Err(KeysError::NoSuchKey(_))));
        create(data, "one", KeyPolicy::default()).unwrap();
        revoke(data, "two").unwrap();
        assert_eq!((names(data).len(), read(data).unwrap().len()), (1, 3));
        for file in std::fs::read_dir(data).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(!text.contains(secret.strip_prefix("whittle-").unwrap()));
        }
    }

    #[test]
    fn keys_that_make_no_sense_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let none = KeyPolicy::default;
        let cases = [
            ("", none()),
            ("a\nb", none()),
            (" a", none()),
            ("a", KeyPolicy { requests_per_minute: Some(0), ..none() }),
            ("a", KeyPolicy { usd_per_day: Some(0.0), ..none() }),
            ("a", KeyPolicy { usd_per_day: Some(f64::NAN), ..none() }),
            ("a", KeyPolicy { models: vec![crate::config::Pattern::new("")], ..none() }),
        ];
        for (name, policy) in cases {
            let error = create(folder.path(), name, policy.clone()).unwrap_err();
            assert!(matches!(error, KeysError::Invalid(_)), "{name:?} {policy:?}");
        }
        assert_eq!(read(folder.path()).unwrap(), []);
    }

    #[test]
    fn a_file_of_something_else_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["keys = 1", "version = 2", "{}", "version = 1\nkeys = [{ id = 'x' }]"] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let error = create(folder.path(), "a", KeyPolicy::default()).unwrap_err();
            assert!(matches!(error, KeysError::Malformed { .. }), "{text}: {error}");
            assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), text);
        }
    }

    #[test]
    fn keys_made_at_once_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let data = folder.path();
                scope.spawn(move || create(data, &format!("key {number}"), KeyPolicy::default()).unwrap());
            }
        });
        assert_eq!(names(folder.path()).len(), 8);
    }
}
