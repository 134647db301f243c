//! Finds the numbers of a text.

/// A number of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Found {
    /// Its value.
    pub value: f64,
    /// Its digits in one form: a sign, no separators, a point, no zeros at the ends. A fraction or a power of ten is
    /// written as its value.
    pub text: String,
    /// Whether `text` holds every digit, so that equal numbers have equal texts.
    pub exact: bool,
}

/// How numbers are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signs {
    /// Characters that may separate thousands. A space stands for every kind of space within a line.
    pub thousands: Vec<char>,
    /// The decimal sign.
    pub decimal: char,
}

/// Currency signs that may stand between a minus and the digits.
const CURRENCY: &str = "$€£¥₹₩₽";

fn minus(c: char) -> bool {
    c == '-' || c == '−'
}

impl Signs {
    /// All numbers, in order. A digit within a word (`H2O`, `x1`) or behind a decimal sign of another number is none.
    pub fn numbers(&self, text: &str) -> Vec<Found> {
        let chars: Vec<char> = text.chars().collect();
        let (mut out, mut i) = (vec![], 0);
        while i < chars.len() {
            match self.number(&chars, i) {
                Some((found, end)) => {
                    out.extend(found);
                    i = end;
                }
                None => i += 1,
            }
        }
        out
    }

    /// The number that begins at `i`, and where it ends. The number is `None` if it is not finite.
    fn number(&self, chars: &[char], i: usize) -> Option<(Option<Found>, usize)> {
        let at = |k: usize| chars.get(k).copied().unwrap_or(' ');
        let before = |k: usize| if k == 0 { ' ' } else { at(k - 1) };
        if before(i).is_alphanumeric() || before(i) == '_' {
            return None;
        }
        // The `5` of `3.4.5`.
        if i >= 2 && before(i) == self.decimal && at(i - 2).is_ascii_digit() {
            return None;
        }
        let (mut k, mut negative) = (i, false);
        if minus(at(k)) || at(k) == '+' {
            // A minus between two things is no sign: `(3)-2`.
            if ")]}".contains(before(k)) {
                return None;
            }
            negative = minus(at(k));
            k += 1;
            if at(k) == '\\' && CURRENCY.contains(at(k + 1)) {
                k += 1;
            }
            if CURRENCY.contains(at(k)) {
                k += 1;
            }
        }
        if let Some((value, end)) = fraction(chars, k) {
            return Some((found(value, negative), end));
        }
        let (whole, mut end) = self.whole(chars, k);
        let mut digits = whole;
        let integer = at(end) != self.decimal || !at(end + 1).is_ascii_digit();
        if !integer {
            digits.push('.');
            end += 1;
            while at(end).is_ascii_digit() {
                digits.push(at(end));
                end += 1;
            }
        }
        if !digits.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        if integer && let Some((below, stop)) = denominator(chars, end) {
            let above: f64 = digits.parse().ok()?;
            return Some((found(above / below, negative), stop));
        }
        if let Some((power, stop)) = exponent(chars, end).or_else(|| times_ten(chars, end)) {
            let value: Option<f64> = format!("{digits}e{power}").parse().ok();
            return Some((value.and_then(|v| found(v, negative)), stop));
        }
        let value: Option<f64> = digits.parse().ok().filter(|v: &f64| v.is_finite());
        let text = canonical(&digits, negative);
        let value = value.map(|v| if negative { -v } else { v });
        Some((value.map(|value| Found { value, text, exact: true }), end))
    }

    fn separates(&self, c: char) -> bool {
        self.thousands.iter().any(|s| *s == c || *s == ' ' && matches!(c, '\u{a0}' | '\u{202f}' | '\u{2009}'))
    }

    /// The digits of a whole number from `i`, without separators, and where it ends. Groups behind a separator have
    /// three digits; otherwise the separator ends the number: `1,2` are two numbers.
    fn whole(&self, chars: &[char], i: usize) -> (String, usize) {
        let digit = |k: usize| chars.get(k).is_some_and(char::is_ascii_digit);
        let (mut out, mut k) = (String::new(), i);
        while digit(k) {
            out.push(chars[k]);
            k += 1;
        }
        if out.is_empty() || out.len() > 3 {
            return (out, k);
        }
        while chars.get(k).is_some_and(|c| self.separates(*c)) && (1..=3).all(|d| digit(k + d)) && !digit(k + 4) {
            out.extend(&chars[k + 1..k + 4]);
            k += 4;
        }
        (out, k)
    }
}

