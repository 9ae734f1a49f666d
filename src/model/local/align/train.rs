//! The run of an alignment.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::checkpoint::{Checkpoint, State};
use super::examples::Examples;
use super::network::{Changes, Example, Network, Purpose};
use super::pairs::Pairs;
use super::parameters::{Adam, Parameters};
use super::{AlignError, AlignEvent, AlignFiles, AlignOptions, AlignReport};
use crate::model::Cancel;
use crate::model::local::adapter::{self, AdapterOrigin, MAX_RANK, SUPPORTED, sha256_of};
use crate::model::local::device;
use crate::model::local::error::LoadError;
use crate::model::local::gguf_summary::GgufSummary;
use crate::model::local::load::{Loaded, read};

/// Raise it with each change after which a run gives other bytes, so that none goes on with an older one's checkpoint.
const REVISION: u32 = 1;
/// The length of a gradient from which on it is shortened.
const LONGEST_GRADIENT: f64 = 1.0;
/// The part of the steps for which the learning rate rises.
const WARM_UP: usize = 20;
/// The most tokens that a pair may have: the mask of attention takes 4 bytes for each two of them.
const MAX_LENGTH: usize = 8192;

/// Tunes a model towards the answers in a file of pairs, and writes the adapter that does it. A run that was stopped goes
/// on from its last measurement. `told` hears of each step and of each measurement.
///
/// # Errors
/// See [`AlignError`].
pub fn align(
    files: AlignFiles<'_>,
    options: &AlignOptions,
    told: &mut (dyn FnMut(AlignEvent) + Send),
    cancel: &Cancel,
) -> Result<AlignReport, AlignError> {
    check(options)?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(crate::model::local::threads(options.threads))
        .build()
        .map_err(|error| AlignError::Threads(error.to_string()))?;
    pool.install(|| Run::prepare(files, options)?.go(told, cancel))
}

/// Checks options that need no model.
fn check(options: &AlignOptions) -> Result<(), AlignError> {
    let AlignOptions { rank, alpha, learning_rate, epochs, batch, held, measure_every, patience, .. } =
        *options;
    let positive = |number: f64| number.is_finite() && number > 0.0;
    let checks = [
        ("rank", rank.to_string(), (1..=MAX_RANK).contains(&rank), "1 to 1024"),
        ("alpha", alpha.to_string(), positive(alpha), "a number above 0"),
        ("learning-rate", learning_rate.to_string(), positive(learning_rate), "a number above 0"),
        ("epochs", epochs.to_string(), epochs > 0, "at least 1"),
        ("batch", batch.to_string(), batch > 0, "at least 1"),
        ("held", held.to_string(), held > 0.0 && held < 1.0, "above 0 and below 1"),
        ("measure-every", "0".to_owned(), measure_every != Some(0), "at least 1"),
        ("patience", patience.to_string(), patience > 0, "at least 1"),
    ];
    for (option, value, sound, expected) in checks {
        if !sound {
            return Err(AlignError::Option { option, value, expected: expected.to_owned() });
        }
    }
    Ok(())
}

/// All that a run works with.
struct Run<'a> {
    files: AlignFiles<'a>,
    options: &'a AlignOptions,
    base_sha256: String,
    pairs_sha256: String,
    network: Network,
    examples: Examples,
    checkpoint: Checkpoint,
}

impl<'a> Run<'a> {
    fn prepare(files: AlignFiles<'a>, options: &'a AlignOptions) -> Result<Self, AlignError> {
        if files.out.exists() && !options.restart {
            return Err(AlignError::Exists { path: files.out.to_owned() });
        }
        let Pairs { pairs, sha256: pairs_sha256 } = Pairs::read(files.pairs)?;
        let base_sha256 = sha256_of(files.model).map_err(|source| AlignError::Io {
            action: "read",
            path: files.model.to_owned(),
            source,
        })?;
        let Loaded { llama: network, tokenizer, bos, .. } = load(files.model, options)?;
        let examples = Examples::new(files.pairs, &pairs, (&tokenizer, bos), options)?;
        let settings = settings(options, &base_sha256, &pairs_sha256);
        let checkpoint = Checkpoint::new(files.out, settings);
        if options.restart {
            checkpoint.remove()?;
        }
        Ok(Self { files, options, base_sha256, pairs_sha256, network, examples, checkpoint })
    }

