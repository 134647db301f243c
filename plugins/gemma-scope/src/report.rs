//! Writes the findings, in this order: quality, features by level, replication, sparse probes, the verdict.
use crate::compared::compared;
use crate::confirm::{Judgement, Tested, judge};
use crate::encoded::{Places, Tokens, encode, feature_means, means};
use crate::features::{Difference, Feature, differences, features};
use crate::halves::Halves;
use crate::limits::{Limits, answers};
use crate::options::GemmaScope;
use crate::questions::Questions;
use crate::replicate::{Replication, SAME, seek};
use crate::scope::{Scope, begins_with_bos};
use crate::sparse;
use crate::told::{label, number, table, tell};
use friction_core::{
    Block, Column, Error, Estimate, Findings, GradeSection, Outcome, Position, Result, RunReader, Says, Table, TurnRow,
    Verdict, off_letters, plural, unread,
};
use friction_sae::{Active, Sae};
use friction_stats::calibration::{ACCURACY_ALONE, NULL_STUDIES, Rates};
use friction_stats::cite;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

const RATES: Rates = Rates::new(include_str!("../../../experiments/calibration/rates.tsv"));

/// Runs the whole analysis and writes its findings.
///
/// # Errors
/// When the run lacks a tap that is read, or the device cannot be opened.
pub fn write(scope: &Scope, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
    let scope = &scope.graded(run);
    let o = &scope.options;
    let (kind, device) = (scope.cx.backend.kind, scope.cx.backend.device);
    if let Some(w) = &scope.warning {
        out.warn(w.clone());
    }
    let sae = Sae::new(scope.found.load()?.parameters, kind, device)?;
    let (reads, writes) = (scope.reads, scope.writes);
    let bos = o.position == Position::All && o.first_turn == 1 && begins_with_bos(&scope.cx)?;
    let places = Places { reads, writes, position: o.position, first_turn: o.first_turn, bos };
    let tokens = places.tokens(run)?;
    let (encoded, q) = encode(&sae, &tokens);
    out.section("The autoencoder");
    if tokens.empty > 0 {
        let of = plural(tokens.turns.len() + tokens.empty, "turn");
        out.warn(format!("{} of {of} have no token at `{}` and are left out", tokens.empty, o.position));
    }
    out.say(format!(
        "{} features at `{}` on {} tokens: fraction of variance unexplained (FVU) {:.3}, {:.1} features active per token (L0), {:.1} % never active",
        sae.width(),
        scope.reads,
        encoded.len(),
        q.fvu,
        q.l0,
        100.0 * q.dead
    ));
    out.value(
        "quality",
        json!({"fvu": q.fvu, "l0": q.l0, "dead": q.dead, "tokens": encoded.len(), "width": sae.width()}),
    );
    let (factor, outcome) = (o.factor.as_str(), &o.outcome());
    let trusted = q.fvu <= o.max_fvu && q.l0 > 0.0;
    out.ask(format!("Which features follow {}, and do they go with the {}?", o.factor, answers(outcome)));
    let fvu = Estimate::new("variance unexplained (FVU)", "", q.fvu).over(encoded.len(), "token").digits(3);
    out.value("interpreted", trusted);
    if !trusted {
        out.warn(format!(
            "nothing is interpreted: on this run's activations the autoencoder leaves {:.0} % of the variance unexplained (`max_fvu` is {:.2}). Is it the right model, layer and site?",
            100.0 * q.fvu, o.max_fvu
        ));
        out.estimate(fvu.says(Says::CannotBeTold.to_string()));
        verdict(o, Says::CannotBeTold, "the autoencoder does not describe this run's activations", out);
        return Ok(());
    }
    let levels: BTreeSet<&String> = tokens.turns.iter().filter_map(|t| t.row.factors.get(factor)).collect();
    let (a, b) = compared(o, &levels.into_iter().map(String::as_str).collect::<Vec<_>>())?;
    let (a, b) = (a.as_str(), b.as_str());
    let rows: Vec<&TurnRow> = tokens.turns.iter().map(|t| t.row).collect();
    let questions = Questions::new(&rows, factor, b, outcome);
    if questions.groups.len() < 2 {
        return Err(Error::other(format!(
            "{} with a question that was asked at both levels of `{factor}`: at least 2 are needed",
            plural(questions.groups.len(), "group")
        )));
    }
    if !questions.paired {
        out.warn(format!(
            "no two conditions differ in `{factor}` alone: all conditions that asked a question are compared, so a difference may come from something else in which they differ"
        ));
    }
    let halves = Halves::of(questions.groups.len(), run.seed());
    let of = |encoded: &[Vec<Active>]| {
        let values = feature_means(&tokens.turns, encoded);
        let all = features(&rows, &values, &questions, (factor, b), o.min_rate);
        let found = differences(&all, &halves, o.permutations, run.seed());
        (values, all, found)
    };
    let (values, all, found) = of(&encoded);
    let sure: Vec<&Difference> = found.iter().filter(|d| d.q <= o.fdr).collect();
    let agree = sure.iter().filter(|d| d.replicates).count();
    let family = found.iter().map(|d| d.family).fold(1.0, f64::min);
    out.section("Features");
    out.say(format!(
        "Asked: which features differ by `{factor}` ({b} against {a}, at the same question)? {} are active in at least {:.0} % of the conversations",
        found.len(),
        100.0 * o.min_rate,
    ));
    out.say(format!(
        "Found on {}: {} at a false discovery rate of {}, of which {agree} replicate in both halves of the groups; family-wise p of the strongest: {family:.4}",
        plural(questions.groups.len(), "group"),
        sure.len(),
        o.fdr
    ));
    out.value("found", json!({"features": sure.len(), "replicated": agree, "tested": found.len(), "p": family}));

    let (mut again, mut quality): (Vec<Replication>, Vec<(f64, f64)>) = (vec![], vec![]);
    for (name, files) in &scope.also {
        let other = Sae::new(files.load()?.parameters, kind, device)?;
        let (encoded, q) = encode(&other, &tokens);
        if q.fvu > o.max_fvu {
            out.warn(format!("{name} leaves {:.0} % of the variance unexplained and is left out", 100.0 * q.fvu));
            continue;
        }
        let r = seek(name, &sure, sae.parameters(), &of(&encoded).2, other.parameters(), o.fdr);
        quality.push((q.fvu, q.l0));
        again.push(r);
    }
    if !again.is_empty() {
        let number = |name: &str, f: fn(&(f64, f64)) -> f64| Column::number(name, quality.iter().map(f));
        let count =
            |name: &str, f: &dyn Fn(&Replication) -> usize| Column::count(name, again.iter().map(|r| f(r) as i64));
        let sought = sure.len();
        out.table(
            Table::new("elsewhere", "The features found, looked for again in other autoencoders. Found: features there at the same false discovery rate; again: those above that are among them; nearest: median of their largest cosines")
                .column(Column::text("sae", again.iter().map(|r| r.name.as_str())).title("autoencoder"))
                .column(number("fvu", |q| q.0).title("FVU"))
                .column(number("l0", |q| q.1).title("L0").digits(1))
                .column(count("found", &|r| r.found))
                .column(count("sought", &|_| sought))
                .column(count("again", &|r| r.again()))
                .column(Column::number("nearest", again.iter().map(Replication::nearest)).digits(2)),
        )
        .method(format!("the same feature: decoder cosine of at least {SAME}, and the same sign of the difference"))
        .exploratory();
    }
    let named = |r: &Replication| json!({"sae": r.name, "found": r.found, "again": r.again(), "nearest": r.nearest(), "sought": sure.len()});
    out.value("elsewhere", again.iter().map(named).collect::<Vec<_>>());

    let told: Vec<&Difference> = found.iter().take(o.top).collect();
    let labels = label(scope, &told, sae.parameters(), out);
    tell(scope, &told, &all, (&questions, &labels), run.seed(), out)?;
    if !o.sparse.is_empty() {
        out.section("Probes on few features");
        sparse_probes(scope, &tokens, &values, encoded.len(), b, run.seed(), out);
    }
    out.section(if *outcome == Outcome::Score {
        "Association with the answers"
    } else {
        "Association with the outcome"
    });
    let halves = halves.only(|g| questions.has_outcome(g));
    let lacks = rows.iter().filter(|r| r.outcome(outcome).is_none()).count();
    // A search that finds nothing has read its reply.
    let reads = *outcome == Outcome::Score && !scope.cx.grade.as_ref().is_some_and(GradeSection::searches);
    let why = match unread(rows.iter().copied()).filter(|_| reads) {
        Some(why) => Some((why, "no answer could be read".to_string())),
        None if lacks == rows.len() => {
            let why = format!("no turn has a `{outcome}`");
            Some((format!("{why}: the option `outcome` names what features are linked with"), why))
        }
        None if questions.told == 0 => {
            let why = format!("no question has a `{outcome}` at both levels of `{factor}`");
            Some((why.clone(), why))
        }
        None => None,
    };
    match why {
        Some((why, short)) => {
            out.warn(why);
            out.estimate(
                Estimate::untold(link(outcome, "a feature"), outcome.difference_unit())
                    .says(Says::CannotBeTold.to_string()),
            );
            verdict(o, Says::CannotBeTold, &short, out);
        }
        None => {
            outcome.left_out(lacks, rows.len()).into_iter().for_each(|w| out.warn(w));
            if *outcome == Outcome::LogOdds {
                off_letters(rows.iter().copied()).into_iter().for_each(|w| out.warn(w));
            }
            confirmation(scope, &all, &questions, &halves, (a, b), run.seed(), out)?;
        }
    }
    let follow = Estimate::new(format!("features that follow {factor}"), "", sure.len() as f64);
    out.section("Features");
    out.add(follow.over(questions.groups.len(), "group").p(family).digits(0))
        .method(format!(
            "sign flips with one sign per group, at a false discovery rate of {}; p: of the strongest, family-wise",
            o.fdr
        ))
        .citation(format!("{}; {}", cite::FALSE_DISCOVERY_RATE, cite::MAX_T));
    out.add(fvu)
        .method("squared error of the reconstruction over the variance of the activations, on this run's tokens");
    out.table(table(scope, &found, &again)).over(questions.groups.len(), "group").exploratory();
    Ok(())
}

