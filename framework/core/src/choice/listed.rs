//! Lists of the options, which declare nothing: whole or cut off, an option a line or all on one line.
use super::reader::{Form, Reader, Value};
use super::text::Kind;
use super::words::{ANSWERS, OPTIONS};

/// How a label is written: bold, after "Option", after a bracket, and the sign after the letter.
type Shape = (bool, bool, bool, Option<char>);

/// A line that begins with a letter.
pub(super) struct Label {
    /// Index of the letter's token.
    pub at: usize,
    pub line: usize,
    pub letter: char,
    pub shape: Shape,
    pub bold: bool,
    pub alone: bool,
    /// The option's text follows the letter.
    pub own: bool,
    /// Nothing but the option's text follows the letter.
    pub whole: bool,
    /// A number or a quote precedes the letter: "1. A".
    pub loose: bool,
    /// The letter stands alone and ends the reply, as where a list is cut off.
    cut: bool,
    /// An entry of a list of the options in order from A.
    pub listed: bool,
    /// The first entry of such a list, with the second on the next line or on its own.
    pub heads: bool,
}

impl Label {
    /// Whether `next` continues the list that this entry belongs to.
    fn continues(&self, next: &Self) -> bool {
        let adjacent = next.line == self.line + 1;
        let (bold, named, opened, sign) = self.shape;
        let same = self.shape == next.shape && (adjacent || sign.is_some());
        let cut = adjacent && next.cut && (next.shape.0, next.shape.1, next.shape.2) == (bold, named, opened);
        next.letter as u32 == self.letter as u32 + 1 && (same || cut)
    }
}

impl Reader<'_> {
    /// Lines that begin with an option's letter, in order.
    pub(super) fn labels(&self, start: usize) -> Vec<Label> {
        let t = self.t;
        let (mut out, mut line) = (vec![], 0);
        for i in start..self.end {
            line += usize::from(t.kind(i) == Kind::Line);
            if !(i == start || t.begins(i)) || t.kind(i) == Kind::Line {
                continue;
            }
            let number = t.kind(i) == Kind::Word
                && t.word(i).chars().all(|c| c.is_ascii_digit())
                && matches!(t.sign(i + 1), Some('.' | ')'))
                && t.spaced(i + 2);
            let quoted = matches!(t.sign(i), Some('"' | '\''));
            let mut p = if number { i + 2 } else { i + usize::from(quoted) };
            let named = OPTIONS.contains(&t.word(p));
            p += usize::from(named);
            let opened = matches!(t.sign(p), Some('(' | '['));
            let bold = t.emphasis(i);
            p += usize::from(opened);
            let Some(letter) = t.letter(p).filter(|c| c.is_ascii_uppercase()).and_then(|c| self.valid(c)) else {
                continue;
            };
            let own = self.own_text(p);
            let (value, _) = self.letter_at(p, Form::Lead, opened.then_some('('));
            let mut q = p + 1;
            while matches!(t.sign(q), Some(')' | ']' | '.' | '!')) {
                q += 1;
            }
            let alone = t.ends(q);
            let marked = alone || matches!(t.sign(p + 1), Some('.' | ')' | ']' | ':' | '-'));
            if !marked {
                continue;
            }
            let reads = value == Value::Letter(letter);
            let whole = own.is_some_and(|to| self.line_ends(to));
            out.push(Label {
                at: p,
                line,
                letter,
                shape: (bold, named, opened, t.sign(p + 1)),
                bold: bold && reads,
                alone: alone && reads,
                own: own.is_some(),
                whole,
                loose: number || quoted,
                cut: alone && q + 1 >= self.end,
                listed: false,
                heads: false,
            });
        }
        self.find_lists(&mut out);
        out
    }

    /// Marks the entries of lists in order from A.
    fn find_lists(&self, labels: &mut [Label]) {
        let mut k = 0;
        while k < labels.len() {
            let mut end = k + 1;
            if labels[k].letter == 'A' {
                while end < labels.len() && labels[end - 1].continues(&labels[end]) {
                    end += 1;
                }
            }
            let below = end > k + 1;
            let beside = self.one_line(labels[k].at).is_some();
            labels[k].heads = beside || below && labels[k + 1].line == labels[k].line + 1;
            for label in &mut labels[k..end] {
                label.listed = below || beside;
            }
            k = end;
        }
    }

    /// If a list of two or more options with their texts starts on one line with the letter A at token `at`: the token
    /// after its last entry. "A) Carbon B) Neon", "(A) Carbon, (B) Neon".
    pub(super) fn one_line(&self, at: usize) -> Option<usize> {
        let t = self.t;
        let sign = t.sign(at + 1).filter(|c| matches!(c, ')' | ']' | '.' | ':'))?;
        let (mut p, mut open, mut entries, mut end) = (at, None, 0, at);
        for letter in 'A'..='Z' {
            if t.letter(p) != Some(letter) || t.sign(p + 1) != Some(sign) {
                break;
            }
            // The entry before is complete, since the next one follows it.
            if let Some(to) = open.take() {
                (entries, end) = (entries + 1, to);
            }
            let Some(to) = self.own_text(p) else {
                // "A) Carbon B)": cut off.
                if p + 2 >= self.end {
                    (entries, end) = (entries + 1, p + 2);
                }
                break;
            };
            open = Some(to);
            p = to;
            while matches!(t.sign(p), Some('.' | ',' | ';')) {
                p += 1;
            }
            p += usize::from(matches!(t.sign(p), Some('(' | '[')));
        }
        // "A. Carbon. B. Neon is wrong" goes on behind the text: B is no entry.
        let closes =
            |to: usize| self.t.ends(to) || matches!(t.sign(to), Some('.' | ',' | ';')) || ANSWERS.contains(t.word(to));
        if let Some(to) = open.filter(|to| closes(*to)) {
            (entries, end) = (entries + 1, to);
        }
        (entries > 1).then_some(end)
    }

    /// Whether a list of options on one line ends before token `i`: "A) Carbon B) Neon. Answer B".
    pub(super) fn after_one_line(&self, start: usize, i: usize) -> bool {
        let mut end = i;
        while end > start && matches!(self.t.sign(end - 1), Some('.' | ',' | ';')) {
            end -= 1;
        }
        // The limit keeps the time linear in the reply's length.
        let from = end.saturating_sub(200).max(start);
        (from..end).any(|p| self.t.letter(p) == Some('A') && self.one_line(p) == Some(end))
    }
}
