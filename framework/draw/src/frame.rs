//! The frame that every figure has: title, plot, axes, the legend beside the plot, the caption below.
use crate::axis::{Axis, LINE, SIZE};
use crate::look::Look;
use crate::sheet::{Drawn, Sheet};
use crate::text::{clean, fit, width, wrap};
use crate::{Area, raster};
use friction_core::{Error, Figure, Result};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// Pixels from the left edge of a figure to its right edge.
pub const WIDTH: u32 = 900;
/// Pixels between the edge and what is drawn.
const MARGIN: i32 = 16;
/// Least pixels of the plot area from top to bottom; a long legend makes it taller.
const PLOT: i32 = 340;
/// Pixels inside the plot area that no value reaches, at the sides and at top and bottom: markers at the ends of an axis
/// are whole and clear of its line.
const INSET: (i32, i32) = (16, 8);
/// Pixels between the plot area and the legend.
const GAP: i32 = 24;
/// Pixels of a legend's sample.
const SAMPLE: i32 = 36;
/// Most pixels of a legend's text.
const LEGEND: f64 = 180.0;
/// Entries of a legend; of more the rest is counted.
const ENTRIES: usize = 40;
/// Pixels to the em, and from line to line.
const TITLE: (f64, i32) = (20.0, 26);
const TEXT: (f64, i32) = (14.0, 18);
const CAPTION: (f64, i32) = (13.0, 18);

/// A figure in the making: title, axes, legend and caption around a plot.
///
/// # Example
/// ```
/// use friction_draw::{Axis, Frame, Look};
/// let values = [(1.0, 0.62), (2.0, 0.58), (3.0, 0.55)];
/// let figure = Frame::new(
///     "fall",
///     "Does accuracy fall with turns?",
///     Axis::whole("turn", 1, 3),
///     Axis::numbers("right answers, %", values.iter().map(|v| 100.0 * v.1)),
/// )
/// .say("Share of right answers in 20 groups.")
/// .key("all conditions", Look::series(0))
/// .draw(|plot| {
///     let points: Vec<(f64, f64)> = values.iter().map(|v| (v.0, 100.0 * v.1)).collect();
///     plot.series(Look::series(0), &points)
/// })?;
/// assert!(friction_draw::faults(&figure)?.is_empty());
/// # Ok::<(), friction_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Frame {
    name: String,
    title: String,
    caption: String,
    heading: String,
    keys: Vec<(String, Look)>,
    x: Axis,
    y: Axis,
}

impl Frame {
    /// A frame without legend and caption. `name` is the file's stem, `title` the question that the figure answers, in
    /// a few words.
    pub fn new(name: &str, title: &str, x: Axis, y: Axis) -> Self {
        let (caption, heading) = (String::new(), String::new());
        Self { name: name.into(), title: clean(title), caption, heading, keys: vec![], x, y }
    }

    /// Adds a sentence to the caption: what points and bars are, n, level and method of the intervals.
    pub fn say(mut self, sentence: impl AsRef<str>) -> Self {
        self.caption = clean(&format!("{} {}", self.caption, sentence.as_ref()));
        self
    }

    /// What the legend's entries are, such as a factor's name.
    pub fn heading(mut self, heading: &str) -> Self {
        self.heading = clean(heading);
        self
    }

    /// Adds an entry to the legend.
    pub fn key(mut self, name: &str, look: Look) -> Self {
        self.keys.push((clean(name), look));
        self
    }

    /// Draws the figure; `series` draws what is inside the plot area.
    ///
    /// # Errors
    /// What `series` returns, and a drawing that is no SVG.
    pub fn draw(self, series: impl FnOnce(&mut Plot) -> Drawn) -> Result<Figure> {
        let wrong = |e: crate::DrawError| Error::other(format!("figure {}: {e}", self.name));
        let layout = Layout::of(&self);
        let mut sheet = Sheet::new((WIDTH, layout.height as u32));
        layout.paint(&self, &mut sheet, series).map_err(wrong)?;
        let svg = sheet.document(&self.title, &self.caption);
        let png = raster::png(&svg).map_err(|e| Error::other(format!("figure {}: {e}", self.name)))?;
        Ok(Figure { name: self.name, caption: self.caption, svg, png })
    }
}

/// Where everything stands, in pixels of the canvas.
struct Layout {
    title: Vec<String>,
    y_label: Vec<String>,
    x_label: Vec<String>,
    caption: Vec<String>,
    heading: Vec<String>,
    /// Lines of each entry.
    keys: Vec<(Option<Look>, Vec<String>)>,
    row: crate::axis::Row,
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
    height: i32,
}

