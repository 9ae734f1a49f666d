//! The interface that the routes of collections, vectors and rankings call.

use std::fs::File;
use std::io::Write;

use crate::engine::collections::api::{
    CollectionInfo, CollectionList, CreateRequest, DeleteRequest, DeleteResponse, DocumentInfo, DocumentPage,
    ImportOptions, SearchRequest, SearchResponse, SourceFile, UpsertRequest, UpsertResponse,
};
use crate::engine::embed::{EmbeddingsRequest, EmbeddingsResponse, RerankRequest, RerankResponse};
use crate::engine::prompt::api::{PromptRequest, PromptResponse};
use crate::engine::{Engine, EngineError};
use crate::model::Cancel;

/// Collections, vectors and rankings: the engine's, or a fake's in tests. The calls block, and each fails with an
/// [`EngineError`].
#[expect(clippy::missing_errors_doc, reason = "said once for all of them")]
pub trait Retrieval {
    /// Makes a collection, unless there is one with these settings already. Also says whether it is new.
    fn create_collection(
        &self,
        name: &str,
        request: CreateRequest,
    ) -> Result<(CollectionInfo, bool), EngineError>;

    /// All collections.
    fn collections(&self) -> Result<CollectionList, EngineError>;

    /// Describes a collection.
    fn collection(&self, name: &str) -> Result<CollectionInfo, EngineError>;

    /// Removes a collection.
    fn delete_collection(&self, name: &str) -> Result<(), EngineError>;

    /// Stores documents, all or none.
    fn upsert(
        &self,
        name: &str,
        request: UpsertRequest,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError>;

    /// Stores the documents of JSONL, in batches.
    fn import(
        &self,
        name: &str,
        jsonl: &[u8],
        options: ImportOptions,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError>;

    /// Stores a file as a document.
    fn put_file(
        &self,
        name: &str,
        file: SourceFile<'_>,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError>;

    /// A document.
    fn document(&self, name: &str, id: &str) -> Result<DocumentInfo, EngineError>;

    /// Up to `limit` documents, 1 to 1,000, from [`DocumentPage::next`] on.
    fn documents(&self, name: &str, from: u64, limit: usize) -> Result<DocumentPage, EngineError>;

    /// Writes the documents of this moment as JSONL.
    fn export(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError>;

    /// Writes all that there is at this moment, for [`Retrieval::restore`].
    fn snapshot(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError>;

    /// Makes a collection of a snapshot.
    fn restore(&self, name: &str, snapshot: File, cancel: &Cancel) -> Result<CollectionInfo, EngineError>;

    /// A file without a name for a snapshot that is to be restored under `name`.
    fn room_for_snapshot(&self, name: &str) -> Result<File, EngineError>;

    /// A file without a name.
    fn temporary_file(&self) -> Result<File, EngineError>;

    /// Removes a document.
    fn delete_document(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError>;

    /// Removes documents by id or by metadata.
    fn delete_documents(&self, name: &str, request: DeleteRequest) -> Result<DeleteResponse, EngineError>;

    /// The best chunks for a query.
    fn search(
        &self,
        name: &str,
        request: &SearchRequest,
        cancel: &Cancel,
    ) -> Result<SearchResponse, EngineError>;

    /// A vector for each text.
    fn embed(&self, request: EmbeddingsRequest, cancel: &Cancel) -> Result<EmbeddingsResponse, EngineError>;

    /// Documents by what they have to do with a query.
    fn rerank(&self, request: &RerankRequest, cancel: &Cancel) -> Result<RerankResponse, EngineError>;

    /// A prompt from a question and what collections hold about it.
    fn prompt(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError>;
}

impl Retrieval for Engine {
    fn create_collection(
        &self,
        name: &str,
        request: CreateRequest,
    ) -> Result<(CollectionInfo, bool), EngineError> {
        Self::create_collection(self, name, request)
    }

    fn collections(&self) -> Result<CollectionList, EngineError> {
        Self::collections(self)
    }

    fn collection(&self, name: &str) -> Result<CollectionInfo, EngineError> {
        Self::collection(self, name)
    }

    fn delete_collection(&self, name: &str) -> Result<(), EngineError> {
        Self::delete_collection(self, name)
    }

    fn upsert(
        &self,
        name: &str,
        request: UpsertRequest,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        Self::upsert(self, name, request, cancel)
    }

    fn import(
        &self,
        name: &str,
        jsonl: &[u8],
        options: ImportOptions,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        Self::import(self, name, jsonl, options, cancel)
    }

    fn put_file(
        &self,
        name: &str,
        file: SourceFile<'_>,
        cancel: &Cancel,
    ) -> Result<UpsertResponse, EngineError> {
        Self::put_file(self, name, file, cancel)
    }

    fn document(&self, name: &str, id: &str) -> Result<DocumentInfo, EngineError> {
        Self::document(self, name, id)
    }

    fn documents(&self, name: &str, from: u64, limit: usize) -> Result<DocumentPage, EngineError> {
        Self::documents(self, name, from, limit)
    }

    fn export(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError> {
        Self::export(self, name, out, cancel)
    }

    fn snapshot(&self, name: &str, out: &mut dyn Write, cancel: &Cancel) -> Result<(), EngineError> {
        Self::snapshot(self, name, out, cancel)
    }

    fn restore(&self, name: &str, snapshot: File, cancel: &Cancel) -> Result<CollectionInfo, EngineError> {
        Self::restore(self, name, snapshot, cancel)
    }

    fn room_for_snapshot(&self, name: &str) -> Result<File, EngineError> {
        Self::room_for_snapshot(self, name)
    }

    fn temporary_file(&self) -> Result<File, EngineError> {
        Self::temporary_file(self)
    }

    fn delete_document(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        Self::delete_document(self, name, id)
    }

    fn delete_documents(&self, name: &str, request: DeleteRequest) -> Result<DeleteResponse, EngineError> {
        Self::delete_documents(self, name, request)
    }

    fn search(
        &self,
        name: &str,
        request: &SearchRequest,
        cancel: &Cancel,
    ) -> Result<SearchResponse, EngineError> {
        Self::search(self, name, request, cancel)
    }

    fn embed(&self, request: EmbeddingsRequest, cancel: &Cancel) -> Result<EmbeddingsResponse, EngineError> {
        Self::embed(self, request, cancel)
    }

    fn rerank(&self, request: &RerankRequest, cancel: &Cancel) -> Result<RerankResponse, EngineError> {
        Self::rerank(self, request, cancel)
    }

    fn prompt(&self, request: &PromptRequest, cancel: &Cancel) -> Result<PromptResponse, EngineError> {
        Self::prompt(self, request, cancel)
    }
}
