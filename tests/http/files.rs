//! Files over HTTP, each as a document: read, found and refused by the real binary.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pdf_extract::{Document, Stream, dictionary};
use serde_json::{Value, json};

use crate::collections::{post, put};
use crate::made::{bomb, docx, looping, page, pdf, workbook};
use crate::support::{Answer, Running, SERVE, Whittle, run, serve};

const HTML: &str = "text/html";
const PDF: &str = "application/pdf";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const DOCX: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

/// Puts a file into the collection `c`, by its id and query.
fn put_file(service: &Running, place: &str, media_type: &str, bytes: impl Into<Vec<u8>>) -> Answer {
    service.send(|client, base| {
        let request = client.put(format!("{base}/v1/collections/c/documents/{place}"));
        request.header("content-type", media_type).body(bytes.into())
    })
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, code: &str, says: &str) {
    let error = &answer.body["error"];
    assert_eq!((answer.status, &error["code"]), (status, &code.into()), "{}", answer.body);
    assert!(error["message"].as_str().unwrap().contains(says), "{}", answer.body);
}

#[test]
fn files_are_found_by_heading_and_page() {
    let service = serve("");
    put(&service, "/v1/collections/c", &json!({}));
    let html = "<title>Harbour</title><h1>Bridge</h1><p>The bridge bears 7.5 t.<script>x</script>";
    let rules = pdf(&[&page("Rules."), &page("Lorries pay nine crowns.")]);
    let files: [(&str, &str, Vec<u8>); 5] = [
        ("docs/harbour.html", HTML, html.into()),
        ("rules.pdf?metadata=%7B%22year%22:1987%7D", PDF, rules.clone()),
        (
            "plan?title=Plan%20of%20the%20day",
            DOCX,
            docx(b"<w:p><w:r><w:t>A ferry at noon.</w:t></w:r></w:p>"),
        ),
        ("mill.md", "text/markdown; charset=utf-8", "# Mill\n\nThe mill was sold to a brewer.\n".into()),
        ("note", "text/plain", "# 7 libraries are open.\n".into()),
    ];
    for (place, media_type, bytes) in &files {
        let stored = put_file(&service, place, media_type, bytes.clone());
        assert_eq!((stored.status, &stored.body["added"]), (200, &json!(1)), "{place}: {}", stored.body);
        assert_eq!(stored.body["ids"], json!([place.split('?').next().unwrap()]));
        assert!(stored.body["timing_ms"]["parse"].is_number(), "{}", stored.body);
    }
    for (place, media_type, bytes) in &files {
        let again = put_file(&service, place, media_type, bytes.clone()).body;
        assert_eq!((&again["unchanged"], &again["added"]), (&json!(1), &json!(0)), "{place}: {again}");
    }
    let best = |query: &str| {
        let found = post(&service, "/v1/collections/c/search", &json!({"query": query, "top_k": 1})).body;
        let best = found["results"][0].clone();
        let id = best["document_id"].as_str().unwrap();
        let document = service.get(&format!("/v1/collections/c/documents/{id}")).body;
        let range: [usize; 2] = serde_json::from_value(best["range"].clone()).unwrap();
        assert_eq!(&document["text"].as_str().unwrap()[range[0]..range[1]], best["text"].as_str().unwrap());
        (
            best["document_id"].clone(),
            best["title"].clone(),
            best["headings"].clone(),
            best["metadata"].clone(),
        )
    };
    let wanted = (json!("docs/harbour.html"), json!("Harbour"), json!(["Bridge"]), Value::Null);
    assert_eq!(best("what does the bridge bear?"), wanted);
    let wanted = (json!("rules.pdf"), Value::Null, json!(["Page 2"]), json!({"year": 1987}));
    assert_eq!(best("what do lorries pay?"), wanted);
    let wanted = (json!("plan"), json!("Plan of the day"), Value::Null, Value::Null);
    assert_eq!(best("when is the ferry?"), wanted);
    assert_eq!(best("who bought the mill?").2, json!(["Mill"]));
    assert_eq!(best("how many libraries are open?").2, Value::Null, "text has no headings");

    let other = put_file(&service, "rules.pdf", PDF, rules).body;
    assert_eq!(
        (&other["updated"], &other["added"]),
        (&json!(1), &json!(0)),
        "its metadata are gone: {other}"
    );
    assert_eq!(service.get("/v1/collections/c/documents/rules.pdf").body.get("metadata"), None);
    assert_eq!(service.get("/v1/collections/c").body["documents"], 5);
}

