//! The planner's table that `friction check` prints: conditions with their arms and messages, the balance of topics, the
//! smallest effect that the study could see, and the time that it takes.
use crate::bench::kept::{self, Key, Time, Work};
use crate::power::{BASE, POWER, assumptions, question};
use crate::print::plain;
use crate::progress::span;
use crate::table::{lines, paragraph};
use friction_core::manifest::Manifest;
use friction_core::{Column, Table, plural};
use friction_stats::percent;
use friction_stats::power::{Design, LEAST};
use friction_study::lists::Reuse;
use friction_study::{MessageLengths, Plan, TopicBalance};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Accuracies nearer to guessing than this cannot fall far.
const ABOVE: f64 = 0.05;
/// Columns of a line's label.
const LABEL: usize = 17;

/// What the planner knows of a study.
pub(crate) struct Planner<'a> {
    plan: &'a Plan,
    messages: MessageLengths,
    topics: TopicBalance,
    /// The contrast and the smallest effect that it could see, if any; or why there is no contrast.
    sees: Result<(question::Question, Option<f64>), String>,
    /// How long a run takes; `None` where nothing was measured.
    time: Result<Option<Time>, String>,
}

impl<'a> Planner<'a> {
    /// `base` is the accuracy that is assumed; `here` says whether the study's device is.
    pub fn new(plan: &'a Plan, base: Option<f64>, here: bool) -> crate::error::Result<Self> {
        let chance = plan.chance()?;
        let base = base.unwrap_or_else(|| assumed(chance));
        Ok(Self {
            messages: plan.message_lengths()?,
            topics: plan.topic_balance(),
            sees: sees(plan, base),
            time: if here { time(plan) } else { Ok(None) },
            plan,
        })
    }
}

/// The accuracy that is assumed where none is given: 0.32, or halfway between guessing and 1 where guessing is no worse.
fn assumed(chance: Option<f64>) -> f64 {
    match chance {
        Some(chance) if chance + ABOVE > BASE => (1.0 + chance) / 2.0,
        _ => BASE,
    }
}

fn sees(plan: &Plan, base: f64) -> Result<(question::Question, Option<f64>), String> {
    let m = &plan.manifest;
    let mut q = question::of_manifest(m, plan.turns)?;
    q.design = Design { base, ..q.design };
    let smallest = q.design.smallest(m.study.groups, POWER).map_err(|e| e.to_string())?;
    Ok((q, smallest))
}

fn word(of: &impl std::fmt::Debug) -> String {
    format!("{of:?}").to_lowercase()
}

/// The words of the manifest for dtype, quantisation and backend.
fn words(m: &Manifest) -> [String; 3] {
    [word(&m.model.dtype), word(&m.model.quantize), word(&m.backend.kind)]
}

fn time(plan: &Plan) -> Result<Option<Time>, String> {
    let [dtype, quantize, backend] = words(&plan.manifest);
    let rows =
        kept::read(&Key::new(&plan.checkpoint.arch, [&dtype, &quantize, &backend], plan.manifest.backend.device))?;
    let e = &plan.estimate;
    // Messages were counted once a condition; arms and samples repeat them.
    let each = plan.members.len() as f64 / plan.conditions.len().max(1) as f64;
    let work = Work {
        conversations: e.conversations,
        slots: e.slots,
        replies: e.reply_tokens as f64,
        prompts: e.user_tokens as f64 * each,
    };
    Ok(Time::of(&rows, &work))
}

/// The command that measures what a time needs.
fn measure(plan: &Plan) -> String {
    let m = &plan.manifest;
    let [dtype, quantize, backend] = words(m);
    let mut out =
        format!("{} bench --model {} --backend {backend} --dtype {dtype}", crate::print::program(), m.model.source);
    if quantize != "none" {
        out.push_str(&format!(" --quantize {quantize}"));
    }
    match plan.estimate.slots {
        Some(1) => out.push_str(" --batch 1"),
        Some(n) => out.push_str(&format!(" --batch 1,{n}")),
        None => out.push_str(" --batch 1,64"),
    }
    out
}

