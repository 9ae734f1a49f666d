//! Banks: examples that last.
//!
//! A bank is a collection in a folder of its own, so that it keeps what it acknowledged as collections do. An example is
//! a document of one chunk: its text is the question, its metadata all else.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::api::{
    AddRequest, AddResponse, BankInfo, BankList, ExamplePage, SelectRequest, SelectResponse, SelectedExample,
};
use super::{Candidate, Example, MOST, Selection, select, shuffled};
use crate::engine::api::Timing;
use crate::engine::collections::api::{DeleteResponse, Unreadable};
use crate::engine::collections::{PAGE, STORE_AWAY, parsed};
use crate::engine::models::Embedder;
use crate::engine::{Engine, EngineError, ErrorKind, milliseconds_since};
use crate::index::{
    Batch, DocumentStore, IndexError, NewChunk, NewDocument, Scored, Settings, StoredChunk, StoredDocument,
};
use crate::model::{Cancel, Embedder as _};
use crate::random::Random;
use crate::text::{ChunkSettings, Layout};

/// Examples that are looked at for a selection; more where too many of them are left out.
const POOL: usize = 256;
/// The largest difference by rounding of two sums of the same products, each of vectors of length 1.
const ROUNDING: f32 = 1e-4;

/// The banks of examples of an engine. Calls block.
#[derive(Debug)]
pub struct ExampleBanks<'a> {
    engine: &'a Engine,
}

impl<'a> ExampleBanks<'a> {
    /// The banks of `engine`.
    pub(in crate::engine) fn of(engine: &'a Engine) -> Self {
        Self { engine }
    }
}

