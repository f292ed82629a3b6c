//! A detector that begins with the weights of a file.

use std::{collections::BTreeMap, path::Path};

use burn::tensor::TensorData;
use longtail_bank::ClassTable;
use longtail_data::Transform;
use longtail_detect::FasterRcnn;
use longtail_head::columns::sources;
use longtail_loss::Column;

use crate::{
    checkpoint::Checkpoint,
    error::TrainError,
    parameters::{TensorMap, restore, snapshot},
};

const CLASSIFIER: &str = ".classifier.";
const REGRESSION: &str = ".regression.";
const REGRESSION_HIDDEN: &str = ".regression_hidden.";
/// What the box regression reads in a detector without a hidden layer of its own for it.
const SHARED_HIDDEN: &str = ".hidden.1.";

/// The detector with every tensor that the checkpoint at `path` has for it. Where the classes differ, those of the
/// same name are taken and the others keep their initial weights. A box regression's own hidden layer begins with the
/// shared one of a file without it. Also what happened, in sentences.
///
/// # Errors
/// If the file cannot be read or holds a tensor of another shape.
pub(crate) fn start(
    detector: FasterRcnn,
    path: &Path,
    classes: &ClassTable,
    columns: &[Column],
    transform: &Transform,
) -> Result<(FasterRcnn, Vec<String>), TrainError> {
    let refused = |reason: String| TrainError::Weights { path: path.to_owned(), reason };
    let checkpoint = Checkpoint::read(path)?;
    let theirs = checkpoint.description.as_ref().map(|d| &d.classes).filter(|c| !c.is_empty());
    let map = theirs.map(|theirs| by_name(theirs, classes));
    let initial = snapshot(&detector);
    let mut merged = TensorMap::new();
    let (mut loaded, mut missing, mut resized) = (0, Vec::new(), false);
    for (name, own) in &initial {
        let shared = || {
            let (head, rest) = name.split_once(REGRESSION_HIDDEN)?;
            checkpoint.model.get(&format!("{head}{SHARED_HIDDEN}{rest}"))
        };
        let Some(found) = checkpoint.model.get(name).or_else(shared) else {
            missing.push(name.as_str());
            merged.insert(name.clone(), own.clone());
            continue;
        };
        let sources = map.as_ref().filter(|(_, same)| !same).and_then(|(map, _)| {
            if name.contains(CLASSIFIER) {
                Some(sources(&in_the_file(columns, map), &columns_of(theirs.map_or(0, |c| c.len()))))
            } else if name.contains(REGRESSION) && own.shape().to_vec().last() != Some(&4) {
                Some(map.iter().flat_map(|c| (0..4).map(move |d| c.map(|c| c * 4 + d))).collect())
            } else {
                None
            }
        });
        let taken = match sources {
            Some(sources) => {
                resized = true;
                take_columns(found, own, &sources)
            }
            None if own.shape() == found.shape() => Some(found.clone()),
            None => None,
        };
        let taken = taken.ok_or_else(|| {
            let (found, own) = (found.shape().to_vec(), own.shape().to_vec());
            refused(format!(
                "`{name}` has shape {found:?}, the recipe's detector {own:?}; make `detector` fit"
            ))
        })?;
        loaded += 1;
        merged.insert(name.clone(), taken);
    }
    if loaded == 0 {
        return Err(refused("holds no tensor of the recipe's detector".into()));
    }
    let unused = checkpoint.model.keys().filter(|name| !initial.contains_key(*name)).count();
    let detector = restore(detector, &merged).map_err(refused)?;
    let mut notes = vec![format!("weights: {loaded} tensors from {}", path.display())];
    if !missing.is_empty() {
        let parts: BTreeMap<&str, usize> = missing.iter().fold(BTreeMap::new(), |mut parts, name| {
            *parts.entry(name.split('.').next().unwrap_or(name)).or_default() += 1;
            parts
        });
        let parts: Vec<String> = parts.iter().map(|(part, count)| format!("{part} ({count})")).collect();
        notes.push(format!("weights: not in the file, left at their initial values: {}", parts.join(", ")));
    }
    if unused > 0 {
        notes.push(format!("weights: {unused} tensors of the file do not belong to the recipe's detector"));
    }
    if let (true, Some((map, _)), Some(theirs)) = (resized, &map, theirs) {
        let (from, to, named) = (theirs.len(), classes.len(), map.iter().flatten().count());
        notes.push(format!(
            "weights: classifier resized from {from} to {to} classes, {named} of the same name"
        ));
    }
    if let Some(description) = &checkpoint.description {
        let trained = &description.transform;
        if (trained.mean, trained.std) != (transform.mean, transform.std) {
            notes.push(format!(
                "weights: trained on images of mean {:?} and deviation {:?}, but `transform` has {:?} and {:?}",
                trained.mean, trained.std, transform.mean, transform.std
            ));
        }
    }
    Ok((detector, notes))
}

