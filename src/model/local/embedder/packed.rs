//! A multilingual E5 in one file: sizes, pieces of its tokenizer, and weights in 4 bits.
//!
//! All numbers are little-endian. The file begins with `E5S1` and a version; then come the sizes, the pieces with
//! their scores, the replacements of single characters, and a directory that says where each tensor lies. Weights of
//! products are rows of `Q4_0` blocks; all others are 32-bit floats. Every length is checked against the file before
//! anything is read or allocated by it.

use std::collections::HashMap;
use std::ops::Range;

use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use candle_core::{Device, Tensor};

use super::unigram::UnigramTokenizer;
use crate::model::local::attention::Heads;
use crate::model::local::encoder::{BLOCK, BLOCK_BYTES, EncoderConfig, QuantizedRows};

const MAGIC: &[u8] = b"E5S1";
const VERSION: u32 = 1;
/// The largest plausible size of anything that the file names.
const LARGEST: usize = 1 << 22;

/// What the file holds, with tensors under the names that BERT's checkpoints give them.
pub(super) struct PackedModel {
    pub(super) config: EncoderConfig,
    pub(super) tokenizer: UnigramTokenizer,
    /// The tokens that open and close a window.
    pub(super) ends: [u32; 2],
    pub(super) words: QuantizedRows,
    pub(super) tensors: HashMap<String, Tensor>,
}

impl PackedModel {
    /// Reads the bytes of a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = Reader { bytes, at: 0 };
        if reader.take(MAGIC.len())? != MAGIC || reader.u32()? != VERSION {
            return Err(format!("it is no packed model of version {VERSION}"));
        }
        let config = configuration(&mut reader)?;
        let (tokenizer, ends) = tokenizer(&mut reader, config.vocabulary)?;
        let mut directory = directory(&mut reader)?;
        let words = directory.remove("emb.word").ok_or("the tensor `emb.word` is missing")?;
        let words = QuantizedRows::new(words.bytes(bytes)?.to_vec(), config.width, config.vocabulary)?;
        let mut tensors = HashMap::new();
        for (name, shape) in shapes(&config) {
            let entry = directory.remove(&name).ok_or_else(|| format!("the tensor `{name}` is missing"))?;
            let tensor = entry.tensor(bytes, &shape).map_err(|e| format!("the tensor `{name}`: {e}"))?;
            tensors.insert(checkpoint_name(&name), tensor);
        }
        Ok(Self { config, tokenizer, ends, words, tensors })
    }
}

/// Reads numbers one after the other.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or("it ends before its parts do")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "it ends before its parts do".to_owned())
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A number of things of which there is at least one.
    fn size(&mut self, what: &str) -> Result<usize, String> {
        let size = self.u32()? as usize;
        if (1..=LARGEST).contains(&size) {
            Ok(size)
        } else {
            Err(format!("{what} is {size}, not 1 to {LARGEST}"))
        }
    }

    fn length(&mut self) -> Result<usize, String> {
        usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|e| e.to_string())
    }

    fn f32(&mut self) -> Result<f32, String> {
        Ok(f32::from_le_bytes(self.array()?))
    }
}

fn configuration(reader: &mut Reader<'_>) -> Result<EncoderConfig, String> {
    let (width, layers) = (reader.size("the width")?, reader.size("the number of layers")?);
    let (heads, hidden) = (reader.size("the number of heads")?, reader.size("the hidden width")?);
    let (vocabulary, positions) = (reader.size("the vocabulary")?, reader.size("the number of positions")?);
    let (segments, norm_eps, block) = (reader.u32()?, reader.f32()?, reader.u32()?);
    if !width.is_multiple_of(heads) || !width.is_multiple_of(BLOCK) || !hidden.is_multiple_of(BLOCK) {
        return Err(format!("widths {width} and {hidden}, {heads} heads and blocks do not go together"));
    }
    if segments != 2 || block as usize != BLOCK || !(norm_eps > 0.0 && norm_eps < 1.0) {
        return Err(format!(
            "{segments} segments, blocks of {block} or the epsilon {norm_eps} are not supported"
        ));
    }
    if layers > 1 << 10 || positions < 8 {
        return Err(format!("{layers} layers or {positions} positions are not supported"));
    }
    let heads = Heads { queries: heads, keys: heads, width: width / heads };
    let bert = EncoderConfig::bert(width, hidden, heads, layers);
    Ok(EncoderConfig { vocabulary, positions, norm_eps, ..bert })
}

