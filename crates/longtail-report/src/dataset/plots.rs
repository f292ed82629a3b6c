//! Plots of the data set's page as SVG.

use longtail_annotations::FrequencyGroup;
use plotters::prelude::*;

use super::{ClassRow, Distribution};
use crate::ReportError;

const FONT: &str = "sans-serif";
const BLUE: RGBColor = RGBColor(0, 114, 178);
const GREY: RGBColor = RGBColor(105, 112, 122);
const RULE: RGBColor = RGBColor(226, 229, 233);

/// Bands of rare, common and frequent classes.
const BANDS: [(FrequencyGroup, RGBColor); 3] = [
    (FrequencyGroup::Rare, RGBColor(255, 236, 236)),
    (FrequencyGroup::Common, RGBColor(255, 248, 224)),
    (FrequencyGroup::Frequent, RGBColor(233, 246, 235)),
];

/// Images of each class as an area, boxes as dots, on a logarithmic axis; classes by falling number of
/// images, with bands of rare, common and frequent ones. `None` without boxes.
pub(super) fn tail(classes: &[ClassRow], width: u32, height: u32) -> Result<Option<String>, ReportError> {
    let most = classes.iter().map(|c| c.boxes.max(c.images)).max().unwrap_or(0);
    if most == 0 {
        return Ok(None);
    }
    let narrow = width < 600;
    let size = if narrow { 11 } else { 14 };
    let draw = |svg: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (width, height)).into_drawing_area();
        let (top, count) = (most as f64 * 1.6, classes.len() as f64);
        let mut chart = ChartBuilder::on(&root)
            .margin(if narrow { 4 } else { 10 })
            .x_label_area_size(if narrow { 34 } else { 44 })
            .y_label_area_size(if narrow { 40 } else { 62 })
            .build_cartesian_2d(0.0..count, (0.5..top).log_scale())?;
        let mut from = 0;
        let mut names = Vec::new();
        // Classes fall, so that frequent ones come first.
        for &(group, colour) in BANDS.iter().rev() {
            let of_group = |c: &&ClassRow| FrequencyGroup::from_image_count(c.images) == group;
            let to = from + classes[from..].iter().take_while(of_group).count();
            if to > from {
                let (left, right) = (from as f64, to as f64);
                let band = Rectangle::new([(left, 0.5), (right, top)], colour.filled());
                chart.draw_series(std::iter::once(band))?;
                names.push((left, right, group.name()));
            }
            from = to;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(RULE)
            .light_line_style(TRANSPARENT)
            .axis_style(GREY)
            .x_labels(if narrow { 5 } else { 10 })
            .y_labels(if narrow { 5 } else { 8 })
            .x_desc("classes by falling number of images")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| short(*y))
            .label_style((FONT, size).into_font().color(&GREY))
            .draw()?;
        let step = |place: usize, value: u64| {
            let height = (value as f64).max(0.5);
            [(place as f64, height), (place as f64 + 1.0, height)]
        };
        let outline: Vec<(f64, f64)> =
            classes.iter().enumerate().flat_map(|(index, class)| step(index, class.images)).collect();
        let mut area = outline.clone();
        area.extend([(count, 0.5), (0.0, 0.5)]);
        chart
            .draw_series(std::iter::once(Polygon::new(area, GREY.mix(0.28))))?
            .label("images")
            .legend(|(x, y)| Rectangle::new([(x + 2, y - 5), (x + 14, y + 5)], GREY.mix(0.4).filled()));
        chart.draw_series(LineSeries::new(outline, GREY.stroke_width(1)))?;
        let radius = if classes.len() > 300 { 2 } else { 3 };
        let dots = classes.iter().enumerate().filter(|(_, class)| class.boxes > 0).map(|(index, class)| {
            Circle::new((index as f64 + 0.5, class.boxes as f64), radius, BLUE.mix(0.75).filled())
        });
        chart.draw_series(dots)?.label("boxes").legend(|(x, y)| Circle::new((x + 8, y), 4, BLUE.filled()));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RULE)
            .label_font((FONT, size))
            .draw()?;
        // A band that is too narrow for its name goes without.
        let letters = 0.62 * f64::from(size) * count / f64::from(width - 90);
        for (left, right, name) in names {
            if right - left > letters * name.len() as f64 {
                let style = (FONT, size).into_font().color(&GREY);
                let at = (left + 0.4 * letters, 0.5 * (top / 0.5).powf(0.055));
                chart.draw_series(std::iter::once(Text::new(name, at, style)))?;
            }
        }
        root.present()?;
        Ok(())
    };
    let mut svg = String::new();
    draw(&mut svg).map_err(|e| ReportError::Plot { plot: "class counts", reason: e.to_string() })?;
    Ok(Some(described(&svg, "Images and boxes of each class on a logarithmic axis")))
}

