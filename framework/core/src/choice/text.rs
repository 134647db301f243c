//! A reply as tokens: words, signs and line breaks, without formatting.
//!
//! Formatting is what a reader does not see as content: markdown emphasis, headings, bullets and quotes, LaTeX
//! fonts and math delimiters, HTML formatting, invisible characters, emoji, other forms of the same letter
//! (full-width, mathematical, circled). A sign that changes the meaning is kept: `H_2O` keeps its `_`,
//! `A*B` its `*`, `B/2` its `/`.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters and digits.
    Word,
    /// One sign.
    Sign(char),
    /// One or more line breaks.
    Line,
    /// The start of a frame around an answer, such as `\boxed{` or `<answer>`. The frame ends at [`Kind::Close`].
    Open,
    /// The end of a frame.
    Close,
    /// The end of the text.
    End,
}

/// Bit of [`Token::gap`]: white space precedes the token.
pub(super) const SPACE: u8 = 1;
/// Bit of [`Token::gap`]: an emphasis mark precedes the token.
pub(super) const EMPHASIS: u8 = 2;
/// Bit of [`Token::gap`]: a tick precedes the token.
pub(super) const TICK: u8 = 4;

/// A token. Its text is `text[start..end]` of [`Text`], or in lower case `lower[low..low_end]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    pub gap: u8,
    pub start: u32,
    pub end: u32,
    pub low: u32,
    pub low_end: u32,
}

/// A text and its tokens; the last is [`Kind::End`].
#[derive(Debug, Default)]
pub(super) struct Text {
    pub tokens: Vec<Token>,
    pub text: String,
    pub lower: String,
}

impl Text {
    fn get(&self, i: usize) -> Token {
        let end = Token { kind: Kind::End, gap: 0, start: 0, end: 0, low: 0, low_end: 0 };
        self.tokens.get(i).or(self.tokens.last()).copied().unwrap_or(end)
    }

    /// The kind of token `i`; [`Kind::End`] past the end of the text.
    pub fn kind(&self, i: usize) -> Kind {
        self.get(i).kind
    }

    /// The character of token `i`, if the token is a sign.
    pub fn sign(&self, i: usize) -> Option<char> {
        match self.get(i).kind {
            Kind::Sign(c) => Some(c),
            _ => None,
        }
    }

    /// Token `i` as written; empty if it is neither word nor sign.
    pub fn exact(&self, i: usize) -> &str {
        let t = self.get(i);
        &self.text[t.start as usize..t.end as usize]
    }

    /// Token `i` in lower case.
    pub fn lower(&self, i: usize) -> &str {
        let t = self.get(i);
        &self.lower[t.low as usize..t.low_end as usize]
    }

    /// Token `i` in lower case if it is a word; otherwise empty.
    pub fn word(&self, i: usize) -> &str {
        if self.get(i).kind == Kind::Word { self.lower(i) } else { "" }
    }

    /// Token `i`, if it is a single Latin letter.
    pub fn letter(&self, i: usize) -> Option<char> {
        let mut chars = if self.get(i).kind == Kind::Word { self.exact(i) } else { "" }.chars();
        chars.next().filter(|c| c.is_ascii_alphabetic() && chars.next().is_none())
    }

    /// Whether white space precedes token `i`.
    pub fn spaced(&self, i: usize) -> bool {
        self.get(i).gap & SPACE != 0 || matches!(self.get(i).kind, Kind::Line | Kind::End)
    }

    /// Whether an emphasis mark precedes token `i`.
    pub fn emphasis(&self, i: usize) -> bool {
        self.get(i).gap & EMPHASIS != 0
    }

    /// Whether a tick precedes token `i`.
    pub fn tick(&self, i: usize) -> bool {
        self.get(i).gap & TICK != 0
    }

    /// Whether a line, a frame or the whole text ends at token `i`.
    pub fn ends(&self, i: usize) -> bool {
        matches!(self.get(i).kind, Kind::Line | Kind::Close | Kind::End)
    }

    /// Whether token `i` begins a line.
    pub fn begins(&self, i: usize) -> bool {
        i == 0 || matches!(self.kind(i - 1), Kind::Line | Kind::Open | Kind::End)
    }
}
