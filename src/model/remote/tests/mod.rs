//! Every form and fault of servers, by a server in this process that answers as it is told.

mod embedder;
mod reranker;
mod scorer;
mod scorers;
mod server;
