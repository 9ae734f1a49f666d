//! Models of the user's own: added from files, a hub and Ollama, taken away again, and used by their paths.

use super::*;

/// A model of 1 MB that the project carries for its goldens.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/families/llama2.gguf")
}

fn add(store: &ModelStore, origin: &str, name: Option<&str>) -> Result<Model, StoreError> {
    store.add(&origin.parse().unwrap(), name, &|_| (), &Silent)
}

/// The store of a process that starts later.
fn later(cache: &Path) -> ModelStore {
    let manifest = Manifest::load(cache, None).unwrap();
    ModelStore::new(cache, manifest, store(cache, "http://127.0.0.1:1").sources)
}

#[test]
fn a_file_is_added_by_its_path_and_taken_away_again() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("My Model (v2).gguf");
    fs::copy(tiny(), &file).unwrap();
    let first = later(cache.path());
    let model = add(&first, &file.display().to_string(), None).unwrap();
    assert_eq!((&*model.name, model.role, &*model.architecture), ("my-model--v2", Role::Scorer, "llama"));
    let second = later(cache.path());
    let files = second.ensure("my-model--v2", &Silent).unwrap();
    assert_eq!(fs::read(files.single("gguf").unwrap()).unwrap(), fs::read(tiny()).unwrap());
    for name in ["my-model--v2", "all-minilm-l6-v2", "../up", ""] {
        let refused = add(&second, &file.display().to_string(), Some(name));
        assert!(matches!(refused, Err(StoreError::NameTaken { .. })), "{name}");
    }
    second.remove("my-model--v2").unwrap();
    assert!(file.exists(), "the user's file stays");
    let third = later(cache.path());
    assert!(matches!(third.ensure("my-model--v2", &Silent), Err(StoreError::UnknownModel { .. })));
    for name in ["my-model--v2", "all-minilm-l6-v2", "../models"] {
        assert!(matches!(third.remove(name), Err(StoreError::NotAdded { .. })), "{name}");
    }
    add(&third, &file.display().to_string(), Some("again")).unwrap();
}

#[test]
fn a_decoder_that_embeds_is_an_embedder() {
    let cache = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/encoders/embed-qwen3/model.gguf");
    let model = add(&later(cache.path()), &file.display().to_string(), None).unwrap();
    assert_eq!((model.role, &*model.architecture), (Role::Embedder, "qwen3"));
}

#[test]
fn what_is_no_model_is_refused_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let store = later(cache.path());
    let other = cache.path().join("other.gguf");
    fs::write(&other, "GGUF and no more").unwrap();
    let pickle = cache.path().join("pytorch_model.bin");
    fs::write(&pickle, "x").unwrap();
    let folder = cache.path().join("encoder");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.json"), "{}").unwrap();
    let nowhere = cache.path().join("nowhere.gguf");
    for (path, says) in
        [(other, "GGUF version"), (pickle, "pickle"), (folder, "model.safetensors"), (nowhere, "nowhere")]
    {
        let error = add(&store, &path.display().to_string(), None).unwrap_err();
        let said = crate::telemetry::chain(&error);
        assert!(said.contains(says), "{said}");
    }
    assert!(!Manifest::of_user(cache.path()).exists());
    assert!(later(cache.path()).manifest().model("other").is_err());
}

