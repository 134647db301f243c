//! Writes what was found: the headline and the verdict, the table of sites, the exact tests and the controls.
use crate::effects::{Effect, Exact, Total};
use crate::mediation::Mediation;
use crate::units::{MOST, Units};
use crate::verdict::{Answer, decide};
use friction_core::{Column, Estimate, Findings, Table, Verdict, plural};
use friction_stats::calibration::Rates;
use friction_stats::{Interval, cite, percent};
use serde_json::{Value, json};

const PATCHING: &str = "Vig et al. 2020, NeurIPS; Geiger et al. 2021, NeurIPS";
const FIELLER: &str = cite::FIELLER;
const RATES: Rates = Rates::new(include_str!("../../../experiments/calibration/rates.tsv"));

/// What an analysis found.
pub struct Found<'a> {
    /// The units that shares are of: turns of groups, in one direction each.
    pub units: &'a Units,
    /// Names of the two directions.
    pub names: &'a [String; 2],
    /// Total effects by direction.
    pub totals: &'a [Total; 2],
    /// Exact tests by direction.
    pub exact: &'a [Exact; 2],
    /// Effects by direction, in the order of the sites.
    pub effects: &'a [Vec<Effect>; 2],
}

impl Found<'_> {
    /// All effects: site after site, both directions of each.
    fn rows(&self) -> Vec<&Effect> {
        self.effects[0].iter().zip(&self.effects[1]).flat_map(|(a, b)| [a, b]).collect()
    }
}

fn json_of(i: Option<&Interval>) -> Value {
    i.map_or(Value::Null, |i| json!({"share": i.estimate, "low": i.low, "high": i.high}))
}

/// The question, and for the site of the options the shares and the verdict.
pub fn headline(o: &Mediation, f: &Found, guards: &[String], out: &mut Findings) {
    let what = format!("what `{}` does to the answer", o.factor);
    let Some(site) = o.site else {
        out.ask(format!("Which sites carry {what}?"));
        let all = f.effects[0].iter().zip(&f.effects[1]);
        for (a, _) in all.filter(|(a, b)| a.partner.is_some() && b.partner.is_some()).take(4) {
            estimate(o, a, (&f.names[0], f.totals[0].groups), None, out);
        }
        return;
    };
    out.ask(format!("Does `{site}` carry {what}?"));
    let of = |d: usize| f.effects[d].iter().find(|e| e.site == site);
    let (Some(a), Some(b)) = (of(0), of(1)) else { return };
    let (answer, least) = (decide(guards, [a, b], f.names, o.smallest), 100.0 * o.smallest);
    for (e, d) in [(a, 0), (b, 1)] {
        estimate(o, e, (&f.names[d], f.totals[d].groups), Some(&answer), out);
    }
    let claim = format!("`{site}` mediates the state that `{}` leaves", o.factor);
    let errs = [("made readings", "sites[smallest]", "p"), ("made readings", "verdict", "verdict")];
    // They were measured with controls; without these nothing was tested.
    let rates = (f.units.controls > 0).then(|| {
        RATES.sentence(
            "made readings in which the state does no more than its controls",
            "mediation",
            &errs,
            Some(("made readings", "mediation", "sites[resid_post.0]")),
        )
    });
    let verdict = answer
        .why
        .iter()
        .cloned()
        .chain(rates.flatten())
        .fold(Verdict::new("Best", claim, answer.says), Verdict::because);
    let level = percent(o.level);
    out.verdict(verdict)
        .method(match f.units.controls {
            0 => format!("no `state` and no controls were run, as in a `patch` without `run`: shares of `partner` alone, Σ indirect / Σ total effect with {level} Fieller intervals over groups"),
            controls => format!(
                "in both directions: state beyond its {} (max-T over sites, p ≤ 0.05) and of {least:.0} % or more, partner beyond placebo, subspace of {least:.0} % or more, complement less than partner; shares are Σ indirect / Σ total effect with {level} Fieller intervals over groups",
                plural(controls, "control")
            ),
        })
        .citation(format!("{PATCHING}; {}; {FIELLER}", cite::MAX_T))
        .over(f.totals[0].groups, "group")
        .confirmatory();
    out.value("verdict", json!({"site": site, "says": answer.says.to_string(), "why": answer.why}));
}

