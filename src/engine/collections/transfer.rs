//! Whole collections on their way: as JSONL, which anything reads, and as snapshots, which hold vectors too.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use super::Collections;
use super::api::{CollectionInfo, SourceDocument};
use super::{info, parsed};
use crate::engine::EngineError;
use crate::index::{IndexError, StoredDocument};
use crate::model::Cancel;

impl Collections<'_> {
    /// Writes the documents that are in a collection at this moment to `out` as JSONL, the oldest first.
    ///
    /// # Errors
    /// There is no such collection, or `out` failed; also see [`EngineError`].
    pub fn export(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError> {
        let collection = self.engine.collections.get(name)?;
        let mut out = BufWriter::new(out);
        let mut write = |document, text| {
            cancel.check()?;
            let StoredDocument { id, title, metadata, layout, .. } = document;
            let line = SourceDocument { id: Some(id), title, text, metadata, layout };
            let line = serde_json::to_string(&line).map_err(|e| EngineError::internal(e.to_string()))?;
            writeln!(out, "{line}").map_err(|error| cannot_write(&error))
        };
        let mut written = Ok(());
        collection.each(&mut |document, text| {
            written = write(document, text);
            written.is_ok()
        })?;
        written?;
        out.flush().map_err(|error| cannot_write(&error))
    }

    /// Writes all that is in a collection at this moment to `out`, vectors too, for [`Collections::restore`].
    ///
    /// # Errors
    /// There is no such collection, or `out` failed; also see [`EngineError`].
    pub fn snapshot(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError> {
        let collection = self.engine.collections.get(name)?;
        heeding(cancel, collection.snapshot(&mut Heeding { inner: out, cancel }))
    }

    /// Makes a collection of a snapshot. Nothing of it is there before the whole snapshot was found sound, and once
    /// this returns it survives a crash. No model is needed.
    ///
    /// # Errors
    /// There is a collection of that name, or `snapshot` is damaged; also see [`EngineError`].
    pub fn restore(
        &self,
        name: &str,
        snapshot: impl Read + Seek,
        cancel: &Cancel,
    ) -> Result<CollectionInfo, EngineError> {
        let (name, data) = (parsed(name)?, self.engine.collections.data()?);
        let restored = data.restore(&name, &mut Heeding { inner: snapshot, cancel });
        info(&*heeding(cancel, restored)?)
    }

    /// A file for a snapshot that is to be restored under `name`, without a name of its own: it is gone once it is
    /// closed.
    ///
    /// # Errors
    /// There is a collection of that name; also see [`EngineError`].
    pub fn room_for_snapshot(&self, name: &str) -> Result<File, EngineError> {
        self.engine.collections.data()?.check_free(&parsed(name)?)?;
        self.temporary_file()
    }

    /// A file in the data folder without a name: it is gone once it is closed.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn temporary_file(&self) -> Result<File, EngineError> {
        self.engine.collections.temporary()
    }
}

fn cannot_write(error: &io::Error) -> EngineError {
    EngineError::of_file(error, format!("cannot write the documents: {error}"))
}

/// A file that cannot be read or written any more once nobody waits for it.
struct Heeding<'a, F> {
    inner: F,
    cancel: &'a Cancel,
}

impl<F> Heeding<'_, F> {
    fn check(&self) -> io::Result<()> {
        self.cancel.check().map_err(io::Error::other)
    }
}

impl<F: Read> Read for Heeding<'_, F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.read(bytes)
    }
}

impl<F: Seek> Seek for Heeding<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

impl<F: Write> Write for Heeding<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Returns the result of work on a [`Heeding`], where a cancellation becomes an error of its own.
fn heeding<T>(cancel: &Cancel, result: Result<T, IndexError>) -> Result<T, EngineError> {
    result.or_else(|error| {
        cancel.check()?;
        Err(error.into())
    })
}
