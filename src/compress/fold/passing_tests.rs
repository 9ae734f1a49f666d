//! Tests that passed.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Line, Stay, fold_runs};

/// Fewest lines of a run.
const LEAST: usize = 4;

static PASSED: LazyLock<Regex> = LazyLock::new(|| {
    let pytest = r"\S+::\S+.* PASSED(?: +\[ *\d+%\])?";
    let rust = r"test \S.* \.\.\. ok";
    let unittest = r"\w+ \([\w.]+\).*\.\.\. ok";
    let go = r"(?:--- PASS: |=== RUN ).*";
    let javascript = r"(?:✓|✔|√|PASS) .*";
    let tap = r"ok \d+ .*";
    let ctest = r"\d+/\d+ Test +#\d+: .* Passed .*";
    let gtest = r"\[ +(?:OK|RUN) +\] .*";
    Regex::new(&format!(r"^\s*(?:{pytest}|{rust}|{unittest}|{go}|{javascript}|{tap}|{ctest}|{gtest})\s*$"))
        .expect("a test compiles it")
});

pub(super) fn fold(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let stay = Stay { first: 1, last: 0 };
    fold_runs(lines, (LEAST, stay, "tests that passed"), |lines| {
        lines.iter().take_while(|line| passed(line)).count()
    })
}

fn passed(line: &Line) -> bool {
    !line.is_mark && line.text.len() < 400 && PASSED.is_match(line.body())
}
