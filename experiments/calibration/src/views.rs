//! A stored run whose answers are replaced by outcomes that nothing in the run causes.
use crate::made;
use friction_core::seed::{derive, permutation, unit};
use friction_core::{ConversationId, Item, Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_stats::Rng;
use friction_store::StoredRun;

/// Name of a metric that every view has: a number, random for each conversation and turn. Under [`Outcome::Effect`] it
/// changes after interruptions as answers do.
pub const NUMBER: &str = "noise";

/// How much the chance of a right answer rises or falls between turn 2 and the last, where the effect is exactly the smallest
/// of interest.
pub const CHANGE: f64 = 0.24;
/// How much it falls with each level of `rank`, there.
pub const STEP: f64 = 0.08;
/// How much an effect varies: in half of the groups, drawn at random, it is larger by this share, in the others smaller.
const VARIES: f64 = 0.5;

/// What is used as a run's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The organism's own answers, right or wrong by the question's difficulty.
    Own,
    /// Random for each conversation and turn.
    Coin,
    /// Random, with a chance of a right answer after interruptions that changes with turns. The change varies by group
    /// around 0 and is shared by all pairs of a group.
    Effect,
    /// Random answers and random labels: the factor `deal` is assigned to a group's tones at random, and whether a
    /// reply counts as cut is random. The activations contain neither.
    Dealt,
    /// Random answers. In place of all factors there is one, `rank`, whose four levels are dealt to a group's conditions.
    Ranked,
    /// Random answers with a chance that falls by [`CHANGE`] after interruptions and rises by it without.
    Slope,
    /// As `Slope` in polite conversations, and the other way round in blunt ones.
    Crossed,
    /// As `Ranked`, with a chance that falls by [`STEP`] with each level.
    Trend,
    /// The organism's own answers; what patches did is made up ([`made`]).
    Made,
}

impl Outcome {
    /// The outcome's name in the table.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Own => "own",
            Outcome::Coin => "coin",
            Outcome::Effect => "effect around 0",
            Outcome::Dealt => "dealt",
            Outcome::Ranked => "ranks dealt",
            Outcome::Slope | Outcome::Crossed | Outcome::Trend => "smallest effect",
            Outcome::Made => "made readings",
        }
    }

    /// Whether the effect is the smallest of interest; without one it is 0.
    pub fn has_effect(self) -> bool {
        matches!(self, Outcome::Slope | Outcome::Crossed | Outcome::Trend)
    }
}

/// Gives a turn the right answer or, if `right` is false, a wrong one, which `draw` (from 0 to below 1) chooses: its score, its
/// letter, and the letters' log-probabilities, of which the largest goes to that letter.
fn answer(t: &mut TurnRow, right: bool, draw: f64) {
    t.score = Some(f64::from(u8::from(right)));
    let n = t.choices as usize;
    let Some(target) = t.target_choice().filter(|_| n > 1) else { return };
    let letter = if right { target } else { (target + 1 + (draw * (n - 1) as f64) as usize) % n };
    t.answer = Some(Item::letter(letter).to_string());
    let best = t.choice_logprobs.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(l, _)| l);
    if let Some(best) = best.filter(|_| t.choice_logprobs.len() == n) {
        t.choice_logprobs.swap(best, letter);
    }
}

/// A run with an outcome, as the analyzers see it.
pub struct View<'a> {
    run: &'a StoredRun,
    turns: Vec<TurnRow>,
}

