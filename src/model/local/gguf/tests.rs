mod reference;
mod writer;

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use candle_core::quantized::GgmlDType;
use tempfile::NamedTempFile;

use super::super::causal::{CausalModel, KvCache, Sequence};
use super::super::error::LoadError;
use super::super::generate::Prefill;
use super::super::linear::Backend;
use super::super::load::{Loaded, load, load_for, load_tensors};
use super::super::tokenizer::GgufTokenizer;
use super::encoding::Encoding;
use super::{GgufError, GgufFile};
use crate::kernels::Isa;
use crate::model::{Cancel, Device, Precision, ScoreError};
use writer::{Gguf, Random, Tensor, VOCABULARY, Value, WIDTH, tiny_llama};

fn on_disk(bytes: &[u8]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn overwrite(file: &NamedTempFile, at: usize, bytes: &[u8]) {
    let mut file = file.as_file();
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(bytes).unwrap();
}

fn open(file: &Gguf) -> Result<GgufFile, GgufError> {
    GgufFile::open(on_disk(&file.write().0).path())
}

type Model = (Arc<dyn CausalModel>, GgufTokenizer);

fn loaded(file: &Gguf, precision: Precision) -> Result<Model, LoadError> {
    let loaded = load(on_disk(&file.write().0).path(), Device::Cpu, precision, 0);
    loaded.map(|Loaded { llama, tokenizer, .. }| (llama, tokenizer))
}

/// The model in every way in which it is computed, and how far its scores may be from the definition.
fn in_every_way(file: &Gguf) -> Vec<(Model, f64)> {
    let tensors = load_tensors(on_disk(&file.write().0).path(), &candle_core::Device::Cpu, 0).unwrap();
    vec![
        (loaded(file, Precision::F32).unwrap(), 1e-4),
        (loaded(file, Precision::Int8).unwrap(), 0.3),
        ((tensors.llama, tensors.tokenizer), 1e-4),
    ]
}

fn sequence(ids: &[u32]) -> Sequence<'_> {
    Sequence { ids, past: None, scored_from: 0, kept: 0 }
}

/// The fault of a tiny Llama after a change.
fn fault(change: impl FnOnce(&mut Gguf)) -> LoadError {
    let mut file = tiny_llama();
    change(&mut file);
    loaded(&file, Precision::F32).err().expect("the change makes the file unusable")
}

/// Returns the fault of the file after a change, as [`fault`] does for loading.
fn file_fault(change: impl FnOnce(&mut Gguf)) -> GgufError {
    match fault(change) {
        LoadError::Gguf(error) => error,
        other => panic!("{other}"),
    }
}

fn nll(llama: &Arc<dyn CausalModel>, ids: &[u32]) -> Vec<f32> {
    llama.forward(&[sequence(ids)], &Cancel::never()).unwrap().remove(0).nll
}

#[test]
fn a_tiny_llama_scores_as_by_definition() {
    let mut file = tiny_llama();
    for version in [2, 3] {
        file.version = version;
        for ((llama, tokenizer), tolerance) in in_every_way(&file) {
            let ids: Vec<u32> = tokenizer.encode("cab! abab 12 ½").iter().map(|token| token.id).collect();
            assert!(ids.contains(&256), "the merge of a and b is applied");
            let expected = reference::nll(&file, &ids);
            for (score, expected) in nll(&llama, &ids).into_iter().zip(expected) {
                assert!((f64::from(score) - expected).abs() < tolerance, "{tolerance}: {score} {expected}");
            }
        }
    }
}

