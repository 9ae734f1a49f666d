//! The file with the keys: read and written whole.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::store::{Change, KeyStore, Version};
use super::{FILE, Key, KeyPolicy, KeysError};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    version: u32,
    #[serde(default)]
    keys: Vec<Key>,
}

const VERSION: u32 = 1;

/// Returns all keys in the folder `data`, revoked ones too; none where there is no file.
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

/// Makes a key in the folder `data` and returns it with its secret, which is nowhere else.
///
/// # Errors
/// See [`KeysError`]; then nothing was changed.
pub fn create(data: &Path, name: &str, policy: KeyPolicy) -> Result<(Key, String), KeysError> {
    let file: &dyn KeyStore = &KeyFile::new(data);
    file.create(name, policy)
}

/// Revokes the key in the folder `data` with that id or name.
///
/// # Errors
/// See [`KeysError`]; then nothing was changed.
pub fn revoke(data: &Path, id_or_name: &str) -> Result<Key, KeysError> {
    let file: &dyn KeyStore = &KeyFile::new(data);
    file.revoke(id_or_name)
}

/// The file with the keys in a data folder.
#[derive(Debug)]
pub(super) struct KeyFile {
    data: PathBuf,
}

impl KeyFile {
    /// The file in the folder `data`.
    pub(super) fn new(data: &Path) -> Self {
        Self { data: data.to_owned() }
    }
}

impl KeyStore for KeyFile {
    fn version(&self) -> Result<Option<Version>, KeysError> {
        // A file whose state cannot be read is as good as none: reading it says why.
        let version = std::fs::metadata(self.data.join(FILE)).and_then(|metadata| {
            #[cfg(unix)]
            let number = std::os::unix::fs::MetadataExt::ino(&metadata);
            #[cfg(not(unix))]
            let number = 0;
            // It is always replaced by a new one.
            Ok(Version { modified: Some(metadata.modified()?), length: metadata.len(), number })
        });
        Ok(version.ok())
    }

    fn read(&self) -> Result<Vec<Key>, KeysError> {
        read(&self.data)
    }

    fn change(&self, change: &mut Change<'_>) -> Result<(), KeysError> {
        let Self { data } = self;
        let path = data.join(FILE);
        let failed = |source| KeysError::File { path: path.clone(), source };
        std::fs::create_dir_all(data).map_err(failed)?;
        let lock = File::create(data.join(format!("{FILE}.lock"))).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let mut keys = read(data)?;
        change(&mut keys)?;
        write(data, &path, keys).map_err(failed)
    }

    fn pause(&self) -> Option<Duration> {
        None
    }

    fn place(&self) -> String {
        self.data.join(FILE).display().to_string()
    }
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

    #[test]
    fn keys_are_copied_once_and_stay_revoked() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (from, to) = (KeyFile::new(from.path()), KeyFile::new(to.path()));
        let (from, to): (&dyn KeyStore, &dyn KeyStore) = (&from, &to);
        let (one, _) = from.create("one", KeyPolicy::default()).unwrap();
        from.create("two", KeyPolicy { admin: true, ..KeyPolicy::default() }).unwrap();
        from.revoke("two").unwrap();
        assert_eq!((to.add(&from.read().unwrap()).unwrap(), to.read().unwrap()), (2, from.read().unwrap()));
        // What was revoked on either side stays so.
        to.revoke("one").unwrap();
        assert_eq!(to.add(&from.read().unwrap()).unwrap(), 0);
        assert!(to.read().unwrap().iter().all(|key| !key.holds()));
        from.add(&to.read().unwrap()).unwrap();
        assert!(from.read().unwrap().iter().all(|key| !key.holds()));
        // Another key of that name.
        to.create("one", KeyPolicy::default()).unwrap();
        from.create("one", KeyPolicy::default()).unwrap();
        let before = to.read().unwrap();
        let error = to.add(&from.read().unwrap()).unwrap_err();
        assert!(error.to_string().contains("`one` exists already"), "{error}");
        assert_eq!(to.read().unwrap(), before);
        assert!(before.iter().any(|key| key.id == one.id));
    }
}
