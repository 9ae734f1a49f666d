//! JSON: records that are kept or dropped whole, inside the objects and arrays that hold them.
//!
//! Any choice of segments, with what they need, is JSON again once the commas that are left over go
//! ([`super::super::json_commas`]).

use std::collections::HashMap;
use std::ops::Range;

use super::builder::{Around, Builder};
use super::{SegmentKind, blob, inner};
use crate::text::{JsonKind, JsonToken, json_tokens, sentences};

/// Bytes of a value that is kept or dropped whole.
const SHORT: usize = 600;
/// Bytes of a string that goes by its sentences.
const LONG_STRING: usize = 200;
/// Bytes of a string that is whole in the smallest value, too.
const SHORT_STRING: usize = 60;
/// Bytes of an array of strings that is one value.
const LIST: usize = 200;
/// Bytes of a member that its object is never without, where the object is a record.
const CORE: usize = 160;
/// Bytes of such a member where there is no room for larger ones.
const SMALL_CORE: usize = 40;
/// A value that is smaller than one of so many equal parts of the whole goes whole.
const PARTS: usize = 8;
/// Fewest numbers of a vector, and fewest decimals of most of them.
const VECTOR: usize = 32;
const VECTOR_DECIMALS: usize = 5;
/// The beginning of a hunk of a diff.
const HUNK: &str = "@@ -";
/// Most bytes of a change that is kept or dropped whole.
const LONGEST_CHANGE: usize = 800;
/// Members of an object that is a map rather than a record.
const MAP: usize = 16;

/// The granularity at which JSON is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::text) struct Fineness {
    /// Bytes of a value that is kept or dropped whole.
    whole: usize,
    /// Bytes of a string that is kept or dropped whole.
    string: usize,
    /// Bytes of the members that records keep.
    core: usize,
    /// Set if records keep their strings, of any length.
    strings: bool,
}

impl Fineness {
    /// Records go whole.
    pub(super) const RECORDS: Self = Self { whole: SHORT, string: LONG_STRING, core: CORE, strings: true };
    /// Records keep their shortest members, such as ids.
    pub(super) const CORES: Self = Self { core: SMALL_CORE, strings: false, ..Self::MEMBERS };
    /// Members go one by one.
    pub(super) const MEMBERS: Self = Self { whole: 0, string: SHORT_STRING, core: 0, strings: false };

    /// The granularity of a value of `size` bytes: of a small one, too, there must be something to choose from.
    fn of(self, size: usize) -> Self {
        let most = size / PARTS;
        Self { whole: self.whole.min(most), string: self.string.min(most.max(SHORT_STRING)), ..self }
    }
}

/// The range of the JSON object or array that `text[start..end]` begins with, if a line ends behind it.
pub(super) fn value(text: &str, range: Range<usize>) -> Option<(Vec<JsonToken>, Range<usize>)> {
    let own = &text[range.clone()];
    let white = own.len() - own.trim_start().len();
    let end = balanced(&own.as_bytes()[white..])? + white;
    let rest = &own[end..];
    let line_ends = rest.trim_start_matches([' ', '\t', '\r']).is_empty()
        || rest.trim_start_matches([' ', '\t', '\r']).starts_with('\n');
    let tokens = json_tokens(&own[white..end]).ok().filter(|_| line_ends)?;
    let start = range.start + white;
    let moved = tokens
        .into_iter()
        .map(|token| JsonToken { range: start + token.range.start..start + token.range.end, ..token });
    Some((moved.collect(), start..range.start + end))
}

