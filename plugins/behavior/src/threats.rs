//! Guards against what else a contrast may come of: the scale of the outcome, one topic, or log-odds of letters that are
//! not what is replied. Each repeats the contrast without what threatens it.
//!
//! A sign is compared only where the contrast differs from 0: that of a contrast that does not is a coin's.
use crate::guard::Guarded;
use crate::guards::Guard;
use crate::letters::{Habits, MASS};
use crate::levels::About;
use friction_core::{Outcome, TurnRow, off_letters, plural};
use friction_stats::signed;
use std::collections::{BTreeMap, BTreeSet};

/// Log-odds beyond this many nats say that the model is sure, and not how sure: rounding of logits decides.
const CLIP: f64 = 12.0;

impl Guarded<'_> {
    /// All guards against threats. Those without anything to say are left out.
    pub fn threats(&self) -> Vec<Guard> {
        let differs = self.differing(self.turns);
        [self.mass(), self.scale(&differs), self.saturation(&differs), self.topics(&differs), self.balance()]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Whether a contrast of scores keeps its sign in log-odds: a difference of shares may come of where on the scale the
    /// shares lie (Loftus 1978). `None` where the letters at the answer slot are not what is replied.
    fn scale(&self, differs: &BTreeMap<String, f64>) -> Option<Guard> {
        if *self.about.outcome != Outcome::Score || off_letters(self.turns.iter().copied()).is_some() {
            return None;
        }
        let about = About { outcome: &Outcome::LogOdds, ..*self.about };
        let odds = Guarded { about: &about, ..*self }.estimates(self.turns);
        let pairs = beside(differs, &odds);
        let (unit, digits) = (self.question.wording(&Outcome::LogOdds).unit(), usize::from(Outcome::LogOdds.digits()));
        let told: Vec<String> = pairs.iter().map(|(_, odds)| signed(*odds, digits + 1)).collect();
        let told = format!("scale: in log-odds the contrast is {} {unit}, and its sign must stay", told.join(", "));
        keeps(&pairs).map(|holds| Guard { name: "scale", told, holds })
    }

    fn is_odds(&self) -> bool {
        matches!(self.about.outcome, Outcome::LogOdds | Outcome::LogOddsShifted)
    }

    /// Whether the letters have at least half of the probability in the median turn of each condition: otherwise
    /// log-odds are those of replies that are hardly given (Wang et al. 2024).
    fn mass(&self) -> Option<Guard> {
        let all = Habits::of(self.turns).into_iter().filter_map(|h| Some((h.mass?, h.condition)));
        let (mass, condition) = all.filter(|_| self.is_odds()).min_by(|a, b| a.0.total_cmp(&b.0))?;
        let told = format!(
            "letters have at least {:.0} % of the probability in a condition's median turn (`{condition}`); {:.0} % are needed",
            100.0 * mass,
            100.0 * MASS
        );
        Some(Guard { name: "letter mass", told, holds: mass >= MASS })
    }

    /// Whether a contrast of log-odds keeps its sign where they are clipped, and in ranks: a few turns in which the model
    /// is very sure may not decide.
    fn saturation(&self, differs: &BTreeMap<String, f64>) -> Option<Guard> {
        if !self.is_odds() {
            return None;
        }
        let of = |t: &TurnRow| t.outcome(self.about.outcome);
        let mut sorted: Vec<f64> = self.turns.iter().filter_map(|t| of(t)).collect();
        sorted.sort_by(f64::total_cmp);
        // The mean of the ranks that equal values share, as a share of all.
        let rank = |v: f64| {
            let (below, upto) = (sorted.partition_point(|o| *o < v), sorted.partition_point(|o| *o <= v));
            (below + upto) as f64 / (2 * sorted.len()) as f64
        };
        let clipped = self.estimates_by(self.turns, 1.0, |t| of(t).map(|v| v.clamp(-CLIP, CLIP)));
        let ranks = self.estimates_by(self.turns, 100.0, |t| of(t).map(rank));
        let (clipped, ranks) = (beside(differs, &clipped), beside(differs, &ranks));
        let (unit, digits) =
            (self.question.wording(self.about.outcome).unit(), usize::from(self.about.outcome.digits()));
        let list = |all: &[(f64, f64)]| all.iter().map(|(_, v)| signed(*v, digits)).collect::<Vec<_>>().join(", ");
        let told = format!(
            "saturation: clipped at ±{CLIP} nats the contrast is {} {unit}, in ranks (of 100) {}, and its sign must stay",
            list(&clipped),
            list(&ranks)
        );
        Some(Guard { name: "saturation", told, holds: keeps(&clipped)? && keeps(&ranks)? })
    }

    /// Whether turn and topic can be told apart: a slope with turns is one over topics where each turn asks one topic alone, in
    /// all groups. `None` of contrasts without the turn, and of fewer than two groups, turns or topics.
    fn balance(&self) -> Option<Guard> {
        let mut by: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for t in self.turns.iter() {
            by.entry(t.turn).or_default().insert(&t.topic);
        }
        let all: BTreeSet<&str> = by.values().flatten().copied().collect();
        let groups: BTreeSet<u32> = self.turns.iter().map(|t| t.group).collect();
        let slope = self.question.contrast.by_turn() && groups.len() > 1 && by.len() > 1 && all.len() > 1;
        let counts = by.values().map(BTreeSet::len);
        let (least, most) = (counts.clone().min()?, counts.max()?);
        let told = match most {
            1 => "balance: each turn asks one topic alone, the same in all groups, so a slope with turns may be one of topics: shuffle topics, or choose `[topics] plugin = \"balanced\"`".to_string(),
            _ => format!("balance: over the groups each turn asks {least} to {most} of {}", plural(all.len(), "topic")),
        };
        slope.then_some(Guard { name: "balance", told, holds: most > 1 })
    }

    /// Whether the contrast keeps its sign without any one topic. `None` of fewer than two topics.
    fn topics(&self, differs: &BTreeMap<String, f64>) -> Option<Guard> {
        let topics: BTreeSet<&str> = self.turns.iter().map(|t| t.topic.as_str()).collect();
        if topics.len() < 2 || differs.is_empty() {
            return None;
        }
        // By how much the estimate moves towards 0 and beyond, as a share of it: the topic that matters most.
        let mut most: Option<(f64, &str, f64)> = None;
        for topic in &topics {
            let left: Vec<&TurnRow> = self.turns.iter().copied().filter(|t| t.topic != **topic).collect();
            for (whole, without) in beside(differs, &self.estimates(&left)) {
                let share = without / whole;
                if most.is_none_or(|(least, ..)| share < least) {
                    most = Some((share, topic, without));
                }
            }
        }
        let (share, topic, without) = most?;
        let wording = self.question.wording(self.about.outcome);
        let told = format!(
            "topics: without `{topic}`, the one of {} that matters most, the contrast is {} {}, and its sign must stay",
            plural(topics.len(), "topic"),
            signed(without, usize::from(wording.digits())),
            wording.unit()
        );
        Some(Guard { name: "topics", told, holds: share > 0.0 })
    }
}

