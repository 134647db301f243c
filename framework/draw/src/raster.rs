//! Pixels of an SVG, with a font that comes along, so that no machine's fonts matter.
use friction_core::{Error, Result};
use resvg::{tiny_skia, usvg};
use std::sync::Arc;

/// Reads an SVG as it is drawn. Letters that Ubuntu Light lacks are drawn as empty boxes; the SVG has them.
pub(crate) fn tree(svg: &str) -> Result<usvg::Tree> {
    let mut options = usvg::Options::default();
    let fonts = Arc::make_mut(&mut options.fontdb);
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|f| f.families.first()).map(|f| f.0.clone());
    let family = family.ok_or_else(|| Error::other("the font of the pixels cannot be read"))?;
    fonts.set_sans_serif_family(family);
    usvg::Tree::from_str(svg, &options).map_err(Error::other)
}

/// The SVG as a PNG of the SVG's size.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let size = tree.size().to_int_size();
    let mut pixels =
        tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| Error::other("the figure has no pixels"))?;
    resvg::render(&tree, tiny_skia::Transform::identity(), &mut pixels.as_mut());
    pixels.encode_png().map_err(Error::other)
}
