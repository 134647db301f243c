//! Python's text forms of values: `str`, `repr` and `json.dumps`.
use minijinja::value::{Kwargs, Rest, ValueKind, from_args};
use minijinja::{Error, ErrorKind, Value};

/// Python's `str(value)`, which `{{ value }}` writes.
pub(super) fn text(value: &Value) -> String {
    match value.kind() {
        ValueKind::Undefined => String::new(),
        ValueKind::String => value.as_str().unwrap_or_default().to_string(),
        _ => repr(value),
    }
}

/// Python's `repr(value)`. minijinja has no tuples: they are lists.
pub(super) fn repr(value: &Value) -> String {
    let items = || value.try_iter().map(|all| all.map(|v| repr(&v)).collect::<Vec<_>>()).unwrap_or_default();
    match value.kind() {
        ValueKind::Undefined => "Undefined".into(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Number if !value.is_integer() => f64::try_from(value.clone()).map_or(value.to_string(), float),
        ValueKind::Seq | ValueKind::Iterable => format!("[{}]", items().join(", ")),
        ValueKind::Map => {
            let pairs: Vec<String> = pairs(value).map(|(k, v)| format!("{}: {}", repr(&k), repr(&v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => value.to_string(),
    }
}

/// The (key, value) pairs of a mapping.
fn pairs(map: &Value) -> impl Iterator<Item = (Value, Value)> + '_ {
    let keys: Vec<Value> = map.try_iter().map(Iterator::collect).unwrap_or_default();
    keys.into_iter().map(move |k| {
        let v = map.get_item(&k).unwrap_or_default();
        (k, v)
    })
}

/// Python's shortest form of a float that reads back as the same number.
fn float(v: f64) -> String {
    if !v.is_finite() {
        return if v.is_nan() { "nan".into() } else { format!("{}inf", if v < 0.0 { "-" } else { "" }) };
    }
    let shortest = format!("{v:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if v == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{v}");
        if plain.contains('.') { plain } else { format!("{plain}.0") }
    } else {
        format!("{digits}e{}{:02}", if exponent < 0 { "-" } else { "+" }, exponent.abs())
    }
}

/// Python's `repr` of a string: its choice of quotes and escapes.
fn quoted(s: &str) -> String {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            // Combining marks count as printable after a letter.
            c if format!("a{c}").escape_debug().count() == 2 || matches!(c, '\'' | '"') => out.push(c),
            c if u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if u32::from(c) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
    out
}

/// `tojson` as transformers defines it: `json.dumps`. Jinja's own filter escapes HTML.
pub(super) fn tojson(value: Value, arguments: Rest<Value>) -> Result<String, Error> {
    type Arguments = (Option<bool>, Option<Value>, Option<Value>, Option<bool>, Kwargs);
    let (ensure_ascii, indent, separators, sort_keys, named): Arguments = from_args(&arguments)?;
    let indent = indent.or(named.get("indent")?).filter(|v| !v.is_none());
    let separators = separators.or(named.get("separators")?).filter(|v| !v.is_none());
    let ascii = ensure_ascii.or(named.get("ensure_ascii")?).unwrap_or(false);
    let sorted = sort_keys.or(named.get("sort_keys")?).unwrap_or(false);
    named.assert_all_used()?;
    let indent = indent.map(|v| match v.as_str() {
        Some(s) => s.to_string(),
        None => " ".repeat(v.as_usize().unwrap_or(0).min(64)),
    });
    let (comma, colon) = match separators {
        None => (if indent.is_some() { "," } else { ", " }.to_string(), ": ".to_string()),
        Some(v) => (text(&v.get_item_by_index(0)?), text(&v.get_item_by_index(1)?)),
    };
    let mut out = String::new();
    Json { indent, comma, colon, ascii, sorted }.write(&mut out, &value, 1)?;
    Ok(out)
}

/// The arguments of `json.dumps`.
struct Json {
    indent: Option<String>,
    comma: String,
    colon: String,
    ascii: bool,
    sorted: bool,
}

impl Json {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        let refuse =
            |what: &str| Err(Error::new(ErrorKind::InvalidOperation, format!("{what} cannot be written as JSON")));
        if depth > 200 {
            return refuse("a value nested more than 200 deep");
        }
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&number(value)),
            ValueKind::String => self.string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.list(out, '[', ']', depth, &items, |out, v| self.write(out, v, depth + 1))?;
            }
            ValueKind::Map => {
                let mut all: Vec<(String, Value)> = vec![];
                for (key, v) in pairs(value) {
                    all.push((self.key(&key)?, v));
                }
                if self.sorted {
                    all.sort_by(|a, b| a.0.cmp(&b.0));
                }
                self.list(out, '{', '}', depth, &all, |out, (key, v)| {
                    self.string(out, key);
                    out.push_str(&self.colon);
                    self.write(out, v, depth + 1)
                })?;
            }
            ValueKind::Undefined => return refuse("an undefined value"),
            kind => return refuse(&format!("a value of kind {kind}")),
        }
        Ok(())
    }

    fn key(&self, key: &Value) -> Result<String, Error> {
        match key.kind() {
            ValueKind::String => Ok(key.as_str().unwrap_or_default().to_string()),
            ValueKind::None => Ok("null".into()),
            ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.into()),
            ValueKind::Number => Ok(number(key)),
            kind => Err(Error::new(ErrorKind::InvalidOperation, format!("a key of JSON cannot be of kind {kind}"))),
        }
    }

    fn list<T>(
        &self,
        out: &mut String,
        open: char,
        close: char,
        depth: usize,
        items: &[T],
        mut write: impl FnMut(&mut String, &T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let line = |out: &mut String, depth: usize| {
            if let Some(indent) = &self.indent {
                out.push('\n');
                out.push_str(&indent.repeat(depth));
            }
        };
        out.push(open);
        for (i, item) in items.iter().enumerate() {
            if i > 0 {
                out.push_str(&self.comma);
            }
            line(out, depth);
            write(out, item)?;
        }
        if !items.is_empty() {
            line(out, depth - 1);
        }
        out.push(close);
        Ok(())
    }

    fn string(&self, out: &mut String, s: &str) {
        out.push('"');
        for c in s.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                c if c < ' ' || self.ascii && c > '~' => {
                    let mut units = [0; 2];
                    c.encode_utf16(&mut units).iter().for_each(|u| out.push_str(&format!("\\u{u:04x}")));
                }
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// A JSON number as Python writes it.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(v) if v.is_nan() => "NaN".into(),
        Ok(v) if v.is_infinite() => if v < 0.0 { "-Infinity" } else { "Infinity" }.into(),
        Ok(v) => float(v),
        Err(_) => value.to_string(),
    }
}
