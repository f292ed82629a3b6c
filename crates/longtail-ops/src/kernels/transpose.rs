//! Transposition of matrices that lie in memory with strides.

/// Writes `source [rows, columns]`, rows `source_row` apart, as `target [columns, rows]`, rows `target_row`
/// apart; in squares of four.
///
/// # Safety
/// All elements that the shapes and strides name must lie in memory that may be read, and those of the target
/// be written by nobody else.
pub(super) unsafe fn transpose(
    [rows, columns]: [usize; 2],
    source: *const f32,
    source_row: usize,
    target: *mut f32,
    target_row: usize,
) {
    let (high, wide) = (rows / 4 * 4, columns / 4 * 4);
    // SAFETY: every element is one that the shapes and strides name.
    unsafe {
        for (first_row, first_column) in blocks(high, wide) {
            for row in (first_row..high.min(first_row + BLOCK)).step_by(4) {
                for column in (first_column..wide.min(first_column + BLOCK)).step_by(4) {
                    let (source, target) =
                        (source.add(row * source_row + column), target.add(column * target_row + row));
                    square(source, source_row, target, target_row);
                }
            }
        }
        for row in 0..rows {
            let first = if row < high { wide } else { 0 };
            for column in first..columns {
                *target.add(column * target_row + row) = *source.add(row * source_row + column);
            }
        }
    }
}

/// Rows and columns that are done before the next: a cache line of both sides.
const BLOCK: usize = 16;

fn blocks(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(BLOCK).flat_map(move |row| (0..columns).step_by(BLOCK).map(move |column| (row, column)))
}

/// Four rows of four values. The compiler makes one move a value of plain code.
///
/// # Safety
/// As [`transpose`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn square(source: *const f32, source_row: usize, target: *mut f32, target_row: usize) {
    use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};
    // SAFETY: SSE is part of every x86-64; the elements by the caller's promise.
    unsafe {
        let load = |row: usize| _mm_loadu_ps(source.add(row * source_row));
        let (mut a, mut b, mut c, mut d) = (load(0), load(1), load(2), load(3));
        _MM_TRANSPOSE4_PS(&mut a, &mut b, &mut c, &mut d);
        for (row, values) in [a, b, c, d].into_iter().enumerate() {
            _mm_storeu_ps(target.add(row * target_row), values);
        }
    }
}

/// Four rows of four values.
///
/// # Safety
/// As [`transpose`].
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
unsafe fn square(source: *const f32, source_row: usize, target: *mut f32, target_row: usize) {
    for row in 0..4 {
        for column in 0..4 {
            // SAFETY: by the caller's promise.
            unsafe { *target.add(column * target_row + row) = *source.add(row * source_row + column) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_rows_for_every_remainder_of_squares_and_blocks() {
        for rows in [1, 3, 4, 5, 16, 18, 23, 33] {
            for columns in [1, 2, 4, 7, 16, 17, 35] {
                let (source_row, target_row) = (columns + 3, rows + 2);
                let source: Vec<f32> = (0..rows * source_row).map(|i| i as f32).collect();
                let mut target = vec![-1.0; columns * target_row];
                // SAFETY: both hold their rows with the gaps between them.
                unsafe {
                    transpose([rows, columns], source.as_ptr(), source_row, target.as_mut_ptr(), target_row)
                };
                for (place, value) in target.iter().enumerate() {
                    let (row, column) = (place % target_row, place / target_row);
                    let expected = if row < rows { source[row * source_row + column] } else { -1.0 };
                    assert_eq!(*value, expected, "{rows} x {columns}: {row}, {column}");
                }
            }
        }
    }
}
