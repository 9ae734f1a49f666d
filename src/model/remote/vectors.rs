//! Reading the vectors of an answer, which are checked before anything is made of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{RemoteError, RemoteServer};

/// The difference of a length from 1 up to which a vector is taken as it came: what rounding leaves.
const ROUNDED: f64 = 1e-4;

/// An answer in the form of `OpenAI`.
#[derive(Deserialize)]
pub(super) struct OpenAiAnswer {
    data: Vec<OpenAiVector>,
    #[serde(default)]
    pub(super) model: String,
    /// A fingerprint of the model's files, which another whittle gives.
    pub(super) identity: Option<String>,
}

#[derive(Deserialize)]
struct OpenAiVector {
    index: usize,
    embedding: Values,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Numbers(Vec<f32>),
    Base64(String),
}

/// Reads JSON. What an answer holds is not repeated in the error.
pub(super) fn parsed<T: DeserializeOwned>(server: &RemoteServer, body: &[u8]) -> Result<T, RemoteError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends early",
            serde_json::error::Category::Data => "its members are not those of the form",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is not JSON",
        };
        let reason = format!("{what}, at line {} column {}", error.line(), error.column());
        RemoteError::Malformed { server: server.clone(), reason }
    })
}

impl OpenAiAnswer {
    /// The vectors in the order of the texts.
    pub(super) fn vectors(self, server: &RemoteServer, sent: usize) -> Result<Vec<Vec<f32>>, RemoteError> {
        let places = self.data.into_iter().map(|vector| (vector.index, vector.embedding));
        in_order(server, places, sent)?.into_iter().map(|values| values.numbers(server)).collect()
    }
}

impl Values {
    fn numbers(self, server: &RemoteServer) -> Result<Vec<f32>, RemoteError> {
        let text = match self {
            Self::Numbers(numbers) => return Ok(numbers),
            Self::Base64(text) => text,
        };
        let malformed =
            |reason: &str| RemoteError::Malformed { server: server.clone(), reason: reason.into() };
        let bytes = STANDARD.decode(text).map_err(|_| malformed("a vector is not base64"))?;
        let (values, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(malformed("a vector in base64 has a part of a value"));
        }
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }
}

/// Puts results at the places that they name: each of those from 0 to `sent` once.
pub(super) fn in_order<T>(
    server: &RemoteServer,
    results: impl ExactSizeIterator<Item = (usize, T)>,
    sent: usize,
) -> Result<Vec<T>, RemoteError> {
    if results.len() != sent {
        return Err(RemoteError::Count { server: server.clone(), sent, came: results.len() });
    }
    let mut placed: Vec<Option<T>> = (0..sent).map(|_| None).collect();
    for (index, result) in results {
        match placed.get_mut(index) {
            Some(place @ None) => *place = Some(result),
            _ => return Err(RemoteError::Order { server: server.clone(), index }),
        }
    }
    Ok(placed.into_iter().flatten().collect())
}

/// Returns a vector of length 1 in the direction of `values`, which must have one; `place` is that of its text.
pub(super) fn normalised(
    server: &RemoteServer,
    mut values: Vec<f32>,
    place: usize,
) -> Result<Vec<f32>, RemoteError> {
    let length = values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return Err(RemoteError::NoDirection { server: server.clone(), place });
    }
    if (length - 1.0).abs() > ROUNDED {
        for value in &mut values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
    Ok(values)
}
