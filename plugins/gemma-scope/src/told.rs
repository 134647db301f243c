//! The reported features: their descriptions, printed rows and tables.
use crate::features::{Difference, Feature};
use crate::labels::{Labels, plain};
use crate::questions::Questions;
use crate::replicate::Replication;
use crate::scope::Scope;
use friction_core::{Column, Error, Findings, Outcome, Result, Site, Table};
use friction_model::Unembedding;
use friction_sae::Parameters;
use friction_stats::{Flips, cite, sign_flips};
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
    (questions, labels): (&Questions, &[String]),
    seed: u64,
    out: &mut Findings,
) -> Result<()> {
    let outcome = scope.options.outcome();
    let (mut values, mut points) = (vec![], vec![]);
    for d in told {
        let flips = |v: &[f64]| sign_flips(v, 0.95, seed).map_err(Error::other);
        let links = &all[d.place].links;
        let told: Vec<f64> = links.answers.iter().copied().filter(|v| !v.is_nan()).collect();
        let difference = flips(&links.difference)?;
        let answers = if told.len() > 1 { Some(flips(&told)?) } else { None };
        points.push(answers);
        values.push(json!({
            "feature": d.index, "rate": d.rate, "auc": d.auc, "effect": d.effect, "q": d.q, "p_family": d.family,
            "replicates": d.replicates, "difference": number(&difference), "points": answers.as_ref().map(number),
        }));
    }
    let groups = (0..questions.groups.len()).filter(|g| questions.has_outcome(*g)).count();
    let (name, scale) = match outcome {
        Outcome::Score => {
            ("points", "points: of accuracy per standard deviation of the feature within questions".into())
        }
        _ => {
            let unit = if outcome.is_share() { "points" } else { "its unit" };
            let all = if groups < questions.groups.len() {
                format!(", over {groups} groups that have it")
            } else {
                String::new()
            };
            (
                "slope",
                format!(
                    "slope: of the {}, in {unit}, per standard deviation of the feature within questions{all}",
                    outcome.label()
                ),
            )
        }
    };
    let number = |name: &str, f: fn(&Difference) -> f64| Column::number(name, told.iter().map(|d| f(d)));
    let link = |name: &str, f: fn(&Flips) -> f64| {
        Column::number(name, points.iter().map(|p| p.as_ref().map_or(f64::NAN, f))).digits(2)
    };
    out.table(
        Table::new("strongest", format!("The features with the smallest p, each alone, over all groups. Difference: between the levels at the same question; effect: it in standard deviations over groups (d_z); AUC: of conversations' means; {scale}"))
            .column(Column::count("feature", told.iter().map(|d| i64::from(d.index))))
            .column(number("rate", |d| 100.0 * d.rate).title("fires").unit("%").digits(0))
            .column(number("difference", |d| d.difference))
            .column(number("effect", |d| d.effect).digits(2))
            .column(number("auc", |d| d.auc).title("AUC"))
            .column(number("p", |d| d.p).digits(4))
            .column(number("q", |d| d.q).digits(4))
            .column(Column::text("replicates", told.iter().map(|d| if d.replicates { "yes" } else { "no" })).title("both halves"))
            .column(link(name, |f| f.estimate))
            .column(link("low", |f| f.low))
            .column(link("high", |f| f.high))
            .column(Column::text("description", labels.iter().map(String::as_str)))
            .column(Column::text("page", told.iter().map(|d| page(scope, d.index).unwrap_or_default()))),
    )
    .method("means over groups of differences within questions; sign flips with one sign per group, the same for all features; q: adjusted for the false discovery rate; the link with a 95 % interval by sign flips")
    .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::FALSE_DISCOVERY_RATE))
    .exploratory();
    // Values of the first reported feature, which was chosen without looking at the answers.
    if let (Some(d), Some(Some(f))) = (told.first(), points.first()) {
        let mut value = json!({
            "feature": d.index, "outcome": outcome.to_string(), "unit": outcome.difference_unit(),
            "estimate": f.estimate, "low": f.low, "high": f.high, "p": f.p,
        });
        if outcome.is_share() {
            value["points"] = json!(f.estimate);
        }
        out.value("next_answer", value);
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
    let number = |name: &str, f: fn(&Difference) -> f64| Column::number(name, found.iter().map(f));
    let mut table = Table::new("features", "All features that fire often enough; rate is a share, 0 to 1")
        .stored()
        .column(Column::count("feature", found.iter().map(|d| i64::from(d.index))))
        .column(number("rate", |d| d.rate))
        .column(number("difference", |d| d.difference))
        .column(number("effect", |d| d.effect))
        .column(number("auc", |d| d.auc))
        .column(number("p", |d| d.p))
        .column(number("q", |d| d.q))
        .column(number("p_family", |d| d.family))
        .column(Column::count("replicates", found.iter().map(|d| i64::from(d.replicates))))
        .column(Column::text("page", found.iter().map(|d| page(scope, d.index).unwrap_or_default())));
    for (n, r) in again.iter().enumerate() {
        // `cosines` belong to the features with q ≤ fdr, in their order.
        let mut cosines = r.cosines.iter().copied();
        let cosine = |d: &Difference| {
            if d.q <= scope.options.fdr { cosines.next().unwrap_or(f64::NAN) } else { f64::NAN }
        };
        table = table.column(Column::number(format!("cosine_{}", n + 1), found.iter().map(cosine)));
    }
    table
}
