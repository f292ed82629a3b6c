//! What can be wrong with a loss's settings or input.

/// An error of building or applying a loss.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum LossError {
    /// A setting is out of range.
    #[error("loss setting `{field}` is {value}; it must be {expected}")]
    Setting {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is accepted.
        expected: &'static str,
    },
    /// Division points of classes into groups are not increasing, or too many.
    #[error("loss setting `cuts` is {cuts:?}; it must be at most 155 increasing numbers above 0")]
    Cuts {
        /// The division points.
        cuts: Vec<u64>,
    },
    /// The loss reads class counts and got none.
    #[error("{loss} needs counts of every class in the training set; give it a context with counts")]
    MissingCounts {
        /// The loss.
        loss: &'static str,
    },
    /// The loss reads class counts and may not.
    #[error("{loss} reads class counts, and `statistics_free` forbids it; choose a loss that reads none")]
    StatisticsForbidden {
        /// The loss.
        loss: &'static str,
    },
    /// The counts are not one a class.
    #[error("got {found} class counts for {expected} classes")]
    CountsLength {
        /// Number of counts.
        found: usize,
        /// Number of classes.
        expected: usize,
    },
    /// A label is above the number of classes.
    #[error("RoI {row} has label {label}; labels are 0 for background and 1 to {num_classes} for classes")]
    Label {
        /// The RoI.
        row: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        num_classes: usize,
    },
    /// A label beside a RoI's own is not another class.
    #[error(
        "RoI {row} cannot also have label {label}: {}",
        own.map_or_else(|| "no RoI has this index".to_owned(), |own| format!("its own is {own}, and others must be other classes"))
    )]
    OtherLabel {
        /// The RoI.
        row: usize,
        /// The label.
        label: u32,
        /// The RoI's own label.
        own: Option<u32>,
    },
    /// The weights or flags are not one a RoI.
    #[error("got {found} RoI weights or flags for {expected} RoIs")]
    WeightsLength {
        /// Number of weights.
        found: usize,
        /// Number of RoIs.
        expected: usize,
    },
    /// The logits do not fit the targets.
    #[error("got {found} logits, but {rows} RoIs with {outputs} outputs need {}", rows * outputs)]
    LogitsLength {
        /// Number of logits.
        found: usize,
        /// Number of RoIs.
        rows: usize,
        /// Outputs a RoI.
        outputs: usize,
    },
    /// A linear layer does not fit the targets.
    #[error("inputs, weights and bias have {found:?} values, the targets need {expected:?}")]
    LayerShape {
        /// Values found.
        found: [usize; 3],
        /// Values that fit.
        expected: [usize; 3],
    },
    /// A correction of softmax scores was given to another kind of loss.
    #[error(
        "corrections are for softmax over background and classes; this loss has other columns or scores: leave \
         `correction` out"
    )]
    NotCorrectable,
    /// A logit is not finite.
    #[error("logit of RoI {row}, column {column}, is {value}")]
    NotFinite {
        /// The RoI.
        row: usize,
        /// The column.
        column: usize,
        /// The value.
        value: f32,
    },
    /// The loss is of another crate, and this program does not define it.
    #[error(
        "the loss `{name}` is defined by the program that trained with it; put it into the recipe with \
         `LossConfig::external`, or use that program"
    )]
    External {
        /// Its name.
        name: String,
    },
    /// The running statistics are of another loss or another number of classes.
    #[error("{loss} got running statistics that are not its own for {num_classes} classes")]
    State {
        /// The loss.
        loss: &'static str,
        /// Number of classes.
        num_classes: usize,
    },
}

/// Refuses a setting unless `holds`.
pub(crate) fn check_setting(
    field: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<(), LossError> {
    if holds { Ok(()) } else { Err(LossError::Setting { field, value, expected }) }
}

/// Refuses a setting that is not a finite number of at least 0.
pub(crate) fn check_not_negative(field: &'static str, value: f64) -> Result<(), LossError> {
    check_setting(field, value, value.is_finite() && value >= 0.0, "a number of at least 0")
}

/// Refuses a setting outside `0..=1`.
pub(crate) fn check_share(field: &'static str, value: f64) -> Result<(), LossError> {
    check_setting(field, value, (0.0..=1.0).contains(&value), "between 0 and 1")
}

/// Refuses a setting that is not finite.
pub(crate) fn check_finite(field: &'static str, value: f64) -> Result<(), LossError> {
    check_setting(field, value, value.is_finite(), "a finite number")
}
