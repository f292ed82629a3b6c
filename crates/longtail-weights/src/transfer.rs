//! Tensors from a file to a detector and back: renamed, transposed, the background moved, the classifier resized.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    error::WeightsError,
    file::WeightFile,
    names::{Background, Change, Naming, Unread},
};

/// Numbers row by row, with their shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sides.
    pub shape: Vec<usize>,
    /// Numbers.
    pub values: Vec<f32>,
}

/// Arrays by our path or by a file's name.
pub type Arrays = BTreeMap<String, Array>;

/// What became of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Taken as it is, or with its numbers in another order.
    Loaded,
    /// Taken for the classes that both have.
    Resized,
    /// In the file, not needed.
    Skipped,
    /// Needed, not in the file.
    Missing,
}

impl Fate {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::Resized => "resized",
            Self::Skipped => "skipped",
            Self::Missing => "missing",
        }
    }
}

/// A line of the summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What became of it.
    pub fate: Fate,
    /// Name in the file.
    pub theirs: Option<String>,
    /// Our path.
    pub ours: Option<String>,
    /// Shape in the file, or the one that is needed.
    pub shape: Vec<usize>,
    /// Why, where it is not plain.
    pub note: String,
}

/// What was taken from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// By our path.
    pub arrays: Arrays,
    /// A line for every tensor of either side.
    pub rows: Vec<Row>,
}

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The first convolution is on blue, green, red, and is turned to red, green, blue.
    pub bgr: bool,
    /// For each of our classes the file's class; without, both have the same.
    pub classes: Option<Vec<Option<usize>>>,
}

/// Takes the tensors of `wanted` (by our path; its values serve classes that the file lacks) from a file.
///
/// # Errors
/// If the file holds another model than those that are read, a tensor has a shape that is not the detector's, or holds a number that is not finite.
pub fn import(
    file: &WeightFile,
    naming: Naming,
    wanted: &Arrays,
    options: &ImportOptions,
) -> Result<Transfer, WeightsError> {
    let weights = file.weights()?;
    if let Some(unread) = Unread::detect(weights.keys().copied()) {
        return Err(WeightsError::Unread(unread));
    }
    let mut transfer = Transfer { arrays: Arrays::new(), rows: Vec::new() };
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for (path, initial) in wanted {
        let source = naming.source(path);
        let found = source
            .as_ref()
            .and_then(|source| source.all_names().filter_map(|name| weights.get_key_value(name)).next());
        let (Some(source), Some((&name, tensor))) = (source, found) else {
            let note = "keeps its initial values".into();
            let (ours, shape) = (Some(path.clone()), initial.shape.clone());
            transfer.rows.push(Row { fate: Fate::Missing, theirs: None, ours, shape, note });
            continue;
        };
        used.insert(name);
        let refused = |reason: String| WeightsError::Tensor { name: name.to_owned(), reason };
        if let Some(obstacle) = tensor.dtype().obstacle() {
            return Err(refused(format!("({}) {obstacle}", tensor.dtype().name())));
        }
        let theirs = Array { shape: tensor.shape().to_vec(), values: tensor.to_f32() };
        if let Some(index) = theirs.values.iter().position(|value| !value.is_finite()) {
            return Err(refused(format!("holds {} at element {index}", theirs.values[index])));
        }
        let (array, fate, note) = to_ours(source.change, &theirs, initial, options).map_err(refused)?;
        transfer.arrays.insert(path.clone(), array);
        let (theirs_name, ours) = (Some(name.to_owned()), Some(path.clone()));
        transfer.rows.push(Row { fate, theirs: theirs_name, ours, shape: theirs.shape, note });
    }
    for (name, tensor) in &weights {
        if !used.contains(name) {
            let note = naming.reason_unused(name).into();
            let (theirs, shape) = (Some((*name).to_owned()), tensor.shape().to_vec());
            transfer.rows.push(Row { fate: Fate::Skipped, theirs, ours: None, shape, note });
        }
    }
    let other = |named: &&crate::file::Named| named.group != file.group;
    for named in file.tensors.iter().filter(other) {
        let theirs = Some(format!("{}.{}", named.group, named.name));
        let (shape, note) = (named.tensor.shape().to_vec(), "lies outside the weights".into());
        transfer.rows.push(Row { fate: Fate::Skipped, theirs, ours: None, shape, note });
    }
    Ok(transfer)
}

