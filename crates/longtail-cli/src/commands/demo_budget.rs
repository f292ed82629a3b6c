//! How long stage 1 of the demo may be on this machine.

use std::time::{Duration, Instant};

use burn::tensor::Device;
use longtail_head::Length;
use longtail_run::{Event, Observer, RunFolder};
use longtail_train::{Recipe, TrainError};

/// What the whole demo may take. A minute less than promised: a step is not always as fast as the first ones.
const BUDGET: Duration = Duration::from_secs(9 * 60);
/// Steps before the measured ones: memory comes fresh from the system, files are read for the first time.
const WARM_UP: usize = 6;
/// Steps that are measured.
const MEASURED: usize = 18;
/// Images that the measured steps draw from. A step does not become slower with their number.
const IMAGES: usize = 200;
/// What the rest costs beside a step of stage 1: stage 2, evaluations, drawing the images and the report.
const REST: f64 = 0.12;
/// Fewest steps after which the detector finds anything.
const FEWEST: u64 = 700;

/// The length of stage 1 that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Choice {
    /// Seconds of a step, the median of those measured.
    pub seconds: f64,
    /// Steps of the recipe.
    pub of_recipe: u64,
    /// Steps that fit.
    pub chosen: u64,
}

impl Choice {
    fn of(seconds: f64, of_recipe: u64) -> Self {
        let fitting = BUDGET.as_secs_f64() / (seconds * (1.0 + REST));
        // Whole hundreds: the same machine should choose the same length twice.
        let chosen = ((fitting / 100.0).floor() as u64 * 100).clamp(FEWEST.min(of_recipe), of_recipe);
        Self { seconds, of_recipe, chosen }
    }

    /// Settings of the recipe that the choice changes; none where everything fits.
    pub(crate) fn overrides(&self) -> Vec<String> {
        if self.chosen == self.of_recipe {
            return Vec::new();
        }
        vec![
            format!("stages.0.length.iterations={}", self.chosen),
            format!("stages.0.evaluate_every={}", self.chosen / 4),
        ]
    }

    /// What was measured and what follows, in a sentence.
    pub(crate) fn words(&self) -> String {
        let minutes = |steps: u64| (steps as f64 * self.seconds * (1.0 + REST) / 60.0).ceil();
        let step = format!("a training step takes {:.2} s on this machine", self.seconds);
        let (chosen, of_recipe) = (self.chosen, self.of_recipe);
        if chosen == of_recipe {
            return format!("{step}: about {} minutes in all", minutes(chosen));
        }
        format!(
            "{step}: {of_recipe} steps of stage 1 would make it {} minutes, so there are {chosen}, about {} \
             minutes in all (--full takes them all; the published tables do)",
            minutes(of_recipe),
            minutes(chosen)
        )
    }
}

/// Measures the first steps of the recipe's first stage, in a folder that is removed again, and chooses.
///
/// # Errors
/// If the recipe cannot be trained, or nothing can be written to the folder for temporary files.
pub(crate) fn choose(recipe: &Recipe, smaller: &[String], device: &Device) -> anyhow::Result<Choice> {
    let Length::Iterations(of_recipe) = recipe.stages[0].length else {
        anyhow::bail!("the demo's first stage has a number of steps");
    };
    let mut overrides = smaller.to_vec();
    overrides.push(format!("data.images={IMAGES}"));
    let probe = Recipe::parse(super::demo::RECIPE, &overrides)?;
    let folder = tempfile::tempdir()?;
    let folder = RunFolder::open(&folder.path().join("steps"), false)?;
    let mut clock = Clock::default();
    match longtail_train::run(&probe, &folder, false, device, "", &mut clock) {
        Err(TrainError::Interrupted { .. }) => Ok(Choice::of(clock.median(), of_recipe)),
        Err(error) => Err(error.into()),
        Ok(_) => anyhow::bail!("the demo's first stage is shorter than {} steps", WARM_UP + MEASURED),
    }
}

/// When each step ended; asks to stop after enough of them.
#[derive(Default)]
struct Clock {
    ends: Vec<Instant>,
}

impl Clock {
    fn median(&self) -> f64 {
        let measured = &self.ends[WARM_UP.min(self.ends.len())..];
        let mut seconds: Vec<f64> =
            measured.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied().unwrap_or(f64::MAX)
    }
}

impl Observer for Clock {
    fn observe(&mut self, event: Event<'_>) {
        if let Event::Step { .. } = event {
            self.ends.push(Instant::now());
        }
    }

    fn stop_requested(&self) -> bool {
        self.ends.len() > WARM_UP + MEASURED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_machine_takes_all_steps_and_a_slow_one_what_fits() {
        let fast = Choice::of(0.1, 3000);
        assert_eq!((fast.chosen, fast.overrides().len()), (3000, 0));
        let slow = Choice::of(0.3, 3000);
        assert_eq!(slow.chosen, 1600);
        assert!(slow.chosen as f64 * slow.seconds * (1.0 + REST) < BUDGET.as_secs_f64());
        assert_eq!(slow.overrides(), ["stages.0.length.iterations=1600", "stages.0.evaluate_every=400"]);
        assert!(slow.words().contains("--full"), "{}", slow.words());
        assert_eq!(Choice::of(9.0, 3000).chosen, FEWEST);
    }
}
