//! Collections: what can be done with documents that last.

pub mod api;
pub mod bench;
mod copy;
pub mod files;
mod ingest;
pub mod lines;
mod search;
mod transfer;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use copy::Copied;

use api::{
    CollectionInfo, CollectionList, CreateRequest, DeleteRequest, DeleteResponse, DocumentInfo, DocumentPage,
    IndexInfo, Unreadable,
};
use search::{unknown_field, unknown_fields};

use super::slot::Slot;
use super::{Engine, EngineError, ErrorKind};
use crate::index::{
    Batch, CollectionStore, DataDir, DocumentStore, IndexError, Name, NameError, Postgres, PostgresError,
    Settings, SnapshotError, StoredDocument,
};
use crate::model::Embedder;
use crate::retrieve::Filter;
use crate::telemetry::chain;

/// The code of the error where the database that has the collections cannot be used.
pub(crate) const STORE_AWAY: &str = "store_unavailable";

/// Most documents of a page.
pub(super) const PAGE: usize = 1000;

/// A folder of collections, which is taken on first need.
pub(super) struct DataFolder {
    /// Missing where the engine was given none.
    root: Option<PathBuf>,
    data: Slot<dyn CollectionStore>,
    /// The database that has them instead, where one is configured.
    database: Option<Postgres>,
}

impl std::fmt::Debug for DataFolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataFolder").field("root", &self.root).finish_non_exhaustive()
    }
}

impl DataFolder {
    pub(super) fn new(root: Option<PathBuf>) -> Self {
        Self { root, data: Slot::new(), database: None }
    }

    /// Collections, or banks of examples, in a database. The folder is for files that are gone soon.
    pub(super) fn in_database(
        root: Option<PathBuf>,
        database: Postgres,
        data: Arc<dyn CollectionStore>,
    ) -> Self {
        Self { root, data: Slot::given(Some(data)), database: Some(database) }
    }

    /// Returns the database that has the collections, if one has.
    pub(super) fn database(&self) -> Option<&Postgres> {
        self.database.as_ref()
    }

    /// The folder that they are kept in.
    pub(super) fn root(&self) -> Result<&Path, EngineError> {
        self.root.as_deref().ok_or_else(|| {
            let message = "this engine has no folder for what lasts: name one to its builder (`data_dir`)";
            EngineError::no_data_folder(message)
        })
    }

    /// The collections themselves.
    pub(super) fn data(&self) -> Result<Arc<dyn CollectionStore>, EngineError> {
        self.data.get(|| Ok(Arc::new(DataDir::open(self.root()?)?)))
    }

    /// Returns whether there is nothing that requires the folder to be taken.
    pub(super) fn is_empty(&self) -> Result<bool, EngineError> {
        Ok(self.database.is_none() && !DataDir::has_collections(self.root()?))
    }

