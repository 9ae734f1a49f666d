//! Keys in the database that replicas share, as rows of one table.

use std::collections::HashMap;
use std::time::Duration;

use super::store::{Change, KeyStore, Version};
use super::{Key, KeysError};
use crate::index::{IndexError, KeyChange, KeyRow, Postgres};

/// Time between two looks at the table: a key that is revoked is refused by all replicas within this and the time of a
/// look.
const PAUSE: Duration = Duration::from_millis(250);

/// The table with the keys.
#[derive(Debug)]
pub(super) struct KeyTable(Postgres);

impl KeyTable {
    pub(super) fn new(database: Postgres) -> Self {
        Self(database)
    }
}

impl KeyStore for KeyTable {
    fn version(&self) -> Result<Option<Version>, KeysError> {
        let number = self.0.keys_version()?.cast_unsigned();
        Ok(Some(Version { number, ..Version::default() }))
    }

    fn read(&self) -> Result<Vec<Key>, KeysError> {
        Ok(self.0.keys()?.into_iter().map(key).collect::<Result<_, _>>()?)
    }

    fn change(&self, change: &mut Change<'_>) -> Result<(), KeysError> {
        self.0.change_keys(|rows| {
            let before: Vec<Key> = rows.into_iter().map(key).collect::<Result<_, _>>()?;
            let mut after = before.clone();
            change(&mut after)?;
            Ok(difference(&before, after)?)
        })?
    }

    fn pause(&self) -> Option<Duration> {
        Some(PAUSE)
    }

    fn place(&self) -> String {
        format!("PostgreSQL at {}", self.0.address())
    }
}

fn key(row: KeyRow) -> Result<Key, IndexError> {
    let KeyRow { id, name, hash, created, revoked, policy } = row;
    Ok(Key { id, name, hash, created, revoked, policy: serde_json::from_str(&policy)? })
}

fn row(key: Key) -> Result<KeyRow, IndexError> {
    let Key { id, name, hash, created, revoked, policy } = key;
    Ok(KeyRow { id, name, hash, created, revoked, policy: serde_json::to_string(&policy)? })
}

/// Returns what was added and what was revoked.
fn difference(before: &[Key], after: Vec<Key>) -> Result<KeyChange, IndexError> {
    let known: HashMap<&str, &Key> = before.iter().map(|key| (key.id.as_str(), key)).collect();
    let mut change = KeyChange::default();
    for key in after {
        match (known.get(key.id.as_str()), &key.revoked) {
            (None, _) => change.added.push(row(key)?),
            (Some(known), Some(time)) if known.holds() => {
                let time = time.clone();
                change.revoked.push((key.id, time));
            }
            (Some(_), _) => {}
        }
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;
    use crate::keys::KeyPolicy;

    #[test]
    fn a_row_is_the_key_and_changes_are_told_apart() {
        let policy = KeyPolicy {
            models: vec![Pattern::new("gpt-*"), Pattern::new("a\0b")],
            requests_per_minute: Some(5),
            tokens_per_minute: Some(6),
            usd_per_day: Some(0.1 + 0.2),
            admin: true,
        };
        let keys = ["one", "two", "three"].map(|name| Key::new(name, name.into(), policy.clone()));
        for key in &keys {
            let row = row(key.clone()).unwrap();
            assert!(!row.policy.contains('\0'), "PostgreSQL cannot store it");
            assert_eq!(super::key(row).unwrap(), *key);
        }
        let [one, two, three] = keys;
        let revoked = |key: &Key| Key { revoked: Some("now".into()), ..key.clone() };
        let before = [one.clone(), revoked(&two)];
        let after = vec![revoked(&one), revoked(&two), three.clone()];
        let change = difference(&before, after).unwrap();
        assert_eq!(change.added, [row(three).unwrap()]);
        assert_eq!(change.revoked, [(one.id, "now".to_owned())]);
    }
}
