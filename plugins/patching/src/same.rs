//! Whether this study's conversations can be those of the finished run, as far as that is known before a token.
use crate::declared;
use crate::donors::Donors;
use crate::talks::Talk;
use friction_checkpoint::Checkpoint;
use friction_core::error::Faults;
use friction_core::manifest::Draws;
use friction_core::serde_json::{Value, json};
use friction_core::{BuildContext, Coming, Error, ModelPart, Result, plural};

/// What a study has that decides about the words of its conversations.
pub struct Facts {
    seed: u64,
    samples: usize,
    /// Whether replies are drawn, and whether conditions have draws of their own.
    drawn: bool,
    apart: bool,
    /// What makes other words of replies that are generated: what differs, and what to set.
    unlike: Vec<(String, String)>,
}

impl Facts {
    /// Compares what the lock of the run says with this study.
    pub fn new(cx: &BuildContext, donors: &Donors) -> Self {
        let (study, drawn) = (cx.study.as_ref(), cx.generation.as_ref().is_some_and(|g| g.temperature > 0.0));
        let mut unlike = vec![];
        let mut other = |name: &str, now: &Value, then: &Value| {
            let shown = |v: &Value| if v.is_null() { "not set".to_string() } else { v.to_string() };
            let set = match then.is_null() {
                true => format!("leave `{name}` out"),
                false => format!("set `{name} = {then}`"),
            };
            unlike.push((format!("`{name}` is {} in this study, and {} in", shown(now), shown(then)), set));
        };
        let model = json!(cx.model);
        for key in ["dtype", "quantize"] {
            let (now, then) = (&model[key], donors.lock(&format!("/model/{key}")));
            if !then.is_null() && now != then {
                other(&format!("model.{key}"), now, then);
            }
        }
        // The lock holds these where they are set.
        let known = !donors.lock("/model").is_null();
        for key in ["template_args", "template_date"].into_iter().filter(|_| known) {
            let set = |v: &Value| if *v == json!({}) { Value::Null } else { v.clone() };
            let (now, then) = (set(&model[key]), set(donors.lock(&format!("/model/{key}"))));
            if now != then {
                other(&format!("model.{key}"), &now, &then);
            }
        }
        for key in decoding(cx, donors, drawn) {
            let now = cx.generation.as_ref().map_or(Value::Null, |g| json!(g)[key].clone());
            other(&format!("generation.{key}"), &now, donors.lock(&format!("/generation/{key}")));
        }
        if let Some(part) = changed(cx, donors) {
            let then = donors.lock("/model/source");
            unlike.push((
                format!("in its {part}, the model `{}` is not that of", cx.model.source),
                format!("set `model.source = {then}`, with the run's tokenizer and chat template"),
            ));
        }
        Self {
            seed: cx.seed,
            samples: study.map_or(1, |s| s.samples),
            drawn,
            apart: study.is_some_and(|s| s.draws != Draws::Paired),
            unlike,
        }
    }