/// Bars of a distribution, without the empty bins at both ends. `None` without values.
pub(super) fn bars(distribution: &Distribution) -> Result<Option<String>, ReportError> {
    let counts = &distribution.counts;
    let Some(first) = counts.iter().position(|&n| n > 0) else { return Ok(None) };
    let last = counts.iter().rposition(|&n| n > 0).unwrap_or(first);
    let counts = &counts[first..=last];
    let most = counts.iter().copied().max().unwrap_or(1) as f64;
    let draw = |svg: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(svg, (360, 220)).into_drawing_area();
        let bins = counts.len();
        let mut chart = ChartBuilder::on(&root)
            .margin(6)
            .x_label_area_size(36)
            .y_label_area_size(42)
            .build_cartesian_2d(0.0..bins as f64, 0.0..most * 1.08)?;
        let edge = |place: f64| {
            let at = first + place.round() as usize;
            let whole = (place - place.round()).abs() < 1e-6;
            distribution.edges.get(at).filter(|_| whole).cloned().unwrap_or_default()
        };
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(RULE)
            .light_line_style(TRANSPARENT)
            .axis_style(GREY)
            .x_labels(bins.min(7) + 1)
            .y_labels(5)
            .x_desc(&distribution.axis)
            .x_label_formatter(&|x| edge(*x))
            .y_label_formatter(&|y| short(*y))
            .label_style((FONT, 11).into_font().color(&GREY))
            .draw()?;
        let bar = |(place, &count): (usize, &u64)| {
            let place = place as f64;
            Rectangle::new([(place + 0.06, 0.0), (place + 0.94, count as f64)], BLUE.mix(0.8).filled())
        };
        chart.draw_series(counts.iter().enumerate().map(bar))?;
        root.present()?;
        Ok(())
    };
    let mut svg = String::new();
    draw(&mut svg).map_err(|e| ReportError::Plot { plot: "distribution", reason: e.to_string() })?;
    Ok(Some(described(&svg, &distribution.title)))
}

/// A label of few characters: 1500 is 1.5k.
fn short(value: f64) -> String {
    let text = |value: f64, unit: &str| {
        let digits = if (value - value.round()).abs() < 0.05 { 0 } else { 1 };
        format!("{value:.digits$}{unit}")
    };
    match value {
        v if v >= 1e6 => text(v / 1e6, "M"),
        v if v >= 1e3 => text(v / 1e3, "k"),
        v => text(v, ""),
    }
}

/// Says to those who cannot see it what a plot is.
fn described(svg: &str, what: &str) -> String {
    let what = what.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{what}\" "), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_stay_short() {
        for (value, text) in
            [(0.5, "0.5"), (1.0, "1"), (999.0, "999"), (1500.0, "1.5k"), (20_000.0, "20k"), (1.27e6, "1.3M")]
        {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn every_size_of_set_can_be_drawn() {
        for count in [1_u64, 2, 40, 1203] {
            let classes: Vec<ClassRow> = (0..count)
                .map(|k| ClassRow { name: format!("{k}"), images: 2000 / (k + 1), boxes: 9000 / (k + 1) })
                .collect();
            for (width, height) in [(960, 420), (360, 280)] {
                let svg = tail(&classes, width, height).unwrap().unwrap();
                assert!(svg.contains("boxes") && !svg.contains("NaN"));
            }
        }
        assert_eq!(tail(&[], 960, 420).unwrap(), None);
        assert_eq!(tail(&[ClassRow { name: "a".into(), images: 0, boxes: 0 }], 960, 420).unwrap(), None);
    }

    #[test]
    fn bars_leave_empty_ends_out() {
        let distribution = Distribution {
            title: "a < b".into(),
            axis: "x".into(),
            edges: (0..7).map(|k| format!("e{k}")).collect(),
            counts: vec![0, 0, 3, 0, 5, 0],
            summary: String::new(),
        };
        let svg = bars(&distribution).unwrap().unwrap();
        assert!(svg.contains("e2") && svg.contains("e5") && !svg.contains("e6") && svg.contains("a &lt; b"));
        assert_eq!(bars(&Distribution { counts: vec![0, 0], ..distribution }).unwrap(), None);
    }
}
