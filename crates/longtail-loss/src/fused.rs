//! A linear classifier layer with its loss: value and all gradients on slices.
//!
//! Any loss can take the dense path: three matrix products of 2·N·K·D operations around the loss. ACSL with adaptive
//! background takes the sparse one, in which `Z = X Wᵀ + b` is never stored. A tile of Z is made, compared with the threshold and dropped; what survives, one or two columns a RoI once a
//! classifier has converged, becomes (row, column, gradient) triples, and dX, dW, db are sparse products over them. That
//! costs one matrix product, plus 4·nnz·D. Tiles and sums are cut by
//! shapes alone: the same bits on any number of threads.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use crate::{
    classification::{ClassificationLoss, LossState, Workers},
    error::LossError,
    methods::acsl::{Acsl, each_at_least},
    numerics::{softplus_and_sigmoid, vectorised},
    targets::{RoiTargets, clear, hide},
};

/// Rows and columns of a tile of Z: with its packed operands it stays in a core's cache.
const TILE_ROWS: usize = 256;
const TILE_COLUMNS: usize = 256;

/// A linear layer `[N, D] → [N, K]` on slices.
#[derive(Debug, Clone, Copy)]
pub struct LinearLayer<'a> {
    /// Features X, `[N × D]`.
    pub inputs: &'a [f32],
    /// Weights W, `[K × D]`.
    pub weight: &'a [f32],
    /// Bias b, `[K]`.
    pub bias: &'a [f32],
    /// D.
    pub width: usize,
    /// Whether nothing below the layer is trained: dX is left out.
    pub frozen_inputs: bool,
}

/// Loss of a linear layer's outputs with all gradients.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearEvaluation {
    /// The loss.
    pub value: f64,
    /// dX, `[N × D]`; empty for frozen inputs.
    pub inputs: Vec<f32>,
    /// dW, `[K × D]`.
    pub weight: Vec<f32>,
    /// db, `[K]`.
    pub bias: Vec<f32>,
    /// Non-zero gradients of logits.
    pub kept: usize,
    /// The loss's running statistics after the step.
    pub state: LossState,
}

/// A gradient of a logit.
#[derive(Debug, Clone, Copy)]
struct Triple {
    row: u32,
    column: u32,
    gradient: f32,
}

impl LinearLayer<'_> {
    /// Z, `[N × K]`.
    pub fn outputs(&self) -> Vec<f32> {
        let outputs = self.bias.len();
        let mut logits = vec![0.0; self.rows() * outputs];
        logits.par_chunks_mut((TILE_ROWS * outputs).max(1)).enumerate().for_each(|(task, tile)| {
            let first = task * TILE_ROWS;
            self.tile(first..first + tile.len() / outputs, 0..outputs, tile);
        });
        logits
    }

    /// dW, `[K × D]`, and db, `[K]`, of the gradient `[N × K]` of the outputs.
    ///
    /// # Panics
    /// If the gradient has another length.
    pub fn parameter_gradients(&self, gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (rows, outputs, width) = (self.rows(), self.bias.len(), self.width);
        assert_eq!(gradient.len(), rows * outputs);
        let mut weight = vec![0.0; self.weight.len()];
        weight.par_chunks_mut((TILE_COLUMNS * width).max(1)).enumerate().for_each(|(task, dw)| {
            let g = gradient.get(task * TILE_COLUMNS..).unwrap_or_default();
            let shape = [dw.len() / width, width, rows];
            product(dw, width, shape, (g, 1, outputs), (self.inputs, width, 1), false);
        });
        let mut bias = vec![0.0; outputs];
        for row in gradient.chunks_exact(outputs.max(1)) {
            bias.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
        (weight, bias)
    }

    fn rows(&self) -> usize {
        self.inputs.len().checked_div(self.width).unwrap_or(0)
    }

    fn check(&self, targets: &RoiTargets, outputs: usize) -> Result<(), LossError> {
        let fits = self.inputs.len() == targets.len() * self.width
            && self.weight.len() == outputs * self.width
            && self.bias.len() == outputs;
        if fits {
            return Ok(());
        }
        let found = [self.inputs.len(), self.weight.len(), self.bias.len()];
        let expected = [targets.len() * self.width, outputs * self.width, outputs];
        Err(LossError::LayerShape { found, expected })
    }

    /// Zeros for dX.
    fn input_gradient(&self) -> Vec<f32> {
        vec![0.0; if self.frozen_inputs { 0 } else { self.inputs.len() }]
    }

    /// A tile of Z with rows of `columns.len()` values.
    fn tile(&self, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>, tile: &mut [f32]) {
        let width = columns.len();
        for row in tile.chunks_exact_mut(width) {
            row.copy_from_slice(&self.bias[columns.clone()]);
        }
        let (x, w) = (&self.inputs[rows.start * self.width..], &self.weight[columns.start * self.width..]);
        product(tile, width, [rows.len(), width, self.width], (x, self.width, 1), (w, 1, self.width), true);
    }
}

