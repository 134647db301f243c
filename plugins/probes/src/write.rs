//! Writes the findings in this order: each site, the headline, the baselines, levels, the next answer, turns, arms.
use crate::baselines::{bag_of_context, bag_of_words, lengths};
use crate::fit::{Design, HeldOut};
use crate::next::{Compared, Score};
use crate::report::{Line, Report, association};
use crate::target::Target;
use crate::{arms, directions, figure, levels, next};
use friction_core::seed::derive;
use friction_core::{Column, Error, Estimate, Findings, Outcome, Result, Site, Table, off_letters, plural, unread};
use friction_stats::{Interval, Link, Matrix, Rng, cite, percent};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Where the control task is published.
const CONTROL_TASK: &str = "Hewitt and Liang 2019, arXiv 1909.03368";

/// Number of directions of shuffled labels that are written, as controls for steering.
const SHUFFLED: u64 = 5;

impl Report<'_> {
    fn interval(&self, held: &HeldOut, x: &Matrix, what: &str) -> Result<Interval> {
        held.interval(&self.design, self.y, self.options.level, self.design.inflation(x, self.y))
            .map_err(|e| Error::other(format!("the interval of the probe of {what}: {e}")))
    }

    fn held(&self, layers: &[&Matrix], y: &[f64]) -> Result<HeldOut> {
        self.design.held_out(layers, y).map_err(Error::other)
    }

    /// The control task's targets: a random value per topic, either a class (all equally frequent) or a standard
    /// normal number.
    fn control(&self) -> Vec<f64> {
        let topics: BTreeSet<&String> = self.rows.rows.iter().map(|r| &r.turn.topic).collect();
        let k = self.rows.classes.len();
        let mut values: Vec<f64> = match k {
            0 => {
                let mut rng = Rng::new(derive(&[b"control", &self.design.seed.to_le_bytes()]));
                topics.iter().map(|_| rng.normal()).collect()
            }
            k => (0..topics.len()).map(|i| (i % k) as f64).collect(),
        };
        Rng::new(self.design.seed).shuffle(&mut values);
        let of: BTreeMap<&String, f64> = topics.into_iter().zip(values).collect();
        self.rows.rows.iter().map(|r| of[&r.turn.topic]).collect()
    }

    pub fn write(&self, out: &mut Findings) -> Result<()> {
        let o = self.options;
        let m = self.measure();
        let groups: BTreeSet<u32> = self.rows.rows.iter().map(|r| r.turn.group).collect();
        let by = o.folds_by.iter().map(|k| format!("{k:?}").to_lowercase()).collect::<Vec<_>>().join(" and ");
        out.section("Read out");
        out.say(format!(
            "Asked: can {} be read out at `{}`, turns from {} on? {} in {}, held out by {}",
            self.target.words(&self.rows.classes),
            o.position,
            o.first_turn,
            plural(self.y.len(), "row"),
            plural(groups.len(), "group"),
            by
        ));
        if let (Target::Outcome(outcome), Link::Linear) = (self.target, self.design.link) {
            out.say(format!("`{outcome}` is read out as a number, by ridge regression: {m} is the share of its variance that is told, and 0 is no better than its mean"));
        }
        self.rows.left_out.iter().for_each(|w| out.warn(w.clone()));
        let permutations = self.permutations();
        let control = self.control();
        let mut lines = vec![];
        for (l, (site, x)) in self.layers.iter().enumerate() {
            let p = permutations.as_ref().map(|(each, _)| each[l]);
            lines.push(self.line(site.to_string(), x, &control, p)?);
        }
        let mut baselines = vec![];
        for (name, x) in self.baselines()? {
            baselines.push(self.line(name, &x, &control, None)?);
        }
        let method = format!(
            "fitted inside folds that hold out by {by} ({} parts each), C chosen inside each; {m} averaged over folds, with a {} interval from the jackknife over groups, widened for training rows that folds share",
            o.folds,
            percent(o.level)
        );
        let simple = self.simple();
        let among = |n| format!("; p: of the {simple}, among {n} permutations that the design could have dealt");
        let drawn = permutations.as_ref().map_or_else(String::new, |_| among(o.permutations));
        out.table(table("layers", "What can be read from each site", m, &lines))
            .over(groups.len(), "group")
            .method(format!("{method}{drawn}"))
            .citation(format!("{}; {CONTROL_TASK}; {}", cite::CROSS_VALIDATED, cite::PERMUTATION));
        out.table(table("baselines", "What can be read without a look inside the model", m, &baselines))
            .over(groups.len(), "group")
            .method(method.as_str())
            .citation(format!("{}; {CONTROL_TASK}", cite::CROSS_VALIDATED));
        out.say(format!("Control: the same for a random label of each topic, which can only be memorised; selectivity: quality minus control. Mean difference: the same for the {} in place of the probe", self.simple()));
        out.value(
            "read_from",
            lines
                .iter()
                .chain(&baselines)
                .map(|l| {
                    json!({"name": l.name, "estimate": l.quality.estimate, "low": l.quality.low, "high": l.quality.high,
                        "p": l.p, "mean_difference": l.mean_difference, "control": l.control})
                })
                .collect::<Vec<_>>(),
        );
        let matrices: Vec<&Matrix> = self.layers.iter().map(|(_, x)| x).collect();
        let headline = self.held(&matrices, self.y)?;
        let best = most_chosen(headline.chosen.iter().map(|(l, _)| *l)).unwrap_or(0);
        let i = self.interval(&headline, &self.layers[best].1, "all layers")?;
        let family = permutations.as_ref().map(|(_, p)| *p);
        self.headline((&i, family), groups.len(), &lines[best], &baselines, &method, out);
        out.value("headline", json!({"measure": m, "estimate": i.estimate, "low": i.low, "high": i.high, "p": family, "target": self.target.to_string()}));
        if matches!(self.design.link, Link::Softmax(_)) {
            levels::tell(self, &headline, out);
        }
        if !matches!(self.target, Target::Outcome(_)) {
            out.section(if o.outcome() == Outcome::Score { "The next answer" } else { "The outcome" });
            self.next_answer(&headline, family, out);
        }
        if self.design.link == Link::Logistic && !matches!(self.target, Target::Outcome(_)) {
            self.transfer(best, lines[best].c, out);
        }
        if o.arms {
            out.section("Arms");
            arms::tell(self, best, lines[best].c, out)?;
        }
        out.section("Files");
        out.figure(figure::layers(self, &lines, &baselines)?).method(method).citation(cite::CROSS_VALIDATED);
        // Shuffled row by row: a direction without meaning must not keep what condition and turn alone predict.
        let shuffled: Vec<Vec<f64>> = (0..SHUFFLED)
            .map(|i| {
                let mut y = self.y.to_vec();
                self.rng(b"shuffle", i).shuffle(&mut y);
                y
            })
            .collect();
        let source = directions::Source {
            shuffled: &shuffled,
            study: self.run.name(),
            seed: self.run.seed(),
            rows: self.rows,
            y: self.y,
            target: &self.target.to_string(),
            position: o.position,
            link: self.design.link,
        };
        let c: Vec<f64> = lines.iter().map(|l| l.c).collect();
        directions::write(&source, self.layers, &c, out)
    }

    /// Writes the rows of the table that `run` prints at its end: the probe, the best baseline (with the verdict
    /// `as good`, where it reaches the probe's interval) and the control task.
    fn headline(
        &self,
        (quality, p): (&Interval, Option<f64>),
        groups: usize,
        best: &Line,
        baselines: &[Line],
        method: &str,
        out: &mut Findings,
    ) {
        let (m, o) = (self.measure(), self.options);
        let null = match self.design.link {
            Link::Logistic => 0.5,
            Link::Softmax(k) => 1.0 / k as f64,
            Link::Linear => 0.0,
        };
        out.ask(format!("Can {} be read out at {}?", self.target.asked(&self.rows.classes), o.position));
        let row = |what: String, i: &Interval| {
            let e = Estimate::new(what, m, i.estimate).interval(i.low, i.high, o.level);
            e.over(groups, "group").null(null)
        };
        let probe = row(format!("probe, mostly {}", best.name), quality);
        let over = match p.is_some() {
            true => format!("; p: of the largest {} over sites, among permuted labels", self.simple()),
            false => String::new(),
        };
        out.add(Estimate { p, ..probe })
            .method(format!("site and C chosen inside each fold; {method}{over}"))
            .citation(format!("{}; {}", cite::CROSS_VALIDATED, cite::PERMUTATION));
        // A baseline that does as well takes the probe its meaning: it comes before what may be cut from a screen.
        let order = |a: &&Line, b: &&Line| a.quality.estimate.total_cmp(&b.quality.estimate);
        if let Some(b) = baselines.iter().max_by(order) {
            let says = if b.quality.estimate >= quality.low { "as good" } else { "worse" };
            let e = row(format!("baseline: {}", b.name), &b.quality).says(says);
            out.add(e).method(method).citation(cite::CROSS_VALIDATED);
        }
        out.add(Estimate::new("control task", m, best.control).over(groups, "group").null(null))
            .method("the probe of a random label of each topic, at the site that most folds chose")
            .citation(CONTROL_TASK);
    }

    /// What needs no fit beside the probe.
    fn simple(&self) -> &'static str {
        if matches!(self.design.link, Link::Softmax(_)) {
            "nearest of the levels' means"
        } else {
            "difference of means"
        }
    }

    /// Compares the probe's score with the outcome, or says why not.
    fn next_answer(&self, headline: &HeldOut, p: Option<f64>, out: &mut Findings) {
        let (o, outcome) = (self.options, self.options.outcome());
        let what = match outcome {
            Outcome::Score => "The next answer".to_string(),
            _ => format!("The outcome `{outcome}`"),
        };
        // If the target cannot be read, the score is an arbitrary direction, and its association with the answers would
        // say nothing about the target.
        if p.is_some_and(|p| p > 1.0 - o.level) {
            return out.say(format!("{what} is not reported, because the target could not be read out"));
        }
        let turns = || self.rows.rows.iter().map(|r| &r.turn);
        if let Some(why) = unread(turns()).filter(|_| outcome == Outcome::Score && o.reads()) {
            return out.warn(why);
        }
        if turns().all(|t| t.outcome(&outcome).is_none()) {
            let why = format!("{what} is not reported: no turn has a `{outcome}`");
            return match o.outcome {
                Some(_) => out.warn(why),
                None => out.say(format!("{why}. The option `outcome` names another number of the turns")),
            };
        }
        if outcome == Outcome::LogOdds {
            off_letters(turns()).into_iter().for_each(|w| out.warn(w));
        }
        let scores: Vec<Score> = match self.design.link {
            Link::Softmax(_) => {
                let one =
                    |(k, level): (usize, &String)| Score { level: Some(level.clone()), held: headline.against_rest(k) };
                self.rows.classes.iter().enumerate().map(one).collect()
            }
            _ => vec![Score { level: None, held: headline.clone() }],
        };
        let (rows, level, seed) = (&self.rows.rows, o.level, self.design.seed);
        next::tell(&Compared { rows, outcome: &outcome, level, seed }, &scores, out);
    }

    fn baselines(&self) -> Result<Vec<(String, Matrix)>> {
        let rows = &self.rows.rows;
        let mut out = vec![("lengths".into(), lengths(rows))];
        // Without a word that several messages share there is nothing to learn from.
        let words = bag_of_words(rows);
        if words.cols > 0 {
            out.insert(0, ("words of the message".into(), words));
        }
        if self.options.context {
            let words = bag_of_context(self.run.turns(), rows);
            out.extend((words.cols > 0).then(|| ("words of the context".into(), words)));
        }
        if let Some(x) = self.rows.features(self.run, Site::Embed, self.options.position)? {
            out.push(("embed".into(), x));
        }
        Ok(out)
    }

    fn line(&self, name: String, x: &Matrix, control: &[f64], p: Option<f64>) -> Result<Line> {
        let held = self.held(&[x], self.y)?;
        let c = held.chosen.iter().map(|(_, c)| c.to_bits());
        let c = f64::from_bits(most_chosen(c).unwrap_or_default());
        let fixed = Design { c: &[c], ..self.design.clone() };
        let control = fixed.held_out(&[x], control).ok().and_then(|h| h.quality(self.design.link, control, |_| true));
        let mean = self.design.mean_difference(x, self.y);
        Ok(Line {
            quality: self.interval(&held, x, &name)?,
            name,
            mean_difference: association(self.design.link, &mean, self.y),
            control: control.unwrap_or(f64::NAN),
            p,
            c,
        })
    }
}

fn most_chosen<T: Ord>(all: impl Iterator<Item = T>) -> Option<T> {
    let mut counts: BTreeMap<T, usize> = BTreeMap::new();
    all.for_each(|v| *counts.entry(v).or_default() += 1);
    // Among equals the first wins.
    let most = counts.values().copied().max()?;
    counts.into_iter().find(|(_, n)| *n == most).map(|(v, _)| v)
}

fn table(name: &str, caption: &str, measure: &str, lines: &[Line]) -> Table {
    let number = |name: &str, f: fn(&Line) -> f64| Column::number(name, lines.iter().map(f));
    Table::new(name, caption)
        .column(Column::text("read_from", lines.iter().map(|l| l.name.as_str())))
        .column(number("quality", |l| l.quality.estimate).title(measure))
        .column(number("low", |l| l.quality.low))
        .column(number("high", |l| l.quality.high))
        .column(number("mean_difference", |l| l.mean_difference))
        .column(number("control", |l| l.control))
        .column(number("selectivity", |l| l.quality.estimate - l.control))
        .column(number("p", |l| l.p.unwrap_or(f64::NAN)).digits(4))
        .column(number("c", |l| l.c).title("C"))
}
