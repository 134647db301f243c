//! "A" and "I" as the words of English that they also are.
use super::reader::{Form, Reader};
use super::text::Kind;
use super::words::{AFTER, ASIDE, CAUSE, CONDITION, IS, JOIN, MODAL, OPENERS, SELF, SPOKEN_OF};

impl Reader<'_> {
    /// Whether the unmarked letter before token `p` is the article ("A car", "a rather weak force") or the pronoun ("I
    /// then looked"), though what follows could follow an answer too. Within a sentence the article is in lower case, so
    /// that a capital there is a letter.
    pub(super) fn running(&self, p: usize, letter: char, form: Form) -> bool {
        let small = self.t.letter(p - 1).is_some_and(|c| c.is_ascii_lowercase());
        let opens = matches!(form, Form::Lead | Form::Label | Form::Below | Form::Frame);
        match letter {
            'A' => (small || opens) && self.article(p, small),
            'I' => (small || opens || form == Form::Choice) && self.pronoun(p),
            _ => false,
        }
    }

    /// Whether "a" before token `p` is the article.
    fn article(&self, p: usize, small: bool) -> bool {
        let t = self.t;
        let next = t.word(p + 1);
        match t.sign(p) {
            Some('(') => return self.inserted(p, ')'),
            Some('"') => return self.inserted(p, '"'),
            _ => {}
        }
        // "A so-called force", "a by-product"
        let hyphen = t.sign(p + 1) == Some('-') && !t.spaced(p + 1) && !t.spaced(p + 2);
        match t.word(p) {
            "" => false,
            _ if hyphen => true,
            "car" => !(CAUSE.contains(next) || next.contains('\'')),
            "while" => matches!(next, "ago" | "back" | "later" | "longer"),
            "choice" => small || !self.line_ends(p + 1),
            "given" => !CONDITION.contains(next),
            "due" => next != "to",
            "rather" => next != "than",
            "too" => t.kind(p + 1) == Kind::Word && !AFTER.contains(next),
            "not" => {
                let denied = ["un", "in", "im", "ir", "dis"].iter().any(|d| next.starts_with(d));
                denied && next.len() > 5 || matches!(next, "so" | "very" | "too" | "quite" | "entirely" | "really")
            }
            _ => false,
        }
    }

    /// Whether the bracket or quotation that opens at token `p` stands before a noun: "A (normal) force".
    fn inserted(&self, p: usize, close: char) -> bool {
        let t = self.t;
        if !t.spaced(p) || t.spaced(p + 1) {
            return false;
        }
        let Some(end) = (p + 2..p + 8).find(|q| t.sign(*q) == Some(close)) else { return false };
        let word = t.word(end + 1);
        let says = [&IS, &MODAL, &SPOKEN_OF, &AFTER, &OPENERS, &JOIN].iter().any(|words| words.contains(word));
        t.spaced(end + 1) && t.exact(end + 1).starts_with(char::is_lowercase) && !says
    }

    /// Whether "I" before token `p` is the pronoun: "I therefore chose", "I, however, think".
    fn pronoun(&self, p: usize) -> bool {
        let t = self.t;
        if t.sign(p) == Some(',') {
            return t.sign(p + 2) == Some(',') && ASIDE.contains(t.word(p + 1)) && SELF.contains(t.word(p + 3));
        }
        ASIDE.contains(t.word(p)) && SELF.contains(t.word(p + 1))
    }
}
