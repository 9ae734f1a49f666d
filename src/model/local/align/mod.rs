//! Distribution alignment (LLMLingua, arXiv 2310.05736, section 4.3): the scorer is tuned towards the model that reads the
//! prompts, by that model's own answers.
//!
//! What is trained are changes of low rank (`LoRA`, arXiv 2106.09685) of the products of attention and of feed-forward
//! networks; the weights themselves stay as they are. The loss is the mean negative log-likelihood of the answers' tokens
//! given their prompts. Some pairs are held back: training ends when their loss has stopped falling, and the changes that
//! were best for them are written as an [`Adapter`](super::Adapter).
//!
//! A run is a function of its inputs: the same files, options and number of threads give the same bytes, whether it was
//! stopped in between or not.

mod checkpoint;
mod error;
mod examples;
mod frozen;
mod gradient;
mod network;
mod pairs;
mod parameters;
#[cfg(test)]
mod tests;
mod train;

use std::path::{Path, PathBuf};

pub use error::AlignError;
pub use train::align;

use super::adapter::AdapterOrigin;
use crate::model::Device;

/// The files of an alignment.
#[derive(Debug, Clone, Copy)]
pub struct AlignFiles<'a> {
    /// The name of the model, which the adapter's file states.
    pub name: &'a str,
    /// The path of the model's GGUF file.
    pub model: &'a Path,
    /// The path of the JSONL file of pairs.
    pub pairs: &'a Path,
    /// The path of the adapter that is to be made. A checkpoint lies beside it while it is.
    pub out: &'a Path,
}

/// The options of an alignment.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignOptions {
    /// The rank of the changes, 1 to 1,024.
    pub rank: usize,
    /// The factor of the changes, times the rank.
    pub alpha: f64,
    /// The largest learning rate: it rises for a twentieth of the steps, and falls to 0 from then on.
    pub learning_rate: f64,
    /// The number of times that all pairs are learned from.
    pub epochs: usize,
    /// The number of pairs whose gradients make a step.
    pub batch: usize,
    /// The most tokens of a pair.
    pub length: usize,
    /// Pairs of more tokens lose the beginning of their prompt and the end of their answer; otherwise they are an error.
    pub cut: bool,
    /// The share of pairs that are held back, above 0 and below 1.
    pub held: f64,
    /// The number of steps from one measurement of the held loss to the next; by default a quarter of an epoch.
    pub measure_every: Option<usize>,
    /// The number of measurements without a gain after which training ends.
    pub patience: usize,
    /// The seed of all random numbers.
    pub seed: u64,
    /// An earlier run to the same file is forgotten, whether it had ended or not.
    pub restart: bool,
    /// The device that computes.
    pub device: Device,
    /// Threads that compute; by default one a physical core.
    pub threads: Option<usize>,
}

impl Default for AlignOptions {
    fn default() -> Self {
        Self {
            rank: 8,
            alpha: 16.0,
            learning_rate: 1e-3,
            epochs: 3,
            batch: 8,
            length: 512,
            cut: false,
            held: 0.1,
            measure_every: None,
            patience: 3,
            seed: 0,
            restart: false,
            device: Device::default(),
            threads: None,
        }
    }
}

/// The progress of an alignment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AlignEvent {
    /// A step was taken.
    Step {
        /// The number of steps so far.
        step: usize,
        /// The number of steps that are planned.
        steps: usize,
        /// The loss of the pairs of this step, before it.
        loss: f64,
        /// The number of tokens that went through the model in this process, prompts included.
        tokens: usize,
        /// The seconds that these took.
        seconds: f64,
    },
    /// The held loss was measured.
    Measured {
        /// The number of steps so far.
        step: usize,
        /// The mean negative log-likelihood of the held answers' tokens, in nats.
        loss: f64,
        /// The smallest loss so far, this one included.
        best: f64,
    },
}

/// The outcome of an alignment.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignReport {
    /// The path of the adapter.
    pub path: PathBuf,
    /// The adapter's metadata.
    pub origin: AdapterOrigin,
    /// The number of pairs that were cut.
    pub cut: usize,
    /// The number of steps that were taken, those after the best ones included.
    pub steps: usize,
    /// The number of tokens that were trained on in this process, prompts included.
    pub tokens: usize,
    /// The seconds that training and measuring took in this process.
    pub seconds: f64,
}
