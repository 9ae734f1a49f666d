//! Model files: manifest, cache, download and verification.