#[test]
fn a_step_gives_what_the_whole_pass_gives() {
    let file = tiny_llama();
    for ((llama, tokenizer), tolerance) in in_every_way(&file) {
        let ids: Vec<u32> = tokenizer.encode("cab! abab 12 ½").iter().map(|token| token.id).collect();
        let expected = reference::nll(&file, &ids);
        // The first of them together or two at a time, the others one by one.
        let (known, rest) = ids.split_at(5);
        for at_once in [5, 2] {
            let mut prefill = Prefill::new(known.to_vec(), at_once, &*llama);
            let mut turns = 0;
            while prefill.advance(&*llama, &Cancel::never()).unwrap() {
                turns += 1;
            }
            assert_eq!((turns, prefill.cache.len()), (known.len().div_ceil(at_once), known.len()));
            let mut logits = Vec::new();
            for (pair, expected) in rest.windows(2).zip(&expected[known.len()..]) {
                llama.step(pair[0], &mut prefill.cache, &mut logits).unwrap();
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                let score = sum.ln() - f64::from(logits[pair[1] as usize]);
                assert!((score - expected).abs() < tolerance, "{tolerance} {at_once}: {score} {expected}");
            }
            assert_eq!((prefill.cache.len(), logits.len()), (ids.len() - 1, VOCABULARY));
            assert!(!prefill.advance(&*llama, &Cancel::never()).unwrap(), "nothing of the prompt is left");
        }
    }
}

#[test]
fn sequences_run_together_and_behind_what_was_kept_as_alone() {
    let file = tiny_llama();
    for ((llama, _), tolerance) in in_every_way(&file) {
        let [long, short]: [Vec<u32>; 2] = [(1..14).collect(), vec![40, 3, 99, 7]];
        let alone = [&long, &short].map(|ids| nll(&llama, ids));
        let first = Sequence { kept: 6, ..sequence(&long) };
        let both = llama.forward(&[first, sequence(&short)], &Cancel::never()).unwrap();
        let behind = Sequence { past: Some(&both[0].kept), ..sequence(&long[6..]) };
        let again = llama.forward(&[sequence(&short), behind], &Cancel::never()).unwrap();
        let near = |a: &[f32], b: &[f32]| {
            let tolerance = tolerance as f32;
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance)
        };
        assert!(near(&both[0].nll, &alone[0]) && near(&both[1].nll, &alone[1]), "{tolerance}");
        assert!(near(&again[0].nll, &alone[1]) && near(&again[1].nll, &alone[0][6..]), "{tolerance}");
        assert!(both[1].kept.len() == 0 && both[0].kept.len() == 6);
    }
}

#[test]
fn every_instruction_set_gives_the_same_within_rounding() {
    let file = tiny_llama();
    let ids: Vec<u32> = (1..15).collect();
    for (precision, tolerance) in [(Precision::F32, 1e-4), (Precision::Int8, 0.02)] {
        let scores = Isa::available().into_iter().map(|isa| {
            let path = on_disk(&file.write().0);
            let loaded = load_for(path.path(), precision, Backend::on(isa), 0).unwrap();
            (isa, nll(&loaded.llama, &ids))
        });
        let scores: Vec<_> = scores.collect();
        for (isa, other) in &scores[1..] {
            let largest = scores[0].1.iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < tolerance, "{precision:?} on {isa:?}: {largest}");
        }
    }
}

/// The tiny models that `tests/parity/families.py` makes, whose scores other implementations gave.
const FAMILIES: [&str; 32] = [
    "linear",
    "yarn",
    "llama3",
    "phi3",
    "longrope_long",
    "qwen2",
    "qwen3",
    "smollm3",
    "olmo2",
    "gemma",
    "gemma2",
    "gemma3",
    "stablelm",
    "stablelm_parallel",
    "starcoder2",
    "phi2",
    "nemotron",
    "command_r",
    "cohere2",
    "mixtral",
    "qwen2moe",
    "qwen3moe",
    "olmoe",
    "granitemoe",
    "bloom",
    "mpt",
    "falcon",
    "falcon_norms",
    "gptneox",
    "gptneox_sequential",
    "bitnet",
    "gpt_oss",
];

