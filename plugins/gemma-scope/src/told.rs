//! The reported features: their descriptions, printed rows and tables.
use crate::Scope;
use crate::features::{Difference, Feature};
use crate::labels::{Labels, plain};
use crate::replicate::Replication;
use friction_core::findings::Column;
use friction_core::{Error, Findings, Result, Site, Table};
use friction_model::Unembedding;
use friction_sae::Parameters;
use friction_stats::{Flips, sign_flips};
use serde_json::{Value, json};

/// A description for each reported feature: Neuronpedia's label, or the tokens that its decoder row promotes.
pub fn label(scope: &Scope, told: &[&Difference], p: &Parameters, out: &mut Findings) -> Vec<String> {
    let none = vec![String::new(); told.len()];
    if !scope.options.labels || told.is_empty() {
        return none;
    }
    let repository = scope.options.source.strip_prefix("hf:");
    if let Some((name, id)) = scope.found.name.as_ref().zip(repository) {
        let all = Labels::of(name, id).and_then(|l| {
            l.map(|l| told.iter().map(|d| Ok(l.get(d.index)?.unwrap_or_default())).collect::<Result<Vec<_>>>())
                .transpose()
        });
        match all {
            Ok(Some(words)) => return words,
            Ok(None) => {}
            Err(e) => out.warn(format!("no labels: {e}. Features are described by the tokens that they promote")),
        }
    }
    // The unembedding can read what is written into the residual stream, but not the outputs of heads.
    if !matches!(scope.writes, Site::ResidPost(_) | Site::ResidPre(_) | Site::MlpOut(_) | Site::Embed) {
        return none;
    }
    match Unembedding::open(&scope.cx) {
        Ok((u, tokenizer)) => {
            let rows: Vec<Vec<f32>> =
                told.iter().filter_map(|d| Some(p.feature(d.index as usize).ok()?.decoder)).collect();
            u.speaks_for(&rows, &tokenizer, 5)
                .into_iter()
                .map(|t| {
                    format!("promotes {}", t.iter().map(|t| format!("{:?}", plain(t))).collect::<Vec<_>>().join(" "))
                })
                .collect()
        }
        Err(e) => {
            out.warn(format!("features have no descriptions: {e}"));
            none
        }
    }
}

fn page(scope: &Scope, feature: u32) -> Option<String> {
    scope.found.name.as_ref()?.page(scope.options.source.strip_prefix("hf:")?, feature)
}

/// Reports the features with the smallest p-values of their difference, each over all groups.
///
/// # Errors
/// When a feature's values are not finite.
pub fn tell(
    scope: &Scope,
    told: &[&Difference],
    all: &[Feature],
    labels: &[String],
    seed: u64,
    out: &mut Findings,
) -> Result<()> {
    out.say(format!(
        "  {:>8} {:>7} {:>11} {:>7} {:>6} {:>8} {:>8} {:>12}  {:>26}",
        "feature", "fires", "difference", "effect", "AUC", "p", "q", "both halves", "points of accuracy"
    ));
    let mut values = vec![];
    for (d, label) in told.iter().zip(labels) {
        let flips = |v: &[f64]| sign_flips(v, 0.95, seed).map_err(Error::other);
        let links = &all[d.place].links;
        let (difference, answers) = (flips(&links.difference)?, flips(&links.answers)?);
        out.say(format!(
            "  {:>8} {:>5.0} % {:>+11.3} {:>+7.2} {:>6.3} {:>8.4} {:>8.4} {:>12}  {:>26} {label} {}",
            d.index,
            100.0 * d.rate,
            d.difference,
            d.effect,
            d.auc,
            d.p,
            d.q,
            if d.replicates { "yes" } else { "no" },
            format!("{:+.2} ({:+.2} to {:+.2})", answers.estimate, answers.low, answers.high),
            page(scope, d.index).unwrap_or_default()
        ));
        values.push(json!({
            "feature": d.index, "rate": d.rate, "auc": d.auc, "effect": d.effect, "q": d.q, "p_family": d.family,
            "replicates": d.replicates, "difference": number(&difference), "points": number(&answers),
        }));
    }
    out.say("  difference: between the levels at the same question, mean over groups; effect: difference / standard deviation over groups (d_z); AUC: of conversations' means; points: points of accuracy per standard deviation of the feature within questions, with a 95 % interval over groups; each feature alone, over all groups".to_string());
    // Values of the first reported feature, which was chosen without looking at the answers.
    if let (Some(d), Some(first)) = (told.first(), values.first()) {
        let p = &first["points"];
        out.value(
            "next_answer",
            json!({"feature": d.index, "points": p["estimate"], "low": p["low"], "high": p["high"], "p": p["p"]}),
        );
    }
    out.value("features", values);
    Ok(())
}

/// A mean over groups with its interval, as JSON.
pub fn number(f: &Flips) -> Value {
    json!({"estimate": f.estimate, "low": f.low, "high": f.high, "p": f.p, "groups": f.n})
}

/// The table of all compared features, with the cosines in other autoencoders.
pub fn table(scope: &Scope, found: &[Difference], again: &[Replication]) -> Table {
    let number = |f: fn(&Difference) -> f64| Column::Number(found.iter().map(f).collect());
    let mut columns = vec![
        ("feature".to_string(), Column::Count(found.iter().map(|d| i64::from(d.index)).collect())),
        ("rate".into(), number(|d| d.rate)),
        ("difference".into(), number(|d| d.difference)),
        ("effect".into(), number(|d| d.effect)),
        ("auc".into(), number(|d| d.auc)),
        ("p".into(), number(|d| d.p)),
        ("q".into(), number(|d| d.q)),
        ("p_family".into(), number(|d| d.family)),
        ("replicates".into(), Column::Count(found.iter().map(|d| i64::from(d.replicates)).collect())),
        ("page".into(), Column::Text(found.iter().map(|d| page(scope, d.index).unwrap_or_default()).collect())),
    ];
    for (n, r) in again.iter().enumerate() {
        // `cosines` belong to the features with q ≤ fdr, in their order.
        let mut cosines = r.cosines.iter().copied();
        let column = found
            .iter()
            .map(|d| if d.q <= scope.options.fdr { cosines.next().unwrap_or(f64::NAN) } else { f64::NAN })
            .collect();
        columns.push((format!("cosine_{}", n + 1), Column::Number(column)));
    }
    Table { name: "features".into(), columns }
}
