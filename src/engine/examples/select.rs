//! The selection of examples for a question.

use std::collections::{HashMap, HashSet};

use super::Example;
use crate::retrieve::cosine;
use crate::text::normalise;

/// The parameters of a selection of examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// The maximum number of examples.
    pub count: usize,
    /// Examples that are as near to the question as this, by the cosine, are the question itself in other words and
    /// are left out, as is one whose question is the same but for case, punctuation, articles and spaces. Above 1
    /// leaves none out for its nearness.
    pub duplicate: f32,
    /// 0 takes the nearest; up to 1, the more an example is like one that was chosen already, the less it counts
    /// (maximal marginal relevance, Carbonell and Goldstein 1998: lambda is 1 less this).
    pub diversity: f32,
    /// Whether answers are balanced: no answer may be that of more examples than its share, as long as there are
    /// others.
    pub balance: bool,
}

impl Default for Selection {
    /// Five, as Medprompt has it, the nearest. Among the 1,500 dev questions of Natural Questions the two pairs at 0.95
    /// or above ask the same thing in other words (all-MiniLM-L6-v2); the nearest pair that does not is at 0.947.
    fn default() -> Self {
        Self { count: 5, duplicate: 0.95, diversity: 0.0, balance: false }
    }
}

/// An example with the vector of its question, of length 1.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The example.
    pub example: &'a Example,
    /// The embedding of the example, as long as the question's.
    pub vector: &'a [f32],
}

/// An example that was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Chosen<'a> {
    /// The example.
    pub example: &'a Example,
    /// Cosine between its question and the one that it is shown before.
    pub similarity: f32,
}

/// The examples that are shown before `question`, whose vector is of length 1: the most similar one last, where a
/// model heeds it most. The same input gives the same examples.
#[must_use]
pub fn select<'a>(
    (question, vector): (&str, &[f32]),
    candidates: &[Candidate<'a>],
    selection: &Selection,
) -> Vec<Chosen<'a>> {
    let asked = normalise(question);
    let mut seen = HashSet::from([asked]);
    let of = |&candidate| Near { candidate, similarity: cosine(candidate.vector, vector) as f32, like: 0.0 };
    let mut near: Vec<Near<'a>> = candidates.iter().map(of).collect();
    near.sort_by(|a, b| {
        let id = |near: &Near<'a>| &near.candidate.example.id;
        b.similarity.total_cmp(&a.similarity).then_with(|| id(a).cmp(id(b)))
    });
    near.retain(|Near { candidate, similarity, .. }| {
        *similarity < selection.duplicate && seen.insert(normalise(&candidate.example.question))
    });
    let mut chosen = pick(near, selection);
    // Diversity chooses in another order than that of nearness.
    chosen
        .sort_by(|a, b| a.similarity.total_cmp(&b.similarity).then_with(|| b.example.id.cmp(&a.example.id)));
    chosen
}

/// A candidate that is not chosen yet.
struct Near<'a> {
    candidate: Candidate<'a>,
    /// Cosine to the question.
    similarity: f32,
    /// The largest cosine to one that was chosen; at least 0.
    like: f32,
}

/// One after another the best of `near`, which is in the order of nearness.
fn pick<'a>(mut near: Vec<Near<'a>>, selection: &Selection) -> Vec<Chosen<'a>> {
    let share = share(&near, selection.count);
    let mut taken: HashMap<&str, usize> = HashMap::new();
    let mut chosen = Vec::new();
    while chosen.len() < selection.count && !near.is_empty() {
        let free = |near: &Near| {
            !selection.balance || taken.get(&*near.candidate.example.answer).copied().unwrap_or(0) < share
        };
        let worth =
            |near: &Near| (1.0 - selection.diversity) * near.similarity - selection.diversity * near.like;
        let any_free = near.iter().any(free);
        let open = near.iter().enumerate().filter(|(_, near)| !any_free || free(near));
        // The first of equals is the nearest.
        let best = open.map(|(i, near)| (i, worth(near))).reduce(|a, b| if b.1 > a.1 { b } else { a });
        let Some((place, _)) = best else { break };
        let Near { candidate, similarity, .. } = near.remove(place);
        *taken.entry(&candidate.example.answer).or_default() += 1;
        if selection.diversity > 0.0 {
            for other in &mut near {
                other.like = other.like.max(cosine(other.candidate.vector, candidate.vector) as f32);
            }
        }
        chosen.push(Chosen { example: candidate.example, similarity });
    }
    chosen
}

