//! Vectors of one width, one behind the other.

use crate::kernels::Isa;

/// Vectors of one width.
#[derive(Debug, Clone)]
pub(super) struct Vectors {
    width: usize,
    values: Vec<f32>,
    isa: Isa,
}

impl Vectors {
    /// None yet, of `width` values each.
    pub(super) fn new(width: usize) -> Self {
        Self { width, values: Vec::new(), isa: Isa::detect() }
    }

    /// As [`Vectors::bytes`] wrote them; none where `bytes` are no whole number of vectors.
    pub(super) fn from_bytes(width: usize, bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(4 * width) {
            return None;
        }
        Some(Self { values: values(bytes), ..Self::new(width) })
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    pub(super) fn push(&mut self, vector: &[f32]) {
        debug_assert_eq!(vector.len(), self.width);
        self.values.extend_from_slice(vector);
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn len(&self) -> usize {
        self.values.len() / self.width
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.width..][..self.width]
    }

    /// Product of a row with a vector.
    pub(super) fn dot(&self, row: usize, vector: &[f32]) -> f32 {
        self.isa.dot(self.row(row), vector)
    }

    /// Product of a row with a vector that is given by the bits of its values.
    pub(super) fn dot_with_bits(&self, row: usize, vector: &[u32]) -> f32 {
        self.isa.dot_with_bits(self.row(row), vector)
    }

    /// Products of all rows with a vector.
    pub(super) fn dots(&self, vector: &[f32]) -> impl Iterator<Item = f32> {
        (0..self.len()).map(move |row| self.dot(row, vector))
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// The values that `bytes` hold, four of them each.
pub(super) fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_same_vectors() {
        let mut vectors = Vectors::new(3);
        vectors.push(&[1.0, -2.5, f32::MIN_POSITIVE]);
        vectors.push(&[0.0, 0.5, 7.0]);
        let again = Vectors::from_bytes(3, &vectors.bytes()).unwrap();
        assert_eq!((again.len(), again.row(1)), (2, vectors.row(1)));
        assert_eq!(again.dots(&[0.0, 2.0, 1.0]).collect::<Vec<_>>(), [-5.0, 8.0]);
        assert!(Vectors::from_bytes(3, &[0; 13]).is_none());
    }
}
