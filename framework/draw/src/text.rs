//! Text in figures: what may be drawn, how wide it is, where it breaks.
//!
//! An SVG is drawn with the fonts of whoever reads it, so widths are those of DejaVu Sans, the widest of the usual
//! sans-serif fonts: text that fits by them fits in Arial, Helvetica, Roboto and the Ubuntu Light of the PNG.

/// Advance widths of the printable ASCII characters from the space on, in hundredths of an em: the larger of
/// DejaVu Sans' and Ubuntu Light's, rounded up.
const ASCII: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 36, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 54, 100, 69, 69, 70, 78, 64, 58, 78, 76, 30, 49, 66, 56, 87, 75, 79, 61, 79, 70, 64, 62, 74, 69, 99, 69,
    62, 69, 40, 36, 40, 84, 50, 50, 62, 64, 55, 64, 62, 38, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// Stands where text was left out.
const ELLIPSIS: char = '…';

/// Characters at either end of a name that are looked at; what lies between is left out unmeasured.
const LONGEST: usize = 200;

/// The width of a character in em.
fn em(c: char) -> f64 {
    match c {
        ' '..='~' => f64::from(ASCII[c as usize - 32]) / 100.0,
        '’' | '·' => 0.32,
        '²' => 0.41,
        '–' | '°' => 0.5,
        '×' | '−' | '±' | '≤' | '≥' => 0.84,
        ELLIPSIS => 1.0,
        // Latin, Greek, Cyrillic, Armenian.
        '\u{c0}'..='\u{58f}' if c.is_lowercase() => 0.8,
        '\u{c0}'..='\u{58f}' => 0.95,
        // Kana, Chinese characters, Hangul, full-width forms.
        '\u{3000}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{ff00}'..='\u{ff60}' => 1.0,
        _ => 1.5,
    }
}

/// An upper bound of a line's width in pixels, at `size` pixels to the em, for text in Latin letters; for other
/// scripts an estimate above the average.
pub fn width(text: &str, size: f64) -> f64 {
    text.chars().map(em).sum::<f64>() * size
}

/// Text as it may be drawn: control characters and line breaks are spaces, runs of spaces are one, and what has no
/// width, turns the direction of writing or is no character of XML is left out. Of marks piled on one letter the
/// first two stay.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            if !out.is_empty() && !out.ends_with(' ') {
                out.push(' ');
            }
            continue;
        }
        marks = if is_mark(c) { marks + 1 } else { 0 };
        if marks <= 2 && !is_invisible(c) {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Lines of at most `limit` pixels. They break at spaces; a word that is wider than a line breaks behind `_`, `-` and
/// `/`, before `.`, and where that does not do anywhere.
pub fn wrap(text: &str, size: f64, limit: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|w| !w.is_empty()) {
        if width(word, size) <= limit {
            add(&mut lines, " ", word, size, limit);
            continue;
        }
        for (i, part) in parts(word).into_iter().enumerate() {
            let gap = if i == 0 { " " } else { "" };
            if width(part, size) <= limit {
                add(&mut lines, gap, part, size, limit);
                continue;
            }
            for (k, c) in part.chars().enumerate() {
                add(&mut lines, if k == 0 { gap } else { "" }, c.encode_utf8(&mut [0; 4]), size, limit);
            }
        }
    }
    lines.retain(|l| !l.is_empty());
    lines
}

/// Adds a piece to the last line, or to a new one where it does not fit.
fn add(lines: &mut Vec<String>, gap: &str, piece: &str, size: f64, limit: f64) {
    if let Some(line) = lines.last_mut() {
        if line.is_empty() {
            line.push_str(piece);
            return;
        }
        if width(line, size) + width(gap, size) + width(piece, size) <= limit {
            line.push_str(gap);
            line.push_str(piece);
            return;
        }
    }
    lines.push(piece.into());
}

/// A word's parts between joints: behind `_`, `-` and `/`, before `.`.
pub(crate) fn parts(word: &str) -> Vec<&str> {
    let mut out = vec![];
    let (mut start, mut before) = (0, ' ');
    for (i, c) in word.char_indices() {
        if i > start && (c == '.' || matches!(before, '_' | '-' | '/')) {
            out.push(&word[start..i]);
            start = i;
        }
        before = c;
    }
    out.push(&word[start..]);
    out
}

