//! Stack traces: frames with the exception that they lead to.

use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;

/// The worth of a line that names an exception.
const NAMES: f32 = 2.0;

static FRAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:at (?:async )?[\w.$<>~/\[\]-]+(?:\.\.)? ?\(|at .*(?:\)|:\d+)$|File "[^"]*", line \d|\.\.\. \d+ more$|from \S+:\d+:in )"#)
        .expect("a test compiles it")
});

fn is_frame(line: &Line) -> bool {
    FRAME.is_match(line.content())
}

/// Returns whether the frames come first and the exception behind them, as in Python.
fn comes_last(line: &Line) -> bool {
    line.content().starts_with("Traceback (most recent call last)")
}

/// Returns whether a line names an exception that caused the one above.
fn is_cause(line: &Line) -> bool {
    ["Caused by: ", "Suppressed: "].iter().any(|start| line.content().starts_with(start))
}

/// Returns the number of leading `lines` that are a trace; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let [first, second, ..] = lines else { return 0 };
    if first.gap || second.indent <= first.indent || is_frame(first) {
        return 0;
    }
    let inner = |line: &&Line| line.indent > first.indent;
    if comes_last(first) {
        let frames = lines[1..].iter().take_while(inner).count();
        let exception =
            lines.get(1 + frames).filter(|line| line.indent == first.indent && !lines[frames].gap);
        return 1 + frames + usize::from(exception.is_some());
    }
    if !is_frame(second) {
        return 0;
    }
    1 + lines[1..].iter().take_while(|line| inner(line) || is_cause(line)).count()
}

/// Adds a trace: each frame needs the line that names its exception. Returns the numbers of those lines.
pub(super) fn trace(lines: &[Line], builder: &mut Builder, around: &Around) -> Vec<usize> {
    let numbers: Vec<usize> = lines.iter().map(|line| builder.push_line(line, around)).collect();
    let Some(&first) = numbers.first() else { return numbers };
    let mut exceptions = Vec::new();
    if comes_last(&lines[0]) {
        let last = numbers.last().zip(lines.last()).filter(|(_, line)| line.indent == lines[0].indent);
        exceptions.extend(last.map(|(&number, _)| number).filter(|&number| number > first));
        builder.segments[first].kind = SegmentKind::Parent;
        let mut frame = first;
        for (line, &number) in lines.iter().zip(&numbers).skip(1) {
            if is_frame(line) {
                frame = number;
            }
            if exceptions.contains(&number) {
                continue;
            }
            builder.put_under(number, if frame == number { first } else { frame });
            for &exception in &exceptions {
                builder.need(number, exception);
            }
        }
    } else {
        let mut exception = first;
        for (line, &number) in lines.iter().zip(&numbers) {
            if number == first || is_cause(line) {
                exception = number;
                exceptions.push(number);
            } else {
                builder.put_under(number, exception);
            }
        }
    }
    for &exception in &exceptions {
        builder.segments[exception].worth = NAMES;
    }
    exceptions
}
