//! Compares values of manifests and locks by what they mean: numbers however they are written, and tables with what they leave
//! out.
use serde_json::{Map, Value};

/// Whether two values are the same. A number is the same whether it is written as `1` or `1.0`.
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            // Two integers may be equal as floating-point numbers and differ all the same.
            x == y || (x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64())
        }
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(key, x)| y.get(key).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

/// The value of the option `key` in a plugin's table, with the defaults of the plugin's JSON Schema `options` in place of
/// what the table, and the tables in it, leave out. Null if there is neither.
pub fn filled(table: &Value, key: &str, options: &Value) -> Value {
    let none = Value::Null;
    let option = options.get("properties").and_then(|all| all.get(key)).unwrap_or(&none);
    let given = Some(&table[key]).filter(|v| !v.is_null());
    given.or_else(|| option.get("default")).map_or(Value::Null, |v| whole(v, option, options))
}

/// A value with the defaults of its schema. `root` is the schema that references point into.
fn whole(value: &Value, schema: &Value, root: &Value) -> Value {
    let Value::Object(table) = value else { return value.clone() };
    let known = |of: &Map<String, Value>| table.keys().all(|key| of.contains_key(key));
    let Some(options) = tables(schema, root).into_iter().find(|of| known(of)) else { return value.clone() };
    let mut out = Map::new();
    for (key, option) in options {
        if let Some(v) = table.get(key).or_else(|| option.get("default")).filter(|v| !v.is_null()) {
            out.insert(key.clone(), whole(v, option, root));
        }
    }
    Value::Object(out)
}

/// The options of the tables that a schema allows, one for each alternative.
fn tables<'a>(schema: &'a Value, root: &'a Value) -> Vec<&'a Map<String, Value>> {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str).and_then(|to| to.strip_prefix('#')) {
        return root.pointer(to).map_or_else(Vec::new, |found| tables(found, root));
    }
    let own = schema.get("properties").and_then(Value::as_object);
    let others = ["anyOf", "allOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten();
    own.into_iter().chain(others.flat_map(|other| tables(other, root))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        assert!(same(&json!({"zero": [0.0, 1]}), &json!({"zero": [0, 1.0]})));
        assert!(!same(&json!([0.0]), &json!([0, 0])) && !same(&json!(0.5), &json!(0)));
        assert!(!same(&json!(0), &json!(null)));
        // As floating-point numbers these are equal.
        assert!(!same(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)));
    }

    #[test]
    fn defaults_stand_for_what_a_table_leaves_out() {
        let options = json!({
            "properties": {
                "keep": {"anyOf": [{"$ref": "#/definitions/Keep"}, {"type": "null"}], "default": null},
                "from_turn": {"type": "integer", "default": 2},
                "system": {"type": ["string", "null"], "default": null},
            },
            "definitions": {"Keep": {"properties": {"tokens": {"default": null}, "share": {"default": 1.0}}}},
        });
        let of = |table: Value, key: &str| filled(&table, key, &options);
        assert_eq!(of(json!({"keep": {"tokens": 3}}), "keep"), json!({"tokens": 3, "share": 1.0}));
        assert_eq!(of(json!({"keep": {"tokens": 3, "share": 0.5}}), "keep"), json!({"tokens": 3, "share": 0.5}));
        assert_eq!((of(json!({}), "from_turn"), of(json!({}), "system")), (json!(2), Value::Null));
        // What the schema does not know stays as it is.
        assert_eq!(of(json!({"keep": {"other": 1}}), "keep"), json!({"other": 1}));
        assert_eq!((of(json!({"x": 1}), "x"), of(json!({}), "x")), (json!(1), Value::Null));
    }
}
