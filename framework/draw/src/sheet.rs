//! A drawing put together from pieces: plotters draws each, and named groups hold them.
use crate::{Area, DrawError};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// What drawing returns.
pub type Drawn = Result<(), DrawError>;

/// A canvas that grows group by group.
pub struct Sheet {
    size: (u32, u32),
    body: String,
}

impl Sheet {
    /// An empty canvas of so many pixels, width and height.
    pub fn new(size: (u32, u32)) -> Self {
        Self { size, body: String::new() }
    }

    /// Draws with plotters; coordinates are pixels of the canvas.
    ///
    /// # Errors
    /// What `draw` returns, and what plotters cannot draw.
    pub fn draw(&mut self, draw: impl FnOnce(&Area) -> Drawn) -> Drawn {
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, self.size).into_drawing_area();
            draw(&area)?;
            area.present()?;
        }
        // Between the tags of a document of its own.
        let inside = svg.split_once(">\n").and_then(|(_, rest)| rest.strip_suffix("</svg>\n"));
        self.body.push_str(inside.ok_or("plotters' SVG has another frame than expected")?);
        Ok(())
    }

    /// Draws into a group with an attribute, whose value is escaped.
    ///
    /// # Errors
    /// What `draw` returns.
    pub fn group(&mut self, key: &str, value: &str, draw: impl FnOnce(&mut Self) -> Drawn) -> Drawn {
        self.body.push_str(&format!("<g {key}=\"{}\">\n", escaped(value)));
        draw(self)?;
        self.body.push_str("</g>\n");
        Ok(())
    }

    /// Writes one line, `size` pixels to the em, anchored at a point; `turned` reads upwards.
    ///
    /// # Errors
    /// When plotters cannot draw it.
    pub fn text(&mut self, text: &str, at: (i32, i32), size: f64, anchor: (HPos, VPos), turned: bool) -> Drawn {
        // plotters divides sizes by 1.24.
        let style = TextStyle::from(("sans-serif", 1.24 * size).into_font()).color(&BLACK);
        let style = style.pos(Pos::new(anchor.0, anchor.1));
        let style = if turned { style.transform(FontTransform::Rotate270) } else { style };
        self.draw(|area| Ok(area.draw(&Text::new(text.to_string(), at, style))?))
    }

    /// The document, with what a screen reader reads.
    pub fn document(self, title: &str, description: &str) -> String {
        let (width, height) = self.size;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n<rect width=\"{width}\" height=\"{height}\" fill=\"#FFFFFF\"/>\n{}</svg>\n",
            escaped(title),
            escaped(description),
            self.body
        )
    }
}

/// Text as content or a quoted attribute of XML.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
    out
}
