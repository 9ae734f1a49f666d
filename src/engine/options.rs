//! The options of a request to compress, and what they mean to the methods.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;
use utoipa::ToSchema;

use super::EngineError;
use crate::compress::{Constraints, ContextBudget, ContextBudgetError, Document, RankBy, Reorder};
use crate::text::{Granularity, Protection, Protector};

/// Most patterns of a request.
const MOST_PATTERNS: usize = 32;
/// Most bytes of a pattern.
const LONGEST_PATTERN: usize = 1000;
/// Most forced words of a request.
const MOST_WORDS: usize = 256;
/// Most bytes of a forced word.
const LONGEST_WORD: usize = 256;

/// The options of a compression: what must be kept, and how. All of it in `exact` mode; `reference` mode knows
/// `reorder`, `context_budget` and `dynamic_ratio`.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompressOptions {
    /// Kinds of text that are kept or dropped whole, by default all. Quotations, say, may be cut where
    /// `quotes` is not among them.
    pub protect: Option<Vec<Protection>>,
    /// Regular expressions: what matches one is kept or dropped whole as well. At most 32, of at most 1,000
    /// bytes each. Matching takes linear time; there is no looking around and no reference back.
    pub protect_patterns: Vec<String>,
    /// Ids of documents of which something is kept whatever their rank.
    pub force_documents: Vec<String>,
    /// Words and phrases that are kept in every document wherever they stand as whole words, with the same
    /// capitals. At most 256, of at most 256 bytes each.
    pub force_words: Vec<String>,
    /// Every word with a digit in it is kept.
    pub force_numbers: bool,
    /// Sentences at the start of each document that are kept.
    pub keep_first_sentences: usize,
    /// Sentences at the end of each document that are kept.
    pub keep_last_sentences: usize,
    /// Tokens that are kept of each document at least, as far as it has so many.
    pub min_document_tokens: usize,
    /// The smallest part that is kept or dropped: `token` (a word, by default), `phrase` (by default where the
    /// method is `selective-context`), `sentence` or `line`.
    pub unit: Option<Granularity>,
    /// Do marks such as `[12 lines left out]` stand for lines, rows, code and turns that were left out? By default they
    /// do; in JSON there are none, so that it stays JSON.
    pub marks: Option<bool>,
    /// Order of the documents in the prompt, by default as sent.
    pub reorder: Reorder,
    /// The budget of the coarse filter: the tokens of documents, best first, that go on to the choice of words. `+100`
    /// is 100 more than there is room for, `*1.5` one and a half times the room; also `-` and `/`.
    pub context_budget: Option<String>,
    /// The spread of keep rates, 0 to 1: how much more of its words the best document keeps than the average one,
    /// where the method is `longllmlingua`.
    pub dynamic_ratio: Option<f64>,
    /// The likelihood that ranks documents where the method is `longllmlingua`: that of the question `after` each (the
    /// default), that of the document with the question `before` it, or `none`, that of the document by itself.
    pub rank_by: Option<RankBy>,
}

impl CompressOptions {
    /// Returns the constraints that these options put on a result from `documents`.
    pub(super) fn constraints(&self, documents: &[Document]) -> Result<Constraints, EngineError> {
        Ok(Constraints {
            documents: self.forced_documents(documents)?,
            places: BTreeMap::new(),
            words: self.forced_words()?,
            numbers: self.force_numbers,
            first_sentences: self.keep_first_sentences,
            last_sentences: self.keep_last_sentences,
            document_tokens: self.min_document_tokens,
            sections: Vec::new(),
            verbatim: false,
            unmarked: self.marks == Some(false),
            granularity: self.unit,
            reorder: self.reorder,
            context_budget: self.context_budget()?,
            dynamic_ratio: self.dynamic_ratio()?,
            rank_by: self.rank_by,
        })
    }

    fn forced_documents(&self, documents: &[Document]) -> Result<BTreeSet<usize>, EngineError> {
        let places: HashMap<&str, usize> =
            documents.iter().enumerate().map(|(i, document)| (document.id.as_str(), i)).collect();
        let place = |id: &String| {
            places.get(id.as_str()).copied().ok_or_else(|| {
                let message = format!(
                    "no document has the id `{}`; ids that were not given are places, from 0",
                    shortened(id)
                );
                EngineError::invalid("unknown_document", "options.force_documents", message)
            })
        };
        self.force_documents.iter().map(place).collect()
    }

    fn forced_words(&self) -> Result<Vec<String>, EngineError> {
        let refused = |message: String| {
            Err(EngineError::invalid("invalid_force_words", "options.force_words", message))
        };
        if self.force_words.len() > MOST_WORDS {
            return refused(format!(
                "{} forced words; at most {MOST_WORDS} are allowed",
                self.force_words.len()
            ));
        }
        for word in &self.force_words {
            if word.trim().is_empty() {
                return refused("a forced word is empty or white space, which cannot be looked for".into());
            }
            if word.len() > LONGEST_WORD {
                let start = shortened(word);
                return refused(format!("the forced word `{start}` is longer than {LONGEST_WORD} bytes"));
            }
        }
        Ok(self.force_words.iter().map(|word| word.trim().to_owned()).collect())
    }

