//! `template`: a user message made from a template, and replies cut by tokens.
//!
//! ```toml
//! [[condition]]
//! name = "interrupt_blunt"
//! plugin = "template"
//! user = "nvm. {question}"
//! keep = { tokens = 50, marker = "..." }
//! factors = { completion = "interrupt", tone = "blunt" }
//! ```
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Condition, Error, Kept, Message, PluginConfig, PluginEntry, Reply, Result, TurnContext, seed,
};
use serde::Deserialize;

/// One wording, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Wordings {
    /// One wording.
    One(String),
    /// Several wordings.
    Several(Vec<String>),
}

/// How much of a reply the history keeps.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Keep {
    /// Replies longer than this are cut to so many tokens.
    tokens: usize,
    /// Written after a cut reply, directly behind its last word.
    #[serde(default)]
    marker: String,
    /// Share of turns whose reply is cut, drawn by the study's seed, the group and the turn; the others
    /// keep theirs whole. Default 1. With less, the interruptions so far are no function of the turn.
    #[serde(default = "always")]
    share: f64,
}
fn always() -> f64 {
    1.0
}

/// Options of `template`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Template {
    /// The user's message: `{question}` is the dataset's prompt, `{topic}` its category. A list gives
    /// several wordings, of which each turn takes one by the study's seed.
    #[schemars(example = &"nvm. {question}")]
    user: Wordings,
    /// First turn that the template applies to; turns before it are the bare question. Default 2:
    /// nothing precedes the first turn that could be interrupted or thanked for.
    #[serde(default = "second")]
    from_turn: usize,
    /// What the history keeps of replies. Default: all.
    #[serde(default)]
    keep: Option<Keep>,
}
fn second() -> usize {
    2
}

impl Template {
    fn wordings(&self) -> &[String] {
        match &self.user {
            Wordings::One(s) => std::slice::from_ref(s),
            Wordings::Several(v) => v,
        }
    }
}

impl PluginConfig for Template {
    type Output = dyn Condition;
    fn validate(&self) -> Result<()> {
        if self.wordings().is_empty() {
            return Err(Error::config("`user` lists no wording"));
        }
        for w in self.wordings() {
            if !w.contains("{question}") {
                return Err(Error::config(format!(
                    "`user` = {w:?} has no `{{question}}`: the model would never see it"
                )));
            }
            let rest = w.replace("{question}", "").replace("{topic}", "");
            if let (Some(a), Some(b)) = (rest.find('{'), rest.find('}'))
                && a < b
            {
                let name = &rest[a..=b];
                return Err(Error::config(format!(
                    "`user` has the unknown placeholder `{name}`; there are `{{question}}` and `{{topic}}`"
                )));
            }
        }
        if self.keep.as_ref().is_some_and(|k| !(0.0..=1.0).contains(&k.share)) {
            return Err(Error::config("`share` of `keep` must be from 0 to 1"));
        }
        if self.keep.as_ref().is_some_and(|k| k.tokens == 0 && k.marker.is_empty()) {
            return Err(Error::config(
                "`keep = { tokens = 0 }` without a marker would leave an empty reply in the history",
            ));
        }
        Ok(())
    }
    fn build(&self, _: &BuildContext) -> Result<Box<dyn Condition>> {
        Ok(Box::new(self.clone()))
    }
}

impl Condition for Template {
    fn ask(&self, cx: &TurnContext) -> Result<Message> {
        if cx.turn < self.from_turn {
            return Ok(Message { text: cx.question.to_string(), phrase: None });
        }
        let all = self.wordings();
        let parts = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
        let phrase = (seed::derive(&[b"phrase", &parts[0], &parts[1], &parts[2]]) % all.len() as u64) as usize;
        // The question goes in last: braces in it are text.
        let mut text = String::new();
        for (i, part) in all[phrase].split("{question}").enumerate() {
            if i > 0 {
                text.push_str(cx.question);
            }
            text.push_str(&part.replace("{topic}", cx.topic));
        }
        Ok(Message { text, phrase: Some(phrase as u32) })
    }