/// The arrays under a convention's names, for export. Those without a name there come back as the second value.
///
/// # Errors
/// If a shape does not fit the layer.
pub fn export(arrays: &Arrays, naming: Naming) -> Result<(Arrays, Vec<String>), WeightsError> {
    let (mut named, mut left) = (Arrays::new(), Vec::new());
    let cascade = arrays.keys().any(|path| path.starts_with("cascade."));
    let classifier = arrays.get("roi_head.classifier.bias").map(|bias| bias.values.len());
    for (path, array) in arrays {
        let Some(source) = naming.source(path) else {
            left.push(path.clone());
            continue;
        };
        let refused = |reason: String| WeightsError::Tensor { name: path.clone(), reason };
        let theirs = to_theirs(source.change, array, classifier, cascade).map_err(refused)?;
        let numbered = source.in_cascade.filter(|_| cascade);
        named.insert(numbered.unwrap_or_else(|| source.names[0].clone()), theirs);
    }
    Ok((named, left))
}

/// Rows of an array: along the first side.
fn rows(array: &Array) -> Vec<Vec<f32>> {
    let count = array.shape.first().copied().unwrap_or(0);
    let length = array.values.len().checked_div(count).unwrap_or(0);
    array.values.chunks_exact(length.max(1)).map(<[f32]>::to_vec).collect()
}

fn from_rows(rows: Vec<Vec<f32>>, like: &[usize]) -> Array {
    // A tensor of no side is refused later, by its shape.
    let rest = like.get(1..).unwrap_or_default();
    let shape = std::iter::once(rows.len()).chain(rest.iter().copied()).collect();
    Array { shape, values: rows.concat() }
}

/// Swaps the sides of a matrix; a vector stays.
fn transpose(array: &Array) -> Array {
    let &[rows, columns] = array.shape.as_slice() else { return array.clone() };
    let values = (0..columns).flat_map(|c| (0..rows).map(move |r| array.values[r * columns + c])).collect();
    Array { shape: vec![columns, rows], values }
}

fn to_ours(
    change: Change,
    theirs: &Array,
    wanted: &Array,
    options: &ImportOptions,
) -> Result<(Array, Fate, String), String> {
    let mut note = String::new();
    let mut fate = Fate::Loaded;
    let array = match change {
        Change::Keep => theirs.clone(),
        Change::Transpose => transpose(theirs),
        Change::Stem if options.bgr => {
            note = "BGR turned to RGB".into();
            swap_channels(theirs)?
        }
        Change::Stem => theirs.clone(),
        Change::Classifier(background) => {
            let (mut rows, initial) = (rows(theirs), rows(&transpose(wanted)));
            if rows.is_empty() || initial.is_empty() {
                return Err("has no rows".into());
            }
            if background == Background::Last {
                rows.rotate_right(1);
                note = "background moved to the front".into();
            }
            let classes = options.classes.as_deref();
            if let Some(classes) = classes.filter(|classes| !is_identity(classes, rows.len() - 1)) {
                let taken = classes.iter().flatten().count();
                let (from, to) = (rows.len() - 1, classes.len());
                (fate, note) =
                    (Fate::Resized, join(note, format!("{from} → {to} classes, {taken} taken over")));
                rows = pick(&rows, &initial, classes, 1)?;
            }
            transpose(&from_rows(rows, &theirs.shape))
        }
        Change::Regression { background, .. } => {
            let (mut rows, initial) = (rows(theirs), rows(&transpose(wanted)));
            let agnostic = initial.len() == 4;
            if background && rows.len() > 4 {
                rows.drain(..4);
                note = "rows of background dropped".into();
            }
            if let Some(classes) = options.classes.as_deref().filter(|_| !agnostic) {
                let (blocks, rest) = rows.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(format!("has {} rows, which is not a multiple of 4", rows.len()));
                }
                if !is_identity(classes, blocks.len()) {
                    (fate, note) =
                        (Fate::Resized, join(note, format!("{} → {} classes", blocks.len(), classes.len())));
                    rows = pick(&rows, &initial, classes, 4)?;
                }
            }
            transpose(&from_rows(rows, &theirs.shape))
        }
    };
    if array.shape != wanted.shape {
        return Err(format!(
            "has shape {:?}, which makes {:?} where the detector has {:?}; give a recipe whose detector fits",
            theirs.shape, array.shape, wanted.shape
        ));
    }
    Ok((array, fate, note))
}