    fn context_budget(&self) -> Result<Option<ContextBudget>, EngineError> {
        let parse = |text: &String| {
            text.parse().map_err(|error: ContextBudgetError| {
                EngineError::invalid("invalid_context_budget", "options.context_budget", error.to_string())
            })
        };
        self.context_budget.as_ref().map(parse).transpose()
    }

    fn dynamic_ratio(&self) -> Result<Option<f64>, EngineError> {
        match self.dynamic_ratio {
            Some(ratio) if !(0.0..=1.0).contains(&ratio) => Err(EngineError::invalid(
                "invalid_dynamic_ratio",
                "options.dynamic_ratio",
                format!("`dynamic_ratio` is {ratio}; it must be 0 to 1"),
            )),
            ratio => Ok(ratio),
        }
    }

    /// Returns the finder of protected spans, where it is not the usual one.
    pub(super) fn protector(&self) -> Result<Option<Protector>, EngineError> {
        if self.protect.is_none() && self.protect_patterns.is_empty() {
            return Ok(None);
        }
        let refused = |message: String| {
            EngineError::invalid("invalid_protect_patterns", "options.protect_patterns", message)
        };
        if self.protect_patterns.len() > MOST_PATTERNS {
            let count = self.protect_patterns.len();
            return Err(refused(format!("{count} patterns; at most {MOST_PATTERNS} are allowed")));
        }
        if let Some(long) = self.protect_patterns.iter().find(|pattern| pattern.len() > LONGEST_PATTERN) {
            let start = shortened(long);
            return Err(refused(format!("the pattern `{start}` is longer than {LONGEST_PATTERN} bytes")));
        }
        let kinds = self.protect.as_deref().unwrap_or(&Protection::ALL);
        Protector::new(kinds, &self.protect_patterns).map(Some).map_err(|error| refused(error.to_string()))
    }
}

/// The start of a text that a caller sent, to name it by.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(json: serde_json::Value) -> CompressOptions {
        serde_json::from_value(json).unwrap()
    }

    fn document(id: &str) -> Document {
        Document { id: id.into(), title: None, text: "text".into() }
    }

    #[test]
    fn options_become_demands() {
        let options = options(serde_json::json!({
            "force_documents": ["b", "b"], "force_words": [" ACME "], "reorder": "two_stage",
            "context_budget": "*1.5", "dynamic_ratio": 0.2, "keep_first_sentences": 1
        }));
        let constraints = options.constraints(&[document("a"), document("b")]).unwrap();
        assert_eq!(constraints.documents, [1].into());
        assert_eq!(constraints.words, ["ACME"]);
        assert_eq!(constraints.reorder, Reorder::TwoStage);
        assert_eq!(constraints.context_budget, Some(ContextBudget::Multiply(1.5)));
        assert_eq!((constraints.first_sentences, constraints.dynamic_ratio), (1, Some(0.2)));
        assert_eq!(CompressOptions::default().constraints(&[]).unwrap(), Constraints::default());
        assert!(CompressOptions::default().protector().unwrap().is_none());
    }

    #[test]
    fn defect_08_forced_ids_that_do_not_exist_are_refused() {
        for id in ["c", "-1", "99999999999999999999", ""] {
            let options = options(serde_json::json!({"force_documents": ["a", id]}));
            let error = options.constraints(&[document("a"), document("0")]).unwrap_err();
            assert_eq!((error.code, error.param), ("unknown_document", Some("options.force_documents")));
        }
    }

    #[test]
    fn what_cannot_be_met_is_refused_by_name() {
        let long = "x".repeat(2000);
        let many = vec!["x"; 300];
        for (json, code) in [
            (serde_json::json!({"force_words": [" \n"]}), "invalid_force_words"),
            (serde_json::json!({"force_words": [long]}), "invalid_force_words"),
            (serde_json::json!({"force_words": many}), "invalid_force_words"),
            (serde_json::json!({"context_budget": "+__import__('os')"}), "invalid_context_budget"),
            (serde_json::json!({"dynamic_ratio": -0.1}), "invalid_dynamic_ratio"),
            (serde_json::json!({"protect_patterns": ["(unclosed"]}), "invalid_protect_patterns"),
            (
                serde_json::json!({"protect_patterns": ["(((a{1000}){1000}){1000})"]}),
                "invalid_protect_patterns",
            ),
            (serde_json::json!({"protect_patterns": ["(?=look)"]}), "invalid_protect_patterns"),
            (serde_json::json!({"protect_patterns": [long]}), "invalid_protect_patterns"),
            (serde_json::json!({"protect_patterns": many}), "invalid_protect_patterns"),
        ] {
            let options = options(json.clone());
            let result = options.constraints(&[]).map(|_| ()).and_then(|()| options.protector().map(|_| ()));
            assert_eq!(result.unwrap_err().code, code, "{json}");
        }
        assert!(serde_json::from_value::<CompressOptions>(serde_json::json!({"forced": []})).is_err());
        assert!(serde_json::from_value::<CompressOptions>(serde_json::json!({"protect": ["all"]})).is_err());
    }
}
