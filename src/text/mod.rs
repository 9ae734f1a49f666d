//! Text, purely: token counts, protected spans, units that are kept or dropped whole, sentences, chunks.

mod answers;
mod chunks;
mod counter;
mod enumeration;
mod granularity;
mod json;
mod kind;
mod marks;
mod matcher;
mod negation;
mod numbers;
mod patterns;
mod prepare;
mod protect;
mod script;
mod segments;
mod sentences;
mod units;

pub use answers::{contains, contains_in, contains_numbers, exact_match, f1, normalise, normalise_in};
pub use chunks::{Chunk, ChunkSettings, Layout, chunks};
pub(crate) use counter::read_control_tokens_as_text;
pub use counter::{
    CachedCounter, PieceCounts, TokenCounter, TokenizerError, decode_cl100k, for_model, for_name,
    from_tokenizer_json,
};
pub(crate) use enumeration::{Item, items};
pub use granularity::{Granularity, coarsened};
pub(crate) use json::{DuplicateKey, JsonMember, JsonValue, inside_quotes};
pub use json::{JsonError, JsonKind, JsonToken, escaped, escaped_offsets, escaped_ranges, json_tokens};
pub use kind::Kind;
pub use marks::{Mark, MarkStyle, Noun};
pub(crate) use negation::governs;
pub use negation::negates;
pub use patterns::Protection;
pub use prepare::prepare;
pub use protect::{ProtectError, Protector};
pub use script::{is_accent, is_searched_by_pairs, is_unspaced};
pub use segments::{Segment, SegmentKind, core_segments, fine_segments, segments};
pub(crate) use segments::{is_definition, row_label};
pub(crate) use sentences::is_terminal;
pub use sentences::sentences;
pub use units::{Unit, units, would_merge};
