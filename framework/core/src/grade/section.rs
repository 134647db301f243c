//! The table `[grade]` of a manifest.
use crate::choice::ChoiceParser;
use crate::issues::{Issues, Path};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is read out of a reply, and how it is compared with the item's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GradeKind {
    /// The letter of a choice, compared with the letter of the right one.
    Choice,
    /// The whole reply, or what follows a phrase, equal to a target text.
    Exact,
    /// A number, equal to a target's number within a tolerance.
    Number,
    /// Target texts that stand anywhere in the reply.
    Contains,
    /// What a regular expression captures, equal to a target text; without a target, whether it matches.
    Regex,
}

impl GradeKind {
    /// Its word in a manifest.
    pub fn word(self) -> &'static str {
        match self {
            Self::Choice => "choice",
            Self::Exact => "exact",
            Self::Number => "number",
            Self::Contains => "contains",
            Self::Regex => "regex",
        }
    }
}

/// Which of several matches counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// The first in the reply.
    First,
    /// The last in the reply.
    Last,
}

/// How many of several texts must be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Need {
    /// One of them.
    #[default]
    Any,
    /// Each of them.
    All,
}

/// A group of a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a group is its number or its name")]
pub enum Group {
    /// By number; 0 is the whole match.
    Number(usize),
    /// By name: `(?P<name>…)`.
    Name(String),
}

/// How replies are graded.
///
/// Without this table the dataset grades: a reply to an item with choices by the letter that it declares, a reply to
/// another item not at all. What is read is stored as `answer`, its comparison as `score` (1, 0, or none where the item
/// has no target). An item whose target names a choice is answered by the choice's letter or by its text.
/// `friction grade RUN` grades a stored run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = serde_json::json!({"kind": "number", "relative": 0.01}))]
pub struct GradeSection {
    /// What is read out of a reply and compared. The other keys belong to some kinds; beside another kind they are
    /// refused.
    pub kind: GradeKind,
    /// Of `choice`: the parser whose letter is scored. What the others read is stored beside it, as `grade_<parser>`.
    /// Default: `declared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parser: Option<ChoiceParser>,
    /// Of `exact`, `contains` and `regex`: whether upper and lower case differ. Default: no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<bool>,
    /// Of `exact` and `regex`: whether punctuation counts. Default: no, it is removed before the comparison.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub punctuation: Option<bool>,
    /// Of `exact` and `regex`: whether the words `a`, `an` and `the` count. Default: yes. `false`, with the defaults of
    /// the other keys, compares as SQuAD does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub articles: Option<bool>,
    /// Of `exact` and `regex`: whether white space counts. Default: no, each run of it is one space, and none at the
    /// ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white_space: Option<bool>,
    /// Of `exact` and `number`: phrases behind which the answer stands; the last one in the reply counts. Case is
    /// ignored. The answer is the rest of the line, or the next line, or what braces hold: `\boxed{42}`. Default of
    /// `exact`: none, the whole reply is compared; of `number`: `answer is`, `answer:`, `####` and `\boxed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// Of `number`: whether a number that no phrase declares counts where none is declared. Default: yes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeclared: Option<bool>,
    /// Of `number`: which undeclared number counts, by default the last. Of `regex`: which match counts, by default the
    /// first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take: Option<Take>,
    /// Of `number`: the characters that may separate thousands; empty for none. Default: `,`, or `.` where `decimal` is
    /// a comma. A space stands for every kind of space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thousands: Option<String>,
    /// Of `number`: the decimal sign. Default: `.`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<char>,
    /// Of `number`: largest distance from the target that is right. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub tolerance: Option<f64>,
    /// Of `number`: largest distance as a share of the target, such as 0.01. The wider of the two counts. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub relative: Option<f64>,
    /// Of `contains`: texts to look for in place of the items' targets, such as the words of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    /// Of `contains`: whether one of the texts must be found, or each. Default: `any`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<Need>,
    /// Of `contains`: whether a text must be whole words: `art` is then not found in `party`. Default: yes. Scripts
    /// that put no spaces between words, such as Chinese, have no such borders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<bool>,
    /// Of `regex`: the regular expression, in the syntax of Rust's crate `regex`, which is that of Perl without
    /// look-around and back-references. `(?i)` at its beginning ignores case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Of `regex`: the group whose text is the answer, by number or name. Default: 1, or 0, the whole match, where the
    /// pattern has no group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// Of `regex`: whether the answer is compared with the item's target. Default: where it has one. `false` scores
    /// whether the pattern matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<bool>,
}