/// What the verdict rests on: a feature that was picked on other groups.
fn link(outcome: &Outcome, feature: &str) -> String {
    format!("{} per SD of {feature}", answers(outcome))
}

fn sparse_probes(
    scope: &Scope,
    tokens: &Tokens,
    by_turn: &[BTreeMap<u32, f64>],
    encoded: usize,
    second: &str,
    seed: u64,
    out: &mut Findings,
) {
    let o = &scope.options;
    let turns = &tokens.turns;
    let width = tokens.read.len() / encoded.max(1);
    let level: Vec<bool> = turns.iter().map(|t| t.row.factors.get(&o.factor).is_some_and(|l| l == second)).collect();
    let groups: Vec<u32> = turns.iter().map(|t| t.row.group).collect();
    let dense = means(turns, &tokens.read, width);
    let rows = sparse::Rows { features: by_turn, dense: &dense, level: &level, groups: &groups };
    let (curve, whole) = rows.aucs(&o.sparse, seed, 0.95);
    let names = curve.iter().map(|(k, _)| plural(*k, "feature")).chain(["whole activation".to_string()]);
    let number = |name: &str, f: fn(&sparse::Quality) -> f64| {
        Column::number(name, curve.iter().map(|(_, q)| q).chain([&whole]).map(f))
    };
    out.table(
        Table::new("sparse", format!("How well {} is told by a probe on few features", o.factor))
            .column(Column::text("probe", names))
            .column(number("auc", |q| q.auc).title("AUC"))
            .column(number("low", |q| q.interval.map_or(f64::NAN, |i| i.low)))
            .column(number("high", |q| q.interval.map_or(f64::NAN, |i| i.high))),
    )
    .over(groups.iter().collect::<BTreeSet<_>>().len(), "group")
    .method("AUC averaged over folds that hold out whole groups, features chosen inside each; 95 % interval from the jackknife over groups, widened for training rows that folds share")
    .citation(format!("Gurnee et al. 2023, arXiv 2305.01610; {}", cite::CROSS_VALIDATED));
    let one = |name: String, q: &sparse::Quality| json!({"name": name, "auc": q.auc, "low": q.interval.map(|i| i.low), "high": q.interval.map(|i| i.high)});
    let mut values: Vec<_> = curve.iter().map(|(k, q)| one(format!("{k} features"), q)).collect();
    values.push(one("whole activation".into(), &whole));
    out.value("sparse", values);
}

