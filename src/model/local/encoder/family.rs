//! The table of what tells the architectures of encoders apart.

/// An architecture.
#[derive(Debug)]
pub(crate) struct EncoderFamily {
    /// The `model_type` of its `config.json`.
    pub(crate) name: &'static str,
    /// The start of the names of its tensors in a checkpoint with a head.
    pub(crate) prefix: &'static str,
    pub(crate) tensors: TensorNames,
    /// The keys of its sizes in `config.json`, in each form of it: the first form whose width is there holds.
    pub(crate) keys: &'static [SizeKeys],
    pub(crate) norms: Norms,
    pub(crate) feed_forward: FeedForward,
    pub(crate) positions: Positions,
    /// The layers between the encoder and the score of a sequence, where it is known to have any.
    pub(crate) head: Option<HeadKind>,
    /// The layer that tells which tokens to keep, where the architecture has one of its own.
    pub(crate) keep: Option<&'static str>,
}

/// The names of tensors, without `.weight` and `.bias`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorNames {
    pub(crate) words: &'static str,
    pub(crate) embedding_norm: &'static str,
    /// The start of the names of a layer's, before its number.
    pub(crate) layer: &'static str,
    /// Queries, keys and values: one tensor each, or one of all.
    pub(crate) qkv: &'static [&'static str],
    pub(crate) attention_out: &'static str,
    pub(crate) attention_norm: &'static str,
    /// The inside of the feed-forward network; of a gated one what is activated and then the gates: one tensor each, or one
    /// of both.
    pub(crate) up: &'static [&'static str],
    pub(crate) down: &'static str,
    pub(crate) output_norm: &'static str,
    /// The norm behind the last layer.
    pub(crate) final_norm: Option<&'static str>,
}

/// The keys of sizes and constants in `config.json`.
#[derive(Debug)]
pub(crate) struct SizeKeys {
    pub(crate) width: &'static str,
    pub(crate) heads: &'static str,
    pub(crate) layers: &'static str,
    pub(crate) hidden: &'static str,
    /// Most positions.
    pub(crate) positions: &'static str,
    pub(crate) norm_eps: &'static str,
    /// The epsilon of norms where the file has none.
    pub(crate) usual_eps: f64,
    /// The activation, and the one value of it that runs here.
    pub(crate) activation: [&'static str; 2],
}

/// The place of norms in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Norms {
    /// Attention and feed-forward network read what was normed.
    Before,
    /// Both are added to what they read, and the sum is normed.
    Behind,
}

/// The inside of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FeedForward {
    /// `gelu(x * U)`.
    Gelu,
    /// `gelu(x * U) * (x * G)` (arXiv 2002.05202).
    Geglu,
    /// `silu(x * U) * (x * G)`, of the same paper.
    Swiglu,
}

impl FeedForward {
    /// Returns the width of what the first product gives, by that of what the second reads.
    pub(crate) fn inside(self, hidden: usize) -> usize {
        if self == Self::Gelu { hidden } else { 2 * hidden }
    }
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
    /// Rotations by one base in layers that see everything, and by another in those that see what is near.
    RotaryByLayer,
    /// Rows for distances, which attention compares with queries and keys (arXiv 2006.03654); perhaps rows for positions
    /// too.
    Relative,
}

impl Positions {
    /// Returns whether queries and keys are rotated.
    pub(crate) fn is_rotary(self) -> bool {
        matches!(self, Self::Rotary | Self::RotaryByLayer)
    }
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
    /// A pooler beside the encoder with another activation, then `classifier`.
    ContextPooler,
}

const BERT_KEYS: SizeKeys = SizeKeys {
    width: "hidden_size",
    heads: "num_attention_heads",
    layers: "num_hidden_layers",
    hidden: "intermediate_size",
    positions: "max_position_embeddings",
    norm_eps: "layer_norm_eps",
    usual_eps: 1e-12,
    activation: ["hidden_act", "gelu"],
};

