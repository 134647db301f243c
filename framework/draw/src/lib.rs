//! What figures of all analyzers share: size, colours, and pixels beside the SVG.
use friction_core::{Error, Figure, Result};
use plotters::coord::CoordTranslate;
use plotters::prelude::*;
use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// Pixels of a figure, width and height.
pub const SIZE: (u32, u32) = (900, 520);

/// Okabe & Ito's palette, which colour-blind readers can tell apart.
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// Anything that a drawing fails with.
pub type DrawError = Box<dyn std::error::Error>;

/// A drawing area of [`SIZE`] over a string.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Draws a figure: `draw` is given a white area of [`SIZE`].
///
/// # Errors
/// When it cannot be drawn.
pub fn figure(
    name: &str,
    caption: &str,
    draw: impl FnOnce(&Area) -> std::result::Result<(), DrawError>,
) -> Result<Figure> {
    let wrong = |e: DrawError| Error::other(format!("figure {name}: {e}"));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|e| wrong(e.into()))?;
        draw(&area).map_err(wrong)?;
        area.present().map_err(|e| wrong(e.into()))?;
    }
    let png = raster(&svg)?;
    Ok(Figure { name: name.into(), caption: caption.into(), svg, png })
}

/// Draws the legend, as all figures have it.
///
/// # Errors
/// When it cannot be drawn.
pub fn legend<'a, C: CoordTranslate>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, C>,
    position: SeriesLabelPosition,
) -> std::result::Result<(), DrawError> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .label_font(("sans-serif", 15))
        .draw()?;
    Ok(())
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
