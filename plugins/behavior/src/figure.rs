//! Accuracy by turn, a line per condition, as SVG and PNG.
use crate::summary::Cell;
use friction_core::{Error, Figure, Result};
use plotters::prelude::*;
use resvg::{tiny_skia, usvg};
use std::collections::BTreeMap;
use std::sync::Arc;

const SIZE: (u32, u32) = (900, 520);
/// Okabe & Ito's palette, which colour-blind readers can tell apart.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The figure of the cells.
///
/// # Errors
/// When it cannot be drawn.
pub fn accuracy(cells: &[Cell]) -> Result<Figure> {
    let svg = draw(cells).map_err(|e| Error::other(format!("figure: {e}")))?;
    let png = raster(&svg)?;
    let caption = "Accuracy by turn and condition, with 95 % Wilson intervals of each cell.".to_string();
    Ok(Figure { name: "accuracy".into(), caption, svg, png })
}

fn draw(cells: &[Cell]) -> std::result::Result<String, Box<dyn std::error::Error>> {
    let mut lines: BTreeMap<&str, Vec<&Cell>> = BTreeMap::new();
    for c in cells {
        lines.entry(&c.condition).or_default().push(c);
    }
    let last = cells.iter().map(|c| c.turn).max().unwrap_or(1);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
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
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(BLACK.mix(0.2))
            .label_font(("sans-serif", 15))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

/// Draws the SVG as pixels with a font that comes along, so that no machine's fonts matter.
fn raster(svg: &str) -> Result<Vec<u8>> {
    let mut options = usvg::Options::default();
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|f| f.families.first()).map(|f| f.0.clone());
    if let Some(family) = family {
        fonts.set_sans_serif_family(family);
    }
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| Error::other(format!("figure: {e}")))?;
    let mut pixels = tiny_skia::Pixmap::new(SIZE.0, SIZE.1).ok_or_else(|| Error::other("figure: no pixels"))?;
    resvg::render(&tree, tiny_skia::Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| Error::other(format!("figure: {e}")))
}
