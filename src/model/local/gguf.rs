//! Reading GGUF files: metadata by key, tensors by name and shape.
//!
//! A file may be damaged or made to harm, so nothing in it is taken at its word. The header is walked with
//! bounds before it is parsed (`scan`), each tensor's place is checked against the file and the other tensors
//! before any is read, and a tensor is read only in the shape that the caller expects. So memory use is bounded
//! by the size of the file, and a fault is an error that names the key or tensor.

mod error;
mod header;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::quantized::gguf_file::{Content, TensorInfo, Value};

pub use error::GgufError;
use header::{Header, scan};

/// Bytes that are read at once while the header is walked and parsed.
const BUFFER: usize = 1 << 20;

/// An open GGUF file whose header is sound.
pub(crate) struct GgufFile {
    content: Content,
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
        let header = scan(&mut file, size)?;
        file.rewind()?;
        let content = Content::read(&mut file).map_err(|e| refused("the header", &e))?;
        check_agreement(&content, &header)?;
        check_places(&content, header.alignment, size)?;
        Ok(Self { content, file, read: HashSet::new() })
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
            Value::Bool(flag) => Ok(*flag),
            other => Err(wrong_type(key, "a boolean", other)),
        }
    }

    /// A number of type `f32`.
    ///
    /// # Errors
    /// The key is missing or of another type.
    pub(crate) fn f32(&self, key: &str) -> Result<f32, GgufError> {
        match self.value(key)? {
            Value::F32(number) => Ok(*number),
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
            Value::F32(number) => Some(*number),
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
            Value::String(text) => Ok(text),
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
            Value::String(text) => Some(text.clone()),
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
        self.content.metadata.contains_key(key)
    }

    fn value(&self, key: &str) -> Result<&Value, GgufError> {
        self.content.metadata.get(key).ok_or_else(|| GgufError::MissingKey(key.to_owned()))
    }

    /// The shape of a tensor, rows first; none if there is no such tensor.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.content.tensor_infos.get(name).map(|info| info.shape.dims())
    }

    /// The values of a tensor, row after row, as floats.
    ///
    /// # Errors
    /// There is no such tensor, its shape (rows first) is not `shape`, or it cannot be read.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, GgufError> {
        let (encoding, bytes) = self.raw_tensor(name, shape)?;
        qtensor_from_ggml(encoding, &bytes, shape.to_vec(), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1())
            .map_err(|e| refused(&format!("tensor {name}"), &e))
    }

    /// The blocks of a tensor as they are stored, row after row, and how they are to be read.
    ///
    /// # Errors
    /// As [`GgufFile::tensor`].
    fn raw_tensor(&mut self, name: &str, shape: &[usize]) -> Result<(GgmlDType, Vec<u8>), GgufError> {
        let missing = || GgufError::MissingTensor(name.to_owned());
        let info = self.content.tensor_infos.get(name).ok_or_else(missing)?;
        if info.shape.dims() != shape {
            return Err(GgufError::WrongShape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found: info.shape.dims().to_vec(),
            });
        }
        // When the file was opened, the place of every tensor was seen to lie in it.
        let mut bytes = vec![0; size_of(name, info)? as usize];
        self.file.seek(SeekFrom::Start(self.content.tensor_data_offset + info.offset))?;
        self.file.read_exact(&mut bytes)?;
        self.read.insert(name.to_owned());
        Ok((info.ggml_dtype, bytes))
    }

    /// Names of the tensors that were not read, sorted.
    pub(crate) fn unread(&self) -> Vec<&str> {
        let names = self.content.tensor_infos.keys().filter(|&name| !self.read.contains(name));
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}

/// Candle skips nothing, but of two keys or tensors of one name it forgets the first.
fn check_agreement(content: &Content, header: &Header) -> Result<(), GgufError> {
    for (what, entries, claimed) in [
        ("metadata", content.metadata.len(), header.keys),
        ("list of tensors", content.tensor_infos.len(), header.tensors),
    ] {
        if entries as u64 != claimed {
            return Err(malformed(&format!("the {what}"), "has a name twice"));
        }
    }
    if content.tensor_data_offset != header.end.next_multiple_of(header.alignment) {
        return Err(malformed("the header", "does not end where its parts do"));
    }
    Ok(())
}

/// Checks that every tensor lies in the file, aligned and apart from the others.
fn check_places(content: &Content, alignment: u64, size: u64) -> Result<(), GgufError> {
    let mut places = Vec::with_capacity(content.tensor_infos.len());
    for (name, info) in &content.tensor_infos {
        let (offset, bytes) = (info.offset, size_of(name, info)?);
        let end = offset.checked_add(bytes);
        if end.and_then(|end| end.checked_add(content.tensor_data_offset)).is_none_or(|end| end > size) {
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
    let (block, row) = (info.ggml_dtype.block_size(), info.shape.dims().last().copied().unwrap_or(0));
    let blocks = info.shape.elem_count() / block;
    match blocks.checked_mul(info.ggml_dtype.type_size()) {
        Some(bytes) if row > 0 && row.is_multiple_of(block) => Ok(bytes as u64),
        _ => Err(malformed(
            &format!("tensor {name}"),
            &format!("has rows of {row} values, which cannot be stored in blocks of {block}"),
        )),
    }
}

fn whole_number(value: &Value) -> Option<u32> {
    match *value {
        Value::U8(n) => Some(u32::from(n)),
        Value::U16(n) => Some(u32::from(n)),
        Value::U32(n) => Some(n),
        Value::U64(n) => n.try_into().ok(),
        Value::I8(n) => n.try_into().ok(),
        Value::I16(n) => n.try_into().ok(),
        Value::I32(n) => n.try_into().ok(),
        Value::I64(n) => n.try_into().ok(),
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
        Value::String(_) => "a string",
        Value::Array(_) => "an array of other values",
        Value::Bool(_) => "a truth value",
        Value::F32(_) | Value::F64(_) => "a float",
        _ => "a whole number",
    };
    GgufError::WrongType { key: key.to_owned(), expected, found }
}
