//! Mixtures of experts: feed-forward networks of which each token goes through a few, which a router chooses
//! (arXiv 1701.06538, 2101.03961).

/// The sizes of a mixture, and how it chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mixture {
    /// The experts of a layer.
    pub(crate) experts: usize,
    /// The experts that a token goes through, at most all.
    pub(crate) used: usize,
    /// The width inside the network that all tokens go through besides, where there is one.
    pub(crate) shared: Option<usize>,
    /// The weights of a token's experts are divided by their sum.
    pub(crate) normalised: bool,
    /// The factor of these weights.
    pub(crate) scale: f32,
}

/// A row's way through one of the networks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Route {
    /// The number of the network; that of the shared one is behind those of all experts.
    pub(crate) network: usize,
    /// The row.
    pub(crate) row: usize,
    /// The factor of what the network gives.
    pub(crate) weight: f32,
}

impl Mixture {
    /// Logits of the router for a row: one an expert, and one for the shared network.
    pub(crate) fn logits(&self) -> usize {
        self.experts + self.shared.iter().len()
    }

    /// Returns the routes of rows, whose logits follow each other: ordered by network, and then by row.
    pub(crate) fn routes(&self, logits: &[f32]) -> Vec<Route> {
        let rows = logits.chunks_exact(self.logits()).enumerate();
        let mut routes: Vec<Route> = rows.flat_map(|(row, logits)| self.of_row(row, logits)).collect();
        routes.sort_unstable_by_key(|route| (route.network, route.row));
        routes
    }

    fn of_row(&self, row: usize, logits: &[f32]) -> Vec<Route> {
        let (own, shared) = logits.split_at(self.experts);
        let max = own.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials = own.iter().map(|logit| (logit - max).exp());
        let mut routes: Vec<Route> =
            exponentials.enumerate().map(|(network, weight)| Route { network, row, weight }).collect();
        let whole: f32 = routes.iter().map(|route| route.weight).sum();
        routes.sort_by(|a, b| own[b.network].total_cmp(&own[a.network]));
        routes.truncate(self.used);
        let chosen: f32 = routes.iter().map(|route| route.weight).sum();
        let factor = self.scale / if self.normalised { chosen } else { whole };
        for route in &mut routes {
            route.weight *= factor;
        }
        let gate = |logit: &f32| 1.0 / (1.0 + (-logit).exp());
        routes.extend(shared.iter().map(|logit| Route { network: self.experts, row, weight: gate(logit) }));
        routes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXTURE: Mixture = Mixture { experts: 3, used: 2, shared: None, normalised: true, scale: 1.0 };

    #[test]
    fn rows_go_to_their_likeliest_experts_in_order() {
        let (two, four) = (2_f32.ln(), 4_f32.ln());
        let logits = [0.0, two, four, four, 0.0, two];
        let found: Vec<_> = MIXTURE.routes(&logits).iter().map(|r| (r.network, r.row)).collect();
        assert_eq!(found, [(0, 1), (1, 0), (2, 0), (2, 1)]);
        let weights =
            |mixture: Mixture| mixture.routes(&logits[..3]).iter().map(|r| r.weight).collect::<Vec<_>>();
        let near = |found: Vec<f32>, expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?} {expected:?}");
        };
        near(weights(MIXTURE), &[1.0 / 3.0, 2.0 / 3.0]);
        near(weights(Mixture { normalised: false, scale: 7.0, ..MIXTURE }), &[2.0, 4.0]);
        let shared = Mixture { experts: 2, used: 1, shared: Some(8), ..MIXTURE };
        near(weights(shared), &[1.0, 0.8]);
    }

    #[test]
    fn equal_experts_are_taken_in_order_and_what_is_no_number_goes_somewhere() {
        let networks = |logits: &[f32]| MIXTURE.routes(logits).iter().map(|r| r.network).collect::<Vec<_>>();
        assert_eq!(networks(&[1.0, 1.0, 1.0]), [0, 1]);
        assert_eq!(networks(&[f32::NAN, f32::INFINITY, 0.0]).len(), 2);
    }
}
