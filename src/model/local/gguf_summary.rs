//! What a GGUF file says of itself.

use std::path::Path;

use super::family::Family;
use super::gguf::{GgufError, GgufFile};

/// What a GGUF file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GgufSummary {
    /// The architecture, one that this build runs.
    pub(crate) architecture: String,
    /// The name of the model.
    pub(crate) name: Option<String>,
    /// The licence, as an SPDX name.
    pub(crate) licence: Option<String>,
    /// The most tokens that the model was trained on at once.
    pub(crate) context: u32,
    /// The file says how the vector of a text is pooled, so that it embeds.
    pub(crate) embeds: bool,
}

impl GgufSummary {
    /// Reads the header of a file.
    ///
    /// # Errors
    /// The file cannot be read, is not GGUF, or is of an architecture that this build does not run.
    pub(crate) fn read(path: &Path) -> Result<Self, GgufError> {
        let file = GgufFile::open(path)?;
        let family = Family::of(&file)?;
        let text = |key: &str| file.str(key).ok().map(str::to_owned);
        Ok(Self {
            architecture: family.name.to_owned(),
            name: text("general.name"),
            licence: text("general.license"),
            context: file.u32(&family.key("context_length"))?,
            embeds: file.has(&family.key("pooling_type")),
        })
    }
}
