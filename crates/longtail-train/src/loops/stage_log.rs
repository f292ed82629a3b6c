//! Everything about a stage that is not its step: batches, the log, checkpoints, stopping and evaluation.

use std::time::{Duration, Instant};

use longtail_data::{Batch, Loader, Targets};
use longtail_detect::FasterRcnn;
use longtail_draw::{Purpose, derive};
use longtail_loss::{DrawKey, KeptNegatives};
use longtail_run::{Event, Position};

use crate::{
    checkpoint::Checkpoint,
    context::Run,
    error::TrainError,
    evaluation::Scored,
    loops::meter::Meter,
    recipe::{Stage, Trained},
};

/// What a stage trains, between two steps.
pub(crate) trait State {
    /// Everything that the stage needs to go on from `position`.
    fn checkpoint(&self, position: Position) -> Checkpoint;

    /// The detector without autodiff, and the classifiers to be evaluated on its features.
    fn scored(&self) -> Result<(FasterRcnn, Vec<Scored<'_>>), TrainError>;
}

/// A step that is about to be taken.
pub(crate) struct Step {
    /// Its images.
    pub(crate) batch: Batch,
    /// Key of its draws.
    pub(crate) draw: DrawKey,
    /// What the schedule makes of the learning rate.
    pub(crate) factor: f64,
    /// Whether a line of the log follows in any case.
    pub(crate) logged: bool,
    stage: String,
    iteration: u64,
    began: Instant,
    waited: Duration,
}

impl Step {
    /// Objects of every image.
    pub(crate) fn targets(&self) -> Vec<Targets> {
        self.batch.images.iter().map(|image| image.targets.clone()).collect()
    }

    /// Stops the run on a NaN or infinite loss term.
    pub(crate) fn expect_finite(&self, terms: &[(String, f64)]) -> Result<(), TrainError> {
        if terms.iter().all(|(_, value)| value.is_finite()) {
            return Ok(());
        }
        let terms: Vec<String> = terms.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        Err(self.not_finite(terms.join(", ")))
    }

    /// The error of a step that cannot be taken.
    pub(crate) fn not_finite(&self, terms: String) -> TrainError {
        TrainError::NotFinite {
            stage: self.stage.clone(),
            step: self.iteration,
            terms,
            images: self.batch.images.iter().map(|image| image.image_id).collect(),
        }
    }
}

/// What a step gave.
pub(crate) struct Measured {
    /// Loss terms; in a classifier stage one a classifier.
    pub(crate) losses: Vec<(String, f64)>,
    gradient_norms: Vec<(String, f64)>,
    kept: Vec<(String, KeptNegatives)>,
    learning_rate: f64,
    host: Duration,
}

impl Measured {
    pub(crate) fn new(losses: Vec<(String, f64)>, learning_rate: f64, host: Duration) -> Self {
        Self { losses, gradient_norms: Vec::new(), kept: Vec::new(), learning_rate, host }
    }

    /// Takes in a gradient norm before clipping.
    pub(crate) fn gradient_norm(&mut self, name: &str, norm: f64) {
        self.gradient_norms.push((name.to_owned(), norm));
    }

    /// Takes in the negatives that a classifier keeps in this step, if its loss selects.
    pub(crate) fn kept(&mut self, classifier: &str, kept: Option<KeptNegatives>) {
        self.kept.extend(kept.map(|kept| (classifier.to_owned(), kept)));
    }
}

/// A stage under way.
pub(crate) struct StageLog<'run, 'a> {
    run: &'run mut Run<'a>,
    index: usize,
    stage: &'a Stage,
    batches: Loader,
    seed: u64,
    done: u64,
    total: u64,
    meter: Meter,
}

impl<'run, 'a> StageLog<'run, 'a> {
    /// Begins a stage, or goes on from a checkpoint.
    pub(crate) fn begin(
        run: &'run mut Run<'a>,
        index: usize,
        resumed: Option<&Checkpoint>,
    ) -> Result<Self, TrainError> {
        let stage = &run.recipe.stages[index];
        let done = resumed.map_or(0, |checkpoint| checkpoint.position.iteration);
        let (batches, total) = run.batches(index, done)?;
        let seed = derive(run.recipe.seed, Purpose::SamplingSeed, index as u64);
        let meter = Meter::new(index, &stage.name, run.data.groups());
        Ok(Self { run, index, stage, batches, seed, done, total, meter })
    }

    /// The next step, until the stage is done.
    pub(crate) fn next_step(&mut self) -> Result<Option<Step>, TrainError> {
        if self.done == self.total {
            return Ok(None);
        }
        let began = Instant::now();
        let batch = self.batches.next().expect("a training loader never ends")?;
        Ok(Some(Step {
            batch,
            draw: DrawKey { seed: self.seed, step: self.done },
            factor: self.stage.schedule.factor(self.done, self.total),
            logged: (self.done + 1).is_multiple_of(self.run.recipe.log_every),
            stage: self.stage.name.clone(),
            iteration: self.done,
            began,
            waited: began.elapsed(),
        }))
    }

    /// Ends a step: measures it, and logs, saves, stops or evaluates where it is time to.
    pub(crate) fn end_step(
        &mut self,
        step: Step,
        measured: Measured,
        state: &dyn State,
    ) -> Result<(), TrainError> {
        let stage = self.stage;
        self.done += 1;
        let (done, total) = (self.done, self.total);
        let shown: f64 = match stage.train {
            Trained::All => measured.losses.iter().map(|(_, value)| value).sum(),
            Trained::Classifier => measured.losses.first().map_or(0.0, |(_, value)| *value),
        };
        let rate = measured.learning_rate;
        self.meter.step(step.batch.images.len(), step.began.elapsed(), step.waited, measured.host);
        self.meter.values(measured.losses, measured.gradient_norms, &measured.kept);
        self.run.observer.observe(Event::Step {
            stage: &stage.name,
            stage_index: self.index,
            stages: self.run.recipe.stages.len(),
            done,
            total,
            loss: shown,
        });
        if step.logged || done == total {
            let record = self.meter.record(done, rate);
            self.run.log(record)?;
        }
        if done == total {
            return Ok(());
        }
        let stop = self.run.observer.stop_requested();
        if stop || done.is_multiple_of(self.run.recipe.checkpoint_every) {
            let position = Position { stage: self.index, iteration: done };
            state.checkpoint(position).write(&self.run.folder.last_checkpoint())?;
        }
        if stop {
            return Err(TrainError::Interrupted { stage: stage.name.clone(), step: done });
        }
        if stage.evaluate_every > 0 && done.is_multiple_of(stage.evaluate_every) {
            let (detector, scored) = state.scored()?;
            self.run.evaluate(self.index, done, &detector, &scored, false)?;
        }
        Ok(())
    }

    /// Evaluates what the stage trained, keeps the results and writes its checkpoint and the one to resume from.
    pub(crate) fn finish(
        self,
        state: &dyn State,
        of_stage: &Checkpoint,
        last: &Checkpoint,
    ) -> Result<(), TrainError> {
        let (detector, scored) = state.scored()?;
        self.run.evaluate(self.index, self.total, &detector, &scored, true)?;
        of_stage.write(&self.run.folder.stage_checkpoint(&self.stage.name))?;
        last.write(&self.run.folder.last_checkpoint())
    }
}
