//! The paths of endpoints, below an upstream's base URL, and the model that some of them name.

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::{Dialect, Endpoint};

/// Stands for the name of a model in a path.
const MODEL: &str = "{model}";

/// All paths. The base URLs are those that official clients are given: `OpenAI`'s ends in `/v1`, the others end before
/// the version. The first path of an endpoint is the usual one.
const PATHS: [(Dialect, Endpoint, &str); 28] = [
    (Dialect::OpenAi, Endpoint::Chat, "/chat/completions"),
    (Dialect::OpenAi, Endpoint::Responses, "/responses"),
    (Dialect::OpenAi, Endpoint::Completions, "/completions"),
    (Dialect::OpenAi, Endpoint::Embeddings, "/embeddings"),
    (Dialect::Azure, Endpoint::Chat, "/openai/v1/chat/completions"),
    (Dialect::Azure, Endpoint::Responses, "/openai/v1/responses"),
    (Dialect::Azure, Endpoint::Completions, "/openai/v1/completions"),
    (Dialect::Azure, Endpoint::Embeddings, "/openai/v1/embeddings"),
    (Dialect::Azure, Endpoint::Chat, "/openai/deployments/{model}/chat/completions"),
    (Dialect::Azure, Endpoint::Completions, "/openai/deployments/{model}/completions"),
    (Dialect::Azure, Endpoint::Embeddings, "/openai/deployments/{model}/embeddings"),
    (Dialect::Azure, Endpoint::Responses, "/openai/responses"),
    (Dialect::Anthropic, Endpoint::Messages, "/v1/messages"),
    (Dialect::Anthropic, Endpoint::CountTokens, "/v1/messages/count_tokens"),
    (Dialect::Gemini, Endpoint::Contents, "/v1beta/models/{model}:generateContent"),
    (Dialect::Gemini, Endpoint::Contents, "/v1beta/models/{model}:streamGenerateContent"),
    (Dialect::Gemini, Endpoint::CountContents, "/v1beta/models/{model}:countTokens"),
    (Dialect::Gemini, Endpoint::Embeddings, "/v1beta/models/{model}:embedContent"),
    (Dialect::Gemini, Endpoint::Contents, "/v1/models/{model}:generateContent"),
    (Dialect::Gemini, Endpoint::Contents, "/v1/models/{model}:streamGenerateContent"),
    (Dialect::Gemini, Endpoint::CountContents, "/v1/models/{model}:countTokens"),
    (Dialect::Gemini, Endpoint::Embeddings, "/v1/models/{model}:embedContent"),
    (Dialect::Ollama, Endpoint::OllamaChat, "/api/chat"),
    (Dialect::Ollama, Endpoint::OllamaGenerate, "/api/generate"),
    (Dialect::Ollama, Endpoint::Embeddings, "/api/embed"),
    (Dialect::Ollama, Endpoint::Embeddings, "/api/embeddings"),
    (Dialect::Cohere, Endpoint::CohereChat, "/v2/chat"),
    (Dialect::Cohere, Endpoint::Embeddings, "/v2/embed"),
];

/// Characters of a model's name that a segment of a path cannot hold as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path that leads to an endpoint, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The dialect in which the path has that meaning.
    pub dialect: Dialect,
    /// The endpoint.
    pub endpoint: Endpoint,
    path: String,
    /// The place of the model's name.
    model: Option<Range<usize>>,
}

impl Address {
    /// The endpoint of `dialect` that `path` leads to below an upstream's base URL, if any.
    #[must_use]
    pub fn read(dialect: Dialect, path: &str) -> Option<Self> {
        let known = PATHS.iter().filter(|(known, ..)| *known == dialect);
        known.into_iter().find_map(|&(dialect, endpoint, template)| {
            let model = match template.split_once(MODEL) {
                None => (path == template).then_some(None),
                Some((before, after)) => {
                    let name = path.strip_prefix(before)?.strip_suffix(after)?;
                    let place = before.len()..before.len() + name.len();
                    (!name.is_empty() && !name.contains('/')).then_some(Some(place))
                }
            };
            model.map(|model| Self { dialect, endpoint, path: path.to_owned(), model })
        })
    }

