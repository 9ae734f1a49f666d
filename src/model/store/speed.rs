//! The speeds of models on this machine, as they were measured last.

use std::fs;

use serde::{Deserialize, Serialize};

use super::{Model, ModelStore};
use crate::model::{Precision, is_path};

/// File of a model's folder that its speed is kept in.
const FILE: &str = "speed.json";

/// The speed of a model on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredSpeed {
    /// Tokens a second: the median of what `whittle bench score` or `whittle bench embed` saw.
    pub tokens_per_second: f64,
    /// The precision of its arithmetic.
    pub precision: Precision,
}

impl ModelStore {
    /// Keeps the speed of the model called `name` in the place of an earlier one. The speed of a file that has no entry in
    /// the manifest is not kept.
    pub fn record_speed(&self, name: &str, speed: &MeasuredSpeed) {
        let known = self.manifest.model(name).ok().filter(|_| !is_path(name));
        if let (Some(model), Ok(text)) = (known, serde_json::to_vec(speed)) {
            // Where it cannot be written, the list says that it was not measured; no more is lost.
            fs::write(self.model_folder(model).join(FILE), text).ok();
        }
    }

    /// Returns the speed that was measured last; none where none was, or none that can be read.
    #[must_use]
    pub fn speed(&self, model: &Model) -> Option<MeasuredSpeed> {
        let text = fs::read(self.model_folder(model).join(FILE)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}
