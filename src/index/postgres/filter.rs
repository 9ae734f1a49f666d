//! Filters as conditions of SQL that hold for the same documents as [`Filter::matches`].
//!
//! The values of a filter are bound: the text of a condition holds only the numbers of parameters.

use serde_json::Value;
use tokio_postgres::types::Type;

use super::link::Parameter;
use crate::index::IndexError;
use crate::index::filter::{Comparison, Condition, Filter, Test};

/// Longest name of a field, in bytes.
const FIELD_BYTES: usize = 4096;
/// Most points in the name of a field.
const POINTS: usize = 32;
/// Most different texts of a filter: PostgreSQL has numbers for 65,535 parameters.
const MOST_TEXTS: usize = 60_000;

/// The texts that a statement's conditions have bound, each a parameter.
#[derive(Debug, Default)]
pub(super) struct Texts {
    single: Vec<String>,
    lists: Vec<Vec<String>>,
    /// The order in which both were bound: whether the next one is a list.
    order: Vec<bool>,
    /// The number of parameters before them.
    before: usize,
}

impl Texts {
    /// Begins behind `before` other parameters.
    pub(super) fn behind(before: usize) -> Self {
        Self { before, ..Self::default() }
    }

    /// Returns the parameters, in order.
    pub(super) fn parameters(&self) -> Vec<Parameter<'_>> {
        let (mut texts, mut lists) = (self.single.iter(), self.lists.iter());
        let parameter = |&is_list: &bool| -> Option<Parameter<'_>> {
            if is_list {
                lists.next().map(|list| (list as _, Type::TEXT_ARRAY))
            } else {
                texts.next().map(|text| (text as _, Type::TEXT))
            }
        };
        self.order.iter().filter_map(parameter).collect()
    }

    fn text(&mut self, text: String) -> Result<String, IndexError> {
        let text = without_nul(text)?;
        self.single.push(text);
        self.numbered(false)
    }

    fn list(&mut self, list: Vec<String>) -> Result<String, IndexError> {
        self.lists.push(list);
        self.numbered(true)
    }

    fn numbered(&mut self, is_list: bool) -> Result<String, IndexError> {
        self.order.push(is_list);
        if self.order.len() > MOST_TEXTS {
            return Err(IndexError::Settings(
                "the filter is too large for PostgreSQL: make it smaller".into(),
            ));
        }
        Ok(format!("${}", self.before + self.order.len()))
    }
}

/// Fails where a text holds what PostgreSQL cannot store.
fn without_nul(text: String) -> Result<String, IndexError> {
    if text.contains('\0') { Err(nul()) } else { Ok(text) }
}

fn nul() -> IndexError {
    let message = "a filter must not hold the character U+0000, which PostgreSQL cannot store";
    IndexError::Settings(message.into())
}

/// Returns a value as JSON.
fn json(value: &Value) -> Result<String, IndexError> {
    if has_nul(value) { Err(nul()) } else { Ok(value.to_string()) }
}

/// Returns whether a value holds the character U+0000, which PostgreSQL cannot store.
pub(super) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the condition that a row of documents, called `d`, meets if, and only if, it meets the filter.
pub(super) fn condition(filter: Option<&Filter>, texts: &mut Texts) -> Result<String, IndexError> {
    filter.map_or_else(|| Ok("true".into()), |filter| sql(&filter.0, texts))
}

/// Returns the value of a field in a row of documents, called `d`; NULL where it has none.
pub(super) fn field(name: &str, texts: &mut Texts) -> Result<String, IndexError> {
    if name.len() > FIELD_BYTES || name.matches('.').count() > POINTS {
        return Err(IndexError::Settings(format!(
            "a field of a filter has a name of at most {FIELD_BYTES} bytes and {POINTS} points where collections are in \
             PostgreSQL"
        )));
    }
    value_at("d.metadata", name, texts)
}

/// The value of that very name, else along a path into objects, as the local store looks it up.
fn value_at(object: &str, name: &str, texts: &mut Texts) -> Result<String, IndexError> {
    let whole = texts.text(name.to_owned())?;
    let Some((first, rest)) = name.split_once('.') else { return Ok(format!("({object} -> {whole})")) };
    let first = texts.text(first.to_owned())?;
    let inner = value_at(&format!("({object} -> {first})"), rest, texts)?;
    Ok(format!("coalesce({object} -> {whole}, {inner})"))
}

