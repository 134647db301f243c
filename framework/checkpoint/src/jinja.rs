//! A lexer for Jinja tags.

/// Everything that a template can output literally: its text outside tags, and the string literals in its tags. The
/// pieces are separated by NUL, so that no search matches across two of them.
pub(crate) fn literals(source: &str) -> String {
    let mut out = String::new();
    let mut add = |text: &str| {
        out.push('\0');
        out.push_str(text);
    };
    let mut rest = source;
    while let Some((at, open)) = next_tag(rest) {
        add(&rest[..at]);
        rest = &rest[at + 2..];
        if open == "{#" {
            rest = rest.find("#}").map_or("", |e| &rest[e + 2..]);
            continue;
        }
        let (tokens, end) = tokens(rest, if open == "{%" { "%}" } else { "}}" });
        let Some(mut end) = end else { return out };
        if open == "{%" && tokens.first().is_some_and(|t| &rest[t.start..t.end] == "raw") {
            let start = end;
            end = raw_end(rest, start);
            add(&rest[start..end]);
        }
        for t in tokens.iter().filter(|t| t.kind == Kind::Text) {
            add(&decoded(&rest[t.start..t.end]));
        }
        rest = &rest[end..];
    }
    add(rest);
    out
}

/// Byte offset and opening mark of the next tag.
pub(crate) fn next_tag(text: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('{')?;
        match text.get(at..at + 2) {
            Some(open @ ("{{" | "{%" | "{#")) => return Some((at, open)),
            _ => from = at + 1,
        }
    }
}

/// Byte offset after the `{% endraw %}` of a raw block whose opening tag ends at `start`; the end of the text where
/// there is none.
pub(crate) fn raw_end(text: &str, start: usize) -> usize {
    let mut from = start;
    while let Some(at) = text[from..].find("{%") {
        let inner = from + at + 2;
        let word = text[inner..].trim_start_matches(['-', '+']).trim_start();
        if let Some(tail) = word.strip_prefix("endraw")
            && let Some(end) = tail.trim_start().trim_start_matches(['-', '+']).strip_prefix("%}")
        {
            return text.len() - end.len();
        }
        from = inner;
    }
    text.len()
}

/// Kinds of tokens: a name, keyword or number; a string; an opening or closing bracket; an operator or punctuation;
/// other characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Word,
    Text,
    Open,
    Close,
    Operator,
    Other,
}

/// A token and its byte range.
#[derive(Clone, Copy)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// The tokens of a tag whose content begins at `text`, and the offset after its closing mark `close`; `None` where
/// the tag is not closed.
pub(crate) fn tokens(text: &str, close: &str) -> (Vec<Token>, Option<usize>) {
    let mut out: Vec<Token> = vec![];
    let (mut at, mut depth) = (0, 0usize);
    if text.starts_with(['-', '+']) {
        at = 1;
    }
    while let Some(c) = text[at..].chars().next() {
        let here = &text[at..];
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        if depth == 0 {
            if here.starts_with(close) {
                return (out, Some(at + 2));
            }
            if here.starts_with(['-', '+']) && here[1..].starts_with(close) {
                return (out, Some(at + 3));
            }
        }
        let (kind, len) = match c {
            '\'' | '"' => match string_length(here, c) {
                Some(n) => (Kind::Text, n),
                None => return (out, None),
            },
            '(' | '[' | '{' => {
                depth += 1;
                (Kind::Open, 1)
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                (Kind::Close, 1)
            }
            _ if c.is_alphanumeric() || c == '_' => (Kind::Word, word_length(here)),
            _ if ["**", "//", "==", "!=", ">=", "<="].iter().any(|o| here.starts_with(o)) => (Kind::Operator, 2),
            _ if c.is_ascii() => (Kind::Operator, 1),
            _ => (Kind::Other, c.len_utf8()),
        };
        out.push(Token { kind, start: at, end: at + len });
        at += len;
    }
    (out, None)
}

/// Bytes of a name or number, the sign of an exponent included.
fn word_length(text: &str) -> usize {
    let length = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let n = length(text);
    let (word, rest) = text.split_at(n);
    let number = word.starts_with(|c: char| c.is_ascii_digit()) && !word.starts_with("0x") && !word.starts_with("0X");
    let signed = |rest: &str| rest.starts_with(['+', '-']) && rest[1..].starts_with(|c: char| c.is_ascii_digit());
    if number && word.ends_with(['e', 'E']) && signed(rest) { n + 1 + length(&rest[1..]) } else { n }
}

/// Bytes of a string literal with its quotes; `None` where it is not closed.
fn string_length(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// The value of a string literal, with Python's escapes.
pub(crate) fn decoded(literal: &str) -> String {
    let inner: Vec<char> = literal[1..literal.len() - 1].chars().collect();
    let mut out = String::new();
    let mut at = 0;
    while let Some(c) = inner.get(at) {
        let (c, used) = match c {
            '\\' => escape(&inner[at + 1..]).map_or((Some('\\'), 1), |(c, n)| (c, n + 1)),
            c => (Some(*c), 1),
        };
        out.extend(c);
        at += used;
    }
    out
}

/// The character of an escape sequence and how many characters it takes, given what follows the backslash. An escaped
/// newline yields no character. `None` for sequences that Python does not know: they keep their backslash.
fn escape(after: &[char]) -> Option<(Option<char>, usize)> {
    let hex = |n: usize| {
        let digits: String = after.get(1..1 + n)?.iter().collect();
        Some((Some(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?), 1 + n))
    };
    let c = match after.first()? {
        '\n' => return Some((None, 1)),
        c @ ('\\' | '\'' | '"') => *c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return hex(2),
        'u' => return hex(4),
        'U' => return hex(8),
        '0'..='7' => {
            let digits: String = after.iter().take(3).take_while(|c| ('0'..='7').contains(*c)).collect();
            return Some((Some(char::from_u32(u32::from_str_radix(&digits, 8).ok()?)?), digits.len()));
        }
        _ => return None,
    };
    Some((Some(c), 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_text_and_strings() {
        let source =
            "a<b>{# <c> #}{{ messages[0]['<d>\\n'] ~ x<e>y }}{% raw %}<f>{% endraw %}{% if '<g' 'h>' %}<i>{{ open";
        let found = literals(source);
        for token in ["<b>", "<d>\n", "<f>", "<i>"] {
            assert!(found.contains(token), "{token}");
        }
        for token in ["<c>", "[0]", "<e>", "<gh>", "messages", "open"] {
            assert!(!found.contains(token), "{token}");
        }
    }
}
