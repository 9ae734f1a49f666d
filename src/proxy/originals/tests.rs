//! The file of originals: what is kept, for whom, how long, how much of it, and what is readable in it.

use super::*;

const POLICY: RecallPolicy =
    RecallPolicy { enabled: true, hours: 1, bytes: 1 << 20, tool: false, key_file: None };

/// A text of `bytes` bytes that is unlike those of other numbers.
fn text(number: usize, bytes: usize) -> String {
    let mut text = String::new();
    let mut reader = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    while text.len() < bytes {
        let mut bits = [0; 32];
        reader.fill(&mut bits);
        text += &blake3::Hash::from_bytes(bits).to_hex();
    }
    text.truncate(bytes);
    text
}

/// Keeps a text as if it had been sent at `now`.
fn keep_at(originals: &Originals, id: &str, text: &str, now: u64) {
    // The writer, whose place this takes, must have nothing left to do: it sweeps when the file is opened.
    originals.flush();
    let place = originals.shared.cipher.place("a", id);
    let (kept, owner) = (originals.shared.kept().clone(), originals.shared.cipher.owner("a"));
    let mut writing = Writing::begin(&originals.database, kept).unwrap();
    writing.put((&place, owner), now, || originals.shared.cipher.seal(&place, text)).unwrap();
    *originals.shared.kept() = writing.commit().unwrap();
}

#[test]
fn an_original_is_there_at_once_after_a_restart_and_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    let text = text(1, 5000);
    assert!(originals.keep("a", "id", &text));
    // It need not be on disk yet.
    assert_eq!(originals.get("a", "id").unwrap().as_ref(), Some(&text));
    for (owner, id) in [("b", "id"), ("", "id"), ("a", "other")] {
        assert_eq!(originals.get(owner, id).unwrap(), None, "{owner} {id}");
    }
    assert!(originals.keep("b", "id", &text));
    drop(originals);
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    assert_eq!(originals.get("a", "id").unwrap().as_ref(), Some(&text));
    assert_eq!(originals.get("b", "id").unwrap().as_ref(), Some(&text));
    originals.flush();
    let sizes = originals.sizes();
    assert_eq!((sizes.waiting, sizes.lost), (0, 0));
    assert!((10_000..10_100).contains(&sizes.kept), "{sizes:?}");
}

#[test]
fn nothing_of_a_text_or_an_id_can_be_read_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    let texts: Vec<String> = (0..200).map(|number| text(number, 1000)).collect();
    for (number, text) in texts.iter().enumerate() {
        assert!(originals.keep("owner-in-clear", &format!("id-in-clear-{number}"), text));
    }
    drop(originals);
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        seen += bytes.len();
        let found = |needle: &str| memchr::memmem::find(&bytes, needle.as_bytes()).is_some();
        assert!(!found("in-clear") && !texts.iter().any(|text| found(&text[500..520])));
    }
    assert!(seen > 200_000, "{seen}");
}

#[test]
fn the_oldest_go_first_where_there_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    let now = seconds_now();
    for number in 0..12 {
        keep_at(&originals, &number.to_string(), &text(number, 100_000), now - 100 + number as u64);
    }
    // The first one is sent again, and so becomes the newest.
    assert!(originals.keep("a", "0", &text(0, 100_000)));
    originals.flush();
    let held: Vec<usize> =
        (0..12).filter(|number| originals.get("a", &number.to_string()).unwrap().is_some()).collect();
    assert_eq!(held, [0, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert!(originals.sizes().kept <= POLICY.bytes, "{:?}", originals.sizes());
    originals.limit(&RecallPolicy { bytes: 300_000, ..POLICY });
    originals.flush();
    assert_eq!(originals.get("a", "9").unwrap(), None);
    assert_eq!(originals.get("a", "0").unwrap(), Some(text(0, 100_000)));
    drop(originals);
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    originals.flush();
    assert_eq!(originals.sizes().kept, 2 * (100_000 + 12 + 16));
}

#[test]
fn one_key_cannot_push_out_what_another_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut originals = Originals::open(folder.path(), &POLICY).unwrap();
    for number in 0..3 {
        assert!(originals.keep("few", &number.to_string(), &text(number, 100_000)));
    }
    let held = |originals: &Originals, owner: &str| -> Vec<usize> {
        let is_held = |number: &usize| originals.get(owner, &number.to_string()).unwrap().is_some();
        (0..60).filter(is_held).collect()
    };
    for number in 10..40 {
        assert!(originals.keep("many", &number.to_string(), &text(number, 100_000)));
        originals.flush();
        if number == 25 {
            // What each has is known again after a restart.
            drop(originals);
            originals = Originals::open(folder.path(), &POLICY).unwrap();
        }
    }
    assert_eq!(held(&originals, "few"), [0, 1, 2]);
    assert_eq!(held(&originals, "many").len(), 7);
    assert!(originals.sizes().kept <= POLICY.bytes, "{:?}", originals.sizes());
    // Where the other one has most, its oldest go.
    for number in 40..50 {
        assert!(originals.keep("few", &number.to_string(), &text(number, 100_000)));
        originals.flush();
    }
    let (few, many) = (held(&originals, "few").len(), held(&originals, "many").len());
    assert!(few.abs_diff(many) <= 1 && few + many == 10, "{few} {many}");
}

