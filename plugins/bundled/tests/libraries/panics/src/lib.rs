//! A condition that panics in every call, and an analyzer that reads the run through the host.
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    Analyzer, Ask, BuildContext, Column, Condition, ConversationId, Findings, Needs, PluginConfig, PluginEntry, Position,
    Result, RunReader, Site, Table, TurnContext,
};
use serde::Deserialize;

/// Options.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Panics {}

impl PluginConfig for Panics {
    type Output = dyn Condition;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
        Ok(Box::new(self.clone()))
    }
}

impl Condition for Panics {
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        let letters: Vec<char> = cx.prompt.chars().take(3).collect();
        panic!("no letter {} among {letters:?}", letters.len() + 4);
    }
}

/// Options.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Means {
    /// What is averaged.
    site: Site,
}

impl PluginConfig for Means {
    type Output = dyn Analyzer;
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Analyzer>> {
        Ok(Box::new(self.clone()))
    }
}

impl Analyzer for Means {
    fn needs(&self) -> Needs {
        Needs { taps: vec![(self.site, Position::PromptEnd)], ..Needs::default() }
    }
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let mut sum = 0.0;
        let mut groups = vec![];
        for t in run.turns().iter().filter(|t| t.turn == 1) {
            let tap = run.tap(t.conversation(), self.site, Position::PromptEnd)?.expect("tapped");
            sum += tap.data.iter().map(|x| f64::from(*x)).sum::<f64>();
            groups.push(i64::from(t.group));
        }
        let none = ConversationId { group: 99, condition: "x", arm: "", sample: 0 };
        assert!(run.tap(none, self.site, Position::ReplyEnd)?.is_none());
        out.say(format!("{} conversations of {}", groups.len(), run.name()));
        out.value("sum", sum);
        out.value("earlier", run.findings("behavior").is_some());
        out.file("bytes.bin", vec![1, 2, 255]);
        let table = Table::new("groups", "a row for each conversation").column(Column::count("group", groups));
        out.table(table).method("none").over(2, "group");
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::condition::<Panics>("panics", "Panics", env!("CARGO_PKG_VERSION"))
}
friction_core::inventory::submit! {
    PluginEntry::analyzer::<Means>("means", "Sum of activations", env!("CARGO_PKG_VERSION"))
}
friction_plugin::export!();
