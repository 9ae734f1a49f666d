//! What tells the architectures of encoders apart: one table, and one reader of `config.json` for all of them.

use std::path::Path;

use serde_json::Value;

use super::error::EncoderError;
use crate::model::local::attention::Heads;

/// An architecture.
#[derive(Debug)]
pub(crate) struct EncoderFamily {
    /// The `model_type` of its `config.json`.
    pub(crate) name: &'static str,
    /// The start of the names of its tensors in a checkpoint with a head.
    pub(crate) prefix: &'static str,
    /// Whether layers norm what they read, have gates in their feed-forward networks (GEGLU, arXiv 2002.05202) and a norm
    /// behind the last of them; else they norm what they give.
    pub(crate) is_modern: bool,
    /// The places that tokens learn their positions from.
    pub(crate) positions: Positions,
    /// The layers between the encoder and the score of a sequence.
    pub(crate) head: HeadKind,
}

/// The places that tokens learn their positions from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Positions {
    /// A row for each position.
    Learned,
    /// A row for each position, the first ones behind that of the padding token.
    LearnedBehindPadding,
    /// Rotated queries and keys (arXiv 2104.09864).
    Rotary,
}

/// The layers between an encoder and the score of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadKind {
    /// The encoder's pooler, then `classifier`.
    Pooler,
    /// `classifier.dense`, then `classifier.out_proj`.
    Classifier,
    /// `head.dense` and `head.norm`, then `classifier`.
    Prediction,
}

const BERT: EncoderFamily = EncoderFamily {
    name: "bert",
    prefix: "bert.",
    is_modern: false,
    positions: Positions::Learned,
    head: HeadKind::Pooler,
};

const ROBERTA: EncoderFamily = EncoderFamily {
    name: "roberta",
    prefix: "roberta.",
    positions: Positions::LearnedBehindPadding,
    head: HeadKind::Classifier,
    ..BERT
};

/// The architectures that run here.
const FAMILIES: [EncoderFamily; 4] = [
    BERT,
    ROBERTA,
    EncoderFamily { name: "xlm-roberta", ..ROBERTA },
    EncoderFamily {
        name: "modernbert",
        prefix: "model.",
        is_modern: true,
        positions: Positions::Rotary,
        head: HeadKind::Prediction,
    },
];

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
    pub(crate) first_position: usize,
    /// The number of segments that tokens may belong to.
    pub(crate) segments: usize,
    /// Added to the variance in norms.
    pub(crate) norm_eps: f32,
    /// The base of the rotary frequencies of layers that see everything, and of the others.
    pub(crate) rotary: [f64; 2],
    /// The parts that have biases.
    pub(crate) biases: Biases,
    /// Whether the score of a sequence is that of the mean over its tokens, else of its first token.
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

impl EncoderConfig {
    /// A BERT of these sizes.
    pub(crate) fn bert(width: usize, hidden: usize, heads: Heads, layers: usize) -> Self {
        Self {
            family: &FAMILIES[0],
            width,
            hidden,
            heads,
            layers: vec![Sight::Whole; layers],
            vocabulary: 0,
            positions: 0,
            first_position: 0,
            segments: 2,
            norm_eps: 1e-12,
            rotary: [0.0; 2],
            biases: Biases { norms: true, attention: true, feed_forward: true, head: true },
            pools_mean: false,
        }
    }

    /// The configuration of sequences of so many tokens, for which alone rotations are then computed.
    pub(crate) fn within(mut self, window: usize) -> Self {
        if self.family.positions == Positions::Rotary {
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
            let known = FAMILIES.map(|family| family.name).join("`, `");
            EncoderError::Unsupported { what: "architecture", value: name.to_owned(), known }
        })?;
        let is_rotary = family.positions == Positions::Rotary;
        let activation = if is_rotary { "hidden_activation" } else { "hidden_act" };
        self.only("activation", activation, "gelu")?;
        if is_rotary {
            self.only("activation", "classifier_activation", "gelu")?;
        } else {
            self.only("position embedding", "position_embedding_type", "absolute")?;
        }
        let (width, heads) = (self.size("hidden_size", 1 << 14)?, self.size("num_attention_heads", 1 << 10)?);
        let each = width / heads;
        if !width.is_multiple_of(heads) || is_rotary && !each.is_multiple_of(2) {
            return Err(self.wrong(format!("hidden_size {width} does not divide by {heads} heads")));
        }
        let heads = Heads { queries: heads, keys: heads, width: each };
        let layers = self.size("num_hidden_layers", 1 << 10)?;
        let hidden = self.size("intermediate_size", 1 << 16)?;
        let rows = self.size("max_position_embeddings", 1 << 17)?;
        let first_position = match family.positions {
            Positions::LearnedBehindPadding => self.number("pad_token_id", 1)? as usize + 1,
            Positions::Learned | Positions::Rotary => 0,
        };
        let bias = |key: &str| !is_rotary || self.json[key] == true;
        Ok(EncoderConfig {
            family,
            layers: self.sights(layers, is_rotary)?,
            vocabulary: self.size("vocab_size", 1 << 22)?,
            positions: rows.saturating_sub(first_position),
            first_position,
            segments: if is_rotary { 0 } else { self.number("type_vocab_size", 2)? as usize },
            norm_eps: self.norm_eps(is_rotary)?,
            rotary: [
                self.rotary_base("full_attention", "global_rope_theta", 160_000.0)?,
                self.rotary_base("sliding_attention", "local_rope_theta", 10_000.0)?,
            ],
            biases: Biases {
                norms: bias("norm_bias"),
                attention: bias("attention_bias"),
                feed_forward: bias("mlp_bias"),
                head: bias("classifier_bias"),
            },
            pools_mean: self.json["classifier_pooling"] == "mean",
            ..EncoderConfig::bert(width, hidden, heads, layers)
        })
    }

    fn wrong(&self, reason: String) -> EncoderError {
        EncoderError::file(self.path, reason)
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
    fn number(&self, key: &str, usual: u64) -> Result<u64, EncoderError> {
        match &self.json[key] {
            Value::Null => Ok(usual),
            value => value
                .as_u64()
                .filter(|&number| number < 1 << 22)
                .ok_or_else(|| self.wrong(format!("{key} is {value}, not a number below {}", 1 << 22))),
        }
    }

    fn norm_eps(&self, is_rotary: bool) -> Result<f32, EncoderError> {
        let key = if is_rotary { "norm_eps" } else { "layer_norm_eps" };
        let usual = if is_rotary { 1e-5 } else { 1e-12 };
        let eps = if self.json[key].is_null() { Some(usual) } else { self.json[key].as_f64() };
        match eps {
            Some(eps) if eps > 0.0 && eps < 1.0 => Ok(eps as f32),
            _ => Err(self.wrong(format!("{key} is {}, not between 0 and 1", self.json[key]))),
        }
    }

    /// The rows that each layer sees: all of them every few layers, else those near by.
    fn sights(&self, layers: usize, is_rotary: bool) -> Result<Vec<Sight>, EncoderError> {
        if !is_rotary {
            return Ok(vec![Sight::Whole; layers]);
        }
        let near = Sight::Near(self.number("local_attention", 128)? as usize / 2);
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
        let every = self.number("global_attn_every_n_layers", 3)?.max(1) as usize;
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
        let other = with("model_type", json!("deberta-v2"));
        assert_eq!(
            other,
            "unsupported architecture `deberta-v2`: this build knows `bert`, `roberta`, `xlm-roberta`, `modernbert`"
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
}