#[test]
fn what_is_older_than_its_lifetime_is_not_given_and_then_removed() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    let now = seconds_now();
    // The third is of a clock that was far ahead.
    for (id, sent) in [("old", now - 3700), ("new", now - 3000), ("ahead", now + 90_000)] {
        keep_at(&originals, id, "the text", sent);
    }
    assert_eq!(originals.get("a", "old").unwrap(), None);
    assert_eq!(originals.get("a", "ahead").unwrap(), None);
    assert_eq!(originals.get("a", "new").unwrap().unwrap(), "the text");
    drop(originals);
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    originals.flush();
    assert_eq!(originals.sizes().kept, 8 + 12 + 16);
    originals.limit(&RecallPolicy { hours: 48, ..POLICY });
    originals.flush();
    assert_eq!(originals.get("a", "old").unwrap(), None, "it is gone");
}

#[test]
fn what_finds_no_room_is_refused_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    assert!(!originals.keep("a", "large", &text(0, 600_000)));
    // The writer gets no further than its first batch as long as another transaction is open.
    let other = originals.database.begin_write().unwrap();
    let kept =
        (0..=WAITING_BYTES / 500_000).filter(|n| originals.keep("a", &n.to_string(), &text(1, 500_000)));
    let kept = kept.count();
    assert!(kept >= 100 && kept * 500_000 <= WAITING_BYTES, "{kept}");
    assert!(originals.sizes().lost >= 2);
    drop(other);
    originals.flush();
    assert_eq!(originals.sizes().waiting, 0);
    assert!(originals.keep("a", "later", &text(2, 500_000)));
}

#[test]
fn another_key_cannot_read_what_there_is_and_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    assert!(originals.keep("a", "id", "the text"));
    drop(originals);
    let policy =
        RecallPolicy { key_file: Some(folder.path().join("elsewhere").display().to_string()), ..POLICY };
    let originals = Originals::open(folder.path(), &policy).unwrap();
    assert!(originals.serves(folder.path(), &policy) && !originals.serves(folder.path(), &POLICY));
    originals.flush();
    assert_eq!((originals.get("a", "id").unwrap(), originals.sizes().kept), (None, 0));
    assert!(originals.keep("a", "id", "the text"));
    drop(originals);
    let originals = Originals::open(folder.path(), &policy).unwrap();
    assert_eq!(originals.get("a", "id").unwrap().unwrap(), "the text");
}

#[test]
fn recall_that_is_off_leaves_nothing_but_a_key_that_was_named() {
    let folder = tempfile::tempdir().unwrap();
    let names = || {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    drop(Originals::open(folder.path(), &POLICY).unwrap());
    std::fs::write(folder.path().join("originals.redb.damaged-1"), "x").unwrap();
    std::fs::write(folder.path().join("other"), "x").unwrap();
    assert!(names().contains(&"originals.redb".to_owned()));
    let named = RecallPolicy {
        key_file: Some(folder.path().join(".").join(KEY_FILE).display().to_string()),
        ..POLICY
    };
    remove(folder.path(), &named);
    assert_eq!(names(), ["originals.key", "other"]);
    remove(folder.path(), &POLICY);
    assert_eq!(names(), ["other"]);
}

#[test]
fn a_file_that_is_damaged_in_100_ways_gives_the_text_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    let originals = Originals::open(folder.path(), &POLICY).unwrap();
    (0..20).for_each(|number| assert!(originals.keep("a", &number.to_string(), &text(number, 3000))));
    drop(originals);
    let whole = std::fs::read(&file).unwrap();
    let mut given = 0;
    for number in 0..100 {
        let mut bytes = whole.clone();
        crate::storage::damage(&mut bytes, number);
        std::fs::write(&file, bytes).unwrap();
        let originals = Originals::open(folder.path(), &POLICY).unwrap();
        for id in 0..20 {
            let found = originals.get("a", &id.to_string()).unwrap();
            assert!(found.as_ref().is_none_or(|found| *found == text(id, 3000)), "{number}");
            given += usize::from(found.is_some());
        }
        assert!(originals.keep("a", "more", "the text"));
        originals.flush();
        assert_eq!(originals.get("a", "more").unwrap().unwrap(), "the text", "{number}");
    }
    assert!(given > 0);
}
