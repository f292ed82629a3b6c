//! The frequency groups in words.

use longtail_annotations::FrequencyGroup;

/// Numbers of images of a group's classes, such as `11–100`.
pub(crate) fn range(group: FrequencyGroup) -> String {
    let (rare, common) = (FrequencyGroup::RARE_IMAGES, FrequencyGroup::COMMON_IMAGES);
    match group {
        FrequencyGroup::Rare => format!("1–{rare}"),
        FrequencyGroup::Common => format!("{}–{common}", rare + 1),
        FrequencyGroup::Frequent => format!("more than {common}"),
    }
}

/// Those of all groups, rare first.
pub(crate) fn ranges() -> String {
    FrequencyGroup::ALL.map(range).join(", ")
}
