//! Decides from what follows a letter whether the letter is an answer.
use super::reader::{Form, Known, Reader, Value};
use super::text::Kind;
use super::words::{
    AFTER, CJK_AFTER, CORRECTION, GOES_ON, HEDGES, JOIN, MAYBE, NOT, OPENERS, OPINION, SPECIES, SPOKEN_OF,
};

impl Reader<'_> {
    /// Reads the letter at token `q` as an answer, unless what follows shows that it is none. Also returns where it
    /// ends.
    pub(super) fn letter_at(&self, q: usize, form: Form, opened: Option<char>) -> (Value, usize) {
        let t = self.t;
        let none = (Value::Nothing, q);
        let Some(letter) = t.letter(q).and_then(|c| self.valid(c)) else { return none };
        if t.letter(q).is_some_and(|c| c.is_ascii_uppercase())
            && let Some(to) = self.own_text(q)
        {
            return self.taken_back(to).unwrap_or((Value::Letter(letter), to));
        }
        let lower = t.letter(q).is_some_and(|c| c.is_ascii_lowercase());
        let mut marked = t.emphasis(q) && t.emphasis(q + 1);
        let (mut p, mut closed) = (q + 1, false);
        loop {
            match t.kind(p) {
                // `A "contact" force`: the quotation opens here.
                Kind::Sign('"') if !marked && self.running(p, letter, form) => break,
                Kind::Sign(')' | ']' | '}' | '"') => marked = true,
                Kind::Sign('\'') if opened == Some('\'') => marked = true,
                Kind::Sign('>') if opened == Some('<') => marked = true,
                Kind::Sign('-') if opened == Some('-') => marked = true,
                Kind::Sign('\'') => return none,
                Kind::Close => (marked, closed) = (true, true),
                _ => break,
            }
            p += 1;
        }
        if let Some(to) = self.another(p, letter, lower) {
            return (Value::Several(letter), to);
        }
        let yes = (Value::Letter(letter), p);
        // A letter with the text of another option names two answers.
        let mut text = p;
        while matches!(t.sign(text), Some('.' | ')' | ':' | ',' | '-' | '/' | '(')) && text < p + 3 {
            text += 1;
        }
        if (text > p || marked)
            && t.letter(text).is_none()
            && let Some((Some(o), to)) = self.option_at(text, true)
            && o != letter
        {
            return (Value::Several(letter), to);
        }
        if !(closed || self.follows(p, letter, marked, form)) {
            return none;
        }
        // "A? No.", "A? B?"
        if t.sign(p) == Some('?') && !closed {
            let next = t.letter(p + 1).filter(|c| c.is_ascii_uppercase()).and_then(|c| self.valid(c));
            if next.is_some_and(|c| c != letter) && t.sign(p + 2) == Some('?') {
                return (Value::Several(letter), p + 2);
            }
            if matches!(t.word(p + 1), "no" | "nope" | "not" | "nah") {
                return self.taken_back(p).unwrap_or(none);
            }
        }
        self.taken_back(p).unwrap_or(yes)
    }

    /// The letter that replaces the one that ends before token `p`: "A, no wait, C", "A... no, C", "A, I mean C".
    fn taken_back(&self, mut p: usize) -> Option<(Value, usize)> {
        let t = self.t;
        let mut last = None;
        // The limit keeps the time linear in the reply's length.
        for _ in 0..8 {
            let (from, mut corrects) = (p, false);
            while p < from + 10 {
                if CORRECTION.contains(&t.word(p)) {
                    corrects = true;
                } else if t.word(p) == "i" && matches!(t.word(p + 1), "mean" | "meant") {
                    corrects = true;
                    p += 1;
                } else if !matches!(t.sign(p), Some(',' | '.' | '…' | '?' | '!' | '-' | ';' | ':')) {
                    break;
                }
                p += 1;
            }
            if !corrects {
                return last;
            }
            p += usize::from(matches!(t.sign(p), Some('(' | '[')));
            let Some(letter) = t.letter(p).filter(|c| c.is_ascii_uppercase()).and_then(|c| self.valid(c)) else {
                return last;
            };
            p += 1;
            while matches!(t.sign(p), Some(')' | ']')) {
                p += 1;
            }
            let ends = t.ends(p)
                || matches!(t.sign(p), Some('.' | ',' | '!' | '…' | ';')) && (t.ends(p + 1) || t.spaced(p + 1));
            if !ends {
                return last;
            }
            last = Some((Value::Letter(letter), p));
        }
        last
    }

    /// Whether what follows allows the letter to be an answer, rather than part of a word, a formula or a name.
    fn follows(&self, p: usize, letter: char, marked: bool, form: Form) -> bool {
        let t = self.t;
        if !marked && self.running(p, letter, form) {
            return false;
        }
        match t.kind(p) {
            Kind::Line | Kind::End | Kind::Open | Kind::Close => true,
            Kind::Sign('.') => marked && !SPOKEN_OF.contains(t.exact(p + 1)) || self.full_stop(p, letter, form),
            Kind::Sign(';' | '!' | '…') => true,
            Kind::Sign('|') => t.spaced(p),
            // An HTML-like tag.
            Kind::Sign('<') => !t.spaced(p + 1) && (p + 2..p + 7).any(|q| t.sign(q) == Some('>')),
            // If the option's text is not known, the text after the slash may be it.
            Kind::Sign('/') => {
                self.known(letter).is_none() && t.spaced(p) && t.spaced(p + 1) && t.word(p + 1).chars().count() > 2
            }
            Kind::Sign(',') => {
                // "I, Claudius"
                let title = letter == 'I'
                    && !marked
                    && t.exact(p + 1).starts_with(char::is_uppercase)
                    && !OPENERS.contains(&t.word(p + 1));
                // "I, too, wonder"
                let aside = matches!(t.word(p + 1), "too" | "also" | "for" | "personally" | "myself");
                let title = title || letter == 'I' && !marked && aside;
                (t.spaced(p + 1) || t.ends(p + 1)) && !title
            }
            Kind::Sign('?') => t.spaced(p + 1) && !matches!(form, Form::Verb | Form::Choice | Form::Bare),
            // "A: I don't know": here "A" is short for "answer", as "Q" is for "question".
            Kind::Sign(':') if t.word(p + 1) == "no" && matches!(t.word(p + 2), "idea" | "clue") => false,
            Kind::Sign(':')
                if matches!(t.word(p + 1), "i" | "i'm") && (p + 2..p + 4).any(|q| NOT.contains(&t.word(q))) =>
            {
                false
            }
            Kind::Sign(':') => {
                (marked || t.spaced(p + 1) || t.emphasis(p + 1))
                    && t.letter(p + 1).is_none_or(|c| c.is_lowercase() || !t.ends(p + 2))
            }
            Kind::Sign('-') => {
                let digit = t.word(p + 1).starts_with(|c: char| c.is_ascii_digit());
                let spaced =
                    t.spaced(p) && t.sign(p + 1) != Some('>') || t.spaced(p + 1) && t.kind(p + 1) == Kind::Word;
                let letter = t.letter(p + 1).is_some_and(|c| c.is_ascii_uppercase()) && self.line_ends(p + 2);
                (marked || spaced && !digit) && !letter
            }
            Kind::Sign('(' | '[') => {
                let one = t.kind(p + 1) == Kind::Word
                    && t.word(p + 1).chars().count() == 1
                    && matches!(t.sign(p + 2), Some(')' | ']'));
                let digit = t.word(p + 1).chars().all(|c| c.is_ascii_digit()) && t.kind(p + 1) == Kind::Word;
                let tag = t.sign(p) == Some('[') && t.sign(p + 1) == Some('/');
                (t.spaced(p) || marked) && (!one || digit) || tag
            }
            Kind::Word => {
                let word = t.word(p);
                if marked && t.sign(p - 1).is_none() && t.letter(p - 1).is_some() && !t.spaced(p) {
                    return false;
                }
                if CJK_AFTER.iter().any(|a| word.starts_with(a)) {
                    return true;
                }
                if SPOKEN_OF.contains(&word) {
                    return false;
                }
                // "B I think", "B it is", "B most likely".
                if word == "i" && OPINION.contains(&t.word(p + 1)) {
                    return true;
                }
                let tail = if word == "most" || word == "it" { p + 1 } else { p };
                if (MAYBE.contains(&t.word(tail)) || tail > p && t.word(tail) == "is") && self.line_ends(tail + 1) {
                    return true;
                }
                if word == "and" || word == "or" {
                    return GOES_ON.contains(&t.word(p + 1)) || t.word(p + 1) == "i" && t.kind(p + 2) == Kind::Word;
                }
                AFTER.contains(&word) || marked || word == "only" && letter != 'I'
            }
            _ => false,
        }
    }

    /// Whether the full stop at token `p`, after a letter, ends a sentence or an option's label. Otherwise it is part
    /// of a name: "E. coli", "J. S. Bach", "B.C.".
    fn full_stop(&self, p: usize, letter: char, form: Form) -> bool {
        let t = self.t;
        let r = p + 1;
        if t.ends(r) {
            return true;
        }
        let word = match t.kind(r) {
            Kind::Word => t.exact(r),
            Kind::Sign('\\' | '=' | '+' | '/' | '^' | '_') => return false,
            _ => return true,
        };
        if SPOKEN_OF.contains(t.exact(r)) {
            return false;
        }
        if t.emphasis(r) {
            return true;
        }
        if !t.spaced(r) {
            return false;
        }
        if t.letter(r).is_some_and(|c| c.is_ascii_uppercase()) {
            return t.sign(r + 1) != Some('.') && !self.line_ends(r + 1);
        }
        let known = self.known(letter);
        if AFTER.contains(&t.word(r)) || known.is_some_and(|o| self.speaks_of(o, r)) {
            return true;
        }
        let first = word.chars().next().unwrap_or(' ');
        if first.is_lowercase() || SPECIES.contains(&t.word(r)) {
            return false;
        }
        // "J. Edgar Hoover": a few words with capitals that are neither a sentence nor speak of this option. One such
        // word at the start of a reply is an option's text in other words.
        let mut q = r;
        while q < r + 4 && t.kind(q) == Kind::Word && t.exact(q).starts_with(char::is_uppercase) {
            q += 1;
        }
        let name = first.is_uppercase() && q < r + 4 && self.line_ends(q) && !OPENERS.contains(&t.word(r));
        !(name && known.is_some()) || form == Form::Lead && q == r + 1
    }

    /// Whether the line at token `r` starts with the option's first word, or shares a distinctive word with the option.
    fn speaks_of(&self, option: &Known, r: usize) -> bool {
        let t = self.t;
        let telling = |w: &str| w.chars().count() > 3 && !OPENERS.contains(w) && !HEDGES.contains(w);
        option.lower.first().is_some_and(|w| w == t.lower(r))
            || (r..r + 12).take_while(|q| !t.ends(*q)).any(|q| {
                let word = t.word(q);
                telling(word) && option.lower.iter().any(|w| w == word)
            })
    }

    /// The token after a second letter that is joined to this one: "A and B", "A, C", "A\nB".
    fn another(&self, p: usize, letter: char, lower: bool) -> Option<usize> {
        let t = self.t;
        let mut q = p;
        let mut joined = false;
        while q < p + 8 {
            let well = t.word(q) == "as" && t.word(q + 1) == "well" && t.word(q + 2) == "as";
            let join = well
                || matches!(t.sign(q), Some(',' | '&' | '/' | '+' | ';'))
                || JOIN.contains(&t.word(q)) && t.letter(q).is_none_or(|c| c.is_lowercase());
            let filler = joined
                && ([
                    "possibly", "maybe", "also", "both", "option", "choice", "answer", "either", "even", "perhaps",
                    "well", "as",
                ]
                .contains(&t.word(q))
                    || matches!(t.sign(q), Some('(' | '[' | '"' | '\''))
                    || t.kind(q) == Kind::Open);
            if !(join || filler) {
                break;
            }
            joined |= join;
            q += if t.word(q) == "as" && t.word(q + 1) == "well" { 3 } else { 1 };
        }
        let below = !joined && t.kind(p) == Kind::Line;
        if below {
            q = p + 1;
            while matches!(t.sign(q), Some('(' | '[')) {
                q += 1;
            }
        }
        if !joined && !below {
            return None;
        }
        // "I, II and III" are Roman numerals.
        let word = t.exact(q);
        if joined && letter == 'I' && word.len() > 1 && word.chars().all(|c| matches!(c, 'I' | 'V' | 'X')) {
            return Some(q + 1);
        }
        let other = t.letter(q).filter(|c| c.is_ascii_uppercase() || lower)?.to_ascii_uppercase();
        let mut e = q + 1;
        while matches!(t.sign(e), Some(')' | ']' | '}' | '"' | '\'')) || t.kind(e) == Kind::Close {
            e += 1;
        }
        let ends = if below {
            self.line_ends(e)
        } else {
            self.stops(e) && !(AFTER.contains(&t.word(e)) && other == 'I')
                || JOIN.contains(&t.word(e))
                || matches!(t.sign(e), Some('&' | '/' | '+'))
                || ["are", "only", "apply", "together"].contains(&t.word(e))
        };
        (ends && other != letter).then_some(e)
    }
}
