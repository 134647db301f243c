//! The JSON Schema (draft 7) of manifests, for editors: completion, types, and what each key means.
use crate::grade::GradeSection;
use crate::registry::{Kind, Plugin, Registry};
use crate::sections::{
    AsideSection, BackendSection, DesignSection, FactorSection, GenerationSection, ModelSection, OptionsSection,
    PluginsSection, PrimarySection, StudySection,
};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

fn section<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft07().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// Moves the definitions of a plugin's schema under names of its own.
fn rename(value: &mut Value, prefix: &str) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(r)) = map.get_mut("$ref")
                && let Some(name) = r.strip_prefix("#/definitions/")
            {
                *r = format!("#/definitions/{prefix}{name}");
            }
            map.values_mut().for_each(|v| rename(v, prefix));
        }
        Value::Array(all) => all.iter_mut().for_each(|v| rename(v, prefix)),
        _ => {}
    }
}

/// The keys that a manifest adds to the options of every plugin of a kind, as the schema of a table that has these
/// alone; its description is that of the kind.
pub fn added(kind: Kind) -> Value {
    let about = match kind {
        Kind::Dataset => {
            "The questions: what they are, how a prompt is written from one, and how a reply to it is graded."
        }
        Kind::Topics => "The topic, that is the dataset's category, of each turn of each group.",
        Kind::Condition => {
            "One way of talking to the model: what the user says around each question, and what the history keeps of each reply. Every condition runs every group. There must be one at least, listed here or made of `[[factor]]` tables."
        }
        Kind::Hook => "What is read from the forward pass, or changed in it, while the model reads and replies.",
        Kind::Analyzer => {
            "What is computed from the run once it is finished. Findings are written to `analysis/<name>` of the run directory."
        }
    };
    let name = match kind {
        Kind::Condition => {
            "The condition's name in the stored turns, in tables and in figures: 1 to 80 letters, digits, `-` and `_`. No two conditions share one."
        }
        _ => {
            "A name of its own: 1 to 80 letters, digits, `-` and `_`. Default: the plugin's name. Needed where two tables of this kind name the same plugin."
        }
    };
    let mut properties = json!({
        "plugin": {"type": "string", "description": "The name of the plugin; the keys beside it are its options."},
        "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$", "description": name},
    });
    let mut required = vec!["plugin"];
    if kind == Kind::Condition {
        properties["factors"] = json!({"type": "object", "additionalProperties": {"type": "string"}, "description": "The condition's level of each factor, such as `{ completion = \"interrupt\" }`. Analyzers compare levels of factors, never conditions by name; every condition has a level of every factor."});
        properties["same_as"] = json!({"type": "string", "description": "Name of another condition that says and keeps the same on purpose: a placebo. Without it, two conditions that do not differ are refused."});
        required.push("name");
    }
    if kind == Kind::Dataset
        && let (Some(p), Value::Object(more)) =
            (properties.as_object_mut(), section::<OptionsSection>()["properties"].take())
    {
        p.extend(more);
    }
    json!({"type": "object", "description": about, "properties": properties, "required": required})
}

/// A plugin's table as a manifest writes it: its options, `plugin`, and what the manifest adds.
fn table(plugin: &Plugin, definitions: &mut Map<String, Value>) -> Value {
    let kind = plugin.maker.kind();
    let mut own = plugin.options.clone();
    let prefix = format!("{}.{}.", kind.word(), plugin.name);
    rename(&mut own, &prefix);
    let Value::Object(mut own) = own else { return json!({}) };
    own.remove("$schema");
    if let Some(Value::Object(defs)) = own.remove("definitions") {
        definitions.extend(defs.into_iter().map(|(k, v)| (format!("{prefix}{k}"), v)));
    }
    let taken = |v: &mut Value, key: &str| v.get_mut(key).map(Value::take);
    let mut added = added(kind);
    let mut properties = match taken(&mut added, "properties") {
        Some(Value::Object(p)) => p,
        _ => Map::new(),
    };
    properties.insert("plugin".into(), json!({"const": plugin.name, "description": plugin.summary}));
    let mut required = match taken(&mut added, "required") {
        Some(Value::Array(r)) => r,
        _ => vec![],
    };
    if let Some(Value::Object(p)) = own.remove("properties") {
        properties.extend(p);
    }
    if let Some(Value::Array(r)) = own.remove("required") {
        required.extend(r);
    }
    own.insert("properties".into(), Value::Object(properties));
    own.insert("required".into(), Value::Array(required));
    own.insert("title".into(), json!(plugin.name));
    Value::Object(own)
}

