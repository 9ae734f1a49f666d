//! Tells a store that was closed in order from one that was not.
//!
//! The database's own check of all pages takes seconds for 100,000 chunks; a hash of the file takes a tenth of that and
//! finds no less. So the hash is kept beside the file once it is closed, and what still has it needs no check.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::with_suffix;

/// What the name of the file with the hash ends in.
const SUFFIX: &str = ".closed";

/// Writes the mark when dropped: in a struct it stands behind the database, which is then closed already.
///
/// A process that is killed leaves none, and so does one that ends while a store is in use.
#[derive(Debug)]
pub(super) struct CleanShutdown {
    store: PathBuf,
}

impl CleanShutdown {
    /// Creates the marker for a store that is sound and open; a damaged one must never get one.
    pub(super) fn new(store: &Path) -> Self {
        Self { store: store.to_owned() }
    }

    /// Takes the mark of `store` away, on disk too, before anything is written to the store. Says whether the store is,
    /// to the last bit, what it was when it was closed in order.
    pub(super) fn take(store: &Path) -> io::Result<bool> {
        let path = path_beside(store);
        let unchanged = match fs::read(&path) {
            Ok(kept) => hash(store).is_ok_and(|hash| hash.to_hex().as_bytes() == kept),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        fs::remove_file(&path)?;
        // Some systems do not open folders as files; they keep the order of changes to folders by themselves.
        if let Some(folder) = path.parent().filter(|folder| cfg!(unix) && !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        Ok(unchanged)
    }

    fn write(&self) -> io::Result<()> {
        let hash = hash(&self.store)?;
        let mut file = File::create(path_beside(&self.store))?;
        file.write_all(hash.to_hex().as_bytes())?;
        file.sync_all()
    }
}

impl Drop for CleanShutdown {
    fn drop(&mut self) {
        // A reader that failed may have met a damaged page; of a deleted collection nothing is left to be marked.
        if std::thread::panicking() || !self.store.exists() {
            return;
        }
        // A mark that is cut off or lost is no mark: all that it costs is time at the next start.
        if let Err(error) = self.write() {
            tracing::warn!(store = %self.store.display(), %error, "the next start will check the whole store");
        }
    }
}

fn path_beside(store: &Path) -> PathBuf {
    with_suffix(store, SUFFIX)
}

fn hash(store: &Path) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(store)?)?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_known_again_until_a_bit_of_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let mut bytes = vec![7; 100_000];
        fs::write(&store, &bytes).unwrap();
        assert!(!CleanShutdown::take(&store).unwrap(), "there was no mark");
        drop(CleanShutdown::new(&store));
        assert!(CleanShutdown::take(&store).unwrap());
        assert!(!CleanShutdown::take(&store).unwrap(), "it was not closed since");
        drop(CleanShutdown::new(&store));
        bytes[77_777] ^= 1;
        fs::write(&store, bytes).unwrap();
        assert!(!CleanShutdown::take(&store).unwrap());
    }

    #[test]
    fn a_kill_a_panic_and_a_mark_that_is_cut_off_leave_a_store_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        fs::write(&store, b"pages").unwrap();
        std::mem::forget(CleanShutdown::new(&store));
        assert!(!CleanShutdown::take(&store).unwrap());
        let kept = CleanShutdown::new(&store);
        std::thread::spawn(move || {
            let _kept = kept;
            panic!("as a damaged page makes it");
        })
        .join()
        .unwrap_err();
        assert!(!CleanShutdown::take(&store).unwrap());
        drop(CleanShutdown::new(&store));
        let mark = path_beside(&store);
        fs::write(&mark, &fs::read(&mark).unwrap()[..40]).unwrap();
        assert!(!CleanShutdown::take(&store).unwrap());
        fs::remove_file(&store).unwrap();
        drop(CleanShutdown::new(&store));
        assert!(!mark.exists(), "what is deleted is not marked");
    }
}
