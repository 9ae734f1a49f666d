//! The pass of rows through a mixture of experts: each expert takes all rows of a block that are routed to it at once.

use super::layer::{Experts, Network, Product, add_bias};
use super::{Llama, Scratch};
use crate::model::local::causal::NormWeights;
use crate::model::local::linear::Accumulate;

impl Llama {
    /// `x += sum of weight * expert(row)` over the experts of each row. What they read is `entering` where attention reads
    /// it too.
    pub(super) fn mix(
        &self,
        experts: &Experts,
        [before, after]: [&NormWeights; 2],
        x: &mut [f32],
        scratch: &mut Scratch,
        product: Product,
    ) {
        let (width, backend) = (self.config.width, self.backend);
        let Scratch { inputs, entering, gate_up, given, normed, logits, routed, outputs, .. } = scratch;
        let read = if self.config.parallel { &entering[..] } else { &*x };
        routed.resize(read.len(), 0.0);
        for (row, out) in read.chunks_exact(width).zip(routed.chunks_exact_mut(width)) {
            before.apply(backend.isa, row, self.config.norm_eps, out);
        }
        logits.resize(read.len() / width * experts.router.outputs(), 0.0);
        experts.router.apply(backend, routed, logits, Accumulate::Overwrite);
        add_bias(backend.isa, &experts.router_bias, logits);
        let routes = experts.mixture.routes(logits);
        self.add_given(after, x, (given, normed), |x, accumulate| {
            if accumulate == Accumulate::Overwrite {
                x.fill(0.0);
            }
            for routes in routes.chunk_by(|a, b| a.network == b.network) {
                let network = &experts.networks[routes[0].network];
                let Network { gate_up: up, down, .. } = network;
                up.weights.take(backend, routes.len(), inputs, |i, row| {
                    row.copy_from_slice(&routed[routes[i].row * width..][..width]);
                });
                gate_up.resize(routes.len() * up.weights.outputs(), 0.0);
                product(up, backend, inputs, gate_up, Accumulate::Overwrite);
                self.activate(network, routes.len(), gate_up, inputs);
                outputs.resize(routes.len() * width, 0.0);
                product(down, backend, inputs, outputs, Accumulate::Overwrite);
                for (route, output) in routes.iter().zip(outputs.chunks_exact(width)) {
                    let x = &mut x[route.row * width..][..width];
                    backend.isa.add_weighted(&[route.weight], output, width, x);
                }
            }
        });
    }
}
