//! Applies the probe that was fitted on the untouched arm to the other arms: can it still read the target there, and
//! does steering move its score?
use crate::fit::{Design, HeldOut};
use crate::report::Report;
use crate::rows::Row;
use friction_core::{Column, Findings, Result, Table};
use friction_stats::Matrix;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The probe's result on one arm.
struct Reading {
    arm: String,
    rows: usize,
    quality: f64,
    /// Mean of the score minus the untouched arm's score at the same group, condition and turn, in standard deviations
    /// of the untouched scores of its fold. It holds for these fitted probes: other questions would give others, so it
    /// has no interval.
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
        let more = r.rows.of_arm(r.run, &o.target, arm, o.first_turn, &o.only);
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
    let caption = format!(
        "The probe at {site} read in other arms; shift: of its score from the untouched arm at the same turn, with its standard deviation over groups, in standard deviations of the untouched score"
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
        (t.group, t.condition.as_str(), t.turn)
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
    let shift = shifts.iter().sum::<f64>() / n;
    (n > 1.0).then(|| Reading {
        arm: arm.into(),
        rows: steered.len(),
        quality: held.quality(design.link, y, |k| rows[held.rows[k]].turn.arm == arm).unwrap_or(f64::NAN),
        shift,
        spread: (shifts.iter().map(|s| (s - shift).powi(2)).sum::<f64>() / (n - 1.0)).sqrt(),
    })
}
