//! Operations whose gradient is stated rather than derived.
//!
//! Candle's autograd would compute the gradient of frozen weights too, keep every intermediate value of a norm or a
//! softmax, and has no gradient at all for its fast ones. Here a result is computed by whatever is fastest, outside of the
//! graph, and enters it together with the function that carries a gradient back to its one input.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, D, Error, Layout, MetalStorage, Result, Shape, Storage, Tensor,
};
use candle_nn::ops::{rms_norm, softmax_last_dim};
use candle_nn::rotary_emb::rope_thd;

use super::frozen::Frozen;

/// Rows whose logits exist at once.
const HEAD_ROWS: usize = 256;

/// A result that was computed already, and the way back from it.
struct Known<F> {
    /// The result, until the graph has a copy of it.
    output: Mutex<Option<Tensor>>,
    gradient: F,
}

/// Puts `output`, which was computed from `input`, into the graph. `gradient` is given the output and its gradient, and
/// gives that of the input.
fn with_gradient<F>(input: &Tensor, output: Tensor, gradient: F) -> Result<Tensor>
where
    F: Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    if !input.track_op() {
        return Ok(output);
    }
    input.apply_op1(Known { output: Mutex::new(Some(output)), gradient })
}

impl<F> Known<F> {
    /// The result's storage, which `of` finds in that of any device.
    fn take<S: BackendStorage>(&self, of: impl Fn(&Storage) -> Option<&S>) -> Result<(S, Shape)> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        let output = output.ok_or_else(|| Error::Msg("a result was asked for twice".into()))?;
        let (storage, layout) = output.storage_and_layout();
        let whole = layout.is_contiguous() && layout.start_offset() == 0;
        match of(&storage).filter(|_| whole) {
            Some(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            None => Err(Error::Msg("a result is not whole, or on another device".into())),
        }
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> CustomOp1 for Known<F> {
    fn name(&self) -> &'static str {
        "known"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.take(|storage| if let Storage::Cpu(storage) = storage { Some(storage) } else { None })
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.take(|storage| if let Storage::Cuda(storage) = storage { Some(storage) } else { None })
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.take(|storage| if let Storage::Metal(storage) = storage { Some(storage) } else { None })
    }

    fn bwd(&self, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        (self.gradient)(result, gradient).map(Some)
    }
}

/// Multiplies rows by weights that do not change: rows of as many values as `x` has.
pub(super) fn frozen(x: &Tensor, weights: &Arc<Frozen>) -> Result<Tensor> {
    let output = weights.forward(&x.detach())?;
    let weights = Arc::clone(weights);
    with_gradient(x, output, move |_, gradient| weights.backward(gradient))
}

/// Norms rows by their root mean square, with weights that do not change.
pub(super) fn norm(x: &Tensor, weights: &Tensor, eps: f32) -> Result<Tensor> {
    let rows = x.detach().contiguous()?;
    let output = rms_norm(&rows, weights, eps)?;
    let weights = weights.clone();
    with_gradient(x, output, move |_, gradient| {
        let width = weights.elem_count() as f64;
        let weighted = gradient.broadcast_mul(&weights)?;
        let mean = (rows.sqr()?.sum_keepdim(D::Minus1)? / width)?;
        let scale = (mean + f64::from(eps))?.sqrt()?.recip()?;
        let along = ((&weighted * &rows)?.sum_keepdim(D::Minus1)? / width)?;
        let pull = (along * scale.sqr()?)?;
        (weighted - rows.broadcast_mul(&pull)?)?.broadcast_mul(&scale)
    })
}

/// Rotates heads (rows x heads x width) by the angles of their rows.
pub(super) fn rotate(x: &Tensor, (cos, sin): (&Tensor, &Tensor)) -> Result<Tensor> {
    let turn = |x: &Tensor, cos: &Tensor, sin: &Tensor| {
        rope_thd(&x.contiguous()?.unsqueeze(0)?, cos, sin)?.squeeze(0)
    };
    let output = turn(&x.detach(), cos, sin)?;
    let (cos, back) = (cos.clone(), sin.neg()?);
    // The magnitude of some stretches is in both, so that the transposed rotation is that by minus the angle.
    with_gradient(x, output, move |_, gradient| turn(gradient, &cos, &back))
}

/// Makes weights of attention of the products of queries and keys, plus a mask.
pub(super) fn attention_weights(products: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let output = softmax_last_dim(&products.detach().broadcast_add(mask)?)?;
    with_gradient(products, output, |weights, gradient| {
        let weighted = (weights * gradient)?;
        let sums = weighted.sum_keepdim(D::Minus1)?;
        weighted - weights.broadcast_mul(&sums)?
    })
}

/// Computes the negative log-likelihood of `targets` after normed rows, by a head that does not change and whose rows
/// are also `words`. Neither logits nor probabilities stay in memory: the gradient of a row is known up to a factor as
/// soon as its likelihood is.
pub(super) fn negative_log_likelihood(
    x: &Tensor,
    (lm_head, words): (&Frozen, &Tensor),
    targets: &[u32],
) -> Result<Tensor> {
    let rows = x.detach();
    let (mut nll, mut pulls) = (Vec::new(), Vec::new());
    for (i, targets) in targets.chunks(HEAD_ROWS).enumerate() {
        let logits = lm_head.forward(&rows.narrow(0, i * HEAD_ROWS, targets.len())?.contiguous()?)?;
        let targets = Tensor::new(targets, x.device())?;
        let own = logits.gather(&targets.unsqueeze(1)?, 1)?;
        nll.push((logits.log_sum_exp(D::Minus1)?.unsqueeze(1)? - own)?.squeeze(1)?);
        if x.track_op() {
            let expected = lm_head.backward(&softmax_last_dim(&logits)?)?;
            pulls.push((expected - words.index_select(&targets, 0)?)?);
        }
    }
    let output = Tensor::cat(&nll, 0)?;
    if !x.track_op() {
        return Ok(output);
    }
    let pulls = Tensor::cat(&pulls, 0)?;
    with_gradient(x, output, move |_, gradient| pulls.broadcast_mul(&gradient.unsqueeze(1)?))
}
