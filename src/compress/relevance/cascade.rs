//! The cosines of a prompt's documents and units with its question, of which the embedder reads a bounded part.
//!
//! A first pass over the words of all units, which takes next to no time, ranks them by BM25 and by the meanings of their
//! words alone, with the same shares of neighbours, documents and records as in the ranking itself. The embedder reads a
//! [`Window`] of that ranking around the place where the room ends: what comes long before is likely kept whatever it
//! says, and what comes long behind is likely not. The cosines of the others are guessed from the first pass, along the
//! line through those that were read. A document then is worth the mean of its units. What is read is bounded in tokens, whatever the room,
//! so that the result is the same bytes on a slow machine and on a fast one; a short prompt is read whole.
//!
//! # What was tried
//! First, to read the best units of the first pass. Characters of the evidence that are left at 0.05, per cent, over
//! `contracts` (32 questions, 13,000 tokens) and `qmsum` (21, 10,000 tokens) of `data/domains`:
//!
//! | tokens read | first pass by | [`MARGIN`] | contracts | qmsum |
//! |---|---|---|---|---|
//! | everything is read | | | 79.6 | 31.4 |
//! | 16,000 | words and meanings | 0 or 0.2 | 79.6 | 31.4 |
//! | 8,000 | words and meanings | 0 | 67.3 | 29.0 |
//! | 8,000 | words and meanings | 0.1 | 79.6 | 30.4 |
//! | 8,000 (chosen) | words and meanings | 0.2 | 79.6 | 32.7 |
//! | 4,000 | words and meanings | 0.1 | 79.6 | 30.6 |
//! | 4,000 | words and meanings | 0.2 | 85.7 | 31.4 |
//! | 8,000 | words alone | 0 | 73.5 | 28.8 |
//! | 8,000 | words alone | 0.1 | 79.6 | 30.3 |
//!
//! Where the room is large, the best units need not be read: a quarter of the window before its end is enough. At 0.5 /
//! 0.25, a window of 8,000 gives what reading everything does on `contracts`, `papers`, `meetingqa` and `logs`, and on
//! `qmsum` 73.5 / 57.5 instead of 73.5 / 57.3. Prompts of up to 16,000 are read whole: on `code` (22 questions) a
//! window lost two definitions' lines at 0.5 and one at 0.25, for the unread neighbours of a line pull it down. One of 4,000
//! lost an answer of `code` and lines at three rates; measured once more over all sets, two answers of 22 at 0.10 and one
//! at 0.05, and nothing else.
//!
//! Each document of a short prompt is read by itself besides its units, if there are several. Without that, worth the mean of its units, prompts take
//! 37% less time; 300 questions of NQ keep 99.7 / 97.7 / 91.7 instead of 100 / 98.0 / 92.7 at 0.25 / 0.10 / 0.05, and
//! `hotpot` 88 / 52 / 22 instead of 90 / 54 / 22, all within their intervals, but lower where many documents compete. The
//! mean at length 1 did no better. All sets are in `src/docs/figures.md`.

use std::cell::RefCell;

use crate::compress::CompressError;
use crate::compress::statistics::Line;
use crate::model::{Cancel, Embedder, ScoreError, WordMatch};
use crate::text::PieceCounts;

/// The tokens of a prompt's documents and units, added up, up to which everything is read.
const WHOLE: usize = 16_000;
/// The tokens that the embedder reads of a longer prompt.
const READ: usize = 8_000;
/// The tokens, of those that are read, that lie before the end of the room.
const READ_BEFORE: usize = READ / 4;
/// The amount taken off each guess behind the window, so that what was read comes first.
const MARGIN: f64 = 0.2;
/// Bytes of a text whose tokens are counted before it is asked whether they are too many already.
const COUNTED: usize = 16_384;
/// Units that are passed over because they are too long for what may still be read.
const PASSED_OVER: usize = 8;

/// The part of a prompt's units, the best by the first pass first, that the embedder reads: around the place where the
/// room ends, for there its judgement decides. All tokens are the embedder's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// The tokens of documents and units, added up, up to which everything is read instead.
    pub(super) whole: usize,
    /// The share of the documents that there is room for, 0 to 1: a share, since the budget is counted by another
    /// tokenizer, whose tokens may be three of the embedder's.
    pub(super) share: f64,
    /// The most tokens before the end of the room.
    pub(super) before: usize,
    /// The most tokens in all.
    pub(super) tokens: usize,
}

impl Window {
    /// The window where there is room for a `share` of the documents.
    pub(super) fn at(share: f64) -> Self {
        Self { whole: WHOLE, share: share.clamp(0.0, 1.0), before: READ_BEFORE, tokens: READ }
    }
}

/// The cosines of vectors and the question's.
pub(super) struct Cosines {
    pub(super) documents: Vec<f64>,
    pub(super) units: Vec<f64>,
}

