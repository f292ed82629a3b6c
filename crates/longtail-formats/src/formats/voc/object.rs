//! One XML file.

use roxmltree::{Document as Xml, Node, ParsingOptions};

use crate::{
    document::{Members, RawJson},
    formats::{PixelOrigin, foreign::name_xml, text::number},
};

/// Most nodes of a file: some ten thousand objects.
const MAX_NODES: u32 = 1_000_000;

/// What a file says of its image.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Described {
    /// Name of the image file; none where the file has none.
    pub file_name: Option<String>,
    /// Width and height, where the file has them and they are not 0.
    pub size: Option<[u32; 2]>,
    /// Objects in order.
    pub objects: Vec<Object>,
    /// Line and reason of objects that cannot be read.
    pub unreadable: Vec<(u64, String)>,
    /// Line and class of boxes beyond the first of an object.
    pub further_boxes: Vec<(u64, String)>,
}

/// An object of a file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    /// Class.
    pub name: String,
    /// x, y, width, height.
    pub bbox: [f64; 4],
    /// Flagged as too hard to be asked for.
    pub difficult: bool,
    /// `pose`, `truncated`, `occluded`, `difficult`, where the file has them.
    pub members: Members,
}

/// Parses a file; an error has its line.
pub(super) fn parse(text: &str, origin: PixelOrigin) -> Result<Described, (u64, String)> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, entity_resolver: None };
    let xml = Xml::parse_with_options(text, options).map_err(|error| {
        let hint = match error {
            roxmltree::Error::DtdDetected => "; document types and entities are not read: write the text out",
            roxmltree::Error::UnknownEntityReference(..) => "; entities are not expanded: write the text out",
            _ => "",
        };
        (u64::from(error.pos().row), format!("it is not XML that can be read: {error}{hint}"))
    })?;
    let root = xml.root_element();
    let at =
        |node: Node<'_, '_>, reason: String| (u64::from(xml.text_pos_at(node.range().start).row), reason);
    if root.tag_name().name() != "annotation" {
        let name = root.tag_name().name();
        let reason = match name_xml(name) {
            Some(said) => said.to_owned(),
            None => format!("its root is <{name}>, expected <annotation>"),
        };
        return Err(at(root, reason));
    }
    let size = child(root, "size").and_then(|size| {
        let side = |name| text_of(size, name)?.parse::<u32>().ok().filter(|side| *side > 0);
        Some([side("width")?, side("height")?])
    });
    let file_name = text_of(root, "filename").map(str::to_owned);
    let mut described = Described { file_name, size, ..Described::default() };
    for node in root.children().filter(|node| node.has_tag_name("object")) {
        match object(node, origin) {
            Ok(object) => {
                let boxes = node.children().filter(|child| child.has_tag_name("bndbox")).skip(1);
                described.further_boxes.extend(boxes.map(|further| at(further, object.name.clone())));
                described.objects.push(object);
            }
            Err(reason) => described.unreadable.push(at(node, reason)),
        }
    }
    Ok(described)
}

/// Class names of a file.
pub(super) fn class_names(text: &str) -> Vec<String> {
    // A broken file is named when its part is read.
    parse(text, PixelOrigin::One)
        .map_or_else(|_| Vec::new(), |found| found.objects.into_iter().map(|object| object.name).collect())
}

fn child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Option<Node<'a, 'input>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Text of a child without the spaces around; none if there is none.
fn text_of<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    child(node, name)?.text().map(str::trim).filter(|text| !text.is_empty())
}

