//! Checkpoints: all that a run has learned so far, from which it goes on as if it had never stopped.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::AlignError;
use super::parameters::{Adam, Parameters};
use crate::model::local::adapter::{self, AdapterError, Keys, Metadata, Tensors};

/// The state of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// The number of steps so far.
    pub(super) step: usize,
    pub(super) parameters: Parameters,
    pub(super) adam: Adam,
    /// The values that were best for the held pairs, and the step behind which they were.
    pub(super) best: Vec<f32>,
    pub(super) best_step: usize,
    pub(super) best_loss: f64,
    /// The held loss before training.
    pub(super) before: f64,
    /// The number of measurements since the best one.
    pub(super) stale: usize,
}

/// The file of a run's state.
pub(super) struct Checkpoint {
    path: PathBuf,
    /// Everything that the run depends on.
    settings: Map<String, Value>,
}

impl Checkpoint {
    /// The checkpoint beside the adapter at `out` of a run that depends on these settings.
    pub(super) fn new(out: &Path, settings: Map<String, Value>) -> Self {
        Self { path: out.with_extension("checkpoint.safetensors"), settings }
    }

    /// Reads the state, where there is one.
    ///
    /// # Errors
    /// It is that of another run, or damaged.
    pub(super) fn load(&self, drawn: &Parameters) -> Result<Option<State>, AlignError> {
        if !self.path.exists() {
            return Ok(None);
        }
        let (mut tensors, metadata, _) = adapter::read(&self.path)?;
        let keys = Keys { path: &self.path, metadata: &metadata };
        let settings: String = keys.value("settings", "the settings of a run", |_| true)?;
        self.check(&settings)?;
        let mut row = |name: &str| self.row(&mut tensors, name, drawn.values.len());
        let [values, mean, square, best] = [row("values")?, row("mean")?, row("square")?, row("best")?];
        let finite = |loss: &f64| loss.is_finite();
        let parameters = drawn.with(values).ok_or_else(|| self.missing("values"))?;
        Ok(Some(State {
            step: keys.value("step", "a whole number", |_| true)?,
            parameters,
            adam: Adam { mean, square },
            best,
            best_step: keys.value("best_step", "a whole number", |_| true)?,
            best_loss: keys.value("best_loss", "a number", finite)?,
            before: keys.value("before", "a number", finite)?,
            stale: keys.value("stale", "a whole number", |_| true)?,
        }))
    }

    /// Writes the state, whole or not at all.
    pub(super) fn save(&self, state: &State) -> Result<(), AlignError> {
        let State { step, parameters, adam, best, best_step, best_loss, before, stale } = state;
        let rows =
            [("values", &parameters.values), ("mean", &adam.mean), ("square", &adam.square), ("best", best)];
        let tensors = rows.map(|(name, values)| (name.to_owned(), (vec![values.len()], values.clone())));
        let metadata = [
            ("settings", Value::Object(self.settings.clone()).to_string()),
            ("step", step.to_string()),
            ("best_step", best_step.to_string()),
            ("best_loss", best_loss.to_string()),
            ("before", before.to_string()),
            ("stale", stale.to_string()),
        ];
        let metadata: Metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
        Ok(adapter::write(&self.path, &tensors.into(), &metadata)?)
    }

    /// Removes the file, where there is one.
    pub(super) fn remove(&self) -> Result<(), AlignError> {
        match std::fs::remove_file(&self.path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(AlignError::Io { action: "remove", path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Checks that a file is that of this run.
    fn check(&self, settings: &str) -> Result<(), AlignError> {
        let found: Map<String, Value> = serde_json::from_str(settings).unwrap_or_default();
        let other = self.settings.iter().filter(|(key, value)| found.get(*key) != Some(value));
        let other: Vec<&str> = other.map(|(key, _)| key.as_str()).collect();
        if other.is_empty() {
            return Ok(());
        }
        Err(AlignError::OtherRun { path: self.path.clone(), difference: other.join(", ") })
    }

    fn row(&self, tensors: &mut Tensors, name: &str, expected: usize) -> Result<Vec<f32>, AlignError> {
        let (shape, values) = tensors.remove(name).ok_or_else(|| self.missing(name))?;
        if shape == [expected] {
            return Ok(values);
        }
        let (path, tensor) = (self.path.clone(), name.to_owned());
        Err(AdapterError::WrongShape { path, tensor, expected: vec![expected], found: shape }.into())
    }

    fn missing(&self, name: &str) -> AlignError {
        AdapterError::MissingTensor { path: self.path.clone(), tensor: name.to_owned() }.into()
    }
}
