//! `whittle serve`: what it answers without a model, and how it ends.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::serve;

#[test]
fn it_says_how_it_is_and_what_it_offers() {
    let service = serve("");
    let health = service.get("/healthz");
    assert_eq!((health.status, &health.body["status"]), (200, &"ok".into()));
    assert_eq!(service.get("/readyz").status, 200);
    let api = service.get("/openapi.json").body;
    assert_eq!(api["info"]["title"], "Whittle");
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(api["paths"]["/v1/compress"]["post"].is_object());
    assert_eq!(service.get("/nothing").body["error"]["code"], "unknown_path");
}

#[test]
fn guides_are_markdown_for_programs_and_pages_for_browsers_and_need_no_key() {
    let service = serve("keys.required = true");
    let text = |path: &str, accept: &str| {
        let (status, headers, body) =
            service.fetch(|client, base| client.get(format!("{base}{path}")).header("accept", accept));
        (status, headers["content-type"].to_str().unwrap().to_owned(), String::from_utf8(body).unwrap())
    };
    let (status, media_type, list) = text("/docs", "*/*");
    assert_eq!((status, &*media_type), (200, "text/markdown; charset=utf-8"));
    assert!(list.contains("[proxy](/docs/proxy)"), "{list}");
    let (status, _, guide) = text("/docs/proxy", "*/*");
    assert!(status == 200 && guide.starts_with("# Proxy\n"), "{guide}");
    let (status, media_type, page) = text("/docs/proxy", "text/html,*/*;q=0.8");
    assert_eq!((status, &*media_type), (200, "text/html; charset=utf-8"));
    assert!(page.contains("<h1>Proxy</h1>") && page.contains("<a href=\"/docs/operations\">"), "{page}");
    assert!(!page.contains("<!-- "), "{page}");
    assert_eq!(service.get("/docs/no").body["error"]["code"], "unknown_guide");
    assert!(service.get("/openapi.json").body["paths"]["/docs/{topic}"]["get"].is_object());
}

#[test]
fn malformed_requests_are_turned_away_with_the_place() {
    let service = serve("");
    let unknown = service.post("/v1/compress", r#"{"context": "a b c", "target_token": 5}"#);
    assert_eq!((unknown.status, &unknown.body["error"]["param"]), (400, &"target_token".into()));
    let broken = service.post("/v1/compress", "{\"context\": \n oops}");
    assert_eq!((broken.status, &broken.body["error"]["code"]), (400, &"invalid_json".into()));
    let message = broken.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("line 2 column 2"), "{message}");
}

#[test]
fn contradictions_are_turned_away_before_a_model_is_needed() {
    let service = serve("");
    for body in [
        r#"{"context": "a b c", "rate": 0.5, "target_tokens": 2}"#,
        r#"{"context": "a b c", "documents": [{"text": "d"}], "rate": 0.5}"#,
        r#"{"context": "a b c", "rate": 0}"#,
        r#"{"context": "a b c", "target_tokens": 0}"#,
        r#"{"rate": 0.5}"#,
    ] {
        let answer = service.post("/v1/compress", body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert_eq!(answer.body["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn limits_of_the_configuration_hold() {
    let service = serve("[limits]\nbody_bytes = 100\ndocuments = 1");
    let large = format!(r#"{{"context": "{}", "rate": 0.5}}"#, "word ".repeat(100));
    let answer = service.post("/v1/compress", &large);
    assert_eq!((answer.status, &answer.body["error"]["code"]), (413, &"body_too_large".into()));
    let many = r#"{"documents": [{"text": "a"}, {"text": "b"}], "rate": 0.5}"#;
    let answer = service.post("/v1/compress", many);
    assert_eq!((answer.status, &answer.body["error"]["code"]), (413, &"too_many_documents".into()));
}

#[test]
fn a_signal_ends_it_in_order_and_the_log_has_no_text() {
    let service = serve("");
    service.post("/v1/compress", r#"{"context": "private words", "rate": "private words"}"#);
    service.get("/no/such?private=words");
    // Balancers ask these several times a second.
    assert_eq!(["/healthz", "/readyz"].map(|probe| service.get(probe).status), [200, 200]);
    let data = service.folder().join("data").display().to_string();
    service.terminate();
    let (status, log) = service.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.lines().any(|line| line.contains("keeping data") && line.contains(&data)), "{log}");
    assert_eq!(log.matches("whittle listening on http://127.0.0.1:").count(), 1, "{log}");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("status=")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    for part in ["INFO", "method=POST", "path=\"/v1/compress\"", "status=400", "ms=", "id=\""] {
        assert!(lines[0].contains(part), "{part}: {log}");
    }
    assert!(lines[1].contains("path=\"/no/such\" status=404"), "{log}");
    assert!(!log.contains("private"), "{log}");
}

/// A request whose last byte is still to come.
fn begin(address: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let length = body.len() + 1;
    let head = format!(
        "POST /v1/compress HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The service answers this once it reads the body: from then on the request is running.
    let mut leave = [0; 25];
    stream.read_exact(&mut leave).unwrap();
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).unwrap();
    stream
}

#[test]
fn a_signal_lets_a_running_request_finish() {
    let service = serve("");
    let mut stream = begin(&service.address, r#"{"unknown": 1"#);
    service.terminate();
    // The listener closes first; only then is the body completed.
    while TcpStream::connect(&service.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stream.write_all(b"}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("unknown_field"), "{answer}");
    assert_eq!(service.end().0.code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let service = serve("");
    let _stream = begin(&service.address, "{");
    service.terminate();
    while TcpStream::connect(&service.address).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let start = Instant::now();
    service.terminate();
    let (status, log) = service.end();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(10), "{log}");
}
