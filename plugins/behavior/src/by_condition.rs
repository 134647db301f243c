//! The outcome of each condition, and of each condition at each turn.
use crate::levels::About;
use crate::values::{Course, Factor, last};
use crate::{Behavior, figure, summary};
use friction_core::{Estimate, Findings, Outcome, Result, TurnRow, plural};
use friction_stats::{cite, percent};

/// Most conditions whose means are estimates.
const ESTIMATES: usize = 4;

impl Behavior {
    /// Writes the outcome of each condition, and of each condition at each turn.
    pub(crate) fn by_condition(
        &self,
        turns: &[&TurnRow],
        all: &[Course],
        about: &About,
        out: &mut Findings,
    ) -> Result<()> {
        out.section(if *about.outcome == Outcome::Score { "Accuracy" } else { "Outcome" });
        summary::tell(turns, all, about, out);
        let lengths = last(turns).into_iter().map(|t| t.turn);
        let (least, most) = lengths.fold((u32::MAX, 0), |(a, b), n| (a.min(n), b.max(n)));
        if least < most {
            out.say(format!("Conversations have {least} to {}", plural(most as usize, "turn")));
        }
        let cells = summary::cells(turns, all, about);
        let (method, citation) = summary::method(all, self.level);
        out.table(summary::table(&cells, about.outcome)).method(method.as_str()).citation(citation);
        let bars = figure::bars(citation == cite::WILSON, self.level);
        if let Some(figure) = figure::by_turn(&cells, turns, about, &bars)? {
            out.figure(figure).method(method).citation(citation);
        }
        Ok(())
    }

    /// Asks for the outcome of each condition, and answers where there are few.
    pub(crate) fn listed(&self, turns: &[&TurnRow], compared: &[Course], about: &About, out: &mut Findings) {
        let names = Factor::Condition.levels(turns);
        let what = about.outcome.label();
        out.ask(match &names[..] {
            [_] => format!("How large is the {what}?"),
            _ => format!("How large is the {what} of each condition?"),
        });
        for name in names.iter().filter(|_| names.len() <= ESTIMATES) {
            let groups: Vec<f64> = compared.iter().filter(|c| c.condition == *name).filter_map(Course::mean).collect();
            let Some(i) = about.shown(&groups) else { continue };
            let e = Estimate::new(name.as_str(), about.outcome.shown_unit(), i.estimate);
            let e = e.interval(i.low, i.high, self.level).over(groups.len(), "group").digits(about.outcome.digits());
            out.add(e)
                .method(format!(
                    "mean over groups of the mean over samples and turns ({}); {} interval over groups, Wilson's where every group's value is 0 or 1, otherwise Student's t",
                    about.turns,
                    percent(self.level)
                ))
                .citation(format!("{}; {}", cite::WILSON, cite::STUDENT));
        }
    }
}
