//! Tests that marks count what is really gone.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::prelude::*;

use super::document;
use super::structure::run;
use crate::compress::{CompressError, KeptDocument, Method};
use crate::text::{MarkStyle, Noun, SegmentKind, segments};

/// A part of a text, of one of several kinds.
fn part(kind: usize, n: usize) -> String {
    let lines = |line: &dyn Fn(usize) -> String| (n..n + 4).map(line).collect::<String>();
    match kind {
        0 => {
            lines(&|i| format!("2024-03-0{} 10:00:0{} INFO gate {i} was opened by hand\n", i % 9 + 1, i % 10))
        }
        1 => format!("gate,state,keeper\n{}", lines(&|i| format!("{i},closed,keeper of the day {i}\n"))),
        2 => format!(
            "| gate | state |\n|---|---|\n{}",
            lines(&|i| format!("| north {i} | it is shut {i} |\n"))
        ),
        3 => format!(
            "Disk        Size Used On\n{}",
            lines(&|i| format!("/dev/d{:<6}9{i}G   {i}G /srv/{i}\n", i % 9))
        ),
        4 => format!(
            "<yard>\n<gate id=\"{n}\"/>\n<gate id=\"{}\">\n<open/>\n</gate>\n<lamp>{}</lamp>\n<gate id=\"9\"/>\n</yard>\n",
            n + 1,
            "It burns all night. ".repeat(14)
        ),
        5 => lines(&|i| {
            format!("{}: Shall we open gate {i}, or not?\n", if i % 2 == 0 { "Ann" } else { "Bo" })
        }),
        6 => format!(
            "## Gate {n}\n\nIt is open on Mondays. Nobody knows why it is so.\n\n- the first of {n}\n- the second\n"
        ),
        7 => lines(&|i| format!("> Gate {i} is not ours, said the keeper.\n")),
        8 => format!(
            "<p>Gate {n} <img src=\"data:image/png;base64,{}\" alt=\"map\"> is shut.</p>\n",
            "iVBORw0KGgoAAAANSUhEUg7".repeat(4)
        ),
        9 => {
            lines(&|i| format!("{{\"gate\": {i}, \"state\": \"closed for the season\", \"keeper\": null}}\n"))
        }
        10 => format!(
            "{{\n  \"gates\": [\n    {{\"no\": {n}, \"open\": true}},\n    {{\"no\": 9, \"open\": false}}\n  ],\n  \"yard\": \"north\"\n}}\n"
        ),
        11 => format!(
            "/yard/gate{n}.js\n{}",
            lines(&|i| format!("  {i}:7   error    Gate {i} is open    no-gate\n"))
        ),
        _ => format!("[gate{n}]\nwidth = {n}\nheight = 12\ncolour = red\n"),
    }
}

/// Returns whether each byte of `text` stands in the result, or is white space.
fn kept_bytes(text: &str, document: &KeptDocument) -> Vec<Option<bool>> {
    let mut kept: Vec<Option<bool>> =
        text.bytes().map(|byte| if byte.is_ascii_whitespace() { None } else { Some(false) }).collect();
    for byte in document.kept.iter().flat_map(Clone::clone) {
        kept[byte] = kept[byte].map(|_| true);
    }
    kept
}

/// The bytes around `at` of which none is kept.
fn gap(kept: &[Option<bool>], at: usize) -> Range<usize> {
    let start = kept[..at].iter().rposition(|kept| *kept == Some(true)).map_or(0, |last| last + 1);
    let end = kept[at..].iter().position(|kept| *kept == Some(true)).map_or(kept.len(), |first| at + first);
    start..end
}

/// The lines of `text` that are not blank and lie within `range` as a whole.
fn lines_within(text: &str, range: &Range<usize>) -> usize {
    let mut at = 0;
    let inside = |line: &&str| {
        let start = at + line.len() - line.trim_start().len();
        at += line.len();
        !line.trim().is_empty() && range.start <= start && start + line.trim().len() <= range.end
    };
    text.split_inclusive('\n').filter(inside).count()
}

