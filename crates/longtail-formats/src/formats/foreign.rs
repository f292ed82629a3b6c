//! Annotation files of other tools: what they are, and which export to choose there.

use crate::json::{Cursor, Json};

/// How a JSON file of another tool is known, and what to do.
pub(crate) fn name_json(text: &str) -> Option<String> {
    let mut cursor = Cursor::new(text);
    let found = match cursor.peek()? {
        b'[' => {
            let mut first = None;
            // The first entry tells; what follows it need not be right.
            let _ = cursor.list("", |_, cursor| {
                first = Some(cursor.value()?);
                cursor.value().map(drop)
            });
            list(&first?)?
        }
        b'{' => {
            let first = cursor.value().ok()?;
            let more = cursor.peek() == Some(b'{');
            if more { lines(&first)? } else { object(&first).or_else(|| lines(&first))? }
        }
        _ => return None,
    };
    Some(format!("it is {}; {}", found.0, found.1))
}

/// What an XML file with another root is.
pub(crate) fn name_xml(root: &str) -> Option<&'static str> {
    match root {
        "annotations" => Some(
            "it is CVAT's own XML, with all images in one file; export the task as `Pascal VOC`, `COCO` or \
             `Ultralytics YOLO Detection`",
        ),
        "dataset" => Some("it is dlib's XML of imglab; convert it to Pascal VOC or COCO"),
        "svg" => Some("it is a drawing (SVG)"),
        "html" => Some("it is a web page; the download went wrong"),
        _ => None,
    }
}

type Named = (&'static str, &'static str);

const COCO_OR_TABLE: &str =
    "write its boxes as COCO JSON or as a table (file_name, class, xmin, ymin, xmax, ymax)";

fn list(first: &Json<'_>) -> Option<Named> {
    let has = |name: &str| first.get(name).is_some();
    let inner = first.get("annotations").and_then(Json::list).and_then(|list| list.first());
    if has("image_id") && (has("score") || has("bbox") || has("segmentation")) {
        return Some((
            "a list, as files of detections are",
            "ground truth is an object of `images`, `annotations` and `categories`",
        ));
    }
    if inner.is_some_and(|inner| inner.get("result").is_some()) || (has("data") && has("predictions")) {
        return Some(("Label Studio's own list of tasks", "export as `COCO` or `YOLO with Images` there"));
    }
    if inner.is_some_and(|inner| inner.get("coordinates").is_some()) {
        return Some(("CreateML's JSON", "export as `COCO` there (Roboflow and RectLabel have it)"));
    }
    if has("name") && has("labels") {
        return Some(("the JSON of BDD100K or Scalabel", "convert it with `bdd100k.label.to_coco`"));
    }
    if has("image") && has("label") {
        return Some(("Label Studio's JSON-MIN", "export as `COCO` or `YOLO with Images` there"));
    }
    if has("images") && has("annotations") {
        return Some(("a list around a COCO file", "take its only entry out of the list"));
    }
    None
}

fn object(value: &Json<'_>) -> Option<Named> {
    let has = |name: &str| value.get(name).is_some();
    let Json::Object(members) = value else { return None };
    let inner = members.first().map(|(_, value)| value);
    let inner_has = |name: &str| inner.is_some_and(|inner| inner.get(name).is_some());
    if has("shapes") && (has("imagePath") || has("imageData") || has("version")) {
        return Some((
            "a file of labelme, with one image",
            "convert its folder with `labelme2coco`, or export it as Pascal VOC or YOLO",
        ));
    }
    if has("_via_img_metadata") || has("_via_settings") || (inner_has("regions") && inner_has("filename")) {
        return Some((
            "a file of VIA (VGG Image Annotator)",
            "export the annotations as `COCO format` there",
        ));
    }
    if has("items") && has("categories") {
        return Some(("Datumaro's JSON", "convert it with `datum convert -f coco`"));
    }
    if has("LabelName") {
        return Some((
            "a tree of classes of Open Images",
            "name the table of boxes (…-annotations-bbox.csv)",
        ));
    }
    if has("samples") && has("classes") || has("sample_fields") {
        return Some(("FiftyOne's JSON", "export as `fiftyone.types.COCODetectionDataset` there"));
    }
    if has("size") && has("objects") && has("tags") {
        return Some(("Supervisely's JSON, with one image", "export the project as COCO there"));
    }
    if has("assets") && has("tags") || has("asset") && has("regions") {
        return Some(("VoTT's JSON", "export as `Pascal VOC` or `CSV` there"));
    }
    None
}

fn lines(first: &Json<'_>) -> Option<Named> {
    let has = |name: &str| first.get(name).is_some();
    if has("file_name") || has("image") && has("objects") {
        return Some(("Hugging Face's `metadata.jsonl`, an object a line", COCO_OR_TABLE));
    }
    if has("source-ref") {
        return Some(("a manifest of SageMaker Ground Truth, an object a line", COCO_OR_TABLE));
    }
    if has("data_row") {
        return Some((
            "Labelbox's NDJSON, an object a line",
            "convert it with `labelbox.data.serialization`",
        ));
    }
    if has("image_id") && has("bbox") {
        return Some((
            "a list of detections, an object a line",
            "ground truth is an object of `images`, `annotations` and `categories`",
        ));
    }
    None
}
