//! Feature banks: written from arrays, and opened.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use longtail_bank::{
    Bank as Stored, BankError, BankWriter, Class, ClassTable, Header, ImageRows, Part, Precision, RoiSampling,
};
use longtail_head::{Head, HeadFile};
use longtail_loss::LossConfig;
use numpy::{IntoPyArray, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::{prelude::*, types::PyAny};
use serde::Deserialize;

use crate::{
    errors::{Bad, Failure},
    losses::{matrix, rows},
    metrics::json,
    threads::work,
};

/// Bytes of features that a shard aims at.
const SHARD_BYTES: u64 = 64 << 20;

/// What a bank is beside its rows.
#[derive(Deserialize)]
struct Description {
    /// Category id, name, training images, training boxes.
    classes: Vec<(i64, String, u64, u64)>,
    total_images: u64,
    rois_per_image: usize,
    positive_fraction: f64,
    precision: Precision,
    source: String,
}

/// RoIs of training images.
#[derive(FromPyObject)]
pub(crate) struct Rois<'py> {
    /// `[N, D]`.
    features: PyReadonlyArray2<'py, f32>,
    /// 0 for background, else class + 1, `[N]`.
    labels: PyReadonlyArray1<'py, u32>,
    /// `[N]`.
    image_ids: PyReadonlyArray1<'py, i64>,
}

/// A classifier that was trained before: weights `[K, D]` and bias `[K]` in native order, and its loss as a
/// recipe's table.
#[derive(FromPyObject)]
pub(crate) struct Classifier<'py> {
    weight: PyReadonlyArray2<'py, f32>,
    bias: PyReadonlyArray1<'py, f32>,
    loss: String,
}

impl Rois<'_> {
    /// By image, in the order that images first come; foreground first in each.
    fn images(&self) -> PyResult<(Vec<ImageRows>, usize)> {
        let width = self.features.shape()[1];
        let count = self.features.shape()[0];
        if [self.labels.len(), self.image_ids.len()] != [count; 2] {
            let (labels, ids) = (self.labels.len(), self.image_ids.len());
            let reason =
                format!("features have {count} rows, labels {labels} and image_ids {ids}; they must agree");
            return Err(Bad::of(reason).into());
        }
        let (features, labels, ids) =
            (rows(&self.features), self.labels.as_array(), self.image_ids.as_array());
        let mut index_of: BTreeMap<i64, usize> = BTreeMap::new();
        let mut images: Vec<ImageRows> = Vec::new();
        for row in 0..count {
            let index = *index_of.entry(ids[row]).or_insert_with(|| {
                images.push(ImageRows { image_id: ids[row], ..ImageRows::default() });
                images.len() - 1
            });
            let image = &mut images[index];
            image.features.extend_from_slice(&features[row * width..(row + 1) * width]);
            image.labels.push(labels[row]);
            image.ious.push(0.0);
            image.boxes.push([0.0; 4]);
        }
        Ok((images.into_iter().map(|image| image.foreground_first(width)).collect(), width))
    }
}

/// Writes a bank of training RoIs; the header comes as JSON.
#[pyfunction]
#[pyo3(signature = (folder, rois, description, classifier, threads))]
pub(crate) fn write_bank(
    py: Python<'_>,
    folder: PathBuf,
    rois: Rois<'_>,
    description: &str,
    classifier: Option<Classifier<'_>>,
    threads: Option<usize>,
) -> PyResult<String> {
    let what: Description =
        serde_json::from_str(description).map_err(|error| Bad::of(format!("the bank: {error}")))?;
    let (images, width) = rois.images()?;
    let count: u64 = images.iter().map(|image| image.len() as u64).sum();
    let classes: ClassTable = what
        .classes
        .into_iter()
        .map(|(id, name, in_images, boxes)| Class::counted(id, name, in_images, boxes))
        .collect();
    let mut header = Header {
        total_images: what.total_images,
        sampling: RoiSampling { per_image: what.rois_per_image, positive_fraction: what.positive_fraction },
        source: what.source,
        ..Header::new(Part::Training, width, what.precision, classes, images.len())
    };
    let per_image = header.row_bytes() * count / images.len().max(1) as u64;
    header.images_per_shard = (SHARD_BYTES / per_image.max(1)).max(1) as usize;
    let stage1 = classifier.map(|given| given.head(width, &header)).transpose()?;
    let task = move || -> Result<Header, Failure> {
        let mut writer = BankWriter::open(&folder, header.clone())?;
        if let Some((head, file)) = stage1 {
            head.write(&folder.join("stage1.safetensors"), &file)?;
        }
        for shard in writer.missing() {
            writer.write(shard, &images[header.images_of(shard)])?;
        }
        Ok(writer.finish()?)
    };
    json(&work(py, threads, task)??)
}

impl Classifier<'_> {
    fn head(&self, width: usize, header: &Header) -> PyResult<(Head, HeadFile)> {
        let loss: LossConfig =
            serde_json::from_str(&self.loss).map_err(|error| Bad::of(format!("classifier_loss: {error}")))?;
        let file = HeadFile::new("stage 1", loss, header);
        let outputs = file.build_loss().map_err(Failure::from)?.num_outputs(header.classes.len());
        let (shape, biases) = (self.weight.shape(), self.bias.len());
        if shape != [outputs, width] || biases != outputs {
            let reason = format!(
                "the classifier has weights {shape:?} and {biases} biases; its loss over {} classes and features of width \
                 {width} has [{outputs}, {width}]",
                header.classes.len()
            );
            return Err(Bad { field: Some("classifier".into()), ..Bad::of(reason) }.into());
        }
        let (weight, bias) = (rows(&self.weight), self.bias.as_array().to_vec());
        Ok((Head { weight, bias, width, unit_inputs: false, hidden: None }, file))
    }
}

/// A bank, opened.
#[pyclass(frozen, module = "longtail._core")]
pub(crate) struct Bank {
    pub(crate) bank: Arc<Stored>,
}

#[pymethods]
impl Bank {
    /// Opens the bank in a folder.
    #[new]
    fn new(py: Python<'_>, folder: PathBuf) -> PyResult<Self> {
        let bank = work(py, None, move || Stored::open(&folder))?.map_err(Failure::from)?;
        Ok(Self { bank: Arc::new(bank) })
    }

    /// Everything about it but its rows, as JSON.
    #[getter]
    fn header(&self) -> PyResult<String> {
        json(self.bank.header())
    }

    /// Features `[N, D]`, labels `[N]` and image ids `[N]`.
    #[expect(clippy::type_complexity, reason = "a tuple of arrays, taken apart at once by Python")]
    fn rows<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let bank = self.bank.clone();
        let width = bank.header().width;
        let (features, labels, ids) = work(py, None, move || all_rows(&bank))?.map_err(Failure::from)?;
        Ok((
            matrix(py, features, width)?,
            labels.into_pyarray(py).into_any(),
            ids.into_pyarray(py).into_any(),
        ))
    }
}

type Arrays = (Vec<f32>, Vec<u32>, Vec<i64>);

fn all_rows(bank: &Stored) -> Result<Arrays, BankError> {
    let (mut features, mut labels, mut ids) = Arrays::default();
    for index in 0..bank.header().shards.len() {
        let shard = bank.shard(index)?;
        let mut of_shard = vec![0.0; shard.len() * bank.header().width];
        shard.features(0..shard.len(), &mut of_shard);
        features.extend(of_shard);
        labels.extend(shard.labels(0..shard.len()));
        for image in shard.images() {
            ids.extend(std::iter::repeat_n(image.image_id, image.rows.len()));
        }
    }
    Ok((features, labels, ids))
}
