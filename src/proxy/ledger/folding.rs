//! The savings of folding, by rule and kind of result.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Entry;

/// The savings of one rule on results of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct FoldingLine {
    /// Name of the rule.
    pub rule: String,
    /// Kind of the results: `prose`, `code`, `json`, `log`, `diff`, `table`, `chat`, or `search` for hits of a search.
    pub kind: String,
    /// Requests with such a result.
    pub requests: u64,
    /// Tokens that were left out, counted in each request that would have had them.
    pub saved_tokens: u64,
    /// Dollars that this saved on requests with a price, less its part of the cost of the work.
    pub saving_usd: f64,
}

/// Sums by rule and kind while they are made.
#[derive(Debug, Default)]
pub(super) struct Folding(BTreeMap<(String, String), Sum>);

#[derive(Debug, Default)]
struct Sum {
    requests: u64,
    tokens: u64,
    /// Billionths of a dollar.
    saving: f64,
}

impl Folding {
    pub(super) fn add(&mut self, entry: &Entry) {
        let spared = entry.texts.0.saturating_sub(entry.texts.1);
        for part in &entry.more.folded {
            let sum = self.0.entry((part.rule.clone(), part.kind.clone())).or_default();
            sum.requests += 1;
            sum.tokens = sum.tokens.saturating_add(part.tokens);
            if let Some(saving) = entry.saving.filter(|_| spared > 0) {
                sum.saving += saving as f64 * (part.tokens as f64 / spared as f64);
            }
        }
    }

    pub(super) fn lines(self) -> Vec<FoldingLine> {
        let line = |((rule, kind), sum): (_, Sum)| FoldingLine {
            rule,
            kind,
            requests: sum.requests,
            saved_tokens: sum.tokens,
            saving_usd: sum.saving / 1e9,
        };
        self.0.into_iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::ledger::entry::{More, Part};

    #[test]
    fn savings_are_shared_out_by_tokens() {
        let part = |rule: &str, tokens| Part { rule: rule.into(), kind: "log".into(), tokens };
        let entry = |saving, parts| Entry {
            texts: (1000, 600),
            saving,
            more: More { folded: parts, ..More::default() },
            ..Entry::default()
        };
        let mut folding = Folding::default();
        folding.add(&entry(Some(2_000_000_000), vec![part("repeats", 300), part("runs", 100)]));
        folding.add(&entry(None, vec![part("runs", 50)]));
        folding.add(&entry(Some(7), vec![]));
        let lines = folding.lines();
        let told: Vec<_> =
            lines.iter().map(|l| (&*l.rule, l.requests, l.saved_tokens, l.saving_usd)).collect();
        assert_eq!(told, [("repeats", 1, 300, 1.5), ("runs", 2, 150, 0.5)]);
    }
}
