//! Texts with placeholders, in the syntax of Jinja (minijinja). A name in single braces, `{question}`, is short for
//! `{{ question }}`. What is inserted is text: braces in it mean nothing.
use friction_core::{Error, Exchange, Item, OpeningContext, Result, TurnContext};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

/// Most steps of Jinja that writing a text may take. A loop over a thousand messages takes some thousands.
const STEPS: u64 = 1_000_000;
/// Longest text, in bytes: more than any model's context holds.
const LONGEST: usize = 4 << 20;

/// The names that a text of a turn can insert.
pub const TURN: [&str; 22] = [
    "question",
    "text",
    "choices",
    "script",
    "message",
    "metadata",
    "topic",
    "item",
    "target",
    "turn",
    "turns",
    "round",
    "rounds",
    "group",
    "last_reply",
    "last_kept",
    "last_removed",
    "last_answer",
    "last_score",
    "last_user",
    "history",
    "matches",
];

/// The names that a text before the first turn can insert.
pub const OPENING: [&str; 9] = ["text", "choices", "script", "metadata", "topic", "item", "target", "group", "matches"];

/// The names that insert what is asked.
const ASKED: [&str; 6] = ["question", "text", "message", "script", "item", "metadata"];

/// The names that insert what was said before.
const HEARD: [&str; 7] =
    ["last_reply", "last_kept", "last_removed", "last_answer", "last_score", "last_user", "history"];

/// Jinja's environment for conditions: unknown names are errors, nothing is escaped.
fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    for (name, filter) in [("upper", true), ("lower", false)] {
        env.add_filter(name, move |s: String| if filter { s.to_uppercase() } else { s.to_lowercase() });
    }
    env.add_filter("trim", |s: String| s.trim().to_string());
    env.add_filter("join", minijinja::filters::join);
    env.add_filter("length", minijinja::filters::length);
    env.add_filter("first", minijinja::filters::first);
    env.add_filter("last", minijinja::filters::last);
    env.add_filter("replace", minijinja::filters::replace);
    env.add_filter("default", minijinja::filters::default);
    env.add_test("defined", minijinja::tests::is_defined);
    env.add_test("none", minijinja::tests::is_none);
    env.add_test("in", minijinja::tests::is_in);
    env.add_function("range", minijinja::functions::range);
    env.add_function("matches", |text: String, pattern: String| {
        let wrong = |e: regex::Error| minijinja::Error::new(ErrorKind::InvalidOperation, e.to_string());
        Ok::<bool, minijinja::Error>(regex::Regex::new(&pattern).map_err(wrong)?.is_match(&text))
    });
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(STEPS));
    env.set_keep_trailing_newline(true);
    env
}

/// Whether a text in single braces is the name of a placeholder: numbers and Jinja's constants are text, as in
/// `\frac{1}{2}`.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.".contains(c))
        && !["true", "false", "none", "True", "False", "None"].contains(&text)
}

/// Where Jinja's own parts begin and end.
pub const JINJA: [(&str, &str); 3] = [("{{", "}}"), ("{%", "%}"), ("{#", "#}")];

/// What stands in single braces, as ranges of `text`, outside of Jinja's own parts. It holds no brace itself.
pub fn singles(text: &str) -> Vec<Range<usize>> {
    let (mut out, mut at) = (vec![], 0);
    while let Some(open) = text[at..].find('{').map(|i| at + i) {
        let from = &text[open..];
        at = open + 1;
        if let Some((_, close)) = JINJA.iter().find(|(o, _)| from.starts_with(o)) {
            at = from.find(close).map_or(text.len(), |e| open + e + 2);
        } else if let Some(end) = text[at..].find(['{', '}']).map(|i| at + i).filter(|e| text[*e..].starts_with('}')) {
            out.push(at..end);
        }
    }
    out
}

/// What begins with a placeholder's name in single braces, but is more than a name: `{topic | upper}` would be said as is.
fn half_braced<'t>(text: &'t str, known: &[&str]) -> Option<&'t str> {
    let more = |inner: &&str| {
        let inner = inner.trim_start();
        let first = inner.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
        let after = inner[first.len()..].trim_start();
        known.contains(&first) && (after.is_empty() || after.starts_with(['|', '.', '[']))
    };
    singles(text).into_iter().map(|at| &text[at]).filter(|inner| !is_name(inner)).find(more)
}