fn estimate(o: &Mediation, e: &Effect, (name, groups): (&str, usize), answer: Option<&Answer>, out: &mut Findings) {
    let what = format!("share of `{}`, {name}", e.site);
    let mut row = match e.partner {
        Some(i) => Estimate::new(what, "%", 100.0 * i.estimate).interval(100.0 * i.low, 100.0 * i.high, o.level),
        None => Estimate::untold(what, "%"),
    };
    row.says = answer.map(|a| a.says.to_string());
    let row = out
        .add(row.over(groups, "group").null(0.0).digits(0))
        .method("Σ indirect effect of `partner` / Σ total effect; interval over groups by Fieller's theorem")
        .citation(format!("{PATCHING}; {FIELLER}"));
    // Without a site that was named before the run, sites are looked through.
    match answer {
        Some(_) => row.confirmatory(),
        None => row.exploratory(),
    };
}

/// What a reader must know first.
pub fn warnings(f: &Found, out: &mut Findings) {
    let u = f.units;
    if u.drift > 0.0 {
        out.warn(format!(
            "the recipients' own activations differ from the stored ones by up to {:.1e} of their norm: the donors' do too",
            u.drift
        ));
    }
    if u.without > 0 {
        out.warn(format!("{} have no log-odds or no partner, and are left out", plural(u.without, "turn")));
    }
    if u.unpatched > 0 {
        out.warn(format!(
            "{} were not patched (the hook leaves them out, or the donor had ended), and enter neither shares nor totals",
            plural(u.unpatched, "turn")
        ));
    }
    if u.limited > 0 {
        out.warn(format!(
            "{} of {} (a turn and its partner, in one direction) have log-odds beyond ±{MOST} nats, which count as ±{MOST}: so sure a token tells little. A turn is in a unit of either direction",
            u.limited,
            plural(u.units.len(), "unit")
        ));
    }
    if let Some(off) = &u.off {
        out.warn(off.clone());
    }
}

/// The table of sites, and its values.
pub fn sites(o: &Mediation, f: &Found, guards: &[String], out: &mut Findings) {
    out.section("Sites");
    let rows = f.rows();
    let number = |name: &str, of: &dyn Fn(&Effect) -> Option<f64>| {
        Column::number(name, rows.iter().map(|e| of(e).filter(|v| v.is_finite()).unwrap_or(f64::NAN)))
    };
    let share = |name: &str, of: &dyn Fn(&Effect) -> Option<f64>| {
        number(name, &|e| of(e).map(|v| 100.0 * v)).unit("%").digits(0)
    };
    let largest = |e: &Effect| e.controls.iter().copied().filter(|v| v.is_finite()).reduce(f64::max);
    let says: Vec<String> = rows
        .chunks(2)
        .flat_map(|both| {
            let says = decide(guards, [both[0], both[1]], f.names, o.smallest).says.to_string();
            [says.clone(), says]
        })
        .collect();
    let controls = match f.units.controls {
        0 => "no `state` and no controls were run, as in a `patch` without `run`".to_string(),
        controls => format!("largest control: of {controls} of the state"),
    };
    let found = match rows.iter().any(|e| e.subspace.is_some()) {
        true => "; subspace, complement: in groups that the subspace was not found in",
        false => "",
    };
    let caption = format!(
        "Shares of the total effect that pass through a site, by direction; partner: all of the partner's activations, low and high its {} interval; {controls}{found}",
        percent(o.level)
    );
    let table = Table::new("sites", caption)
        .column(Column::text("site", rows.iter().map(|e| e.site.to_string())))
        .column(Column::text("direction", rows.iter().map(|e| f.names[e.direction].clone())))
        .column(number("change", &|e| e.change.as_ref().map(|c| c.estimate)).unit("nats").digits(2))
        .column(share("partner", &|e| e.partner.map(|i| i.estimate)))
        .column(share("low", &|e| e.partner.map(|i| i.low)))
        .column(share("high", &|e| e.partner.map(|i| i.high)))
        .column(share("placebo", &|e| e.placebo.map(|i| i.estimate)))
        .column(share("state", &|e| e.state.map(|i| i.estimate)))
        .column(number("p", &|e| e.p).digits(3))
        .column(share("largest_control", &largest))
        .column(share("subspace", &|e| e.subspace.map(|i| i.estimate)))
        .column(share("complement", &|e| e.complement.map(|i| i.estimate)))
        .column(Column::text("mediates", says.clone()));
    let ranked = if f.units.controls > 0 { "; p: max-T over sites" } else { "" };
    out.table(table)
        .over(f.totals[0].groups, "group")
        .method(format!(
            "Σ indirect / Σ total effect on log-odds, limited to ±{MOST} nats; {} Fieller intervals over groups{ranked}",
            percent(o.level)
        ))
        .citation(format!("{PATCHING}; {}; {FIELLER}", cite::MAX_T));
    out.say("Shares of `resid_post` are cumulative: a later layer's also holds what earlier layers wrote. Shares are not added up");
    if o.site.is_none() {
        out.say("No `site` was named before the run: the column `mediates` is exploratory");
    }
    let values = rows.iter().zip(&says).map(|(e, says)| {
        json!({
            "site": e.site, "direction": f.names[e.direction], "restores": e.direction == 0,
            "change": e.change.as_ref().map(|c| c.estimate), "partner": json_of(e.partner.as_ref()),
            "placebo": json_of(e.placebo.as_ref()), "partner_over_placebo": json_of(e.over_placebo.as_ref()),
            "state": json_of(e.state.as_ref()), "p": e.p, "largest_control": largest(e),
            "subspace": json_of(e.subspace.as_ref()), "complement": json_of(e.complement.as_ref()),
            "partner_over_complement": json_of(e.over_complement.as_ref()), "says": says,
        })
    });
    out.value("sites", values.collect::<Vec<Value>>());
}

