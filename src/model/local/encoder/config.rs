//! The sizes and constants of an encoder, and the reader of `config.json` for all architectures.

use std::path::Path;

use serde_json::Value;

use super::error::EncoderError;
use super::family::{BERT, EncoderFamily, FAMILIES, Positions, SizeKeys};
use super::relative::{RelativePositions, Term};
use crate::model::local::attention::Heads;

/// The most that a configuration may say of a number that is no size.
const LARGEST: u64 = 1 << 22;

/// The sizes and constants of a model.
#[derive(Debug, Clone)]
pub(crate) struct EncoderConfig {
    pub(crate) family: &'static EncoderFamily,
    /// Width of the residual stream, and of an embedding.
    pub(crate) width: usize,
    /// Width inside the feed-forward network.
    pub(crate) hidden: usize,
    /// Attention heads.
    pub(crate) heads: Heads,
    /// The layers, and how far each of them looks.
    pub(crate) layers: Vec<Sight>,
    /// Words in the vocabulary.
    pub(crate) vocabulary: usize,
    /// Most positions of a sequence.
    pub(crate) positions: usize,
    /// The row of the first position, where rows are learned.
    pub(crate) first_position: Option<usize>,
    /// The number of segments that tokens may belong to.
    pub(crate) segments: usize,
    /// Added to the variance in norms.
    pub(crate) norm_eps: f32,
    /// The base of the rotary frequencies of layers that see everything, and of the others.
    pub(crate) rotary: [f64; 2],
    /// The distances that attention looks at, where it does.
    pub(crate) relative: Option<RelativePositions>,
    /// The rows that the convolution beside the first layer reads together, where there is one.
    pub(crate) convolution: Option<usize>,
    /// The parts that have biases.
    pub(crate) biases: Biases,
    /// Tells that the score of a sequence is that of the mean over its tokens, else of its first token.
    pub(crate) pools_mean: bool,
}

/// The rows that a layer's attention sees from each row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Every row.
    Whole,
    /// The rows at most so far away.
    Near(usize),
}

/// The parts of a model that have biases.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file by itself")]
pub(crate) struct Biases {
    pub(crate) norms: bool,
    pub(crate) attention: bool,
    pub(crate) feed_forward: bool,
    pub(crate) head: bool,
}

impl Biases {
    const ALL: Self = Self { norms: true, attention: true, feed_forward: true, head: true };
}

impl EncoderConfig {
    /// A BERT of these sizes.
    pub(crate) fn bert(width: usize, hidden: usize, heads: Heads, layers: usize) -> Self {
        Self {
            family: &BERT,
            width,
            hidden,
            heads,
            layers: vec![Sight::Whole; layers],
            vocabulary: 0,
            positions: 0,
            first_position: Some(0),
            segments: 2,
            norm_eps: 1e-12,
            rotary: [0.0; 2],
            relative: None,
            convolution: None,
            biases: Biases::ALL,
            pools_mean: false,
        }
    }

    /// The configuration of sequences of so many tokens, for which alone rotations and distances are then computed.
    pub(crate) fn within(mut self, window: usize) -> Self {
        if self.first_position.is_none() {
            self.positions = window;
        }
        self
    }

    /// Reads and checks the JSON of the file at `path`.
    pub(crate) fn read(path: &Path) -> Result<(Self, Value), EncoderError> {
        let failed = |reason: String| EncoderError::file(path, reason);
        let text = std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| failed(e.to_string()))?;
        // A pruner's configuration has that of its encoder in it.
        let own = json.get("base_model_config").filter(|base| base.is_object()).unwrap_or(&json);
        Ok((Keys { path, json: own }.config()?, json))
    }
}

/// A `config.json`.
struct Keys<'a> {
    path: &'a Path,
    json: &'a Value,
}

