//! Text, purely: token counts, protected spans, units that are kept or dropped whole, sentences.

mod counter;
mod groups;
mod patterns;
mod protect;
mod sentences;
mod units;

pub use counter::{TokenCounter, TokenizerError, for_model, for_name};
pub use groups::{Grain, grouped};
pub use protect::{ProtectError, Protection, Protector};
pub use sentences::sentences;
pub use units::{Unit, fuses, units};
