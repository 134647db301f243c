//! A factor of more than two levels: how well each level is told from all others.
use crate::fit::{Design, HeldOut, decided};
use crate::report::Report;
use friction_core::{Column, Findings, Table};
use friction_stats::{Interval, Link, cite, percent};
use serde_json::json;
use std::collections::BTreeSet;

/// One level of the factor.
struct Level {
    name: String,
    rows: usize,
    groups: usize,
    /// Share of its held-out rows that were taken for it.
    told: f64,
    /// AUC of its log-odds against the rest.
    auc: Interval,
}

/// Lists the levels with what the multinomial probe of the headline says of each against the rest. A level without
/// held-out rows has no AUC.
pub fn tell(r: &Report, headline: &HeldOut, out: &mut Findings) {
    let taken = decided(r.design.link, &headline.outputs);
    let two = Design { link: Link::Logistic, ..r.design.clone() };
    let of = |(class, name): (usize, &'_ String)| {
        let y: Vec<f64> = r.y.iter().map(|y| f64::from(u8::from(*y as usize == class))).collect();
        let mine: Vec<usize> = (0..headline.rows.len()).filter(|k| y[headline.rows[*k]] == 1.0).collect();
        let groups = mine.iter().map(|k| r.rows.rows[headline.rows[*k]].turn.group).collect::<BTreeSet<_>>().len();
        let told = mine.iter().filter(|k| taken[**k] == class).count() as f64 / mine.len() as f64;
        let nothing = Interval { estimate: f64::NAN, low: f64::NAN, high: f64::NAN };
        let auc = headline.against_rest(class).interval(&two, &y, r.options.level, None).unwrap_or(nothing);
        Level { name: name.clone(), rows: mine.len(), groups, told, auc }
    };
    let levels: Vec<Level> = r.rows.classes.iter().enumerate().map(of).collect();
    out.section("Levels");
    out.say(format!(
        "The probe of {} levels is multinomial: it gives each level a score, and a row is taken for the level of the largest",
        levels.len()
    ));
    let number = |name: &str, f: fn(&Level) -> f64| Column::number(name, levels.iter().map(f));
    out.table(
        Table::new("levels", "Each level against all others together. Told: held-out rows of the level that were taken for it")
            .column(Column::text("level", levels.iter().map(|l| l.name.as_str())))
            .column(Column::count("rows", levels.iter().map(|l| l.rows as i64)))
            .column(Column::count("groups", levels.iter().map(|l| l.groups as i64)))
            .column(number("told", |l| 100.0 * l.told).unit("%").digits(1))
            .column(number("auc", |l| l.auc.estimate).title("AUC"))
            .column(number("low", |l| l.auc.low))
            .column(number("high", |l| l.auc.high)),
    )
    .method(format!(
        "AUC of the level's log-odds against the rest, of the multinomial probe whose site and C are chosen inside each fold, averaged over folds; {} interval from the jackknife over groups, widened for training rows that folds share",
        percent(r.options.level)
    ))
    .citation(cite::CROSS_VALIDATED);
    let value = |l: &Level| json!({"name": l.name, "rows": l.rows, "told": l.told, "auc": l.auc.estimate, "low": l.auc.low, "high": l.auc.high});
    out.value("levels", levels.iter().map(value).collect::<Vec<_>>());
}