#[test]
fn every_family_gives_the_same_by_tensors_and_step_by_step() {
    let ids: Vec<u32> = (0..60).map(|i| 20 + i * 37 % 300).collect();
    for name in FAMILIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families");
        let path = folder.join(format!("{name}.gguf"));
        let own = load(&path, Device::Cpu, Precision::F32, ids.len()).unwrap().llama;
        let tensors = load_tensors(&path, &candle_core::Device::Cpu, ids.len()).unwrap().llama;
        let expected = nll(&own, &ids);
        let largest =
            nll(&tensors, &ids).iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(largest < 1e-3, "{name} by tensors: {largest}");
        for llama in [own, tensors] {
            let (mut cache, mut logits) = (KvCache::new(llama.config()), Vec::new());
            for (pair, expected) in ids.windows(2).zip(&expected) {
                llama.step(pair[0], &mut cache, &mut logits).unwrap();
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
                let score = sum.ln() - f64::from(logits[pair[1] as usize]);
                assert!((score - f64::from(*expected)).abs() < 1e-3, "{name}: {score} {expected}");
            }
        }
    }
}

#[test]
fn factors_that_divide_by_nothing_are_refused() {
    let factors = |value: f32| {
        let mut file = tiny_llama();
        let mut factors = file.tensor("output_norm.weight").clone();
        factors.name = "rope_freqs.weight".to_owned();
        factors.shape = vec![16];
        factors.data = value.to_le_bytes().repeat(16);
        file.tensors.push(factors);
        loaded(&file, Precision::F32)
    };
    assert!(factors(2.0).is_ok());
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = factors(value).err().unwrap();
        assert!(
            matches!(&error, LoadError::Configuration(what) if what.contains("rope_freqs.weight")),
            "{error}"
        );
    }
}

#[test]
fn what_was_left_stops_between_layers() {
    for ((llama, _), _) in in_every_way(&tiny_llama()) {
        let stopped = Cancel::never();
        stopped.cancel();
        let outcome = llama.forward(&[sequence(&[1, 2, 3])], &stopped);
        assert!(matches!(outcome, Err(ScoreError::Stopped(_))));
    }
}

#[test]
fn a_head_of_its_own_is_used() {
    let mut file = tiny_llama();
    let ids = [1, 5, 9, 200];
    let tied = nll(&loaded(&file, Precision::F32).unwrap().0, &ids);
    let mut head = file.tensor("token_embd.weight").clone();
    head.name = "output.weight".to_owned();
    file.tensors.push(head);
    assert_eq!(nll(&loaded(&file, Precision::F32).unwrap().0, &ids), tied);
    file.tensor("output.weight").data.fill(0);
    for score in nll(&loaded(&file, Precision::F32).unwrap().0, &ids) {
        assert!((score - (VOCABULARY as f32).ln()).abs() < 1e-5, "all words are equally likely");
    }
}

#[test]
fn other_files_and_versions_are_named() {
    for bytes in [&b""[..], b"GG", b"PK\x03\x04 a zip archive, perhaps"] {
        let error = GgufFile::open(on_disk(bytes).path()).err().unwrap();
        assert!(matches!(&error, GgufError::NotGguf { found } if bytes.starts_with(found)), "{error}");
    }
    for version in [0, 1, 4, 3_u32.swap_bytes()] {
        let error = file_fault(|file| file.version = version);
        assert!(matches!(error, GgufError::Version(found) if found == version), "{error}");
    }
    let nowhere = tempfile::tempdir().unwrap().path().join("none.gguf");
    assert!(matches!(GgufFile::open(&nowhere), Err(GgufError::Io(_))));
}

