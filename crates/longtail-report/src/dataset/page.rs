//! The page: one file, nothing loaded from elsewhere.

use std::cmp::Reverse;

use askama::Template;
use longtail_annotations::FrequencyGroup;

use super::{ClassRow, DatasetData, PairRow, plots};
use crate::{
    ReportError,
    groups::{range, ranges},
};

#[derive(Template)]
#[template(path = "dataset.html")]
struct Page<'a> {
    data: &'a DatasetData,
    ranges: String,
    /// The plot for wide and for narrow screens.
    tail: Option<(String, String)>,
    groups: Vec<Group>,
    distributions: Vec<(String, String, String)>,
    pairs: Vec<(&'a str, Vec<Pair<'a>>)>,
    classes: Vec<Class<'a>>,
}

/// Rare, common or frequent classes.
struct Group {
    letter: &'static str,
    name: &'static str,
    range: String,
    classes: usize,
    boxes: String,
    share: String,
}

struct Class<'a> {
    name: &'a str,
    letter: &'static str,
    images: String,
    boxes: String,
    /// Length of its bar in percent, logarithmic.
    bar: String,
}

struct Pair<'a> {
    row: &'a PairRow,
    images: String,
    lift: String,
}

/// Renders the page. Names from the data are escaped.
///
/// # Errors
/// If a plot cannot be drawn.
pub fn html(data: &DatasetData) -> Result<String, ReportError> {
    let mut classes = data.classes.clone();
    classes.sort_by(|a, b| {
        (Reverse(a.images), Reverse(a.boxes), &a.name).cmp(&(Reverse(b.images), Reverse(b.boxes), &b.name))
    });
    let wide = plots::tail(&classes, 960, 400)?;
    let narrow = plots::tail(&classes, 360, 300)?;
    let mut distributions = Vec::new();
    for distribution in &data.distributions {
        if let Some(svg) = plots::bars(distribution)? {
            distributions.push((distribution.title.clone(), distribution.summary.clone(), svg));
        }
    }
    let page = Page {
        data,
        ranges: ranges(),
        tail: wide.zip(narrow),
        groups: groups(&classes),
        distributions,
        pairs: data
            .pairs
            .iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(title, rows)| (title.as_str(), rows.iter().map(pair).collect()))
            .collect(),
        classes: rows(&classes),
    };
    Ok(page.render()?)
}

fn groups(classes: &[ClassRow]) -> Vec<Group> {
    let all: u64 = classes.iter().map(|c| c.boxes).sum();
    let of = |group: FrequencyGroup| {
        let members = classes.iter().filter(move |c| FrequencyGroup::from_image_count(c.images) == group);
        let (letter, name, range) = (group.letter(), group.name(), format!("{} images", range(group)));
        let boxes: u64 = members.clone().map(|c| c.boxes).sum();
        let share = format!("{:.1} %", 100.0 * boxes as f64 / all.max(1) as f64);
        Group { letter, name, range, classes: members.count(), boxes: thousands(boxes), share }
    };
    FrequencyGroup::ALL.into_iter().map(of).collect()
}

fn rows(classes: &[ClassRow]) -> Vec<Class<'_>> {
    let most = classes.iter().map(|c| c.boxes).max().unwrap_or(0);
    let length = |boxes: u64| 100.0 * (boxes as f64 + 1.0).ln() / (most as f64 + 1.0).ln().max(1e-9);
    let mut rows = Vec::with_capacity(classes.len());
    for class in classes {
        rows.push(Class {
            name: &class.name,
            letter: FrequencyGroup::from_image_count(class.images).letter(),
            images: thousands(class.images),
            boxes: thousands(class.boxes),
            bar: format!("{:.1}", length(class.boxes)),
        });
    }
    rows
}

fn pair(row: &PairRow) -> Pair<'_> {
    Pair { row, images: thousands(row.images), lift: format!("{:.1}×", row.lift) }
}

/// Digits in groups of three.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> DatasetData {
        let class = |name: &str, images, boxes| ClassRow { name: name.into(), images, boxes };
        DatasetData {
            title: "train <1>".into(),
            figures: vec![("boxes".into(), "1,234".into())],
            classes: vec![
                class("few", 3, 4),
                class("<many>", 500, 1230),
                class("none", 0, 0),
                class("some", 11, 12),
            ],
            pairs: vec![
                (
                    "together".into(),
                    vec![PairRow { classes: ["few".into(), "<many>".into()], images: 2, lift: 1.26 }],
                ),
                ("empty".into(), vec![]),
            ],
            ..DatasetData::default()
        }
    }

    #[test]
    fn names_are_escaped_and_nothing_is_loaded() {
        let page = html(&data()).unwrap();
        assert!(page.contains("train &#60;1&#62;") && page.contains("&#60;many&#62;"));
        assert!(!page.contains("<many>") && !page.contains("<script"));
        for word in ["href=\"http", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn groups_have_their_share() {
        let mut classes = data().classes;
        classes.sort_by_key(|c| Reverse(c.images));
        let found: Vec<(usize, String, String)> =
            groups(&classes).into_iter().map(|g| (g.classes, g.boxes, g.share)).collect();
        let row = |n, boxes: &str, share: &str| (n, boxes.to_owned(), share.to_owned());
        assert_eq!(found, [row(2, "4", "0.3 %"), row(1, "12", "1.0 %"), row(1, "1,230", "98.7 %")]);
    }

    #[test]
    fn what_is_empty_is_left_out() {
        let page = html(&data()).unwrap();
        assert!(page.contains("together") && !page.contains("empty") && page.contains("1.3×"));
        let bare = html(&DatasetData::default()).unwrap();
        assert!(!bare.contains("<svg"));
    }

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_270_141, "1,270,141")] {
            assert_eq!(thousands(number), text);
        }
    }
}
