//! What is tuned: common settings over the same values for every method, and one or two of its own.
//!
//! Values are stratified draws (a Latin hypercube): every setting's range is cut into as many shares as there
//! are candidates, and each share has one of them. Common settings have the same values under every method.

use longtail_draw::{DrawKey, Purpose, hash, unit};
use longtail_loss::LossConfig;

use crate::{
    error::HeadError,
    recipe::{HeadRecipe, OptimizerRecipe},
    schedule::Length,
    settings::SettingError,
};

/// A method: a loss, perhaps with a correction of its scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Method {
    /// Name: the loss's kind, and that of the correction after `+`.
    pub name: String,
    /// Its recipe with the published settings.
    pub defaults: HeadRecipe,
    /// Settings of its own.
    own: Vec<Setting>,
}

/// A setting with the values that it may have.
#[derive(Debug, Clone, PartialEq)]
struct Setting {
    /// Key of the recipe.
    key: &'static str,
    values: Values,
}

#[derive(Debug, Clone, PartialEq)]
enum Values {
    /// Evenly between two numbers.
    Linear(f64, f64),
    /// Evenly between their logarithms.
    Logarithmic(f64, f64),
    /// Whole numbers, evenly between the logarithms of two.
    Whole(f64, f64),
    /// One of several.
    OneOf(&'static [&'static str]),
}

/// Learning rates over that of the recipe.
const RATES: (f64, f64) = (0.5, 50.0);
/// Steps over those of the recipe.
const LENGTHS: (f64, f64) = (0.5, 6.0);
/// Weight decays over that of the recipe; of one of 0, over that of the published recipe.
const DECAYS: (f64, f64) = (0.01, 10.0);
const PUBLISHED_DECAY: f64 = 1e-4;
/// Division points of BAGS: the authors' groups, and fewer.
const CUTS: &[&str] = &["[10, 100, 1000]", "[30, 300]", "[50]", "[500]"];
const BACKGROUNDS: &[&str] = &["balanced", "frequency-sampled", "adaptive"];
const BETAS: &[&str] = &["0.9", "0.99", "0.999", "0.9999"];

impl Method {
    /// Every loss of the list, and softmax with every correction, over a recipe whose loss is replaced.
    ///
    /// # Errors
    /// If the recipe's optimizer has no learning rate.
    pub fn all(base: &HeadRecipe, classes: usize) -> Result<Vec<Self>, SettingError> {
        if !matches!(base.optimizer, OptimizerRecipe::Sgd(_)) {
            let reason = "is `lbfgs`, which has no learning rate to tune; set optimizer=sgd";
            return Err(SettingError::new("optimizer", reason));
        }
        let mut methods = Vec::new();
        for loss in LossConfig::defaults() {
            let own = own_settings(&loss, classes);
            let mut defaults = base.clone();
            defaults.classifier.loss = loss.clone();
            let kind = kind_of(&defaults)?;
            defaults.classifier.name = kind.clone();
            if has_background_logit(&loss) {
                // The weights of stage 1 have a column for it.
                defaults = defaults.with(&["loss.background_logit=true"])?;
            }
            methods.push(Self { name: kind.clone(), defaults: defaults.clone(), own });
            if let LossConfig::SoftmaxCrossEntropy(_) = loss {
                for (correction, key, most) in CORRECTIONS {
                    let name = format!("{kind}+{correction}");
                    let mut defaults = defaults.with(&[format!("correction={{ kind = {correction:?} }}")])?;
                    defaults.classifier.name = name.clone();
                    let own = vec![Setting { key, values: Values::Linear(0.1, most) }];
                    methods.push(Self { name, defaults, own });
                }
            }
        }
        Ok(methods)
    }

    /// Those of `all` with these names, in the order of the list; all of them if none is named.
    ///
    /// # Errors
    /// If there is no method of a name.
    pub fn named(all: Vec<Self>, names: &[String]) -> Result<Vec<Self>, HeadError> {
        if let Some(unknown) = names.iter().find(|name| !all.iter().any(|method| method.name == **name)) {
            let known: Vec<&str> = all.iter().map(|method| method.name.as_str()).collect();
            let reason = format!("has no `{unknown}`; it must be of {}", known.join(", "));
            return Err(SettingError::new("methods", reason).into());
        }
        Ok(all.into_iter().filter(|method| names.is_empty() || names.contains(&method.name)).collect())
    }

    /// Entries `KEY=VALUE` of each of `count` candidates beside the defaults; `iterations` are the recipe's
    /// steps.
    pub fn candidates(&self, count: usize, iterations: u64, seed: u64) -> Vec<Vec<String>> {
        let settings = self.settings(iterations);
        let column = |(index, setting): (usize, &Setting)| setting.draws(count, index as u64, seed);
        let columns: Vec<Vec<String>> = settings.iter().enumerate().map(column).collect();
        (0..count).map(|candidate| columns.iter().map(|values| values[candidate].clone()).collect()).collect()
    }