#[test]
fn messages_name_the_cause_and_the_remedy() {
    let architecture = fault(|file| file.set("general.architecture", Value::Text("rwkv6".to_owned())));
    assert_eq!(
        architecture.to_string(),
        "architecture `rwkv6` is not supported: choose a model of architecture llama or qwen2 or qwen3 or qwen2moe \
         or qwen3moe or gpt-oss or phi3 or gemma or gemma2 or gemma3 or granite or granitemoe or smollm3 or olmo2 or olmoe or \
         stablelm or starcoder2 or phi2 or falcon or gptneox or bloom or mpt or bitnet or nemotron or \
         command-r or cohere2"
    );
    let text = |error: LoadError| error.to_string();
    let damaged = text(fault(|file| file.tensor("output_norm.weight").offset = Some(1 << 40)));
    assert!(damaged.contains("tensor output_norm.weight") && damaged.contains("`whittle models pull`"));
    let wrong = text(fault(|file| file.set("llama.block_count", Value::F32(2.0))));
    assert!(wrong.starts_with("key llama.block_count holds a float instead of a whole number"), "{wrong}");
    let other = text(fault(|file| file.set("tokenizer.ggml.merges", Value::U32(1))));
    assert!(
        other.starts_with("key tokenizer.ggml.merges holds a whole number instead of an array"),
        "{other}"
    );
}

#[test]
fn every_key_and_tensor_that_is_needed_is_missed() {
    let whole = tiny_llama();
    let optional = ["llama.attention.head_count_kv", "llama.rope.freq_base", "tokenizer.ggml.bos_token_id"];
    for (key, _) in whole.keys.iter().filter(|(key, _)| !optional.contains(&key.as_str())) {
        let error = file_fault(|file| file.keys.retain(|(name, _)| name != key));
        assert!(matches!(&error, GgufError::MissingKey(name) if name == key), "{error}");
    }
    for Tensor { name, shape, .. } in &whole.tensors {
        let error = file_fault(|file| file.tensors.retain(|tensor| tensor.name != *name));
        assert!(matches!(&error, GgufError::MissingTensor(tensor) if tensor == name), "{error}");
        // The rows of the embeddings are compared with the tokenizer before.
        let change = shape.len() - 1;
        let error = file_fault(|file| {
            let tensor = file.tensor(name);
            tensor.shape[change] /= 2;
            tensor.data.truncate(tensor.data.len() / 2);
        });
        let expected: Vec<usize> = shape.iter().map(|&n| n as usize).collect();
        assert!(
            matches!(&error, GgufError::WrongShape { tensor, expected: e, .. } if tensor == name && *e == expected),
            "{error}"
        );
    }
}

#[test]
fn tensors_that_would_be_ignored_are_refused() {
    let sinks = |file: &mut Gguf| {
        let mut sinks = file.tensor("blk.0.attn_norm.weight").clone();
        sinks.name = "blk.0.attn_gate.weight".to_owned();
        file.tensors.push(sinks);
    };
    for error in [fault(sinks), fault(|file| file.set("llama.block_count", Value::U32(1)))] {
        assert!(matches!(&error, LoadError::Configuration(what) if what.contains("ignore")), "{error}");
    }
}

#[test]
fn lying_places_of_tensors_are_refused() {
    let at =
        |name: &'static str, offset: u64| file_fault(move |file| file.tensor(name).offset = Some(offset));
    for offset in [1 << 20, u64::MAX, u64::MAX - 31, 1 << 63] {
        let error = at("output_norm.weight", offset);
        assert!(
            matches!(&error, GgufError::TensorOutside { tensor, .. } if tensor == "output_norm.weight"),
            "{error}"
        );
    }
    for (offset, says) in [(0, "overlaps tensor"), (1, "does not divide")] {
        let error = at("blk.1.ffn_up.weight", offset);
        assert!(matches!(&error, GgufError::Malformed { what, .. } if what.contains(says)), "{error}");
    }
    let cut = file_fault(|file| file.tensors.last_mut().unwrap().data.truncate(4));
    assert!(matches!(cut, GgufError::TensorOutside { .. }), "{cut}");
}

