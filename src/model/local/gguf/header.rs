//! Reading of a GGUF header that believes nothing: every length is checked against the file before anything is
//! allocated by it.
//!
//! The layout, all numbers little-endian, strings with a 64-bit length before them:
//!
//! ```text
//! "GGUF"  version: u32  tensors: u64  keys: u64
//! keys times     name: string  type: u32  value
//! tensors times  name: string  dimensions: u32  each: u64  type: u32  offset: u64
//! padding to the alignment, then the tensors' data
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;

use super::encoding::Encoding;
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

/// The contents of a header.
#[derive(Debug)]
pub(super) struct Header {
    /// The values of the metadata by their keys.
    pub(super) metadata: HashMap<String, Value>,
    /// The tensors by their names.
    pub(super) tensors: HashMap<String, TensorInfo>,
    /// Tensors start at multiples of this many bytes.
    pub(super) alignment: u64,
    /// The position where the header ends, in bytes from the start of the file.
    pub(super) end: u64,
}

impl Header {
    /// The position where the tensors' data begins, in bytes from the start of the file.
    pub(super) fn data(&self) -> u64 {
        self.end.next_multiple_of(self.alignment)
    }
}

/// A value of the metadata.
#[derive(Debug)]
pub(super) enum Value {
    /// An integer; the largest that fits stands for those beyond it.
    Whole(i64),
    Float(f32),
    /// A float of 64 bits, which no key has.
    Double,
    Flag(bool),
    Text(String),
    Array(Vec<Value>),
}

/// The description of a tensor.
#[derive(Debug)]
pub(super) struct TensorInfo {
    /// Its dimensions, rows first.
    pub(super) shape: Vec<usize>,
    pub(super) encoding: Encoding,
    /// The position of its data, in bytes from the start of all tensors' data.
    pub(super) offset: u64,
}

/// Reads the header of a file of `size` bytes from its start.
pub(super) fn read(reader: impl Read, size: u64) -> Result<Header, GgufError> {
    let mut scan = Scan { reader, size, at: 0, elements: 0, part: "the start of the file".to_owned() };
    scan.magic_and_version()?;
    let (tensor_count, key_count) = (scan.u64()?, scan.u64()?);
    if key_count > MAX_ENTRIES || tensor_count > MAX_ENTRIES {
        return Err(scan.malformed(format!("claims {key_count} keys and {tensor_count} tensors")));
    }
    scan.require(key_count * LEAST_KEY + tensor_count * LEAST_TENSOR)?;
    let (mut metadata, mut tensors) = (HashMap::new(), HashMap::new());
    for i in 0..key_count {
        let (name, value) = scan.key(i)?;
        scan.insert(&mut metadata, name, value)?;
    }
    let alignment = match metadata.get(ALIGNMENT_KEY) {
        Some(&Value::Whole(alignment)) => alignment.cast_unsigned(),
        _ => DEFAULT_ALIGNMENT,
    };
    for i in 0..tensor_count {
        let (name, tensor) = scan.tensor(i)?;
        scan.insert(&mut tensors, name, tensor)?;
    }
    Ok(Header { metadata, tensors, alignment, end: scan.at })
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
    pub(super) const U32: u32 = 4;
    pub(super) const STRING: u32 = 8;
    pub(super) const ARRAY: u32 = 9;

    /// Bytes of the shortest value of a type.
    pub(super) fn least_size(kind: u32) -> Option<u64> {
        match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            STRING | 10..=12 => Some(8),
            _ => None,
        }
    }
}

impl<R: Read> Scan<R> {
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

    /// Adds an entry under a name that no other has.
    fn insert<V>(&self, entries: &mut HashMap<String, V>, name: String, value: V) -> Result<(), GgufError> {
        match entries.entry(name) {
            Entry::Occupied(_) => Err(self.malformed("is there twice")),
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
        }
    }

    fn string(&mut self) -> Result<String, GgufError> {
        let length = self.u64()?;
        self.text(length)
    }

    /// A text of so many bytes, in which what is not UTF-8 becomes U+FFFD.
    fn text(&mut self, length: u64) -> Result<String, GgufError> {
        self.require(length)?;
        let mut text = vec![0; length as usize];
        self.reader.read_exact(&mut text)?;
        self.at += length;
        // Some writers end texts with zeros.
        Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
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
        self.text(length)
    }

