//! `behavior`: an outcome by condition and turn, levels of factors, hedging, changed answers, and one primary contrast
//! that is named before the run.
mod changes;
mod contrast;
mod figure;
mod levels;
mod primary;
mod summary;
mod values;

use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Error, Findings, GradeSection, Needs, Outcome, PluginConfig, PluginEntry, Result,
    RunReader, TurnRow, plural, unread,
};
use primary::Primary;
use serde::Deserialize;

/// Tells how the replies turned out: an outcome such as accuracy by condition and turn and at all levels of the factors,
/// how often replies hedge, which answers changed between the rounds of an item, and one contrast that was named before
/// the run. Conversations with interventions are left out.
///
/// The outcome is averaged over samples, and groups are the units of all intervals and tests. Turns without the outcome
/// are left out, and counted in a warning.
///
/// It writes:
/// - the table `conditions`: a row for each condition, with the outcome, parsed replies and hedges;
/// - the table `levels`: a row for each level of each factor, with n, mean, interval, and the difference from the level of
///   reference, paired within groups; without factors, a row for each condition;
/// - the table `accuracy`, called `outcome` where it holds no accuracy (another outcome than `score`, or a score that says
///   whether a text or a pattern was found in the reply): a row for each condition and turn, with the number of groups, the mean and its interval, parsed
///   replies, hedges, and how often the right letter was the most probable one;
/// - the figure `accuracy` (`outcome`): the same by turn; none of conversations of one turn;
/// - the table `rounds`, of accuracy, where items are asked over several rounds: how many answers were right at
///   first and wrong at last, wrong and then right, and kept;
/// - the table `primary`, of a contrast of more than two levels;
/// - the values `primary` (the contrast: estimate, unit, interval, p), `levels`, `rounds`, `groups`, `turns`, `chance`,
///   `unparsed_share` and `length_share`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"primary": "completion × turn"}))]
struct Behavior {
    /// The number of a turn that is compared: `score`, `log_odds` (of the right choice, in nats), `answered`,
    /// `reply_tokens`, `reading.<hook>.<name>`, `aside.<name>` or `metric.<name>`.
    #[serde(default)]
    outcome: Outcome,
    /// The one contrast that counts, named before the run. `"completion × turn"` (or `"completion x turn"`) asks whether
    /// the outcome changes with turns otherwise at one level of the factor `completion` than at another; `"completion"`
    /// whether its mean differs; `"system × shots"` whether the difference between two levels of one factor depends on the
    /// two levels of another. Of more than two levels each is compared with `reference`. Default: none; levels are listed
    /// all the same.
    #[serde(default)]
    #[schemars(example = &"completion × turn")]
    primary: Option<String>,
    /// The level with which the other levels of its factor are compared. Default: of two levels the first in the alphabet,
    /// of more that of the first condition in the manifest.
    #[serde(default)]
    reference: Option<String>,
    /// Which turns of a conversation are compared between levels: `all`, of which those count that both of two
    /// conversations have, or the `last` of each, where conversations end at different turns.
    #[serde(default)]
    turns: Turns,
    /// First turn that is compared, from 1. Default: 2 with a primary contrast `… × turn`, whose first turn precedes any
    /// treatment; otherwise 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    first_turn: Option<u32>,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
    /// How the manifest has replies graded.
    #[serde(skip)]
    grade: Option<GradeSection>,
}
fn level() -> f64 {
    0.95
}

/// Which turns are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Turns {
    /// All turns that two compared conversations share.
    #[default]
    All,
    /// The last turn of each conversation, whichever it is.
    Last,
}

impl Behavior {
    fn contrast(&self) -> Option<Primary> {
        self.primary.as_deref().and_then(Primary::parse)
    }

    /// The first turn that is compared.
    fn first(&self) -> u32 {
        let slope = matches!(self.contrast(), Some(Primary::Turn(_)));
        self.first_turn.unwrap_or(if slope { 2 } else { 1 })
    }

    /// The turns that are compared, in words.
    fn words(&self) -> String {
        match (self.turns, self.first()) {
            (Turns::Last, _) => "the last turn of each conversation".into(),
            (Turns::All, 1) => "all turns".into(),
            (Turns::All, first) => format!("turns from {first} on"),
        }
    }
}

impl PluginConfig for Behavior {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(text) = &self.primary {
            let form = format!(
                "`primary` = {text:?} is none of `<factor> × turn`, `<factor>` and `<factor> × <factor>`, as in \"completion × turn\""
            );
            faults.when(self.contrast().is_none(), "primary", form);
        }
        faults.when(self.first_turn == Some(0), "first_turn", "`first_turn` counts from 1");
        let last = self.turns == Turns::Last;
        let idle = "`first_turn` does nothing: of each conversation the last turn is compared";
        faults.when(last && self.first_turn.is_some(), "first_turn", idle);
        let slope = matches!(self.contrast(), Some(Primary::Turn(_)));
        let one = "`turns = \"last\"` leaves one turn of each conversation, in which nothing can change with turns";
        faults.when(last && slope, "turns", one);
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.end()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(Self { grade: cx.grade.clone(), ..self.clone() }))
    }
}

