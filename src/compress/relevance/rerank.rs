//! A reranker's order in place of that by cosines and words.
//!
//! A cross-encoder reads a question and a text together, so that it judges better than two vectors do, and takes as long
//! for each pair as for a text of its length. So it reads what ranks highest already, within a number of tokens, and its
//! order is taken over there. The scores stay where they are, each with whatever comes to stand in its place: they say how
//! far apart ranks are, which the methods go by, and what was not read stays behind.

use super::{Relevance, in_context, ranked, wholes};
use crate::compress::{CompressError, Prompt};
use crate::model::{Cancel, Reranker, ScoreError};
use crate::text::Segment;

/// Documents of a prompt by a reranker's scores for its question, the most valuable first, each with its score as a
/// number from 0 to 1.
///
/// # Errors
/// The reranker failed or was stopped.
pub fn rank_by_reranker(
    prompt: &Prompt,
    reranker: &dyn Reranker,
    cancel: &Cancel,
) -> Result<Vec<(usize, f64)>, CompressError> {
    let texts = wholes(prompt);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scores = reranker.rerank(&prompt.question, &texts, cancel)?;
    let share = |score: f64| 1.0 / (1.0 + (-score).exp());
    let ranking = ranked(scores.into_iter().map(f64::from));
    Ok(ranking.into_iter().map(|(document, score)| (document, share(score))).collect())
}

/// Puts the best documents and the best units in the reranker's order, each with a share of the tokens that it reads.
pub(super) fn reorder(
    relevance: &mut Relevance,
    (prompt, segments): (&Prompt, &[Vec<Segment>]),
    reranker: &dyn Reranker,
    cancel: &Cancel,
) -> Result<(), ScoreError> {
    let mut most = reranker.most_tokens();
    if prompt.documents.len() > 1 {
        let shown = wholes(prompt);
        let by = |&(document, _): &(usize, f64)| shown[document].clone();
        let (order, read) = order(&relevance.ranking, by, (&prompt.question, most / 2), reranker, cancel)?;
        most -= read;
        let before = relevance.ranking.clone();
        for (at, from) in order.into_iter().enumerate() {
            relevance.ranking[at].0 = before[from].0;
        }
    }
    let by = |sentence: &super::Sentence| {
        let own = &segments[sentence.document];
        let at = own.partition_point(|segment| segment.range.start < sentence.range.start);
        own.get(at)
            .map_or_else(String::new, |segment| in_context(&prompt.documents[sentence.document], segment))
    };
    let (order, _) = order(&relevance.sentences, by, (&prompt.question, most), reranker, cancel)?;
    let before = relevance.sentences.clone();
    for (at, from) in order.into_iter().enumerate() {
        relevance.sentences[at] = super::Sentence { score: before[at].score, ..before[from].clone() };
    }
    Ok(())
}

/// The places of the first of `items` in the reranker's order: as many as it can read in `most` tokens, the question with
/// each of them. And the tokens that it has read.
fn order<T>(
    items: &[T],
    text: impl Fn(&T) -> String,
    (question, most): (&str, usize),
    reranker: &dyn Reranker,
    cancel: &Cancel,
) -> Result<(Vec<usize>, usize), ScoreError> {
    let each = reranker.count(question, cancel)?;
    let (mut texts, mut read) = (Vec::new(), 0);
    for item in items {
        let text = text(item);
        let tokens = each + reranker.count(&text, cancel)?;
        if read + tokens > most {
            break;
        }
        read += tokens;
        texts.push(text);
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let scores = reranker.rerank(question, &texts, cancel)?;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    Ok((order, read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Document, relevance};

    /// Prefers short texts, and counts bytes.
    struct Short(usize);

    impl Reranker for Short {
        fn name(&self) -> &'static str {
            "short"
        }

        fn count(&self, text: &str, _: &Cancel) -> Result<usize, ScoreError> {
            Ok(text.len())
        }

        fn rerank(&self, _: &str, texts: &[&str], cancel: &Cancel) -> Result<Vec<f32>, ScoreError> {
            cancel.check()?;
            Ok(texts.iter().map(|text| -(text.len() as f32)).collect())
        }

        fn most_tokens(&self) -> usize {
            self.0
        }
    }

    fn prompt() -> Prompt {
        let texts = ["Four words are here.", "Two words.", "A sentence with quite a few words more."];
        let document =
            |(i, text): (usize, &&str)| Document { id: i.to_string(), title: None, text: (*text).into() };
        let documents = texts.iter().enumerate().map(document).collect();
        Prompt { documents, question: "w?".into(), ..Prompt::default() }
    }

    fn reordered(most: usize) -> Relevance {
        let prompt = prompt();
        let segments = relevance::cut(&prompt);
        let sentence = |document: usize, score: f64| relevance::Sentence {
            document,
            range: segments[document][0].range.clone(),
            score,
        };
        let mut relevance = Relevance {
            ranking: vec![(2, 0.9), (0, 0.5), (1, 0.1)],
            sentences: vec![sentence(2, 3.0), sentence(0, 2.0), sentence(1, 1.0)],
        };
        reorder(&mut relevance, (&prompt, &segments), &Short(most), &Cancel::never()).unwrap();
        relevance
    }

    #[test]
    fn what_is_read_takes_the_order_of_the_reranker_and_the_scores_stay_in_place() {
        let all = reordered(1000);
        assert_eq!(all.ranking, [(1, 0.9), (0, 0.5), (2, 0.1)]);
        let of = |relevance: &Relevance| {
            let sentences = relevance.sentences.iter();
            sentences.map(|sentence| (sentence.document, sentence.score)).collect::<Vec<_>>()
        };
        assert_eq!(of(&all), [(1, 3.0), (0, 2.0), (2, 1.0)]);
        // Two of the three fit.
        let some = reordered(2 * 66);
        assert_eq!(some.ranking, [(0, 0.9), (2, 0.5), (1, 0.1)]);
        assert_eq!(of(&some), [(0, 3.0), (2, 2.0), (1, 1.0)]);
        assert_eq!(of(&reordered(0)), [(2, 3.0), (0, 2.0), (1, 1.0)]);
    }

    #[test]
    fn documents_are_ranked_with_numbers_from_0_to_1() {
        let ranking = rank_by_reranker(&prompt(), &Short(0), &Cancel::never()).unwrap();
        assert_eq!(ranking.iter().map(|(document, _)| *document).collect::<Vec<_>>(), [1, 0, 2]);
        assert!(ranking.iter().all(|(_, score)| (0.0..1.0).contains(score)));
    }
}
