//! Documents of YAML one behind the other, and what stands before a text: each between lines of `---`.

use std::sync::LazyLock;

use regex::Regex;

use super::builder::{Around, Builder};
use super::lines::Line;
use super::{SegmentKind, nested};

/// Most lines of the front matter of a text.
const LONGEST_MATTER: usize = 200;
/// Fewest lines of a document whose kind and name are kept with each of them.
const FEW: usize = 6;

static FIELD: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:[\w./-]+|"[^"]+"|'[^']+')\s*[:=](?:\s|$)"#).expect("a test compiles it")
});

/// Returns the number of lines of the front matter that a text begins with, its ends included: keys and what stands below
/// them. Keys behind its end would be those of another document.
pub(super) fn matter(lines: &[Line]) -> Option<usize> {
    let first =
        lines.first().filter(|first| first.range.start == 0 && matches!(first.text, "---" | "+++"))?;
    let near = lines.iter().take(LONGEST_MATTER).skip(1);
    let end =
        near.clone().position(|line| line.text == first.text || first.text == "---" && line.text == "...")?
            + 1;
    let is_field = |line: &Line| {
        line.indent > 0 || line.text.starts_with(['-', '#', '[', ']', '}']) || FIELD.is_match(line.text)
    };
    let behind = lines.get(end + 1).is_some_and(|line| FIELD.is_match(line.text));
    (end > 1 && !behind && lines[1..end].iter().all(is_field)).then_some(end + 1)
}

/// Adds the front matter of a text: its lines need its ends.
pub(super) fn add_matter(lines: &[Line], builder: &mut Builder, around: &Around) {
    let [first, inside @ .., last] = lines else { return };
    let open = builder.push(first.range.clone(), SegmentKind::Parent, around);
    let mut inner = around.clone();
    inner.needs.push(open);
    if first.text == "+++" {
        nested::settings(inside, builder, &inner);
    } else {
        nested::nested(inside, builder, &inner);
    }
    let close = builder.push(last.range.clone(), SegmentKind::Tag, around);
    builder.tie(open, close);
}

/// Returns whether a line ends one document and begins another.
fn parts(line: &Line) -> bool {
    line.text == "---" || line.text.starts_with("--- #")
}

/// Adds the lines of one or more documents: those of the second and the further ones need the line that parts them from
/// the one before, and where there are several, all need what their document is called.
pub(super) fn documents(lines: &[Line], builder: &mut Builder, around: &Around) {
    let starts: Vec<usize> = (0..lines.len()).filter(|&at| parts(&lines[at])).collect();
    if starts.is_empty() {
        return nested::nested(lines, builder, around);
    }
    let first = Some(0).filter(|_| starts[0] > 0);
    let starts: Vec<usize> = first.into_iter().chain(starts).collect();
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    for (start, end) in starts.iter().copied().zip(ends) {
        let (mut inner, mut document) = (around.clone(), &lines[start..end]);
        if parts(&lines[start]) {
            inner.needs.push(builder.push(lines[start].range.clone(), SegmentKind::Parent, around));
            document = &document[1..];
        }
        let base = builder.segments.len();
        nested::nested(document, builder, &inner);
        if starts.len() > 1 && document.len() >= FEW {
            name(document, base, builder);
        }
    }
}

/// Makes the lines of a document, of which the first is segment `base`, need its kind and its name.
fn name(lines: &[Line], base: usize, builder: &mut Builder) {
    let top = |key: &str| lines.iter().position(|line| line.indent == 0 && line.text.starts_with(key));
    let Some(kind) = top("kind:") else { return };
    let below = top("metadata:").and_then(|metadata| {
        let mut inside = lines.iter().enumerate().skip(metadata + 1).take_while(|(_, line)| line.indent > 0);
        let indent = lines.get(metadata + 1)?.indent;
        inside
            .find(|(_, line)| line.indent == indent && line.content().starts_with("name:"))
            .map(|(at, _)| at)
    });
    for needed in [Some(kind), below.or_else(|| top("name:"))].into_iter().flatten() {
        (0..lines.len()).for_each(|line| builder.need(base + line, base + needed));
    }
    // Lines that the name stands under would need each other through it.
    if let (Some(name), Some(metadata)) = (below, top("metadata:")) {
        builder.segments[base + metadata].needs.retain(|&need| need != base + name || metadata + 1 == name);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn front_matter_has_both_its_ends() {
        for (text, part) in [
            ("---\ntitle: Tides\ntags:\n  - sea\n---\n\nIt is low. It is late.\n", "title"),
            ("+++\ntitle = \"Tides\"\n[extra]\nsea = true\n+++\n# Tides\nIt is low.\n", "title"),
            ("---\ntitle: Tides\ndraft: true\n...\nThe tide was low. It is late.\n", "draft"),
        ] {
            let ends = [
                text.lines().next().unwrap(),
                text.lines().find(|line| *line == "..." || line.starts_with("+++")).unwrap_or("---"),
            ];
            assert_eq!(kept_with(text, part), ends, "{text}");
            assert_eq!(kept_with(text, ends[0]).last(), Some(&ends[1]));
            assert_eq!(cut(text).last().unwrap().0, SegmentKind::Sentence);
        }
    }

    #[test]
    fn lines_of_a_document_need_what_parts_it_from_the_one_before() {
        let plain = "a: 1\nb: 2\n---\na: 3\nb: 4\n---\nb: 5\n";
        assert!(kept_with(plain, "a: 1").is_empty());
        assert_eq!(kept_with(plain, "a: 3"), ["---"]);
        assert_eq!(kept_with(plain, "b: 5"), ["---"]);
        let kind = |name: &str, size: usize| {
            format!("kind: Boat\nmetadata:\n  name: {name}\n  yard: Lund\nspec:\n  size: {size}\n  crew: 2\n")
        };
        let boats = format!("{}---\n{}", kind("gull", 7), kind("tern", 9));
        assert_eq!(kept_with(&boats, "size: 9"), ["---", "kind: Boat", "metadata:", "name: tern", "spec:"]);
        assert_eq!(kept_with(&boats, "size: 7"), ["kind: Boat", "metadata:", "name: gull", "spec:"]);
        let fenced = format!("Apply this:\n\n```yaml\n{boats}```\n");
        assert!(kept_with(&fenced, "size: 9").contains(&"name: tern"));
    }
}