/// Returns the number of examples of `count` that may have the same answer.
fn share(near: &[Near], count: usize) -> usize {
    let answers: HashSet<&str> = near.iter().map(|near| &*near.candidate.example.answer).collect();
    count.div_ceil(answers.len().max(1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example(id: usize, answer: &str) -> Example {
        let question = format!("number {id}");
        Example { id: format!("{id:03}"), question, answer: answer.into(), ..Example::default() }
    }

    /// A vector whose cosine to `[1, 0]` is `cosine`.
    fn at(cosine: f32) -> Vec<f32> {
        vec![cosine, (1.0 - cosine * cosine).sqrt()]
    }

    fn ids(examples: &[Example], vectors: &[Vec<f32>], selection: &Selection) -> Vec<String> {
        let candidates: Vec<_> =
            examples.iter().zip(vectors).map(|(example, vector)| Candidate { example, vector }).collect();
        let chosen = select(("asked", &[1.0, 0.0]), &candidates, selection);
        chosen.into_iter().map(|chosen| chosen.example.id.clone()).collect()
    }

    #[test]
    fn the_nearest_come_last_and_the_question_itself_never() {
        let mut examples: Vec<Example> = (0..5).map(|id| example(id, "x")).collect();
        examples[4].question = "The ASKED!".into();
        let vectors = [at(0.3), at(0.96), at(0.7), at(0.5), at(0.6)];
        let selection = Selection { count: 2, ..Selection::default() };
        assert_eq!(ids(&examples, &vectors, &selection), ["003", "002"]);
        let all = Selection { count: 9, duplicate: 1.1, ..selection };
        assert_eq!(ids(&examples, &vectors, &all), ["000", "003", "002", "001"]);
        assert!(ids(&[], &[], &all).is_empty());
    }

    #[test]
    fn answers_are_balanced_as_long_as_there_are_others() {
        let answers = ["a", "a", "a", "b", "b"];
        let examples: Vec<Example> = answers.iter().enumerate().map(|(i, a)| example(i, a)).collect();
        let vectors = [at(0.9), at(0.8), at(0.7), at(0.2), at(0.1)];
        let selection = Selection { count: 4, balance: true, ..Selection::default() };
        assert_eq!(ids(&examples, &vectors, &selection), ["004", "003", "001", "000"]);
        let five = Selection { count: 5, ..selection };
        assert_eq!(ids(&examples, &vectors, &five).len(), 5);
    }

    #[test]
    fn diversity_passes_over_what_was_said() {
        let examples: Vec<Example> = (0..3).map(|id| example(id, "x")).collect();
        // The second is nearly the first; the third is as far on the other side.
        let vectors = [at(0.9), at(0.89), vec![0.6, -0.8]];
        let nearest = Selection { count: 2, ..Selection::default() };
        assert_eq!(ids(&examples, &vectors, &nearest), ["001", "000"]);
        assert_eq!(ids(&examples, &vectors, &Selection { diversity: 0.5, ..nearest }), ["002", "000"]);
    }

    proptest! {
        #[test]
        fn there_are_as_many_as_asked_for_in_rising_order(
            cosines in prop::collection::vec(-1.0_f32..1.0, 0..12), count in 0..6_usize, diversity in 0.0_f32..1.0, balance: bool
        ) {
            let examples: Vec<Example> = (0..cosines.len()).map(|id| example(id, ["a", "b"][id % 2])).collect();
            let vectors: Vec<_> = cosines.iter().map(|&cosine| at(cosine)).collect();
            let candidates: Vec<_> =
                examples.iter().zip(&vectors).map(|(example, vector)| Candidate { example, vector }).collect();
            let selection = Selection { count, diversity, balance, ..Selection::default() };
            let chosen = select(("asked", &[1.0, 0.0]), &candidates, &selection);
            let possible = cosines.iter().filter(|&&cosine| cosine < selection.duplicate).count();
            prop_assert_eq!(chosen.len(), count.min(possible));
            prop_assert!(chosen.windows(2).all(|pair| pair[0].similarity <= pair[1].similarity));
            prop_assert!(chosen.iter().all(|chosen| chosen.similarity < selection.duplicate));
        }
    }
}
