//! Products of matrices that lie in memory with strides, on the thread that asks for them.

use gemm::{Parallelism, gemm};

/// A factor: where it begins, and how far its rows and its columns are apart.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    pub start: *const f32,
    pub row: usize,
    pub column: usize,
}

impl Factor {
    /// Values of a row side by side, rows `row` apart.
    pub(super) fn rows(start: *const f32, row: usize) -> Self {
        Self { start, row, column: 1 }
    }

    /// The matrix whose rows are the columns of this one.
    pub(super) fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }
}

/// `target = left · right`, or added to what is there. `left [rows, inner]`, `right [inner, columns]`; values
/// of a row of the target lie side by side, its rows are `target_row` apart.
///
/// # Safety
/// All elements that the shapes and strides name must lie in memory that may be read, and those of the target
/// be written by nobody else.
pub(super) unsafe fn multiply(
    [rows, columns, inner]: [usize; 3],
    target: *mut f32,
    target_row: usize,
    add: bool,
    left: Factor,
    right: Factor,
) {
    // SAFETY: by the caller's promise.
    unsafe {
        gemm(
            rows,
            columns,
            inner,
            target,
            1,
            target_row as isize,
            add,
            left.start,
            left.column as isize,
            left.row as isize,
            right.start,
            right.column as isize,
            right.row as isize,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
