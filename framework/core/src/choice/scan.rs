//! Splits a text into the tokens of [`Text`] and removes its formatting.
use super::fold::{Fold, cjk, fold, joins};
use super::text::{EMPHASIS, Kind, SPACE, TICK, Text, Token};
use super::words::{BLOCKS, BOXES, FONTS, FORMAT, SPACES, TAGS, THOUGHTS};

/// What an opening brace belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Brace {
    Font,
    Box,
    Plain,
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
    gap: u8,
    /// This line has held nothing but formatting so far.
    fresh: bool,
    /// A single `*` is open on this line.
    star: bool,
    /// No closing `~~` is found before this index.
    no_strike: usize,
    /// The rest of the text holds no closing tag of a thought.
    no_thought: bool,
    braces: Vec<Brace>,
    /// The text is an option's: a sign at its start is not a bullet.
    inline: bool,
    out: Text,
}

impl Text {
    /// The tokens of a reply.
    pub fn reply(text: &str) -> Self {
        scan(text, false)
    }

    /// The tokens of an option's text, which is part of a line.
    pub fn option(text: &str) -> Self {
        scan(text, true)
    }
}

/// Splits a text into tokens. `inline`: the text is part of a line, as an option's text is.
fn scan(text: &str, inline: bool) -> Text {
    let mut chars = Vec::with_capacity(text.len());
    for c in text.chars() {
        match fold(c) {
            Fold::Drop => {}
            Fold::To(c) => chars.push(c),
            Fold::Round(c) => chars.extend(['(', c, ')']),
            Fold::Dash => chars.extend([' ', '-', ' ']),
        }
    }
    let mut r = Scanner {
        chars: &chars,
        at: 0,
        gap: 0,
        fresh: true,
        star: false,
        no_strike: 0,
        no_thought: false,
        braces: vec![],
        inline,
        out: Text::default(),
    };
    while r.at < r.chars.len() {
        r.step();
    }
    while let Some(b) = r.braces.pop() {
        if b == Brace::Box {
            r.push(Kind::Close, 0);
        }
    }
    r.push(Kind::End, 0);
    r.out
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn before(&self) -> Option<char> {
        self.at.checked_sub(1).map(|i| self.chars[i])
    }

    fn push(&mut self, kind: Kind, taken: usize) {
        let (start, low) = (self.out.text.len() as u32, self.out.lower.len() as u32);
        if !matches!(kind, Kind::Line | Kind::Open | Kind::Close | Kind::End) {
            for &c in &self.chars[self.at..self.at + taken] {
                self.out.text.push(c);
                self.out.lower.extend(c.to_lowercase());
            }
        }
        if kind != Kind::Line {
            self.fresh = false;
        }
        let (end, low_end) = (self.out.text.len() as u32, self.out.lower.len() as u32);
        self.out.tokens.push(Token { kind, gap: self.gap, start, end, low, low_end });
        self.gap = 0;
        self.at += taken;
    }

    fn drop(&mut self, taken: usize, gap: u8) {
        self.gap |= gap;
        self.at += taken;
    }

    fn line(&mut self, taken: usize) {
        if self.out.tokens.last().is_some_and(|t| t.kind == Kind::Line) {
            self.at += taken;
        } else {
            self.push(Kind::Line, taken);
        }
        (self.fresh, self.star, self.gap) = (true, false, 0);
    }

    fn step(&mut self) {
        let c = self.chars[self.at];
        let next = self.peek(1);
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        match c {
            '\n' => self.line(1),
            _ if c.is_whitespace() => self.drop(1, SPACE),
            // Headings, quotes, bullets and a table's first bar.
            '#' | '>' | '|' if self.fresh && !self.inline && (blank(next) || next == Some(c)) => self.drop(1, SPACE),
            '-' | '+' | '•' | '*' if self.fresh && !self.inline && blank(next) && !self.number() => {
                self.drop(1, SPACE)
            }
            '*' => self.stars(),
            '_' => self.underscores(),
            '`' => self.drop(1, EMPHASIS),
            '~' if next == Some('~') => self.strike(),
            '~' if self.around('~') => self.drop(1, EMPHASIS),
            '✓' => self.drop(1, SPACE | TICK),
            '$' => self.drop(1, 0),
            '\\' => self.command(),
            '{' => {
                self.braces.push(Brace::Plain);
                self.push(Kind::Sign(c), 1);
            }
            '}' => match self.braces.pop() {
                Some(Brace::Font) => self.drop(1, 0),
                Some(Brace::Box) => {
                    self.push(Kind::Close, 0);
                    self.at += 1;
                }
                _ => self.push(Kind::Sign(c), 1),
            },
            '<' => self.tag(),
            '&' => self.entity(),
            _ if c.is_alphanumeric() || joins(c) => self.word(),
            _ => self.push(Kind::Sign(c), 1),
        }
    }

    fn word(&mut self) {
        let kind = cjk(self.chars[self.at]);
        let mut n = 1;
        while let Some(c) = self.peek(n) {
            let inside = (c.is_alphanumeric() && cjk(c) == kind) || joins(c);
            let apostrophe = c == '\'' && self.peek(n + 1).is_some_and(char::is_alphanumeric);
            if !inside && !apostrophe {
                break;
            }
            n += 1;
        }
        self.push(Kind::Word, n);
    }

    /// Whether a signed number such as "- 5" starts here, rather than an entry of a list.
    fn number(&self) -> bool {
        let next = self.chars[self.at + 1..].iter().find(|c| **c != ' ');
        matches!(self.chars[self.at], '-' | '+')
            && next.is_some_and(|c| c.is_ascii_digit() || matches!(c, '.' | '$' | '\\'))
    }

    /// Whether the sign `c` here and another `c` enclose a single letter: "~C~".
    fn around(&self, c: char) -> bool {
        let get = |at: Option<usize>| at.and_then(|i| self.chars.get(i)).copied();
        let pair = |by: fn(usize, usize) -> Option<usize>| {
            get(by(self.at, 1)).is_some_and(|l| l.is_ascii_alphabetic()) && get(by(self.at, 2)) == Some(c)
        };
        pair(usize::checked_add) || pair(usize::checked_sub)
    }

    fn run(&self, c: char) -> usize {
        self.chars[self.at..].iter().take_while(|x| **x == c).count()
    }

    /// Reads `*` as emphasis or as a multiplication sign.
    fn stars(&mut self) {
        let n = self.run('*');
        let (left, right) = (self.before(), self.peek(n));
        let alnum = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let blank = |c: Option<char>| c.is_none_or(char::is_whitespace);
        if n > 1 {
            return self.drop(n, EMPHASIS);
        }
        if (alnum(left) && alnum(right))
            || (blank(left) && blank(right))
            || (!blank(left) && blank(right) && !self.star)
        {
            return self.push(Kind::Sign('*'), 1);
        }
        self.star = !self.star;
        self.drop(1, EMPHASIS);
    }

    /// Reads `_` as emphasis, a blank to fill in, or a subscript.
    fn underscores(&mut self) {
        let n = self.run('_');
        let alnum = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '{' || c == '\\');
        if alnum(self.before()) && alnum(self.peek(n)) { self.push(Kind::Sign('_'), n) } else { self.drop(n, EMPHASIS) }
    }

    /// Skips text that is struck through.
    fn strike(&mut self) {
        let n = self.run('~');
        if n == 2 && self.at >= self.no_strike {
            let rest = &self.chars[self.at + 2..];
            let stop = (0..rest.len()).find(|p| rest[*p] == '\n' || rest[*p..].starts_with(&['~', '~']));
            if let Some(p) = stop.filter(|p| rest[*p] == '~') {
                return self.drop(p + 4, SPACE);
            }
            self.no_strike = self.at + 2 + stop.unwrap_or(rest.len());
        }
        self.drop(n, SPACE);
    }

    fn name(&self, from: usize) -> String {
        self.chars[from..].iter().take(24).take_while(|c| c.is_ascii_alphabetic()).collect()
    }

    fn command(&mut self) {
        match self.peek(1) {
            Some('(' | ')' | '[' | ']') => self.drop(2, 0),
            Some(' ' | ',' | ';' | ':' | '!' | '\\' | '/') => self.drop(2, SPACE),
            Some('*' | '`' | '$') => self.drop(2, EMPHASIS),
            Some(c) if c.is_ascii_alphabetic() => {
                let name = self.name(self.at + 1);
                let mut n = 1 + name.len();
                if SPACES.contains(&name.as_str()) {
                    return self.drop(n, SPACE);
                }
                let framed = BOXES.contains(&name.as_str());
                if !framed && !FONTS.contains(&name.as_str()) {
                    return self.push(Kind::Sign('\\'), 1);
                }
                while self.peek(n) == Some(' ') {
                    n += 1;
                }
                if self.peek(n) == Some('{') {
                    self.braces.push(if framed { Brace::Box } else { Brace::Font });
                    n += 1;
                    if framed {
                        self.push(Kind::Open, 0);
                    }
                } else if framed {
                    // `\boxed B`
                    self.push(Kind::Open, 0);
                }
                self.drop(n, 0);
            }
            Some(c) if !c.is_alphanumeric() && !c.is_whitespace() => self.drop(1, 0),
            _ => self.push(Kind::Sign('\\'), 1),
        }
    }

    fn tag(&mut self) {
        let slash = usize::from(self.peek(1) == Some('/'));
        let from = self.at + 1 + slash;
        let name: String = self.chars[from..]
            .iter()
            .take(24)
            .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
            .collect();
        let rest = &self.chars[from + name.len()..];
        let close = rest.iter().take(120).position(|c| matches!(c, '>' | '<' | '\n')).filter(|p| rest[*p] == '>');
        let Some(close) = close.filter(|p| !name.is_empty() && (*p == 0 || matches!(rest[0], ' ' | '/'))) else {
            return self.push(Kind::Sign('<'), 1);
        };
        let n = 2 + slash + name.len() + close;
        let capital = name.len() == 1 && name.starts_with(|c: char| c.is_ascii_uppercase());
        let twin = |this: &Self| {
            let end = ['<', '/', name.chars().next().unwrap_or(' '), '>'];
            this.chars[this.at + n..].iter().take(80).copied().collect::<Vec<_>>().windows(4).any(|w| w == end)
        };
        let low = name.to_lowercase();
        let low = low.as_str();
        if capital && slash == 0 && !twin(self) {
            // `<B>`: a letter in brackets.
            self.push(Kind::Sign('<'), 1);
        } else if FORMAT.contains(&low) {
            self.drop(n, EMPHASIS);
        } else if BLOCKS.contains(&low) {
            self.line(n);
        } else if TAGS.contains(&low) {
            self.push(if slash == 0 { Kind::Open } else { Kind::Close }, 0);
            self.at += n;
        } else if THOUGHTS.contains(&low) {
            self.thought(low, n, slash == 1);
        } else {
            self.push(Kind::Sign('<'), 1);
        }
    }

    /// Skips a thought. A closing tag without an opening one means that everything before it was a thought.
    fn thought(&mut self, name: &str, n: usize, closes: bool) {
        if closes {
            self.out.tokens.clear();
            self.fresh = true;
        } else if !self.no_thought {
            let end: Vec<char> = format!("</{name}>").chars().collect();
            let found = self.chars[self.at + n..]
                .windows(end.len())
                .position(|w| w.iter().zip(&end).all(|(a, b)| a.eq_ignore_ascii_case(b)));
            if let Some(p) = found {
                return self.line(n + p + end.len());
            }
            self.no_thought = true;
        }
        self.drop(n, SPACE);
    }

    fn entity(&mut self) {
        let rest = &self.chars[self.at..];
        for (name, c) in
            [("&nbsp;", ' '), ("&amp;", '&'), ("&quot;", '"'), ("&lt;", '<'), ("&gt;", '>'), ("&#39;", '\'')]
        {
            if rest.len() >= name.len() && name.chars().zip(rest).all(|(a, b)| a == *b) {
                if c == ' ' {
                    return self.drop(name.len(), SPACE);
                }
                self.push(Kind::Sign(c), 1);
                self.at += name.len() - 1;
                return;
            }
        }
        self.push(Kind::Sign('&'), 1);
    }
}
