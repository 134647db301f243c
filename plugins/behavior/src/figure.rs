//! Accuracy by turn, a line per condition, as SVG and PNG.
use crate::summary::Cell;
use friction_core::{Figure, Result};
use friction_draw::{Area, COLOURS, DrawError};
use plotters::prelude::*;
use std::collections::BTreeMap;

/// The figure of the cells.
///
/// # Errors
/// When it cannot be drawn.
pub fn accuracy(cells: &[Cell]) -> Result<Figure> {
    let caption = "Accuracy by turn and condition, with 95 % Wilson intervals of each cell.";
    friction_draw::figure("accuracy", caption, |area| draw(area, cells))
}

fn draw(root: &Area, cells: &[Cell]) -> std::result::Result<(), DrawError> {
    let mut lines: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for c in cells {
        lines.entry(&c.condition).or_default().push(c);
    }
    let last = cells.iter().map(|c| c.turn).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(root)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(0.7f64..f64::from(last) + 0.3, 0f64..1.0)?;
    chart
        .configure_mesh()
        .x_desc("turn")
        .y_desc("accuracy")
        .x_labels(last.min(20) as usize)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{:.0} %", 100.0 * y))
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    let n = lines.len() as f64;
    for (i, (name, row)) in lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        // Intervals of one turn stand side by side.
        let x = |c: &Cell| f64::from(c.turn) + 0.06 * (i as f64 - (n - 1.0) / 2.0);
        let points: Vec<(f64, f64)> = row.iter().map(|c| (x(c), c.accuracy.estimate)).collect();
        for c in row {
            let bar = vec![(x(c), c.accuracy.low), (x(c), c.accuracy.high)];
            chart.draw_series(LineSeries::new(bar, colour.mix(0.35).stroke_width(2)))?;
        }
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], colour.stroke_width(3)));
        chart.draw_series(points.into_iter().map(|p| Circle::new(p, 4, colour.filled())))?;
    }
    friction_draw::legend(&mut chart, SeriesLabelPosition::UpperRight)
}
