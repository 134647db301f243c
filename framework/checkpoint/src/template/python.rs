//! Filters, tests, methods and functions with the semantics of Jinja2 and Python, where minijinja's differ or are
//! missing.
use super::errors::invalid;
use super::printf::printf;
use super::translate::{CONCAT, FLOOR, PERCENT, PERCENT_TUPLE};
use super::{strings, values};
use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, State};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Adds all of them to an environment.
pub(super) fn add(env: &mut Environment<'static>) {
    minijinja_contrib::add_to_environment(env);
    env.set_formatter(|out, _, value| {
        let written = match value.as_str() {
            Some(s) => out.write_str(s),
            None => out.write_str(&values::text(value)),
        };
        written.map_err(Error::from)
    });
    env.set_unknown_method_callback(method);
    env.add_function("raise_exception", |m: String| -> Result<Value, Error> { Err(invalid(m)) });

    env.add_filter(PERCENT, percent);
    env.add_filter(FLOOR, floor);
    env.add_filter(PERCENT_TUPLE, |left: Value, all: Vec<Value>| match left.as_str() {
        Some(format) => printf(format, &all),
        None => Err(invalid(format!("% of {} and a tuple", left.kind()))),
    });
    env.add_filter(CONCAT, |first: Value, others: Rest<Value>| {
        others.iter().fold(values::text(&first), |text, v| text + &values::text(v))
    });
    env.add_filter("tojson", values::tojson);
    env.add_filter("trim", |value: Value, chars: Option<String>| {
        strings::trim(&values::text(&value), chars.as_deref(), true, true).to_string()
    });
    env.add_filter("string", |value: Value| values::text(&value));
    env.add_filter("capitalize", |value: Value| strings::capitalize(&values::text(&value)));
    env.add_filter("title", |value: Value| strings::title_words(&values::text(&value)));
    env.add_filter("replace", |value: Value, old: String, new: String, count: Option<usize>| {
        let text = values::text(&value);
        count.map_or_else(|| text.replace(&old, &new), |n| text.replacen(&old, &new, n))
    });
    env.add_filter("round", round);
    env.add_filter("lower", |value: Value| values::text(&value).to_lowercase());
    env.add_filter("upper", |value: Value| values::text(&value).to_uppercase());
    env.add_filter("wordcount", |value: Value| strings::words(&values::text(&value)).len());
    env.add_filter("join", join);
    env.add_filter("int", |value: Value, default: Option<i64>| match value.as_str() {
        Some(text) => whole(text).unwrap_or(default.unwrap_or(0)),
        None => value.as_i64().or(number(&value).map(|v| v as i64)).unwrap_or(default.unwrap_or(0)),
    });
    env.add_filter("float", |value: Value, default: Option<f64>| match value.as_str() {
        Some(text) => text.trim().replace('_', "").parse().unwrap_or(default.unwrap_or(0.0)),
        None => number(&value).unwrap_or(default.unwrap_or(0.0)),
    });
    // `attr` reads attributes only; a mapping's items are not attributes.
    env.add_filter("attr", |value: Value, name: String| match value.kind() {
        ValueKind::Map => Ok(Value::UNDEFINED),
        _ => value.get_attr(&name),
    });
    for name in ["length", "count"] {
        env.add_filter(name, length);
    }

    env.add_test("sequence", |v: Value| {
        matches!(v.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
            || v.kind() == ValueKind::Iterable && v.len().is_some()
    });
    env.add_test("iterable", |v: Value| v.kind() != ValueKind::None && v.try_iter().is_ok());
    env.add_test("number", |v: Value| matches!(v.kind(), ValueKind::Number | ValueKind::Bool));
    env.add_test("callable", |v: Value| matches!(v.kind(), ValueKind::Plain | ValueKind::Undefined));
}

/// An integer parsed from text, as Jinja's `int` filter does: underscores are ignored, a fraction is truncated.
fn whole(text: &str) -> Option<i64> {
    let text = text.trim().replace('_', "");
    text.parse().ok().or_else(|| text.parse::<f64>().ok().filter(|v| v.is_finite()).map(|v| v as i64))
}

fn number(value: &Value) -> Option<f64> {
    match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        _ => None,
    }
}

