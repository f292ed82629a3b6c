//! Runs to polygons along the edges of pixels.

use crate::{
    MaskError, Rle,
    rle::{column_pieces, pieces},
};

/// Most runs after cutting them at the columns' ends.
const MAX_PIECES: u64 = 1 << 24;

/// A closed line along the edges of pixels, the mask on its right-hand side (y goes down).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// Corners x, y in turn; the last is joined to the first.
    pub points: Vec<[u32; 2]>,
    /// Whether it goes around a hole, and so anticlockwise on the screen.
    pub hole: bool,
}

impl Rle {
    /// Lines around the parts of the mask and around their holes. Parts that touch at a corner only are two.
    /// O(runs + columns).
    ///
    /// # Errors
    /// If the runs, cut at the columns' ends, are more than 2²⁴.
    pub fn outlines(&self) -> Result<Vec<Outline>, MaskError> {
        let edges = Edges::of(self)?;
        Ok(edges
            .rings()
            .into_iter()
            .map(|e| Outline { points: edges.corners(e), hole: e % 2 == 1 })
            .collect())
    }

    /// Polygons as COCO writes them, x, y, x, y, …: one for each part. Holes are joined to the line around
    /// them by slits without width, so that [`Rle::from_polygon`] of each, merged, gives the very same
    /// pixels. O(runs + columns).
    ///
    /// # Errors
    /// As [`Rle::outlines`].
    pub fn to_polygons(&self) -> Result<Vec<Vec<f64>>, MaskError> {
        let mut edges = Edges::of(self)?;
        let (holes, parts): (Vec<_>, Vec<_>) = edges.rings().into_iter().partition(|edge| edge % 2 == 1);
        holes.into_iter().for_each(|hole| edges.slit(hole));
        let polygon = |edge| edges.corners(edge).into_iter().flatten().map(f64::from).collect();
        Ok(parts.into_iter().map(polygon).collect())
    }
}

/// The edges above and below each piece of a run: those of piece p are 2p, which goes to the right, and 2p +
/// 1, which goes to the left. They are in order of their column, then of their row.
struct Edges {
    /// Column and row of each.
    at: Vec<[u32; 2]>,
    /// The edge that follows on the line, after a step up or down or none.
    next: Vec<usize>,
    /// The edge before.
    before: Vec<usize>,
}

impl Edges {
    fn of(mask: &Rle) -> Result<Self, MaskError> {
        let (size, toggles) = (mask.size(), mask.toggles());
        let (spans, _) = toggles.as_chunks::<2>();
        let pieces = pieces(size, spans);
        if pieces > MAX_PIECES {
            return Err(MaskError::TooComplex { what: "columns of an outline", pieces, limit: MAX_PIECES });
        }
        let mut at = Vec::with_capacity(pieces as usize * 2);
        for [column, top, bottom] in column_pieces(size, spans) {
            at.extend([[column, top], [column, bottom]]);
        }
        let unknown = vec![0; at.len()];
        let mut edges = Self { at, next: unknown.clone(), before: unknown };
        // Each line between two columns, the borders of the image among them.
        let (mut left, mut end) = (0..0, 0);
        while end < edges.at.len() || !left.is_empty() {
            // The column at the line's right side; if it does not follow the one at the left, it has a line
            // of its own.
            let follows = |edge: &usize| match edges.at.get(left.start) {
                Some([column, _]) if !left.is_empty() => edges.at[*edge][0] == column + 1,
                _ => true,
            };
            let column = Some(end).filter(|&edge| edge < edges.at.len() && follows(&edge));
            let right = match column {
                None => end..end,
                Some(first) => {
                    let column = edges.at[first][0];
                    first..first + edges.at[first..].iter().take_while(|at| at[0] == column).count()
                }
            };
            edges.join(left, right.clone());
            end = right.end;
            left = right;
        }
        Ok(edges)
    }

    /// Joins edges that end at the line between two columns.
    fn join(&mut self, left: std::ops::Range<usize>, right: std::ops::Range<usize>) {
        let (mut i, mut j) = (left.start, right.start);
        // The upper end of a step, whose lower end comes next.
        let mut step: Option<(usize, bool)> = None;
        loop {
            // Where two begin at one row, the line goes straight on. Where one ends and another begins, the
            // corners of two pixels touch, and the end comes first.
            let key = |edge: usize, range: &std::ops::Range<usize>| {
                range.contains(&edge).then(|| (self.at[edge][1], edge.is_multiple_of(2)))
            };
            let (a, b) = match (key(i, &left), key(j, &right)) {
                (None, None) => return,
                (a, b) => (a, b),
            };
            let from_left = a.is_some() && (b.is_none() || a <= b);
            let from_right = b.is_some() && (a.is_none() || b <= a);
            let (edge_left, edge_right) = (i, j);
            i += usize::from(from_left);
            j += usize::from(from_right);
            // Lines come from the left above a run, from the right below it.
            if from_left && from_right {
                let (from, to) = if i % 2 == 1 { (edge_left, edge_right) } else { (edge_right, edge_left) };
                self.link(from, to);
                continue;
            }
            let (edge, arrives) =
                if from_left { (edge_left, edge_left % 2 == 0) } else { (edge_right, edge_right % 2 == 1) };
            match step.take() {
                None => step = Some((edge, arrives)),
                Some((upper, true)) => self.link(upper, edge),
                Some((upper, false)) => self.link(edge, upper),
            }
        }
    }

    fn link(&mut self, from: usize, to: usize) {
        self.next[from] = to;
        self.before[to] = from;
    }

    /// The first edge of each closed line. That of a hole is below a run, that of a part above one.
    fn rings(&self) -> Vec<usize> {
        let mut seen = vec![false; self.at.len()];
        let mut rings = Vec::new();
        for first in 0..self.at.len() {
            if !seen[first] {
                rings.push(first);
                let mut edge = first;
                while !seen[edge] {
                    seen[edge] = true;
                    edge = self.next[edge];
                }
            }
        }
        rings
    }

    /// Joins a hole to the line above the run over its first edge. That line is the part's, or that of a hole
    /// further left or up, so all holes end up in their part's line.
    fn slit(&mut self, hole: usize) {
        let above = hole - 1;
        let (before, after) = (self.before[above], self.next[hole]);
        self.link(before, after);
        self.link(hole, above);
    }

    /// The corners of a closed line.
    fn corners(&self, first: usize) -> Vec<[u32; 2]> {
        let mut corners: Vec<[u32; 2]> = Vec::new();
        let mut edge = first;
        loop {
            let [column, row] = self.at[edge];
            let (from, to) = if edge.is_multiple_of(2) { (column, column + 1) } else { (column + 1, column) };
            push(&mut corners, [from, row]);
            push(&mut corners, [to, row]);
            edge = self.next[edge];
            if edge == first {
                break;
            }
        }
        let count = corners.len();
        if straight(corners[count - 1], corners[0], corners[1]) {
            corners.remove(0);
        }
        corners
    }
}

fn straight(a: [u32; 2], b: [u32; 2], c: [u32; 2]) -> bool {
    (a[0] == b[0] && b[0] == c[0]) || (a[1] == b[1] && b[1] == c[1])
}

/// Adds a point, in place of the last where the line goes straight on.
fn push(corners: &mut Vec<[u32; 2]>, point: [u32; 2]) {
    match corners.as_mut_slice() {
        [.., last] if *last == point => {}
        [.., before, last] if straight(*before, *last, point) => *last = point,
        _ => corners.push(point),
    }
}
