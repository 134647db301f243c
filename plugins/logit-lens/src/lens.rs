//! The lens at each site, compared with the right answer, the given answer and the model's own probabilities.
use crate::figure;
use crate::letters::letters;
use crate::line::{Line, Seen, line};
use crate::options::LogitLens;
use friction_checkpoint::Tokenizer;
use friction_core::{
    Column, ConversationId, Error, Estimate, Findings, Item, Position, Result, RunReader, Site, Table, TapArray,
    TurnRow, plural,
};
use friction_model::Unembedding;
use friction_stats::{cite, percent, quantile};
use rayon::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

/// Whether a turn's item has choices, one of which is right.
fn chosen(t: &TurnRow) -> bool {
    t.choices > 1 && t.target_choice().is_some()
}

/// Computes and reports the lens at every site; returns the mean divisor of the final norm at the last site.
pub fn tell(
    o: &LogitLens,
    run: &dyn RunReader,
    u: &Unembedding,
    tokenizer: &Tokenizer,
    out: &mut Findings,
) -> Result<f64> {
    let entered = |t: &&TurnRow| t.arm.is_empty() && t.turn >= o.first_turn;
    let turns: Vec<&TurnRow> = run.turns().iter().filter(entered).filter(|t| chosen(t)).collect();
    if turns.is_empty() {
        return Err(Error::other(format!(
            "no untouched turn from {} on has choices, one of which is right: the lens reads the right choice",
            o.first_turn
        )));
    }
    let without = run.turns().iter().filter(entered).count() - turns.len();
    if without > 0 {
        let all = plural(without + turns.len(), "turn");
        out.warn(format!("{without} of {all} have no choices, one of which is right, and are left out"));
    }
    let levels: Vec<String> = match &o.factor {
        Some(f) => {
            turns.iter().filter_map(|t| t.factors.get(f)).cloned().collect::<BTreeSet<_>>().into_iter().collect()
        }
        None => vec!["all".into()],
    };
    let most = turns.iter().map(|t| t.choices as usize).max().unwrap_or(0);
    let ids = letters(tokenizer, most)?;
    let (mut lines, mut whole, mut rms) = (vec![], vec![], 0.0);
    for site in &o.sites {
        let rows = read(run, &turns, *site)?;
        let level = |t: &TurnRow| match &o.factor {
            Some(f) => t.factors.get(f).and_then(|l| levels.iter().position(|k| k == l)),
            None => Some(0),
        };
        let seen: Vec<Seen> = turns
            .par_iter()
            .zip(&rows)
            .map(|(t, x)| {
                let d = u.rms(x);
                let logits: Vec<f64> = ids[..t.choices as usize].iter().map(|id| u.logit(x, d, *id)).collect();
                let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap_or(0);
                let max = logits[best];
                let log = max + logits.iter().map(|l| (l - max).exp()).sum::<f64>().ln();
                let (letter, truth) = (Item::letter(best).to_string(), t.target_choice());
                Seen {
                    group: t.group,
                    level: level(t),
                    right: truth == Some(best),
                    same: t.answer.as_ref() == Some(&letter),
                    log: truth.map_or(f64::NAN, |i| logits[i] - log),
                }
            })
            .collect();
        for (l, level) in levels.iter().enumerate() {
            lines.extend(line(*site, level, seen.iter().filter(|s| s.level == Some(l)).collect(), o.level));
        }
        rms = rows.iter().map(|x| u.rms(x)).sum::<f64>() / rows.len() as f64;
        if o.whole > 0 {
            whole.push(vocabulary(*site, &turns, &rows, &ids, u, o.whole));
        }
    }
    report(&lines, &whole, turns.len(), o, out);
    out.figure(figure::sites(&lines, &turns, o)?).method(method(o)).citation(source());
    Ok(rms)
}

/// The residual stream of each turn at the token that predicts the reply.
fn read(run: &dyn RunReader, turns: &[&TurnRow], site: Site) -> Result<Vec<Vec<f32>>> {
    let mut open: Option<(ConversationId, TapArray)> = None;
    let mut out = vec![];
    for t in turns {
        let of = t.conversation();
        if open.as_ref().is_none_or(|(id, _)| *id != of) {
            let tap = run.tap(of, site, Position::PromptEnd)?;
            open = Some((of, tap.ok_or_else(|| Error::other(format!("the run holds no tap of `{site}`")))?));
        }
        let rows = open.as_ref().and_then(|(_, tap)| tap.tokens(t.turn)).unwrap_or_default();
        let row = rows.first().filter(|row| row.iter().all(|v| v.is_finite())).ok_or_else(|| {
            Error::other(format!(
                "NaN at `{site}`, `prompt-end`, turn {} of group {}, condition `{}`, sample {}: the model's numbers were not finite there",
                t.turn, t.group, t.condition, t.sample
            ))
        })?;
        out.push(row.to_vec());
    }
    Ok(out)
}