impl Planner<'_> {
    /// The lines of the design: a table of conditions, and what is balanced in it.
    pub fn design(&self, width: usize) -> Vec<String> {
        let study = &self.plan.manifest.study;
        let mut out = self.heading(width);
        out.extend(lines(&self.table(), width.saturating_sub(2)).iter().map(|line| format!("  {line}")));
        if let Some(text) = self.lengths() {
            out.extend(labelled("messages", &text, width));
        }
        if let Some(text) = self.balance() {
            let places = if self.topics.groups < study.groups {
                format!("{text}; counted in the first {}", plural(self.topics.groups, "group"))
            } else {
                text
            };
            out.extend(labelled("topics", &places, width));
        }
        out.extend(labelled("items", &items(self.plan.lists.reuse()), width));
        out
    }

    fn heading(&self, width: usize) -> Vec<String> {
        let (plan, study) = (self.plan, &self.plan.manifest.study);
        let arms = if plan.arms.len() > 1 { format!(" × {}", plural(plan.arms.len(), "arm")) } else { String::new() };
        let samples =
            if study.samples > 1 { format!(" × {}", plural(study.samples, "sample")) } else { String::new() };
        let text = format!(
            "{}{arms}{samples} × {} × {}",
            plural(plan.conditions.len(), "condition"),
            plural(study.groups, "group"),
            plural(plan.turns, "turn")
        );
        labelled("design", &text, width)
    }

    /// The arms in which a condition runs.
    fn arms(&self, condition: usize) -> usize {
        let of = self.plan.members.iter().filter(|m| m.condition == condition);
        of.map(|m| m.arm).collect::<BTreeSet<_>>().len()
    }

    fn conversations(&self, condition: usize) -> usize {
        self.plan.members.iter().filter(|m| m.condition == condition).count() * self.plan.manifest.study.groups
    }

    fn table(&self) -> Table {
        let conditions = &self.plan.conditions;
        let n = 0..conditions.len();
        let count = |of: &dyn Fn(usize) -> usize| n.clone().map(|i| of(i) as i64).collect::<Vec<_>>();
        let mut table =
            Table::new("design", "").column(Column::text("condition", conditions.iter().map(|c| c.name.clone())));
        let factors = conditions.first().map(|c| c.factors.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
        for factor in factors {
            let level = |i: usize| conditions[i].factors.get(&factor).cloned().unwrap_or_default();
            table = table.column(Column::text(factor.clone(), n.clone().map(level)).title(factor));
        }
        let measured = &self.messages.conditions;
        if self.plan.arms.len() > 1 {
            table = table.column(Column::count("arms", count(&|i| self.arms(i))));
        }
        table = table
            .column(Column::count("conversations", count(&|i| self.conversations(i))))
            .column(Column::count("turns", measured.iter().map(|m| m.turns as i64)))
            .column(Column::number("first", measured.iter().map(|m| m.first)).title("tokens, turn 1").digits(1));
        if measured.iter().any(|m| m.later.is_some()) {
            let later = measured.iter().map(|m| m.later.unwrap_or(f64::NAN));
            table = table.column(Column::number("later", later).digits(1));
        }
        table
    }

    /// How much the lengths of messages differ between cells.
    fn lengths(&self) -> Option<String> {
        let m = &self.messages;
        let told = |apart: Option<friction_study::planner::Apart>, when: &str| {
            let a = apart?;
            Some(match a.tokens < 0.05 {
                true => format!("equal in all conditions {when}"),
                false => {
                    format!("up to {:.1} tokens apart {when} (`{}` over `{}`)", a.tokens, a.longer, a.shorter)
                }
            })
        };
        let both = [told(m.later(), "after turn 1"), told(m.first(), "at turn 1")];
        let both: Vec<String> = both.into_iter().flatten().collect();
        let measured = plural(m.groups, "group");
        (!both.is_empty()).then(|| format!("mean lengths in {measured}: {}", both.join("; ")))
    }

    /// How topics are spread over turns; `None` with one category.
    fn balance(&self) -> Option<String> {
        let t = &self.topics;
        let asked: Vec<_> = t.asked().collect();
        if t.topics.len() < 2 || asked.is_empty() {
            return None;
        }
        let least = asked.iter().map(|t| t.least).min().unwrap_or(0);
        let most = asked.iter().map(|t| t.most).max().unwrap_or(0);
        let place = |f: fn(f64, f64) -> f64| asked.iter().map(|t| t.place).reduce(f).unwrap_or(f64::NAN);
        let (early, late) = (place(f64::min), place(f64::max));
        let even = t.groups as f64 / asked.len() as f64;
        let names = match t.topics.len() - asked.len() {
            0 => plural(asked.len(), "topic"),
            never => format!("{} ({never} never asked)", plural(asked.len(), "topic")),
        };
        let repeats = match t.repeats {
            0 => String::new(),
            n => format!(", twice running {}", plural(n, "time")),
        };
        Some(format!(
            "{names}, each at each place {least} to {most} times ({even:.1} if even), at place {early:.1} to {late:.1} on average ({:.1} if even); {} in {}{repeats}",
            (t.places as f64 + 1.0) / 2.0,
            plural(t.orders, "order"),
            plural(t.groups, "group")
        ))
    }

    /// The line of the smallest effect.
    pub fn effect(&self, manifest: &str, width: usize) -> Vec<String> {
        let groups = plural(self.plan.manifest.study.groups, "group");
        let text = match &self.sees {
            Err(why) => format!("no smallest effect can be told: {why}"),
            Ok((q, None)) if self.plan.manifest.study.groups < LEAST => {
                format!("{groups} can see no effect on {}: a verdict takes {LEAST}", q.words)
            }
            Ok((q, None)) => format!(
                "{groups} can see no effect on {} with {} power that the assumed accuracy leaves room for; assumed: {}; otherwise: {} power {manifest} --base SHARE",
                q.words,
                percent(POWER),
                assumptions(&q.design),
                crate::print::program()
            ),
            Ok((q, Some(e))) => format!(
                "{groups} see {e:.2} {} on {} ({}) with {} power; assumed: {}; otherwise: {} power {manifest}",
                q.design.unit(),
                q.words,
                q.levels,
                percent(POWER),
                assumptions(&q.design),
                crate::print::program()
            ),
        };
        labelled("effect", &text, width)
    }

    /// The line of the time.
    pub fn time(&self, width: usize) -> Vec<String> {
        let text = match &self.time {
            Ok(Some(t)) => format!(
                "at most {}: {} of decoding, {} at once, and {} of prompts, as steps took at {} of context",
                span(t.seconds()),
                span(t.decode_seconds),
                t.batch,
                span(t.prompt_seconds),
                plural(t.context, "token")
            ),
            Ok(None) => format!("to get a time, measure this device: {}", measure(self.plan)),
            Err(why) => format!("what was measured of this device cannot be read: {why}: {}", measure(self.plan)),
        };
        labelled("time", &text, width)
    }

    /// The same numbers for programs.
    pub fn json(&self) -> Value {
        let plan = self.plan;
        let conditions = plan.conditions.iter().enumerate().zip(&self.messages.conditions).map(|((i, c), m)| {
            json!({
                "name": c.name,
                "factors": c.factors,
                "arms": self.arms(i),
                "samples": plan.manifest.study.samples,
                "conversations": self.conversations(i),
                "turns": m.turns,
                "tokens_first": m.first,
                "tokens_later": m.later,
            })
        });
        let m = &self.messages;
        let effect = match &self.sees {
            Err(why) => json!({"smallest": null, "why": why}),
            Ok((q, smallest)) => json!({
                "smallest": smallest,
                "unit": q.design.unit(),
                "contrast": q.words,
                "levels": q.levels,
                "pairs": q.pairs,
                "comparisons": q.comparisons,
                "turns": [q.design.turns.0, q.design.turns.1],
                "power": POWER,
                "alpha": q.design.alpha,
                "base": q.design.base,
                "correlation": q.design.correlation,
            }),
        };
        let time = match &self.time {
            Ok(time) => json!(time),
            Err(why) => json!({"why": why}),
        };
        json!({
            "conditions": conditions.collect::<Vec<_>>(),
            "groups": plan.manifest.study.groups,
            "messages": {"groups": m.groups, "apart_first": m.first(), "apart_later": m.later()},
            "topics": self.topics,
            "items": plan.lists.reuse(),
            "effect": effect,
            "time": time,
        })
    }
}

