//! The share of the evidence that a question needs which compressed documents still hold.

use serde::{Deserialize, Serialize};

use super::dataset::Question;
use crate::text::{contains_in, contains_numbers};

/// The share of the evidence's characters that counts as whole: a mark of punctuation may be gone.
const WHOLE: f64 = 0.98;

/// A document as the compressor left it.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The text of the result, marks included.
    pub text: &'a str,
    /// Byte ranges of the text as it was that were kept.
    pub kept: &'a [[usize; 2]],
}

/// The parts of what a question needs that are left. Each is none where the question does not need such.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// One of the answers is left, normalised as its language wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<bool>,
    /// Every operand is left, with digit boundaries of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_answers: Option<bool>,
    /// Share of the characters of the evidence that were kept, white space apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<f64>,
    /// Every passage of the evidence was kept, or one where one is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<bool>,
}

impl Evidence {
    /// Measures `left`, the documents of `question` in their order; documents that were dropped may be missing at its
    /// end. None where the dataset does not say what its questions need.
    #[must_use]
    pub fn of(question: &Question, left: &[Left<'_>]) -> Option<Self> {
        let needs = question.needs.as_ref()?;
        let text = left.iter().map(|left| left.text).collect::<Vec<_>>().join("\n");
        let answers = &question.answers;
        let shares: Vec<f64> = needs
            .spans
            .iter()
            .filter_map(|span| {
                let source = &question.documents.get(span.doc)?.text;
                let start = source.find(&span.text)?;
                let kept = left.get(span.doc).map_or(&[][..], |left| left.kept);
                Some(covered(source, start..start + span.text.len(), kept))
            })
            .collect();
        let most = shares.iter().copied().reduce(f64::max);
        let mean = most.map(|_| shares.iter().sum::<f64>() / shares.len() as f64);
        let least = if needs.any_span { most } else { shares.iter().copied().reduce(f64::min) };
        Some(Self {
            answer: (!answers.is_empty()).then(|| contains_in(&text, answers, &needs.language)),
            all_answers: (!needs.operands.is_empty()).then(|| contains_numbers(&text, &needs.operands)),
            span: if needs.any_span { most } else { mean },
            whole: least.map(|share| share >= WHOLE),
        })
    }

    /// Returns whether something is missing.
    #[must_use]
    pub fn lacks(&self) -> bool {
        [self.answer, self.all_answers, self.whole].contains(&Some(false))
    }
}

/// Share of the characters of a part of `text`, white space apart, that begin inside one of `kept`.
fn covered(text: &str, part: std::ops::Range<usize>, kept: &[[usize; 2]]) -> f64 {
    let characters = text[part.clone()].char_indices().filter(|(_, c)| !c.is_whitespace());
    let (mut got, mut all) = (0_usize, 0_usize);
    for (at, _) in characters {
        let at = part.start + at;
        all += 1;
        got += usize::from(kept.iter().any(|&[start, end]| (start..end).contains(&at)));
    }
    got as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::dataset::{Needs, Source, Span};

    fn question(any_span: bool) -> Question {
        let source = |text: &str| Source { id: text.into(), title: String::new(), text: text.into() };
        let span = |doc, text: &str| Span { doc, text: text.into() };
        Question {
            documents: vec![source("Ort: Küste 5.\nAlt."), source("Preis | 1,200")],
            answers: vec!["KÜSTE".into()],
            needs: Some(Needs {
                set: "s".into(),
                language: "de".into(),
                operands: vec!["1,200".into()],
                spans: vec![span(0, "Küste 5."), span(1, "1,200"), span(1, "not there")],
                any_span,
            }),
            ..Question::default()
        }
    }

    #[test]
    fn evidence_is_measured_in_characters_of_the_kept_ranges() {
        let left =
            [Left { text: "Küste", kept: &[[5, 11]] }, Left { text: "Preis | 1,200", kept: &[[0, 13]] }];
        let all = Evidence::of(&question(false), &left).unwrap();
        // Of `Küste5.` the five letters are kept, and the other passage whole: five sevenths and one.
        let close = |share: Option<f64>, want: f64| (share.unwrap() - want).abs() < 1e-12;
        assert!(close(all.span, 6.0 / 7.0), "{all:?}");
        assert_eq!((all.answer, all.all_answers, all.whole), (Some(true), Some(true), Some(false)));
        assert!(all.lacks());
        let any = Evidence::of(&question(true), &left).unwrap();
        assert!(close(any.span, 1.0) && any.whole == Some(true) && !any.lacks(), "{any:?}");
        let none = Evidence::of(&question(false), &[]).unwrap();
        assert_eq!((none.answer, none.all_answers, none.whole), (Some(false), Some(false), Some(false)));
        assert!(close(none.span, 0.0));
        assert_eq!(Evidence::of(&Question::default(), &left), None);
    }

    #[test]
    fn what_a_question_does_not_need_has_no_figure() {
        let mut question = question(false);
        question.answers.clear();
        question.needs = Some(Needs { language: "en".into(), ..Needs::default() });
        assert_eq!(Evidence::of(&question, &[]), Some(Evidence::default()));
        assert_eq!(serde_json::to_string(&Evidence::default()).unwrap(), "{}");
    }
}
