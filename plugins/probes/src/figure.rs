//! Quality by site, with what it must beat.
use crate::report::Line;
use friction_core::{Figure, Result};
use friction_draw::{Area, COLOURS, DrawError};
use plotters::prelude::*;

/// The probes' intervals by site; the controls; a line for each baseline.
pub fn layers(measure: &str, lines: &[Line], baselines: &[Line]) -> Result<Figure> {
    let caption = format!(
        "{measure} of held-out rows by site, with intervals over groups; crosses: a random label per topic; dashed: what needs no look inside."
    );
    friction_draw::figure("layers", &caption, |area| draw(area, measure, lines, baselines))
}

fn draw(area: &Area, measure: &str, lines: &[Line], baselines: &[Line]) -> std::result::Result<(), DrawError> {
    let all = lines.iter().chain(baselines);
    let least = all.flat_map(|l| [l.quality.low, l.control]).filter(|v| v.is_finite()).fold(0.4, f64::min).max(-0.5);
    let right = lines.len() as f64 - 0.5;
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..right, least - 0.03..1.02)?;
    let name = |x: &f64| {
        let near = (x - x.round()).abs() < 0.01;
        lines.get(x.round() as usize).filter(|_| near && *x > -0.1).map_or(String::new(), |l| l.name.clone())
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_desc(measure)
        .x_labels(2 * lines.len() + 1)
        .x_label_formatter(&name)
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (i, b) in baselines.iter().enumerate() {
        let colour = COLOURS[(i + 2) % COLOURS.len()];
        let line = DashedLineSeries::new(
            [(-0.5, b.quality.estimate), (right, b.quality.estimate)],
            8,
            6,
            colour.stroke_width(2),
        );
        chart
            .draw_series(line)?
            .label(&b.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], colour.stroke_width(2)));
    }
    let x = |i: usize| i as f64;
    for (i, l) in lines.iter().enumerate() {
        let bar = vec![(x(i), l.quality.low), (x(i), l.quality.high)];
        chart.draw_series(LineSeries::new(bar, COLOURS[0].mix(0.4).stroke_width(3)))?;
    }
    let points = lines.iter().enumerate().map(|(i, l)| (x(i), l.quality.estimate));
    chart
        .draw_series(LineSeries::new(points.clone(), COLOURS[0].stroke_width(2)))?
        .label("probe")
        .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], COLOURS[0].stroke_width(3)));
    chart.draw_series(points.map(|p| Circle::new(p, 5, COLOURS[0].filled())))?;
    let controls = lines.iter().enumerate().filter(|(_, l)| l.control.is_finite()).map(|(i, l)| (x(i), l.control));
    chart
        .draw_series(controls.map(|p| Cross::new(p, 5, COLOURS[1].stroke_width(2))))?
        .label("control task")
        .legend(|(x, y)| Cross::new((x + 11, y), 5, COLOURS[1].stroke_width(2)));
    friction_draw::legend(&mut chart, SeriesLabelPosition::LowerRight)
}
