//! Conversations, by the name that their first message gives them, and the share of them that goes on as it came.

use super::store::Secret;
use crate::wire::Request;

/// The name of a conversation: a keyed hash of its first message. Without the key, nothing can be guessed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Conversation([u8; 32]);

/// The treatment of a conversation in an experiment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Arm {
    /// The request belongs to no experiment.
    #[default]
    None,
    /// Texts are changed as the configuration says.
    Changed,
    /// Texts go on as they came.
    HeldOut,
}

impl Conversation {
    /// The conversation of `request`, if it has a first message.
    pub(super) fn of(request: &Request, secret: &Secret) -> Option<Self> {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        let found = request.opening(|text| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        });
        found.then(|| Self(*hasher.finalize().as_bytes()))
    }

    /// The whole name.
    pub(super) const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// A short form of the name, for the ledger; never 0.
    pub(super) fn number(self) -> u64 {
        self.part(0).max(1)
    }

    /// The arm that it belongs to where `share` of all conversations is held out. Whatever a smaller share holds out, a
    /// larger one does, too.
    pub(super) fn arm(self, share: f64) -> Arm {
        // As many bits as a double has room for.
        let place = (self.part(8) >> 11) as f64 / (1_u64 << 53) as f64;
        match share {
            share if share <= 0.0 => Arm::None,
            share if place < share => Arm::HeldOut,
            _ => Arm::Changed,
        }
    }

    fn part(self, at: usize) -> u64 {
        let bytes = self.0.get(at..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Endpoint;

    fn of(endpoint: Endpoint, body: &str, secret: u8) -> Option<Conversation> {
        Conversation::of(&Request::read(endpoint, body.as_bytes()).unwrap(), &[secret; 32])
    }

    #[test]
    fn a_conversation_is_known_by_its_first_message_in_each_dialect() {
        let first = r#"{"role":"user","content":[{"type":"text","text":"Hi"}]}"#;
        let marked =
            r#"{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}"#;
        let messages = |messages: &str| format!(r#"{{"model":"m","messages":[{messages}]}}"#);
        let name = of(Endpoint::Messages, &messages(first), 1).unwrap();
        let later =
            format!(r#"{marked},{{"role":"assistant","content":"Ho"}},{{"role":"user","content":"more"}}"#);
        assert_eq!(of(Endpoint::Messages, &messages(&later), 1), Some(name));
        assert_ne!(of(Endpoint::Messages, &messages(first), 2), Some(name), "the key counts");
        let chat =
            r#"{"role":"system","content":"s"},{"role":"user","content":"Hi"},{"role":"user","content":"x"}"#;
        assert_eq!(of(Endpoint::Chat, &messages(chat), 1), Some(name));
        let items = r#"{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"Hi"}]}]}"#;
        assert_eq!(of(Endpoint::Responses, items, 1), Some(name));
        assert_eq!(of(Endpoint::Responses, r#"{"model":"m","input":"Hi"}"#, 1), Some(name));
        assert_ne!(of(Endpoint::Responses, r#"{"model":"m","input":"Ho"}"#, 1), Some(name));
        for none in ["[]", "7", r#"[{"role":"assistant","content":"x"}]"#] {
            assert_eq!(of(Endpoint::Chat, &format!(r#"{{"model":"m","messages":{none}}}"#), 1), None);
        }
    }

    #[test]
    fn a_share_of_conversations_is_held_out_and_stays_so() {
        let name = |n: u32| of(Endpoint::Responses, &format!(r#"{{"model":"m","input":"{n}"}}"#), 3).unwrap();
        let held = |share| (0..4000).filter(|n| name(*n).arm(share) == Arm::HeldOut).collect::<Vec<_>>();
        let (few, more) = (held(0.05), held(0.5));
        assert!(
            (120..=280).contains(&few.len()) && (1850..=2150).contains(&more.len()),
            "{} {}",
            few.len(),
            more.len()
        );
        assert!(few.iter().all(|n| more.contains(n)));
        assert_eq!((name(1).arm(0.0), name(1).arm(1.0)), (Arm::None, Arm::HeldOut));
    }
}