impl Analyzer for Behavior {
    fn needs(&self) -> Needs {
        let contrast = self.contrast();
        let factors = contrast.as_ref().map(Primary::factors).unwrap_or_default();
        // A difference of differences is of two levels of each factor.
        let crossed = matches!(contrast, Some(Primary::Cross(..)));
        let levels = factors.iter().filter(|_| crossed).map(|f| (f.clone(), 2)).collect();
        Needs {
            outcomes: vec![self.outcome.clone()],
            first_turn: (self.turns == Turns::All).then(|| self.first()),
            // A slope needs two turns.
            turns: if matches!(contrast, Some(Primary::Turn(_))) { 2 } else { 1 },
            levels,
            pairs: factors.clone(),
            reference: self.reference.clone().map(|level| (level, factors.clone())),
            factors,
            ..Needs::default()
        }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        // Arms are interventions: this analyzer reads the untouched control only.
        let turns: Vec<&TurnRow> = run.turns().iter().filter(|t| t.arm.is_empty()).collect();
        if turns.is_empty() {
            return Err(Error::other("the run holds no finished group yet"));
        }
        let words = self.words();
        let outcome = &self.outcome.graded(self.grade.as_ref(), &turns);
        let about = levels::About {
            outcome,
            reference: self.reference.as_deref(),
            level: self.level,
            seed: run.seed(),
            turns: &words,
        };
        let read: Vec<&TurnRow> = match self.turns {
            Turns::All => turns.iter().copied().filter(|t| t.turn >= self.first()).collect(),
            Turns::Last => values::last(&turns),
        };
        let all = values::courses(&turns, outcome, |t| t.turn);
        self.summary(&turns, &all.all, &about, out)?;
        out.section("");
        if let Some(why) = outcome.left_out(all.without, turns.len()) {
            out.warn(why);
        }
        // The last turns of conversations of unequal length are compared with each other.
        let place = |t: &TurnRow| if self.turns == Turns::Last { 1 } else { t.turn };
        let compared = values::courses(&read, outcome, place).all;
        let nothing = compared.iter().all(|c| c.turns.is_empty());
        let silent = unread(read.iter().copied()).filter(|_| *outcome == Outcome::Score);
        let why = silent.or_else(|| nothing.then(|| format!("no turn that is compared has the outcome `{outcome}`")));
        if why.is_none() {
            out.section("Levels");
            levels::tell(&turns, &compared, &about, out);
            if *outcome == Outcome::Score {
                changes::tell(&turns, out);
            }
        }
        let Some(contrast) = self.contrast() else {
            why.into_iter().for_each(|why| out.warn(why));
            self.listed(&turns, &compared, &about, out);
            return Ok(());
        };
        out.section("Primary contrast");
        if let Some(why) = why {
            let reason = if nothing { "no turn has the outcome" } else { "no answer could be read" };
            out.say(format!("Primary: {} cannot be told, since {reason}", contrast.words()));
            out.warn(why);
            out.value("primary", serde_json::json!({"factor": contrast.factors()[0], "verdict": "cannot be told"}));
            primary::untold(&contrast, outcome, out);
        } else {
            primary::tell(&contrast, &turns, &compared, &about, out);
            if let Some(told) = out.values.get_mut("primary").filter(|_| self.turns == Turns::All) {
                told["first_turn"] = self.first().into();
            }
        }
        Ok(())
    }
}

/// Most conditions whose means are estimates.
const ESTIMATES: usize = 4;

impl Behavior {
    /// Writes the outcome of each condition, and of each condition at each turn.
    fn summary(
        &self,
        turns: &[&TurnRow],
        all: &[values::Course],
        about: &levels::About,
        out: &mut Findings,
    ) -> Result<()> {
        out.section(if *about.outcome == Outcome::Score { "Accuracy" } else { "Outcome" });
        summary::tell(turns, all, about, out);
        let lengths = values::last(turns).into_iter().map(|t| t.turn);
        let (least, most) = lengths.fold((u32::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
        if least < most {
            out.say(format!("Conversations have {least} to {}", plural(most as usize, "turn")));
        }
        let cells = summary::cells(turns, all, about);
        let (method, citation) = summary::method(all, self.level);
        out.table(summary::table(&cells, about.outcome)).method(method.as_str()).citation(citation);
        let bars = figure::bars(citation == friction_stats::cite::WILSON, self.level);
        if let Some(figure) = figure::by_turn(&cells, turns, about, &bars)? {
            out.figure(figure).method(method).citation(citation);
        }
        Ok(())
    }

    /// Asks for the outcome of each condition, and answers where there are few.
    fn listed(&self, turns: &[&TurnRow], compared: &[values::Course], about: &levels::About, out: &mut Findings) {
        let names = values::Factor::Condition.levels(turns);
        let what = about.outcome.label();
        out.ask(match &names[..] {
            [_] => format!("How large is the {what}?"),
            _ => format!("How large is the {what} of each condition?"),
        });
        for name in names.iter().filter(|_| names.len() <= ESTIMATES) {
            let groups: Vec<f64> =
                compared.iter().filter(|c| c.condition == *name).filter_map(values::Course::mean).collect();
            let Some(i) = about.shown(&groups) else { continue };
            let e = friction_core::Estimate::new(name.as_str(), about.outcome.shown_unit(), i.estimate);
            let e = e.interval(i.low, i.high, self.level).over(groups.len(), "group").digits(about.outcome.digits());
            out.add(e)
                .method(format!(
                    "mean over groups of the mean over samples and turns ({}); {} interval over groups, Wilson's where every group's value is 0 or 1, otherwise Student's t",
                    about.turns,
                    friction_stats::percent(self.level)
                ))
                .citation(format!("{}; {}", friction_stats::cite::WILSON, friction_stats::cite::STUDENT));
        }
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Behavior>("behavior", "An outcome by condition, level and turn, changed answers, hedging, the primary contrast", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
