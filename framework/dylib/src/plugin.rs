//! A plugin of the other side as a registry takes it: its table is checked there, and each of its traits is a call.
use crate::border::{Border, Listed, Who};
use crate::condition::RemoteCondition;
use crate::dataset::RemoteDataset;
use crate::heard::escaped;
use crate::remote::{Remote, RemoteAnalyzer, RemoteHook, RemoteTopics};
use friction_core::manifest::{Issues, Path, Step, to_json};
use friction_core::program::is_name;
use friction_core::registry::Prepared;
use friction_core::{Analyzer, Condition, Dataset, Error, Hook, Kind, Maker, Plugin, Result, Topics};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A plugin of the other side, for a registry.
pub(crate) fn plugin(border: &Arc<dyn Border>, listed: &Listed) -> Result<Plugin> {
    if !is_name(&listed.name) {
        let (who, name) = (border.name(), &listed.name);
        let message = format!("{who}: lists a plugin called {name:?}; names are letters, digits, `-` and `_`");
        return Err(Error::other(message));
    }
    macro_rules! maker {
        ($($kind:ident => $remote:ident),*) => {
            match listed.kind {
                $(Kind::$kind => {
                    let (border, who) = (border.clone(), Who { kind: Kind::$kind, name: listed.name.clone() });
                    Maker::$kind(Arc::new(move |table, path, issues| {
                        let config = validated(border.as_ref(), &who, &table, path, issues)?;
                        let (border, who) = (border.clone(), who.clone());
                        let prepared: Prepared<dyn $kind> = Box::new(move |cx| {
                            let built = Remote::build(&border, &who, &config, cx)?;
                            Ok(Box::new($remote::wrap(built)?))
                        });
                        Some(prepared)
                    }))
                })*
            }
        };
    }
    let maker = maker!(Condition => RemoteCondition, Dataset => RemoteDataset, Topics => RemoteTopics, Hook => RemoteHook, Analyzer => RemoteAnalyzer);
    let oneline: String = listed.summary.chars().filter(|c| !c.is_control()).take(200).collect();
    Ok(Plugin {
        name: listed.name.clone(),
        summary: oneline,
        version: listed.version.chars().filter(|c| !c.is_control()).take(40).collect(),
        origin: border.origin(),
        options: listed.options.clone().unwrap_or_else(|| json!({"type": "object"})),
        maker,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrong {
    at: Vec<Value>,
    message: String,
    #[serde(default)]
    help: Option<String>,
}

/// The configuration as JSON, if the other side finds nothing wrong with it. Otherwise faults are added to the issues.
fn validated(border: &dyn Border, who: &Who, table: &toml::Value, path: &Path, issues: &mut Issues) -> Option<String> {
    let config = to_json(table).to_string();
    let what = format!("validate of `{}`", who.name);
    let found = border.validate(who, &config, &what);
    let found = match found.and_then(|f| f.map(|a| a.read::<Vec<Wrong>>(border, &what)).transpose()) {
        Ok(found) => found.unwrap_or_default(),
        Err(e) => {
            issues.push(path.clone(), e.to_string(), None);
            return None;
        }
    };
    let right = found.is_empty();
    for w in found {
        let mut at = path.clone();
        for step in w.at {
            match step {
                Value::String(k) => at.0.push(Step::Key(k)),
                other => at.0.extend(other.as_u64().map(|i| Step::Index(i as usize))),
            }
        }
        issues.push(at, escaped(&w.message), w.help.as_deref().map(escaped));
    }
    right.then_some(config)
}
