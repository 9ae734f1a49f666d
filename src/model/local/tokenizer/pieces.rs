//! `SentencePiece`'s BPE: neighbours are joined, the pair with the best score first, and what is no token becomes bytes.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::ops::Range;

use super::TokenizerError;

/// The character that stands for a space.
const SPACE: char = '\u{2581}';

/// The kinds of tokens in `tokenizer.ggml.token_type`.
mod kind {
    pub(super) const NORMAL: u32 = 1;
    pub(super) const USER_DEFINED: u32 = 4;
    pub(super) const BYTE: u32 = 6;
}

/// A vocabulary of pieces with their scores.
pub(super) struct Pieces {
    /// Tokens that joining may make, with their scores.
    joined: HashMap<Box<str>, (u32, f32)>,
    /// Tokens that are cut out of a text, as it stands, before anything is joined.
    whole: HashMap<Box<str>, u32>,
    /// Bytes of the longest of `whole`.
    longest: usize,
    /// The bytes that one of `whole` begins with.
    begins_whole: Box<[bool; 256]>,
    /// The token of every byte.
    bytes: Box<[u32; 256]>,
    /// A text begins with a space that it has not, if this is set.
    prefix: bool,
}

/// The metadata that [`Pieces`] are made of: lists of the same length.
pub(crate) struct PieceVocabulary<'a> {
    pub(crate) tokens: &'a [String],
    pub(crate) scores: &'a [f32],
    pub(crate) kinds: &'a [u32],
    /// A text begins with a space that it has not, if this is set.
    pub(crate) prefix: bool,
}

impl Pieces {
    /// Sorts a vocabulary by the kind of its tokens.
    ///
    /// # Errors
    /// Lists are of different lengths, a score is no number, or a byte has no token.
    pub(super) fn new(vocabulary: &PieceVocabulary) -> Result<Self, TokenizerError> {
        let PieceVocabulary { tokens, scores, kinds, prefix } = *vocabulary;
        if scores.len() != tokens.len() || kinds.len() != tokens.len() {
            return Err(unusable(format!(
                "it has {} tokens, {} scores and {} types; fetch the file again",
                tokens.len(),
                scores.len(),
                kinds.len()
            )));
        }
        let (mut joined, mut whole) = (HashMap::new(), HashMap::<Box<str>, u32>::new());
        let mut bytes = [None; 256];
        for (id, (token, (&score, &kind))) in (0..).zip(tokens.iter().zip(scores.iter().zip(kinds))) {
            match kind {
                kind::NORMAL if score.is_nan() => {
                    return Err(unusable(format!("the score of `{token}` is no number")));
                }
                kind::NORMAL => drop(joined.insert(token.as_str().into(), (id, score))),
                kind::USER_DEFINED if !token.is_empty() => drop(whole.insert(token.as_str().into(), id)),
                kind::BYTE => match byte_of(token) {
                    Some(byte) => bytes[usize::from(byte)] = Some(id),
                    None => return Err(unusable(format!("`{token}` is not the name of a byte"))),
                },
                _ => {}
            }
        }
        let mut known = Box::new([0; 256]);
        for (byte, (known, found)) in known.iter_mut().zip(bytes).enumerate() {
            *known = found.ok_or_else(|| {
                unusable(format!("byte {byte:#04x} has no token: choose a model with byte fallback"))
            })?;
        }
        let longest = whole.keys().map(|token| token.len()).max().unwrap_or(0);
        let mut begins_whole = Box::new([false; 256]);
        for first in whole.keys().filter_map(|token| token.bytes().next()) {
            begins_whole[usize::from(first)] = true;
        }
        Ok(Self { joined, whole, longest, begins_whole, bytes: known, prefix })
    }

    /// Tokens of `text`, with the bytes of it that each stands for.
    pub(super) fn encode(&self, text: &str) -> Vec<(u32, Range<usize>)> {
        let added = self.prefix && !text.is_empty();
        let mut written = String::with_capacity(text.len() + text.len() / 4);
        written.extend(added.then_some(SPACE));
        written.extend(text.chars().map(|c| if c == ' ' { SPACE } else { c }));
        // Characters of the text by those of what is written; the space that was added has no width.
        let mut widths = added.then_some(0).into_iter().chain(text.chars().map(char::len_utf8));
        let (mut tokens, mut at) = (Vec::new(), 0);
        for (piece, fixed) in self.joined_pieces((text, added), &written) {
            let end = at + widths.by_ref().take(piece.chars().count()).sum::<usize>();
            match fixed.or_else(|| self.joined.get(piece).map(|&(id, _)| id)) {
                Some(id) => tokens.push((id, at..end)),
                None => self.push_bytes(piece, at..end, &mut tokens),
            }
            at = end;
        }
        tokens
    }

