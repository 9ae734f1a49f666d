//! Reading GGUF files: metadata by key, tensors by name and shape.
//!
//! A file may be damaged or made to harm, so nothing in it is taken at its word. Lengths in the header are checked
//! against the file before they are used (`header`), each tensor's place against the file and the other tensors
//! before any is read, and a tensor is read only in the shape that the caller expects. So memory use is bounded
//! by the size of the file, and a fault is an error that names the key or tensor.

mod encoding;
mod error;
mod header;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use encoding::Encoding;
pub use error::GgufError;
use header::{Header, TensorInfo, Value};

/// Bytes that are read at once while the header is read.
const BUFFER: usize = 1 << 20;

/// An open GGUF file whose header is sound.
pub(crate) struct GgufFile {
    header: Header,
    file: BufReader<File>,
    /// Names of the tensors that were read.
    read: HashSet<String>,
}

impl GgufFile {
    /// Opens a file, checks its header and reads its metadata. Tensors stay in the file.
    ///
    /// # Errors
    /// The file cannot be read, is not GGUF, or its header is not sound.
    pub(crate) fn open(path: &Path) -> Result<Self, GgufError> {
        let mut file = BufReader::with_capacity(BUFFER, File::open(path)?);
        let size = file.get_ref().metadata()?.len();
        let header = header::read(&mut file, size)?;
        check_places(&header, size)?;
        Ok(Self { header, file, read: HashSet::new() })
    }

    /// Checks that the model's architecture is in `supported`.
    ///
    /// # Errors
    /// It is not, or the file does not say.
    pub(crate) fn architecture(&self, supported: &[&str]) -> Result<(), GgufError> {
        let found = self.str("general.architecture")?;
        if supported.contains(&found) {
            return Ok(());
        }
        let supported = supported.iter().map(|&name| name.to_owned()).collect();
        Err(GgufError::Architecture { found: found.to_owned(), supported })
    }

    /// A whole number, of whatever integer type the file has it.
    ///
    /// # Errors
    /// The key is missing, of another type, or does not fit.
    pub(crate) fn u32(&self, key: &str) -> Result<u32, GgufError> {
        let value = self.value(key)?;
        whole_number(value).ok_or_else(|| wrong_type(key, "a whole number from 0 to 2^32 - 1", value))
    }

    /// A list of whole numbers, of whatever integer type the file has them.
    ///
    /// # Errors
    /// The key is missing, of another type, or one does not fit.
    pub(crate) fn u32s(&self, key: &str) -> Result<Vec<u32>, GgufError> {
        let value = self.value(key)?;
        let numbers = match value {
            Value::Array(values) => values.iter().map(whole_number).collect(),
            _ => None,
        };
        numbers.ok_or_else(|| wrong_type(key, "an array of whole numbers from 0 to 2^32 - 1", value))
    }

