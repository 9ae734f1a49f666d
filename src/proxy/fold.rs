//! Folds the results of tools in a request, each when it is first sent, and never later.
//!
//! What a result folds to follows from the request up to it alone. That it goes on folded is decided when it stands in
//! the last turn, and remembered, so a conversation that grows keeps its prefix, through restarts too. A result of an
//! earlier turn of which nothing is remembered was sent by somebody else: it stays as it came, for a provider may have
//! it in its cache. A history that its client has cut or compacted gets whole what nothing in it refers to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::conversation::Conversation;
use super::decision::{Decision, Key, ResultKind, Tokens};
use super::decisions::Decisions;
use super::recall::{Recall, named as with_id};
use super::settings::Settings;
use super::{Fallback, Plan, Prepared, RequestReport, Spared, Status};
use crate::compress::fold::{Folded, Folder, Origin, Rule};
use crate::text::{self, CachedCounter, TokenCounter};
use crate::wire::{ConversationText, Edit, Speaker, ToolCall};

/// Fewest bytes of a result that is looked at, for each token of the least number.
const LEAST_TOKEN_BYTES: usize = 2;
/// Longest argument, in characters, by which a call is named in a mark.
const ARGUMENT: usize = 60;

/// The outcome for the results of one request.
#[derive(Debug, Default)]
pub(super) struct Folds {
    pub(super) edits: Vec<Edit>,
    pub(super) keys: Vec<Key>,
    pub(super) tokens: Tokens,
    /// Tokens that were taken out, by rule and kind of result.
    pub(super) spared: BTreeMap<(Rule, ResultKind), u64>,
    /// Whether a result goes on as it came because the upstream refused it folded.
    pub(super) pinned: bool,
}

impl Folds {
    /// Takes note of a result that goes on folded.
    fn count(&mut self, tokens: Tokens, kind: ResultKind, folded: &Folded) {
        self.tokens.before += tokens.before;
        self.tokens.after += tokens.after;
        let spared = tokens.before.saturating_sub(tokens.after) as u64;
        for (rule, share) in Rule::ALL.into_iter().zip(shares(spared, folded.saved())) {
            if share > 0 {
                *self.spared.entry((rule, kind)).or_default() += share;
            }
        }
    }
}

/// Folds the results among `shown`. This reads the disk, and takes milliseconds where results are long.
///
/// Where recall is on, the marks of what is new name its original, and go on doing so when recall is off. What a result
/// folds to and refers to is the same in either case.
pub(super) fn folds(
    shown: &[ConversationText],
    (model, conversation): (&str, Option<Conversation>),
    settings: &Settings,
    (decisions, recall): (&Decisions, &Recall),
) -> Folds {
    let mut folds = Folds::default();
    let (rules, mut folder) = (settings.fold, Folder::default());
    if rules.is_empty() {
        return folds;
    }
    let (mut deciding, mut times) = (Deciding { model, settings, recall, counter: None }, HashMap::new());
    for shown in shown {
        let place = place(&shown.by);
        let Speaker::Tool(call) = &shown.by else {
            folder.see(&place, &shown.text);
            continue;
        };
        let recalled = call.as_ref().is_some_and(|call| call.recalls());
        let large =
            !recalled && shown.text.len() >= settings.fold_min_tokens.saturating_mul(LEAST_TOKEN_BYTES);
        let origin = origin(call.as_deref());
        let folded = large.then(|| folder.folded(&shown.text, origin, rules)).flatten();
        let Some(folded) = folded else {
            folder.see(&place, &shown.text);
            continue;
        };
        let key = Key::of_fold(&shown.text, folded.text(), conversation);
        // One that is read again and again may have been folded the last time alone.
        let times = times.entry(key).or_insert(0_u64);
        let key = key.again(*times);
        *times += 1;
        let decision = decisions.get_blocking(&key).unwrap_or_else(|| {
            let new = shown.is_new.then(|| deciding.decide(&shown.text, folded.text(), origin));
            decisions.settle(key, new.unwrap_or(Decision::Unchanged))
        });
        folds.pinned |= *decision == Decision::Declined;
        let Decision::Folded { tokens, kind, recall: is_named } = *decision else {
            folder.see(&place, &shown.text);
            continue;
        };
        folds.count(tokens, kind, &folded);
        folds.keys.push(key);
        let id = is_named.then(|| recall.id(&shown.text));
        // What is kept of it lives as long again as it is sent.
        if let Some(id) = &id {
            recall.keep(id, &shown.text);
        }
        let named = id.and_then(|id| with_id(folded.text(), &id));
        folds.edits.push(shown.replace(named.as_deref().unwrap_or(folded.text())));
        folder.see_folded(&place, &folded);
    }
    folds
}