    /// A key and its value.
    fn key(&mut self, number: u64) -> Result<(String, Value), GgufError> {
        self.part = format!("key {number} of the metadata");
        let name = self.name()?;
        self.part = format!("the value of {name}");
        let kind = self.u32()?;
        let value = match kind {
            _ if name == ALIGNMENT_KEY => self.alignment(kind)?,
            kind::ARRAY => self.array()?,
            _ => self.value(kind)?,
        };
        Ok((name, value))
    }

    /// A value that is no array.
    fn value(&mut self, kind: u32) -> Result<Value, GgufError> {
        Ok(match kind {
            0 => Value::Whole(i64::from(u8::from_le_bytes(self.bytes()?))),
            1 => Value::Whole(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Whole(i64::from(u16::from_le_bytes(self.bytes()?))),
            3 => Value::Whole(i64::from(i16::from_le_bytes(self.bytes()?))),
            kind::U32 => Value::Whole(i64::from(self.u32()?)),
            5 => Value::Whole(i64::from(i32::from_le_bytes(self.bytes()?))),
            6 => Value::Float(f32::from_le_bytes(self.bytes()?)),
            7 => Value::Flag(self.flag()?),
            kind::STRING => Value::Text(self.string()?),
            10 => Value::Whole(i64::try_from(self.u64()?).unwrap_or(i64::MAX)),
            11 => Value::Whole(i64::from_le_bytes(self.bytes()?)),
            12 => {
                self.u64()?;
                Value::Double
            }
            _ => return Err(self.no_type(kind)),
        })
    }

    fn flag(&mut self) -> Result<bool, GgufError> {
        match self.bytes()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(self.malformed(format!("is {other}, neither true nor false"))),
        }
    }

    fn no_type(&self, kind: u32) -> GgufError {
        self.malformed(format!("is of type {kind}, which does not exist"))
    }

    /// The format has this as a `u32`.
    fn alignment(&mut self, kind: u32) -> Result<Value, GgufError> {
        let value = if kind == kind::U32 { self.u32()? } else { 0 };
        if !value.is_power_of_two() || !(8..=1 << 20).contains(&value) {
            return Err(self.malformed(format!("is {value}, not a power of two from 8 on")));
        }
        Ok(Value::Whole(i64::from(value)))
    }

    fn array(&mut self) -> Result<Value, GgufError> {
        let kind = self.u32()?;
        let length = self.u64()?;
        self.elements = self.elements.saturating_add(length);
        if self.elements > MAX_ELEMENTS {
            return Err(self.malformed(format!("is an array of {length}, more than any model needs")));
        }
        if kind == kind::ARRAY {
            return Err(self.malformed("is an array of arrays"));
        }
        let least = kind::least_size(kind).ok_or_else(|| self.no_type(kind))?;
        self.require(length * least)?;
        (0..length).map(|_| self.value(kind)).collect::<Result<_, _>>().map(Value::Array)
    }

    /// The description of a tensor. The place of its data is checked once all of the header is known.
    fn tensor(&mut self, number: u64) -> Result<(String, TensorInfo), GgufError> {
        self.part = format!("tensor {number}");
        let name = self.name()?;
        self.part = format!("tensor {name}");
        let dimensions = self.u32()?;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.malformed(format!("has {dimensions} dimensions")));
        }
        let (mut shape, mut values) = (Vec::new(), 1_usize);
        for _ in 0..dimensions {
            let dimension = self.u64()?;
            let known = usize::try_from(dimension).ok().filter(|&n| n > 0);
            let Some((known, all)) = known.and_then(|n| Some((n, values.checked_mul(n)?))) else {
                return Err(self.malformed(format!("has an impossible dimension of {dimension}")));
            };
            values = all;
            shape.insert(0, known);
        }
        let code = self.u32()?;
        let Some(encoding) = Encoding::of(code) else {
            return Err(GgufError::Encoding { tensor: name, code });
        };
        Ok((name, TensorInfo { shape, encoding, offset: self.u64()? }))
    }
}
