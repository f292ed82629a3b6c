//! A plain table: a row a box, with the names of image and class, corners or sizes in pixels.
//!
//! | column | also | meaning |
//! | --- | --- | --- |
//! | `file_name` | `filename`, `image`, `path`, … | image; a row with nothing else is an image without boxes |
//! | `width`, `height` | `image_width`, … | size of the image; measured where the columns or cells are missing |
//! | `class` | `label`, `class_name`, `category` | a row with a class and no image is a class without boxes |
//! | `x`, `y`, `box_width`, `box_height` | `bbox_x`, …, `w`, `h` | the box, or |
//! | `xmin`, `ymin`, `xmax`, `ymax` | `x1`, …, `left`, `top`, … | its corners |
//! | `image_id`, `category_id`, `annotation_id` | `id` for the last | numbered in order where missing; classes by name |
//! | `area`, `iscrowd`, `ignore` | | as in COCO and LVIS |
//! | `verified` | | in a row without a box: the class is `absent` or `not-exhaustive` in the image; makes the set LVIS |
//! | `frequency` | | LVIS letter of the class |
//! | anything else | | carried as a field of the annotation |

mod columns;
mod reader;
mod writer;

pub(crate) use reader::read;
pub(crate) use writer::write;