/// Decides what becomes of tools' results. This takes no model, so it needs no turn.
pub(super) async fn fold(
    prepared: &Prepared,
    decisions: &Decisions,
    (plan, report): (&mut Plan, &mut RequestReport),
) {
    let shown = Arc::clone(&prepared.shown);
    if !shown.iter().any(|shown| matches!(shown.by, Speaker::Tool(_))) {
        return;
    }
    let (model, settings) = (prepared.route.model.clone(), prepared.settings.clone());
    let (decisions, conversation) = (decisions.clone(), prepared.conversation);
    let recall = prepared.recall.clone();
    let fold = move || folds(&shown, (&model, conversation), &settings, (&decisions, &recall));
    let task = tokio::task::spawn_blocking(fold);
    // Where it panicked, which the hook has logged, results go on as they came.
    let folds = task.await.unwrap_or_default();
    report.tokens.before += folds.tokens.before;
    report.tokens.after += folds.tokens.after;
    if folds.tokens.before > 0 {
        report.status = Status::Compressed;
        report.fallback = report.fallback.filter(|fallback| *fallback != Fallback::Small);
    } else if folds.pinned && report.status == Status::Unchanged {
        report.status = Status::Original;
        report.fallback =
            report.fallback.filter(|fallback| *fallback != Fallback::Small).or(Some(Fallback::Remembered));
    }
    let spared = folds.spared.iter();
    report.folded =
        spared.map(|(&(rule, kind), &tokens)| Spared { rule, kind: kind.name(), tokens }).collect();
    plan.folds = folds;
}

/// Decides what becomes of results that are sent for the first time.
struct Deciding<'a> {
    model: &'a str,
    settings: &'a Settings,
    recall: &'a Recall,
    /// The counter of the model, which counts once the words that results have in common with each other and with what they
    /// fold to.
    counter: Option<CachedCounter>,
}

impl Deciding<'_> {
    /// The decision on a result. One whose marks would name an original that cannot be kept goes on whole.
    fn decide(&mut self, text: &str, folded: &str, origin: Origin) -> Decision {
        let id = self.recall.is_on().then(|| self.recall.id(text));
        let named = id.as_ref().and_then(|id| with_id(folded, id));
        let counter = self.counter.get_or_insert_with(|| CachedCounter::new(text::for_model(self.model)));
        let sent = named.as_deref().unwrap_or(folded);
        let tokens = Tokens { before: counter.count(text), after: counter.count(sent) };
        if tokens.after >= tokens.before || tokens.before < self.settings.fold_min_tokens {
            return Decision::Unchanged;
        }
        let id = id.filter(|_| named.is_some());
        if id.as_ref().is_some_and(|id| !self.recall.keep(id, text)) {
            return Decision::Unchanged;
        }
        Decision::Folded { tokens, kind: ResultKind::of(text, origin), recall: id.is_some() }
    }
}

/// Parts of `total` in the proportions of `bytes`, which add up to it.
fn shares<const N: usize>(total: u64, bytes: [usize; N]) -> [u64; N] {
    let all: u128 = bytes.iter().map(|&bytes| bytes as u128).sum();
    let (mut sum, mut given) = (0_u128, 0_u64);
    bytes.map(|bytes| {
        sum += bytes as u128;
        let until = (u128::from(total) * sum).checked_div(all).unwrap_or_default();
        let share = (until as u64).saturating_sub(given);
        given += share;
        share
    })
}

