//! `template`: a user message made from a template; replies can be cut after a number of tokens.
//!
//! ```toml
//! [[condition]]
//! name = "interrupt_blunt"
//! plugin = "template"
//! user = "nvm. {question}"
//! keep = { tokens = 50, marker = "..." }
//! factors = { completion = "interrupt", tone = "blunt" }
//! ```
use friction_core::error::Faults;
use friction_core::schemars::{self, JsonSchema};
use friction_core::{
    BuildContext, Condition, Error, Kept, Message, PluginConfig, PluginEntry, Reply, Result, TurnContext, seed,
};
use serde::Deserialize;

/// One wording, or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "`user` is a text in quotes, or a list of texts in quotes")]
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
    /// Length that a longer reply is cut to in the history, in tokens. It must be below `generation.max_new_tokens`, or no
    /// reply would ever be cut.
    tokens: usize,
    /// Text that is written directly behind the last word of a cut reply, such as `"..."`.
    #[serde(default)]
    marker: String,
    /// Share of turns whose reply is cut; the others keep theirs whole. Which turns is drawn by seed, group and turn, alike
    /// in all conditions. Set it below 1 to tell the number of interruptions so far from the number of the turn.
    #[serde(default = "always")]
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0))]
    share: f64,
}
fn always() -> f64 {
    1.0
}

/// Puts a wording around each question, and cuts replies in the history after a number of tokens. It needs no code, and
/// covers wordings, politeness and interruptions.
///
/// The reply that is graded is always the whole one; only what later turns read of it is cut.
///
/// It writes, with each turn: the message, the number of the wording that was drawn, what the history keeps of the reply,
/// and how many tokens were removed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = friction_core::serde_json::json!({
    "name": "interrupt_blunt", "user": "nvm. {question}", "keep": {"tokens": 50, "marker": "..."},
    "factors": {"completion": "interrupt", "tone": "blunt"},
}))]
struct Template {
    /// The user's message. `{question}` in it is the dataset's prompt, which must be there; `{topic}` is the question's
    /// category. A list gives several wordings; each turn takes one of them, drawn by seed, group and turn.
    #[schemars(example = &"nvm. {question}")]
    user: Wordings,
    /// First turn that the template applies to, from 1; the message of earlier turns is the bare question. The default, 2,
    /// is the first turn that has a reply before it. It must not be beyond `study.turns`.
    #[serde(default = "second")]
    #[schemars(range(min = 1))]
    from_turn: usize,
    /// What the history keeps of each reply. Default: all of it.
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
        let mut faults = Faults::default();
        let all = self.wordings();
        faults.when(all.is_empty(), "user", "`user` lists no wording");
        for (i, w) in all.iter().enumerate() {
            let key = match self.user {
                Wordings::One(_) => "user".to_string(),
                Wordings::Several(_) => format!("user.{i}"),
            };
            let lost = format!("{w:?} has no `{{question}}`: the model would never see it");
            faults.when(!w.contains("{question}"), &key, lost);
            faults.when(all[..i].contains(w), &key, format!("{w:?} is listed twice: it would be said twice as often"));
            let rest = w.replace("{question}", "").replace("{topic}", "");
            if let (Some(a), Some(b)) = (rest.find('{'), rest.find('}'))
                && a < b
            {
                let name = &rest[a..=b];
                let what = format!("the placeholder `{name}` is unknown; there are `{{question}}` and `{{topic}}`");
                faults.when(true, &key, what);
            }
        }
        faults.when(self.from_turn == 0, "from_turn", "`from_turn` counts from 1");
        if let Some(k) = &self.keep {
            faults.when(
                !(k.share > 0.0 && k.share <= 1.0),
                "keep.share",
                "`share` must be above 0 and at most 1; leave `keep` out where no reply is to be cut",
            );
            faults.when(
                k.tokens == 0 && k.marker.is_empty(),
                "keep.tokens",
                "`tokens = 0` without a marker would leave an empty reply in the history",
            );
        }
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Condition>> {
        self.used(cx)?;
        Ok(Box::new(self.clone()))
    }
}