/// The right letter among all tokens of the vocabulary, on a sample of rows.
struct Vocabulary {
    site: Site,
    rows: usize,
    probability: f64,
    rank: f64,
    /// Largest difference between the lens' log-probabilities of letters and those that the run stored.
    off: f64,
}

fn vocabulary(
    site: Site,
    turns: &[&TurnRow],
    rows: &[Vec<f32>],
    ids: &[u32],
    u: &Unembedding,
    count: usize,
) -> Vocabulary {
    // The sample is spread evenly over the run.
    let step = turns.len().div_ceil(count).max(1);
    let chosen: Vec<usize> = (0..turns.len()).step_by(step).collect();
    let (mut probabilities, mut ranks, mut off) = (0.0, vec![], 0.0f64);
    for part in chosen.chunks(64) {
        let x: Vec<f32> = part.iter().flat_map(|i| rows[*i].iter().copied()).collect();
        for (i, logits) in part.iter().zip(u.logits(&x, true).chunks(u.vocab())) {
            let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            let log = max + logits.iter().map(|l| (f64::from(*l) - max).exp()).sum::<f64>().ln();
            let t = turns[*i];
            for (k, id) in ids[..t.choices as usize].iter().enumerate() {
                let l = f64::from(logits[*id as usize]);
                if let Some(stored) = t.choice_logprobs.get(k) {
                    off = off.max((l - log - f64::from(*stored)).abs());
                }
                if t.target_choice() == Some(k) {
                    probabilities += (l - log).exp();
                    ranks.push(1.0 + logits.iter().filter(|o| f64::from(**o) > l).count() as f64);
                }
            }
        }
    }
    ranks.sort_by(f64::total_cmp);
    Vocabulary {
        site,
        rows: chosen.len(),
        probability: probabilities / chosen.len() as f64,
        rank: quantile(&ranks, 0.5),
        off,
    }
}

fn report(lines: &[Line], whole: &[Vocabulary], rows: usize, o: &LogitLens, out: &mut Findings) {
    out.section("Lens");
    out.say(format!(
        "Asked: what would the model answer at each layer? {} at `prompt-end`, turns from {} on",
        plural(rows, "row"),
        o.first_turn
    ));
    let groups = lines.iter().map(|l| l.groups).max().unwrap_or(0);
    out.table(table(lines)).over(groups, "group").method(method(o)).citation(source());
    if !whole.is_empty() {
        out.table(
            Table::new(
                "vocabulary",
                "The right letter among all tokens of the vocabulary: its mean probability and median rank",
            )
            .column(Column::text("site", whole.iter().map(|w| w.site.to_string())))
            .column(Column::count("turns", whole.iter().map(|w| w.rows as i64)))
            .column(Column::number("probability", whole.iter().map(|w| 100.0 * w.probability)).unit("%").digits(1))
            .column(Column::number("rank", whole.iter().map(|w| w.rank)).digits(0)),
        )
        .method("on turns spread evenly over the run")
        .citation(LENS);
    }
    if let Some(last) = whole.last().filter(|w| w.off.is_finite() && w.rows > 0) {
        out.say(format!(
            "At {} the letters' log-probabilities are within {:.1e} of the model's own (at the last layer they should agree)",
            last.site, last.off
        ));
        out.value("off_at_last_site", last.off);
    }
    headline(lines, o, out);
    let site = |l: &Line| json!({"site": l.site, "level": l.level, "right": l.right.estimate, "low": l.right.low, "high": l.right.high, "as_answered": l.same, "log_probability": l.log});
    out.value("sites", lines.iter().map(site).collect::<Vec<_>>());
}

/// The rows of the run's table: the last site, and of more than two levels the least and the most often right.
fn headline(lines: &[Line], o: &LogitLens, out: &mut Findings) {
    out.ask("What would the model answer if it stopped at a layer?");
    let Some(last) = lines.last().map(|l| l.site) else { return };
    for l in shown(lines.iter().filter(|l| l.site == last).collect()) {
        let of = if o.factor.is_some() { format!(", {}", l.level) } else { String::new() };
        let right = Estimate::new(format!("right at {last}{of}"), "%", l.right.estimate);
        let right = right.interval(l.right.low.max(0.0), l.right.high.min(100.0), o.level);
        out.add(right.over(l.groups, "group").digits(1)).method(method(o)).citation(source());
        let same = Estimate::new(format!("letter as answered, {last}{of}"), "%", l.same);
        out.estimate(same.over(l.groups, "group").digits(1));
    }
}

