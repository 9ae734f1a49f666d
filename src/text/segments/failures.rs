//! The output of pytest: sections below lines that name them, and failures with the lines of the test, what was wrong and
//! where.

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// Fewest marks on each side of the name of a section.
const FEW: usize = 3;
/// Most lines of the output.
const LONGEST: usize = 20_000;
/// Names of the sections that the output may begin with.
const FIRST: [&str; 5] =
    ["test session starts", "FAILURES", "ERRORS", "short test summary info", "warnings summary"];

/// The marks around the name of a section, the outermost first, with that name: `==== FAILURES ====`.
fn named<'t>(line: &Line<'t>) -> Option<(char, &'t str)> {
    let mark = line.text.chars().next().filter(|mark| matches!(mark, '=' | '_' | '-'))?;
    let name = line.text.trim_matches(mark);
    let marks = line.text.len() - line.text.trim_start_matches(mark).len();
    let inner = name.strip_prefix(' ')?.strip_suffix(' ')?;
    (marks >= FEW && line.text.ends_with(mark) && !inner.trim().is_empty()).then_some((mark, inner))
}

/// Returns whether the output of a run of tests begins with this line.
pub(super) fn begins(line: &Line) -> bool {
    line.text.starts_with("===") && named(line).is_some_and(|(_, name)| FIRST.contains(&name))
}

/// Returns the number of leading `lines` that are such output; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    if !begins(&lines[0]) {
        return 0;
    }
    let near = &lines[..lines.len().min(LONGEST)];
    let ends = |line: &Line| {
        named(line).is_some_and(|(mark, name)| {
            mark == '=' && name.contains(" in ") && name.starts_with(|c: char| c.is_ascii_digit() || c == 'n')
        })
    };
    near.iter().position(ends).map_or(near.len(), |last| last + 1)
}

/// The sections that are open: the outermost, a failure in it, and what was caught of its output.
#[derive(Default)]
struct Open {
    sections: Vec<(usize, usize)>,
    /// The line of the test that failed.
    failed: Option<usize>,
    /// The last line that says what was wrong.
    wrong: Option<usize>,
}

/// Adds such output: lines need the name of their section. What was wrong needs the line of the test that failed, and
/// where that stands needs both.
pub(super) fn failures(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut open = Open::default();
    for (at, line) in lines.iter().enumerate() {
        let number = builder.push_line(line, around);
        if let Some((mark, _)) = named(line) {
            let level = ['=', '_', '-'].iter().position(|own| *own == mark).unwrap_or_default();
            open.sections.retain(|&(other, _)| other < level);
            put_under(number, &open, builder);
            // The last line counts the tests.
            if at + 1 < lines.len() {
                builder.segments[number].kind = SegmentKind::Parent;
            }
            open = Open { sections: open.sections, ..Open::default() };
            open.sections.push((level, number));
            continue;
        }
        put_under(number, &open, builder);
        if line.text.starts_with('>') {
            (open.failed, open.wrong) = (Some(number), None);
        } else if line.text == "E" || line.text.starts_with("E  ") {
            if let Some(before) = open.wrong.or(open.failed) {
                builder.need(number, before);
            }
            // What failed says little without what was wrong.
            if let Some(failed) = open.failed.filter(|_| open.wrong.is_none()) {
                builder.need(failed, number);
            }
            open.wrong = open.wrong.or(Some(number));
        } else if let Some(failed) = open.failed.filter(|_| is_place(line.text)) {
            builder.tie(number, open.wrong.unwrap_or(failed));
            (open.failed, open.wrong) = (None, None);
        }
    }
}

fn put_under(number: usize, open: &Open, builder: &mut Builder) {
    if let Some(&(_, section)) = open.sections.last() {
        builder.put_under(number, section);
    }
}

/// Returns whether a line is the place of a failure: `tests/test_gate.py:41: AssertionError`.
fn is_place(line: &str) -> bool {
    let mut parts = line.splitn(3, ':');
    let (file, number) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    file.contains('.')
        && !file.contains(' ')
        && !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::tests::kept_with;

    #[test]
    fn what_was_wrong_is_kept_with_its_test_and_place() {
        let output = "Run it:\n\n===== test session starts =====\nplatform linux\ncollected 2 items\n\n===== FAILURES =====\n____ test_open ____\n\n    def test_open():\n        gate = Gate()\n>       assert gate.open() is False\nE       assert True is False\nE        +  where True = open()\n\ntest_gate.py:41: AssertionError\n____ test_shut ____\n\n    def test_shut():\n>       assert shut()\nE       assert None\n\ntest_gate.py:50: AssertionError\n----- Captured stdout call -----\nthe lamp is on\n===== 2 failed in 0.41s =====\n";
        let open = [
            "===== FAILURES =====",
            "____ test_open ____",
            ">       assert gate.open() is False",
            "E       assert True is False",
            "test_gate.py:41: AssertionError",
        ];
        assert_eq!(kept_with(output, "where True"), open);
        assert_eq!(kept_with(output, ":41"), open[..4]);
        let others = |part: &str| kept_with(output, part);
        assert_eq!(others("gate = Gate()"), open[..2]);
        assert_eq!(
            others("lamp is on"),
            ["===== FAILURES =====", "____ test_shut ____", "----- Captured stdout call -----"]
        );
        assert_eq!(others("platform"), ["===== test session starts ====="]);
        assert!(others("2 failed").is_empty());
    }
}