    /// The tokens of the bytes of a piece that stands for `range`. A space has one byte there and three here.
    fn push_bytes(&self, piece: &str, range: Range<usize>, tokens: &mut Vec<(u32, Range<usize>)>) {
        for (i, byte) in piece.bytes().enumerate() {
            let start = (range.start + i).min(range.end);
            tokens.push((self.bytes[usize::from(byte)], start..(start + 1).min(range.end)));
        }
    }

    /// The pieces that are left when nothing can be joined, with the token of those that were cut out. They are of
    /// `text`, which is `raw` with another character for spaces, and one before all where that was `added`.
    fn joined_pieces<'a>(
        &self,
        (raw, added): (&str, bool),
        text: &'a str,
    ) -> impl Iterator<Item = (&'a str, Option<u32>)> {
        let mut symbols = self.symbols((raw, added), text);
        let mut pairs = BinaryHeap::new();
        for left in 1..symbols.len() {
            self.consider(text, &symbols, (left - 1, left), &mut pairs);
        }
        while let Some(Pair { left, right, range, .. }) = pairs.pop() {
            // A pair one of whose sides was joined with another meanwhile is none any more.
            if symbols[left].range.start != range.start
                || symbols[left].range.is_empty()
                || symbols[right].range.is_empty()
                || symbols[right].range.end != range.end
            {
                continue;
            }
            let (next, before) = (symbols[right].next, symbols[left].previous);
            symbols[right].range = range.end..range.end;
            symbols[left].range = range;
            symbols[left].next = next;
            if let Some(next) = next {
                symbols[next].previous = Some(left);
                self.consider(text, &symbols, (left, next), &mut pairs);
            }
            if let Some(before) = before {
                self.consider(text, &symbols, (before, left), &mut pairs);
            }
        }
        symbols.into_iter().filter(|s| !s.range.is_empty()).map(|s| (&text[s.range], s.fixed))
    }

    /// Characters of `text`, and the tokens that are cut out of `raw`.
    fn symbols(&self, (raw, added): (&str, bool), text: &str) -> Vec<Symbol> {
        let mut symbols = Vec::with_capacity(text.len());
        let (mut at, mut rest) = (0, raw);
        while let Some(first) = text[at..].chars().next() {
            let space_alone = added && at == 0;
            let fixed = if space_alone { None } else { self.whole_at(rest) };
            let taken = match fixed {
                Some((length, _)) => length,
                None if space_alone => 0,
                None => rest.chars().next().map_or(0, char::len_utf8),
            };
            let (own, others) = rest.split_at(taken);
            rest = others;
            let end = at + if space_alone { first.len_utf8() } else { own.chars().map(written_width).sum() };
            let i = symbols.len();
            symbols.push(Symbol {
                range: at..end,
                fixed: fixed.map(|(_, id)| id),
                previous: i.checked_sub(1),
                next: (end < text.len()).then_some(i + 1),
            });
            at = end;
        }
        symbols
    }

    /// The longest token that is cut out at the start of `raw`, with its length.
    fn whole_at(&self, raw: &str) -> Option<(usize, u32)> {
        if !self.begins_whole[usize::from(*raw.as_bytes().first()?)] {
            return None;
        }
        let mut lengths = (1..=self.longest.min(raw.len())).rev();
        lengths.find_map(|n| Some((n, *self.whole.get(raw.get(..n)?)?)))
    }

    /// Adds a pair whose sides make a token.
    fn consider(
        &self,
        text: &str,
        symbols: &[Symbol],
        (left, right): (usize, usize),
        pairs: &mut BinaryHeap<Pair>,
    ) {
        if symbols[left].fixed.is_some() || symbols[right].fixed.is_some() {
            return;
        }
        let range = symbols[left].range.start..symbols[right].range.end;
        if let Some(&(_, score)) = self.joined.get(&text[range.clone()]) {
            pairs.push(Pair { score, left, right, range });
        }
    }
}

