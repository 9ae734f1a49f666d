//! `llmlingua2`, exact mode: the words that a token classifier would keep (arXiv 2403.12968).
//!
//! The classifier has learnt from a large model's compressions which tokens to keep. Against the first
//! implementation, this one
//!
//! - gives the model its own tokens for the ends of a sequence, and no padding;
//! - runs chunks that overlap by half, and takes each token's probability from the chunk where it stands
//!   farthest from an end; chunks are windows over the document's tokens, so that no text is tokenised twice;
//! - keeps the best words of all chunks and documents under one budget, not an equal share of each;
//! - keeps or drops whole words, slices of the original, so that none is fused, lost or respelt; what the caller
//!   demands (forced words, numbers) is kept whole and is no placeholder in the text;
//! - keeps instruction and question.

use super::select::ranked;
use super::words::{self, Plan, WordSelector, mean};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};
use crate::model::{ScoreError, Token, TokenClassifier};

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let classifier = words.tools.classifier()?;
    let (mut scores, mut worth) = (Vec::new(), Vec::new());
    for (document, source) in words.prompt.documents.iter().enumerate() {
        let tokens = stages.time("tokenize", || classifier.encode(&source.text, words.tools.cancel))?;
        let keep = stages.time("score", || probabilities(&tokens, classifier, words))?;
        worth.push(mean(keep.iter().copied()));
        scores.push(words.pool_to_words(document, &tokens, &keep));
    }
    let order = words.best_first(0..scores.len(), room, &scores);
    Ok(Plan { order, ranking: ranked(worth), scores, ..Plan::default() })
}

/// The probability that each token is to be kept.
fn probabilities(
    tokens: &[Token],
    classifier: &dyn TokenClassifier,
    words: &WordSelector,
) -> Result<Vec<f32>, ScoreError> {
    let ids = super::llmlingua::ids(tokens);
    let mut keep = vec![0.0; ids.len()];
    let chunks = chunks(ids.len(), classifier.window());
    for (i, chunk) in chunks.iter().enumerate() {
        let scored = classifier.keep(&ids[chunk.clone()], words.tools.cancel)?;
        // The middle of each overlap is as far from the end of one chunk as from the start of the other.
        let own_start = if i == 0 { 0 } else { usize::midpoint(chunk.start, chunks[i - 1].end) };
        let own_end = chunks.get(i + 1).map_or(chunk.end, |next| usize::midpoint(next.start, chunk.end));
        keep[own_start..own_end].copy_from_slice(&scored[own_start - chunk.start..own_end - chunk.start]);
    }
    Ok(keep)
}

/// Chunks of at most `window` of `len` tokens, each overlapping the next by at least half a window.
fn chunks(len: usize, window: usize) -> Vec<std::ops::Range<usize>> {
    if len <= window {
        return if len == 0 { Vec::new() } else { std::iter::once(0..len).collect() };
    }
    let step = window.div_ceil(2);
    let last = len - window;
    let starts = (0..last).step_by(step).chain(std::iter::once(last));
    starts.map(|start| start..start + window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::tests::{ByteCounter, FakeScorer, PROTECTOR, document};
    use crate::compress::{Constraints, Method, Mode, compress};
    use crate::model::Cancel;

    /// Every four bytes are a token; the likelihood tells its place in its window.
    struct Fake;

    impl TokenClassifier for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn encode(&self, text: &str, _: &Cancel) -> Result<Vec<Token>, ScoreError> {
            let starts = (0..text.len()).step_by(4);
            Ok(starts.map(|at| Token { id: at as u32, range: at..(at + 4).min(text.len()) }).collect())
        }

        fn window(&self) -> usize {
            10
        }

        fn keep(&self, ids: &[u32], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
            cancel.check()?;
            assert!(ids.len() <= 10);
            let distance = |place: usize| place.min(ids.len() - 1 - place) as f32;
            Ok((0..ids.len()).map(distance).collect())
        }
    }

    #[test]
    fn chunks_cover_the_tokens_and_overlap_by_half() {
        for len in 0..60 {
            let chunks = chunks(len, 10);
            assert_eq!(chunks.first().map_or(0, |chunk| chunk.start), 0);
            assert_eq!(chunks.last().map_or(0, |chunk| chunk.end), len);
            assert!(chunks.iter().all(|chunk| chunk.len() == len.min(10)));
            assert!(
                chunks
                    .windows(2)
                    .all(|pair| pair[1].start + 5 <= pair[0].end && pair[1].start > pair[0].start)
            );
        }
    }

    fn tools(cancel: &Cancel) -> Tools<'_> {
        Tools {
            scorer: Some(&FakeScorer { piece: 3 }),
            classifier: Some(&Fake),
            ..Tools::bare(&ByteCounter, &PROTECTOR, cancel)
        }
    }

    #[test]
    fn each_token_is_scored_where_it_has_most_context() {
        let text = "abc ".repeat(43);
        let prompt = document(&text, "");
        let cancel = Cancel::never();
        let tools = tools(&cancel);
        let words = WordSelector::of(&prompt, &tools);
        let tokens = Fake.encode(&text, &cancel).unwrap();
        let keep = probabilities(&tokens, &Fake, &words).unwrap();
        assert_eq!(keep.len(), 43);
        // Away from the text's own ends no token stands nearer to an end of its chunk than a quarter window.
        assert!(keep[3..40].iter().all(|&distance| distance >= 2.0), "{keep:?}");
    }

    #[test]
    fn defects_15_and_16_instruction_and_question_stay_and_nothing_is_fused() {
        let mut prompt =
            document("The wage. If not, again. Final words; a name, 12.5% and v3.11.7 too.\n\nNext", "Who?");
        prompt.instruction = "Read this.".into();
        prompt.constraints =
            Constraints { numbers: true, words: vec!["name".into()], ..Constraints::default() };
        let cancel = Cancel::never();
        for target in [Target::Tokens(60), Target::Rate(0.8), Target::Rate(0.99)] {
            let got = compress(&prompt, target, Method::LlmLingua2, Mode::Exact, &tools(&cancel)).unwrap();
            assert!(
                got.prompt.starts_with("Read this.\n\n") && got.prompt.ends_with("\n\nWho?"),
                "{}",
                got.prompt
            );
            assert!(got.compressed_tokens <= got.requested_tokens);
            for kept in ["name", "12.5%", "v3.11.7"] {
                assert!(got.prompt.contains(kept), "{kept}: {}", got.prompt);
            }
            assert!(!got.prompt.contains("wageIf") && !got.prompt.contains("againFinal"));
        }
        cancel.cancel();
        assert!(
            compress(&prompt, Target::Tokens(60), Method::LlmLingua2, Mode::Exact, &tools(&cancel)).is_err()
        );
    }
}
