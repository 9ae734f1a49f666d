//! Choices in another order.

use super::{Choice, Example};
use crate::random::Random;

/// `example` with its choices in a random order under the same labels: its answer is the label of the same text.
///
/// Its thought is left out, for it may speak of choices by their labels.
#[must_use]
pub fn shuffled(example: &Example, random: &mut Random) -> Example {
    let right = example.choices.iter().position(|choice| choice.label == example.answer);
    let mut order: Vec<usize> = (0..example.choices.len()).collect();
    random.shuffle(&mut order);
    let choice = |(place, &from): (usize, &usize)| Choice {
        label: example.choices[place].label.clone(),
        text: example.choices[from].text.clone(),
    };
    let choices: Vec<Choice> = order.iter().enumerate().map(choice).collect();
    let place = right.and_then(|right| order.iter().position(|&from| from == right));
    let answer = place.map_or_else(|| example.answer.clone(), |place| choices[place].label.clone());
    Example { choices, answer, thought: None, ..example.clone() }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_answer_keeps_its_text() {
        let choice = |label: &str| Choice { label: label.into(), text: format!("text of {label}") };
        let example = Example {
            answer: "B".into(),
            choices: ["A", "B", "C", "D"].map(choice).into(),
            thought: Some("It is B.".into()),
            ..Example::default()
        };
        let mut random = Random::new(1);
        let mut answers = HashSet::new();
        for _ in 0..40 {
            let other = shuffled(&example, &mut random);
            let labels: Vec<_> = other.choices.iter().map(|choice| choice.label.as_str()).collect();
            assert_eq!(labels, ["A", "B", "C", "D"]);
            let right = other.choices.iter().find(|choice| choice.label == other.answer).unwrap();
            assert_eq!((&*right.text, &other.thought), ("text of B", &None));
            answers.insert(other.answer);
        }
        assert_eq!(answers.len(), 4);
        let open = Example { answer: "42".into(), ..Example::default() };
        assert_eq!(shuffled(&open, &mut random), open);
    }
}
