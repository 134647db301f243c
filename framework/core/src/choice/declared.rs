//! Finds the declared answer: the letter that a human reader would take as the reply's answer.
use super::reader::{Candidate, Form, Known, Rank, Reader, Value};
use super::text::{Kind, Text};
use super::words::{CHOOSE, CORRECTION, IS, JOIN, OPINION, OPTIONS, OTHERS, QUESTIONS, SHORT, SO, chooses_with};
use std::collections::HashMap;

/// The result of [`reading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The declared letter; `None` if the reply declares nothing, or several answers at once.
    pub declared: Option<char>,
    /// Another letter that the reply declares besides `declared`. If it declares several at once, the first of them.
    pub contradicts: Option<char>,
}

/// Reads the declared answer out of a reply, by the rules of [`crate::choice`]. `options` are the options' texts in
/// order; an empty text means that it is not known. Only the first 26 are used. Never panics, and takes time linear in
/// the reply's length.
pub fn reading(reply: &str, options: &[String]) -> Reading {
    let mut text = Text::reply(reply);
    let parts = parts(&mut text);
    let options: Vec<Known> = options.iter().take(26).map(|o| Known::new(o)).collect();
    let n = options.len();
    let mut firsts: HashMap<String, Vec<usize>> = HashMap::new();
    for (k, first) in options.iter().enumerate().filter_map(|(k, o)| Some((k, o.lower.first()?))) {
        firsts.entry(first.clone()).or_default().push(k);
    }
    let mut reader = Reader { t: &text, options, firsts, n, end: 0 };
    for (start, end) in parts {
        reader.end = end;
        let found = reader.candidates(start);
        if !found.is_empty() {
            return judge(&found);
        }
    }
    Reading::default()
}

/// The declared answer alone: [`Reading::declared`].
pub fn declared(reply: &str, options: &[String]) -> Option<char> {
    reading(reply, options).declared
}

/// Splits a reply at lines "Question: …", which start another question. Returns the first and last token of each part;
/// the last is of kind [`Kind::End`].
fn parts(text: &mut Text) -> Vec<(usize, usize)> {
    let mut out = vec![];
    let (mut start, last) = (0, text.tokens.len() - 1);
    for i in 1..last {
        if text.kind(i) != Kind::Line {
            continue;
        }
        let mut p = i + 1;
        if text.word(p) == "next" {
            p += 1;
        }
        if !QUESTIONS.contains(&text.word(p)) {
            continue;
        }
        p += 1;
        if text.sign(p) == Some('#') {
            p += 1;
        }
        let numbered = text.kind(p) == Kind::Word && text.word(p).chars().all(|c| c.is_ascii_digit());
        if numbered {
            p += 1;
        }
        let begins = match text.kind(p) {
            Kind::Sign(':') => true,
            Kind::Sign('.') | Kind::Line => numbered,
            _ => false,
        };
        if begins {
            text.tokens[i].kind = Kind::End;
            out.push((start, i));
            start = i + 1;
        }
    }
    out.push((start, last));
    out
}

fn judge(found: &[Candidate]) -> Reading {
    let of = |rank: Rank| found.iter().filter(move |c| c.rank == rank);
    let mut best = of(Rank::Explicit).next_back();
    // The reply names several answers and then chooses one of them.
    if let Some(Candidate { value: Value::Several(_), at, .. }) = best {
        best = of(Rank::Chosen).rfind(|c| c.at > *at).or(best);
    }
    let best = best.or_else(|| of(Rank::Chosen).next_back()).or_else(|| of(Rank::Shown).next());
    let declared = match best.map(|c| c.value) {
        Some(Value::Letter(c)) => Some(c),
        _ => None,
    };
    let letter = |c: &Candidate| match c.value {
        Value::Letter(x) | Value::Several(x) => Some(x),
        Value::Nothing => None,
    };
    let mut others = found.to_vec();
    others.sort_by_key(|c| c.rank);
    let contradicts = match declared {
        Some(d) => others.iter().filter_map(letter).find(|x| *x != d),
        None => best.and_then(letter),
    };
    Reading { declared, contradicts }
}

