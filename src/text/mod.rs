//! Text, purely: token counts, protected spans, units that are kept or dropped whole.

mod counter;
mod protect;
mod units;

pub use counter::{TokenCounter, TokenizerError, for_model, for_name};
pub use protect::{ProtectError, Protection, Protector};
pub use units::{Unit, fuses, units};
