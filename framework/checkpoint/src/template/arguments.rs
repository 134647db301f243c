//! The arguments of a template: the names that it reads besides messages and special tokens.
use super::{ChatTemplate, special};
use crate::jinja::{Kind, next_tag, raw_end, tokens};
use std::collections::BTreeSet;

impl ChatTemplate {
    /// The arguments that it reads.
    pub fn arguments(&self) -> BTreeSet<String> {
        const PASSED: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];
        let global: BTreeSet<&str> = self.env.globals().map(|(name, _)| name).collect();
        let known = |n: &String| PASSED.contains(&n.as_str()) || global.contains(n.as_str()) || special::is_name(n);
        self.reads().into_iter().filter(|n| !known(n)).collect()
    }

    /// The arguments that it is given and does not read.
    pub fn unread(&self) -> Vec<String> {
        let read = self.reads();
        self.given.args.keys().filter(|n| !read.contains(*n)).cloned().collect()
    }

    /// All names that it reads from outside.
    fn reads(&self) -> BTreeSet<String> {
        let mut out = unreported(&self.source);
        if let Ok(template) = self.env.get_template("chat") {
            out.extend(template.undeclared_variables(false));
        }
        out
    }
}

/// Names that a template reads, and minijinja does not report: those that are set from themselves, as in
/// `{% set x = x | default(1) %}`, and those that are sliced, as in `{{ x[1:] }}`, unless the template sets them.
fn unreported(source: &str) -> BTreeSet<String> {
    let (mut out, mut sliced, mut set) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut rest = source;
    while let Some((at, open)) = next_tag(rest) {
        rest = &rest[at + 2..];
        if open == "{#" {
            rest = rest.find("#}").map_or("", |e| &rest[e + 2..]);
            continue;
        }
        let (tokens, end) = tokens(rest, if open == "{%" { "%}" } else { "}}" });
        let Some(mut end) = end else { break };
        let text = |i: usize| tokens.get(i).map_or("", |t| &rest[t.start..t.end]);
        // A name, and not an attribute.
        let name = |i: usize| tokens[i].kind == Kind::Word && (i == 0 || text(i - 1) != ".");
        let all = (0..tokens.len()).filter(|i| name(*i));
        // A list may follow a word of the language, as in `in [1, 2]`.
        let words = ["in", "if", "else", "elif", "and", "or", "not", "is", "recursive"];
        let sliceable = all.clone().filter(|i| text(i + 1) == "[" && !words.contains(&text(*i)));
        sliced.extend(sliceable.map(|i| text(i).to_string()));
        match (open, text(0)) {
            ("{%", "raw") => end = raw_end(rest, end),
            ("{%", "set") if all.clone().any(|i| i > 2 && text(i) == text(1)) => {
                out.insert(text(1).to_string());
            }
            ("{%", "set") => {
                set.insert(text(1).to_string());
            }
            ("{%", "for") => set.extend(all.take_while(|i| text(*i) != "in").map(|i| text(i).to_string())),
            _ => {}
        }
        rest = &rest[end..];
    }
    out.extend(sliced.difference(&set).cloned());
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Given, SpecialTokens};
    use super::*;
    use crate::{Tokenizer, testing};
    use serde_json::json;

    fn template(source: &str, args: &[&str]) -> ChatTemplate {
        let t = Tokenizer::from_bytes(testing::tokenizer_json().as_bytes()).unwrap();
        let args = args.iter().map(|a| (a.to_string(), json!(true))).collect();
        ChatTemplate::with(source, SpecialTokens::gemma(&t), &t, Given { args, now: None }).unwrap()
    }

    #[test]
    fn what_a_template_reads_is_known() {
        let source = "{{ bos_token }}{%- if enable_thinking is defined and enable_thinking %}t{% endif %}
            {%- set effort = effort | default('low') %}{%- if not date_string is defined %}{%- set date_string = 'x' %}
            {%- endif %}{% set other = messages[0].other %}{% for m in messages %}{{ m.content ~ loop.index }}{% endfor %}
            {{ date_string }}{# comment_only #}{% raw %}{{ raw_only }}{% endraw %}{{ 'text_only' }}{{ range(2) | length }}
            {{ tags[1:] }}{% set own = [1, 2] %}{{ own[1:] }}{% for part in [own] %}{{ part[:1] }}{% endfor %}";
        let t = template(source, &["enable_thinking", "effort", "date_string", "tags"]);
        let all: Vec<String> = t.arguments().into_iter().collect();
        assert_eq!(all, ["date_string", "effort", "enable_thinking", "tags"]);
        assert!(t.unread().is_empty());
        let idle = ["other", "own", "part", "content", "comment_only", "raw_only", "text_only", "enable_thinkin"];
        let unread: BTreeSet<String> = template(source, &idle).unread().into_iter().collect();
        assert_eq!(unread, idle.iter().map(|s| s.to_string()).collect());
        // A special token may be given, as in transformers.
        assert!(template(source, &["bos_token"]).unread().is_empty());
    }
}
