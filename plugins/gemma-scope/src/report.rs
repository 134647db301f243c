//! What is said, in order: quality, features by factor, again elsewhere, how few are enough, the verdict.
use crate::Scope;
use crate::encoded::{Answer, Tokens, conversations, encode, means, next_answer};
use crate::features::{Difference, differences, mean};
use crate::labels::{Labels, plain};
use crate::replicate::{Replication, SAME, seek};
use crate::sparse;
use friction_core::findings::Column;
use friction_core::{Error, Findings, Result, RunReader, Site, Table};
use friction_model::Unembedding;
use friction_sae::{Active, Parameters, Sae};
use friction_stats::holm;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The whole analysis.
///
/// # Errors
/// When the run lacks what is read, or the device is not there.
pub fn write(scope: &Scope, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
    let o = &scope.options;
    let (kind, device) = (scope.cx.backend.kind, scope.cx.backend.device);
    if let Some(w) = &scope.warning {
        out.warn(w.clone());
    }
    let sae = Sae::new(scope.found.load()?.parameters, kind, device)?;
    let tokens = scope.tokens(run)?;
    let (features, q) = encode(&sae, &tokens);
    out.say(format!(
        "{} features at `{}` on {} tokens: variance unexplained (FVU) {:.3}, {:.1} active a token (L0), {:.1} % never active",
        sae.width(),
        scope.reads,
        features.len(),
        q.fvu,
        q.l0,
        100.0 * q.dead
    ));
    out.value(
        "quality",
        json!({"fvu": q.fvu, "l0": q.l0, "dead": q.dead, "tokens": features.len(), "width": sae.width()}),
    );
    let trusted = q.fvu <= o.max_fvu && q.l0 > 0.0;
    out.value("interpreted", trusted);
    if !trusted {
        out.warn(format!(
            "nothing is interpreted: on this run's activations the autoencoder leaves {:.0} % of the variance unexplained (`max_fvu` is {:.2}). Is it the right model, layer and site?",
            100.0 * q.fvu, o.max_fvu
        ));
        return Ok(());
    }
    let levels: Vec<&String> =
        tokens.turns.iter().filter_map(|t| t.row.factors.get(&o.factor)).collect::<BTreeSet<_>>().into_iter().collect();
    let [a, b] = levels[..] else {
        return Err(Error::other(format!(
            "`{}` has {} levels; features are sought between two",
            o.factor,
            levels.len()
        )));
    };
    let of = |features: &[Vec<Active>]| {
        let all = conversations(&tokens.turns, features, &o.factor, b);
        (differences(&all, o.min_rate, o.permutations, run.seed()), all.len())
    };
    let (found, count) = of(&features);
    let sure: Vec<&Difference> = found.iter().filter(|d| d.q <= o.fdr).collect();
    let halves = sure.iter().filter(|d| d.replicates).count();
    let family = found.iter().map(|d| d.family).fold(1.0, f64::min);
    out.say(format!(
        "Asked: which features follow `{}` ({b} against {a})? {} fire in at least {:.0} % of {count} conversations",
        o.factor,
        found.len(),
        100.0 * o.min_rate,
    ));
    out.say(format!(
        "Found: {} at a false discovery rate of {}, of which {halves} replicate in both halves of the groups; any at all: p = {family:.4}",
        sure.len(), o.fdr
    ));
    out.value("found", json!({"features": sure.len(), "replicated": halves, "tested": found.len(), "p": family}));

    let mut again: Vec<Replication> = vec![];
    for (name, files) in &scope.also {
        let other = Sae::new(files.load()?.parameters, kind, device)?;
        let (encoded, q) = encode(&other, &tokens);
        if q.fvu > o.max_fvu {
            out.warn(format!("{name} leaves {:.0} % of the variance unexplained and is left out", 100.0 * q.fvu));
            continue;
        }
        let r = seek(name, &sure, sae.parameters(), &of(&encoded).0, other.parameters(), o.fdr);
        out.say(format!(
            "  in {name} (FVU {:.3}, L0 {:.1}): {} found, among which {} of the {} are found again (cosine of decoders at least {SAME}, same sign; nearest {:.2} at the median)",
            q.fvu, q.l0, r.found, r.again(), sure.len(), r.nearest()
        ));
        again.push(r);
    }
    let named = |r: &Replication| json!({"sae": r.name, "found": r.found, "again": r.again(), "nearest": r.nearest(), "sought": sure.len()});
    out.value("elsewhere", again.iter().map(named).collect::<Vec<_>>());

    let told: Vec<&Difference> = found.iter().take(o.top).collect();
    let answers: Vec<Option<Answer>> = told.iter().map(|d| next_answer(&tokens.turns, &features, d.index)).collect();
    let labels = label(scope, &told, sae.parameters(), out);
    tell(scope, &told, &answers, &labels, out);
    if !o.sparse.is_empty() {
        sparse_probes(scope, &tokens, &features, b, run.seed(), out);
    }
    verdict(&told, &answers, o.fdr, out);
    out.tables.push(table(scope, &found, &again));
    Ok(())
}