    fn settings(&self, iterations: u64) -> Vec<Setting> {
        let (rate, decay) = match &self.defaults.optimizer {
            OptimizerRecipe::Sgd(sgd) => {
                (self.defaults.classifier.learning_rate.unwrap_or(sgd.learning_rate), sgd.weight_decay)
            }
            OptimizerRecipe::Lbfgs(_) => (0.0, 0.0),
        };
        let decay = if decay > 0.0 { decay } else { PUBLISHED_DECAY };
        let steps = iterations as f64;
        let common = [
            Setting { key: "learning_rate", values: Values::Logarithmic(rate * RATES.0, rate * RATES.1) },
            Setting {
                key: "length.iterations",
                values: Values::Whole((steps * LENGTHS.0).max(1.0), steps * LENGTHS.1),
            },
            Setting {
                key: "optimizer.weight_decay",
                values: Values::Logarithmic(decay * DECAYS.0, decay * DECAYS.1),
            },
        ];
        common.into_iter().chain(self.own.iter().cloned()).collect()
    }
}

/// Kind, key of the strength and largest strength.
const CORRECTIONS: [(&str, &str, f64); 3] = [
    ("tau-norm", "correction.tau", 1.5),
    ("norcal", "correction.gamma", 1.2),
    ("logit-adjustment", "correction.tau", 1.5),
];

impl Setting {
    /// Entries of `count` candidates, each from a share of the range of its own.
    fn draws(&self, count: usize, index: u64, seed: u64) -> Vec<String> {
        let key = DrawKey { seed, step: 0 };
        let mut order: Vec<usize> = (0..count).collect();
        order
            .sort_by_key(|&candidate| (hash(key, Purpose::TuneOrder.at(index), candidate as u64), candidate));
        let mut shares = vec![0; count];
        order.into_iter().enumerate().for_each(|(share, candidate)| shares[candidate] = share);
        let value = |candidate: usize| {
            let inside = unit(key, Purpose::TuneValue.at(index), candidate as u64);
            self.entry((shares[candidate] as f64 + inside) / count as f64)
        };
        (0..count).map(value).collect()
    }

    /// The entry at `share` in `0..1` of the range.
    fn entry(&self, share: f64) -> String {
        let between = |least: f64, most: f64| least + share * (most - least);
        let logarithmic = |least: f64, most: f64| between(least.ln(), most.ln()).exp();
        let value = match self.values {
            Values::Linear(least, most) => three_digits(between(least, most)),
            Values::Logarithmic(least, most) => three_digits(logarithmic(least, most)),
            Values::Whole(least, most) => (logarithmic(least, most).round() as u64).to_string(),
            Values::OneOf(choices) => {
                choices[((share * choices.len() as f64) as usize).min(choices.len() - 1)].to_owned()
            }
        };
        format!("{}={value}", self.key)
    }
}

/// A number as a table shows it: what is shown is what was trained with.
fn three_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    format!("{rounded:?}")
}

fn kind_of(recipe: &HeadRecipe) -> Result<String, SettingError> {
    let value = toml::Value::try_from(&recipe.classifier.loss);
    let value = value.map_err(|e| SettingError::new("loss", format!("cannot be written down: {e}")))?;
    let kind = value.get("kind").and_then(toml::Value::as_str);
    kind.map(str::to_owned).ok_or_else(|| SettingError::new("loss", "has no kind"))
}

/// Sigmoid losses with a background column that can be left out; ACSL has it by default.
fn has_background_logit(loss: &LossConfig) -> bool {
    matches!(
        loss,
        LossConfig::SigmoidBce(_)
            | LossConfig::Focal(_)
            | LossConfig::Eql(_)
            | LossConfig::EqualizedFocal(_)
            | LossConfig::DropLoss(_)
            | LossConfig::Federated(_)
            | LossConfig::Gol(_)
    )
}

