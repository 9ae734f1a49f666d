//! The page: its files as the service sends them.

use reqwest::header::HeaderMap;

use crate::support::{Running, serve};

fn fetch(service: &Running, path: &str, tag: Option<&str>) -> (u16, HeaderMap, String) {
    let (status, headers, body) = service.fetch(|client, base| {
        let request = client.get(format!("{base}{path}"));
        tag.into_iter().fold(request, |request, tag| request.header("if-none-match", tag))
    });
    (status, headers, String::from_utf8(body).unwrap())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
}

/// The paths of the page's own files that a file of it names.
fn named(file: &str) -> Vec<String> {
    let absolute = file.split("\"/page/").skip(1).map(|rest| ("/page/", rest));
    let relative = file.split("\"./").skip(1).map(|rest| ("/page/", rest));
    let path =
        |(folder, rest): (&str, &str)| format!("{folder}{}", rest.split('"').next().unwrap_or_default());
    absolute.chain(relative).map(path).filter(|path| path.contains('.')).collect()
}

#[test]
fn every_file_comes_with_its_type_a_tag_and_a_strict_policy_and_needs_no_key() {
    let service = serve("keys.required = true");
    let (mut waiting, mut seen, mut bytes) = (vec!["/".to_owned()], Vec::new(), 0);
    while let Some(path) = waiting.pop() {
        if seen.contains(&path) {
            continue;
        }
        let (status, headers, body) = fetch(&service, &path, None);
        assert_eq!(status, 200, "{path}");
        let media_type = match path.rsplit_once('.') {
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(text(&headers, "content-type"), media_type, "{path}");
        assert_eq!(text(&headers, "x-content-type-options"), "nosniff");
        assert_eq!(text(&headers, "referrer-policy"), "no-referrer");
        assert_eq!(text(&headers, "cache-control"), "no-cache");
        let policy = text(&headers, "content-security-policy");
        for directive in
            ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(directive), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        let tag = text(&headers, "etag");
        let (status, again, empty) = fetch(&service, &path, Some(tag));
        assert_eq!((status, text(&again, "etag"), &*empty), (304, tag, ""), "{path}");
        assert_eq!(fetch(&service, &path, Some("\"another\"")).0, 200);
        bytes += body.len();
        waiting.extend(named(&body));
        seen.push(path);
    }
    assert!(seen.len() > 5, "{seen:?}");
    assert!(bytes <= 300_000, "{bytes}");
}

#[test]
fn no_other_file_is_there() {
    let service = serve("");
    for path in ["/page/no.js", "/page/mod.rs", "/page/..%2fmod.rs", "/page/%2e%2e/Cargo.toml"] {
        let answer = service.get(path);
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    assert_eq!(service.get("/page/no.js").body["error"]["code"], "unknown_file");
    assert_eq!(service.post("/", "{}").body["error"]["code"], "method_not_allowed");
    assert!(service.get("/openapi.json").body["paths"]["/page/{file}"]["get"].is_object());
}

#[test]
fn it_can_be_switched_off() {
    let service = serve("page.enabled = false");
    let script = service.get("/page/app.js");
    assert_eq!((script.status, &script.body["error"]["code"]), (404, &"unknown_path".into()));
    // Clients of Ollama look there first for whether anybody is there.
    let (status, _, body) = service.fetch(|client, base| client.get(format!("{base}/")));
    assert_eq!((status, body), (200, Vec::new()));
    assert_eq!(service.get("/healthz").status, 200);
}

#[test]
fn the_text_of_a_file_is_read_and_not_stored() {
    let service = serve("");
    let put = |body: &'static str, media_type: &str| {
        let media_type = media_type.to_owned();
        service.send(move |client, base| {
            client.put(format!("{base}/v1/extract")).header("content-type", media_type).body(body)
        })
    };
    let page = "<html><head><title>Hours</title></head><body><h1>Baths</h1><p>Open &lt;b&gt; at 8.</p></body></html>";
    let html = put(page, "text/html");
    assert_eq!((html.status, &html.body["title"]), (200, &"Hours".into()), "{}", html.body);
    assert!(html.body["text"].as_str().unwrap().contains("# Baths"), "{}", html.body);
    let plain = put("As it is.\n", "text/plain");
    assert_eq!((plain.status, &plain.body["text"]), (200, &"As it is.\n".into()));
    for (body, media_type, status, code) in [
        ("", "text/plain", 400, "empty_body"),
        ("no pdf", "application/pdf", 422, "unreadable_file"),
        ("{}", "application/json", 415, "unsupported_media_type"),
    ] {
        let answer = put(body, media_type);
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
    }
    assert_eq!(service.get("/v1/collections").body["collections"], serde_json::json!([]));
}

#[test]
fn evaluations_are_listed_and_no_other_folder_is_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/eval/baselines");
    let service = serve(&format!("page.evaluations = [{folder:?}, '/no/such/folder']"));
    let list = service.get("/v1/evaluations").body;
    let name = format!("{folder}/nq");
    let runs = list["runs"].as_array().unwrap();
    let run = runs.iter().find(|run| run["name"] == *name).unwrap();
    assert_eq!((&run["suite"], &run["questions"]), (&"nq".into(), &300.into()), "{list}");
    let summary = service.get(&format!("/v1/evaluations/{name}")).body;
    assert!(summary["figures"][0]["retention"]["mean"].is_number(), "{summary}");
    for path in
        [folder.to_owned(), format!("{name}/summary.json"), format!("{folder}/..%2fsuites"), "x".into()]
    {
        let answer = service.get(&format!("/v1/evaluations/{path}"));
        assert_eq!(
            (answer.status, &answer.body["error"]["code"]),
            (404, &"unknown_evaluation".into()),
            "{path}"
        );
    }
}
