//! [`TokenClassifier`] on a BERT or XLM-RoBERTa in this process, run by candle in f32.

use std::path::{Path, PathBuf};

use candle_core::{D, DType, Module, Tensor};
use candle_nn::{Linear, VarBuilder};
use candle_transformers::models::{bert, xlm_roberta};
use serde_json::Value;

use super::device::{self, NoDevice};
use super::encoder::{EncoderFiles, NoFile, pieces};
use crate::model::{Cancel, Device, ScoreError, Token, TokenClassifier};
use crate::text::read_control_tokens_as_text;

/// The characters at which these tokenizers always end a word.
const SEPARATORS: &[char] = &[' '];
/// Classes of a token: drop and keep.
const CLASSES: usize = 2;
/// Largest plausible size of anything that a configuration names.
const LARGEST: u64 = 1 << 22;

/// An error of loading a classifier.
#[derive(Debug, thiserror::Error)]
pub enum ClassifierError {
    /// The model has no file of this name.
    #[error("{0}, so it cannot classify tokens")]
    NoFile(#[from] NoFile),
    /// The device that it is to run on.
    #[error(transparent)]
    Device(#[from] NoDevice),
    /// A file cannot be read, or is not what its name says.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The description of the fault.
        reason: String,
    },
    /// The model is of a kind that this build does not run.
    #[error("unsupported architecture `{0}`: this build classifies tokens with `bert` and `xlm-roberta`")]
    Unsupported(String),
}

impl ClassifierError {
    fn file(path: &Path, reason: &(impl std::fmt::Display + ?Sized)) -> Self {
        Self::File { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// A model in this process.
pub struct LocalClassifier {
    name: String,
    tokenizer: tokenizers::Tokenizer,
    /// Ids of the tokens that open and close a sequence.
    ends: [u32; 2],
    encoder: Encoder,
    head: Linear,
    /// Most tokens of a sequence, both ends included.
    positions: usize,
    device: candle_core::Device,
}

enum Encoder {
    Bert(bert::BertModel),
    XlmRoberta(xlm_roberta::XLMRobertaModel),
}

impl std::fmt::Debug for LocalClassifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalClassifier").field("name", &self.name).finish_non_exhaustive()
    }
}

impl LocalClassifier {
    /// Loads a token classifier in safetensors.
    ///
    /// # Errors
    /// A file cannot be read, or describes a model that this build does not run.
    pub fn load(name: &str, files: EncoderFiles<'_>, device: Device) -> Result<Self, ClassifierError> {
        let device = device::open(device)?.unwrap_or(candle_core::Device::Cpu);
        let config = configuration(files.config)?;
        let architecture = config["model_type"].as_str().unwrap_or("none").to_owned();
        let tensors = candle_core::safetensors::load(files.weights, &device)
            .map_err(|e| ClassifierError::file(files.weights, &e))?;
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &device);
        let size = |key: &str| config[key].as_u64().unwrap_or_default() as usize;
        let (ends, reserved) = match architecture.as_str() {
            "bert" => (["[CLS]", "[SEP]"], 0),
            // Positions are counted from behind the padding's.
            "xlm-roberta" => (["<s>", "</s>"], size("pad_token_id") + 1),
            _ => return Err(ClassifierError::Unsupported(architecture)),
        };
        let parsed = |e: serde_json::Error| ClassifierError::file(files.config, &e);
        let broken = |e: candle_core::Error| ClassifierError::file(files.weights, &e);
        let encoder = if architecture == "bert" {
            let config: bert::Config = serde_json::from_value(config.clone()).map_err(parsed)?;
            Encoder::Bert(bert::BertModel::load(weights.pp("bert"), &config).map_err(broken)?)
        } else {
            let config: xlm_roberta::Config = serde_json::from_value(config.clone()).map_err(parsed)?;
            let model = xlm_roberta::XLMRobertaModel::new(&config, weights.pp("roberta"));
            Encoder::XlmRoberta(model.map_err(broken)?)
        };
        let head =
            candle_nn::linear(size("hidden_size"), CLASSES, weights.pp("classifier")).map_err(broken)?;
        let positions = size("max_position_embeddings").saturating_sub(reserved);
        if positions < 4 {
            return Err(ClassifierError::file(files.config, &format!("only {positions} positions")));
        }
        let (tokenizer, ends) = tokenizer(files.tokenizer, ends, size("vocab_size"))?;
        Ok(Self { name: name.to_owned(), tokenizer, ends, encoder, head, positions, device })
    }

    /// The ids that are run for a window: its own between those that open and close a sequence.
    #[must_use]
    pub fn sequence(&self, ids: &[u32]) -> Vec<u32> {
        [&self.ends[..1], ids, &self.ends[1..]].concat()
    }

