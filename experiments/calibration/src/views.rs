//! A stored run whose answers are replaced by outcomes that nothing in the run causes.
use friction_core::seed::{derive, unit};
use friction_core::{ConversationId, Position, Result, RunReader, Site, TapArray, TurnRow};
use friction_stats::Rng;
use friction_store::StoredRun;

/// Name of a metric that every view has: a number, random for each conversation and turn. Under [`Outcome::Effect`] it
/// changes after interruptions as answers do.
pub const NUMBER: &str = "noise";

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
}

impl Outcome {
    /// The outcome's name in the table.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Own => "own",
            Outcome::Coin => "coin",
            Outcome::Effect => "effect around 0",
            Outcome::Dealt => "dealt",
        }
    }
}

/// A run with an outcome, as the analyzers see it.
pub struct View<'a> {
    run: &'a StoredRun,
    turns: Vec<TurnRow>,
}

impl<'a> View<'a> {
    /// The run's turns under `outcome`. All random numbers depend on the run's seed only.
    pub fn new(run: &'a StoredRun, outcome: Outcome) -> Self {
        let seed = run.seed().to_le_bytes();
        let last = run.turns().iter().map(|t| t.turn).max().unwrap_or(1).max(2);
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
                let interrupted = t.factors.get("completion").is_some_and(|l| l == "interrupt");
                let effect = if outcome == Outcome::Effect && interrupted { own * since } else { 0.0 };
                let noise = Rng::new(derive(&[b"number", &seed, &group, &place])).normal();
                t.metrics.insert(NUMBER.into(), 4.0 * effect + noise);
                match outcome {
                    Outcome::Own => {}
                    Outcome::Coin | Outcome::Dealt => t.score = Some(f64::from(u8::from(coin(b"coin") < 0.5))),
                    Outcome::Effect => t.score = Some(f64::from(u8::from(coin(b"coin") < 0.5 + effect))),
                }
                if outcome == Outcome::Dealt {
                    let swap = unit(&[b"deal", &seed, &group]) < 0.5;
                    let polite = t.factors.remove("tone").is_some_and(|l| l == "polite");
                    t.factors.insert("deal".into(), if polite != swap { "x" } else { "y" }.into());
                    t.removed_tokens = u32::from(coin(b"cut") < 0.5);
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