#[test]
fn what_cannot_be_read_is_refused_and_the_service_lives() {
    let service = serve("[limits]\nconcurrency = 1");
    put(&service, "/v1/collections/c", &json!({}));
    let old = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    let bad: [(&str, Vec<u8>, &str); 11] = [
        (DOCX, bomb(), "unpacks to 128 MB or more"),
        (XLSX, workbook(&vec![b' '; 150 << 20]), "unpacks to 128 MB or more"),
        (PDF, looping(), "its reader broke down"),
        (PDF, b"hello".to_vec(), "it is no PDF"),
        (PDF, pdf(&["0 0 10 10 re f"]), "text recognition"),
        (DOCX, old, "password"),
        (HTML, b"<p>caf\xe9".to_vec(), "invalid byte at offset 6; save it again"),
        (HTML, b"<script>x</script>".to_vec(), "it holds no text"),
        ("text/plain", b"caf\xe9".to_vec(), "it is not UTF-8"),
        (
            "text/plain",
            b"\x89PNG\r\n\x1a\n\0".to_vec(),
            "it is a PNG image; files that are read: text, Markdown",
        ),
        ("text/markdown", b" \n".to_vec(), "only white space"),
    ];
    for (media_type, bytes, says) in bad {
        let refused = put_file(&service, "x", media_type, bytes);
        assert_refused(&refused, 422, "unreadable_file", "the file cannot be read: ");
        assert_refused(&refused, 422, "unreadable_file", says);
    }
    let long = "y".repeat(513);
    for (place, media_type, bytes, status, code, says) in [
        ("x", "image/png", "a", 415, "unsupported_media_type", "`Content-Type: application/pdf`"),
        ("x", "text/html; charset=iso-8859-1", "a", 415, "unsupported_charset", "charset=utf-8"),
        ("x", PDF, "", 400, "empty_body", "send the file"),
        (&long, "text/plain", "a", 400, "invalid_id", "1 to 512"),
        ("x?metadata=7", "text/plain", "a", 400, "invalid_query", "a JSON object"),
        ("x?titel=a", "text/plain", "a", 400, "invalid_query", "titel"),
    ] {
        assert_refused(&put_file(&service, place, media_type, bytes), status, code, says);
    }
    let nowhere = service.send(|client, base| {
        let request = client.put(format!("{base}/v1/collections/d/documents/x"));
        request.header("content-type", HTML).body("<p>a")
    });
    assert_refused(&nowhere, 404, "collection_not_found", "`d`");
    assert_eq!(service.get("/v1/collections/c").body["documents"], 0, "nothing of them was stored");
    assert_eq!(put_file(&service, "x", HTML, "<p>The mill was sold.").body["added"], 1);
    let (status, log) = {
        service.terminate();
        service.end()
    };
    assert!(status.success() && !log.contains("panicked") && !log.contains("internal error"), "{log}");
}

/// A PDF whose page draws a form that draws another ten times, and so on: nobody lives to see its end.
fn endless() -> Vec<u8> {
    let mut document = Document::load_mem(&looping()).unwrap();
    let is_form = |stream: &Stream| stream.dict.has(b"Subtype");
    let form = document.objects.iter().find(|(_, object)| object.as_stream().is_ok_and(is_form));
    let outermost = *form.unwrap().0;
    let form = |content: &[u8], drawn| {
        let resources = dictionary! {"XObject" => dictionary! {"X" => drawn}};
        let bounds = vec![0.into(), 0.into(), 600.into(), 800.into()];
        let dictionary = dictionary! {
            "Type" => "XObject", "Subtype" => "Form", "BBox" => bounds, "Resources" => resources,
        };
        Stream::new(dictionary, content.to_vec())
    };
    let mut drawn = document.add_object(form(b"0 0 9 9 re", outermost));
    for _ in 0..20 {
        drawn = document.add_object(form(&b"/X Do ".repeat(10), drawn));
    }
    document.objects.insert(outermost, form(b"/X Do", drawn).into());
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_file_is_read_no_longer_than_its_caller_waits() {
    // The next request is worked on once the process of the one before has ended.
    let service = serve("[limits]\nconcurrency = 1");
    put(&service, "/v1/collections/c", &json!({}));
    let endless = endless();
    let start = Instant::now();
    let late = service.send(|client, base| {
        let request = client.put(format!("{base}/v1/collections/c/documents/x")).header("content-type", PDF);
        request.header("x-whittle-deadline-ms", "500").body(endless.clone())
    });
    assert_refused(&late, 504, "deadline_exceeded", "deadline");
    assert_eq!(put_file(&service, "a", HTML, "<p>The mill was sold.").body["added"], 1);

    let mut stream = TcpStream::connect(&service.address).unwrap();
    let head = format!(
        "PUT /v1/collections/c/documents/x HTTP/1.1\r\nhost: localhost\r\ncontent-type: {PDF}\r\ncontent-length: {}\r\n\r\n",
        endless.len()
    );
    stream.write_all(&[head.as_bytes(), &endless].concat()).unwrap();
    // Nothing comes, for it is being read.
    stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    stream.read(&mut [0]).unwrap_err();
    drop(stream);
    assert_eq!(put_file(&service, "b", HTML, "<p>The mill was sold.").body["added"], 1);
    assert!(start.elapsed() < Duration::from_secs(50), "each waited for a process to its end");
    assert_eq!(service.get("/v1/collections/c").body["documents"], 2);
}

/// The kernel knows which program is running by itself; elsewhere its file must stay.
#[cfg(target_os = "linux")]
#[test]
fn files_are_read_after_the_program_was_replaced() {
    let service = run(Whittle::linked(SERVE));
    put(&service, "/v1/collections/c", &json!({}));
    std::fs::remove_file(service.folder().join("program")).unwrap();
    let stored = put_file(&service, "x", HTML, "<p>The mill was sold.");
    assert_eq!((stored.status, &stored.body["added"]), (200, &json!(1)), "{}", stored.body);
}