impl Layout {
    fn of(f: &Frame) -> Self {
        let inner = f64::from(WIDTH as i32 - 2 * MARGIN);
        let title = fit(&f.title, TITLE.0, inner, 2);
        let heading = fit(&f.heading, TEXT.0, f64::from(SAMPLE + 8) + LEGEND, 2);
        let shown = f.keys.iter().take(ENTRIES);
        let mut keys: Vec<_> = shown.map(|(n, look)| (Some(*look), fit(n, TEXT.0, LEGEND, 2))).collect();
        if f.keys.len() > ENTRIES {
            keys.push((None, vec![format!("and {} more", f.keys.len() - ENTRIES)]));
        }
        let widest = |lines: &[String]| lines.iter().map(|l| width(l, TEXT.0).ceil() as i32).max().unwrap_or(0);
        let entries = keys.iter().map(|(_, l)| SAMPLE + 8 + widest(l)).max();
        let legend = entries.map_or(0, |w| GAP + w.max(widest(&heading)));
        let legend_height =
            TEXT.1 * heading.len() as i32 + keys.iter().map(|(_, l)| TEXT.1 * l.len().max(1) as i32 + 6).sum::<i32>();
        let left = MARGIN + f.y.widest() + 10;
        let right = WIDTH as i32 - MARGIN - legend;
        let y_label = fit(&f.y.label, TEXT.0, inner, 1);
        let top = MARGIN + TITLE.1 * title.len() as i32 + 8 + TEXT.1 + 6;
        let bottom = top + PLOT.max(legend_height);
        let row = f.x.row(f64::from(right - left - 2 * INSET.0) / (f.x.high - f.x.low));
        let x_label = fit(&f.x.label, TEXT.0, f64::from(right - left), 2);
        let caption = wrap(&f.caption, CAPTION.0, inner);
        let below = bottom + 10 + row.height + 8 + TEXT.1 * x_label.len() as i32 + 14;
        let height = below + CAPTION.1 * caption.len() as i32 + MARGIN - 4;
        Self { title, y_label, x_label, caption, heading, keys, row, left, top, right, bottom, height }
    }

    fn paint(&self, f: &Frame, sheet: &mut Sheet, series: impl FnOnce(&mut Plot) -> Drawn) -> Drawn {
        // Figures stand side by side in a report: names of groups carry the figure's.
        let stem: String = f.name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
        let id = |part: &str| format!("{stem}-{part}");
        let start = (HPos::Left, VPos::Top);
        sheet.group("id", &id("title"), |s| lines(s, &self.title, (MARGIN, MARGIN), TITLE, start))?;
        let place = Place {
            rect: (self.left, self.top, self.right, self.bottom),
            x: (f.x.low, f.x.high),
            y: (f.y.low, f.y.high),
        };
        sheet.group("id", &id("axes"), |s| self.axes(f, &place, s))?;
        sheet.group("id", &id("plot"), |s| {
            let (grid, edge) = (RGBColor(225, 225, 225).stroke_width(1), RGBColor(120, 120, 120).stroke_width(1));
            s.draw(|area| {
                area.draw(&Rectangle::new([(self.left, self.top), (self.right, self.bottom)], WHITE.filled()))?;
                for (v, _) in &f.y.ticks {
                    let y = place.y(*v);
                    area.draw(&PathElement::new(vec![(self.left, y), (self.right, y)], grid))?;
                }
                let corner = vec![(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
                Ok(area.draw(&PathElement::new(corner, edge))?)
            })?;
            series(&mut Plot { sheet: s, place: place.clone() })
        })?;
        if !self.keys.is_empty() {
            sheet.group("id", &id("legend"), |s| self.legend(s))?;
        }
        let caption = self.height - (MARGIN - 4) - CAPTION.1 * self.caption.len() as i32;
        sheet.group("id", &id("caption"), |s| lines(s, &self.caption, (MARGIN, caption), CAPTION, start))
    }

    fn axes(&self, f: &Frame, place: &Place, s: &mut Sheet) -> Drawn {
        lines(s, &self.y_label, (MARGIN, self.top - TEXT.1 - 6), TEXT, (HPos::Left, VPos::Top))?;
        let edge = RGBColor(120, 120, 120).stroke_width(1);
        s.draw(|area| {
            for (v, _) in &f.y.ticks {
                let y = place.y(*v);
                area.draw(&PathElement::new(vec![(self.left - 5, y), (self.left, y)], edge))?;
            }
            for (v, _) in &self.row.labels {
                let x = place.x(*v);
                area.draw(&PathElement::new(vec![(x, self.bottom), (x, self.bottom + 5)], edge))?;
            }
            Ok(())
        })?;
        for (v, label) in &f.y.ticks {
            s.text(label, (self.left - 8, place.y(*v)), SIZE, (HPos::Right, VPos::Center), false)?;
        }
        for (v, label) in &self.row.labels {
            let at = (place.x(*v), self.bottom + 10);
            if self.row.turned {
                for line in label {
                    s.text(line, at, SIZE, (HPos::Right, VPos::Center), true)?;
                }
            } else {
                lines(s, label, at, (SIZE, LINE), (HPos::Center, VPos::Top))?;
            }
        }
        let at = ((self.left + self.right) / 2, self.bottom + 10 + self.row.height + 8);
        lines(s, &self.x_label, at, TEXT, (HPos::Center, VPos::Top))
    }

    fn legend(&self, s: &mut Sheet) -> Drawn {
        let left = self.right + GAP;
        let mut y = self.top;
        lines(s, &self.heading, (left, y), TEXT, (HPos::Left, VPos::Top))?;
        y += TEXT.1 * self.heading.len() as i32;
        for (look, name) in &self.keys {
            y += 3;
            if let Some(look) = look {
                let middle = y + TEXT.1 / 2 - 3;
                look.join(s, vec![(left, middle), (left + SAMPLE, middle)])?;
                look.mark(s, &[(left + SAMPLE / 2, middle)])?;
            }
            lines(s, name, (left + SAMPLE + 8, y), TEXT, (HPos::Left, VPos::Top))?;
            y += TEXT.1 * name.len().max(1) as i32 + 3;
        }
        Ok(())
    }
}

/// Writes lines below each other.
fn lines(s: &mut Sheet, lines: &[String], at: (i32, i32), font: (f64, i32), anchor: (HPos, VPos)) -> Drawn {
    let mut y = at.1;
    for line in lines {
        s.text(line, (at.0, y), font.0, anchor, false)?;
        y += font.1;
    }
    Ok(())
}

/// From values to pixels.
#[derive(Debug, Clone)]
struct Place {
    /// Left, top, right, bottom of the plot area.
    rect: (i32, i32, i32, i32),
    x: (f64, f64),
    y: (f64, f64),
}

impl Place {
    fn x(&self, v: f64) -> i32 {
        let (left, right) = (f64::from(self.rect.0 + INSET.0), f64::from(self.rect.2 - INSET.0));
        let share = ((v - self.x.0) / (self.x.1 - self.x.0)).clamp(0.0, 1.0);
        (left + share * (right - left)).round() as i32
    }
    fn y(&self, v: f64) -> i32 {
        let (top, bottom) = (f64::from(self.rect.1 + INSET.1), f64::from(self.rect.3 - INSET.1));
        let share = ((v - self.y.0) / (self.y.1 - self.y.0)).clamp(0.0, 1.0);
        (bottom - share * (bottom - top)).round() as i32
    }
}

/// The plot area, in the axes' units. Values outside an axis stand at its end; those that are not finite are left out.
pub struct Plot<'a> {
    sheet: &'a mut Sheet,
    place: Place,
}

impl Plot<'_> {
    /// Pixels of the canvas of a value pair; `None` where one is not finite.
    pub fn at(&self, (x, y): (f64, f64)) -> Option<(i32, i32)> {
        (x.is_finite() && y.is_finite()).then(|| (self.place.x(x), self.place.y(y)))
    }

