//! The one list of everything that is drawn.
//!
//! Each purpose owns a range of numbers, and a number of it is a [`StreamId`]. Purposes whose keys may be
//! equal must not share a number: two of the same first number do not compile (they are discriminants of one
//! enum), and neither do two whose ranges meet (a constant assertion below). The numbers are part of what a
//! seed means: a changed number changes the results of every run.

/// Who makes the keys of a purpose. Purposes of different generators may have the same number.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Keys {
    /// A training step: (seed of a stage, step) through the detector, (seed of a head, step) from a bank.
    Loss,
    /// A training step through the detector.
    Detector,
    /// An epoch over a feature bank, an image that is put into one, or a class.
    Bank,
    /// The seed of a stage's batches, or of a world.
    Images,
    /// The seed of an evaluation.
    Evaluation,
    /// The seed of a run.
    Run,
    /// The derived seed of the initial weights.
    Weights,
    /// The seed of a split.
    Split,
    /// The seed of a subset.
    Subset,
}

impl Keys {
    /// The upper bits of a discriminant, which are no part of the number: purposes with different ones never
    /// meet.
    const fn tag(self) -> u64 {
        match self {
            Self::Loss | Self::Detector | Self::Bank => 0,
            other => other as u64,
        }
    }

    /// Whether purposes of both may be drawn with one key. The keys of a stage through the detector are
    /// derived from the run's seed; those of a bank are not.
    const fn may_equal(self, other: Self) -> bool {
        let apart = matches!((self, other), (Self::Detector, Self::Bank) | (Self::Bank, Self::Detector));
        self.tag() == other.tag() && !apart
    }
}

/// Bits of a discriminant below the tag.
const NUMBER_BITS: u32 = 60;

/// The numbers of a purpose: `first`, `first + stride`, … , `count` of them.
#[derive(Clone, Copy)]
struct Range {
    keys: Keys,
    first: u64,
    stride: u64,
    count: u64,
}

impl Range {
    const fn last(&self) -> u64 {
        self.first + (self.count - 1) * self.stride
    }

    const fn contains(&self, number: u64) -> bool {
        number >= self.first && number <= self.last() && (number - self.first).is_multiple_of(self.stride)
    }

