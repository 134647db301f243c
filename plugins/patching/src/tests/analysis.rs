//! The analyzer over rows whose effects are known.
#![allow(clippy::unwrap_used)]
use super::{LAST, SITE};
use crate::arms::{Arm, reading};
use crate::mediation::Mediation;
use friction_core::{
    Analyzer, ConversationId, Findings, PluginConfig, Position, Result, RunReader, Site, TapArray, TurnRow,
};
use serde_json::Value;

/// Rows in memory.
struct Memory(Vec<TurnRow>);
impl RunReader for Memory {
    fn name(&self) -> &str {
        "memory"
    }
    fn seed(&self) -> u64 {
        3
    }
    fn turns(&self) -> &[TurnRow] {
        &self.0
    }
    fn tap(&self, _: ConversationId, _: Site, _: Position) -> Result<Option<TapArray>> {
        Ok(None)
    }
    fn findings(&self, _: &str) -> Option<Value> {
        None
    }
}

/// What the made-up patches do: shares of each unit's total effect by arm, at a site.
type Does<'a> = &'a dyn Fn(Arm, Site, u32) -> f64;

/// Ten groups of three turns. The condition takes 2 + group/4 nats from log-odds of 1 + group/8.
fn rows(total: impl Fn(u32) -> f64, does: Does) -> Vec<TurnRow> {
    let mut out = vec![];
    for group in 0..10 {
        for turn in 1..4 {
            let complete = 1.0 + f64::from(group) / 8.0;
            let interrupt = complete - total(group);
            for (level, own, donor) in [("complete", complete, interrupt), ("interrupt", interrupt, complete)] {
                let mut row = TurnRow {
                    group,
                    condition: level.into(),
                    factors: [("completion".to_string(), level.to_string())].into(),
                    turn,
                    item_id: format!("{group}-{turn}"),
                    choices: 2,
                    target: Some("A".into()),
                    // Log-odds of A against B alone.
                    choice_logprobs: vec![own as f32, 0.0],
                    ..TurnRow::default()
                };
                let mut put = |arm, site, v: f64| {
                    row.readings.insert(format!("patch.{}", reading(arm, site)), v);
                };
                for site in [SITE, LAST] {
                    let arms = [Arm::Own, Arm::Partner, Arm::Placebo, Arm::State];
                    let held = [Arm::Subspace, Arm::Complement].into_iter().filter(|_| group >= 5);
                    for arm in arms.into_iter().chain((0..99).map(Arm::Control)).chain(held) {
                        put(arm, site, own + does(arm, site, group) * (donor - own));
                    }
                }
                put(Arm::TestEmbed, Site::Embed, own);
                put(Arm::TestLast, LAST, donor);
                row.readings.insert("patch.drift".into(), 0.0);
                out.push(row);
            }
        }
    }
    out
}

fn found(rows: Vec<TurnRow>, more: &str) -> Findings {
    let text = format!("factor = \"completion\"\nreference = \"complete\"\n{more}");
    let options: Mediation = toml::from_str(&text).unwrap();
    options.validate().unwrap();
    let mut out = Findings::default();
    options.analyze(&Memory(rows), &mut out).unwrap();
    out
}

/// `resid_post.0` carries 90 % for all but `placebo` and controls, more in later groups; `resid_post.1` carries 5 %.
fn carried(arm: Arm, site: Site, group: u32) -> f64 {
    let more = f64::from(group) / 100.0;
    let small = if site == LAST { 0.05 } else { 1.0 };
    match arm {
        Arm::Own => 0.0,
        Arm::Partner => small * (0.9 + more),
        Arm::Placebo => 0.01,
        Arm::State => small * (0.6 + more),
        Arm::Control(k) => small * (k as f64 - 49.0) / 500.0,
        Arm::Subspace => small * 0.5,
        Arm::Complement => small * 0.4,
        Arm::TestEmbed | Arm::TestLast => 0.0,
    }
}

fn site<'a>(out: &'a Findings, site: &str, restores: bool) -> &'a Value {
    let all = out.values["sites"].as_array().unwrap();
    all.iter().find(|v| v["site"] == site && v["restores"] == restores).unwrap()
}

