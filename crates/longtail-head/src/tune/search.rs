//! Candidates trained fold by fold; after each fold the better half goes on. The chosen one and the published
//! defaults are then trained on all images and scored on the validation images.

use std::{collections::BTreeMap, path::Path, time::Instant};

use longtail_bank::Bank;
use longtail_eval::{EvalReport, Metric, Metrics, StreamingEvaluation};
use longtail_run::{Event, Observer};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::HeadError,
    file::{Head, HeadFile},
    recipe::{HeadRecipe, OptimizerRecipe},
    stream::Stream,
    train::train,
    tune::{
        choice::choose,
        folder::{TuneFolder, read_matches},
        folds::{Folds, check_budget},
        record::{Candidate, Final, MethodResult, TuneConfig, TuneResult, Variant},
        space::{Method, base_iterations},
        watch::{Silenced, Watch},
    },
};

/// Fewest candidates that go on to the next fold: with fewer there is nothing to choose among.
const FEWEST: usize = 3;
/// Score from which false positives are counted: what `longtail predict` draws.
const DRAWN: f64 = 0.5;

/// Makes and matches detections of heads.
pub trait Judge: Sync {
    /// Detections on training images, matched.
    ///
    /// # Errors
    /// If detections cannot be made or matched.
    fn on_training(
        &self,
        images: &[i64],
        head: &Head,
        file: &HeadFile,
    ) -> Result<StreamingEvaluation, HeadError>;

    /// Detections on the validation images, matched to each truth by its name; none without validation
    /// images.
    ///
    /// # Errors
    /// If detections cannot be made or matched.
    fn on_validation(
        &self,
        head: &Head,
        file: &HeadFile,
    ) -> Result<Vec<(String, StreamingEvaluation)>, HeadError>;

    /// Checksums of what it judges by.
    fn checksums(&self) -> Vec<String>;
}

/// Tunes methods on a bank. What `out` has already of the same tuning is read.
///
/// # Errors
/// If the bank cannot be learned from or dealt to the folds, a method is unknown, `out` is in use or of
/// another tuning, or the user stops it. Settings that a loss refuses and trainings that diverge are no
/// errors: the result says so.
pub fn tune(
    bank: &Bank,
    config: &TuneConfig,
    judge: &dyn Judge,
    out: &Path,
    observer: &mut (dyn Observer + Send),
) -> Result<TuneResult, HeadError> {
    check_budget(config.budget)?;
    if config.seeds.is_empty() {
        return Err(crate::SettingError::new("seeds", "are none; give at least one").into());
    }
    let folds = Folds::of(bank, config.folds, config.seed)?;
    let base = config.base.on(bank.header().layer)?;
    let methods = Method::named(Method::all(&config.base, bank.header().classes.len())?, &config.methods)?;
    let iterations = base_iterations(base.length, Stream::new(bank, &base)?.steps_per_epoch());
    let mut checksums: Vec<String> = bank.header().shards.iter().map(|shard| shard.sha256.clone()).collect();
    checksums.extend(judge.checksums());
    let folder = TuneFolder::open(out, checksums, config)?;
    if let Some(remark) = folds.remark(bank, config.folds) {
        observer.observe(Event::Note(&remark));
    }
    let mut search = Search {
        bank,
        config,
        judge,
        folder: &folder,
        folds: &folds,
        rests: (0..config.folds)
            .map(|fold| bank.keeping(|image| !folds.contains(fold, image.image_id)))
            .collect(),
        watch: Watch::new(observer),
        methods: methods.iter().map(|method| OfMethod::new(method, config, iterations)).collect(),
    };
    search.over_folds()?;
    search.finals()?;
    let methods = search.methods.into_iter().map(|method| method.result).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let result =
        TuneResult { config: config.clone(), iterations, images: bank.images().len(), cores, methods };
    folder.write("result.json", &result)?;
    Ok(result)
}

/// A method in the making.
struct OfMethod {
    recipes: Vec<HeadRecipe>,
    /// Candidates that go on.
    going: Vec<usize>,
    result: MethodResult,
}

impl OfMethod {
    fn new(method: &Method, config: &TuneConfig, iterations: u64) -> Self {
        let drawn = method.candidates(config.budget, iterations, config.seed);
        let (mut recipes, mut candidates) = (Vec::new(), Vec::new());
        for settings in std::iter::once(Vec::new()).chain(drawn) {
            let made = method.defaults.with(&settings);
            let failed = made.as_ref().err().map(ToString::to_string);
            let recipe = HeadRecipe { seed: config.seed, ..made.unwrap_or_else(|_| method.defaults.clone()) };
            let movement = movement(&recipe, iterations);
            recipes.push(recipe);
            candidates.push(Candidate { settings, movement, failed, ..Candidate::default() });
        }
        let going = (0..candidates.len()).filter(|&index| candidates[index].failed.is_none()).collect();
        let name = method.name.clone();
        let result = MethodResult { name, refused: None, candidates, chosen: None, finals: Vec::new() };
        Self { recipes, going, result }
    }
}

