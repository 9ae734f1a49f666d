//! The names and the encryption of originals.
//!
//! All keys follow from one secret, which is not in the file that holds the originals. An original is stored under a
//! keyed hash of its owner and its id, and encrypted by a key of its own, bound to that place: what is moved elsewhere,
//! or changed, cannot be opened.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Random bits that all keys are made from.
pub(super) type Secret = [u8; 32];

/// The name of an original in the file.
pub(super) type Place = [u8; 32];

/// A name of an owner that tells nothing of them.
pub(super) type Owner = u64;

/// The keys that follow from a secret.
pub(super) struct Cipher {
    places: [u8; 32],
    values: [u8; 32],
    check: [u8; 32],
}

impl Cipher {
    pub(super) fn new(secret: &Secret) -> Self {
        let derived = |purpose| blake3::derive_key(purpose, secret);
        Self {
            places: derived("whittle originals 1: places"),
            values: derived("whittle originals 1: values"),
            check: derived("whittle originals 1: check"),
        }
    }

    /// A value by which a file that was made with this secret is known.
    pub(super) const fn check(&self) -> &[u8; 32] {
        &self.check
    }

    /// The place of the original that `owner` stored under `id`.
    pub(super) fn place(&self, owner: &str, id: &str) -> Place {
        let mut hasher = blake3::Hasher::new_keyed(&self.places);
        for part in [owner, id] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        *hasher.finalize().as_bytes()
    }

    /// The owner's name in the file.
    pub(super) fn owner(&self, owner: &str) -> Owner {
        let hash = self.place(owner, "");
        hash.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// Encrypts a text: a nonce, then the text, then the tag. None where the system gives no random bits.
    pub(super) fn seal(&self, place: &Place, text: &str) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        self.key(place)?.seal_in_place_append_tag(nonce_used, Aad::from(place), &mut sealed).ok()?;
        Some([&nonce[..], &sealed].concat())
    }

    /// Decrypts what [`Cipher::seal`] made for the same place. None of anything else.
    pub(super) fn open(&self, place: &Place, sealed: &[u8]) -> Option<String> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut text = text.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.key(place)?.open_in_place(nonce, Aad::from(place), &mut text).ok()?.len();
        text.truncate(length);
        String::from_utf8(text).ok()
    }

    /// The key of one place alone, so that no two texts ever share a key and a nonce.
    fn key(&self, place: &Place) -> Option<LessSafeKey> {
        let key = blake3::keyed_hash(&self.values, place);
        UnboundKey::new(&CHACHA20_POLY1305, key.as_bytes()).ok().map(LessSafeKey::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_same_secret_in_the_same_place_alone() {
        let (cipher, other) = (Cipher::new(&[1; 32]), Cipher::new(&[2; 32]));
        let place = cipher.place("owner", "id");
        let sealed = cipher.seal(&place, "the text").unwrap();
        assert_ne!(cipher.seal(&place, "the text").unwrap(), sealed, "each has a nonce of its own");
        assert_eq!(cipher.open(&place, &sealed).unwrap(), "the text");
        assert_eq!(other.open(&place, &sealed), None);
        assert_eq!(cipher.open(&cipher.place("owner", "jd"), &sealed), None);
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(cipher.open(&place, &changed), None, "{at}");
            assert_eq!(cipher.open(&place, &sealed[..at]), None, "{at}");
        }
    }

    #[test]
    fn places_depend_on_the_secret_the_owner_and_the_id() {
        let (cipher, other) = (Cipher::new(&[1; 32]), Cipher::new(&[2; 32]));
        let place = cipher.place("ab", "c");
        assert_eq!(place, Cipher::new(&[1; 32]).place("ab", "c"));
        for different in [other.place("ab", "c"), cipher.place("a", "bc"), cipher.place("ab", "d")] {
            assert_ne!(place, different);
        }
        assert_ne!(cipher.check(), other.check());
    }
}
