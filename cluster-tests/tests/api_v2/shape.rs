//! Whether a body is what a schema of the document says: as much of JSON Schema as the document uses.

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// Holds `value` against `schema`, whose references lead into `document`. Members that the schema does not name are a fault.
pub(crate) fn check(value: &Value, schema: &Value, document: &Value) -> Result<()> {
    fit(value, schema, document).with_context(|| format!("{value} is not {schema}"))
}

fn fit(value: &Value, schema: &Value, document: &Value) -> Result<()> {
    let Some(schema) = schema.as_object() else { return Ok(()) };
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#').context("a reference leads into the document")?;
        let target = document.pointer(pointer).with_context(|| format!("nothing is at {reference}"))?;
        return check(value, target, document);
    }
    if let Some(choices) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        let properties = schema.get("properties");
        // Members that are named beside the choices belong to each of them.
        let fits = |choice: &Value| fit(value, &joined(choice, properties), document).is_ok();
        ensure!(choices.iter().any(fits), "none of the choices fits");
        return Ok(());
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        ensure!(allowed.contains(value), "it is none of {allowed:?}");
    }
    if let Some(types) = schema.get("type") {
        let types: Vec<_> = types.as_array().map_or_else(|| vec![types], |types| types.iter().collect());
        ensure!(types.iter().any(|name| is(value, name.as_str().unwrap_or_default())), "its type is none of {types:?}");
    }
    match value {
        Value::Object(members) => object(members, schema, document),
        Value::Array(items) => {
            let Some(schema) = schema.get("items") else { return Ok(()) };
            items.iter().try_for_each(|item| check(item, schema, document))
        }
        _ => Ok(()),
    }
}

fn object(members: &Map<String, Value>, schema: &Map<String, Value>, document: &Value) -> Result<()> {
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        ensure!(members.contains_key(name), "{name} is missing");
    }
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Ok(()) };
    for (name, value) in members {
        match (properties.get(name), schema.get("additionalProperties")) {
            (Some(schema), _) => check(value, schema, document).with_context(|| name.clone())?,
            (None, Some(Value::Object(_))) => {}
            (None, _) => bail!("{name} is not in the document"),
        }
    }
    Ok(())
}

fn joined(choice: &Value, properties: Option<&Value>) -> Value {
    let mut choice = choice.clone();
    if let (Some(Value::Object(members)), Some(Value::Object(own))) = (properties, choice.get_mut("properties")) {
        own.extend(members.clone());
    }
    choice
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
