//! Whole collections out of the service and into it, and what happens where they do not fit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use whittle::index::{DataDir, Settings};
use whittle::text::ChunkSettings;

use crate::collections::{post, post_lines, put};
use crate::support::{Answer, Running, SERVE, Whittle, delete, run, serve, serve_again};

/// A service with three documents in the collection `c`.
fn town() -> Running {
    let service = serve("[limits]\nbody_bytes = 100_000");
    put(&service, "/v1/collections/c", &json!({"chunking": {"tokens": 64, "overlap": 8}}));
    let lines = [
        json!({"id": "a/b", "title": "Harbour Street", "text": "The bridge was opened on 3 May 1987. Gr\u{f6}\u{df}e: 12 m.",
            "metadata": {"year": 1987, "tags": ["x"]}}),
        json!({"id": "c", "text": "# Libraries\n\nThe town has two libraries.\n", "layout": "markdown"}),
        json!({"text": "The mill was sold to a brewer."}),
    ];
    let lines: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    assert_eq!(post_lines(&service, "", lines).body["added"], 3);
    service
}

/// An export of a collection.
fn export(service: &Running, name: &str) -> String {
    let (status, headers, body) =
        service.fetch(|client, base| client.get(format!("{base}/v1/collections/{name}/export")));
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/x-ndjson"));
    assert_eq!(headers["content-length"], body.len().to_string());
    String::from_utf8(body).unwrap()
}

fn snapshot(service: &Running, name: &str) -> Vec<u8> {
    let (status, headers, body) =
        service.fetch(|client, base| client.post(format!("{base}/v1/collections/{name}/snapshot")));
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/octet-stream"));
    body
}

fn restore(service: &Running, name: &str, snapshot: impl Into<Vec<u8>>) -> Answer {
    service.send(|client, base| {
        let request = client.post(format!("{base}/v1/collections/{name}/restore"));
        request.header("content-type", "application/octet-stream").body(snapshot.into())
    })
}

/// What a search gives, but for the time that it took.
fn found(service: &Running, name: &str, mode: &str) -> Value {
    let query = json!({"query": "when was the bridge opened?", "mode": mode});
    post(service, &format!("/v1/collections/{name}/search"), &query).body["results"].clone()
}

#[test]
fn an_export_is_posted_back_to_the_same() {
    let service = town();
    let exported = export(&service, "c");
    assert_eq!(exported.lines().count(), 3);
    let before = found(&service, "c", "hybrid");
    assert_eq!(delete(&service, "/v1/collections/c"), 204);
    put(&service, "/v1/collections/c", &json!({"chunking": {"tokens": 64, "overlap": 8}}));
    assert_eq!(post_lines(&service, "", &*exported).body["added"], 3);
    assert_eq!(export(&service, "c"), exported);
    assert_eq!(found(&service, "c", "hybrid"), before);
    put(&service, "/v1/collections/empty", &json!({}));
    assert_eq!(export(&service, "empty"), "");
    let nowhere = service.get("/v1/collections/nowhere/export");
    assert_eq!((nowhere.status, &nowhere.body["error"]["code"]), (404, &"collection_not_found".into()));
    // The command line writes the same.
    let service = serve_again({
        let folder = Arc::clone(&service.folder);
        service.terminate_and_end();
        let told = Whittle::beside(Arc::clone(&folder), &["index", "export", "c"]).output();
        assert_eq!(String::from_utf8(told.stdout).unwrap(), exported);
        folder
    });
    assert_eq!(export(&service, "c"), exported);
}