/// Bytes up to the bracket that closes the first one.
fn balanced(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut at) = (0_usize, false, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// A value: its tokens, and with an object's member those of its key.
#[derive(Clone, Copy)]
struct Node {
    /// First token: the key of a member, else the value.
    first: usize,
    /// First token of the value.
    value: usize,
    /// Token behind the value.
    end: usize,
}

/// Adds the segments of a JSON value, which together are `range`. Where each line is a value, a short one is whole.
pub(super) fn records(
    tokens: &[JsonToken],
    range: Range<usize>,
    is_line: bool,
    fineness: Fineness,
    builder: &mut Builder,
    around: &Around,
) {
    let fineness = if is_line { fineness } else { fineness.of(range.len()) };
    let headers = HashMap::new();
    let at = range.start;
    let mut cutter = Cutter { ends: ends(tokens), headers, tokens, fineness, is_line, at, builder, around };
    let whole = Node { first: 0, value: 0, end: tokens.len() };
    cutter.root(whole, range.end);
}

/// Returns, for each bracket, the index of the one that closes it.
fn ends(tokens: &[JsonToken]) -> Vec<usize> {
    let (mut ends, mut open) = (vec![0; tokens.len()], Vec::new());
    for (i, token) in tokens.iter().enumerate() {
        match token.kind {
            JsonKind::ObjectStart | JsonKind::ArrayStart => open.push(i),
            JsonKind::ObjectEnd | JsonKind::ArrayEnd => {
                if let Some(start) = open.pop() {
                    ends[start] = i;
                }
            }
            _ => {}
        }
    }
    ends
}

struct Cutter<'a, 'b, 't> {
    tokens: &'a [JsonToken],
    ends: Vec<usize>,
    /// The arrays of rows, by their openers' segments, whose first element names the columns: its segment, once it has
    /// one.
    headers: HashMap<usize, Option<usize>>,
    fineness: Fineness,
    is_line: bool,
    /// The position where the next segment begins.
    at: usize,
    builder: &'b mut Builder<'t>,
    around: &'a Around,
}

/// A step that is left to do; the steps form an explicit stack, so that nesting takes heap memory, not stack.
enum Step {
    Node { node: Node, parent: Option<usize>, core: bool },
    Close { token: usize, opener: usize },
}