fn object(node: Node<'_, '_>, origin: PixelOrigin) -> Result<Object, String> {
    let name = text_of(node, "name").ok_or("an <object> has no <name>")?.to_owned();
    let bndbox = child(node, "bndbox").ok_or_else(|| {
        let rotated = match child(node, "robndbox").or_else(|| child(node, "polygon")) {
            Some(other) => format!(
                " but a <{}>; rotated boxes and polygons are not read: export upright boxes",
                other.tag_name().name()
            ),
            None => String::new(),
        };
        format!("<object> {name:?} has no <bndbox>{rotated}")
    })?;
    let corner = |field: &str| {
        let text = text_of(bndbox, field).ok_or_else(|| format!("<bndbox> of {name:?} has no <{field}>"))?;
        number(text).map_err(|reason| format!("<{field}> of {name:?}: {reason}"))
    };
    let [x1, y1, x2, y2] = [corner("xmin")?, corner("ymin")?, corner("xmax")?, corner("ymax")?];
    let bbox = match origin {
        PixelOrigin::One => [x1 - 1.0, y1 - 1.0, x2 - x1 + 1.0, y2 - y1 + 1.0],
        PixelOrigin::Zero => [x1, y1, x2 - x1, y2 - y1],
    };
    let mut members = Members::default();
    if let Some(pose) = text_of(node, "pose") {
        members.push("pose", RawJson::of(pose));
    }
    let mut difficult = false;
    for flag in ["truncated", "occluded", "difficult"] {
        let Some(text) = text_of(node, flag) else { continue };
        let value = match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" => true,
            "0" | "false" | "no" | "unspecified" => false,
            _ => return Err(format!("<{flag}> of {name:?} is {text:?}, expected 0 or 1")),
        };
        members.push(flag, RawJson::of(&u8::from(value)));
        difficult |= value && flag == "difficult";
    }
    Ok(Object { name, bbox, difficult, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "<?xml version=\"1.0\"?>\r\n<annotation><filename>a&amp;b.jpg</filename>\r\n\
        <size><width>100</width><height>50</height><depth>3</depth></size>\r\n<object><name> cow </name><pose>Left</pose>\
        <truncated>1</truncated><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2.5</ymin><xmax>10</xmax>\
        <ymax>20</ymax></bndbox><part><name>head</name></part></object></annotation>";

    #[test]
    fn objects_are_read_from_either_origin() {
        let one = parse(FILE, PixelOrigin::One).unwrap();
        assert_eq!((one.file_name.as_deref(), one.size), (Some("a&b.jpg"), Some([100, 50])));
        let cow = &one.objects[0];
        assert_eq!((cow.name.as_str(), cow.bbox, cow.difficult), ("cow", [0.0, 1.5, 10.0, 18.5], false));
        let members: Vec<_> = cow.members.iter().map(|(name, value)| (name, value.as_str())).collect();
        assert_eq!(members, [("pose", "\"Left\""), ("truncated", "1"), ("difficult", "0")]);
        assert_eq!(parse(FILE, PixelOrigin::Zero).unwrap().objects[0].bbox, [1.0, 2.5, 9.0, 17.5]);
    }

    #[test]
    fn entities_are_refused() {
        let laughs = "<!DOCTYPE a [<!ENTITY b \"ha\"><!ENTITY c \"&b;&b;\">]><annotation>&c;</annotation>";
        let outside = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><annotation>&x;</annotation>";
        for text in [laughs, outside] {
            let (line, reason) = parse(text, PixelOrigin::One).unwrap_err();
            assert!(line == 1 && reason.contains("not read"), "{reason}");
        }
        let unknown = "<annotation>\n<filename>&nbsp;</filename></annotation>";
        let (line, reason) = parse(unknown, PixelOrigin::One).unwrap_err();
        assert!(line == 2 && reason.contains("not expanded"), "{line} {reason}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let with = |from: &str, to: &str| FILE.replace(from, to);
        for (text, part) in [
            (with("annotation>", "label>"), "root is <label>"),
            (with("annotation>", "annotations>"), "CVAT's own XML"),
            (with("<name> cow </name>", ""), "no <name>"),
            (with("<xmin>1</xmin>", ""), "no <xmin>"),
            (with("<xmin>1<", "<xmin>1,5<"), "decimal comma"),
            (with("bndbox>", "box>"), "no <bndbox>"),
            (with("bndbox>", "robndbox>"), "rotated boxes and polygons are not read"),
            (with("<truncated>1", "<truncated>maybe"), "expected 0 or 1"),
            (FILE[..200].to_owned(), "not XML"),
        ] {
            let wrong = parse(&text, PixelOrigin::One).map(|mut found| found.unreadable.remove(0));
            let (Ok((line, reason)) | Err((line, reason))) = wrong;
            assert!(line > 0 && reason.contains(part), "{reason}");
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow() {
        let text = format!("<annotation>{}{}</annotation>", "<a>".repeat(200_000), "</a>".repeat(200_000));
        // Whatever the answer, there is one.
        let _ = parse(&text, PixelOrigin::One);
    }
}
