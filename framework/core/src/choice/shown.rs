//! Answers that are shown without words: a letter at the start of the reply, in a bold line, or alone on a line.
use super::listed::Label;
use super::reader::{Candidate, Form, Rank, Reader, Value};
use super::text::Kind;
use super::words::{GREETINGS, MAYBE};

impl Reader<'_> {
    /// The answers that the part from token `start` shows without words, and where a letter at its start ends.
    pub(super) fn shown(&self, start: usize) -> (Vec<Candidate>, usize) {
        let (t, all) = (self.t, self.labels(start));
        let mut found = vec![];
        let mut after = start;
        let show = |value, at| Candidate { rank: Rank::Shown, value, at };
        let (value, at, to) = self.leads(start);
        // A letter behind a number or a quote is read as an entry of a list only.
        let heads = all.iter().any(|l| l.at == at && l.heads) || self.one_line(at).is_some();
        let lines: Vec<Label> = all.into_iter().filter(|l| !l.loose).collect();
        let listed = |k: usize| {
            let (a, b) = (&lines[k], lines.get(k + 1));
            let next = |b: &&Label| b.shape == a.shape && b.letter as u32 == a.letter as u32 + 1;
            b.filter(next).is_some_and(|b| b.line == a.line + 1 || b.whole == a.whole)
        };
        let mine = lines.iter().position(|l| l.at == at);
        let list = heads || mine.is_some_and(listed);
        // "A: Carbon ❌"
        let crossed = t.sign(to) == Some('✗') || self.judged_in_a_row(at, to);
        if !list && !crossed && value != Value::Nothing {
            found.push(show(value, at));
            after = to;
        }
        if let Some(l) = self.marked_right(&lines) {
            found.push(show(Value::Letter(l.letter), l.at));
        }
        let rest: Vec<_> = lines.iter().filter(|l| l.at > at || list).collect();
        for group in [|l: &&Label| l.alone && !l.listed, |l: &&Label| l.bold || l.own] {
            let mut letters: Vec<_> = rest.iter().copied().filter(group).collect();
            let last = letters.iter().rev().find(|l| !l.listed).copied();
            letters.dedup_by_key(|l| l.letter);
            if let (1, Some(l)) = (letters.len(), last) {
                found.push(show(Value::Letter(l.letter), l.at));
            }
        }
        (found, after)
    }

    /// Whether a denied letter, which ends before token `to`, is the first of several on its line: "A) No. B) No. C) Yes."
    fn judged_in_a_row(&self, at: usize, to: usize) -> bool {
        let t = self.t;
        let Some(sign @ (')' | '.' | ':')) = t.sign(at + 1) else { return false };
        let p = if t.sign(to) == Some(sign) { to + 1 } else { to };
        let denied = matches!(t.word(p), "no" | "false" | "wrong" | "incorrect");
        let ends = matches!(t.sign(p + 1), Some('.' | ';' | ','));
        let q = if t.sign(p + 2) == Some('(') { p + 3 } else { p + 2 };
        let follows = t.letter(at).zip(t.letter(q)).is_some_and(|(a, b)| b as u32 == a as u32 + 1);
        denied && ends && follows && t.sign(q + 1) == Some(sign)
    }

    /// The one line that is marked as right, if other lines are marked as wrong. A mark is a tick or cross, or a word
    /// such as "correct" or "wrong" at the end of the line, after a sign.
    fn marked_right<'l>(&self, lines: &'l [Label]) -> Option<&'l Label> {
        let t = self.t;
        let verdict = |l: &&Label| {
            let end = (l.at..l.at + 60).find(|p| t.ends(*p))?;
            let ticked = (l.at..=end).any(|p| t.tick(p));
            let crossed = (l.at..end).any(|p| t.sign(p) == Some('✗'));
            if ticked || crossed {
                return (ticked != crossed).then_some(ticked);
            }
            let word = (l.at..end).rev().find(|p| t.kind(*p) == Kind::Word && *p + 3 > end)?;
            let apart = matches!(t.sign(word.saturating_sub(1)), Some('-' | ':' | '.' | '(' | '[' | '→' | '='));
            match t.word(word) {
                "correct" | "right" if apart => Some(true),
                "incorrect" | "wrong" if apart => Some(false),
                _ => None,
            }
        };
        let told: Vec<_> = lines.iter().filter_map(|l| Some((l, verdict(&l)?))).collect();
        let mut right = told.iter().filter(|(_, r)| *r);
        let one = right.next().filter(|_| right.next().is_none())?;
        (told.len() > 1).then_some(one.0)
    }

    /// The letter or the option's text that the reply begins with: the answer, its letter's token, and where it ends.
    fn leads(&self, start: usize) -> (Value, usize, usize) {
        let t = self.t;
        let at = |p: usize, to: usize| (p..to.min(p + 4)).find(|q| t.letter(*q).is_some()).unwrap_or(p);
        let mut p = start;
        while matches!(t.kind(p), Kind::Line | Kind::Sign('→' | '∴'))
            || t.sign(p) == Some('=') && t.sign(p + 1) == Some('>')
        {
            p += usize::from(t.sign(p) == Some('='));
            p += 1;
        }
        let (value, to) = self.value(p, Form::Lead);
        if value != Value::Nothing {
            return (value, at(p, to), to);
        }
        // "1. B"
        let number = t.kind(p) == Kind::Word && t.word(p).chars().all(|c| c.is_ascii_digit());
        if number && matches!(t.sign(p + 1), Some('.' | ')')) && t.spaced(p + 2) {
            p += 2;
        }
        // "Sure!", "Okay, "
        for _ in 0..3 {
            let mut q = p;
            while q < p + 4 && GREETINGS.contains(&t.word(q)) {
                q += 1;
            }
            if q > p && (matches!(t.sign(q), Some('!' | ',' | '.' | ':')) || t.kind(q) == Kind::Line) {
                p = q + 1;
            }
            while t.kind(p) == Kind::Line {
                p += 1;
            }
        }
        // "Probably B"
        while MAYBE.contains(&t.word(p))
            || t.word(p) == "most"
            || p > start && t.sign(p) == Some(',') && MAYBE.contains(&t.word(p - 1))
        {
            p += 1;
        }
        let (value, to) = self.value(p, Form::Lead);
        (value, at(p, to), to)
    }
}