    /// Returns a file in the folder without a name: it is gone once it is closed.
    pub(super) fn temporary(&self) -> Result<File, EngineError> {
        let folder = self.root()?;
        let cannot = |error| IndexError::io("write in", folder)(error).into();
        fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder)).map_err(cannot)
    }

    pub(super) fn open(&self) -> Result<(), EngineError> {
        // A database may be away at the start as at any time.
        if let Some(database) = &self.database {
            database.watch();
            return Ok(());
        }
        let data = self.data()?;
        for name in data.names()? {
            // One that cannot be read keeps nobody from the others.
            if let Err(error) = data.get(&name) {
                let (folder, error) = (self.root()?.display(), chain(&error));
                tracing::error!(collection = name.as_str(), %folder, error, "cannot open a collection");
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Result<Arc<dyn DocumentStore>, EngineError> {
        Ok(self.data()?.get(&parsed(name)?)?)
    }
}

pub(super) fn parsed(name: &str) -> Result<Name, EngineError> {
    Ok(name.parse::<Name>()?)
}

/// The collections of an engine: documents that last, and search in them. Calls block.
#[derive(Debug)]
pub struct Collections<'a> {
    engine: &'a Engine,
}

impl<'a> Collections<'a> {
    /// The collections of `engine`.
    pub(super) fn of(engine: &'a Engine) -> Self {
        Self { engine }
    }
}

impl Collections<'_> {
    /// Makes a collection, unless there is one with these settings already. Also says whether it is new.
    ///
    /// # Errors
    /// There is one with other settings; also see [`EngineError`].
    pub fn create(&self, name: &str, request: CreateRequest) -> Result<(CollectionInfo, bool), EngineError> {
        let name = parsed(name)?;
        let embedder = self.engine.models.embedder()?;
        let settings = Settings::new(embedder.name(), embedder.dimensions(), request.chunking)?
            .with_identity(embedder.identity())
            .with_words(request.words);
        let data = self.engine.collections.data()?;
        match data.create(&name, &settings) {
            Ok(collection) => Ok((info(&*collection)?, true)),
            Err(IndexError::Exists(name)) => {
                let collection = data.get(&name)?;
                if collection.settings().same_as(&settings) {
                    Ok((info(&*collection)?, false))
                } else {
                    Err(IndexError::Exists(name).into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All collections.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn list(&self) -> Result<CollectionList, EngineError> {
        let mut list = CollectionList::default();
        if self.engine.collections.is_empty()? {
            return Ok(list);
        }
        let data = self.engine.collections.data()?;
        for name in data.names()? {
            let collection = data.get(&name).map_err(EngineError::from);
            match collection.and_then(|collection| info(&*collection)) {
                Ok(collection) => list.collections.push(collection),
                // Another replica has deleted it.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) if error.code == STORE_AWAY => return Err(error),
                Err(error) => {
                    list.unreadable.push(Unreadable { name: name.to_string(), reason: error.message });
                }
            }
        }
        Ok(list)
    }

    /// Describes a collection.
    ///
    /// # Errors
    /// There is none of that name; also see [`EngineError`].
    pub fn get(&self, name: &str) -> Result<CollectionInfo, EngineError> {
        info(&*self.engine.collections.get(name)?)
    }

    /// Removes a collection with all that is in it.
    ///
    /// # Errors
    /// There is none of that name; also see [`EngineError`].
    pub fn delete(&self, name: &str) -> Result<(), EngineError> {
        Ok(self.engine.collections.data()?.delete(&parsed(name)?)?)
    }

    /// A document.
    ///
    /// # Errors
    /// There is none of that id; also see [`EngineError`].
    pub fn document(&self, name: &str, id: &str) -> Result<DocumentInfo, EngineError> {
        let (document, text) =
            self.engine.collections.get(name)?.document(id)?.ok_or_else(|| no_document(name, id))?;
        Ok(described(document, text))
    }

    /// Up to `limit` documents, 1 to 1,000, from [`DocumentPage::next`] on.
    ///
    /// # Errors
    /// There is no such collection; also see [`EngineError`].
    pub fn documents(&self, name: &str, from: u64, limit: usize) -> Result<DocumentPage, EngineError> {
        if !(1..=PAGE).contains(&limit) {
            let message = format!("`limit` is {limit}; it must be from 1 to {PAGE}");
            return Err(EngineError::invalid("invalid_limit", "limit", message));
        }
        let collection = self.engine.collections.get(name)?;
        let page = collection.documents(from, limit, None)?;
        let mut documents = Vec::with_capacity(page.documents.len());
        for document in page.documents {
            // One that went away meanwhile is left out.
            documents
                .extend(collection.document(&document.id)?.map(|(document, text)| described(document, text)));
        }
        Ok(DocumentPage { documents, next: page.next })
    }

    /// Removes a document.
    ///
    /// # Errors
    /// There is none of that id; also see [`EngineError`].
    pub fn delete_document(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        let response = remove(&self.engine.collections.get(name)?, vec![id.to_owned()])?;
        if response.deleted == 0 { Err(no_document(name, id)) } else { Ok(response) }
    }

    /// Removes documents by id or by metadata, all or none.
    ///
    /// # Errors
    /// There is no such collection; also see [`EngineError`].
    pub fn delete_documents(
        &self,
        name: &str,
        request: DeleteRequest,
    ) -> Result<DeleteResponse, EngineError> {
        let collection = self.engine.collections.get(name)?;
        match (request.ids, request.filter) {
            (Some(ids), None) => remove(&collection, ids),
            (None, Some(filter)) => remove_matching(&collection, &filter),
            _ => {
                let message = "say what to delete: `ids` or `filter`, one of the two";
                Err(EngineError::invalid("ambiguous_deletion", "ids", message))
            }
        }
    }
}

fn remove_matching(
    collection: &Arc<dyn DocumentStore>,
    filter: &Filter,
) -> Result<DeleteResponse, EngineError> {
    let page = collection.documents(0, usize::MAX, Some(filter))?;
    let unknown = unknown_fields(&**collection, filter)?;
    let absent = filter.absent_fields();
    if let Some(field) = unknown.iter().find(|field| absent.contains(*field) && !page.documents.is_empty()) {
        let message = format!(
            "no document of the collection has the metadata field `{field}`, so that the filter is met by documents \
             just because they lack it; nothing was deleted: mend the name, or leave the condition out"
        );
        return Err(EngineError::invalid("unknown_field", "filter", message));
    }
    let warnings = unknown.into_iter().map(unknown_field).collect();
    let ids = page.documents.into_iter().map(|document| document.id).collect();
    Ok(DeleteResponse { warnings, ..remove(collection, ids)? })
}

fn remove(collection: &Arc<dyn DocumentStore>, ids: Vec<String>) -> Result<DeleteResponse, EngineError> {
    if ids.is_empty() {
        return Ok(DeleteResponse::default());
    }
    let change = collection.apply(&Batch { remove: ids, upsert: Vec::new() })?;
    Arc::clone(collection).maintain();
    Ok(DeleteResponse { deleted: change.removed, warnings: Vec::new() })
}

fn no_document(name: &str, id: &str) -> EngineError {
    let message =
        format!("the collection `{name}` has no document `{}`", id.chars().take(80).collect::<String>());
    EngineError { kind: ErrorKind::NotFound, code: "document_not_found", param: Some("id"), message }
}

fn described(document: StoredDocument, text: String) -> DocumentInfo {
    let StoredDocument { id, title, metadata, layout, .. } = document;
    DocumentInfo { id, title, text, metadata, layout }
}

fn info(collection: &dyn DocumentStore) -> Result<CollectionInfo, EngineError> {
    let (settings, statistics) = (collection.settings(), collection.statistics()?);
    Ok(CollectionInfo {
        name: collection.name().to_string(),
        embedder: settings.embedder.clone(),
        dimensions: settings.dimensions,
        chunking: settings.chunks,
        words: settings.words,
        documents: statistics.documents,
        chunks: statistics.chunks,
        epoch: statistics.epoch,
        index: IndexInfo {
            lexical: statistics.lexical,
            linked: statistics.linked,
            dead: statistics.dead,
            fresh: statistics.fresh,
        },
        bytes: statistics.bytes,
        mended: collection.reports().to_vec(),
    })
}

impl From<NameError> for EngineError {
    fn from(error: NameError) -> Self {
        IndexError::from(error).into()
    }
}

impl From<IndexError> for EngineError {
    fn from(error: IndexError) -> Self {
        let message = chain(&error);
        let (kind, code, param) = match error {
            IndexError::InUse(_) => (ErrorKind::Unavailable, "data_in_use", None),
            IndexError::Name(_) => (ErrorKind::Invalid, "invalid_name", Some("name")),
            IndexError::NotFound(_) => (ErrorKind::NotFound, "collection_not_found", Some("name")),
            IndexError::Exists(_) => (ErrorKind::Conflict, "collection_exists", Some("name")),
            IndexError::Format { .. } => (ErrorKind::Unavailable, "unknown_format", None),
            IndexError::Settings(_) => (ErrorKind::Invalid, "invalid_settings", None),
            IndexError::Document { .. } => (ErrorKind::Invalid, "invalid_document", Some("documents")),
            IndexError::Snapshot(SnapshotError::TooLarge { .. }) => {
                (ErrorKind::Infeasible, "document_too_large", None)
            }
            IndexError::Io { source: error, .. }
            | IndexError::Snapshot(SnapshotError::Io { reason: error, .. }) => {
                return Self::of_file(&error, message);
            }
            IndexError::Snapshot(_) => (ErrorKind::Invalid, "invalid_snapshot", None),
            IndexError::Disk(_) | IndexError::Postgres(PostgresError::Full { .. }) => {
                (ErrorKind::Unavailable, "disk_failed", None)
            }
            IndexError::Postgres(_) => (ErrorKind::Unavailable, STORE_AWAY, None),
            IndexError::Damaged { .. } => (ErrorKind::Unavailable, "store_damaged", None),
            IndexError::Store(_) | IndexError::Lexical(_) | IndexError::Generation { .. } => {
                return Self::internal(message);
            }
        };
        Self { kind, code, param, message }
    }
}
