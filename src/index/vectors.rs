//! Vectors of one width, one behind the other.

/// Values that are summed side by side: as many as fill the registers of a CPU without asking which it has.
const LANES: usize = 16;

/// Vectors of one width.
#[derive(Debug, Clone)]
pub(super) struct Vectors {
    width: usize,
    values: Vec<f32>,
}

impl Vectors {
    /// None yet, of `width` values each.
    pub(super) fn new(width: usize) -> Self {
        Self { width, values: Vec::new() }
    }

    /// As [`Vectors::bytes`] wrote them; none where `bytes` are no whole number of vectors.
    pub(super) fn from_bytes(width: usize, bytes: &[u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(4 * width) {
            return None;
        }
        Some(Self { width, values: values(bytes) })
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

    pub(super) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// The values that `bytes` hold, four of them each.
pub(super) fn values(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

/// Sum of the products of `a` with the values of `b`.
pub(super) fn dot<T: Copy>(a: &[f32], b: &[T], value: impl Fn(T) -> f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (a_rows, b_rows) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a_rows.remainder().iter().zip(b_rows.remainder()).map(|(a, &b)| a * value(b)).sum();
    for (a, b) in a_rows.zip(b_rows) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * value(b[lane]);
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_summed_at_any_width() {
        for width in [2, 15, 16, 17, 384] {
            let a: Vec<f32> = (0..width).map(|i| i as f32).collect();
            let want: f32 = a.iter().map(|a| a * 2.0).sum();
            assert!((dot(&a, &vec![2_u8; width], f32::from) - want).abs() <= want * 1e-6);
        }
    }

    #[test]
    fn bytes_give_the_same_vectors() {
        let mut vectors = Vectors::new(3);
        vectors.push(&[1.0, -2.5, f32::MIN_POSITIVE]);
        vectors.push(&[0.0, 0.5, 7.0]);
        let again = Vectors::from_bytes(3, &vectors.bytes()).unwrap();
        assert_eq!((again.len(), again.row(1)), (2, vectors.row(1)));
        assert!(Vectors::from_bytes(3, &[0; 13]).is_none());
    }
}
