//! What a run ends with: what was saved, and what went on as it was.

use std::io::{self, Write};

use crate::proxy::{Outcomes, UsageReport};

/// Writes what the ledger has of a run, and how its requests went on.
pub(super) fn write(out: &mut impl Write, usage: &UsageReport, outcomes: &Outcomes) -> io::Result<()> {
    let total = usage.total.unwrap_or_default();
    let (before, after) = (total.text_tokens_before, total.text_tokens_after);
    let saved = before.saturating_sub(after);
    let share = 100.0 * saved as f64 / before.max(1) as f64;
    let errors = if total.errors == 0 { String::new() } else { format!(" ({} with an error)", total.errors) };
    writeln!(
        out,
        "whittle: {} requests{errors}; texts {before} -> {after} tokens, {saved} saved ({share:.1}%)",
        total.requests
    )?;
    let folding = usage.folding.as_deref().unwrap_or_default();
    let rules = folding.iter().map(|line| format!("{} of {} {}", line.rule, line.kind, line.saved_tokens));
    list(out, "folded, in tokens", rules)?;
    list(out, "requests", outcomes.statuses.iter().map(|(name, count)| format!("{name} {count}")))?;
    list(out, "kept as they were", outcomes.reasons.iter().map(|(name, count)| format!("{name} {count}")))?;
    if usage.lost > 0 {
        writeln!(out, "whittle: {} requests could not be stored and are missing", usage.lost)?;
    }
    Ok(())
}

/// Writes a line of items, if there are any.
fn list(out: &mut impl Write, what: &str, items: impl Iterator<Item = String>) -> io::Result<()> {
    let items = items.collect::<Vec<_>>().join(", ");
    if items.is_empty() { Ok(()) } else { writeln!(out, "whittle: {what}: {items}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Numbers;

    #[test]
    fn the_summary_has_the_figures_of_the_ledger() {
        let total = Numbers {
            requests: 3,
            errors: 1,
            text_tokens_before: 1000,
            text_tokens_after: 750,
            ..Numbers::default()
        };
        let text = r#"{"since": "", "until": "", "lost": 0, "folding":
            [{"rule": "progress", "kind": "log", "requests": 1, "saved_tokens": 250, "saving_usd": 0.0}]}"#;
        let mut usage: UsageReport = serde_json::from_str(text).unwrap();
        usage.total = Some(total);
        let outcomes =
            Outcomes { statuses: vec![("compressed", 2), ("original", 1)], reasons: vec![("small", 1)] };
        let mut out = Vec::new();
        write(&mut out, &usage, &outcomes).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "whittle: 3 requests (1 with an error); texts 1000 -> 750 tokens, 250 saved (25.0%)\n\
             whittle: folded, in tokens: progress of log 250\n\
             whittle: requests: compressed 2, original 1\n\
             whittle: kept as they were: small 1\n"
        );
    }

    #[test]
    fn a_run_without_requests_says_so() {
        let usage: UsageReport = serde_json::from_str(r#"{"since": "", "until": "", "lost": 0}"#).unwrap();
        let mut out = Vec::new();
        write(&mut out, &usage, &Outcomes::default()).unwrap();
        assert_eq!(out, b"whittle: 0 requests; texts 0 -> 0 tokens, 0 saved (0.0%)\n");
    }
}
