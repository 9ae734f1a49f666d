//! The surprise of each token of a prompt without a question, of which the scorer reads a bounded part.
//!
//! A prompt of up to [`READ`] tokens is read whole, each document by itself. Of a longer one the scorer reads so many
//! tokens in pieces, and the surprise of all others is guessed: from the same token behind the same token where that was
//! read, less surely from the same token, and least surely from how rare the token is in the prompt, along a line through
//! those that were read. What repeats three tokens of before has a line of its own, for a model is not surprised twice.
//! The pieces are chosen one after the other, each for the pairs of tokens that no piece before it has, so that a repeated
//! part is read once. What is read is bounded in tokens and not in seconds: the result is the same bytes on every machine.
//!
//! # What was tried
//! `llmlingua` without a question on documents of one set of `data/domains` together (400,000 characters at most), per
//! cent at 0.5 / 0.25. Kept: answers of all questions about them, of `qmsum` and `code` characters of the evidence.
//!
//! | set (questions) | tokens | kept, all read | 20,000 read | numbers, all | 20,000 | names, all | 20,000 |
//! |---|---|---|---|---|---|---|---|
//! | qmsum (21) | 40,303 | 49.6 / 25.7 | 48.9 / 27.2 | 48.3 / 48.3 | 58.6 / 55.2 | 86.7 / 81.2 | 89.1 / 82.0 |
//! | papers (26) | 41,009 | 34.6 / 15.4 | 38.5 / 26.9 | 95.1 / 64.7 | 94.1 / 63.2 | 83.2 / 52.9 | 88.6 / 49.8 |
//! | code (22) | 35,749 | 84.2 / 47.9 | 88.9 / 47.4 | 75.4 / 54.1 | 70.5 / 52.5 | 90.9 / 54.5 | 92.4 / 53.0 |
//! | hotpot (50) | 68,061 | 68 / 40 | 64 / 32 | 92.8 / 53.2 | 90.3 / 56.8 | 84.2 / 57.5 | 89.0 / 58.0 |
//!
//! Guesses that are spread as far around their mean as what was read (they lie nearer to it): hotpot 64 / 34, code
//! 88.3 / 42.8, numbers of papers 90.2 / 58.8; not taken.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::CompressError;
use super::statistics::Line;
use crate::model::{Cancel, ScoreJob, TokenScorer};

/// The tokens up to which a prompt is read whole, and that are read of a longer one.
const READ: usize = 20_000;
/// The tokens of a piece.
const PIECE: usize = 448;
/// The tokens before a piece that are read with it, so that its first ones are not taken for surprising.
const BEFORE: usize = 64;
/// The readings of a token that weigh as much as a guess without them.
const PRIOR: f32 = 1.0;

/// The surprise of all tokens of a prompt.
pub(super) struct Surprise {
    /// The negative log-likelihood of each token, in nats, by document; the first of a document has none.
    pub(super) nll: Vec<Vec<f32>>,
    /// The number of tokens that the scorer read.
    pub(super) read: usize,
    /// The number of all tokens.
    pub(super) tokens: usize,
}

impl Surprise {
    /// Reads documents, each given by the ids of its tokens.
    ///
    /// # Errors
    /// The scorer failed or was stopped.
    pub(super) fn of(
        documents: Vec<Vec<u32>>,
        scorer: &dyn TokenScorer,
        cancel: &Cancel,
    ) -> Result<Self, CompressError> {
        Self::within(READ, documents, scorer, cancel)
    }

    /// Reads at most `most` tokens of the documents.
    fn within(
        most: usize,
        documents: Vec<Vec<u32>>,
        scorer: &dyn TokenScorer,
        cancel: &Cancel,
    ) -> Result<Self, CompressError> {
        let tokens = documents.iter().map(Vec::len).sum();
        let job = |ids| ScoreJob { prefix: Arc::default(), ids };
        if tokens <= most {
            let jobs: Vec<ScoreJob> = documents.into_iter().map(job).collect();
            return Ok(Self { nll: scorer.score(&jobs, cancel)?, read: tokens, tokens });
        }
        let pairs = Pairs::of(&documents);
        let pieces = pairs.pieces(&documents, most);
        let texts = pieces.iter().map(|piece| documents[piece.document][piece.read()].to_vec());
        let scores = scorer.score(&texts.map(job).collect::<Vec<_>>(), cancel)?;
        let mut nll: Vec<Vec<Option<f32>>> = documents.iter().map(|ids| vec![None; ids.len()]).collect();
        for (piece, scores) in pieces.iter().zip(scores) {
            // The first token that is read has no score.
            for (at, score) in (piece.read().start + 1..).zip(scores) {
                if piece.own.contains(&at) {
                    nll[piece.document][at] = Some(score);
                }
            }
        }
        let read = pieces.iter().map(|piece| piece.read().len()).sum();
        Ok(Self { nll: pairs.guessed(&documents, nll), read, tokens })
    }
}

/// A part of a document that is read.
struct Piece {
    document: usize,
    /// The tokens whose surprise is read off.
    own: Range<usize>,
}

