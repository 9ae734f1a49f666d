//! Runs of lines that are alike but for numbers.

use super::lines::{Line, Stay, fold_runs, is_trouble};

/// Fewest lines of a run.
const LEAST: usize = 5;

pub(super) fn fold(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let stay = Stay { first: 2, last: 1 };
    fold_runs(lines, (LEAST, stay, "alike but for numbers"), run)
}

/// The number of lines from the first one on that are alike.
fn run(lines: &[Line]) -> usize {
    let Some((first, rest)) = lines.split_first() else { return 0 };
    // Most lines are told from the next by their first letters.
    if first.is_mark || !rest.first().is_some_and(|line| alike(first, line)) || is_trouble(&first.text) {
        return 1;
    }
    1 + rest.iter().take_while(|line| !line.is_mark && alike(first, line)).count()
}

/// Whether two lines with something but numbers in them are equal but for numbers.
fn alike(a: &Line, b: &Line) -> bool {
    let mut shapes = (shape(a.body()), shape(b.body()));
    let mut letters = 0;
    loop {
        match (shapes.0.next(), shapes.1.next()) {
            (None, None) => return letters >= 2,
            (Some(a), Some(b)) if a == b => letters += usize::from(a.is_alphabetic()),
            _ => return false,
        }
    }
}

/// The characters of `text` with each number as one `0`.
fn shape(text: &str) -> impl Iterator<Item = char> {
    let mut in_number = false;
    text.chars().filter_map(move |c| {
        let (digit, before) = (c.is_ascii_digit(), in_number);
        in_number = digit;
        match (digit, before) {
            (true, true) => None,
            (true, false) => Some('0'),
            (false, _) => Some(c),
        }
    })
}
