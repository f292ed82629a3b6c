//! A trained head as a file of the classifier alone for another framework.

use std::{collections::HashMap, path::Path};

use longtail_loss::Column;
use safetensors::tensor::{Dtype, TensorView};

use crate::{
    columns::transposed,
    error::HeadError,
    file::{Head, HeadFile},
};

/// Whose names and order of columns a file of the classifier alone has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// `roi_heads.box_predictor.cls_score.*`, background first.
    Torchvision,
    /// `roi_head.bbox_head.fc_cls.*`, background last.
    Mmdetection,
    /// `roi_heads.box_predictor.cls_score.*`, background last.
    Detectron2,
}

/// Writes the classifier alone as safetensors, `[columns, D]`. A sigmoid head without background column gets a background of
/// weight 0 and the smallest bias there is any use for, since these frameworks have the column.
///
/// # Errors
/// If the head has other columns than background and the classes, brings another hidden layer, or is a cosine classifier.
pub fn export(
    head: &Head,
    file: &HeadFile,
    head_path: &Path,
    format: ExportFormat,
    out: &Path,
) -> Result<(), HeadError> {
    let refused = |reason: String| HeadError::Head { path: head_path.to_owned(), reason };
    if head.unit_inputs {
        return Err(refused("is a cosine classifier, which a linear layer there cannot hold".into()));
    }
    if file.trained_hidden() {
        return Err(refused(
            "brings its own last hidden layer, which box regression there shares: with it boxes would change, without it \
             scores. Put it back with --run, or train on a bank of `--layer classifier`, or with hidden={ kind = \"frozen\" }"
                .into(),
        ));
    }
    let classes = file.classes.len();
    let loss = file.build_loss()?;
    let columns = loss.columns(classes);
    let mut corrected = head.detector_weight();
    loss.final_weights(&mut corrected, columns.len())?;
    let corrected = transposed(&corrected, columns.len());
    let row_of = |column: Column| columns.iter().position(|other| *other == column);
    let extra = columns.iter().any(|c| !matches!(c, Column::Background | Column::Class(_)));
    let of_classes: Option<Vec<usize>> = (0..classes).map(|class| row_of(Column::Class(class))).collect();
    let (false, Some(of_classes)) = (extra, of_classes) else {
        return Err(refused(format!(
            "has {} columns for {classes} classes, and these are not background and the classes; only such heads can be \
             written",
            columns.len()
        )));
    };
    let (mut weight, mut bias) = (Vec::with_capacity((classes + 1) * head.width), Vec::new());
    let mut add = |row: Option<usize>| match row {
        Some(row) => {
            weight.extend_from_slice(&corrected[row * head.width..(row + 1) * head.width]);
            bias.push(head.bias[row]);
        }
        None => {
            weight.extend(std::iter::repeat_n(0.0, head.width));
            bias.push(-100.0);
        }
    };
    let background = row_of(Column::Background);
    let names = match format {
        ExportFormat::Torchvision => {
            add(background);
            of_classes.iter().for_each(|&row| add(Some(row)));
            "roi_heads.box_predictor.cls_score"
        }
        ExportFormat::Mmdetection | ExportFormat::Detectron2 => {
            of_classes.iter().for_each(|&row| add(Some(row)));
            add(background);
            match format {
                ExportFormat::Detectron2 => "roi_heads.box_predictor.cls_score",
                _ => "roi_head.bbox_head.fc_cls",
            }
        }
    };
    let ids: Vec<i64> = file.classes.iter().map(|class| class.category_id).collect();
    let json = |found: Result<String, serde_json::Error>| {
        found.map_err(|e| refused(format!("cannot be exported: {e}")))
    };
    let (loss, ids) = (json(serde_json::to_string(&file.loss))?, json(serde_json::to_string(&ids))?);
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let (weight, bias) = (bytes(&weight), bytes(&bias));
    let made = TensorView::new(Dtype::F32, vec![classes + 1, head.width], &weight)
        .and_then(|weight| Ok((weight, TensorView::new(Dtype::F32, vec![classes + 1], &bias)?)))
        .and_then(|(weight, bias)| {
            let views = [(format!("{names}.weight"), weight), (format!("{names}.bias"), bias)];
            let metadata = HashMap::from([
                ("format".to_owned(), "pt".to_owned()),
                ("loss".to_owned(), loss),
                ("category_ids".to_owned(), ids),
            ]);
            safetensors::serialize(views, Some(metadata))
        })
        .map_err(|e| refused(format!("cannot be exported: {e}")))?;
    Ok(longtail_files::write_bytes(out, &made)?)
}