    fn keep(&self, reply: &Reply, cx: &TurnContext) -> Result<Kept> {
        let parts = [cx.seed, cx.group as u64, cx.turn as u64].map(u64::to_le_bytes);
        let roll = || seed::unit(&[b"cut", &parts[0], &parts[1], &parts[2]]);
        match &self.keep {
            Some(k) if reply.ids.len() > k.tokens && (k.share >= 1.0 || roll() < k.share) => {
                let cut = reply.codec.decode(&reply.ids[..k.tokens])?;
                let text = format!("{}{}", cut.trim_end(), k.marker);
                Ok(Kept { text, removed_tokens: reply.ids.len() - k.tokens })
            }
            _ => Ok(Kept::whole(reply)),
        }
    }
}

friction_core::inventory::submit! {
    PluginEntry::condition::<Template>("template", "A user message made from a template; replies cut by tokens", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use friction_core::TextCodec;

    struct Letters;
    impl TextCodec for Letters {
        fn decode(&self, ids: &[u32]) -> Result<String> {
            Ok(ids.iter().map(|i| char::from_u32(*i).unwrap_or('?')).collect())
        }
    }
    fn cx(turn: usize) -> TurnContext<'static> {
        TurnContext { seed: 1, group: 0, turn, turns: 3, topic: "law", question: "What is {topic}?" }
    }
    fn template(keep: Option<Keep>) -> Template {
        Template { user: Wordings::One("nvm. {question} ({topic})".into()), from_turn: 2, keep }
    }

    #[test]
    fn the_first_turn_is_bare_and_questions_are_text() {
        let t = template(None);
        assert_eq!(t.ask(&cx(1)).unwrap().text, "What is {topic}?");
        assert_eq!(t.ask(&cx(2)).unwrap().text, "nvm. What is {topic}? (law)");
    }

    #[test]
    fn long_replies_are_cut_and_marked() {
        let t = template(Some(Keep { tokens: 4, marker: "...".into(), share: 1.0 }));
        let ids: Vec<u32> = "abc def".chars().map(|c| c as u32).collect();
        let kept = t.keep(&Reply { text: "abc def", ids: &ids, codec: &Letters }, &cx(2)).unwrap();
        assert_eq!(kept, Kept { text: "abc...".into(), removed_tokens: 3 });
        let short = t.keep(&Reply { text: "abcd", ids: &ids[..4], codec: &Letters }, &cx(2)).unwrap();
        assert_eq!(short.removed_tokens, 0);
    }

    #[test]
    fn a_share_of_turns_is_cut_alike_in_all_conditions() {
        let t = template(Some(Keep { tokens: 1, marker: "".into(), share: 0.5 }));
        let ids: Vec<u32> = "abcd".chars().map(|c| c as u32).collect();
        let cut = |turn| t.keep(&Reply { text: "abcd", ids: &ids, codec: &Letters }, &cx(turn)).unwrap().removed_tokens;
        let all: Vec<usize> = (1..200).map(cut).collect();
        let share = all.iter().filter(|c| **c == 3).count() as f64 / 199.0;
        assert!((0.4..0.6).contains(&share), "{share}");
        assert_eq!(all, (1..200).map(cut).collect::<Vec<_>>());
        let mut wrong = template(Some(Keep { tokens: 1, marker: "".into(), share: 1.5 }));
        assert!(wrong.validate().is_err());
        wrong.keep = None;
        assert!(wrong.validate().is_ok());
    }

    #[test]
    fn a_template_without_the_question_is_refused() {
        let mut t = template(None);
        t.user = Wordings::One("nvm.".into());
        assert!(t.validate().is_err());
        t.user = Wordings::One("{question} {topics}".into());
        assert!(t.validate().unwrap_err().to_string().contains("{topics}"));
    }
}