#[test]
fn impossible_headers_are_refused() {
    let array = |kind: u32, length: u64| {
        Value::Raw(9, [&kind.to_le_bytes()[..], &length.to_le_bytes(), &[0; 64]].concat())
    };
    let key = |name: &str, value: Value| {
        let name = name.to_owned();
        file_fault(move |file| file.keys.insert(0, (name, value)))
    };
    let faults = [
        key("x", array(9, 1)),
        key("x", array(0, u64::MAX)),
        key("x", array(8, (4 << 20) + 1)),
        key("x", array(77, 1)),
        key("x", Value::Raw(13, vec![0; 8])),
        key("x", Value::Raw(7, vec![2])),
        key("general.alignment", Value::U32(0)),
        key("general.alignment", Value::U32(24)),
        key("general.alignment", Value::Raw(0, vec![0])),
        key("general.alignment\0", Value::U32(0)),
        key(&"x".repeat(1 << 16), Value::U32(0)),
        key("llama.block_count", Value::U32(2)),
        file_fault(|file| file.tensor("output_norm.weight").shape = vec![1 << 32, 1 << 32]),
        file_fault(|file| file.tensor("output_norm.weight").shape = vec![0]),
        file_fault(|file| file.tensor("output_norm.weight").shape = vec![]),
        file_fault(|file| file.tensor("output_norm.weight").shape = vec![2; 5]),
        file_fault(|file| file.tensors.push(file.tensors[0].clone())),
    ];
    for (i, error) in faults.iter().enumerate() {
        assert!(matches!(error, GgufError::Malformed { .. }), "{i}: {error}");
    }
    let error = key("x", Value::Raw(8, u64::MAX.to_le_bytes().to_vec()));
    assert!(matches!(&error, GgufError::Truncated { part, .. } if part == "the value of x"), "{error}");
    let error = file_fault(|file| file.tensor("output_norm.weight").code = 4);
    assert!(matches!(error, GgufError::Encoding { code: 4, .. }), "{error}");
}

#[test]
fn configurations_that_lie_are_refused() {
    let lies = [
        ("llama.block_count", Value::U32(0)),
        ("llama.block_count", Value::U32(u32::MAX)),
        ("llama.context_length", Value::U32(0)),
        ("llama.context_length", Value::U32(15)),
        ("llama.context_length", Value::U32((1 << 20) + 1)),
        ("llama.embedding_length", Value::U32(0)),
        ("llama.embedding_length", Value::U32(33)),
        ("llama.embedding_length", Value::U32(u32::MAX)),
        ("llama.feed_forward_length", Value::U32(0)),
        ("llama.feed_forward_length", Value::U32(u32::MAX)),
        ("llama.attention.head_count", Value::U32(0)),
        ("llama.attention.head_count", Value::U32(3)),
        ("llama.attention.head_count", Value::U32(1 << 31)),
        ("llama.attention.head_count_kv", Value::U32(0)),
        ("llama.attention.head_count_kv", Value::U32(4)),
        ("llama.attention.key_length", Value::U32(8)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(f32::NAN)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(-1.0)),
        ("llama.rope.freq_base", Value::F32(f32::INFINITY)),
        ("llama.rope.freq_base", Value::F32(0.0)),
        ("llama.rope.dimension_count", Value::U32(7)),
        ("llama.rope.dimension_count", Value::U32(34)),
        ("llama.rope.dimension_count", Value::U32(0)),
        ("llama.expert_count", Value::U32(1 << 20)),
        ("llama.rope.scaling.attn_factor", Value::F32(f32::NAN)),
        ("llama.rope.scaling.type", Value::Text("dynamic".to_owned())),
        ("llama.attention.sliding_window", Value::U32(u32::MAX)),
        ("llama.attention.scale", Value::F32(f32::NAN)),
        ("llama.residual_scale", Value::F32(-1.0)),
        ("llama.logit_scale", Value::F32(f32::INFINITY)),
        ("llama.attn_logit_softcapping", Value::F32(1e-30)),
        ("llama.vocab_size", Value::U32(VOCABULARY as u32 + 1)),
        ("tokenizer.ggml.bos_token_id", Value::U32(VOCABULARY as u32)),
        ("tokenizer.ggml.eos_token_id", Value::U32(u32::MAX)),
        ("tokenizer.ggml.tokens", Value::Texts(vec!["a".to_owned(), "b".to_owned(), "ab".to_owned()])),
    ];
    for (key, value) in lies {
        let error = fault(|file| file.set(key, value));
        assert!(matches!(error, LoadError::Configuration(_)), "{key}: {error}");
    }
}

