//! Loading of an embedder from the files of a checkpoint, or from one packed file.

use std::path::Path;

use super::packed::PackedModel;
use super::tokenizer::EmbedderTokenizer;
use crate::model::Precision;
use crate::model::local::encoder::{Encoder, EncoderConfig, EncoderError, Tensors, TokenRows, Weights};

/// The architectures whose vectors are the means of those of their tokens.
const MEANS: [&str; 2] = ["bert", "nomic_bert"];

/// Reads and checks the `config.json` of a model, of whose pooling files tell or not.
pub(super) fn configuration(path: &Path, has_head: bool) -> Result<EncoderConfig, EncoderError> {
    let (config, json) = EncoderConfig::read(path)?;
    // How the vectors of others are pooled is not known where no file says it.
    if !has_head && !MEANS.contains(&config.family.name) {
        let value = json["model_type"].as_str().unwrap_or("none").to_owned();
        return Err(EncoderError::Unsupported { what: "architecture", value, known: MEANS.join("`, `") });
    }
    Ok(config)
}

/// Reads weights in safetensors and packs them for this processor.
pub(super) fn encoder(
    path: &Path,
    config: EncoderConfig,
    precision: Precision,
) -> Result<Encoder, EncoderError> {
    Weights::read(path, &config, &[], precision)?.encoder_with_words(config)
}

/// Reads a packed model, and packs its weights for this processor.
pub(super) fn packed(
    path: &Path,
    precision: Precision,
) -> Result<(Encoder, EmbedderTokenizer), EncoderError> {
    let bytes = std::fs::read(path).map_err(|e| EncoderError::file(path, e.to_string()))?;
    let model = PackedModel::parse(&bytes).map_err(|reason| EncoderError::file(path, reason))?;
    drop(bytes);
    let mut weights = Weights::of(path, Tensors::Memory(model.tensors), precision);
    let encoder = weights.encoder(TokenRows::Quantized(model.words), model.config)?;
    Ok((encoder, EmbedderTokenizer::unigram(model.tokenizer, model.ends)))
}
