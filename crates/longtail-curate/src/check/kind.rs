//! Kinds of findings: how bad each is, what it means, and whether [`fix`](mod@crate::fix) sees to it.

use longtail_formats::RemarkKind;
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Training or evaluation refuses the set, or its results mean something else.
    Error,
    /// Something is left out or suspicious.
    Warning,
    /// Good to know.
    Note,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`message` says what each is")]
pub enum Kind {
    EntryUnreadable,
    NoImages,
    NoCategories,
    ImageIdRepeated,
    ImageSizeZero,
    FileNameRepeated,
    FileNameLeadsOut,
    CategoryIdRepeated,
    NamesDifferByCase,
    NamesDifferByPlural,
    CategoryIdsHaveGaps,
    CategoryWithoutBoxes,
    AnnotationIdRepeated,
    AnnotationIdZero,
    UnknownCategory,
    UnknownImage,
    BoxNotFinite,
    BoxWithoutArea,
    BoxOutside,
    BoxReachesOut,
    BoxTwice,
    CornersForSizes,
    CentresForCorners,
    AxesExchanged,
    SharesForPixels,
    LabelWithoutImage,
    PictureNotRead,
    FurtherBox,
    FilenameOfAnother,
    FoundElsewhere,
    SizeMeasured,
    SystemFile,
    ImageWithoutBoxes,
    FederatedFieldsMissing,
    AbsentButAnnotated,
    AbsentAndNotExhaustive,
    ListNamesUnknownCategory,
    ListRepeatsCategory,
    FrequencyMissing,
    ImageMissing,
    ImageUnreadable,
    ImageUndecodable,
    SizeMismatch,
    ExifSizeUnturned,
    ExifBoxesUnturned,
    ExifTurned,
    SamePicture,
    NearDuplicate,
    SamePictureInBoth,
    NearDuplicateInBoth,
    SameNameInBoth,
    CategoriesDisagree,
    CategoryOnlyInOther,
    ClassNeverTrained,
}

impl Kind {
    /// The kind of a remark of a reader; none for what a check says in its own words.
    pub fn of_remark(remark: RemarkKind) -> Option<Self> {
        Some(match remark {
            RemarkKind::Unreadable => Self::EntryUnreadable,
            RemarkKind::LabelWithoutImage => Self::LabelWithoutImage,
            RemarkKind::PictureNotRead => Self::PictureNotRead,
            RemarkKind::FurtherBox => Self::FurtherBox,
            RemarkKind::FilenameOfAnother => Self::FilenameOfAnother,
            RemarkKind::FoundElsewhere => Self::FoundElsewhere,
            RemarkKind::SizeMeasured => Self::SizeMeasured,
            RemarkKind::SystemFile => Self::SystemFile,
            RemarkKind::SizeUnknown => return None,
        })
    }

    /// Whether it says that the boxes of the whole set are in another layout.
    pub fn is_misreading(self) -> bool {
        use Kind::*;
        matches!(self, CornersForSizes | CentresForCorners | AxesExchanged | SharesForPixels)
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        self.describe().0
    }