/// Writes the confirmation and its verdict: features that were picked on one half of the groups, tested on the other.
fn confirmation(
    scope: &Scope,
    all: &[Feature],
    questions: &Questions,
    halves: &Halves,
    (a, b): (&str, &str),
    seed: u64,
    out: &mut Findings,
) -> Result<()> {
    let (o, outcome) = (&scope.options, &scope.options.outcome());
    let limits = Limits { discover: o.discover, effect: o.min_effect, points: o.min_points(), outcome };
    let unit = outcome.difference_unit();
    let j: Judgement = judge(all, &questions.performance, halves, &limits, seed)?;
    let linked = match j.tested.first() {
        Some(t) => {
            let e = Estimate::new(link(outcome, &format!("feature {}", t.index)), unit, t.answers.estimate);
            e.interval(t.answers.low, t.answers.high, 0.95).over(t.answers.n, "group").p(t.family)
        }
        None => Estimate::untold(link(outcome, "a feature"), unit),
    };
    let accuracy = limits.effect_on();
    let slope = match outcome {
        Outcome::Score => "points of accuracy".to_string(),
        _ => format!("change of {accuracy}"),
    };
    out.add(linked.null(0.0).says(j.says.to_string()))
        .method(format!("{slope} per standard deviation of the feature within questions, on the groups that did not pick it; sign flips with one sign per group; p: adjusted over both links of all picked features"))
        .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::MAX_T))
        .confirmatory();
    if let Some(p) = &j.performance {
        out.say(format!(
            "Asked: does one of them also {} {} pick at most {}, {} others test them; in these, `{}` = {b} instead of {a} changes {accuracy} by {} ({} to {})",
            if *outcome == Outcome::Score { "predict the answers to a question?".to_string() } else { format!("go with {accuracy} within a question?") },
            plural(halves.discovery.len(), "group"), plural(o.discover, "feature"), halves.confirmation.len(), o.factor,
            limits.amount(p.estimate), limits.bound(p.low), limits.bound(p.high)
        ));
        out.say(format!(
            "Picked: {} with p ≤ 0.05 there for both the difference and the {}",
            plural(j.tested.len(), "feature"),
            answers(outcome)
        ));
    }
    if !j.tested.is_empty() {
        out.table(confirmed(&j.tested, outcome))
            .over(halves.confirmation.len(), "group")
            .method(CONFIRMED)
            .citation(sources());
    }
    let tested: Vec<_> = j
        .tested
        .iter()
        .map(|t| {
            json!({
                "feature": t.index, "d_z": t.d_z, "difference": number(&t.difference), "points": number(&t.answers),
                "points_90": [t.narrow.low, t.narrow.high], "p_follows": t.difference.p, "p_answers": t.answers.p,
                "p_both": t.p, "p_family": t.family, "signs_agree": t.agrees, "groups_needed": t.needed,
            })
        })
        .collect();
    out.value(
        "confirmation",
        json!({
            "groups_discovery": halves.discovery.len(), "groups": halves.confirmation.len(), "picked": j.tested.len(),
            "p": j.tested.iter().map(|t| t.family).fold(1.0, f64::min), "features": tested,
            "performance": j.performance.as_ref().map(number),
            "outcome": outcome.to_string(), "unit": unit, "min_effect": limits.effect, "min_points": limits.points, "discover": limits.discover,
        }),
    );
    let (n, says) = (halves.confirmation.len(), j.says);
    verdict(o, says, &j.why, out).over(n, "group").method(CONFIRMED).citation(sources());
    if says == Says::Reached {
        let what = answers(outcome);
        out.say(format!("A third cause of both the feature and the {what} is not excluded. To test that, change the feature with the hook `steer`."));
    }
    Ok(())
}