    /// Returns the usual path of an endpoint for a model, where the dialect has the endpoint.
    #[must_use]
    pub fn usual(dialect: Dialect, endpoint: Endpoint, model: &str) -> Option<String> {
        let (.., template) = PATHS.iter().find(|known| (known.0, known.1) == (dialect, endpoint))?;
        Some(template.replace(MODEL, &encoded(model)))
    }

    /// Returns the model that the path names, decoded.
    #[must_use]
    pub fn model(&self) -> Option<Cow<'_, str>> {
        let written = self.path.get(self.model.clone()?)?;
        percent_decode_str(written).decode_utf8().ok()
    }

    /// Returns the path for `model`: as it was written where it names that one, or none.
    #[must_use]
    pub fn path_for(&self, model: &str) -> String {
        match &self.model {
            Some(place) if self.model().as_deref() != Some(model) => {
                let (before, after) = (self.path.get(..place.start), self.path.get(place.end..));
                [before.unwrap_or_default(), &encoded(model), after.unwrap_or_default()].concat()
            }
            _ => self.path.clone(),
        }
    }
}

fn encoded(model: &str) -> String {
    utf8_percent_encode(model, ENCODED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_endpoint_and_its_model() {
        let read = |dialect, path: &str| {
            Address::read(dialect, path).map(|it| (it.endpoint, it.model().map(Cow::into_owned)))
        };
        let named = |model: &str| Some(model.to_owned());
        assert_eq!(read(Dialect::OpenAi, "/chat/completions"), Some((Endpoint::Chat, None)));
        assert_eq!(read(Dialect::OpenAi, "/v1/messages"), None);
        for (path, expected) in [
            ("/v1beta/models/g-2.5:generateContent", Some((Endpoint::Contents, named("g-2.5")))),
            ("/v1/models/a%20b:streamGenerateContent", Some((Endpoint::Contents, named("a b")))),
            ("/v1beta/models/a:b:countTokens", Some((Endpoint::CountContents, named("a:b")))),
            ("/v1beta/models/:countTokens", None),
            ("/v1beta/models/../x:countTokens", None),
            ("/v1beta/models/m:generate", None),
            ("/v1beta/models/m", None),
        ] {
            assert_eq!(read(Dialect::Gemini, path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_stays_as_it_was_written_unless_the_model_has_another_name() {
        let address = Address::read(Dialect::Gemini, "/v1/models/%67:generateContent").unwrap();
        assert_eq!(address.path_for("g"), "/v1/models/%67:generateContent");
        assert_eq!(address.path_for("a/b c"), "/v1/models/a%2Fb%20c:generateContent");
        let fixed = Address::read(Dialect::OpenAi, "/responses").unwrap();
        assert_eq!((fixed.model(), &*fixed.path_for("m")), (None, "/responses"));
        let unreadable = Address::read(Dialect::Gemini, "/v1/models/%ff:generateContent").unwrap();
        assert_eq!((unreadable.model(), &*unreadable.path_for("m")), (None, "/v1/models/m:generateContent"));
    }

    #[test]
    fn every_path_is_read_as_its_endpoint() {
        for (dialect, endpoint, template) in PATHS {
            let address = Address::read(dialect, &template.replace(MODEL, "m")).unwrap();
            assert_eq!((address.dialect, address.endpoint), (dialect, endpoint), "{template}");
            assert_eq!(serde_json::to_value(dialect).unwrap(), dialect.name());
        }
        let usual = |model| Address::usual(Dialect::Gemini, Endpoint::Contents, model);
        assert_eq!(usual("m"), Some("/v1beta/models/m:generateContent".into()));
        assert_eq!(Address::usual(Dialect::Gemini, Endpoint::Chat, "m"), None);
    }
}
