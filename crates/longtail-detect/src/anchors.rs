//! Anchors of the pyramid levels.

use crate::{
    boxes::Xyxy,
    config::{AnchorConfig, AnchorSpacing},
    fpn::STRIDES,
};

/// Anchors of every level for feature maps of `[height, width]` of an `image` of `[height, width]` with its
/// padding, level by level, row by row, ratio by ratio.
pub(crate) fn anchors(config: &AnchorConfig, sizes: &[[usize; 2]; 5], image: [usize; 2]) -> Vec<Vec<Xyxy>> {
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
                    let corners = [-w, -h, w, h].map(|v| v / 2.0);
                    if config.rounded { corners.map(f32::round_ties_even) } else { corners }
                })
                .collect();
            let spacing = match config.spacing {
                AnchorSpacing::Stride => [stride; 2],
                AnchorSpacing::ImageOverMap => [image[0] / height, image[1] / width],
            };
            let mut level = Vec::with_capacity(height * width * cells.len());
            for row in 0..*height {
                for column in 0..*width {
                    let (x, y) = ((column * spacing[1]) as f32, (row * spacing[0]) as f32);
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
        let levels = anchors(&AnchorConfig::default(), &sizes, [8, 12]);
        assert_eq!(levels.iter().map(Vec::len).collect::<Vec<_>>(), [18, 6, 3, 3, 3]);
        // P2: side 32; ratio 0.5 is 45.25 wide and 22.63 high.
        assert_eq!(levels[0][0], [-23.0, -11.0, 23.0, 11.0]);
        assert_eq!(levels[0][1], [-16.0, -16.0, 16.0, 16.0]);
        // Second row, third column: shifted by 8, 4.
        assert_eq!(levels[0][(3 + 2) * 3 + 1], [-8.0, -12.0, 24.0, 20.0]);
        assert_eq!(levels[1][4], [-24.0, -32.0, 40.0, 32.0]);
        let other =
            AnchorConfig { rounded: false, spacing: AnchorSpacing::ImageOverMap, ..AnchorConfig::default() };
        let levels = anchors(&other, &[[2, 3], [1, 2], [1, 1], [1, 1], [2, 2]], [96, 128]);
        assert!((levels[0][0][0] + 22.627_417).abs() < 1e-5);
        assert_eq!(levels[4][10], [-192.0, -208.0, 320.0, 304.0]);
    }
}
