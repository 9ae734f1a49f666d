//! Blocks of labelled lines that are about one thing each: forms, tickets, headers of requests, commits.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::{Around, Builder};
use super::lines::Line;
use crate::text::is_terminal;

/// Bytes of values that are longer on average are what somebody says.
const LONG_VALUE: usize = 60;

static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s{0,3}(?:[-*] )?(?:\*\*)?(\p{L}[\p{L}\p{M}\p{N} _./()#-]*?)(?:\*\*)? ?[:：](?:\*\*)?(?:\s+(.*))?$")
        .expect("a test compiles it")
});
/// Most characters of a label.
const LONGEST_LABEL: usize = 39;
static COMMIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^commit [0-9a-f]{7,64}(?-u:\b)").expect("a test compiles it"));

/// Labels of those who take part in a conversation, in lower case.
const ROLES: [&str; 12] = [
    "user",
    "assistant",
    "system",
    "human",
    "ai",
    "customer",
    "agent",
    "bot",
    "q",
    "a",
    "interviewer",
    "client",
];

/// The label and the value of a line.
fn labelled<'t>(line: &Line<'t>) -> Option<(&'t str, &'t str)> {
    let found = LABEL.captures(line.text)?;
    let label = found.get(1)?.as_str();
    let is_short = label.split(' ').count() <= 4 && label.chars().nth(LONGEST_LABEL).is_none();
    is_short.then(|| (label, found.get(2).map_or("", |value| value.as_str().trim())))
}

/// The blocks of `lines`: each begins with a commit where there are any, else behind a blank line.
fn ranges(lines: &[Line]) -> Vec<Range<usize>> {
    let commits = |i: &usize| COMMIT.is_match(lines[*i].text);
    let behind_blank = |i: &usize| *i == 0 || lines[i - 1].gap;
    let mut starts: Vec<usize> = (0..lines.len()).filter(commits).collect();
    if starts.is_empty() {
        starts = (0..lines.len()).filter(behind_blank).collect();
    }
    if starts.first() != Some(&0) {
        starts.insert(0, 0);
    }
    let ends = starts.iter().skip(1).copied().chain([lines.len()]);
    starts.iter().copied().zip(ends).map(|(start, end)| start..end).collect()
}

/// Returns whether these lines are the log of a repository, or blocks whose lines are nearly all labelled, no label twice in
/// a block, and some label in most blocks.
pub(super) fn are_blocks(lines: &[Line]) -> bool {
    if lines.iter().filter(|line| COMMIT.is_match(line.text)).count() > 1 {
        return COMMIT.is_match(lines[0].text);
    }
    let blocks = ranges(lines);
    let found: Vec<(usize, &str, &str)> = blocks
        .iter()
        .enumerate()
        .flat_map(|(i, block)| {
            lines[block.clone()].iter().filter_map(labelled).map(move |(label, value)| (i, label, value))
        })
        .collect();
    let long: usize = found.iter().map(|(_, _, value)| value.len()).sum();
    let said = found.iter().filter(|(_, _, value)| value.ends_with(is_terminal)).count();
    if blocks.len() < 2
        || found.len() * 10 < lines.len() * 7
        || found.len() < 2 * blocks.len()
        || long > LONG_VALUE * found.len()
        || said * 10 > found.len() * 3
        || found.iter().any(|(_, label, _)| ROLES.contains(&&*label.to_lowercase()))
    {
        return false;
    }
    let distinct: HashSet<(usize, &str)> = found.iter().map(|&(block, label, _)| (block, label)).collect();
    let mut holders: HashMap<&str, usize> = HashMap::new();
    for (_, label) in &distinct {
        *holders.entry(label).or_default() += 1;
    }
    let most = holders.into_values().max().unwrap_or_default();
    distinct.len() * 10 >= found.len() * 9 && most * 10 >= blocks.len() * 6 && most > 1
}

/// Returns the number of lines of the commit that the first of `lines` begins, with its changes; 0 where it is none.
pub(super) fn log(lines: &[Line]) -> usize {
    let begins = |lines: &[Line]| {
        let [first, second, ..] = lines else { return false };
        let fields = ["Author:", "Merge:", "AuthorDate:", "tree "];
        COMMIT.is_match(first.text) && fields.iter().any(|field| second.text.starts_with(field))
    };
    if !lines[0].text.starts_with("commit ") || !begins(lines) {
        return 0;
    }
    let head = lines[1..].iter().take_while(|line| !line.gap && line.indent == 0).count() + 2;
    let stat = |line: &Line| line.indent > 0;
    let head = (head..lines.len()).find(|&at| !stat(&lines[at])).unwrap_or(lines.len()).min(lines.len());
    if !lines.get(head).is_some_and(|line| line.text.starts_with("diff --")) {
        return head;
    }
    (head..lines.len()).find(|&at| begins(&lines[at..])).unwrap_or(lines.len())
}

/// Adds the lines of each block, which need the first one: it says what they are about. What a commit says needs its author
/// as well.
pub(super) fn blocks(lines: &[Line], builder: &mut Builder, around: &Around) {
    for block in ranges(lines) {
        let block = &lines[block];
        let is_alone = block.len() == 1;
        let kind = if is_alone { SegmentKind::Line } else { SegmentKind::Parent };
        let head = builder.push(block[0].range.clone(), kind, around);
        let mut author = None;
        for line in &block[1..] {
            let number = builder.push_line(line, around);
            builder.put_under(number, head);
            if line.indent > 0
                && let Some(author) = author
            {
                builder.need(number, author);
            } else if line.text.starts_with("Author:") {
                author = Some(number);
            }
        }
    }
}