impl ExampleBanks<'_> {
    /// All banks.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn list(&self) -> Result<BankList, EngineError> {
        let mut list = BankList::default();
        if self.engine.banks.is_empty()? {
            return Ok(list);
        }
        let data = self.engine.banks.data()?;
        for name in data.names()? {
            let bank = data.get(&name).map_err(EngineError::from);
            match bank.and_then(|bank| info(&*bank)) {
                Ok(bank) => list.banks.push(bank),
                // Another replica has deleted it.
                Err(error) if error.kind == ErrorKind::NotFound => {}
                Err(error) if error.code == STORE_AWAY => return Err(error),
                Err(error) => {
                    list.unreadable.push(Unreadable { name: name.to_string(), reason: error.message });
                }
            }
        }
        Ok(list)
    }

    /// Describes a bank.
    ///
    /// # Errors
    /// There is none of that name; also see [`EngineError`].
    pub fn get(&self, name: &str) -> Result<BankInfo, EngineError> {
        info(&*self.stored_bank(name)?)
    }

    /// Removes a bank with all that is in it.
    ///
    /// # Errors
    /// There is none of that name; also see [`EngineError`].
    pub fn delete(&self, name: &str) -> Result<(), EngineError> {
        let name = parsed(name)?;
        self.engine.banks.data()?.delete(&name).map_err(of_bank)
    }

    /// Stores examples, all or none, in a bank, which is made if there is none. Once this returns they survive a crash.
    ///
    /// # Errors
    /// An example cannot be stored; also see [`EngineError`].
    pub fn add(&self, name: &str, request: AddRequest, cancel: &Cancel) -> Result<AddResponse, EngineError> {
        let start = Instant::now();
        self.engine.check_count("examples", request.examples.len())?;
        let documents = documents(request.examples)?;
        let bank = self.bank_or_new(name)?;
        let embedder = self.engine.embedder_of(&*bank)?;
        let mut response = AddResponse {
            ids: documents.iter().map(|document| document.id.clone()).collect(),
            ..AddResponse::default()
        };
        let mut changed = changed(&*bank, documents, &mut response)?;
        if !changed.is_empty() {
            let embedded = Instant::now();
            embed(&embedder, &mut changed, cancel)?;
            response.timing_ms.stages.insert("embed", milliseconds_since(embedded));
            let stored = Instant::now();
            bank.apply(&Batch { remove: Vec::new(), upsert: changed }).map_err(of_bank)?;
            response.timing_ms.stages.insert("store", milliseconds_since(stored));
            bank.maintain();
        }
        response.timing_ms.total = milliseconds_since(start);
        Ok(response)
    }

    /// An example.
    ///
    /// # Errors
    /// There is none of that id; also see [`EngineError`].
    pub fn example(&self, name: &str, id: &str) -> Result<Example, EngineError> {
        let (document, question) =
            self.stored_bank(name)?.document(id)?.ok_or_else(|| no_example(name, id))?;
        example(document, question)
    }

    /// Up to `limit` examples, 1 to 1,000, from [`ExamplePage::next`] on.
    ///
    /// # Errors
    /// There is no such bank; also see [`EngineError`].
    pub fn examples(&self, name: &str, from: u64, limit: usize) -> Result<ExamplePage, EngineError> {
        if !(1..=PAGE).contains(&limit) {
            let message = format!("`limit` is {limit}; it must be from 1 to {PAGE}");
            return Err(EngineError::invalid("invalid_limit", "limit", message));
        }
        let bank = self.stored_bank(name)?;
        let page = bank.documents(from, limit, None)?;
        let mut examples = Vec::with_capacity(page.documents.len());
        for document in page.documents {
            // One that went away meanwhile is left out.
            if let Some((document, question)) = bank.document(&document.id)? {
                examples.push(example(document, question)?);
            }
        }
        Ok(ExamplePage { examples, next: page.next })
    }

    /// Removes an example.
    ///
    /// # Errors
    /// There is none of that id; also see [`EngineError`].
    pub fn delete_example(&self, name: &str, id: &str) -> Result<DeleteResponse, EngineError> {
        let response = self.delete_examples(name, vec![id.to_owned()])?;
        if response.deleted == 0 { Err(no_example(name, id)) } else { Ok(response) }
    }

    /// Removes examples, all or none; ids that do not exist are passed over.
    ///
    /// # Errors
    /// There is no such bank; also see [`EngineError`].
    pub fn delete_examples(&self, name: &str, ids: Vec<String>) -> Result<DeleteResponse, EngineError> {
        let bank = self.stored_bank(name)?;
        let change = bank.apply(&Batch { remove: ids, upsert: Vec::new() }).map_err(of_bank)?;
        bank.maintain();
        Ok(DeleteResponse { deleted: change.removed, warnings: Vec::new() })
    }

    /// The examples of a bank to show before a question, the most similar one last. The same bank gives the same.
    ///
    /// # Errors
    /// There is no such bank; also see [`EngineError`].
    pub fn select(
        &self,
        name: &str,
        request: &SelectRequest,
        cancel: &Cancel,
    ) -> Result<SelectResponse, EngineError> {
        let start = Instant::now();
        check(request)?;
        let bank = self.stored_bank(name)?;
        let embedder = self.engine.embedder_of(&*bank)?;
        let vector = embedder.embed(&[&request.question], cancel)?.pop().unwrap_or_default();
        let mut timing = Timing::default();
        timing.stages.insert("embed", milliseconds_since(start));
        let selected = Instant::now();
        let mut examples = nearest(&*bank, request, &vector, cancel)?;
        if let Some(mut random) = request.shuffle.map(Random::new) {
            for chosen in &mut examples {
                chosen.example = shuffled(&chosen.example, &mut random);
            }
        }
        timing.stages.insert("select", milliseconds_since(selected));
        timing.total = milliseconds_since(start);
        Ok(SelectResponse { examples, timing_ms: timing })
    }

    fn stored_bank(&self, name: &str) -> Result<Arc<dyn DocumentStore>, EngineError> {
        let name = parsed(name)?;
        self.engine.banks.data()?.get(&name).map_err(of_bank)
    }

    fn bank_or_new(&self, name: &str) -> Result<Arc<dyn DocumentStore>, EngineError> {
        let (name, data) = (parsed(name)?, self.engine.banks.data()?);
        let bank = match data.get(&name) {
            Err(IndexError::NotFound(_)) => {
                let embedder = self.engine.models.embedder()?;
                let settings =
                    Settings::new(embedder.name(), embedder.dimensions(), ChunkSettings::default())?
                        .with_identity(embedder.identity());
                match data.create(&name, &settings) {
                    // Another request was quicker.
                    Err(IndexError::Exists(name)) => data.get(&name),
                    made => made,
                }
            }
            found => found,
        };
        bank.map_err(of_bank)
    }
}

