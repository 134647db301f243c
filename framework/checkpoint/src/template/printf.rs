//! Python's printf-style formatting, `format % arguments`.
use super::errors::invalid;
use super::values;
use minijinja::value::{Value, ValueKind};
use minijinja::{Error, FormatStyle, format_filter};

/// A conversion of a format: the mapping key that it reads, if any, and its conversion letter.
struct Slot<'a> {
    key: Option<&'a str>,
    letter: char,
}

/// Formats `arguments`, which are as many as the conversions, or one mapping, or one list for several conversions.
///
/// # Errors
/// When their number does not match, a key is missing, or the format is malformed.
pub(super) fn printf(format: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (plain, slots) = conversions(format)?;
    let found: Vec<Value> = match arguments {
        [one] if slots.iter().any(|s| s.key.is_some()) => {
            slots.iter().map(|s| item(format, one, s.key)).collect::<Result<_, _>>()?
        }
        [one] if slots.is_empty() && one.kind() == ValueKind::Map => vec![],
        // minijinja has no tuples, so a list is accepted where Python would accept only a tuple.
        [one] if slots.len() != 1 && one.kind() == ValueKind::Seq && one.len() == Some(slots.len()) => {
            one.try_iter()?.collect()
        }
        all => all.to_vec(),
    };
    if slots.len() != found.len() {
        return Err(invalid(format!("`{format}` wants {} values and is given {}", slots.len(), found.len())));
    }
    let all: Vec<Value> = slots.iter().zip(found).map(|(slot, value)| converted(slot.letter, value)).collect();
    format_filter(FormatStyle::Printf, &plain, &all).map(Value::from)
}

/// The format without mapping keys and with conversion letters that minijinja knows, and the conversions.
fn conversions(format: &str) -> Result<(String, Vec<Slot<'_>>), Error> {
    let (mut out, mut slots, mut rest) = (String::new(), vec![], format);
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        let mut key = None;
        if let Some(inner) = rest.strip_prefix('(')
            && let Some((name, behind)) = inner.split_once(')')
        {
            (key, rest) = (Some(name), behind);
        }
        let spec = rest.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'h' | 'l' | 'L') || c == '%');
        let Some((end, letter)) = spec.and_then(|end| Some((end, rest[end..].chars().next()?))) else {
            return Err(invalid(format!("`{format}` ends in the middle of a conversion")));
        };
        out.push_str(&rest[..end]);
        out.push(match letter {
            'i' | 'u' => 'd',
            'r' => 's',
            letter => letter,
        });
        slots.extend(rest[..end].matches('*').map(|_| Slot { key: None, letter: '*' }));
        if letter != '%' {
            slots.push(Slot { key, letter });
        }
        rest = &rest[end + 1..];
    }
    out.push_str(rest);
    Ok((out, slots))
}

fn item(format: &str, map: &Value, key: Option<&str>) -> Result<Value, Error> {
    let Some(key) = key else { return Err(invalid(format!("`{format}` mixes conversions with and without a key"))) };
    let value = map.get_item(&Value::from(key))?;
    if value.is_undefined() { Err(invalid(format!("`{format}` wants a value for `{key}`"))) } else { Ok(value) }
}

/// An argument as its conversion expects it: `%s` and `%r` take any value, `%d` truncates.
fn converted(letter: char, value: Value) -> Value {
    match letter {
        's' => Value::from(values::text(&value)),
        'r' => Value::from(values::repr(&value)),
        'd' | 'i' | 'u' if value.kind() == ValueKind::Bool => Value::from(i64::from(value.is_true())),
        'd' | 'i' | 'u' if value.kind() == ValueKind::Number && !value.is_integer() => {
            f64::try_from(value.clone()).map_or(value, |v| Value::from(v.trunc() as i64))
        }
        _ => value,
    }
}