/// Bytes of a character where a space is written as [`SPACE`].
fn written_width(c: char) -> usize {
    if c == ' ' { SPACE.len_utf8() } else { c.len_utf8() }
}

/// Part of a text; empty where it was joined with the one before it.
struct Symbol {
    range: Range<usize>,
    /// The token that was cut out here.
    fixed: Option<u32>,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Two neighbours that make a token together.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    range: Range<usize>,
}

impl Ord for Pair {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

fn unusable(what: String) -> TokenizerError {
    TokenizerError::Vocabulary(what)
}

/// The byte that a token such as `<0x0A>` names.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    if digits.len() == 2 { u8::from_str_radix(digits, 16).ok() } else { None }
}

/// The bytes that a token of `kind` stands for.
pub(super) fn bytes_of(token: &str, kind: u32) -> Box<[u8]> {
    match byte_of(token).filter(|_| kind == kind::BYTE) {
        Some(byte) => Box::new([byte]),
        None => token.replace(SPACE, " ").into_bytes().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(words: &[(&str, f32)], whole: &[&str], prefix: bool) -> Result<Pieces, TokenizerError> {
        let mut tokens: Vec<String> = (0..=255).map(|byte: u8| format!("<0x{byte:02X}>")).collect();
        let (mut scores, mut kinds) = (vec![0.0; 256], vec![kind::BYTE; 256]);
        for (token, score, kind) in words
            .iter()
            .map(|&(word, score)| (word, score, kind::NORMAL))
            .chain(whole.iter().map(|&word| (word, 0.0, kind::USER_DEFINED)))
        {
            tokens.push(token.to_owned());
            scores.push(score);
            kinds.push(kind);
        }
        Pieces::new(&PieceVocabulary { tokens: &tokens, scores: &scores, kinds: &kinds, prefix })
    }

    #[test]
    fn the_best_pair_is_joined_first_and_what_is_no_token_becomes_bytes() {
        let words =
            [("a", -1.0), ("b", -2.0), ("c", -3.0), ("ab", -9.0), ("bc", -8.0), ("▁", -4.0), ("▁a", -5.0)];
        let pieces = pieces(&words, &["cc"], true).unwrap();
        assert_eq!(pieces.encode("abc"), [(262, 0..1), (260, 1..3)]);
        assert_eq!(pieces.encode("é "), [(261, 0..0), (0xC3, 0..1), (0xA9, 1..2), (261, 2..3)]);
        assert_eq!(pieces.encode("bcc"), [(261, 0..0), (257, 0..1), (263, 1..3)]);
        assert!(pieces.encode("").is_empty());
    }

    #[test]
    fn tokens_that_are_cut_out_are_found_in_the_text_as_it_stands() {
        let words = [("a", -1.0), ("▁", -4.0), ("▁a", -5.0)];
        let whole = ["  ", "a▁", "\n\n"];
        let [spaces, marked, lines] = [259, 260, 261];
        let plain = pieces(&words, &whole, false).unwrap();
        assert_eq!(plain.encode("a  a"), [(256, 0..1), (spaces, 1..3), (256, 3..4)]);
        assert_eq!(plain.encode("a   a\n\n"), [(256, 0..1), (spaces, 1..3), (258, 3..5), (lines, 5..7)]);
        // What stands for a space inside is another character in a text.
        assert_eq!(plain.encode("a a▁"), [(256, 0..1), (257, 1..2), (marked, 2..6)]);
        let prefixed = pieces(&words, &whole, true).unwrap();
        assert_eq!(prefixed.encode("  a"), [(257, 0..0), (spaces, 0..2), (256, 2..3)]);
    }

    #[test]
    fn vocabularies_that_cannot_be_used_say_why() {
        let says = |found: Result<Pieces, TokenizerError>| found.err().unwrap().to_string();
        assert!(says(pieces(&[("a", f32::NAN)], &[], false)).contains("no number"));
        let one = |tokens: &[String], kinds: &[u32]| {
            says(Pieces::new(&PieceVocabulary { tokens, scores: &[0.0], kinds, prefix: false }))
        };
        assert!(one(&["a".into()], &[kind::NORMAL]).contains("byte 0x00 has no token"));
        assert!(one(&["a".into()], &[kind::BYTE]).contains("not the name of a byte"));
        assert!(one(&[], &[]).contains("0 tokens, 1 scores"));
    }
}
