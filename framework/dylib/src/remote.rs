//! An instance of a plugin on the other side of a border, and the traits of topics, hooks and analyzers by calls to it.
use crate::before;
use crate::border::{Border, Instance, Who};
use crate::heard::escaped;
use crate::offer::Offer;
use friction_core::{
    Analyzer, BuildContext, Category, Error, Findings, Hook, HookProgram, ModelSpec, Needs, PlanContext, Readings,
    Result, RunReader, Spoken, TapView, TopicPlan, Topics,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An instance of a plugin on the other side.
pub(crate) struct Remote {
    border: Arc<dyn Border>,
    label: String,
    instance: Box<dyn Instance>,
}

impl Remote {
    /// Builds an instance.
    pub fn build(border: &Arc<dyn Border>, who: &Who, config: &str, cx: &BuildContext) -> Result<Self> {
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
pub(crate) struct RemoteTopics(Remote);

impl RemoteTopics {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    pub fn wrap(i: Remote) -> Result<Self> {
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
pub(crate) struct RemoteHook {
    instance: Remote,
    /// The other side answered that this hook reads nothing, so it is not asked again.
    idle: AtomicBool,
}

impl RemoteHook {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    pub fn wrap(instance: Remote) -> Result<Self> {
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
pub(crate) struct RemoteAnalyzer {
    instance: Remote,
    needs: Needs,
}

impl RemoteAnalyzer {
    pub fn wrap(instance: Remote) -> Result<Self> {
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
