//! Python's `str` methods. Positions count characters.
use super::values;
use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};

/// Whether Python's `str.isspace` holds: Unicode white space and the ASCII separators U+001C to U+001F.
pub(super) fn space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// `strip`, `lstrip` and `rstrip`: removes `chars`, or white space where `None`, from the chosen sides.
pub(super) fn trim<'a>(text: &'a str, chars: Option<&str>, left: bool, right: bool) -> &'a str {
    let goes = |c: char| chars.map_or_else(|| space(c), |all| all.contains(c));
    let text = if left { text.trim_start_matches(goes) } else { text };
    if right { text.trim_end_matches(goes) } else { text }
}

/// `split()` at white space.
pub(super) fn words(text: &str) -> Vec<&str> {
    text.split(space).filter(|w| !w.is_empty()).collect()
}

/// `capitalize`.
pub(super) fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars.as_str().to_lowercase().chars()).collect()).unwrap_or_default()
}

/// `str.title`: a letter that follows a non-letter becomes upper case, others lower case.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in text.chars() {
        if inside {
            out.extend(c.to_lowercase())
        } else {
            out.extend(c.to_uppercase())
        }
        inside = c.is_alphabetic();
    }
    out
}

/// Jinja's `title` filter. Its word boundaries differ from those of Python's method.
pub(super) fn title_words(text: &str) -> String {
    let mut begins = true;
    let mut out = String::new();
    for c in text.chars() {
        if begins {
            out.extend(c.to_uppercase())
        } else {
            out.extend(c.to_lowercase())
        }
        begins = space(c) || matches!(c, '-' | '(' | '{' | '[' | '<');
    }
    out
}

/// `split` and `rsplit`: at most `most` splits, unlimited where negative.
fn split<'a>(text: &'a str, by: Option<&str>, most: i64, right: bool) -> Result<Vec<&'a str>, Error> {
    let most = usize::try_from(most).ok();
    let pieces = most.map_or(usize::MAX, |n| n + 1);
    Ok(match (by, right) {
        (Some(""), _) => return Err(Error::new(ErrorKind::InvalidOperation, "split by an empty separator")),
        (Some(by), false) => text.splitn(pieces, by).collect(),
        (Some(by), true) => {
            let mut all: Vec<&str> = text.rsplitn(pieces, by).collect();
            all.reverse();
            all
        }
        (None, right) => {
            let (mut out, mut rest) = (vec![], trim(text, None, true, true));
            while !rest.is_empty() && out.len() + 1 < pieces {
                let at = if right { rest.rfind(space) } else { rest.find(space) };
                let Some(at) = at else { break };
                let width = rest[at..].chars().next().map_or(0, char::len_utf8);
                let (word, more) = if right { (&rest[at + width..], &rest[..at]) } else { (&rest[..at], &rest[at..]) };
                out.push(word);
                rest = trim(more, None, !right, right);
            }
            if !rest.is_empty() {
                out.push(rest);
            }
            if right {
                out.reverse();
            }
            out
        }
    })
}