impl GradeSection {
    /// Whether a score says that something was found in the reply, not that the reply is right. `None` if that depends on the
    /// items: what a pattern captures is compared with the target of an item that has one.
    pub fn looks(&self) -> Option<bool> {
        match self.kind {
            GradeKind::Contains => Some(self.texts.is_some()),
            GradeKind::Regex => self.compare.map(|compare| !compare),
            GradeKind::Choice | GradeKind::Exact | GradeKind::Number => Some(false),
        }
    }

    /// Whether a reply without an answer is one in which nothing was found, and not one that could not be read.
    pub fn searches(&self) -> bool {
        matches!(self.kind, GradeKind::Contains | GradeKind::Regex)
    }

    /// A table that holds a kind and nothing else.
    pub fn of(kind: GradeKind) -> Self {
        Self {
            kind,
            parser: None,
            case: None,
            punctuation: None,
            articles: None,
            white_space: None,
            after: None,
            undeclared: None,
            take: None,
            thousands: None,
            decimal: None,
            tolerance: None,
            relative: None,
            texts: None,
            need: None,
            words: None,
            pattern: None,
            group: None,
            compare: None,
        }
    }

    /// The keys that are given, each with the kinds that it belongs to.
    fn given(&self) -> Vec<(&'static str, &'static [GradeKind])> {
        use GradeKind::{Choice, Contains, Exact, Number, Regex};
        let all: [(&str, bool, &[GradeKind]); 18] = [
            ("parser", self.parser.is_some(), &[Choice]),
            ("case", self.case.is_some(), &[Exact, Contains, Regex]),
            ("punctuation", self.punctuation.is_some(), &[Exact, Regex]),
            ("articles", self.articles.is_some(), &[Exact, Regex]),
            ("white_space", self.white_space.is_some(), &[Exact, Regex]),
            ("after", self.after.is_some(), &[Exact, Number]),
            ("undeclared", self.undeclared.is_some(), &[Number]),
            ("take", self.take.is_some(), &[Number, Regex]),
            ("thousands", self.thousands.is_some(), &[Number]),
            ("decimal", self.decimal.is_some(), &[Number]),
            ("tolerance", self.tolerance.is_some(), &[Number]),
            ("relative", self.relative.is_some(), &[Number]),
            ("texts", self.texts.is_some(), &[Contains]),
            ("need", self.need.is_some(), &[Contains]),
            ("words", self.words.is_some(), &[Contains]),
            ("pattern", self.pattern.is_some(), &[Regex]),
            ("group", self.group.is_some(), &[Regex]),
            ("compare", self.compare.is_some(), &[Regex]),
        ];
        all.into_iter().filter(|(_, given, _)| *given).map(|(key, _, kinds)| (key, kinds)).collect()
    }

