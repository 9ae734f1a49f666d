//! Vectors of one width, one behind the other: as they are, and in 8 bits.

use crate::kernels::Isa;

/// Vectors of one width.
#[derive(Debug, Clone)]
pub(super) struct Vectors {
    width: usize,
    values: Vec<f32>,
    isa: Isa,
}

impl Vectors {
    /// Creates an empty list of vectors of `width` values each.
    pub(super) fn new(width: usize) -> Self {
        Self { width, values: Vec::new(), isa: Isa::detect() }
    }

    /// Creates an empty list with room for `rows` vectors.
    pub(super) fn with_capacity(width: usize, rows: usize) -> Self {
        Self { values: Vec::with_capacity(width.saturating_mul(rows)), ..Self::new(width) }
    }

    /// Vectors of all their values; none where these are no whole number of vectors.
    pub(super) fn from_values(width: usize, values: Vec<f32>) -> Option<Self> {
        values.len().is_multiple_of(width).then(|| Self { values, ..Self::new(width) })
    }

    /// The values of all vectors, one behind the other.
    pub(super) fn values(&self) -> &[f32] {
        &self.values
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

/// Vectors in 8 bits, a scale each: what is fetched from memory to compare them is a quarter of the vectors themselves,
/// and that, not the arithmetic, is what a comparison of far-apart rows takes its time for.
pub(super) struct Codes {
    /// Bytes of a row: its width, and zeros up to a multiple of four.
    row: usize,
    values: Vec<i8>,
    scales: Vec<f32>,
    isa: Isa,
}

impl Codes {
    pub(super) fn of(vectors: &Vectors) -> Self {
        let row = vectors.width.next_multiple_of(4);
        let (mut values, mut scales) = (vec![0; row * vectors.len()], Vec::with_capacity(vectors.len()));
        for (vector, values) in vectors.rows().zip(values.chunks_exact_mut(row)) {
            scales.push(vectors.isa.quantise(vector, values) / 127.0);
        }
        Self { row, values, scales, isa: vectors.isa }
    }

    /// Product of two rows, about.
    pub(super) fn dot(&self, a: usize, b: usize) -> f32 {
        let product = self.isa.dot_int8(self.row(a), self.row(b)) as f32;
        product * self.scales[a] * self.scales[b]
    }

    /// A vector as [`Codes::dot_query`] takes it: the bits of its scale, and its values in fours.
    pub(super) fn query(&self, vector: &[f32]) -> Vec<u32> {
        let mut query = vec![0; 1 + self.row / 4];
        let scale = self.isa.quantise(vector, bytemuck::cast_slice_mut(&mut query[1..])) / 127.0;
        query[0] = scale.to_bits();
        query
    }

    /// Product of a row with a query, about.
    pub(super) fn dot_query(&self, row: usize, query: &[u32]) -> f32 {
        let Some((scale, values)) = query.split_first() else { return 0.0 };
        let product = self.isa.dot_int8(self.row(row), bytemuck::cast_slice(values)) as f32;
        product * self.scales[row] * f32::from_bits(*scale)
    }

    fn row(&self, row: usize) -> &[i8] {
        &self.values[row * self.row..][..self.row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_give_the_same_vectors() {
        let mut vectors = Vectors::new(3);
        vectors.push(&[1.0, -2.5, f32::MIN_POSITIVE]);
        vectors.push(&[0.0, 0.5, 7.0]);
        let again = Vectors::from_values(3, vectors.values().to_vec()).unwrap();
        assert_eq!((again.len(), again.row(1)), (2, vectors.row(1)));
        assert_eq!(again.dots(&[0.0, 2.0, 1.0]).collect::<Vec<_>>(), [-5.0, 8.0]);
        assert!(Vectors::from_values(3, vec![0.0; 4]).is_none());
    }

    #[test]
    fn codes_are_near_what_they_stand_for() {
        for width in [2, 3, 17, 384] {
            let mut vectors = Vectors::new(width);
            for seed in 1..4_u32 {
                let vector: Vec<f32> =
                    (0..width as u32).map(|i| ((i * 31 + seed * 17) % 23) as f32 / 23.0 - 0.5).collect();
                let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
                vectors.push(&vector.iter().map(|v| v / length).collect::<Vec<_>>());
            }
            let codes = Codes::of(&vectors);
            let query = codes.query(vectors.row(2));
            for row in 0..3 {
                let exact = vectors.dot(row, vectors.row(2));
                assert!((codes.dot(row, 2) - exact).abs() < 0.01, "{width}");
                assert!((codes.dot_query(row, &query) - codes.dot(row, 2)).abs() < 1e-6, "{width}");
            }
        }
    }
}
