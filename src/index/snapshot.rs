//! A collection as one file: what it held at one moment.
//!
//! The file begins with [`MAGIC`] and its format in four bytes. Then come the head, and of each document its record, its
//! text and its vectors, each behind its length in eight bytes; and at the end the blake3 hash of all before it. Numbers
//! are little-endian. Nothing behind the format is read before the hash was found right, and nothing is believed for
//! its being right: a file may come from anyone.

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Take, Write};

use serde::{Deserialize, Serialize};

use super::error::{DOCUMENT_BYTES, SnapshotError};
use super::record::{NewChunk, NewDocument, Settings, StoredChunk};
use super::store::View;
use super::{IndexError, Metadata};
use crate::text::Layout;

const MAGIC: [u8; 16] = *b"whittle snapshot";
/// Format of what follows.
const FORMAT: u32 = 1;
/// Bytes of magic and format.
const START: u64 = 20;
/// Bytes of the hash.
const HASH: u64 = 32;
/// Bytes that are read and written at once.
const BUFFER: usize = 1 << 20;

impl SnapshotError {
    fn io(action: &'static str) -> impl FnOnce(io::Error) -> IndexError {
        move |reason| Self::Io { action, reason }.into()
    }

    fn invalid(reason: impl Into<String>) -> IndexError {
        Self::Invalid(reason.into()).into()
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    settings: Settings,
    documents: u64,
}

/// A document without its text and its vectors.
#[derive(Serialize, Deserialize)]
struct Record {
    id: String,
    title: Option<String>,
    metadata: Metadata,
    layout: Layout,
    hash: String,
    chunks: Vec<StoredChunk>,
}

/// Writes what `view` sees to `out`.
pub(super) fn write(view: &View, settings: &Settings, out: &mut dyn Write) -> Result<(), IndexError> {
    let mut writer = Writer::new(out, settings, view.counts()?.0)?;
    view.each_document(0, |document| writer.add(view.whole(document)?).map(|()| true))?;
    writer.finish()
}

/// A snapshot that is written, document by document.
pub(super) struct Writer<'a> {
    out: BufWriter<Hashing<&'a mut dyn Write>>,
}

impl<'a> Writer<'a> {
    /// Begins a snapshot of so many documents.
    pub(super) fn new(
        out: &'a mut dyn Write,
        settings: &Settings,
        documents: u64,
    ) -> Result<Self, IndexError> {
        let mut out = BufWriter::with_capacity(BUFFER, Hashing { out, hasher: blake3::Hasher::new() });
        let start = [&MAGIC[..], &FORMAT.to_le_bytes()].concat();
        out.write_all(&start).map_err(SnapshotError::io("write"))?;
        let head = Head { settings: settings.clone(), documents };
        write_part(&mut out, &serde_json::to_vec(&head)?).map_err(SnapshotError::io("write"))?;
        Ok(Self { out })
    }

    /// Writes the next document.
    pub(super) fn add(&mut self, document: NewDocument) -> Result<(), IndexError> {
        let NewDocument { id, title, text, metadata, layout, hash, chunks } = document;
        let vectors: Vec<u8> =
            chunks.iter().flat_map(|new| &new.vector).flat_map(|value| value.to_le_bytes()).collect();
        let chunks = chunks.into_iter().map(|new| new.chunk).collect();
        let record = Record { id, title, metadata, layout, hash, chunks };
        let json = serde_json::to_vec(&record)?;
        let bytes = (json.len() + text.len() + vectors.len()) as u64;
        if bytes > DOCUMENT_BYTES {
            return Err(SnapshotError::TooLarge { id: record.id, bytes }.into());
        }
        for part in [&json, text.as_bytes(), &vectors] {
            write_part(&mut self.out, part).map_err(SnapshotError::io("write"))?;
        }
        Ok(())
    }

    /// Writes the end.
    pub(super) fn finish(mut self) -> Result<(), IndexError> {
        self.out.flush().map_err(SnapshotError::io("write"))?;
        let inner = self.out.into_inner();
        let Hashing { out, hasher } =
            inner.map_err(|error| SnapshotError::io("write")(error.into_error()))?;
        let end = out.write_all(hasher.finalize().as_bytes()).and_then(|()| out.flush());
        end.map_err(SnapshotError::io("write"))
    }
}