/// One or two settings of a loss, around what its authors use.
fn own_settings(loss: &LossConfig, classes: usize) -> Vec<Setting> {
    use Values::{Linear, Logarithmic, OneOf, Whole};
    let of = |settings: &[(&'static str, Values)]| -> Vec<Setting> {
        settings.iter().map(|(key, values)| Setting { key, values: values.clone() }).collect()
    };
    match loss {
        LossConfig::SoftmaxCrossEntropy(_)
        | LossConfig::SigmoidBce(_)
        | LossConfig::Gol(_)
        | LossConfig::External(_) => Vec::new(),
        LossConfig::Ecm(_) => {
            of(&[("loss.power", Linear(0.0, 0.5)), ("loss.background", Logarithmic(1.0, 32.0))])
        }
        LossConfig::Focal(_) => of(&[("loss.gamma", Linear(0.5, 3.0)), ("loss.alpha", Linear(0.1, 0.75))]),
        LossConfig::Acsl(_) => {
            of(&[("loss.threshold", Linear(0.3, 0.95)), ("loss.background", OneOf(BACKGROUNDS))])
        }
        LossConfig::Bags(_) => {
            of(&[("loss.cuts", OneOf(CUTS)), ("loss.others_ratio", Logarithmic(2.0, 32.0))])
        }
        LossConfig::Eql(_) | LossConfig::DropLoss(_) => {
            of(&[("loss.frequency_threshold", Logarithmic(1e-3, 0.1))])
        }
        LossConfig::EqlV2(_) => {
            of(&[("loss.gamma", Logarithmic(3.0, 24.0)), ("loss.alpha", Logarithmic(1.0, 8.0))])
        }
        LossConfig::Seesaw(_) => of(&[("loss.p", Linear(0.2, 1.4)), ("loss.q", Linear(0.5, 3.0))]),
        LossConfig::EqualizedFocal(_) => {
            of(&[("loss.scale", Logarithmic(2.0, 16.0)), ("loss.gamma", Linear(0.5, 3.0))])
        }
        LossConfig::Federated(_) => {
            let classes = classes as f64;
            let drawn = Whole((classes / 8.0).max(1.0), classes);
            of(&[("loss.classes", drawn), ("loss.count_power", Linear(0.0, 1.0))])
        }
        LossConfig::ClassBalanced(_) => of(&[("loss.beta", OneOf(BETAS))]),
        LossConfig::Ldam(_) => {
            of(&[("loss.max_margin", Linear(0.1, 1.0)), ("loss.scale", Logarithmic(1.0, 30.0))])
        }
        LossConfig::BalancedSoftmax(_) => of(&[("loss.tau", Linear(0.1, 1.5))]),
    }
}

/// The recipe's steps on a bank whose epoch has so many.
pub(crate) fn base_iterations(length: Length, per_epoch: u64) -> u64 {
    length.iterations(per_epoch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn methods() -> Vec<Method> {
        Method::all(&HeadRecipe::of("acsl").unwrap(), 40).unwrap()
    }

    #[test]
    fn every_candidate_of_every_method_is_a_recipe() {
        for method in methods() {
            let candidates = method.candidates(9, 600, 3);
            assert_eq!(candidates.len(), 9);
            for entries in candidates {
                let recipe =
                    method.defaults.with(&entries).unwrap_or_else(|e| panic!("{}: {e}", method.name));
                recipe.validate().unwrap();
                assert_ne!(recipe, method.defaults, "{}", method.name);
            }
        }
    }

    #[test]
    fn common_values_are_the_same_under_every_method_and_cover_their_range() {
        let all = methods();
        let common = |method: &Method| -> Vec<Vec<String>> {
            method.candidates(8, 600, 0).into_iter().map(|entries| entries[..3].to_vec()).collect()
        };
        assert!(all.iter().all(|method| common(method) == common(&all[0])));
        let rates = common(&all[0]);
        let mut rates: Vec<f64> =
            rates.iter().map(|entries| entries[0].split_once('=').unwrap().1.parse().unwrap()).collect();
        rates.sort_by(f64::total_cmp);
        // One in each eighth of the logarithms from 0.01 to 1, but for the rounding.
        for (share, rate) in rates.iter().enumerate() {
            let position = (rate / 0.01).ln() / 100_f64.ln() * 8.0;
            assert!(position > share as f64 - 0.02 && position < share as f64 + 1.02, "{rates:?}");
        }
        assert_ne!(all[0].candidates(8, 600, 0), all[0].candidates(8, 600, 1));
    }

    #[test]
    fn methods_are_found_by_name() {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Method::named(methods(), &names)
        };
        assert_eq!(named(&[]).unwrap().len(), methods().len());
        let two = named(&["seesaw", "softmax-cross-entropy+norcal"]).unwrap();
        assert_eq!(two[0].name, "softmax-cross-entropy+norcal");
        let error = named(&["sesaw"]).unwrap_err().to_string();
        assert!(error.contains("`sesaw`") && error.contains("seesaw"), "{error}");
    }

    #[test]
    fn an_optimizer_without_a_learning_rate_is_refused() {
        let base = HeadRecipe::of("acsl").unwrap().with(&["optimizer=lbfgs"]).unwrap();
        assert!(Method::all(&base, 4).unwrap_err().to_string().contains("optimizer=sgd"));
    }
}