#[test]
fn a_snapshot_is_restored_while_the_service_goes_on() {
    let service = town();
    let done = AtomicBool::new(false);
    let (bytes, restored) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let pair = json!({"documents": [{"id": "1", "text": "One."}, {"id": "2", "text": "Two."}]});
                assert_eq!(post(&service, "/v1/collections/c/documents", &pair).status, 200);
                assert_eq!(
                    post(&service, "/v1/collections/c/delete", &json!({"ids": ["1", "2"]})).body["deleted"],
                    2
                );
            }
        });
        let bytes = snapshot(&service, "c");
        let restored = restore(&service, "again", bytes.clone());
        done.store(true, Ordering::Relaxed);
        (bytes, restored)
    });
    assert_eq!(restored.status, 201, "{}", restored.body);
    let documents = restored.body["documents"].as_u64().unwrap();
    assert!([3, 5].contains(&documents), "both of a pair or none: {documents}");
    let listed = |name: &str| service.get(&format!("/v1/collections/{name}")).body;
    for part in ["embedder", "dimensions", "chunking"] {
        assert_eq!(listed("again")[part], listed("c")[part]);
    }
    let bytes = if documents == 3 { bytes } else { snapshot(&service, "c") };
    assert_eq!(restore(&service, "same", bytes.clone()).body["documents"], 3);
    for mode in ["lexical", "dense", "hybrid"] {
        let (found, wanted) = (found(&service, "same", mode), found(&service, "c", mode));
        assert_eq!(found[0]["document_id"], "a/b");
        // Words that were deleted weigh until they are cleared away, so that scores by words may differ.
        let ids = |results: &Value| -> Vec<Value> {
            results.as_array().unwrap().iter().map(|result| result["chunk_id"].clone()).collect()
        };
        assert_eq!(ids(&found), ids(&wanted), "{mode}");
    }
    assert_eq!(found(&service, "same", "dense"), found(&service, "c", "dense"));
    assert_eq!(export(&service, "same"), export(&service, "c"));

    for (name, bytes, status, code) in [
        ("same", bytes.clone(), 409, "collection_exists"),
        ("..%2Fx", bytes.clone(), 400, "invalid_name"),
        ("x", bytes[..bytes.len() - 1].to_vec(), 400, "invalid_snapshot"),
        ("x", b"not a snapshot at all".to_vec(), 400, "invalid_snapshot"),
        ("x", Vec::new(), 400, "invalid_snapshot"),
    ] {
        let refused = restore(&service, name, bytes);
        assert_eq!(
            (refused.status, &refused.body["error"]["code"]),
            (status, &code.into()),
            "{}",
            refused.body
        );
    }
    assert_eq!(service.get("/v1/collections/x").status, 404);
    // In a database nothing of it is ever in a file.
    let left = std::fs::read_dir(service.folder().join("data/.unfinished")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
    let folder = Arc::clone(&service.folder);
    service.kill();
    let service = serve_again(folder);
    assert_eq!(found(&service, "same", "dense")[0]["document_id"], "a/b", "it lasts");
}

#[test]
fn the_command_line_takes_and_restores_the_same_snapshots() {
    let service = town();
    let bytes = snapshot(&service, "c");
    let folder = Arc::clone(&service.folder);
    service.terminate_and_end();
    let index =
        |arguments: &[&str]| Whittle::beside(Arc::clone(&folder), &[&["index"], arguments].concat()).output();
    assert!(index(&["snapshot", "c", "c.snapshot"]).status.success());
    assert!(
        std::fs::read(folder.path().join("c.snapshot")).unwrap() == bytes,
        "the same moment gives the same"
    );
    let told = index(&["restore", "d", "c.snapshot"]);
    assert!(told.status.success());
    assert!(String::from_utf8(told.stderr).unwrap().contains("3 documents, "));
    std::fs::write(folder.path().join("cut"), &bytes[..bytes.len() / 2]).unwrap();
    for (arguments, code, wanted) in [
        (&["restore", "d", "c.snapshot"][..], 1, "there is a collection `d`"),
        (&["restore", "e", "cut"], 2, "damaged or truncated"),
        (&["restore", "e", "whittle.toml"], 2, "not a snapshot"),
        (&["restore", "e", "none"], 1, "cannot read none"),
        (&["restore", "../e", "c.snapshot"], 2, "may hold a-z"),
        (&["snapshot", "e", "e.snapshot"], 1, "there is no collection `e`"),
        (&["snapshot", "c", "none/c.snapshot"], 1, "cannot write none/c.snapshot"),
    ] {
        let output = index(arguments);
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(code) && told.contains(wanted), "{arguments:?}: {told}");
    }
    assert!(!folder.path().join("e.snapshot").exists());
}

