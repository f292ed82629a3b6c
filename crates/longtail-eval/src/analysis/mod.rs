//! What lies behind the numbers.
//!
//! | module | purpose |
//! | --- | --- |
//! | [`comparison`] | detectors against each other, with intervals from resampled images |
//! | [`calibration`] | how far scores are from the share of right detections |
//! | [`confusions`] | which classes claim each other's objects |
//! | [`errors`] | what kinds of errors there are, and what each costs |
//! | [`matrix`] | the confusion matrix at one score |
//! | [`operating`] | precision, recall and F1 at one score, the best score, and whole curves |
//! | [`rescoring`] | scores changed after the fact, fitted on one half of the images, measured on the other |

pub mod calibration;
pub mod comparison;
pub mod confusions;
pub mod errors;
pub mod matrix;
pub mod operating;
pub mod rescoring;