fn movement(recipe: &HeadRecipe, iterations: u64) -> f64 {
    let own = match &recipe.optimizer {
        OptimizerRecipe::Sgd(sgd) => sgd.learning_rate,
        OptimizerRecipe::Lbfgs(_) => 0.0,
    };
    recipe.classifier.learning_rate.unwrap_or(own) * base_iterations(recipe.length, iterations) as f64
}

/// What a training on a fold, or on all images, came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    failed: Option<String>,
    seconds: f64,
}

struct Search<'a> {
    bank: &'a Bank,
    config: &'a TuneConfig,
    judge: &'a dyn Judge,
    folder: &'a TuneFolder,
    folds: &'a Folds,
    /// By fold: the bank without its images.
    rests: Vec<Bank>,
    watch: Watch<'a>,
    methods: Vec<OfMethod>,
}

impl Search<'_> {
    /// Trains candidates fold by fold and chooses.
    fn over_folds(&mut self) -> Result<(), HeadError> {
        for fold in 0..self.config.folds {
            let jobs: Vec<(usize, usize)> = self
                .methods
                .iter()
                .enumerate()
                .flat_map(|(method, of)| of.going.iter().map(move |&candidate| (method, candidate)))
                .collect();
            self.watch.begin(format!("fold {} of {}", fold + 1, self.config.folds), jobs.len());
            let records: Vec<Record> = jobs
                .par_iter()
                .map(|&(method, candidate)| self.on_fold(method, candidate, fold))
                .collect::<Result<_, _>>()?;
            for (&(method, candidate), record) in jobs.iter().zip(&records) {
                let found = &mut self.methods[method].result.candidates[candidate];
                found.seconds += record.seconds;
                found.failed = record.failed.clone();
            }
            let scored: Vec<Option<(EvalReport, EvalReport)>> = jobs
                .par_iter()
                .zip(&records)
                .map(|(&(method, candidate), record)| match record.failed {
                    None => self.reports(method, candidate, fold).map(Some),
                    Some(_) => Ok(None),
                })
                .collect::<Result<_, _>>()?;
            for (&(method, candidate), reports) in jobs.iter().zip(scored) {
                let found = &mut self.methods[method].result.candidates[candidate];
                let Some((pooled, alone)) = reports else {
                    found.value = None;
                    continue;
                };
                found.value = pooled.metric(&self.config.metric);
                found.fold_values.push(alone.metric(&self.config.metric));
                found.metrics = with_groups(&pooled);
            }
            self.halve(fold);
        }
        for method in &mut self.methods {
            let result = &mut method.result;
            // A loss that refuses its published settings refuses this bank.
            let refused = result.candidates.first().and_then(|defaults| defaults.failed.clone());
            result.chosen = choose(&result.candidates, self.config.folds, self.config.rule);
            if result.chosen.is_none() {
                result.refused = Some(refused.unwrap_or_else(|| {
                    format!("no candidate has a defined {} on the training images", self.config.metric)
                }));
            }
        }
        Ok(())
    }

    /// The better half goes on; in a study all of them.
    fn halve(&mut self, fold: usize) {
        let last = fold + 1 == self.config.folds;
        for OfMethod { going, result, .. } in &mut self.methods {
            going.retain(|&index| result.candidates[index].failed.is_none());
            if last || self.config.study {
                continue;
            }
            let value = |index: usize| result.candidates[index].value.unwrap_or(f64::NEG_INFINITY);
            going.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
            let kept = going.len().div_ceil(2).max(FEWEST);
            going.truncate(kept);
            going.sort_unstable();
        }
    }

    /// Trains a candidate without a fold and matches its detections there.
    fn on_fold(&self, method: usize, candidate: usize, fold: usize) -> Result<Record, HeadError> {
        let of = &self.methods[method];
        let stem = fold_stem(&of.result.name, candidate, fold);
        self.made_once(&stem, || {
            let checkpoint = self.folder.join(format!("{stem}.partial"));
            let mut observer = Silenced { watch: &self.watch };
            let recipe = &of.recipes[candidate];
            let (head, file) = train(&self.rests[fold], recipe, Some(&checkpoint), &mut observer)?;
            let matched = self.judge.on_training(&self.folds.images(fold), &head, &file)?;
            self.folder.write_matches(&format!("{stem}.matches"), &matched)
        })
    }

    /// Does work whose record is not there yet. What a loss refuses and what diverges is a record too.
    fn made_once(
        &self,
        stem: &str,
        work: impl FnOnce() -> Result<(), HeadError>,
    ) -> Result<Record, HeadError> {
        let name = format!("{stem}.json");
        if let Some(record) = self.folder.read(&name)? {
            self.watch.done();
            return Ok(record);
        }
        if self.watch.stopped() {
            return Err(self.watch.stop());
        }
        let began = Instant::now();
        let failed = match work() {
            Ok(()) => None,
            Err(error @ (HeadError::NotFinite { .. } | HeadError::Loss(_) | HeadError::Setting(_))) => {
                Some(error.to_string())
            }
            Err(HeadError::Stopped { .. }) => return Err(self.watch.stop()),
            Err(other) => return Err(other),
        };
        let record = Record { failed, seconds: began.elapsed().as_secs_f64() };
        self.folder.write(&name, &record)?;
        self.watch.done();
        Ok(record)
    }

    /// Reports over all folds so far together, and over the last one.
    fn reports(
        &self,
        method: usize,
        candidate: usize,
        fold: usize,
    ) -> Result<(EvalReport, EvalReport), HeadError> {
        let name = &self.methods[method].result.name;
        let matches = |fold: usize| -> Result<StreamingEvaluation, HeadError> {
            read_matches(&self.folder.join(format!("{}.matches", fold_stem(name, candidate, fold))))
        };
        let alone = report(matches(fold)?)?;
        let mut pooled = matches(0)?;
        for other in 1..=fold {
            pooled.merge(matches(other)?).map_err(scoring)?;
        }
        Ok((report(pooled)?, alone))
    }

    /// Trains what was chosen, and the published defaults, on all images.
    fn finals(&mut self) -> Result<(), HeadError> {
        let mut jobs: Vec<(usize, usize, Variant, u64)> = Vec::new();
        for (method, of) in self.methods.iter().enumerate() {
            let Some(chosen) = of.result.chosen else { continue };
            for &seed in &self.config.seeds {
                if of.result.candidates[0].failed.is_none() {
                    jobs.push((method, 0, Variant::Defaults, seed));
                }
                jobs.push((method, chosen, Variant::Tuned, seed));
            }
            if self.config.study {
                let all =
                    of.going.iter().map(|&candidate| (method, candidate, Variant::Studied, self.config.seed));
                jobs.extend(all);
            }
        }
        self.watch.begin("all training images".into(), jobs.len());
        let made: Vec<Final> = jobs
            .par_iter()
            .map(|&(method, candidate, variant, seed)| self.on_all(method, candidate, variant, seed))
            .collect::<Result<_, _>>()?;
        for ((method, candidate, variant, _), made) in jobs.into_iter().zip(made) {
            let result = &mut self.methods[method].result;
            match variant {
                Variant::Defaults | Variant::Tuned => result.finals.push(made),
                Variant::Studied => result.candidates[candidate].validation = made.metrics,
            }
        }
        Ok(())
    }

    fn on_all(
        &self,
        method: usize,
        candidate: usize,
        variant: Variant,
        seed: u64,
    ) -> Result<Final, HeadError> {
        let of = &self.methods[method];
        let what = match variant {
            Variant::Defaults => "defaults".to_owned(),
            Variant::Tuned => "tuned".to_owned(),
            Variant::Studied => format!("study-{candidate:02}"),
        };
        let stem = format!("heads/{}/{what}-seed-{seed}", of.result.name);
        let head_name = format!("{stem}.safetensors");
        let record = format!("{stem}-result.json");
        if let Some(made) = self.folder.read::<Final>(&record)? {
            self.watch.done();
            return Ok(made);
        }
        if self.watch.stopped() {
            return Err(self.watch.stop());
        }
        let began = Instant::now();
        let recipe = HeadRecipe { seed, ..of.recipes[candidate].clone() };
        let checkpoint = self.folder.join(format!("{stem}.partial"));
        let mut observer = Silenced { watch: &self.watch };
        let trained = train(self.bank, &recipe, Some(&checkpoint), &mut observer);
        let (head, file) = match trained {
            Err(HeadError::Stopped { .. }) => return Err(self.watch.stop()),
            other => other?,
        };
        head.write(&self.folder.join(&head_name), &file)?;
        let (mut metrics, mut false_positives, mut matches) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (truth, matched) in self.judge.on_validation(&head, &file)? {
            if variant != Variant::Studied {
                let name = format!("{stem}-{truth}.matches");
                self.folder.write_matches(&name, &matched)?;
                matches.insert(truth.clone(), name);
            }
            let evaluation = matched.finish().map_err(scoring)?;
            metrics.insert(truth.clone(), with_groups(&evaluation.report(None)));
            let wrong = evaluation.false_positives_per_image(DRAWN).map_err(scoring)?;
            false_positives.insert(truth, wrong);
        }
        let made = Final {
            variant,
            seed,
            head: head_name,
            seconds: began.elapsed().as_secs_f64(),
            metrics,
            false_positives,
            matches,
        };
        self.folder.write(&record, &made)?;
        self.watch.done();
        Ok(made)
    }
}

fn fold_stem(method: &str, candidate: usize, fold: usize) -> String {
    format!("folds/{method}/{candidate:02}-fold-{fold}")
}

fn scoring(error: longtail_eval::EvalError) -> HeadError {
    HeadError::Score(Box::new(error))
}

fn report(matched: StreamingEvaluation) -> Result<EvalReport, HeadError> {
    Ok(matched.finish().map_err(scoring)?.report(None))
}

/// AP over all classes and over each frequency group.
fn with_groups(report: &EvalReport) -> Metrics {
    let named = |metric: Metric| {
        let value = report.metric(&metric);
        (metric, value)
    };
    Metric::AP.with_groups().map(named).into_iter().collect()
}
