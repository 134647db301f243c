//! The option `keep`: what the history keeps of a reply, and in which turns it does not keep it as it was.
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{BuildContext, Error, Kept, Reply, Result, TurnContext, seed};
use serde::Deserialize;

/// How much of a reply the history keeps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keep {
    /// Length that a longer reply is cut to in the history, in tokens. It must be below `generation.max_new_tokens`, or no
    /// reply would ever be cut. Leave it out to keep each reply whole and write `marker` behind it: what a marker does by
    /// itself.
    #[serde(default)]
    pub tokens: Option<usize>,
    /// Text that is written directly behind the last word of a cut reply, such as `"..."`; without `tokens`, of each reply.
    #[serde(default)]
    pub marker: String,
    /// Share of turns whose reply is cut; the others keep theirs whole. Which turns is drawn by seed, group and turn, alike
    /// in all conditions. Set it below 1 to tell the number of interruptions so far from the number of the turn.
    #[serde(default = "always")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    pub share: f64,
    /// Which turns' replies are cut, where `share` does not say enough: the same number in every group, or exactly those
    /// that another condition keeps whole.
    #[serde(default)]
    pub schedule: Option<Schedule>,
}
fn always() -> f64 {
    1.0
}

/// In which turns replies are cut.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Schedule {
    /// Share of turns whose reply is cut. Which turns is drawn by seed, group and turn, alike in all conditions that have
    /// the same `share` and `exactly`.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    share: f64,
    /// Whether each group has the same number of cuts: `share` of the turns before the last, rounded. Otherwise each turn is
    /// drawn by itself, and the numbers differ by chance.
    #[serde(default)]
    exactly: bool,
    /// Whether the turns are those that the schedule leaves out. Of two conditions with the same schedule, one with
    /// `complement = true`, each reply is cut in exactly one: at every turn one has an interruption behind it and the other
    /// has none, so that the number so far and the number of the turn can be told apart.
    #[serde(default)]
    complement: bool,
}

impl Schedule {
    /// Whether the reply of a turn is cut.
    fn cuts(&self, cx: &TurnContext) -> bool {
        self.drawn(cx) != self.complement
    }

    fn drawn(&self, cx: &TurnContext) -> bool {
        if !self.exactly {
            return roll(cx) < self.share;
        }
        // The last turn's reply goes into no history.
        let turns = cx.turns.saturating_sub(1);
        let number = (self.share * turns as f64).round() as usize;
        let parts = [cx.seed, cx.group as u64].map(u64::to_le_bytes);
        let order = seed::permutation(turns, seed::derive(&[b"schedule", &parts[0], &parts[1]]));
        order.iter().take(number).any(|turn| turn + 1 == cx.turn)
    }
}

/// A number of a turn from 0 to 1, which decides whether its reply is cut. It is the same in all conditions.
fn roll(cx: &TurnContext) -> f64 {
    let parts = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
    seed::unit(&[b"cut", &parts[0], &parts[1], &parts[2]])
}

impl Keep {
    /// What is wrong whatever the study.
    pub fn check(&self, faults: &mut Faults) {
        let range = "`share` must be above 0 and at most 1; leave `keep` out where no reply is to be cut";
        faults.when(!(self.share > 0.0 && self.share <= 1.0), "keep.share", range);
        if let Some(s) = &self.schedule {
            let range = "`share` of a schedule must be above 0 and below 1: cut in all turns without a schedule";
            faults.when(!(s.share > 0.0 && s.share < 1.0), "keep.schedule.share", range);
            let both = "`share` does nothing beside `schedule`, which has a share of its own";
            faults.when(self.share < 1.0, "keep.share", both);
        }
        match self.tokens {
            Some(0) if self.marker.is_empty() => {
                faults.add(Error::at(
                    "keep.tokens",
                    "`tokens = 0` without a marker would leave an empty reply in the history",
                ));
            }
            None if self.marker.is_empty() => {
                let what = "`keep` says neither `tokens` to cut replies to nor a `marker` to write behind them: it does nothing";
                faults.add(Error::at("keep", what));
            }
            _ => {}
        }
    }

    /// What does nothing in this study.
    pub fn used(&self, cx: &BuildContext, replay: bool, faults: &mut Faults) {
        let (Some(study), Some(generation)) = (&cx.study, &cx.generation) else { return };
        let last = "`keep` does nothing in a study of 1 turn: the last turn's reply goes into no history";
        faults.when(study.turns == Some(1), "keep", last);
        let most = generation.max_new_tokens;
        if let Some(tokens) = self.tokens.filter(|tokens| *tokens >= most && !replay) {
            let what = format!("`tokens` is {tokens}, but a reply has at most {most} tokens: none would ever be cut");
            faults.add(Error::at("keep.tokens", what).help("lower it, or raise `generation.max_new_tokens`"));
        }
        if let (Some(s), Some(turns)) = (self.schedule.as_ref().filter(|s| s.exactly), study.turns)
            && turns > 1
        {
            let (all, number) = (turns - 1, (s.share * (turns - 1) as f64).round() as usize);
            if number == 0 || number == all {
                let what = format!(
                    "of {all} replies before the last turn a share of {} is {number}: nothing is left to draw",
                    s.share
                );
                faults.add(Error::at("keep.schedule.share", what).help("set another share, or raise `study.turns`"));
            }
        }
    }

    /// Names of the schedule that it follows, and of the one whose complement it follows.
    pub fn schedules(&self) -> (Option<String>, Option<String>) {
        let Some(s) = &self.schedule else { return (None, None) };
        let name = Some(format!("cuts of {}{}", s.share, if s.exactly { ", exactly" } else { "" }));
        if s.complement { (None, name) } else { (name, None) }
    }

    /// What the history keeps of a reply.
    pub fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let longer = self.tokens.is_none_or(|tokens| reply.ids.len() > tokens);
        let drawn = || match &self.schedule {
            Some(schedule) => schedule.cuts(cx),
            None => self.share >= 1.0 || roll(cx) < self.share,
        };
        if !longer || !drawn() {
            return Ok(Kept::whole(reply));
        }
        let Some(tokens) = self.tokens else {
            return Ok(Kept { text: format!("{}{}", reply.text.trim_end(), self.marker), removed_tokens: 0 });
        };
        // If the cut falls inside a character of several tokens, the character is removed whole.
        let ids = &reply.ids[..reply.codec.whole(&reply.ids[..tokens])?];
        let text = format!("{}{}", reply.codec.decode(ids)?.trim_end(), self.marker);
        Ok(Kept { text, removed_tokens: reply.ids.len() - ids.len() })
    }
}
