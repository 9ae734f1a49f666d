//! Tokenizers in files of this machine, which callers name by their paths.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::text::{TokenCounter, TokenizerError, from_tokenizer_json};

/// Tokenizers that are kept in memory.
const MOST: usize = 4;

/// The tokenizers that were loaded last, newest last: loading one takes longer than most counts.
#[derive(Default)]
pub(super) struct TokenizerFiles(Mutex<Vec<Loaded>>);

struct Loaded {
    file: String,
    version: Version,
    counter: Arc<dyn TokenCounter>,
}

/// Tells whether a file has changed: its time and length.
type Version = (Option<SystemTime>, u64);

impl TokenizerFiles {
    /// Whether `name` is the path of such a file, not the name of an encoding.
    pub(super) fn is_path(name: &str) -> bool {
        Path::new(name).extension().is_some_and(|extension| extension == "json")
    }

    /// The tokenizer in `file`, loaded anew only if the file has changed.
    ///
    /// # Errors
    /// The file cannot be read, or holds no tokenizer.
    pub(super) fn get(&self, file: &str) -> Result<Arc<dyn TokenCounter>, TokenizerError> {
        let failed =
            |error: std::io::Error| TokenizerError::File { file: file.to_owned(), reason: error.to_string() };
        let metadata = std::fs::metadata(file).map_err(failed)?;
        let version = (metadata.modified().ok(), metadata.len());
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.iter().find(|known| known.file == file && known.version == version) {
            return Ok(Arc::clone(&known.counter));
        }
        let counter = from_tokenizer_json(file, &std::fs::read_to_string(file).map_err(failed)?)?;
        loaded.retain(|other| other.file != file);
        if loaded.len() == MOST {
            loaded.remove(0);
        }
        loaded.push(Loaded { file: file.to_owned(), version, counter: Arc::clone(&counter) });
        Ok(counter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_file_is_loaded_again_when_it_changes() {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        let name = file.path().to_str().unwrap();
        assert!(TokenizerFiles::is_path(name) && !TokenizerFiles::is_path("o200k_base"));
        let write = |vocabulary: Value| {
            let model = json!({"type": "WordPiece", "unk_token": "u", "continuing_subword_prefix": "",
                "max_input_chars_per_word": 100, "vocab": vocabulary});
            let tokenizer = json!({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
                "post_processor": null, "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
                "added_tokens": [], "model": model});
            std::fs::write(file.path(), tokenizer.to_string()).unwrap();
        };
        let files = TokenizerFiles::default();
        write(json!({"u": 0, "a": 1}));
        let first = files.get(name).unwrap();
        assert!(Arc::ptr_eq(&first, &files.get(name).unwrap()));
        write(json!({"u": 0, "a": 1, "aa": 2}));
        assert_eq!((first.count("aa"), files.get(name).unwrap().count("aa")), (2, 1));
        std::fs::write(file.path(), "{}").unwrap();
        for path in [name, "no/such.json"] {
            assert!(matches!(files.get(path), Err(TokenizerError::File { .. })), "{path}");
        }
    }
}