/// The name of a text in marks.
fn place(by: &Speaker) -> Arc<str> {
    match by {
        Speaker::User => "the user's message above".into(),
        Speaker::Call(call) => format!("what you wrote into {} above", named(call)).into(),
        Speaker::Tool(Some(call)) => format!("the result of {} above", named(call)).into(),
        Speaker::Tool(None) => "an earlier result above".into(),
    }
}

/// A call by its tool and the argument that tells most about it.
fn named(call: &ToolCall) -> String {
    const TELLING: [&str; 9] =
        ["file_path", "path", "filePath", "filename", "file", "command", "cmd", "pattern", "query"];
    let argument = TELLING.iter().find_map(|key| call.arguments.iter().find(|(name, _)| name == key));
    let Some((_, argument)) = argument.or(call.arguments.first()) else { return call.name.clone() };
    let line = argument.lines().next().unwrap_or_default();
    let short: String = line.chars().take(ARGUMENT).collect();
    format!("{} {short}", call.name)
}

/// What a call's result shows: a file wherever that is possible, for then least is changed.
fn origin(call: Option<&ToolCall>) -> Origin {
    const FILE_TOOLS: [&str; 9] =
        ["read", "view", "open", "cat", "edit", "write", "patch", "notebook", "diff"];
    const FILE_COMMANDS: [&str; 19] = [
        "cat",
        "sed",
        "head",
        "tail",
        "nl",
        "awk",
        "bat",
        "open",
        "goto",
        "scroll_up",
        "scroll_down",
        "edit",
        "insert",
        "create",
        "diff",
        "show",
        "less",
        "more",
        "xxd",
    ];
    const SEARCH_COMMANDS: [&str; 9] =
        ["grep", "rg", "ag", "ack", "egrep", "fgrep", "search_file", "search_dir", "find_file"];
    let Some(call) = call else { return Origin::File };
    let name = call.name.to_ascii_lowercase();
    if FILE_TOOLS.iter().any(|tool| name.contains(tool)) {
        return Origin::File;
    }
    let command =
        call.arguments.iter().find(|(key, _)| ["command", "cmd", "script", "code"].contains(&&**key));
    let words = command
        .into_iter()
        .flat_map(|(_, command)| command.split(|c: char| c.is_whitespace() || "|;&()`$'\"".contains(c)));
    let mut found = if name.contains("grep") { Origin::Search } else { Origin::Output };
    for word in words {
        let word = word.rsplit('/').next().unwrap_or(word);
        if FILE_COMMANDS.contains(&word) || word == "apply_patch" {
            return Origin::File;
        }
        if SEARCH_COMMANDS.contains(&word) {
            found = Origin::Search;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, key: &str, argument: &str) -> ToolCall {
        ToolCall { name: name.into(), arguments: vec![(key.into(), argument.into())] }
    }

    #[test]
    fn a_conversation_of_3000_turns_keeps_its_prefix_also_with_another_model() {
        use crate::wire::{Endpoint, Request};
        let body = |turns: usize| {
            let mut messages = vec![serde_json::json!({"role": "user", "content": "Build it."})];
            for turn in 0..turns {
                let (id, kind) = (format!("t{turn}"), turn % 5);
                let lines = (0..30).map(|n| format!("   Compiling crate-{kind}-{n} v0.{n}.{}\n", turn % 40));
                let output = lines.collect::<Vec<_>>().concat() + "    Finished\n";
                messages.push(serde_json::json!({"role": "assistant", "content": [
                    {"type": "tool_use", "id": id, "name": "bash", "input": {"command": "cargo build"}}]}));
                messages.push(serde_json::json!({"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": id, "content": output}]}));
            }
            serde_json::json!({"model": "m", "messages": messages}).to_string()
        };
        let shown = |body: &str, new: bool| {
            let mut shown =
                Request::read(Endpoint::Messages, body.as_bytes()).unwrap().texts(usize::MAX).shown;
            // As if each had been sent in the turn that had it first.
            for shown in &mut shown {
                shown.is_new = new;
            }
            shown
        };
        let settings =
            Settings { fold: crate::compress::fold::Rules::ALL, fold_min_tokens: 100, ..Settings::default() };
        let (decisions, recall) = (Decisions::new(32 << 20, None), Recall::only_names(true));
        let of = |body: &str, model: &str, new: bool| {
            folds(&shown(body, new), (model, None), &settings, (&decisions, &recall)).edits
        };
        let (half, all) = (body(1500), body(3000));
        let (first, second) = (of(&half, "gpt-4o", true), of(&all, "gpt-4o", true));
        assert!(first.len() > 1400, "{}", first.len());
        assert_eq!(first[..], second[..first.len()]);
        // What is no longer new is sent as it was, whatever the model.
        assert_eq!(of(&all, "claude-sonnet-4-5", false), second);
        assert!(second.iter().all(|edit| edit.with.contains("recall ")));
    }

    #[test]
    fn what_a_model_recalls_goes_on_as_it_is() {
        use crate::wire::{Endpoint, Request};
        let output = (0..60).map(|n| format!("test case_{n} ... ok\n")).collect::<Vec<_>>().concat();
        let changed = |name: &str, id: &str| {
            let call = serde_json::json!({"type": "tool_use", "id": "t", "name": name, "input": {"id": id}});
            let result = serde_json::json!({"type": "tool_result", "tool_use_id": "t", "content": output});
            let messages = serde_json::json!([{"role": "user", "content": "Why?"},
                {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]);
            let body = serde_json::json!({"model": "m", "messages": messages}).to_string();
            let texts = Request::read(Endpoint::Messages, body.as_bytes()).unwrap().texts(100);
            let settings = Settings {
                fold: crate::compress::fold::Rules::ALL,
                fold_min_tokens: 100,
                ..Settings::default()
            };
            let (decisions, recall) = (Decisions::new(1 << 20, None), Recall::default());
            let folds = folds(&texts.shown, ("gpt-4o", None), &settings, (&decisions, &recall));
            (folds.edits.len(), texts.passages.len())
        };
        for name in ["mcp__whittle__recall", "recall", "tools.recall"] {
            assert_eq!(changed(name, "9a03bbc4df14c931"), (0, 0), "{name}");
        }
        assert_eq!(changed("recall", "the tests of yesterday"), (1, 1), "a tool of another program");
        assert_eq!(changed("run", "9a03bbc4df14c931"), (1, 1));
    }

    #[test]
    fn what_may_be_a_file_is_one() {
        for (name, key, argument, expected) in [
            ("Read", "file_path", "/a.rs", Origin::File),
            ("bash", "command", "cd x && sed -n 1,9p a.rs", Origin::File),
            ("bash", "command", "/bin/cat a.rs", Origin::File),
            ("Bash", "command", "git show HEAD", Origin::File),
            ("bash", "command", "grep -rn foo src", Origin::Search),
            ("Grep", "pattern", "foo", Origin::Search),
            ("bash", "command", "cargo test", Origin::Output),
            ("get_user", "user_id", "x", Origin::Output),
        ] {
            assert_eq!(origin(Some(&call(name, key, argument))), expected, "{name} {argument}");
        }
        assert_eq!(origin(None), Origin::File);
    }

    #[test]
    fn what_was_saved_is_shared_out_without_a_rest() {
        assert_eq!(shares(10, [1, 1, 1]), [3, 3, 4]);
        assert_eq!(shares(7, [0, 5, 0, 2]), [0, 5, 0, 2]);
        assert_eq!(shares(7, [0, 0]), [0, 0]);
    }

    #[test]
    fn a_call_is_named_by_what_tells_it_from_others() {
        let mut read = call("Read", "limit", "9");
        read.arguments.push(("file_path".into(), "/src/a.rs".into()));
        assert_eq!(named(&read), "Read /src/a.rs");
        assert_eq!(named(&call("bash", "command", "make\nls")), "bash make");
        assert_eq!(named(&ToolCall { name: "now".into(), arguments: vec![] }), "now");
    }
}