impl Cutter<'_, '_, '_> {
    fn root(&mut self, node: Node, end: usize) {
        let mut steps = vec![Step::Node { node, parent: None, core: false }];
        while let Some(step) = steps.pop() {
            match step {
                Step::Node { node, parent, core } => self.node(node, parent, core, &mut steps),
                // A value that was cut off has no ends.
                Step::Close { token, .. } if self.tokens[token].range.is_empty() => {}
                Step::Close { token, opener } => {
                    let number = self.push(self.behind(token), SegmentKind::Tag);
                    self.builder.tie(opener, number);
                }
            }
        }
        if let Some(last) = self.builder.segments.last_mut() {
            last.range.end = end.max(last.range.end);
        }
    }

    /// Adds a segment up to `end`.
    fn push(&mut self, end: usize, kind: SegmentKind) -> usize {
        let number = self.builder.push(self.at..end, kind, self.around);
        self.at = end;
        number
    }

    /// The end of a token with the comma behind it.
    fn behind(&self, token: usize) -> usize {
        let next = self.tokens.get(token + 1).filter(|next| next.kind == JsonKind::Comma);
        next.unwrap_or(&self.tokens[token]).range.end
    }

    fn node(&mut self, node: Node, parent: Option<usize>, core: bool, steps: &mut Vec<Step>) {
        let first = &self.tokens[node.value];
        let container = matches!(first.kind, JsonKind::ObjectStart | JsonKind::ArrayStart);
        let children = if container { self.children(node) } else { Vec::new() };
        let vector = self.is_vector(node, &children);
        let opens = if parent.is_none() {
            !self.is_line || self.size(node) > self.fineness.whole
        } else {
            self.size(node) > self.fineness.whole && !vector && !self.is_list(node, &children)
        };
        let number = if opens && !children.is_empty() {
            self.open(node, &children, steps)
        } else if first.kind == JsonKind::String && first.range.len() > self.fineness.string {
            self.string(node)
        } else {
            self.push(self.behind(node.end - 1), SegmentKind::Record)
        };
        if vector {
            self.builder.segments[number].worth = blob::WORTH;
        }
        if let Some(parent) = parent {
            self.builder.put_under(number, parent);
            if core {
                self.builder.need(parent, number);
            }
            self.under_header(number, parent);
        }
    }

    /// Adds the opening of an object or array, and what is in it as further steps.
    fn open(&mut self, node: Node, children: &[Node], steps: &mut Vec<Step>) -> usize {
        let opener = self.push(self.tokens[node.value].range.end, SegmentKind::Record);
        steps.push(Step::Close { token: node.end - 1, opener });
        let record = self.is_record(node, children);
        if self.is_headed(node, children) {
            self.headers.insert(opener, None);
        }
        let child =
            |&node: &Node| Step::Node { node, parent: Some(opener), core: record && self.is_core(node) };
        steps.extend(children.iter().rev().map(child));
        opener
    }

    /// Makes a row of an array need the one that names the columns.
    fn under_header(&mut self, row: usize, array: usize) {
        let Some(header) = self.headers.get_mut(&array) else { return };
        let Some(header) = *header else {
            *header = Some(row);
            return;
        };
        self.builder.need(row, header);
        let names = self.builder.segments[header].range.clone();
        self.builder.segments[row].context.push(names);
    }

    /// Adds a string by its sentences: the quotes always, and as much of it as is chosen.
    fn string(&mut self, node: Node) -> usize {
        let string = self.tokens[node.value].range.clone();
        let (start, end) = (string.start + 1, string.end - 1);
        let inside = &self.builder.text[start..end];
        let inner = inner::parts(inside);
        let is_json = inner.is_some();
        let parts = inner.unwrap_or_else(|| parts(inside));
        if parts.len() < 2 {
            return self.push(self.behind(node.end - 1), SegmentKind::Record);
        }
        let opener = self.push(start, SegmentKind::Record);
        let last = parts.len() - 1;
        let (mut from, mut hunk) = (start, None);
        for (i, part) in parts.into_iter().enumerate() {
            let is_end = i == 0 || i == last;
            let kind = if is_json && !is_end { SegmentKind::Record } else { SegmentKind::Said };
            let begins_hunk = self.builder.text[from..start + part].starts_with(HUNK);
            from = start + part;
            let number = self.push(from, kind);
            self.builder.put_under(number, opener);
            if begins_hunk {
                hunk = Some(number);
            } else if let Some(hunk) = hunk {
                self.builder.need(number, hunk);
            }
            if is_json && is_end {
                self.builder.need(opener, number);
            }
        }
        let closer = self.push(self.behind(node.end - 1), SegmentKind::Tag);
        self.builder.tie(opener, closer);
        opener
    }

    /// Returns the bytes of a value, with its key.
    fn size(&self, node: Node) -> usize {
        self.tokens[node.end - 1].range.end - self.tokens[node.first].range.start
    }

    fn kind(&self, node: Node) -> JsonKind {
        self.tokens[node.value].kind
    }

    /// Returns whether it is an array of numbers or short strings, or a matrix, of which a part would be another value.
    fn is_list(&self, node: Node, children: &[Node]) -> bool {
        let scalar = |&child: &Node| matches!(self.kind(child), JsonKind::String | JsonKind::Literal);
        let string = |&child: &Node| self.kind(child) == JsonKind::String;
        let most = if children.iter().any(string) { LIST } else { SHORT };
        self.kind(node) == JsonKind::ArrayStart
            && self.size(node) <= most
            && (children.iter().all(scalar) || self.is_matrix(children))
    }

    /// Returns whether it is a vector that a model has made of a text: many numbers with many decimals, a part of which
    /// would be another value, and which nobody reads.
    fn is_vector(&self, node: Node, children: &[Node]) -> bool {
        let number = |child: &Node| {
            let own = &self.builder.text[self.tokens[child.value].range.clone()];
            self.kind(*child) == JsonKind::Literal
                && own.split_once('.').is_some_and(|(_, decimals)| decimals.len() >= VECTOR_DECIMALS)
        };
        self.kind(node) == JsonKind::ArrayStart
            && children.len() >= VECTOR
            && children.iter().filter(|child| number(child)).count() * 10 >= children.len() * 8
    }

    /// Returns whether these are the rows of a matrix: arrays of as many numbers.
    fn is_matrix(&self, rows: &[Node]) -> bool {
        let length = |&row: &Node| {
            let cells = if self.kind(row) == JsonKind::ArrayStart { self.children(row) } else { Vec::new() };
            let numbers = cells.iter().all(|&cell| self.kind(cell) == JsonKind::Literal);
            Some(cells.len()).filter(|&cells| cells > 0 && numbers)
        };
        let first = rows.first().and_then(length);
        rows.len() > 1 && first.is_some() && rows.iter().all(|row| length(row) == first)
    }

    /// Returns whether it is an array of rows under the names of their columns: an array of strings, and at least two
    /// arrays as long that hold other values, too.
    fn is_headed(&self, node: Node, rows: &[Node]) -> bool {
        let is_array = |&row: &Node| self.kind(row) == JsonKind::ArrayStart;
        if self.kind(node) != JsonKind::ArrayStart || rows.len() < 3 || !rows.iter().all(is_array) {
            return false;
        }
        let string = |&cell: &Node| self.kind(cell) == JsonKind::String;
        let names = self.children(rows[0]);
        names.len() > 1
            && names.iter().all(string)
            && rows[1..].iter().all(|&row| {
                let cells = self.children(row);
                cells.len() == names.len() && !cells.iter().all(string)
            })
    }

    /// The elements or members of an object or array.
    fn children(&self, node: Node) -> Vec<Node> {
        let mut children = Vec::new();
        let mut at = node.value + 1;
        while at + 1 < node.end {
            let value = if self.tokens[at].kind == JsonKind::Key { at + 2 } else { at };
            let end = self.ends[value].max(value) + 1;
            children.push(Node { first: at, value, end });
            // The comma.
            at = end + 1;
        }
        children
    }

    /// Returns whether it is an object whose short members identify it: not a map, whose members are records.
    fn is_record(&self, node: Node, children: &[Node]) -> bool {
        let is_object = |&node: &Node| self.kind(node) == JsonKind::ObjectStart;
        let is_map = children.len() > MAP || children.len() > 1 && children.iter().all(is_object);
        is_object(&node) && !is_map
    }

    fn is_core(&self, node: Node) -> bool {
        self.size(node) <= self.fineness.core || self.fineness.strings && self.kind(node) == JsonKind::String
    }
}

