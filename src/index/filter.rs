//! Conditions on the metadata of documents.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Metadata;

/// Conditions within conditions at most.
const DEPTH: usize = 16;
/// Conditions at most.
const CONDITIONS: usize = 1000;

/// A condition on metadata. A field inside an object is named by its path, `author.name`; a field that a document
/// does not have meets no condition but `{"exists": false}` and what `not` makes of one. A field that holds a list
/// meets `eq` and `in` where one of its values does. Numbers are compared as they are written in decimals, so that `1` and
/// `1.0` are the same.
///
/// As JSON: `{"field": "year", "gte": 1990, "lt": 2000}` with `eq`, `in`, `gt`, `gte`, `lt`, `lte`, `exists`, all of
/// which must hold; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`.
///
/// ```
/// use whittle::retrieve::Filter;
///
/// let filter: Filter = serde_json::from_str(r#"{"field": "year", "gte": 1990}"#)?;
/// let metadata = |json| serde_json::from_str(json);
/// assert!(filter.matches(&metadata(r#"{"year": 1999}"#)?));
/// assert!(!filter.matches(&metadata(r#"{"title": "x"}"#)?));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Filter(pub(super) Condition);

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Field(String, Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Equal(Value),
    In(Vec<Value>),
    Compare(Comparison, Value),
    Exists(bool),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    const ALL: [(&'static str, Self); 4] = [
        ("gt", Self::Greater),
        ("gte", Self::GreaterOrEqual),
        ("lt", Self::Less),
        ("lte", Self::LessOrEqual),
    ];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
        }
    }
}

impl Filter {
    /// Returns whether a document with this metadata meets the condition.
    #[must_use]
    pub fn matches(&self, metadata: &Metadata) -> bool {
        self.0.matches(metadata)
    }

    /// The fields that the condition looks at.
    #[must_use]
    pub fn fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.0.collect_fields(&mut fields);
        fields
    }

    /// The fields on which a document meets the condition by not having them: under `not`, or by `{"exists": false}`.
    #[must_use]
    pub fn absent_fields(&self) -> BTreeSet<&str> {
        let mut fields = BTreeSet::new();
        self.0.collect_absent(false, &mut fields);
        fields
    }

    /// Returns whether the metadata has the field.
    #[must_use]
    pub fn has(metadata: &Metadata, field: &str) -> bool {
        lookup(metadata, field).is_some()
    }
}

impl Condition {
    fn matches(&self, metadata: &Metadata) -> bool {
        match self {
            Self::And(all) => all.iter().all(|condition| condition.matches(metadata)),
            Self::Or(any) => any.iter().any(|condition| condition.matches(metadata)),
            Self::Not(condition) => !condition.matches(metadata),
            Self::Field(field, tests) => {
                let value = lookup(metadata, field);
                tests.iter().all(|test| test.holds(value))
            }
        }
    }

    fn collect_fields<'a>(&'a self, fields: &mut BTreeSet<&'a str>) {
        match self {
            Self::And(all) | Self::Or(all) => {
                for condition in all {
                    condition.collect_fields(fields);
                }
            }
            Self::Not(condition) => condition.collect_fields(fields),
            Self::Field(field, _) => {
                fields.insert(field);
            }
        }
    }

    fn collect_absent<'a>(&'a self, negated: bool, fields: &mut BTreeSet<&'a str>) {
        match self {
            Self::And(all) | Self::Or(all) => {
                for condition in all {
                    condition.collect_absent(negated, fields);
                }
            }
            Self::Not(condition) => condition.collect_absent(!negated, fields),
            Self::Field(field, tests) => {
                if tests.iter().all(|test| test.holds(None)) != negated {
                    fields.insert(field);
                }
            }
        }
    }
}

