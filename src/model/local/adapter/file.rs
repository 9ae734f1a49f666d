//! Files of adapters and of their training: safetensors of floats, with metadata.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::str::FromStr;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{AdapterError, AdapterOrigin, MAX_RANK};

/// Tensors by name: their shapes and values.
pub(crate) type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// The metadata of a file.
pub(crate) type Metadata = BTreeMap<String, String>;

/// The key of the format's version, and the version.
const FORMAT: (&str, &str) = ("whittle_adapter", "1");

/// Reads tensors and metadata of a file, and gives its sha256 with them.
pub(crate) fn read(path: &Path) -> Result<(Tensors, Metadata, String), AdapterError> {
    let malformed = |reason: String| AdapterError::Malformed { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|source| AdapterError::Io {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|error| malformed(error.to_string()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| malformed(error.to_string()))?;
    let mut tensors = Tensors::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            return Err(malformed(format!("tensor {name} is of type {:?}, not F32", view.dtype())));
        }
        let values: Vec<f32> =
            view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(AdapterError::NotFinite { path: path.to_owned(), tensor: name.to_owned(), value });
        }
        tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
    }
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok((tensors, metadata, sha256_of_bytes(&bytes)))
}

/// Writes a file, whole or not at all. Equal contents give equal bytes.
pub(crate) fn write(path: &Path, tensors: &Tensors, metadata: &Metadata) -> Result<(), AdapterError> {
    let failed = |source| AdapterError::Io { action: "write", path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut written = std::io::BufWriter::new(file.as_file_mut());
    written.write_all(&header(tensors, metadata)).map_err(failed)?;
    for (_, values) in tensors.values() {
        values.iter().try_for_each(|value| written.write_all(&value.to_le_bytes())).map_err(failed)?;
    }
    written.flush().map_err(failed)?;
    drop(written);
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    // A folder cannot be opened everywhere; the file is whole in any case.
    File::open(folder).and_then(|folder| folder.sync_all()).ok();
    Ok(())
}

/// The length of the header and the header: where each tensor lies, and the metadata.
fn header(tensors: &Tensors, metadata: &Metadata) -> Vec<u8> {
    let mut entries = Map::new();
    entries.insert("__metadata__".to_owned(), json!(metadata));
    let mut at = 0;
    for (name, (shape, values)) in tensors {
        let end = at + size_of_val(&values[..]);
        entries.insert(name.clone(), json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]}));
        at = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.append(&mut text);
    header
}

/// Returns the sha256 of bytes, in hexadecimal digits.
pub(crate) fn sha256_of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Returns the sha256 of a file, in hexadecimal digits.
pub(crate) fn sha256_of(path: &Path) -> std::io::Result<String> {
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hexadecimal(&hasher.finalize())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

impl AdapterOrigin {
    /// Reads the metadata of the file at `path`.
    pub(super) fn parse(path: &Path, metadata: &Metadata) -> Result<Self, AdapterError> {
        let keys = Keys { path, metadata };
        if metadata.get(FORMAT.0).map(String::as_str) != Some(FORMAT.1) {
            return Err(keys.fault(FORMAT.0, "1, the version of the format"));
        }
        let finite = |number: &f64| number.is_finite();
        Ok(Self {
            base_model: keys.value("base_model", "a name", |_| true)?,
            base_sha256: keys
                .value("base_sha256", "64 hexadecimal digits", |text: &String| is_sha256(text))?,
            rank: keys.value("rank", "a number from 1 to 1024", |rank| (1..=MAX_RANK).contains(rank))?,
            alpha: keys
                .value("alpha", "a number above 0", |alpha: &f64| alpha.is_finite() && *alpha > 0.0)?,
            seed: keys.value("seed", "a whole number", |_| true)?,
            pairs_sha256: keys
                .value("pairs_sha256", "64 hexadecimal digits", |text: &String| is_sha256(text))?,
            pairs: keys.value("pairs", "a whole number", |_| true)?,
            held_pairs: keys.value("held_pairs", "a whole number", |_| true)?,
            steps: keys.value("steps", "a whole number", |_| true)?,
            held_loss_before: keys.value("held_loss_before", "a number", finite)?,
            held_loss_after: keys.value("held_loss_after", "a number", finite)?,
        })
    }

    /// The metadata of a file.
    pub(crate) fn metadata(&self) -> Metadata {
        let entries = [
            (FORMAT.0, FORMAT.1.to_owned()),
            ("base_model", self.base_model.clone()),
            ("base_sha256", self.base_sha256.clone()),
            ("rank", self.rank.to_string()),
            ("alpha", self.alpha.to_string()),
            ("seed", self.seed.to_string()),
            ("pairs_sha256", self.pairs_sha256.clone()),
            ("pairs", self.pairs.to_string()),
            ("held_pairs", self.held_pairs.to_string()),
            ("steps", self.steps.to_string()),
            ("held_loss_before", self.held_loss_before.to_string()),
            ("held_loss_after", self.held_loss_after.to_string()),
        ];
        entries.map(|(key, value)| (key.to_owned(), value)).into()
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Reads values of a file's metadata.
pub(crate) struct Keys<'a> {
    pub(crate) path: &'a Path,
    pub(crate) metadata: &'a Metadata,
}

impl Keys<'_> {
    /// The value of a key, which must be `sound`.
    pub(crate) fn value<T: FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
        sound: impl FnOnce(&T) -> bool,
    ) -> Result<T, AdapterError> {
        let found = self.metadata.get(key).and_then(|text| text.parse().ok());
        found.filter(sound).ok_or_else(|| self.fault(key, expected))
    }

    fn fault(&self, key: &'static str, expected: &'static str) -> AdapterError {
        let found = self.metadata.get(key).cloned();
        AdapterError::Metadata { path: self.path.to_owned(), key, found, expected }
    }
}
