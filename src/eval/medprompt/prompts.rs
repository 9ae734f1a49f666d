//! The prompts of questions after their examples: each example is a message of the user and one of the model.

use std::fmt::Write;

use crate::compress::Method;
use crate::engine::api::{CompressRequest, DocumentInput};
use crate::engine::examples::Example;
use crate::engine::{Engine, EngineError, ErrorKind};
use crate::eval::reader::Ask;
use crate::model::{Cancel, Message, Role};

/// Most tokens of an answer at once, and of one with its thought.
const MOST: (usize, usize) = (12, 256);
const AT_ONCE: &str = "End with a line that says `Answer:` and the letter of the right choice in brackets.";
const WITH_THOUGHT: &str =
    "Think step by step. End with a line that says `Answer:` and the letter of the right choice in brackets.";

/// `question` after `shots`.
pub(super) fn ask(shots: &[Example], question: &Example, reasons: bool) -> Ask {
    let turn = |role, text| Message { role, text };
    let shown = shots.iter().flat_map(|shot| {
        [turn(Role::User, asked(shot, reasons)), turn(Role::Assistant, answered(shot, reasons))]
    });
    let turns = shown.chain([turn(Role::User, asked(question, reasons))]).collect();
    Ask { turns, max_tokens: if reasons { MOST.1 } else { MOST.0 } }
}

fn asked(question: &Example, reasons: bool) -> String {
    let mut text = question.question.clone();
    for choice in &question.choices {
        // Writing to a string cannot fail.
        write!(text, "\n[{}] {}", choice.label, choice.text).ok();
    }
    text + "\n" + if reasons { WITH_THOUGHT } else { AT_ONCE }
}

fn answered(shot: &Example, reasons: bool) -> String {
    let answer = format!("Answer: [{}]", shot.answer);
    match shot.thought.as_ref().filter(|_| reasons) {
        Some(thought) => format!("{thought}\n{answer}"),
        None => answer,
    }
}

/// An example whose question and thought keep a share of their tokens. What cannot be made so small stays.
pub(super) fn compressed(shot: &Example, rate: f64, engine: &Engine) -> anyhow::Result<Example> {
    let smaller = |text: &String| -> anyhow::Result<String> {
        let document = DocumentInput { text: text.clone(), ..DocumentInput::default() };
        let request = CompressRequest {
            documents: Some(vec![document]),
            // There is no question yet that it could be compressed for: it is made once, for any.
            method: Some(Method::LlmLingua),
            rate: Some(rate),
            tokenizer: Some("scorer".into()),
            ..CompressRequest::default()
        };
        match engine.compress(request, &Cancel::never()) {
            Ok(response) => Ok(response.prompt),
            Err(EngineError { kind: ErrorKind::Infeasible, .. }) => Ok(text.clone()),
            Err(error) => Err(error.into()),
        }
    };
    let thought = shot.thought.as_ref().filter(|thought| !thought.trim().is_empty());
    Ok(Example {
        question: smaller(&shot.question)?,
        thought: thought.map(smaller).transpose()?,
        ..shot.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::examples::Choice;

    #[test]
    fn examples_are_turns_before_the_question() {
        let choice = |label: &str, text: &str| Choice { label: label.into(), text: text.into() };
        let shot = Example {
            question: "One?".into(),
            choices: vec![choice("A", "no"), choice("B", "yes")],
            answer: "B".into(),
            thought: Some("It is.".into()),
            ..Example::default()
        };
        let question = Example { question: "Two?".into(), thought: None, ..shot.clone() };
        let reasoned = ask(std::slice::from_ref(&shot), &question, true);
        assert_eq!(reasoned.turns.len(), 3);
        assert_eq!(reasoned.turns[0].text, format!("One?\n[A] no\n[B] yes\n{WITH_THOUGHT}"));
        assert_eq!(reasoned.turns[1].text, "It is.\nAnswer: [B]");
        let at_once = ask(&[shot], &question, false);
        assert_eq!((&*at_once.turns[1].text, at_once.max_tokens), ("Answer: [B]", MOST.0));
        assert!(at_once.turns[2].text.starts_with("Two?") && at_once.turns[2].role == Role::User);
    }
}
