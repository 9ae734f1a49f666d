//! Units that the question names: rows of tables by what they are called, the definitions of a program, and what records,
//! logs and outputs of programs say of a failure, which a question for it names by another word.
//!
//! A row is weighed together with the names of its columns, which all rows share, and a line of a program is short
//! beside those of its body: so what the question calls by name is ranked behind sentences that only speak of the same
//! things. Per cent at 0.50 / 0.25 / 0.10 / 0.05 of `data/domains`, all operands or the whole line kept:
//!
//! | set (n) | without | rows 2 | rows 3 | rows 5 |
//! |---|---|---|---|---|
//! | `tatqa_mixed` (51) | 98 / 90 / 20 / 4 | 100 / 90 / 25 / 4 | 98 / 90 / 27 / 4 | 98 / 90 / 29 / 4 |
//! | `tatqa_table_own` (30) | 93 / 80 / 33 / 17 | 97 / 83 / 37 / 17 | 97 / 87 / 37 / 17 | 97 / 87 / 37 / 17 |
//!
//! | set (n) | without | definitions 1 | definitions 2 | comments as context | both, 1 | both, 2 |
//! |---|---|---|---|---|---|---|
//! | `code` (22) | 95 / 91 / 86 / 77 | 100 / 100 / 86 / 82 | 100 / 100 / 91 / 77 | 100 / 91 / 86 / 82 | 100 / 100 / 91 / 86 | 100 / 100 / 91 / 86 |
//!
//! A bonus for units that deny something where the question does changed nothing (`logs`).

use std::sync::LazyLock;

use regex::Regex;

use super::bm25::QuestionTerms;
use super::{Candidates, Sentence};
use crate::compress::Prompt;
use crate::compress::statistics::deviation;
use crate::text::{SegmentKind, is_definition, row_label};

/// The bonus of a row all of whose label the question says, in deviations of all units.
const ROW: f64 = 3.0;
/// The bonus of a definition where the question asks for one, in deviations of all units.
const DEFINITION: f64 = 1.0;
/// The bonus of the unit that says most of a failure where the question asks for one, in deviations of all units.
const FAILURE: f64 = 2.0;
/// Words that tell of a failure.
const FAILURES: &str = "false error err fail failed failure fatal exception panic denied refused rejected";

/// Words that ask for a failure.
static ASKS_FOR_FAILURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:fail\w*|errors?|wrong|broken?|crash\w*|unsuccessful|fehler\w*|fehlgeschlagen|gescheitert|erreurs?|échou\w*|falló|fallaron|errores)\b",
    )
    .expect("a test compiles it")
});

/// Words for what programs define.
static DEFINED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:functions?|methods?|class(?:es)?|structs?|types?|interfaces?|macros?|enums?|traits?|procedures?|constructors?)\b",
    )
    .expect("a test compiles it")
});

/// Returns the bonus of each unit that the question names, in deviations of all units; 0 for the others.
pub(super) fn bonuses(prompt: &Prompt, terms: &QuestionTerms, candidates: &Candidates) -> Vec<f64> {
    let mut bonuses = vec![0.0; candidates.parts.len()];
    let text = |unit: usize| {
        let part = &candidates.parts[unit];
        &prompt.documents[part.document].text[part.range.clone()]
    };
    let of_kind = |kind| (0..candidates.kinds.len()).filter(move |&unit| candidates.kinds[unit] == kind);
    let rows: Vec<usize> = of_kind(SegmentKind::Row).collect();
    let labels: Vec<&str> = rows.iter().map(|&row| row_label(text(row))).collect();
    for (row, share) in rows.into_iter().zip(terms.shares(&labels)) {
        bonuses[row] = ROW * share;
    }
    if DEFINED.is_match(&prompt.question) {
        for line in of_kind(SegmentKind::Line).filter(|&line| is_definition(text(line))) {
            bonuses[line] = DEFINITION;
        }
    }
    if ASKS_FOR_FAILURE.is_match(&prompt.question) {
        let told = QuestionTerms::of(FAILURES).bm25(&candidates.texts);
        let most = told.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        bonuses.iter_mut().zip(told).for_each(|(bonus, told)| *bonus += FAILURE * told / most);
    }
    bonuses
}

/// Raises each unit by its bonus.
pub(super) fn raise(parts: &mut [Sentence], bonuses: &[f64]) {
    let scale = deviation(&parts.iter().map(|part| part.score).collect::<Vec<_>>());
    for (part, bonus) in parts.iter_mut().zip(bonuses) {
        part.score += scale * bonus;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Document;
    use crate::compress::relevance::cut;

    /// The texts of the units that rise for a question about `text`.
    fn raised(text: &str, question: &str) -> Vec<String> {
        let document = Document { id: "d".into(), title: None, text: text.into() };
        let prompt = Prompt { documents: vec![document], question: question.into(), ..Prompt::default() };
        let candidates = Candidates::of(&prompt, &cut(&prompt));
        let mut parts = candidates.parts.clone();
        raise(&mut parts, &bonuses(&prompt, &QuestionTerms::of(question), &candidates));
        let best = parts.iter().map(|part| part.score).fold(0.0, f64::max);
        let raised = parts.iter().filter(|part| part.score > 0.0 && part.score >= best);
        raised.map(|part| text[part.range.clone()].trim().to_owned()).collect()
    }

    #[test]
    fn the_row_whose_label_the_question_says_rises() {
        let table = "| Item | 2018 | 2019 |\n|---|---|---|\n| Net revenue | 5 | 6 |\n| Accounts payable | 7 | 8 |\n| Total payable | 9 | 9 |\n";
        assert_eq!(
            raised(table, "How did accounts payables change in 2019?"),
            ["| Accounts payable | 7 | 8 |"]
        );
        assert!(raised(table, "Who wrote it?").is_empty());
        let lines = "name,city,age\nAnn Lee,Oslo,4\nBob Ray,Rome,5\n";
        assert_eq!(raised(lines, "How old is Bob Ray?"), ["Bob Ray,Rome,5"]);
    }

    #[test]
    fn definitions_rise_where_one_is_asked_for() {
        let code = "fn open(path: &str) -> File {\n    let file = read(path);\n    file\n}\n\nfn close(file: File) {\n    drop(file);\n}\n";
        let question = "Which function reads?";
        assert_eq!(raised(code, question), ["fn open(path: &str) -> File {", "fn close(file: File) {"]);
        assert!(raised(code, "What is dropped?").is_empty());
    }

    #[test]
    fn what_tells_of_a_failure_rises_where_one_is_asked_for() {
        let records =
            "{\"job\":\"a\",\"ok\":true}\n{\"job\":\"b\",\"ok\":false}\n{\"job\":\"c\",\"ok\":true}\n";
        for question in
            ["Which job failed and why?", "What went wrong?", "Welcher Auftrag ist fehlgeschlagen?"]
        {
            assert_eq!(raised(records, question), ["{\"job\":\"b\",\"ok\":false}"], "{question}");
        }
        assert!(raised(records, "Which job was last?").is_empty());
    }
}
