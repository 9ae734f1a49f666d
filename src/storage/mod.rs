//! Files of redb, opened in one way: the only place that opens them.
//!
//! - A file that was closed in order is known by its hash, which is quick. After an unclean stop the checksums of all of
//!   its pages are compared first: reading a damaged page makes the crate panic, and then a request has met it.
//! - A file that is damaged and is the truth is an error that names it: [`DatabaseFile::open`].
//! - One that can be done without is set aside, which is logged, and made anew: [`DatabaseFile::open_or_renew`].

mod clean_shutdown;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::{Database, DatabaseError, StorageError as RedbStorageError};

use crate::telemetry::chain;
use clean_shutdown::CleanShutdown;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another process holds it.
    #[error("{} is in use by another whittle: end that one, or name another folder in WHITTLE_DATA_DIR", .0.display())]
    InUse(PathBuf),
    /// It does not hold what was written to it.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It cannot be read, written or renamed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An open database, which no other process can open meanwhile.
#[derive(Debug)]
pub struct DatabaseFile {
    database: Database,
    /// Behind the database, which is closed before it.
    _mark: CleanShutdown,
}

/// A database that can be done without.
#[derive(Debug)]
pub struct Renewable {
    /// The database.
    pub file: DatabaseFile,
    /// Where the file went that was damaged and that this one takes the place of.
    pub set_aside: Option<PathBuf>,
}

impl Deref for DatabaseFile {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.database
    }
}

impl DatabaseFile {
    /// A new database. `cache_bytes` of its pages are kept in memory at most.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub fn create(path: &Path, cache_bytes: usize) -> Result<Self, StorageError> {
        CleanShutdown::take(path).map_err(failed("remove the mark of", path))?;
        begin_private(path).map_err(failed("create", path))?;
        let database = unlocked(|| Database::builder().set_cache_size(cache_bytes).create(path));
        let database = database.map_err(|error| of_database(path, error))?;
        Ok(Self { database, _mark: CleanShutdown::new(path) })
    }

    /// A database that there is; after a crash it is repaired to the last transaction. Damage is found here, not when a
    /// page is read, unless it is done while the file is open.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub fn open(path: &Path, cache_bytes: usize) -> Result<Self, StorageError> {
        // What a crash left of a file that was being made is no database yet.
        if fs::metadata(path).map_err(failed("read", path))?.len() == 0 {
            return Err(StorageError::Damaged { path: path.to_owned(), reason: "it is empty".into() });
        }
        let unchanged = CleanShutdown::take(path).map_err(failed("read the mark of", path))?;
        let database = guarded(path, || {
            let mut database = unlocked(|| Database::builder().set_cache_size(cache_bytes).open(path))?;
            if !unchanged && !database.check_integrity()? {
                tracing::warn!(path = %path.display(), "the file was not closed in order and has been repaired");
            }
            Ok(database)
        })?;
        Ok(Self { database, _mark: CleanShutdown::new(path) })
    }

    /// A database that can be done without: where there is none, or it is damaged, there is a new one then. `prepare`
    /// makes its tables and reads what must be readable.
    ///
    /// # Errors
    /// See [`StorageError`]; never [`StorageError::Damaged`], unless a new file is.
    pub fn open_or_renew(
        path: &Path,
        cache_bytes: usize,
        prepare: impl Fn(&Database) -> Result<(), redb::Error>,
    ) -> Result<Renewable, StorageError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed("create", folder))?;
        }
        let prepared = |file: Self| {
            prepare_tables(path, &file, &prepare)?;
            Ok(file)
        };
        let reason = match fs::metadata(path) {
            Ok(metadata) if metadata.len() > 0 => match Self::open(path, cache_bytes).and_then(prepared) {
                Ok(file) => return Ok(Renewable { file, set_aside: None }),
                Err(StorageError::Damaged { reason, .. }) => Some(reason),
                Err(other) => return Err(other),
            },
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed("read", path)(error)),
        };
        let set_aside = reason.map(|reason| set_aside(path, &reason)).transpose()?;
        let file = Self::create(path, cache_bytes).and_then(prepared)?;
        Ok(Renewable { file, set_aside })
    }
}

/// Begins a file that only its owner may read, whatever the umask: databases hold documents and numbers of requests. One
/// that is there keeps the permissions that it was given.
fn begin_private(path: &Path) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Opens a file, and tries again for a moment where it is locked: a child process that is being started holds the locks
/// of its parent until it runs its own program.
fn unlocked(open: impl Fn() -> Result<Database, DatabaseError>) -> Result<Database, DatabaseError> {
    const TRIES: u32 = 20;
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 1..TRIES {
        match open() {
            Err(DatabaseError::DatabaseAlreadyOpen) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    open()
}

/// Renames a damaged file, so that a person can look at it, and says so.
fn set_aside(path: &Path, reason: &str) -> Result<PathBuf, StorageError> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let name = |number: u64| with_suffix(path, &format!(".damaged-{}", seconds.saturating_add(number)));
    let aside = (0..1_000_000).map(name).find(|aside| !aside.exists()).unwrap_or_else(|| name(0));
    fs::rename(path, &aside).map_err(failed("rename", path))?;
    tracing::error!(
        path = %path.display(), set_aside = %aside.display(), reason,
        "a damaged file was set aside and is made anew: what it held is lost to this service"
    );
    Ok(aside)
}

fn prepare_tables(
    path: &Path,
    file: &DatabaseFile,
    prepare: &impl Fn(&Database) -> Result<(), redb::Error>,
) -> Result<(), StorageError> {
    guarded(path, || prepare(&file.database).map_err(Failure::Database))
}

/// Why work on a database failed, before it is known whether that is damage.
enum Failure {
    Opening(DatabaseError),
    Database(redb::Error),
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Self {
        Self::Opening(error)
    }
}

/// Runs `work`, whose panics tell of damage, as do errors that are none of the disk's.
fn guarded<R>(path: &Path, work: impl FnOnce() -> Result<R, Failure>) -> Result<R, StorageError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Failure::Opening(error))) => Err(of_database(path, error)),
        Ok(Err(Failure::Database(redb::Error::Io(error)))) => Err(of_io(path, error)),
        Ok(Err(Failure::Database(error))) => Err(damaged(path, &error)),
        Err(_) => {
            Err(StorageError::Damaged { path: path.to_owned(), reason: "its pages make no sense".into() })
        }
    }
}