impl Test {
    fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else { return *self == Self::Exists(false) };
        match self {
            Self::Exists(exists) => *exists,
            Self::Equal(wanted) => any(value, |value| equal(value, wanted)),
            Self::In(wanted) => any(value, |value| wanted.iter().any(|wanted| equal(value, wanted))),
            Self::Compare(comparison, bound) => {
                compare(value, bound).is_some_and(|order| comparison.holds(order))
            }
        }
    }
}

fn any(value: &Value, test: impl Fn(&Value) -> bool) -> bool {
    test(value) || value.as_array().is_some_and(|values| values.iter().any(test))
}

/// Compares values; `1` and `1.0` are the same number, within lists and objects too.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, value)| b.get(key).is_some_and(|other| equal(value, other));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

/// Numbers by size, texts by their characters (which orders ISO dates, too); other kinds have no order.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => compare_numbers(a, b),
        _ => None,
    }
}

/// The order of two numbers as they are written in decimals, which is that of a database, too.
fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    let whole = |number: &Number| number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (Some(a), None) => compare_mixed(a, b.as_f64()?),
        (None, Some(b)) => compare_mixed(b, a.as_f64()?).map(Ordering::reverse),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// The order of a whole number and one with a point.
fn compare_mixed(whole: i128, point: f64) -> Option<Ordering> {
    // Up to here each whole number is one with a point, too; past it a number's shortest decimal counts, which ends in
    // zeros; and past 20 digits no whole number is as large.
    if point.abs() < 9_007_199_254_740_992.0 && whole.unsigned_abs() <= 1 << 53 {
        return (whole as f64).partial_cmp(&point);
    }
    if point.abs() < 1e20 {
        let floor = format!("{:.0}", point.floor());
        let decimal = if point.abs() < 9_007_199_254_740_992.0 { floor } else { point.to_string() };
        let order = whole.cmp(&decimal.parse().ok()?);
        return Some(if order.is_eq() && point.fract() != 0.0 { Ordering::Less } else { order });
    }
    Some(if point > 0.0 { Ordering::Less } else { Ordering::Greater })
}

/// A field of that very name, else a path into objects.
fn lookup<'a>(metadata: &'a Metadata, field: &str) -> Option<&'a Value> {
    if let Some(value) = metadata.get(field) {
        return Some(value);
    }
    let (first, rest) = field.split_once('.')?;
    lookup(metadata.get(first)?.as_object()?, rest)
}

impl TryFrom<Value> for Filter {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let mut left = CONDITIONS;
        Ok(Self(parse(value, DEPTH, &mut left)?))
    }
}

fn parse(value: Value, depth: usize, left: &mut usize) -> Result<Condition, String> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(format!("the filter has more than {DEPTH} conditions within each other"));
    };
    *left = left.checked_sub(1).ok_or_else(|| format!("the filter has more than {CONDITIONS} conditions"))?;
    let Value::Object(mut object) = value else {
        return Err("a filter is an object, such as {\"field\": \"year\", \"gte\": 1990}".into());
    };
    if object.contains_key("field") {
        return parse_field(object);
    }
    let mut list = |value: Value| match value {
        Value::Array(values) => values.into_iter().map(|value| parse(value, deeper, left)).collect(),
        _ => Err("`and` and `or` take a list of filters".to_owned()),
    };
    let condition = if let Some(value) = object.remove("and") {
        Condition::And(list(value)?)
    } else if let Some(value) = object.remove("or") {
        Condition::Or(list(value)?)
    } else if let Some(value) = object.remove("not") {
        Condition::Not(Box::new(parse(value, deeper, left)?))
    } else {
        return Err("a filter has `field`, `and`, `or` or `not`".into());
    };
    nothing_left(&object)?;
    Ok(condition)
}

