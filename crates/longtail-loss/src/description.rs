//! What each loss and correction is, in words: `longtail explain` prints it.

use crate::{config::LossConfig, post_hoc::PostHoc};

/// What a loss reads besides logits and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Nothing.
    Nothing,
    /// Training images of each class.
    ImageCounts,
    /// Share of the training images that hold each class.
    ImageFrequencies,
    /// Boxes of each class in the training set.
    BoxCounts,
    /// Running sums that it keeps itself, in the checkpoint.
    Online,
}

impl Statistics {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::ImageCounts => "image counts",
            Self::ImageFrequencies => "image frequencies",
            Self::BoxCounts => "box counts",
            Self::Online => "running sums of its own",
        }
    }
}

/// A method in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Full name.
    pub name: &'static str,
    /// Where it is from.
    pub source: &'static str,
    /// The loss of a RoI with logits z and true class k; of a correction, the score of class c.
    pub formula: &'static str,
    /// Width K of the head; of a correction, what it takes.
    pub outputs: &'static str,
    /// What it reads.
    pub reads: Statistics,
    /// When to use it.
    pub when: &'static str,
}

impl LossConfig {
    /// The loss in words.
    pub fn description(&self) -> Description {
        let of = |name, source, formula, outputs, reads, when| Description {
            name,
            source,
            formula,
            outputs,
            reads,
            when,
        };
        use Statistics::{BoxCounts, ImageCounts, ImageFrequencies, Nothing, Online};
        match self {
            Self::SoftmaxCrossEntropy => of(
                "softmax cross-entropy",
                "–",
                "-log softmax(z)_k",
                "C + 1",
                Nothing,
                "the baseline, and stage 1 of every two-stage recipe",
            ),
            Self::SigmoidBce(_) => of(
                "sigmoid binary cross-entropy",
                "–",
                "-log p_k - Σ_{i≠k} log(1 - p_i)",
                "C, or C + 1 with a background logit",
                Nothing,
                "the baseline of the sigmoid losses; ACSL with ξ = 0",
            ),
            Self::Focal(_) => of(
                "focal loss",
                "Lin et al., ICCV 2017",
                "-Σ_i α_t (1 - p_t)^γ log p_t",
                "C, or C + 1 with a background logit",
                Nothing,
                "dense predictors with many easy negatives; weak on a long tail of a two-stage detector",
            ),
            Self::Acsl(acsl) => of(
                "adaptive class suppression loss",
                "Wang et al., CVPR 2021",
                "-log p_k - Σ_{i≠k} [p_i ≥ ξ] log(1 - p_i)",
                "C, or C + 1 with a background logit",
                match acsl.background {
                    crate::Background::FrequencySampled => ImageCounts,
                    crate::Background::Balanced => Online,
                    _ => Nothing,
                },
                "stage 2 on a long tail, look-alikes across frequency groups",
            ),
            Self::Bags(_) => of(
                "balanced group softmax",
                "Li et al., CVPR 2020",
                "Σ over groups of softmax cross-entropy within the group and its others",
                "2 + groups + C",
                BoxCounts,
                "stage 2 on a long tail, when good division points are known",
            ),
            Self::Eql(_) => of(
                "equalization loss",
                "Tan et al., CVPR 2020",
                "-log p_k - Σ_{i≠k} w_i log(1 - p_i), w_i = 0 on foreground if f_i < λ",
                "C, or C + 1 with a background logit",
                ImageFrequencies,
                "one-stage training on a long tail; the frequency threshold decides",
            ),
            Self::EqlV2(_) => of(
                "equalization loss v2",
                "Tan et al., CVPR 2021",
                "-(1 + α(1 - f(g_k))) log p_k - Σ_{i≠k} f(g_i) log(1 - p_i), f(g) = σ(γ(g - μ))",
                "C + 1",
                Online,
                "training from the start without class counts",
            ),
            Self::Seesaw(_) => of(
                "seesaw loss",
                "Wang et al., CVPR 2021",
                "-log softmax(z + log(M_k C_k))_k on foreground, and a two-way softmax of background",
                "C + 2",
                Online,
                "training from the start; strong with repeat-factor sampling",
            ),
            Self::EqualizedFocal(_) => of(
                "equalized focal loss",
                "Li et al., CVPR 2022",
                "-Σ_i (γ_i / γ_b) α_t (1 - p_t)^γ_i log p_t, γ_i = γ_b + s(1 - g_i)",
                "C, or C + 1 with a background logit",
                Online,
                "one-stage detectors on a long tail",
            ),
            Self::DropLoss(_) => of(
                "DropLoss",
                "Hsieh et al., AAAI 2021",
                "EQL, and on background RoIs terms with f_i < λ kept with the batch's share of such classes",
                "C, or C + 1 with a background logit",
                ImageFrequencies,
                "as EQL, where background suppresses the tail",
            ),
            Self::Federated(_) => of(
                "federated loss",
                "Zhou et al., 2021",
                "binary cross-entropy over the batch's classes and others drawn ∝ count^power",
                "C, or C + 1 with a background logit",
                ImageCounts,
                "very many classes, few of them verified in an image",
            ),
            Self::ClassBalanced(_) => of(
                "class-balanced softmax",
                "Cui et al., CVPR 2019",
                "-(1 - β) / (1 - β^n_k) log softmax(z)_k",
                "C + 1",
                BoxCounts,
                "a simple re-weighting baseline",
            ),
            Self::Ldam(_) => of(
                "label-distribution-aware margin",
                "Cao et al., NeurIPS 2019",
                "-log softmax(s(z - m_k))_k, m_k ∝ n_k^(-1/4)",
                "C + 1",
                BoxCounts,
                "classification-like heads; re-weighting best deferred",
            ),
            Self::BalancedSoftmax(_) => of(
                "balanced softmax (logit adjustment in training)",
                "Ren et al., NeurIPS 2020; Menon et al., ICLR 2021",
                "-log softmax(z + τ log n)_k",
                "C + 1",
                BoxCounts,
                "when test classes are balanced and training counts are known",
            ),
        }
    }
}

impl PostHoc {
    /// The correction in words.
    pub fn description(&self) -> Description {
        let of = |name, source, formula, reads, when| Description {
            name,
            source,
            formula,
            outputs: "C + 1, softmax",
            reads,
            when,
        };
        match self {
            Self::TauNorm { .. } => of(
                "τ-normalisation",
                "Kang et al., ICLR 2020",
                "softmax(z)_c with w_c / ‖w_c‖^τ in the place of w_c",
                Statistics::Nothing,
                "a classifier whose tail has small weights; no counts needed",
            ),
            Self::NorCal { .. } => of(
                "normalised calibration",
                "Pan et al., NeurIPS 2021",
                "e^{z_c} / n_c^γ, renormalised with the background",
                Statistics::ImageCounts,
                "a trained detector that must not be trained again",
            ),
            Self::LogitAdjustment { .. } => of(
                "logit adjustment",
                "Menon et al., ICLR 2021",
                "softmax(z - τ log(n / max n))_c, background untouched",
                Statistics::BoxCounts,
                "as NorCal, relative to the largest class",
            ),
        }
    }
}
