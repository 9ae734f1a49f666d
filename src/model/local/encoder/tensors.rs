//! The tensors of an encoder, by name: those of a file are read where they are taken, each once and into the place
//! where it stays, so that a model needs no second copy of its file in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use candle_core::{DType, Tensor};
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

/// The length of a header at most, as the format has it.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes before a header: its length.
const LENGTH: u64 = 8;

/// Tensors that were not taken yet.
pub(crate) enum Tensors {
    /// In a file in safetensors.
    File(TensorFile),
    /// In memory.
    Memory(HashMap<String, Tensor>),
}

impl Tensors {
    /// Returns the shape of a tensor; nothing where there is none of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&[usize]> {
        match self {
            Self::File(file) => file.tensors.get(name).map(|info| &info.shape[..]),
            Self::Memory(tensors) => tensors.get(name).map(Tensor::dims),
        }
    }

    /// Returns whether the name of some tensor starts so.
    pub(super) fn any_starts(&self, start: &str) -> bool {
        match self {
            Self::File(file) => file.tensors.keys().any(|name| name.starts_with(start)),
            Self::Memory(tensors) => tensors.keys().any(|name| name.starts_with(start)),
        }
    }

    /// Takes the values of a tensor that there is, row after row.
    ///
    /// # Errors
    /// The tensor is of another type than floats, or cannot be read.
    pub(super) fn take(&mut self, name: &str) -> Result<Vec<f32>, String> {
        match self {
            Self::File(file) => file.take(name),
            Self::Memory(tensors) => {
                let tensor = tensors.remove(name).ok_or("was taken before")?;
                let values = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all()?.to_vec1());
                values.map_err(|error| error.to_string())
            }
        }
    }
}

/// A file in safetensors of which the header alone was read.
pub(crate) struct TensorFile {
    file: File,
    /// The place behind the header.
    start: u64,
    tensors: HashMap<String, TensorInfo>,
}

impl TensorFile {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// The file cannot be read, or its header does not describe it.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let bytes = file.metadata().map_err(|error| error.to_string())?.len();
        let mut length = [0; LENGTH as usize];
        file.read_exact(&mut length).map_err(|_| "it has no header")?;
        let length = u64::from_le_bytes(length);
        // Nothing is allocated for a length that the file does not have.
        if length > MAX_HEADER.min(bytes - LENGTH) {
            return Err(format!("its header of {length} bytes is longer than the file, or than is allowed"));
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(|error| error.to_string())?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| format!("its header is wrong: {error}"))?;
        // Reading the header has checked that the tensors follow each other, each as long as its shape says.
        if header.data_len() as u64 > bytes - LENGTH - length {
            return Err("it is cut off: its tensors end behind it".to_owned());
        }
        let tensors = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
        Ok(Self { file, start: LENGTH + length, tensors })
    }

    fn take(&mut self, name: &str) -> Result<Vec<f32>, String> {
        let info = self.tensors.remove(name).ok_or("was taken before")?;
        let (start, end) = info.data_offsets;
        let seek = self.file.seek(SeekFrom::Start(self.start + start as u64));
        seek.map_err(|error| error.to_string())?;
        let mut read = |bytes: &mut [u8]| self.file.read_exact(bytes).map_err(|error| error.to_string());
        if info.dtype == Dtype::F32 {
            let mut values = vec![0.0_f32; (end - start) / 4];
            read(bytemuck::cast_slice_mut(&mut values))?;
            for value in &mut values {
                *value = f32::from_bits(u32::from_le(value.to_bits()));
            }
            return Ok(values);
        }
        let mut bytes = vec![0; end - start];
        read(&mut bytes)?;
        match info.dtype {
            Dtype::F16 => Ok(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect()),
            Dtype::BF16 => Ok(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect()),
            Dtype::F64 => Ok(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()),
            other => Err(format!("is of the type {other:?}, not of floats")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a file with this header.
    fn file(header: &str, values: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn every_type_of_floats_is_read() {
        let values = [1.5_f32, -2.0];
        let wide: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let half: Vec<u8> = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        let brain: Vec<u8> = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
        let double: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
        for (kind, bytes) in [("F32", &wide), ("F16", &half), ("BF16", &brain), ("F64", &double)] {
            let end = bytes.len();
            let header =
                format!(r#"{{"a": {{"dtype": "{kind}", "shape": [1, 2], "data_offsets": [0, {end}]}}}}"#);
            let file = file(&header, bytes);
            let mut tensors = Tensors::File(TensorFile::open(file.path()).unwrap());
            assert_eq!(tensors.shape("a"), Some(&[1, 2][..]));
            assert!(tensors.any_starts("a") && !tensors.any_starts("b"));
            assert_eq!(tensors.take("a").unwrap(), values);
            assert_eq!(tensors.shape("a"), None);
        }
    }

    #[test]
    fn a_header_that_lies_is_refused_before_anything_is_allocated() {
        let one = |offsets: &str, shape: &str| {
            format!(r#"{{"a": {{"dtype": "F32", "shape": {shape}, "data_offsets": {offsets}}}}}"#)
        };
        let refused = |header: &str| TensorFile::open(file(header, &[0; 8]).path()).err().unwrap();
        assert!(refused(&one("[0, 400000000000]", "[100000000000]")).contains("cut off"));
        for (offsets, shape) in [
            ("[0, 8]", "[3]"),
            ("[8, 4]", "[1]"),
            ("[0, 8]", "[4294967296, 4294967296, 4]"),
            ("[4, 8]", "[1]"),
        ] {
            assert!(refused(&one(offsets, shape)).contains("its header is wrong"), "{offsets} {shape}");
        }
        assert!(refused("{").contains("its header is wrong"));
        let long = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(long.path(), 90_000_000_u64.to_le_bytes()).unwrap();
        assert!(TensorFile::open(long.path()).err().unwrap().contains("longer than the file"));
        std::fs::write(long.path(), [1, 2]).unwrap();
        assert!(TensorFile::open(long.path()).err().unwrap().contains("no header"));
        let words = file(r#"{"a": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}"#, &[0; 8]);
        let mut words = Tensors::File(TensorFile::open(words.path()).unwrap());
        assert!(words.take("a").unwrap_err().contains("I64"));
    }
}