fn join(note: String, more: String) -> String {
    if note.is_empty() { more } else { format!("{note}; {more}") }
}

fn is_identity(classes: &[Option<usize>], count: usize) -> bool {
    classes.len() == count && classes.iter().enumerate().all(|(index, class)| *class == Some(index))
}

/// Blocks of rows for our classes: the file's, or the initial ones. With blocks of one row, row 0 is background.
fn pick(
    rows: &[Vec<f32>],
    initial: &[Vec<f32>],
    classes: &[Option<usize>],
    block: usize,
) -> Result<Vec<Vec<f32>>, String> {
    let first = usize::from(block == 1);
    let mut picked: Vec<Vec<f32>> = rows[..first].to_vec();
    for (index, class) in classes.iter().enumerate() {
        let (source, at) = class.map_or((initial, index), |class| (rows, class));
        let start = first + at * block;
        let taken = source.get(start..start + block);
        picked.extend_from_slice(taken.ok_or_else(|| format!("has no rows for class {at}"))?);
    }
    Ok(picked)
}

fn swap_channels(array: &Array) -> Result<Array, String> {
    let &[outputs, 3, height, width] = array.shape.as_slice() else {
        return Err(format!("has shape {:?}; a convolution on BGR has three input channels", array.shape));
    };
    let plane = height * width;
    let mut values = array.values.clone();
    for output in 0..outputs {
        let kernel = &mut values[output * 3 * plane..(output + 1) * 3 * plane];
        let (first, rest) = kernel.split_at_mut(2 * plane);
        first[..plane].swap_with_slice(rest);
    }
    Ok(Array { shape: array.shape.clone(), values })
}