impl Template {
    /// Refuses options that would have no effect in this study.
    fn used(&self, cx: &BuildContext) -> Result<()> {
        let mut faults = Faults::default();
        let (Some(study), Some(generation)) = (&cx.study, &cx.generation) else { return Ok(()) };
        let (turns, from) = (study.turns, self.from_turn);
        if from > turns && self.wordings().iter().any(|w| w != "{question}") {
            let has = if turns == 1 { "1 turn".to_string() } else { format!("{turns} turns") };
            let default = if from == second() { " (its default)" } else { "" };
            let what = format!("`from_turn` is {from}{default}, but the study has {has}: `user` would never be said");
            faults.add(Error::at("from_turn", what).help("set `from_turn = 1`, or raise `study.turns`"));
        }
        if let Some(k) = &self.keep {
            let last = "`keep` does nothing in a study of 1 turn: the last turn's reply goes into no history";
            faults.when(turns == 1, "keep", last);
            let most = generation.max_new_tokens;
            if k.tokens >= most {
                let what =
                    format!("`tokens` is {}, but a reply has at most {most} tokens: none would ever be cut", k.tokens);
                faults.add(Error::at("keep.tokens", what).help("lower it, or raise `generation.max_new_tokens`"));
            }
        }
        faults.end()
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
        // The question is inserted last, so that braces in it stay text.
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
                // If the cut falls inside a character of several tokens, the character is removed whole.
                let ids = &reply.ids[..reply.codec.whole(&reply.ids[..k.tokens])?];
                let text = format!("{}{}", reply.codec.decode(ids)?.trim_end(), k.marker);
                Ok(Kept { text, removed_tokens: reply.ids.len() - ids.len() })
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

    /// One token per byte, as tokenizers encode text outside their vocabulary.
    struct Bytes;
    impl TextCodec for Bytes {
        fn decode(&self, ids: &[u32]) -> Result<String> {
            let bytes: Vec<u8> = ids.iter().map(|i| *i as u8).collect();
            Ok(String::from_utf8_lossy(&bytes[..self.whole(ids)?]).into_owned())
        }
        fn whole(&self, ids: &[u32]) -> Result<usize> {
            let bytes: Vec<u8> = ids.iter().map(|i| *i as u8).collect();
            Ok(std::str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to(), str::len))
        }
    }

    #[test]
    fn a_cut_inside_a_character_removes_it() {
        let ids: Vec<u32> = "hm 😀!".bytes().map(u32::from).collect();
        let reply = Reply { text: "hm 😀!", ids: &ids, codec: &Bytes };
        for (tokens, text, removed) in [(2, "hm...", 6), (4, "hm...", 5), (6, "hm...", 5), (7, "hm 😀...", 1)] {
            let t = template(Some(Keep { tokens, marker: "...".into(), share: 1.0 }));
            let kept = t.keep(&reply, &cx(2)).unwrap();
            assert_eq!(kept, Kept { text: text.into(), removed_tokens: removed }, "{tokens}");
        }
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
        assert!(wrong.validate().unwrap_err().to_string().contains("`share` must be above 0"));
        wrong.keep = Some(Keep { tokens: 1, marker: "".into(), share: 0.0 });
        assert!(wrong.validate().is_err(), "a share of 0 cuts nothing");
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

    /// The context of a study with this many turns, and tokens per reply.
    fn study(turns: usize, tokens: usize) -> BuildContext {
        let study = format!(r#"{{"name": "s", "groups": 1, "turns": {turns}}}"#);
        let text = format!(
            r#"{{"base": ".", "seed": 0, "model": {{"source": "path:x"}}, "backend": {{}}, "study": {study}, "generation": {{"max_new_tokens": {tokens}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }
    fn refused(t: &Template, cx: &BuildContext) -> Vec<String> {
        let keys = |e: &Error| match e {
            Error::Key { key, .. } => key.clone(),
            other => panic!("{other:?}"),
        };
        match t.build(cx).err() {
            None => vec![],
            Some(Error::Several(all)) => all.iter().map(keys).collect(),
            Some(one) => vec![keys(&one)],
        }
    }

    #[test]
    fn what_a_study_gives_nothing_to_do_is_refused_at_its_key() {
        let keep = |tokens| Some(Keep { tokens, marker: "...".into(), share: 1.0 });
        assert_eq!(refused(&template(None), &study(1, 50)), ["from_turn"]);
        assert_eq!(refused(&template(keep(9)), &study(1, 50)), ["from_turn", "keep"]);
        assert_eq!(refused(&template(keep(50)), &study(3, 50)), ["keep.tokens"]);
        assert!(refused(&template(keep(49)), &study(3, 50)).is_empty());
        let bare = Template { user: Wordings::One("{question}".into()), from_turn: 2, keep: None };
        assert!(refused(&bare, &study(1, 50)).is_empty(), "the bare question is said in every turn");
        let late = Template { from_turn: 4, ..template(None) };
        assert_eq!(refused(&late, &study(3, 50)), ["from_turn"]);
        let first = Template { from_turn: 1, ..template(None) };
        assert!(refused(&first, &study(1, 50)).is_empty());
        // A host of an earlier version does not pass the study to plugins.
        let cx = BuildContext { study: None, generation: None, ..study(1, 50) };
        assert!(refused(&template(keep(50)), &cx).is_empty());
    }

    #[test]
    fn every_fault_is_told_at_its_key() {
        let mut t = template(Some(Keep { tokens: 0, marker: "".into(), share: 2.0 }));
        t.user = Wordings::Several(vec!["a {question}".into(), "b".into(), "a {question}".into()]);
        t.from_turn = 0;
        let Err(Error::Several(all)) = t.validate() else { panic!() };
        let keys: Vec<_> = all.iter().map(|e| if let Error::Key { key, .. } = e { key.as_str() } else { "" }).collect();
        assert_eq!(keys, ["user.1", "user.2", "from_turn", "keep.share", "keep.tokens"]);
    }
}