/// Writes `{name}` as `{{ name }}`.
fn doubled(text: &str) -> String {
    let (mut out, mut at) = (String::new(), 0);
    for name in singles(text).into_iter().filter(|inner| is_name(&text[inner.clone()])) {
        out.push_str(&text[at..name.start - 1]);
        at = name.end + 1;
        out.push_str(&format!("{{{{ {} }}}}", &text[name]));
    }
    out + &text[at..]
}

/// A text or an expression of the manifest, and the key that it stands at.
#[derive(Debug, Clone)]
struct Source {
    key: String,
    text: String,
    /// The same in Jinja's own syntax.
    jinja: String,
}

impl Source {
    /// An error at its key.
    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::at(&self.key, format!("{:?}: {what}", self.text))
    }

    /// Says in one line what Jinja found wrong.
    fn wrong(&self, e: &minijinja::Error) -> Error {
        let part = e.range().and_then(|range| self.jinja.get(range)).map(str::trim).filter(|part| !part.is_empty());
        match (e.kind(), part, e.detail()) {
            (ErrorKind::UndefinedError, Some(part), _) => {
                self.error(format!("there is no `{part}` here; `{part} | default(\"\")` is empty where there is none"))
            }
            (ErrorKind::OutOfFuel, ..) => self.error(format!("it takes more than {STEPS} steps: shorten its loops")),
            // Nothing else fails to be written.
            (ErrorKind::WriteFailure, ..) => self.error(format!("it becomes longer than {LONGEST} bytes")),
            (_, _, Some(detail)) => self.error(detail),
            _ => self.error(e),
        }
    }

    fn known(&self, used: &BTreeSet<String>, known: &[&str]) -> Result<()> {
        let Some(name) = used.iter().find(|n| !known.contains(&n.as_str()) && *n != "range") else { return Ok(()) };
        let near = friction_core::manifest::nearest(name, known.iter().copied())
            .map(|n| format!(": did you mean `{{{n}}}`?"))
            .unwrap_or_else(|| format!("; there are {}", known.join(", ")));
        Err(self.error(format!(
            "the placeholder `{{{name}}}` is unknown{near}; braces that are text are written {{{{ \"{{{name}}}\" }}}}"
        )))
    }
}

/// A text with placeholders.
#[derive(Debug, Clone)]
pub struct Text(Source);

impl Text {
    /// Reads the text of an option; `known` are the names that it may insert.
    ///
    /// # Errors
    /// If it is not Jinja, or inserts an unknown name.
    pub fn new(key: &str, text: &str, known: &[&str]) -> Result<Self> {
        let out = Self(Source { key: key.into(), text: text.into(), jinja: doubled(text) });
        out.0.known(&out.names()?, known)?;
        if let Some(inner) = half_braced(text, known) {
            let written = inner.trim();
            return Err(out.0.error(format!("`{{{inner}}}` would be said as it stands: write `{{{{ {written} }}}}`")));
        }
        Ok(out)
    }

    fn names(&self) -> Result<BTreeSet<String>> {
        let env = environment();
        let template = env.template_from_str(&self.0.jinja).map_err(|e| self.0.wrong(&e))?;
        let mut names: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        // minijinja does not report the name before a slice, as in `script[:2]`.
        let sliced = |name: &&&str| self.0.jinja.split(*name).skip(1).any(|rest| rest.trim_start().starts_with('['));
        names.extend(TURN.iter().filter(sliced).map(|name| (*name).to_string()));
        Ok(names)
    }

    /// Whether the text inserts what is asked in the turn.
    pub fn asks(&self) -> bool {
        self.names().is_ok_and(|names| ASKED.iter().any(|n| names.contains(*n)))
    }

    /// Whether the text depends on what was said before.
    pub fn hears(&self) -> bool {
        self.names().is_ok_and(|names| HEARD.iter().any(|n| names.contains(*n)))
    }

