//! Batches of landscape and batches of portrait images from one stream.

use crate::{dataset::Dataset, draw::Draw};

/// Batches between two kept states, so that any batch is found without walking from the beginning.
const MARK_EVERY: u64 = 1024;

/// Sorts the stream of images into batches of one kind. What waits for its batch at some point is a function
/// of the stream alone.
#[derive(Debug, Clone)]
pub(crate) struct AspectGroups {
    /// Whether each image is wider than high.
    landscape: Vec<bool>,
    /// The state before batches 0, [`MARK_EVERY`], …
    marks: Vec<State>,
    now: State,
}

/// The stream read up to some place.
#[derive(Debug, Clone, Default)]
struct State {
    /// Images read.
    position: u64,
    /// Batches given.
    batches: u64,
    /// Images that wait for their batch, portrait and landscape.
    waiting: [Vec<Draw>; 2],
}

impl AspectGroups {
    pub(crate) fn new(dataset: &Dataset) -> Self {
        let landscape = dataset.set().images.iter().map(|image| image.width > image.height).collect();
        Self { landscape, marks: Vec::new(), now: State::default() }
    }

    /// A batch of the stream; `draw` gives the image at a place.
    pub(crate) fn batch(
        &mut self,
        iteration: u64,
        size: usize,
        mut draw: impl FnMut(u64) -> Draw,
    ) -> Vec<Draw> {
        if self.now.batches > iteration {
            self.now = self.marks[(iteration / MARK_EVERY) as usize].clone();
        }
        loop {
            let wanted = self.now.batches == iteration;
            if self.marks.len() as u64 * MARK_EVERY == self.now.batches {
                self.marks.push(self.now.clone());
            }
            let batch = self.next(size, &mut draw);
            if wanted {
                return batch;
            }
        }
    }

    fn next(&mut self, size: usize, draw: &mut impl FnMut(u64) -> Draw) -> Vec<Draw> {
        loop {
            let image = draw(self.now.position);
            self.now.position += 1;
            let group = &mut self.now.waiting[usize::from(self.landscape[image.index])];
            group.push(image);
            if group.len() == size {
                self.now.batches += 1;
                return std::mem::take(group);
            }
        }
    }
}