/// `splitlines`; with `keep`, lines keep their line breaks.
fn lines(text: &str, keep: bool) -> Vec<&str> {
    let ends =
        |c: char| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let (mut out, mut rest) = (vec![], text);
    while let Some(at) = rest.find(ends) {
        let width =
            if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        out.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    if !rest.is_empty() {
        out.push(rest);
    }
    out
}

/// `islower` and `isupper`: at least one character has the `right` case and none the `wrong` one.
fn cased(text: &str, right: impl Fn(char) -> bool, wrong: impl Fn(char) -> bool) -> bool {
    text.chars().any(&right) && !text.chars().any(wrong)
}

/// `swapcase` of one character.
fn swapped(c: char) -> String {
    if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
}

/// Position of `what` in characters, the first or (`right`) the last; −1 where it does not occur.
fn position(text: &str, what: &str, right: bool) -> i64 {
    let at = if right { text.rfind(what) } else { text.find(what) };
    at.map_or(-1, |at| text[..at].chars().count() as i64)
}

/// `ljust`, `rjust` and `center`: pads on the `left` and/or `right` to a width.
fn pad(text: &str, args: &[Value], left: bool, right: bool) -> Result<Value, Error> {
    let (width, fill): (usize, Option<&str>) = from_args(args)?;
    let fill = fill.unwrap_or(" ");
    let missing = width.min(1 << 20).saturating_sub(text.chars().count());
    // `center` with an odd number of fill characters: Python puts the extra one on the left for an odd width, on the
    // right for an even one.
    let before = match (left, right) {
        (true, true) => missing / 2 + (missing & width & 1),
        (true, false) => missing,
        _ => 0,
    };
    Ok(Value::from(format!("{}{text}{}", fill.repeat(before), fill.repeat(missing - before))))
}

/// Calls a string method; `None` where it is not defined here.
pub(super) fn method(text: &str, name: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let none = || from_args::<()>(args);
    let all = |is: fn(char) -> bool| Ok::<_, Error>(Value::from(!text.is_empty() && text.chars().all(is)));
    let list = |v: Vec<&str>| Value::from(v.into_iter().map(Value::from).collect::<Vec<_>>());
    Ok(Some(match name {
        "strip" | "lstrip" | "rstrip" => {
            let (chars,): (Option<Value>,) = from_args(args)?;
            let chars = chars.as_ref().and_then(Value::as_str);
            Value::from(trim(text, chars, name != "rstrip", name != "lstrip"))
        }
        "split" | "rsplit" => {
            let (by, most, named): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
            let by = by.or(named.get("sep")?);
            let most = most.or(named.get("maxsplit")?).unwrap_or(-1);
            named.assert_all_used()?;
            list(split(text, by.as_ref().and_then(Value::as_str), most, name == "rsplit")?)
        }
        "splitlines" => {
            let (keep, named): (Option<bool>, Kwargs) = from_args(args)?;
            let keep = keep.or(named.get("keepends")?).unwrap_or(false);
            list(lines(text, keep))
        }
        "partition" | "rpartition" => {
            let (by,): (&str,) = from_args(args)?;
            match if name == "partition" { text.split_once(by) } else { text.rsplit_once(by) } {
                Some((a, b)) => list(vec![a, by, b]),
                None if name == "partition" => list(vec![text, "", ""]),
                None => list(vec!["", "", text]),
            }
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (&str,) = from_args(args)?;
            let rest = if name == "removeprefix" { text.strip_prefix(part) } else { text.strip_suffix(part) };
            Value::from(rest.unwrap_or(text))
        }
        "find" | "rfind" | "index" | "rindex" => {
            let (what,): (&str,) = from_args(args)?;
            match position(text, what, name.starts_with('r')) {
                -1 if name.ends_with("index") => {
                    return Err(Error::new(ErrorKind::InvalidOperation, format!("`{what}` is not in the text")));
                }
                at => Value::from(at),
            }
        }
        "count" => {
            let (what,): (&str,) = from_args(args)?;
            Value::from(text.matches(what).count())
        }
        "join" => {
            let (parts,): (&Value,) = from_args(args)?;
            let mut out = vec![];
            for part in parts.try_iter()? {
                if part.kind() != ValueKind::String {
                    let message = format!("join wants text and is given a value of kind {}", part.kind());
                    return Err(Error::new(ErrorKind::InvalidOperation, message));
                }
                out.push(values::text(&part));
            }
            Value::from(out.join(text))
        }
        "capitalize" | "title" | "swapcase" | "casefold" => {
            none()?;
            Value::from(match name {
                "capitalize" => capitalize(text),
                "title" => title(text),
                "swapcase" => text.chars().map(swapped).collect(),
                _ => text.to_lowercase().replace('ß', "ss"),
            })
        }
        "isspace" => all(space)?,
        "isalpha" => all(char::is_alphabetic)?,
        "isalnum" => all(char::is_alphanumeric)?,
        "isdigit" | "isdecimal" | "isnumeric" => all(char::is_numeric)?,
        "islower" => Value::from(cased(text, char::is_lowercase, char::is_uppercase)),
        "isupper" => Value::from(cased(text, char::is_uppercase, char::is_lowercase)),
        "ljust" => pad(text, args, false, true)?,
        "rjust" => pad(text, args, true, false)?,
        "center" => pad(text, args, true, true)?,
        "zfill" => {
            let (width,): (usize,) = from_args(args)?;
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            let missing = width.min(1 << 20).saturating_sub(text.chars().count());
            Value::from(format!("{sign}{}{digits}", "0".repeat(missing)))
        }
        _ => return Ok(None),
    }))
}