/// `round`: ties go to the even neighbour, as in Python.
fn round(value: Value, precision: Option<i32>, method: Option<String>, named: Kwargs) -> Result<Value, Error> {
    let precision = precision.or(named.get("precision")?).unwrap_or(0).clamp(-300, 300);
    let method = method.or(named.get("method")?);
    named.assert_all_used()?;
    let Some(v) = number(&value) else { return Err(invalid(format!("round of {}", value.kind()))) };
    if value.is_integer() && precision >= 0 {
        return Ok(value);
    }
    let scale = 10f64.powi(precision);
    Ok(Value::from(match (method.as_deref().unwrap_or("common"), usize::try_from(precision)) {
        ("common", Ok(digits)) => format!("{v:.digits$}").parse().unwrap_or(v),
        ("common", Err(_)) => (v * scale).round_ties_even() / scale,
        ("ceil", _) => (v * scale).ceil() / scale,
        ("floor", _) => (v * scale).floor() / scale,
        (other, _) => return Err(invalid(format!("round has no method `{other}`; there are common, ceil and floor"))),
    }))
}

/// `a % b`: formatting where `a` is a string, else Python's modulo.
fn percent(left: Value, right: Value) -> Result<Value, Error> {
    match left.as_str() {
        Some(format) => printf(format, &[right]),
        None => divided(&left, &right, "%").map(|(_, remainder)| remainder),
    }
}

/// `a // b`: division rounded down.
fn floor(left: Value, right: Value) -> Result<Value, Error> {
    divided(&left, &right, "//").map(|(quotient, _)| quotient)
}

/// Python's `divmod`: the quotient is rounded down, the remainder has the divisor's sign.
fn divided(left: &Value, right: &Value, sign: &str) -> Result<(Value, Value), Error> {
    let (Some(x), Some(y)) = (number(left), number(right)) else {
        return Err(invalid(format!("{sign} of {} and {}", left.kind(), right.kind())));
    };
    if y == 0.0 {
        return Err(invalid(format!("{sign} by zero")));
    }
    let whole = |v: &Value| if v.kind() == ValueKind::Bool { Some(i64::from(v.is_true())) } else { v.as_i64() };
    let is_whole = |v: &Value| v.kind() == ValueKind::Bool || v.is_integer();
    if let (true, true, Some(a), Some(b)) = (is_whole(left), is_whole(right), whole(left), whole(right)) {
        let (q, r) = (a.wrapping_div(b), a.wrapping_rem(b));
        let down = r != 0 && (r < 0) != (b < 0);
        return Ok(if down { (Value::from(q - 1), Value::from(r + b)) } else { (Value::from(q), Value::from(r)) });
    }
    let r = x % y;
    let r = if r != 0.0 && (r < 0.0) != (y < 0.0) { r + y } else { r };
    Ok((Value::from((x / y).floor()), Value::from(r)))
}

/// `join`, which converts items with Python's `str`.
fn join(value: Value, with: Option<String>, attribute: Option<Value>, named: Kwargs) -> Result<String, Error> {
    let with = with.or(named.get("d")?).unwrap_or_default();
    let attribute = attribute.or(named.get("attribute")?);
    let attribute = attribute.as_ref();
    named.assert_all_used()?;
    if value.is_undefined() {
        return Ok(String::new());
    }
    let mut out = vec![];
    for v in value.try_iter()? {
        let v = match attribute {
            Some(a) => v.get_item(a)?,
            None => v,
        };
        out.push(values::text(&v));
    }
    Ok(out.join(&with))
}

/// `length`; 0 for an undefined value.
fn length(value: Value) -> Result<usize, Error> {
    if value.is_undefined() {
        return Ok(0);
    }
    value.len().ok_or_else(|| invalid(format!("a value of kind {} has no length", value.kind())))
}

/// Methods of strings as Python defines them; the others are minijinja-contrib's.
fn method(state: &State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => match strings::method(text, name, args)? {
            Some(value) => Ok(value),
            None => unknown_method_callback(state, value, name, args),
        },
        None if name == "copy" && args.is_empty() && matches!(value.kind(), ValueKind::Seq | ValueKind::Map) => {
            Ok(value.clone())
        }
        None => unknown_method_callback(state, value, name, args),
    }
}
