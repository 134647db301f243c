//! Settles what a manifest leaves to the checkpoint, and checks that the chat template does what the manifest says.
use crate::lists::PlannedItem;
use crate::planned::PlannedCondition;
use crate::rehearsal::opening;
use crate::wrong::Wrong;
use friction_checkpoint::{ChatMessage, ChatTemplate, Checkpoint, Error, Role, Tokenizer};
use friction_core::manifest::{Issues, Manifest, Path as KeyPath, Thinking, suggestion};
use friction_core::{Dataset, HookProgram, Position, thinking};

fn key(section: &str, key: &str) -> KeyPath {
    KeyPath::default().key(section).key(key)
}

/// Takes over the sampling that `generation.defaults` asks the checkpoint for. Warnings are added to the manifest's.
pub(crate) fn settle(m: &mut Manifest, checkpoint: Option<&Checkpoint>) -> Issues {
    let (mut issues, path) = (Issues::default(), key("generation", "defaults"));
    let Some(checkpoint) = checkpoint.filter(|_| m.generation.defaults) else { return issues };
    let defaults = match checkpoint.sampling_defaults() {
        Ok(Some(defaults)) => defaults,
        Ok(None) => {
            let help = "set `temperature`, `top_p` and `top_k` here";
            issues.push(path, "the checkpoint has no generation_config.json", Some(help.into()));
            return issues;
        }
        Err(e) => {
            issues.push(path, e.to_string(), None);
            return issues;
        }
    };
    let section = m.source.value.get("generation").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let open = |key: &str| !section.contains_key(key);
    let g = &mut m.generation;
    if open("temperature") {
        g.temperature = defaults.temperature;
    }
    // Limits of sampling are not taken over where nothing is sampled.
    if g.temperature > 0.0 {
        if open("top_p") {
            g.top_p = defaults.top_p;
        }
        if open("top_k") {
            g.top_k = defaults.top_k;
        }
    }
    if !["temperature", "top_p", "top_k"].into_iter().any(open) {
        let what = "`defaults` does nothing: `temperature`, `top_p` and `top_k` are all given";
        m.warnings.push(path.clone(), what, None);
    }
    if !defaults.others.is_empty() {
        let what = format!(
            "the checkpoint's generation_config.json also says {}, which is not applied",
            defaults.others.join(", ")
        );
        m.warnings.push(path, what, None);
    }
    m.generation.unsampled(&KeyPath::default().key("generation"), &mut m.warnings);
    let temperature = m.generation.temperature;
    m.study.sampled(&KeyPath::default().key("study"), temperature, &mut issues, &mut m.warnings);
    issues
}

/// As [`Wrong::keep`], for an error of the model: at the key that it names, or else at `path`.
pub(crate) fn keep<T>(wrong: &mut Wrong, path: &KeyPath, result: friction_checkpoint::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(Error::Key { key, message }) => {
            wrong.issues.push(KeyPath::default().key("model").below(&key), message, None);
            None
        }
        Err(e) => {
            wrong.issues.push(path.clone(), e.to_string(), None);
            None
        }
    }
}

/// Checks the template against `[model]` and `[generation]`. `turns` is the number of turns of a conversation.
pub(crate) fn check(wrong: &mut Wrong, template: &ChatTemplate, tokenizer: &Tokenizer, turns: usize) {
    let m = wrong.manifest;
    for name in template.unread() {
        let known = template.arguments();
        let help = match suggestion(&name, known.iter().map(String::as_str)) {
            Some(help) => help,
            None => "it reads no arguments at all".into(),
        };
        let what = format!("the chat template reads no argument `{name}`");
        wrong.issues.push(key("model", "template_args").key(name), what, Some(help));
    }
    if let Some(other) = m.model.template_args.get("enable_thinking").filter(|v| !v.is_boolean()) {
        let what = format!("`enable_thinking` is {other}; templates compare it with true and false");
        wrong.issues.push(key("model", "template_args").key("enable_thinking"), what, None);
    }
    if m.model.template_date.is_some() && !template.reads_clock() {
        let what = "`template_date` does nothing: the chat template writes no date";
        wrong.warnings.push(key("model", "template_date"), what, None);
    }
    let roles = [Role::User, Role::Assistant, Role::User];
    let at = key("model", if m.model.chat_template.is_some() { "chat_template" } else { "source" });
    keep(wrong, &at, template.accepts(&roles[..if turns > 1 { 3 } else { 1 }]));
    if m.generation.thinking == Thinking::Keep && turns > 1 && !template.keeps_thoughts() {
        let what = "`thinking = \"keep\"` does nothing: the chat template leaves the thoughts of earlier replies out";
        wrong.warnings.push(key("generation", "thinking"), what, None);
    }
    if tokenizer.specials().iter().any(|t| t == thinking::OPEN || t == thinking::CLOSE) {
        let what = format!(
            "`{}` is a special token of this tokenizer, and texts of replies are without special tokens: a reply's thought cannot be told from its answer",
            thinking::OPEN
        );
        wrong.warnings.push(key("generation", "thinking"), what, None);
    }
    let tokens = tokenizer.vocab();
    if let Some(k) = m.generation.top_k.filter(|k| *k >= tokens) {
        let what = format!("`top_k = {k}` does nothing: there are {tokens} tokens");
        wrong.warnings.push(key("generation", "top_k"), what, None);
    }
}

/// Takes over the arguments that the template is given and the manifest does not say, and tells of them.
pub(crate) fn asked(m: &mut Manifest, template: &ChatTemplate) -> Option<String> {
    let given = template.given();
    let added: Vec<String> = given
        .iter()
        .filter(|(name, _)| !m.model.template_args.contains_key(*name))
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    m.model.template_args = given.clone();
    let all = added.join(", ");
    (!all.is_empty()).then(|| {
        format!("by this chat template the model thinks unless it is asked not to: `model.template_args = {{ {all} }}` is used")
    })
}

/// Checks that the template renders the opening of each condition, as it is in the first group.
pub(crate) fn openings(
    wrong: &mut Wrong,
    template: &ChatTemplate,
    dataset: &dyn Dataset,
    conditions: &[PlannedCondition],
    groups: &[Vec<PlannedItem>],
) {
    let (m, Some(list)) = (wrong.manifest, groups.first()) else { return };
    for c in conditions {
        let Some(choice) = m.conditions.iter().find(|o| o.chosen.name == c.name) else { continue };
        let path = &choice.chosen.path;
        let made = opening(dataset, c.plugin.as_ref(), (m.study.seed, 0), list);
        let Some(messages) = wrong.plugin(path, made) else { continue };
        if messages.is_empty() {
            continue;
        }
        let roles: Vec<Role> = messages.iter().map(|message| message.role).chain([Role::User]).collect();
        keep(wrong, path, template.accepts(&roles));
    }
}

/// Refuses taps that must tell the user's tokens where the template changes the user's message, so that they cannot be told.
pub(crate) fn spans(wrong: &mut Wrong, template: &ChatTemplate, program: &HookProgram) {
    if !program.all_taps().any(|t| matches!(t.position, Position::UserMean | Position::All)) {
        return;
    }
    let turns = [ChatMessage::user("Which of these is right?")];
    let found = template.render(&turns).ok().and_then(|text| template.user_span(&turns, &text));
    if found.is_none() {
        let what = "the chat template changes the user's message, so `user-mean` and `all` cannot tell its tokens";
        wrong.issues.push(KeyPath::default().key("hook"), what, None);
    }
}
