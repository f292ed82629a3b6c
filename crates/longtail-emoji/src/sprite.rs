//! How hard a drawing is bent: a class must not be defined by five examples of it.

use rand_chacha::ChaCha8Rng;

use crate::{
    artwork::Drawing,
    random::{chance, rotation, uniform},
};

/// Drawing style of an object.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Style {
    Plain,
    /// Few brightness levels.
    Posterised(f32),
    /// Brightness alone, tinted.
    Tinted([f32; 3]),
    /// Bright where the drawing changes: an outline.
    Sketch,
}

/// Place, shape and colours of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Appearance {
    /// Scene to drawing, projective: rows of a 3×3 matrix on (x, y, 1), drawing in `-1..=1`.
    inverse: [[f32; 3]; 3],
    /// Half the side of the square that holds the object, in pixels.
    pub reach: f32,
    /// Centre in pixels.
    pub centre: [f32; 2],
    /// Side of the unbent drawing in pixels.
    pub size: f32,
    hue: [[f32; 3]; 3],
    gain: f32,
    lift: f32,
    stripes: [f32; 3],
    style: Style,
}

impl Appearance {
    /// An object of `size` pixels at `centre`.
    pub fn draw(generator: &mut ChaCha8Rng, centre: [f32; 2], size: f32) -> Self {
        // Tangents of half angles: up to about ±50°.
        let (cosine, sine) = rotation(uniform(generator, -0.45, 0.45));
        let (stretch, shear) = (uniform(generator, 0.72, 1.38), uniform(generator, -0.3, 0.3));
        let mirror = if chance(generator, 0.5) { -1.0 } else { 1.0 };
        let tilt = [uniform(generator, -0.2, 0.2), uniform(generator, -0.2, 0.2)];
        let half = size / 2.0;
        // Drawing to scene: turn · shear · stretch · half; its inverse is what sampling needs.
        let (a, b) = (cosine * stretch * mirror * half, (cosine * shear - sine) * half / stretch);
        let (c, d) = (sine * stretch * mirror * half, (sine * shear + cosine) * half / stretch);
        let determinant = a * d - b * c;
        let (ia, ib, ic, id) = (d / determinant, -b / determinant, -c / determinant, a / determinant);
        let (x, y) = (centre[0], centre[1]);
        // Perspective: the drawing shrinks along `tilt`.
        let (px, py) = (tilt[0] * ia + tilt[1] * ic, tilt[0] * ib + tilt[1] * id);
        let inverse =
            [[ia, ib, -ia * x - ib * y], [ic, id, -ic * x - id * y], [px, py, 1.0 - px * x - py * y]];
        let style = match uniform(generator, 0.0, 1.0) {
            u if u < 0.70 => Style::Plain,
            u if u < 0.82 => Style::Posterised(uniform(generator, 2.0, 5.0)),
            u if u < 0.94 => Style::Tinted([0; 3].map(|_| uniform(generator, 0.45, 1.0))),
            _ => Style::Sketch,
        };
        Self {
            inverse,
            reach: half * 2.2,
            centre,
            size,
            hue: hue_rotation(uniform(generator, -0.35, 0.35), uniform(generator, 0.35, 1.25)),
            gain: uniform(generator, 0.55, 1.25),
            lift: uniform(generator, -0.08, 0.16),
            stripes: [
                uniform(generator, -0.1, 0.1),
                uniform(generator, 0.03, 0.3),
                uniform(generator, -0.3, 0.3),
            ],
            style,
        }
    }

    /// Colour and alpha at a pixel of the scene, not premultiplied; `None` where the object is not.
    pub fn at(&self, drawing: &Drawing, x: f32, y: f32) -> Option<([f32; 3], f32)> {
        let row = |r: [f32; 3]| r[0] * x + r[1] * y + r[2];
        let depth = row(self.inverse[2]);
        if depth < 0.2 {
            return None;
        }
        let (u, v) = (row(self.inverse[0]) / depth, row(self.inverse[1]) / depth);
        if u.abs() >= 1.0 || v.abs() >= 1.0 {
            return None;
        }
        let [r, g, b, alpha] = sample(drawing, u, v);
        if alpha < 0.02 {
            return None;
        }
        let colour = [r / alpha, g / alpha, b / alpha];
        let colour = match self.style {
            Style::Sketch => {
                let step = 2.5 / drawing.side as f32;
                let (right, below) = (sample(drawing, u + step, v), sample(drawing, u, v + step));
                let change: f32 =
                    (0..3).map(|i| (right[i] - [r, g, b][i]).abs() + (below[i] - [r, g, b][i]).abs()).sum();
                let ink = (1.0 - 1.6 * change).clamp(0.05, 1.0);
                [ink, ink, ink * 0.94]
            }
            Style::Plain => self.shifted(colour),
            Style::Posterised(levels) => self.shifted(colour).map(|c| (c * levels).round() / levels),
            Style::Tinted(tint) => {
                let light = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
                tint.map(|t| t * (0.15 + 0.85 * light))
            }
        };
        // Stripes across the object: a texture that no class owns.
        let wave = self.stripes[1] * (x - self.centre[0]) + self.stripes[2] * (y - self.centre[1]);
        let phase = wave - wave.floor();
        let texture = self.stripes[0] * (4.0 * (phase - 0.5).abs() - 1.0);
        Some((colour.map(|c| (c * self.gain + self.lift + texture).clamp(0.0, 1.0)), alpha))
    }

    fn shifted(&self, colour: [f32; 3]) -> [f32; 3] {
        self.hue.map(|row| (row[0] * colour[0] + row[1] * colour[1] + row[2] * colour[2]).clamp(0.0, 1.0))
    }
}

/// A turn of the colour circle around grey, with a saturation.
fn hue_rotation(half_tangent: f32, saturation: f32) -> [[f32; 3]; 3] {
    let (cosine, sine) = rotation(half_tangent);
    let third = (1.0 - cosine) / 3.0;
    let slope = sine * 0.577_350_26; // 1/√3
    let turn = [
        [cosine + third, third - slope, third + slope],
        [third + slope, cosine + third, third - slope],
        [third - slope, third + slope, cosine + third],
    ];
    let grey = [0.3, 0.59, 0.11];
    turn.map(|row| std::array::from_fn(|i| saturation * row[i] + (1.0 - saturation) * grey[i]))
}

/// Bilinear sample of a drawing at u, v in `-1..=1`; transparent outside.
fn sample(drawing: &Drawing, u: f32, v: f32) -> [f32; 4] {
    let side = drawing.side as i32;
    let place = |t: f32| (t + 1.0) * 0.5 * side as f32 - 0.5;
    let (x, y) = (place(u), place(v));
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let texel = |x: i32, y: i32| {
        let inside = (0..side).contains(&x) && (0..side).contains(&y);
        if inside { drawing.pixels[(y * side + x) as usize] } else { [0.0; 4] }
    };
    let (x0, y0) = (x0 as i32, y0 as i32);
    let corners = [texel(x0, y0), texel(x0 + 1, y0), texel(x0, y0 + 1), texel(x0 + 1, y0 + 1)];
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    std::array::from_fn(|channel| corners.iter().zip(weights).map(|(c, w)| c[channel] * w).sum())
}
