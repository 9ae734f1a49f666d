//! `{column}` in a text is replaced by a row's value.

use anyhow::{Context, bail};
use serde_json::{Map, Value};

/// Columns of a row.
pub(super) type Row = Map<String, Value>;

/// `template` with every `{column}` replaced: strings as they are, lists one item a line, objects one
/// `key) value` a line, as options of a multiple choice are written.
pub(super) fn fill(template: &str, row: &Row) -> anyhow::Result<String> {
    let (mut out, mut rest) = (String::new(), template);
    while let Some((before, after)) = rest.split_once('{') {
        let (column, behind) =
            after.split_once('}').with_context(|| format!("`{template}` has a `{{` without a `}}`"))?;
        let value = row.get(column).with_context(|| format!("the row has no column `{column}`"))?;
        out.push_str(before);
        out.push_str(&shown(value)?);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

fn shown(value: &Value) -> anyhow::Result<String> {
    let lines = |parts: Vec<anyhow::Result<String>>| {
        parts.into_iter().collect::<anyhow::Result<Vec<_>>>().map(|parts| parts.join("\n"))
    };
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Array(items) => lines(items.iter().map(shown).collect()),
        Value::Object(items) => {
            lines(items.iter().map(|(key, value)| Ok(format!("{key}) {}", shown(value)?))).collect())
        }
        Value::Null => bail!("a column that is needed is null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_in_and_mistakes_are_named() {
        let row: Row =
            serde_json::from_str(r#"{"a":"x","n":3,"o":{"A":"one","B":"two"},"l":["p","q"],"z":null}"#)
                .unwrap();
        assert_eq!(fill("[{a}] {n}\n{o}\n{l}", &row).unwrap(), "[x] 3\nA) one\nB) two\np\nq");
        for (template, said) in [("{b}", "no column `b`"), ("{a", "without a `}`"), ("{z}", "null")] {
            assert!(fill(template, &row).unwrap_err().to_string().contains(said), "{template}");
        }
    }
}
