//! Text, purely: token counts, protected spans, units that are kept or dropped whole, sentences.

/// Counts the tokens of a text as a target model would.
pub trait TokenCounter: Send + Sync {
    /// Name, such as `o200k_base`.
    fn name(&self) -> &str;

    /// Tokens of `text`, read as plain text: the spelling of a control token is counted as text.
    fn count(&self, text: &str) -> usize;

    /// Is the count an estimate, because the target's tokenizer is not public?
    fn approximate(&self) -> bool {
        false
    }
}
