//! From a text to the words that are indexed and searched for, as a collection's settings have it.

use std::collections::BTreeSet;

use tantivy::tokenizer::{
    AsciiFoldingFilter, BoxTokenStream, Language, RemoveLongFilter, Stemmer, StopWordFilter, TextAnalyzer,
    Tokenizer,
};

use super::tokenizer::{Accents, Side, WordTokenizer, Words, without_accents};
use crate::index::words::{WordLanguage, WordSettings};

/// Longest word that is indexed, in bytes.
const WORD_BYTES: usize = 80;
/// Different words of a query that are looked up; a longer query is cut.
const QUERY_WORDS: usize = 256;
/// Version of the analysers. Another one needs another number, or indexes made by this one would be searched by that.
const VERSION: usize = 2;

/// The analyser's name in an index, by which one that another analyser made is told.
pub(super) fn name(settings: WordSettings) -> String {
    let WordSettings { language, accents } = settings;
    if settings == WordSettings::default() {
        return format!("whittle-{VERSION}");
    }
    let accents = if accents { "-accents" } else { "" };
    format!("whittle-{VERSION}-{language:?}{accents}").to_lowercase()
}

/// Words without their endings.
///
/// Where accents do not count, a word is there in two forms: by the rules of its language, which go by accents, and
/// without accents from the start, so that a query by someone who leaves them out finds it, too. For English both are
/// the same.
#[derive(Clone)]
pub(super) struct Analyser {
    /// The analyser by the rules of the language.
    exact: Option<TextAnalyzer>,
    /// The analyser of words without accents.
    folded: Option<TextAnalyzer>,
}

impl Analyser {
    /// The analyser of texts.
    pub(super) fn of_texts(settings: WordSettings) -> Self {
        Self::new(settings, Side::Text)
    }

    fn new(WordSettings { language, accents }: WordSettings, side: Side) -> Self {
        let language = rules(language);
        let exact = || {
            let words = RemoveLongFilter::limit(WORD_BYTES);
            let words = TextAnalyzer::builder(WordTokenizer { side, accents: Accents::Kept }).filter(words);
            built(words.dynamic(), language)
        };
        let folded = || {
            let words = WordTokenizer { side, accents: Accents::Folded };
            let words = TextAnalyzer::builder(words).filter(RemoveLongFilter::limit(WORD_BYTES));
            built(words.filter(AsciiFoldingFilter).dynamic(), language)
        };
        let by_rules = accents || language.is_some_and(|language| language != Language::English);
        Self { exact: by_rules.then(exact), folded: (!accents).then(folded) }
    }

    pub(super) fn words(&mut self, text: &str) -> Vec<String> {
        let exact = self.exact.as_mut().map(|analyser| words_by(analyser, text));
        let Some(folded) = self.folded.as_mut().map(|analyser| words_by(analyser, text)) else {
            return exact.unwrap_or_default();
        };
        let exact = exact.unwrap_or_default().into_iter().map(|word| without_accents(&word));
        // What is the same in both forms counts once.
        let known: BTreeSet<&String> = folded.iter().collect();
        let more: Vec<String> = exact.filter(|word| !known.contains(word)).collect();
        folded.into_iter().chain(more).collect()
    }
}

impl Tokenizer for Analyser {
    type TokenStream<'a> = Words;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Words {
        Words::new(self.words(text))
    }
}

/// The different words of `query` as they are indexed, without function words unless there are no others: these are in
/// nearly every chunk, so that they tell little and take most of a search's time. On 1,500 questions recall is the same
/// with and without them.
pub(in crate::index) fn words_of(settings: WordSettings, query: &str) -> BTreeSet<String> {
    let mut analyser = Analyser::new(settings, Side::Query);
    let telling = analyser.words(&telling(settings.language, query));
    let words = if telling.is_empty() { analyser.words(query) } else { telling };
    words.into_iter().take(QUERY_WORDS).collect()
}

/// The words of a query without function words.
fn telling(language: WordLanguage, query: &str) -> String {
    let words = TextAnalyzer::builder(WordTokenizer { side: Side::Query, accents: Accents::Kept }).dynamic();
    let stop = rules(language).and_then(StopWordFilter::new);
    let words = match stop {
        Some(stop) => words.filter_dynamic(stop),
        None => words,
    };
    words_by(&mut words.build(), query).join(" ")
}

