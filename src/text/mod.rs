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

#[derive(Debug, Clone)]
pub struct Unit { pub range: std::ops::Range<usize>, pub core: std::ops::Range<usize> }
pub fn units(_t: &str, _p: &[std::ops::Range<usize>]) -> Vec<Unit> { vec![] }
pub fn fuses(_a: &str, _b: &str) -> bool { false }
#[derive(Debug, Default)]
pub struct Protector;
impl Protector { pub fn spans(&self, _t: &str) -> Vec<std::ops::Range<usize>> { vec![] } }