/// Total effects, and the tests that must be 0.
pub fn tests(o: &Mediation, f: &Found, out: &mut Findings) {
    out.section("Tests");
    let total = |of: fn(&friction_stats::Flips) -> f64| {
        f.totals.iter().map(move |t| t.mean.as_ref().map_or(f64::NAN, of)).collect::<Vec<f64>>()
    };
    let exact = |name: &str, of: fn(&Exact) -> Option<f64>| {
        Column::number(name, f.exact.iter().map(|e| of(e).unwrap_or(f64::NAN))).unit("nats").digits(6)
    };
    let caption = "What the condition does (donor minus recipient, untouched), and largest absolute values of what must be 0: \
                   the change by a recipient's own activations, by the partner's embeddings of the same tokens, and the difference \
                   between a recipient with the partner's last block and the partner";
    let table = Table::new("tests", caption)
        .column(Column::text("direction", f.names.iter().cloned()))
        .column(Column::count("units", f.totals.iter().map(|t| t.units as i64)))
        .column(Column::number("total", total(|m| m.estimate)).unit("nats").digits(2))
        .column(Column::number("low", total(|m| m.low)).digits(2))
        .column(Column::number("high", total(|m| m.high)).digits(2))
        .column(exact("self", |e| e.own))
        .column(exact("embed", |e| e.embed))
        .column(exact("last_block", |e| e.last));
    out.table(table)
        .over(f.totals[0].groups, "group")
        .method(format!("{} intervals by sign flips of groups", percent(o.level)))
        .citation(cite::SIGN_FLIPS);
    let of = |d: usize| {
        let (t, e) = (&f.totals[d], &f.exact[d]);
        let mean = t.mean.as_ref();
        (
            json!({"direction": f.names[d], "nats": mean.map(|m| m.estimate), "low": mean.map(|m| m.low), "high": mean.map(|m| m.high),
                   "units": t.units, "groups": t.groups, "told": t.told()}),
            json!({"direction": f.names[d], "self": e.own, "embed": e.embed, "last_block": e.last, "pass": e.pass(o.tolerance)}),
        )
    };
    let (totals, tests): (Vec<Value>, Vec<Value>) = [of(0), of(1)].into_iter().unzip();
    out.value("totals", totals);
    out.value("tests", tests);
    out.value("drift", f.units.drift);
}

/// The share of each control, stored.
pub fn controls(f: &Found, out: &mut Findings) {
    let rows: Vec<(&Effect, usize, f64)> =
        f.rows().into_iter().flat_map(|e| e.controls.iter().enumerate().map(move |(k, v)| (e, k, *v))).collect();
    if rows.is_empty() {
        return;
    }
    let table = Table::new("controls", "Share of the total effect of each control of `state`, by site and direction")
        .stored()
        .column(Column::text("site", rows.iter().map(|(e, ..)| e.site.to_string())))
        .column(Column::text("direction", rows.iter().map(|(e, ..)| f.names[e.direction].clone())))
        .column(Column::count("control", rows.iter().map(|(_, k, _)| *k as i64)))
        .column(Column::number("share", rows.iter().map(|(.., v)| *v)));
    out.table(table).over(f.totals[0].groups, "group");
}