/// How the confirmation was computed.
const CONFIRMED: &str = "features are picked on one half of the groups and tested on the other: sign flips with one sign per group, p adjusted over both links of all picked features; a feature is confirmed if p ≤ 0.05, both links keep their signs and reach the smallest effects of interest, and their product has the sign of the condition's own effect";

fn sources() -> String {
    format!("Kriegeskorte et al. 2009, Nat. Neurosci. 12:535; {}; {}", cite::SIGN_FLIPS, cite::MAX_T)
}

/// The picked features as a table.
fn confirmed(tested: &[Tested], outcome: &Outcome) -> Table {
    let number = |name: &str, f: fn(&Tested) -> f64| Column::number(name, tested.iter().map(f));
    let (name, what) = match outcome {
        Outcome::Score => ("points", "points: of accuracy".to_string()),
        other if other.is_share() => ("points", format!("points: of the {}", other.label())),
        other => ("slope", format!("slope: of the {}, in its unit,", other.label())),
    };
    Table::new("confirmation", format!("The picked features on the other groups. d_z: difference between the levels in standard deviations over groups; {what} per standard deviation of the feature"))
        .column(Column::count("feature", tested.iter().map(|t| i64::from(t.index))))
        .column(number("d_z", |t| t.d_z).title("d_z").digits(2))
        .column(number("p_follows", |t| t.difference.p).title("its p").digits(4))
        .column(number(name, |t| t.answers.estimate).digits(2))
        .column(number("low", |t| t.answers.low).digits(2))
        .column(number("high", |t| t.answers.high).digits(2))
        .column(number("p_answers", |t| t.answers.p).title("its p").digits(4))
        .column(number("p_family", |t| t.family).title("adjusted p").digits(4))
        .column(Column::text("signs_agree", tested.iter().map(|t| if t.agrees { "yes" } else { "no" })))
}

fn verdict<'a>(o: &GemmaScope, says: Says, why: &str, out: &'a mut Findings) -> &'a mut Block {
    out.value("verdict", json!({"level": "Good", "says": says.to_string(), "why": why}));
    out.value("good", says == Says::Reached);
    let claim = format!("a feature follows `{}` and goes with the {}", o.factor, answers(&o.outcome()));
    let errs = [("coin", "confirmation", "p"), ("coin", "verdict", "verdict")];
    let rates = match o.outcome() {
        Outcome::Score => RATES.sentence(NULL_STUDIES, "features-completion", &errs, None),
        _ => Some(ACCURACY_ALONE.into()),
    };
    let verdict = rates.into_iter().fold(Verdict::new("Good", claim, says).because(why), Verdict::because);
    out.verdict(verdict).confirmatory()
}