/// Two levels at most: of more, those with the smallest and the largest share.
fn shown(mut levels: Vec<&Line>) -> Vec<&Line> {
    if levels.len() > 2 {
        levels.sort_by(|a, b| a.right.estimate.total_cmp(&b.right.estimate));
        levels.drain(1..levels.len() - 1);
    }
    levels
}

/// Where the lens is published.
const LENS: &str = "nostalgebraist 2020, interpreting GPT: the logit lens";

fn source() -> String {
    format!("{LENS}; {}", cite::STUDENT)
}

fn method(o: &LogitLens) -> String {
    format!(
        "the residual stream through the final norm and the unembedding; a group's value is the mean over its turns; Student's {} interval over groups",
        percent(o.level)
    )
}

fn table(lines: &[Line]) -> Table {
    let number = |name: &str, f: fn(&Line) -> f64| Column::number(name, lines.iter().map(f));
    let share = |name: &str, f: fn(&Line) -> f64| number(name, f).unit("%").digits(1);
    Table::new("sites", "Right: the likeliest of the question's letters is the right one; as answered: it is the answer given; log-probability: of the right letter, among the question's letters")
        .column(Column::text("site", lines.iter().map(|l| l.site.to_string())))
        .column(Column::text("level", lines.iter().map(|l| l.level.as_str())))
        .column(share("right", |l| l.right.estimate))
        .column(share("low", |l| l.right.low.clamp(0.0, 100.0)))
        .column(share("high", |l| l.right.high.clamp(0.0, 100.0)))
        .column(share("as_answered", |l| l.same))
        .column(number("log_probability", |l| l.log).title("log-probability").unit("nats"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_stats::Interval;

    /// Two samples of a conversation; each turn's activation is its own number.
    struct Run(Vec<TurnRow>);

    impl RunReader for Run {
        fn name(&self) -> &str {
            "memory"
        }
        fn seed(&self) -> u64 {
            1
        }
        fn turns(&self) -> &[TurnRow] {
            &self.0
        }
        fn tap(&self, of: ConversationId, site: Site, _: Position) -> Result<Option<TapArray>> {
            let own = self.0.iter().filter(|t| t.conversation() == of);
            let data: Vec<f32> = own.map(|t| (100 * t.sample + t.turn) as f32).collect();
            Ok((site == Site::Embed).then_some(TapArray { shape: [data.len(), 1, 1], data }))
        }
        fn findings(&self, _: &str) -> Option<serde_json::Value> {
            None
        }
    }

    fn turn(sample: u32, turn: u32, choices: u32, target: &str) -> TurnRow {
        let target = Some(target.to_string()).filter(|t| !t.is_empty());
        TurnRow { sample, turn, choices, target, ..TurnRow::default() }
    }

    #[test]
    fn each_sample_is_read_and_open_items_are_no_choices() {
        let run = Run(vec![turn(0, 1, 4, "A"), turn(0, 2, 4, "D"), turn(1, 1, 4, "B"), turn(1, 2, 4, "B")]);
        let all: Vec<&TurnRow> = run.0.iter().collect();
        assert_eq!(read(&run, &all, Site::Embed).unwrap().concat(), [1.0, 2.0, 101.0, 102.0]);
        assert!(all.iter().all(|t| chosen(t)));
        // Without choices, without a target, with a text as the target, and with the target beyond the choices.
        for t in [
            turn(0, 1, 0, ""),
            turn(0, 1, 4, ""),
            turn(0, 1, 4, "Paris | paris"),
            turn(0, 1, 3, "D"),
            turn(0, 1, 1, "A"),
        ] {
            assert!(!chosen(&t), "{t:?}");
        }
        let mut broken = run.0.clone();
        broken[3].turn = 9;
        let e = read(&Run(broken.clone()), &broken.iter().collect::<Vec<_>>(), Site::Embed).unwrap_err();
        assert!(e.to_string().contains("turn 9 of group 0, condition ``, sample 1"), "{e}");
    }

    #[test]
    fn of_many_levels_the_extremes_are_told_and_the_table_lists_all() {
        let line = |level: &str, estimate: f64| {
            let right = Interval { estimate, low: estimate, high: estimate };
            Line { site: Site::Embed, level: level.into(), right, groups: 4, same: 0.0, log: 0.0 }
        };
        let lines = [line("a", 40.0), line("b", 10.0), line("c", 90.0), line("d", 50.0)];
        let names = |of: &[Line]| shown(of.iter().collect()).iter().map(|l| l.level.clone()).collect::<Vec<_>>();
        assert_eq!(names(&lines), ["b", "c"]);
        assert_eq!(names(&lines[..2]), ["a", "b"]);
        assert_eq!(table(&lines).rows(), 4);
    }
}
