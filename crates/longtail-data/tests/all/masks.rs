//! Outlines as files say them, against pycocotools.

use longtail_data::{Outline, Outlines};
use longtail_formats::{Document, RawJson, ReadOptions};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Golden {
    height: u32,
    width: u32,
    runs: Vec<Runs>,
    polygons: Vec<Polygons>,
}

#[derive(Deserialize)]
struct Runs {
    name: String,
    text: Value,
    list: Value,
    rows: Vec<String>,
}

#[derive(Deserialize)]
struct Polygons {
    segmentation: Value,
    rows: Vec<String>,
}

/// scripts/golden/masks.py
fn golden() -> Golden {
    serde_json::from_str(include_str!("../fixtures/masks.json")).unwrap()
}

fn parse(value: &Value) -> Option<Outline> {
    Outline::parse(&RawJson::of(value))
}

fn pixels(rows: &[String]) -> Vec<u8> {
    rows.concat().bytes().map(|digit| if digit == b'1' { 255 } else { 0 }).collect()
}

#[test]
fn runs_are_those_of_pycocotools_in_both_forms_and_in_any_frame() {
    let Golden { height, width, runs, .. } = golden();
    for Runs { name, text, list, rows } in runs {
        let expected = pixels(&rows);
        for coded in [parse(&text).unwrap(), parse(&list).unwrap()] {
            assert_eq!(coded.rasterize([0, 0, width, height]), expected, "{name}");
            let [x, y, w, h] = [7, 5, 20, 11];
            let part: Vec<u8> = (y..y + h)
                .flat_map(|r| (x..x + w).map(move |c| (r, c)))
                .map(|(r, c)| expected[(r * width + c) as usize])
                .collect();
            assert_eq!(coded.rasterize([x, y, w, h]), part, "{name}");
        }
    }
}

#[test]
fn polygons_are_filled_as_pycocotools_fills_them_but_for_their_edge() {
    // pycocotools walks along the edge on a grid five times finer; here a pixel counts by its centre.
    let Golden { height, width, polygons, .. } = golden();
    for Polygons { segmentation, rows } in polygons {
        let expected = pixels(&rows);
        let found = parse(&segmentation).unwrap().rasterize([0, 0, width, height]);
        let at = |mask: &[u8], x: i64, y: i64| {
            let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
            inside && mask[(y * i64::from(width) + x) as usize] > 0
        };
        for (x, y) in (0..i64::from(height)).flat_map(|y| (0..i64::from(width)).map(move |x| (x, y))) {
            if at(&found, x, y) != at(&expected, x, y) {
                let around = [-1, 0, 1].into_iter().flat_map(|dy| [-1, 0, 1].map(|dx| (x + dx, y + dy)));
                let set = around.filter(|&(x, y)| at(&expected, x, y)).count();
                assert!((1..9).contains(&set), "{x} {y} is not at the edge of {segmentation}");
            }
        }
        let both = found.iter().zip(&expected).filter(|(a, b)| **a > 0 && **b > 0).count();
        let any = found.iter().zip(&expected).filter(|(a, b)| **a > 0 || **b > 0).count();
        assert!(both as f64 / any as f64 > 0.93, "{both} of {any}");
    }
}

#[test]
fn what_is_no_outline_is_none_and_hostile_runs_are_harmless() {
    for value in [
        json!(null),
        json!([]),
        json!([[1, 2, 3, 4]]),
        json!([[1, 2, 3, 4, 5]]),
        json!("text"),
        json!({"size": [3, 3]}),
        json!({"size": [3, 3], "counts": "a b"}),
        json!({"size": [3, 3], "counts": [-1, 3]}),
        json!({"size": [3, 3], "counts": "oooooooooooooooooooooo"}),
    ] {
        assert_eq!(parse(&value), None, "{value}");
    }
    let most = u32::MAX;
    let outline = parse(&json!({"size": [0, 0], "counts": [0, most, most, most]})).unwrap();
    assert_eq!(outline.rasterize([0, 0, 3, 2]), [255, 255, 255, 0, 0, 0], "a column of height 0 counts as 1");
    let far = parse(&json!([[-1e30, -1e30, 1e30, -1e30, 1e30, 1e30, -1e30, 1e30]])).unwrap();
    assert_eq!(far.rasterize([0, 0, 2, 2]), [255; 4]);
}

#[test]
fn outlines_of_a_data_set_are_found_by_annotation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.json");
    let set = json!({
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8], "segmentation": [[1, 1, 9, 1, 9, 9, 1, 9]]},
            {"id": 8, "image_id": 1, "category_id": 1, "bbox": [1, 1, 8, 8]},
            {"id": 9, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 30], "segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}},
        ],
    });
    std::fs::write(&path, set.to_string()).unwrap();
    let outlines = Outlines::of(&Document::open(&path, &ReadOptions::default()).unwrap());
    assert_eq!(outlines.len(), 2);
    assert_eq!(outlines.get(7), Some(&Outline::Polygons(vec![vec![1.0, 1.0, 9.0, 1.0, 9.0, 9.0, 1.0, 9.0]])));
    assert_eq!(outlines.get(8), None);
    assert_eq!(outlines.get(9), Some(&Outline::Runs { height: 30, counts: vec![0, 30, 1170] }));
}
