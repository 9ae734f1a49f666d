//! Counting tokens as a target model would.

use std::path::Path;
use std::sync::Arc;

/// Counts the tokens of a text as a target model would.
pub trait TokenCounter: Send + Sync {
    /// Name, such as `o200k_base`.
    fn name(&self) -> &str;

    /// Tokens of `text`, read as plain text: the spelling of a control token is counted as text.
    fn count(&self, text: &str) -> usize;

    /// Is the count an estimate, because the target's tokenizer is not public?
    fn approximate(&self) -> bool {
        false
    }
}

/// Why a tokenizer could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TokenizerError {
    /// No tokenizer has this name.
    #[error(
        "unknown tokenizer `{0}`: use `o200k_base`, `cl100k_base`, `scorer`, `approximate`, or the path of a tokenizer.json"
    )]
    Unknown(String),
    /// The file is not a tokenizer.
    #[error("cannot read the tokenizer {file}: {reason}")]
    File {
        /// As named by the caller.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// The tokenizer called `name`: an encoding of OpenAI's, `approximate`, or the path of a `tokenizer.json`.
///
/// # Errors
/// The name is unknown or the file unreadable.
pub fn for_name(name: &str) -> Result<Arc<dyn TokenCounter>, TokenizerError> {
    match name {
        "o200k_base" => Ok(Arc::new(OpenAi { name: "o200k_base", tokenizer: bpe_openai::o200k_base() })),
        "cl100k_base" => Ok(Arc::new(OpenAi { name: "cl100k_base", tokenizer: bpe_openai::cl100k_base() })),
        "approximate" => Ok(Arc::new(Approximation(bpe_openai::o200k_base()))),
        path if Path::new(path).extension().is_some_and(|extension| extension == "json") => {
            Ok(Arc::new(FileTokenizer::load(path)?))
        }
        _ => Err(TokenizerError::Unknown(name.to_owned())),
    }
}

/// The tokenizer of the model called `model`; of models whose tokenizer is not public, an approximation.
#[must_use]
pub fn for_model(model: &str) -> Arc<dyn TokenCounter> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| model.starts_with(prefix));
    if starts(&["gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4", "gpt-oss"]) {
        Arc::new(OpenAi { name: "o200k_base", tokenizer: bpe_openai::o200k_base() })
    } else if starts(&["gpt-4", "gpt-3.5", "text-embedding-3", "text-embedding-ada"]) {
        Arc::new(OpenAi { name: "cl100k_base", tokenizer: bpe_openai::cl100k_base() })
    } else {
        Arc::new(Approximation(bpe_openai::o200k_base()))
    }
}

/// An encoding of OpenAI's; its ranks are compiled in.
struct OpenAi {
    name: &'static str,
    tokenizer: &'static bpe_openai::Tokenizer,
}

impl TokenCounter for OpenAi {
    fn name(&self) -> &str {
        self.name
    }

    fn count(&self, text: &str) -> usize {
        self.tokenizer.count(text)
    }
}

/// `o200k_base` plus a fifth: a cautious estimate for tokenizers that are not public, meant to overstate
/// rather than to overshoot a budget.
struct Approximation(&'static bpe_openai::Tokenizer);

impl TokenCounter for Approximation {
    fn name(&self) -> &'static str {
        "o200k_base + 20%"
    }

    fn count(&self, text: &str) -> usize {
        let tokens = self.0.count(text);
        tokens + tokens.div_ceil(5)
    }

    fn approximate(&self) -> bool {
        true
    }
}

/// A Hugging Face `tokenizer.json`.
struct FileTokenizer {
    name: String,
    tokenizer: tokenizers::Tokenizer,
}

impl FileTokenizer {
    fn load(file: &str) -> Result<Self, TokenizerError> {
        let broken = |reason: String| TokenizerError::File { file: file.to_owned(), reason };
        let text = std::fs::read_to_string(file).map_err(|e| broken(e.to_string()))?;
        // Without its added tokens, a tokenizer reads the spelling of a control token as plain text.
        let mut json: serde_json::Value = serde_json::from_str(&text).map_err(|e| broken(e.to_string()))?;
        if let Some(object) = json.as_object_mut() {
            object.insert("added_tokens".into(), serde_json::Value::Array(Vec::new()));
            object.remove("truncation");
            object.remove("padding");
        }
        let tokenizer = json.to_string().parse().map_err(|e: tokenizers::Error| broken(e.to_string()))?;
        Ok(Self { name: file.to_owned(), tokenizer })
    }
}

impl TokenCounter for FileTokenizer {
    fn name(&self) -> &str {
        &self.name
    }

    fn count(&self, text: &str) -> usize {
        // A model without an unknown token refuses characters that it lacks: then every byte counts.
        self.tokenizer.encode_fast(text, false).map_or(text.len(), |encoding| encoding.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_are_those_of_the_published_encodings() {
        let o200k = for_name("o200k_base").unwrap();
        let cl100k = for_name("cl100k_base").unwrap();
        assert_eq!(o200k.count("hello world"), 2);
        assert_eq!(cl100k.count("hello world"), 2);
        assert_eq!(cl100k.count("tiktoken is great!"), 6);
        assert!(o200k.count("<|endoftext|><|im_start|>") > 2, "control tokens are text");
        assert_eq!(o200k.count(""), 0);
    }

    #[test]
    fn models_map_to_their_tokenizers() {
        assert_eq!(for_model("gpt-4o-mini").name(), "o200k_base");
        assert_eq!(for_model("gpt-4-turbo").name(), "cl100k_base");
        let claude = for_model("claude-sonnet-4-5");
        assert!(claude.approximate() && claude.count("hello world") == 3);
        assert!(matches!(for_name("p50k"), Err(TokenizerError::Unknown(name)) if name == "p50k"));
        assert!(matches!(for_name("no/such.json"), Err(TokenizerError::File { .. })));
    }

    #[test]
    fn a_tokenizer_file_counts_plain_text() {
        let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
        let tokenizer = serde_json::json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"}, "decoder": null,
            "added_tokens": [{"id": 2, "content": "<s>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "model": {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}
        });
        std::fs::write(file.path(), tokenizer.to_string()).unwrap();
        let counter = for_name(file.path().to_str().unwrap()).unwrap();
        assert_eq!(counter.count("a <s>a b"), 3);
    }

    proptest! {
        #[test]
        fn any_text_is_counted(text in any::<String>()) {
            for name in ["o200k_base", "cl100k_base", "approximate"] {
                prop_assert_eq!(for_name(name).unwrap().count(&text) == 0, text.is_empty());
            }
        }
    }
}