fn check(text: &str, document: &KeptDocument) {
    let kept = kept_bytes(text, document);
    let all = segments(text);
    let within = |range: &Range<usize>, kinds: &[SegmentKind]| -> Vec<&str> {
        let core = |range: &Range<usize>| text[range.clone()].trim();
        let inside = all.iter().filter(|segment| {
            let own = core(&segment.range);
            let start = own.as_ptr() as usize - text.as_ptr() as usize;
            // What stands behind a blob goes on with the line that counts already.
            let begins = text[..start].trim_end_matches([' ', '\t']).ends_with('\n')
                || text[..start].trim().is_empty();
            begins && range.start <= start && start + own.len() <= range.end
        });
        inside.filter(|segment| kinds.contains(&segment.kind)).map(|segment| core(&segment.range)).collect()
    };
    let left = &document.text;
    let counted = |mark: &str| MarkStyle::default().find(mark).pop().map(|(_, mark)| mark);
    for (at, mark) in &document.marks {
        let Some(mark) = counted(mark) else {
            assert_eq!(mark, "[left out]");
            continue;
        };
        let gap = gap(&kept, *at);
        let gone = lines_within(text, &gap);
        match mark.noun {
            Noun::Lines => assert_eq!(mark.count, gone, "lines of {left}"),
            Noun::Rows => {
                let rows = within(&gap, &[SegmentKind::Row]);
                let lines: usize = rows.iter().map(|row| row.lines().count()).sum();
                assert_eq!((mark.count, lines), (rows.len(), gone), "rows of {left}");
            }
            Noun::Turns => {
                // A longer turn has its speaker and what is said.
                let turns = within(&gap, &[SegmentKind::Turn, SegmentKind::Speaker]);
                assert_eq!(mark.count, turns.len(), "turns of {left}");
                let lines: usize = turns.iter().map(|turn| lines_within(turn, &(0..turn.len()))).sum();
                assert!(lines <= gone, "turns of {left}");
            }
            Noun::Bytes | Noun::Records => {}
        }
    }
    // No line, row or turn goes without a mark where there is room for marks.
    let marked: Vec<Range<usize>> = document.marks.iter().map(|(at, _)| gap(&kept, *at)).collect();
    let kinds = [SegmentKind::Line, SegmentKind::Row, SegmentKind::Turn];
    for own in within(&(0..text.len()), &kinds) {
        let start = own.as_ptr() as usize - text.as_ptr() as usize;
        let gone = !kept[start..start + own.len()].contains(&Some(true));
        assert!(
            !gone || marked.is_empty() || marked.iter().any(|gap| gap.contains(&start)),
            "{own:?} has no mark: {left}"
        );
    }
    let mut sums = BTreeMap::new();
    for mark in document.marks.iter().filter_map(|(_, mark)| counted(mark)) {
        *sums.entry(mark.noun).or_insert(0) += mark.count;
    }
    let mut counts = document.left_out.clone();
    // JSON has no marks.
    counts.retain(|noun, _| *noun != Noun::Records && (*noun != Noun::Bytes || sums.contains_key(noun)));
    assert!(sums.is_empty() || counts == sums, "{counts:?} {sums:?}: {left}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn marks_count_what_is_gone(parts in prop::collection::vec((0..13_usize, 1..50_usize, prop::bool::ANY), 1..7)) {
        let part = |&(kind, n, gap): &(usize, usize, bool)| part(kind, n) + if gap { "\n" } else { "" };
        let text: String = parts.iter().map(part).collect();
        for (rate, method, question) in [
            (0.7, Method::LlmLingua, ""),
            (0.4, Method::LlmLingua, ""),
            (0.5, Method::Hybrid, "Which gate is open?"),
        ] {
            match run(&document(&text, question), rate, method) {
                Ok(compressed) => check(&text, &compressed.documents[0]),
                Err(CompressError::Infeasible { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
}

#[test]
fn a_mark_among_prose_counts_the_lines_of_both() {
    for kinds in [&[6, 7][..], &[6, 1, 6], &[8, 6, 4]] {
        let text: String = kinds.iter().enumerate().map(|(i, &kind)| part(kind, 3 + i) + "\n").collect();
        for rate in [0.7, 0.5, 0.3, 0.15] {
            if let Ok(compressed) = run(&document(&text, ""), rate, Method::LlmLingua) {
                check(&text, &compressed.documents[0]);
            }
        }
    }
}

#[test]
fn lists_of_json_count_their_elements() {
    for (text, gone) in [
        (
            r#"{"no":1,"gates":[{"name":"the north gate of the yard"},{"name":"the south gate of the yard"},{"name":"the gate at the river"}],"open":true}"#,
            3,
        ),
        (
            r#"{"no":1,"lamps":["red and green","blue and yellow","white and black and grey","none of them at all"],"on":true}"#,
            1,
        ),
        (
            r#"{"no":1,"yard":{"north":"the gate at the river","south":"the gate at the road","west":"no gate"},"on":true}"#,
            1,
        ),
    ] {
        let got = run(&document(text, ""), 0.45, Method::LlmLingua).unwrap();
        let left = &got.documents[0];
        assert!(!left.text.contains("gate at"), "{}", left.text);
        assert_eq!(left.left_out.get(&Noun::Records), Some(&gone), "{}", left.text);
    }
}
