//! The validation images of a run, as its report shows them.

use longtail_annotations::AnnotationSet;
use longtail_eval::Scoring;
use longtail_report::run::{Picture, Scenes};
use longtail_run::{Observer, Results};
use longtail_train::{
    Recipe,
    data::{Truth, Validation},
};

use crate::draw::encode_png;

/// Validation images with the fullest truth about them, which is the last.
struct ValidationScenes<'a> {
    validation: &'a Validation,
    truth: &'a Truth,
}

impl Scenes for ValidationScenes<'_> {
    fn truth(&self) -> &AnnotationSet {
        &self.truth.annotations
    }

    fn scoring(&self) -> Scoring {
        self.truth.scoring
    }

    fn picture(&self, index: usize) -> Result<Picture, Box<dyn std::error::Error + Send + Sync>> {
        let image = self.validation.dataset.sample(index)?.image;
        let bytes = encode_png(&image)?;
        Ok(Picture { width: image.width, height: image.height, bytes, mime: "image/png".into() })
    }
}

/// Everything that the page of a run shows.
///
/// # Errors
/// If the folder is not a finished run or its data is gone.
pub fn page_data(
    run: &std::path::Path,
    observer: &mut dyn Observer,
) -> anyhow::Result<longtail_report::ReportData> {
    let validation = validation_of(run, &Results::read(run)?, observer)?;
    let last = validation.as_ref().and_then(|validation| Some((validation, validation.truths.last()?)));
    let scenes = last.map(|(validation, truth)| ValidationScenes { validation, truth });
    Ok(longtail_report::run::page_data(run, scenes.as_ref().map(|scenes| scenes as &dyn Scenes))?)
}

/// The validation data of a run, if it has any.
///
/// # Errors
/// If its recipe cannot be read or its data is gone.
pub fn validation_of(
    run: &std::path::Path,
    results: &Results,
    observer: &mut dyn Observer,
) -> anyhow::Result<Option<Validation>> {
    let recipe = Recipe::read(&run.join("config.toml"), &[])?;
    Ok(Validation::open(&recipe.data, results.seed, &results.classes, observer)?)
}
