//! Applies the probe that was fitted on the untouched arm to the other arms: can it still read the target there, and
//! does steering move its score?
use crate::fit::{Design, HeldOut};
use crate::report::Report;
use crate::rows::Row;
use friction_core::{Column, Findings, Result, Table};
use friction_stats::{Link, Matrix};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The probe's result on one arm.
struct Reading {
    arm: String,
    rows: usize,
    quality: f64,
    /// Mean of the score minus the untouched arm's score at the same group, condition, sample and turn, in standard
    /// deviations of the untouched scores of its fold. It holds for these fitted probes: other questions would give
    /// others, so it has no interval. NaN for more than two levels, which have no single score.
    shift: f64,
    /// Standard deviation of the shift over groups.
    spread: f64,
}

/// Reports, for each arm, the probe's quality and the shift of its score at one layer. The probe is fitted on the
/// untouched arm only, with whole groups held out.
pub fn tell(r: &Report, layer: usize, c: f64, out: &mut Findings) -> Result<()> {
    let o = r.options;
    let (site, own) = &r.layers[layer];
    let arms: BTreeSet<&String> = r.run.turns().iter().map(|t| &t.arm).filter(|a| !a.is_empty()).collect();
    let mut found = vec![];
    for arm in arms {
        let more = r.rows.of_arm(r.run, &r.choice(), arm);
        more.left_out.iter().for_each(|w| out.warn(format!("arm `{arm}`: {w}")));
        if more.rows.is_empty() {
            continue;
        }
        let Some(x) = more.features(r.run, *site, o.position)? else { continue };
        // Both arms' rows go into one table, so that a fold holds a group out of both.
        let mut rows: Vec<Row> = r.rows.rows.clone();
        rows.extend(more.rows);
        let mut both = Matrix { data: own.data.clone(), cols: own.cols };
        both.data.extend(x.data);
        let y: Vec<f64> = rows.iter().map(|r| r.y).collect();
        let design = Design { rows: &rows, c: &[c], ..r.design.clone() };
        let held = design.learnt_where(&both, &y, c, |r| r.turn.arm.is_empty());
        found.extend(reading(arm, &rows, &held, &y, &design));
    }
    if found.is_empty() {
        out.warn(format!("no other arm was tapped at `{site}`, so the probe cannot be applied to arms"));
        return Ok(());
    }
    let number = |name: &str, f: fn(&Reading) -> f64| Column::number(name, found.iter().map(f));
    let several = match r.design.link {
        Link::Softmax(_) => "; a probe of more than two levels has no single score, and so no shift",
        _ => "",
    };
    let caption = format!(
        "The probe at {site} read in other arms; shift: of its score from the untouched arm at the same turn, with its standard deviation over groups, in standard deviations of the untouched score{several}"
    );
    out.table(
        Table::new("arms", caption)
            .column(Column::text("arm", found.iter().map(|f| f.arm.as_str())))
            .column(Column::count("rows", found.iter().map(|f| f.rows as i64)))
            .column(number("quality", |f| f.quality).title(r.measure()))
            .column(number("shift", |f| f.shift))
            .column(number("spread", |f| f.spread).title("SD over groups")),
    )
    .method("fitted on the untouched arm, with whole groups held out; the shift holds for these fitted probes and has no interval")
    .exploratory();
    out.value(
        "arms",
        found
            .iter()
            .map(|f| json!({"arm": f.arm, "quality": f.quality, "shift": f.shift, "spread": f.spread}))
            .collect::<Vec<_>>(),
    );
    Ok(())
}

fn reading(arm: &str, rows: &[Row], held: &HeldOut, y: &[f64], design: &Design) -> Option<Reading> {
    let of =
        |arm: &str| -> Vec<usize> { (0..held.rows.len()).filter(|k| rows[held.rows[*k]].turn.arm == arm).collect() };
    let steered = of(arm);
    let place = |k: &usize| {
        let t = &rows[held.rows[*k]].turn;
        (t.group, t.condition.as_str(), t.sample, t.turn)
    };
    // Scores of different folds have different scales, because each fold has its own probe.
    let before = of("");
    let mut sums: BTreeMap<usize, (f64, f64, f64)> = BTreeMap::new();
    for k in &before {
        let (s, v) = (sums.entry(held.folds[*k]).or_default(), held.outputs[*k][0]);
        *s = (s.0 + 1.0, s.1 + v, s.2 + v * v);
    }
    let scale = |k: usize| {
        let (n, sum, squares) = sums.get(&held.folds[k]).copied().unwrap_or_default();
        (squares / n - (sum / n).powi(2)).max(0.0).sqrt()
    };
    let untouched: BTreeMap<_, f64> = before.iter().map(|k| (place(k), held.outputs[*k][0])).collect();
    let mut groups: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for k in &steered {
        let (Some(before), scale) = (untouched.get(&place(k)), scale(*k)) else { continue };
        if scale > 0.0 {
            let g = groups.entry(place(k).0).or_default();
            *g = (g.0 + (held.outputs[*k][0] - before) / scale, g.1 + 1.0);
        }
    }
    let shifts: Vec<f64> = groups.values().map(|(s, n)| s / n).collect();
    let n = shifts.len() as f64;
    let single = if matches!(design.link, Link::Softmax(_)) { f64::NAN } else { 1.0 };
    let shift = single * shifts.iter().sum::<f64>() / n;
    (n > 1.0).then(|| Reading {
        arm: arm.into(),
        rows: steered.len(),
        quality: held.quality(design.link, y, |k| rows[held.rows[k]].turn.arm == arm).unwrap_or(f64::NAN),
        shift,
        spread: (shifts.iter().map(|s| (s - shift).powi(2)).sum::<f64>() / (n - 1.0)).sqrt(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::folds::Key;
    use friction_core::TurnRow;

    #[test]
    fn each_sample_is_compared_with_its_own() {
        // Two samples of a conversation, whose scores differ by 10; the arm adds 1 to each.
        let (mut rows, mut outputs) = (vec![], vec![]);
        for (arm, push) in [("", 0.0), ("on", 1.0)] {
            for (group, sample) in (0..4u32).flat_map(|g| (0..2u32).map(move |s| (g, s))) {
                let turn = TurnRow { group, sample, arm: arm.into(), turn: 1, ..TurnRow::default() };
                rows.push(Row { turn, y: f64::from(sample) });
                outputs.push(vec![10.0 * f64::from(sample) + push]);
            }
        }
        let held = HeldOut {
            folds: vec![0; rows.len()],
            learnt: vec![1],
            rows: (0..rows.len()).collect(),
            outputs,
            ..HeldOut::default()
        };
        let y: Vec<f64> = rows.iter().map(|r| r.y).collect();
        let none = BTreeMap::new();
        let of = |link| {
            let keys = &[Key::Group];
            let design = Design { rows: &rows, link, keys, k: 2, c: &[1.0], seed: 1, train: &none, test: &none };
            reading("on", &rows, &held, &y, &design).unwrap()
        };
        let one = of(Link::Logistic);
        assert!((one.shift - 0.2).abs() < 1e-12 && one.spread < 1e-12 && one.rows == 8, "{} {}", one.shift, one.spread);
        assert!(of(Link::Softmax(3)).shift.is_nan());
    }
}
