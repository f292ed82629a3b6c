//! Draws a sheet of validation scenes with the boxes of their annotations, to be looked at by eye.
//!
//! `cargo run --release -p longtail-emoji --example contact_sheet -- sheet.png [seed]`

use longtail_emoji::{Split, World, WorldConfig};

const COLUMNS: u32 = 6;
const ROWS: u32 = 3;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("give the file to write")?;
    let seed = arguments.next().map_or(Ok(0), |seed| seed.parse())?;
    let world = World::new(&WorldConfig { seed, ..WorldConfig::default() })?;
    let (side, gap) = (WorldConfig::default().image_size, 4);
    let mut sheet = image::RgbImage::from_pixel(
        COLUMNS * (side + gap) + gap,
        ROWS * (side + gap) + gap,
        image::Rgb([255; 3]),
    );
    for cell in 0..COLUMNS * ROWS {
        let mut scene = world.draw(Split::Validation, cell as usize)?;
        for object in &scene.objects {
            let [x, y, w, h] = object.bbox;
            let mut mark = |x: u32, y: u32| {
                let start = ((y * side + x) * 3) as usize;
                scene.image.pixels[start..start + 3].copy_from_slice(&[255, 0, 80]);
            };
            for dx in 0..w {
                mark(x + dx, y);
                mark(x + dx, y + h - 1);
            }
            for dy in 0..h {
                mark(x, y + dy);
                mark(x + w - 1, y + dy);
            }
        }
        let left = gap + cell % COLUMNS * (side + gap);
        let top = gap + cell / COLUMNS * (side + gap);
        let scene =
            image::RgbImage::from_raw(side, side, scene.image.pixels).ok_or("a scene has side² pixels")?;
        image::imageops::replace(&mut sheet, &scene, left.into(), top.into());
    }
    sheet.save(path)?;
    Ok(())
}
