//! Plays recorded conversations through folding, offline, and says what it saves and whether what the agent quotes later
//! is still there to be seen.
//!
//! Each conversation is sent turn by turn as an agent sends it, with all that came before, by the code that folds the
//! requests of the service. No model runs, so users' texts stay as they are.

mod figures;
mod quotes;
mod recording;

use std::sync::Arc;

use serde_json::{Value, json};

use super::ProxyError;
use super::conversation::Conversation;
use super::decision::Tokens;
use super::decisions::Decisions;
use super::fold::folds;
use super::recall::Recall;
use super::settings::Settings;
use crate::compress::fold::{Rule, Rules};
use crate::config::ProxyConfig;
use crate::text::{self, TokenCounter};
use crate::upstream::HeaderMap;
use crate::wire::{self, ConversationText, Endpoint, Request, Speaker};
pub use figures::{Figures, Kept};
use figures::{Seen, Tally};
use quotes::{Quote, quotes};
pub use recording::LogError;
use recording::{Block, Message, Recorded};

/// Bytes of memory for what becomes of texts: more than any log needs.
const MEMORY_BYTES: u64 = 1 << 30;

/// The figures of conversations that were played.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ReplayReport {
    /// Conversations with results of tools.
    pub conversations: usize,
    /// Requests that were played.
    pub turns: usize,
    /// The figures by all rules of the configuration.
    pub all: Figures,
    /// The figures of each rule.
    pub rules: Vec<RuleFigures>,
}

/// The figures of one rule.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct RuleFigures {
    /// The rule.
    pub rule: Rule,
    /// The figures of this rule alone.
    pub alone: Figures,
    /// The figures of all rules of the configuration but this one.
    pub without: Figures,
}

/// A reason why logs cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A log cannot be read.
    #[error("{name}: {reason}")]
    Log {
        /// The name of the log.
        name: String,
        /// The cause.
        reason: LogError,
    },
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ProxyError),
}

/// Plays the conversations in `logs`, each with its name, as `config` says, for `model`.
///
/// # Errors
/// A log cannot be read.
pub fn replay(
    logs: &[(String, String)],
    config: &ProxyConfig,
    model: &str,
) -> Result<ReplayReport, ReplayError> {
    let mut conversations = Vec::new();
    for (name, log) in logs {
        let read = recording::read(log).map_err(|reason| ReplayError::Log { name: name.clone(), reason });
        conversations.extend(read?);
    }
    // Whoever tries folding may not have switched it on yet.
    let fold = config.compress.fold_rules();
    let settings = Settings { fold, ..Settings::new(config, &HeaderMap::new(), None)? };
    let recall = Recall::only_names(config.recall.enabled);
    Ok(Player { counter: text::for_model(model), model, settings, recall }.report(&conversations))
}

struct Player<'a> {
    counter: Arc<dyn TokenCounter>,
    model: &'a str,
    settings: Settings,
    recall: Recall,
}

/// A conversation with what does not depend on the rules.
struct Prepared<'c> {
    messages: &'c [Message],
    quotes: Vec<Quote>,
    /// The texts of the whole conversation.
    shown: Vec<ConversationText>,
    body: String,
    /// The results, with their tokens.
    results: Vec<(String, usize)>,
}

