//! The encoding of decisions on texts.
//!
//! Only ranges, counts and times are stored, under hashes: no word of a prompt. What was put before a question comes from
//! collections, which the same folder holds anyway, and is stored as it is. What was compressed in another way than by
//! leaving out parts is not stored; the same input gives the same bytes, so it comes out the same again.

use std::ops::Range;

use redb::TableDefinition;

use crate::proxy::decision::{Decision, ResultKind, Tokens};

pub(super) const TABLE: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("outcomes.1");

const PINNED: u8 = 1;
const KEPT: u8 = 2;
const INSERTED: u8 = 3;
const FOLDED: u8 = 4;
const TOOL: u8 = 5;

/// Kind, time, and of kept parts the tokens and the ranges, of folded results the tokens, the kind and whether the marks name
/// the original, all little-endian. None of what is not stored.
pub(in crate::proxy) fn encode(decision: &Decision, seconds: u64) -> Option<Vec<u8>> {
    let mut value = match decision {
        Decision::Declined => vec![PINNED],
        Decision::Subset { .. } => vec![KEPT],
        Decision::Inserted { .. } => vec![INSERTED],
        Decision::Folded { .. } => vec![FOLDED],
        Decision::Tool => vec![TOOL],
        Decision::Unchanged | Decision::Small | Decision::Replaced { .. } => return None,
    };
    value.extend_from_slice(&seconds.to_le_bytes());
    if let Decision::Subset { ranges, tokens } = decision {
        let ends = ranges.iter().flat_map(|range| [range.start, range.end]);
        for number in [tokens.before, tokens.after].into_iter().chain(ends) {
            value.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
        }
    }
    if let Decision::Folded { tokens, kind, recall } = decision {
        for number in [tokens.before, tokens.after, *kind as usize, usize::from(*recall)] {
            value.extend_from_slice(&u32::try_from(number).ok()?.to_le_bytes());
        }
    }
    if let Decision::Inserted { text, citations } = decision {
        value.extend_from_slice(&u32::try_from(text.len()).ok()?.to_le_bytes());
        value.extend_from_slice(text.as_bytes());
        value.extend_from_slice(citations.as_bytes());
    }
    Some(value)
}

/// Decodes the output of [`encode`]. None of anything else.
pub(in crate::proxy) fn decode(value: &[u8]) -> Option<(Decision, u64)> {
    let (&kind, rest) = value.split_first()?;
    let (seconds, rest) = rest.split_first_chunk::<8>()?;
    if kind == INSERTED {
        return Some((inserted(rest)?, u64::from_le_bytes(*seconds)));
    }
    if rest.len() % 8 != 0 {
        return None;
    }
    let numbers: Vec<usize> =
        rest.as_chunks::<4>().0.iter().map(|n| u32::from_le_bytes(*n) as usize).collect();
    let decision = match (kind, &numbers[..]) {
        (PINNED, []) => Decision::Declined,
        (TOOL, []) => Decision::Tool,
        (KEPT, [before, after, ends @ ..]) => {
            let ranges: Box<[Range<usize>]> = ends.as_chunks::<2>().0.iter().map(|[a, b]| *a..*b).collect();
            Decision::Subset { ranges, tokens: Tokens { before: *before, after: *after } }
        }
        (FOLDED, [before, after, kind, recall @ (0 | 1)]) => Decision::Folded {
            tokens: Tokens { before: *before, after: *after },
            kind: ResultKind::at(*kind)?,
            recall: *recall == 1,
        },
        _ => return None,
    };
    Some((decision, u64::from_le_bytes(*seconds)))
}

fn inserted(value: &[u8]) -> Option<Decision> {
    let (length, rest) = value.split_first_chunk::<4>()?;
    let (text, citations) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let read = |bytes: &[u8]| Some(std::str::from_utf8(bytes).ok()?.into());
    Some(Decision::Inserted { text: read(text)?, citations: read(citations)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_written_here_is_not_read() {
        let kept = Decision::Subset { ranges: [0..4, 9..12].into(), tokens: Tokens { before: 9, after: 3 } };
        let value = encode(&kept, 7).unwrap();
        assert_eq!(decode(&value), Some((kept, 7)));
        for kind in (0..).map_while(ResultKind::at) {
            for recall in [false, true] {
                let folded = Decision::Folded { tokens: Tokens { before: 9, after: 3 }, kind, recall };
                assert_eq!(decode(&encode(&folded, 8).unwrap()), Some((folded, 8)));
            }
        }
        assert_eq!(decode(&encode(&Decision::Tool, 9).unwrap()), Some((Decision::Tool, 9)));
        for bad in [&value[..value.len() - 4], &value[..9], &[], &[9; 9][..], &[1; 12]] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
