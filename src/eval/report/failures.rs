//! The worst failures: which text was kept and which was dropped where an answer was lost.

use std::collections::HashMap;
use std::fmt::Write;

use super::escaped;
use crate::eval::dataset::{AnswerKind, Question, Source};
use crate::eval::run::{Measured, Row, WHOLE};
use crate::eval::summary::correct;
use crate::text::contains;

/// The number of failures that are shown.
const SHOWN: usize = 10;

/// A lost answer.
struct Failure<'a> {
    row: &'a Row,
    measured: &'a Measured,
    question: &'a Question,
    /// The loss: the rise of the answer's NLL over that with the whole context, in nats a token; where a model was
    /// asked, 1 if it was right with the whole context.
    loss: f64,
}

pub(super) fn section(rows: &[Row], questions: &[Question], kind: AnswerKind) -> String {
    let mut out = String::from("<section><h2>Worst failures</h2>\n");
    let worst = worst(rows, questions);
    if worst.is_empty() {
        return out + "<p>No answer was lost.</p></section>\n";
    }
    out += "<p>Answers that were lost or are wrong, one of each question: first where most was lost against the \
            whole context. <ins>Kept</ins> and <del>dropped</del> text of the documents that held the answer.</p>\n";
    for Failure { row, measured, question, loss } in worst {
        let said = measured.reading.as_ref().map_or_else(
            || format!("{loss:+.2} nats a token"),
            |reading| format!("the model said \u{201c}{}\u{201d}", escaped(&shortened(&reading.text))),
        );
        let needed = question.needs.iter().flat_map(|needs| &needs.operands);
        let answers: Vec<_> = question.answers.iter().chain(needed).map(String::as_str).collect();
        let answers = answers.join("; ");
        // Writing to a string cannot fail.
        writeln!(
            out,
            "<article><h3>{}</h3><p>{} at {}: {said}. Answer: <b>{}</b></p>",
            escaped(&question.asked),
            escaped(&row.method),
            row.rate,
            escaped(&answers)
        )
        .ok();
        for (source, kept) in question.documents.iter().zip(measured.kept.iter().flatten()) {
            if kind != AnswerKind::Extract || is_needed(source, question) {
                writeln!(out, "<h4>{}</h4><p>{}</p>", escaped(&source.title), marked(&source.text, kept))
                    .ok();
            }
        }
        out += "</article>\n";
    }
    out + "</section>\n"
}

/// Returns whether a document holds an answer or evidence.
fn is_needed(source: &Source, question: &Question) -> bool {
    let spans = question.needs.iter().flat_map(|needs| &needs.spans);
    contains(&source.text, &question.answers)
        || spans.into_iter().any(|span| source.text.contains(&span.text))
}

/// The end of a long answer, where its result stands.
fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let over = text.trim().chars().count().saturating_sub(MOST);
    let mark = if over > 0 { "\u{2026}" } else { "" };
    mark.to_owned() + &text.trim().chars().skip(over).collect::<String>()
}

/// The largest losses, one a question. The same for the same rows.
fn worst<'a>(rows: &'a [Row], questions: &'a [Question]) -> Vec<Failure<'a>> {
    let questions: HashMap<&str, &Question> =
        questions.iter().map(|question| (&*question.id, question)).collect();
    let whole: HashMap<&str, &Measured> = rows
        .iter()
        .filter(|row| row.method == WHOLE)
        .filter_map(|row| Some((&*row.question, row.measured()?)))
        .collect();
    let mut failures: Vec<Failure> = rows
        .iter()
        .filter_map(|row| {
            let measured = row.measured().filter(|measured| measured.kept.is_some())?;
            let whole = whole.get(&*row.question);
            let more = |value: &dyn Fn(&Measured) -> Option<f64>| Some(value(measured)? - value(whole?)?);
            // Where nothing reads, one loss is as bad as another.
            let loss = more(&|m| m.nll).or_else(|| more(&correct).map(|gain| -gain)).unwrap_or(0.0);
            Some(Failure { row, measured, question: questions.get(&*row.question)?, loss })
        })
        .collect();
    failures.sort_by(|a, b| b.loss.total_cmp(&a.loss).then_with(|| a.row.question.cmp(&b.row.question)));
    let mut seen = std::collections::HashSet::new();
    failures.retain(|failure| seen.insert(&failure.row.question));
    failures.truncate(SHOWN);
    failures
}

/// `text` with kept and dropped parts marked. Ranges that do not fit the text mark nothing.
fn marked(text: &str, kept: &[[usize; 2]]) -> String {
    let mut out = String::new();
    let mut at = 0;
    for &[start, end] in kept.iter().chain([&[text.len(); 2]]) {
        let (Some(dropped), Some(own)) = (text.get(at..start), text.get(start..end)) else { break };
        if !dropped.is_empty() {
            write!(out, "<del>{}</del>", escaped(dropped)).ok();
        }
        if !own.is_empty() {
            write!(out, "<ins>{}</ins>", escaped(own)).ok();
        }
        at = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_dropped_text_is_marked_and_escaped() {
        assert_eq!(
            marked("a<b> cd", &[[0, 1], [5, 6]]),
            "<ins>a</ins><del>&lt;b&gt; </del><ins>c</ins><del>d</del>"
        );
        assert_eq!(marked("ab", &[]), "<del>ab</del>");
        assert_eq!(marked("é", &[[1, 2]]), "");
    }
}