impl Player<'_> {
    fn report(&self, conversations: &[Recorded]) -> ReplayReport {
        let mut all = Tally::default();
        let mut prepared = Vec::new();
        for recorded in conversations {
            let one = self.prepared(recorded);
            self.play(recorded, &one, &mut all);
            prepared.push(one);
        }
        let ours = self.settings.fold;
        let rules = Rule::ALL.into_iter().filter(|rule| ours.has(*rule)).map(|rule| RuleFigures {
            rule,
            alone: self.with_rules(&prepared, Rules::NONE.with(rule)),
            without: self.with_rules(&prepared, ours.without(rule)),
        });
        let rules = rules.collect();
        ReplayReport { conversations: prepared.len(), turns: all.turns, all: all.figures(), rules }
    }

    fn prepared<'c>(&self, recorded: &'c Recorded) -> Prepared<'c> {
        let body = self.body(recorded, recorded.messages.len());
        let shown = self.shown(&body);
        let counted = |text: String| (self.counter.count(&text), text);
        let results = results(&shown).into_iter().map(counted).map(|(tokens, text)| (text, tokens)).collect();
        Prepared { messages: &recorded.messages, quotes: quotes(recorded), shown, body, results }
    }

    /// Sends a conversation turn by turn.
    fn play(&self, recorded: &Recorded, prepared: &Prepared, tally: &mut Tally) {
        let decisions = Decisions::new(MEMORY_BYTES, None);
        let (mut previous, mut sent_results, mut tokens) = (String::new(), Vec::new(), Tokens::default());
        for turn in turns(&recorded.messages) {
            let body = self.body(recorded, turn);
            let Ok(request) = Request::read(Endpoint::Messages, body.as_bytes()) else { continue };
            let shown = request.texts(self.settings.least_bytes()).shown;
            let conversation = Conversation::of(&request, &[0; 32]);
            let done = folds(&shown, (self.model, conversation), &self.settings, (&decisions, &self.recall));
            let sent = wire::splice(&body, done.edits);
            // What comes next stands in place of the brackets at the end.
            let prefix = previous.strip_suffix("]}").unwrap_or_default();
            tally.turn(sent.starts_with(prefix));
            (sent_results, tokens) = (results(&self.shown(&sent)), done.tokens);
            tally.look(prepared.quotes.iter().filter(|quote| quote.message == turn), &sent_results);
            previous = sent;
        }
        tally.end(&Seen { original: &prepared.results, sent: &sent_results, tokens });
    }

    /// The figures by `rules`. A result is folded by what stands before it alone, so the last request shows them all.
    fn with_rules(&self, conversations: &[Prepared], rules: Rules) -> Figures {
        let settings = Settings { fold: rules, ..self.settings.clone() };
        let mut tally = Tally::default();
        for prepared in conversations {
            let mut shown = prepared.shown.clone();
            for shown in &mut shown {
                shown.is_new = true;
            }
            let decisions = Decisions::new(MEMORY_BYTES, None);
            let done = folds(&shown, (self.model, None), &settings, (&decisions, &self.recall));
            let sent = results(&self.shown(&wire::splice(&prepared.body, done.edits)));
            let mut visible = 0;
            for turn in turns(prepared.messages) {
                visible = count_results(prepared.messages.get(..turn).unwrap_or_default()).min(sent.len());
                let quotes = prepared.quotes.iter().filter(|quote| quote.message == turn);
                tally.turn(true);
                tally.look(quotes, &sent[..visible]);
            }
            tally.end(&Seen { original: &prepared.results, sent: &sent[..visible], tokens: done.tokens });
        }
        tally.figures()
    }

    fn shown(&self, body: &str) -> Vec<ConversationText> {
        let request = Request::read(Endpoint::Messages, body.as_bytes());
        request.map(|request| request.texts(self.settings.least_bytes()).shown).unwrap_or_default()
    }

    /// The request with the first `count` messages.
    fn body(&self, recorded: &Recorded, count: usize) -> String {
        let messages: Vec<Value> = recorded.messages.iter().take(count).map(message).collect();
        let [model, system] = [self.model, &recorded.system].map(Value::from);
        format!(
            r#"{{"model":{model},"max_tokens":1,"system":{system},"messages":{}}}"#,
            Value::from(messages)
        )
    }
}

/// The positions of the model's messages: a request with all before it led to each.
fn turns(messages: &[Message]) -> impl Iterator<Item = usize> {
    messages.iter().enumerate().filter(|(_, message)| message.by_model).map(|(at, _)| at)
}

fn results(shown: &[ConversationText]) -> Vec<String> {
    let results = shown.iter().filter(|shown| matches!(shown.by, Speaker::Tool(_)));
    results.map(|shown| shown.text.clone()).collect()
}

