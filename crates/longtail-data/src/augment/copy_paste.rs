//! Simple copy-paste (Ghiasi et al., CVPR 2021): objects of another image, pasted at random places.

use rand::{RngExt, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::pool::PastePool;
use crate::{
    boxes::{BoxPolicy, Cut, Fate, insert, refit, share},
    canvas::Canvas,
    dataset::Dataset,
    error::DataError,
    resample::resize,
    sample::{Federated, RgbImage, Sample, Targets},
};
use longtail_annotations::boxes::{area, intersection};

/// Most objects that one image may be given.
const MAX_OBJECTS: u32 = 64;

/// What is copied of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Its box with all that lies in it; other objects there come along.
    Box,
    /// The pixels of its mask; its box where the annotation has none.
    Mask,
}

/// Copies one object, and perhaps others of the same image, to random places.
///
/// The first object is drawn by class from the whole data set ([`PastePool`]), so that rare classes can be
/// preferred; with `rarity = 0` and `companions = 0.5` it is the published augmentation without the jitter of
/// the pasted image's size, which `scale` replaces. Objects that are covered end where they are last seen;
/// below `min_visible` they are taken out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CopyPaste {
    /// How often.
    pub probability: f64,
    /// A class with n boxes is drawn in proportion to n^(1 − rarity): 0 draws boxes alike, 1 classes alike,
    /// more prefers rare classes.
    pub rarity: f64,
    /// How often each other object of the lending image comes along.
    pub companions: f64,
    /// Most objects pasted into one image.
    pub max_objects: u32,
    /// What is copied.
    pub shape: Shape,
    /// Least and largest factor of an object's size; an object that does not fit is made smaller.
    pub scale: [f64; 2],
    /// How often an object is mirrored.
    pub horizontal_flip: f64,
    /// Share of an object's pixels that must stay in sight.
    pub min_visible: f32,
}

impl Default for CopyPaste {
    fn default() -> Self {
        Self {
            probability: 0.5,
            rarity: 0.0,
            companions: 0.5,
            max_objects: 8,
            shape: Shape::Mask,
            scale: [0.5, 1.5],
            horizontal_flip: 0.5,
            min_visible: 0.25,
        }
    }
}

/// An object that was pasted.
struct Pasted {
    /// Whether it is a whole box, not the object alone.
    whole_box: bool,
    boxes: Vec<([f32; 4], u32)>,
    crowd_boxes: Vec<[f32; 4]>,
}

impl CopyPaste {
    pub(super) fn validate(&self) -> Result<(), String> {
        share("probability", self.probability)?;
        share("companions", self.companions)?;
        share("horizontal_flip", self.horizontal_flip)?;
        share("min_visible", self.min_visible.into())?;
        if !(0.0..=10.0).contains(&self.rarity) {
            return Err(format!("rarity is {}; it must be between 0 and 10", self.rarity));
        }
        if !(1..=MAX_OBJECTS).contains(&self.max_objects) {
            let count = self.max_objects;
            return Err(format!("max_objects is {count}; it must be between 1 and {MAX_OBJECTS}"));
        }
        let [least, most] = self.scale;
        if !(least > 0.0 && least <= most && most <= 16.0) {
            return Err(format!("scale is {least} to {most}; it must be 0 < least ≤ most ≤ 16"));
        }
        Ok(())
    }

    /// Pastes, or leaves the image as it is.
    ///
    /// # Errors
    /// If the lending image cannot be read.
    pub fn apply(
        &self,
        canvas: &mut Canvas,
        dataset: &Dataset,
        pool: &PastePool,
        generator: &mut ChaCha8Rng,
    ) -> Result<(), DataError> {
        if generator.random::<f64>() >= self.probability {
            return Ok(());
        }
        let (index, first) = pool.draw(generator);
        let lender = dataset.sample(index)?;
        let mut others: Vec<usize> = (0..lender.targets.boxes.len()).filter(|&o| o != first).collect();
        others.retain(|_| generator.random::<f64>() < self.companions);
        others.shuffle(generator);
        others.truncate(self.max_objects as usize - 1);
        // Which paste a pixel belongs to; 0: the image itself.
        let mut owners = vec![0_u8; (canvas.sample.image.width * canvas.sample.image.height) as usize];
        let mut objects = Vec::new();
        for place in std::iter::once(first).chain(others) {
            let mask = match self.shape {
                Shape::Box => None,
                Shape::Mask => dataset.outline_of(index, place),
            };
            let owner = objects.len() as u8 + 1;
            let frame = frame_of(lender.targets.boxes[place], &lender.image);
            let alpha = mask.map(|outline| outline.rasterize(frame));
            objects.push(self.paste(canvas, &mut owners, owner, &lender, place, frame, alpha, generator));
        }
        self.settle(canvas, &owners, objects, &lender.targets, dataset.is_federated(index));
        Ok(())
    }