fn to_theirs(
    change: Change,
    ours: &Array,
    classifier: Option<usize>,
    cascade: bool,
) -> Result<Array, String> {
    Ok(match change {
        // Export is always on red, green, blue.
        Change::Keep | Change::Stem => ours.clone(),
        Change::Transpose => transpose(ours),
        Change::Classifier(background) => {
            let turned = transpose(ours);
            let mut rows = rows(&turned);
            if background == Background::Last && !rows.is_empty() {
                rows.rotate_left(1);
            }
            from_rows(rows, &turned.shape)
        }
        Change::Regression { background, per_class } => {
            let turned = transpose(ours);
            let mut rows = rows(&turned);
            let classes = classifier.ok_or("has no classifier beside it")?.saturating_sub(1);
            // Of a single class, four rows can be either; those of a cascade are for all.
            let agnostic = rows.len() == 4 && (classes != 1 || cascade);
            if per_class && rows.len() == 4 {
                // torchvision knows no class-agnostic regression: every class gets the same.
                rows = (0..=classes).flat_map(|_| rows.clone()).collect();
            } else if background && !agnostic {
                let empty = vec![0.0; rows.first().map_or(0, Vec::len)];
                rows.splice(0..0, std::iter::repeat_n(empty, 4));
            }
            from_rows(rows, &turned.shape)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(shape: &[usize]) -> Array {
        let count = shape.iter().product::<usize>();
        Array { shape: shape.to_vec(), values: (0..count).map(|v| v as f32).collect() }
    }

    fn detector() -> Arrays {
        let shapes: [(&str, &[usize]); 8] = [
            ("backbone.stem.weight", &[2, 3, 1, 1]),
            ("pyramid.lateral.0.weight", &[2, 2, 1, 1]),
            ("rpn.hidden.bias", &[2]),
            ("roi_head.hidden.0.weight", &[3, 2]),
            ("roi_head.classifier.weight", &[2, 4]),
            ("roi_head.classifier.bias", &[4]),
            ("roi_head.regression.weight", &[2, 12]),
            ("roi_head.regression.bias", &[12]),
        ];
        shapes.into_iter().map(|(path, shape)| (path.to_owned(), array(shape))).collect()
    }

    fn file(arrays: &Arrays) -> WeightFile {
        let bytes = crate::write::to_bytes(arrays, &BTreeMap::new()).unwrap();
        WeightFile::parse(bytes).unwrap()
    }

    #[test]
    fn what_is_exported_is_imported_to_the_same_bits() {
        for naming in [Naming::Torchvision, Naming::Mmdetection1, Naming::Mmdetection, Naming::Detectron2] {
            let (named, left) = export(&detector(), naming).unwrap();
            assert!(left.is_empty());
            let back = import(&file(&named), naming, &detector(), &ImportOptions::default()).unwrap();
            assert_eq!(back.arrays, detector(), "{naming:?}");
            assert!(back.rows.iter().all(|row| row.fate == Fate::Loaded));
        }
        let (named, _) = export(&detector(), Naming::Torchvision).unwrap();
        assert_eq!(named["roi_heads.box_predictor.bbox_pred.bias"].values[..5], [0.0, 0.0, 0.0, 0.0, 0.0]);
        let (named, _) = export(&detector(), Naming::Mmdetection).unwrap();
        assert_eq!(named["roi_head.bbox_head.fc_cls.bias"].values, [1.0, 2.0, 3.0, 0.0]);
        assert_eq!(named["roi_head.bbox_head.fc_cls.weight"].shape, [4, 2]);
    }

    #[test]
    fn classes_are_taken_by_their_map() {
        let (named, _) = export(&detector(), Naming::Mmdetection).unwrap();
        let mut wanted = detector();
        for (path, shape) in [
            ("roi_head.classifier.weight", vec![2, 3]),
            ("roi_head.classifier.bias", vec![3]),
            ("roi_head.regression.weight", vec![2, 8]),
            ("roi_head.regression.bias", vec![8]),
        ] {
            let count = shape.iter().product();
            wanted.insert(path.into(), Array { shape, values: vec![-1.0; count] });
        }
        let options = ImportOptions { bgr: true, classes: Some(vec![None, Some(2)]) };
        let taken = import(&file(&named), Naming::Mmdetection, &wanted, &options).unwrap();
        assert_eq!(taken.arrays["roi_head.classifier.bias"].values, [0.0, -1.0, 3.0]);
        assert_eq!(taken.arrays["roi_head.classifier.weight"].values, [0.0, -1.0, 3.0, 4.0, -1.0, 7.0]);
        let bias = &taken.arrays["roi_head.regression.bias"].values;
        assert_eq!(bias[..], [-1.0, -1.0, -1.0, -1.0, 8.0, 9.0, 10.0, 11.0]);
        assert_eq!(taken.arrays["backbone.stem.weight"].values, [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
        let resized = taken.rows.iter().find(|row| row.fate == Fate::Resized).unwrap();
        assert!(resized.note.contains("3 → 2 classes, 1 taken over"), "{}", resized.note);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (mut named, _) = export(&detector(), Naming::Torchvision).unwrap();
        named.insert("mask.weight".into(), array(&[1]));
        named.remove("rpn.head.conv.0.0.bias");
        let taken =
            import(&file(&named), Naming::Torchvision, &detector(), &ImportOptions::default()).unwrap();
        let fate = |fate| taken.rows.iter().filter(|row| row.fate == fate).count();
        assert_eq!((fate(Fate::Loaded), fate(Fate::Missing), fate(Fate::Skipped)), (7, 1, 1));
        named.get_mut("roi_heads.box_head.fc6.weight").unwrap().values[1] = f32::NAN;
        let error =
            import(&file(&named), Naming::Torchvision, &detector(), &ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains("fc6.weight`: holds NaN at element 1"), "{error}");
        named.insert("roi_heads.box_head.fc6.weight".into(), array(&[5, 3]));
        let error =
            import(&file(&named), Naming::Torchvision, &detector(), &ImportOptions::default()).unwrap_err();
        assert!(error.to_string().contains("[5, 3]"), "{error}");
    }
}
