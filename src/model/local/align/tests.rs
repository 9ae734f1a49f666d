use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{Content, write as write_gguf};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device as CandleDevice, Tensor};
use tempfile::TempDir;

use super::network::{Changes, Example, Network, Purpose};
use super::parameters::Parameters;
use super::train::{add_gradients, load as load_network};
use super::*;
use crate::model::local::adapter::{self, Adapter, sha256_of};
use crate::model::local::causal::{CausalModel, Sequence};
use crate::model::local::load::{Loaded, WeightFiles, load, load_tensors};
use crate::model::local::{LocalScorer, ScorerOptions};
use crate::model::{Cancel, Precision, ScoreJob, TokenScorer};
use crate::random::Random;

const RANK: usize = 3;
const ALPHA: f64 = 6.0;

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/parity/families/{name}.gguf"))
}

fn small() -> AlignOptions {
    AlignOptions { rank: RANK, alpha: ALPHA, length: 48, threads: Some(2), ..AlignOptions::default() }
}

fn network(name: &str) -> Network {
    load_network(&model(name), &small()).unwrap().llama
}

fn example(tokens: u32) -> Example {
    Example { ids: (0..tokens).map(|i| 20 + i * 37 % 300).collect(), scored_from: 7 }
}

/// Parameters none of which is 0.
fn parameters(network: &Network, spread: f64) -> Parameters {
    let mut parameters = Parameters::draw(network.config(), RANK, 1);
    let mut random = Random::new(5);
    parameters.values.iter_mut().for_each(|value| *value = ((2.0 * random.unit() - 1.0) * spread) as f32);
    parameters
}