/// Examples as documents that lack their vectors, no two with the same id; of the same example without an id one is
/// enough.
fn documents(examples: Vec<Example>) -> Result<Vec<NewDocument>, EngineError> {
    let mut ids = HashSet::new();
    let mut documents = Vec::with_capacity(examples.len());
    for (place, mut example) in examples.into_iter().enumerate() {
        if let Err(reason) = example.check() {
            let message = format!("`examples[{place}]`: {reason}");
            return Err(EngineError::invalid("invalid_example", "examples", message));
        }
        let named = !example.id.is_empty();
        let id = std::mem::take(&mut example.id);
        let document = document(id, example)?;
        if ids.insert(document.id.clone()) {
            documents.push(document);
        } else if named {
            let message = format!("two examples have the id `{}`", document.id);
            return Err(EngineError::invalid("duplicate_example_id", "examples", message));
        }
    }
    Ok(documents)
}

/// `example`, whose id is `id` or, where that is empty, a hash of it.
fn document(id: String, example: Example) -> Result<NewDocument, EngineError> {
    let mut metadata = match serde_json::to_value(&example) {
        Ok(Value::Object(members)) => members,
        other => return Err(EngineError::internal(format!("an example is not a JSON object: {other:?}"))),
    };
    let hash = blake3::hash(Value::Object(metadata.clone()).to_string().as_bytes()).to_hex().to_string();
    metadata.retain(|name, _| !STORED_APART.contains(&&**name));
    let id = if id.is_empty() { hash[..32].to_owned() } else { id };
    let text = example.question;
    Ok(NewDocument { id, title: None, text, metadata, layout: Layout::Plain, hash, chunks: Vec::new() })
}

/// Members of an example that are not in its document's metadata.
const STORED_APART: [&str; 2] = ["id", "question"];

/// The example that a document stands for.
fn example(document: StoredDocument, question: String) -> Result<Example, EngineError> {
    let StoredDocument { id, metadata: mut members, .. } = document;
    let number = id.clone();
    for (name, value) in STORED_APART.into_iter().zip([id, question]) {
        members.insert(name.to_owned(), value.into());
    }
    serde_json::from_value(Value::Object(members)).map_err(|error| {
        EngineError::internal(format!("the stored example `{number}` cannot be read: {error}"))
    })
}

fn changed(
    bank: &dyn DocumentStore,
    documents: Vec<NewDocument>,
    response: &mut AddResponse,
) -> Result<Vec<NewDocument>, EngineError> {
    let ids: Vec<&str> = documents.iter().map(|document| document.id.as_str()).collect();
    let stored = bank.hashes(&ids)?;
    let mut changed = Vec::new();
    for (document, stored) in documents.into_iter().zip(stored) {
        match stored {
            Some(hash) if hash == document.hash => {
                response.unchanged += 1;
                continue;
            }
            Some(_) => response.updated += 1,
            None => response.added += 1,
        }
        changed.push(document);
    }
    Ok(changed)
}

/// Gives each document its one chunk, the question whole.
fn embed(embedder: &Embedder, documents: &mut [NewDocument], cancel: &Cancel) -> Result<(), EngineError> {
    let questions: Vec<&str> = documents.iter().map(|document| document.text.as_str()).collect();
    let vectors = embedder.embed(&questions, cancel)?;
    for (document, vector) in documents.iter_mut().zip(vectors) {
        let tokens = embedder.count(&document.text, cancel)?;
        let chunk = StoredChunk { range: 0..document.text.len(), headings: Vec::new(), header: None, tokens };
        document.chunks.push(NewChunk { chunk, vector });
    }
    Ok(())
}

