//! Letters that the reply says are right: "B is correct".
use super::reader::{Reader, Value};
use super::text::Kind;
use super::words::{ADVERBS, AFTER, GREETINGS, IS, JOIN, MOST, RIGHT, SAID, SO, SUBJECT};

impl Reader<'_> {
    /// If the letter at token `i` is said to be right ("B is correct", "Option B is the best answer"): the answer, and
    /// where the statement ends.
    pub(super) fn said_right(&self, start: usize, i: usize) -> Option<(Value, usize)> {
        let t = self.t;
        let letter = self.valid(t.letter(i)?)?;
        let mut head = i;
        while head > start && matches!(t.sign(head - 1), Some('(' | '[' | '"' | '\'' | '{')) {
            head -= 1;
        }
        let before = if head > start { t.word(head - 1) } else { "" };
        let free = head == start || before.is_empty() || SUBJECT.contains(&before) || GREETINGS.contains(&before);
        let mut p = i + 1;
        while matches!(t.sign(p), Some(')' | ']' | '}' | '"' | '\'')) {
            p += 1;
        }
        if let Some(own) = self.own_text(i) {
            p = own;
        } else if t.sign(p) == Some('(') {
            p = (p + 1..p + 14).find(|q| t.sign(*q) == Some(')')).map_or(p, |q| q + 1);
        }
        if !free || self.hypothetical(start, head) {
            return None;
        }
        let mut q = p;
        if before == "only" && matches!(t.word(q), "works" | "remains" | "fits") {
            return Some((Value::Letter(letter), q + 1));
        }
        // "Only C is true."
        let opens = head <= start + 1 || t.word(head - 2).is_empty() || SO.contains(t.word(head - 2));
        let ends = self.line_ends(q + 2) && t.sign(q + 2) != Some('?');
        if before == "only" && opens && ends && t.word(q) == "is" && t.word(q + 1) == "true" {
            return Some((Value::Letter(letter), q + 2));
        }
        let pronoun = letter == 'I' && p == i + 1 && t.word(q) != "is";
        if pronoun
            || !IS.contains(&t.word(q))
                && !["must", "would", "seems", "looks", "has", "should", "appears"].contains(&t.word(q))
        {
            return None;
        }
        q += 1;
        while q < p + 8 && (ADVERBS.contains(&t.word(q)) || IS.contains(&t.word(q))) {
            q += 1;
        }
        // "B seems most plausible". Some of these adjectives are in ADVERBS too and were skipped already.
        q += usize::from(t.word(q - 1) == "most" && MOST.contains(&t.word(q)));
        let most = q >= p + 3 && t.word(q - 2) == "most" && MOST.contains(&t.word(q - 1));
        let right = RIGHT.contains(&t.word(q));
        if right {
            q += 1;
            // "B is right too."
            if t.word(q) == "too" {
                q += 1;
            } else if t.word(q) == "as" && t.word(q + 1) == "well" {
                q += 2;
            }
        }
        let right = right || most;
        let noun = SAID.contains(&t.word(q)) && t.word(q + 1) != "of" && t.word(q + 1) != "that";
        if noun {
            q += 1;
            if SAID.contains(&t.word(q)) {
                q += 1;
            }
        }
        let stops = t.ends(q)
            || matches!(t.sign(q), Some('.' | ',' | ';' | ':' | '!' | ')' | '-' | '"'))
            || AFTER.contains(&t.word(q))
            || t.word(q) == "and";
        if right && !noun && !stops && (p..q).any(|k| t.word(k) == "the") {
            // "A and option B is the best pair here" names two.
            let joins = |k: usize| JOIN.contains(t.word(k)) || matches!(t.sign(k), Some('/' | ',' | '&'));
            let several = (head.saturating_sub(2).max(start)..head).any(joins);
            return self.thing(i, before, q).filter(|_| !several).map(|end| (Value::Letter(letter), end));
        }
        if t.sign(q) == Some('?') || !(noun || right && stops) {
            return None;
        }
        // "A and B is correct" names two.
        let joined = head > start + 1 && (JOIN.contains(&before) || t.sign(head - 1) == Some('/'));
        if let Some(other) = (head > start + 1 && joined).then(|| self.letter_before(start, head - 1)).flatten() {
            return (other != letter).then_some((Value::Several(other), q));
        }
        // "A is correct, and so is B" names two as well.
        let p = if t.sign(q) == Some(',') { q + 1 } else { q };
        let so = t.word(p) == "and" && t.word(p + 1) == "so" && IS.contains(&t.word(p + 2));
        let second = t.letter(p + 3).filter(|c| so && c.is_ascii_uppercase()).and_then(|c| self.valid(c));
        if second.is_some_and(|c| c != letter) && self.line_ends(p + 4) {
            return Some((Value::Several(letter), p + 4));
        }
        Some((Value::Letter(letter), q))
    }

    /// If the noun phrase after "the best" at token `q` ends a sentence: its end. "Option D is the best force." A bare letter
    /// may be the name of a thing ("C is the best vitamin"), unless the phrase points to what is asked: "D is the best
    /// force here."
    fn thing(&self, i: usize, before: &str, q: usize) -> Option<usize> {
        let t = self.t;
        let end = (q..q + 6).find(|k| !self.in_noun_phrase(*k)).filter(|end| *end > q)?;
        let closes = t.ends(end) || matches!(t.sign(end), Some('.' | '!' | ';')) && t.spaced(end + 1);
        let option = matches!(before, "option" | "choice" | "answer" | "letter");
        let here = matches!(t.word(end - 1), "here" | "listed" | "given" | "offered")
            && t.letter(i).is_some_and(|c| !matches!(c, 'A' | 'I'));
        (closes && (option || here)).then_some(end)
    }

    fn letter_before(&self, start: usize, i: usize) -> Option<char> {
        let p = (start..i).rev().take(3).find(|p| self.t.kind(*p) == Kind::Word)?;
        self.valid(self.t.letter(p)?).filter(|_| self.t.letter(p).is_some_and(|c| c.is_ascii_uppercase()))
    }
}