#[test]
fn a_site_that_carries_the_state_mediates_it() {
    let total = |group: u32| 2.0 + f64::from(group) / 4.0;
    let out = found(rows(total, &carried), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "reached", "{}", out.values["verdict"]);
    for restores in [true, false] {
        let s = site(&out, "resid_post.0", restores);
        // Σ IE / Σ TE: 0.9 + Σ g (2 + g/4) / 100 / Σ (2 + g/4), g = 0 … 9: 0.9 + (90 + 71.25) / 100 / 31.25 = 0.9516.
        let share = s["partner"]["share"].as_f64().unwrap();
        assert!((share - 0.9516).abs() < 1e-6, "{s}");
        assert!(s["partner"]["low"].as_f64().unwrap() > 0.9 && s["partner"]["high"].as_f64().unwrap() < 0.99, "{s}");
        assert!((s["state"]["share"].as_f64().unwrap() - 0.6516).abs() < 1e-6, "{s}");
        assert!((s["subspace"]["share"].as_f64().unwrap() - 0.5).abs() < 1e-6, "{s}");
        // The state is larger than all 99 controls: 1/100.
        assert_eq!(s["p"], 0.01, "{s}");
        assert!((s["largest_control"].as_f64().unwrap() - 0.098).abs() < 1e-6, "{s}");
        assert_eq!(site(&out, "resid_post.1", restores)["says"], "not reached");
    }
    let totals = out.values["totals"].as_array().unwrap();
    assert_eq!([&totals[0]["nats"], &totals[1]["nats"]], [3.125, -3.125].map(Value::from).each_ref());
    assert!(out.values["tests"].as_array().unwrap().iter().all(|t| t["pass"] == true));
    assert_eq!(out.figures().count(), 1);
    assert!(friction_draw::faults(out.figures().next().unwrap()).unwrap().is_empty());
}

#[test]
fn a_state_among_its_controls_and_a_test_that_fails_do_not_count() {
    let total = |group: u32| 2.0 + f64::from(group) / 4.0;
    // The 41st largest of 100: 41 of 100 are at least as large, where both sites are ranked alike.
    let among = |arm: Arm, s: Site, g: u32| match arm {
        Arm::State => carried(Arm::Control(59), s, g),
        _ => carried(arm, s, g),
    };
    let out = found(rows(total, &among), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "cannot be told");
    assert!((site(&out, "resid_post.0", true)["p"].as_f64().unwrap() - 0.41).abs() < 1e-9, "{}", out.values["sites"]);
    let why = out.values["verdict"]["why"].to_string();
    assert!(why.contains("`state` is not beyond its controls"), "{why}");

    let mut wrong = rows(total, &carried);
    let name = format!("patch.{}", reading(Arm::Own, SITE));
    let read = wrong.iter_mut().rfind(|r| r.turn > 1).unwrap();
    *read.readings.get_mut(&name).unwrap() += 1e-9;
    let out = found(wrong.clone(), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "cannot be told");
    assert!(out.values["verdict"]["why"].to_string().contains("must be 0 are not"), "{}", out.values["verdict"]);
    let allowed = found(wrong, "site = \"resid_post.0\"\ntolerance = 1e-8");
    assert_eq!(allowed.values["verdict"]["says"], "reached");
}

#[test]
fn a_turn_that_is_too_sure_limits_the_units_of_both_directions() {
    let total = |group: u32| 2.0 + f64::from(group) / 4.0;
    let mut all = rows(total, &carried);
    let told = |rows: &[TurnRow]| {
        let out = found(rows.to_vec(), "site = \"resid_post.0\"");
        out.warnings().find(|w| w.contains("±12")).cloned()
    };
    assert_eq!(told(&all), None);
    // Own and patched log-odds of the same unit count once: the turn's unit, and that of its partner.
    let sure = all.iter_mut().find(|r| r.turn > 1).unwrap();
    sure.choice_logprobs[0] = 20.0;
    *sure.readings.get_mut(&format!("patch.{}", reading(Arm::Partner, SITE))).unwrap() = -30.0;
    assert!(told(&all).is_some_and(|w| w.starts_with("2 of 40 units (")), "{:?}", told(&all));
}

