//! Recall: the marks of folded results name the originals, and those who sent them can have them again.
//!
//! The id of an original is a keyed hash of its text, by a secret of the data folder: the same text has the same id in
//! every turn, so that a conversation that grows keeps its prefix, and nobody can guess one. An original is stored for
//! the key of its sender, and no other key can have it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::{Instant, timeout};

use super::decisions::DISK_TIME;
use super::originals::{self, Originals};
use super::store::Secret;
use super::{Gateway, Live, ProxyError};
use crate::config::ProxyConfig;
use crate::keys::Caller;
use crate::text::{JsonValue, Mark, MarkStyle, Noun};

/// Bytes of an id, which is written as twice as many hexadecimal digits.
const ID_BYTES: usize = 8;

/// Names originals, and keeps them where that is switched on.
#[derive(Clone, Default)]
pub(super) struct Recall {
    /// The key of the hash that ids are made by.
    ids: Secret,
    keeping: Keeping,
    /// Whether the request has handed an original over, or its place, that may not be on disk yet. Clones share it.
    unwritten: Arc<AtomicBool>,
}

/// The treatment of originals.
#[derive(Clone, Default)]
enum Keeping {
    /// They are neither named nor kept.
    #[default]
    Off,
    /// They are named as if they were kept.
    Named,
    /// They are kept for their owner: the id of a key, or nothing where nobody needs one.
    Kept { originals: Arc<Originals>, owner: String },
}

impl Recall {
    /// Recall for the requests of `caller`, on where there are `originals`.
    pub(super) fn new(secret: &Secret, originals: Option<&Arc<Originals>>, caller: Option<&Caller>) -> Self {
        let keeping = originals.map_or(Keeping::Off, |originals| Keeping::Kept {
            originals: Arc::clone(originals),
            owner: owner(caller),
        });
        Self {
            ids: blake3::derive_key("whittle originals 1: ids", secret),
            keeping,
            unwritten: Arc::default(),
        }
    }

    /// Recall that names originals and keeps none, to see what naming them takes.
    pub(super) fn only_names(on: bool) -> Self {
        Self { keeping: if on { Keeping::Named } else { Keeping::Off }, ..Self::default() }
    }

    /// Whether originals of new results are named and kept.
    pub(super) const fn is_on(&self) -> bool {
        !matches!(self.keeping, Keeping::Off)
    }

    /// Returns the originals that are kept and whose the request's are, where they are kept.
    pub(super) fn kept(&self) -> Option<(&Arc<Originals>, &str)> {
        match &self.keeping {
            Keeping::Kept { originals, owner } => Some((originals, owner)),
            Keeping::Off | Keeping::Named => None,
        }
    }

    /// The id of a text.
    pub(super) fn id(&self, text: &str) -> String {
        let hash = blake3::keyed_hash(&self.ids, text.as_bytes());
        hash.to_hex()[..2 * ID_BYTES].to_owned()
    }

    /// Has the original kept for its owner. False where it will not be.
    pub(super) fn keep(&self, id: &str, text: &str) -> bool {
        match &self.keeping {
            Keeping::Off => false,
            Keeping::Named => true,
            Keeping::Kept { originals, owner } => {
                self.unwritten.store(true, Ordering::Relaxed);
                originals.keep(owner, id, text)
            }
        }
    }

    /// Waits until the originals that the request handed over are on disk: once an upstream has seen a mark, what it names
    /// can be had, even after a crash. A request that handed none over does not wait.
    pub(super) async fn written(&self) {
        let Some((originals, _)) = self.kept().filter(|_| self.unwritten.load(Ordering::Relaxed)) else {
            return;
        };
        if timeout(DISK_TIME, originals.written()).await.is_err() {
            tracing::warn!("a request does not wait any longer for its originals: the disk is too slow");
        }
    }

