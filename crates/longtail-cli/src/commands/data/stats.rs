//! `longtail data stats`

use longtail_data::{AnnotationSet, ImageFolder, ReadOptions, Statistics};

use crate::{
    Outcome,
    args::{DataStats, Format},
    printer::Printer,
    tables::{markdown, text},
};

/// Classes shown at each end.
const ENDS: usize = 10;

/// Prints counts of images, boxes and classes.
pub fn run(arguments: &DataStats, printer: &Printer) -> anyhow::Result<Outcome> {
    let options = ReadOptions { images: arguments.images.clone(), ..Default::default() };
    let set = AnnotationSet::open(&arguments.annotations, &options)?;
    let statistics = Statistics::of(&set);
    let missing = arguments.images.as_ref().map(|folder| {
        let folder = ImageFolder::new(folder);
        set.images.iter().filter(|image| !folder.path(&image.file_name).exists()).count()
    });
    let class_heading = ["class", "group", "images", "boxes"];
    let class_rows = |classes: &[longtail_data::statistics::ClassStatistics]| -> Vec<Vec<String>> {
        let row = |c: &longtail_data::statistics::ClassStatistics| {
            vec![c.name.clone(), c.frequency.name().into(), c.images.to_string(), c.boxes.to_string()]
        };
        classes.iter().map(row).collect()
    };
    let classes = &statistics.classes;
    let output = match arguments.format {
        Format::Json => {
            let mut value = serde_json::to_value(&statistics)?;
            if let Some(missing) = missing {
                value["missing_images"] = missing.into();
            }
            serde_json::to_string_pretty(&value)?
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["category_id", "name", "frequency", "images", "boxes"])?;
            for c in classes {
                writer.serialize((c.category_id, &c.name, c.frequency.letter(), c.images, c.boxes))?;
            }
            String::from_utf8(writer.into_inner()?)?
        }
        Format::Text | Format::Markdown => {
            let table: fn(&[&str], &[Vec<String>]) -> String =
                if arguments.format == Format::Text { text } else { markdown };
            let mut summary = vec![
                vec!["images".to_owned(), statistics.images.to_string()],
                vec!["images without boxes".into(), statistics.images_without_boxes.to_string()],
                vec!["boxes".into(), statistics.boxes.to_string()],
                vec!["classes".into(), classes.len().to_string()],
                vec![
                    "imbalance ratio (boxes of the largest class / smallest)".into(),
                    statistics.imbalance_ratio.map_or("–".into(), |r| format!("{r:.0}")),
                ],
                vec!["Gini coefficient of boxes over classes".into(), format!("{:.3}", statistics.gini)],
            ];
            if let Some(missing) = missing {
                summary.push(vec!["missing image files".into(), missing.to_string()]);
            }
            let groups: Vec<Vec<String>> = statistics
                .groups
                .iter()
                .map(|g| {
                    let share = 100.0 * g.boxes as f64 / statistics.boxes.max(1) as f64;
                    vec![
                        g.frequency.name().into(),
                        g.classes.to_string(),
                        g.boxes.to_string(),
                        format!("{share:.1} %"),
                    ]
                })
                .collect();
            let largest = &classes[..classes.len().min(ENDS)];
            let smallest = &classes[classes.len().saturating_sub(ENDS).max(largest.len())..];
            let mut parts = vec![
                table(&["", ""], &summary),
                table(&["group", "classes", "boxes", "share"], &groups),
                "largest classes".into(),
                table(&class_heading, &class_rows(largest)),
            ];
            if !smallest.is_empty() {
                parts.push("smallest classes".into());
                parts.push(table(&class_heading, &class_rows(smallest)));
            }
            parts.join("\n\n")
        }
    };
    printer.data(&output)?;
    Ok(Outcome::Done)
}
