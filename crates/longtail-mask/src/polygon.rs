//! Polygons to runs, with the reference's rounding.
//!
//! The reference draws the polygon's edges on a grid five times as fine, point by point, and keeps the points
//! at which the line passes the middle of a column. Here those crossings are computed alone, so an edge costs
//! what it crosses and not what it is long. Each crossing is where inside and outside change in its column;
//! two at one position cancel.

use crate::{MaskError, Rle, Size};

/// Points of the fine grid in a pixel.
const SCALE: f64 = 5.0;
/// Largest magnitude of a coordinate: the difference of two fits 32 bits on the fine grid.
const MAX_COORDINATE: f64 = ((1 << 30) / 5 - 1) as f64;
/// Most crossings of one polygon with columns of the image.
const MAX_CROSSINGS: u64 = 1 << 26;

impl Rle {
    /// The inside of a closed polygon x, y, x, y, … in pixels, the image's corner at (0, 0); even-odd where
    /// it crosses itself, and cut at the image's border. O(points + crossings with columns).
    ///
    /// # Errors
    /// If there are fewer than three points, an odd number of coordinates, a coordinate that is not finite or
    /// beyond ±214,748,363, or more than 2²⁶ crossings.
    pub fn from_polygon(size: Size, polygon: &[f64]) -> Result<Self, MaskError> {
        let (points, rest) = polygon.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(MaskError::OddCoordinates { numbers: polygon.len() });
        }
        if points.len() < 3 {
            return Err(MaskError::TooFewPoints { points: points.len() });
        }
        if let Some(at) = polygon.iter().position(|v| v.is_nan() || v.abs() > MAX_COORDINATE) {
            return Err(MaskError::Coordinate { at, value: polygon[at], limit: MAX_COORDINATE });
        }
        // Rounds towards 0, for negative coordinates too, as the reference does.
        let fine: Vec<[i64; 2]> = points.iter().map(|p| p.map(|v| (SCALE * v + 0.5) as i64)).collect();
        let next = fine.iter().cycle().skip(1);
        let edges = fine.iter().zip(next).map(|(&from, &to)| Edge::new(from, to, size));
        let edges: Vec<Edge> = edges.filter(|edge| edge.crossings() > 0).collect();
        let crossings = edges.iter().map(Edge::crossings).sum::<u64>();
        if crossings > MAX_CROSSINGS {
            let what = "crossings of a polygon with columns";
            return Err(MaskError::TooComplex { what, pieces: crossings, limit: MAX_CROSSINGS });
        }
        Ok(Self::from_toggles(size, cancelled(crossed(&edges, size), size.pixels()).into_iter()))
    }

    /// A box x, y, width, height in pixels, rasterised as the polygon of its corners.
    ///
    /// # Errors
    /// As [`Rle::from_polygon`].
    pub fn from_box(size: Size, [x, y, width, height]: [f64; 4]) -> Result<Self, MaskError> {
        let (right, bottom) = (x + width, y + height);
        Self::from_polygon(size, &[x, y, x, bottom, right, bottom, right, y])
    }
}

/// Positions at which edges cross the middles of columns, sorted. Every column between the first and the last
/// is crossed, as a closed line does not jump.
fn crossed(edges: &[Edge], size: Size) -> Vec<u32> {
    let first = edges.iter().map(|edge| edge.columns[0]).min().unwrap_or_default();
    let end = edges.iter().map(|edge| edge.columns[1]).max().unwrap_or_default();
    // How many more edges cross a column than the one before; then where each column's crossings begin.
    let mut begin = vec![0_u32; (end - first) as usize + 1];
    let mut crossings = 0;
    for [from, to] in edges.iter().map(|edge| edge.columns.map(|column| (column - first) as usize)) {
        begin[from] = begin[from].wrapping_add(1);
        begin[to] = begin[to].wrapping_sub(1);
        crossings += to - from;
    }
    let (mut count, mut sum) = (0_u32, 0);
    for column in &mut begin {
        count = count.wrapping_add(*column);
        *column = sum;
        sum += count;
    }
    let mut positions = vec![0; crossings];
    let mut free = begin.clone();
    for edge in edges {
        edge.cross(size, |column, position| {
            let index = &mut free[(column - first) as usize];
            positions[*index as usize] = position;
            *index += 1;
        });
    }
    for column in begin.windows(2) {
        match &mut positions[column[0] as usize..column[1] as usize] {
            [a, b] => (*a, *b) = ((*a).min(*b), (*a).max(*b)),
            more => more.sort_unstable(),
        }
    }
    positions
}

