//! Messages of compilers: the place, the lines of the program and the advice with the error that they are about.

use super::builder::{Around, Builder};
use super::lines::Line;

/// Most lines of a message.
const LONGEST: usize = 60;

/// Returns the number of leading `lines` that are a message; 0 where the first begins none.
pub(super) fn length(lines: &[Line]) -> usize {
    let [first, second, ..] = lines else { return 0 };
    let near = &lines[..lines.len().min(LONGEST)];
    if !first.gap && is_titled(first.content()) && second.content().starts_with("--> ") {
        return near.iter().position(|line| line.gap).map_or(near.len(), |gap| gap + 1);
    }
    if !first.gap && is_excerpt(second) && is_located(first.content()) {
        return 1 + near[1..].iter().take_while(|line| is_excerpt(line)).count();
    }
    if first.content().contains(" - error TS") {
        let marks = near.iter().take(6).position(is_mark);
        return marks.map_or(0, |last| last + 1);
    }
    0
}

/// `error[E0308]: mismatched types`.
fn is_titled(line: &str) -> bool {
    (line.starts_with("error") || line.starts_with("warning")) && line.contains(": ")
}

/// `mill.c:41:12: error: no such thing`.
fn is_located(line: &str) -> bool {
    [": error: ", ": warning: ", ": note: ", ": fatal error: "].iter().any(|level| line.contains(level))
}

/// Returns whether a line shows one of the program behind its number, or what is said about that.
fn is_excerpt(line: &Line) -> bool {
    let rest = line.content().trim_start_matches(|c: char| c.is_ascii_digit()).trim_start();
    line.indent > 0 && rest.starts_with('|')
}

/// Returns whether a line only points to a part of the one above.
fn is_mark(line: &Line) -> bool {
    let content = line.content().trim_start_matches('|').trim_start();
    content.starts_with(['^', '~']) || content.starts_with(['-', '+']) && !content.starts_with("--> ")
}

/// Adds a message: its lines need the first one, which needs the place, and a line of the program has what points to it.
pub(super) fn diagnostic(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut head = 0;
    for (at, line) in lines.iter().enumerate() {
        let number = builder.push_line(line, around);
        if at == 0 {
            head = number;
            continue;
        }
        builder.put_under(number, head);
        if line.content().starts_with("--> ") {
            builder.tie(head, number);
        } else if is_mark(line) && at > 1 {
            builder.tie(number - 1, number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::needed;

    #[test]
    fn errors_keep_their_places_and_excerpts_their_errors() {
        let rust = "warning: unused variable: `key`\n --> src/gate.rs:3:9\n  |\n3 |     let key = 4;\n  |         ^^^ never read\n\nerror[E0308]: mismatched types\n --> src/gate.rs:9:5\n  |\n9 |     open\n  |     ^^^^ expected `u8`\n  |\nhelp: call it\n  |\n9 |     open()\n  |         ++\n\nerror: could not compile `gate`\n";
        assert_eq!(needed(rust, "error[E0308]"), [" --> src/gate.rs:9:5"]);
        assert_eq!(needed(rust, "expected `u8`"), ["error[E0308]: mismatched types", "9 |     open"]);
        assert_eq!(needed(rust, "help: call"), ["error[E0308]: mismatched types"]);
        let c = "gate.c: In function 'turn':\ngate.c:4:12: error: 'key' undeclared\n    4 |     return key;\n      |            ^~~\ngate.c:9:1: warning: no return\n    9 | }\n      | ^\n";
        assert_eq!(
            needed(c, "return key"),
            ["gate.c:4:12: error: 'key' undeclared", "      |            ^~~"]
        );
    }
}
