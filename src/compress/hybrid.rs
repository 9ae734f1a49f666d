//! `hybrid`: one budget across documents, sentences and words, for prompts with a question.
//!
//! Documents and sentences are ranked by their worth to the question ([`super::relevance`]). The best sentences are
//! kept whole; what room is left goes to the words of the next ones that say most: names, numbers and other words
//! with a meaning of their own, in runs, without the function words between them. How much is kept whole follows
//! from the budget: as long as several documents fit, everything; the nearer the room comes to a single document,
//! the more of it goes to fragments, for then an answer in a sentence that was ranked second is better kept in
//! fragments than not at all.
//!
//! # What was tried
//! Answer retention on 1,500 questions with 20 passages each (`data/nq`), tokens of the scorer, in a simulation of
//! this selection outside of this crate; the first 300 questions through the method itself gave 99.7%, 98.7% and
//! 92.3%:
//!
//! | | 0.25 | 0.10 | 0.05 |
//! |---|---|---|---|
//! | passages by the embedder, whole, packed sentence by sentence | 98.9% | 97.0% | 84.7% |
//! | sentences, 0.7 x passage + 0.3 x sentence, both by the embedder | 99.1% | 96.6% | 85.3% |
//! | the same, title before the sentence | 98.9% | 97.3% | 89.1% |
//! | the same, with best sentence and BM25 in the passage's worth | 99.3% | 98.1% | 90.1% |
//! | a logistic regression over 17 features (answer types, capitals, position) in place of the worth | 99.5% | 98.1% | 92.5% |
//! | articles dropped | 99.3% | 98.1% | 91.8% |
//! | articles and commas dropped | 99.3% | 98.2% | 92.5% |
//! | all function words dropped | 89.6% | 88.4% | 83.0% |
//! | 80% whole, then names and numbers of the next sentences | | 98.1% | 93.1% |
//! | 60% whole, then content words of the next sentences | 99.4% | 98.3% | 93.6% |
//! | 40% whole, then content words of the next sentences | 99.5% | 98.4% | 94.1% |
//!
//! (The row of all function words is over the first 500 questions.) Fragments cost the reader: on 80 questions the
//! negative log-likelihood of the gold answer at 0.25 is 3.57 with whole sentences and 3.98 with 40% whole; at 0.05
//! it is 3.13 and 3.14. Hence the share by the budget.

use super::relevance::{Relevance, Sentence, is_function_word, relevance};
use super::words::{self, Place, Plan, Words};
use super::{CompressError, Compressed, Prompt, Stages, Target, Tools};

/// Share of the room for whole sentences when the best document fills it.
const LEAST_WHOLE: f64 = 0.4;
/// What each further document of that size that would fit adds to the share.
const MORE_WHOLE: f64 = 0.2;
/// Words that may stand between two others of a run.
const BRIDGE: usize = 2;

pub(super) fn compress(prompt: &Prompt, target: Target, tools: &Tools) -> Result<Compressed, CompressError> {
    words::compress(prompt, target, tools, plan)
}

fn plan(words: &Words, room: usize, stages: &mut Stages) -> Result<Plan, CompressError> {
    let Relevance { ranking, sentences } = stages.time("embed", || relevance(words.prompt, words.tools))?;
    let scores = words.spread(&sentences);
    let order = stages.time("select", || order(words, &sentences, room));
    Ok(Plan { order, ranking, scores })
}

/// Words of whole sentences, then runs of words with a meaning, then the rest.
fn order(words: &Words, sentences: &[Sentence], room: usize) -> Vec<Place> {
    let costs: Vec<usize> = sentences.iter().map(|sentence| words.sentence_tokens(sentence)).collect();
    let share = whole_share(words, sentences, &costs, room);
    let whole = (room as f64 * share) as usize;
    let (mut first, mut second, mut last) = (Vec::new(), Vec::new(), Vec::new());
    let mut open = vec![false; words.prompt.documents.len()];
    let mut taken = 0;
    for (sentence, cost) in sentences.iter().zip(&costs) {
        let places = words.within(sentence.document, &sentence.range);
        let heading = if open[sentence.document] { 0 } else { words.heading_tokens(sentence.document) };
        let cost = heading + cost;
        if first.is_empty() || taken + cost <= whole {
            taken += cost;
            open[sentence.document] = true;
            for place in places {
                // Articles are what a reader misses least.
                let spared =
                    share < 1.0 && matches!(words.word(place), "the" | "a" | "an" | "The" | "A" | "An");
                if spared { last.push(place) } else { first.push(place) }
            }
        } else {
            let meaningful = runs(&places.iter().map(|&place| words.word(place)).collect::<Vec<_>>());
            for (place, meaningful) in places.into_iter().zip(meaningful) {
                if meaningful { second.push(place) } else { last.push(place) }
            }
        }
    }
    [first, second, last].concat()
}

/// How much of the room is for whole sentences, 0 to 1.
fn whole_share(words: &Words, sentences: &[Sentence], costs: &[usize], room: usize) -> f64 {
    let Some(best) = sentences.first().map(|sentence| sentence.document) else { return 1.0 };
    let own = sentences.iter().zip(costs).filter(|(sentence, _)| sentence.document == best);
    let size: usize = own.map(|(_, cost)| cost).sum();
    let fits = room as f64 / (words.heading_tokens(best) + size).max(1) as f64;
    (LEAST_WHOLE + MORE_WHOLE * (fits - 1.0)).clamp(LEAST_WHOLE, 1.0)
}

/// Which words belong to runs of words with a meaning of their own: those words, and up to [`BRIDGE`] of the words
/// and marks that hold names together between two of them.
fn runs(words: &[&str]) -> Vec<bool> {
    let strong = |word: &str| {
        let lower = word.to_lowercase();
        word.starts_with(char::is_alphanumeric) && !is_function_word(&lower) || lower.starts_with("not ")
    };
    let mut kept: Vec<bool> = words.iter().map(|word| strong(word)).collect();
    let mut previous: Option<usize> = None;
    for i in 0..words.len() {
        if !strong(words[i]) {
            continue;
        }
        if let Some(before) = previous
            && i - before <= BRIDGE + 1
            && words[before + 1..i].iter().all(|word| connects(word))
        {
            kept[before + 1..i].fill(true);
        }
        previous = Some(i);
    }
    kept
}

fn connects(word: &str) -> bool {
    matches!(
        word,
        "of" | "the"
            | "and"
            | "de"
            | "la"
            | "von"
            | "van"
            | "'s"
            | "’s"
            | "-"
            | "–"
            | "&"
            | "for"
            | "in"
            | "a"
            | "."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_hold_names_together_and_leave_function_words_out() {
        let words =
            ["The", "House", "of", "Commons", "was", "opened", "by", "the", "King", "in", "1852", "."];
        let kept: Vec<&str> =
            words.iter().zip(runs(&words)).filter(|(_, kept)| *kept).map(|(w, _)| *w).collect();
        assert_eq!(kept, ["House", "of", "Commons", "opened", "King", "in", "1852"]);
        assert!(runs(&[]).is_empty());
    }
}
