//! The warm start, and the two layouts of a layer's weights.
//!
//! A classifier starts from the columns of a trained one by what they are about: softmax weights are read as sigmoid
//! logits, as the published recipe does. Here a layer's weights are `[K × D]`, a row for each column of logits; the
//! detector's are `[D × K]`.

use longtail_loss::Column;

/// For each needed column the index of the trained one about the same thing; none if there is none. A needed column that is
/// `None` is about a class that the trained layer cannot know.
pub fn sources(needed: &[Option<Column>], trained: &[Column]) -> Vec<Option<usize>> {
    needed.iter().map(|column| trained.iter().position(|other| Some(*other) == *column)).collect()
}

/// Weights `[needed × width]` and bias of a layer that starts from a trained one of `weight [trained × width]`; zeros for
/// columns that the trained one does not have.
pub fn start(
    needed: &[Column],
    trained: &[Column],
    weight: &[f32],
    bias: &[f32],
    width: usize,
) -> (Vec<f32>, Vec<f32>) {
    let needed: Vec<_> = needed.iter().copied().map(Some).collect();
    let (mut started, mut started_bias) = (vec![0.0; needed.len() * width], vec![0.0; needed.len()]);
    for (column, source) in sources(&needed, trained).into_iter().enumerate() {
        if let Some(source) = source {
            started[column * width..][..width].copy_from_slice(&weight[source * width..][..width]);
            started_bias[column] = bias[source];
        }
    }
    (started, started_bias)
}

/// `[columns × rows]` of values `[rows × columns]`: from the detector's layout to ours, and back.
pub fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let mut result = Vec::with_capacity(values.len());
    for column in 0..columns {
        result.extend((0..rows).map(|row| values[row * columns + column]));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_start_from_those_about_the_same_thing() {
        let trained = [Column::Background, Column::Class(0), Column::Class(1)];
        let needed = [Column::Class(1), Column::Others(0), Column::Background];
        let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let (started, bias) = start(&needed, &trained, &weight, &[0.1, 0.2, 0.3], 2);
        assert_eq!(started, [5.0, 6.0, 0.0, 0.0, 1.0, 2.0]);
        assert_eq!(bias, [0.3, 0.0, 0.1]);
    }

    #[test]
    fn transposing_twice_changes_nothing() {
        let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
        assert_eq!(transposed(&values, 4), [0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]);
        assert_eq!(transposed(&transposed(&values, 4), 3), values);
        assert!(transposed(&[], 0).is_empty());
    }
}
