//! A linear classifier layer with its loss: value and all gradients on slices.
//!
//! | path | for | costs |
//! | --- | --- | --- |
//! | triples | sigmoid losses whose thresholds decide over every RoI | one product, plus 4·nnz·D |
//! | strips | all other sigmoid losses | three products |
//! | dense | any loss | three products, and room for Z and its gradient |
//!
//! A matrix product takes 2·N·K·D operations. ACSL with adaptive background is of the first kind.
//!
//! `Z = X Wᵀ + b` is stored on the dense path alone. For triples a tile of Z is made, compared with the
//! thresholds and dropped; what survives, one or two columns a RoI once a classifier has converged, becomes
//! (row, column, gradient) triples, and dX, dW, db are sparse products over them. Otherwise Z and its
//! gradient are made for a strip of RoIs at a time. Tiles, strips and sums are cut by shapes alone: the same
//! bits on any number of threads.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use crate::{
    classification::{ClassificationLoss, write_rows},
    error::LossError,
    numerics::{all_finite, softplus_and_sigmoid, vectorised},
    rule::Cells,
    running::GradientSums,
    state::{LossState, Workers},
    targets::{RoiTargets, clear, hide},
};

/// Rows and columns of a tile of Z: with its packed operands it stays in a core's cache.
const TILE_ROWS: usize = 256;
const TILE_COLUMNS: usize = 256;
/// Rows of a strip.
const STRIP: usize = 4 * TILE_ROWS;

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
        let mut logits = vec![0.0; self.rows() * self.bias.len()];
        self.write_outputs(&mut logits);
        logits
    }

    fn write_outputs(&self, logits: &mut [f32]) {
        let outputs = self.bias.len();
        logits.par_chunks_mut((TILE_ROWS * outputs).max(1)).enumerate().for_each(|(task, tile)| {
            let first = task * TILE_ROWS;
            self.tile(first..first + tile.len() / outputs, 0..outputs, tile);
        });
    }

    /// dW, `[K × D]`, and db, `[K]`, of the gradient `[N × K]` of the outputs.
    ///
    /// # Panics
    /// If the gradient has another length.
    pub fn parameter_gradients(&self, gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
        assert_eq!(gradient.len(), self.rows() * self.bias.len());
        let (mut weight, mut bias) = (vec![0.0; self.weight.len()], vec![0.0; self.bias.len()]);
        self.add_parameter_gradients(gradient, &mut weight, &mut bias, false);
        (weight, bias)
    }

    /// Adds dW and db; what dW holds so far counts if `add` says so.
    fn add_parameter_gradients(&self, gradient: &[f32], weight: &mut [f32], bias: &mut [f32], add: bool) {
        let (rows, outputs, width) = (self.rows(), self.bias.len(), self.width);
        weight.par_chunks_mut((TILE_COLUMNS * width).max(1)).enumerate().for_each(|(task, dw)| {
            let g = gradient.get(task * TILE_COLUMNS..).unwrap_or_default();
            let shape = [dw.len() / width, width, rows];
            product(dw, width, shape, (g, 1, outputs), (self.inputs, width, 1), add);
        });
        for row in gradient.chunks_exact(outputs.max(1)) {
            bias.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
        }
    }

    /// dX, `[N × D]`, of the gradient `[N × K]` of the outputs.
    fn write_input_gradient(&self, gradient: &[f32], inputs: &mut [f32]) {
        let (outputs, width) = (self.bias.len(), self.width);
        inputs.par_chunks_mut((TILE_ROWS * width).max(1)).enumerate().for_each(|(task, dx)| {
            let g = &gradient[task * TILE_ROWS * outputs..];
            let shape = [dx.len() / width, width, outputs];
            product(dx, width, shape, (g, outputs, 1), (self.weight, width, 1), false);
        });
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

/// `C (+)= A·B` for `[m, n, k]`; operands are (values, row stride, column stride), rows of C are `c_stride`
/// apart.
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
    // SAFETY: every index that the strides reach lies inside its slice, as asserted.
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

/// The sparse path, for rules that thresholds decide: tiles of Z become (row, column, gradient) triples.
/// `hidden` are RoIs and columns that take no part.
pub(crate) fn by_triples(
    cells: &Cells<'_>,
    layer: LinearLayer<'_>,
    hidden: &[(usize, usize)],
) -> Result<LinearEvaluation, LossError> {
    let outputs = cells.outputs();
    layer.check(cells.targets, outputs)?;
    let (rows, scales) = (layer.rows(), cells.targets.scales());
    let row_tiles = rows.div_ceil(TILE_ROWS);
    let column_tiles = outputs.div_ceil(TILE_COLUMNS);
    // Column tiles inside a row tile: its X stays packed in cache.
    let tiles: Vec<Result<(f64, Vec<Triple>), LossError>> = (0..row_tiles * column_tiles)
        .into_par_iter()
        .map_init(Vec::new, |tile: &mut Vec<f32>, task| {
            let (first_row, first) = (task / column_tiles * TILE_ROWS, task % column_tiles * TILE_COLUMNS);
            let in_rows = first_row..(first_row + TILE_ROWS).min(rows);
            let in_columns = first..(first + TILE_COLUMNS).min(outputs);
            let width = in_columns.len();
            tile.resize(in_rows.len() * width, 0.0);
            layer.tile(in_rows.clone(), in_columns.clone(), tile);
            check_tile(tile, width, first_row, first)?;
            let in_tile = hidden_in(hidden, &in_rows).filter(|(_, column)| in_columns.contains(column));
            let in_tile: Vec<_> = in_tile.map(|(row, column)| (row - first_row, column - first)).collect();
            hide(tile, width, &in_tile);
            let (mut sum, mut triples) = (0.0, Vec::new());
            vectorised(
                #[inline(always)]
                || {
                    for (row, z) in in_rows.clone().zip(tile.chunks_exact(width)) {
                        if scales[row] != 0.0 {
                            sum += f64::from(scales[row])
                                * triples_of_row(cells, row, first, scales[row], z, &mut triples);
                        }
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
    let (inputs, weight, bias) = products_of_triples(layer, &of_tiles, column_tiles);
    Ok(LinearEvaluation { value, inputs, weight, bias, kept, state: LossState::Stateless })
}

/// Unscaled loss of a row of a tile that begins at column `first`; its scaled gradients are appended.
#[inline(always)]
fn triples_of_row(
    cells: &Cells<'_>,
    row: usize,
    first: usize,
    scale: f32,
    z: &[f32],
    triples: &mut Vec<Triple>,
) -> f64 {
    let own = cells.own(row);
    let mut loss = 0.0;
    let mut add = |column: usize, gradient: f32| {
        triples.push(Triple { row: row as u32, column: column as u32, gradient: scale * gradient });
    };
    cells.each_kept(row, first, z, |column, weight| {
        if own != Some(column) {
            let (softplus, sigmoid) = softplus_and_sigmoid(z[column - first]);
            loss += f64::from(weight * softplus);
            add(column, weight * sigmoid);
        }
    });
    if let Some(own) = own.filter(|own| (first..first + z.len()).contains(own)) {
        let (softplus, sigmoid) = softplus_and_sigmoid(z[own - first]);
        loss += f64::from(softplus) - f64::from(z[own - first]);
        add(own, sigmoid - 1.0);
    }
    loss
}

/// dX, dW and db of the triples of every tile.
fn products_of_triples(
    layer: LinearLayer<'_>,
    of_tiles: &[Vec<Triple>],
    column_tiles: usize,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let width = layer.width;
    let mut inputs = layer.input_gradient();
    inputs.par_chunks_mut((TILE_ROWS * width).max(1)).enumerate().for_each(|(row_tile, dx)| {
        for triple in of_tiles[row_tile * column_tiles..(row_tile + 1) * column_tiles].iter().flatten() {
            let start = (triple.row as usize - row_tile * TILE_ROWS) * width;
            let w = &layer.weight[triple.column as usize * width..][..width];
            add_scaled(&mut dx[start..start + width], triple.gradient, w);
        }
    });
    let (mut weight, mut bias) = (vec![0.0; layer.weight.len()], vec![0.0; layer.bias.len()]);
    let parts = weight.par_chunks_mut((TILE_COLUMNS * width).max(1)).zip(bias.par_chunks_mut(TILE_COLUMNS));
    parts.enumerate().for_each(|(column_tile, (dw, db))| {
        for triple in of_tiles.iter().skip(column_tile).step_by(column_tiles).flatten() {
            let column = triple.column as usize - column_tile * TILE_COLUMNS;
            let x = &layer.inputs[triple.row as usize * width..][..width];
            add_scaled(&mut dw[column * width..][..width], triple.gradient, x);
            db[column] += triple.gradient;
        }
    });
    (inputs, weight, bias)
}

/// The path for all other rules: strips of RoIs, one after the other, each with the dense loss and products.
/// Returns the step's sums too, where the rule tracks some; the state is left to the caller.
pub(crate) fn by_strips(
    cells: &Cells<'_>,
    layer: LinearLayer<'_>,
    hidden: &[(usize, usize)],
) -> Result<(LinearEvaluation, GradientSums), LossError> {
    let (outputs, width) = (cells.outputs(), layer.width);
    layer.check(cells.targets, outputs)?;
    let (rows, scales) = (layer.rows(), cells.targets.scales());
    let (mut logits, mut gradient) = (Vec::new(), Vec::new());
    let (mut inputs, mut weight) = (layer.input_gradient(), vec![0.0; layer.weight.len()]);
    let (mut bias, mut kept, mut sums) = (vec![0.0; outputs], 0, GradientSums::of(cells));
    let mut partial = Vec::new();
    for first in (0..rows).step_by(STRIP) {
        let in_rows = first..(first + STRIP).min(rows);
        let strip = LinearLayer { inputs: &layer.inputs[first * width..in_rows.end * width], ..layer };
        logits.resize(in_rows.len() * outputs, 0.0);
        strip.write_outputs(&mut logits);
        check_tile(&logits, outputs, first, 0)?;
        let in_strip: Vec<_> =
            hidden_in(hidden, &in_rows).map(|(row, column)| (row - first, column)).collect();
        hide(&mut logits, outputs, &in_strip);
        gradient.clear();
        gradient.resize(logits.len(), 0.0);
        partial.extend(write_rows(
            &logits,
            &mut gradient,
            outputs,
            &scales[in_rows.clone()],
            #[inline(always)]
            |index, scale, z, gradient| cells.row(first + index, scale, z, gradient),
        ));
        sums.add(cells, first, &logits);
        clear(&mut gradient, outputs, &in_strip);
        kept += gradient.iter().filter(|g| **g != 0.0).count();
        if !layer.frozen_inputs {
            strip.write_input_gradient(&gradient, &mut inputs[first * width..in_rows.end * width]);
        }
        strip.add_parameter_gradients(&gradient, &mut weight, &mut bias, first > 0);
    }
    let value = partial.iter().sum();
    Ok((LinearEvaluation { value, inputs, weight, bias, kept, state: LossState::Stateless }, sums))
}

/// Those of the hidden cells that lie in some rows.
fn hidden_in<'h>(
    hidden: &'h [(usize, usize)],
    rows: &std::ops::Range<usize>,
) -> impl Iterator<Item = (usize, usize)> + 'h {
    let [from, to] = [rows.start, rows.end].map(|end| hidden.partition_point(|(row, _)| *row < end));
    hidden[from..to].iter().copied()
}

/// Refuses logits that are not finite; the tile begins at a row and a column.
fn check_tile(tile: &[f32], width: usize, first_row: usize, first: usize) -> Result<(), LossError> {
    if all_finite(tile) {
        return Ok(());
    }
    let bad = tile.iter().position(|z| !z.is_finite()).unwrap_or(0);
    Err(LossError::NotFinite { row: first_row + bad / width, column: first + bad % width, value: tile[bad] })
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
    let found = loss.evaluate(&layer.outputs(), targets, state, workers)?;
    let gradient = found.gradient;
    let mut inputs = layer.input_gradient();
    if !layer.frozen_inputs {
        layer.write_input_gradient(&gradient, &mut inputs);
    }
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