/// The comparison of a prompt's units by their words alone, and their sizes.
pub(super) struct FirstPass {
    pub(super) cosines: Cosines,
    /// The embedder's tokens of each unit.
    tokens: Vec<usize>,
}

/// The units of a prompt: the text of each in its context, and the number of its document.
pub(super) struct Units<'a> {
    pub(super) texts: &'a [String],
    pub(super) documents: &'a [usize],
    /// The bytes of each, without its context.
    pub(super) bytes: &'a [usize],
    /// The number of documents, some of which may have no unit.
    pub(super) count: usize,
}

/// The units before a window, and those in it in the order of the prompt.
#[derive(Default)]
struct Parted {
    before: Vec<usize>,
    inside: Vec<usize>,
}

/// Compares texts with a question.
pub(super) struct Reader<'a> {
    question: &'a str,
    embedder: &'a dyn Embedder,
    cancel: &'a Cancel,
    /// The embedder's tokens of words.
    words: RefCell<PieceCounts>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(question: &'a str, embedder: &'a dyn Embedder, cancel: &'a Cancel) -> Self {
        Self { question, embedder, cancel, words: RefCell::default() }
    }

    /// Tokens of a text, as the sum over its words: most words come often, and an embedder's own count takes longer than
    /// all else that is done with a text whose vector is remembered.
    fn tokens(&self, text: &str) -> Result<usize, ScoreError> {
        self.words.borrow_mut().sum_of_words(text, |word| self.embedder.count(word, self.cancel))
    }

    /// Returns whether all texts together are few enough to be read whole.
    pub(super) fn fits(
        &self,
        texts: &[String],
        others: &[String],
        window: Window,
    ) -> Result<bool, CompressError> {
        let mut left = window.whole;
        for part in texts.iter().chain(others).flat_map(|text| parts_of(text, COUNTED)) {
            let tokens = self.tokens(part)?;
            if tokens > left {
                return Ok(false);
            }
            left -= tokens;
        }
        Ok(true)
    }

    /// Reads everything.
    pub(super) fn read(&self, documents: &[String], units: &[String]) -> Result<Cosines, CompressError> {
        let mut cosines = self.cosines(&[texts(documents), texts(units)].concat())?;
        let units = cosines.split_off(documents.len());
        Ok(Cosines { documents: cosines, units })
    }

    /// Reads the units alone, by whose means documents are compared.
    pub(super) fn read_units(&self, units: &Units) -> Result<Cosines, CompressError> {
        let read = self.cosines(&texts(units.texts))?;
        Ok(Cosines { documents: units.means(&read), units: read })
    }

    /// Compares by words alone; all are alike where the embedder cannot tell.
    pub(super) fn first_pass(&self, units: &Units) -> Result<FirstPass, CompressError> {
        let found = self.embedder.compare_words(self.question, &texts(units.texts), self.cancel)?;
        let (cosines, tokens) = if let Some(found) = found {
            found.into_iter().map(|WordMatch { cosine, tokens }| (cosine, tokens)).unzip()
        } else {
            let tokens = units.texts.iter().map(|text| self.tokens(text)).collect::<Result<Vec<_>, _>>()?;
            (vec![0.0; units.texts.len()], tokens)
        };
        Ok(FirstPass { cosines: Cosines { documents: units.means(&cosines), units: cosines }, tokens })
    }

    /// Reads the units in the `window`, the best by `scores` first, and guesses the others from the cosines of the first
    /// pass.
    pub(super) fn read_window(
        &self,
        units: &Units,
        (first, scores): (&FirstPass, &[f64]),
        window: Window,
    ) -> Result<Cosines, CompressError> {
        let Parted { before, inside } = units.part(scores, &first.tokens, window);
        let first = &first.cosines;
        let texts: Vec<&str> = inside.iter().map(|&unit| units.texts[unit].as_str()).collect();
        let read = self.cosines(&texts)?;
        let points = inside.iter().map(|&unit| first.units[unit]).zip(read.iter().copied());
        let line = Line::nearest(&points.collect::<Vec<_>>());
        let mut cosines: Vec<f64> = first.units.iter().map(|&cosine| line.at(cosine) - MARGIN).collect();
        for unit in before {
            cosines[unit] += MARGIN;
        }
        for (&unit, cosine) in inside.iter().zip(read) {
            cosines[unit] = cosine;
        }
        Ok(Cosines { documents: units.means(&cosines), units: cosines })
    }

    fn cosines(&self, texts: &[&str]) -> Result<Vec<f64>, CompressError> {
        let question = self.embedder.embed_query(self.question, self.cancel)?;
        let cosine =
            |vector: &Vec<f32>| question.iter().zip(vector).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        Ok(self.embedder.embed(texts, self.cancel)?.iter().map(cosine).collect())
    }
}

/// Cuts a text before spaces into parts of at least so many bytes, but for the last.
fn parts_of(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.ceil_char_boundary(bytes.min(rest.len()));
        let end = rest[from..].find(char::is_whitespace).map_or(rest.len(), |space| from + space);
        let (part, behind) = rest.split_at(end);
        rest = behind;
        (!part.is_empty()).then_some(part)
    })
}

