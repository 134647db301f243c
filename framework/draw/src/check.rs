//! What is wrong with a figure, found in the boxes of what was drawn. Tests of analyzers call it.
use crate::raster::tree;
use friction_core::{Figure, Result};
use resvg::usvg::{Group, Node, Rect, Tree};

/// Pixels that boxes may touch by: they are rounded, and a line is half outside its path.
const TOUCH: f32 = 1.5;

/// Faults of a figure that [`Frame`](crate::Frame) drew, one sentence each: text outside the canvas or over other text,
/// a legend over the plot area, a drawn caption that is not the figure's, a PNG of another size.
///
/// # Errors
/// When the drawing is no SVG.
pub fn faults(figure: &Figure) -> Result<Vec<String>> {
    let tree = tree(&figure.svg)?;
    let mut faults = vec![];
    let size = (tree.size().width(), tree.size().height());
    let mut texts = vec![];
    collect(tree.root(), &mut texts);
    for (text, at) in &texts {
        if at.left() < 0.0 || at.top() < 0.0 || at.right() > size.0 || at.bottom() > size.1 {
            faults.push(format!("{text:?} runs out of the canvas: {at:?}"));
        }
    }
    for (i, (one, a)) in texts.iter().enumerate() {
        let over = texts[..i].iter().filter(|(_, b)| meet(a, b));
        faults.extend(over.map(|(other, _)| format!("{one:?} overlaps {other:?}")));
    }
    match (part(&tree, "plot"), part(&tree, "legend")) {
        (None, _) => faults.push("there is no plot area".into()),
        (Some(plot), Some(legend)) if meet(&plot.abs_stroke_bounding_box(), &legend.abs_stroke_bounding_box()) => {
            faults.push("the legend overlaps the plot area".into());
        }
        _ => {}
    }
    for (name, whole) in [("title", None), ("caption", Some(&figure.caption))] {
        let mut drawn = vec![];
        if let Some(group) = part(&tree, name) {
            collect(group, &mut drawn);
        }
        let drawn: String = drawn.iter().map(|(t, _)| letters(t)).collect();
        if drawn.is_empty() || whole.is_some_and(|w| letters(w) != drawn) {
            faults.push(format!("the drawn {name} is {drawn:?}"));
        }
    }
    // Width and height stand at bytes 16 and 20 of a PNG.
    let side = |at: usize| figure.png.get(at..at + 4).and_then(|b| Some(u32::from_be_bytes(b.try_into().ok()?)));
    if (side(16), side(20)) != (Some(size.0 as u32), Some(size.1 as u32)) {
        faults.push(format!("the PNG has {:?} × {:?} pixels, the SVG {} × {}", side(16), side(20), size.0, size.1));
    }
    Ok(faults)
}

fn letters(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn meet(a: &Rect, b: &Rect) -> bool {
    a.left() + TOUCH < b.right()
        && b.left() + TOUCH < a.right()
        && a.top() + TOUCH < b.bottom()
        && b.top() + TOUCH < a.bottom()
}

/// The group of a frame's part.
fn part<'a>(tree: &'a Tree, name: &str) -> Option<&'a Group> {
    tree.root().children().iter().find_map(|n| match n {
        Node::Group(g) if g.id().rsplit('-').next() == Some(name) => Some(&**g),
        _ => None,
    })
}

/// All lines of text and their boxes.
fn collect(group: &Group, texts: &mut Vec<(String, Rect)>) {
    for node in group.children() {
        match node {
            Node::Group(g) => collect(g, texts),
            Node::Text(t) => {
                let text = t.chunks().iter().map(|c| c.text()).collect::<String>();
                texts.push((text, t.abs_bounding_box()));
            }
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}