#[test]
fn without_a_total_effect_nothing_is_shared() {
    // The effect has either sign: its mean is 0.
    let total = |group: u32| if group.is_multiple_of(2) { 1.0 } else { -1.0 };
    let out = found(rows(total, &carried), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "cannot be told");
    let why = out.values["verdict"]["why"].to_string();
    assert!(why.contains("no total effect of 0.2 nats"), "{why}");
    assert!(site(&out, "resid_post.0", true)["partner"].is_null());
    assert!(out.values["totals"].as_array().unwrap().iter().all(|t| t["told"] == false));
    // A condition that does next to nothing in every group has nothing to mediate either.
    let out = found(rows(|_| 0.125, &carried), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "cannot be told");
    assert!(site(&out, "resid_post.0", false)["p"].is_null());
    let out = found(rows(|_| 0.125, &carried), "site = \"resid_post.0\"\nsmallest_total = 0.1");
    assert_eq!(out.values["verdict"]["says"], "reached");
    // Without a named site every site is explored, and there is no verdict.
    let out = found(rows(|_| 3.0, &carried), "");
    assert!(out.verdicts().next().is_none() && !out.values.contains_key("verdict"));
    assert_eq!(site(&out, "resid_post.0", false)["says"], "reached");
}

/// Turns that the hook leaves out enter neither totals nor shares, and are counted.
#[test]
fn turns_that_were_not_patched_are_left_out() {
    let total = |group: u32| 2.0 + f64::from(group) / 4.0;
    let without = |last: u32| {
        let mut rows = rows(total, &carried);
        rows.iter_mut().filter(|r| (2..=last).contains(&r.turn)).for_each(|r| r.readings.clear());
        rows
    };
    let out = found(without(2), "site = \"resid_post.0\"");
    assert_eq!(out.values["verdict"]["says"], "reached", "{}", out.values["verdict"]);
    for t in out.values["totals"].as_array().unwrap() {
        assert_eq!((&t["units"], &t["groups"]), (&10.into(), &10.into()), "{t}");
    }
    assert!(out.warnings().any(|w| w.starts_with("20 turns were not patched")), "{:?}", out.warnings().next());
    // None of those that are read: the hook is there, and the options are not as in it.
    let options: Mediation = toml::from_str("factor = \"completion\"\nreference = \"complete\"").unwrap();
    let e = super::told(options.analyze(&Memory(without(3)), &mut Findings::default()));
    assert!(e.contains("none of the turns that are read was patched") && e.contains("as in the hook"), "{e}");
    // A test that was not run says nothing of the precision.
    let mut all = rows(total, &carried);
    let name = format!("patch.{}", reading(Arm::TestEmbed, Site::Embed));
    all.iter_mut().for_each(|r| _ = r.readings.remove(&name));
    let why = found(all, "site = \"resid_post.0\"").values["verdict"]["why"].to_string();
    assert!(why.contains("were not run in every turn that was patched: embeddings"), "{why}");
    assert!(!why.contains("dtype"), "{why}");
}

/// A `patch` without `run` has neither `state` nor controls: no text counts them.
#[test]
fn controls_that_were_not_run_are_not_counted() {
    let mut rows = rows(|_| 3.0, &carried);
    let alone = |name: &String| ["self", "partner", "placebo", "test"].iter().any(|arm| name[6..].starts_with(arm));
    rows.iter_mut().for_each(|row| row.readings.retain(|name, _| alone(name)));
    let told = |more: &str| serde_json::to_string(&found(rows.clone(), more)).unwrap();
    for more in ["", "site = \"resid_post.0\""] {
        let told = told(more);
        assert!(!told.contains("0 controls") && !told.contains("of 0 of the state"), "{told}");
        assert!(told.contains("no `state` and no controls were run, as in a `patch` without `run`"), "{told}");
        assert!(!told.contains("error rates"), "{told}");
    }
    let run = serde_json::to_string(&found(self::rows(|_| 3.0, &carried), "site = \"resid_post.0\"")).unwrap();
    assert!(run.contains("of 99 of the state") && !run.contains("no controls were run"), "{run}");
    assert!(run.contains("error rates, measured on made readings"), "{run}");
}
