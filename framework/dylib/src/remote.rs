//! Implements the plugin traits by calls to a library.
use crate::call::{Offer, call, identity, raw};
use crate::library::{Library, Listed};
use friction_core::manifest::{Issues, Path, Step, to_json};
use friction_core::registry::Prepared;
use friction_core::{
    Analyzer, Ask, BuildContext, Category, Condition, Dataset, Error, Findings, Grade, Hook, HookProgram, Item, Kept,
    Kind, Maker, ModelSpec, Needs, Origin, PlanContext, Plugin, Readings, Reply, Result, RunReader, Spoken, TapView,
    TopicPlan, Topics, TurnContext,
};
use friction_plugin::abi::{Tap, Text};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A plugin of a library, for a registry.
pub(crate) fn plugin(library: &Arc<Library>, listed: &Listed) -> Result<Plugin> {
    let fits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if !fits(&listed.name) {
        return Err(Error::data(
            library.path(),
            format!("lists a plugin called {:?}; names are letters, digits, `-` and `_`", listed.name),
        ));
    }
    macro_rules! maker {
        ($($kind:ident => $remote:ident),*) => {
            match listed.kind {
                $(Kind::$kind => {
                    let (library, name) = (library.clone(), listed.name.clone());
                    Maker::$kind(Arc::new(move |table, path, issues| {
                        let config = validated(&library, Kind::$kind, &name, &table, path, issues)?;
                        let (library, name) = (library.clone(), name.clone());
                        let prepared: Prepared<dyn $kind> = Box::new(move |cx| {
                            let built = Instance::build(&library, Kind::$kind, &name, &config, cx)?;
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
        origin: Origin::Library { path: library.path().into(), sha256: library.sha256().into() },
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

/// The configuration as JSON, if the library finds nothing wrong with it. Otherwise faults are added to the issues.
fn validated(
    library: &Library,
    kind: Kind,
    name: &str,
    table: &toml::Value,
    path: &Path,
    issues: &mut Issues,
) -> Option<String> {
    let config = to_json(table).to_string();
    // Tables of version 1 have no `validate`: `build` reports what is wrong, also before any token is generated.
    let Some(validate) = library.table.validate else { return Some(config) };
    let who = identity(kind, name);
    // SAFETY: the table's functions live as long as the process; the texts through the call.
    let found = call::<Vec<Wrong>>(library, &format!("validate of `{name}`"), |out| unsafe {
        validate(Text::of(&who), Text::of(&config), out)
    });
    let found = match found {
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
        issues.push(at, w.message, w.help);
    }
    right.then_some(config)
}

/// An instance of a plugin, made by its library.
struct Instance {
    library: Arc<Library>,
    label: String,
    pointer: *mut c_void,
}

// SAFETY: the header lets any thread call, one at a time: `call` holds a gate.
unsafe impl Send for Instance {}
// SAFETY: as above.
unsafe impl Sync for Instance {}

impl Instance {
    fn build(library: &Arc<Library>, kind: Kind, name: &str, config: &str, cx: &BuildContext) -> Result<Self> {
        let build = library.table.build.ok_or_else(|| Error::other("the table lacks `build`"))?;
        let who = identity(kind, name);
        if cx.base.to_str().is_none() {
            return Err(Error::config(format!(
                "the manifest's folder {} is not valid UTF-8 and cannot be passed to a library: rename the folder",
                cx.base.display()
            )));
        }
        let context = serde_json::to_string(cx).map_err(Error::other)?;
        let mut pointer = std::ptr::null_mut();
        // SAFETY: as in `validated`; the place for the instance lives here.
        let code = raw(library, &format!("{} `{name}`", kind.word()), |out| unsafe {
            build(Text::of(&who), Text::of(config), Text::of(&context), &mut pointer, out)
        })?;
        if code.is_none() {
            return Err(Error::other(format!("{} lists `{name}` but does not build it", library.name())));
        }
        Ok(Self { library: library.clone(), label: format!("{} `{name}`", kind.word()), pointer })
    }

    /// Calls a method; `None` if the library lacks it.
    fn maybe<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize, offer: Offer) -> Result<Option<T>> {
        let function = self.library.table.call.ok_or_else(|| Error::other("the table lacks `call`"))?;
        let request = serde_json::to_string(request).map_err(Error::other)?;
        let mut offer = offer;
        let host = offer.host();
        // SAFETY: as in `validated`; the instance was built by this library and is not dropped; host and
        // offer live through the call.
        call(&self.library, &format!("{}: `{method}`", self.label), |out| unsafe {
            function(self.pointer, Text::of(method), Text::of(&request), &host, out)
        })
    }

    fn call<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize) -> Result<T> {
        self.asked(method, request, Offer::default())
    }

    fn asked<T: DeserializeOwned>(&self, method: &str, request: &impl Serialize, offer: Offer) -> Result<T> {
        self.maybe(method, request, offer)?.ok_or_else(|| self.wrong(&format!("lacks the method `{method}`")))
    }

    fn wrong(&self, what: &str) -> Error {
        Error::other(format!("{}: {} {what}", self.library.name(), self.label))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(drop) = self.library.table.drop {
            // SAFETY: built by this library, given back once.
            let _ = raw(&self.library, "drop", |_| unsafe {
                drop(self.pointer);
                friction_plugin::abi::OK
            });
        }
    }
}

/// A turn in the JSON form of the header.
fn turn(cx: &TurnContext) -> Value {
    json!({"seed": cx.seed, "group": cx.group, "turn": cx.turn, "turns": cx.turns, "topic": cx.topic, "question": cx.prompt})
}

/// A condition of a library.
struct RemoteCondition(Instance);

impl RemoteCondition {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    fn wrap(i: Instance) -> Result<Self> {
        Ok(Self(i))
    }
}

impl Condition for RemoteCondition {
    fn ask(&self, cx: &TurnContext) -> Result<Option<Ask>> {
        self.0.call("ask", &turn(cx))
    }
    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let request = json!({"turn": turn(cx), "reply": {"text": reply.text, "ids": reply.ids}});
        self.0.asked("keep", &request, Offer { codec: Some(reply.codec), ..Offer::default() })
    }
}

/// Topics of a library.
struct RemoteTopics(Instance);

impl RemoteTopics {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    fn wrap(i: Instance) -> Result<Self> {
        Ok(Self(i))
    }
}

impl Topics for RemoteTopics {
    fn choose(&self, categories: &[Category], cx: &PlanContext) -> Result<TopicPlan> {
        let request = json!({"categories": categories, "seed": cx.seed, "groups": cx.groups, "turns": cx.turns});
        self.0.call("choose", &request)
    }
}

/// A dataset of a library. Its questions are fetched when it is built.
struct RemoteDataset {
    instance: Instance,
    categories: Vec<Category>,
    items: Vec<Vec<Item>>,
    fingerprint: String,
}

impl RemoteDataset {
    fn wrap(instance: Instance) -> Result<Self> {
        let mut categories: Vec<Category> = instance.call("categories", &Value::Null)?;
        let fingerprint = instance.call("fingerprint", &Value::Null)?;
        let mut items = vec![];
        let (mut names, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for c in &mut categories {
            let all: Vec<Item> = instance.call("questions", &c.name)?;
            if let Some(q) = all.iter().find(|q| q.fault().is_some() || !ids.insert(q.id.clone())) {
                let why = q.fault().unwrap_or_else(|| "occurs twice".into());
                return Err(instance.wrong(&format!("gave the item `{}`, which {why}", q.id)));
            }
            if !names.insert(c.name.clone()) {
                return Err(instance.wrong(&format!("has two categories called `{}`", c.name)));
            }
            c.items = all.len();
            items.push(all);
        }
        Ok(Self { instance, categories, items, fingerprint })
    }
}

impl Dataset for RemoteDataset {
    fn categories(&self) -> &[Category] {
        &self.categories
    }
    fn item(&self, category: &Category, index: usize) -> Result<Item> {
        let at = self.categories.iter().position(|c| c.name == category.name);
        let found = at.and_then(|i| self.items[i].get(index));
        found.cloned().ok_or_else(|| self.instance.wrong(&format!("has no item {index} in `{}`", category.name)))
    }
    fn prompt(&self, item: &Item) -> Result<String> {
        self.instance.call("prompt", &question(item))
    }
    fn grade(&self, item: &Item, reply: &str) -> Result<Grade> {
        let told: Value = self.instance.call("grade", &json!({"question": question(item), "reply": reply}))?;
        grade(told).map_err(|e| self.instance.wrong(&format!("grades with what cannot be read ({e})")))
    }
    fn fingerprint(&self) -> String {
        self.fingerprint.clone()
    }
}

/// An item in the form of versions 1 and 2 of the border, which knew multiple-choice questions alone.
fn question(item: &Item) -> Value {
    json!({"id": item.id, "category": item.category, "text": item.text, "options": item.choices, "answer": item.right()})
}

/// A grade, in the present form or in that of versions 1 and 2: `{"parsed": "B", "correct": true, "others": {}}`.
fn grade(told: Value) -> serde_json::Result<Grade> {
    #[derive(Deserialize)]
    struct Before {
        parsed: Option<String>,
        correct: bool,
        #[serde(default)]
        others: std::collections::BTreeMap<String, Option<String>>,
    }
    if told.get("correct").is_none() {
        return serde_json::from_value(told);
    }
    let Before { parsed, correct, others } = serde_json::from_value(told)?;
    Ok(Grade { score: Some(f64::from(u8::from(correct))), answer: parsed, others, ..Grade::default() })
}

/// A hook of a library.
struct RemoteHook {
    instance: Instance,
    /// The library answered that this hook reads nothing, so it is not asked again.
    idle: AtomicBool,
}

impl RemoteHook {
    #[allow(clippy::unnecessary_wraps)] // As the other kinds' `wrap`, which ask and may fail.
    fn wrap(instance: Instance) -> Result<Self> {
        Ok(Self { instance, idle: AtomicBool::new(false) })
    }
}

impl Hook for RemoteHook {
    fn program(&self, model: &ModelSpec) -> Result<HookProgram> {
        self.instance.call("program", model)
    }

    fn read(&self, spoken: &Spoken, taps: &[TapView]) -> Result<Readings> {
        let Some(read) = self.instance.library.table.read.filter(|_| !self.idle.load(Ordering::Relaxed)) else {
            return Ok(Readings::new());
        };
        let turn = serde_json::to_string(spoken).map_err(Error::other)?;
        let names: Vec<String> = taps.iter().map(|t| json!(t.tap).to_string()).collect();
        let flat: Vec<Vec<f32>> = taps.iter().map(|t| t.rows.concat()).collect();
        let given: Vec<Tap> = taps
            .iter()
            .zip(names.iter().zip(&flat))
            .map(|(t, (name, data))| Tap {
                tap: Text::of(name),
                data: data.as_ptr(),
                rows: t.rows.len(),
                width: t.rows.first().map_or(0, Vec::len),
            })
            .collect();
        // SAFETY: as in `Instance::maybe`; taps and their data live through the call.
        let told = call(&self.instance.library, &format!("{}: `read`", self.instance.label), |out| unsafe {
            read(self.instance.pointer, Text::of(&turn), given.as_ptr(), given.len(), out)
        })?;
        Ok(told.unwrap_or_else(|| {
            self.idle.store(true, Ordering::Relaxed);
            Readings::new()
        }))
    }
}

/// An analyzer of a library. What it needs is asked when it is built.
struct RemoteAnalyzer {
    instance: Instance,
    needs: Needs,
}

impl RemoteAnalyzer {
    fn wrap(instance: Instance) -> Result<Self> {
        let needs = instance.maybe("needs", &Value::Null, Offer::default())?.unwrap_or_default();
        Ok(Self { instance, needs })
    }
}

impl Analyzer for RemoteAnalyzer {
    fn needs(&self) -> Needs {
        self.needs.clone()
    }
    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        *out = self.instance.asked("analyze", &Value::Null, Offer { run: Some(run), ..Offer::default() })?;
        Ok(())
    }
}