impl Piece {
    /// The tokens that the scorer reads.
    fn read(&self) -> Range<usize> {
        self.own.start.saturating_sub(BEFORE)..self.own.end
    }
}

/// The properties of each token of a prompt that no model is needed for.
struct Pairs {
    /// The number of the pair that each token makes with the one before it, by document.
    numbers: Vec<Vec<u32>>,
    /// The times that each pair is there.
    times: Vec<u32>,
    /// Whether each token ends a run of three tokens that has been there before, by document.
    repeats: Vec<Vec<bool>>,
    /// The information of each token by its times in the prompt, in nats.
    rarity: HashMap<u32, f64>,
}

impl Pairs {
    fn of(documents: &[Vec<u32>]) -> Self {
        let (mut known, mut times) = (HashMap::new(), Vec::new());
        let (mut triples, mut counts) = (HashSet::new(), HashMap::new());
        let (mut numbers, mut repeats) = (Vec::new(), Vec::new());
        for ids in documents {
            let mut before = (u32::MAX, u32::MAX);
            let (mut own_numbers, mut own_repeats) = (Vec::new(), Vec::new());
            for &id in ids {
                let number = *known.entry((before.1, id)).or_insert_with(|| {
                    times.push(0);
                    times.len() as u32 - 1
                });
                times[number as usize] += 1;
                own_numbers.push(number);
                own_repeats.push(!triples.insert((before.0, before.1, id)));
                *counts.entry(id).or_insert(0_u32) += 1;
                before = (before.1, id);
            }
            numbers.push(own_numbers);
            repeats.push(own_repeats);
        }
        let all = documents.iter().map(Vec::len).sum::<usize>() as f64;
        let rarity = counts.into_iter().map(|(id, count)| (id, (all / f64::from(count)).ln())).collect();
        Self { numbers, times, repeats, rarity }
    }

    /// The pieces that are read: up to `most` tokens, those first that tell most for their length.
    fn pieces(&self, documents: &[Vec<u32>], most: usize) -> Vec<Piece> {
        let cut = |(document, ids): (usize, &Vec<u32>)| {
            let starts = (0..ids.len()).step_by(PIECE);
            let end = ids.len();
            starts
                .map(move |start| Piece { document, own: start..end.min(start + PIECE) })
                .collect::<Vec<_>>()
        };
        let pieces: Vec<Piece> = documents.iter().enumerate().flat_map(cut).collect();
        let mut seen = vec![false; self.times.len()];
        let worth = |piece: &Piece, seen: &[bool]| self.worth(piece, seen) / piece.read().len() as f64;
        let mut open: BinaryHeap<Candidate> =
            (0..pieces.len()).map(|at| Candidate { worth: worth(&pieces[at], &seen), at }).collect();
        let (mut left, mut is_chosen) = (most, vec![false; pieces.len()]);
        // A piece is worth less the more others are read, so that one whose worth still holds is the best.
        while let Some(Candidate { worth: before, at }) = open.pop() {
            let piece = &pieces[at];
            if piece.read().len() > left {
                continue;
            }
            let now = worth(piece, &seen);
            if now < before {
                open.push(Candidate { worth: now, at });
                continue;
            }
            left -= piece.read().len();
            for &number in &self.numbers[piece.document][piece.own.clone()] {
                seen[number as usize] = true;
            }
            is_chosen[at] = true;
        }
        pieces
            .into_iter()
            .zip(is_chosen)
            .filter(|(_, is_chosen)| *is_chosen)
            .map(|(piece, _)| piece)
            .collect()
    }

    /// The worth of a piece for guesses of all tokens, where some pairs are `seen`: a pair the more, the more often it is
    /// there, but less than in proportion, for what is rare is surprising and ought to be read.
    fn worth(&self, piece: &Piece, seen: &[bool]) -> f64 {
        let mut own = HashSet::new();
        let new = |&&number: &&u32| !seen[number as usize] && own.insert(number);
        let numbers = self.numbers[piece.document][piece.own.clone()].iter().filter(new);
        numbers.map(|&number| f64::from(self.times[number as usize]).sqrt()).sum()
    }

    /// The surprise of all tokens but the first of each document, from those that were `read`.
    fn guessed(&self, documents: &[Vec<u32>], read: Vec<Vec<Option<f32>>>) -> Vec<Vec<f32>> {
        let mut points = [Vec::new(), Vec::new()];
        let (mut tokens, mut pairs) = (HashMap::new(), HashMap::new());
        let place = |document: usize, at: usize| {
            let repeats = self.repeats[document][at];
            (repeats, documents[document][at], self.numbers[document][at])
        };
        for (document, read) in read.iter().enumerate() {
            for (at, score) in read.iter().enumerate().filter_map(|(at, score)| Some((at, (*score)?))) {
                let (repeats, id, pair) = place(document, at);
                points[usize::from(repeats)].push((self.rarity[&id], f64::from(score)));
                tokens.entry((repeats, id)).or_insert_with(Mean::default).add(score);
                pairs.entry((repeats, pair)).or_insert_with(Mean::default).add(score);
            }
        }
        let lines = points.map(|points| Line::nearest(&points));
        let guess = |document: usize, at: usize| {
            let (repeats, id, pair) = place(document, at);
            let by_rarity = lines[usize::from(repeats)].at(self.rarity[&id]) as f32;
            let by_token = tokens.get(&(repeats, id)).copied().unwrap_or_default().beside(by_rarity);
            pairs.get(&(repeats, pair)).copied().unwrap_or_default().beside(by_token)
        };
        let all = |(document, read): (usize, Vec<Option<f32>>)| {
            let scores = read.into_iter().enumerate().skip(1);
            scores.map(|(at, score)| score.unwrap_or_else(|| guess(document, at))).collect()
        };
        read.into_iter().enumerate().map(all).collect()
    }
}

