//! Orders of a question's choices, and what their answers come to.

use crate::engine::examples::{Example, shuffled};
use crate::random::Random;

/// The question in its own order, then in random ones.
pub(super) fn orders(question: &Example, count: usize, seed: u64) -> Vec<Example> {
    let mut random = Random::new(seed);
    let others = (1..count).map(|_| shuffled(question, &mut random));
    std::iter::once(question.clone()).chain(others).collect()
}

/// The label that a choice of `order` has in the question itself. A label that is none of its choices' is no vote.
pub(super) fn own_label(question: &Example, order: &Example, label: &str) -> Option<String> {
    let text = &order.choices.iter().find(|choice| choice.label == label)?.text;
    let own = question.choices.iter().find(|choice| choice.text == *text)?;
    Some(own.label.clone())
}

/// Returns the choice with the most votes; of several, the one that was voted for first.
pub(super) fn majority(votes: &[Option<String>]) -> Option<String> {
    let mut counts: Vec<(&String, usize)> = Vec::new();
    for vote in votes.iter().flatten() {
        match counts.iter_mut().find(|(label, _)| *label == vote) {
            Some((_, count)) => *count += 1,
            None => counts.push((vote, 1)),
        }
    }
    counts.into_iter().reduce(|a, b| if b.1 > a.1 { b } else { a }).map(|(label, _)| label.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::examples::Choice;

    fn votes(labels: &str) -> Vec<Option<String>> {
        labels.chars().map(|label| (label != '-').then(|| label.to_string())).collect()
    }

    #[test]
    fn the_majority_is_one() {
        for (labels, expected) in [
            ("ABBCC", Some("B")),
            ("CABAB", Some("A")),
            ("-C-", Some("C")),
            ("---", None),
            ("", None),
            ("DABAD", Some("D")),
        ] {
            assert_eq!(majority(&votes(labels)).as_deref(), expected, "{labels}");
        }
    }

    #[test]
    fn votes_are_mapped_back_to_the_questions_own_order() {
        let choice = |label: &str| Choice { label: label.into(), text: format!("text of {label}") };
        let question = Example {
            answer: "C".into(),
            choices: ["A", "B", "C", "D"].map(choice).into(),
            ..Example::default()
        };
        let orders = orders(&question, 20, 3);
        assert_eq!((orders.len(), &orders[0]), (20, &question));
        assert!(orders.iter().any(|order| order.answer != "C"));
        for order in &orders {
            assert_eq!(own_label(&question, order, &order.answer).as_deref(), Some("C"));
        }
        assert_eq!(own_label(&question, &orders[1], "E"), None);
    }
}