/// Sorted positions of which two alike cancel; those at the end of the image change nothing.
fn cancelled(positions: Vec<u32>, pixels: u32) -> Vec<u32> {
    let mut toggles: Vec<u32> = positions;
    let mut kept = 0;
    for index in 0..toggles.len() {
        let at = toggles[index];
        if kept > 0 && toggles[kept - 1] == at {
            kept -= 1;
        } else if at < pixels {
            toggles[kept] = at;
            kept += 1;
        }
    }
    toggles.truncate(kept);
    toggles
}

/// An edge on the fine grid, from its lower end on the axis along which it is longer.
struct Edge {
    from: [i64; 2],
    /// Steps along the longer axis.
    steps: i64,
    /// Change of the other coordinate a step.
    slope: f64,
    /// Whether x is the longer axis.
    flat: bool,
    /// Columns of the image whose middle it passes, first and end.
    columns: [i64; 2],
}

impl Edge {
    fn new(mut from: [i64; 2], mut to: [i64; 2], size: Size) -> Self {
        let (dx, dy) = ((to[0] - from[0]).abs(), (to[1] - from[1]).abs());
        let flat = dx >= dy;
        let axis = usize::from(!flat);
        if from[axis] > to[axis] {
            std::mem::swap(&mut from, &mut to);
        }
        let steps = dx.max(dy);
        let slope = (to[1 - axis] - from[1 - axis]) as f64 / steps as f64;
        // The middle of column c lies between the points 5c + 2 and 5c + 3.
        let (left, right) = (from[0].min(to[0]), from[0].max(to[0]));
        let first = (left + 2).div_euclid(5).max(0);
        let end = ((right - 3).div_euclid(5) + 1).min(size.width().into());
        Self { from, steps, slope, flat, columns: [first, end] }
    }

    fn crossings(&self) -> u64 {
        (self.columns[1] - self.columns[0]).max(0) as u64
    }

    /// The other coordinate after some steps, rounded as the reference rounds.
    fn other(&self, step: i64) -> i64 {
        let start = self.from[usize::from(self.flat)];
        (start as f64 + self.slope * step as f64 + 0.5) as i64
    }

    /// Gives each column it crosses, and the position.
    fn cross(&self, size: Size, mut found: impl FnMut(i64, u32)) {
        let height = i64::from(size.height());
        for column in self.columns[0]..self.columns[1] {
            let left = 5 * column + 2;
            // The higher of the points on either side.
            let y = if self.flat {
                let step = left - self.from[0];
                self.other(step).min(self.other(step + 1))
            } else {
                self.from[1] + self.step_over(left) - 1
            };
            // (y + 0.5) / 5 - 0.5, rounded up.
            let row = (y + 2).div_euclid(5).clamp(0, height);
            found(column, (column * height + row) as u32);
        }
    }

    /// The first step of a steep edge on the other side of `left` and `left + 1`.
    fn step_over(&self, left: i64) -> i64 {
        let passed = |step: i64| {
            let x = self.other(step);
            if self.slope > 0.0 { x > left } else { x <= left }
        };
        // The estimate is off by rounding at most; the condition itself decides, as it changes once.
        let estimate = ((left as f64 + 0.5 - self.from[0] as f64) / self.slope).ceil();
        let mut step = (estimate as i64).clamp(1, self.steps);
        while step > 1 && passed(step - 1) {
            step -= 1;
        }
        while step < self.steps && !passed(step) {
            step += 1;
        }
        step
    }
}