    /// The text with everything inserted.
    ///
    /// # Errors
    /// If an operation in it fails.
    pub fn write(&self, values: &Value) -> Result<String> {
        let env = environment();
        let template = env.template_from_str(&self.0.jinja).map_err(|e| self.0.wrong(&e))?;
        let mut out = Capped::default();
        template.render_captured_to(values, &mut out).map_err(|e| self.0.wrong(&e))?;
        String::from_utf8(out.0).map_err(|e| self.0.error(e))
    }
}

/// What a text has become so far, up to [`LONGEST`].
#[derive(Default)]
struct Capped(Vec<u8>);

impl io::Write for Capped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An expression that is true or false.
#[derive(Debug, Clone)]
pub struct Test(Source);

impl Test {
    /// Reads the expression of an option, over the names of a turn.
    ///
    /// # Errors
    /// If it is not an expression, or uses an unknown name.
    pub fn new(key: &str, text: &str) -> Result<Self> {
        let out = Self(Source { key: key.into(), text: text.into(), jinja: text.into() });
        let env = environment();
        let expression = env.compile_expression(text).map_err(|e| out.0.wrong(&e))?;
        let names: BTreeSet<String> = expression.undeclared_variables(false).into_iter().collect();
        out.0.known(&names, &TURN)?;
        if names.iter().all(|n| !TURN.contains(&n.as_str()) || n == "matches") {
            return Err(out.0.error("this says the same in every turn of every conversation"));
        }
        Ok(out)
    }

    /// Whether it depends on what was said before.
    pub fn hears(&self) -> bool {
        let env = environment();
        let names = env.compile_expression(&self.0.jinja).map(|e| e.undeclared_variables(false));
        names.is_ok_and(|names| HEARD.iter().any(|n| names.contains(*n)))
    }

    /// Whether it is true.
    ///
    /// # Errors
    /// If an operation in it fails, or its value is neither true nor false.
    pub fn holds(&self, values: &Value) -> Result<bool> {
        let env = environment();
        let expression = env.compile_expression(&self.0.jinja).map_err(|e| self.0.wrong(&e))?;
        let value = expression.eval(values).map_err(|e| self.0.wrong(&e))?;
        if value.is_none() {
            return Ok(false);
        }
        if value.is_undefined() {
            return Err(self.0.error("a name or key in it is not there"));
        }
        bool::try_from(value.clone()).map_err(|_| {
            self.0.error(format!("is {value:?}, which is neither true nor false: compare it with something"))
        })
    }
}

fn messages(item: &Item) -> Vec<&str> {
    item.script.iter().map(|t| t.user.as_str()).collect()
}

/// The values of a turn.
pub fn turn(cx: &TurnContext) -> Value {
    let of = |e: &Exchange| {
        context! {
            user => e.user, reply => e.reply, kept => e.kept, removed => e.removed_tokens, answer => e.grade.answer, score => e.grade.score,
            turn => e.turn, round => e.round, item => e.item, tokens => e.reply_tokens,
        }
    };
    let last = cx.history.last();
    context! {
        question => cx.prompt, text => cx.item.text, choices => cx.item.choices, script => messages(cx.item),
        message => cx.item.script.get(cx.round - 1).map(|t| t.user.as_str()).unwrap_or(""),
        metadata => cx.item.metadata, topic => cx.topic, item => cx.item.id, target => cx.item.target_text(),
        turn => cx.turn, turns => cx.turns, round => cx.round, rounds => cx.rounds, group => cx.group,
        last_user => last.map_or("", |e| &e.user), last_reply => last.map_or("", |e| &e.reply),
        last_kept => last.map_or("", |e| &e.kept), last_removed => last.map_or(0, |e| e.removed_tokens),
        last_answer => last.and_then(|e| e.grade.answer.as_deref()), last_score => last.and_then(|e| e.grade.score),
        history => cx.history.iter().map(of).collect::<Vec<_>>(),
    }
}