#[test]
fn an_encoder_is_added_from_its_folder_with_its_role() {
    let cache = tempfile::tempdir().unwrap();
    for (head, role) in [
        ("BertModel", Role::Embedder),
        ("BertForTokenClassification", Role::TokenClassifier),
        ("BertForSequenceClassification", Role::Reranker),
        ("Provence", Role::Pruner),
    ] {
        let folder = cache.path().join(head);
        fs::create_dir(&folder).unwrap();
        let config = format!(r#"{{"model_type": "bert", "architectures": ["{head}"], "hidden_size": 8}}"#);
        for (name, content) in
            [("config.json", &*config), ("tokenizer.json", "{}"), ("model.safetensors", "weights")]
        {
            fs::write(folder.join(name), content).unwrap();
        }
        let model = add(&later(cache.path()), &folder.display().to_string(), None).unwrap();
        assert_eq!((model.name, model.role, model.files.len()), (head.to_lowercase(), role, 3));
    }
    let known = later(cache.path()).ensure("bertmodel", &Silent).unwrap();
    assert_eq!(fs::read(known.named("model.safetensors").unwrap()).unwrap(), b"weights");
    // What sentence-transformers has beside them comes along, in its folder.
    let folder = cache.path().join("BertModel");
    fs::create_dir(folder.join("1_Pooling")).unwrap();
    fs::write(folder.join("1_Pooling/config.json"), "pooling").unwrap();
    fs::write(folder.join("modules.json"), "[]").unwrap();
    let model = add(&later(cache.path()), &folder.display().to_string(), Some("pooled")).unwrap();
    assert_eq!(model.files.len(), 5);
    let known = later(cache.path()).ensure("pooled", &Silent).unwrap();
    assert_eq!(fs::read(known.named("1_Pooling/config.json").unwrap()).unwrap(), b"pooling");
    assert!(fs::read_to_string(known.named("config.json").unwrap()).unwrap().contains("BertModel"));
    assert!(known.named("modules.json").is_some());
    let by_path = later(cache.path()).ensure(&folder.display().to_string(), &Silent).unwrap();
    assert_eq!(by_path.identity(), known.identity());
}

#[test]
fn a_file_is_added_by_an_address_that_is_allowed() {
    let tiny = fs::read(tiny()).unwrap();
    let cache = tempfile::tempdir().unwrap();
    let (address, requests) = hub(vec![answer(tiny.len(), &tiny)]);
    let url = format!("{address}/models/Tiny.gguf");
    let model = add(&store(cache.path(), &address), &url, None).unwrap();
    assert_eq!((&*model.name, &*model.architecture), ("tiny", "llama"));
    assert!(matches!(&model.sources[..], [Source::Url { url: from }] if *from == url), "{:?}", model.sources);
    let file = later(cache.path()).ensure("tiny", &Silent).unwrap();
    assert_eq!(fs::read(file.single("gguf").unwrap()).unwrap(), tiny);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    // What is lost is fetched again, and held to what it was.
    fs::remove_file(file.single("gguf").unwrap()).unwrap();
    let allowing = || {
        ModelStore::new(
            cache.path(),
            Manifest::load(cache.path(), None).unwrap(),
            store(cache.path(), &address).sources,
        )
    };
    assert!(allowing().ensure("tiny", &Silent).is_ok());
    assert_eq!(requests.load(Ordering::SeqCst), 2);
}

#[test]
fn addresses_that_are_not_allowed_are_not_asked() {
    let cache = tempfile::tempdir().unwrap();
    let (inside, asked) = hub(vec![answer(9, b"different")]);
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {inside}/a.gguf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let (outside, _) = hub(vec![redirect.into_bytes()]);
    let store = store(cache.path(), &outside);
    for url in [format!("{inside}/a.gguf"), format!("{outside}.example/a.gguf"), format!("{outside}/a.gguf")]
    {
        let error = add(&store, &url, None).unwrap_err().to_string();
        assert!(error.contains("WHITTLE_MODEL_URLS"), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert!(!cache.path().join("models/a").exists());
    for unreadable in ["https://a/model.bin", "ftp://a/m.gguf", "https://a/m.gguf?x=1"] {
        assert!(unreadable.parse::<Origin>().is_err(), "{unreadable}");
    }
}

#[test]
fn a_repository_of_the_hub_is_pinned_to_its_commit() {
    let tiny = fs::read(tiny()).unwrap();
    let lfs = own::hash_of(&tiny);
    let repository = |files: &str| {
        format!(r#"{{"sha": "c0ffee", "cardData": {{"license": "mit"}}, "siblings": [{files}]}}"#)
    };
    let named = |name: &str| {
        format!(r#"{{"rfilename": "{name}", "size": {}, "lfs": {{"sha256": "{lfs}"}}}}"#, tiny.len())
    };
    let one = repository(&format!(r#"{}, {{"rfilename": "README.md", "size": 3}}"#, named("a.gguf")));
    let cache = tempfile::tempdir().unwrap();
    let (address, requests) = hub(vec![answer(one.len(), one.as_bytes()), answer(tiny.len(), &tiny)]);
    let model = add(&store(cache.path(), &address), "hf:owner/Name", None).unwrap();
    assert_eq!((&*model.name, &*model.licence, requests.load(Ordering::SeqCst)), ("name", "mit", 2));
    let pinned = matches!(&model.sources[..], [Source::Hub { revision, .. }] if revision == "c0ffee");
    assert!(pinned, "{:?}", model.sources);
    assert!(later(cache.path()).ensure("name", &Silent).is_ok());

    let two = repository(&format!("{}, {}", named("a.gguf"), named("b.gguf")));
    let (address, _) = hub(vec![answer(two.len(), two.as_bytes()), answer(tiny.len(), &tiny)]);
    let store = store(cache.path(), &address);
    let error = add(&store, "hf:owner/two", None).unwrap_err().to_string();
    assert!(error.contains("a.gguf") && error.contains("b.gguf"), "{error}");
    let (address, _) = hub(vec![answer(two.len(), two.as_bytes()), answer(9, b"different")]);
    let store = super::store(cache.path(), &address);
    assert!(add(&store, "hf:owner/two:b.gguf", None).is_err(), "another file came");
    assert!(later(cache.path()).manifest().model("b").is_err());

    let pickle = repository(r#"{"rfilename": "pytorch_model.bin", "size": 3}"#);
    let (address, _) = hub(vec![answer(pickle.len(), pickle.as_bytes())]);
    let error = add(&super::store(cache.path(), &address), "hf:owner/old", None).unwrap_err().to_string();
    assert!(error.contains("pickle"), "{error}");
}

#[test]
fn an_encoder_of_the_hub_has_hashes_for_its_small_files_too() {
    let config = r#"{"model_type": "bert", "architectures": ["BertModel"]}"#;
    let listed = format!(
        r#"{{"sha": "c0ffee", "siblings": [{{"rfilename": "config.json", "size": 1}}, {{"rfilename": "tokenizer.json", "size": 1}},
        {{"rfilename": "model.safetensors", "size": 7, "lfs": {{"sha256": "{}"}}}}]}}"#,
        own::hash_of(b"weights")
    );
    let tokenizer = answer(2, b"{}");
    let [config, weights] = [config.as_bytes(), b"weights"].map(|body| answer(body.len(), body));
    // The list, then the small files for their hashes, in the order of an encoder's files; then all files.
    let answers = vec![
        answer(listed.len(), listed.as_bytes()),
        tokenizer.clone(),
        config.clone(),
        weights,
        tokenizer,
        config,
    ];
    let cache = tempfile::tempdir().unwrap();
    let (address, _) = hub(answers);
    let model = add(&store(cache.path(), &address), "hf:owner/bert@v1", Some("mine")).unwrap();
    assert_eq!((model.role, &*model.architecture, model.files.len()), (Role::Embedder, "bert", 3));
    assert!(later(cache.path()).ensure("mine", &Silent).is_ok());
}

#[test]
fn a_model_of_ollama_is_found_by_its_manifest() {
    let cache = tempfile::tempdir().unwrap();
    let root = cache.path().join("ollama");
    let hash = own::hash_of(&fs::read(tiny()).unwrap());
    fs::create_dir_all(root.join("blobs")).unwrap();
    fs::create_dir_all(root.join("manifests/registry.ollama.ai/library/tiny")).unwrap();
    fs::copy(tiny(), root.join(format!("blobs/sha256-{hash}"))).unwrap();
    let manifest = format!(
        r#"{{"layers": [{{"mediaType": "application/vnd.ollama.image.license", "digest": "sha256:00"}},
        {{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:{hash}"}}]}}"#
    );
    fs::write(root.join("manifests/registry.ollama.ai/library/tiny/1b"), manifest).unwrap();
    let model = add(&later(cache.path()), "ollama:tiny:1b", None).unwrap();
    assert_eq!((&*model.name, &*model.files[0].name), ("tiny-1b", "tiny-1b.gguf"));
    assert!(later(cache.path()).ensure("tiny-1b", &Silent).unwrap().single("gguf").is_some());
    let error = add(&later(cache.path()), "ollama:tiny", None).unwrap_err().to_string();
    assert!(error.contains("tiny/latest"), "{error}");
}

#[test]
fn origins_are_read_and_tricks_refused() {
    for bad in [
        "hf:owner",
        "hf:a/b/c",
        "hf:../b",
        "hf:a/b@../x",
        "hf:a/b:../x",
        "ollama:",
        "ollama:../x",
        "ollama:a:..",
    ] {
        assert!(bad.parse::<Origin>().is_err(), "{bad}");
    }
    assert!("ftp://example.org/m.gguf".parse::<Origin>().unwrap_err().contains("https://"));
    let hub = "hf:a/b@v1:c.gguf".parse::<Origin>().unwrap();
    let [repository, revision] = ["a/b", "v1"].map(str::to_owned);
    assert_eq!(hub, Origin::Hub { repository, revision, file: Some("c.gguf".into()) });
    assert_eq!("./hf".parse::<Origin>().unwrap(), Origin::Path("./hf".into()));
}

#[test]
fn the_hash_of_a_model_by_its_path_is_that_of_now() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("m.gguf");
    let name = file.display().to_string();
    let identity = || store(cache.path(), "").ensure(&name, &Silent).unwrap().identity();
    fs::write(&file, CONTENT).unwrap();
    assert_eq!([identity(), identity()], [own::hash_of(CONTENT), own::hash_of(CONTENT)]);
    fs::write(&file, b"another").unwrap();
    assert_eq!(identity(), own::hash_of(b"another"));
    fs::remove_file(&file).unwrap();
    let error = store(cache.path(), "").ensure(&name, &Silent).unwrap_err().to_string();
    assert!(error.contains("m.gguf"), "{error}");
}