/// A piece and what it was worth when it was last looked at.
struct Candidate {
    worth: f64,
    at: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.worth.total_cmp(&other.worth).then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// A mean that grows.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f32,
    count: f32,
}

impl Mean {
    fn add(&mut self, value: f32) {
        self.sum += value;
        self.count += 1.0;
    }

    /// The mean with a guess as good as [`PRIOR`] values.
    fn beside(self, guess: f32) -> f32 {
        (self.sum + PRIOR * guess) / (self.count + PRIOR)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ScoreError, ScoreSession, Token};

    /// Finds a token as surprising as its id is large.
    struct ById;

    impl TokenScorer for ById {
        fn name(&self) -> &'static str {
            "by id"
        }

        fn encode(&self, _: &str) -> Vec<Token> {
            Vec::new()
        }

        fn decode(&self, _: &[u32]) -> String {
            String::new()
        }

        fn window(&self) -> usize {
            512
        }

        fn context(&self) -> usize {
            512
        }

        fn score(&self, jobs: &[ScoreJob], cancel: &Cancel) -> Result<Vec<Vec<f32>>, ScoreError> {
            cancel.check()?;
            Ok(jobs.iter().map(|job| job.ids.iter().skip(1).map(|&id| id as f32).collect()).collect())
        }

        fn session(&self) -> Box<dyn ScoreSession + '_> {
            unreachable!("nothing here opens one")
        }
    }

    fn surprise(most: usize, documents: &[Vec<u32>]) -> Surprise {
        Surprise::within(most, documents.to_vec(), &ById, &Cancel::never()).unwrap()
    }

    fn by_id(documents: &[Vec<u32>]) -> Vec<Vec<f32>> {
        documents.iter().map(|ids| ids.iter().skip(1).map(|&id| id as f32).collect()).collect()
    }

    #[test]
    fn a_short_prompt_is_read_whole() {
        let documents = [vec![3, 1, 2], vec![], vec![7], vec![5; 90]];
        let Surprise { nll, read, tokens } = surprise(94, &documents);
        assert_eq!((nll, read, tokens), (by_id(&documents), 94, 94));
    }

    #[test]
    fn a_part_that_others_repeat_is_read_once() {
        let part: Vec<u32> = (0..PIECE as u32).collect();
        let other: Vec<u32> = (10_000..10_000 + PIECE as u32).collect();
        let documents = [[part.repeat(20), other, part.repeat(9)].concat()];
        let piece = PIECE + BEFORE;
        let Surprise { nll, read, tokens } = surprise(2 * piece, &documents);
        assert!(read <= 2 * piece && tokens == 30 * PIECE);
        // Both are read, and with them all that there is.
        let scores = by_id(&documents);
        let exact = |range: Range<usize>| {
            range.filter(|&at| (nll[0][at - 1] - scores[0][at - 1]).abs() < 1e-3).count()
        };
        assert_eq!(exact(20 * PIECE..21 * PIECE), PIECE);
        assert!(exact(1..20 * PIECE) + exact(21 * PIECE..30 * PIECE) >= PIECE - 1);
    }

    #[test]
    fn what_is_read_is_taken_as_it_is() {
        // Pieces of the same tokens in another order: each pair is there once.
        let documents = [(0..3000_u32).map(|i| i * 7919 % 3001).collect::<Vec<_>>()];
        let Surprise { nll, read, .. } = surprise(1200, &documents);
        let scores = by_id(&documents);
        let exact = nll[0].iter().zip(&scores[0]).filter(|(got, want)| (*got - *want).abs() < 1e-3);
        assert!(read <= 1200 && exact.count() >= 2 * PIECE - 1, "{read}");
        assert!(nll[0].iter().all(|nll| nll.is_finite()));
    }

    proptest! {
        #[test]
        fn no_more_is_read_than_is_allowed(
            lengths in prop::collection::vec(0..1500_usize, 0..6),
            ids in 1..50_u32,
            most in 0..3000_usize,
        ) {
            let documents: Vec<Vec<u32>> =
                lengths.iter().map(|&n| (0..n as u32).map(|i| i * i % ids).collect()).collect();
            let Surprise { nll, read, tokens } = surprise(most, &documents);
            prop_assert!(read <= most && tokens == lengths.iter().sum::<usize>());
            let scored: Vec<usize> = nll.iter().map(Vec::len).collect();
            prop_assert_eq!(scored, lengths.iter().map(|n| n.saturating_sub(1)).collect::<Vec<_>>());
        }
    }
}
