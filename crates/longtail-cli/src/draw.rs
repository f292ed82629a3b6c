//! Boxes and names on a copy of an image.

use std::{
    io::{Cursor, Write},
    path::Path,
};

use embedded_graphics::{
    mono_font::{MonoTextStyle, ascii::FONT_6X10, ascii::FONT_10X20},
    pixelcolor::Rgb888,
    prelude::*,
    primitives::{PrimitiveStyle, Rectangle},
    text::{Baseline, Text},
};
use longtail_data::RgbImage;
use longtail_run::write_atomically;

/// A box with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// x1, y1, x2, y2 in pixels.
    pub xyxy: [f32; 4],
    /// Decides the colour.
    pub label: u32,
    /// Text at the box.
    pub text: String,
}

/// Draws boxes, worst first so that the best lie on top, and writes a PNG.
pub fn draw_boxes(image: RgbImage, boxes: &[Labelled], path: &Path) -> anyhow::Result<()> {
    let mut canvas = Canvas(image);
    let large = canvas.0.width.min(canvas.0.height) >= 500;
    let font = if large { &FONT_10X20 } else { &FONT_6X10 };
    let stroke = if large { 3 } else { 1 };
    for b in boxes.iter().rev() {
        let colour = colour(b.label);
        let [x1, y1, x2, y2] = b.xyxy.map(|v| v.round() as i32);
        let size = Size::new((x2 - x1).max(1) as u32, (y2 - y1).max(1) as u32);
        // Drawing into memory cannot fail.
        let Ok(()) = Rectangle::new(Point::new(x1, y1), size)
            .into_styled(PrimitiveStyle::with_stroke(colour, stroke))
            .draw(&mut canvas);
        // Text the font lacks is drawn as `?`.
        let text: String = b.text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        let area = Size::new(text.len() as u32 * font.character_size.width + 4, font.character_size.height);
        let bottom = y1 - area.height as i32;
        let left = x1.clamp(0, (canvas.0.width as i32 - area.width as i32).max(0));
        let place = Point::new(left, if bottom >= 0 { bottom } else { y1.max(0) });
        let Ok(()) =
            Rectangle::new(place, area).into_styled(PrimitiveStyle::with_fill(colour)).draw(&mut canvas);
        let style = MonoTextStyle::new(font, Rgb888::WHITE);
        let Ok(_) =
            Text::with_baseline(&text, place + Point::new(2, 0), style, Baseline::Top).draw(&mut canvas);
    }
    let bytes = encode_png(&canvas.0)?;
    Ok(write_atomically(path, |file| file.write_all(&bytes))?)
}

/// An image as PNG.
pub fn encode_png(image: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let colour = image::ExtendedColorType::Rgb8;
    let format = image::ImageFormat::Png;
    image::write_buffer_with_format(&mut bytes, &image.pixels, image.width, image.height, colour, format)?;
    Ok(bytes.into_inner())
}

/// A dark colour of a label: hues at the golden angle, so that neighbours differ.
fn colour(label: u32) -> Rgb888 {
    let hue = (f64::from(label) * 0.618_034).fract() * 6.0;
    let rise = ((1.0 - (hue % 2.0 - 1.0).abs()) * 190.0) as u8;
    let (r, g, b) = match hue as u32 {
        0 => (190, rise, 0),
        1 => (rise, 170, 0),
        2 => (0, 150, rise),
        3 => (0, rise, 190),
        4 => (rise, 0, 190),
        _ => (190, 0, rise),
    };
    Rgb888::new(r, g, b)
}

struct Canvas(RgbImage);

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width, self.0.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        let (width, height) = (self.0.width as i32, self.0.height as i32);
        for Pixel(point, colour) in pixels {
            if (0..width).contains(&point.x) && (0..height).contains(&point.y) {
                let start = ((point.y * width + point.x) * 3) as usize;
                self.0.pixels[start..start + 3].copy_from_slice(&[colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}