/// The examples that are chosen for the question with this vector.
fn nearest(
    bank: &dyn DocumentStore,
    request: &SelectRequest,
    vector: &[f32],
    cancel: &Cancel,
) -> Result<Vec<SelectedExample>, EngineError> {
    let SelectRequest { count, duplicate, diversity, balance, .. } = *request;
    let selection = Selection { count, duplicate, diversity, balance };
    // By comparing with each: what is chosen must not change when links are made anew.
    let mut hits = bank.rank_exactly(vector, usize::MAX)?;
    hits.retain(|&(_, similarity)| similarity < duplicate + ROUNDING);
    let mut near = Vec::new();
    // More than one part is read only where the same question stands in the bank many times.
    let mut parts = hits.chunks(POOL).peekable();
    loop {
        cancel.check()?;
        near.extend(read(bank, parts.next().unwrap_or_default())?);
        let candidates: Vec<Candidate> =
            near.iter().map(|(example, vector)| Candidate { example, vector }).collect();
        let chosen = select((&request.question, vector), &candidates, &selection);
        if parts.peek().is_none() || chosen.len() == count {
            let owned = |chosen: super::Chosen| SelectedExample {
                similarity: chosen.similarity,
                example: chosen.example.clone(),
            };
            return Ok(chosen.into_iter().map(owned).collect());
        }
    }
}

/// The examples behind `hits` with their vectors; those that went away meanwhile are left out.
fn read(bank: &dyn DocumentStore, hits: &[Scored]) -> Result<Vec<(Example, Vec<f32>)>, EngineError> {
    let numbers: Vec<u64> = hits.iter().map(|&(number, _)| number).collect();
    let mut near = Vec::with_capacity(numbers.len());
    let vectors: HashMap<u64, Option<Vec<f32>>> =
        numbers.iter().copied().zip(bank.vectors(&numbers)?).collect();
    for hit in bank.chunks(&numbers)? {
        if let Some(Some(vector)) = vectors.get(&hit.number) {
            near.push((example(hit.document, hit.text)?, vector.clone()));
        }
    }
    Ok(near)
}

fn check(request: &SelectRequest) -> Result<(), EngineError> {
    let invalid = |code, param, message: String| Err(EngineError::invalid(code, param, message));
    let SelectRequest { count, duplicate, diversity, .. } = *request;
    if request.question.trim().is_empty() {
        let message = "`question` is empty: say what the examples are to stand before";
        return invalid("empty_question", "question", message.into());
    }
    if request.question.len() > super::QUESTION_BYTES {
        let (bytes, most) = (request.question.len(), super::QUESTION_BYTES);
        let message = format!("`question` has {bytes} bytes; at most {most} are allowed");
        return invalid("question_too_long", "question", message);
    }
    if !(1..=MOST).contains(&count) {
        let message = format!("`count` is {count}; it must be from 1 to {MOST}");
        return invalid("invalid_count", "count", message);
    }
    if !duplicate.is_finite() || duplicate < 0.0 {
        let message = format!("`duplicate` is {duplicate}; it is a cosine and must be at least 0");
        return invalid("invalid_duplicate", "duplicate", message);
    }
    if !(0.0..=1.0).contains(&diversity) {
        let message = format!("`diversity` is {diversity}; it must be from 0 to 1");
        return invalid("invalid_diversity", "diversity", message);
    }
    Ok(())
}

fn info(bank: &dyn DocumentStore) -> Result<BankInfo, EngineError> {
    let (settings, statistics) = (bank.settings(), bank.statistics()?);
    Ok(BankInfo {
        name: bank.name().to_string(),
        embedder: settings.embedder.clone(),
        dimensions: settings.dimensions,
        examples: statistics.documents,
        epoch: statistics.epoch,
        bytes: statistics.bytes,
        mended: bank.reports().to_vec(),
    })
}