fn sql(condition: &Condition, texts: &mut Texts) -> Result<String, IndexError> {
    let mut joined = |conditions: &[Condition], with: &str, none: &str| {
        let parts: Vec<String> =
            conditions.iter().map(|condition| sql(condition, texts)).collect::<Result<_, IndexError>>()?;
        Ok(if parts.is_empty() { none.to_owned() } else { format!("({})", parts.join(with)) })
    };
    match condition {
        Condition::And(all) => joined(all, " AND ", "true"),
        Condition::Or(any) => joined(any, " OR ", "false"),
        Condition::Not(condition) => Ok(format!("(NOT {})", sql(condition, texts)?)),
        Condition::Field(name, tests) => {
            let value = field(name, texts)?;
            let tests: Vec<String> =
                tests.iter().map(|test| holds(test, texts)).collect::<Result<_, IndexError>>()?;
            let tests = tests.join(" AND ");
            Ok(format!("coalesce((SELECT {tests} FROM (SELECT {value} AS v) AS f), false)"))
        }
    }
}

/// The condition on the value `v`.
fn holds(test: &Test, texts: &mut Texts) -> Result<String, IndexError> {
    // The elements of a list count, too.
    const ELEMENTS: &str =
        "jsonb_array_elements(CASE jsonb_typeof(v) WHEN 'array' THEN v ELSE '[]' END) AS e";
    Ok(match test {
        Test::Exists(true) => "v IS NOT NULL".into(),
        Test::Exists(false) => "v IS NULL".into(),
        Test::Equal(wanted) => {
            let wanted = texts.text(json(wanted)?)?;
            format!("(v = {wanted}::jsonb OR EXISTS (SELECT FROM {ELEMENTS} WHERE e = {wanted}::jsonb))")
        }
        Test::In(wanted) => {
            let wanted = texts.list(wanted.iter().map(json).collect::<Result<_, _>>()?)?;
            format!(
                "(v = ANY ({wanted}::jsonb[]) OR EXISTS (SELECT FROM {ELEMENTS} WHERE e = ANY ({wanted}::jsonb[])))"
            )
        }
        Test::Compare(comparison, bound) => {
            let operator = operator(*comparison);
            if let Some(bound) = bound.as_str() {
                let bound = texts.text(bound.to_owned())?;
                format!("(jsonb_typeof(v) = 'string' AND (v #>> '{{}}') COLLATE \"C\" {operator} {bound})")
            } else {
                let bound = texts.text(bound.to_string())?;
                format!(
                    "(CASE jsonb_typeof(v) WHEN 'number' THEN v::numeric {operator} {bound}::numeric ELSE false END)"
                )
            }
        }
    })
}

const fn operator(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn written(filter: Value) -> (String, usize) {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        let mut texts = Texts::behind(2);
        (condition(Some(&filter), &mut texts).unwrap(), texts.parameters().len())
    }

    proptest! {
        #[test]
        fn what_a_filter_says_is_bound(field in "[^.\0]{0,20}", text in "[^\0]{0,20}", number in any::<f64>()) {
            prop_assume!(number.is_finite());
            let filter = |field: &str, text: &str, number: f64| json!({"not": {"and": [
                {"field": field, "eq": text, "in": [text, {field: number}], "exists": true},
                {"or": [{"field": field, "lt": text, "gte": number}]},
            ]}});
            prop_assert_eq!(written(filter(&field, &text, number)), written(filter("a", "b", 1.0)));
        }
    }

    #[test]
    fn a_field_is_looked_up_by_its_name_and_along_its_path() {
        let (sql, parameters) = written(json!({"field": "a.b.c", "exists": true}));
        assert!(sql.contains(
            "coalesce(d.metadata -> $3, coalesce((d.metadata -> $4) -> $5, (((d.metadata -> $4) -> $6) -> $7)))"
        ), "{sql}");
        assert_eq!(parameters, 5);
    }

    #[test]
    fn what_cannot_be_stored_or_is_too_large_is_refused_with_a_remedy() {
        for (filter, expected) in [
            (json!({"field": "a\0", "eq": 1}), "U+0000"),
            (json!({"field": "a", "eq": {"x": ["\0"]}}), "U+0000"),
            (json!({"field": "a", "lt": "\0"}), "U+0000"),
            (json!({"field": "a".repeat(5000), "eq": 1}), "at most 4096 bytes"),
            (json!({"field": "a.".repeat(40), "eq": 1}), "32 points"),
        ] {
            let filter: Filter = serde_json::from_value(filter).unwrap();
            let error = condition(Some(&filter), &mut Texts::behind(0)).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
