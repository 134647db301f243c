//! `behavior`: an outcome by condition and turn, levels of factors, hedging, changed answers, and one primary contrast
//! that is named before the run.
mod aliases;
mod beside;
mod by_condition;
mod calibrated;
mod changes;
mod contrast;
mod copies;
mod cuts;
mod figure;
mod guard;
mod guards;
mod hedges;
mod letters;
mod levels;
mod own_slopes;
mod primary;
mod question;
mod scope;
mod settled;
mod summary;
mod threats;
mod values;
mod verdict;
mod wording;

use friction_core::error::Faults;
use friction_core::manifest::{ModelSection, PrimarySection};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, Body, BuildContext, ComparedTurns as Turns, Contrast, Error, Findings, GradeSection, Needs, Outcome,
    PluginConfig, PluginEntry, Result, RunReader, TurnRow, unread,
};
use primary::Telling;
use question::{Locked, Question, Reading};
use serde::Deserialize;

/// Tells how the replies turned out: an outcome such as accuracy by condition and turn and at all levels of the factors,
/// how often replies hedge, which answers changed between the rounds of an item, and the study's primary contrast.
/// Conversations with interventions are left out.
///
/// The contrast is that of the table `[primary]`, which the run's lock holds; it is confirmatory, and has a verdict. Another
/// contrast, outcome, first turn or reference is exploratory, and so is every contrast of a study without that table.
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
/// - the table `primary`, of a contrast of more than two levels; of the locked contrast with each level's own verdict;
/// - a sentence with the effects that the contrast is aliased with, where the conditions are a fraction of all combinations;
/// - the table `letters`, of items with choices: how often each condition answers with each letter, how often with the same
///   as in the turn before, and how much of the probability the letters have together where the answer begins;
/// - the table `letter_guard`, of a contrast of `score` or `log_odds`: the contrast before and after each
///   condition's preference for letters is divided out (Zheng et al. 2024). The preference is estimated on groups of
///   discovery (`study.discovery`), the contrast on the others. If it changes its sign or loses more than half of its size,
///   the contrast cannot be told: response bias;
/// - an estimate of what each cut reply so far does to the outcome at the same turn, where two conditions have complementary
///   schedules of cuts (`keep.schedule`), and the value `cuts_so_far`;
/// - of a contrast `<factor> × turn`, the slope of each level by itself and the level shift (the mean difference
///   over the compared turns), with 95 % intervals by sign flips of groups: of two levels sentences of the verdict, and
///   `own_slopes` and `level_shift` of `primary` (of several, of each of its `contrasts`). Where the difference of slopes is expected to fall or to rise, the level that is compared with the
///   reference must do so itself. Otherwise the verdict is not `reached`: "cannot be told", since it diverges without
///   degradation (or improvement);
/// - the values `primary` (the contrast: estimate, unit, interval, p, status, `aliases`, `letter_guard`), `verdict` (reached, not reached
///   or cannot be told, why, and its `guards`), `levels`, `letters`, `rounds`, `groups`, `turns`, `chance`, `unparsed_share` and
///   `length_share`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"outcome": "score"}))]
struct Behavior {
    /// The number of a turn that is compared: `score`, `log_odds` (of the right choice, in nats), `log_odds_shifted` (the
    /// same over shifted choices, `dataset.option_shifts`), `answered`, `reply_tokens`, `reading.<hook>.<name>`,
    /// `aside.<name>` or `metric.<name>`. Default: that of `[primary]`, or else `score`.
    #[serde(default)]
    outcome: Option<Outcome>,
    /// A contrast to explore in place of that of `[primary]`. `"completion × turn"` (or `"completion x turn"`) asks whether
    /// the outcome changes with turns otherwise at one level of the factor `completion` than at another; `"completion"`
    /// whether its mean differs; `"system × shots"` whether the difference between two levels of one factor depends on the
    /// two levels of another, and `"system × shots × turn"` whether the difference of slopes does; `"trend(politeness)"`
    /// whether the mean rises or falls with ordered levels, and `"trend(politeness) × turn"` whether that changes with
    /// turns. Of more than two levels each is compared with `reference`. Default: the contrast of `[primary]`; without it
    /// none, and levels are listed all the same.
    #[serde(default)]
    #[schemars(example = &"completion × turn")]
    primary: Option<String>,
    /// The level with which the other levels of its factor are compared. Default: that of `[primary]`, if its contrast is
    /// tested; else of two levels the first in the alphabet, of more that of the first condition in the manifest.
    #[serde(default)]
    reference: Option<String>,
    /// Which turns of a conversation are compared between levels: `all`, of which those count that both of two
    /// conversations have, or the `last` of each, where conversations end at different turns. Default: those of
    /// `[primary]`, or else `all`.
    #[serde(default)]
    turns: Option<Turns>,
    /// First turn that is compared, from 1. Default: that of `[primary]`, if its contrast is tested; else 2 with a contrast
    /// `… × turn`, whose first turn precedes any treatment; otherwise 1.
    #[serde(default)]
    #[schemars(range(min = 1))]
    first_turn: Option<u32>,
    /// Confidence level of the intervals.
    #[serde(default = "level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1.0))]
    level: f64,
    /// Share of the groups of discovery, as the manifest has it.
    #[serde(skip)]
    discovery: Option<f64>,
    /// How the manifest has replies graded.
    #[serde(skip)]
    grade: Option<GradeSection>,
    /// The contrast that the run's lock names.
    #[serde(skip)]
    locked: Option<PrimarySection>,
    /// Why the locked contrast is exploratory all the same.
    #[serde(skip)]
    amended: Option<String>,
    /// Number of groups that the study plans.
    #[serde(skip)]
    planned: Option<usize>,
    /// The study's model.
    #[serde(skip)]
    model: Option<ModelSection>,
    /// Whether replies are drawn. Draws that are equal by chance are no copies.
    #[serde(skip)]
    drawn: bool,
}
fn level() -> f64 {
    0.95
}

