//! How numbers are written in findings.

/// A number with its sign and `digits` decimals. What rounds to 0 is +0, never −0.
pub fn signed(v: f64, digits: usize) -> String {
    let text = format!("{v:+.digits$}");
    let zero = !text.contains(|c: char| c.is_ascii_digit() && c != '0');
    if zero && v.is_finite() { text.replace('-', "+") } else { text }
}

/// An interval as text, `-1.20 to +0.35`. Where a bound is infinite the text says that there are too few groups.
pub fn bounds(low: f64, high: f64, digits: usize) -> String {
    if low.is_finite() && high.is_finite() {
        format!("{} to {}", signed(low, digits), signed(high, digits))
    } else {
        "no bounds: too few groups".into()
    }
}

/// A share in percent with all its digits: `95 %`, `97.5 %`, `99.9999 %`. A level below 1 is never `100 %`.
pub fn percent(share: f64) -> String {
    let digits = (2..12).find(|d| format!("{share:.d$}").parse() == Ok(share)).unwrap_or(12);
    format!("{:.1$} %", 100.0 * share, digits - 2)
}

/// A p-value as text with four decimals; below 0.0001 it is `p < 0.0001`, never 0.
pub fn p_words(p: f64) -> String {
    if p < 1e-4 { "p < 0.0001".into() } else { format!("p = {p:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn zero_has_no_minus() {
        assert_eq!(signed(-0.04, 1), "+0.0");
        assert_eq!(signed(-0.06, 1), "-0.1");
        assert_eq!(signed(0.0, 2), "+0.00");
        assert_eq!(bounds(-0.001, 3.0, 2), "+0.00 to +3.00");
        for (share, text) in
            [(0.95, "95 %"), (0.975, "97.5 %"), (0.999, "99.9 %"), (0.9999999, "99.99999 %"), (0.07, "7 %")]
        {
            assert_eq!(percent(share), text);
        }
        assert_eq!(bounds(f64::NEG_INFINITY, 3.0, 2), "no bounds: too few groups");
    }
}
