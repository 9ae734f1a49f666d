//! The prompts for each kind of answer, and the judgement of replies.

use serde::{Deserialize, Serialize};

use super::dataset::AnswerKind;
use super::metrics::{choice_match, number_match};
use super::reader::{Ask, Reply};
use crate::text::{contains, exact_match, f1};

/// A model's reply to a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// The text of the reply.
    pub text: String,
    /// Whether the reply is right, by the measure of its kind: [`AnswerKind::Extract`] where a right answer is in it,
    /// numbers and choices where the last one is the right one, other texts where they are equal.
    pub correct: bool,
    /// Whether the final answer equals a right one, normalised as SQuAD does.
    pub exact: bool,
    /// Words in common with the nearest right answer, 0 to 1, as SQuAD counts them.
    pub f1: f64,
    /// Tokens of what it was asked, as its side counts them.
    pub input_tokens: u64,
    /// Tokens of its words.
    pub output_tokens: u64,
    /// Milliseconds until its answer was whole.
    pub milliseconds: f64,
}

/// A question after its context, and in which form the answer is wanted.
#[must_use]
pub fn ask(kind: AnswerKind, context: &str, asked: &str) -> Ask {
    let (form, most) = form(kind);
    let context = if context.is_empty() { String::new() } else { format!("{context}\n\n") };
    Ask::once(format!("{context}Question: {asked}\n{form}"), most)
}

/// Returns the instruction for an answer's form, and its maximum number of tokens.
fn form(kind: AnswerKind) -> (&'static str, usize) {
    match kind {
        AnswerKind::Extract => ("Answer in a few words, with nothing else.", 48),
        AnswerKind::Number => {
            ("Work it out step by step. End with a line that says `Answer:` and the number.", 320)
        }
        AnswerKind::Choice => {
            ("Think step by step. End with a line that says `Answer:` and the letter in brackets.", 320)
        }
        AnswerKind::Text => ("Think step by step. End with a line that says `Answer:` and the answer.", 320),
    }
}

/// Compares a reply with the right answers.
#[must_use]
pub fn judge(kind: AnswerKind, reply: Reply, right: &[String]) -> Reading {
    let last = final_answer(kind, &reply.text);
    let exact = exact_match(last, right);
    let correct = match kind {
        AnswerKind::Extract => contains(&reply.text, right),
        AnswerKind::Number => number_match(&reply.text, right),
        AnswerKind::Choice => choice_match(&reply.text, right),
        AnswerKind::Text => exact,
    };
    let f1 = f1(last, right);
    let Reply { text, input_tokens, output_tokens, milliseconds } = reply;
    Reading { text, correct, exact, f1, input_tokens, output_tokens, milliseconds }
}

/// Returns the text after the last `Answer:` or `answer is` on its line; where there is none, the first line of a
/// reply that was to be a few words, else the last one.
fn final_answer(kind: AnswerKind, text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    let behind = |mark: &str| lower.rfind(mark).map(|at| at + mark.len());
    let marked = behind("answer:").max(behind("answer is"));
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = match (marked, kind) {
        (Some(at), _) => text[at..].trim_start().lines().next(),
        (None, AnswerKind::Extract) => lines.next(),
        (None, _) => lines.next_back(),
    };
    line.unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(kind: AnswerKind, text: &str, right: &str) -> (bool, bool) {
        let reply = Reply { text: text.into(), input_tokens: 5, output_tokens: 2, milliseconds: 1.0 };
        let reading = judge(kind, reply, &[right.to_owned()]);
        (reading.correct, reading.exact)
    }

    #[test]
    fn each_kind_has_its_own_measure() {
        for (kind, text, right, expected) in [
            (AnswerKind::Extract, "It was built in 1889.", "1889", (true, false)),
            (AnswerKind::Extract, "1889\nbecause", "1889", (true, true)),
            (AnswerKind::Extract, "The answer is: the 1889.", "1889", (true, true)),
            (AnswerKind::Extract, "", "1889", (false, false)),
            (AnswerKind::Number, "3 + 4 = 7\nAnswer: 7.00", "7", (true, false)),
            (AnswerKind::Number, "Answer: 8", "7", (false, false)),
            (AnswerKind::Choice, "First A.\nAnswer: [B]", "B", (true, true)),
            (AnswerKind::Choice, "Answer: C", "B", (false, false)),
            (AnswerKind::Text, "So.\nAnswer: valid", "valid", (true, true)),
            (AnswerKind::Text, "So the answer is (A).\n", "(A)", (true, true)),
            (AnswerKind::Text, "It is\nvalid", "valid", (true, true)),
            (AnswerKind::Text, "valid or invalid", "valid", (false, false)),
        ] {
            assert_eq!(judged(kind, text, right), expected, "{kind:?} {text:?}");
        }
    }

    #[test]
    fn the_question_stands_behind_its_context() {
        let ask = ask(AnswerKind::Extract, "C.", "why?");
        assert!(ask.turns[0].text.starts_with("C.\n\nQuestion: why?\nAnswer in a few words"));
        assert!(super::ask(AnswerKind::Number, "", "why?").turns[0].text.starts_with("Question: why?\n"));
    }
}
