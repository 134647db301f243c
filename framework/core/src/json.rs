//! Serde helpers for records that are stored or sent as JSON: numbers that JSON cannot hold, and bytes.
use ::base64::Engine as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A float type that records use: `f32` or `f64`.
pub trait Float: Copy {
    /// Whether the number is finite, so that JSON can hold it.
    fn finite(self) -> bool;
    /// NaN, which a JSON null is read as.
    fn nan() -> Self;
}
impl Float for f32 {
    fn finite(self) -> bool {
        self.is_finite()
    }
    fn nan() -> Self {
        f32::NAN
    }
}
impl Float for f64 {
    fn finite(self) -> bool {
        self.is_finite()
    }
    fn nan() -> Self {
        f64::NAN
    }
}

/// Lists of numbers. A number that is not finite is written as null; null is read as NaN.
pub mod numbers {
    use super::*;
    #[allow(missing_docs)]
    pub fn serialize<S: Serializer, F: Float + Serialize>(v: &[F], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(v.iter().map(|x| x.finite().then_some(*x)))
    }
    #[allow(missing_docs)]
    pub fn deserialize<'de, D: Deserializer<'de>, F: Float + Deserialize<'de>>(d: D) -> Result<Vec<F>, D::Error> {
        let v: Vec<Option<F>> = Deserialize::deserialize(d)?;
        Ok(v.into_iter().map(|x| x.unwrap_or_else(F::nan)).collect())
    }
}

/// A number. If it is not finite it is written as null; null is read as NaN.
pub mod number {
    use super::*;
    #[allow(missing_docs)]
    pub fn serialize<S: Serializer>(v: &f64, s: S) -> Result<S::Ok, S::Error> {
        v.is_finite().then_some(*v).serialize(s)
    }
    #[allow(missing_docs)]
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
        Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
    }
}

/// Bytes as base64 text (RFC 4648, padded).
pub mod base64 {
    use super::*;
    use ::base64::prelude::BASE64_STANDARD;
    #[allow(missing_docs)]
    pub fn serialize<S: Serializer>(v: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&BASE64_STANDARD.encode(v))
    }
    #[allow(missing_docs)]
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(d)?;
        BASE64_STANDARD.decode(text.as_bytes()).map_err(|e| D::Error::custom(format!("not base64: {e}")))
    }
}

/// Named files as a list of name and base64 text: `[["directions.bin", "<base64>"]]`.
pub mod files {
    use super::*;
    #[derive(Serialize, Deserialize)]
    struct Bytes(#[serde(with = "super::base64")] Vec<u8>);
    #[allow(missing_docs)]
    pub fn serialize<S: Serializer>(v: &[(String, Vec<u8>)], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(v.iter().map(|(n, b)| (n, Bytes(b.clone()))))
    }
    #[allow(missing_docs)]
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        let v: Vec<(String, Bytes)> = Deserialize::deserialize(d)?;
        Ok(v.into_iter().map(|(n, b)| (n, b.0)).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Column, Findings, Table, TurnRow};

    #[test]
    fn findings_and_turns_come_back() {
        let mut f = Findings::default();
        f.say("x");
        f.value("y", 0.1);
        f.file("a.bin", vec![0, 255, 3]);
        f.table(Table::new("t", "").column(Column::number("n", [0.1, -2.5e-300])));
        let back: Findings = serde_json::from_str(&serde_json::to_string(&f).unwrap()).unwrap();
        assert_eq!(back, f);
        let nan = Table::new("t", "").column(Column::number("n", [f64::NAN]));
        let text = serde_json::to_string(&nan).unwrap();
        assert!(text.contains("[null]"), "{text}");
        let row = TurnRow { choice_logprobs: vec![-0.1, f32::NEG_INFINITY], turn: 3, ..TurnRow::default() };
        let back: TurnRow = serde_json::from_str(&serde_json::to_string(&row).unwrap()).unwrap();
        assert_eq!((back.turn, back.choice_logprobs[0]), (3, -0.1));
        assert!(back.choice_logprobs[1].is_nan());
    }
}