/// The values before the first turn: those of the first item.
pub fn opening(cx: &OpeningContext) -> Value {
    let nothing = Item::default();
    let item = cx.items.first().unwrap_or(&nothing);
    context! {
        text => item.text, choices => item.choices, script => messages(item), metadata => item.metadata,
        topic => item.category, item => item.id, target => item.target_text(), group => cx.group,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn single_braces_are_short_for_double_ones() {
        assert_eq!(doubled("nvm. {question} ({topic})"), "nvm. {{ question }} ({{ topic }})");
        assert_eq!(doubled("{{ a }}{% if {x} %}{# {y} #}{"), "{{ a }}{% if {x} %}{# {y} #}{");
        assert_eq!(doubled("{ a } {} {metadata.key}"), "{ a } {} {{ metadata.key }}");
        // Numbers and constants in braces are text.
        assert_eq!(doubled(r"\frac{1}{2} {true} {1.5}"), r"\frac{1}{2} {true} {1.5}");
    }

    #[test]
    fn more_than_a_name_takes_double_braces() {
        for (text, inner) in [
            ("{question} {topic | upper}", "topic | upper"),
            ("{ question }", "question"),
            ("{script[0]}", "script[0]"),
        ] {
            let told = Text::new("user", text, &TURN).unwrap_err().to_string();
            assert!(told.contains(&format!("write `{{{{ {inner} }}}}`")), "{told}");
        }
        for text in [
            "{question} { x }",
            r"\frac{1}{2} {question}",
            "{ question: 1 } {question}",
            "{{ topic | upper }}{question}",
        ] {
            assert!(Text::new("user", text, &TURN).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_are_checked_and_what_is_inserted_stays_text() {
        let told = Text::new("user", "{question} {topics}", &TURN).unwrap_err().to_string();
        assert!(told.contains("`{topics}` is unknown: did you mean `{topic}`"), "{told}");
        assert!(Text::new("user", "{% for", &TURN).is_err());
        let text = Text::new("user", "{question}\n{% for s in script %}- {{ s }}\n{% endfor %}", &TURN).unwrap();
        assert!(text.asks() && !text.hears());
        let values = context! { question => "What is {topic}?", script => ["a", "b"], topic => "x" };
        assert_eq!(text.write(&values).unwrap(), "What is {topic}?\n- a\n- b\n");
    }

    #[test]
    fn texts_without_end_are_refused() {
        let values = context! { question => "x" };
        let told = |text: &str| Text::new("user", text, &TURN).unwrap().write(&values).unwrap_err().to_string();
        let loops = "{% for a in range(10000) %}{% for b in range(10000) %}a{% endfor %}{% endfor %}{question}";
        assert!(told(loops).contains("takes more than 1000000 steps"), "{}", told(loops));
        let long = "{{ question * 5000000 }}";
        assert!(told(long).contains("becomes longer than 4194304 bytes"), "{}", told(long));
        // The longest conversation of a study.
        let history: Vec<Value> = (0..1000).map(|i| context! { user => i, reply => "no" }).collect();
        let all = "{% for e in history %}{{ e.user }}: {{ e.reply }}\n{% endfor %}{question}";
        let text = Text::new("user", all, &TURN).unwrap();
        assert!(text.write(&context! { question => "x", history }).unwrap().ends_with("999: no\nx"));
    }

    #[test]
    fn tests_read_replies() {
        let test = Test::new("stop_when", "matches(last_reply, '(?i)i can.?not') or last_score == 1").unwrap();
        let of = |reply: &str, score: Option<f64>| {
            test.holds(&context! { last_reply => reply, last_score => score }).unwrap()
        };
        assert!(of("I cannot do that", None) && of("x", Some(1.0)) && !of("x", Some(0.0)) && !of("x", None));
        assert!(Test::new("stop_when", "last_repl == 1").unwrap_err().to_string().contains("last_reply"));
        assert!(Test::new("stop_when", "1 +").is_err());
        let keyless = Text::new("user", "{question} {metadata.hint}", &TURN).unwrap();
        let told = keyless.write(&context! { question => "x", metadata => context! {} }).unwrap_err();
        assert!(matches!(&told, Error::Key { key, .. } if key == "user"), "{told:?}");
        assert!(told.to_string().contains(": there is no `metadata.hint` here; "), "{told}");
        let odd = Test::new("stop_when", "matches(last_reply, '(')").unwrap();
        assert!(odd.holds(&context! { last_reply => "x" }).is_err());
    }
}