    /// The text that goes on in the place of a tool's result that a model cut to `cut`: with the id of its original, which is
    /// kept, where recall is on. None where the result goes on whole, for its original cannot be kept.
    pub(super) fn of_cut(&self, text: &str, cut: &str) -> Option<String> {
        // Nobody could tell whose a mark is.
        if !self.is_on() || !MarkStyle::default().find(text).is_empty() {
            return Some(cut.to_owned());
        }
        let id = self.id(text);
        let behind = || {
            let (count, detail) = (text.len().saturating_sub(cut.len()).max(1), Some(format!("recall {id}")));
            with_mark(cut, &MarkStyle::default().write(&Mark { count, noun: Noun::Bytes, detail }))
        };
        let named = named(cut, &id).unwrap_or_else(behind);
        if named.len() >= text.len() {
            return Some(cut.to_owned());
        }
        self.keep(&id, text).then_some(named)
    }
}

/// `folded` with `id` in each of its marks. None where it has no marks. The text that it was made from must have none.
pub(super) fn named(folded: &str, id: &str) -> Option<String> {
    let style = MarkStyle::default();
    let marks = style.find(folded);
    if marks.is_empty() {
        return None;
    }
    let (mut text, mut at) = (String::with_capacity(folded.len() + marks.len() * 32), 0);
    for (range, mark) in marks {
        let detail = match &mark.detail {
            Some(detail) => format!("{detail}; recall {id}"),
            None => format!("recall {id}"),
        };
        text += &folded[at..range.start];
        text += &style.write(&Mark { detail: Some(detail), ..mark });
        at = range.end;
    }
    Some(text + &folded[at..])
}

/// `cut` with `mark` as its last line. JSON stays JSON: an array gets the mark as its last element, an object as a member of
/// its own, and a string within its quotes.
fn with_mark(cut: &str, mark: &str) -> String {
    let in_json = || {
        let value = JsonValue::document(cut).ok()?;
        let has_more = match value.inside() {
            Some((inside, _)) => return Some((inside.end, format!(" {mark}"))),
            None if value.is_object() => value.members().next().is_some(),
            None if value.raw().starts_with('[') => value.elements().next().is_some(),
            None => return None,
        };
        let comma = if has_more { ", " } else { "" };
        let key = if value.is_object() { format!("\"{}\": ", free_key(value)) } else { String::new() };
        Some((value.range().end - 1, format!("{comma}{key}\"{mark}\"")))
    };
    match in_json() {
        Some((at, mark)) => format!("{}{mark}{}", &cut[..at], &cut[at..]),
        None => format!("{cut}\n{mark}"),
    }
}

/// A key for a mark that no member of `object` has.
fn free_key(object: JsonValue) -> String {
    let mut key = "left_out".to_owned();
    while object.members().any(|member| member.key.string().is_some_and(|name| name == key)) {
        key.insert(0, '_');
    }
    key
}

/// The originals that `config` asks for, in the folder `data`: those that are open already, where they serve.
pub(super) fn originals(
    config: &ProxyConfig,
    data: &Path,
    open: Option<&Arc<Originals>>,
) -> Result<Option<Arc<Originals>>, String> {
    if !config.recall.enabled {
        return Ok(None);
    }
    if let Some(originals) = open.filter(|originals| originals.serves(data, &config.recall)) {
        originals.limit(&config.recall);
        return Ok(Some(Arc::clone(originals)));
    }
    Originals::open(data, &config.recall).map(|originals| Some(Arc::new(originals)))
}

/// The name under which originals of a caller are kept.
fn owner(caller: Option<&Caller>) -> String {
    caller.map(|caller| caller.id().to_owned()).unwrap_or_default()
}

impl Gateway {
    /// Removes the originals that were kept before recall was switched off. A command that looks into the data folder of a
    /// service must not: its configuration need not be the service's.
    pub fn remove_unwanted_originals(&self) {
        let policy = &self.live().config.recall;
        if self.ledger.store().is_some() && !policy.enabled {
            originals::remove(&self.data, policy);
        }
    }

