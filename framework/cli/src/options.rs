//! A plugin's options as rows for people, made from the JSON Schema of its configuration.
use friction_core::{Kind, Plugin};
use serde_json::{Map, Value};

/// One option of a plugin.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(crate) struct OptionRow {
    /// Its key; nested keys are joined by dots, as in `keep.tokens`.
    pub key: String,
    /// Its type in words, such as `list of texts`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its default as written in a manifest; `required` if it has none.
    pub default: String,
    /// Its description, from the schema.
    pub about: String,
}

/// A schema document, in which references (`$ref`) are resolved.
struct Root<'a>(&'a Value);

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

    /// The alternatives of a schema that allows several (`anyOf`, `oneOf`), without null.
    fn alternatives(&self, v: &'a Value) -> Vec<&'a Value> {
        let any = ["anyOf", "oneOf"].iter().find_map(|k| v.get(*k).and_then(Value::as_array));
        let all = any.map_or_else(|| vec![v], |a| a.iter().collect());
        all.into_iter().map(|a| self.follow(a)).filter(|a| a.get("type") != Some(&Value::from("null"))).collect()
    }

    fn words(&self, v: &'a Value) -> String {
        let v = self.follow(v);
        let all = self.alternatives(v);
        if all.len() > 1 || all.first().is_some_and(|a| !std::ptr::eq(*a, v)) {
            let mut words: Vec<String> = vec![];
            for w in all.iter().map(|a| self.words(a)) {
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
        let of = |t: &str| match t {
            "string" => match v.get("description").and_then(Value::as_str) {
                Some(d) if v.get("pattern").is_some() => d.split(',').next().unwrap_or("text").to_lowercase(),
                _ => "text".to_string(),
            },
            "integer" => "whole number".to_string(),
            "number" => "number".to_string(),
            "boolean" => "true or false".to_string(),
            "array" => match v.get("items") {
                Some(Value::Array(_)) | None => "list".to_string(),
                Some(items) => format!("list of {}", self.words(items)),
            },
            "object" => "table".to_string(),
            other => other.to_string(),
        };
        match v.get("type") {
            Some(Value::String(t)) => of(t),
            Some(Value::Array(a)) => {
                a.iter().filter_map(Value::as_str).filter(|t| *t != "null").map(of).collect::<Vec<_>>().join(" or ")
            }
            _ => "any value".into(),
        }
    }

    fn rows(&self, table: &'a Value, prefix: &str, out: &mut Vec<OptionRow>) {
        let Some(Value::Object(properties)) = table.get("properties") else { return };
        let required = |k: &str| {
            table.get("required").and_then(Value::as_array).is_some_and(|r| r.iter().any(|x| x.as_str() == Some(k)))
        };
        for (name, v) in properties {
            let inner = self.follow(v);
            let key = format!("{prefix}{name}");
            let about = v.get("description").or_else(|| inner.get("description")).and_then(Value::as_str);
            let default = match v.get("default") {
                _ if required(name) => "required".into(),
                Some(Value::Null) | None => "-".into(),
                Some(d) => toml_of(d).map_or_else(|| d.to_string(), |t| t.to_string()),
            };
            out.push(OptionRow {
                key: key.clone(),
                kind: self.words(v),
                default,
                about: about.unwrap_or("").split_whitespace().collect::<Vec<_>>().join(" "),
            });
            for a in self.alternatives(inner).into_iter().filter(|a| a.get("properties").is_some()) {
                self.rows(a, &format!("{key}."), out);
            }
        }
    }
}

/// A plugin's options in order; the options of a nested table follow their table.
pub(crate) fn rows(plugin: &Plugin) -> Vec<OptionRow> {
    let mut out = vec![];
    Root(&plugin.options).rows(&plugin.options, "", &mut out);
    out
}

fn toml_of(v: &Value) -> Option<toml::Value> {
    serde_json::from_value(v.clone()).ok()
}

/// An example table for a plugin: the schema's own example, or the examples of its required options.
pub(crate) fn example(plugin: &Plugin) -> toml::Table {
    let root = Root(&plugin.options);
    let first = |v: &Value| v.get("examples").and_then(Value::as_array).and_then(|a| a.first()).cloned();
    let given = first(&plugin.options).and_then(|v| v.as_object().cloned()).unwrap_or_else(|| {
        let mut out = Map::new();
        let required = plugin.options.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        for key in required.iter().filter_map(Value::as_str) {
            let Some(v) = plugin.options.pointer(&format!("/properties/{key}")) else { continue };
            let stand_in = || match root.words(v).as_str() {
                "whole number" => Value::from(1),
                "number" => Value::from(1.0),
                "true or false" => Value::from(true),
                w if w.starts_with("list") => Value::from(Vec::<Value>::new()),
                _ => Value::from("…"),
            };
            out.insert(key.into(), first(v).or_else(|| first(root.follow(v))).unwrap_or_else(stand_in));
        }
        out
    });
    let mut table = toml::Table::new();
    if plugin.maker.kind() == Kind::Condition {
        table.insert("name".into(), toml::Value::String("mine".into()));
    }
    table.insert("plugin".into(), toml::Value::String(plugin.name.clone()));
    table.extend(given.iter().filter_map(|(k, v)| Some((k.clone(), toml_of(v)?))));
    table
}

/// The example table as the text of a manifest.
pub(crate) fn example_text(plugin: &Plugin) -> String {
    let kind = plugin.maker.kind();
    let mut out = match kind {
        Kind::Dataset | Kind::Topics => format!("[{}]\n", kind.word()),
        _ => format!("[[{}]]\n", kind.word()),
    };
    for (k, v) in example(plugin) {
        out.push_str(&format!("{k} = {v}\n"));
    }
    if kind == Kind::Condition {
        out.push_str("factors = { completion = \"complete\" }\n");
    }
    out
}