/// `C (+)= A·B` for `[m, n, k]`; operands are (values, row stride, column stride), rows of C are `c_stride` apart.
fn product(
    c: &mut [f32],
    c_stride: usize,
    [m, n, k]: [usize; 3],
    a: (&[f32], usize, usize),
    b: (&[f32], usize, usize),
    add: bool,
) {
    let last = |(values, rs, cs): (&[f32], usize, usize), rows: usize, columns: usize| {
        assert!(rows * columns == 0 || (rows - 1) * rs + (columns - 1) * cs < values.len());
    };
    last(a, m, k);
    last(b, k, n);
    assert!(m * n == 0 || (m - 1) * c_stride + n <= c.len());
    // SAFETY: every place that the strides reach lies inside its slice, as asserted.
    unsafe {
        gemm(
            m,
            n,
            k,
            c.as_mut_ptr(),
            1,
            c_stride as isize,
            add,
            a.0.as_ptr(),
            a.2 as isize,
            a.1 as isize,
            b.0.as_ptr(),
            b.2 as isize,
            b.1 as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

impl Acsl {
    /// The sparse path; `threshold` is the logit from which a column is kept.
    pub(crate) fn evaluate_linear_sparse(
        &self,
        layer: LinearLayer<'_>,
        targets: &RoiTargets,
        threshold: f32,
    ) -> Result<LinearEvaluation, LossError> {
        let outputs = self.num_outputs(targets.num_classes());
        layer.check(targets, outputs)?;
        let (rows, scales) = (layer.rows(), targets.scales());
        let hidden = targets.hidden(|| self.columns(targets.num_classes()));
        let row_tiles = rows.div_ceil(TILE_ROWS);
        let column_tiles = outputs.div_ceil(TILE_COLUMNS);
        // Column tiles inside a row tile: its X stays packed in cache.
        let tiles: Vec<Result<(f64, Vec<Triple>), LossError>> = (0..row_tiles * column_tiles)
            .into_par_iter()
            .map_init(Vec::new, |tile: &mut Vec<f32>, task| {
                let (first_row, first) =
                    (task / column_tiles * TILE_ROWS, task % column_tiles * TILE_COLUMNS);
                let in_rows = first_row..(first_row + TILE_ROWS).min(rows);
                let in_columns = first..(first + TILE_COLUMNS).min(outputs);
                let width = in_columns.len();
                tile.resize(in_rows.len() * width, 0.0);
                layer.tile(in_rows.clone(), in_columns.clone(), tile);
                let bad = vectorised(
                    #[inline(always)]
                    || crate::numerics::sum_of(tile, |z| z * 0.0) != 0.0,
                );
                if bad && let Some(place) = tile.iter().position(|z| !z.is_finite()) {
                    let (row, column) = (first_row + place / width, first + place % width);
                    return Err(LossError::NotFinite { row, column, value: tile[place] });
                }
                let from = hidden.partition_point(|(row, _)| *row < in_rows.start);
                let of_tile = hidden[from..].iter().take_while(|(row, _)| *row < in_rows.end);
                let of_tile: Vec<(usize, usize)> = of_tile
                    .filter(|(_, column)| in_columns.contains(column))
                    .map(|(row, column)| (row - in_rows.start, column - first))
                    .collect();
                hide(tile, width, &of_tile);
                let (mut sum, mut triples) = (0.0, Vec::new());
                vectorised(
                    #[inline(always)]
                    || {
                        for (row, z) in in_rows.clone().zip(tile.chunks_exact(width)) {
                            if scales[row] == 0.0 {
                                continue;
                            }
                            let own = self.own_column(targets.labels()[row]);
                            let mut loss = 0.0;
                            let mut add = |column: usize, gradient: f32| {
                                let (row, column) = (row as u32, column as u32);
                                triples.push(Triple {
                                    row,
                                    column,
                                    gradient: scales[row as usize] * gradient,
                                });
                            };
                            each_at_least(z, threshold, |place| {
                                if own != Some(first + place) {
                                    let (softplus, sigmoid) = softplus_and_sigmoid(z[place]);
                                    loss += f64::from(softplus);
                                    add(first + place, sigmoid);
                                }
                            });
                            if let Some(own) = own.filter(|own| in_columns.contains(own)) {
                                let (softplus, sigmoid) = softplus_and_sigmoid(z[own - first]);
                                loss += f64::from(softplus) - f64::from(z[own - first]);
                                add(own, sigmoid - 1.0);
                            }
                            sum += f64::from(scales[row]) * loss;
                        }
                    },
                );
                Ok((sum, triples))
            })
            .collect();
        let mut value = 0.0;
        let mut of_tiles = Vec::with_capacity(tiles.len());
        for tile in tiles {
            let (sum, triples) = tile?;
            value += sum;
            of_tiles.push(triples);
        }
        let kept = of_tiles.iter().map(Vec::len).sum();

        let mut inputs = layer.input_gradient();
        inputs.par_chunks_mut(TILE_ROWS * layer.width).enumerate().for_each(|(row_tile, dx)| {
            for triple in of_tiles[row_tile * column_tiles..(row_tile + 1) * column_tiles].iter().flatten() {
                let place = (triple.row as usize - row_tile * TILE_ROWS) * layer.width;
                let w = &layer.weight[triple.column as usize * layer.width..][..layer.width];
                add_scaled(&mut dx[place..place + layer.width], triple.gradient, w);
            }
        });
        let (mut weight, mut bias) = (vec![0.0; layer.weight.len()], vec![0.0; outputs]);
        weight
            .par_chunks_mut(TILE_COLUMNS * layer.width)
            .zip(bias.par_chunks_mut(TILE_COLUMNS))
            .enumerate()
            .for_each(|(column_tile, (dw, db))| {
                for row_tile in 0..row_tiles {
                    for triple in &of_tiles[row_tile * column_tiles + column_tile] {
                        let column = triple.column as usize - column_tile * TILE_COLUMNS;
                        let x = &layer.inputs[triple.row as usize * layer.width..][..layer.width];
                        let place = column * layer.width;
                        add_scaled(&mut dw[place..place + layer.width], triple.gradient, x);
                        db[column] += triple.gradient;
                    }
                }
            });
        Ok(LinearEvaluation { value, inputs, weight, bias, kept, state: LossState::Stateless })
    }
}

/// The dense path, for any loss.
pub(crate) fn evaluate_linear_dense<L: ClassificationLoss + ?Sized>(
    loss: &L,
    layer: LinearLayer<'_>,
    targets: &RoiTargets,
    state: &LossState,
    workers: &dyn Workers,
) -> Result<LinearEvaluation, LossError> {
    let outputs = loss.num_outputs(targets.num_classes());
    layer.check(targets, outputs)?;
    let width = layer.width;
    let hidden = targets.hidden(|| loss.columns(targets.num_classes()));
    let mut logits = layer.outputs();
    hide(&mut logits, outputs, &hidden);
    let found = loss.evaluate(&logits, targets, state, workers)?;
    let mut gradient = found.gradient;
    clear(&mut gradient, outputs, &hidden);
    let mut inputs = layer.input_gradient();
    inputs.par_chunks_mut(TILE_ROWS * width).enumerate().for_each(|(task, dx)| {
        let g = &gradient[task * TILE_ROWS * outputs..];
        let shape = [dx.len() / width, width, outputs];
        product(dx, width, shape, (g, outputs, 1), (layer.weight, width, 1), false);
    });
    let (weight, bias) = layer.parameter_gradients(&gradient);
    let kept = gradient.iter().filter(|g| **g != 0.0).count();
    Ok(LinearEvaluation { value: found.value, inputs, weight, bias, kept, state: found.state })
}

/// `target += factor · values`.
fn add_scaled(target: &mut [f32], factor: f32, values: &[f32]) {
    vectorised(
        #[inline(always)]
        || target.iter_mut().zip(values).for_each(|(target, value)| *target += factor * value),
    );
}