fn changes(parameters: &Parameters) -> Changes {
    Changes::upload(parameters, ALPHA / RANK as f64, &CandleDevice::Cpu).unwrap()
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn own_nll(llama: &dyn CausalModel, example: &Example) -> Vec<f32> {
    let sequence = Sequence { ids: &example.ids, past: None, scored_from: example.scored_from, kept: 0 };
    llama.forward_one(sequence, &Cancel::never()).unwrap().nll
}

#[test]
fn the_pass_for_training_gives_the_likelihoods_of_the_scorer() {
    for name in ["llama2", "llama3", "linear", "yarn", "mistral"] {
        let (network, example) = (network(name), example(45));
        let own = load(&model(name), crate::model::Device::Cpu, Precision::F32, 48).unwrap().llama;
        let expected = own_nll(&*own, &example);
        let unchanged = changes(&Parameters::draw(network.config(), RANK, 3));
        for purpose in [Purpose::Training, Purpose::Measuring] {
            let nll: Vec<f32> = network.nll(&example, &unchanged, purpose).unwrap().to_vec1().unwrap();
            let largest = largest(&nll, &expected);
            assert!(largest < 1e-4, "{name}, {purpose:?}: {largest}");
        }
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    for name in ["llama2", "mistral"] {
        let (network, example) = (network(name), example(24));
        let at = parameters(&network, 0.05);
        let loss = |values: Vec<f32>| {
            let changes = changes(&at.with(values).unwrap());
            let nll = network.nll(&example, &changes, Purpose::Training).unwrap();
            (nll.mean_all().unwrap(), changes)
        };
        let (mean, changes) = loss(at.values.clone());
        let mut gradient = vec![0.0; at.values.len()];
        add_gradients(&changes, &mean, &mut gradient).unwrap();
        let mut first = 0;
        for (product, matrices) in at.products() {
            for matrix in matrices {
                let own = first..first + matrix.len();
                first = own.end;
                let length = gradient[own.clone()].iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                assert!(length > 1e-4, "{name}, {product:?}: nothing reaches it");
                // Along a gradient the loss rises by its length.
                let moved = |by: f64| {
                    let mut values = at.values.clone();
                    let along = values[own.clone()].iter_mut().zip(&gradient[own.clone()]);
                    along.for_each(|(value, g)| *value += (by * f64::from(*g) / length) as f32);
                    f64::from(loss(values).0.to_scalar::<f32>().unwrap())
                };
                let by = 0.02;
                let slope = (moved(by) - moved(-by)) / (2.0 * by);
                assert!(
                    (slope - length).abs() < 0.02 * length + 2e-4,
                    "{name}, {product:?}: {slope} {length}"
                );
            }
        }
        assert_eq!(first, at.values.len());
    }
}

/// Adds `B * A` to the tensors of a GGUF file by the definition, in double precision, and writes another file.
fn merged_by_hand(path: &Path, tensors: &adapter::Tensors, out: &Path) {
    let mut file = BufReader::new(File::open(path).unwrap());
    let content = Content::read(&mut file).unwrap();
    let heads = |key: &str| content.metadata[&format!("llama.attention.{key}")].to_u32().unwrap() as usize;
    let mut written = Vec::new();
    for name in content.tensor_infos.keys() {
        let tensor = content.tensor(&mut file, name, &CandleDevice::Cpu).unwrap();
        let tensor = tensor.dequantize(&CandleDevice::Cpu).unwrap();
        let place = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
        let (layer, part) = place.unwrap_or(("", ""));
        let product = match part {
            "attn_q.weight" => "self_attn.q_proj",
            "attn_k.weight" => "self_attn.k_proj",
            "attn_v.weight" => "self_attn.v_proj",
            "attn_output.weight" => "self_attn.o_proj",
            "ffn_gate.weight" => "mlp.gate_proj",
            "ffn_up.weight" => "mlp.up_proj",
            "ffn_down.weight" => "mlp.down_proj",
            _ => {
                written.push((name.clone(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
                continue;
            }
        };
        let change = |matrix| {
            &tensors[&format!("base_model.model.model.layers.{layer}.{product}.lora_{matrix}.weight")].1
        };
        let (a, b) = (change("A"), change("B"));
        let (outputs, inputs) = tensor.dims2().unwrap();
        let mut values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let head = match part {
            "attn_q.weight" => outputs / heads("head_count"),
            "attn_k.weight" => outputs / heads("head_count_kv"),
            _ => 0,
        };
        for row in 0..outputs {
            // A file has the halves of a head as neighbours; an adapter has one behind the other.
            let place = match (head, row.checked_rem(head)) {
                (_, None) => row,
                (head, Some(place)) if place < head / 2 => row - place + 2 * place,
                (head, Some(place)) => row - place + 2 * (place - head / 2) + 1,
            };
            for input in 0..inputs {
                let sum: f64 =
                    (0..RANK).map(|r| f64::from(b[row * RANK + r]) * f64::from(a[r * inputs + input])).sum();
                let value = &mut values[place * inputs + input];
                *value = (f64::from(*value) + ALPHA / RANK as f64 * sum) as f32;
            }
        }
        let tensor = Tensor::from_vec(values, (outputs, inputs), &CandleDevice::Cpu).unwrap();
        written.push((name.clone(), QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    }
    let metadata: Vec<_> = content.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let written: Vec<_> = written.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    write_gguf(&mut File::create(out).unwrap(), &metadata, &written).unwrap();
}

/// Writes an adapter of random changes for a model, and gives its path.
fn random_adapter(name: &str, folder: &Path) -> PathBuf {
    let path = folder.join(format!("{name}.safetensors"));
    let origin = AdapterOrigin {
        base_model: name.to_owned(),
        base_sha256: sha256_of(&model(name)).unwrap(),
        rank: RANK,
        alpha: ALPHA,
        seed: 0,
        pairs_sha256: "0".repeat(64),
        pairs: 1,
        held_pairs: 1,
        steps: 1,
        held_loss_before: 1.0,
        held_loss_after: 0.5,
    };
    adapter::write(&path, &parameters(&network(name), 0.2).tensors(), &origin.metadata()).unwrap();
    path
}

#[test]
fn scores_with_an_adapter_are_those_of_weights_merged_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["llama2", "llama3", "mistral"] {
        let (path, example) = (random_adapter(name, folder.path()), example(45));
        let adapter = Adapter::open(&path).unwrap();
        let merged = folder.path().join("merged.gguf");
        merged_by_hand(&model(name), &adapter::read(&path).unwrap().0, &merged);
        let plain = model(name);
        let in_every_way = |files: WeightFiles| {
            let cpu = crate::model::Device::Cpu;
            [
                load(files, cpu, Precision::F32, 48).unwrap(),
                load_tensors(files, &CandleDevice::Cpu, 48).unwrap(),
                load(files, cpu, Precision::Int8, 48).unwrap(),
            ]
            .map(|Loaded { llama, .. }| own_nll(&*llama, &example))
        };
        let aligned = in_every_way(WeightFiles::adapted(&plain, Some(&adapter)));
        let expected = in_every_way((&merged).into());
        let base = in_every_way((&plain).into());
        for (i, tolerance) in [(0, 1e-4), (1, 1e-4), (2, 0.05)] {
            let difference = largest(&aligned[i], &expected[i]);
            assert!(difference < tolerance, "{name}, {i}: {difference}");
            assert!(largest(&aligned[i], &base[i]) > 0.1, "{name}, {i}: the adapter changes nothing");
        }
        let network = network(name);
        let changes = changes(&parameters(&network, 0.2));
        let trained: Vec<f32> =
            network.nll(&example, &changes, Purpose::Measuring).unwrap().to_vec1().unwrap();
        assert!(largest(&trained, &expected[0]) < 1e-3, "{name}: the pass for training");
    }
}

/// Pairs of which there is something to learn, and the folder that they are in.
struct Task {
    folder: TempDir,
    pairs: PathBuf,
}

impl Task {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pairs = folder.path().join("pairs.jsonl");
        let line = |i: usize| {
            let who = ["the keeper", "a sailor", "her sister", "the cook"][i % 4];
            format!("{{\"prompt\": \"Who {i}?\", \"answer\": \"It was {who} again.\"}}\n")
        };
        std::fs::write(&pairs, (0..20).map(line).collect::<String>()).unwrap();
        Self { folder, pairs }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.safetensors"))
    }

    /// Runs it until so many steps are taken.
    fn run(&self, name: &str, options: &AlignOptions, steps: usize) -> Result<AlignReport, AlignError> {
        let (model, out, cancel) = (model("llama2"), self.out(name), Cancel::never());
        let files = AlignFiles { name: "tiny", model: &model, pairs: &self.pairs, out: &out };
        let mut told = |event| {
            if matches!(event, AlignEvent::Step { step, .. } if step == steps) {
                cancel.cancel();
            }
        };
        align(files, options, &mut told, &cancel)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.out(name)).unwrap()
    }
}

fn learning() -> AlignOptions {
    AlignOptions { learning_rate: 0.02, epochs: 4, batch: 4, ..small() }
}

#[test]
fn the_held_loss_falls_by_what_the_scorer_says_too() {
    let task = Task::new();
    let report = task.run("first", &learning(), usize::MAX).unwrap();
    let AdapterOrigin { held_loss_before: before, held_loss_after: after, pairs, held_pairs, .. } =
        report.origin;
    assert!(after < before - 1.0, "{before} {after}");
    assert_eq!((pairs, held_pairs, report.cut), (18, 2, 0));
    let nll = |adapter| {
        let options = ScorerOptions { adapter, precision: Precision::F32, ..ScorerOptions::default() };
        let scorer = LocalScorer::load("tiny", &model("llama2"), &options).unwrap();
        let ids = |text: &str| scorer.encode(text).iter().map(|token| token.id).collect::<Vec<_>>();
        let job = ScoreJob { prefix: ids("Who 91?\n\n").into(), ids: ids("It was a sailor again.") };
        let scores = scorer.score(&[job], &Cancel::never()).unwrap().remove(0);
        scores.iter().sum::<f32>() / scores.len() as f32
    };
    let (base, aligned) = (nll(None), nll(Some(task.out("first"))));
    assert!(aligned < base - 1.0, "{base} {aligned}");
}

#[test]
fn a_run_that_was_stopped_ends_in_the_same_bytes() {
    let task = Task::new();
    task.run("whole", &learning(), usize::MAX).unwrap();
    for steps in [1, 7] {
        let stopped = task.run("stopped", &learning(), steps).unwrap_err();
        assert!(matches!(stopped, AlignError::Stopped(_)), "{stopped}");
    }
    assert!(!task.out("stopped").exists());
    task.run("stopped", &learning(), usize::MAX).unwrap();
    assert!(task.bytes("whole") == task.bytes("stopped"));
    assert!(!task.out("stopped").with_extension("checkpoint.safetensors").exists());
    task.run("again", &learning(), usize::MAX).unwrap();
    assert!(task.bytes("whole") == task.bytes("again"));
    task.run("other", &AlignOptions { seed: 1, ..learning() }, usize::MAX).unwrap();
    assert!(task.bytes("whole") != task.bytes("other"));
}

#[test]
fn no_run_goes_on_with_another_ones_checkpoint_or_overwrites_an_adapter() {
    let task = Task::new();
    task.run("a", &learning(), 6).unwrap_err();
    let other = AlignOptions { rank: 2, seed: 9, ..learning() };
    let error = task.run("a", &other, usize::MAX).unwrap_err().to_string();
    assert!(error.contains("rank, seed") && error.contains("`--restart`"), "{error}");
    let checkpoint = task.out("a").with_extension("checkpoint.safetensors");
    let bytes = std::fs::read(&checkpoint).unwrap();
    std::fs::write(&checkpoint, &bytes[..bytes.len() - 9]).unwrap();
    assert!(matches!(task.run("a", &learning(), usize::MAX), Err(AlignError::Adapter(_))));
    task.run("a", &AlignOptions { restart: true, ..other.clone() }, usize::MAX).unwrap();
    let error = task.run("a", &other, usize::MAX).unwrap_err();
    assert!(matches!(error, AlignError::Exists { .. }), "{error}");
}

#[test]
fn a_run_without_a_gain_writes_nothing_and_says_so() {
    let task = Task::new();
    // Changes that are too small for any sum to notice.
    let error = task.run("a", &AlignOptions { learning_rate: 1e-30, ..learning() }, usize::MAX).unwrap_err();
    assert!(matches!(error, AlignError::NoGain { .. }), "{error}");
    assert!(!task.out("a").exists());
}

#[test]
fn what_cannot_be_aligned_is_refused_with_the_remedy() {
    let task = Task::new();
    let refused = |options: AlignOptions| task.run("a", &options, usize::MAX).unwrap_err().to_string();
    let long = refused(AlignOptions { length: 16, ..learning() });
    assert!(long.contains("line 1:") && long.contains("`--cut`"), "{long}");
    let cut = AlignOptions { length: 16, cut: true, epochs: 1, ..learning() };
    assert!(task.run("cut", &cut, usize::MAX).unwrap().cut > 0);
    for (options, said) in [
        (AlignOptions { length: 100_000, ..learning() }, "`--length` is 100000"),
        (AlignOptions { length: 8, ..learning() }, "`--length` is 8"),
        (AlignOptions { rank: 0, ..learning() }, "`--rank` is 0"),
        (AlignOptions { held: 1.0, ..learning() }, "`--held` is 1"),
        (AlignOptions { learning_rate: f64::NAN, ..learning() }, "`--learning-rate` is NaN"),
        (AlignOptions { measure_every: Some(0), ..learning() }, "`--measure-every` is 0"),
    ] {
        let error = refused(options);
        assert!(error.contains(said), "{error}");
    }
    for (name, said) in [("qwen2", "only those of llama"), ("none", "cannot read")] {
        let (model, out) = (model(name), task.out("a"));
        let files = AlignFiles { name, model: &model, pairs: &task.pairs, out: &out };
        let error = align(files, &learning(), &mut |_| (), &Cancel::never()).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}
