//! Rewrites Jinja2 syntax that minijinja lacks.
//!
//! - `\r\n` and `\r` become newlines.
//! - `{% generation %}…{% endgeneration %}`, transformers' extension that marks replies, becomes a `with` block.
//! - `a % b` (formatting for strings, floored modulo for numbers), `a // b` and `a ~ b` (concatenation with Python's
//!   `str`) become filters: `(a)|__percent__(b)`, `(a)|__concat__(b)`.
//! - String literals get Python's escapes.
//!
//! A template that uses none of these is returned byte for byte.

use crate::jinja::{Kind, Token, decoded, next_tag, raw_end, tokens};

/// Filter for `a % b`.
pub(super) const PERCENT: &str = "__percent__";
/// Filter for `a % (b, c)`. minijinja has no tuples, so they are recognised here.
pub(super) const PERCENT_TUPLE: &str = "__percent_tuple__";
/// Filter for `a // b`.
pub(super) const FLOOR: &str = "__floor__";
/// Filter for `a ~ b ~ c`.
pub(super) const CONCAT: &str = "__concat__";

/// Rewrites a whole template.
pub(super) fn translate(source: &str) -> String {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut rest = source.as_str();
    while let Some((at, open)) = next_tag(rest) {
        out.push_str(&rest[..at + 2]);
        rest = &rest[at + 2..];
        if open == "{#" {
            let end = rest.find("#}").map_or(rest.len(), |e| e + 2);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        let (tokens, end) = tokens(rest, if open == "{%" { "%}" } else { "}}" });
        let Some(end) = end else { break };
        let word = tokens.first().filter(|t| open == "{%" && t.kind == Kind::Word).map(|t| &rest[t.start..t.end]);
        if word == Some("raw") {
            let end = raw_end(rest, end);
            out.push_str(&rest[..end]);
            rest = &rest[end..];
            continue;
        }
        // Before the first token: white space and the whitespace control sign.
        out.push_str(&rest[..tokens.first().map_or(end, |t| t.start)]);
        let after = tokens.last().map_or(end, |t| t.end);
        match word {
            Some("generation") if tokens.len() == 1 => out.push_str("with"),
            Some("endgeneration") if tokens.len() == 1 => out.push_str("endwith"),
            Some(word) => {
                out.push_str(word);
                let inner = &tokens[1..];
                if let Some(first) = inner.first() {
                    out.push_str(&rest[tokens[0].end..first.start]);
                    out.push_str(&expression(rest, inner));
                }
            }
            None => out.push_str(&expression(rest, &tokens)),
        }
        out.push_str(&rest[after..end]);
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// An operand or operator of an expression. A bracketed group is one part.
struct Part {
    /// White space in front of it.
    gap: String,
    text: String,
    kind: Kind,
    /// Whether it is a Python tuple: parentheses with a comma, or empty ones.
    tuple: bool,
}

/// Rewrites an expression, or the content of brackets.
fn expression(source: &str, tokens: &[Token]) -> String {
    let parts = parts(source, tokens);
    if !parts.iter().any(|p| p.kind == Kind::Operator && matches!(p.text.as_str(), "%" | "//" | "~")) {
        return parts.iter().map(|p| format!("{}{}", p.gap, p.text)).collect();
    }
    let mut out = String::new();
    let mut from = 0;
    for i in 0..=parts.len() {
        if i < parts.len() && !divides(&parts, i) {
            continue;
        }
        out.push_str(&concatenation(&parts[from..i]));
        if let Some(p) = parts.get(i) {
            out.push_str(&p.gap);
            out.push_str(&p.text);
        }
        from = i + 1;
    }
    out
}

/// Splits an expression into the parts of one bracket level; groups are rewritten recursively.
fn parts(source: &str, tokens: &[Token]) -> Vec<Part> {
    let mut out = vec![];
    let mut last = tokens.first().map_or(0, |t| t.start);
    let mut i = 0;
    while let Some(t) = tokens.get(i) {
        let gap = source[last..t.start].to_string();
        let (mut text, mut tuple, mut end) = (source[t.start..t.end].to_string(), false, t.end);
        if t.kind == Kind::Text {
            text = string(&text);
        } else if t.kind == Kind::Open {
            let mut depth = 0usize;
            let close = tokens[i..].iter().position(|t| {
                depth += usize::from(t.kind == Kind::Open);
                depth -= usize::from(t.kind == Kind::Close);
                depth == 0
            });
            let close = close.map_or(tokens.len(), |n| i + n);
            let inner = &tokens[i + 1..close];
            let commas = |inner: &[Token]| {
                let mut depth = 0usize;
                inner.iter().any(|t| {
                    depth += usize::from(t.kind == Kind::Open);
                    depth = depth.saturating_sub(usize::from(t.kind == Kind::Close));
                    depth == 0 && &source[t.start..t.end] == ","
                })
            };
            tuple = text == "(" && (inner.is_empty() || commas(inner));
            if let Some(first) = inner.first() {
                text.push_str(&source[t.end..first.start]);
                text.push_str(&expression(source, inner));
            }
            let inner_end = inner.last().map_or(t.end, |t| t.end);
            end = tokens.get(close).map_or(inner_end, |t| t.end);
            text.push_str(&source[inner_end..end]);
            i = close;
        }
        out.push(Part { gap, text, kind: t.kind, tuple });
        last = end;
        i += 1;
    }
    out
}

/// Whether part `i` separates two expressions, i.e. binds less tightly than `%` and `~`.
fn divides(parts: &[Part], i: usize) -> bool {
    let before = |n: usize| i.checked_sub(n).map(|i| &parts[i]);
    let word = |n: usize, w: &str| before(n).is_some_and(|p| p.kind == Kind::Word && p.text == w);
    let p = &parts[i];
    match (p.kind, p.text.as_str()) {
        (Kind::Operator, "," | ":" | "=" | "==" | "!=" | "<" | ">" | "<=" | ">=") => true,
        // A sign is a binary operator where an operand precedes it.
        (Kind::Operator, "+" | "-") => {
            before(1).is_some_and(|b| b.kind != Kind::Operator && !(b.kind == Kind::Word && divides(parts, i - 1)))
        }
        (Kind::Word, "if" | "else" | "and" | "or" | "recursive") => !after_dot(parts, i),
        (Kind::Word, "not") => !after_dot(parts, i) && !word(1, "is"),
        (Kind::Word, "in") => !(after_dot(parts, i) || word(1, "is") || word(1, "not") && word(2, "is")),
        _ => false,
    }
}

/// Whether part `i` is an attribute name.
fn after_dot(parts: &[Part], i: usize) -> bool {
    i > 0 && parts[i - 1].kind == Kind::Operator && parts[i - 1].text == "."
}

/// The source text of some parts, without the white space in front.
fn joined(parts: &[Part]) -> String {
    let mut out = String::new();
    for (i, p) in parts.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { &p.gap });
        out.push_str(&p.text);
    }
    out
}

/// Rewrites `a ~ b ~ c`, whose operands are products.
fn concatenation(parts: &[Part]) -> String {
    let mut all = parts.split(|p| p.kind == Kind::Operator && p.text == "~").map(product);
    let Some(first) = all.next() else { return String::new() };
    let gap = parts.first().map_or("", |p| &p.gap);
    let others: Vec<String> = all.collect();
    if others.is_empty() { format!("{gap}{first}") } else { format!("{gap}({first})|{CONCAT}({})", others.join(", ")) }
}

/// Rewrites `a * b % c`, which associates to the left.
fn product(parts: &[Part]) -> String {
    let sign = |p: &Part| p.kind == Kind::Operator && matches!(p.text.as_str(), "*" | "/" | "//" | "%");
    if !parts.iter().any(|p| p.kind == Kind::Operator && matches!(p.text.as_str(), "%" | "//")) {
        return joined(parts);
    }
    let first = parts.iter().position(sign).unwrap_or(parts.len());
    let mut out = joined(&parts[..first]);
    let mut at = first;
    while at < parts.len() {
        let end = parts[at + 1..].iter().position(sign).map_or(parts.len(), |n| at + 1 + n);
        let operand = &parts[at + 1..end];
        out = match (parts[at].text.as_str(), operand) {
            ("%", [one]) if one.tuple => format!("({out})|{PERCENT_TUPLE}([{}])", &one.text[1..one.text.len() - 1]),
            ("%", _) => format!("({out})|{PERCENT}({})", joined(operand)),
            ("//", _) => format!("({out})|{FLOOR}({})", joined(operand)),
            (sign, _) => format!("{out} {sign} {}", joined(operand)),
        };
        at = end;
    }
    out
}

/// A string literal with Python's escapes, written for minijinja.
fn string(literal: &str) -> String {
    if !literal.contains('\\') {
        return literal.to_string();
    }
    let quote = if literal.starts_with('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in decoded(literal).chars() {
        if c == '\\' || c == quote {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_without_them_are_left_as_they_are() {
        for text in [
            "{{ bos_token }}{%- for m in messages -%}{{ '<start_of_turn>' + m['role'] + '\n' }}{%- endfor -%}",
            "100 % {# a % b #} { % } {{ x[1:-1] | join(', ') }}{% raw %}{{ a % b }}{% generation %}{% endraw %}",
            "{{ unclosed",
            "{% if 'unclosed %}",
            "{{ (]}}",
            "{",
        ] {
            assert_eq!(translate(text), text);
        }
    }

    #[test]
    fn operators_become_filters() {
        for (from, to) in [
            ("{{ a % b }}", "{{ (a)|__percent__(b) }}"),
            ("{{- a.b | f(1) % -c * 2 -}}", "{{- (a.b | f(1))|__percent__(-c) * 2 -}}"),
            ("{{ '%s' % (a, b % 2) }}", "{{ ('%s')|__percent_tuple__([a, (b)|__percent__(2)]) }}"),
            ("{%if x is not none and i%2 == 0%}", "{%if x is not none and (i)|__percent__(2) == 0%}"),
            (
                "{{ a ~ '%d' % b ~ c if not d % 2 else e }}",
                "{{ (a)|__concat__(('%d')|__percent__(b), c) if not (d)|__percent__(2) else e }}",
            ),
            ("{{ 1e-7 ~ {'k': a ~ b}['k'] }}", "{{ (1e-7)|__concat__({'k': (a)|__concat__(b)}['k']) }}"),
            ("{%- generation -%}x{% endgeneration %}", "{%- with -%}x{% endwith %}"),
            ("a\r\nb\rc", "a\nb\nc"),
            (r"{{ '\a\x41\d\'\U0001F980\101' }}", "{{ '\x07A\\\\d\\'🦀A' }}"),
        ] {
            assert_eq!(translate(from), to);
        }
    }
}