fn built(words: tantivy::tokenizer::TextAnalyzerBuilder, language: Option<Language>) -> TextAnalyzer {
    match language {
        Some(language) => words.filter_dynamic(Stemmer::new(language)).build(),
        None => words.build(),
    }
}

fn words_by(analyser: &mut TextAnalyzer, text: &str) -> Vec<String> {
    let mut stream: BoxTokenStream<'_> = analyser.token_stream(text);
    let mut words = Vec::new();
    while stream.advance() {
        words.push(std::mem::take(&mut stream.token_mut().text));
    }
    words
}

/// The rules of a language; none where words stay as they are.
fn rules(language: WordLanguage) -> Option<Language> {
    Some(match language {
        WordLanguage::None => return None,
        WordLanguage::Arabic => Language::Arabic,
        WordLanguage::Danish => Language::Danish,
        WordLanguage::Dutch => Language::Dutch,
        WordLanguage::English => Language::English,
        WordLanguage::Finnish => Language::Finnish,
        WordLanguage::French => Language::French,
        WordLanguage::German => Language::German,
        WordLanguage::Greek => Language::Greek,
        WordLanguage::Hungarian => Language::Hungarian,
        WordLanguage::Italian => Language::Italian,
        WordLanguage::Norwegian => Language::Norwegian,
        WordLanguage::Portuguese => Language::Portuguese,
        WordLanguage::Romanian => Language::Romanian,
        WordLanguage::Russian => Language::Russian,
        WordLanguage::Spanish => Language::Spanish,
        WordLanguage::Swedish => Language::Swedish,
        WordLanguage::Tamil => Language::Tamil,
        WordLanguage::Turkish => Language::Turkish,
    })
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    fn in_language(language: WordLanguage) -> WordSettings {
        WordSettings { language, accents: false }
    }

    #[test]
    fn function_words_count_where_there_are_no_others() {
        let words = |query| words_of(WordSettings::default(), query).into_iter().collect::<Vec<_>>();
        assert_eq!(words("Where is the Bridge, and the bridges?"), ["bridg", "where"]);
        assert_eq!(words("to be, or not to be"), ["be", "not", "or", "to"]);
        assert!(words("?!").is_empty());
        let german = in_language(WordLanguage::German);
        assert_eq!(words_of(german, "Wo ist die Brücke?").into_iter().collect::<Vec<_>>(), ["bruck"]);
    }

    #[test]
    fn one_form_finds_the_others_with_and_without_accents() {
        for (language, text, query) in [
            (WordLanguage::German, "Die Häuser am Hafen", "Haus"),
            (WordLanguage::German, "Das Haus am Hafen", "HAEUSER Häuser"),
            (WordLanguage::French, "la généralité des cas", "generalite"),
            (WordLanguage::French, "la généralité des cas", "généralités"),
            (WordLanguage::Spanish, "las estaciones", "estación"),
            (WordLanguage::Russian, "синий дом", "синего"),
            (WordLanguage::Turkish, "kitaplar", "kitap"),
            (WordLanguage::English, "the bridges", "bridge"),
            (WordLanguage::None, "café", "cafe"),
        ] {
            let settings = in_language(language);
            let indexed = Analyser::of_texts(settings).words(text);
            let asked = words_of(settings, query);
            assert!(asked.iter().any(|word| indexed.contains(word)), "{language:?}: {indexed:?} {asked:?}");
        }
        let none = in_language(WordLanguage::None);
        assert!(!Analyser::of_texts(none).words("bridges").contains(&"bridge".to_owned()));
    }

    #[test]
    fn accents_count_where_they_are_said_to() {
        let settings = WordSettings { language: WordLanguage::None, accents: true };
        assert_eq!(Analyser::of_texts(settings).words("Résumé RESUME"), ["résumé", "resume"]);
        assert_eq!(words_of(settings, "Résumé").into_iter().collect::<Vec<_>>(), ["résumé"]);
    }

    #[test]
    fn each_analyser_has_a_name_of_its_own() {
        let languages = WordLanguage::value_variants();
        let names: BTreeSet<String> = languages
            .iter()
            .flat_map(|&language| [false, true].map(|accents| name(WordSettings { language, accents })))
            .collect();
        assert_eq!(names.len(), 2 * languages.len());
    }
}