/// The schema of manifests that may name the plugins of `registry`.
pub fn schema(registry: &Registry) -> Value {
    let mut definitions = Map::new();
    let mut properties = Map::new();
    properties.insert("study".into(), section::<StudySection>());
    properties.insert("model".into(), section::<ModelSection>());
    properties.insert("backend".into(), section::<BackendSection>());
    properties.insert("generation".into(), section::<GenerationSection>());
    properties.insert("plugins".into(), section::<PluginsSection>());
    let about = "Questions that are asked on a fork after turns, and leave the conversation as it was.";
    properties
        .insert("aside".into(), json!({"type": "array", "description": about, "items": section::<AsideSection>()}));
    for kind in Kind::ALL {
        let of = registry.plugins().iter().filter(|p| p.maker.kind() == kind);
        let tables: Vec<Value> = of.map(|p| table(p, &mut definitions)).collect();
        let one = json!({"oneOf": tables});
        let mut value = match kind {
            Kind::Dataset | Kind::Topics => one,
            Kind::Condition => json!({"type": "array", "minItems": 1, "items": one}),
            Kind::Hook | Kind::Analyzer => json!({"type": "array", "items": one}),
        };
        value["description"] = added(kind)["description"].clone();
        properties.insert(kind.word().into(), value);
        match kind {
            Kind::Dataset => drop(properties.insert("grade".into(), section::<GradeSection>())),
            Kind::Topics => {
                let items = section::<FactorSection>();
                let about = items["description"].clone();
                let factors = json!({"type": "array", "minItems": 1, "description": about, "items": items});
                properties.insert("factor".into(), factors);
                properties.insert("design".into(), section::<DesignSection>());
            }
            Kind::Condition => drop(properties.insert("primary".into(), section::<PrimarySection>())),
            Kind::Hook | Kind::Analyzer => {}
        }
    }
    let mut out = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A friction manifest",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": ["study", "model", "dataset"],
        "anyOf": [{"required": ["condition"]}, {"required": ["factor"]}],
        "definitions": definitions,
    });
    reflow(&mut out);
    out
}

/// Joins the lines of every description: only paragraphs and list items begin new ones. Where a doc comment is wrapped
/// says nothing.
fn reflow(value: &mut Value) {
    match value {
        Value::Object(map) => map.iter_mut().for_each(|(key, v)| match v {
            Value::String(text) if key == "description" => *text = joined(text),
            v => reflow(v),
        }),
        Value::Array(all) => all.iter_mut().for_each(reflow),
        _ => {}
    }
}

fn joined(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines().map(str::trim) {
        let begins = out.is_empty() || out.ends_with('\n');
        match line {
            "" if !out.is_empty() && !out.ends_with("\n\n") => out.push_str(if begins { "\n" } else { "\n\n" }),
            _ if line.starts_with("- ") && !begins => out.push('\n'),
            _ if !begins => out.push(' '),
            _ => {}
        }
        out.push_str(line);
    }
    out.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_doc_comment_is_wrapped_says_nothing() {
        for text in
            ["One two.\n\nIt writes:\n- a b;\n- c.\n\nEnd.", "One\ntwo.\n\n\nIt\nwrites:\n- a\n  b;\n- c.\n\nEnd.\n"]
        {
            assert_eq!(joined(text), "One two.\n\nIt writes:\n- a b;\n- c.\n\nEnd.");
        }
        assert_eq!(joined(""), "");
        let mut v = json!({"properties": {"description": {"description": "a\nb", "default": "a\nb"}}});
        reflow(&mut v);
        assert_eq!(v, json!({"properties": {"description": {"description": "a b", "default": "a\nb"}}}));
    }
}
