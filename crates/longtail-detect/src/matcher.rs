//! Which object an anchor or proposal belongs to, and which of them are sampled for the losses.

use longtail_data::Targets;
use longtail_draw::{DrawKey, StreamId, without_replacement};

use crate::boxes::{Xyxy, area, intersection, iou};

/// Share of a candidate that must lie in a crowd region to be left out.
const CROWD_OVERLAP: f32 = 0.5;

/// What a candidate box is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Belongs to the ground truth box of this index.
    Object(usize),
    /// Background.
    Background,
    /// Neither: between the thresholds, or in a crowd region.
    Ignored,
}

/// Matches candidates to ground truth: an object from `positive` IoU on, background below `negative`. With
/// `allow_low_quality` the best candidates of each box belong to it at any IoU above 0.
pub(crate) fn match_boxes(
    candidates: &[Xyxy],
    targets: &Targets,
    positive: f32,
    negative: f32,
    allow_low_quality: bool,
) -> Vec<Match> {
    let mut best_of_truth = vec![0.0_f32; targets.boxes.len()];
    let best: Vec<(f32, usize)> = candidates
        .iter()
        .map(|candidate| {
            let mut best = (0.0, 0);
            for (index, truth) in targets.boxes.iter().enumerate() {
                let overlap = iou(candidate, truth);
                best_of_truth[index] = best_of_truth[index].max(overlap);
                if overlap > best.0 {
                    best = (overlap, index);
                }
            }
            best
        })
        .collect();
    let in_crowd = |candidate: &Xyxy| {
        let least = CROWD_OVERLAP * area(candidate);
        targets.crowd_boxes.iter().any(|crowd| intersection(candidate, crowd) > least)
    };
    candidates
        .iter()
        .zip(best)
        .map(|(candidate, (overlap, index))| {
            let low_quality = || {
                targets
                    .boxes
                    .iter()
                    .zip(&best_of_truth)
                    .any(|(t, best)| *best > 0.0 && iou(candidate, t) == *best)
            };
            if overlap >= positive && overlap > 0.0 || (allow_low_quality && overlap > 0.0 && low_quality()) {
                Match::Object(index)
            } else if overlap >= negative || in_crowd(candidate) {
                Match::Ignored
            } else {
                Match::Background
            }
        })
        .collect()
}

/// Candidates drawn for a loss, by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sampled {
    /// Candidate and its ground truth.
    pub(crate) objects: Vec<(usize, usize)>,
    /// Background candidates.
    pub(crate) background: Vec<usize>,
}

/// Draws `count` candidates, at most `fraction` of them objects, filled up with background; the streams are those of
/// objects and of background.
pub(crate) fn sample(
    matches: &[Match],
    count: usize,
    fraction: f32,
    key: DrawKey,
    [of_objects, of_background]: [StreamId; 2],
) -> Sampled {
    let objects: Vec<(usize, usize)> = matches
        .iter()
        .enumerate()
        .filter_map(|(index, m)| if let Match::Object(truth) = m { Some((index, *truth)) } else { None })
        .collect();
    let background: Vec<usize> =
        (0..matches.len()).filter(|&index| matches[index] == Match::Background).collect();
    let most = (count as f32 * fraction) as usize;
    let drawn = without_replacement(key, of_objects, objects.len(), most);
    let objects: Vec<_> = drawn.into_iter().map(|i| objects[i]).collect();
    let drawn = without_replacement(key, of_background, background.len(), count - objects.len());
    Sampled { background: drawn.into_iter().map(|i| background[i]).collect(), objects }
}

#[cfg(test)]
mod tests {
    use longtail_draw::Purpose;

    use super::*;

    const STREAMS: [StreamId; 2] = [Purpose::RoiObjects.at(0), Purpose::RoiBackground.at(0)];

    #[test]
    fn thresholds_low_quality_and_crowds() {
        let targets = Targets {
            boxes: vec![[0.0, 0.0, 10.0, 10.0], [50.0, 50.0, 90.0, 90.0]],
            labels: vec![0, 1],
            crowd_boxes: vec![[100.0, 100.0, 200.0, 200.0]],
            ..Targets::default()
        };
        let candidates = [
            [0.0, 0.0, 10.0, 8.0],        // IoU 0.8
            [0.0, 0.0, 10.0, 5.0],        // IoU 0.5
            [60.0, 60.0, 80.0, 80.0],     // IoU 0.25, the best of the second box
            [20.0, 20.0, 30.0, 30.0],     // nothing
            [110.0, 110.0, 120.0, 120.0], // in the crowd
        ];
        use Match::{Background, Ignored, Object};
        let found = match_boxes(&candidates, &targets, 0.7, 0.3, true);
        assert_eq!(found, [Object(0), Ignored, Object(1), Background, Ignored]);
        let found = match_boxes(&candidates, &targets, 0.5, 0.5, false);
        assert_eq!(found, [Object(0), Object(0), Background, Background, Ignored]);
        assert_eq!(match_boxes(&candidates[..2], &Targets::default(), 0.5, 0.5, true), [Background; 2]);
    }

    #[test]
    fn sampling_keeps_the_share_and_fills_with_background() {
        let mut matches = vec![Match::Background; 50];
        matches.extend((0..10).map(Match::Object));
        matches.push(Match::Ignored);
        let key = DrawKey { seed: 1, step: 2 };
        let sampled = sample(&matches, 16, 0.25, key, STREAMS);
        assert_eq!((sampled.objects.len(), sampled.background.len()), (4, 12));
        assert!(sampled.objects.iter().all(|(index, truth)| index - 50 == *truth));
        assert_eq!(sampled, sample(&matches, 16, 0.25, key, STREAMS));
        assert_ne!(sampled, sample(&matches, 16, 0.25, DrawKey { seed: 1, step: 3 }, STREAMS));
        let few = sample(&matches[48..51], 16, 0.25, key, STREAMS);
        assert_eq!((few.objects.len(), few.background.len()), (1, 2));
    }
}
