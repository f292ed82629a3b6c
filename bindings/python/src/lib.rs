//! The native part of `longtail` for Python: what must be fast or must be the rules that the command line
//! follows.
//!
//! | module | purpose |
//! | --- | --- |
//! | `errors` | Rust's errors as Python's own kinds, with file, entry and field |
//! | `threads` | a pool a process, work without the GIL, Ctrl-C |
//! | `records` | ground truth and detections out of dicts and arrays |
//! | `metrics` | [`evaluate`](longtail_eval::evaluate) by every protocol |
//! | `inputs` | ground truth, detections and training counts, read or still to be read |
//! | `analyses` | comparisons, errors, look-alikes, calibration, corrections, the page |
//! | `sets` | data sets counted, checked, converted and split |
//! | `banks`, `heads` | feature banks, and the heads trained on them |
//! | `losses` | every loss of `longtail-loss`, value and gradient |
//! | `masks` | masks as `pycocotools.mask` hands them about |
//! | `matching`, `curves` | the kernels below the drop-in classes of `pycocotools` and `lvis` |
//! | `cells`, `assigned` | these kernels over all images, classes and area ranges; of results that a caller assigned |
//!
//! Python files hold the public names; nothing here is public.

mod analyses;
mod assigned;
mod banks;
mod cells;
mod curves;
mod errors;
mod heads;
mod inputs;
mod losses;
mod masks;
mod matching;
mod metrics;
mod records;
mod sets;
mod threads;

/// Native parts of `longtail`.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use super::analyses::{analyse, apply_correction, compare, correct, fit_correction, report_page};
    #[pymodule_export]
    use super::assigned::accumulate_entries;
    #[pymodule_export]
    use super::banks::{Bank, write_bank};
    #[pymodule_export]
    use super::cells::{Cells, evaluate_cells};
    #[pymodule_export]
    use super::heads::{Head, train_heads};
    #[pymodule_export]
    use super::losses::Loss;
    #[pymodule_export]
    use super::masks::{
        box_overlaps, decode_masks, encode_masks, mask_areas, mask_boxes, mask_of_counts, mask_overlaps,
        masks_of_boxes, masks_of_polygons, merge_masks,
    };
    #[pymodule_export]
    use super::metrics::{evaluate, evaluate_open_images};
    #[pymodule_export]
    use super::sets::{data_check, data_convert, data_split, data_stats};
    #[pymodule_export]
    use super::threads::thread_count;
}