/// Ends of the sentences in the spelling of a string, none of which cuts an escape.
fn parts(inside: &str) -> Vec<usize> {
    // Sentences of the spelling: an escaped line break ends one as well.
    let mut ends: Vec<usize> = Vec::new();
    for sentence in sentences(inside) {
        let mut from = sentence.start;
        while let Some(found) = inside[from..sentence.end].find("\\n") {
            from += found + 2;
            let backslashes = inside[..from - 1].bytes().rev().take_while(|&byte| byte == b'\\').count();
            if backslashes % 2 == 1 {
                ends.push(from);
            }
        }
        ends.push(sentence.end);
    }
    let whole = |&end: &usize| !in_escape(inside, end);
    ends.retain(whole);
    ends.dedup();
    if ends.last() != Some(&inside.len()) {
        ends.push(inside.len());
    }
    if inside.contains(HUNK) {
        join_changes(inside, &mut ends);
    }
    ends
}

/// Joins the lines of each change of a diff, its `-` and its `+`.
fn join_changes(inside: &str, ends: &mut Vec<usize>) {
    let changes = |at: usize| inside[at..].starts_with(['-', '+']) && inside[..at].ends_with("\\n");
    let (mut from, mut first) = (0, 0);
    ends.retain(|&end| {
        let joins = changes(from) && changes(end) && end - first < LONGEST_CHANGE;
        from = end;
        if !joins {
            first = end;
        }
        !joins
    });
}

/// Returns whether a cut at `at` splits an escape sequence, or the two halves of a surrogate pair.
fn in_escape(inside: &str, at: usize) -> bool {
    let from = inside.floor_char_boundary(at.saturating_sub(12));
    (from..at).filter(|&start| inside.as_bytes()[start] == b'\\').any(|start| {
        let before = inside[..start].bytes().rev().take_while(|&byte| byte == b'\\').count();
        let length = if inside[start..].starts_with("\\u") { 6 } else { 2 };
        let pair = inside.get(start..start + 3).is_some_and(|head| matches!(head, "\\ud" | "\\uD"));
        before % 2 == 0
            && (at < start + length || pair && at < start + 12 && at >= start + 6 && at == start + 6)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};

    #[test]
    fn changes_in_a_string_keep_their_hunk() {
        let patch = r"@@ -10,3 +10,4 @@ int open(void)\n {\n-    return turn(side);\n+    if (side < 0)\n+        return turn(0);\n }\n@@ -40,3 +41,3 @@ int lamps(void)\n {\n     int n = 0;\n-    n = count();\n }\n";
        let json = format!(r#"{{"path": "gate.c", "patch": "{patch}", "status": "modified"}}"#);
        let change = r"-    return turn(side);\n+    if (side < 0)\n+        return turn(0);\n";
        assert!(cut(&json).iter().any(|(_, own)| *own == change), "{:?}", cut(&json));
        assert!(kept_with(&json, "side < 0").contains(&r"@@ -10,3 +10,4 @@ int open(void)\n"));
        assert!(kept_with(&json, "count()").contains(&r"@@ -40,3 +41,3 @@ int lamps(void)\n"));
    }
}
