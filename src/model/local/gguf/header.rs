//! A walk over a GGUF header that believes nothing: every length is checked against the file before it is
//! used, and nothing is allocated but one name at a time.
//!
//! What passes is safe to hand to a parser that allocates by what the header says. The layout, all numbers
//! little-endian, strings with a 64-bit length before them:
//!
//! ```text
//! "GGUF"  version: u32  tensors: u64  keys: u64
//! keys times     name: string  type: u32  value
//! tensors times  name: string  dimensions: u32  each: u64  type: u32  offset: u64
//! padding to the alignment, then the tensors' data
//! ```

use std::io::{Read, Seek};

use super::error::GgufError;

/// The alignment of tensor data where the file does not state one.
pub(super) const DEFAULT_ALIGNMENT: u64 = 32;
/// The key by which it does.
const ALIGNMENT_KEY: &str = "general.alignment";
/// Longest header, in bytes. Vocabularies of a quarter of a million words take a fourth of it.
const MAX_HEADER: u64 = 64 << 20;
/// Most values in all arrays together: a parsed value takes about 32 bytes, whatever its size in the file.
const MAX_ELEMENTS: u64 = 4 << 20;
/// Most keys, and most tensors.
const MAX_ENTRIES: u64 = 1 << 16;
/// Longest name of a key or tensor, in bytes; the format's own limit for keys.
const MAX_NAME: u64 = (1 << 16) - 1;
/// Most dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Bytes of the shortest key: an empty name and a value of one byte.
const LEAST_KEY: u64 = 8 + 4 + 1;
/// Bytes of the shortest tensor entry: an empty name and no dimensions.
const LEAST_TENSOR: u64 = 8 + 4 + 4 + 8;

/// The checked contents of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Entries in the metadata.
    pub(super) keys: u64,
    /// Tensors.
    pub(super) tensors: u64,
    /// Tensors start at multiples of this many bytes.
    pub(super) alignment: u64,
    /// The position where the header ends, in bytes from the start of the file.
    pub(super) end: u64,
}

/// Checks the header of a file of `size` bytes from its start.
pub(super) fn scan(reader: impl Read + Seek, size: u64) -> Result<Header, GgufError> {
    let mut scan = Scan { reader, size, at: 0, elements: 0, part: "the start of the file".to_owned() };
    scan.magic_and_version()?;
    let (tensors, keys) = (scan.u64()?, scan.u64()?);
    if keys > MAX_ENTRIES || tensors > MAX_ENTRIES {
        return Err(scan.malformed(format!("claims {keys} keys and {tensors} tensors")));
    }
    scan.require(keys * LEAST_KEY + tensors * LEAST_TENSOR)?;
    let mut alignment = DEFAULT_ALIGNMENT;
    for i in 0..keys {
        scan.key(i, &mut alignment)?;
    }
    for i in 0..tensors {
        scan.tensor(i)?;
    }
    Ok(Header { keys, tensors, alignment, end: scan.at })
}

/// A reader that knows how much there is to read.
struct Scan<R> {
    reader: R,
    size: u64,
    at: u64,
    /// Values in the arrays so far.
    elements: u64,
    /// The part that is being read, for messages.
    part: String,
}

/// Numbers of the types of values.
mod kind {
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;

    /// Bytes of a value of a type of fixed size.
    pub(super) fn size(kind: u32) -> Option<u64> {
        match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        }
    }
}

impl<R: Read + Seek> Scan<R> {
    fn malformed(&self, what: impl Into<String>) -> GgufError {
        GgufError::Malformed { part: self.part.clone(), what: what.into() }
    }