/// Words for the features told: Neuronpedia's, else the tokens that their decoders speak for.
fn label(scope: &Scope, told: &[&Difference], p: &Parameters, out: &mut Findings) -> Vec<String> {
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
            Err(e) => out.warn(format!("no labels: {e}. Features are named by the tokens that they speak for")),
        }
    }
    // What is written into the residual stream can be read by the unembedding; heads cannot.
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
                    format!("speaks for {}", t.iter().map(|t| format!("{:?}", plain(t))).collect::<Vec<_>>().join(" "))
                })
                .collect()
        }
        Err(e) => {
            out.warn(format!("features stay without words: {e}"));
            none
        }
    }
}

fn page(scope: &Scope, feature: u32) -> Option<String> {
    scope.found.name.as_ref()?.page(scope.options.source.strip_prefix("hf:")?, feature)
}

fn tell(scope: &Scope, told: &[&Difference], answers: &[Option<Answer>], labels: &[String], out: &mut Findings) {
    out.say(format!(
        "  {:>8} {:>7} {:>11} {:>7} {:>6} {:>8} {:>8} {:>10}  {:>22}",
        "feature", "fires", "difference", "effect", "AUC", "p", "q", "replicates", "odds of a right answer"
    ));
    for ((d, answer), label) in told.iter().zip(answers).zip(labels) {
        out.say(format!(
            "  {:>8} {:>5.0} % {:>+11.3} {:>+7.2} {:>6.3} {:>8.4} {:>8.4} {:>10}  {:>22} {label} {}",
            d.index,
            100.0 * d.rate,
            d.difference,
            d.effect,
            d.auc,
            d.p,
            d.q,
            if d.replicates { "yes" } else { "no" },
            answer.map_or("–".into(), |a| format!(
                "× {:.2} ({:.2} to {:.2})",
                a.estimate.exp(),
                (a.estimate - 1.96 * a.se).exp(),
                (a.estimate + 1.96 * a.se).exp()
            )),
            page(scope, d.index).unwrap_or_default()
        ));
    }
    out.say("  difference: of conversation means, paired by group; odds: of the next answer per standard deviation, beside the turn, clustered by group".to_string());
}

fn sparse_probes(
    scope: &Scope,
    tokens: &Tokens,
    features: &[Vec<Active>],
    second: &str,
    seed: u64,
    out: &mut Findings,
) {
    let o = &scope.options;
    let turns = &tokens.turns;
    let by_turn: Vec<BTreeMap<u32, f64>> = turns.iter().map(|t| mean(&features[t.tokens.clone()])).collect();
    let width = tokens.read.len() / features.len().max(1);
    let level: Vec<bool> = turns.iter().map(|t| t.row.factors.get(&o.factor).is_some_and(|l| l == second)).collect();
    let groups: Vec<u32> = turns.iter().map(|t| t.row.group).collect();
    let dense = means(turns, &tokens.read, width);
    let rows = sparse::Rows { features: &by_turn, dense: &dense, level: &level, groups: &groups };
    let (curve, whole) = rows.aucs(&o.sparse, seed);
    let words: Vec<String> = curve.iter().map(|(k, a)| format!("{k} features {a:.3}")).collect();
    out.say(format!(
        "  probes of few features, AUC on groups held out: {}; of the whole activation {whole:.3}",
        words.join(", ")
    ));
    out.value("sparse", json!({"k": o.sparse, "auc": curve.iter().map(|c| c.1).collect::<Vec<_>>(), "dense": whole}));
}

/// Good: features that track the condition, in both halves of the groups, and go with the next answer.
fn verdict(told: &[&Difference], answers: &[Option<Answer>], fdr: f64, out: &mut Findings) {
    let tracking: Vec<(&Difference, Answer)> = told
        .iter()
        .zip(answers)
        .filter(|(d, _)| d.q <= fdr && d.replicates)
        .filter_map(|(d, a)| Some((*d, (*a)?)))
        .collect();
    let adjusted = holm(&tracking.iter().map(|(_, a)| a.p).collect::<Vec<_>>());
    let best = tracking.iter().zip(&adjusted).min_by(|a, b| a.1.total_cmp(b.1));
    let good = best.is_some_and(|(_, p)| *p <= 0.05);
    out.say(match best {
        Some(((d, a), p)) if good => format!(
            "Verdict, Good: reached. Feature {} tracks the condition and goes with the next answer (odds × {:.2}, p = {p:.4} by Holm over {} features)",
            d.index, a.estimate.exp(), tracking.len()
        ),
        Some((_, p)) => format!("Verdict, Good: not reached. Features track the condition, but none goes with the next answer (least p = {p:.4} by Holm)"),
        None => "Verdict, Good: not reached. No feature tracks the condition in both halves of the groups".into(),
    });
    out.value("good", good);
    // Of the first feature told, which is chosen without a look at the answers. It may go with them for
    // reasons of its own, on an organism without effects too: the verdict asks that it tracks the condition.
    if let Some(a) = answers.first().copied().flatten() {
        out.value("next_answer", json!({"feature": told[0].index, "log_odds": a.estimate, "se": a.se, "p": a.p}));
    }
}

fn table(scope: &Scope, found: &[Difference], again: &[Replication]) -> Table {
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
        // Cosines are of the features at q ≤ fdr, in their order.
        let mut cosines = r.cosines.iter().copied();
        let column = found
            .iter()
            .map(|d| if d.q <= scope.options.fdr { cosines.next().unwrap_or(f64::NAN) } else { f64::NAN })
            .collect();
        columns.push((format!("cosine_{}", n + 1), Column::Number(column)));
    }
    Table { name: "features".into(), columns }
}