    /// Compares conversations that will be patched, as far as they are known, with those of the run. `giving` are those
    /// that are placebos alone: their activations are the run's, and this study must not say them otherwise.
    ///
    /// # Errors
    /// At the option `run`: what this study says otherwise, and what to set.
    pub fn check(&self, donors: &Donors, coming: &[&Coming], giving: &[&Coming]) -> Result<()> {
        let (mut faults, run) = (Faults::default(), donors.path.display());
        let refuse = |what: String, help: String| Error::at("run", what).help(help);
        let longest = donors.talks.all().filter_map(|(_, t)| t.turns.last_key_value()).map(|(t, _)| *t as usize).max();
        if let (Some(longest), Some(turns)) = (longest, coming.iter().map(|c| c.turn).max())
            && turns > longest
        {
            let has = plural(longest, "turn");
            let what = format!("conversations of this study have {turns} turns, and those of {run} have {has}");
            // With another number of turns topics and items may be others too.
            return Err(refuse(what, format!("set `study.turns = {longest}` or lower")));
        }
        for c in coming.iter().filter(|c| c.turn == 1) {
            (0..self.samples as u32)
                .try_for_each(|s| donors.talks.talk(&(c.group as u32, s, c.factors.clone())).map(|_| ()))?;
        }
        let talk = |c: &Coming| donors.talks.talk(&(c.group as u32, 0, c.factors.clone()));
        let all = [coming, giving].concat();
        let mut asks = false;
        for c in &all {
            if let Some(fault) = self.differs(c, talk(c)?, donors) {
                faults.add(fault);
                // What follows differs too.
                asks = true;
                break;
            }
        }
        if !asks {
            declared::differ(&all, donors)?.into_iter().for_each(|fault| faults.add(fault));
        }
        let free = coming.iter().find(|c| !c.given);
        let replayed = "or replay that run with conditions of plugin `replay`";
        if free.is_some() {
            for (what, set) in &self.unlike {
                faults.add(refuse(format!("{what} {run}: replies would be other words"), format!("{set}, {replayed}")));
            }
        }
        let seed = donors.lock("/study/seed").as_u64().filter(|seed| *seed != self.seed);
        if let (Some(seed), true) = (seed, self.drawn && free.is_some()) {
            let what = format!("replies are drawn by the seed {}, and those of {run} by {seed}", self.seed);
            faults.add(refuse(what, format!("set `study.seed = {seed}`, {replayed}")));
        }
        for c in coming.iter().filter(|c| self.drawn && self.apart && !c.given && c.turn == 1 && c.group == 0) {
            let named = &talk(c)?.condition;
            if named != c.condition {
                let what = format!("the condition `{}` is `{named}` in {run}, which has other draws", c.condition);
                faults.add(refuse(what, format!("name it `{named}`, {replayed}")));
            }
        }
        faults.end()
    }

    /// What a turn says otherwise than that of the run.
    fn differs(&self, c: &Coming, talk: &Talk, donors: &Donors) -> Option<Error> {
        let (said, run) = (talk.turns.get(&(c.turn as u32))?, donors.path.display());
        let place = format!("turn {} of group {}, condition `{}`", c.turn, c.group, c.condition);
        let what = if said.item != c.item {
            format!("{place} asks the item `{}`, and in {run} it asked `{}`", c.item, said.item)
        } else {
            let user = c.user.filter(|user| !said.user.is_empty() && *user != said.user)?;
            format!("the user's message of {place} is {user:?}, and in {run} it was {:?}", said.user)
        };
        let help = match donors.lock("/study/seed").as_u64() {
            Some(seed) if seed != self.seed => format!("set `study.seed = {seed}`, the seed of that run"),
            _ => "take over the run's `[dataset]`, `[topics]` and conditions, or replay it".into(),
        };
        Some(Error::at("run", what).help(help))
    }
}

/// Keys of `[generation]` that make other words than those of the run.
fn decoding(cx: &BuildContext, donors: &Donors, drawn: bool) -> Vec<&'static str> {
    let Some(now) = cx.generation.as_ref().map(|g| json!(g)) else { return vec![] };
    let then = donors.lock("/generation");
    if then.is_null() {
        return vec![];
    }
    let mut keys = vec!["temperature", "stop", "thinking"];
    // Greedy decoding does not read them.
    if drawn {
        keys.extend(["top_p", "top_k"]);
    }
    keys.retain(|key| now[*key] != then[*key]);
    let (most, (longest, met)) = (now["max_new_tokens"].as_u64().unwrap_or(0), donors.longest());
    // Another limit changes no word where no reply met one.
    let same = now["max_new_tokens"] == then["max_new_tokens"];
    if !same && (met || most <= u64::from(longest)) {
        keys.push("max_new_tokens");
    }
    keys
}

/// The first part of the model that is not the run's. Weights that would have to be fetched or read whole are compared by
/// what they do, in the first turn.
fn changed(cx: &BuildContext, donors: &Donors) -> Option<ModelPart> {
    // A model that cannot be found is reported where the study is planned.
    let checkpoint = Checkpoint::of(cx).ok()?;
    let named = ["bundled:", "random:"].iter().any(|kind| cx.model.source.starts_with(kind));
    let parts = [ModelPart::Config, ModelPart::Tokenizer, ModelPart::ChatTemplate];
    let all = parts.into_iter().chain(named.then_some(ModelPart::Weights));
    all.into_iter().find(|part| {
        let key = json!(part).as_str().map(|p| format!("/model/sha256/{p}")).unwrap_or_default();
        let then = donors.lock(&key).as_str();
        // A lock of before lacks some parts.
        then.is_some() && checkpoint.part(*part).ok().is_some_and(|now| now.as_deref() != then)
    })
}
