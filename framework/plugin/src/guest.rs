//! The library's side of the C interface: calls plugins that were submitted to `inventory`, by kind and name.
use crate::abi::{ERROR, Host, OK, Out, PANIC, Table, Tap, Text, UNKNOWN, VERSION};
use crate::guest::host::{HostCodec, HostRun};
use friction_core::manifest::{BackendSection, GenerationSection, Issues, ModelSection, Path, Step, StudySection};
use friction_core::registry::{Kind, Maker, Plugin, Registry};
use friction_core::schemars::{JsonSchema, SchemaGenerator};
use friction_core::{
    Analyzer, BuildContext, Category, ChatMessage, Condition, Dataset, Error, Exchange, Factors, Findings,
    GradeSection, Hook, Item, ModelSpec, OpeningContext, PlanContext, Reply, Result, Spoken, TapView, Topics,
    TurnContext,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::any::Any;
use std::cell::RefCell;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

mod host;

/// An instance of a plugin.
enum Instance {
    Condition(Box<dyn Condition>),
    Dataset(Box<dyn Dataset>),
    Topics(Box<dyn Topics>),
    Hook(Box<dyn Hook>),
    Analyzer(Box<dyn Analyzer>),
}

/// Why a call failed: with an error, or because there is no such plugin or method.
enum Fault {
    Error(Error),
    Unknown,
}
impl From<Error> for Fault {
    fn from(e: Error) -> Self {
        Fault::Error(e)
    }
}
type Outcome<T> = std::result::Result<T, Fault>;

static TABLE: Table = Table {
    version: VERSION,
    size: std::mem::size_of::<Table>() as u32,
    list: Some(list),
    build: Some(build),
    drop: Some(drop_instance),
    call: Some(call),
    read: Some(read),
    validate: Some(validate),
};

/// The function table of this library. The host checks its version, so `_host_version` is not used.
pub fn table(_host_version: u32) -> *const Table {
    &TABLE
}

thread_local! {
    /// Message and place of this thread's last panic.
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f`, writes its answer or error to `out`, and returns the code. A panic becomes the code [`PANIC`].
fn guarded(out: *const Out, f: impl FnOnce() -> Outcome<Option<String>>) -> i32 {
    static QUIET: Once = Once::new();
    // The library has its own copy of the standard library, and so its own panic hook. The hook stores the message
    // and prints nothing; the host prints it.
    QUIET.call_once(|| {
        std::panic::set_hook(Box::new(|info| {
            let place = info.location().map(|l| format!(" at {}:{}", l.file(), l.line())).unwrap_or_default();
            PANICKED.with(|p| *p.borrow_mut() = Some(format!("{}{place}", words(info.payload()))));
        }));
    });
    // SAFETY: the host hands a pointer that lives through the call, or null.
    let out = unsafe { out.as_ref() };
    let write = |text: &str| {
        if let Some(o) = out {
            o.text(text);
        }
    };
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(answer)) => {
            write(answer.as_deref().unwrap_or(""));
            OK
        }
        Ok(Err(Fault::Error(e))) => {
            write(&e.to_string());
            ERROR
        }
        Ok(Err(Fault::Unknown)) => UNKNOWN,
        Err(payload) => {
            write(&PANICKED.with(|p| p.borrow_mut().take()).unwrap_or_else(|| words(payload.as_ref())));
            PANIC
        }
    }
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without words".into())
}

fn json<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    serde_json::from_slice(text).map_err(|e| Error::other(format!("the host's request cannot be read: {e}")))
}
fn written<T: serde::Serialize>(value: &T) -> Outcome<Option<String>> {
    Ok(Some(serde_json::to_string(value).map_err(Error::other)?))
}

#[derive(Deserialize)]
struct Which {
    kind: Kind,
    name: String,
}

fn find(which: &[u8]) -> Outcome<Plugin> {
    let which: Which = json(which)?;
    let all = Registry::linked();
    let found = all.plugins().iter().find(|p| p.maker.kind() == which.kind && p.name == which.name);
    found.cloned().ok_or(Fault::Unknown)
}

unsafe extern "C" fn list(out: *const Out) -> i32 {
    guarded(out, || {
        let of = |p: &Plugin| json!({"kind": p.maker.kind(), "name": p.name, "version": p.version, "summary": p.summary, "options": p.options});
        written(&Registry::linked().plugins().iter().map(of).collect::<Vec<Value>>())
    })
}

/// Checks a configuration, given as JSON.
fn issues(plugin: &Plugin, config: &[u8]) -> Result<Issues> {
    let table: toml::Value = json(config)?;
    let mut issues = Issues::default();
    plugin.maker.check(table, &Path::default(), &mut issues);
    Ok(issues)
}

unsafe extern "C" fn validate(plugin: Text, config: Text, out: *const Out) -> i32 {
    guarded(out, || {
        // SAFETY: the host's texts live through the call.
        let (plugin, config) = unsafe { (plugin.bytes(), config.bytes()) };
        let found = issues(&find(plugin)?, config)?;
        let step = |s: &Step| match s {
            Step::Key(k) => json!(k),
            Step::Index(i) => json!(i),
        };
        let all = found.0.iter().map(|i| {
            let at: Vec<Value> = i.path.0.iter().map(step).collect();
            json!({"at": at, "message": i.message, "help": i.help})
        });
        written(&all.collect::<Vec<Value>>())
    })
}

/// The context of an instance. Keys that a newer host sends and this library does not know are left out, because the
/// manifest's sections refuse unknown keys.
fn context_of(mut told: Value) -> Result<BuildContext> {
    fn known<T: JsonSchema>(section: Option<&mut Value>) {
        let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
        let keys = schema["properties"].as_object();
        if let (Some(Value::Object(section)), Some(keys)) = (section, keys) {
            section.retain(|key, _| keys.contains_key(key));
        }
    }
    known::<ModelSection>(told.get_mut("model"));
    known::<BackendSection>(told.get_mut("backend"));
    known::<StudySection>(told.get_mut("study"));
    known::<GenerationSection>(told.get_mut("generation"));
    known::<GradeSection>(told.get_mut("grade"));
    serde_json::from_value(told).map_err(|e| Error::other(format!("the host's request cannot be read: {e}")))
}

unsafe extern "C" fn build(
    plugin: Text,
    config: Text,
    context: Text,
    instance: *mut *mut c_void,
    error: *const Out,
) -> i32 {
    guarded(error, || {
        // SAFETY: the host's texts live through the call.
        let (plugin, config, context) = unsafe { (plugin.bytes(), config.bytes(), context.bytes()) };
        let plugin = find(plugin)?;
        let table: toml::Value = json(config)?;
        let cx = context_of(json(context)?)?;
        let mut issues = Issues::default();
        macro_rules! build {
            ($prepare:expr, $kind:ident) => {
                match $prepare(table, &Path::default(), &mut issues) {
                    Some(prepared) => Some(Instance::$kind(prepared(&cx)?)),
                    None => None,
                }
            };
        }
        let built = match &plugin.maker {
            Maker::Condition(p) => build!(p, Condition),
            Maker::Dataset(p) => build!(p, Dataset),
            Maker::Topics(p) => build!(p, Topics),
            Maker::Hook(p) => build!(p, Hook),
            Maker::Analyzer(p) => build!(p, Analyzer),
        };
        let Some(built) = built else {
            let all: Vec<String> = issues.0.iter().map(|i| format!("{}: {}", i.path, i.message)).collect();
            return Err(Error::config(all.join("; ")).into());
        };
        // SAFETY: the host hands a place for one pointer.
        unsafe { *instance = Box::into_raw(Box::new(built)).cast() };
        Ok(None)
    })
}

unsafe extern "C" fn drop_instance(instance: *mut c_void) {
    guarded(std::ptr::null(), || {
        if !instance.is_null() {
            // SAFETY: made by `build` from a box, handed back once.
            drop(unsafe { Box::from_raw(instance.cast::<Instance>()) });
        }
        Ok(None)
    });
}

#[derive(Deserialize)]
struct Turn {
    seed: u64,
    group: usize,
    // Hosts of versions before do not say it.
    #[serde(default)]
    sample: usize,
    turn: usize,
    turns: usize,
    round: usize,
    rounds: usize,
    topic: String,
    item: Item,
    prompt: String,
    history: Vec<Exchange>,
}
impl Turn {
    fn context(&self) -> TurnContext<'_> {
        let Self { seed, group, sample, turn, turns, topic, prompt, item, history, round, rounds } = self;
        let (seed, group, sample) = (*seed, *group, *sample);
        let ((turn, turns), (round, rounds)) = ((*turn, *turns), (*round, *rounds));
        TurnContext { seed, group, sample, turn, turns, round, rounds, topic, item, prompt, history }
    }
}
#[derive(Deserialize)]
struct Opening {
    seed: u64,
    group: usize,
    items: Vec<Item>,
    given: Vec<ChatMessage>,
}
#[derive(Deserialize)]
struct Place {
    category: String,
    index: usize,
}
#[derive(Deserialize)]
struct Said {
    text: String,
    ids: Vec<u32>,
    prefill: String,
}
#[derive(Deserialize)]
struct Keeping {
    turn: Turn,
    reply: Said,
}
#[derive(Deserialize)]
struct Grading {
    item: Item,
    reply: String,
}
#[derive(Deserialize)]
struct Choosing {
    categories: Vec<Category>,
    #[serde(flatten)]
    cx: PlanContext,
}
#[derive(Deserialize)]
struct Read {
    group: usize,
    condition: String,
    arm: String,
    factors: Factors,
    turn: usize,
    reply: String,
    sample: usize,
}

unsafe extern "C" fn call(
    instance: *mut c_void,
    method: Text,
    request: Text,
    host: *const Host,
    out: *const Out,
) -> i32 {
    guarded(out, || {
        // SAFETY: made by `build`, not yet dropped; the host's texts and functions live through the call.
        let (instance, method, request, host) =
            unsafe { (&*instance.cast::<Instance>(), method.bytes(), request.bytes(), host.as_ref()) };
        let method = std::str::from_utf8(method).map_err(Error::other)?;
        match (instance, method) {
            (Instance::Condition(c), "ask") => written(&c.ask(&json::<Turn>(request)?.context())?),
            (Instance::Condition(c), "opening") => {
                let Opening { seed, group, items, given } = json(request)?;
                written(&c.opening(&OpeningContext { seed, group, items: &items, given: &given })?)
            }
            (Instance::Condition(c), "rounds") => written(&c.rounds(&json(request)?)),
            (Instance::Condition(c), "bounds") => written(&c.bounds()),
            (Instance::Condition(c), "keep") => {
                let Keeping { turn, reply } = json(request)?;
                let codec = HostCodec(host);
                let reply = Reply { text: &reply.text, ids: &reply.ids, prefill: &reply.prefill, codec: &codec };
                written(&c.keep(&reply, &turn.context())?)
            }
            (Instance::Dataset(d), "categories") => written(&d.categories()),
            (Instance::Dataset(d), "item") => {
                let Place { category, index } = json(request)?;
                let category = d.categories().iter().find(|c| c.name == category).ok_or(Fault::Unknown)?;
                written(&d.item(category, index)?)
            }
            (Instance::Dataset(d), "opening") => written(&d.opening(&json::<Vec<Item>>(request)?)?),
            (Instance::Dataset(d), "ordered") => written(&d.ordered()),
            (Instance::Dataset(d), "prompt") => written(&d.prompt(&json(request)?)?),
            (Instance::Dataset(d), "grade") => {
                let Grading { item, reply } = json(request)?;
                written(&d.grade(&item, &reply)?)
            }
            (Instance::Dataset(d), "fingerprint") => written(&d.fingerprint()),
            (Instance::Topics(t), "choose") => {
                let Choosing { categories, cx } = json(request)?;
                written(&t.choose(&categories, &cx)?)
            }
            (Instance::Hook(h), "program") => program(h.as_ref(), &json(request)?),
            (Instance::Analyzer(a), "needs") => written(&a.needs()),
            (Instance::Analyzer(a), "analyze") => {
                let run = HostRun::open(host)?;
                let mut found = Findings::default();
                a.analyze(&run, &mut found)?;
                written(&found)
            }
            _ => Err(Fault::Unknown),
        }
    })
}

fn program(hook: &dyn Hook, model: &ModelSpec) -> Outcome<Option<String>> {
    let program = hook.program(model)?;
    let text = serde_json::to_string(&program).map_err(|e| {
        Error::config(format!("{e}: functions of tensors cannot cross into another library; link this plugin instead"))
    });
    Ok(Some(text?))
}

unsafe extern "C" fn read(instance: *mut c_void, turn: Text, taps: *const Tap, count: usize, out: *const Out) -> i32 {
    guarded(out, || {
        // SAFETY: as in `call`; `taps` points at `count` records.
        let (instance, turn) = unsafe { (&*instance.cast::<Instance>(), turn.bytes()) };
        let Instance::Hook(hook) = instance else { return Err(Fault::Unknown) };
        let told: Read = json(turn)?;
        let mut own: Vec<(friction_core::Tap, Vec<Vec<f32>>)> = vec![];
        for i in 0..count {
            // SAFETY: the host vouches for `count` taps, and each for `rows` × `width` floats.
            let (tap, data) = unsafe {
                let t = &*taps.add(i);
                (t.tap.bytes(), std::slice::from_raw_parts(t.data, t.rows * t.width).chunks(t.width.max(1)))
            };
            own.push((json(tap)?, data.map(<[f32]>::to_vec).collect()));
        }
        let views: Vec<TapView> = own.iter().map(|(tap, rows)| TapView { tap, rows }).collect();
        let spoken = Spoken {
            group: told.group,
            condition: &told.condition,
            arm: &told.arm,
            sample: told.sample,
            factors: &told.factors,
            turn: told.turn,
            reply: &told.reply,
        };
        written(&hook.read(&spoken, &views)?)
    })
}
