//! Folds of JSON.

use std::ops::Range;

use super::Folded;
use crate::text::{JsonKind, JsonToken, json_tokens};

/// Keys of a folded array, and of folded lines. JSON that has one of them already gets no columns.
const COLUMNS: &str = "\"_columns\"";
const ROWS: &str = "\"_rows\"";
const LINES: &str = "\"_lines\"";
/// Fewest objects that become columns.
const LEAST_ROWS: usize = 2;
/// Deepest nesting that columns are looked for in; deeper JSON only loses its white space.
const DEEPEST: usize = 128;

/// A JSON value as ranges of its text.
enum Tree {
    /// A string, a number, `true`, `false`, `null`.
    Leaf(Range<usize>),
    Array(Vec<Tree>),
    /// Keys and values.
    Object(Vec<(Range<usize>, Tree)>),
}

/// The folded forms of `text`, where it is JSON or lines of JSON.
pub(super) fn forms(text: &str) -> Option<Vec<Folded>> {
    let documents = documents(text)?;
    let mut minified = Folded::default();
    for (i, tokens) in documents.iter().enumerate() {
        if i > 0 {
            minified.mark("\n");
        }
        for token in tokens {
            minified.slice(text, token.range.clone());
        }
    }
    if documents.iter().flatten().any(|token| is_mark(text, token)) {
        // Columns of the text's own, which must not be read as ours.
        let plain = unfold(&minified.text).is_some_and(|unfolded| unfolded == minified.text);
        return Some(plain.then_some(minified).into_iter().collect());
    }
    let mut forms = vec![minified];
    forms.extend(columns(text, &documents));
    Some(forms)
}

/// The tokens of the one JSON value, or of the value on each line.
fn documents(text: &str) -> Option<Vec<Vec<JsonToken>>> {
    if let Ok(tokens) = json_tokens(text) {
        return Some(vec![tokens]);
    }
    let mut at = 0;
    let mut documents = Vec::new();
    for line in text.split_inclusive('\n') {
        if !line.trim().is_empty() {
            let mut tokens = json_tokens(line).ok()?;
            for token in &mut tokens {
                token.range = at + token.range.start..at + token.range.end;
            }
            documents.push(tokens);
        }
        at += line.len();
    }
    (documents.len() > 1).then_some(documents)
}

/// `text` without white space, where it is JSON or lines of JSON.
pub(super) fn minified(text: &str) -> Option<String> {
    let documents = documents(text)?;
    let line = |tokens: &Vec<JsonToken>| tokens.iter().map(|token| &text[token.range.clone()]).collect();
    Some(documents.iter().map(line).collect::<Vec<String>>().join("\n"))
}

/// Returns whether the token is a key that marks folded arrays.
fn is_mark(text: &str, token: &JsonToken) -> bool {
    token.kind == JsonKind::Key && [COLUMNS, ROWS, LINES].contains(&&text[token.range.clone()])
}

/// Folds similar objects into columns.
fn columns(text: &str, documents: &[Vec<JsonToken>]) -> Option<Folded> {
    let trees: Vec<Tree> = documents.iter().map(|tokens| tree(tokens)).collect::<Option<_>>()?;
    let mut folded = Folded::default();
    if let [tree] = &trees[..] {
        write(text, tree, &mut folded);
    } else if let Some(keys) = like(text, &trees) {
        write_columns(text, &keys, LINES, &trees, &mut folded);
    } else {
        for (i, tree) in trees.iter().enumerate() {
            if i > 0 {
                folded.mark("\n");
            }
            write(text, tree, &mut folded);
        }
    }
    Some(folded)
}

/// The tree of a value's tokens, unless it is too deep.
fn tree(tokens: &[JsonToken]) -> Option<Tree> {
    let mut open: Vec<(Tree, Option<Range<usize>>)> = Vec::new();
    let mut key = None;
    for token in tokens {
        let done = match token.kind {
            JsonKind::ObjectStart | JsonKind::ArrayStart => {
                if open.len() == DEEPEST {
                    return None;
                }
                let empty = if token.kind == JsonKind::ArrayStart {
                    Tree::Array(Vec::new())
                } else {
                    Tree::Object(Vec::new())
                };
                open.push((empty, key.take()));
                continue;
            }
            JsonKind::Key => {
                key = Some(token.range.clone());
                continue;
            }
            JsonKind::Comma | JsonKind::Colon => continue,
            JsonKind::ObjectEnd | JsonKind::ArrayEnd => {
                let (tree, own_key) = open.pop()?;
                key = own_key;
                tree
            }
            JsonKind::String | JsonKind::Literal => Tree::Leaf(token.range.clone()),
        };
        match open.last_mut() {
            None => return Some(done),
            Some((Tree::Array(values), _)) => values.push(done),
            Some((Tree::Object(pairs), _)) => pairs.push((key.take()?, done)),
            Some((Tree::Leaf(_), _)) => return None,
        }
    }
    None
}