impl Behavior {
    /// The contrast that the analyzer names itself.
    fn own(&self) -> Option<Contrast> {
        self.primary.as_deref().and_then(|text| text.parse().ok())
    }

    /// The contrast that is tested.
    fn contrast(&self) -> Option<Contrast> {
        self.own().or_else(|| Some(self.locked.as_ref()?.contrast.clone()))
    }

    /// The locked contrast, if it is the one that is tested.
    fn follows(&self) -> Option<&PrimarySection> {
        self.locked.as_ref().filter(|p| self.own().is_none_or(|own| own == p.contrast))
    }

    fn outcome(&self) -> Outcome {
        self.outcome.clone().or_else(|| Some(self.locked.as_ref()?.outcome.clone())).unwrap_or_default()
    }

    fn turns(&self) -> Turns {
        // Where a first turn is named, all turns from it on are meant.
        let locked = || self.follows().map(|p| p.turns).filter(|_| self.first_turn.is_none());
        self.turns.or_else(locked).unwrap_or_default()
    }

    /// The first turn that is compared.
    fn first(&self) -> u32 {
        let locked = || self.follows().and_then(|p| p.first_turn);
        self.first_turn.or_else(locked).unwrap_or_else(|| self.contrast().map_or(1, |c| c.first_turn()))
    }

    /// The turns that are compared, in words.
    fn words(&self) -> String {
        match (self.turns(), self.first()) {
            (Turns::Last, _) => "the last turn of each conversation".into(),
            (Turns::All, 1) => "all turns".into(),
            (Turns::All, first) => format!("turns from {first} on"),
        }
    }

    /// What is wrong with the turns.
    fn faults(&self) -> Result<()> {
        let mut faults = Faults::default();
        let last = self.turns() == Turns::Last;
        let idle = "`first_turn` does nothing: of each conversation the last turn is compared";
        faults.when(last && self.first_turn.is_some(), "first_turn", idle);
        let slope = self.contrast().is_some_and(|c| c.by_turn());
        let one = "`turns = \"last\"` leaves one turn of each conversation, in which nothing can change with turns";
        faults.when(last && slope, "turns", one);
        faults.end()
    }
}

impl PluginConfig for Behavior {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        if let Some(Err(wrong)) = self.primary.as_deref().map(str::parse::<Contrast>) {
            faults.when(true, "primary", format!("`primary` = {wrong}"));
        }
        faults.when(self.first_turn == Some(0), "first_turn", "`first_turn` counts from 1");
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.end()?;
        self.faults()
    }
    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        let planned = cx.study.as_ref().map(|s| s.groups);
        let discovery = cx.study.as_ref().map(|s| s.discovery());
        let (grade, locked, amended) = (cx.grade.clone(), cx.primary.clone(), cx.amended.clone());
        let model = Some(cx.model.clone());
        let drawn = cx.generation.as_ref().is_some_and(|g| g.temperature > 0.0);
        let built = Self { grade, locked, amended, planned, discovery, model, drawn, ..self.clone() };
        // The locked contrast may not go together with the options.
        built.faults()?;
        Ok(Box::new(built))
    }
}

impl Analyzer for Behavior {
    fn needs(&self) -> Needs {
        // What the locked contrast needs is checked at its own table.
        let locked = self.own().is_none().then_some(self.locked.as_ref()).flatten();
        let first_turn = (self.turns() == Turns::All).then(|| self.first());
        let contrast = match (self.own(), locked) {
            (Some(own), _) => Needs { primary: self.follows().is_some(), ..own.needs() },
            (None, Some(primary)) => Needs { primary: true, turns: primary.contrast.needs().turns, ..Needs::default() },
            (None, None) => Needs::default(),
        };
        let differs = self.outcome.is_some() || locked.is_none();
        let factors = self.contrast().map(|c| c.factors().to_vec()).unwrap_or_default();
        Needs {
            outcomes: if differs { vec![self.outcome()] } else { vec![] },
            first_turn: first_turn.filter(|_| self.first_turn.is_some() || locked.is_none()),
            reference: self.reference.clone().map(|level| (level, factors)),
            ..contrast
        }
    }