#[test]
fn mixtures_that_lie_or_route_otherwise_are_refused() {
    let refused = |key: &str, value: Value| {
        fault(|file| {
            for (key, value) in [("expert_count", 4), ("expert_used_count", 2)] {
                file.set(&format!("llama.{key}"), Value::U32(value));
            }
            file.set(key, value);
        })
    };
    let lies = [
        ("llama.expert_used_count", Value::U32(5)),
        ("llama.expert_used_count", Value::U32(0)),
        ("llama.expert_gating_func", Value::U32(2)),
        ("llama.expert_group_count", Value::U32(2)),
        ("llama.expert_weights_scale", Value::F32(f32::NAN)),
        ("llama.expert_feed_forward_length", Value::U32(u32::MAX)),
        ("llama.expert_shared_feed_forward_length", Value::U32(u32::MAX)),
        ("llama.attention.clamp_kqv", Value::F32(8.0)),
    ];
    for (key, value) in lies {
        let error = refused(key, value);
        assert!(matches!(&error, LoadError::Configuration(what) if what.contains(key)), "{key}: {error}");
    }
    let error = refused("llama.expert_weights_norm", Value::U32(1));
    assert!(matches!(error, LoadError::Gguf(GgufError::WrongType { .. })), "{error}");
    // All sizes are sound, but no tensor is there.
    let error = refused("llama.expert_gating_func", Value::U32(1));
    assert!(
        matches!(&error, LoadError::Gguf(GgufError::MissingTensor(name)) if name == "blk.0.ffn_gate_inp.weight"),
        "{error}"
    );
}

#[test]
fn values_at_the_limits_are_accepted() {
    let sound = [
        ("llama.context_length", Value::U32(16)),
        ("llama.context_length", Value::Raw(10, 64_u64.to_le_bytes().to_vec())),
        ("llama.rope.scaling.type", Value::Text("none".to_owned())),
        ("llama.rope.scaling.type", Value::Text("linear".to_owned())),
        ("llama.attention.sliding_window", Value::U32(1)),
        ("general.alignment", Value::U32(32)),
        ("x", Value::Raw(9, [&12_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &[0; 16]].concat())),
    ];
    for (key, value) in sound {
        let mut file = tiny_llama();
        file.set(key, value);
        assert!(loaded(&file, Precision::F32).is_ok(), "{key}");
    }
}

#[test]
fn raw_tensors_are_as_stored() {
    let block: Vec<u8> =
        [&half::f16::from_f32(0.5).to_le_bytes()[..], &[2; 31], &[0xFD]].concat().repeat(WIDTH / 32);
    let mut file = tiny_llama();
    let tensor = file.tensor("output_norm.weight");
    (tensor.code, tensor.data) = (8, block.clone());
    let mut open = open(&file).unwrap();
    let (encoding, bytes) = open.raw_tensor("output_norm.weight", &[WIDTH]).unwrap();
    assert_eq!((encoding, bytes), (Encoding::Candle(GgmlDType::Q8_0), block));
    let expected: Vec<f32> = (0..WIDTH).map(|i| if i % 32 == 31 { -1.5 } else { 1.0 }).collect();
    assert_eq!(open.tensor("output_norm.weight", &[WIDTH]).unwrap(), expected);
    assert!(!open.unread().contains(&"output_norm.weight"));
    assert!(matches!(open.tensor("output_norm.weight", &[WIDTH, 1]), Err(GgufError::WrongShape { .. })));
    // Rows of 32 values cannot be blocks of 256.
    let error = file_fault(|file| file.tensor("output_norm.weight").code = 12);
    assert!(matches!(error, GgufError::Malformed { .. }), "{error}");
}

