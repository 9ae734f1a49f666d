//! The revocations that replicas tell each other.
//!
//! The server that they share has the ids of revoked keys, and a version that is another one after each change. It comes
//! with each look at the connection, so a key that one replica revokes is refused by all within two looks, half a second. A
//! replica adds what it knows and the server does not: revocations survive a server that has lost its data. It also writes
//! those of others into its own file, so they survive its own restart.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use super::KeyStore;
use crate::shared::{Away, Script, Shared};

static REVOKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/revoke.lua")));

/// The keys of a replica, as far as revocations go.
pub(super) trait Revocable {
    /// Returns what keeps the keys.
    fn store(&self) -> Arc<dyn KeyStore>;

    /// Returns the ids of all keys that are revoked, by this replica or another.
    fn revoked(&self) -> Vec<String>;

    /// Refuses keys from now on that other replicas have revoked. Returns the ids of those among them that the store
    /// still has as valid.
    fn refuse(&self, ids: &[String]) -> Vec<String>;

    /// Has all accounts say again what they have spent: the server may have lost it.
    fn tell_again(&self);
}

/// Tells and learns revocations, each time that the connection is looked at, for ever.
pub(super) async fn follow(keyring: &impl Revocable, shared: &Shared) {
    let mut beats = shared.beats();
    let (mut connection, mut version) = (0, String::new());
    let mut told = HashSet::new();
    // The sender lives as long as `shared`.
    while beats.changed().await.is_ok() {
        let beat = beats.borrow_and_update().clone();
        if beat.connection != connection {
            // The server may be another one, or have lost what it had.
            keyring.tell_again();
            told.clear();
        }
        let mut untold = keyring.revoked();
        untold.retain(|id| !told.contains(id));
        if beat.connection == connection && beat.version == version && untold.is_empty() {
            continue;
        }
        // Where this fails, the next look finds the same differences.
        if let Ok((current, all)) = exchange(shared, &untold).await {
            (connection, version) = (beat.connection, current);
            let valid = keyring.refuse(&all);
            told = all.into_iter().collect();
            if !valid.is_empty() {
                write(keyring.store(), valid).await;
            }
        }
    }
}

/// Adds ids to those of the server. Returns the version of all that it has then, and all that it has.
async fn exchange(shared: &Shared, ids: &[String]) -> Result<(String, Vec<String>), Away> {
    let keys = [shared.common_key("revoked"), shared.version_key()];
    shared.run(&REVOKE, (&keys, ids), shared.timeout()).await
}

/// Writes into this replica's file, or into the database, what other replicas have revoked.
async fn write(store: Arc<dyn KeyStore>, ids: Vec<String>) {
    tracing::info!(?ids, "other replicas have revoked keys");
    let written = tokio::task::spawn_blocking(move || store.revoke_all(&ids)).await;
    if let Ok(Err(error)) = written {
        tracing::warn!(%error, "keys that other replicas have revoked are refused, but not marked as revoked");
    }
}
