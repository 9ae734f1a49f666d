//! The numbers that training changes, on the host, and the optimiser that changes them.

use crate::model::local::adapter::{Projection, Tensors};
use crate::model::local::causal::LlamaConfig;
use crate::random::Random;

/// Decay of the mean of gradients.
const BETA1: f64 = 0.9;
/// Decay of the mean of their squares.
const BETA2: f64 = 0.999;
/// The term that keeps a step finite where gradients were 0.
const EPS: f64 = 1e-8;

/// A product that is changed: its place and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product {
    layer: usize,
    part: Projection,
    /// Outputs and inputs.
    pub(super) shape: [usize; 2],
    /// The rank of its change.
    pub(super) rank: usize,
}

impl Product {
    /// Lists all products of a model.
    fn all(config: &LlamaConfig, rank: usize) -> Vec<Self> {
        let of = |layer| Projection::ALL.map(|part| Self { layer, part, shape: part.shape(config), rank });
        (0..config.layers).flat_map(of).collect()
    }

    /// The numbers of the two matrices.
    fn sizes(&self) -> [usize; 2] {
        let [outputs, inputs] = self.shape;
        [self.rank * inputs, outputs * self.rank]
    }
}

/// All parameters in one row: product by product, first what reads its inputs and then what writes its outputs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters {
    products: Vec<Product>,
    pub(super) values: Vec<f32>,
}

impl Parameters {
    /// Draws parameters with which nothing is changed: the second matrices are 0, the first as in PEFT.
    pub(super) fn draw(config: &LlamaConfig, rank: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let products = Product::all(config, rank);
        let mut values = Vec::new();
        for product in &products {
            let ([a, b], bound) = (product.sizes(), (product.shape[1] as f64).sqrt().recip());
            values.extend((0..a).map(|_| ((2.0 * random.unit() - 1.0) * bound) as f32));
            values.resize(values.len() + b, 0.0);
        }
        Self { products, values }
    }

    /// Returns other values in the place of these; none where there are not as many.
    pub(super) fn with(&self, values: Vec<f32>) -> Option<Self> {
        (values.len() == self.values.len()).then(|| Self { products: self.products.clone(), values })
    }

    /// Goes through the products and their two matrices.
    pub(super) fn products(&self) -> impl Iterator<Item = (&Product, [&[f32]; 2])> {
        let mut rest = &self.values[..];
        self.products.iter().map(move |product| {
            let matrices = product.sizes().map(|size| {
                let (own, others) = rest.split_at(size);
                rest = others;
                own
            });
            (product, matrices)
        })
    }

    /// The tensors of an adapter's file.
    pub(super) fn tensors(&self) -> Tensors {
        let mut tensors = Tensors::new();
        for (product, [a, b]) in self.products() {
            let ([outputs, inputs], rank) = (product.shape, product.rank);
            let [name_a, name_b] = product.part.tensors(product.layer);
            tensors.insert(name_a, (vec![rank, inputs], a.to_vec()));
            tensors.insert(name_b, (vec![outputs, rank], b.to_vec()));
        }
        tensors
    }
}

/// Adam (arXiv 1412.6980): the means that it keeps of each parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Adam {
    /// The mean of gradients.
    pub(super) mean: Vec<f32>,
    /// The mean of their squares.
    pub(super) square: Vec<f32>,
}

impl Adam {
    /// Begins for so many parameters.
    pub(super) fn new(parameters: usize) -> Self {
        Self { mean: vec![0.0; parameters], square: vec![0.0; parameters] }
    }

    /// Takes step number `step`, from 1 on, against `gradients`.
    pub(super) fn step(&mut self, values: &mut [f32], gradients: &[f32], (step, rate): (usize, f64)) {
        let correction = |beta: f64| 1.0 - beta.powi(i32::try_from(step).unwrap_or(i32::MAX));
        let (of_mean, of_square) = (correction(BETA1), correction(BETA2));
        let means = self.mean.iter_mut().zip(&mut self.square);
        for ((value, gradient), (mean, square)) in values.iter_mut().zip(gradients).zip(means) {
            let gradient = f64::from(*gradient);
            let next_mean = BETA1 * f64::from(*mean) + (1.0 - BETA1) * gradient;
            let next_square = BETA2 * f64::from(*square) + (1.0 - BETA2) * gradient * gradient;
            (*mean, *square) = (next_mean as f32, next_square as f32);
            let change = next_mean / of_mean / ((next_square / of_square).sqrt() + EPS);
            *value = (f64::from(*value) - rate * change) as f32;
        }
    }
}
