//! Reading the forms of a mask, with errors that say which form is wrong.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};

use crate::{Counts, Runs, Segmentation};

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;
        impl<'de> Visitor<'de> for Forms {
            type Value = Segmentation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of polygons, or runs with size and counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Segmentation, A::Error> {
                Runs::deserialize(MapAccessDeserializer::new(map)).map(Segmentation::Runs)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Segmentation, A::Error> {
                let (mut polygons, mut several) = (Vec::new(), Vec::new());
                while let Some(part) = list.next_element()? {
                    match part {
                        Part::Polygon(polygon) => polygons.push(polygon),
                        Part::Runs(runs) => several.push(runs),
                    }
                }
                match (polygons.len(), several.len()) {
                    (_, 0) => Ok(Segmentation::Polygons(polygons)),
                    (0, _) => Ok(Segmentation::Several(several)),
                    _ => Err(A::Error::custom("polygons and runs in one list")),
                }
            }
        }
        deserializer.deserialize_any(Forms)
    }
}

/// An entry of a list.
enum Part {
    Polygon(Vec<f64>),
    Runs(Runs),
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Part;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a polygon, which is a list of numbers, or runs with size and counts")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Part, A::Error> {
                Runs::deserialize(MapAccessDeserializer::new(map)).map(Part::Runs)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Part, A::Error> {
                let mut polygon = Vec::new();
                while let Some(number) = list.next_element()? {
                    polygon.push(number);
                }
                Ok(Part::Polygon(polygon))
            }
        }
        deserializer.deserialize_any(Entry)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrList;
        impl<'de> Visitor<'de> for TextOrList {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("counts as a list of whole numbers or as compressed text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Counts, E> {
                Ok(Counts::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Counts, A::Error> {
                let mut counts = Vec::new();
                while let Some(Count(count)) = list.next_element()? {
                    counts.push(count);
                }
                Ok(Counts::List(counts))
            }
        }
        deserializer.deserialize_any(TextOrList)
    }
}

/// A whole number, which may be written as 3.0. The reference cuts 3.7 down to 3; it is refused here.
struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Whole;
        impl Visitor<'_> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of a run, a whole number below 2^32")
            }

            fn visit_u64<E: Error>(self, count: u64) -> Result<Count, E> {
                let wrong = |_| E::invalid_value(Unexpected::Unsigned(count), &self);
                u32::try_from(count).map(Count).map_err(wrong)
            }

            fn visit_f64<E: Error>(self, count: f64) -> Result<Count, E> {
                if count.fract() == 0.0 && (0.0..4_294_967_296.0).contains(&count) {
                    return Ok(Count(count as u32));
                }
                Err(E::invalid_value(Unexpected::Float(count), &self))
            }
        }
        deserializer.deserialize_any(Whole)
    }
}