fn of_database(path: &Path, error: DatabaseError) -> StorageError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => StorageError::InUse(path.to_owned()),
        DatabaseError::Storage(RedbStorageError::Io(error)) => of_io(path, error),
        other => damaged(path, &other),
    }
}

/// The crate also reports as errors of reading what is too short, or no database.
fn of_io(path: &Path, error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            damaged(path, &error)
        }
        _ => failed("use", path)(error),
    }
}

fn damaged(path: &Path, error: &dyn std::error::Error) -> StorageError {
    StorageError::Damaged { path: path.to_owned(), reason: chain(error) }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::Io { action, path: path.to_owned(), source }
}

/// Returns `path` with `suffix` behind its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Damages a file in one of many ways, the same for the same `number`: cuts it, or flips one bit or many.
#[cfg(test)]
pub(crate) fn damage(bytes: &mut Vec<u8>, number: u64) {
    let hash = blake3::hash(&number.to_le_bytes());
    let mut numbers = hash.as_bytes().as_chunks::<8>().0.iter().map(|&eight| u64::from_le_bytes(eight));
    let mut below = |most: usize| (numbers.next().unwrap_or_default() % most.max(1) as u64) as usize;
    match number % 4 {
        0 => bytes.truncate(below(bytes.len())),
        1 => {
            let place = below(bytes.len());
            bytes[place] ^= 1 << below(8);
        }
        // What matters most stands at the beginning.
        2 => {
            let place = below(bytes.len().min(512));
            bytes[place] ^= 1 << below(8);
        }
        _ => {
            let (start, mask) = (below(bytes.len()), below(255) as u8 + 1);
            let end = (start + 1 + below(4096)).min(bytes.len());
            bytes[start..end].iter_mut().for_each(|byte| *byte ^= mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use redb::{ReadableDatabase, TableDefinition};

    use super::*;

    const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");

    fn prepare(database: &Database) -> Result<(), redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(TABLE)?;
        Ok(transaction.commit()?)
    }

    fn fill(file: &DatabaseFile) {
        let transaction = file.begin_write().unwrap();
        for number in 0..500 {
            transaction.open_table(TABLE).unwrap().insert(number, &[7; 100][..]).unwrap();
        }
        transaction.commit().unwrap();
    }

    fn value(file: &DatabaseFile, number: u64) -> Option<Vec<u8>> {
        let table = file.begin_read().unwrap().open_table(TABLE).unwrap();
        table.get(number).unwrap().map(|value| value.value().to_vec())
    }

    #[test]
    fn damage_of_200_kinds_is_set_aside_or_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cache.redb");
        let opened = || DatabaseFile::open_or_renew(&path, 1 << 20, prepare).unwrap();
        fill(&opened().file);
        let whole = fs::read(&path).unwrap();
        let mut renewed = 0;
        for number in 0..200 {
            let mut bytes = whole.clone();
            damage(&mut bytes, number);
            fs::write(&path, &bytes).unwrap();
            let Renewable { file, set_aside } = opened();
            match set_aside {
                Some(aside) => {
                    renewed += 1;
                    assert_eq!(fs::read(&aside).unwrap().len(), bytes.len(), "{number}");
                    fs::remove_file(aside).unwrap();
                    assert_eq!(value(&file, 3), None);
                }
                // Nothing that is read was hit, or all was cut away.
                None => assert!(bytes.is_empty() || value(&file, 3) == Some(vec![7; 100]), "{number}"),
            }
            fill(&file);
            assert!(value(&file, 499).is_some());
        }
        assert!(renewed > 100, "{renewed}");
    }

    #[test]
    fn a_file_that_is_the_truth_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truth.redb");
        drop(DatabaseFile::create(&path, 1 << 20).unwrap());
        assert!(DatabaseFile::open(&path, 1 << 20).is_ok());
        for text in ["", "no database"] {
            fs::write(&path, text).unwrap();
            let error = DatabaseFile::open(&path, 1 << 20).unwrap_err();
            assert!(
                matches!(error, StorageError::Damaged { .. }) && error.to_string().contains("truth.redb")
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_a_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private.redb");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        drop(DatabaseFile::open_or_renew(&path, 1 << 20, prepare).unwrap());
        assert_eq!(mode(), 0o600);
        // Its owner may have other plans.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        drop(DatabaseFile::open_or_renew(&path, 1 << 20, prepare).unwrap());
        assert_eq!(mode(), 0o640);
    }

    #[test]
    fn what_is_no_damage_is_told_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("held.redb");
        let _held = DatabaseFile::open_or_renew(&path, 1 << 20, prepare).unwrap();
        let error = DatabaseFile::open_or_renew(&path, 1 << 20, prepare).unwrap_err();
        assert!(matches!(error, StorageError::InUse(_)) && error.to_string().contains("WHITTLE_DATA_DIR"));
        let missing = DatabaseFile::open(&folder.path().join("none.redb"), 1 << 20).unwrap_err();
        assert!(matches!(missing, StorageError::Io { .. }), "{missing}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing was set aside");
    }
}
