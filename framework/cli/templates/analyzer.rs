//! `{{name}}`: an analyzer. Say here which question it answers.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Column, Findings, Needs, PluginConfig, PluginEntry, Result, RunReader, Table,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Say here what the plugin is for and what it writes. `friction plugins show {{name}}` prints this text, with the text of
/// each option; `friction plugins guide DIR` writes them as a page.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The factor whose levels are compared.
    #[schemars(example = &"completion")]
    factor: String,
}

impl PluginConfig for Options {
    type Output = dyn Analyzer;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Analyzer for Options {
    /// What the analyzer reads. It is checked before the run: a manifest that does not produce it is refused.
    fn needs(&self) -> Needs {
        Needs { factors: vec![self.factor.clone()], ..Needs::default() }
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let mut lengths: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for t in run.turns().iter().filter(|t| t.arm.is_empty()) {
            if let Some(level) = t.factors.get(&self.factor) {
                lengths.entry(level).or_default().push(f64::from(t.reply_tokens));
            }
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        out.ask(format!("How long are replies by {}?", self.factor));
        for (level, v) in &lengths {
            out.value(level, mean(v));
        }
        let table = Table::new("lengths", format!("Untouched replies by {}", self.factor))
            .column(Column::text("level", lengths.keys().copied()))
            .column(Column::count("replies", lengths.values().map(|v| v.len() as i64)))
            .column(Column::number("tokens", lengths.values().map(|v| mean(v))).title("length").unit("tokens").digits(1));
        // What another needs to judge it: the number of independent units, the method and where it is published.
        let groups = run.turns().iter().map(|t| t.group).collect::<BTreeSet<_>>().len();
        out.table(table).over(groups, "group").method("means over all replies").exploratory();
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Options>("{{name}}", "Length of replies by level", env!("CARGO_PKG_VERSION"))
}
{{export}}
