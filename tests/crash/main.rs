//! Kills the real service at random moments while it stores and deletes, starts it again and checks that all that was
//! acknowledged is there, and nothing else.
//!
//! `WHITTLE_CRASH_ROUNDS` says how often (4 by default), `WHITTLE_CRASH_SEED` where the random numbers begin. From 50
//! rounds on there are so many documents that the dense index makes links, and is killed at that as well:
//!
//!     WHITTLE_CRASH_ROUNDS=200 cargo test --test crash -- --nocapture
//!
//! This shows that a process may end at any moment; whether a disk keeps what it was told to keep, it cannot show.

#![cfg(unix)]

#[cfg(test)]
mod service;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use serde_json::{Value, json};

    use crate::service::Service;

    /// Documents by id; none where there is no collection.
    type State = Option<BTreeMap<String, String>>;

    /// A small generator of random numbers (xorshift), so that a failure can be run again.
    struct Random(u64);

    impl Random {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
        }

        fn text(&mut self) -> String {
            let words: Vec<String> = (0..6).map(|_| format!("w{}", self.below(1_000_000))).collect();
            words.join(" ")
        }
    }

    /// A change, as the service is asked for it.
    enum Change {
        Create,
        Drop,
        Upsert(Vec<(String, String)>),
        Delete(Vec<String>),
    }

    impl Change {
        fn random(random: &mut Random, state: &State, ids: u64) -> Self {
            if state.is_none() {
                return Self::Create;
            }
            let id = |random: &mut Random| format!("d{}", random.below(ids));
            let count = 1 + random.below(8);
            match random.below(100) {
                // Of many documents the collection itself is kept: filling it takes long.
                0..3 if ids < 1000 => Self::Drop,
                3..70 => Self::Upsert((0..count).map(|_| (id(random), random.text())).collect()),
                _ => Self::Delete((0..count).map(|_| id(random)).collect()),
            }
        }

        fn applied(&self, state: &State) -> State {
            let mut documents = state.clone().unwrap_or_default();
            match self {
                Self::Create => {}
                Self::Drop => return None,
                Self::Upsert(new) => documents.extend(new.iter().cloned()),
                Self::Delete(ids) => ids.iter().for_each(|id| drop(documents.remove(id))),
            }
            Some(documents)
        }

        /// True once it is acknowledged, false where the service died.
        fn ask(&self, service: &Service) -> bool {
            let answer = match self {
                Self::Create => service.send("PUT", "/v1/collections/c", Some(&json!({}))),
                Self::Drop => service.send("DELETE", "/v1/collections/c", None),
                Self::Upsert(new) => {
                    let last: BTreeMap<&String, &String> = new.iter().map(|(id, text)| (id, text)).collect();
                    let documents: Vec<Value> =
                        last.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
                    service.send(
                        "POST",
                        "/v1/collections/c/documents",
                        Some(&json!({ "documents": documents })),
                    )
                }
                Self::Delete(ids) => {
                    service.send("POST", "/v1/collections/c/delete", Some(&json!({ "ids": ids })))
                }
            };
            answer.is_some()
        }
    }

    fn number(name: &str, default: u64) -> u64 {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"))
    }

    #[test]
    fn what_was_acknowledged_is_there_after_a_kill_and_nothing_else() {
        let (rounds, seed) = (number("WHITTLE_CRASH_ROUNDS", 4), number("WHITTLE_CRASH_SEED", 1));
        let ids = if rounds < 50 { 60 } else { 5000 };
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let folder = tempfile::tempdir().unwrap();
        let mut acknowledged: State = None;
        let (mut changes, mut pending_applied) = (0, 0);
        if ids > 1000 {
            acknowledged = filled(&Service::start(folder.path()), &mut random, ids);
        }
        // What was asked for and not answered: it may have been done, or not.
        let mut pending: Option<Change> = None;
        for round in 0..rounds {
            if random.below(6) == 0 {
                // Killed while it starts, and opens what the last kill left.
                Service::start_and_kill(folder.path(), Duration::from_millis(random.below(150)));
            }
            let service = Service::start(folder.path());
            let found = state(&service);
            if let Some(done) = pending.take().map(|change| change.applied(&acknowledged))
                && done != acknowledged
                && found == done
            {
                (acknowledged, pending_applied) = (done, pending_applied + 1);
            }
            assert_eq!(found, acknowledged, "round {round} of seed {seed}");
            check_indexes(&service, &acknowledged, &mut random);
            // The first change loads the model: the clock starts after it.
            let delay = Duration::from_micros(random.below(250_000));
            let mut killer = None;
            while pending.is_none() {
                let change = Change::random(&mut random, &acknowledged, ids);
                if change.ask(&service) {
                    acknowledged = change.applied(&acknowledged);
                    changes += 1;
                } else {
                    pending = Some(change);
                }
                killer.get_or_insert_with(|| service.kill_after(delay));
            }
        }
        println!(
            "{rounds} kills, {changes} changes acknowledged, {pending_applied} more had been made, seed {seed}"
        );
    }

    /// So many documents, all acknowledged.
    fn filled(service: &Service, random: &mut Random, ids: u64) -> State {
        assert!(Change::Create.ask(service));
        let documents: Vec<(String, String)> = (0..ids).map(|i| (format!("d{i}"), random.text())).collect();
        let mut state = Some(BTreeMap::new());
        for some in documents.chunks(500) {
            let change = Change::Upsert(some.to_vec());
            assert!(change.ask(service));
            state = change.applied(&state);
        }
        state
    }

    /// What the service has.
    fn state(service: &Service) -> State {
        let listed = service.send("GET", "/v1/collections", None).unwrap();
        if listed["collections"].as_array().unwrap().is_empty() {
            return None;
        }
        let mut documents = BTreeMap::new();
        let mut next = json!(0);
        while let Some(from) = next.as_u64() {
            let path = format!("/v1/collections/c/documents?limit=1000&from={from}");
            let page = service.send("GET", &path, None).unwrap();
            for document in page["documents"].as_array().unwrap() {
                let text = |key: &str| document[key].as_str().unwrap().to_owned();
                documents.insert(text("id"), text("text"));
            }
            next = page["next"].clone();
        }
        Some(documents)
    }

    /// Asserts that the indexes have what the store has.
    fn check_indexes(service: &Service, state: &State, random: &mut Random) {
        let Some(documents) = state else { return };
        let info = service.send("GET", "/v1/collections/c", None).unwrap();
        let count = |part: &Value| part.as_u64().unwrap();
        let index = &info["index"];
        assert_eq!(info["mended"], json!([]), "a kill damages nothing");
        assert_eq!(count(&info["documents"]), documents.len() as u64);
        assert_eq!(count(&index["lexical"]), count(&info["chunks"]));
        assert_eq!(
            count(&index["linked"]) - count(&index["dead"]) + count(&index["fresh"]),
            count(&info["chunks"])
        );
        for _ in 0..3 {
            let place = random.below(documents.len().max(1) as u64) as usize;
            let Some((id, text)) = documents.iter().nth(place) else { continue };
            for mode in ["lexical", "dense"] {
                let query = json!({"query": text, "mode": mode, "top_k": 1});
                let found = service.send("POST", "/v1/collections/c/search", Some(&query)).unwrap();
                assert_eq!(found["results"][0]["document_id"], json!(id), "{mode} {text}: {found}");
            }
        }
    }
}