fn tokenizer(reader: &mut Reader<'_>, vocabulary: usize) -> Result<(UnigramTokenizer, [u32; 2]), String> {
    let count = reader.size("the number of pieces")?;
    if count > vocabulary {
        return Err(format!("{count} pieces are more than the vocabulary of {vocabulary}"));
    }
    let (first, last, padding, unknown) = (reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?);
    let text = reader.length()?;
    let mut numbers = |count: usize| {
        let bytes = reader.take(4 * count)?;
        Ok::<_, String>(bytes.as_chunks::<4>().0)
    };
    let offsets = numbers(count + 1)?.iter().map(|&bytes| u32::from_le_bytes(bytes) as usize);
    let offsets: Vec<usize> = offsets.collect();
    let scores: Vec<f64> =
        numbers(count)?.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect();
    let text = reader.take(text)?;
    let piece = |(range, score): (&[usize], f64)| {
        let bytes = text.get(range[0]..range[1]).ok_or("a piece lies outside the text of pieces")?;
        let piece = std::str::from_utf8(bytes).map_err(|e| format!("a piece is not UTF-8: {e}"))?;
        if score.is_finite() {
            Ok((piece.to_owned(), score))
        } else {
            Err(format!("`{piece}` scores {score}"))
        }
    };
    let pieces = offsets.windows(2).zip(scores).map(piece).collect::<Result<_, _>>()?;
    let replacements = replacements(reader)?;
    let control = [first, last, padding, unknown].map(|id| id as usize);
    // The piece of the mask comes last.
    let control = [&control[..], &[count - 1]].concat();
    Ok((UnigramTokenizer::new(pieces, &control, unknown as usize, replacements)?, [first, last]))
}

fn replacements(reader: &mut Reader<'_>) -> Result<HashMap<char, Box<str>>, String> {
    let count = reader.u32()?;
    reader.u32()?; // Their bytes, which their parts say too.
    let character = |code| char::from_u32(code).ok_or_else(|| format!("{code:#x} is no character"));
    let mut replacements = HashMap::new();
    for _ in 0..count {
        let from = character(reader.u32()?)?;
        let [length] = reader.array()?;
        let to = (0..length).map(|_| character(reader.u32()?)).collect::<Result<String, _>>()?;
        replacements.insert(from, to.into());
    }
    Ok(replacements)
}

/// The place of a tensor in the file.
struct Entry {
    range: Range<usize>,
    quantized: bool,
}

impl Entry {
    fn bytes<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], String> {
        file.get(self.range.clone()).ok_or_else(|| format!("{:?} lies outside the file", self.range))
    }

    fn tensor(&self, file: &[u8], shape: &[usize]) -> Result<Tensor, String> {
        let values: usize = shape.iter().product();
        let expected = if self.quantized { values / BLOCK * BLOCK_BYTES } else { 4 * values };
        let bytes = self.bytes(file)?;
        if bytes.len() != expected {
            return Err(format!("has {} bytes, not the {expected} of the shape {shape:?}", bytes.len()));
        }
        let encoding = if self.quantized { GgmlDType::Q4_0 } else { GgmlDType::F32 };
        // The bytes may be unaligned in the file, but not where candle casts them.
        let aligned = bytes.to_vec();
        qtensor_from_ggml(encoding, &aligned, shape.to_vec(), &Device::Cpu)
            .and_then(|tensor| tensor.dequantize(&Device::Cpu))
            .map_err(|e| e.to_string())
    }
}

fn directory(reader: &mut Reader<'_>) -> Result<HashMap<String, Entry>, String> {
    let mut entries = HashMap::new();
    for _ in 0..reader.size("the number of tensors")? {
        let length = u16::from_le_bytes(reader.array()?);
        let name = String::from_utf8_lossy(reader.take(length.into())?).into_owned();
        let [kind] = reader.array()?;
        reader.u32()?; // The number of values, which the shape says too.
        let (start, bytes) = (reader.length()?, reader.length()?);
        let end = start.checked_add(bytes).ok_or_else(|| format!("the tensor `{name}` has no end"))?;
        let quantized = match kind {
            0 => false,
            1 => true,
            other => return Err(format!("the tensor `{name}` is of the unknown type {other}")),
        };
        entries.insert(name, Entry { range: start..end, quantized });
    }
    Ok(entries)
}