    /// Checks the values. Faults are added to `issues`.
    pub fn check(&self, path: &Path, issues: &mut Issues) {
        for (key, kinds) in self.given() {
            if !kinds.contains(&self.kind) {
                let own = kinds.iter().map(|k| format!("`{}`", k.word())).collect::<Vec<_>>().join(", ");
                let message = format!("`{key}` does nothing beside `kind = \"{}\"`", self.kind.word());
                issues.push(path.key(key), message, Some(format!("it belongs to {own}; leave it out")));
            }
        }
        let empty = |key: &str, list: &Option<Vec<String>>, issues: &mut Issues| {
            for (i, text) in list.iter().flatten().enumerate() {
                if text.trim().is_empty() {
                    issues.push(path.key(key).index(i), "this text is empty", None);
                }
            }
        };
        empty("after", &self.after, issues);
        empty("texts", &self.texts, issues);
        if self.texts.as_ref().is_some_and(Vec::is_empty) {
            let help = "leave `texts` out to look for the items' targets";
            issues.push(path.key("texts"), "`texts` is empty: nothing would be looked for", Some(help.into()));
        }
        if self.kind == GradeKind::Number {
            self.check_number(path, issues);
        }
        if self.kind == GradeKind::Regex {
            self.check_pattern(path, issues);
        }
    }

    fn check_number(&self, path: &Path, issues: &mut Issues) {
        for (key, v) in [("tolerance", self.tolerance), ("relative", self.relative)] {
            if v.is_some_and(|v| !(v >= 0.0 && v.is_finite())) {
                issues.push(path.key(key), format!("`{key}` must be a number from 0"), None);
            }
        }
        let free = |c: char| !c.is_alphanumeric() && !"+-−{}\\".contains(c);
        if let Some(c) = self.decimal.filter(|c| !free(*c) || c.is_whitespace()) {
            issues.push(path.key("decimal"), format!("`{c}` is no decimal sign"), Some("it is `.` or `,`".into()));
        }
        if let Some(c) = self.thousands.iter().flat_map(|s| s.chars()).find(|c| !free(*c)) {
            issues.push(path.key("thousands"), format!("`{c}` cannot separate thousands"), None);
        }
        let decimal = self.decimal.unwrap_or('.');
        if self.thousands.as_ref().is_some_and(|t| t.contains(decimal)) {
            let message = format!("`{decimal}` cannot separate thousands and be the decimal sign");
            issues.push(path.key("thousands"), message, None);
        }
        if self.undeclared == Some(false) && self.after.as_ref().is_some_and(Vec::is_empty) {
            let message = "without phrases in `after` no number is declared, so `undeclared = false` finds none";
            issues.push(path.key("undeclared"), message, None);
        }
        if self.undeclared == Some(false) && self.take.is_some() {
            let message = "`take` chooses among undeclared numbers, which `undeclared = false` leaves out";
            issues.push(path.key("take"), message, None);
        }
    }

    fn check_pattern(&self, path: &Path, issues: &mut Issues) {
        let Some(pattern) = &self.pattern else {
            let help = "add `pattern = \"…\"`, a regular expression";
            issues.push(path.clone(), "`pattern` is missing", Some(help.into()));
            return;
        };
        let regex = match regex::Regex::new(pattern) {
            Ok(regex) => regex,
            Err(e) => {
                let why = e.to_string();
                let why = why.lines().last().unwrap_or(&why).trim_start_matches("error: ");
                issues.push(path.key("pattern"), format!("no regular expression: {why}"), None);
                return;
            }
        };
        let known = match &self.group {
            None => true,
            Some(Group::Number(n)) => *n < regex.captures_len(),
            Some(Group::Name(name)) => regex.capture_names().flatten().any(|n| n == name),
        };
        if !known {
            let n = regex.captures_len() - 1;
            let message = format!("the pattern has {}, and not this one", crate::plural(n, "group"));
            issues.push(path.key("group"), message, None);
        }
        let equality =
            [("punctuation", self.punctuation), ("articles", self.articles), ("white_space", self.white_space)];
        for (key, _) in equality.into_iter().chain([("case", self.case)]).filter(|(_, given)| given.is_some()) {
            if self.compare == Some(false) {
                let message = format!("`{key}` does nothing at `compare = false`: nothing is compared");
                let help = (key == "case").then(|| "`(?i)` at the beginning of the pattern ignores case".to_string());
                issues.push(path.key(key), message, help);
            }
        }
    }
}
