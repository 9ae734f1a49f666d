//! Rows of weights in `Q4_0` blocks, read one at a time: of a large vocabulary a text needs few.

use half::f16;

/// Values in a block.
pub(crate) const BLOCK: usize = 32;
/// Bytes of a block: a 16-bit scale and 32 values of 4 bits.
pub(crate) const BLOCK_BYTES: usize = 2 + BLOCK / 2;

/// Rows of one width.
pub(crate) struct QuantizedRows {
    bytes: Vec<u8>,
    row_bytes: usize,
}

impl QuantizedRows {
    /// Takes `rows` rows of `width` values, a multiple of [`BLOCK`].
    pub(crate) fn new(bytes: Vec<u8>, width: usize, rows: usize) -> Result<Self, String> {
        let row_bytes = width / BLOCK * BLOCK_BYTES;
        if bytes.len() != rows * row_bytes {
            return Err(format!("{} bytes are not {rows} rows of {width} values", bytes.len()));
        }
        let finite = |block: &[u8; BLOCK_BYTES]| f16::from_le_bytes([block[0], block[1]]).is_finite();
        if !bytes.as_chunks().0.iter().all(finite) {
            return Err("a scale is not a finite number".into());
        }
        Ok(Self { bytes, row_bytes })
    }

    /// Appends the values of a row to `out`.
    pub(crate) fn append(&self, row: usize, out: &mut Vec<f32>) {
        let row = &self.bytes[row * self.row_bytes..][..self.row_bytes];
        for block in row.as_chunks::<BLOCK_BYTES>().0 {
            let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
            let value = |four_bits: u8| (f32::from(four_bits) - 8.0) * scale;
            out.extend(block[2..].iter().map(|&byte| value(byte & 15)));
            out.extend(block[2..].iter().map(|&byte| value(byte >> 4)));
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use candle_core::quantized::{GgmlDType, ggml_file::qtensor_from_ggml};

    use super::*;

    #[test]
    fn rows_equal_those_of_another_implementation() {
        let mut bytes: Vec<u8> = (0..4 * BLOCK_BYTES).map(|i| (i * 37 % 251) as u8).collect();
        for block in bytes.as_chunks_mut::<BLOCK_BYTES>().0 {
            block[..2].copy_from_slice(&f16::from_f32(0.25).to_le_bytes());
        }
        let other = qtensor_from_ggml(GgmlDType::Q4_0, &bytes, vec![2, 2 * BLOCK], &Device::Cpu).unwrap();
        let other = other.dequantize(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap();
        let rows = QuantizedRows::new(bytes, 2 * BLOCK, 2).unwrap();
        for (i, other) in other.iter().enumerate() {
            let mut row = Vec::new();
            rows.append(i, &mut row);
            assert_eq!(&row, other);
        }
    }

    #[test]
    fn wrong_sizes_and_scales_are_refused() {
        assert!(QuantizedRows::new(vec![0; BLOCK_BYTES - 1], BLOCK, 1).is_err());
        assert!(QuantizedRows::new(vec![0xff; BLOCK_BYTES], BLOCK, 1).is_err());
    }
}