    /// Returns whether originals are kept, and can be asked for.
    #[must_use]
    pub fn keeps_originals(&self) -> bool {
        self.live().originals.is_some()
    }

    /// Returns the original that `caller` sent and a mark named by `id`.
    ///
    /// # Errors
    /// Recall is off, the caller has no such original, or it cannot be read.
    pub async fn original(&self, caller: Option<&Caller>, id: String) -> Result<String, ProxyError> {
        let live: Arc<Live> = self.live();
        let originals = live.originals.clone().ok_or(ProxyError::RecallOff)?;
        let (owner, deadline) = (owner(caller), Instant::now() + live.config.deadline());
        let read = move |_: &_| originals.get(&owner, &id);
        let found = self.readers.enter()?.run(deadline, read).await?.map_err(ProxyError::Internal)?;
        found.ok_or(ProxyError::NoOriginal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mark_names_the_original_and_stays_a_mark() {
        let id = Recall::only_names(true).id("the original");
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        let folded = "a\n[2 lines left out: progress]\nb [300 bytes left out] c\n";
        let text = named(folded, &id).unwrap();
        let expected =
            format!("a\n[2 lines left out: progress; recall {id}]\nb [300 bytes left out: recall {id}] c\n");
        assert_eq!(text, expected);
        assert_eq!(MarkStyle::default().remove(&text), MarkStyle::default().remove(folded));
        assert_eq!(named("no mark", &id), None);
    }

    #[test]
    fn a_result_that_was_cut_names_its_original_in_its_marks_or_behind_them() {
        let recall = Recall::only_names(true);
        let text = "word ".repeat(100);
        let id = recall.id(&text);
        let cut = |cut: &str| recall.of_cut(&text, cut).unwrap();
        assert_eq!(cut("word word"), format!("word word\n[491 bytes left out: recall {id}]"));
        assert_eq!(cut("word\n[9 lines left out]\n"), format!("word\n[9 lines left out: recall {id}]\n"));
        assert_eq!(cut(&text[..480]), text[..480], "nothing grows");
        assert_eq!(recall.of_cut("[2 lines left out] and more words than before", "and").unwrap(), "and");
        assert_eq!(Recall::only_names(false).of_cut(&text, "word").unwrap(), "word");
    }

    #[test]
    fn json_that_was_cut_is_json_with_its_mark() {
        let mark = "[5 bytes left out: recall 0123456789abcdef]";
        for (cut, expected) in [
            ("[1, 2]\n", format!("[1, 2, \"{mark}\"]\n")),
            ("[ ]", format!("[ \"{mark}\"]")),
            ("{\"a\": [1]}", format!("{{\"a\": [1], \"left_out\": \"{mark}\"}}")),
            ("{\"left_out\": 1}", format!("{{\"left_out\": 1, \"_left_out\": \"{mark}\"}}")),
            ("{}", format!("{{\"left_out\": \"{mark}\"}}")),
            (" \"a\\\\\" ", format!(" \"a\\\\ {mark}\" ")),
        ] {
            let marked = with_mark(cut, mark);
            assert_eq!(marked, expected);
            serde_json::from_str::<serde_json::Value>(&marked).unwrap();
            assert_eq!(MarkStyle::default().find(&marked).len(), 1, "{marked}");
        }
        for other in ["7", "[1, 2", "{\"a\": 1}\n{\"a\": 2}", ""] {
            assert_eq!(with_mark(other, mark), format!("{other}\n{mark}"));
        }
    }

    #[test]
    fn ids_follow_from_the_text_and_the_secret() {
        let recall = |secret: u8| Recall::new(&[secret; 32], None, None);
        assert_eq!(recall(1).id("a"), recall(1).id("a"));
        assert_ne!(recall(1).id("a"), recall(1).id("b"));
        assert_ne!(recall(1).id("a"), recall(2).id("a"));
    }
}