fn found(value: f64, negative: bool) -> Option<Found> {
    let value = if negative { -value } else { value };
    value.is_finite().then(|| Found { value, text: value.to_string(), exact: false })
}

/// Digits without zeros at the ends.
fn canonical(digits: &str, negative: bool) -> String {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative && (whole != "0" || !part.is_empty()) { "-" } else { "" };
    if part.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") }
}

/// A run of digits from `i`, and where it ends.
fn digits(chars: &[char], i: usize) -> Option<(String, usize)> {
    let run: String = chars.get(i..)?.iter().take_while(|c| c.is_ascii_digit()).collect();
    let end = i + run.len();
    (!run.is_empty()).then_some((run, end))
}

/// LaTeX's `\frac{a}{b}`.
fn fraction(chars: &[char], i: usize) -> Option<(f64, usize)> {
    let rest = chars.get(i..)?;
    let head = ["\\frac{", "\\dfrac{", "\\tfrac{"];
    let head = head.iter().find(|h| h.chars().eq(rest.iter().copied().take(h.len())))?;
    let (above, k) = digits(chars, i + head.len())?;
    if chars.get(k..k + 2)? != ['}', '{'] {
        return None;
    }
    let (below, k) = digits(chars, k + 2)?;
    let below: f64 = below.parse().ok().filter(|b| *b != 0.0)?;
    (*chars.get(k)? == '}').then_some((above.parse::<f64>().ok()? / below, k + 1))
}

/// The denominator of `3/4`; nothing in a date such as `3/4/2024`.
fn denominator(chars: &[char], i: usize) -> Option<(f64, usize)> {
    if *chars.get(i)? != '/' {
        return None;
    }
    let (below, end) = digits(chars, i + 1)?;
    let next = chars.get(end).copied().unwrap_or(' ');
    let point = (next == '.' || next == ',') && chars.get(end + 1).is_some_and(char::is_ascii_digit);
    if next == '/' || next.is_alphanumeric() || point {
        return None;
    }
    below.parse().ok().filter(|b| *b != 0.0).map(|b| (b, end))
}

/// The power of `1.5e-3`.
fn exponent(chars: &[char], i: usize) -> Option<(i64, usize)> {
    if !matches!(chars.get(i)?, 'e' | 'E') {
        return None;
    }
    signed(chars, i + 1).filter(|(_, end)| !chars.get(*end).is_some_and(|c| c.is_alphanumeric()))
}

/// A whole number with a sign, from `i`.
fn signed(chars: &[char], i: usize) -> Option<(i64, usize)> {
    let sign = chars.get(i).filter(|c| minus(**c) || **c == '+');
    let (run, end) = digits(chars, i + usize::from(sign.is_some()))?;
    let n: i64 = run.parse().ok()?;
    Some((if sign.is_some_and(|c| minus(*c)) { -n } else { n }, end))
}

/// The power of `1.5 × 10^3`, `1.5 \times 10^{3}` or `1.5·10³`.
fn times_ten(chars: &[char], i: usize) -> Option<(i64, usize)> {
    let blank = |mut k: usize| {
        while chars.get(k) == Some(&' ') {
            k += 1;
        }
        k
    };
    let mut k = blank(i);
    let words = ["\\times", "\\cdot", "×", "·", "*"];
    let rest = chars.get(k..)?;
    let word = words.iter().find(|w| w.chars().eq(rest.iter().copied().take(w.chars().count())))?;
    k = blank(k + word.chars().count());
    if chars.get(k..k + 2)? != ['1', '0'] {
        return None;
    }
    k += 2;
    if chars.get(k) == Some(&'^') {
        let braced = usize::from(chars.get(k + 1) == Some(&'{'));
        let (power, end) = signed(chars, k + 1 + braced)?;
        return (braced == 0 || chars.get(end) == Some(&'}')).then_some((power, end + braced));
    }
    let raised = |c: &char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().position(|r| r == *c);
    let negative = chars.get(k) == Some(&'⁻');
    k += usize::from(negative);
    let (mut power, mut any) = (0i64, false);
    while let Some(d) = chars.get(k).and_then(raised) {
        power = power.saturating_mul(10).saturating_add(d as i64);
        (any, k) = (true, k + 1);
    }
    any.then_some((if negative { -power } else { power }, k))
}
