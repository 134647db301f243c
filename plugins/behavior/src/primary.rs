//! The contrast that is tested, and the verdict about it if it is the one that the run's lock names.
use crate::aliases::aliases;
use crate::beside::Beside;
use crate::calibrated::calibrated;
use crate::contrast::{Contrast as Found, Measure, Tested, contrast, estimate};
use crate::guards::{self, Guard};
use crate::levels::About;
use crate::own_slopes::{OwnSlopes, diverging};
use crate::question::Question;
use crate::values::{Course, comparable, reference};
use crate::verdict::{Evidence, Judged, verdict};
use crate::wording::Wording;
use friction_core::contrast::scores;
use friction_core::{Body, Column, Estimate, Findings, Says, Table, TurnRow, Verdict, plural};
use friction_stats::{cite, holm};
use serde_json::{Value, json};

/// Most estimates of contrasts; the table has all.
const ESTIMATES: usize = 4;

/// What the contrast of an analysis is written from.
pub struct Telling<'a> {
    /// The contrast, and how it stands to the lock.
    pub question: &'a Question,
    /// What is read.
    pub about: &'a About<'a>,
    /// Number of groups that the study plans, if it is known.
    pub planned: Option<usize>,
    /// The turns that are compared.
    pub read: &'a [&'a TurnRow],
    /// The conversations that are compared, with unread answers counted as right; none if the outcome is no score.
    pub lenient: &'a [Course],
    /// Guards that were judged before: of letters, of threats, of the first turn, of cells.
    pub given: Vec<Guard>,
    /// What a verdict speaks of, as a sentence.
    pub scope: Option<String>,
}

