//! The tool by which a model recalls what folding left out: which conversations have it, and what its calls are answered.
//!
//! A conversation has it from its first request on, or never: a definition that comes later would break the provider's
//! prompt cache.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde::Deserialize;

use super::conversation::Conversation;
use super::decision::{Decision, Key};
use super::decisions::Decisions;
use super::recall::Recall;
use crate::wire::recall::{Late, injection, reinserted};
use crate::wire::{Edit, Request};

/// Most bytes of calls that wait for the next request of their conversation.
const LATE_BYTES: u64 = 16 << 20;
/// The time after its last use that such a call is forgotten.
const LATE_TIME: Duration = Duration::from_hours(1);

/// The tool in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    /// The name of the decision on it.
    pub(super) key: Key,
    /// The edits that add its definition, and the calls that the client was not shown.
    pub(super) edits: Vec<Edit>,
    /// True where the conversation begins with this request.
    begins: bool,
}

impl Tool {
    /// The tool as `request` may have it, where originals are kept and it fits.
    pub(super) fn of(
        request: &Request,
        (recall, conversation): (&Recall, Conversation),
        late: &LateCalls,
    ) -> Option<Self> {
        let (_, owner) = recall.kept()?;
        let injection = injection(request)?;
        let key = Key::of_tool(conversation, owner);
        let mut edits = vec![injection.edit];
        edits.extend(reinserted(request, |beside| late.get(key, beside)));
        Some(Self { key, edits, begins: injection.begins })
    }
}

/// The tool, where its conversation has it.
pub(super) async fn decide(tool: Option<&Tool>, decisions: &Decisions) -> Option<Tool> {
    let tool = tool?;
    let known = decisions.get_all(&[tool.key]).await.pop().flatten();
    let decision = match known {
        None if tool.begins => decisions.settle(tool.key, Decision::Tool),
        known => known?,
    };
    (*decision == Decision::Tool).then(|| tool.clone())
}

/// Calls that came after another call had gone to the client, with their results: the next request of their conversation
/// gets both beside that one. They are in memory alone.
#[derive(Debug, Clone)]
pub(super) struct LateCalls(Cache<(Key, String), Arc<Vec<Late>>>);

impl Default for LateCalls {
    fn default() -> Self {
        let bytes = |late: &Late| late.result.len() + late.call.arguments.len() + 200;
        let weigher = move |_: &(Key, String), calls: &Arc<Vec<Late>>| {
            u32::try_from(calls.iter().map(bytes).sum::<usize>()).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(LATE_BYTES).weigher(weigher).time_to_idle(LATE_TIME).build())
    }
}

impl LateCalls {
    fn get(&self, conversation: Key, beside: &str) -> Vec<Late> {
        self.0.get(&(conversation, beside.to_owned())).map(|calls| calls.to_vec()).unwrap_or_default()
    }

    /// Keeps calls that stand beside the call `beside` in a conversation, by the name of its decision.
    pub(super) fn put(&self, conversation: Key, beside: &str, calls: Vec<Late>) {
        self.0.insert((conversation, beside.to_owned()), Arc::new(calls));
    }
}

/// The arguments of a call.
#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    pub(super) id: String,
    #[serde(default)]
    pub(super) first_line: Option<usize>,
    #[serde(default)]
    pub(super) last_line: Option<usize>,
}

/// The lines of `text` that are asked for, as far as `left` bytes go, which become fewer. What is missing is said.
pub(super) fn lines(text: &str, arguments: &Arguments, left: &mut usize) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = arguments.first_line.unwrap_or(1).max(1);
    let last = arguments.last_line.unwrap_or(lines.len()).min(lines.len());
    let wanted = lines.get(first - 1..last).unwrap_or_default();
    if wanted.is_empty() {
        return format!("The original has {} lines, and none of those that were asked for.", lines.len());
    }
    let mut part = String::new();
    let fits = wanted.iter().take_while(|line| {
        let fits = line.len() <= *left;
        if fits {
            *left -= line.len();
            part.push_str(line);
        }
        fits
    });
    let given = fits.count();
    if given == wanted.len() {
        return part;
    }
    let next = first + given;
    if given > 0 {
        return format!(
            "{part}(Lines {first} to {} of {}. The rest is too long for this answer: ask for lines from {next} on in a \
             later turn.)",
            next - 1,
            lines.len()
        );
    }
    let line = wanted.first().copied().unwrap_or_default();
    let end = (0..=*left).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    let beginning = line.get(..end).unwrap_or_default();
    *left -= end;
    format!(
        "{beginning}\n(Line {first} of {} has {} bytes, of which {end} are above. No more can be recalled in this answer.)",
        lines.len(),
        line.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(first_line: Option<usize>, last_line: Option<usize>) -> Arguments {
        Arguments { id: String::new(), first_line, last_line }
    }

    #[test]
    fn lines_are_given_as_asked_and_within_the_bound() {
        let text = "one\ntwo\nthree\nfour";
        let given = |first, last, mut left| lines(text, &asked(first, last), &mut left);
        assert_eq!(given(None, None, 100), text);
        assert_eq!(given(Some(2), Some(3), 100), "two\nthree\n");
        assert_eq!(given(Some(4), Some(99), 100), "four");
        assert_eq!(given(Some(0), Some(1), 100), "one\n");
        for (first, last) in [(Some(5), None), (Some(3), Some(2)), (Some(usize::MAX), None)] {
            assert!(given(first, last, 100).contains("has 4 lines"), "{first:?} {last:?}");
        }
        let mut left = 9;
        let cut = lines(text, &asked(None, None), &mut left);
        assert!(cut.starts_with("one\ntwo\n(Lines 1 to 2 of 4.") && cut.contains("from 3 on"), "{cut}");
        assert_eq!(left, 1);
        let cut = given(Some(3), None, 2);
        assert!(cut.starts_with("th\n(Line 3 of 4 has 6 bytes"), "{cut}");
        assert!(lines("", &asked(None, None), &mut left).contains("has 0 lines"));
        let mut left = 1;
        assert!(lines("äöü", &asked(None, None), &mut left).starts_with("\n(Line 1 of 1"));
    }
}
