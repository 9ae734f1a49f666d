//! One result: compress, rebuild the context as a reader sees it, measure.

use std::sync::Arc;

use anyhow::Context;

use super::{Arm, Means, Measured, Outcome, Reader, Setting};
use crate::compress::{Method, Mode};
use crate::engine::api::{CompressRequest, CompressResponse, DocumentInput, DocumentOutput, ScoreRequest};
use crate::engine::{EngineError, ErrorKind};
use crate::eval::dataset::{AnswerKind, Question, Source};
use crate::eval::evidence::{Evidence, Left};
use crate::eval::grading::{self, Reading};
use crate::eval::metrics::{Facts, capitals, digits};
use crate::eval::parallel;
use crate::eval::readability::Broken;
use crate::eval::reader::ChatModel;
use crate::model::Cancel;
use crate::text::{TokenCounter, contains};

/// The kept ranges of a document that is whole.
const ALL: &[[usize; 2]] = &[[0, usize::MAX]];
/// A document of which nothing is left.
const NOTHING: Left<'_> = Left { text: "", kept: &[] };

pub(super) struct Measure<'a> {
    means: Means<'a>,
    kind: AnswerKind,
    likelihood: bool,
    mode: Mode,
    tokenizer: &'a str,
    counter: Arc<dyn TokenCounter>,
    facts: Facts,
}

impl<'a> Measure<'a> {
    pub(super) fn new(means: Means<'a>, setting: &'a Setting) -> Result<Self, EngineError> {
        let tokenizer = &*setting.tokenizer;
        let counter = means.engine.counter(tokenizer)?;
        let Setting { answer: kind, mode, .. } = *setting;
        let likelihood = setting.reader == Reader::Likelihood;
        Ok(Self { means, kind, likelihood, mode, tokenizer, counter, facts: Facts::default() })
    }

    /// Returns the outcome of each cell, compressed one after another and read concurrently.
    pub(super) fn outcomes(&self, cells: &[(&Question, &Arm)]) -> anyhow::Result<Vec<Outcome>> {
        let at = |(question, arm): &(&Question, &Arm)| {
            let (method, rate) = arm.key();
            format!("question {}, {method} at {rate}", question.id)
        };
        let prepare = |cell: &(&Question, &Arm)| self.prepare(cell.0, cell.1).with_context(|| at(cell));
        let prepared = cells.iter().map(prepare).collect::<anyhow::Result<Vec<_>>>()?;
        let read = |(cell, prepared): &(&(&Question, &Arm), Prepared)| {
            self.read(cell.0, prepared).with_context(|| at(cell))
        };
        let pairs: Vec<_> = cells.iter().zip(prepared).collect();
        parallel::each(&pairs, read).into_iter().collect()
    }

