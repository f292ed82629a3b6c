//! The signature plot and training curves as SVG.

use std::collections::BTreeMap;

use longtail_annotations::FrequencyGroup;
use plotters::{coord::Shift, prelude::*};

use crate::{
    ReportError,
    data::{Curve, ReportData},
};

const GREY: RGBColor = RGBColor(120, 120, 120);
const GREEN: RGBColor = RGBColor(0, 158, 115);

/// One colour a method, distinguishable for colour-blind readers (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    GREY,
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    GREEN,
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 0, 0),
];

const FONT: &str = "sans-serif";

/// AP of each class, or AP50 where the protocol has no other, against its training images, r / c / f bands,
/// one colour a method, arrows from the baseline to the compared method. `None` without classes.
///
/// # Errors
/// If the library cannot draw it.
pub fn signature(data: &ReportData, truth: &str) -> Result<Option<String>, ReportError> {
    let points: Vec<BTreeMap<i64, f64>> = data
        .methods
        .iter()
        .map(|method| {
            let classes = method.reports.get(truth).into_iter().flat_map(|r| &r.per_category);
            classes.filter_map(|c| Some((c.category_id, c.ap.or(c.ap50)?))).collect()
        })
        .collect();
    let most = data.train_images.values().copied().max().unwrap_or(0);
    if most == 0 || points.iter().all(BTreeMap::is_empty) {
        return Ok(None);
    }
    let draw = |target: &mut String| -> Result<(), Box<dyn std::error::Error>> {
        let root = SVGBackend::with_string(target, (960, 540)).into_drawing_area();
        let limit = (most as f64 * 1.4).max(200.0);
        let highest = points.iter().flat_map(|p| p.values()).copied().fold(0.1, f64::max);
        let top = (highest * 1.1).min(1.0);
        let mut chart = ChartBuilder::on(&root)
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(48)
            .build_cartesian_2d((0.7_f64..limit).log_scale(), 0.0_f64..top)?;
        // A bound lies between the last count of a group and the first of the next.
        let [rare, common] =
            [FrequencyGroup::RARE_IMAGES, FrequencyGroup::COMMON_IMAGES].map(|most| most as f64 + 0.5);
        for (from, to, colour) in [
            (0.7, rare, RGBColor(255, 240, 240)),
            (rare, common, RGBColor(255, 251, 235)),
            (common, limit, RGBColor(240, 250, 240)),
        ] {
            chart.draw_series(std::iter::once(Rectangle::new([(from, 0.0), (to, top)], colour.filled())))?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("training images of the class")
            .y_desc("AP")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{:.0}", 100.0 * y))
            .label_style((FONT, 14))
            .draw()?;
        let images = |id: &i64| data.train_images.get(id).map_or(0.8, |&n| (n as f64).max(0.8));
        if let Some((from, to)) = data.compared {
            let arrows =
                points[from].iter().filter_map(|(id, &a)| Some((images(id), a, *points[to].get(id)?)));
            for (x, a, b) in arrows {
                let colour = if b >= a { GREEN } else { RGBColor(213, 94, 0) };
                chart.draw_series(LineSeries::new([(x, a), (x, b)], colour.mix(0.55).stroke_width(2)))?;
                let wing = 0.012 * top * (b - a).signum();
                let head = [(x * 0.97, b - wing), (x, b), (x * 1.03, b - wing)];
                if (b - a).abs() > 0.012 * top {
                    chart.draw_series(LineSeries::new(head, colour.stroke_width(2)))?;
                }
            }
        }
        let palette = palette(data.methods.len(), data.compared);
        for (place, method) in data.methods.iter().enumerate() {
            let shown = data.compared.is_none_or(|(from, to)| place == from || place == to);
            let colour = palette[place];
            let (size, strength) = if shown { (4, 0.95) } else { (2, 0.45) };
            let marks = points[place]
                .iter()
                .map(|(id, ap)| Circle::new((images(id), *ap), size, colour.mix(strength).filled()));
            chart
                .draw_series(marks)?
                .label(&method.name)
                .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .label_font((FONT, 13))
            .draw()?;
        for (group, bound) in FrequencyGroup::ALL.into_iter().zip([0.7, rare, common]) {
            let (x, text) = (1.14 * bound, group.name());
            let style = (FONT, 14).into_font().color(&RGBColor(110, 110, 110));
            chart.draw_series(std::iter::once(Text::new(text, (x, 0.035 * top), style)))?;
        }
        root.present()?;
        Ok(())
    };
    let mut svg = String::new();
    draw(&mut svg).map_err(|e| ReportError::Plot { plot: "signature plot", reason: e.to_string() })?;
    Ok(Some(svg))
}

/// A colour for each method: grey for the baseline and green for what is held against it, so that they stand
/// out the same way in every report.
fn palette(methods: usize, compared: Option<(usize, usize)>) -> Vec<RGBColor> {
    let mut colours: Vec<RGBColor> = (0..methods).map(|place| COLOURS[place % COLOURS.len()]).collect();
    if let Some((from, to)) = compared {
        for (place, colour) in [(from, GREY), (to, GREEN)] {
            match colours.iter().position(|c| *c == colour) {
                Some(other) => colours.swap(place, other),
                None => colours[place] = colour,
            }
        }
    }
    colours
}

/// One plot for each `plot` name among the curves, as name and SVG.
///
/// # Errors
/// If the library cannot draw one.
pub fn curves(curves: &[Curve], x_name: &str) -> Result<Vec<(String, String)>, ReportError> {
    // In the order in which they are given.
    let mut plots: Vec<(&str, Vec<&Curve>)> = Vec::new();
    for curve in curves.iter().filter(|c| !c.points.is_empty()) {
        match plots.iter_mut().find(|(name, _)| *name == curve.plot) {
            Some((_, members)) => members.push(curve),
            None => plots.push((&curve.plot, vec![curve])),
        }
    }
    plots
        .into_iter()
        .map(|(name, curves)| {
            let mut svg = String::new();
            let root = SVGBackend::with_string(&mut svg, (620, 320)).into_drawing_area();
            draw_curves(&root, &curves, x_name)
                .map_err(|e| ReportError::Plot { plot: "training curves", reason: e.to_string() })?;
            drop(root);
            Ok((name.to_owned(), svg))
        })
        .collect()
}

fn draw_curves(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    curves: &[&Curve],
    x_name: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || curves.iter().flat_map(|c| &c.points);
    let last = points().map(|p| p.0).fold(1.0, f64::max);
    // A few large first values would flatten the rest: the axis ends at the 98th percentile.
    let mut values: Vec<f64> = points().map(|p| p.1).filter(|v| v.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let top = values.get(values.len().saturating_sub(1) * 98 / 100).copied().unwrap_or(1.0);
    let top = if top > 0.0 { top * 1.1 } else { 1.0 };
    let mut chart = ChartBuilder::on(root)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..last, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(x_name)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style((FONT, 12))
        .draw()?;
    for (place, curve) in curves.iter().enumerate() {
        let colour = COLOURS[(place + 1) % COLOURS.len()];
        let inside = curve.points.iter().map(|&(x, y)| (x, y.min(top)));
        chart
            .draw_series(LineSeries::new(inside, colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font((FONT, 12))
        .draw()?;
    root.present()?;
    Ok(())
}
