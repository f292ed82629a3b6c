//! Anchors of the pyramid levels.

use crate::{boxes::Xyxy, config::AnchorConfig, fpn::STRIDES};

/// Anchors of every level for feature maps of `[height, width]`, level by level, row by row, ratio by ratio. Their
/// corners are rounded around the pixel's corner, as in torchvision.
pub fn anchors(config: &AnchorConfig, sizes: &[[usize; 2]; 5]) -> Vec<Vec<Xyxy>> {
    sizes
        .iter()
        .zip(STRIDES)
        .map(|([height, width], stride)| {
            let side = config.scale * stride as f32;
            let cells: Vec<Xyxy> = config
                .ratios
                .iter()
                .map(|ratio| {
                    let (w, h) = (side / ratio.sqrt(), side * ratio.sqrt());
                    [-w, -h, w, h].map(|v| (v / 2.0).round_ties_even())
                })
                .collect();
            let mut level = Vec::with_capacity(height * width * cells.len());
            for row in 0..*height {
                for column in 0..*width {
                    let (x, y) = ((column * stride) as f32, (row * stride) as f32);
                    level.extend(cells.iter().map(|c| [c[0] + x, c[1] + y, c[2] + x, c[3] + y]));
                }
            }
            level
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_have_their_scale_ratio_and_place() {
        let sizes = [[2, 3], [1, 2], [1, 1], [1, 1], [1, 1]];
        let levels = anchors(&AnchorConfig::default(), &sizes);
        assert_eq!(levels.iter().map(Vec::len).collect::<Vec<_>>(), [18, 6, 3, 3, 3]);
        // P2: side 32; ratio 0.5 is 45.25 wide and 22.63 high.
        assert_eq!(levels[0][0], [-23.0, -11.0, 23.0, 11.0]);
        assert_eq!(levels[0][1], [-16.0, -16.0, 16.0, 16.0]);
        // Second row, third column: shifted by 8, 4.
        assert_eq!(levels[0][(3 + 2) * 3 + 1], [-8.0, -12.0, 24.0, 20.0]);
        assert_eq!(levels[1][4], [-24.0, -32.0, 40.0, 32.0]);
    }
}
