//! Alignment of the scorer with the model that reads the prompts, and the adapters that it makes.

use std::path::Path;

use crate::model::local::Adapter;
pub use crate::model::local::AdapterError;
pub use crate::model::local::align::{AlignError, AlignEvent, AlignFiles, AlignOptions, AlignReport, align};

/// Returns the sha256 of an adapter's file, which must be sound.
///
/// # Errors
/// The file cannot be read, or is no adapter.
pub fn adapter_sha256(path: &Path) -> Result<String, AdapterError> {
    Ok(Adapter::open(path)?.sha256().to_owned())
}