/// How many items are asked, and how many of them by more than one group.
fn items(r: Reuse) -> String {
    let all = plural(r.asked, "item");
    match r.reused {
        0 => format!("{all}, each asked by one group"),
        _ if r.least == r.most => format!("{all}, each asked by {}", plural(r.most, "group")),
        n => format!("{all}, {n} of them asked by more than one group, and by up to {}", plural(r.most, "group")),
    }
}

/// A labelled text, broken into lines that stand below each other.
pub(crate) fn labelled(label: &str, text: &str, width: usize) -> Vec<String> {
    let broken = paragraph(&plain(text), width.saturating_sub(LABEL));
    let line = |(i, line): (usize, &String)| {
        let label = if i == 0 { label } else { "" };
        format!("  {label:<14} {}", line.trim_start())
    };
    broken.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accuracy_at_chance_is_not_assumed() {
        assert_eq!(assumed(None), 0.32);
        assert_eq!((assumed(Some(0.1)), assumed(Some(0.25))), (0.32, 0.32));
        assert_eq!((assumed(Some(0.5)), assumed(Some(1.0 / 3.0))), (0.75, 2.0 / 3.0));
    }

    #[test]
    fn items_that_groups_share_are_told() {
        assert_eq!(items(Reuse { asked: 9, reused: 0, least: 1, most: 1 }), "9 items, each asked by one group");
        assert_eq!(items(Reuse { asked: 9, reused: 9, least: 2, most: 2 }), "9 items, each asked by 2 groups");
        let told = items(Reuse { asked: 9, reused: 4, least: 1, most: 3 });
        assert_eq!(told, "9 items, 4 of them asked by more than one group, and by up to 3 groups");
    }

    #[test]
    fn long_texts_stand_under_their_label() {
        let got = labelled("topics", "one two three four", 26);
        assert_eq!(got, ["  topics         one two", "                 three", "                 four"]);
    }
}
