//! Nouns that declare an answer ("the answer is B"), and whether they mean the reply's own answer.
use super::reader::{Form, Reader};
use super::text::Kind;
use super::words::*;

impl Reader<'_> {
    /// If token `i` is a noun that declares an answer: the token at which the answer is expected, and how it is joined
    /// to the noun.
    pub(super) fn named(&self, start: usize, i: usize) -> Option<(usize, Form)> {
        let t = self.t;
        let word = t.word(i);
        if super::fold::cjk(word.chars().next()?) {
            let declares = CJK_NOUNS.iter().any(|n| word.contains(n)) && !CJK_NOT.iter().any(|n| word.contains(n));
            let p = if matches!(t.sign(i + 1), Some(':' | '-' | '=')) { i + 2 } else { i + 1 };
            return declares.then_some((p, Form::Label));
        }
        let noun = ANSWERS.contains(&word);
        let option = OPTIONS.contains(&word);
        let one = matches!(word, "one" | "statement" | "fit" | "match" | "item" | "candidate")
            && i > start
            && RIGHT.contains(&t.word(i - 1));
        let right = RIGHT.contains(&word);
        let most = word == "most" && MOST.contains(&t.word(i + 1));
        if !(noun || option || one || right || most) || !self.meant(start, i) {
            return None;
        }
        if right || most {
            let described = self.described(if most { i + 2 } else { i + 1 });
            if described.is_some() || most {
                return described.map(|p| (p, Form::Verb));
            }
        }
        if word == "answer's" {
            return Some((i + 1, Form::Verb));
        }
        let mut p = i + 1;
        while matches!(t.sign(p), Some('"' | '\'' | ']' | ')')) && p < i + 3 {
            p += 1;
        }
        let direct = p;
        if !right {
            let number = |p: usize| t.kind(p) == Kind::Word && t.word(p).chars().all(|c| c.is_ascii_digit());
            while p < i + 12 {
                let label = matches!(t.sign(p + 1), Some(':')) && !t.spaced(p + 1) && t.letter(p).is_some();
                if t.sign(p) == Some('#')
                    || number(p)
                    || (BETWEEN.contains(&t.word(p))
                        && !label
                        && !t.letter(p).is_some_and(|c| c.is_ascii_uppercase() && t.word(p + 1).is_empty()))
                {
                    p += 1;
                } else if let Some(close) = self.aside(p) {
                    p = close;
                } else if t.sign(p) == Some(',') && HEDGES.contains(&t.word(p + 1)) && t.sign(p + 2) == Some(',') {
                    p += 3;
                } else if let Some(is) = self.parenthesis(p) {
                    p = is;
                } else {
                    break;
                }
            }
        }
        match t.kind(p) {
            Kind::Sign(':' | '=' | '|' | '→') => Some((p + 1, Form::Label)),
            Kind::Sign('?') if noun => Some((p + 1, Form::Label)),
            Kind::Sign('.') if word == "ans" => Some((p + 1, Form::Label)),
            Kind::Sign('-') if t.spaced(p + 1) || t.spaced(p) && t.letter(p + 1).is_some() => {
                Some((p + 1, Form::Label))
            }
            Kind::Line if noun && self.phrase(start, i) == self.line_start(start, i) && p == i + 1 => {
                Some((p + 1, Form::Below))
            }
            // "Answer; C", "Answer ... C".
            Kind::Sign(';' | '…' | '.') if noun && self.trails(p).is_some() && self.heads(start, i) => {
                Some((self.trails(p).unwrap_or(p), Form::Bare))
            }
            Kind::Sign(',') if noun && self.opens_letter(p + 1) => Some((p + 1, Form::Bare)),
            Kind::Word => {
                if NOT.contains(&t.word(p)) && !right {
                    return Some((p, Form::Verb));
                }
                let mut q = p;
                while q < p + 8
                    && MODAL.contains(&t.word(q))
                    && !IS.contains(&t.word(q))
                    && (t.word(q) != "i" || OPINION.contains(&t.word(q + 1)))
                {
                    q += 1;
                }
                if IS.contains(&t.word(q)) {
                    return Some((q + 1, Form::Verb));
                }
                if q > p && (self.opens_letter(q) || NOT.contains(&t.word(q))) && !right {
                    return Some((q, Form::Verb));
                }
                let head = self.phrase(start, i);
                let concludes = head > start && (t.sign(head - 1) == Some(',') || SO.contains(&t.word(head - 1)));
                let alone = head == self.line_start(start, i)
                    || concludes
                    || noun && self.opens_letter(direct) && self.after_one_line(start, head)
                    || i > start && ["i", "would", "i'd", "i'll", "will"].contains(&t.word(i - 1));
                (noun && alone && (direct == i + 1 || t.sign(i + 1) == Some(']'))).then_some((direct, Form::Bare))
            }
            Kind::Sign(c) if noun && "([{\"'".contains(c) => Some((p, Form::Bare)),
            _ => None,
        }
    }

    /// Whether token `q` may stand in the noun phrase after an adjective such as "best": a word that is no option's letter and
    /// opens no clause, denial or fault.
    pub(super) fn in_noun_phrase(&self, q: usize) -> bool {
        let t = self.t;
        let word = t.word(q);
        t.kind(q) == Kind::Word
            && t.letter(q).is_none_or(|c| c == 'a')
            && ![&CLAUSE, &NOT, &WRONG].iter().any(|words| words.contains(word))
    }

    /// If the rest of a noun phrase from token `p`, a verb and an option's letter follow an adjective such as "best": the
    /// token after the verb. "The best force here is option D", "the most plausible cause is (B)", "the right law is not
    /// option A but option C". A letter without the word or brackets may be the name of something: "the best vitamin is C".
    fn described(&self, p: usize) -> Option<usize> {
        let t = self.t;
        let option = |q: usize| {
            let bracketed = t.sign(q) == Some('(') && t.sign(q + 2) == Some(')');
            (bracketed || OPTIONS.contains(t.word(q))) && self.opens_letter(q)
        };
        for q in (p..p + 7).take_while(|q| self.in_noun_phrase(*q)) {
            if !IS.contains(t.word(q)) {
                continue;
            }
            let mut at = q + 1;
            while at < q + 5
                && !OPTIONS.contains(t.word(at))
                && (NOT.contains(t.word(at)) || HEDGES.contains(t.word(at)))
            {
                at += 1;
            }
            if option(at) {
                return Some(q + 1);
            }
        }
        None
    }

    /// The token after ";", "…" or "..." at token `p`, if a letter starts there.
    fn trails(&self, p: usize) -> Option<usize> {
        let dots = (p..p + 3).all(|q| self.t.sign(q) == Some('.'));
        let q = if dots { p + 3 } else { p + 1 };
        (dots || self.t.sign(p) != Some('.')).then_some(q).filter(|q| self.opens_letter(*q))
    }

    fn heads(&self, start: usize, i: usize) -> bool {
        self.phrase(start, i) == self.line_start(start, i)
    }

    /// If an insertion such as ", I believe," or ", in my view," starts at token `p` and a verb follows it: the verb's
    /// token.
    fn parenthesis(&self, p: usize) -> Option<usize> {
        if self.t.sign(p) != Some(',') {
            return None;
        }
        let close = (p + 2..p + 8).find(|q| self.t.kind(*q) != Kind::Word)?;
        let own = (p + 1..close).all(|q| !OTHERS.contains(&self.t.word(q)) && !NOT.contains(&self.t.word(q)));
        (own && self.t.sign(close) == Some(',') && IS.contains(&self.t.word(close + 1))).then_some(close + 1)
    }

    pub(super) fn opens_letter(&self, p: usize) -> bool {
        let p = if OPTIONS.contains(&self.t.word(p)) { p + 1 } else { p };
        let p = if matches!(self.t.sign(p), Some('(' | '[' | '"' | '\'' | '{')) { p + 1 } else { p };
        self.t.letter(p).is_some_and(|c| c.is_ascii_uppercase())
    }

    /// If a bracket such as "(A-J)" or "(one letter)" starts at token `p` and a colon or verb follows it: the token
    /// after the bracket.
    fn aside(&self, p: usize) -> Option<usize> {
        let close = match self.t.sign(p)? {
            '(' => ')',
            '[' => ']',
            _ => return None,
        };
        let end = (p + 1..p + 10).find(|q| self.t.sign(*q) == Some(close))?;
        (self.t.sign(end + 1) == Some(':') || IS.contains(&self.t.word(end + 1))).then_some(end + 1)
    }

    /// The first token of the noun phrase that ends with the noun at token `i`.
    pub(super) fn phrase(&self, start: usize, i: usize) -> usize {
        let mut p = i;
        while p > start
            && i - p < 8
            && (BEFORE.contains(&self.t.word(p - 1))
                || RIGHT.contains(&self.t.word(p - 1))
                || OPTIONS.contains(&self.t.word(p - 1)))
        {
            p -= 1;
        }
        if p > start && matches!(self.t.sign(p - 1), Some('[' | '"' | '(' | '{')) { p - 1 } else { p }
    }

    fn line_start(&self, start: usize, i: usize) -> usize {
        let mut p = i;
        while p > start && i - p < 16 && !self.t.begins(p) {
            p -= 1;
        }
        p
    }

    /// Whether the noun means the reply's own answer, rather than one that is wrong, asked about, supposed or somebody
    /// else's.
    fn meant(&self, start: usize, i: usize) -> bool {
        let p = self.phrase(start, i);
        let before = |k: usize| if p >= start + k { self.t.word(p - k) } else { "" };
        let wrong = (p..i).any(|k| WRONG.contains(&self.t.word(k))) || WRONG.contains(&before(1));
        // "Is the answer A?"
        let asks = ["is", "are", "was", "could", "would", "can", "should", "might", "does"].contains(&before(1))
            && !self.t.word(p.saturating_sub(1)).is_empty()
            && (p == start + 1 || self.t.begins(p - 1) || !self.t.word(i).is_empty() && self.question(i));
        // "Some say the answer is A."
        let opinion = ["say", "think", "believe", "guess", "assume", "answer"].contains(&before(1));
        // "Many people would say the answer is A."
        let would = matches!(before(2), "would" | "will") && OTHERS.contains(&before(3));
        let told = opinion && before(2) != "to" && (OTHERS.contains(&before(2)) || would);
        let thought = (1..=2).any(|k| THOUGHT.contains(&before(k))) && self.t.word(i) != "why";
        !wrong && !asks && !thought && !told && !self.hypothetical(start, p)
    }

    /// Whether the sentence around `i` ends in a question mark.
    fn question(&self, i: usize) -> bool {
        for q in i..(i + 40).min(self.end) {
            match self.t.kind(q) {
                Kind::Sign('?') => return true,
                Kind::Sign('.' | '!') | Kind::Line | Kind::End => return false,
                _ => {}
            }
        }
        false
    }

    /// Whether the clause before token `p` is a condition, a question or a denial.
    pub(super) fn hypothetical(&self, start: usize, p: usize) -> bool {
        let t = self.t;
        let mut apart = false;
        for q in (start..p).rev().take(10) {
            match t.kind(q) {
                Kind::Word => {}
                Kind::Sign('"' | '\'' | '(' | '[') => continue,
                _ => return false,
            }
            // "It would be wrong to say that …"
            let fault = ["wrong", "incorrect", "false", "mistake", "error", "mistaken", "misleading", "inaccurate"];
            if IF.contains(&t.word(q)) || fault.contains(&t.word(q)) && t.word(q + 1) == "to" && q + 1 < p {
                return true;
            }
            // "It is not possible that …", "it is unlikely that …"
            let next = |k: usize| if q + k < p { t.word(q + k) } else { "" };
            let denied = NOT.contains(t.word(q))
                && matches!(next(1), "possible" | "likely" | "probable" | "plausible" | "conceivable")
                && next(2) == "that";
            let doubted =
                matches!(t.word(q), "impossible" | "unlikely" | "improbable" | "implausible" | "inconceivable")
                    && next(1) == "that"
                    && !(q > start && NOT.contains(t.word(q - 1)));
            if denied || doubted {
                return true;
            }
            // "A is not correct and B is": the "not" belongs to the other clause.
            apart |= matches!(t.word(q), "and" | "but");
            if NOT.contains(&t.word(q)) && !apart && (q + 1..(q + 3).min(p)).any(|k| DENIED.contains(&t.word(k))) {
                return true;
            }
        }
        false
    }

    /// Whether the condition from token `q` up to `i` is contrary to fact. The past tense shows it: "if x were", "if
    /// one asked"; not "if it is allowed", "if needed". `again` is as in [`Self::supposed`].
    fn unreal(&self, q: usize, i: usize, again: bool) -> bool {
        let passive = ["is", "are", "be", "been", "being", "as", "if", "when", "the", "a"];
        (q + 1..i).any(|k| {
            let word = self.t.word(k);
            let past = ["were", "was", "had", "did", "weren't", "wasn't", "hadn't", "didn't", "instead"];
            past.contains(&word)
                || again && word.len() > 4 && word.ends_with("ed") && !passive.contains(&self.t.word(k - 1))
        })
    }

    /// Whether what tokens `i` to `to` declare is hypothetical: part of a sentence of the form "if … were …, … would
    /// …". A condition about the choice itself ("if I had to guess") does not make it so. `again`: the reply has
    /// declared an answer before; then any past tense in the condition counts.
    pub(super) fn supposed(&self, start: usize, i: usize, to: usize, again: bool) -> bool {
        let t = self.t;
        let would = |q: usize| matches!(t.word(q), "would" | "could" | "might" | "i'd" | "we'd" | "it'd" | "wouldn't");
        if !(i.saturating_sub(3).max(start)..to).any(would) {
            return false;
        }
        for q in (start..i).rev().take(40) {
            match t.kind(q) {
                Kind::Line | Kind::End | Kind::Sign('!' | '?' | ';') => return false,
                Kind::Sign('.') if t.spaced(q + 1) => return false,
                _ => {}
            }
            let opens = q == start || !matches!(t.kind(q - 1), Kind::Word);
            let inverted = opens && matches!(t.word(q), "had" | "were" | "should");
            if inverted || IF.contains(&t.word(q)) && !matches!(t.word(q), "were" | "until" | "whatever") {
                return (inverted || self.unreal(q, i, again))
                    && !(q..i)
                        .any(|k| FORCED.contains(&t.word(k)) && (t.word(k) != "answer" || t.word(k - 1) == "to"));
            }
        }
        false
    }
}