impl<'a> View<'a> {
    /// The run's turns under `outcome`. All random numbers depend on the run's seed and on `draw`, which counts from 0.
    pub fn new(run: &'a StoredRun, outcome: Outcome, draw: u64) -> Self {
        let seed = match draw {
            0 => run.seed(),
            _ => derive(&[&run.seed().to_le_bytes(), &draw.to_le_bytes()]),
        };
        let seed = seed.to_le_bytes();
        let last = run.turns().iter().map(|t| t.turn).max().unwrap_or(1).max(2);
        let mut conditions: Vec<&str> = vec![];
        for t in run.turns() {
            if !conditions.contains(&t.condition.as_str()) {
                conditions.push(&t.condition);
            }
        }
        let turns = run
            .turns()
            .iter()
            .map(|t| {
                let mut t = t.clone();
                let group = t.group.to_le_bytes();
                let mut place = [t.condition.as_bytes(), b"/", t.arm.as_bytes(), b"/", &t.turn.to_le_bytes()].concat();
                if t.sample > 0 {
                    place.extend(t.sample.to_le_bytes());
                }
                let coin = |what: &[u8]| unit(&[what, &seed, &group, &place]);
                let own = 0.25 * Rng::new(derive(&[b"effect", &seed, &group])).normal();
                let since = f64::from(t.turn - 1) / f64::from(last - 1);
                let has = |factor: &str, level: &str| t.factors.get(factor).is_some_and(|l| l == level);
                let (interrupted, polite) = (has("completion", "interrupt"), has("tone", "polite"));
                let effect = if outcome == Outcome::Effect && interrupted { own * since } else { 0.0 };
                let noise = Rng::new(derive(&[b"number", &seed, &group, &place])).normal();
                t.metrics.insert(NUMBER.into(), 4.0 * effect + noise);
                let size = if unit(&[b"size", &seed, &group]) < 0.5 { 1.0 - VARIES } else { 1.0 + VARIES };
                let falls = |by: bool| if by { -size } else { size };
                // From −0.5 in turn 2 to 0.5 in the last one.
                let course = f64::from(t.turn.max(2) - 2) / f64::from(last.max(3) - 2) - 0.5;
                let deal = derive(&[b"rank", &seed, &group]);
                let at = conditions.iter().position(|c| *c == t.condition).unwrap_or(0);
                let rank = permutation(conditions.len(), deal).get(at).copied().unwrap_or(0);
                let chance = match outcome {
                    Outcome::Own | Outcome::Made => None,
                    Outcome::Coin | Outcome::Dealt | Outcome::Ranked => Some(0.5),
                    Outcome::Effect => Some(0.5 + effect),
                    Outcome::Slope => Some(0.5 + CHANGE * falls(interrupted) * course),
                    Outcome::Crossed => Some(0.5 + CHANGE * falls(interrupted == polite) * course),
                    Outcome::Trend => Some(0.5 - STEP * size * (rank as f64 - (conditions.len() - 1) as f64 / 2.0)),
                };
                if let Some(chance) = chance {
                    answer(&mut t, coin(b"coin") < chance, coin(b"letter"));
                }
                // At the temperature of these studies a tenth or more of the replies meet the limit of their length. No verdict
                // could then err, since a guard asks for 5 %.
                t.finish_reason = "stop".into();
                // Until it is dealt, `deal` is another name of the tone.
                t.factors.remove("deal");
                match outcome {
                    Outcome::Dealt => {
                        let swap = unit(&[b"deal", &seed, &group]) < 0.5;
                        t.factors.remove("tone");
                        t.factors.insert("deal".into(), if polite != swap { "x" } else { "y" }.into());
                        t.removed_tokens = u32::from(coin(b"cut") < 0.5);
                    }
                    Outcome::Ranked | Outcome::Trend => {
                        t.factors = [("rank".to_string(), (rank + 1).to_string())].into();
                    }
                    Outcome::Made => made::replace(&mut t, &seed),
                    _ => {}
                }
                t
            })
            .collect();
        Self { run, turns }
    }
}

impl RunReader for View<'_> {
    fn name(&self) -> &str {
        self.run.name()
    }
    fn seed(&self) -> u64 {
        self.run.seed()
    }
    fn turns(&self) -> &[TurnRow] {
        &self.turns
    }
    fn tap(&self, conversation: ConversationId, site: Site, position: Position) -> Result<Option<TapArray>> {
        self.run.tap(conversation, site, position)
    }
    fn findings(&self, _: &str) -> Option<serde_json::Value> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_letter_and_the_largest_log_probability() {
        let t = TurnRow {
            choices: 3,
            target: Some("B".into()),
            choice_logprobs: vec![-0.1, -3.0, -4.0],
            answer: None,
            ..TurnRow::default()
        };
        for (right, draw, letter, logprobs) in [
            (true, 0.0, "B", [-3.0, -0.1, -4.0]),
            (false, 0.0, "C", [-4.0, -3.0, -0.1]),
            (false, 0.99, "A", [-0.1, -3.0, -4.0]),
        ] {
            let mut t = t.clone();
            answer(&mut t, right, draw);
            assert_eq!((t.answer.as_deref(), &t.choice_logprobs[..]), (Some(letter), &logprobs[..]));
            assert_eq!(t.score, Some(f64::from(u8::from(right))));
        }
    }
}