    fn go(
        &self,
        told: &mut (dyn FnMut(AlignEvent) + Send),
        cancel: &Cancel,
    ) -> Result<AlignReport, AlignError> {
        let (start, options) = (Instant::now(), self.options);
        let steps = options.epochs * self.examples.steps(options.batch);
        let every = options.measure_every.unwrap_or_else(|| self.examples.steps(options.batch).div_ceil(4));
        let mut trainer = self.trainer(cancel)?;
        let state = &trainer.state;
        told(AlignEvent::Measured { step: state.step, loss: state.best_loss, best: state.best_loss });
        let mut tokens = 0;
        while trainer.state.step < steps && trainer.state.stale < options.patience {
            let step = trainer.state.step;
            let batch = self.examples.batch(step, options);
            let rate = options.learning_rate * rate(step, steps);
            let loss = trainer.step(&batch, rate, cancel)?;
            tokens += batch.iter().map(|example| example.ids.len()).sum::<usize>();
            let seconds = start.elapsed().as_secs_f64();
            told(AlignEvent::Step { step: step + 1, steps, loss, tokens, seconds });
            if (step + 1).is_multiple_of(every) || step + 1 == steps {
                let loss = trainer.measure(&self.examples.held, cancel)?;
                self.checkpoint.save(&trainer.state)?;
                told(AlignEvent::Measured { step: step + 1, loss, best: trainer.state.best_loss });
            }
        }
        let origin = self.finish(&trainer.state)?;
        Ok(AlignReport {
            path: self.files.out.to_owned(),
            origin,
            cut: self.examples.cut,
            steps: trainer.state.step,
            tokens,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// The trainer at the beginning, or where an earlier run was stopped.
    fn trainer(&self, cancel: &Cancel) -> Result<Trainer<'_>, AlignError> {
        let AlignOptions { rank, alpha, seed, .. } = *self.options;
        let drawn = Parameters::draw(self.network.config(), rank, seed);
        let changes =
            |parameters: &Parameters| Changes::upload(parameters, alpha / rank as f64, self.network.device());
        if let Some(state) = self.checkpoint.load(&drawn)? {
            let changes = changes(&state.parameters)?;
            return Ok(Trainer { network: &self.network, changes, state });
        }
        let changes = changes(&drawn)?;
        let before = held_loss(&self.network, &changes, &self.examples.held, cancel)?;
        if !before.is_finite() {
            return Err(AlignError::Diverged { step: 0, loss: before });
        }
        let state = State {
            step: 0,
            adam: Adam::new(drawn.values.len()),
            best: drawn.values.clone(),
            best_step: 0,
            best_loss: before,
            before,
            stale: 0,
            parameters: drawn,
        };
        Ok(Trainer { network: &self.network, changes, state })
    }

    /// Writes the adapter and forgets the checkpoint.
    fn finish(&self, state: &State) -> Result<AdapterOrigin, AlignError> {
        if state.best_step == 0 {
            self.checkpoint.remove()?;
            return Err(AlignError::NoGain { before: state.before });
        }
        let origin = AdapterOrigin {
            base_model: self.files.name.to_owned(),
            base_sha256: self.base_sha256.clone(),
            rank: self.options.rank,
            alpha: self.options.alpha,
            seed: self.options.seed,
            pairs_sha256: self.pairs_sha256.clone(),
            pairs: self.examples.learned.len(),
            held_pairs: self.examples.held.len(),
            steps: state.best_step,
            held_loss_before: state.before,
            held_loss_after: state.best_loss,
        };
        let best = state.parameters.with(state.best.clone()).unwrap_or_else(|| state.parameters.clone());
        adapter::write(self.files.out, &best.tensors(), &origin.metadata())?;
        self.checkpoint.remove()?;
        Ok(origin)
    }
}

/// Reads a model for training.
pub(super) fn load(path: &Path, options: &AlignOptions) -> Result<Loaded<Network>, AlignError> {
    let failed = |source: LoadError| AlignError::Model { path: path.to_owned(), source: Box::new(source) };
    let summary = GgufSummary::read(path).map_err(|error| failed(error.into()))?;
    if !SUPPORTED.contains(&&*summary.architecture) {
        let (found, supported) = (summary.architecture, SUPPORTED.join(", "));
        return Err(AlignError::Architecture { path: path.to_owned(), found, supported });
    }
    let longest = MAX_LENGTH.min(summary.context as usize);
    if !(16..=longest).contains(&options.length) {
        let expected = format!("16 to {longest}, for the model's context is {}", summary.context);
        return Err(AlignError::Option { option: "length", value: options.length.to_string(), expected });
    }
    let device = device::open(options.device).map_err(|error| failed(error.into()))?;
    let device = device.unwrap_or(candle_core::Device::Cpu);
    read(path.into(), options.length, |config, words, layers| {
        Network::upload(config, &words, layers, (&device, options.length))
    })
    .map_err(failed)
}

/// Everything that the bytes of an adapter depend on.
fn settings(options: &AlignOptions, base_sha256: &str, pairs_sha256: &str) -> Map<String, Value> {
    let AlignOptions { rank, alpha, learning_rate, epochs, batch, length, cut, held, .. } = options;
    let AlignOptions { measure_every, patience, seed, device, .. } = options;
    let settings = json!({
        "revision": REVISION, "model": base_sha256, "pairs": pairs_sha256, "rank": rank, "alpha": alpha,
        "learning-rate": learning_rate, "epochs": epochs, "batch": batch, "length": length, "cut": cut,
        "held": held, "measure-every": measure_every, "patience": patience, "seed": seed,
        "device": device.name(),
    });
    if let Value::Object(settings) = settings { settings } else { Map::new() }
}

/// The share of the learning rate for a step, counted from 0.
fn rate(step: usize, steps: usize) -> f64 {
    let rising = (step + 1) as f64 / steps.div_ceil(WARM_UP) as f64;
    rising.min(1.0) * (steps - step) as f64 / steps as f64
}

/// The mean negative log-likelihood of the tokens of all answers.
fn held_loss(
    network: &Network,
    changes: &Changes,
    held: &[Example],
    cancel: &Cancel,
) -> Result<f64, AlignError> {
    let (mut sum, mut tokens) = (0.0, 0);
    for example in held {
        cancel.check()?;
        let nll: Vec<f32> = network.nll(example, changes, Purpose::Measuring)?.to_vec1()?;
        sum += nll.iter().map(|&nll| f64::from(nll)).sum::<f64>();
        tokens += nll.len();
    }
    Ok(sum / tokens as f64)
}

/// A model in training.
struct Trainer<'a> {
    network: &'a Network,
    changes: Changes,
    state: State,
}

impl Trainer<'_> {
    /// Takes a step, and returns the loss before it.
    fn step(&mut self, batch: &[&Example], rate: f64, cancel: &Cancel) -> Result<f64, AlignError> {
        let targets: usize = batch.iter().map(|example| example.targets()).sum();
        let mut gradients = vec![0.0; self.state.parameters.values.len()];
        let mut loss = 0.0;
        for example in batch {
            cancel.check()?;
            let nll = self.network.nll(example, &self.changes, Purpose::Training)?;
            let mean = (nll.sum_all()? / targets as f64)?;
            loss += f64::from(mean.to_scalar::<f32>()?);
            add_gradients(&self.changes, &mean, &mut gradients)?;
        }
        let length = gradients.iter().map(|&gradient| f64::from(gradient).powi(2)).sum::<f64>().sqrt();
        let step = self.state.step + 1;
        if !loss.is_finite() || !length.is_finite() {
            return Err(AlignError::Diverged { step, loss });
        }
        let factor = (LONGEST_GRADIENT / length).min(1.0) as f32;
        for gradient in &mut gradients {
            *gradient *= factor;
        }
        let State { adam, parameters, .. } = &mut self.state;
        adam.step(&mut parameters.values, &gradients, (step, rate));
        self.changes.set(parameters)?;
        self.state.step = step;
        Ok(loss)
    }

