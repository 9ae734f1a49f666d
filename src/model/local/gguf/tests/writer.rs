//! Writes GGUF files, sound or not, and a tiny Llama of random weights with them.

/// A value of the metadata.
#[derive(Clone)]
pub(super) enum Value {
    U32(u32),
    F32(f32),
    Text(String),
    Texts(Vec<String>),
    /// A type's number and whatever follows it.
    Raw(u32, Vec<u8>),
}

#[derive(Clone)]
pub(super) struct Tensor {
    pub(super) name: String,
    /// Rows first; the file has them the other way round.
    pub(super) shape: Vec<u64>,
    pub(super) code: u32,
    pub(super) data: Vec<u8>,
    /// The data offset that the header states, where it is not the true one.
    pub(super) offset: Option<u64>,
}

/// A file to be.
#[derive(Clone)]
pub(super) struct Gguf {
    pub(super) magic: [u8; 4],
    pub(super) version: u32,
    pub(super) keys: Vec<(String, Value)>,
    pub(super) tensors: Vec<Tensor>,
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: &Value) {
    let mut kind = |kind: u32| out.extend(kind.to_le_bytes());
    match value {
        Value::U32(n) => {
            kind(4);
            out.extend(n.to_le_bytes());
        }
        Value::F32(n) => {
            kind(6);
            out.extend(n.to_le_bytes());
        }
        Value::Text(value) => {
            kind(8);
            text(out, value);
        }
        Value::Texts(values) => {
            kind(9);
            out.extend(8_u32.to_le_bytes());
            out.extend((values.len() as u64).to_le_bytes());
            for value in values {
                text(out, value);
            }
        }
        Value::Raw(number, bytes) => {
            kind(*number);
            out.extend(bytes);
        }
    }
}

impl Gguf {
    pub(super) fn set(&mut self, key: &str, value: Value) {
        match self.keys.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.keys.push((key.to_owned(), value)),
        }
    }

    pub(super) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name).expect("the tiny Llama has it")
    }

    pub(super) fn floats(&self, name: &str) -> Vec<f32> {
        let tensor = self.tensors.iter().find(|tensor| tensor.name == name).expect("the tiny Llama has it");
        tensor.data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    /// The bytes of the file, and how many of them are header.
    pub(super) fn write(&self) -> (Vec<u8>, usize) {
        let mut out = self.magic.to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, content) in &self.keys {
            text(&mut out, key);
            value(&mut out, content);
        }
        let mut end = 0;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().rev().for_each(|n| out.extend(n.to_le_bytes()));
            out.extend(tensor.code.to_le_bytes());
            out.extend(tensor.offset.unwrap_or(end).to_le_bytes());
            end = (end + tensor.data.len() as u64).next_multiple_of(32);
        }
        let header = out.len();
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(&tensor.data);
        }
        (out, header)
    }
}

pub(super) const WIDTH: usize = 64;
pub(super) const HIDDEN: usize = 128;
pub(super) const QUERIES: usize = 2;
pub(super) const KEYS: usize = 1;
pub(super) const HEAD: usize = WIDTH / QUERIES;
pub(super) const LAYERS: usize = 2;
pub(super) const VOCABULARY: usize = 320;
pub(super) const ROPE_BASE: f32 = 1000.0;
pub(super) const EPS: f32 = 1e-5;

/// Numbers that are the same in every run: a linear congruential generator (Knuth's constants).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }

    fn tensor(&mut self, name: &str, shape: &[usize], mean: f32, spread: f32) -> Tensor {
        let count: usize = shape.iter().product();
        let value = |random: &mut Self| mean + spread * (random.below(2001) as f32 / 1000.0 - 1.0);
        Tensor {
            name: name.to_owned(),
            shape: shape.iter().map(|&n| n as u64).collect(),
            code: 0,
            data: (0..count).flat_map(|_| value(self).to_le_bytes()).collect(),
            offset: None,
        }
    }
}

/// Every byte by its stand-in, one merge, and control tokens to fill up.
fn tokens() -> Vec<String> {
    let stand_ins = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ').chain('\u{100}'..='\u{143}');
    let mut tokens: Vec<String> = stand_ins.map(String::from).collect();
    assert_eq!(tokens.len(), 256);
    tokens.push("ab".to_owned());
    tokens.extend((257..VOCABULARY).map(|i| format!("<|{i}|>")));
    tokens
}

/// A sound Llama of two layers in floats, the head tied to the embeddings.
pub(super) fn tiny_llama() -> Gguf {
    let mut file = Gguf { magic: *b"GGUF", version: 3, keys: Vec::new(), tensors: Vec::new() };
    for (key, value) in [
        ("general.architecture", Value::Text("llama".to_owned())),
        ("llama.block_count", Value::U32(LAYERS as u32)),
        ("llama.context_length", Value::U32(64)),
        ("llama.embedding_length", Value::U32(WIDTH as u32)),
        ("llama.feed_forward_length", Value::U32(HIDDEN as u32)),
        ("llama.attention.head_count", Value::U32(QUERIES as u32)),
        ("llama.attention.head_count_kv", Value::U32(KEYS as u32)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(EPS)),
        ("llama.rope.freq_base", Value::F32(ROPE_BASE)),
        ("tokenizer.ggml.pre", Value::Text("smollm".to_owned())),
        ("tokenizer.ggml.tokens", Value::Texts(tokens())),
        ("tokenizer.ggml.merges", Value::Texts(vec!["a b".to_owned()])),
        ("tokenizer.ggml.bos_token_id", Value::U32(257)),
    ] {
        file.set(key, value);
    }
    let mut random = Random(7);
    let mut tensor = |name: &str, shape: &[usize], mean: f32, spread: f32| {
        file.tensors.push(random.tensor(name, shape, mean, spread));
    };
    tensor("token_embd.weight", &[VOCABULARY, WIDTH], 0.0, 0.5);
    for i in 0..LAYERS {
        let name = |part: &str| format!("blk.{i}.{part}.weight");
        tensor(&name("attn_norm"), &[WIDTH], 1.0, 0.3);
        tensor(&name("attn_q"), &[QUERIES * HEAD, WIDTH], 0.0, 0.5);
        tensor(&name("attn_k"), &[KEYS * HEAD, WIDTH], 0.0, 0.5);
        tensor(&name("attn_v"), &[KEYS * HEAD, WIDTH], 0.0, 0.3);
        tensor(&name("attn_output"), &[WIDTH, QUERIES * HEAD], 0.0, 0.3);
        tensor(&name("ffn_norm"), &[WIDTH], 1.0, 0.3);
        tensor(&name("ffn_gate"), &[HIDDEN, WIDTH], 0.0, 0.3);
        tensor(&name("ffn_up"), &[HIDDEN, WIDTH], 0.0, 0.3);
        tensor(&name("ffn_down"), &[WIDTH, HIDDEN], 0.0, 0.3);
    }
    tensor("output_norm.weight", &[WIDTH], 1.0, 0.3);
    file
}