fn parse_field(mut object: Metadata) -> Result<Condition, String> {
    let Some(Value::String(field)) = object.remove("field") else {
        return Err("`field` is the name of a field, a text".into());
    };
    let mut tests = Vec::new();
    if let Some(value) = object.remove("eq") {
        tests.push(Test::Equal(value));
    }
    match object.remove("in") {
        Some(Value::Array(values)) => tests.push(Test::In(values)),
        Some(_) => return Err("`in` takes a list of values".into()),
        None => {}
    }
    match object.remove("exists") {
        Some(Value::Bool(exists)) => tests.push(Test::Exists(exists)),
        Some(_) => return Err("`exists` is true or false".into()),
        None => {}
    }
    for (name, comparison) in Comparison::ALL {
        match object.remove(name) {
            Some(bound @ (Value::Number(_) | Value::String(_))) => {
                tests.push(Test::Compare(comparison, bound));
            }
            Some(_) => return Err(format!("`{name}` takes a number or a text")),
            None => {}
        }
    }
    nothing_left(&object)?;
    if tests.is_empty() {
        return Err(format!(
            "say what must hold for `{field}`: `eq`, `in`, `gt`, `gte`, `lt`, `lte` or `exists`"
        ));
    }
    Ok(Condition::Field(field, tests))
}

fn nothing_left(object: &Metadata) -> Result<(), String> {
    match object.keys().next() {
        Some(key) => Err(format!("unknown part of a filter `{key}`")),
        None => Ok(()),
    }
}

impl From<Filter> for Value {
    fn from(filter: Filter) -> Self {
        (&filter.0).into()
    }
}

