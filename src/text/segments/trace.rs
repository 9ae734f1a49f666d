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
    ["Caused by: ", "Suppressed: ", "---> "].iter().any(|start| line.content().starts_with(start))
}

/// Returns whether a line says how two traces belong together, as in Python.
fn links(line: &Line) -> bool {
    ["During handling of the above exception", "The above exception was the direct cause"]
        .iter()
        .any(|start| line.content().starts_with(start))
}

/// Returns the number of leading `lines` that are a trace; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let [first, second, ..] = lines else { return 0 };
    let panic = panic(lines);
    if panic > 0 {
        return panic;
    }
    if first.gap || second.indent <= first.indent || is_frame(first) {
        return 0;
    }
    let inner = |line: &&Line| line.indent > first.indent;
    if comes_last(first) {
        let frames = lines[1..].iter().take_while(inner).count();
        let exception =
            lines.get(1 + frames).filter(|line| line.indent == first.indent && !lines[frames].gap);
        let end = 1 + frames + usize::from(exception.is_some());
        let next = lines.get(end + 1).filter(|next| comes_last(next) && links(&lines[end]));
        return next.map_or(end, |_| end + 1 + length(&lines[end + 1..]));
    }
    let is_trace = is_frame(second) || is_cause(second) && lines.iter().skip(2).take(2).any(is_frame);
    if !is_trace {
        return 0;
    }
    1 + lines[1..].iter().take_while(|line| inner(line) || is_cause(line)).count()
}

/// Returns the number of leading `lines` that are a panic of Rust or the stack of a goroutine; 0 where the first begins
/// none.
fn panic(lines: &[Line]) -> usize {
    let first = lines[0].content();
    let is_location = |line: &Line| line.text.starts_with('\t') && line.text.contains(':');
    if first.starts_with("goroutine ") && first.ends_with("]:") {
        let calls = |pair: &[Line]| pair.len() == 2 && is_location(&pair[1]);
        return 1 + 2 * lines[1..].chunks(2).take_while(|pair| calls(pair)).count();
    }
    if !first.starts_with("thread '") || !first.contains("' panicked at ") {
        return 0;
    }
    let ends = |line: &Line| line.content().starts_with("note: ") || line.content() == STACK;
    let near = lines.len().min(LONGEST_MESSAGE);
    let message = (1..near).find(|&at| lines[at - 1].gap || ends(&lines[at])).unwrap_or(1);
    match lines.get(message).filter(|line| line.content() == STACK && !lines[message - 1].gap) {
        Some(stack) => {
            message + 1 + lines[message + 1..].iter().take_while(|line| line.indent > stack.indent).count()
        }
        None => message,
    }
}

/// The line above the frames of a panic.
const STACK: &str = "stack backtrace:";
/// Most lines of a panic before its frames.
const LONGEST_MESSAGE: usize = 12;

/// Adds a panic: its message is one with its first line, and each frame needs that and the line that names it.
fn add_panic(lines: &[Line], numbers: &[usize], builder: &mut Builder) -> Vec<usize> {
    let first = numbers[0];
    let frames = lines.iter().position(|line| line.content() == STACK).unwrap_or(lines.len());
    let is_stack = lines[0].content().starts_with("goroutine ");
    let mut frame = first;
    for (at, line) in lines.iter().enumerate().skip(1) {
        let number = numbers[at];
        builder.put_under(number, first);
        let goes_on = if is_stack { line.text.starts_with('\t') } else { at < frames };
        if goes_on {
            builder.tie(number - 1, number);
        } else if is_frame(line) {
            builder.put_under(number, frame);
        } else {
            frame = number;
        }
    }
    if is_stack {
        builder.segments[first].kind = SegmentKind::Parent;
    } else {
        builder.segments[first].worth = NAMES;
    }
    vec![first]
}

/// Adds a trace: each frame needs the line that names its exception. Returns the numbers of those lines.
pub(super) fn trace(lines: &[Line], builder: &mut Builder, around: &Around) -> Vec<usize> {
    let linked = || lines.iter().position(links);
    if let Some(at) = Some(&lines[0]).filter(|first| comes_last(first)).and_then(|_| linked()) {
        let mut exceptions = trace(&lines[..at], builder, around);
        let link = builder.push_line(&lines[at], around);
        for &before in &exceptions {
            builder.need(link, before);
        }
        let behind = trace(&lines[at + 1..], builder, around);
        for &behind in &behind {
            builder.need(link, behind);
        }
        exceptions.extend(behind);
        return exceptions;
    }
    let numbers: Vec<usize> = lines.iter().map(|line| builder.push_line(line, around)).collect();
    let Some(&first) = numbers.first() else { return numbers };
    if panic(lines) > 0 {
        return add_panic(lines, &numbers, builder);
    }
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

#[cfg(test)]
mod tests {
    use super::super::{SegmentKind, segments, tests};

    /// The segments that the one that holds `part` needs, without their indentation.
    fn needed<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
        tests::needed(text, part).into_iter().map(str::trim_start).collect()
    }

    #[test]
    fn panics_keep_their_messages_and_frames_their_names() {
        let rust = "We sailed at noon.\nthread 'main' panicked at src/gate.rs:4:9:\nthe key is lost\nstack backtrace:\n   0: begin_unwind\n             at /lib/panicking.rs:6:5\n   1: gate::turn\n             at ./src/gate.rs:4:9\n";
        assert_eq!(needed(rust, "panicked"), ["the key is lost"]);
        assert_eq!(
            needed(rust, "./src/gate"),
            ["thread 'main' panicked at src/gate.rs:4:9:", "1: gate::turn"]
        );
        let go = "panic: no key\n\ngoroutine 1 [running]:\nmain.turn(...)\n\t/home/gate.go:14\nmain.main()\n\t/home/main.go:8 +0x1d\nexit status 2\n";
        assert_eq!(needed(go, "main.turn"), ["goroutine 1 [running]:", "/home/gate.go:14"]);
        assert!(segments(go).iter().all(|own| !own.kind.goes_by_words()));
    }

    #[test]
    fn traces_that_follow_from_each_other_are_one() {
        let text = "2024-05-02 10:00:05 ERROR job failed\nTraceback (most recent call last):\n  File \"/srv/gate.py\", line 4, in turn\n    keys[no]\nKeyError: 4\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/srv/main.py\", line 8, in main\n    turn()\ngate.Locked: north\n2024-05-02 10:00:06 INFO stopped\n";
        assert_eq!(needed(text, "During"), ["KeyError: 4", "gate.Locked: north"]);
        assert!(segments(text).iter().all(|own| own.kind != SegmentKind::Sentence));
    }

    #[test]
    fn causes_may_stand_above_all_frames() {
        let text = "Unhandled exception. Gate.LockedException: shut\n ---> System.KeyException: no key\n   at Gate.Turn() in /srv/Gate.cs:line 4\n   at Gate.Main() in /srv/Main.cs:line 8\n";
        assert_eq!(needed(text, "Gate.Turn"), ["---> System.KeyException: no key"]);
        assert!(segments(text).iter().all(|own| own.kind == SegmentKind::Line));
    }
}