impl Reader<'_> {
    /// All candidates of the part that starts at token `start`; those of one rank are in the order of the text.
    fn candidates(&self, start: usize) -> Vec<Candidate> {
        let mut found = vec![];
        let (shown, mut i) = self.shown(start);
        found.extend(shown);
        // An option's text after its own letter declares nothing by itself.
        let (first, mut last) = (i, None);
        i = start;
        while i < self.end {
            if i >= start && i < first && self.t.letter(i).is_some() {
                i = first.max(i + 1);
                // The reply may also begin with a letter that it calls right: "B is correct".
                if let Some((value, to)) = self.said_right_from(start, first) {
                    found.push(Candidate { rank: Rank::Explicit, value, at: start });
                    let at = (start..first).find(|p| self.t.letter(*p).is_some()).unwrap_or(start);
                    last = Some((value, at, to));
                    i = to;
                }
                continue;
            }
            let (hit, to) = self.declaration(start, i);
            let hit = hit.filter(|_| self.t.kind(i) == Kind::Open || !self.supposed(start, i, to, !found.is_empty()));
            if let Some((rank, value)) = hit {
                let value = self.together(last, value, i, to);
                found.push(Candidate { rank, value, at: i });
                if rank == Rank::Explicit && value != Value::Nothing {
                    last = Some((value, i, to));
                }
            }
            i = to.max(i + 1);
        }
        found.retain(|c| c.value != Value::Nothing);
        found
    }

    /// Two letters that are called right or framed next to each other are several answers: "A is correct and B is
    /// correct", `\boxed{A}\boxed{B}`. So are two letters of which the second is called right "too".
    fn together(&self, last: Option<(Value, usize, usize)>, value: Value, i: usize, to: usize) -> Value {
        let t = self.t;
        let (Some((Value::Letter(a) | Value::Several(a), at, end)), Value::Letter(b)) = (last, value) else {
            return value;
        };
        let capital = |p: usize| t.letter(p).is_some_and(|c| c.is_ascii_uppercase());
        let framed = |p: usize| t.kind(p) == Kind::Open;
        let alike = framed(at) && framed(i) || capital(at) && capital(i);
        let joins = |p: usize| matches!(t.sign(p), Some(',' | ';' | '&')) || JOIN.contains(&t.word(p));
        let ends = |p: usize| capital(i) && (t.sign(p) == Some('.') || t.kind(p) == Kind::Line);
        let beside = alike && end + 4 > i && (end..i).all(|p| joins(p) || ends(p));
        let too = capital(i) && (i..to).any(|p| matches!(t.word(p), "also" | "too" | "equally" | "well"));
        if a != b && (beside || too) { Value::Several(a) } else { value }
    }

    fn said_right_from(&self, start: usize, first: usize) -> Option<(Value, usize)> {
        (start..first).find(|i| self.t.letter(*i).is_some()).and_then(|i| self.said_right(start, i))
    }

    /// What token `i` declares, if anything, and the token at which reading continues.
    fn declaration(&self, start: usize, i: usize) -> (Option<(Rank, Value)>, usize) {
        let t = self.t;
        let hit = |rank, (value, to): (Value, usize)| (Some((rank, value)), to);
        match t.kind(i) {
            Kind::Open => return hit(Rank::Explicit, self.value(i + 1, Form::Frame)),
            Kind::Word => {}
            _ => return (None, i + 1),
        }
        let word = t.word(i);
        if t.letter(i).is_some_and(|c| c.is_ascii_uppercase()) {
            if let Some(found) = self.said_right(start, i) {
                return hit(Rank::Explicit, found);
            }
            // A letter followed by its own option's text: skip the text.
            return (None, self.own_text(i).unwrap_or(i + 1));
        }
        if let Some((at, form)) = self.named(start, i) {
            let (value, to) = self.value(at, form);
            return if value == Value::Nothing { (None, i + 1) } else { hit(Rank::Explicit, (value, to)) };
        }
        let chosen = |at: usize, text: bool| {
            let (value, to) = self.value(at, if text { Form::Choice } else { Form::Bare });
            if matches!(value, Value::Letter(_)) { hit(Rank::Chosen, (value, to)) } else { (None, i + 1) }
        };
        let before = |k: usize| if i >= start + k { t.word(i - k) } else { "" };
        // "You should pick C"
        let advice = matches!(before(1), "should" | "must")
            && matches!(before(2), "you" | "we" | "i")
            && !self.hypothetical(start, i);
        let own = advice || !(1..=3).any(|k| OTHERS.contains(&before(k)));
        if CHOOSE.contains(&word) && own {
            return chosen(i + 1, true);
        }
        if chooses_with(word, t.word(i + 1)) && own {
            return chosen(i + 2, true);
        }
        let says = matches!(word, "say" | "guess" | "think" | "believe");
        if word == "say" && before(1) == "to" && before(2) == "going" {
            return chosen(i + 1, true);
        }
        // "This matches option B", "That leaves B".
        let leaves = word == "leaves" && (t.letter(i + 1).is_some() || t.word(i + 1) == "us");
        if let Some(p) = self.remains(start, i) {
            return chosen(p, false);
        }
        if matches!(word, "matches" | "matching" | "supports" | "indicates" | "gives" | "yields")
            && OPTIONS.contains(&t.word(i + 1))
            || leaves
        {
            return chosen(if t.word(i + 1) == "us" { i + 3 } else { i + 1 }, false);
        }
        if says && ["i'd", "would", "i'll", "will", "i"].contains(&before(1)) && own {
            return chosen(i + 1, true);
        }
        if SO.contains(&word) {
            let p = if matches!(t.sign(i + 1), Some(',' | ':')) { i + 2 } else { i + 1 };
            let short = t.letter(p).is_some() || OPTIONS.contains(&t.word(p)) || matches!(t.sign(p), Some('(' | '['));
            return if short { chosen(p, false) } else { (None, i + 1) };
        }
        let to = match word {
            "it's" | "that's" => Some(i + 1),
            "it" | "that" | "this" => self.joined(i + 1),
            "which" => self.joined(i + 1).filter(|p| OPTIONS.contains(&t.word(*p))),
            "should" | "must" if t.begins(i) => self.joined(i),
            _ => None,
        };
        if let Some(to) = to.filter(|_| !self.hypothetical(start, i)) {
            // "The answer is A. No wait, it's C."
            let corrects = (i.saturating_sub(5).max(start)..i).any(|k| CORRECTION.contains(&t.word(k)));
            // "The answer seems to be A, but it is C."
            let corrects = corrects || before(1) == "but" && self.seemed(start, i);
            let opinion = OPINION.contains(&before(1)) && matches!(before(2), "i" | "we" | "i'd" | "would");
            let (found, to) = chosen(to, opinion);
            return (found.map(|(rank, v)| (if corrects { Rank::Explicit } else { rank }, v)), to);
        }
        (None, i + 1)
    }

    /// The position of the letter after words that leave one option: "leaving only C", "the one left is C", "we get C",
    /// "in short: C", "not B but C", "not B, C", "the statement that is true is C".
    fn remains(&self, start: usize, i: usize) -> Option<usize> {
        let t = self.t;
        let before = |k: usize| if i >= start + k { t.word(i - k) } else { "" };
        let last =
            |p: usize| self.opens_letter(p) && (p + 1..p + 4).any(|q| self.line_ends(q) || t.sign(q) == Some('.'));
        match t.word(i) {
            "leaving" | "leaves" => {
                let p = (i + 1..i + 4).find(|p| !matches!(t.word(*p), "us" | "only" | "with" | "just"))?;
                self.opens_letter(p).then_some(p)
            }
            "left" if t.word(i + 1) == "with" => Some(i + 2).filter(|p| self.opens_letter(*p)),
            "left" | "remaining" => self.joined(i + 1).filter(|p| self.opens_letter(*p)),
            "get" | "obtain" if matches!(before(1), "we" | "i") => Some(i + 1).filter(|p| last(*p)),
            "gives" | "yields" if matches!(before(1), "this" | "that" | "which") => Some(i + 1).filter(|p| last(*p)),
            "true" if before(1) == "is" && matches!(before(2), "that" | "which") => {
                let noun = matches!(before(3), "statement" | "option" | "choice" | "answer" | "claim" | "one");
                let own = noun && !self.hypothetical(start, i);
                self.joined(i + 1).filter(|p| own && last(*p))
            }
            "not" if i == start || before(1).is_empty() => {
                let capital = |p: usize| t.letter(p).filter(|c| c.is_ascii_uppercase());
                let other = capital(i + 1).zip(capital(i + 3)).is_some_and(|(a, b)| a != b);
                if other && t.sign(i + 2) == Some(',') && self.line_ends(i + 4) {
                    return Some(i + 3);
                }
                (self.opens_letter(i + 1) && !self.opens_letter(i)).then_some(i)
            }
            "dr" | "tldr" => (t.sign(i + 1) == Some(':')
                && (t.word(i) == "tldr" || t.sign(i.wrapping_sub(1)) == Some(';')))
            .then_some(i + 2)
            .filter(|p| last(*p)),
            w if SHORT.contains(w) && matches!(t.sign(i + 1), Some(':' | ',')) => {
                (matches!(before(1), "in" | "a") || i == start || t.begins(i)).then_some(i + 2).filter(|p| last(*p))
            }
            _ => None,
        }
    }

    /// Whether the sentence says before token `i` what merely seems so.
    fn seemed(&self, start: usize, i: usize) -> bool {
        let within = |k: &usize| !matches!(self.t.kind(*k), Kind::Line | Kind::Sign('.' | '!' | '?' | ';'));
        let from = i.saturating_sub(12).max(start);
        (from..i).rev().take_while(within).any(|k| matches!(self.t.word(k), "seems" | "seemed" | "appears" | "looks"))
    }

    /// The token after "is", "must be" or "has to be" at token `i`.
    fn joined(&self, i: usize) -> Option<usize> {
        let t = self.t;
        if IS.contains(&t.word(i)) {
            return Some(i + 1);
        }
        let be = (i + 1..i + 4).find(|p| t.word(*p) == "be")?;
        ["must", "has", "should", "would", "will"].contains(&t.word(i)).then_some(be + 1)
    }
}