    /// Measures the held loss, and remembers the parameters if it is the smallest.
    fn measure(&mut self, held: &[Example], cancel: &Cancel) -> Result<f64, AlignError> {
        let loss = held_loss(self.network, &self.changes, held, cancel)?;
        let state = &mut self.state;
        if !loss.is_finite() {
            return Err(AlignError::Diverged { step: state.step, loss });
        }
        if loss < state.best_loss {
            (state.best_loss, state.best_step, state.stale) = (loss, state.step, 0);
            state.best.clone_from(&state.parameters.values);
        } else {
            state.stale += 1;
        }
        Ok(loss)
    }
}

/// Adds the gradients of `loss`, in the order of [`Parameters`].
pub(super) fn add_gradients(
    changes: &Changes,
    loss: &candle_core::Tensor,
    sums: &mut [f32],
) -> Result<(), AlignError> {
    let found = loss.backward()?;
    let mut at = 0;
    for var in changes.all.iter().flat_map(|change| [&change.a, &change.b]) {
        let own = &mut sums[at..at + var.elem_count()];
        at += own.len();
        if let Some(gradient) = found.get(var) {
            let gradient: Vec<f32> = gradient.flatten_all()?.to_vec1()?;
            own.iter_mut().zip(gradient).for_each(|(sum, gradient)| *sum += gradient);
        }
    }
    Ok(())
}