    /// Paints one object at a random place; gives its boxes.
    fn paste(
        &self,
        canvas: &mut Canvas,
        owners: &mut [u8],
        owner: u8,
        lender: &Sample,
        place: usize,
        frame: [u32; 4],
        alpha: Option<Vec<u8>>,
        generator: &mut ChaCha8Rng,
    ) -> Pasted {
        let image = &mut canvas.sample.image;
        let [x, y, w, h] = frame;
        let [least, most] = self.scale;
        let factor = generator
            .random_range(least..=most)
            .min(f64::from(image.width) / f64::from(w))
            .min(f64::from(image.height) / f64::from(h));
        let mirrored = generator.random::<f64>() < self.horizontal_flip;
        let limits = [image.width, image.height];
        let [width, height] =
            [0, 1].map(|i| ((f64::from([w, h][i]) * factor).round() as u32).clamp(1, limits[i]));
        let corner = [0, 1].map(|i| generator.random_range(0..=limits[i] - [width, height][i]));
        let mut piece = resize(cut(&lender.image, frame), width, height);
        let mut alpha = alpha.map(|alpha| {
            // The mask is scaled as the pixels are: it is made of three equal channels.
            let pixels = alpha.iter().flat_map(|&a| [a; 3]).collect();
            resize(RgbImage { width: w, height: h, pixels }, width, height)
        });
        if mirrored {
            piece.flip_horizontally();
            alpha.iter_mut().for_each(RgbImage::flip_horizontally);
        }
        for row in 0..height as usize {
            let from = row * width as usize;
            let to = (corner[1] as usize + row) * image.width as usize + corner[0] as usize;
            for column in 0..width as usize {
                if alpha.as_ref().is_none_or(|alpha| alpha.pixels[(from + column) * 3] >= 128) {
                    let (from, to) = ((from + column) * 3, to + column);
                    image.pixels[to * 3..to * 3 + 3].copy_from_slice(&piece.pixels[from..from + 3]);
                    owners[to] = owner;
                }
            }
        }
        let scale = [width as f32 / w as f32, height as f32 / h as f32];
        let moved = |b: [f32; 4]| {
            let x1 = (b[0] - x as f32) * scale[0];
            let x2 = (b[2] - x as f32) * scale[0];
            let (x1, x2) = if mirrored { (width as f32 - x2, width as f32 - x1) } else { (x1, x2) };
            let (dx, dy) = (corner[0] as f32, corner[1] as f32);
            [x1 + dx, (b[1] - y as f32) * scale[1] + dy, x2 + dx, (b[3] - y as f32) * scale[1] + dy]
        };
        let targets = &lender.targets;
        let mut pasted = Pasted {
            whole_box: alpha.is_none(),
            boxes: vec![(moved(targets.boxes[place]), targets.labels[place])],
            crowd_boxes: Vec::new(),
        };
        if pasted.whole_box {
            // What else lies in the box comes along, with its boxes.
            let window = [x as f32, y as f32, (x + w) as f32, (y + h) as f32];
            let policy = BoxPolicy { min_visible: self.min_visible, cut: Cut::Clip };
            for (other, (&b, &label)) in targets.boxes.iter().zip(&targets.labels).enumerate() {
                let Some(inside) = intersection(&b, &window).filter(|_| other != place) else { continue };
                if area(&inside) < policy.min_visible * area(&b) {
                    pasted.crowd_boxes.push(moved(inside));
                } else {
                    pasted.boxes.push((moved(inside), label));
                }
            }
            let crowds = targets.crowd_boxes.iter().filter_map(|&b| intersection(&b, &window));
            pasted.crowd_boxes.extend(crowds.map(moved));
        }
        pasted
    }