    fn settled(&self) -> serde_json::Map<String, serde_json::Value> {
        settled::options(self)
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        self.analyzed(run, out)?;
        // Numbers of replies that were given are not the model's, and a table may be read by itself.
        let captions = out.blocks.iter_mut().filter_map(|b| match &mut b.body {
            Body::Table(t) => Some(&mut t.caption),
            Body::Figure(f) => Some(&mut f.caption),
            _ => None,
        });
        for caption in captions.filter(|_| run.given().is_some()) {
            *caption = format!("{}. {}", caption.trim_end_matches('.'), run.given().unwrap_or_default());
        }
        Ok(())
    }
}

impl Behavior {
    fn analyzed(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        // Arms are interventions: this analyzer reads the untouched control only.
        let turns: Vec<&TurnRow> = run.turns().iter().filter(|t| t.arm.is_empty()).collect();
        if turns.is_empty() {
            return Err(Error::other("the run holds no finished group yet"));
        }
        let words = self.words();
        let outcome = &self.outcome().graded(self.grade.as_ref(), &turns);
        let read = Reading { outcome, first_turn: self.first(), turns: self.turns() };
        let locked = Locked { primary: self.locked.as_ref(), amended: self.amended.as_deref() };
        let question = Question::new(self.own(), self.reference.as_ref(), locked, read, &turns);
        let about = levels::About {
            outcome,
            reference: question.as_ref().map_or(self.reference.as_deref(), |q| q.reference.as_deref()),
            level: self.level,
            seed: run.seed(),
            turns: &words,
        };
        let read: Vec<&TurnRow> = match self.turns() {
            Turns::All => turns.iter().copied().filter(|t| t.turn >= self.first()).collect(),
            Turns::Last => values::last(&turns),
        };
        let all = values::courses(&turns, outcome, |t| t.turn);
        self.by_condition(&turns, &all.all, &about, out)?;
        out.section("");
        if let Some(why) = outcome.left_out(all.without, turns.len()) {
            out.warn(why);
        }
        // The last turns of conversations of unequal length are compared with each other.
        let place = |t: &TurnRow| if self.turns() == Turns::Last { 1 } else { t.turn };
        let compared = values::courses(&read, outcome, place).all;
        let nothing = compared.iter().all(|c| c.turns.is_empty());
        // A search that finds nothing has read its reply.
        let reads = *outcome == Outcome::Score && !self.grade.as_ref().is_some_and(GradeSection::searches);
        let silent = unread(read.iter().copied()).filter(|_| reads);
        let why = silent.or_else(|| nothing.then(|| format!("no turn that is compared has the outcome `{outcome}`")));
        if why.is_none() {
            out.section("Levels");
            levels::tell(&turns, &compared, &about, out);
            if *outcome == Outcome::Score {
                changes::tell(&turns, out);
            }
        }
        if why.is_none() {
            cuts::tell(&turns, &about, out);
        }
        letters::tell(&turns, outcome, out);
        out.section("");
        let Some(question) = &question else {
            why.into_iter().for_each(|why| out.warn(why));
            self.listed(&turns, &compared, &about, out);
            return Ok(());
        };
        out.section(guard::SECTION);
        let graded = reads && read.iter().any(|t| guards::is_unread(t));
        let lenient = if graded { values::courses_of(&read, guards::lenient, place).all } else { vec![] };
        let scope = self.model.as_ref().map(|model| scope::scope(model, &question.rows(&read)));
        let (planned, given) = (self.planned, vec![]);
        let telling = Telling { question, about: &about, planned, read: &read, lenient: &lenient, given, scope };
        if let Some(why) = why {
            let reason = if nothing { "no turn has the outcome" } else { "no answer could be read" };
            out.say(format!("Primary: {} cannot be told, since {reason}", question.contrast));
            out.warn(why);
            let value = serde_json::json!({"factor": question.contrast.first(), "verdict": "cannot be told"});
            out.value("primary", value);
            telling.untold(out);
        } else {
            let last = self.turns() == Turns::Last;
            let discovery = self.discovery.unwrap_or(0.5);
            let guarded = guard::Guarded { question, turns: &read, about: &about, discovery, last };
            let judged = guarded.judge();
            let mut given: Vec<_> = judged.iter().filter_map(guard::Judged::as_guard).collect();
            given.extend(guarded.threats());
            if !self.drawn {
                given.extend(copies::copies(&question.rows(&turns)));
            }
            if question.contrast.by_turn() && *outcome == Outcome::Score {
                given.extend(guards::first(&question.rows(&turns)));
                let scored: Vec<&TurnRow> = question.rows(&read).into_iter().filter(|t| t.score.is_some()).collect();
                let chance = summary::chance(&scored).map_or(0.0, |(share, _)| share);
                given.extend(guards::cells(&summary::cells(&scored, &question.of(&compared), &about), chance));
            }
            Telling { given, ..telling }.tell(&turns, &compared, out);
            if let Some(judged) = &judged {
                guarded.tell(judged, out);
            }
            if let Some(told) = out.values.get_mut("primary").filter(|_| !last) {
                told["first_turn"] = self.first().into();
            }
        }
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Behavior>("behavior", "An outcome by condition, level and turn, changed answers, hedging, the primary contrast", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests;
