use std::path::Path;

use super::*;
use crate::model::local::causal::{NormWeights, ProjectionWeights};
use crate::model::local::error::LoadError;
use crate::model::local::family::FAMILIES;
use crate::model::local::{LocalScorer, ScorerOptions};

const RANK: usize = 2;

fn origin() -> AdapterOrigin {
    AdapterOrigin {
        base_model: "tiny".into(),
        base_sha256: "a".repeat(64),
        rank: RANK,
        alpha: 3.0,
        seed: 7,
        pairs_sha256: "b".repeat(64),
        pairs: 9,
        held_pairs: 1,
        steps: 5,
        held_loss_before: 3.25,
        held_loss_after: 3.0 + 1.0 / 7.0,
    }
}

/// The tensors of an adapter of the tiny model, whose values are their places.
fn tensors() -> Tensors {
    let mut tensors = Tensors::new();
    for part in Projection::ALL {
        let [outputs, inputs] = part.shape(&LlamaConfig::TINY);
        let names = part.tensors(0);
        for (name, shape) in names.into_iter().zip([[RANK, inputs], [outputs, RANK]]) {
            let values = (0..shape[0] * shape[1]).map(|i| (i % 97) as f32 / 97.0).collect();
            tensors.insert(name, (shape.to_vec(), values));
        }
    }
    tensors
}

/// Writes an adapter after changes of its tensors and metadata, and merges it into the tiny model.
fn merged(change: impl FnOnce(&mut Tensors, &mut Metadata)) -> Result<LayerWeights, AdapterError> {
    let (mut tensors, mut metadata) = (tensors(), origin().metadata());
    change(&mut tensors, &mut metadata);
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &tensors, &metadata)?;
    merge(file.path())
}

fn merge(path: &Path) -> Result<LayerWeights, AdapterError> {
    let (adapter, mut layer) = (Adapter::open(path)?, zeros());
    adapter.check_model(&LlamaConfig::TINY)?;
    adapter.merge(&LlamaConfig::TINY, 0, &mut layer)?;
    Ok(layer)
}

fn zeros() -> LayerWeights {
    let LlamaConfig { width, hidden, heads, .. } = LlamaConfig::TINY;
    let product = |outputs, inputs| ProjectionWeights { rows: vec![0.0; outputs * inputs], bias: Vec::new() };
    LayerWeights {
        attention_norm: NormWeights::default(),
        qkv: product(heads.row(), width),
        query_norm: Vec::new(),
        key_norm: Vec::new(),
        sinks: Vec::new(),
        heads_norm: NormWeights::default(),
        attention_out: product(width, heads.queries * heads.width),
        attention_out_norm: NormWeights::default(),
        feed_forward_norm: NormWeights::default(),
        gate_up: product(2 * hidden, width),
        hidden_norm: NormWeights::default(),
        down: product(width, hidden),
        experts: None,
        down_norm: NormWeights::default(),
    }
}

#[test]
fn changes_are_added_where_their_names_say() {
    let mut layer = merged(|tensors, _| {
        // A change of one product alone.
        for (name, (_, values)) in tensors {
            if !name.contains("up_proj") {
                values.fill(0.0);
            }
        }
    })
    .unwrap();
    for part in Projection::ALL {
        let rows = part.rows(&LlamaConfig::TINY, &mut layer);
        assert_eq!(rows.iter().any(|&weight| weight > 0.0), part == Projection::Up, "{part:?}");
    }
    let up = Projection::Up.rows(&LlamaConfig::TINY, &mut layer);
    let (a, b) = (
        |r: usize, i: usize| ((r * 64 + i) % 97) as f32 / 97.0,
        |o: usize, r: usize| ((o * RANK + r) % 97) as f32 / 97.0,
    );
    for (output, input) in [(0, 0), (5, 9), (63, 63)] {
        let expected: f32 = (0..RANK).map(|r| 1.5 * b(output, r) * a(r, input)).sum();
        assert!((up[output * 64 + input] - expected).abs() < 1e-6);
    }
}

