//! The arguments of a template: the names that it reads besides messages and special tokens.
use super::lex::{Kind, next_tag, raw_end, tokens};
use super::{ChatTemplate, special};
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
        let mut out = defaulted(&self.source);
        if let Ok(template) = self.env.get_template("chat") {
            out.extend(template.undeclared_variables(false));
        }
        out
    }
}

/// Names that a template sets from themselves, as in `{% set x = x | default(1) %}`. minijinja takes such a name for one
/// that is set before it is read.
fn defaulted(source: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut rest = source;
    while let Some((at, open)) = next_tag(rest) {
        rest = &rest[at + 2..];
        if open == "{#" {
            rest = rest.find("#}").map_or("", |e| &rest[e + 2..]);
            continue;
        }
        let (tokens, end) = tokens(rest, if open == "{%" { "%}" } else { "}}" });
        let Some(mut end) = end else { return out };
        let text = |i: usize| tokens.get(i).map(|t| &rest[t.start..t.end]);
        if open == "{%" && text(0) == Some("raw") {
            end = raw_end(rest, end);
        }
        if open == "{%" && text(0) == Some("set") && text(2) == Some("=") {
            let name = text(1).unwrap_or_default();
            let own = |i: &usize| tokens[*i].kind == Kind::Word && text(*i) == Some(name) && text(i - 1) != Some(".");
            if (3..tokens.len()).any(|i| own(&i)) {
                out.insert(name.to_string());
            }
        }
        rest = &rest[end..];
    }
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
            {{ date_string }}{# comment_only #}{% raw %}{{ raw_only }}{% endraw %}{{ 'text_only' }}{{ range(2) | length }}";
        let t = template(source, &["enable_thinking", "effort", "date_string"]);
        let all: Vec<String> = t.arguments().into_iter().collect();
        assert_eq!(all, ["date_string", "effort", "enable_thinking"]);
        assert!(t.unread().is_empty());
        let idle = ["other", "content", "comment_only", "raw_only", "text_only", "enable_thinkin"];
        let unread: BTreeSet<String> = template(source, &idle).unread().into_iter().collect();
        assert_eq!(unread, idle.iter().map(|s| s.to_string()).collect());
        // A special token may be given, as in transformers.
        assert!(template(source, &["bos_token"]).unread().is_empty());
    }
}