impl From<&Condition> for Value {
    fn from(condition: &Condition) -> Self {
        let list = |conditions: &[Condition]| Self::Array(conditions.iter().map(Into::into).collect());
        match condition {
            Condition::And(all) => serde_json::json!({ "and": list(all) }),
            Condition::Or(any) => serde_json::json!({ "or": list(any) }),
            Condition::Not(condition) => serde_json::json!({ "not": Self::from(condition.as_ref()) }),
            Condition::Field(field, tests) => {
                let mut object = Metadata::new();
                object.insert("field".into(), field.as_str().into());
                for test in tests {
                    let (name, value) = match test {
                        Test::Equal(value) => ("eq", value.clone()),
                        Test::In(values) => ("in", Self::Array(values.clone())),
                        Test::Exists(exists) => ("exists", Self::Bool(*exists)),
                        Test::Compare(comparison, bound) => {
                            let name = Comparison::ALL.iter().find(|(_, other)| other == comparison);
                            (name.map_or("", |(name, _)| name), bound.clone())
                        }
                    };
                    object.insert(name.to_owned(), value);
                }
                Self::Object(object)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(filter: Value, metadata: &Value) -> bool {
        let filter: Filter = serde_json::from_value(filter).unwrap();
        let again: Filter = serde_json::from_value(serde_json::to_value(&filter).unwrap()).unwrap();
        assert_eq!(again, filter, "a filter is written as it is read");
        filter.matches(metadata.as_object().unwrap())
    }

    #[test]
    fn conditions_hold_as_they_are_written() {
        let metadata = json!({"year": 1995, "lang": "en", "tags": ["a", "b"], "author": {"name": "X"},
            "a.b": 1, "when": "2024-05-01", "none": null, "score": 0.5});
        for filter in [
            json!({"field": "year", "eq": 1995.0}),
            json!({"field": "year", "gte": 1995, "lt": 1996}),
            json!({"field": "year", "gt": 1994.5, "lte": 1995}),
            json!({"field": "lang", "in": ["de", "en"]}),
            json!({"field": "tags", "eq": "b"}),
            json!({"field": "tags", "eq": ["a", "b"]}),
            json!({"field": "author.name", "eq": "X"}),
            json!({"field": "a.b", "eq": 1}),
            json!({"field": "when", "gte": "2024-01-01"}),
            json!({"field": "none", "exists": true}),
            json!({"field": "no", "exists": false}),
            json!({"not": {"field": "no", "eq": 1}}),
            json!({"and": [{"field": "year", "exists": true}, {"or": [{"field": "lang", "eq": "de"},
                {"field": "score", "lt": 1}]}]}),
            json!({"and": []}),
        ] {
            assert!(matches(filter.clone(), &metadata), "{filter}");
            assert!(!matches(json!({ "not": filter }), &metadata));
        }
        for filter in [
            json!({"field": "year", "gt": 1995}),
            json!({"field": "year", "gt": "1994"}),
            json!({"field": "no", "eq": null}),
            json!({"field": "no", "lt": 5}),
            json!({"field": "lang", "in": []}),
            json!({"or": []}),
        ] {
            assert!(!matches(filter.clone(), &metadata), "{filter}");
        }
    }

    #[test]
    fn numbers_are_compared_as_they_are_written() {
        for (smaller, larger) in [
            ("1", "1.5"),
            ("-0.5", "0"),
            ("9007199254740992.0", "9007199254740993"),
            ("9223372036854775807", "9.223372036854776e18"),
            ("9223372036854775808", "9.223372036854776e18"),
            ("9.223372036854776e18", "9223372036854776001"),
            ("18446744073709551615", "1e20"),
            ("-1e300", "-9223372036854775808"),
            ("4503599627370495.5", "9007199254740993"),
            ("-9007199254740993", "-4503599627370495.5"),
        ] {
            let (a, b) = (serde_json::from_str(smaller).unwrap(), serde_json::from_str(larger).unwrap());
            assert_eq!(compare(&a, &b), Some(Ordering::Less), "{smaller} {larger}");
            assert_eq!(compare(&b, &a), Some(Ordering::Greater), "{smaller} {larger}");
        }
        for (a, b) in [
            (json!([1, {"a": 2.0}]), json!([1.0, {"a": 2}])),
            (json!(0), json!(-0.0)),
            (json!(9_223_372_036_854_776_000_u64), json!(9.223_372_036_854_776e18)),
        ] {
            assert!(equal(&a, &b) && equal(&b, &a), "{a} {b}");
        }
        assert!(!equal(&json!([1]), &json!([1, 1])) && !equal(&json!({"a": 1}), &json!({"b": 1})));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_would_be() {
        let deep = (0..DEPTH).fold(json!({"field": "a", "eq": 1}), |inner, _| json!({ "not": inner }));
        let long = json!({"or": vec![json!({"field": "a", "eq": 1}); CONDITIONS]});
        for (filter, expected) in [
            (json!(3), "an object"),
            (json!({}), "`field`, `and`, `or` or `not`"),
            (json!({"field": "a"}), "`eq`, `in`"),
            (json!({"field": 1, "eq": 1}), "a text"),
            (json!({"field": "a", "in": 1}), "a list"),
            (json!({"field": "a", "exists": 1}), "true or false"),
            (json!({"field": "a", "gt": [1]}), "a number or a text"),
            (json!({"field": "a", "equals": 1}), "`equals`"),
            (json!({"and": {}}), "a list"),
            (json!({"and": [], "or": []}), "`or`"),
            (deep, "within each other"),
            (long, "more than 1000"),
        ] {
            let error = serde_json::from_value::<Filter>(filter).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn fields_are_known() {
        let filter = json!({"and": [{"field": "b", "eq": 1}, {"not": {"field": "a.c", "exists": true}}]});
        let filter: Filter = serde_json::from_value(filter).unwrap();
        assert_eq!(filter.fields().into_iter().collect::<Vec<_>>(), ["a.c", "b"]);
        assert_eq!(filter.absent_fields().into_iter().collect::<Vec<_>>(), ["a.c"]);
        let filter = json!({"or": [{"field": "a", "exists": false}, {"field": "b", "exists": true},
            {"not": {"and": [{"field": "c", "exists": false}, {"field": "d", "lt": 1},
                {"not": {"field": "e", "eq": 1}}]}}]});
        let filter: Filter = serde_json::from_value(filter).unwrap();
        assert_eq!(filter.absent_fields().into_iter().collect::<Vec<_>>(), ["a", "d"]);
    }
}