    fn run(&self, ids: &[u32]) -> candle_core::Result<Vec<f32>> {
        let sequence = self.sequence(ids);
        let input = Tensor::new(sequence.as_slice(), &self.device)?.unsqueeze(0)?;
        let segments = input.zeros_like()?;
        let hidden = match &self.encoder {
            Encoder::Bert(model) => model.forward(&input, &segments, None)?,
            Encoder::XlmRoberta(model) => {
                model.forward(&input, &input.ones_like()?, &segments, None, None, None)?
            }
        };
        let classes = candle_nn::ops::softmax(&self.head.forward(&hidden)?, D::Minus1)?;
        classes.squeeze(0)?.narrow(D::Minus1, 1, 1)?.squeeze(1)?.narrow(0, 1, ids.len())?.to_vec1()
    }
}

/// Reads a `config.json`.
fn configuration(path: &Path) -> Result<Value, ClassifierError> {
    let text = std::fs::read_to_string(path).map_err(|e| ClassifierError::file(path, &e))?;
    let mut config: Value = serde_json::from_str(&text).map_err(|e| ClassifierError::file(path, &e))?;
    let Some(keys) = config.as_object_mut() else {
        return Err(ClassifierError::file(path, "it is no JSON object"));
    };
    let position = keys.entry("position_embedding_type").or_insert("absolute".into());
    if position != "absolute" {
        return Err(ClassifierError::file(path, &format!("unsupported position embedding {position}")));
    }
    // Some leave it out; candle wants it, and the passes here have no use for it.
    keys.entry("pad_token_id").or_insert(0.into());
    for key in
        ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "max_position_embeddings"]
    {
        let size = keys.get(key).and_then(Value::as_u64).unwrap_or_default();
        if !(1..=LARGEST).contains(&size) {
            return Err(ClassifierError::file(path, &format!("{key} is {size}, not 1 to {LARGEST}")));
        }
    }
    if !config["hidden_size"]
        .as_u64()
        .is_some_and(|size| size.is_multiple_of(config["num_attention_heads"].as_u64().unwrap_or(1)))
    {
        return Err(ClassifierError::file(path, "hidden_size does not divide by the heads"));
    }
    Ok(config)
}

/// A tokenizer that reads any text as plain text, and the ids of the tokens at both ends of a sequence.
fn tokenizer(
    path: &Path,
    ends: [&str; 2],
    vocabulary: usize,
) -> Result<(tokenizers::Tokenizer, [u32; 2]), ClassifierError> {
    let wrong = |reason: String| ClassifierError::file(path, &reason);
    let text = std::fs::read_to_string(path).map_err(|e| ClassifierError::file(path, &e))?;
    let mut json: Value = serde_json::from_str(&text).map_err(|e| ClassifierError::file(path, &e))?;
    let id = |content: &str| {
        let added = json["added_tokens"].as_array().into_iter().flatten();
        let token = added.into_iter().find(|token| token["content"] == content);
        let id = token.and_then(|token| token["id"].as_u64()).and_then(|id| u32::try_from(id).ok());
        id.ok_or_else(|| wrong(format!("it has no token {content}")))
    };
    let ends = [id(ends[0])?, id(ends[1])?];
    read_control_tokens_as_text(&mut json);
    let tokenizer: tokenizers::Tokenizer =
        json.to_string().parse().map_err(|e: tokenizers::Error| wrong(e.to_string()))?;
    let largest = tokenizer.get_vocab(false).into_values().chain(ends).max().unwrap_or_default();
    if largest as usize >= vocabulary {
        return Err(wrong(format!("token {largest} is beyond the model's vocabulary of {vocabulary}")));
    }
    Ok((tokenizer, ends))
}

impl TokenClassifier for LocalClassifier {
    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self, text: &str, cancel: &Cancel) -> Result<Vec<Token>, ScoreError> {
        let mut tokens = Vec::new();
        for (start, piece) in pieces(text, SEPARATORS) {
            cancel.check()?;
            let encoding =
                self.tokenizer.encode(piece, false).map_err(|e| ScoreError::Model(e.to_string()))?;
            let ranges = encoding.get_offsets().iter().map(|&(from, to)| start + from..start + to);
            tokens.extend(encoding.get_ids().iter().zip(ranges).map(|(&id, range)| Token { id, range }));
        }
        Ok(tokens)
    }

    fn window(&self) -> usize {
        self.positions - self.ends.len()
    }

    fn keep(&self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
        cancel.check()?;
        let probabilities = self.run(ids).map_err(|e| ScoreError::Model(e.to_string()))?;
        if probabilities.iter().all(|p| p.is_finite()) {
            Ok(probabilities)
        } else {
            Err(ScoreError::Model("a keep probability is not a number".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_configurations_are_named_by_what_is_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let sizes = r#""hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 9"#;
        for (text, said) in [
            ("", "EOF"),
            ("[]", "no JSON object"),
            ("{}", "hidden_size is 0"),
            (&format!("{{{sizes}, \"position_embedding_type\": \"relative_key\"}}"), "relative_key"),
            (&format!("{{{}}}", sizes.replace(": 2", ": 3")), "does not divide"),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let error = configuration(file.path()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        std::fs::write(file.path(), format!("{{{sizes}, \"model_type\": \"bert\"}}")).unwrap();
        let path = file.path();
        let error = LocalClassifier::load(
            "x",
            EncoderFiles { config: path, tokenizer: path, weights: path },
            Device::Cpu,
        );
        assert!(matches!(error.unwrap_err(), ClassifierError::File { .. }));
    }
}
