//! Reads the answer that follows the words that declare it.
use super::reader::{Form, Known, Reader, Value, ignored};
use super::text::Kind;
use super::words::{AFTER, BUT, HEDGES, NOT, OPINION, OPTIONS, ORDER};

impl Reader<'_> {
    /// The letter in upper case, if an option has it.
    pub(super) fn valid(&self, letter: char) -> Option<char> {
        let c = letter.to_ascii_uppercase();
        ((c as usize).wrapping_sub('A' as usize) < self.n).then_some(c)
    }

    pub(super) fn known(&self, letter: char) -> Option<&Known> {
        self.options.get((letter as usize).wrapping_sub('A' as usize)).filter(|o| !o.lower.is_empty())
    }

    /// If the tokens of an option's text start at token `i`: the token after them.
    fn same(&self, mut i: usize, option: &[String], exact: bool) -> Option<usize> {
        let t = self.t;
        for key in option {
            while t.kind(i) == Kind::Line || ignored(t.sign(i)) {
                i += 1;
            }
            let here = if exact { t.exact(i) } else { t.lower(i) };
            if i >= self.end || here != key {
                return None;
            }
            i += 1;
        }
        (!option.is_empty()).then_some(i)
    }

    /// The option whose text starts at token `i` and ends where a sentence may end: its letter, and the token after it.
    /// The letter is `None` if several options have that text.
    pub(super) fn option_at(&self, i: usize, whole_line: bool) -> Option<(Option<char>, usize)> {
        if !matches!(self.t.kind(i), Kind::Word | Kind::Sign(_)) {
            return None;
        }
        let ends = |p: usize| if whole_line { self.line_ends(p) } else { self.stops(p) };
        let mut best: Option<(usize, Vec<usize>)> = None;
        let first = (i..self.end).find(|p| self.t.kind(*p) != Kind::Line && !ignored(self.t.sign(*p)))?;
        for k in self.firsts.get(self.t.lower(first))?.iter().copied() {
            let option = &self.options[k];
            let Some(p) = self.same(i, &option.lower, false).filter(|p| ends(*p)) else { continue };
            match &mut best {
                Some((to, all)) if *to == p => all.push(k),
                Some((to, _)) if *to > p => {}
                _ => best = Some((p, vec![k])),
            }
        }
        let (to, mut all) = best?;
        if all.len() > 1 {
            all.retain(|k| self.same(i, &self.options[*k].exact, true).is_some());
        }
        let letter = if let [k] = all[..] { Some(char::from(b'A' + k as u8)) } else { None };
        Some((letter, to))
    }

    /// Whether a sentence or its clause may end before token `p`.
    pub(super) fn stops(&self, p: usize) -> bool {
        let t = self.t;
        match t.kind(p) {
            Kind::Line | Kind::Close | Kind::End => true,
            Kind::Sign('.' | ',' | ':') => t.ends(p + 1) || t.spaced(p + 1) || matches!(t.kind(p + 1), Kind::Sign(_)),
            Kind::Sign(';' | '!' | '?' | ')' | ']' | '}' | '"' | '\'' | '…' | '>' | '|') => true,
            Kind::Sign('(' | '-' | '→') => t.spaced(p),
            Kind::Word => AFTER.contains(&t.word(p)) && t.word(p) != "as",
            _ => false,
        }
    }

    /// Whether only closing signs follow on the line.
    pub(super) fn line_ends(&self, mut p: usize) -> bool {
        while matches!(self.t.sign(p), Some('.' | ',' | ';' | '!' | '?' | ')' | ']' | '}' | '"' | '\'' | '…')) {
            p += 1;
        }
        self.t.ends(p)
    }

    /// If the text of the letter's own option follows the letter at token `i`: the token after that text. Punctuation
    /// may come between: "B. Neon", "B) Neon", "B / Neon".
    pub(super) fn own_text(&self, i: usize) -> Option<usize> {
        let option = self.known(self.valid(self.t.letter(i)?)?)?;
        for p in i + 1..i + 6 {
            if let Some(to) = self.same(p, &option.lower, false) {
                // A text that ends inside a longer word does not count.
                let whole = !matches!(self.t.kind(to), Kind::Word) || self.t.spaced(to);
                return whole.then_some(to);
            }
            if !(matches!(
                self.t.sign(p),
                Some('.' | ')' | ']' | '}' | ':' | '-' | '/' | ',' | '(' | '=' | '"' | '\'' | '→' | '|')
            ) || self.t.kind(p) == Kind::Line)
            {
                return None;
            }
        }
        None
    }

    /// The answer that starts at token `p`, and where it ends.
    pub(super) fn value(&self, p: usize, form: Form) -> (Value, usize) {
        self.value_within(p, form, 4)
    }

    /// As [`Self::value`]. `turns`: how many more times "not … but …" may lead to another answer.
    fn value_within(&self, p: usize, form: Form, turns: usize) -> (Value, usize) {
        let t = self.t;
        let nothing = (Value::Nothing, p);
        let texts = !matches!(form, Form::Bare);
        let (mut q, mut opened, mut hedged) = (p, None, false);
        for _ in 0..16 {
            if q >= self.end {
                return nothing;
            }
            let lead = form == Form::Lead;
            let text = if texts { self.option_at(q, lead || form == Form::Below) } else { None };
            let named = q > p && (OPTIONS.contains(&t.word(q - 1)) || t.word(q - 1) == "answer");
            let (value, to) = if t.letter(q).is_some() {
                self.letter_form(q, form, opened, hedged && !named)
            } else {
                (Value::Nothing, q)
            };
            if let Some((letter, text_to)) = text {
                // A letter with its own option's text is that letter. Otherwise the option's text, which is longer,
                // decides.
                let single = text_to == q + 1 && t.letter(q).is_some();
                let letter = match (value, letter) {
                    (Value::Letter(l), _) if self.own_text(q).is_some() => return (Value::Letter(l), to),
                    (Value::Letter(l), Some(o)) if single && l != o && opened.is_none() && !lead => {
                        return (Value::Several(l), text_to);
                    }
                    (Value::Letter(l), _) if single && (lead || opened.is_some()) => return (Value::Letter(l), to),
                    (_, letter) => letter,
                };
                return match letter {
                    Some(c) => self.confirmed(c, text_to),
                    None => (Value::Nothing, text_to),
                };
            }
            if value != Value::Nothing {
                return (value, to);
            }
            let word = t.word(q);
            if matches!(form, Form::Verb | Form::Label)
                && let Some(found) = self.ordinal(q)
            {
                return found;
            }
            // "I believe": "I" is the pronoun.
            if word == "i"
                && OPINION.contains(&t.word(q + 1))
                && matches!(form, Form::Verb | Form::Label | Form::Choice)
            {
                q += 2;
                hedged = true;
                continue;
            }
            if NOT.contains(&word) && !lead {
                return self.instead(q, form, turns);
            }
            let letter_next = |q: usize| {
                let q = if matches!(t.sign(q), Some('(' | '[' | '"' | '\'' | '{')) { q + 1 } else { q };
                t.letter(q).is_some_and(|c| c.is_ascii_uppercase() || lead && self.line_ends(q + 1))
            };
            match t.kind(q) {
                Kind::Sign(c @ ('(' | '[' | '{' | '"' | '\'' | '<')) if opened.is_none() || c == '"' => {
                    opened = Some(c)
                }
                Kind::Sign(c @ ('(' | '[' | '{' | '"' | '\'' | '<')) => opened = Some(c),
                Kind::Sign('→' | ':' | '>' | '…') if !lead => {}
                Kind::Sign('=') if form == Form::Label && t.sign(q + 1) == Some('>') => {}
                Kind::Sign('-') if form == Form::Label && t.letter(q + 1).is_some() && t.sign(q + 2) == Some('-') => {
                    opened = Some('-')
                }
                Kind::Sign('-') if !lead && (t.spaced(q + 1) || t.emphasis(q + 1)) => {}
                Kind::Sign(',') if hedged || form == Form::Verb && q == p => {}
                Kind::Line
                    if matches!(form, Form::Label | Form::Verb | Form::Below | Form::Frame) && q == p
                        || matches!(t.sign(q.wrapping_sub(1)), Some(':')) => {}
                Kind::Open => {}
                Kind::Word if lead && (OPTIONS.contains(&word) || word == "answer") && letter_next(q + 1) => {}
                Kind::Word if lead || form == Form::Below => return nothing,
                Kind::Word if form == Form::Bare && !(OPTIONS.contains(&word) || word == "answer" || word == "the") => {
                    return nothing;
                }
                Kind::Word
                    if word.len() <= 3
                        && ["a", "o", "la", "el", "le", "die", "der", "das", "il", "an"].contains(&word)
                        && !letter_next(q + 1)
                        && !OPTIONS.contains(&t.word(q + 1)) =>
                {
                    return nothing;
                }
                Kind::Word if HEDGES.contains(&word) && !(t.letter(q).is_some_and(|c| c.is_ascii_uppercase())) => {
                    hedged = true
                }
                _ => return nothing,
            }
            q += 1;
        }
        nothing
    }

    /// Reads the letter that may follow an option's text: "Neon (B)". A different letter makes them several answers.
    fn confirmed(&self, c: char, to: usize) -> (Value, usize) {
        let t = self.t;
        let mut p = to;
        while matches!(t.sign(p), Some(',' | '(' | '[' | '-' | ':')) || OPTIONS.contains(&t.word(p)) {
            p += 1;
        }
        let bracket = p > to && matches!(t.sign(p - 1), Some('(' | '[')) || p > to + 1;
        if p > to
            && let Some(l) = t.letter(p).filter(|l| l.is_ascii_uppercase()).and_then(|l| self.valid(l))
            && (bracket && matches!(t.sign(p + 1), Some(')' | ']'))
                || t.ends(p + 1)
                || t.sign(p + 1) == Some('.') && t.ends(p + 2))
        {
            return (if l == c { Value::Letter(c) } else { Value::Several(c) }, p + 1);
        }
        // "Carbon, Neon" names two.
        let q = if t.sign(to) == Some(',') { to + 1 } else { to };
        match if q > to { self.option_at(q, true) } else { None } {
            Some((Some(o), end)) if o != c => (Value::Several(c), end),
            _ => (Value::Letter(c), to),
        }
    }

    /// Reads an ordinal such as "third option" at the end of a sentence.
    fn ordinal(&self, q: usize) -> Option<(Value, usize)> {
        let k = ORDER.iter().position(|o| *o == self.t.word(q)).filter(|k| *k < self.n)?;
        let option = matches!(self.t.word(q + 1), "option" | "choice" | "answer");
        (option && self.line_ends(q + 2)).then(|| (Value::Letter(char::from(b'A' + k as u8)), q + 2))
    }

    /// Reads "not A but B": the answer after the "but".
    fn instead(&self, q: usize, form: Form, turns: usize) -> (Value, usize) {
        let t = self.t;
        if turns == 0 || t.word(q + 1) == "only" || t.word(q) == "nor" {
            return (Value::Nothing, q);
        }
        for p in q + 1..(q + 16).min(self.end) {
            match t.kind(p) {
                Kind::Line | Kind::End | Kind::Close | Kind::Sign('?' | ';') => break,
                Kind::Sign('.' | '!') if t.spaced(p + 1) => break,
                Kind::Word if BUT.contains(&t.word(p)) => {
                    let p = if BUT.contains(&t.word(p + 1)) { p + 2 } else { p + 1 };
                    return self.value_within(p, form, turns - 1);
                }
                _ => {}
            }
        }
        (Value::Nothing, q)
    }

    /// Reads a letter if the form allows it. A lower-case letter must stand alone or directly follow the words that
    /// declare it.
    fn letter_form(&self, q: usize, form: Form, opened: Option<char>, hedged: bool) -> (Value, usize) {
        let t = self.t;
        let none = (Value::Nothing, q);
        let Some(c) = t.letter(q) else { return none };
        if c.is_ascii_lowercase() {
            let alone = {
                let mut p = q + 1;
                while matches!(t.sign(p), Some(')' | ']' | '}' | '.' | '!' | '"' | '\'')) {
                    p += 1;
                }
                t.ends(p)
            };
            let allowed = match form {
                Form::Lead | Form::Below => alone,
                Form::Bare | Form::Choice => alone && !matches!(c, 'a' | 'i'),
                Form::Label | Form::Verb | Form::Frame => !hedged || !matches!(c, 'a' | 'i'),
            };
            if !allowed {
                return none;
            }
        }
        self.letter_at(q, form, opened)
    }
}
