//! Does the probe's score go with worse answers?
use crate::fit::HeldOut;
use crate::rows::Row;
use friction_core::Findings;
use friction_stats::{Matrix, clustered_logit, correlation};
use serde_json::json;
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::BTreeSet;

/// Regresses the answer to come on the held-out score, in standard deviations: alone, and beside the
/// turn and the conditions. Errors are clustered by group.
///
/// Their p is of this score as it stands. A probe that reads its target badly reads something else as
/// well, and that may go with the answers: whether it is the target, `p` tells, from probes of exchanged
/// labels.
pub fn tell(rows: &[Row], held: &HeldOut, p: Option<f64>, level: f64, out: &mut Findings) {
    let scores: Vec<f64> = held.outputs.iter().map(|o| o[0]).collect();
    let mean = scores.iter().sum::<f64>() / scores.len() as f64;
    let sd = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / scores.len() as f64).sqrt();
    let of = |k: usize| &rows[held.rows[k]].turn;
    let y: Vec<bool> = (0..scores.len()).map(|k| of(k).correct).collect();
    let groups: Vec<u32> = (0..scores.len()).map(|k| of(k).group).collect();
    let conditions: Vec<&String> =
        (0..scores.len()).map(|k| &of(k).condition).collect::<BTreeSet<_>>().into_iter().skip(1).collect();
    let design = |beside: bool| -> Matrix {
        let mut m = Matrix::default();
        for (k, s) in scores.iter().enumerate() {
            let mut row = vec![1.0, (s - mean) / sd];
            if beside {
                row.push(f64::from(of(k).turn));
                row.extend(conditions.iter().map(|c| f64::from(**c == of(k).condition)));
            }
            m.cols = row.len();
            m.data.extend(row);
        }
        m
    };
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    for (key, words, beside) in
        [("next_answer", "alone", false), ("next_answer_adjusted", "beside the turn and the conditions", true)]
    {
        match clustered_logit(&design(beside), &y, &groups) {
            Ok(c) => {
                let (b, se) = (c[1].estimate, c[1].se);
                out.say(format!(
                    "  the next answer, per standard deviation of the score, {words}: odds of being right × {:.2} ({:.2} to {:.2})",
                    b.exp(),
                    (b - z * se).exp(),
                    (b + z * se).exp()
                ));
                out.value(key, json!({"log_odds": b, "se": se, "low": b - z * se, "high": b + z * se}));
            }
            Err(e) => out.say(format!("  the next answer, {words}: cannot be told, {e}")),
        }
    }
    if let Some(p) = p {
        out.say(format!("  that a probe of exchanged labels goes with the answers as much: p = {p:.4}"));
        out.value("next_answer_exchanged", json!({"p": p}));
    }
}

/// Correlation of a score with right answers, without its sign.
pub fn association(rows: &[Row], held: &HeldOut) -> f64 {
    let s: Vec<f64> = held.outputs.iter().map(|o| o[0]).collect();
    let y: Vec<f64> = held.rows.iter().map(|i| f64::from(u8::from(rows[*i].turn.correct))).collect();
    correlation(&s, &y).abs()
}