#[test]
fn vectors_of_another_model_are_not_searched() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let data = DataDir::open(&folder.path().join("data")).unwrap();
    let made = |name: &str, embedder: &str, width, identity: Option<&str>| {
        let settings = Settings::new(embedder, width, ChunkSettings::default()).unwrap();
        let settings =
            identity.map_or_else(|| settings.clone(), |identity| settings.clone().with_identity(identity));
        data.create(&name.parse().unwrap(), &settings).unwrap();
    };
    made("model", "another", 384, None);
    made("width", "all-minilm-l6-v2", 100, None);
    made("files", "all-minilm-l6-v2", 384, Some("others"));
    made("old", "all-minilm-l6-v2", 384, None);
    drop(data);
    let service = serve_again(folder);
    let document = json!({"documents": [{"text": "The bridge was opened in 1987."}]});
    for (name, wanted) in
        [("model", "made by `another`"), ("width", "with 100 values"), ("files", "but other files")]
    {
        for (path, body) in [("search", &json!({"query": "bridge"})), ("documents", &document)] {
            let refused = post(&service, &format!("/v1/collections/{name}/{path}"), body);
            assert_eq!((refused.status, &refused.body["error"]["code"]), (409, &"other_embedder".into()));
            let message = refused.body["error"]["message"].as_str().unwrap();
            assert!(message.contains(wanted) && message.contains("export"), "{message}");
        }
        assert_eq!(put(&service, &format!("/v1/collections/{name}"), &json!({})).status, 409);
        // Words are found whatever made the vectors.
        let words = json!({"query": "bridge", "mode": "lexical"});
        assert_eq!(post(&service, &format!("/v1/collections/{name}/search"), &words).status, 200);
    }
    assert_eq!(put(&service, "/v1/collections/old", &json!({})).status, 200, "an old one knows no files");
    assert_eq!(post(&service, "/v1/collections/old/documents", &document).body["added"], 1);
}

#[test]
fn a_full_disk_is_told_and_what_was_stored_stays() {
    // 12 MB: of three batches of 2.6 MB the first has room, the last has not.
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let service = run(Whittle::limited(Arc::clone(&folder), SERVE, 24576));
    put(&service, "/v1/collections/c", &json!({}));
    let padding = "0123456789".repeat(2000);
    let lines: String = (0..384)
        .map(|i| json!({"id": i.to_string(), "text": format!("Room {i}."), "metadata": {"pad": padding}}))
        .map(|line| line.to_string() + "\n")
        .collect();
    for _ in 0..2 {
        let full = post_lines(&service, "", &*lines);
        assert_eq!((full.status, &full.body["error"]["code"]), (503, &"disk_failed".into()), "{}", full.body);
        let message = full.body["error"]["message"].as_str().unwrap();
        assert!(message.contains("restart"), "{message}");
    }
    let too_large = restore(&service, "d", vec![0; 13 << 20]);
    assert_eq!((too_large.status, &too_large.body["error"]["code"]), (503, &"disk_failed".into()));
    service.terminate_and_end();
    let service = serve_again(folder);
    let kept = service.get("/v1/collections/c").body["documents"].as_u64().unwrap();
    assert!(kept > 0 && kept < 384 && kept.is_multiple_of(128), "whole batches: {kept}");
    let again = post_lines(&service, "", &*lines).body;
    assert_eq!((&again["added"], &again["unchanged"]), (&json!(384 - kept), &json!(kept)));
}
