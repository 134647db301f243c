//! `{{name}}`: an analyzer. Say here which question it answers.
use friction_core::findings::Column;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, BuildContext, Findings, Needs, PluginConfig, PluginEntry, Result, RunReader, Table,
};
use serde::Deserialize;
use std::collections::BTreeMap;

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
        for (level, v) in &lengths {
            out.say(format!("{} = {level}: {:.1} tokens a reply, over {} replies", self.factor, mean(v), v.len()));
            out.value(level, mean(v));
        }
        out.tables.push(Table {
            name: "lengths".into(),
            columns: vec![
                ("level".into(), Column::Text(lengths.keys().map(ToString::to_string).collect())),
                ("tokens".into(), Column::Number(lengths.values().map(|v| mean(v)).collect())),
            ],
        });
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<Options>("{{name}}", "Length of replies by level", env!("CARGO_PKG_VERSION"))
}
{{export}}
