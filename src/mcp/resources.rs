//! Resources: collections, and the documents in them.

use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};

use crate::engine::{Engine, EngineError};

/// The beginning of every address.
const BASE: &str = "whittle://collections/";
/// What stands between a collection and a document of it.
const DOCUMENTS: &str = "/documents/";

/// What an address names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Address {
    Collection(String),
    Document { collection: String, id: String },
}

impl Address {
    /// Reads an address. None where it is none of ours.
    pub(super) fn of(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix(BASE)?;
        let Some((collection, id)) = rest.split_once(DOCUMENTS) else {
            return (!rest.is_empty() && !rest.contains('/')).then(|| Self::Collection(rest.to_owned()));
        };
        Some(Self::Document { collection: collection.to_owned(), id: decoded(id)? })
    }
}

/// The text that percent signs stand for.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

/// Returns all collections.
pub(super) fn list(engine: &Engine) -> Result<Vec<Resource>, EngineError> {
    let collections = engine.collections().list()?.collections;
    let resource = |collection: crate::engine::collections::api::CollectionInfo| {
        let description = format!("{} documents in {} chunks", collection.documents, collection.chunks);
        Resource::new(format!("{BASE}{}", collection.name), collection.name)
            .with_description(description)
            .with_mime_type("application/json")
    };
    Ok(collections.into_iter().map(resource).collect())
}

/// Returns the forms of addresses.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(format!("{BASE}{{collection}}"), "collection")
            .with_description("A collection: its settings and size")
            .with_mime_type("application/json"),
        ResourceTemplate::new(format!("{BASE}{{collection}}{DOCUMENTS}{{id}}"), "document")
            .with_description("The text of a document of a collection")
            .with_mime_type("text/plain"),
    ]
}

/// Returns what an address names.
pub(super) fn read(engine: &Engine, address: &Address, uri: &str) -> Result<ReadResourceResult, EngineError> {
    let contents = match address {
        Address::Collection(name) => {
            let text = serde_json::to_string(&engine.collections().get(name)?)
                .map_err(|error| EngineError::internal(format!("a collection has no JSON form: {error}")))?;
            ResourceContents::text(text, uri).with_mime_type("application/json")
        }
        Address::Document { collection, id } => {
            ResourceContents::text(engine.collections().document(collection, id)?.text, uri)
        }
    };
    Ok(ReadResourceResult::new(vec![contents]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_collections_and_documents() {
        let document = |collection: &str, id: &str| {
            Some(Address::Document { collection: collection.into(), id: id.into() })
        };
        for (uri, expected) in [
            ("whittle://collections/notes", Some(Address::Collection("notes".into()))),
            ("whittle://collections/notes/documents/a", document("notes", "a")),
            ("whittle://collections/notes/documents/a/b%20c%2F", document("notes", "a/b c/")),
            ("whittle://collections/notes/documents/%zz", None),
            ("whittle://collections/notes/documents/%2", None),
            ("whittle://collections/", None),
            ("whittle://collections/a/b", None),
            ("file:///etc/passwd", None),
        ] {
            assert_eq!(Address::of(uri), expected, "{uri}");
        }
    }
}