    /// The context that is left, and what it took.
    fn prepare(&self, question: &Question, arm: &Arm) -> anyhow::Result<Prepared> {
        let cancel = &Cancel::never();
        let uncompressed = |context: String| Ok(Prepared::Context(context, None));
        match arm {
            Arm::Whole => uncompressed(whole(question)),
            Arm::ClosedBook => uncompressed(question.instruction.clone()),
            Arm::BestTwo => uncompressed(self.best(question, 2, cancel)?),
            Arm::Compressed(method, rate) => {
                let (method, rate, mode) = (Some(*method), Some(*rate), Some(self.mode));
                let request = CompressRequest { rate, method, mode, ..self.request(question) };
                match self.means.engine.compress(request, cancel) {
                    Ok(response) => {
                        Ok(Prepared::Context(context(question, &response.prompt), Some(Box::new(response))))
                    }
                    Err(EngineError { kind: ErrorKind::Infeasible, code, .. }) => Ok(Prepared::Refused(code)),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    fn request(&self, question: &Question) -> CompressRequest {
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        let documents = question.documents.iter().map(|source| DocumentInput {
            id: Some(source.id.clone()),
            title: some(&source.title),
            text: source.text.clone(),
            ..DocumentInput::default()
        });
        CompressRequest {
            documents: Some(documents.collect()),
            instruction: some(&question.instruction),
            question: some(&question.question),
            tokenizer: Some(self.tokenizer.to_owned()),
            ..CompressRequest::default()
        }
    }

    fn read(&self, question: &Question, prepared: &Prepared) -> anyhow::Result<Outcome> {
        let measured = match prepared {
            Prepared::Refused(code) => return Ok(Outcome::Refused((*code).to_owned())),
            Prepared::Context(context, None) => self.uncompressed(question, context)?,
            Prepared::Context(context, Some(response)) => self.compressed(question, context, response)?,
        };
        Ok(Outcome::Measured(Box::new(measured)))
    }

    /// The uncompressed context of the `n` documents that are nearest to the question.
    fn best(&self, question: &Question, n: usize, cancel: &Cancel) -> Result<String, EngineError> {
        let wide =
            CompressRequest { method: Some(Method::Extractive), rate: Some(0.9), ..self.request(question) };
        let ranks = self.means.engine.compress(wide, cancel)?.documents;
        let near = |i: usize| ranks.get(i).and_then(|document| document.rank).is_some_and(|rank| rank < n);
        let mut reduced = question.clone();
        let mut number = 0..;
        reduced.documents.retain(|_| number.next().is_some_and(near));
        Ok(whole(&reduced))
    }

    fn uncompressed(&self, question: &Question, context: &str) -> anyhow::Result<Measured> {
        let tokens = |context: &str| self.counter.count(&joined(context, &question.question));
        let compressed_tokens = tokens(context);
        let stands = |source: &'_ Source| context.contains(&source.text);
        let left: Vec<Left> = question
            .documents
            .iter()
            .map(|source| if stands(source) { Left { text: &source.text, kept: ALL } } else { NOTHING })
            .collect();
        Ok(Measured {
            original_tokens: tokens(&whole(question)),
            compressed_tokens,
            requested_tokens: compressed_tokens,
            ..self.measured(question, context, &left)?
        })
    }

    fn compressed(
        &self,
        question: &Question,
        context: &str,
        response: &CompressResponse,
    ) -> anyhow::Result<Measured> {
        let left: Vec<Left> = response.documents.iter().map(left).collect();
        let measured = self.measured(question, context, &left)?;
        let mut broken = Broken::default();
        for (source, left) in question.documents.iter().zip(&left) {
            broken.count(&source.text, left.kept);
        }
        let wrong = measured.reading.as_ref().is_some_and(|reading| !reading.correct);
        let lacks = measured.evidence.is_some_and(|evidence| evidence.lacks());
        let lost = measured.retained == Some(false) || lacks || wrong;
        let kept = || response.documents.iter().map(|document| document.kept.clone()).collect();
        Ok(Measured {
            original_tokens: response.usage.original_tokens,
            compressed_tokens: response.usage.compressed_tokens,
            requested_tokens: response.usage.requested_tokens,
            milliseconds: response.timing_ms.total,
            kept: lost.then(kept).flatten(),
            broken: Some(broken),
            ..measured
        })
    }

    /// Measures what depends on the context, and on what is left of its documents, alone.
    fn measured(&self, question: &Question, context: &str, left: &[Left<'_>]) -> anyhow::Result<Measured> {
        let before = whole(question);
        let evidence = Evidence::of(question, left);
        let retained = || contains(context, &question.answers);
        let retained = evidence.map_or_else(|| Some(retained()), |evidence| evidence.answer);
        let answered = !question.answers.is_empty();
        let chat = self.means.chat.filter(|_| answered);
        Ok(Measured {
            retained: retained.filter(|_| self.kind == AnswerKind::Extract),
            evidence,
            nll: (self.likelihood && answered).then(|| self.nll(question, context)).transpose()?,
            text_nll: if self.likelihood { self.text_nll(left)? } else { None },
            reading: chat.map(|model| self.reading(model, question, context)).transpose()?,
            numbers: self.facts.numbers(&before, context),
            names: self.facts.names(&before, context),
            digits: digits(&before, context),
            capitals: capitals(&before, context),
            altered_numbers: self.facts.altered_numbers(&before, context),
            ..Measured::default()
        })
    }

    /// Mean negative log-likelihood of ` ` and the first answer after `CONTEXT\n\nQuestion: Q\nAnswer:`.
    fn nll(&self, question: &Question, context: &str) -> Result<f64, EngineError> {
        let asked = format!("Question: {}\nAnswer:", question.asked);
        let answer = question.answers.first().map_or("", String::as_str);
        let request = ScoreRequest { text: format!(" {answer}"), prefix: Some(joined(context, &asked)) };
        let scored = self.means.engine.score_whole(&request, &Cancel::never())?;
        scored.mean_nll.ok_or_else(|| EngineError::internal("an answer has no tokens to score"))
    }

    /// Mean negative log-likelihood, in nats a token, of documents as they were left, each by itself, so that those of
    /// the original are scored once.
    fn text_nll(&self, left: &[Left<'_>]) -> Result<Option<f64>, EngineError> {
        let (mut sum, mut count) = (0.0, 0_usize);
        for text in left.iter().map(|left| left.text.trim()).filter(|text| !text.is_empty()) {
            let request = ScoreRequest { text: text.to_owned(), prefix: None };
            for nll in self.means.engine.score(&request, &Cancel::never())?.nll.into_iter().flatten() {
                sum += f64::from(nll);
                count += 1;
            }
        }
        Ok((count > 0).then(|| sum / count as f64))
    }

    fn reading(&self, model: &ChatModel<'_>, question: &Question, context: &str) -> anyhow::Result<Reading> {
        let reply = model.answer(&grading::ask(self.kind, context, &question.asked))?;
        Ok(grading::judge(self.kind, reply, &question.answers))
    }
}

/// The compressed form of a prompt.
enum Prepared {
    /// The context as a reader sees it, and what the compressor said of it, if it was asked.
    Context(String, Option<Box<CompressResponse>>),
    /// The engine refused, with this code.
    Refused(&'static str),
}

fn left(output: &DocumentOutput) -> Left<'_> {
    Left { text: &output.text, kept: output.kept.as_deref().unwrap_or_default() }
}

/// Two parts with a blank line between them, if there are two.
fn joined(first: &str, second: &str) -> String {
    if first.is_empty() { second.to_owned() } else { format!("{first}\n\n{second}") }
}

/// The uncompressed context as a reader sees it: instruction and documents, a title on the line of its text.
fn whole(question: &Question) -> String {
    let documents = question.documents.iter().map(|source| match &*source.title {
        "" => source.text.clone(),
        title => format!("{title} {}", source.text),
    });
    let instruction = Some(question.instruction.clone()).filter(|text| !text.is_empty());
    instruction.into_iter().chain(documents).collect::<Vec<_>>().join("\n\n")
}

/// The compressed context as a reader sees it: the prompt without its question, titles as in [`whole`].
fn context(question: &Question, prompt: &str) -> String {
    let context = prompt.strip_suffix(&*question.question).unwrap_or(prompt).trim_end();
    let titled = question.documents.iter().filter(|source| !source.title.is_empty());
    titled.fold(context.to_owned(), |context, Source { title, .. }| {
        context.replace(&format!("{title}\n"), &format!("{title} "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        let source = |id: &str, title: &str, text: &str| Source {
            id: id.into(),
            title: title.into(),
            text: text.into(),
        };
        Question {
            id: "q".into(),
            instruction: "Read.".into(),
            documents: vec![source("a", "Document [1](Title: A)", "First text."), source("b", "", "Second.")],
            question: "who".into(),
            asked: "who?".into(),
            answers: vec!["x".into()],
            needs: None,
        }
    }

    #[test]
    fn a_reader_sees_titles_beside_their_texts() {
        let question = question();
        assert_eq!(whole(&question), "Read.\n\nDocument [1](Title: A) First text.\n\nSecond.");
        let prompt = "Read.\n\nDocument [1](Title: A)\nFirst\n\nSecond.\n\nwho";
        assert_eq!(context(&question, prompt), "Read.\n\nDocument [1](Title: A) First\n\nSecond.");
        assert_eq!(context(&question, "Read.\n\nwho"), "Read.");
        assert_eq!((joined("", "q"), joined("c", "q")), ("q".into(), "c\n\nq".into()));
    }
}