#[test]
fn a_file_says_what_it_was_made_from_and_equal_ones_are_equal() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| folder.path().join("new").join(name));
    for path in &paths {
        write(path, &tensors(), &origin().metadata()).unwrap();
    }
    let [first, second] = [&paths[0], &paths[1]].map(|path| Adapter::open(path).unwrap());
    assert_eq!((first.origin(), first.sha256()), (&origin(), second.sha256()));
    assert_eq!(first.tensors, tensors());
    assert!(first.check_base(&"a".repeat(64)).is_ok());
    let other = first.check_base(&"c".repeat(64)).unwrap_err().to_string();
    assert!(other.contains("was made for tiny") && other.contains("`scorer.model`"), "{other}");
}

#[test]
fn a_fault_names_file_key_and_remedy() {
    const QUERY: &str = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight";
    type Change = fn(&mut Tensors, &mut Metadata);
    let changes: [(Change, &str); 11] = [
        (|tensors, _| drop(tensors.remove(QUERY)), QUERY),
        (|tensors, _| tensors.get_mut(QUERY).unwrap().0.reverse(), "[64, 2]"),
        (|tensors, _| tensors.get_mut(QUERY).unwrap().1[3] = f32::NAN, "NaN"),
        (|tensors, _| tensors.get_mut(QUERY).unwrap().1[3] = f32::INFINITY, "inf"),
        (|tensors, _| drop(tensors.insert("more".into(), (vec![1], vec![0.0]))), "a tensor more"),
        (|_, metadata| drop(metadata.remove("base_sha256")), "nothing for base_sha256"),
        (|_, metadata| drop(metadata.insert("rank".into(), "0".into())), "`0` for rank"),
        (|_, metadata| drop(metadata.insert("rank".into(), "3".into())), "[3, 64]"),
        (|_, metadata| drop(metadata.insert("alpha".into(), "NaN".into())), "`NaN` for alpha"),
        (|_, metadata| drop(metadata.insert("whittle_adapter".into(), "2".into())), "version of the format"),
        (|_, metadata| metadata.clear(), "whittle_adapter"),
    ];
    for (change, said) in changes {
        let error = merged(change).err().unwrap().to_string();
        assert!(error.contains(said) && error.contains("whittle align"), "{said}: {error}");
    }
    assert!(matches!(Adapter::open(Path::new("/none")), Err(AdapterError::Io { .. })));
}

#[test]
fn a_file_that_is_cut_anywhere_or_claims_too_much_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &tensors(), &origin().metadata()).unwrap();
    let bytes = std::fs::read(file.path()).unwrap();
    for length in (0..bytes.len()).step_by(bytes.len() / 50).chain([7, 8, 9, bytes.len() - 1]) {
        std::fs::write(file.path(), &bytes[..length]).unwrap();
        let error = Adapter::open(file.path()).unwrap_err();
        assert!(matches!(error, AdapterError::Malformed { .. }), "{length}: {error}");
    }
    // A header of 2^60 bytes.
    std::fs::write(file.path(), [&(1_u64 << 60).to_le_bytes()[..], &bytes[8..]].concat()).unwrap();
    assert!(matches!(Adapter::open(file.path()), Err(AdapterError::Malformed { .. })));
}

#[test]
fn adapters_are_for_the_architectures_of_the_list() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &tensors(), &origin().metadata()).unwrap();
    let adapter = Adapter::open(file.path()).unwrap();
    for family in FAMILIES {
        let checked = adapter.check_model(&LlamaConfig { family, ..LlamaConfig::TINY });
        match family.name {
            "llama" => assert!(checked.is_ok()),
            other => {
                let error = checked.unwrap_err().to_string();
                assert!(error.contains(&format!("of architecture llama, not for `{other}`")), "{error}");
            }
        }
    }
}

#[test]
fn a_scorer_refuses_an_adapter_for_another_model() {
    let file = tempfile::NamedTempFile::new().unwrap();
    write(file.path(), &tensors(), &origin().metadata()).unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families/llama2.gguf");
    let options = ScorerOptions { adapter: Some(file.path().to_owned()), ..ScorerOptions::default() };
    let error = LocalScorer::load("llama2", &model, &options).unwrap_err();
    assert!(matches!(error, LoadError::Adapter(AdapterError::WrongBase { .. })), "{error}");
}