    /// Returns an error unless `needed` bytes are left.
    fn require(&self, needed: u64) -> Result<(), GgufError> {
        let &Self { at, size, ref part, .. } = self;
        if needed > size.saturating_sub(at) {
            return Err(GgufError::Truncated { part: part.clone(), at, needed, size });
        }
        if needed > MAX_HEADER.saturating_sub(at) {
            return Err(self.malformed(format!("makes the header longer than {MAX_HEADER} bytes")));
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        self.require(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, GgufError> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, GgufError> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), GgufError> {
        self.require(bytes)?;
        self.reader.seek_relative(bytes.cast_signed())?;
        self.at += bytes;
        Ok(())
    }

    fn skip_string(&mut self) -> Result<(), GgufError> {
        let length = self.u64()?;
        self.skip(length)
    }

    fn magic_and_version(&mut self) -> Result<(), GgufError> {
        let mut found = Vec::new();
        self.reader.by_ref().take(4).read_to_end(&mut found)?;
        if found != b"GGUF" {
            return Err(GgufError::NotGguf { found });
        }
        self.at = 4;
        let version = self.u32()?;
        if !matches!(version, 2 | 3) {
            return Err(GgufError::Version(version));
        }
        Ok(())
    }

    fn name(&mut self) -> Result<String, GgufError> {
        let length = self.u64()?;
        if length > MAX_NAME {
            return Err(self.malformed(format!("has a name of {length} bytes")));
        }
        self.require(length)?;
        let mut name = vec![0; length as usize];
        self.reader.read_exact(&mut name)?;
        self.at += length;
        // Candle drops trailing zeros as well.
        Ok(String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned())
    }

    /// Passes over a key and its value; `alignment` is set if this is what it says.
    fn key(&mut self, number: u64, alignment: &mut u64) -> Result<(), GgufError> {
        self.part = format!("key {number} of the metadata");
        let name = self.name()?;
        self.part = format!("the value of {name}");
        let kind = self.u32()?;
        if name == ALIGNMENT_KEY {
            *alignment = self.alignment(kind)?;
            return Ok(());
        }
        match kind {
            kind::STRING => self.skip_string(),
            kind::ARRAY => self.array(),
            _ => self.skip(self.size_of(kind)?),
        }
    }

    fn size_of(&self, kind: u32) -> Result<u64, GgufError> {
        kind::size(kind).ok_or_else(|| self.malformed(format!("is of type {kind}, which does not exist")))
    }

    /// The format has this as a `u32`.
    fn alignment(&mut self, kind: u32) -> Result<u64, GgufError> {
        let value = if kind == 4 { self.u32()? } else { 0 };
        if !value.is_power_of_two() || !(8..=1 << 20).contains(&value) {
            return Err(self.malformed(format!("is {value}, not a power of two from 8 on")));
        }
        Ok(u64::from(value))
    }

    fn array(&mut self) -> Result<(), GgufError> {
        let kind = self.u32()?;
        let length = self.u64()?;
        self.elements = self.elements.saturating_add(length);
        if self.elements > MAX_ELEMENTS {
            return Err(self.malformed(format!("is an array of {length}, more than any model needs")));
        }
        match kind {
            kind::STRING => {
                self.require(length * 8)?;
                (0..length).try_for_each(|_| self.skip_string())
            }
            kind::ARRAY => Err(self.malformed("is an array of arrays")),
            _ => self.skip(length * self.size_of(kind)?),
        }
    }

    /// Passes over the description of a tensor. Where its data lies is checked once all of the header is known.
    fn tensor(&mut self, number: u64) -> Result<(), GgufError> {
        self.part = format!("tensor {number}");
        let name = self.name()?;
        self.part = format!("tensor {name}");
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.malformed(format!("has {dimensions} dimensions")));
        }
        let mut values = 1_usize;
        for _ in 0..dimensions {
            let dimension = self.u64()?;
            values = usize::try_from(dimension)
                .ok()
                .filter(|&n| n > 0)
                .and_then(|n| values.checked_mul(n))
                .ok_or_else(|| self.malformed(format!("has an impossible dimension of {dimension}")))?;
        }
        let code = self.u32()?;
        // Those that candle reads.
        if !matches!(code, 0..=3 | 6..=8 | 10..=14 | 30) {
            return Err(GgufError::Encoding { tensor: name, code });
        }
        self.u64()?;
        Ok(())
    }
}
