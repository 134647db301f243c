//! The lens by site.
use crate::lens::Line;
use friction_core::{Figure, Result};
use friction_draw::{Area, COLOURS, DrawError};
use plotters::prelude::*;
use std::collections::BTreeSet;

/// Share of right letters by site, a line for each level.
pub fn sites(lines: &[Line]) -> Result<Figure> {
    let caption =
        "Share of turns in which the likeliest letter at a layer is the right one, with intervals over groups.";
    friction_draw::figure("sites", caption, |area| draw(area, lines))
}

fn draw(area: &Area, lines: &[Line]) -> std::result::Result<(), DrawError> {
    let mut sites = vec![];
    lines.iter().for_each(|l| {
        if !sites.contains(&l.site) {
            sites.push(l.site);
        }
    });
    let levels: BTreeSet<&String> = lines.iter().map(|l| &l.level).collect();
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.5..sites.len() as f64 - 0.5, 0.0..102.0)?;
    let name = |x: &f64| {
        let near = (x - x.round()).abs() < 0.01;
        sites.get(x.round() as usize).filter(|_| near && *x > -0.1).map_or(String::new(), ToString::to_string)
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_desc("right at this layer, %")
        .x_labels(2 * sites.len() + 1)
        .x_label_formatter(&name)
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    for (n, level) in levels.into_iter().enumerate() {
        let colour = COLOURS[n % COLOURS.len()];
        let shift = 0.04 * n as f64;
        let of: Vec<(f64, &Line)> = lines
            .iter()
            .filter(|l| &l.level == level)
            .filter_map(|l| Some((sites.iter().position(|s| *s == l.site)? as f64 + shift, l)))
            .collect();
        for (x, l) in of.iter().filter(|(_, l)| l.right.low.is_finite()) {
            let bar = vec![(*x, l.right.low.max(0.0)), (*x, l.right.high.min(100.0))];
            chart.draw_series(LineSeries::new(bar, colour.mix(0.4).stroke_width(3)))?;
        }
        let points = of.iter().map(|(x, l)| (*x, l.right.estimate));
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(level)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], colour.stroke_width(3)));
        chart.draw_series(points.map(|p| Circle::new(p, 5, colour.filled())))?;
    }
    friction_draw::legend(&mut chart, SeriesLabelPosition::UpperLeft)
}
