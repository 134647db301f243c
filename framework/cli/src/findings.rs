//! Everything that an analyzer found, block by block, as `analyze` prints it after the table of all estimates.
use crate::print::plain;
use crate::table::{cut, lines as table, paragraph};
use friction_core::{Block, Body, TurnLink, plural};
use friction_study::Analysis;
use std::collections::BTreeSet;

/// Most links to turns that are printed for a block.
const LINKS: usize = 5;

/// The lines of an analyzer's findings, at most `width` columns each.
pub(crate) fn lines(a: &Analysis, width: usize) -> Vec<String> {
    let mut out = vec![String::new(), cut(&plain(&a.name), width)];
    let room = width.saturating_sub(2);
    let mut put = |line: String| out.push(if line.is_empty() { line } else { format!("  {line}") });
    let blocks = &a.findings.blocks;
    let mut told = BTreeSet::new();
    for (i, block) in blocks.iter().enumerate() {
        if let Some(heading) = block.section.as_ref().filter(|_| i == 0 || blocks[i - 1].section != block.section) {
            put(String::new());
            put(cut(&format!("— {} —", plain(heading)), room));
        }
        body(block, room).into_iter().for_each(&mut put);
        // Said once for several blocks of one kind.
        let next = blocks.get(i + 1).and_then(|b| about(b).filter(|_| b.section == block.section));
        if let Some(about) = about(block).filter(|a| next.as_ref() != Some(a)) {
            // What several blocks rest on is told in full once.
            let about = if told.insert(about.clone()) { about } else { "computed as above".into() };
            indented(&about, room).into_iter().for_each(&mut put);
        }
        if !block.links.is_empty() {
            indented(&links(&block.links), room).into_iter().for_each(&mut put);
        }
    }
    out
}

/// What a block says.
fn body(block: &Block, width: usize) -> Vec<String> {
    match &block.body {
        Body::Text(text) => text.lines().flat_map(|line| sentence(line, width)).collect(),
        Body::Warning(text) => sentence(&format!("note: {text}"), width),
        // Its numbers stand in the table of all estimates; here is what they rest on.
        Body::Estimate(e) => about(block).map(|_| sentence(&e.what, width)).unwrap_or_default(),
        Body::Verdict(v) => {
            let mut out = sentence(&format!("Verdict ({}), {}: {}", v.level, v.claim, v.says), width);
            out.extend(v.evidence.iter().flat_map(|why| indented(&format!("- {}", plain(why)), width)));
            out
        }
        Body::Table(t) if t.shown => {
            let mut out = sentence(&t.caption, width);
            out.extend(table(t, width));
            out
        }
        Body::Table(t) => {
            let files = format!("table {0}.parquet, {0}.csv ({1})", t.name, plural(t.rows(), "row"));
            captioned(&files, &t.caption, width)
        }
        Body::Figure(f) => captioned(&format!("figure {}.svg", f.name), &f.caption, width),
    }
}

fn captioned(what: &str, caption: &str, width: usize) -> Vec<String> {
    let caption = if caption.is_empty() { String::new() } else { format!(": {caption}") };
    vec![cut(&plain(&format!("{what}{caption}")), width)]
}

/// Status, n, method and citation of a block, in one line of text; `None` if it has none of them. An estimate's n stands
/// in its table.
fn about(block: &Block) -> Option<String> {
    let status = block.status.map(|s| s.to_string());
    let n = block.n.map(|n| format!("n = {}", plural(usize::try_from(n).unwrap_or(usize::MAX), &block.of)));
    let text = |s: &String| (!s.is_empty()).then(|| s.clone());
    let citation = text(&block.citation).map(|c| format!("[{c}]"));
    let unit = text(&block.unit).map(|u| format!("in {u}"));
    let parts: Vec<String> = [status, n, unit, text(&block.method), citation].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| plain(&parts.join("; ")))
}

/// Where turns are found.
fn links(links: &[TurnLink]) -> String {
    let one = |l: &TurnLink| {
        let arm = if l.arm.is_empty() { String::new() } else { format!(", arm {}", l.arm) };
        let sample = if l.sample == 0 { String::new() } else { format!(", sample {}", l.sample) };
        format!("group {}, {}{arm}{sample}, turn {}", l.group, l.condition, l.turn)
    };
    let told: Vec<String> = links.iter().take(LINKS).map(one).collect();
    let more = links.len().checked_sub(LINKS).filter(|n| *n > 0).map_or(String::new(), |n| format!("; {n} more"));
    plain(&format!("see {}{more}", told.join("; ")))
}

/// A sentence, escaped and broken into lines.
fn sentence(text: &str, width: usize) -> Vec<String> {
    if text.is_empty() { vec![] } else { paragraph(&plain(text), width) }
}

/// Text that is already escaped, under what it belongs to.
fn indented(text: &str, width: usize) -> Vec<String> {
    paragraph(text, width.saturating_sub(2)).into_iter().map(|line| format!("  {line}")).collect()
}

#[cfg(test)]
mod tests;