/// Text of at most `lines` lines of `limit` pixels. What is too long loses its middle to an ellipsis, for names often
/// differ at their ends.
pub fn fit(text: &str, size: f64, limit: f64, lines: usize) -> Vec<String> {
    let whole = wrap(text, size, limit);
    if whole.len() <= lines {
        return whole;
    }
    let all: Vec<char> = text.chars().collect();
    let mut kept = all.len().min(2 * LONGEST);
    while kept > 1 {
        kept -= 1;
        let head = kept.div_ceil(2);
        let tail = all.len() - (kept - head);
        let short: String = all[..head].iter().chain([&ELLIPSIS]).chain(&all[tail..]).collect();
        let short = wrap(&short, size, limit);
        if short.len() <= lines {
            return short;
        }
    }
    vec![ELLIPSIS.into()]
}

/// A name of a manifest as titles and captions quote it: cleaned, and of some 32 letters at most.
pub fn name(text: &str) -> String {
    shortened(text, 20.0)
}

/// Text of a manifest, cleaned and at most so many em wide: some 1.6 letters to the em.
pub fn shortened(text: &str, limit: f64) -> String {
    fit(&clean(text), 1.0, limit, 1).concat()
}

/// The stem and the numbers of names such as `resid_post.9`, where all share one stem: their axis needs the numbers
/// alone, and a line may join them.
pub fn numbered<S: AsRef<str>>(names: &[S]) -> Option<(String, Vec<String>)> {
    let mut stem = None;
    let mut numbers = vec![];
    for name in names {
        let (own, number) = name.as_ref().rsplit_once('.')?;
        number.parse::<u32>().ok()?;
        if *stem.get_or_insert(own) != own {
            return None;
        }
        numbers.push(number.to_string());
    }
    Some((stem?.to_string(), numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cleaned() {
        assert_eq!(clean(" a\n\tb\u{0}\u{1b}[31m "), "a b [31m");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{ffff}"), "abc");
        assert_eq!(clean(&format!("e{}", "\u{301}".repeat(50))), "e\u{301}\u{301}");
        assert_eq!(clean("<script>\"&'"), "<script>\"&'");
    }

    #[test]
    fn lines_keep_their_width_and_every_letter() {
        for text in ["resid_post.17", "a b c", &"x".repeat(200), "words of the message", &"long-name_".repeat(20)] {
            for limit in [30.0, 80.0, 300.0] {
                let lines = wrap(text, 13.0, limit);
                assert!(lines.iter().all(|l| width(l, 13.0) <= limit), "{lines:?}");
                assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
            }
        }
        assert_eq!(wrap("resid_post.17", 13.0, 80.0), ["resid_post", ".17"]);
        assert_eq!(wrap("The level is 97.5 %.", 13.0, 100.0), ["The level is", "97.5 %."]);
        assert!(wrap("", 13.0, 100.0).is_empty());
    }

    #[test]
    fn what_is_too_long_loses_its_middle() {
        let long = format!("begin{}end", "x".repeat(100_000));
        let short = fit(&long, 13.0, 200.0, 1);
        assert_eq!(short.len(), 1);
        assert!(short[0].starts_with("begin") && short[0].ends_with("end") && short[0].contains('…'), "{short:?}");
        assert!(width(&short[0], 13.0) <= 200.0);
        assert_eq!(fit("short", 13.0, 200.0, 1), ["short"]);
        assert_eq!(fit("anything", 13.0, 1.0, 1), ["…"]);
        assert_eq!(fit(&long, 13.0, 200.0, 2).len(), 2);
        assert!(width(&name(&long), 1.0) <= 20.0);
    }

    #[test]
    fn names_of_one_stem_are_numbers() {
        let found = numbered(&["resid_post.0", "resid_post.17"]);
        assert_eq!(found, Some(("resid_post".into(), vec!["0".into(), "17".into()])));
        assert_eq!(numbered(&["resid_post.0", "attn_out.1"]), None);
        assert_eq!(numbered(&["embed", "resid_post.0"]), None);
        assert_eq!(numbered::<&str>(&[]), None);
    }
}