const MODERN_KEYS: SizeKeys = SizeKeys {
    norm_eps: "norm_eps",
    usual_eps: 1e-5,
    activation: ["hidden_activation", "gelu"],
    ..BERT_KEYS
};

const NOMIC_KEYS: SizeKeys = SizeKeys {
    width: "n_embd",
    heads: "n_head",
    layers: "n_layer",
    hidden: "n_inner",
    positions: "n_positions",
    norm_eps: "layer_norm_epsilon",
    usual_eps: 1e-12,
    activation: ["activation_function", "swiglu"],
};

pub(super) const BERT: EncoderFamily = EncoderFamily {
    name: "bert",
    prefix: "bert.",
    tensors: TensorNames {
        words: "embeddings.word_embeddings",
        embedding_norm: "embeddings.LayerNorm",
        layer: "encoder.layer",
        qkv: &["attention.self.query", "attention.self.key", "attention.self.value"],
        attention_out: "attention.output.dense",
        attention_norm: "attention.output.LayerNorm",
        up: &["intermediate.dense"],
        down: "output.dense",
        output_norm: "output.LayerNorm",
        final_norm: None,
    },
    keys: &[BERT_KEYS],
    norms: Norms::Behind,
    feed_forward: FeedForward::Gelu,
    positions: Positions::Learned,
    head: Some(HeadKind::Pooler),
    keep: None,
};

const ROBERTA: EncoderFamily = EncoderFamily {
    name: "roberta",
    prefix: "roberta.",
    positions: Positions::LearnedBehindPadding,
    head: Some(HeadKind::Classifier),
    ..BERT
};

const MODERNBERT: EncoderFamily = EncoderFamily {
    name: "modernbert",
    prefix: "model.",
    tensors: TensorNames {
        words: "embeddings.tok_embeddings",
        embedding_norm: "embeddings.norm",
        layer: "layers",
        qkv: &["attn.Wqkv"],
        attention_out: "attn.Wo",
        attention_norm: "attn_norm",
        up: &["mlp.Wi"],
        down: "mlp.Wo",
        output_norm: "mlp_norm",
        final_norm: Some("final_norm"),
    },
    keys: &[MODERN_KEYS],
    norms: Norms::Before,
    feed_forward: FeedForward::Geglu,
    positions: Positions::RotaryByLayer,
    head: Some(HeadKind::Prediction),
    keep: None,
};

const DEBERTA: EncoderFamily = EncoderFamily {
    name: "deberta-v2",
    prefix: "deberta.",
    tensors: TensorNames {
        qkv: &["attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"],
        ..BERT.tensors
    },
    keys: &[SizeKeys { usual_eps: 1e-7, ..BERT_KEYS }],
    positions: Positions::Relative,
    head: Some(HeadKind::ContextPooler),
    ..BERT
};

const NOMIC: EncoderFamily = EncoderFamily {
    name: "nomic_bert",
    prefix: "bert.",
    tensors: TensorNames {
        words: "embeddings.word_embeddings",
        embedding_norm: "emb_ln",
        layer: "encoder.layers",
        qkv: &["attn.Wqkv"],
        attention_out: "attn.out_proj",
        attention_norm: "norm1",
        up: &["mlp.fc12", "mlp.fc11"],
        down: "mlp.fc2",
        output_norm: "norm2",
        final_norm: None,
    },
    keys: &[NOMIC_KEYS, SizeKeys { activation: ["hidden_act", "silu"], ..BERT_KEYS }],
    feed_forward: FeedForward::Swiglu,
    positions: Positions::Rotary,
    head: None,
    ..BERT
};

/// The architectures that run here.
pub(super) const FAMILIES: [EncoderFamily; 7] = [
    BERT,
    ROBERTA,
    EncoderFamily { name: "xlm-roberta", ..ROBERTA },
    MODERNBERT,
    DEBERTA,
    NOMIC,
    // The pruner that was published with arXiv 2501.16214.
    EncoderFamily { name: "Provence", keep: Some("token_classifier"), ..DEBERTA },
];
