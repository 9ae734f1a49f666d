//! Documents that the best units name: the second hop of a question that needs two.
//!
//! "Who directed the film that Ann Smith starred in?" shares no word with the document about the director, but the
//! document about Ann Smith gives the film's title, and that is the title of another document.

use super::Sentence;
use crate::compress::Document;

/// The number of best units that are searched for titles.
const BEST: usize = 3;
/// The fewest bytes of a title: shorter ones stand in texts by chance.
const SHORTEST: usize = 4;

/// Returns for each document whether one of the best `units` of another document names its title, which the question
/// does not.
pub(super) fn linked(question: &str, documents: &[Document], units: &[Sentence]) -> Vec<bool> {
    let mut best: Vec<&Sentence> = units.iter().collect();
    let far = BEST.min(best.len());
    if far < best.len() {
        best.select_nth_unstable_by(far, |a, b| Sentence::better_first(a, b));
    }
    let question = question.to_lowercase();
    let named = |(number, document): (usize, &Document)| {
        let title = name(document);
        title.len() >= SHORTEST
            && !question.contains(&title.to_lowercase())
            && best[..far].iter().any(|unit| {
                unit.document != number && names(&documents[unit.document].text[unit.range.clone()], title)
            })
    };
    documents.iter().enumerate().map(named).collect()
}

/// Returns the title of a document without what stands in brackets behind it: `Mercury (planet)`.
fn name(document: &Document) -> &str {
    let title = document.title.as_deref().unwrap_or_default();
    title.find(" (").map_or(title, |end| &title[..end]).trim()
}

/// Returns whether `title` stands in `text` between borders of words.
fn names(text: &str, title: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(title).any(|(at, _)| {
        !joins(text[..at].chars().next_back()) && !joins(text[at + title.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(title: &str, text: &str) -> Document {
        Document { id: title.into(), title: Some(title.into()), text: text.into() }
    }

    #[test]
    fn documents_that_the_best_units_name_are_linked() {
        let documents = [
            document("Ann Smith", "She starred in Low Tide."),
            document("Low Tide (film)", "It was directed by Bea Cole."),
            document("Low", "Another thing."),
            document("Tide", "Water."),
        ];
        let unit =
            |document: usize, score| Sentence { document, range: 0..documents[document].text.len(), score };
        let units = [unit(0, 1.0), unit(2, 0.2), unit(1, 0.1), unit(3, 0.0)];
        let question = "Who directed the film that Ann Smith starred in?";
        assert_eq!(linked(question, &documents, &units), [false, true, false, true]);
        assert_eq!(linked("Low Tide?", &documents, &units), [false; 4]);
        assert!(linked(question, &[], &[]).is_empty());
        assert!(!names("Parisian", "Paris") && names("in Paris.", "Paris"));
    }
}
