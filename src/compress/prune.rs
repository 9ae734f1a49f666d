//! `prune`: the whole sentences that a context pruner would keep (Provence, arXiv 2501.16214).
//!
//! The model reads each document with the question and gives every token a probability that it is to be kept. The mean
//! over the tokens of a sentence, line or row decides: those below the model's threshold go whatever room there is, as
//! the model was trained for, and the best of the others stay as far as the budget reaches. Where none comes up to the
//! threshold, the best one stays, for a prompt without any context is not what was asked for. What a unit needs, such as
//! the column names of a row, goes with it; a document's title is read as its first line.

use super::assemble::render_document;
use super::relevance::Sentence;
use super::select::ranked;
use super::words::{self, Plan, WordIndex, WordSelector, mean};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};
use crate::model::Pruning;
use crate::text::Granularity;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    if prompt.question.trim().is_empty() {
        return Err(CompressError::Unsupported(
            "`prune` goes by the question: give one, or use `llmlingua2`".into(),
        ));
    }
    words::prune_by(Granularity::Sentence, prompt, target, tools, plan)
}

fn plan(words: &WordSelector, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let (pruner, documents) = (words.tools.pruner()?, &words.prompt.documents);
    let shown: Vec<String> =
        documents.iter().map(|document| render_document(document, &document.text)).collect();
    let texts: Vec<&str> = shown.iter().map(String::as_str).collect();
    let judged = stages.time("prune", || pruner.prune(&words.prompt.question, &texts, words.tools.cancel))?;
    let mut sentences = Vec::new();
    for (document, (pruning, text)) in judged.iter().zip(&texts).enumerate() {
        let before = text.len() - documents[document].text.len();
        sentences.extend(words.segments[document].iter().map(|segment| Sentence {
            document,
            range: segment.range.clone(),
            score: keep(pruning, segment.range.start + before..segment.range.end + before),
        }));
    }
    let scores = words.broadcast(&sentences);
    let threshold = pruner.threshold();
    let kept = |&(document, unit): &WordIndex| scores[document][unit] >= threshold;
    let mut order = words.best_first(0..documents.len(), room, &scores);
    match order.iter().filter(|place| kept(place)).count() {
        // The best sentence, whatever parts of it are chosen by themselves.
        0 => {
            let best = order.first().map(|&(document, unit)| (document, scores[document][unit]));
            let is_best = |&(document, unit): &WordIndex| {
                best.is_some_and(|(of, score)| {
                    of == document && score.total_cmp(&scores[document][unit]).is_eq()
                })
            };
            order.retain(is_best);
        }
        count => order.truncate(count),
    }
    let reached = sentences.iter().filter(|sentence| sentence.score as f32 >= threshold).count();
    let note = format!("{reached} of {} sentences reached the threshold {threshold}", sentences.len());
    let ranking = ranked(judged.iter().map(|pruning| f64::from(pruning.score)));
    Ok(Plan { order, ranking, scores, note: Some(note), ..Plan::default() })
}

/// The mean of the probabilities of the tokens in `range`; 0 where there are none.
fn keep(pruning: &Pruning, range: std::ops::Range<usize>) -> f64 {
    let first = pruning.tokens.partition_point(|token| token.end <= range.start);
    let inside = pruning.tokens[first..].iter().take_while(|token| token.start < range.end).count();
    mean(pruning.keep[first..first + inside].iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::tests::{ByteCounter, PROTECTOR, document};
    use crate::compress::{Method, Mode, compress};
    use crate::model::{Cancel, Pruner, ScoreError};

    /// Keeps words that begin with a capital.
    struct Capitals;

    impl Pruner for Capitals {
        fn name(&self) -> &'static str {
            "capitals"
        }

        fn prune(&self, _: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<Pruning>, ScoreError> {
            cancel.check()?;
            let prune = |text: &&str| {
                let mut at = 0;
                let tokens: Vec<_> = text
                    .split_inclusive(' ')
                    .map(|word| {
                        at += word.len();
                        at - word.len()..at
                    })
                    .collect();
                let is_capital = |word: &str| word.starts_with(char::is_uppercase);
                let keep: Vec<f32> =
                    tokens.iter().map(|token| f32::from(is_capital(&text[token.clone()]))).collect();
                Pruning { score: keep.iter().sum(), tokens, keep }
            };
            Ok(texts.iter().map(prune).collect())
        }

        fn threshold(&self) -> f32 {
            0.5
        }
    }

    fn tools(cancel: &Cancel) -> Tools<'_> {
        Tools { pruner: Some(&Capitals), ..Tools::bare(&ByteCounter, &PROTECTOR, cancel) }
    }

    const TEXT: &str =
        "Ada Met Bob In Rome. Then they went on to eat a lot. Cy Saw Dan. All of it was rather quiet.";

    #[test]
    fn sentences_below_the_threshold_go_though_all_would_fit() {
        let cancel = Cancel::never();
        let prompt = document(TEXT, "who?");
        let pruned = |target| compress(&prompt, target, Method::Prune, Mode::Exact, &tools(&cancel)).unwrap();
        let all = pruned(Target::Rate(1.0));
        assert!(
            all.prompt.contains("Ada Met Bob In Rome.") && all.prompt.contains("Cy Saw Dan."),
            "{}",
            all.prompt
        );
        assert!(!all.prompt.contains("Then they") && !all.prompt.contains("quiet"), "{}", all.prompt);
        assert!(all.reason.contains("2 of 4 sentences reached the threshold 0.5"), "{}", all.reason);
        let tight = pruned(Target::Tokens(all.compressed_tokens - 1));
        assert!(tight.compressed_tokens <= tight.requested_tokens);
        assert_eq!(
            [tight.prompt.contains("Ada Met"), tight.prompt.contains("Cy Saw")]
                .iter()
                .filter(|kept| **kept)
                .count(),
            1
        );
    }

    #[test]
    fn something_stays_where_nothing_reaches_the_threshold_and_a_question_is_needed() {
        let cancel = Cancel::never();
        let quiet = document("Nobody spoke at all. It was quiet.", "who?");
        let run = |prompt: &Prompt| {
            compress(prompt, Target::Rate(1.0), Method::Prune, Mode::Exact, &tools(&cancel))
        };
        let kept = run(&quiet).unwrap();
        assert!(kept.compressed_tokens < kept.original_tokens && !kept.documents[0].kept.is_empty());
        assert!(matches!(run(&document(TEXT, " ")), Err(CompressError::Unsupported(_))));
        cancel.cancel();
        assert!(run(&document(TEXT, "who?")).is_err());
    }
}