/// For each class the file's class of the same name; and whether all are the same.
fn by_name(theirs: &ClassTable, classes: &ClassTable) -> (Vec<Option<usize>>, bool) {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-'], " ");
    let labels: BTreeMap<String, usize> =
        theirs.iter().enumerate().map(|(label, class)| (plain(&class.name), label)).collect();
    let map: Vec<_> = classes.iter().map(|class| labels.get(&plain(&class.name)).copied()).collect();
    let same = map.len() == theirs.len() && map.iter().enumerate().all(|(label, c)| *c == Some(label));
    (map, same)
}

/// The columns of a file with so many classes: background first.
fn columns_of(classes: usize) -> Vec<Column> {
    std::iter::once(Column::Background).chain((0..classes).map(Column::Class)).collect()
}

/// Our columns in the file's classes, of which `map` has one for each of ours; none for a class that it does not have.
fn in_the_file(columns: &[Column], map: &[Option<usize>]) -> Vec<Option<Column>> {
    let theirs = |column: &Column| match *column {
        Column::Class(class) => map.get(class).copied().flatten().map(Column::Class),
        other => Some(other),
    };
    columns.iter().map(theirs).collect()
}

/// Columns of a matrix or entries of a vector: the file's, or our initial ones.
fn take_columns(file: &TensorData, own: &TensorData, sources: &[Option<usize>]) -> Option<TensorData> {
    let columns = |data: &TensorData| data.shape().to_vec().last().copied();
    let (theirs, ours) = (columns(file)?, columns(own)?);
    let (from, to) = (file.try_to_vec::<f32>().ok()?, own.try_to_vec::<f32>().ok()?);
    let fits = ours == sources.len() && from.len() / theirs.max(1) == to.len() / ours.max(1);
    if !fits || sources.iter().flatten().any(|&source| source >= theirs) {
        return None;
    }
    let rows = from.chunks_exact(theirs).zip(to.chunks_exact(ours));
    let values: Vec<f32> = rows
        .flat_map(|(from, to)| {
            sources.iter().enumerate().map(|(i, s)| s.map_or(to[i], |source| from[source]))
        })
        .collect();
    Some(TensorData::new(values, own.shape().to_vec()))
}

#[cfg(test)]
mod tests {
    use longtail_bank::Class;

    use super::*;

    #[test]
    fn columns_follow_the_names_of_their_classes() {
        let table = |names: &[&str]| names.iter().map(|name| Class::named(7, *name)).collect::<ClassTable>();
        let theirs = table(&["traffic light", "cat"]);
        let (map, same) = by_name(&theirs, &table(&["cat", "dog", "Traffic_light"]));
        assert_eq!((map.as_slice(), same), (&[Some(1), None, Some(0)][..], false));
        assert!(by_name(&theirs, &table(&["traffic-light", "cat"])).1);
        let columns = [Column::Background, Column::Class(0), Column::Class(1), Column::Class(2)];
        let sources = sources(&in_the_file(&columns, &map), &columns_of(theirs.len()));
        assert_eq!(sources, [Some(0), Some(2), None, Some(1)]);
        let file = TensorData::new(vec![0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0], [2, 3]);
        let own = TensorData::new(vec![-1.0_f32; 8], [2, 4]);
        let taken = take_columns(&file, &own, &sources).unwrap().try_to_vec::<f32>().unwrap();
        assert_eq!(taken, [0.0, 2.0, -1.0, 1.0, 3.0, 5.0, -1.0, 4.0]);
        assert!(take_columns(&file, &TensorData::new(vec![0.0_f32; 4], [1, 4]), &sources).is_none());
    }
}
