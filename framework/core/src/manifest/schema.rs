//! The JSON Schema (draft 7) of manifests, for editors: completion, types, and what each key means.
use super::sections::{BackendSection, GenerationSection, ModelSection, PluginsSection, StudySection};
use crate::registry::{Kind, Plugin, Registry};
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
    let mut properties = Map::new();
    properties.insert("plugin".into(), json!({"const": plugin.name, "description": plugin.summary}));
    let name = json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,80}$", "description": "A name of its own; default: the plugin's"});
    properties.insert("name".into(), name);
    let mut required = vec![json!("plugin")];
    if kind == Kind::Condition {
        let factors = json!({"type": "object", "additionalProperties": {"type": "string"}, "description": "Its level of each factor, such as `{ completion = \"interrupt\" }`"});
        properties.insert("factors".into(), factors);
        let same = json!({"type": "string", "description": "Another condition that this one says and keeps the same as, on purpose: a placebo. Without it, two conditions that do not differ are refused"});
        properties.insert("same_as".into(), same);
        required.push(json!("name"));
    }
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
    for kind in Kind::ALL {
        let of = registry.plugins().iter().filter(|p| p.maker.kind() == kind);
        let tables: Vec<Value> = of.map(|p| table(p, &mut definitions)).collect();
        let one = json!({"oneOf": tables});
        let value = match kind {
            Kind::Dataset | Kind::Topics => one,
            Kind::Condition => json!({"type": "array", "minItems": 1, "items": one}),
            Kind::Hook | Kind::Analyzer => json!({"type": "array", "items": one}),
        };
        properties.insert(kind.word().into(), value);
    }
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A friction manifest",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "required": ["study", "model", "dataset", "topics", "condition"],
        "definitions": definitions,
    })
}