fn texts(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

/// Moves `start` to the front of `order` as long as units fit into what is `left`.
fn back(order: &[usize], tokens: &[usize], (start, left): (&mut usize, &mut usize)) {
    while *start > 0 && tokens[order[*start - 1]] <= *left {
        *start -= 1;
        *left -= tokens[order[*start]];
    }
}

impl Units<'_> {
    /// Finds the units before the window and those in it, the best by `scores` first.
    fn part(&self, scores: &[f64], tokens: &[usize], window: Window) -> Parted {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        let end = self.end_of_room(&order, window.share);
        let (mut start, mut left) = (end, window.before.min(window.tokens));
        back(&order, tokens, (&mut start, &mut left));
        // What the units before the end do not take is left for those behind it, and the other way round.
        left += window.tokens - window.before.min(window.tokens);
        let (mut inside, mut passed) = (Vec::new(), 0);
        for &unit in &order[end..] {
            if tokens[unit] <= left {
                left -= tokens[unit];
                inside.push(unit);
            } else if passed == PASSED_OVER {
                break;
            } else {
                passed += 1;
            }
        }
        back(&order, tokens, (&mut start, &mut left));
        inside.extend(&order[start..end]);
        inside.sort_unstable();
        Parted { before: order[..start].to_vec(), inside }
    }

    /// The number of units, in `order`, that a `share` of all bytes holds.
    fn end_of_room(&self, order: &[usize], share: f64) -> usize {
        let room = share * self.bytes.iter().sum::<usize>() as f64;
        let mut taken = 0;
        let holds = |&&unit: &&usize| {
            taken += self.bytes[unit];
            taken as f64 <= room
        };
        order.iter().take_while(holds).count()
    }

    /// The mean over the units of each document, weighed by their lengths.
    fn means(&self, cosines: &[f64]) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.count];
        for ((&document, text), cosine) in self.documents.iter().zip(self.texts).zip(cosines) {
            let length = text.len() as f64;
            sums[document].0 += length * cosine;
            sums[document].1 += length;
        }
        sums.into_iter().map(|(sum, length)| if length > 0.0 { sum / length } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_units_count_more_in_their_document() {
        let texts = ["aaa".to_owned(), "a".to_owned(), "aa".to_owned()];
        let units = Units { texts: &texts, documents: &[0, 0, 2], bytes: &[3, 1, 2], count: 3 };
        assert_eq!(units.means(&[1.0, 0.0, 0.5]), [0.75, 0.0, 0.5]);
    }

    /// Counts ten tokens for each word.
    struct Tens;

    impl Embedder for Tens {
        fn name(&self) -> &'static str {
            "tens"
        }

        fn dimensions(&self) -> usize {
            1
        }

        fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
            Ok(10 * text.split_whitespace().count())
        }

        fn embed(&self, texts: &[&str], _: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            Ok(vec![vec![1.0]; texts.len()])
        }
    }

    #[test]
    fn the_window_lies_around_the_end_of_the_room_whatever_a_token_is() {
        let texts: Vec<String> = (0..20).map(|i| format!("w{i:02}")).collect();
        let units = Units { texts: &texts, documents: &[0; 20], bytes: &[3; 20], count: 1 };
        // The last unit is the best.
        let scores: Vec<f64> = (0..20).map(f64::from).collect();
        let cancel = Cancel::never();
        let tokens = Reader::new("w", &Tens, &cancel).first_pass(&units).unwrap().tokens;
        for (share, before, inside) in [
            (0.5, 17..20, 9..17),
            (0.0, 20..20, 12..20),
            (0.1, 20..20, 12..20),
            (0.95, 8..20, 0..8),
            (1.0, 8..20, 0..8),
        ] {
            let window = Window { whole: 0, share, before: 70, tokens: 80 };
            let mut parted = units.part(&scores, &tokens, window);
            parted.before.sort_unstable();
            let (wanted_before, wanted_inside): (Vec<usize>, Vec<usize>) =
                (before.collect(), inside.collect());
            assert_eq!((parted.before, parted.inside), (wanted_before, wanted_inside), "{share}");
        }
    }

    #[test]
    fn a_text_is_cut_before_spaces() {
        assert_eq!(
            parts_of("one two  three ü four", 5).collect::<Vec<_>>(),
            ["one two", "  three", " ü four"]
        );
        assert_eq!(parts_of("üüüü", 3).collect::<Vec<_>>(), ["üüüü"]);
        assert_eq!(parts_of("", 3).count(), 0);
    }

    #[test]
    fn a_share_is_of_its_range() {
        for (share, clamped) in [(-1.0, 0.0), (0.3, 0.3), (f64::INFINITY, 1.0)] {
            assert!((Window::at(share).share - clamped).abs() < 1e-12);
        }
    }
}
