//! The dose curve, with the controls beside it.
use crate::arms::Kind;
use crate::response::Arm;
use friction_core::{Figure, Result};
use friction_draw::{Area, COLOURS, DrawError};
use plotters::prelude::*;

/// Change of accuracy by dose: what is tested with intervals, each control as a point.
pub fn doses(tested: Kind, arms: &[Arm]) -> Result<Figure> {
    let caption = "Change of accuracy by dose, paired by question, with intervals over groups; crosses: random directions, triangles: directions of shuffled labels.";
    friction_draw::figure("doses", caption, |area| draw(area, tested, arms))
}

fn draw(area: &Area, tested: Kind, arms: &[Arm]) -> std::result::Result<(), DrawError> {
    let doses = || arms.iter().map(|a| f64::from(a.name.dose)).chain([0.0]);
    let (left, right) = (doses().fold(f64::MAX, f64::min), doses().fold(f64::MIN, f64::max));
    let ends = || arms.iter().flat_map(|a| [a.effect.points.low, a.effect.points.high]).chain([-5.0, 5.0]);
    let (low, high) = (ends().fold(f64::MAX, f64::min), ends().fold(f64::MIN, f64::max));
    let pad = 0.08 * (right - left);
    let mut chart = ChartBuilder::on(area)
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(60)
        .build_cartesian_2d(left - pad..right + pad, low - 2.0..high + 2.0)?;
    chart
        .configure_mesh()
        .x_desc("dose")
        .y_desc("points of accuracy")
        .label_style(("sans-serif", 15))
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series(LineSeries::new([(left - pad, 0.0), (right + pad, 0.0)], BLACK.mix(0.5)))?;
    let at = |a: &Arm| (f64::from(a.name.dose), a.effect.points.estimate);
    let controls = |f: fn(Kind) -> bool| arms.iter().filter(move |a| a.name.kind != tested && f(a.name.kind));
    let own = || arms.iter().filter(move |a| a.name.kind == tested);
    chart
        .draw_series(
            controls(|k| matches!(k, Kind::Random(_))).map(|a| Cross::new(at(a), 5, COLOURS[1].stroke_width(1))),
        )?
        .label("random")
        .legend(|(x, y)| Cross::new((x + 11, y), 5, COLOURS[1].stroke_width(1)));
    chart
        .draw_series(
            controls(|k| matches!(k, Kind::Shuffled(_))).map(|a| TriangleMarker::new(at(a), 6, COLOURS[3].filled())),
        )?
        .label("shuffled labels")
        .legend(|(x, y)| TriangleMarker::new((x + 11, y), 6, COLOURS[3].filled()));
    let mut curve: Vec<(f64, f64)> = own().map(at).chain([(0.0, 0.0)]).collect();
    curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    for a in own() {
        let x = f64::from(a.name.dose);
        let bar = vec![(x, a.effect.points.low), (x, a.effect.points.high)];
        chart.draw_series(LineSeries::new(bar, COLOURS[0].mix(0.4).stroke_width(3)))?;
    }
    chart
        .draw_series(LineSeries::new(curve.clone(), COLOURS[0].stroke_width(2)))?
        .label(tested.to_string())
        .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], COLOURS[0].stroke_width(3)));
    chart.draw_series(curve.into_iter().map(|p| Circle::new(p, 4, COLOURS[0].filled())))?;
    friction_draw::legend(&mut chart, SeriesLabelPosition::UpperRight)
}