/// Blocks of random bytes in every encoding, and the values that the Python package `gguf` reads from them:
/// `tests/parity/encodings.py` writes the file.
#[test]
fn every_encoding_means_what_its_definition_says() {
    const ENCODINGS: [&str; 17] = [
        "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
        "IQ4_NL", "IQ4_XS", "TQ1_0", "TQ2_0", "MXFP4",
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encodings.gguf");
    let mut file = GgufFile::open(&path).unwrap();
    for name in ENCODINGS {
        let values = file.tensor(name, &[2, 512]).unwrap();
        let expected = file.tensor(&format!("{name}.values"), &[2, 512]).unwrap();
        // The order of the products in a value is not the same everywhere.
        let wrong = values.iter().zip(&expected).find(|(a, b)| (*a - *b).abs() > 1e-6 * b.abs().max(1e-3));
        assert_eq!(wrong, None, "{name}");
    }
    assert!(file.unread().is_empty());
}

#[test]
fn truncated_files_are_refused_wherever_they_end() {
    let (bytes, header) = tiny_llama().write();
    let file = on_disk(&bytes);
    let ends = (0..header).step_by(7).chain((header..bytes.len()).step_by(997)).chain([bytes.len() - 1]);
    let mut ends: Vec<usize> = ends.collect();
    ends.sort_unstable();
    for end in ends.into_iter().rev() {
        file.as_file().set_len(end as u64).unwrap();
        let error = load(file.path(), Device::Cpu, Precision::F32, 0).err().expect("the end is missing");
        let expected = match error {
            LoadError::Gguf(GgufError::NotGguf { .. }) => end < 4,
            LoadError::Gguf(GgufError::Truncated { .. }) => (4..=header).contains(&end),
            LoadError::Gguf(GgufError::TensorOutside { .. }) => end >= header,
            _ => false,
        };
        assert!(expected, "{end} of {header}: {error}");
    }
}

/// Most bytes that loading a file of a tenth of a megabyte may hold at once: the reader's buffer, and a table of
/// rotations where a mutation made the context as long as is allowed.
const MOST_BYTES: u64 = 96 << 20;

#[test]
fn mutated_headers_are_loaded_or_refused_in_small_memory() {
    let (bytes, header) = tiny_llama().write();
    let file = on_disk(&bytes);
    let mut random = Random(42);
    let mut accepted = 0;
    for number in 0..2000 {
        let at = random.below(header);
        let mut patch = bytes[at..at + 8].to_vec();
        match random.below(4) {
            0 => patch[0] ^= 1 << random.below(8),
            1 => patch[0] = random.below(256) as u8,
            2 => patch = [u64::MAX, 1 << 40, 1 << 31, 1 << 20][random.below(4)].to_le_bytes().to_vec(),
            _ => patch[..4].copy_from_slice(&(random.below(1 << 31) as u32).to_le_bytes()),
        }
        overwrite(&file, at, &patch);
        let mut outcome = None;
        let used =
            allocation_counter::measure(|| outcome = Some(load(file.path(), Device::Cpu, Precision::F32, 0)));
        assert!(used.bytes_max < MOST_BYTES, "mutation {number} at {at} takes {} bytes", used.bytes_max);
        if let Some(Ok(Loaded { llama, tokenizer, .. })) = outcome {
            accepted += 1;
            let ids: Vec<u32> = tokenizer.encode("abc 12").iter().map(|token| token.id).collect();
            nll(&llama, &[&[0], &ids[..]].concat());
        }
        overwrite(&file, at, &bytes[at..at + 8]);
    }
    assert!((100..1900).contains(&accepted), "{accepted} of 2000 accepted");
}
