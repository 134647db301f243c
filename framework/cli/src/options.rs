//! A plugin's options as rows for people, made from the JSON Schema of its configuration.
use friction_core::{Kind, Plugin};
use serde_json::{Map, Value};

/// One option of a plugin, or of a section of a manifest.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct OptionRow {
    /// Its key, as `--set` writes it below the plugin's table: `keep.tokens`; `load.N.path` is in every entry of `load`.
    pub key: String,
    /// Its type and range in words, such as `list of texts` or `whole number from 1 to 9`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its default as written in a manifest; `required` if it must be given, `-` if it has no value of its own.
    pub default: String,
    /// Its description, from the schema, on one line.
    pub about: String,
    /// The words that it takes, each with what it means; none where it takes other values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<Choice>,
}

/// A word that an option takes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct Choice {
    /// As a manifest writes it: `"listed"`.
    pub value: String,
    /// What it means.
    pub about: String,
}

/// Tables in tables and lists in lists that are followed: a schema may hold itself.
const DEEPEST: usize = 6;

/// A schema document, in which references (`$ref`) are resolved.
struct Root<'a>(&'a Value);

/// A schema's text on one line; empty where it has none.
fn about(v: &Value) -> Option<String> {
    let text = v.get("description").and_then(Value::as_str)?;
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A number of a schema as people write it.
fn number(v: &Value) -> Option<String> {
    let whole = v.as_i64().map(|n| n.to_string()).or_else(|| v.as_u64().map(|n| n.to_string()));
    whole.or_else(|| v.as_f64().map(|n| n.to_string()))
}

/// The range of a number, a space before it: ` from 1 to 1000`, ` above 0 and at most 1`; empty where there is none.
fn range(v: &Value) -> String {
    let at = |key: &str| v.get(key).and_then(number);
    let (least, above) = (at("minimum"), at("exclusiveMinimum"));
    let low = least.map(|n| format!(" from {n}")).or(above.as_ref().map(|n| format!(" above {n}")));
    let (to, below) = match (&low, above) {
        (None, _) => (" up to", " below"),
        (Some(_), None) => (" to", " to below"),
        (Some(_), Some(_)) => (" and at most", " and below"),
    };
    let high = at("maximum").map(|n| format!("{to} {n}")).or(at("exclusiveMaximum").map(|n| format!("{below} {n}")));
    low.unwrap_or_default() + &high.unwrap_or_default()
}

impl<'a> Root<'a> {
    fn follow(&self, v: &'a Value) -> &'a Value {
        let mut v = v;
        for _ in 0..8 {
            let one = |key| v.get(key).and_then(Value::as_array).filter(|a| a.len() == 1).map(|a| &a[0]);
            v = if let Some(name) = v.get("$ref").and_then(Value::as_str) {
                match self.0.pointer(name.trim_start_matches('#')) {
                    Some(to) => to,
                    None => return v,
                }
            } else if let Some(only) = one("allOf") {
                only
            } else {
                return v;
            };
        }
        v
    }

    /// The alternatives of a schema that allows several (`anyOf`, `oneOf`), without null; otherwise the schema itself.
    fn alternatives(&self, v: &'a Value) -> Vec<&'a Value> {
        let any = ["anyOf", "oneOf"].iter().find_map(|k| v.get(*k).and_then(Value::as_array));
        let all = any.map_or_else(|| vec![v], |a| a.iter().collect());
        all.into_iter().map(|a| self.follow(a)).filter(|a| a.get("type") != Some(&Value::from("null"))).collect()
    }

    /// The alternatives of a schema that allows several; `None` where it allows one.
    fn several(&self, v: &'a Value) -> Option<Vec<&'a Value>> {
        let all = self.alternatives(v);
        (all.len() > 1 || all.first().is_some_and(|a| !std::ptr::eq(*a, v))).then_some(all)
    }

    /// A type in words, of several where `many` of it are spoken of.
    fn words(&self, v: &'a Value, many: bool, deep: usize) -> String {
        let v = self.follow(v);
        if deep > DEEPEST {
            return "value of the same kind".into();
        }
        if let Some(all) = self.several(v) {
            let mut words: Vec<String> = vec![];
            for w in all.iter().map(|a| self.words(a, many, deep + 1)) {
                if !words.contains(&w) {
                    words.push(w);
                }
            }
            return words.join(" or ");
        }
        if let Some(c) = v.get("const") {
            return c.to_string();
        }
        if let Some(Value::Array(a)) = v.get("enum") {
            return a.iter().filter(|x| !x.is_null()).map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        }
        match v.get("type") {
            Some(Value::String(t)) => self.of_type(t, v, many, deep),
            Some(Value::Array(a)) => {
                let all = a.iter().filter_map(Value::as_str).filter(|t| *t != "null");
                all.map(|t| self.of_type(t, v, many, deep)).collect::<Vec<_>>().join(" or ")
            }
            _ => "any value".into(),
        }
    }

    fn of_type(&self, t: &str, v: &'a Value, many: bool, deep: usize) -> String {
        let some = |one: &str| if many { format!("{one}s") } else { one.to_string() };
        let title = || v.get("title").and_then(Value::as_str).filter(|_| v.get("pattern").is_some());
        match t {
            "string" => some(title().unwrap_or("text")),
            "integer" => some("whole number") + &range(v),
            "number" => some("number") + &range(v),
            "boolean" => "true or false".into(),
            "array" => match v.get("items") {
                Some(Value::Array(all)) => {
                    let of = all.first().map_or_else(String::new, |a| format!(" {}", self.words(a, true, deep + 1)));
                    format!("{} of {}{of}", some("list"), all.len())
                }
                Some(items) => {
                    let least = v.get("minItems").and_then(number).map(|n| format!(", at least {n}"));
                    format!("{} of {}{}", some("list"), self.words(items, true, deep + 1), least.unwrap_or_default())
                }
                None => some("list"),
            },
            "object" => match v.get("additionalProperties") {
                Some(of @ Value::Object(_)) => format!("{} of {}", some("table"), self.words(of, true, deep + 1)),
                _ => some("table"),
            },
            other => other.into(),
        }
    }

    /// The words that are taken, where each says what it means.
    fn values(&self, v: &'a Value, deep: usize, out: &mut Vec<Choice>) {
        let v = self.follow(v);
        if deep > DEEPEST {
            return;
        }
        if let Some(all) = self.several(v) {
            all.iter().for_each(|a| self.values(a, deep + 1, out));
        } else if let (Some(value), Some(about)) = (v.get("const"), about(v)) {
            out.push(Choice { value: value.to_string(), about });
        } else if let Some(items @ Value::Object(_)) = v.get("items") {
            self.values(items, deep + 1, out);
        }
    }

    fn rows(&self, table: &'a Value, prefix: &str, deep: usize, out: &mut Vec<OptionRow>) {
        let Some(Value::Object(properties)) = table.get("properties") else { return };
        let required = |k: &str| {
            table.get("required").and_then(Value::as_array).is_some_and(|r| r.iter().any(|x| x.as_str() == Some(k)))
        };
        for (name, v) in properties {
            let inner = self.follow(v);
            let key = format!("{prefix}{name}");
            let default = match v.get("default") {
                _ if required(name) => "required".into(),
                Some(Value::Null) | None => "-".into(),
                Some(d) => toml_of(d).map_or_else(|| d.to_string(), |t| t.to_string()),
            };
            let mut values = vec![];
            self.values(v, 0, &mut values);
            out.push(OptionRow {
                key: key.clone(),
                kind: self.words(v, false, 0),
                default,
                about: about(v).or_else(|| about(inner)).unwrap_or_default(),
                values,
            });
            if deep == DEEPEST {
                continue;
            }
            for a in self.alternatives(inner) {
                self.rows(a, &format!("{key}."), deep + 1, out);
                if let Some(items @ Value::Object(_)) = a.get("items") {
                    let of = self.alternatives(self.follow(items));
                    of.into_iter().for_each(|a| self.rows(a, &format!("{key}.N."), deep + 1, out));
                }
            }
        }
    }
}

/// The options of the table with schema `table`, in order; the options of a nested table follow their table. References are
/// resolved in the document `root`.
pub(crate) fn rows_of(root: &Value, table: &Value) -> Vec<OptionRow> {
    let mut out = vec![];
    Root(root).rows(table, "", 0, &mut out);
    out
}

/// A plugin's options in order; the options of a nested table follow their table.
pub(crate) fn rows(plugin: &Plugin) -> Vec<OptionRow> {
    rows_of(&plugin.options, &plugin.options)
}

/// The description of a schema's table as a whole: the paragraphs of its doc comment.
pub(crate) fn description(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or("")
}

fn toml_of(v: &Value) -> Option<toml::Value> {
    serde_json::from_value(v.clone()).ok()
}

fn first_example(v: &Value) -> Option<&Value> {
    v.get("examples").and_then(Value::as_array).and_then(|a| a.first())
}

/// An example table for a plugin: the schema's own example, or the examples of its required options.
pub(crate) fn example(plugin: &Plugin) -> toml::Table {
    let root = Root(&plugin.options);
    let given = first_example(&plugin.options).and_then(Value::as_object).cloned().unwrap_or_else(|| {
        let mut out = Map::new();
        let required = plugin.options.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for key in required.iter().filter_map(Value::as_str) {
            let Some(v) = plugin.options.get("properties").and_then(|p| p.get(key)) else { continue };
            let stand_in = || match root.words(v, false, 0).as_str() {
                w if w.starts_with("whole number") => Value::from(1),
                w if w.starts_with("number") => Value::from(1.0),
                w if w.starts_with("true or false") => Value::from(true),
                w if w.starts_with("list") => Value::from(Vec::<Value>::new()),
                w if w.starts_with("table") => Value::Object(Map::new()),
                _ => Value::from("…"),
            };
            let found = first_example(v).or_else(|| first_example(root.follow(v))).cloned();
            out.insert(key.into(), found.unwrap_or_else(stand_in));
        }
        out
    });
    let mut table = toml::Table::new();
    if plugin.maker.kind() == Kind::Condition {
        table.insert("name".into(), toml::Value::String("mine".into()));
    }
    table.insert("plugin".into(), toml::Value::String(plugin.name.clone()));
    table.extend(given.iter().filter_map(|(k, v)| Some((k.clone(), toml_of(v)?))));
    if plugin.maker.kind() == Kind::Condition && !table.contains_key("factors") {
        let factor = ("completion".to_string(), toml::Value::String("complete".into()));
        table.insert("factors".into(), toml::Value::Table([factor].into_iter().collect()));
    }
    table
}

/// How a manifest heads a plugin's table.
pub(crate) fn heading(kind: Kind) -> String {
    match kind {
        Kind::Dataset | Kind::Topics => format!("[{}]", kind.word()),
        Kind::Condition | Kind::Hook | Kind::Analyzer => format!("[[{}]]", kind.word()),
    }
}

/// How a manifest heads a table that names no plugin: `[study]`, or `[[aside]]` if there may be several.
pub(crate) fn bare_heading(name: &str, schema: &Value) -> String {
    if schema.get("items").is_some() { format!("[[{name}]]") } else { format!("[{name}]") }
}

fn lines(heading: &str, table: &toml::Table) -> String {
    let bare = |k: &str| !k.is_empty() && k.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let key = |k: &String| if bare(k) { k.clone() } else { toml::Value::String(k.clone()).to_string() };
    let entries: String = table.iter().map(|(k, v)| format!("{} = {v}\n", key(k))).collect();
    format!("{heading}\n{entries}")
}

/// The example table as the text of a manifest.
pub(crate) fn example_text(plugin: &Plugin) -> String {
    lines(&heading(plugin.maker.kind()), &example(plugin))
}

/// The example of a section that names no plugin, under its heading as the text of a manifest; `None` if its schema has
/// none.
pub(crate) fn section_text(heading: &str, schema: &Value) -> Option<String> {
    let example = toml_of(first_example(schema)?)?;
    Some(lines(heading, example.as_table()?))
}