fn no_example(name: &str, id: &str) -> EngineError {
    let message = format!("the bank `{name}` has no example `{}`", id.chars().take(80).collect::<String>());
    EngineError { kind: ErrorKind::NotFound, code: "example_not_found", param: Some("id"), message }
}

/// An error of the collection that a bank is, in the bank's words.
fn of_bank(error: IndexError) -> EngineError {
    match error {
        IndexError::NotFound(name) => {
            let message = format!(
                "there is no bank `{name}`: `whittle examples list` and GET /v1/example-banks name those that exist"
            );
            EngineError { kind: ErrorKind::NotFound, code: "bank_not_found", param: Some("name"), message }
        }
        IndexError::Document { id, reason } => {
            EngineError::invalid("invalid_example", "examples", format!("example `{id}`: {reason}"))
        }
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::engine::examples::Choice;
    use crate::index::{Collection, DataDir};

    /// An example of a multiple choice whose texts say which of them is right.
    fn made(number: usize) -> Example {
        let right = ["A", "B", "C"][number % 3];
        let choice = |label: &str| Choice {
            label: label.into(),
            text: if label == right { "right".into() } else { format!("wrong {label}") },
        };
        Example {
            id: format!("n{number}"),
            question: format!("number {number}?"),
            thought: Some("It is plain.".into()),
            answer: right.into(),
            choices: ["A", "B", "C"].map(choice).into(),
            metadata: [("number".to_owned(), json!(number))].into_iter().collect(),
        }
    }

    fn vector(angle: f32) -> Vec<f32> {
        vec![angle.cos(), angle.sin()]
    }

    /// A bank of more examples than are looked at first, whose vectors are spread over a half circle.
    fn bank(folder: &std::path::Path) -> (Arc<Collection>, Vec<(Example, Vec<f32>)>) {
        let mut random = Random::new(3);
        let settings = Settings::new("none", 2, ChunkSettings::default()).unwrap();
        let bank = DataDir::open(folder).unwrap().create(&"b".parse().unwrap(), &settings).unwrap();
        let all: Vec<(Example, Vec<f32>)> =
            (0..3 * POOL).map(|number| (made(number), vector(random.unit() as f32 * 3.0))).collect();
        let mut upsert = documents(all.iter().map(|(example, _)| example.clone()).collect()).unwrap();
        for (document, (_, vector)) in upsert.iter_mut().zip(&all) {
            let chunk =
                StoredChunk { range: 0..document.text.len(), headings: Vec::new(), header: None, tokens: 3 };
            document.chunks.push(NewChunk { chunk, vector: vector.clone() });
        }
        bank.apply(&Batch { remove: Vec::new(), upsert }).unwrap();
        (bank, all)
    }

    #[test]
    fn what_is_chosen_of_a_bank_is_what_all_of_it_gives() {
        let folder = tempfile::tempdir().unwrap();
        let (bank, all) = bank(folder.path());
        let candidates: Vec<Candidate> =
            all.iter().map(|(example, vector)| Candidate { example, vector }).collect();
        let requests = (0..all.len(), 0.0_f32..3.0, 1..20_usize, 0.0_f32..1.1, any::<u64>());
        proptest!(ProptestConfig::with_cases(64), |((asked, angle, count, duplicate, seed) in requests)| {
            let question = all[asked].0.question.to_uppercase();
            let request = SelectRequest { question, count, duplicate, ..SelectRequest::default() };
            let chosen = nearest(&*bank, &request, &vector(angle), &Cancel::never()).unwrap();
            let selection = Selection { count, duplicate, ..Selection::default() };
            let wanted: Vec<(f32, Example)> = select((&request.question, &vector(angle)), &candidates, &selection)
                .into_iter().map(|chosen| (chosen.similarity, chosen.example.clone())).collect();
            let given: Vec<(f32, Example)> =
                chosen.iter().map(|chosen| (chosen.similarity, chosen.example.clone())).collect();
            prop_assert_eq!(given, wanted, "whole, as they were stored");
            prop_assert!(chosen.is_sorted_by(|a, b| a.similarity <= b.similarity));
            prop_assert!(chosen.iter().all(|chosen| chosen.similarity < duplicate));
            prop_assert!(chosen.iter().all(|chosen| chosen.example.id != all[asked].0.id));
            let mut random = Random::new(seed);
            for chosen in chosen {
                let other = shuffled(&chosen.example, &mut random);
                let answer = other.choices.iter().find(|choice| choice.label == other.answer);
                prop_assert_eq!(answer.map(|choice| &*choice.text), Some("right"));
            }
        });
    }

    #[test]
    fn answers_are_balanced_and_the_rest_is_looked_at_where_the_nearest_do_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let (bank, _) = bank(folder.path());
        let request = SelectRequest { count: 9, balance: true, ..SelectRequest::default() };
        let chosen = nearest(&*bank, &request, &vector(1.5), &Cancel::never()).unwrap();
        for label in ["A", "B", "C"] {
            assert_eq!(chosen.iter().filter(|chosen| chosen.example.answer == label).count(), 3, "{label}");
        }
        // Of the nearest that are looked at first none is as far as this.
        let far = SelectRequest { count: 3, duplicate: 0.1, ..SelectRequest::default() };
        assert_eq!(nearest(&*bank, &far, &vector(0.0), &Cancel::never()).unwrap().len(), 3);
    }

    #[test]
    fn an_example_without_an_id_is_called_by_what_it_holds() {
        let nameless = |number| Example { id: String::new(), ..made(number) };
        let stored = documents(vec![nameless(1), nameless(2), nameless(1)]).unwrap();
        assert_eq!(stored.len(), 2);
        assert_eq!((stored[0].id.len(), stored[0].id == stored[1].id), (32, false));
        assert_eq!(stored[0].hash, documents(vec![made(1)]).unwrap()[0].hash, "an id is no change");
        let changed = Example { thought: None, ..nameless(1) };
        assert_ne!(documents(vec![changed]).unwrap()[0].id, stored[0].id);
        let error = documents(vec![made(1), made(1)]).unwrap_err();
        assert_eq!((error.code, error.param), ("duplicate_example_id", Some("examples")));
    }

    #[test]
    fn what_cannot_be_shown_is_not_stored() {
        let choices = |labels: &[&str]| -> Vec<Choice> {
            labels.iter().map(|&label| Choice { label: label.into(), text: "x".into() }).collect()
        };
        for (example, wanted) in [
            (Example { question: " \n".into(), ..made(0) }, "`question` is empty"),
            (Example { answer: String::new(), ..made(0) }, "`answer` is empty"),
            (Example { question: "x".repeat(70_000), ..made(0) }, "`question` has 70000 bytes"),
            (Example { choices: choices(&["A", "A"]), ..made(0) }, "two choices have the label `A`"),
            (Example { choices: choices(&["B", "C"]), ..made(0) }, "none of the labels"),
        ] {
            let error = documents(vec![made(5), example]).unwrap_err();
            assert_eq!(error.code, "invalid_example");
            assert!(
                error.message.starts_with("`examples[1]`: ") && error.message.contains(wanted),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_is_checked() {
        let good = SelectRequest { question: "q".into(), ..SelectRequest::default() };
        assert!(check(&good).is_ok());
        for (request, code) in [
            (SelectRequest { question: " ".into(), ..good.clone() }, "empty_question"),
            (SelectRequest { question: "x".repeat(70_000), ..good.clone() }, "question_too_long"),
            (SelectRequest { count: 0, ..good.clone() }, "invalid_count"),
            (SelectRequest { count: 101, ..good.clone() }, "invalid_count"),
            (SelectRequest { duplicate: f32::NAN, ..good.clone() }, "invalid_duplicate"),
            (SelectRequest { duplicate: -0.1, ..good.clone() }, "invalid_duplicate"),
            (SelectRequest { diversity: 1.1, ..good.clone() }, "invalid_diversity"),
            (SelectRequest { diversity: f32::NAN, ..good.clone() }, "invalid_diversity"),
        ] {
            assert_eq!(check(&request).unwrap_err().code, code);
        }
    }
}
