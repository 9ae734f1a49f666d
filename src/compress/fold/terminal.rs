//! What a terminal does not show: control codes, lines that were overwritten, white space at line ends, and all but
//! one of the blank lines in a row.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::Origin;
use super::lines::Line;

static CODE: LazyLock<Regex> = LazyLock::new(|| {
    let csi = r"\x1b\[[0-?]*[ -/]*[@-~]";
    let osc = r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)";
    let short = r"\x1b[()][0-9A-B]|\x1b[=>78cDEHMNOZ]";
    Regex::new(&format!("{csi}|{osc}|{short}")).expect("a test compiles it")
});

/// Of a file, only control codes go.
pub(super) fn fold(lines: Vec<Line<'_>>, origin: Origin) -> Vec<Line<'_>> {
    let mut shown = Vec::with_capacity(lines.len());
    let mut blank = false;
    for line in lines {
        let line = without_codes(line);
        if origin != Origin::Output {
            shown.push(line);
            continue;
        }
        let line = trimmed(overwritten(line));
        let was_blank = std::mem::replace(&mut blank, line.text == "\n");
        if !(blank && was_blank) {
            shown.push(line);
        }
    }
    shown
}

fn without_codes(line: Line<'_>) -> Line<'_> {
    if memchr::memchr(b'\x1b', line.text.as_bytes()).is_none() {
        return line;
    }
    Line { text: CODE.replace_all(&line.text, "").into_owned().into(), ..line }
}

/// A line as it stands after each carriage return has begun it anew.
fn overwritten(line: Line<'_>) -> Line<'_> {
    let body = line.body().trim_end_matches('\r');
    if memchr::memchr(b'\r', body.as_bytes()).is_none() {
        return line;
    }
    let mut shown: Vec<char> = Vec::new();
    for part in body.split('\r') {
        let mut length = 0;
        for (place, c) in part.chars().enumerate() {
            length = place + 1;
            match shown.get_mut(place) {
                Some(old) => *old = c,
                None => shown.push(c),
            }
        }
        debug_assert!(length <= shown.len());
    }
    let end = if line.text.ends_with('\n') { "\n" } else { "" };
    Line { text: (shown.into_iter().collect::<String>() + end).into(), ..line }
}

fn trimmed(line: Line<'_>) -> Line<'_> {
    let body = line.body();
    let kept = body.trim_end().len();
    if kept == body.len() {
        return line;
    }
    let end = if line.text.ends_with('\n') { "\n" } else { "" };
    let text: Cow<str> = format!("{}{end}", &body[..kept]).into();
    Line { text, ..line }
}
