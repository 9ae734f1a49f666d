//! JSON Schemas of tools' arguments and results, from the types that the HTTP API describes itself by.

use std::collections::HashMap;

use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::engine::EngineError;

/// The prefix of references to other types.
const REFERENCE: &str = "#/components/schemas/";

/// Returns the schema of arguments. Members that may be left out are not null as well: some clients send what has two
/// types as a string.
pub(super) fn input<T: ToSchema>() -> JsonObject {
    let mut schema = Value::Object(output::<T>());
    drop_null(&mut schema);
    object(schema)
}

/// Reads the arguments of a call.
pub(super) fn arguments<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, EngineError> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| {
        let message = format!("the arguments do not fit the tool's schema: {error}");
        EngineError::invalid("invalid_arguments", "arguments", message)
    })
}

/// Returns the schema of a result. It names no other types: they stand where they are used.
pub(super) fn output<T: ToSchema>() -> JsonObject {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named: HashMap<String, Value> = named
        .into_iter()
        .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
        .collect();
    let mut schema = serde_json::to_value(T::schema()).unwrap_or_default();
    resolve(&mut schema, &named);
    object(schema)
}

fn object(schema: Value) -> JsonObject {
    match schema {
        Value::Object(schema) => schema,
        _ => Map::new(),
    }
}

/// Puts types where they are referred to. None of them contains itself.
fn resolve(schema: &mut Value, named: &HashMap<String, Value>) {
    let reference = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix(REFERENCE));
    if let Some(target) = reference.and_then(|name| named.get(name)) {
        let mut target = target.clone();
        // What is said of the member says more than what is said of its type.
        if let (Some(target), Some(own)) = (target.as_object_mut(), schema.get("description")) {
            target.insert("description".into(), own.clone());
        }
        *schema = target;
    }
    for_each_child(schema, &mut |child| resolve(child, named));
}

fn drop_null(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return for_each_child(schema, &mut drop_null) };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("oneOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let (mut only, description) = (only.clone(), object.get("description").cloned());
            only.extend(description.map(|description| ("description".to_owned(), description)));
            *object = only;
        }
    }
    for_each_child(schema, &mut drop_null);
}

fn for_each_child(value: &mut Value, each: &mut dyn FnMut(&mut Value)) {
    match value {
        Value::Object(members) => members.values_mut().for_each(each),
        Value::Array(items) => items.iter_mut().for_each(each),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(ToSchema)]
    #[expect(dead_code, reason = "only described")]
    struct Outer {
        /// An inner one.
        inner: Inner,
        /// Perhaps one.
        perhaps: Option<Inner>,
        count: Option<usize>,
    }

    /// A type of its own.
    #[derive(ToSchema)]
    #[expect(dead_code, reason = "only described")]
    struct Inner {
        text: String,
    }

    #[test]
    fn arguments_that_do_not_fit_are_named() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Given {
            #[expect(dead_code, reason = "only read")]
            text: String,
        }
        let object = object(json!({"text": "a", "ratio": 0.5}));
        let error = arguments::<Given>(object).unwrap_err();
        assert!(error.message.contains("ratio"), "{}", error.message);
    }

    #[test]
    fn types_stand_where_they_are_used_and_nothing_is_null() {
        let schema = Value::Object(input::<Outer>());
        assert_eq!(schema["type"], "object");
        let inner = json!({"type": "string"});
        assert_eq!(schema["properties"]["inner"]["properties"]["text"], inner);
        assert_eq!(schema["properties"]["inner"]["description"], "An inner one.");
        assert_eq!(schema["properties"]["perhaps"]["properties"]["text"], inner);
        assert_eq!(schema["properties"]["perhaps"]["description"], "Perhaps one.");
        assert_eq!(schema["properties"]["count"]["type"], "integer");
        assert_eq!(schema["required"], json!(["inner"]));
        let text = schema.to_string();
        assert!(!text.contains("$ref") && !text.contains("null"), "{text}");
    }
}