    /// Points with the line between them, as the look says; the line breaks where a value is not finite.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn series(&mut self, look: Look, points: &[(f64, f64)]) -> Drawn {
        let all: Vec<Option<(i32, i32)>> = points.iter().map(|p| self.at(*p)).collect();
        for piece in all.split(Option::is_none) {
            look.join(self.sheet, piece.iter().copied().flatten().collect())?;
        }
        look.mark(self.sheet, &all.into_iter().flatten().collect::<Vec<_>>())
    }

    /// Capped bars: x, low, high. A bar without a finite end is left out.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn intervals(&mut self, look: Look, bars: &[(f64, f64, f64)]) -> Drawn {
        let bars: Vec<(i32, i32, i32)> = bars
            .iter()
            .filter_map(|(x, low, high)| {
                let ((x, low), (_, high)) = (self.at((*x, *low))?, self.at((*x, *high))?);
                Some((x, low, high))
            })
            .collect();
        look.bar(self.sheet, &bars)
    }

    /// A line of reference across the plot at `y`.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn across(&mut self, look: Look, y: f64) -> Drawn {
        let (left, _, right, _) = self.place.rect;
        match y.is_finite().then(|| self.place.y(y)) {
            Some(y) => look.join(self.sheet, vec![(left, y), (right, y)]),
            None => Ok(()),
        }
    }

    /// A line of reference from bottom to top at `x`.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn upright(&mut self, look: Look, x: f64) -> Drawn {
        let (_, top, _, bottom) = self.place.rect;
        match x.is_finite().then(|| self.place.x(x)) {
            Some(x) => look.join(self.sheet, vec![(x, top), (x, bottom)]),
            None => Ok(()),
        }
    }

    /// Draws with plotters; coordinates are pixels of the canvas, as [`Plot::at`] gives them.
    ///
    /// # Errors
    /// What `draw` returns.
    pub fn draw(&mut self, draw: impl FnOnce(&Area) -> Drawn) -> Drawn {
        self.sheet.draw(draw)
    }
}