    /// Boxes and class lists of the image after all pastes.
    fn settle(
        &self,
        canvas: &mut Canvas,
        owners: &[u8],
        objects: Vec<Pasted>,
        lender: &Targets,
        lender_federated: bool,
    ) {
        let [width, height] = canvas.size();
        let policy = |b, owner| visible(b, owner, owners, [width, height], self.min_visible);
        let federated = canvas.federated;
        let targets = &mut canvas.sample.targets;
        let before: Vec<u32> = targets.labels.clone();
        let whole_boxes = objects.iter().any(|object| object.whole_box);
        refit(targets, federated, |_, b| policy(b, 0), |b| crowd(policy(b, 0)));
        for (place, object) in objects.into_iter().enumerate() {
            let owner = place as u8 + 1;
            for (b, label) in object.boxes {
                let known = before.contains(&label)
                    || targets.federated.verified_absent.contains(&label)
                    || targets.labels.contains(&label);
                let fate = policy(b, owner);
                if fate == Fate::Gone {
                    continue;
                }
                targets.federated.verified_absent.retain(|&absent| absent != label);
                // The image may hold more of a class that nobody looked for in it.
                if federated && !known {
                    insert(&mut targets.federated.not_exhaustive, label);
                }
                match fate {
                    Fate::Kept(left) => {
                        targets.boxes.push(left);
                        targets.labels.push(label);
                    }
                    Fate::Remnant(left) => {
                        targets.crowd_boxes.push(left);
                        insert(&mut targets.federated.not_exhaustive, label);
                    }
                    Fate::Gone => {}
                }
            }
            for b in object.crowd_boxes {
                if let Fate::Kept(left) | Fate::Remnant(left) = crowd(policy(b, owner)) {
                    targets.crowd_boxes.push(left);
                }
            }
        }
        if whole_boxes && (federated || lender_federated) {
            limit(&mut targets.federated, lender, lender_federated);
        }
    }
}

/// A pasted box may show what its own image was not searched for: only what is verified in both stays
/// verified.
fn limit(known: &mut Federated, lender: &Targets, lender_federated: bool) {
    let open = &lender.federated.not_exhaustive;
    known.verified_absent.retain(|label| {
        let searched = !lender_federated
            || lender.labels.contains(label)
            || lender.federated.verified_absent.contains(label);
        searched && !open.contains(label)
    });
    for &label in open {
        insert(&mut known.not_exhaustive, label);
    }
}

/// A crowd region stays while anything of it is seen.
fn crowd(fate: Fate) -> Fate {
    match fate {
        Fate::Remnant(left) => Fate::Kept(left),
        other => other,
    }
}

/// x, y, width, height of the pixels that a box touches; at least one.
fn frame_of(b: [f32; 4], image: &RgbImage) -> [u32; 4] {
    let x = (b[0].max(0.0) as u32).min(image.width - 1);
    let y = (b[1].max(0.0) as u32).min(image.height - 1);
    let right = (b[2].ceil() as u32).clamp(x + 1, image.width);
    let bottom = (b[3].ceil() as u32).clamp(y + 1, image.height);
    [x, y, right - x, bottom - y]
}

/// The pixels of a frame.
fn cut(image: &RgbImage, [x, y, width, height]: [u32; 4]) -> RgbImage {
    let row = image.width as usize * 3;
    let pixels = (y as usize..(y + height) as usize)
        .flat_map(|y| &image.pixels[y * row + x as usize * 3..y * row + (x + width) as usize * 3])
        .copied()
        .collect();
    RgbImage { width, height, pixels }
}

/// What is left of a box whose pixels are those of `owner`: where nothing hides an edge it stays as it is,
/// else it ends with the last pixel seen.
fn visible(b: [f32; 4], owner: u8, owners: &[u8], [width, height]: [u32; 2], least: f32) -> Fate {
    let (x1, y1) = (b[0].max(0.0) as u32, b[1].max(0.0) as u32);
    let (x2, y2) = ((b[2].ceil().max(0.0) as u32).min(width), (b[3].ceil().max(0.0) as u32).min(height));
    let (mut seen, mut hidden) = (0_u64, 0_u64);
    let [mut left, mut top, mut right, mut bottom] = [u32::MAX, u32::MAX, 0, 0];
    for y in y1..y2 {
        for x in x1..x2 {
            let found = owners[(y * width + x) as usize];
            if found == owner {
                seen += 1;
                (left, top, right, bottom) = (left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1));
            } else if found > owner {
                hidden += 1;
            }
        }
    }
    if seen == 0 {
        return Fate::Gone;
    }
    if hidden == 0 {
        return Fate::Kept(b);
    }
    // An edge moves only as far as pixels that were hidden: those of a mask's empty corners belong to the box
    // as annotated.
    let edge = |hidden_there: bool, seen: u32, own: f32| if hidden_there { seen as f32 } else { own };
    let any_hidden = |xs: std::ops::Range<u32>, ys: std::ops::Range<u32>| {
        ys.into_iter().any(|y| xs.clone().any(|x| owners[(y * width + x) as usize] > owner))
    };
    let left_box = [
        edge(left > x1 && any_hidden(x1..left, y1..y2), left, b[0]),
        edge(top > y1 && any_hidden(x1..x2, y1..top), top, b[1]),
        edge(right < x2 && any_hidden(right..x2, y1..y2), right, b[2]),
        edge(bottom < y2 && any_hidden(x1..x2, bottom..y2), bottom, b[3]),
    ];
    if (seen as f32) < least * (seen + hidden) as f32 {
        Fate::Remnant(left_box)
    } else {
        Fate::Kept(left_box)
    }
}
