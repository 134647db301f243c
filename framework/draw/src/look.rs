//! How a series looks: colour, marker and dashes, so that grey print and colour-blind readers tell series apart.
use crate::sheet::{Drawn, Sheet};
use plotters::prelude::*;

/// Okabe and Ito's colours without the yellow, which is too pale on white, and with black last.
pub const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// The shape of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// A filled circle.
    Dot,
    /// A filled square.
    Square,
    /// A filled triangle.
    Triangle,
    /// A filled square on its corner.
    Diamond,
    /// An empty circle.
    Ring,
    /// An empty square.
    Box,
    /// Two crossed lines.
    Cross,
}

/// The strokes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dash {
    /// One line without gaps.
    Solid,
    /// Long strokes.
    Long,
    /// Dots.
    Dotted,
    /// A long stroke, a dot.
    Mixed,
}

impl Dash {
    /// SVG's `stroke-dasharray`.
    fn array(self) -> &'static str {
        match self {
            Dash::Solid => "none",
            Dash::Long => "9 5",
            Dash::Dotted => "2 4",
            Dash::Mixed => "10 4 2 4",
        }
    }
}

/// What the legend shows of a series, and its drawing in the plot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    /// Colour of all parts.
    pub colour: RGBColor,
    /// The shape of its points; `None` where it has none.
    pub marker: Option<Marker>,
    /// The strokes of the line between them; `None` where it has none.
    pub dash: Option<Dash>,
}

impl Look {
    /// The look of series `i` of several: points joined by a line. The first six have other markers, and no two of
    /// the first 42 are alike.
    pub fn series(i: usize) -> Self {
        use Marker::{Box, Diamond, Dot, Ring, Square, Triangle};
        let markers = [Dot, Square, Triangle, Diamond, Ring, Box];
        let dashes = [Dash::Solid, Dash::Long, Dash::Dotted, Dash::Mixed];
        Self {
            colour: COLOURS[i % COLOURS.len()],
            marker: Some(markers[i % markers.len()]),
            dash: Some(dashes[i % dashes.len()]),
        }
    }

    /// Points of one shape, not joined.
    pub fn points(colour: RGBColor, marker: Marker) -> Self {
        Self { colour, marker: Some(marker), dash: None }
    }

    /// A line of reference, without points: grey dots.
    pub fn reference() -> Self {
        Self { colour: RGBColor(90, 90, 90), marker: None, dash: Some(Dash::Dotted) }
    }

    /// The same without its line.
    pub fn unjoined(self) -> Self {
        Self { dash: None, ..self }
    }

    /// Joins points of the canvas.
    pub(crate) fn join(&self, sheet: &mut Sheet, points: Vec<(i32, i32)>) -> Drawn {
        let Some(dash) = self.dash.filter(|_| points.len() > 1) else { return Ok(()) };
        let style = self.colour.stroke_width(2);
        sheet.group("stroke-dasharray", dash.array(), |s| {
            s.draw(|area| Ok(area.draw(&PathElement::new(points, style))?))
        })
    }

    /// Sets markers at points of the canvas.
    pub(crate) fn mark(&self, sheet: &mut Sheet, points: &[(i32, i32)]) -> Drawn {
        let Some(marker) = self.marker else { return Ok(()) };
        let (line, fill) = (self.colour.stroke_width(2), self.colour.filled());
        sheet.draw(|area| {
            for &(x, y) in points {
                let shape = |corners: &[(i32, i32)]| -> Vec<(i32, i32)> {
                    corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect()
                };
                match marker {
                    Marker::Dot => area.draw(&Circle::new((x, y), 4, fill))?,
                    Marker::Square => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], fill))?,
                    Marker::Triangle => area.draw(&Polygon::new(shape(&[(-5, 4), (5, 4), (0, -5)]), self.colour))?,
                    Marker::Diamond => {
                        area.draw(&Polygon::new(shape(&[(-6, 0), (0, 6), (6, 0), (0, -6)]), self.colour))?;
                    }
                    Marker::Ring => {
                        area.draw(&Circle::new((x, y), 4, WHITE.filled()))?;
                        area.draw(&Circle::new((x, y), 4, line))?;
                    }
                    Marker::Box => {
                        let edge = [(-4, -4), (4, -4), (4, 4), (-4, 4)];
                        area.draw(&Polygon::new(shape(&edge), WHITE))?;
                        area.draw(&PathElement::new(shape(&[&edge[..], &[(-4, -5)]].concat()), line))?;
                    }
                    Marker::Cross => {
                        area.draw(&PathElement::new(shape(&[(-4, -4), (4, 4)]), line))?;
                        area.draw(&PathElement::new(shape(&[(-4, 4), (4, -4)]), line))?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Draws a capped bar from `low` to `high` at `x`, all of the canvas.
    pub(crate) fn bar(&self, sheet: &mut Sheet, bars: &[(i32, i32, i32)]) -> Drawn {
        let style = self.colour.mix(0.5).stroke_width(2);
        sheet.draw(|area| {
            for &(x, low, high) in bars {
                // One stroke: cap, bar, cap.
                let path = [(x - 3, low), (x + 3, low), (x, low), (x, high), (x - 3, high), (x + 3, high)];
                area.draw(&PathElement::new(path.to_vec(), style))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_differ_without_colour() {
        let shape = |i: usize| (Look::series(i).marker, Look::series(i).dash);
        for i in 0..6 {
            for k in 0..i {
                assert_ne!(shape(i).0, shape(k).0, "{i} and {k}");
            }
        }
        for i in 0..42 {
            assert!((0..i).all(|k| Look::series(i) != Look::series(k)), "{i}");
        }
    }
}