fn count_results(messages: &[Message]) -> usize {
    let blocks = messages.iter().filter(|message| !message.by_model).flat_map(|message| &message.blocks);
    blocks.filter(|block| matches!(block, Block::Result { .. })).count()
}

/// A message in Anthropic's form.
fn message(message: &Message) -> Value {
    let block = |block: &Block| match block {
        Block::Text(text) => json!({"type": "text", "text": text}),
        Block::Call { id, name, input } => {
            json!({"type": "tool_use", "id": id, "name": name, "input": input})
        }
        Block::Result { id, text } => json!({"type": "tool_result", "tool_use_id": id, "content": text}),
    };
    let role = if message.by_model { "assistant" } else { "user" };
    json!({"role": role, "content": message.blocks.iter().map(block).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    #![expect(clippy::format_collect, reason = "tests build their texts line by line")]

    use super::*;

    fn file() -> String {
        (0..60).map(|n| format!("    let value_{n} = compute(input[{n}]);\n")).collect()
    }

    /// An agent that reads a file twice, logs noise, and edits what it read.
    fn log() -> String {
        let call = |id: &str, name: &str, input: Value| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": name, "input": input}]});
        let result = |id: &str, text: String| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": text}]});
        let noise: String =
            (0..50).map(|n| format!("Epoch {n}: the loss is 0.{n}31 after {n}00 steps\n")).collect();
        let old = "    let value_7 = compute(input[7]);\n    let value_8 = compute(input[8]);";
        let messages = vec![
            json!({"role": "user", "content": [{"type": "text", "text": "Mend it."}]}),
            call("a", "Read", json!({"file_path": "/a.rs"})),
            result("a", file()),
            call("b", "bash", json!({"command": "train"})),
            result("b", noise),
            call("c", "Read", json!({"file_path": "/a.rs"})),
            result("c", file()),
            call("d", "Edit", json!({"file_path": "/a.rs", "old_string": old, "new_string": "x"})),
            result("d", "{\"done\": true}".into()),
            json!({"role": "assistant", "content": [{"type": "text", "text": "Step 4900 had 0.4931, and 0.1531."}]}),
        ];
        json!({"id": "x", "system": "s", "messages": messages}).to_string()
    }

    #[test]
    fn a_log_is_played_turn_by_turn_and_rule_by_rule() {
        let play = || replay(&[("log".into(), log())], &ProxyConfig::default(), "gpt-4o").unwrap();
        let report = play();
        assert_eq!(report, play(), "the same log gives the same figures");
        let all = &report.all;
        assert_eq!((report.conversations, report.turns, all.changed, all.marked), (1, 5, 2, 2));
        assert!(all.characters_saved > 0.5 && all.tokens_saved > 0.5, "{all:?}");
        assert_eq!((all.prefixes_broken, all.json_broken), (0, 0));
        assert_eq!((all.lines, all.blocks), (Kept { kept: 2, of: 2 }, Kept { kept: 1, of: 1 }));
        assert_eq!((all.edits, all.edits_with_a_lost_line), (1, 0));
        // 0.1531 was in one of the lines alike but for numbers.
        assert_eq!(all.answers, Kept { kept: 2, of: 3 }, "{all:?}");
        let saved: Vec<_> =
            report.rules.iter().map(|it| (it.rule, it.alone.changed, it.without.changed)).collect();
        assert_eq!(saved[0], (Rule::Repeats, 1, 1));
        assert_eq!(saved[1], (Rule::Runs, 1, 1));
        assert!(saved[2..].iter().all(|(_, alone, without)| (*alone, *without) == (0, 2)), "{saved:?}");
        let sum = report.rules.iter().map(|it| it.alone.characters_saved).sum::<f64>();
        assert!((sum - all.characters_saved).abs() < 1e-9, "each result is folded by one rule here");
    }

    #[test]
    fn what_cannot_be_played_is_named() {
        let error = replay(&[("a.jsonl".into(), "{}".into())], &ProxyConfig::default(), "m").unwrap_err();
        assert!(error.to_string().starts_with("a.jsonl: there is no conversation"), "{error}");
    }
}
