//! Which candidate is taken: the best over all folds, or the shortest training that is as good.

use super::record::{Candidate, Rule};

/// Index of the chosen candidate; none if none has a value.
pub fn choose(candidates: &[Candidate], folds: usize, rule: Rule) -> Option<usize> {
    let complete = || candidates.iter().enumerate().filter(|(_, c)| c.fold_values.len() == folds);
    let valued = || complete().filter_map(|(index, c)| Some((index, c, c.value?)));
    // The first of equals, which are in the order of the candidates.
    let (best, of_best, _) = valued().reduce(|a, b| if b.2 > a.2 { b } else { a })?;
    match rule {
        Rule::Best => Some(best),
        Rule::OneStandardError => {
            let good = valued().filter(|(index, candidate, _)| {
                *index == best || within_one_error(&of_best.fold_values, &candidate.fold_values)
            });
            good.min_by(|a, b| a.1.movement.total_cmp(&b.1.movement)).map(|(index, _, _)| index)
        }
    }
}

/// Whether the mean of the differences is at most their standard error.
fn within_one_error(best: &[Option<f64>], other: &[Option<f64>]) -> bool {
    let differences: Option<Vec<f64>> = best.iter().zip(other).map(|(b, o)| Some((*b)? - (*o)?)).collect();
    let Some(differences) = differences else { return false };
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let variance = differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (count - 1.0);
    mean <= (variance / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(folds: &[f64], movement: f64) -> Candidate {
        Candidate {
            value: Some(folds.iter().sum::<f64>() / folds.len() as f64),
            fold_values: folds.iter().map(|value| Some(*value)).collect(),
            movement,
            ..Candidate::default()
        }
    }

    #[test]
    fn the_least_movement_within_one_error_is_taken() {
        let candidates = [
            candidate(&[0.30, 0.20, 0.25], 5.0),
            // Better in one fold, worse in two: 0.0033 behind, with an error of 0.0088.
            candidate(&[0.31, 0.19, 0.24], 2.0),
            // Behind by the same in each fold: certain.
            candidate(&[0.29, 0.19, 0.24], 1.0),
            // Best of one fold, and not trained on the others.
            candidate(&[0.50], 0.1),
        ];
        assert_eq!(choose(&candidates, 3, Rule::Best), Some(0));
        assert_eq!(choose(&candidates, 3, Rule::OneStandardError), Some(1));
        assert_eq!(choose(&candidates[3..], 3, Rule::Best), None);
        let equal = [candidate(&[0.2, 0.3], 3.0), candidate(&[0.2, 0.3], 2.0)];
        assert_eq!(choose(&equal, 2, Rule::Best), Some(0));
    }
}