    /// What is wrong and what it means.
    pub fn message(self) -> &'static str {
        self.describe().1
    }

    /// Whether [`fix`](mod@crate::fix) repairs it, where one repair is the right one whatever the set is for.
    pub fn fixable(self) -> bool {
        use Kind::*;
        matches!(
            self,
            AnnotationIdRepeated
                | AnnotationIdZero
                | UnknownCategory
                | UnknownImage
                | BoxNotFinite
                | BoxWithoutArea
                | BoxOutside
                | BoxReachesOut
                | BoxTwice
                | AbsentButAnnotated
                | ListNamesUnknownCategory
                | ListRepeatsCategory
                | SizeMismatch
        )
    }

    fn describe(self) -> (Severity, &'static str) {
        use Kind::*;
        use Severity::{Error, Note, Warning};
        match self {
            EntryUnreadable => (Error, RemarkKind::Unreadable.message()),
            CornersForSizes => (
                Error,
                "boxes of the whole set whose last two numbers are the lower right corner, not the size",
            ),
            CentresForCorners => (
                Error,
                "boxes of the whole set whose first two numbers are the centre, not the upper left corner",
            ),
            AxesExchanged => (Error, "boxes of the whole set whose x and y are exchanged"),
            SharesForPixels => (Error, "boxes of the whole set that are shares of the image, not pixels"),
            LabelWithoutImage => (Warning, RemarkKind::LabelWithoutImage.message()),
            PictureNotRead => (Warning, RemarkKind::PictureNotRead.message()),
            FurtherBox => (Warning, RemarkKind::FurtherBox.message()),
            FilenameOfAnother => (Warning, RemarkKind::FilenameOfAnother.message()),
            FoundElsewhere => (Note, RemarkKind::FoundElsewhere.message()),
            SizeMeasured => (Note, RemarkKind::SizeMeasured.message()),
            SystemFile => (Note, RemarkKind::SystemFile.message()),
            NoImages => (Error, "no images: there is nothing to train on or to evaluate"),
            NoCategories => (Error, "no categories: there is nothing to detect"),
            ImageIdRepeated => (Error, "image ids repeated"),
            ImageSizeZero => (Error, "images with width or height 0"),
            FileNameLeadsOut => (Error, "file names that lead out of the image folder"),
            FileNameRepeated => (Warning, "file names used by several images"),
            CategoryIdRepeated => (Error, "category ids repeated"),
            NamesDifferByCase => {
                (Warning, "category names that differ at most by case, spaces or punctuation")
            }
            NamesDifferByPlural => (Warning, "category names of which one is the plural of the other"),
            CategoryIdsHaveGaps => (Note, "category ids have gaps (handled: labels are contiguous)"),
            CategoryWithoutBoxes => (Note, "categories without any box: they cannot be learnt from this set"),
            AnnotationIdRepeated => (Error, "annotation ids repeated"),
            AnnotationIdZero => {
                (Warning, "an annotation with id 0: the LVIS protocol reads a match with it as none")
            }
            UnknownCategory => (Error, "annotations of unknown categories"),
            UnknownImage => (Error, "annotations of unknown images"),
            BoxNotFinite => (Error, "boxes that are not finite"),
            BoxWithoutArea => (Warning, "boxes without area (left out of training)"),
            BoxOutside => (Warning, "boxes outside of their image (left out of training)"),
            BoxReachesOut => (Warning, "boxes that reach out of their image (clipped in training)"),
            BoxTwice => (Warning, "boxes annotated twice (same image, category, corners)"),
            ImageWithoutBoxes => (Note, "images without any box (trained on as background)"),
            FederatedFieldsMissing => (
                Error,
                "images without neg_category_ids or not_exhaustive_category_ids: the LVIS protocol needs both",
            ),
            AbsentButAnnotated => (Warning, "categories verified absent but annotated"),
            AbsentAndNotExhaustive => (Warning, "categories verified absent and not exhaustively annotated"),
            ListNamesUnknownCategory => (
                Warning,
                "neg_category_ids or not_exhaustive_category_ids that are not categories of the file",
            ),
            ListRepeatsCategory => {
                (Note, "neg_category_ids or not_exhaustive_category_ids that repeat a category")
            }
            FrequencyMissing => (Warning, "categories without frequency: in none of APr, APc, APf"),
            ImageMissing => (Error, "images that are missing"),
            ImageUnreadable => (Error, "images that cannot be read"),
            ImageUndecodable => (Error, "images that cannot be decoded"),
            SizeMismatch => (Error, "images whose pixels have another size than the file says"),
            ExifSizeUnturned => (
                Error,
                "images that an EXIF orientation turns while width and height are those of the unturned pixels: \
                 training turns them, so remove the orientation from the image or turn its boxes",
            ),
            ExifBoxesUnturned => (
                Warning,
                "images that an EXIF orientation turns, with boxes that fit the unturned pixels alone: they were \
                 drawn there, and training turns the image",
            ),
            ExifTurned => (
                Note,
                "images that an EXIF orientation turns or mirrors (handled: boxes are taken to lie on the upright image)",
            ),
            SamePicture => (Warning, "images with the same pixels as another"),
            NearDuplicate => {
                (Warning, "images that look like another: re-encoded, resized, mirrored or slightly cropped")
            }
            SamePictureInBoth => (
                Error,
                "images whose pixels are in the other file too: what is measured there was trained on",
            ),
            NearDuplicateInBoth => (Warning, "images that look like one of the other file"),
            SameNameInBoth => (
                Note,
                "images with the name and size of one of the other file; give both image folders to compare pixels",
            ),
            CategoriesDisagree => (Error, "category ids that mean another class in the other file"),
            CategoryOnlyInOther => (Warning, "categories of the other file that this one lacks"),
            ClassNeverTrained => {
                (Warning, "classes with boxes in the other file and none here: they cannot be found there")
            }
        }
    }
}
