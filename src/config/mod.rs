//! Configuration: file, then environment, then flags; strict about names.
