//! Implements the plugin traits by calls across a border: of a library, or of a process.
use crate::before;
use crate::border::{Border, Instance, Listed, Who};
use crate::condition::RemoteCondition;
use crate::dataset::RemoteDataset;
use crate::heard::escaped;
use crate::offer::Offer;
use friction_core::manifest::{Issues, Path, Step, to_json};
use friction_core::program::is_name;
use friction_core::registry::Prepared;
use friction_core::{
    Analyzer, BuildContext, Category, Condition, Dataset, Error, Findings, Hook, HookProgram, Kind, Maker, ModelSpec,
    Needs, PlanContext, Plugin, Readings, Result, RunReader, Spoken, TapView, TopicPlan, Topics,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// An instance of a plugin on the other side.
pub(crate) struct Remote {
    border: Arc<dyn Border>,
    label: String,
    instance: Box<dyn Instance>,
}

impl Remote {
    fn build(border: &Arc<dyn Border>, who: &Who, config: &str, cx: &BuildContext) -> Result<Self> {
        if cx.base.to_str().is_none() {
            return Err(Error::config(format!(
                "the manifest's folder {} is not valid UTF-8 and cannot be told to a plugin: rename the folder",
                cx.base.display()
            )));
        }
        let label = who.words();
        let built = border.clone().build(who, config, cx, &label)?;
        let instance = built
            .ok_or_else(|| Error::other(format!("{} lists `{}` but does not build it", border.name(), who.name)))?;
        Ok(Self { border: border.clone(), label, instance })
    }

    /// Version of the border that the other side speaks.
    pub fn version(&self) -> u32 {
        self.border.version()
    }

    /// Calls a method; `None` if the other side lacks it.
    pub fn maybe<T: DeserializeOwned>(
        &self,
        method: &str,
        request: &impl Serialize,
        offer: Offer,
    ) -> Result<Option<T>> {
        let request = serde_json::to_string(request).map_err(Error::other)?;
        let what = format!("{}: `{method}`", self.label);
        let answer = self.instance.call(method, &request, offer, &what)?;
        answer.map(|a| a.read(self.border.as_ref(), &what)).transpose()
    }

    /// Calls a method that the other side must have.
    pub fn call<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize) -> Result<T> {
        self.asked(method, request, Offer::default())
    }

    fn asked<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize, offer: Offer) -> Result<T> {
        self.maybe(method, request, offer)?.ok_or_else(|| self.lacks(method))
    }

    /// An error about the plugin; `what` follows its name.
    pub fn wrong(&self, what: &str) -> Error {
        Error::other(format!("{}: {} {}", self.border.name(), self.label, escaped(what)))
    }

    /// The error of a plugin without a method that it must have.
    pub fn lacks(&self, method: &str) -> Error {
        self.wrong(&format!("lacks the method `{method}`"))
    }
}

/// Topics of the other side.
struct RemoteTopics(Remote);

impl RemoteTopics {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    fn wrap(i: Remote) -> Result<Self> {
        Ok(Self(i))
    }
}

impl Topics for RemoteTopics {
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        let request = if self.0.version() <= before::LAST {
            before::choosing(categories, cx)
        } else {
            json!({"categories": categories, "seed": cx.seed, "groups": cx.groups, "items": cx.turns})
        };
        self.0.call("choose", &request)
    }
}

/// A hook of the other side.
struct RemoteHook {
    instance: Remote,
    /// The other side answered that this hook reads nothing, so it is not asked again.
    idle: AtomicBool,
}

impl RemoteHook {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    fn wrap(instance: Remote) -> Result<Self> {
        Ok(Self { instance, idle: AtomicBool::new(false) })
    }
}

impl Hook for RemoteHook {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        self.instance.call("program", model)
    }

    fn read(&self, spoken: &Spoken, taps: &[TapView]) -> Result<Readings> {
        if self.idle.load(Ordering::Relaxed) {
            return Ok(Readings::new());
        }
        let (remote, what) = (&self.instance, format!("{}: `read`", self.instance.label));
        let answer = remote.instance.read(spoken, taps, &what)?;
        let told = answer.map(|a| a.read(remote.border.as_ref(), &what)).transpose()?;
        Ok(told.unwrap_or_else(|| {
            self.idle.store(true, Ordering::Relaxed);
            Readings::new()
        }))
    }
}

/// An analyzer of the other side. What it needs is asked when it is built.
struct RemoteAnalyzer {
    instance: Remote,
    needs: Needs,
}

impl RemoteAnalyzer {
    fn wrap(instance: Remote) -> Result<Self> {
        let needs = instance.maybe("needs", &Value::Null, Offer::default())?.unwrap_or_default();
        Ok(Self { instance, needs })
    }
}

impl Analyzer for RemoteAnalyzer {
    fn needs(&self) -> Needs {
        self.needs.clone()
    }
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        *out = self.instance.asked("analyze", &Value::Null, Offer::run(run))?;
        Ok(())
    }
}
