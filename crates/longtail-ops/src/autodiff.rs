//! The operations under automatic differentiation: each remembers what its backward pass needs.

use burn::backend::{AutodiffBackend, Backend, TensorMetadata, tensor::FloatTensor};
use burn_autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};

use super::{ConvOptions, DetectionBackward, DetectionOps, Epilogue, LEVELS, RoiAlignOptions};

#[derive(Debug)]
struct Conv2d;

impl<B: Backend + DetectionBackward> Backward<B, 3> for Conv2d {
    type State = (FloatTensor<B>, FloatTensor<B>, ConvOptions);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (x, weight, options) = ops.state;
        let mut wanted = std::array::from_fn(|i| ops.parents[i].is_some());
        wanted[2] &= options.bias;
        let gradients = B::conv2d_backward(x, weight, dy, options, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct BatchNorm;

impl<B: Backend + DetectionBackward> Backward<B, 4> for BatchNorm {
    type State = (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, FloatTensor<B>, f32, Epilogue);

    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (x, gamma, statistics, y, epsilon, epilogue) = ops.state;
        let gradients = B::batch_norm_backward(x, gamma, statistics, y, dy, epsilon, epilogue);
        for (place, (parent, gradient)) in ops.parents.into_iter().zip(gradients).enumerate() {
            // Place 3 is the residual, a placeholder when there is none.
            if let Some(parent) = parent.filter(|_| place < 3 || epilogue.residual) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Affine;

impl<B: Backend + DetectionBackward> Backward<B, 2> for Affine {
    type State = (FloatTensor<B>, FloatTensor<B>, Epilogue);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (scale, y, epilogue) = ops.state;
        let gradients = B::affine_backward(scale, y, dy, epilogue);
        for (place, (parent, gradient)) in ops.parents.into_iter().zip(gradients).enumerate() {
            if let Some(parent) = parent.filter(|_| place == 0 || epilogue.residual) {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct RoiAlign;

impl<B: Backend + DetectionBackward> Backward<B, LEVELS> for RoiAlign {
    type State = ([[usize; 4]; LEVELS], FloatTensor<B>, RoiAlignOptions);

    fn backward(self, ops: Ops<Self::State, LEVELS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (shapes, regions, options) = ops.state;
        let gradients = B::roi_align_backward(shapes, regions, dy, options);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

impl<B: Backend + DetectionOps + DetectionBackward, C: CheckpointStrategy> DetectionOps for Autodiff<B, C> {
    fn detection_conv2d(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let y = B::detection_conv2d(x.clone(), weight.clone(), bias.into_primitive(), options);
        match Conv2d.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((x, weight, options), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn detection_conv2d_affine(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        options: ConvOptions,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        // Each has its own backward pass. In place of the bias, something that waits for no gradient.
        let no_bias = Self::from_inner(shift.clone().into_primitive());
        let y = Self::detection_conv2d(x, weight, no_bias, ConvOptions { bias: false, ..options });
        Self::detection_affine(y, scale, shift, residual, epilogue)
    }

    fn detection_statistics(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::from_inner(B::detection_statistics(x.into_primitive()))
    }

    fn detection_batch_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        statistics: FloatTensor<Self>,
        epsilon: f32,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), gamma.node(), beta.node(), residual.node()];
        let (x, gamma, statistics) =
            (x.into_primitive(), gamma.into_primitive(), statistics.into_primitive());
        let y = B::detection_batch_norm(
            x.clone(),
            gamma.clone(),
            beta.into_primitive(),
            residual.into_primitive(),
            statistics.clone(),
            epsilon,
            epilogue,
        );
        match BatchNorm.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => {
                prepared.finish((x, gamma, statistics, y.clone(), epsilon, epilogue), y)
            }
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn detection_affine(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), residual.node()];
        let scale = scale.into_primitive();
        let y = B::detection_affine(
            x.into_primitive(),
            scale.clone(),
            shift.into_primitive(),
            residual.into_primitive(),
            epilogue,
        );
        match Affine.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((scale, y.clone(), epilogue), y),
            OpsKind::UnTracked(prepared) => prepared.finish(y),
        }
    }

    fn detection_roi_align(
        p2: FloatTensor<Self>,
        p3: FloatTensor<Self>,
        p4: FloatTensor<Self>,
        p5: FloatTensor<Self>,
        regions: FloatTensor<Self>,
        options: RoiAlignOptions,
    ) -> FloatTensor<Self> {
        let levels = [p2, p3, p4, p5];
        let nodes = [levels[0].node(), levels[1].node(), levels[2].node(), levels[3].node()];
        let shapes = std::array::from_fn(|level| {
            let shape = levels[level].shape();
            std::array::from_fn(|d| shape[d])
        });
        let [p2, p3, p4, p5] = levels.map(|level| level.into_primitive());
        let regions = regions.into_primitive();
        let pooled = B::detection_roi_align(p2, p3, p4, p5, regions.clone(), options);
        match RoiAlign.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prepared) => prepared.finish((shapes, regions, options), pooled),
            OpsKind::UnTracked(prepared) => prepared.finish(pooled),
        }
    }
}
