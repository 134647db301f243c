//! Figures of all analyzers: one frame, one palette, and pixels beside the SVG.
//!
//! [`Frame`] draws title, axes, legend and caption around a [`Plot`]; the legend stands beside the plot area, the
//! caption below it, and names of any length are shortened. [`Look`] tells series apart by colour, marker and dashes.
//! [`faults`] reads a finished figure and says what overlaps or runs out of it; tests of analyzers call it.
mod axis;
mod check;
mod frame;
mod look;
mod raster;
mod sheet;
mod text;

pub use axis::Axis;
pub use check::faults;
pub use frame::{Frame, Plot, WIDTH};
pub use look::{COLOURS, Dash, Look, Marker};
pub use sheet::Drawn;
pub use text::{name, numbered, shortened};

/// Anything that a drawing fails with.
pub type DrawError = Box<dyn std::error::Error>;

/// What [`Plot::draw`] gives to plotters: the canvas, in pixels.
pub type Area<'a> = plotters::drawing::DrawingArea<plotters::prelude::SVGBackend<'a>, plotters::coord::Shift>;