impl Telling<'_> {
    fn wording(&self) -> Wording<'_> {
        self.question.wording(self.about.outcome)
    }

    /// Writes the contrast. `turns` are all that the run has, in the manifest's order; `courses` are those that are
    /// compared.
    ///
    /// Within a group, conversations that agree in every other factor form a pair: the same items in the same order, one
    /// conversation at each level. A group's value is the mean over its pairs. The p-value and the interval come from sign
    /// flips with one sign per group, because the pairs of a group share its items. Of more than two levels each is
    /// compared with the reference, and p-values are Holm's; a trend is one value, the slope over all levels.
    pub fn tell(&self, turns: &[&TurnRow], courses: &[Course], out: &mut Findings) {
        let (q, about) = (self.question, self.about);
        if let Some(sentence) = q.standing.sentence() {
            out.say(sentence);
        }
        let factors = q.contrast.factors();
        let levels: Vec<Vec<String>> = factors.iter().map(|f| q.levels_of(f, turns)).collect();
        if let Some((f, l)) = factors.iter().zip(&levels).find(|(_, l)| l.len() < 2) {
            out.warn(format!("the primary contrast needs two levels of `{f}`; the run has {}", l.len()));
            return self.untold(out);
        }
        if factors.len() > 1 && levels.iter().any(|l| l.len() != 2) {
            out.warn(format!("`{}` needs two levels of each factor", q.contrast));
            return self.untold(out);
        }
        let chosen = q.of(courses);
        let (chosen, averaged) = comparable(&chosen, factors);
        let Some(first) = reference(&levels[0], q.reference.as_deref()).map(String::from) else { return };
        let (mut rows, mut lone, mut short, mut why) = (vec![], 0, 0, None);
        for (row, left) in self.question.beside(&chosen, &levels, &first) {
            lone += left;
            let Tested { contrast: found, short: few } =
                contrast(&row.differences, self.question.measure(), about.outcome.scale(), about.level, about.seed);
            short += few;
            why = why.or(found.as_ref().err().cloned());
            rows.push(Beside { found: found.ok(), ..row });
        }
        if lone > 0 {
            let whose = factors.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(" and ");
            out.warn(format!(
                "left out of the primary contrast: {}, which have no single partner at the other level of {whose}",
                plural(lone, "pair")
            ));
        }
        let slope = self.question.measure() == Measure::Slope;
        if short > 0 {
            let least = if slope { "two turns" } else { "one turn" };
            out.warn(format!("left out of the primary contrast: {} without {least} in common", plural(short, "pair")));
        }
        let question = match &rows[..] {
            [one] => self.wording().asked(&one.sides, false),
            _ => self.wording().of_several(&first),
        };
        if let (Some(e), true) = (why, rows.iter().all(|r| r.found.is_none())) {
            let least = if slope { "at least two turns" } else { "turns" };
            out.warn(format!(
                "the primary contrast ({question}) cannot be told: {e} (groups with {least}, {})",
                about.turns
            ));
            return self.untold(out);
        }
        for row in rows.iter().filter(|r| r.found.is_none()) {
            out.warn(format!("{} cannot be told: fewer than two groups have both", row.what));
        }
        let own = |row: &Beside| OwnSlopes::of(q, &chosen, &row.sides.first, &row.differences, about);
        let own: Vec<Option<OwnSlopes>> = rows.iter().map(own).collect();
        match (&rows[..], &own[..]) {
            ([one], [own]) => {
                out.ask(self.wording().asked(&one.sides, true));
                self.one(&question, &levels, (one, own.as_ref()), averaged, out);
            }
            _ => {
                out.ask(question.clone());
                self.several(&question, (&first, &levels), (&rows, &own), averaged, out);
            }
        }
        self.aliased(out);
    }

    /// Says which other effects the contrast may be.
    fn aliased(&self, out: &mut Findings) {
        let q = self.question;
        let aliases = aliases(q.contrast.factors(), &q.rows(self.read));
        if aliases.is_empty() {
            return;
        }
        let (own, by_turn) = (q.contrast.factors().join(" × "), q.contrast.by_turn());
        out.say(format!(
            "Aliased: the conditions are a fraction, in which {own}{turn} cannot be told apart from {}{}",
            aliases.join(" and "),
            if by_turn { ", each × turn" } else { "" },
            turn = if by_turn { " × turn" } else { "" },
        ));
        if let Some(Value::Object(primary)) = out.values.get_mut("primary") {
            primary.insert("aliases".into(), json!(aliases));
        }
    }

    /// The guards of the verdict, each with its value.
    fn guards(&self, rows: &[(&Beside, &Found, f64)], levels: &[Vec<String>], digits: usize) -> Vec<Guard> {
        let q = self.question;
        let chosen = q.rows(self.read);
        let right = q.of(self.lenient);
        let (right, _) = comparable(&right, q.contrast.factors());
        let first = rows.first().map_or("", |(row, ..)| row.sides.first[0].as_str());
        let (measure, scale) = (q.measure(), self.about.outcome.scale());
        let beside = self.question.beside(&right, levels, first).into_iter();
        let pairs: Vec<(f64, f64)> = beside
            .filter_map(|(other, _)| {
                let (_, own, _) = rows.iter().find(|(row, ..)| row.level == other.level)?;
                Some((own.flips.estimate, estimate(&other.differences, measure, scale)?))
            })
            .collect();
        let smallest = q.standing.locked().and_then(|p| p.smallest).unwrap_or(0.0);
        let sign = guards::sign(&chosen, &pairs, smallest, &self.wording().unit(), digits);
        [guards::ends(&chosen), sign].into_iter().flatten().chain(self.given.clone()).collect()
    }

    /// Adds the verdict about the locked contrast, and that of each row by itself to the row's estimate; the estimates are
    /// the blocks from `at` on. Returns what was judged.
    fn verdict(
        &self,
        rows: &[(&Beside, &Found, f64)],
        levels: &[Vec<String>],
        own: &[Option<&OwnSlopes>],
        at: usize,
        out: &mut Findings,
    ) -> Option<Judged> {
        let locked = self.question.standing.locked()?;
        let (scale, seed) = (self.about.outcome.scale(), self.about.seed);
        let of = |(row, _, p): &(&Beside, &Found, f64)| {
            Evidence::new(&row.what, &row.differences, self.question.measure(), scale, *p, seed)
        };
        let evidence = rows.iter().map(of).collect::<Option<Vec<Evidence>>>()?;
        let (wording, digits) = (self.wording(), usize::from(self.wording().digits()));
        let mut guards = self.guards(rows, levels, digits);
        let (sign, smallest) = (locked.direction.sign(), locked.smallest.unwrap_or(f64::INFINITY));
        let reached = evidence.iter().any(|e| e.says(sign, smallest) == Says::Reached);
        if let [own] = own {
            guards.extend(own.and_then(|own| own.guard(locked.direction, reached)));
        }
        let mut judged = verdict(locked, &evidence, &guards, self.planned, (&wording.unit(), digits));
        if own.len() > 1 {
            diverging(&mut judged, own, locked.direction);
        }
        for (block, e) in out.blocks[at..].iter_mut().zip(&judged.each) {
            if let Body::Estimate(estimate) = &mut block.body {
                estimate.says = Some(e.to_string());
            }
        }
        let (says, mut why) = (judged.says, judged.why.clone());
        if let [Some(own)] = own {
            why.extend(own.sentences());
        }
        why.push(calibrated(&self.question.contrast, self.about.outcome));
        why.extend(self.scope.clone());
        let estimand = match rows {
            [(row, ..)] => wording.estimand(&row.sides),
            _ => format!(
                "{} at one level of {} minus that at the reference",
                wording.measured(),
                self.question.contrast.first()
            ),
        };
        let claim = format!("the {estimand} {}", locked.direction.words());
        let guards: Vec<Value> = guards.iter().map(|g| json!({"name": g.name, "holds": g.holds})).collect();
        out.value("verdict", json!({"says": says, "why": why, "smallest": locked.smallest, "guards": guards}));
        out.verdict(Verdict { evidence: why, ..Verdict::new("Primary", claim, says) })
            .method("reached: the 95 % interval lies beyond 0 in the expected direction, and the estimate is at least the smallest effect of interest; not reached: the 90 % interval lies within the smallest effect of interest, or the 95 % interval on the other side of 0")
            .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::EQUIVALENCE))
            .confirmatory();
        Some(judged)
    }

    /// Writes the contrast of two levels, or a trend.
    fn one(
        &self,
        question: &str,
        levels: &[Vec<String>],
        (row, own): (&Beside, Option<&OwnSlopes>),
        averaged: bool,
        out: &mut Findings,
    ) {
        let (q, about) = (self.question, self.about);
        let Some(c) = &row.found else { return };
        out.say(format!(
            "Primary: {question} {} in {}, of which {} differ",
            plural(c.pairs, "pair"),
            plural(c.flips.n, "group"),
            c.informative
        ));
        let at = out.blocks.len();
        self.estimate(row, c, c.flips.p, averaged, out);
        let judged = self.verdict(&[(row, c, c.flips.p)], levels, &[own], at, out);
        let factors = q.contrast.factors();
        let compared: &[String] = if q.contrast.is_trend() { &levels[0] } else { &row.sides.first };
        let mut value = json!({
            "factor": factors[0], "levels": compared, "outcome": about.outcome, "unit": self.wording().unit(),
            "estimate": c.flips.estimate, "low": c.flips.low, "high": c.flips.high, "level": about.level, "p": c.flips.p,
            "groups": c.flips.n, "informative_groups": c.informative, "pairs": c.pairs,
        });
        if q.contrast.by_turn() && factors.len() == 1 && !q.contrast.is_trend() && about.outcome.is_share() {
            value["points_per_turn"] = json!(c.flips.estimate);
        }
        if q.contrast.is_trend() {
            value["scores"] = json!(scores(&levels[0]));
        }
        if let Some(second) = factors.get(1) {
            value["across"] = json!(second);
        }
        if let Some(own) = own {
            own.add_to(&mut value);
        }
        self.value(value, judged, out);
    }

    /// Writes the value `primary`, with how it stands to the lock.
    fn value(&self, mut value: Value, judged: Option<Judged>, out: &mut Findings) {
        value["contrast"] = json!(self.question.contrast);
        value["status"] = json!(self.question.standing.word());
        if let Some(judged) = judged {
            value["verdict"] = json!(judged.says.to_string());
        }
        out.value("primary", value);
    }

    fn estimate(&self, row: &Beside, c: &Found, p: f64, averaged: bool, out: &mut Findings) {
        let (about, wording) = (self.about, self.wording());
        let e = Estimate::new(row.what.as_str(), wording.unit(), c.flips.estimate);
        let e = e.interval(c.flips.low, c.flips.high, about.level).over(c.flips.n, "group").p(p).null(0.0);
        let method = wording.method(about.turns, about.level, c.exact, averaged);
        self.question.standing.mark(out.add(e.digits(wording.digits())).method(method).citation(cite::SIGN_FLIPS));
    }

    /// Writes the contrasts of several levels with the reference: a table of all, and estimates of the first.
    fn several(
        &self,
        question: &str,
        (first, levels): (&str, &[Vec<String>]),
        (rows, own): (&[Beside], &[Option<OwnSlopes>]),
        averaged: bool,
        out: &mut Findings,
    ) {
        let (q, about, wording) = (self.question, self.about, self.wording());
        let found: Vec<(&Beside, &Found)> = rows.iter().filter_map(|r| Some((r, r.found.as_ref()?))).collect();
        let own = rows.iter().zip(own).filter(|(r, _)| r.found.is_some());
        let own: Vec<Option<&OwnSlopes>> = own.map(|(_, own)| own.as_ref()).collect();
        let adjusted = holm(&found.iter().map(|(_, c)| c.flips.p).collect::<Vec<_>>());
        out.say(format!("Primary: {question} {} are compared with it", plural(found.len(), "level")));
        let at = out.blocks.len();
        for ((row, c), p) in found.iter().zip(&adjusted).take(ESTIMATES) {
            self.estimate(row, c, *p, averaged, out);
        }
        let with_p: Vec<(&Beside, &Found, f64)> = found.iter().zip(&adjusted).map(|((r, c), p)| (*r, *c, *p)).collect();
        let judged = self.verdict(&with_p, levels, &own, at, out);
        let unit = wording.unit();
        let number = |name: &str, f: &dyn Fn(&Found) -> f64| {
            let of = |v: f64| if v.is_finite() { v } else { f64::NAN };
            Column::number(name, found.iter().map(|(_, c)| of(f(c)))).digits(wording.digits())
        };
        let what = format!("{} at each level, minus that at {first}", wording.measured());
        let mut table = Table::new("primary", capital(&what))
            .column(Column::text("level", found.iter().map(|(r, _)| r.level.as_str())))
            .column(Column::count("n", found.iter().map(|(_, c)| c.flips.n as i64)))
            .column(number("difference", &|c| c.flips.estimate).unit(unit.as_str()))
            .column(number("low", &|c| c.flips.low).unit(unit.as_str()))
            .column(number("high", &|c| c.flips.high).unit(unit.as_str()))
            .column(number("p", &|c| c.flips.p).digits(4))
            .column(Column::number("p_holm", adjusted.iter().copied()).title("Holm's p").digits(4));
        if let Some(judged) = &judged {
            table = table.column(Column::text("verdict", judged.each.iter().map(Says::to_string)));
        }
        let groups = found.iter().map(|(_, c)| c.flips.n).max().unwrap_or(0);
        let exact = found.iter().all(|(_, c)| c.exact);
        let method = wording.method(about.turns, about.level, exact, averaged);
        q.standing.mark(
            out.table(table)
                .over(groups, "group")
                .method(format!("{method}; estimates have Holm's p over the levels"))
                .citation(format!("{}; {}", cite::SIGN_FLIPS, cite::HOLM)),
        );
        if found.len() > ESTIMATES {
            out.say("The table `primary` has all levels, the first of which are listed at the end");
        }
        let contrasts = found.iter().zip(&adjusted).zip(&own).map(|(((r, c), p), own)| {
            let mut value = json!({
                "level": r.level, "estimate": c.flips.estimate, "low": c.flips.low, "high": c.flips.high, "p": c.flips.p,
                "p_holm": p, "groups": c.flips.n, "informative_groups": c.informative, "pairs": c.pairs,
            });
            if let Some(own) = own {
                own.add_to(&mut value);
            }
            value
        });
        let value = json!({
            "factor": q.contrast.first(), "reference": first, "outcome": about.outcome, "unit": unit,
            "level": about.level, "contrasts": contrasts.collect::<Vec<Value>>(),
        });
        self.value(value, judged, out);
    }

    /// Writes the estimate's row if the contrast cannot be computed.
    pub fn untold(&self, out: &mut Findings) {
        let wording = self.wording();
        out.ask(wording.untold());
        let what = if self.question.contrast.by_turn() { "difference of slopes" } else { "difference of means" };
        let what = if self.question.contrast.is_trend() { "trend" } else { what };
        let row = out.add(Estimate::untold(what, wording.unit()).says("cannot be told"));
        self.question.standing.mark(row);
    }
}

/// A sentence's beginning.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters.clone()).collect()
}

#[cfg(test)]
mod tests;