/// The keys that all `values` have, in one order, where they are objects with something in them.
fn like(text: &str, values: &[Tree]) -> Option<Vec<Range<usize>>> {
    let keys = |value: &Tree| match value {
        Tree::Object(pairs) if !pairs.is_empty() => {
            Some(pairs.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>())
        }
        _ => None,
    };
    let first = keys(values.first()?)?;
    let same = |value: &Tree| {
        keys(value).is_some_and(|own| {
            own.len() == first.len()
                && own.iter().zip(&first).all(|(a, b)| text[a.clone()] == text[b.clone()])
        })
    };
    (values.len() >= LEAST_ROWS && values.iter().all(same)).then_some(first)
}

fn write(text: &str, tree: &Tree, out: &mut Folded) {
    match tree {
        Tree::Leaf(range) => out.slice(text, range.clone()),
        Tree::Object(pairs) => {
            out.mark("{");
            for (i, (key, value)) in pairs.iter().enumerate() {
                out.mark(if i > 0 { "," } else { "" });
                out.slice(text, key.clone());
                out.mark(":");
                write(text, value, out);
            }
            out.mark("}");
        }
        Tree::Array(values) => match like(text, values) {
            Some(keys) => write_columns(text, &keys, ROWS, values, out),
            None => write_array(text, values.iter(), out),
        },
    }
}

fn write_array<'t>(text: &str, values: impl Iterator<Item = &'t Tree>, out: &mut Folded) {
    out.mark("[");
    for (i, value) in values.enumerate() {
        out.mark(if i > 0 { "," } else { "" });
        write(text, value, out);
    }
    out.mark("]");
}

fn write_columns(text: &str, keys: &[Range<usize>], rows: &str, objects: &[Tree], out: &mut Folded) {
    let heads: Vec<&str> = keys.iter().map(|key| &text[key.clone()]).collect();
    out.mark(&format!("{{{COLUMNS}:[{}],{rows}:[", heads.join(",")));
    for (i, object) in objects.iter().enumerate() {
        out.mark(if i > 0 { "," } else { "" });
        if let Tree::Object(pairs) = object {
            write_array(text, pairs.iter().map(|(_, value)| value), out);
        }
    }
    out.mark("]}");
}

/// `text` without columns and white space, where it is JSON or lines of JSON.
pub(super) fn unfold(text: &str) -> Option<String> {
    let documents = documents(text)?;
    let mut lines = Vec::new();
    for tokens in documents {
        let Some(tree) = tree(&tokens) else {
            lines.push(tokens.iter().map(|token| &text[token.range.clone()]).collect());
            continue;
        };
        if let Some((heads, rows)) = folded_rows(text, &tree, LINES) {
            lines.extend(rows.iter().map(|row| object(text, heads, row)));
        } else {
            lines.push(plain(text, &tree));
        }
    }
    Some(lines.join("\n"))
}

/// Heads and rows of a folded array.
fn folded_rows<'t>(text: &str, tree: &'t Tree, name: &str) -> Option<(&'t [Tree], &'t [Tree])> {
    let Tree::Object(pairs) = tree else { return None };
    let [(columns, Tree::Array(heads)), (rows_key, Tree::Array(rows))] = &pairs[..] else { return None };
    let leaf = |head: &Tree| matches!(head, Tree::Leaf(range) if text[range.clone()].starts_with('"'));
    let whole = |row: &Tree| matches!(row, Tree::Array(values) if values.len() == heads.len());
    let ours = text[columns.clone()] == *COLUMNS && text[rows_key.clone()] == *name;
    (ours && heads.iter().all(leaf) && rows.iter().all(whole)).then_some((heads, rows))
}

/// A row as the object that it was.
fn object(text: &str, heads: &[Tree], row: &Tree) -> String {
    let values = if let Tree::Array(values) = row { values.as_slice() } else { &[] };
    let pairs: Vec<String> = heads
        .iter()
        .zip(values)
        .map(|(head, value)| format!("{}:{}", plain(text, head), plain(text, value)))
        .collect();
    format!("{{{}}}", pairs.join(","))
}

fn plain(text: &str, tree: &Tree) -> String {
    if let Some((heads, rows)) = folded_rows(text, tree, ROWS) {
        let objects: Vec<String> = rows.iter().map(|row| object(text, heads, row)).collect();
        return format!("[{}]", objects.join(","));
    }
    match tree {
        Tree::Leaf(range) => text[range.clone()].to_owned(),
        Tree::Array(values) => {
            let values: Vec<String> = values.iter().map(|value| plain(text, value)).collect();
            format!("[{}]", values.join(","))
        }
        Tree::Object(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{}:{}", &text[key.clone()], plain(text, value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
    }
}