/// The tensors of a model, apart from the words, with their shapes.
fn shapes(config: &EncoderConfig) -> Vec<(String, Vec<usize>)> {
    let (width, hidden) = (config.width, config.hidden);
    let mut shapes = vec![
        ("emb.pos".to_owned(), vec![config.positions, width]),
        ("emb.type".to_owned(), vec![2, width]),
        ("emb.ln.w".to_owned(), vec![width]),
        ("emb.ln.b".to_owned(), vec![width]),
    ];
    for layer in 0..config.layers.len() {
        for (part, rows, columns) in
            [("q", width, width), ("k", width, width), ("v", width, width), ("ao", width, width)]
                .into_iter()
                .chain([("fi", hidden, width), ("fo", width, hidden)])
        {
            shapes.push((format!("l{layer}.{part}.w"), vec![rows, columns]));
            shapes.push((format!("l{layer}.{part}.b"), vec![rows]));
        }
        for norm in ["aln.w", "aln.b", "oln.w", "oln.b"] {
            shapes.push((format!("l{layer}.{norm}"), vec![width]));
        }
    }
    shapes
}

/// The name of a tensor in BERT's checkpoints.
fn checkpoint_name(name: &str) -> String {
    let mut parts = name.split('.');
    let (group, part) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let kind = if parts.next_back() == Some("b") { "bias" } else { "weight" };
    let long = match part {
        "pos" => "position_embeddings",
        "type" => "token_type_embeddings",
        "ln" => "LayerNorm",
        "q" => "attention.self.query",
        "k" => "attention.self.key",
        "v" => "attention.self.value",
        "ao" => "attention.output.dense",
        "aln" => "attention.output.LayerNorm",
        "fi" => "intermediate.dense",
        "fo" => "output.dense",
        _ => "output.LayerNorm",
    };
    match group.strip_prefix('l') {
        Some(layer) => format!("encoder.layer.{layer}.{long}.{kind}"),
        None => format!("embeddings.{long}.{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(numbers: &[u32]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes
    }

    #[test]
    fn damaged_files_are_refused_by_what_is_wrong() {
        let sizes = [32, 1, 2, 32, 10, 16, 2, 1e-12_f32.to_bits(), 32];
        let refused = |bytes: &[u8]| PackedModel::parse(bytes).err().unwrap();
        assert!(refused(b"").contains("ends before"));
        assert!(refused(b"GGUF\x01\0\0\0").contains("no packed model"));
        assert!(refused(&header(&sizes)).contains("ends before"));
        for (place, value, said) in [
            (0, 0, "the width is 0"),
            (0, u32::MAX, "the width is 4294967295"),
            (2, 3, "do not go together"),
            (6, 1, "1 segments"),
            (5, 4, "4 positions"),
        ] {
            let mut sizes = sizes;
            sizes[place] = value;
            assert!(refused(&header(&sizes)).contains(said), "{said}");
        }
        // More pieces than words, and a length of their text beyond the file.
        assert!(refused(&header(&[&sizes[..], &[11]].concat())).contains("11 pieces"));
        let long = [&sizes[..], &[1, 0, 0, 0, 0, u32::MAX, u32::MAX, 0, 1, 0]].concat();
        assert!(refused(&header(&long)).contains("ends before"));
    }

    #[test]
    fn tensors_have_the_names_of_checkpoints() {
        assert_eq!(checkpoint_name("emb.ln.b"), "embeddings.LayerNorm.bias");
        assert_eq!(checkpoint_name("emb.pos"), "embeddings.position_embeddings.weight");
        assert_eq!(checkpoint_name("l11.oln.w"), "encoder.layer.11.output.LayerNorm.weight");
        assert_eq!(checkpoint_name("l0.fi.b"), "encoder.layer.0.intermediate.dense.bias");
    }
}