    /// Reads a boolean value.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn flag(&self, key: &str) -> Result<bool, GgufError> {
        match self.value(key)? {
            Value::Flag(flag) => Ok(*flag),
            other => Err(wrong_type(key, "a boolean", other)),
        }
    }

    /// A number of type `f32`.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn f32(&self, key: &str) -> Result<f32, GgufError> {
        match self.value(key)? {
            Value::Float(number) => Ok(*number),
            other => Err(wrong_type(key, "a 32-bit float", other)),
        }
    }

    /// A list of numbers of type `f32`.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn f32s(&self, key: &str) -> Result<Vec<f32>, GgufError> {
        let value = self.value(key)?;
        let number = |value: &Value| match value {
            Value::Float(number) => Some(*number),
            _ => None,
        };
        let numbers = match value {
            Value::Array(values) => values.iter().map(number).collect(),
            _ => None,
        };
        numbers.ok_or_else(|| wrong_type(key, "an array of 32-bit floats", value))
    }

    /// A text.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn str(&self, key: &str) -> Result<&str, GgufError> {
        match self.value(key)? {
            Value::Text(text) => Ok(text),
            other => Err(wrong_type(key, "a string", other)),
        }
    }

    /// A list of texts.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn strings(&self, key: &str) -> Result<Vec<String>, GgufError> {
        let value = self.value(key)?;
        let text = |value: &Value| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let texts = match value {
            Value::Array(values) => values.iter().map(text).collect(),
            _ => None,
        };
        texts.ok_or_else(|| wrong_type(key, "an array of strings", value))
    }

    /// Returns whether the metadata has `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.header.metadata.contains_key(key)
    }

    fn value(&self, key: &str) -> Result<&Value, GgufError> {
        self.header.metadata.get(key).ok_or_else(|| GgufError::MissingKey(key.to_owned()))
    }

    /// The shape of a tensor, rows first; none if there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.tensors.get(name).map(|info| &info.shape[..])
    }

    /// The values of a tensor, row after row, as floats.
    ///
    /// # Errors
    /// There is no such tensor, its shape (rows first) is not `shape`, or it cannot be read.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, GgufError> {
        let (encoding, bytes) = self.raw_tensor(name, shape)?;
        encoding.decode(&bytes, shape).map_err(|e| refused(&format!("tensor {name}"), &e))
    }

    /// The blocks of a tensor as they are stored, row after row, and how they are to be read.
    ///
    /// # Errors
    /// As [`GgufFile::tensor`].
    fn raw_tensor(&mut self, name: &str, shape: &[usize]) -> Result<(Encoding, Vec<u8>), GgufError> {
        let missing = || GgufError::MissingTensor(name.to_owned());
        let info = self.header.tensors.get(name).ok_or_else(missing)?;
        if info.shape != shape {
            return Err(GgufError::WrongShape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape.clone(),
            });
        }
        // When the file was opened, the place of every tensor was seen to lie in it.
        let mut bytes = vec![0; size_of(name, info)? as usize];
        self.file.seek(SeekFrom::Start(self.header.data() + info.offset))?;
        self.file.read_exact(&mut bytes)?;
        self.read.insert(name.to_owned());
        Ok((info.encoding, bytes))
    }

    /// Names of the tensors that were not read, sorted.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let names = self.header.tensors.keys().filter(|&name| !self.read.contains(name));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// Checks that every tensor lies in the file, aligned and apart from the others.
fn check_places(header: &Header, size: u64) -> Result<(), GgufError> {
    let alignment = header.alignment;
    let mut places = Vec::with_capacity(header.tensors.len());
    for (name, info) in &header.tensors {
        let (offset, bytes) = (info.offset, size_of(name, info)?);
        let end = offset.checked_add(bytes);
        if end.and_then(|end| end.checked_add(header.data())).is_none_or(|end| end > size) {
            return Err(GgufError::TensorOutside { tensor: name.clone(), offset, bytes, size });
        }
        if !offset.is_multiple_of(alignment) {
            return Err(malformed(
                &format!("tensor {name}"),
                &format!("starts at {offset}, which {alignment} does not divide"),
            ));
        }
        places.push((offset, offset + bytes, name));
    }
    places.sort_unstable();
    for pair in places.windows(2) {
        if let [(_, end, first), (start, _, second)] = pair
            && end > start
        {
            return Err(malformed(&format!("tensor {second}"), &format!("overlaps tensor {first}")));
        }
    }
    Ok(())
}

/// Bytes of a tensor in the file.
fn size_of(name: &str, info: &TensorInfo) -> Result<u64, GgufError> {
    let ((block, size), row) = (info.encoding.block(), info.shape.last().copied().unwrap_or(0));
    let blocks = info.shape.iter().product::<usize>() / block;
    match blocks.checked_mul(size) {
        Some(bytes) if row > 0 && row.is_multiple_of(block) => Ok(bytes as u64),
        _ => Err(malformed(
            &format!("tensor {name}"),
            &format!("has rows of {row} values, which cannot be stored in blocks of {block}"),
        )),
    }
}

fn whole_number(value: &Value) -> Option<u32> {
    match *value {
        Value::Whole(number) => number.try_into().ok(),
        _ => None,
    }
}

fn malformed(part: &str, what: &str) -> GgufError {
    GgufError::Malformed { part: part.to_owned(), what: what.to_owned() }
}

/// Converts candle's error about a part that it does not read.
fn refused(part: &str, error: &candle_core::Error) -> GgufError {
    // A backtrace may follow in later lines.
    let text = error.to_string();
    malformed(part, &format!("cannot be read: {}", text.lines().next().unwrap_or_default()))
}

fn wrong_type(key: &str, expected: &'static str, found: &Value) -> GgufError {
    let found = match found {
        Value::Text(_) => "a string",
        Value::Array(_) => "an array of other values",
        Value::Flag(_) => "a truth value",
        Value::Float(_) | Value::Double => "a float",
        Value::Whole(_) => "a whole number",
    };
    GgufError::WrongType { key: key.to_owned(), expected, found }
}
