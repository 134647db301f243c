//! How often the verdict about a primary contrast errs, by `experiments/calibration`.
use friction_core::{Contrast, Outcome};
use friction_stats::calibration::{ACCURACY_ALONE, NULL_STUDIES, Rates};

const RATES: Rates = Rates::new(include_str!("../../../experiments/calibration/rates.tsv"));

/// The measured error rates of contrasts like this one, as a sentence without a full stop. Where none were measured it says so.
pub fn calibrated(contrast: &Contrast, outcome: &Outcome) -> String {
    if *outcome != Outcome::Score {
        return ACCURACY_ALONE.into();
    }
    let crossed = contrast.second().is_some();
    let (analysis, without, exactly) = match (contrast.is_trend(), contrast.by_turn(), crossed) {
        (false, true, false) => ("behavior", "coin", "primary-slope"),
        (false, true, true) => ("primary-crossed", "coin", "primary-crossed"),
        (true, false, _) => ("primary-trend", "ranks dealt", "primary-trend"),
        _ => return format!("error rates of `{contrast}` were not measured"),
    };
    let rows = [(without, "primary", "p"), (without, "primary", "interval"), (without, "verdict", "verdict")];
    // Several comparisons have Holm's p.
    let studies = format!("{NULL_STUDIES}, with one comparison each");
    RATES
        .sentence(&studies, analysis, &rows, Some(("smallest effect", exactly, "verdict")))
        .unwrap_or_else(|| format!("error rates of `{contrast}` were not measured"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn contrasts_that_were_calibrated_have_all_their_rates() {
        for text in ["completion × turn", "completion × tone × turn", "trend(rank)"] {
            let says = calibrated(&text.parse().unwrap(), &Outcome::Score);
            for part in ["p ≤ 0.05 in ", "the truth in the 95 % interval in ", ", reached in ", "not reached in "] {
                assert!(says.contains(part), "{text}: {says}");
            }
        }
        let says = |text: &str, outcome| calibrated(&text.parse().unwrap(), outcome);
        assert_eq!(says("completion", &Outcome::Score), "error rates of `completion` were not measured");
        assert!(says("completion × turn", &Outcome::LogOdds).contains("accuracy alone"));
    }
}