/// Contrasts that differ from 0, each with what it is otherwise.
fn beside(differs: &BTreeMap<String, f64>, other: &BTreeMap<String, f64>) -> Vec<(f64, f64)> {
    differs.iter().filter_map(|(what, own)| Some((*own, *other.get(what)?))).collect()
}

/// Whether all keep their sign. `None` of none.
fn keeps(pairs: &[(f64, f64)]) -> Option<bool> {
    (!pairs.is_empty()).then(|| pairs.iter().all(|(own, other)| own * other > 0.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::question::{Locked, Question, Reading};
    use friction_core::ComparedTurns;

    /// A turn whose right letter, B of two, has these log-odds, and whose letters have this probability together.
    fn row(group: u32, completion: &str, turn: u32, odds: f64, mass: f64) -> TurnRow {
        let log = |odds: f64| (mass.ln() - (-odds).exp().ln_1p()) as f32;
        TurnRow {
            group,
            condition: completion.into(),
            factors: [("completion".to_string(), completion.to_string())].into(),
            topic: format!("topic {turn}"),
            turn,
            choices: 2,
            target: Some("B".into()),
            answer: Some(if odds > 0.0 { "B" } else { "A" }.into()),
            score: Some(f64::from(odds > 0.0)),
            choice_logprobs: vec![log(-odds), log(odds)],
            ..TurnRow::default()
        }
    }

    /// Log-odds of interrupted and complete conversations by group and turn.
    fn study(odds: impl Fn(u32, u32) -> [f64; 2], mass: f64) -> Vec<TurnRow> {
        let turn = |g, t| {
            let [cut, whole] = odds(g, t);
            [row(g, "interrupt", t, cut, mass), row(g, "complete", t, whole, mass)]
        };
        (0..10).flat_map(|g| (1..=4).flat_map(move |t| [(g, t)])).flat_map(|(g, t)| turn(g, t)).collect()
    }

    fn told(rows: &[TurnRow], outcome: &Outcome) -> Vec<Guard> {
        let turns: Vec<&TurnRow> = rows.iter().collect();
        let about = About { outcome, reference: None, level: 0.95, seed: 5, turns: "all turns" };
        let read = Reading { outcome, first_turn: 1, turns: ComparedTurns::All };
        let question =
            Question::new(Some("completion".parse().unwrap()), None, Locked::default(), read, &turns).unwrap();
        Guarded { question: &question, turns: &turns, about: &about, discovery: 0.5, last: false }.threats()
    }

    fn one(rows: &[TurnRow], outcome: &Outcome, name: &str) -> Option<Guard> {
        told(rows, outcome).into_iter().find(|g| g.name == name)
    }

    #[test]
    fn the_scale_must_not_turn_the_contrast() {
        let rows = study(|_, t| [f64::from(t) - 3.5, f64::from(t) - 1.5], 0.95);
        let kept = one(&rows, &Outcome::Score, "scale").unwrap();
        assert!(kept.holds && kept.told.contains("-2.00"), "{kept:?}");
        // Replies that are wrong where the slot is surer.
        let wrong = |t: &TurnRow| f64::from(t.condition != "complete");
        let turned: Vec<TurnRow> = rows.iter().map(|t| TurnRow { score: Some(wrong(t)), ..t.clone() }).collect();
        assert!(!one(&turned, &Outcome::Score, "scale").unwrap().holds);
        // Nothing differs, or the letters are not what is replied.
        let same: Vec<TurnRow> = rows.iter().map(|t| TurnRow { score: Some(1.0), ..t.clone() }).collect();
        assert!(told(&same, &Outcome::Score).is_empty());
        let off = study(|_, t| [f64::from(t) - 3.5, f64::from(t) - 1.5], 0.2);
        assert!(one(&off, &Outcome::Score, "scale").is_none());
    }

    #[test]
    fn a_slope_with_turns_needs_topics_that_are_not_the_turn() {
        let balance = |rows: &[TurnRow], contrast: &str| {
            let turns: Vec<&TurnRow> = rows.iter().collect();
            let about = About { outcome: &Outcome::Score, reference: None, level: 0.95, seed: 5, turns: "all turns" };
            let read = Reading { outcome: &Outcome::Score, first_turn: 1, turns: ComparedTurns::All };
            let question =
                Question::new(Some(contrast.parse().unwrap()), None, Locked::default(), read, &turns).unwrap();
            Guarded { question: &question, turns: &turns, about: &about, discovery: 0.5, last: false }.balance()
        };
        let mut rows = study(|_, t| [f64::from(t) - 3.5, f64::from(t) - 1.5], 0.95);
        let fails = balance(&rows, "completion × turn").unwrap();
        assert!(!fails.holds && fails.told.contains("one topic alone"), "{fails:?}");
        assert!(balance(&rows, "completion").is_none());
        for t in &mut rows {
            t.topic = format!("topic {}", (t.turn + t.group) % 4);
        }
        let holds = balance(&rows, "completion × turn").unwrap();
        // Ten groups, four topics.
        assert!(holds.holds && holds.told.contains("each turn asks 4 to 4 of 4 topics"), "{holds:?}");
        rows.iter_mut().for_each(|t| t.topic = "one".into());
        assert!(balance(&rows, "completion × turn").is_none());
    }

    #[test]
    fn one_topic_must_not_make_the_contrast() {
        let all = study(|_, t| [f64::from(t) - 3.5, f64::from(t) - 1.5], 0.95);
        let kept = one(&all, &Outcome::LogOdds, "topics").unwrap();
        assert!(kept.holds && kept.told.contains("4 topics"), "{kept:?}");
        // Three topics say the opposite of the fourth: -4 · 1 + 1 · 3 = -1, and +3 without it.
        let single = study(|_, t| if t == 2 { [-2.0, 2.0] } else { [1.0, 0.0] }, 0.95);
        let lost = one(&single, &Outcome::LogOdds, "topics").unwrap();
        assert!(!lost.holds && lost.told.contains("without `topic 2`") && lost.told.contains("+1.0"), "{lost:?}");
    }

    #[test]
    fn sure_answers_and_silent_letters_are_told() {
        // One turn of four is far beyond what logits tell; the others say the opposite.
        let sure = study(|_, t| if t == 1 { [-4.0, 40.0] } else { [6.0, 0.0] }, 0.95);
        let lost = one(&sure, &Outcome::LogOdds, "saturation").unwrap();
        // (-4 - 12 + 18) / 4 = 0.5 where the contrast was (-44 + 18) / 4.
        assert!(!lost.holds && lost.told.contains("is +0.5"), "{lost:?}");
        let plain = study(|_, t| [f64::from(t) - 3.5, f64::from(t) - 1.5], 0.95);
        assert!(told(&plain, &Outcome::LogOdds).iter().all(|g| g.holds));
        assert!(
            one(&plain, &Outcome::Score, "saturation").is_none()
                && one(&plain, &Outcome::Score, "letter mass").is_none()
        );
        let silent = study(|_, _| [-1.0, 1.0], 0.3);
        let low = one(&silent, &Outcome::LogOdds, "letter mass").unwrap();
        assert!(!low.holds && low.told.contains("30 %"), "{low:?}");
    }
}