impl Keys<'_> {
    fn config(&self) -> Result<EncoderConfig, EncoderError> {
        let name = self.json["model_type"].as_str().unwrap_or("none");
        let family = FAMILIES.iter().find(|family| family.name == name).ok_or_else(|| {
            let known = FAMILIES.each_ref().map(|family| family.name).join("`, `");
            EncoderError::Unsupported { what: "architecture", value: name.to_owned(), known }
        })?;
        let is_there = |keys: &&SizeKeys| !self.json[keys.width].is_null();
        let keys = family.keys.iter().find(is_there).unwrap_or(&family.keys[0]);
        self.only("activation", keys.activation[0], keys.activation[1])?;
        let (width, heads) = (self.size(keys.width, 1 << 14)?, self.size(keys.heads, 1 << 10)?);
        let each = width / heads;
        if !width.is_multiple_of(heads) || family.positions.is_rotary() && !each.is_multiple_of(2) {
            return Err(self.wrong(format!("{} {width} does not divide by {heads} heads", keys.width)));
        }
        let heads = Heads { queries: heads, keys: heads, width: each };
        let layers = self.size(keys.layers, 1 << 10)?;
        let hidden = self.size(keys.hidden, 1 << 16)?;
        let config = EncoderConfig {
            family,
            vocabulary: self.size("vocab_size", 1 << 22)?,
            positions: self.size(keys.positions, 1 << 17)?,
            norm_eps: self.norm_eps(keys)?,
            ..EncoderConfig::bert(width, hidden, heads, layers)
        };
        match family.positions {
            Positions::Learned => self.learned(config, 0),
            Positions::LearnedBehindPadding => {
                let first = self.number("pad_token_id", 1)? + 1;
                self.learned(config, first)
            }
            Positions::Rotary => self.rotary(config),
            Positions::RotaryByLayer => self.rotary_by_layer(config),
            Positions::Relative => self.relative(config),
        }
    }

    /// Reads what there is besides sizes where each position has a row, the first one at `first`.
    fn learned(&self, config: EncoderConfig, first: usize) -> Result<EncoderConfig, EncoderError> {
        self.only("position embedding", "position_embedding_type", "absolute")?;
        Ok(EncoderConfig {
            positions: config.positions.saturating_sub(first),
            first_position: Some(first),
            segments: self.number("type_vocab_size", 2)?,
            ..config
        })
    }

    /// Reads what `NomicBERT` has besides sizes.
    fn rotary(&self, config: EncoderConfig) -> Result<EncoderConfig, EncoderError> {
        for key in ["prenorm", "parallel_block", "causal", "use_rms_norm", "rotary_emb_interleaved"] {
            if self.json[key] == true {
                return Err(self.unsupported(key, "false"));
            }
        }
        for key in ["rotary_emb_scale_base", "moe_every_n_layers"] {
            if !self.json[key].is_null() && self.json[key] != 0 {
                return Err(self.unsupported(key, "none"));
            }
        }
        let parameters = &self.json["rope_parameters"];
        // Where the file has neither, it is of the form that transformers writes, which rotates whole heads.
        let fraction = &self.json["rotary_emb_fraction"];
        if !fraction.is_null() && fraction.as_f64() != Some(1.0) || fraction.is_null() && parameters.is_null()
        {
            return Err(self.unsupported("rotary_emb_fraction", "1.0"));
        }
        let kind = parameters["rope_type"].as_str().unwrap_or("default");
        // What is dynamic about it begins behind the positions of the training.
        if !["default", "dynamic"].contains(&kind) {
            return Err(EncoderError::Unsupported {
                what: "rotary scaling",
                value: kind.to_owned(),
                known: "default`, `dynamic".into(),
            });
        }
        let base = [&parameters["rope_theta"], &self.json["rotary_emb_base"]];
        let base = base.into_iter().find(|value| !value.is_null()).map_or(Some(10_000.0), Value::as_f64);
        let Some(base) = base.filter(|&base| base > 1.0 && base < 1e12) else {
            return Err(self.wrong("rotary_emb_base is no number above 1".into()));
        };
        let [up, down, attention] = ["mlp_fc1_bias", "mlp_fc2_bias", "qkv_proj_bias"].map(|key| {
            // The form that transformers writes has none.
            self.json[key].as_bool().unwrap_or(parameters.is_null())
        });
        if up != down {
            return Err(self.unsupported("mlp_fc2_bias", &up.to_string()));
        }
        let trained = self.number("max_trained_positions", config.positions)?;
        let multiple = self.number("pad_vocab_size_multiple", 1)?;
        Ok(EncoderConfig {
            positions: config.positions.min(trained.max(1)),
            first_position: None,
            segments: self.number("type_vocab_size", 2)?,
            vocabulary: config.vocabulary.next_multiple_of(multiple.max(1)),
            rotary: [base; 2],
            biases: Biases { attention, feed_forward: up, ..Biases::ALL },
            ..config
        })
    }

    /// Reads what `ModernBERT` has besides sizes.
    fn rotary_by_layer(&self, config: EncoderConfig) -> Result<EncoderConfig, EncoderError> {
        self.only("activation", "classifier_activation", "gelu")?;
        let has = |key: &str| self.json[key] == true;
        Ok(EncoderConfig {
            layers: self.sights(config.layers.len())?,
            first_position: None,
            segments: 0,
            rotary: [
                self.rotary_base("full_attention", "global_rope_theta", 160_000.0)?,
                self.rotary_base("sliding_attention", "local_rope_theta", 10_000.0)?,
            ],
            biases: Biases {
                norms: has("norm_bias"),
                attention: has("attention_bias"),
                feed_forward: has("mlp_bias"),
                head: has("classifier_bias"),
            },
            pools_mean: self.json["classifier_pooling"] == "mean",
            ..config
        })
    }

    /// Reads what `DeBERTa` has besides sizes.
    fn relative(&self, config: EncoderConfig) -> Result<EncoderConfig, EncoderError> {
        if self.json["relative_attention"] != true {
            return Err(self.unsupported("relative_attention", "true"));
        }
        self.only("activation of the pooler", "pooler_hidden_act", "gelu")?;
        for (key, known) in [
            ("embedding_size", config.width),
            ("pooler_hidden_size", config.width),
            ("attention_head_size", config.heads.width),
            ("conv_groups", 1),
        ] {
            if !self.json[key].is_null() && self.json[key] != known {
                return Err(self.unsupported(key, &known.to_string()));
            }
        }
        let farthest = self.json["max_relative_positions"].as_u64().filter(|&most| most > 0);
        let farthest = match farthest {
            Some(_) => self.size("max_relative_positions", 1 << 17)?,
            None => config.positions,
        };
        let buckets = match self.json["position_buckets"].as_i64() {
            Some(1..) => Some(self.size("position_buckets", 1 << 17)?),
            _ => None,
        };
        if buckets.is_some_and(|buckets| buckets < 2 || farthest <= buckets / 2 + 1) {
            let buckets = &self.json["position_buckets"];
            return Err(self.wrong(format!("position_buckets is {buckets}, for distances up to {farthest}")));
        }
        let norms = self.json["norm_rel_ebd"].as_str().unwrap_or("none").to_lowercase();
        Ok(EncoderConfig {
            // Rows for positions are not there where the file says so.
            first_position: (self.json["position_biased_input"] != false).then_some(0),
            segments: self.number("type_vocab_size", 0)?,
            relative: Some(RelativePositions {
                span: buckets.unwrap_or(farthest),
                farthest,
                has_buckets: buckets.is_some(),
                is_shared: self.json["share_att_key"] == true,
                is_normed: norms.split('|').any(|norm| norm.trim() == "layer_norm"),
                terms: self.terms()?,
            }),
            convolution: self.convolution()?,
            ..config
        })
    }

    /// The comparisons that attention makes with distances: a list, or names with strokes between them.
    fn terms(&self) -> Result<Vec<Term>, EncoderError> {
        let names: Vec<&str> = match &self.json["pos_att_type"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            Value::String(names) => names.split('|').map(str::trim).filter(|name| !name.is_empty()).collect(),
            _ => Vec::new(),
        };
        let term = |name: &&str| match name.to_lowercase().as_str() {
            "c2p" => Ok(Term::ContentToPosition),
            "p2c" => Ok(Term::PositionToContent),
            _ => Err(self.unsupported("pos_att_type", "c2p|p2c")),
        };
        let mut terms: Vec<Term> = names.iter().map(term).collect::<Result<_, _>>()?;
        terms.sort_unstable();
        terms.dedup();
        Ok(terms)
    }

    /// The rows that the convolution reads together.
    fn convolution(&self) -> Result<Option<usize>, EncoderError> {
        let rows = self.number("conv_kernel_size", 0)?;
        if rows == 0 {
            return Ok(None);
        }
        // What the architecture uses where the file says nothing runs here as little as others.
        if self.json["conv_act"] != "gelu" {
            return Err(self.unsupported("conv_act", "gelu"));
        }
        if rows.is_multiple_of(2) || rows > 15 {
            return Err(self.wrong(format!("conv_kernel_size is {rows}, not an odd number up to 15")));
        }
        Ok(Some(rows))
    }

    fn wrong(&self, reason: String) -> EncoderError {
        EncoderError::file(self.path, reason)
    }

    /// The error of a key with a value other than the one that is supported.
    fn unsupported(&self, key: &'static str, known: &str) -> EncoderError {
        let value = match &self.json[key] {
            Value::String(value) => value.clone(),
            value => value.to_string(),
        };
        EncoderError::Unsupported { what: key, value, known: known.to_owned() }
    }

    /// Checks that a setting has the one value that is supported, where it is there.
    fn only(&self, what: &'static str, key: &str, known: &str) -> Result<(), EncoderError> {
        match self.json[key].as_str() {
            Some(value) if value != known => {
                Err(EncoderError::Unsupported { what, value: value.to_owned(), known: known.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// A size from 1 to `most`, which must be there.
    fn size(&self, key: &str, most: u64) -> Result<usize, EncoderError> {
        match self.json[key].as_u64() {
            Some(size) if (1..=most).contains(&size) => Ok(size as usize),
            _ => {
                Err(self.wrong(format!("{key} is {}, not 1 to {most}: fetch the file again", self.json[key])))
            }
        }
    }

    /// A small number, or `usual` where there is none.
    fn number(&self, key: &str, usual: usize) -> Result<usize, EncoderError> {
        match &self.json[key] {
            Value::Null => Ok(usual),
            value => value
                .as_u64()
                .filter(|&number| number < LARGEST)
                .map(|number| number as usize)
                .ok_or_else(|| self.wrong(format!("{key} is {value}, not a number below {LARGEST}"))),
        }
    }

    fn norm_eps(&self, keys: &SizeKeys) -> Result<f32, EncoderError> {
        let value = &self.json[keys.norm_eps];
        let eps = if value.is_null() { Some(keys.usual_eps) } else { value.as_f64() };
        match eps {
            Some(eps) if eps > 0.0 && eps < 1.0 => Ok(eps as f32),
            _ => Err(self.wrong(format!("{} is {value}, not between 0 and 1", keys.norm_eps))),
        }
    }

    /// The rows that each layer sees: all of them every few layers, else those near by.
    fn sights(&self, layers: usize) -> Result<Vec<Sight>, EncoderError> {
        let near = Sight::Near(self.number("local_attention", 128)? / 2);
        if let Some(kinds) = self.json["layer_types"].as_array() {
            let sight = |kind: &Value| match kind.as_str() {
                Some("full_attention") => Ok(Sight::Whole),
                Some("sliding_attention") => Ok(near),
                _ => Err(self.wrong(format!("layer_types names {kind}"))),
            };
            let sights: Vec<Sight> = kinds.iter().map(sight).collect::<Result<_, _>>()?;
            let count = sights.len();
            let wrong = || self.wrong(format!("layer_types has {count} entries for {layers} layers"));
            return (count == layers).then_some(sights).ok_or_else(wrong);
        }
        let every = self.number("global_attn_every_n_layers", 3)?.max(1);
        Ok((0..layers).map(|i| if i.is_multiple_of(every) { Sight::Whole } else { near }).collect())
    }

    fn rotary_base(&self, kind: &str, key: &str, usual: f64) -> Result<f64, EncoderError> {
        let parameters = &self.json["rope_parameters"][kind];
        let scaling = parameters["rope_type"].as_str().unwrap_or("default");
        if scaling != "default" || !self.json["rope_scaling"].is_null() {
            return Err(EncoderError::Unsupported {
                what: "rotary scaling",
                value: if scaling == "default" {
                    self.json["rope_scaling"].to_string()
                } else {
                    scaling.into()
                },
                known: "default".into(),
            });
        }
        let base = [&parameters["rope_theta"], &self.json[key]].into_iter().find(|value| !value.is_null());
        match base.map_or(Some(usual), Value::as_f64) {
            Some(base) if base > 1.0 && base < 1e12 => Ok(base),
            _ => Err(self.wrong(format!("{key} is no number above 1"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Value) -> Result<EncoderConfig, EncoderError> {
        Keys { path: Path::new("config.json"), json }.config()
    }

    fn modern() -> Value {
        json!({"model_type": "modernbert", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4,
            "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 512})
    }

    #[test]
    fn layers_of_modernbert_are_read_in_the_old_and_the_new_form() {
        let near = Sight::Near(64);
        assert_eq!(read(&modern()).unwrap().layers, [Sight::Whole, near, near, Sight::Whole]);
        let mut new = modern();
        new["layer_types"] =
            json!(["full_attention", "sliding_attention", "full_attention", "sliding_attention"]);
        new["rope_parameters"] = json!({"full_attention": {"rope_theta": 80000.0, "rope_type": "default"}});
        new["local_attention"] = json!(32);
        let config = read(&new).unwrap();
        assert_eq!(config.layers, [Sight::Whole, Sight::Near(16), Sight::Whole, Sight::Near(16)]);
        assert_eq!(config.rotary.map(|base| base as usize), [80_000, 10_000]);
        assert!(!config.biases.norms && config.segments == 0);
    }

    #[test]
    fn unusable_settings_are_named() {
        let with = |key: &str, value: Value| {
            let mut json = modern();
            json[key] = value;
            read(&json).unwrap_err().to_string()
        };
        let other = with("model_type", json!("deberta"));
        assert_eq!(
            other,
            "unsupported architecture `deberta`: this build knows `bert`, `roberta`, `xlm-roberta`, `modernbert`, `deberta-v2`, `nomic_bert`, `Provence`"
        );
        for (key, value, named) in [
            ("hidden_activation", json!("silu"), "unsupported activation `silu`"),
            ("classifier_activation", json!("relu"), "unsupported activation `relu`"),
            ("hidden_size", json!(null), "hidden_size is null"),
            ("hidden_size", json!(12), "does not divide"),
            ("num_hidden_layers", json!(1e9), "num_hidden_layers is 1000000000.0"),
            ("norm_eps", json!(-1), "norm_eps is -1"),
            ("layer_types", json!(["full_attention"]), "1 entries for 4 layers"),
            ("layer_types", json!(["x"]), "layer_types names \"x\""),
            ("rope_scaling", json!({"type": "yarn"}), "unsupported rotary scaling"),
            ("global_rope_theta", json!("far"), "global_rope_theta is no number"),
            ("local_attention", json!(-3), "local_attention is -3"),
        ] {
            let error = with(key, value);
            assert!(error.contains(named), "{error}");
        }
    }

    fn nomic() -> Value {
        json!({"model_type": "nomic_bert", "n_embd": 64, "n_head": 4, "n_layer": 2, "n_inner": 96,
            "vocab_size": 100, "n_positions": 8192, "max_trained_positions": 2048, "type_vocab_size": 2,
            "activation_function": "swiglu", "layer_norm_epsilon": 1e-12, "rotary_emb_base": 1000,
            "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": false, "rotary_emb_scale_base": null,
            "pad_vocab_size_multiple": 64, "qkv_proj_bias": false, "mlp_fc1_bias": false, "mlp_fc2_bias": false, "prenorm": false})
    }

    #[test]
    fn nomic_bert_is_read_in_its_own_form_and_in_that_of_transformers() {
        let other = json!({"model_type": "nomic_bert", "hidden_size": 64, "num_attention_heads": 4,
            "num_hidden_layers": 2, "intermediate_size": 96, "vocab_size": 100, "hidden_act": "silu",
            "max_position_embeddings": 2048, "pad_vocab_size_multiple": 64, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1000.0}});
        for json in [nomic(), other] {
            let config = read(&json).unwrap();
            assert_eq!((config.width, config.hidden, config.layers.len()), (64, 96, 2));
            assert_eq!((config.positions, config.segments, config.first_position), (2048, 2, None));
            assert_eq!(config.vocabulary, 128, "100 in whole multiples of 64");
            assert_eq!(config.rotary.map(|base| base as usize), [1000; 2]);
            assert!(config.biases.norms && !config.biases.attention && !config.biases.feed_forward);
        }
    }

    #[test]
    fn unusable_settings_of_nomic_bert_are_named() {
        for (key, value, named) in [
            ("prenorm", json!(true), "unsupported prenorm `true`: this build knows `false`"),
            ("causal", json!(true), "unsupported causal"),
            ("rotary_emb_interleaved", json!(true), "unsupported rotary_emb_interleaved"),
            ("rotary_emb_fraction", json!(0.5), "unsupported rotary_emb_fraction `0.5`"),
            ("rotary_emb_fraction", json!(null), "unsupported rotary_emb_fraction `null`"),
            ("rotary_emb_scale_base", json!(512), "unsupported rotary_emb_scale_base"),
            ("rotary_emb_base", json!("far"), "rotary_emb_base is no number"),
            ("rope_parameters", json!({"rope_type": "yarn"}), "unsupported rotary scaling `yarn`"),
            ("moe_every_n_layers", json!(2), "unsupported moe_every_n_layers `2`"),
            ("activation_function", json!("geglu"), "unsupported activation `geglu`"),
            ("mlp_fc2_bias", json!(true), "unsupported mlp_fc2_bias `true`: this build knows `false`"),
            ("n_embd", json!(0), "n_embd is 0"),
            ("n_head", json!(3), "n_embd 64 does not divide by 3 heads"),
            ("n_inner", json!(null), "n_inner is null"),
        ] {
            let mut json = nomic();
            json[key] = value;
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    fn deberta() -> Value {
        json!({"model_type": "deberta-v2", "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2,
            "intermediate_size": 96, "vocab_size": 100, "max_position_embeddings": 512, "type_vocab_size": 0,
            "relative_attention": true, "max_relative_positions": -1, "position_buckets": 256,
            "norm_rel_ebd": "layer_norm", "share_att_key": true, "pos_att_type": "p2c|c2p",
            "position_biased_input": false, "pooler_hidden_size": 64, "pooler_hidden_act": "gelu"})
    }

    #[test]
    fn distances_of_deberta_are_read_in_each_form() {
        let config = read(&deberta()).unwrap();
        assert_eq!((config.first_position, config.segments, config.convolution), (None, 0, None));
        assert!((config.norm_eps - 1e-7).abs() < 1e-12);
        let relative = config.relative.unwrap();
        assert_eq!((relative.span, relative.farthest), (256, 512));
        assert!(relative.has_buckets && relative.is_shared && relative.is_normed);
        assert_eq!(relative.terms, [Term::ContentToPosition, Term::PositionToContent]);
        let mut other = deberta();
        for (key, value) in [
            ("pos_att_type", json!(["c2p"])),
            ("position_buckets", json!(-1)),
            ("max_relative_positions", json!(300)),
            ("norm_rel_ebd", json!("none")),
            ("position_biased_input", json!(true)),
            ("conv_kernel_size", json!(3)),
            ("conv_act", json!("gelu")),
        ] {
            other[key] = value;
        }
        let config = read(&other).unwrap();
        assert_eq!((config.first_position, config.convolution), (Some(0), Some(3)));
        let relative = config.relative.unwrap();
        assert_eq!((relative.span, relative.terms), (300, vec![Term::ContentToPosition]));
        assert!(!relative.has_buckets && !relative.is_normed);
    }

    #[test]
    fn unusable_settings_of_deberta_are_named() {
        for (key, value, named) in [
            ("relative_attention", json!(false), "unsupported relative_attention `false`"),
            ("relative_attention", json!(null), "unsupported relative_attention `null`"),
            ("pos_att_type", json!("p2p"), "unsupported pos_att_type `p2p`"),
            ("pooler_hidden_act", json!("tanh"), "unsupported activation of the pooler `tanh`"),
            ("pooler_hidden_size", json!(32), "unsupported pooler_hidden_size `32`: this build knows `64`"),
            ("embedding_size", json!(32), "unsupported embedding_size `32`"),
            ("attention_head_size", json!(8), "unsupported attention_head_size `8`"),
            ("conv_kernel_size", json!(3), "unsupported conv_act `null`"),
            ("position_buckets", json!(1), "position_buckets is 1"),
            ("position_buckets", json!(1022), "position_buckets is 1022, for distances up to 512"),
            ("position_buckets", json!(1_u64 << 40), "position_buckets is 1099511627776, not 1 to"),
            ("max_relative_positions", json!(1_u64 << 40), "max_relative_positions is 1099511627776"),
            ("hidden_act", json!("relu"), "unsupported activation `relu`"),
        ] {
            let mut json = deberta();
            json[key] = value;
            let error = read(&json).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let mut even = deberta();
        (even["conv_kernel_size"], even["conv_act"]) = (json!(4), json!("gelu"));
        assert!(read(&even).unwrap_err().to_string().contains("conv_kernel_size is 4, not an odd number"));
    }
}