fn write_part(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

/// Hashes what goes through.
struct Hashing<W> {
    out: W,
    hasher: blake3::Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A snapshot of which no bit is lost or changed.
pub(super) struct Snapshot<R> {
    /// The settings of the restored collection.
    pub(super) settings: Settings,
    /// Documents that are still to come.
    left: u64,
    from: Take<BufReader<R>>,
}

impl<R: Read + Seek> Snapshot<R> {
    /// Checks all of `file` and reads what it says of the collection.
    pub(super) fn open(mut file: R) -> Result<Self, IndexError> {
        let cannot = || SnapshotError::io("read");
        let length = file.seek(SeekFrom::End(0)).map_err(cannot())?;
        file.rewind().map_err(cannot())?;
        let mut from = BufReader::with_capacity(BUFFER, file);
        let (mut magic, mut format) = ([0; 16], [0; 4]);
        let start = from.read_exact(&mut magic).and_then(|()| from.read_exact(&mut format));
        if start.is_err() || magic != MAGIC {
            return Err(SnapshotError::Foreign.into());
        }
        let found = u32::from_le_bytes(format);
        if found != FORMAT {
            return Err(SnapshotError::Format { found, known: FORMAT }.into());
        }
        let parts = length.checked_sub(START + HASH).ok_or(SnapshotError::Damaged)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(&magic).update(&format);
        hasher.update_reader((&mut from).take(parts)).map_err(cannot())?;
        let mut hash = [0; HASH as usize];
        from.read_exact(&mut hash).map_err(cannot())?;
        if hasher.finalize() != hash {
            return Err(SnapshotError::Damaged.into());
        }
        from.seek(SeekFrom::Start(START)).map_err(cannot())?;
        let mut from = from.take(parts);
        let Head { settings, documents } = read_json(&mut from)?;
        Ok(Self { settings: settings.renewed()?, left: documents, from })
    }

    /// The next document; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<NewDocument>, IndexError> {
        let Some(left) = self.left.checked_sub(1) else {
            return match self.from.limit() {
                0 => Ok(None),
                more => Err(SnapshotError::invalid(format!("{more} bytes follow its last document"))),
            };
        };
        self.left = left;
        let Record { id, title, metadata, layout, hash, chunks } = read_json(&mut self.from)?;
        let text = String::from_utf8(read_part(&mut self.from)?)
            .map_err(|_| SnapshotError::invalid(format!("the text of document `{id}` is not UTF-8")))?;
        let vectors = read_part(&mut self.from)?;
        let width = 4 * self.settings.dimensions;
        if vectors.len() != width * chunks.len() {
            return Err(SnapshotError::invalid(format!("document `{id}` has not a vector for each chunk")));
        }
        let chunks = chunks.into_iter().zip(vectors.chunks_exact(width));
        let chunks = chunks.map(|(chunk, bytes)| NewChunk { chunk, vector: super::vectors::values(bytes) });
        let document = NewDocument { id, title, chunks: chunks.collect(), text, metadata, layout, hash };
        document
            .check(self.settings.dimensions)
            .map_err(|error| SnapshotError::invalid(error.to_string()))?;
        Ok(Some(document))
    }
}

fn read_json<T: for<'a> Deserialize<'a>>(from: &mut Take<impl Read>) -> Result<T, IndexError> {
    serde_json::from_slice(&read_part(from)?).map_err(|error| SnapshotError::invalid(error.to_string()))
}

fn read_part(from: &mut Take<impl Read>) -> Result<Vec<u8>, IndexError> {
    let mut length = [0; 8];
    let cannot = || SnapshotError::io("read");
    if from.limit() < length.len() as u64 {
        return Err(SnapshotError::invalid("it ends within a document"));
    }
    from.read_exact(&mut length).map_err(cannot())?;
    let length = u64::from_le_bytes(length);
    if length > from.limit().min(DOCUMENT_BYTES) {
        return Err(SnapshotError::invalid(format!("a part of it is said to have {length} bytes")));
    }
    let mut bytes = Vec::new();
    from.by_ref().take(length).read_to_end(&mut bytes).map_err(cannot())?;
    Ok(bytes)
}
