//! The ways in which a GGUF file stores the values of a tensor: blocks of so many values in so many bytes.
//!
//! Most are read by candle. The others are read here, by their definition in ggml (`ggml-common.h`); the micro-scaling
//! format of 4 bits is that of the OCP Microscaling Formats specification 1.0.

use candle_core::Device;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::ggml_file::qtensor_from_ggml;
use half::f16;

/// The values that 4 bits mean in `IQ4_NL` and `IQ4_XS`.
const UNEVEN: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the values that a float of 4 bits (E2M1) means.
const TWICE_E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
/// Values of a block of the larger formats.
const SUPERBLOCK: usize = 256;

/// The storage format of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// A format that candle reads.
    Candle(GgmlDType),
    /// Blocks of 32 values of 4 bits, which stand for uneven steps.
    Iq4Nl,
    /// The same steps in blocks of 256, which share a scale; every 32 have a scale of 6 bits.
    Iq4Xs,
    /// Ternary values, five in a byte.
    Tq1,
    /// Ternary values, four in a byte.
    Tq2,
    /// Blocks of 32 floats of 4 bits, which share a power of two.
    Mxfp4,
}

impl Encoding {
    /// Returns the format of this number in a file, where it is one that is read.
    pub(super) fn of(code: u32) -> Option<Self> {
        Some(match code {
            0 => Self::Candle(GgmlDType::F32),
            1 => Self::Candle(GgmlDType::F16),
            2 => Self::Candle(GgmlDType::Q4_0),
            3 => Self::Candle(GgmlDType::Q4_1),
            6 => Self::Candle(GgmlDType::Q5_0),
            7 => Self::Candle(GgmlDType::Q5_1),
            8 => Self::Candle(GgmlDType::Q8_0),
            10 => Self::Candle(GgmlDType::Q2K),
            11 => Self::Candle(GgmlDType::Q3K),
            12 => Self::Candle(GgmlDType::Q4K),
            13 => Self::Candle(GgmlDType::Q5K),
            14 => Self::Candle(GgmlDType::Q6K),
            20 => Self::Iq4Nl,
            23 => Self::Iq4Xs,
            30 => Self::Candle(GgmlDType::BF16),
            34 => Self::Tq1,
            35 => Self::Tq2,
            39 => Self::Mxfp4,
            _ => return None,
        })
    }

    /// Returns the values of a block, and its bytes.
    pub(super) fn block(self) -> (usize, usize) {
        match self {
            Self::Candle(kind) => (kind.block_size(), kind.type_size()),
            Self::Iq4Nl => (32, 18),
            Self::Iq4Xs => (SUPERBLOCK, 136),
            Self::Tq1 => (SUPERBLOCK, 54),
            Self::Tq2 => (SUPERBLOCK, 66),
            Self::Mxfp4 => (32, 17),
        }
    }

    /// Returns the values that whole blocks stand for.
    ///
    /// # Errors
    /// Candle refuses them.
    pub(super) fn decode(self, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Vec<f32>> {
        let decode = match self {
            Self::Candle(kind) => {
                let tensor = qtensor_from_ggml(kind, bytes, shape.to_vec(), &Device::Cpu)?;
                return tensor.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1();
            }
            Self::Iq4Nl => iq4_nl,
            Self::Iq4Xs => iq4_xs,
            Self::Tq1 => tq1,
            Self::Tq2 => tq2,
            Self::Mxfp4 => mxfp4,
        };
        let (values, size) = self.block();
        let mut out = Vec::with_capacity(bytes.len() / size * values);
        bytes.chunks_exact(size).for_each(|block| decode(block, &mut out));
        Ok(out)
    }
}

/// The scale in the first two bytes.
fn scale(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Appends what 4 bits mean by a table, times a factor: first the lower halves of all bytes, then the upper ones.
fn append_nibbles(table: &[i8; 16], factor: f32, packed: &[u8], out: &mut Vec<f32>) {
    for shift in [0, 4] {
        out.extend(packed.iter().map(|byte| factor * f32::from(table[usize::from(byte >> shift & 15)])));
    }
}

fn iq4_nl(block: &[u8], out: &mut Vec<f32>) {
    append_nibbles(&UNEVEN, scale(block), &block[2..], out);
}

fn mxfp4(block: &[u8], out: &mut Vec<f32>) {
    // Half of 2 to the power of the byte less 127, for the values of the table are doubled.
    let half = match u32::from(block[0]) {
        exponent @ 0..=1 => f32::from_bits(0x0020_0000 << exponent),
        exponent => f32::from_bits((exponent - 1) << 23),
    };
    append_nibbles(&TWICE_E2M1, half, &block[1..], out);
}

fn iq4_xs(block: &[u8], out: &mut Vec<f32>) {
    let whole = scale(block);
    let upper = u16::from_le_bytes([block[2], block[3]]);
    for (i, packed) in block[8..].chunks_exact(16).enumerate() {
        let low = block[4 + i / 2] >> (4 * (i % 2)) & 15;
        let high = (upper >> (2 * i) & 3) as u8;
        let factor = whole * (f32::from(high << 4 | low) - 32.0);
        append_nibbles(&UNEVEN, factor, packed, out);
    }
}

/// Bytes are fixed-point fractions of base 3: the first digit is told by a product with 3, the next by one with 9.
fn tq1(block: &[u8], out: &mut Vec<f32>) {
    let factor = scale(&block[52..]);
    for (bytes, digits) in [(&block[..32], 5), (&block[32..48], 5), (&block[48..52], 4)] {
        let mut shift = 1_u8;
        for _ in 0..digits {
            let digit = |byte: &u8| f32::from((u16::from(byte.wrapping_mul(shift)) * 3) >> 8);
            out.extend(bytes.iter().map(|byte| factor * (digit(byte) - 1.0)));
            shift = shift.wrapping_mul(3);
        }
    }
}

fn tq2(block: &[u8], out: &mut Vec<f32>) {
    let factor = scale(&block[64..]);
    for bytes in block[..64].chunks_exact(32) {
        for shift in [0, 2, 4, 6] {
            out.extend(bytes.iter().map(|byte| factor * (f32::from(byte >> shift & 3) - 1.0)));
        }
    }
}
