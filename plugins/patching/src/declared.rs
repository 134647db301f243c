//! Whether conditions of this study are declared as those of the finished run, where no message of the user's shows it: what
//! stands before turn 1, what the history keeps, and what opens a reply.
use crate::donors::Donors;
use crate::talks::{Said, Talk};
use friction_core::manifest::{filled, same};
use friction_core::serde_json::Value;
use friction_core::{ChatMessage, Coming, Error, Kind, Registry};
use std::collections::BTreeSet;

/// Options that are compared by what they do, that name things, or that change nothing of what is said in a turn.
const APART: [&str; 9] =
    ["name", "plugin", "keep", "system", "shots", "history", "prefill", "stop_when", "equal_tokens"];

/// A turn's condition in this study and in the run.
struct Beside<'a> {
    now: &'a Coming<'a>,
    talk: &'a Talk,
    donors: &'a Donors,
    /// The condition's table in the run, if it is of the same plugin.
    table: Option<&'a Value>,
}

/// The conditions that are declared otherwise than in the run, each by the first turn that shows it.
///
/// # Errors
/// If the run lacks a conversation.
pub fn differ(coming: &[&Coming], donors: &Donors) -> Result<Vec<Error>, Error> {
    let (mut seen, mut out) = (BTreeSet::new(), vec![]);
    for c in coming {
        let talk = donors.talks.talk(&(c.group as u32, 0, c.factors.clone()))?;
        let Some(said) = talk.turns.get(&(c.turn as u32)).filter(|_| !seen.contains(c.condition)) else { continue };
        if let Some(fault) = Beside::new(c, talk, donors).fault(said) {
            seen.insert(c.condition);
            out.push(fault);
        }
    }
    Ok(out)
}

impl<'a> Beside<'a> {
    fn new(now: &'a Coming<'a>, talk: &'a Talk, donors: &'a Donors) -> Self {
        let of = |t: &&Value| t["table"]["name"] == talk.condition.as_str();
        let table = donors.lock("/conditions").as_array().into_iter().flatten().find(of).map(|t| &t["table"]);
        // Options of another plugin mean something else.
        let table = table.filter(|t| t["plugin"] == now.table["plugin"]);
        Self { now, talk, donors, table }
    }

    /// What differs in a turn.
    fn fault(&self, said: &Said) -> Option<Error> {
        let (c, run) = (self.now, self.donors.path.display());
        if c.turn == 1 && self.donors.openings && c.opening != said.opening {
            let at = (0_usize..).find(|i| c.opening.get(*i) != said.opening.get(*i)).unwrap_or(0);
            let [now, then] = [c.opening, said.opening.as_slice()].map(|all| message(all.get(at)));
            let what = format!("before turn 1 of condition `{}` stands {now}, and in {run} it was {then}", c.condition);
            return Some(self.told(&["system", "shots"], what));
        }
        if c.history != said.history {
            let [now, then] = [c.history, said.history.as_str()].map(read);
            let place = format!("turn {} of condition `{}`", c.turn, c.condition);
            return Some(self.told(&["history"], format!("{place} reads {now}, and in {run} it read {then}")));
        }
        if let Some(prefill) = c.prefill.filter(|prefill| *prefill != said.prefill) {
            let then = &said.prefill;
            let what = format!(
                "the reply of turn {} of condition `{}` is opened by {prefill:?}, and in {run} it was by {then:?}",
                c.turn, c.condition
            );
            return Some(self.told(&["prefill"], what));
        }
        self.kept().or_else(|| self.unseen())
    }

    /// What the history keeps otherwise. What it keeps of a reply that is generated, the table alone says.
    fn kept(&self) -> Option<Error> {
        let (c, run) = (self.now, self.donors.path.display());
        if c.turn == 1 {
            return None;
        }
        if c.table["plugin"] == "replay" {
            let cut = self.talk.turns.range(..c.turn as u32).any(|(_, said)| said.cut);
            let whole = c.table["history"] == "whole";
            return (whole && cut).then(|| {
                let what = format!(
                    "`history` of the condition `{}` is \"whole\" in this study, and the history of {run} kept replies cut",
                    c.condition
                );
                Error::at("run", what).help("leave `history` out, which keeps what was kept")
            });
        }
        self.option("keep")
    }

    /// An option that may change messages that are not known before the run.
    fn unseen(&self) -> Option<Error> {
        let c = self.now;
        if c.user.is_some() || c.given || c.table["plugin"] == "replay" {
            return None;
        }
        let tables = [Some(c.table), self.table].map(|t| t.and_then(Value::as_object));
        let keys: BTreeSet<&String> = tables.into_iter().flatten().flat_map(|t| t.keys()).collect();
        // A text that opens replies and depends on them is not known either.
        let prefill = c.prefill.is_none().then(|| self.option("prefill")).flatten();
        prefill.or_else(|| keys.into_iter().filter(|k| !APART.contains(&k.as_str())).find_map(|k| self.option(k)))
    }

    /// That an option has another value than in the run.
    fn option(&self, key: &str) -> Option<Error> {
        let (c, run) = (self.now, self.donors.path.display());
        let (now, then) = (&c.table[key], &self.table?[key]);
        if same(now, then) || self.defaults(key) {
            return None;
        }
        let shown = |v: &Value| if v.is_null() { "not set".to_string() } else { inline(v) };
        let (name, now, shows) = (c.condition, shown(now), shown(then));
        let what = format!("`{key}` of the condition `{name}` is {now} in this study, and in {run} it is {shows}");
        let help = match then.is_null() {
            true => format!("leave `{key}` out of this condition"),
            false => format!("set `{key} = {}` in this condition", inline(then)),
        };
        Some(Error::at("run", what).help(format!("{help}, or replay that run with conditions of plugin `replay`")))
    }

    /// Whether an option is the same with the defaults of what is left out.
    fn defaults(&self, key: &str) -> bool {
        let (now, registry) = (self.now.table, Registry::linked());
        let named = |name: &str| now["plugin"] == name;
        // Of a plugin that is not linked no defaults are known.
        let linked = registry.plugins().iter().find(|p| p.maker.kind() == Kind::Condition && named(&p.name));
        let (Some(plugin), Some(then)) = (linked, self.table) else { return false };
        let [now, then] = [now, then].map(|table| filled(table, key, &plugin.options));
        same(&now, &then)
    }

    /// The option that makes a difference, or else `what` differs.
    fn told(&self, keys: &[&str], what: String) -> Error {
        let help = "take over the run's `[dataset]`, `[topics]` and conditions, or replay it";
        keys.iter().find_map(|key| self.option(key)).unwrap_or_else(|| Error::at("run", what).help(help))
    }
}

/// A message before turn 1.
fn message(message: Option<&ChatMessage>) -> String {
    message.map_or_else(|| "nothing".into(), |m| format!("{:?} ({:?})", m.content, m.role))
}

/// What is read of the exchanges before a turn.
fn read(word: &str) -> &'static str {
    match word {
        "" => "the exchanges before it",
        "none" => "no exchange before it",
        _ => "the exchanges before it in its message",
    }
}

/// A value as it is written in a manifest.
fn inline(v: &Value) -> String {
    match v {
        Value::Object(all) => {
            let pairs: Vec<String> = all.iter().map(|(k, v)| format!("{k} = {}", inline(v))).collect();
            format!("{{ {} }}", pairs.join(", "))
        }
        Value::Array(all) => format!("[{}]", all.iter().map(inline).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