    /// Whether two ranges have a number in common. Exact if one of them is short; otherwise ranges count as
    /// apart if one ends before the other begins, or if no two of their numbers leave the same remainder.
    const fn meets(&self, other: &Self) -> bool {
        if self.last() < other.first || other.last() < self.first {
            return false;
        }
        if other.count < self.count {
            return other.meets(self);
        }
        if self.count > 1 << 10 {
            let common = greatest_common_divisor(self.stride, other.stride);
            return self.first % common == other.first % common;
        }
        let mut index = 0;
        while index < self.count {
            if other.contains(self.first + index * self.stride) {
                return true;
            }
            index += 1;
        }
        false
    }
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Declares the enum, and the ranges in the same order.
macro_rules! purposes {
    ($($(#[doc = $doc:literal])+ $name:ident = $keys:ident: $first:expr $(, every $stride:expr, $count:expr)?;)+) => {
        /// What random numbers are drawn for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u64)]
        pub enum Purpose {
            $($(#[doc = $doc])+ $name = (Keys::$keys.tag() << NUMBER_BITS) | $first,)+
        }

        impl Purpose {
            const fn range(self) -> Range {
                let (mut stride, mut count) = (1, 1);
                let (keys, first) = match self {
                    $(Self::$name => {
                        $((stride, count) = ($stride, $count);)?
                        (Keys::$keys, $first)
                    })+
                };
                Range { keys, first, stride, count }
            }
        }

        const ALL: &[Purpose] = &[$(Purpose::$name),+];
    };
}

purposes! {
    /// Background RoIs that a group of classes suppresses (ACSL); by group.
    AcslGroup = Loss: 0, every 1, 10;
    /// Background terms that DropLoss keeps.
    DropLossBackground = Loss: 10;
    /// Classes that stand for the others in a federated loss.
    FederatedClasses = Loss: 11;
    /// Background terms that ACSL suppresses by their score.
    AcslScores = Loss: 12;
    /// RoIs of other groups that a group sees (BAGS); by group.
    BagsOthers = Loss: 100, every 1, 156;
    /// For losses outside this workspace, and for numbers in tests; by an index of their choice.
    Custom = Loss: 1 << 59, every 1, 1 << 32;

    /// Anchors that match an object; by image of the batch.
    AnchorObjects = Detector: 2000, every 4, 1 << 29;
    /// Anchors of background; by image of the batch.
    AnchorBackground = Detector: 2001, every 4, 1 << 29;
    /// RoIs that match an object; by image of the batch.
    RoiObjects = Detector: 2002, every 4, 1 << 29;
    /// RoIs of background; by image of the batch.
    RoiBackground = Detector: 2003, every 4, 1 << 29;
    /// The label of a RoI among those of its object; by image of the batch.
    RoiLabel = Detector: 1 << 32, every 1, 1 << 32;
    /// The seed of a cascade's further head; by head.
    CascadeHead = Detector: 1 << 33, every 1, 1 << 16;

    /// Whether an image of a feature bank is held out.
    BankHeldOut = Bank: 21;
    /// Background RoIs that a feature bank keeps; by view.
    BankBackground = Bank: 22, every 256, 1 << 32;
    /// The direction of a class whose weights are zero.
    HeadDirection = Bank: 31;
    /// Foreground rows of an occurrence of an image; see [`Purpose::bank_foreground_rows`].
    BankForegroundRows = Bank: 41, every 256, 1 << 50;
    /// Background rows of an occurrence of an image; see [`Purpose::bank_background_rows`].
    BankBackgroundRows = Bank: 42, every 256, 1 << 50;
    /// The order of a bank's shards.
    BankShardOrder = Bank: 51;
    /// Whether an image comes once more than its factor's whole part.
    BankRepeats = Bank: 52;
    /// The order of images and of rows within a window of shards.
    BankRowOrder = Bank: 53;
    /// Which view of an image comes.
    BankView = Bank: 54;
    /// Between images that suit several folds of a tuning alike.
    TuneFolds = Bank: 55;
    /// The order of a setting's values over the candidates of a tuning; by setting.
    TuneOrder = Bank: 61, every 256, 1 << 8;
    /// Where in its share of the range the value of a candidate lies; by setting.
    TuneValue = Bank: 62, every 256, 1 << 8;

    /// The order of the images of an epoch; by epoch.
    EpochOrder = Images: 0, every 1, 1 << 40;
    /// Whether an image is mirrored; by position in the stream of images.
    Flip = Images: 1 << 40, every 1, 1 << 40;
    /// What an augmentation does; see [`Purpose::augmentation`].
    Augmentation = Images: 2 << 40, every 1, Purpose::AUGMENTATIONS << 40;
    /// Which emoji are classes.
    WorldClasses = Images: 1 << 48, every 1, 1 << 48;
    /// Classes of the training images of a world.
    WorldTrainPlan = Images: 2 << 48, every 1, 1 << 48;
    /// Classes of the validation images of a world.
    WorldValidationPlan = Images: 3 << 48, every 1, 1 << 48;
    /// A training scene; by image.
    WorldTrainScene = Images: 4 << 48, every 1, 1 << 48;
    /// A validation scene; by image.
    WorldValidationScene = Images: 5 << 48, every 1, 1 << 48;
    /// What annotators leave open in a training image; by image.
    WorldTrainAnnotation = Images: 6 << 48, every 1, 1 << 48;
    /// What annotators leave open in a validation image; by image.
    WorldValidationAnnotation = Images: 7 << 48, every 1, 1 << 48;

    /// How often each image comes in a resample; by resample.
    Resample = Evaluation: 0, every 1, 1 << 32;

    /// The seed of the initial weights.
    WeightSeed = Run: 1;
    /// The seed of order, flips and augmentations of a stage.
    BatchSeed = Run: 2;
    /// The seed of anchors, RoIs and negatives of a stage.
    SamplingSeed = Run: 3;

    /// Initial weights, layer by layer.
    InitialWeights = Weights: 0;
    /// Which images come into which part of a split.
    SplitImages = Split: 0;
    /// Which images come into a subset.
    SubsetImages = Subset: 0;
}

const _: () = {
    let mut a = 0;
    while a < ALL.len() {
        let range = ALL[a].range();
        assert!(range.last() >> NUMBER_BITS == 0, "the range of a purpose reaches into the tag");
        let mut b = a + 1;
        while b < ALL.len() {
            let other = ALL[b].range();
            assert!(
                !(range.keys.may_equal(other.keys) && range.meets(&other)),
                "two purposes have a number in common"
            );
            b += 1;
        }
        a += 1;
    }
};

impl Purpose {
    /// Most augmentations of a list.
    pub const AUGMENTATIONS: u64 = 254;

    /// The stream of an index, such as the index of an image in its batch.
    ///
    /// # Panics
    /// If the index is not below [`Purpose::count`].
    pub const fn at(self, index: u64) -> StreamId {
        let range = self.range();
        assert!(index < range.count, "an index beyond the numbers of its purpose");
        StreamId(self as u64 + index * range.stride)
    }

    /// How many indices the purpose has.
    pub const fn count(self) -> u64 {
        self.range().count
    }

    /// The stream of foreground rows for occurrence `repeat` of a bank's image in an epoch. Occurrences
    /// 65,536 apart share one.
    ///
    /// # Panics
    /// For image 2³⁴ and above.
    pub const fn bank_foreground_rows(image: u64, repeat: u64) -> StreamId {
        Self::BankForegroundRows.at((image << 16) | (repeat & 0xffff))
    }

    /// The stream of background rows for occurrence `repeat` of a bank's image in an epoch. Occurrences
    /// 65,536 apart share one.
    ///
    /// # Panics
    /// For image 2³⁴ and above.
    pub const fn bank_background_rows(image: u64, repeat: u64) -> StreamId {
        Self::BankBackgroundRows.at((image << 16) | (repeat & 0xffff))
    }

    /// The stream of the augmentation of an index in its list, for a position in the stream of images: each
    /// augmentation has its own, so that a change of one leaves the choices of the others alone.
    ///
    /// # Panics
    /// If the index is not below [`Purpose::AUGMENTATIONS`].
    pub const fn augmentation(index: u64, position: u64) -> StreamId {
        Self::Augmentation.at((index << 40) + position)
    }
}

/// A number of a purpose's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// The number without its tag: what a generator is set to.
    pub(crate) const fn number(self) -> u64 {
        self.0 & ((1 << NUMBER_BITS) - 1)
    }

    /// Whether its numbers come from [`crate::hash()`]; those of the others come from [`crate::generator()`].
    pub(crate) const fn is_hashed(self) -> bool {
        self.0 >> NUMBER_BITS == 0
    }
}

impl From<Purpose> for StreamId {
    fn from(purpose: Purpose) -> Self {
        purpose.at(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn range(first: u64, stride: u64, count: u64) -> Range {
        Range { keys: Keys::Loss, first, stride, count }
    }

    #[test]
    fn ranges_meet_exactly_where_they_share_a_number() {
        // Short ranges are compared number by number.
        assert!(range(100, 1, 198).meets(&range(41, 256, 1 << 50)));
        assert!(!range(100, 1, 156).meets(&range(41, 256, 1 << 50)));
        assert!(range(41, 256, 1 << 50).meets(&range(297, 1, 1)));
        // Long ones by where they end and by remainder.
        assert!(!range(41, 256, 1 << 50).meets(&range(42, 256, 1 << 50)));
        assert!(range(41, 256, 1 << 50).meets(&range(2001, 4, 1 << 29)));
        assert!(!range(0, 1, 1 << 40).meets(&range(1 << 40, 1, 1 << 40)));
        assert!(range(0, 1, (1 << 40) + 1).meets(&range(1 << 40, 1, 1 << 40)));
    }

    /// The numbers that every result so far was drawn with.
    #[test]
    fn numbers_stay() {
        let number = |stream: StreamId| stream.number();
        assert_eq!(number(Purpose::AcslGroup.at(2)), 2);
        assert_eq!(number(Purpose::BagsOthers.at(3)), 103);
        for image in [0, 1, 15] {
            // Anchors had 2 (1000 + 2 image), RoIs 2 (1001 + 2 image); background one more.
            assert_eq!(number(Purpose::AnchorObjects.at(image)), 2 * (1000 + 2 * image));
            assert_eq!(number(Purpose::AnchorBackground.at(image)), 2 * (1000 + 2 * image) + 1);
            assert_eq!(number(Purpose::RoiObjects.at(image)), 2 * (1001 + 2 * image));
            assert_eq!(number(Purpose::RoiBackground.at(image)), 2 * (1001 + 2 * image) + 1);
            assert_eq!(number(Purpose::RoiLabel.at(image)), (1 << 32) + image);
        }
        assert_eq!(number(Purpose::CascadeHead.at(2)), (1 << 33) + 2);
        assert_eq!(number(Purpose::BankBackground.at(3)), 22 + (3 << 8));
        assert_eq!(number(Purpose::bank_foreground_rows(7, 65_538)), (7 << 24) | (2 << 8) | 41);
        assert_eq!(number(Purpose::bank_background_rows(7, 2)), (7 << 24) | (2 << 8) | 42);
        assert_eq!(number(Purpose::EpochOrder.at(9)), 9);
        assert_eq!(number(Purpose::Flip.at(9)), (1 << 40) + 9);
        assert_eq!(number(Purpose::augmentation(0, 9)), (2 << 40) + 9);
        assert_eq!(number(Purpose::augmentation(253, 9)), (255 << 40) + 9);
        assert_eq!(number(Purpose::WorldValidationAnnotation.at(4)), (7 << 48) | 4);
        assert_eq!(number(Purpose::Resample.at(4)), 4);
        for (purpose, expected) in [
            (Purpose::DropLossBackground, 10),
            (Purpose::FederatedClasses, 11),
            (Purpose::AcslScores, 12),
            (Purpose::BankHeldOut, 21),
            (Purpose::HeadDirection, 31),
            (Purpose::BankShardOrder, 51),
            (Purpose::BankRepeats, 52),
            (Purpose::BankRowOrder, 53),
            (Purpose::BankView, 54),
            (Purpose::WeightSeed, 1),
            (Purpose::BatchSeed, 2),
            (Purpose::SamplingSeed, 3),
        ] {
            assert_eq!(number(purpose.into()), expected, "{purpose:?}");
        }
    }
}
