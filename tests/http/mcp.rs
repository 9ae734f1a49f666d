//! The MCP server of the real binary, over HTTP and over standard input and output, by messages as they stand in the
//! protocol. Its official clients are in `tests/clients/mcp`.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Running, SERVE, Whittle, run, serve, serve_with_model};
use crate::upstream::Upstream;

/// The version with a handshake, and the one before it that has none.
const VERSIONS: [&str; 2] = ["2025-11-25", "2026-07-28"];
const TOOLS: [&str; 8] = [
    "compress",
    "read_file_compressed",
    "search",
    "ingest",
    "prompt",
    "examples_select",
    "count_tokens",
    "recall",
];
const TEXT: &str =
    "The harbour closes in May. Lunch was good. Nobody objected to the plan of the harbour master.";

/// A request as a version has it.
fn message(version: &str, method: &str, mut params: Value) -> Value {
    if version == VERSIONS[1] {
        params["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": version,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
    }
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

/// Sends a request to `/mcp` and gives the status and the answer.
fn post(service: &Running, version: &str, (method, params): (&str, Value), secret: &str) -> (u16, Value) {
    let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default().to_owned();
    let body = message(version, method, params).to_string();
    let (status, headers, body) = service.fetch(|client, base| {
        let mut request = client
            .post(format!("{base}/mcp"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", version)
            .body(body);
        if version == VERSIONS[1] {
            request = request.header("mcp-method", method);
            if !name.is_empty() {
                request = request.header("mcp-name", &name);
            }
        }
        if secret.is_empty() { request } else { request.header("x-whittle-key", secret) }
    });
    assert_eq!(headers["content-type"], "application/json", "{}", String::from_utf8_lossy(&body));
    (status, serde_json::from_slice(&body).unwrap())
}

/// The result of a request that succeeds.
fn result(service: &Running, version: &str, method: &str, params: Value) -> Value {
    let (status, answer) = post(service, version, (method, params), "");
    assert_eq!((status, &answer["id"]), (200, &json!(7)), "{answer}");
    answer["result"].clone()
}

fn call(service: &Running, version: &str, tool: &str, arguments: &Value) -> Value {
    result(service, version, "tools/call", json!({"name": tool, "arguments": arguments}))
}

/// The result of a tool that has JSON, without what belongs to one answer alone.
fn structured(result: &Value) -> Value {
    assert_eq!(result["isError"], false, "{result}");
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"], "clients of before see the same");
    plain(text)
}

fn plain(mut value: Value) -> Value {
    for key in ["id", "timing_ms"] {
        value.as_object_mut().unwrap().remove(key);
    }
    value
}

fn error_text(result: &Value) -> &str {
    assert_eq!(result["isError"], true, "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

#[test]
fn both_versions_list_the_same_tools_prompts_and_forms_of_resources() {
    let service = serve("");
    let greeting = json!({"protocolVersion": VERSIONS[0], "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let initialized = result(&service, VERSIONS[0], "initialize", greeting);
    assert_eq!(initialized["protocolVersion"], VERSIONS[0]);
    assert_eq!(initialized["serverInfo"]["name"], "whittle");
    let discovered = result(&service, VERSIONS[1], "server/discover", json!({}));
    assert!(
        discovered["supportedVersions"].as_array().unwrap().contains(&json!(VERSIONS[1])),
        "{discovered}"
    );
    for version in VERSIONS {
        let tools = result(&service, version, "tools/list", json!({}));
        let tools = tools["tools"].as_array().unwrap();
        assert_eq!(tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
        for tool in tools {
            assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
            assert_eq!(tool["annotations"]["readOnlyHint"], tool["name"] != "ingest", "{tool}");
            assert_eq!(tool["annotations"]["openWorldHint"], false, "{tool}");
        }
        let prompts = result(&service, version, "prompts/list", json!({}));
        assert_eq!(prompts["prompts"][0]["name"], "answer", "{prompts}");
        assert_eq!(prompts["prompts"][0]["arguments"][0]["required"], true);
        let templates = result(&service, version, "resources/templates/list", json!({}));
        assert_eq!(templates["resourceTemplates"].as_array().unwrap().len(), 2);
        assert_eq!(result(&service, version, "resources/list", json!({}))["resources"], json!([]));
    }
}

#[test]
fn tools_answer_as_the_routes_do() {
    let service = serve_with_model("");
    for version in VERSIONS {
        let collection = format!("notes-{version}");
        let documents =
            json!([{"id": "a", "text": TEXT}, {"id": "b/c", "text": "The library closes at six."}]);
        let missing =
            call(&service, version, "ingest", &json!({"collection": collection, "documents": documents}));
        assert!(error_text(&missing).contains("collection_not_found"), "{missing}");
        let arguments = json!({"collection": collection, "documents": documents, "create": true});
        let stored = structured(&call(&service, version, "ingest", &arguments));
        assert_eq!((&stored["added"], &stored["ids"]), (&json!(2), &json!(["a", "b/c"])));
        let query = json!({"query": "When does the harbour close?", "top_k": 1});
        let route = service.post(&format!("/v1/collections/{collection}/search"), &query.to_string());
        let mut arguments = query;
        arguments["collection"] = json!(collection);
        assert_eq!(structured(&call(&service, version, "search", &arguments)), plain(route.body));
        let body = json!({"question": "When?", "collections": [collection], "target_tokens": 200});
        let route = service.post("/v1/prompt", &body.to_string());
        let prompt = route.body["prompt"].clone();
        assert_eq!(structured(&call(&service, version, "prompt", &body)), plain(route.body));
        let filled = json!({"name": "answer", "arguments": {"question": "When?", "collections": collection, "target_tokens": "200"}});
        let filled = result(&service, version, "prompts/get", filled);
        assert_eq!(
            filled["messages"],
            json!([{"role": "user", "content": {"type": "text", "text": prompt}}])
        );
        let body = json!({"context": TEXT, "question": "When?", "target_tokens": 16, "return": []});
        let route = service.post("/v1/compress", &body.to_string());
        let arguments = json!({"text": TEXT, "question": "When?", "target_tokens": 16});
        assert_eq!(structured(&call(&service, version, "compress", &arguments)), plain(route.body));
        let uri = format!("whittle://collections/{collection}/documents/b%2Fc");
        let read = result(&service, version, "resources/read", json!({"uri": uri}));
        assert_eq!(read["contents"][0]["text"], "The library closes at six.");
        let uri = format!("whittle://collections/{collection}");
        let read = result(&service, version, "resources/read", json!({"uri": uri}));
        let info: Value = serde_json::from_str(read["contents"][0]["text"].as_str().unwrap()).unwrap();
        assert_eq!(info, service.get(&format!("/v1/collections/{collection}")).body);
    }
    let listed = result(&service, VERSIONS[0], "resources/list", json!({}));
    assert_eq!(listed["resources"].as_array().unwrap().len(), 2);
    let example = json!({"examples": [{"id": "1", "question": "What is 1 + 1?", "answer": "2"}]});
    assert_eq!(service.post("/v1/example-banks/sums/examples", &example.to_string()).status, 200);
    let route = service.post("/v1/example-banks/sums/select", r#"{"question": "What is 2 + 2?"}"#);
    let selected = call(
        &service,
        VERSIONS[0],
        "examples_select",
        &json!({"bank": "sums", "question": "What is 2 + 2?"}),
    );
    assert_eq!(structured(&selected), plain(route.body));
}

#[test]
fn errors_are_those_of_tools_where_a_model_can_mend_them() {
    let service = serve("");
    for version in VERSIONS {
        let count = |arguments: Value| call(&service, version, "count_tokens", &arguments);
        assert_eq!(structured(&count(json!({"text": "one two three"})))["tokens"], 3);
        assert!(error_text(&count(json!({"txt": "a"}))).contains("txt"));
        assert!(error_text(&count(json!({"text": "a", "tokenizer": "none"}))).contains("none"));
        assert!(error_text(&call(&service, version, "recall", &json!({"id": "0"}))).contains("recall"));
        let file = call(&service, version, "read_file_compressed", &json!({"path": "/etc/passwd"}));
        assert!(error_text(&file).contains("mcp.roots"), "{file}");
        for (method, params) in [
            ("tools/call", json!({"name": "none", "arguments": {}})),
            ("resources/read", json!({"uri": "file:///etc/passwd"})),
            ("prompts/get", json!({"name": "none", "arguments": {"question": "?", "banks": "b"}})),
        ] {
            let (_, answer) = post(&service, version, (method, params), "");
            assert_eq!(answer["error"]["code"], -32602, "{method}: {answer}");
        }
    }
}

#[test]
fn files_are_read_below_the_roots_alone() {
    let service = serve_with_model("mcp.roots = ['files']\n");
    std::fs::create_dir(service.folder().join("files")).unwrap();
    std::fs::write(service.folder().join("secret.txt"), "secret").unwrap();
    let log = (0..200).map(|number| format!("test case_{number} ... ok\n")).collect::<Vec<_>>().concat();
    std::fs::write(service.folder().join("files/log.txt"), log + "test last ... FAILED\n").unwrap();
    let read = |path: &str| {
        call(
            &service,
            VERSIONS[1],
            "read_file_compressed",
            &json!({"path": path, "rate": 0.2, "question": "Which test failed?"}),
        )
    };
    let log = read("log.txt");
    let text = log["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("FAILED") && text.len() < 2500, "{text}");
    assert!(log["content"][1]["text"].as_str().unwrap().contains("tokens"), "{log}");
    assert!(error_text(&read("../secret.txt")).contains("file_not_found"));
}

/// The output of tests, of which all but the first is folded.
fn folded(service: &Running, upstream: &Upstream, secret: &str) -> (String, String) {
    let output =
        (0..60).map(|number| format!("test mödule::case_{number} ... ok\n")).collect::<Vec<_>>().concat();
    let call = json!({"name": "bash", "arguments": "{\"command\": \"cargo test\"}"});
    let body = json!({"model": "m1", "messages": [
        {"role": "user", "content": "Run the tests."},
        {"role": "assistant", "content": null, "tool_calls": [{"id": "t", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "t", "content": output}]});
    let headers = [("x-whittle-key", secret)];
    assert_eq!(service.post_with("/v1/chat/completions", &body.to_string(), &headers).status, 200);
    let seen = upstream.requests().pop().unwrap().1;
    let (_, rest) = std::str::from_utf8(&seen).unwrap().split_once("recall ").unwrap();
    (rest.split(']').next().unwrap().to_owned(), output)
}

#[test]
fn keys_are_needed_as_elsewhere_and_originals_are_for_the_key_that_sent_them() {
    let upstream = Upstream::start();
    let service = serve(&format!("[proxy.recall]\nenabled = true\n{}", upstream.config()));
    let create = |name| {
        let output = service.whittle(&["keys", "create", name]).output();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (one, other) = (create("one"), create("other"));
    let (id, output) = folded(&service, &upstream, &one);
    for version in VERSIONS {
        let recall = |arguments, secret: &str| {
            post(&service, version, ("tools/call", json!({"name": "recall", "arguments": arguments})), secret)
        };
        for secret in ["", "wk_none"] {
            let (status, refused) = recall(json!({"id": id}), secret);
            assert_eq!((status, &refused["error"]["code"]), (401, &json!("invalid_api_key")), "{refused}");
        }
        let text = |(status, answer): (u16, Value)| {
            assert_eq!(status, 200, "{answer}");
            (
                answer["result"]["isError"] == true,
                answer["result"]["content"][0]["text"].as_str().unwrap().to_owned(),
            )
        };
        assert_eq!(text(recall(json!({"id": id}), &one)), (false, output.clone()));
        assert_eq!(
            text(recall(json!({"id": id, "first_byte": 5, "last_byte": 11}), &one)),
            (false, "mödule".into())
        );
        let (failed, message) = text(recall(json!({"id": id}), &other));
        assert!(failed && !message.contains("case_"), "{message}");
    }
}

#[test]
fn only_messages_of_the_protocol_are_taken() {
    let service = serve("limits.body_bytes = 1000\n");
    let status = |request: &dyn Fn(&reqwest::Client, &str) -> reqwest::RequestBuilder| {
        service.fetch(|client, base| request(client, base)).0
    };
    assert_eq!(status(&|client, base| client.get(format!("{base}/mcp"))), 405);
    assert_eq!(status(&|client, base| client.delete(format!("{base}/mcp"))), 405);
    let body = |text: String| {
        move |client: &reqwest::Client, base: &str| {
            client
                .post(format!("{base}/mcp"))
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .body(text.clone())
        }
    };
    assert!((400..500).contains(&status(&body("{".into()))));
    assert_eq!(status(&body(format!("{{\"jsonrpc\": \"{}\"}}", "x".repeat(2000)))), 413);
    assert_eq!(service.get("/healthz").status, 200);
}

/// Sends lines to `whittle mcp` and gives the lines that it answers with.
fn spoken(folder: &std::path::Path, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_whittle"))
        .arg("mcp")
        .args(arguments)
        .current_dir(folder)
        .env("WHITTLE_DATA_DIR", folder.join("data"))
        .env("WHITTLE_LOG", "debug")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut answers = Vec::new();
    for line in lines {
        writeln!(input, "{line}").unwrap();
        if line["id"].is_number() {
            let answer = output.next().unwrap().unwrap();
            answers.push(serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no message: {answer}")));
        }
    }
    drop(input);
    assert_eq!(output.map_while(Result::ok).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    answers
}

#[test]
fn standard_output_belongs_to_the_protocol() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("project")).unwrap();
    let greeting = json!({"protocolVersion": VERSIONS[0], "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let count = json!({"name": "count_tokens", "arguments": {"text": "one two three"}});
    let outside = json!({"name": "read_file_compressed", "arguments": {"path": "/etc/passwd"}});
    let answers = spoken(
        folder.path(),
        &["--root", "project"],
        &[
            message(VERSIONS[0], "initialize", greeting),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            message(VERSIONS[0], "tools/list", json!({})),
            message(VERSIONS[0], "tools/call", count.clone()),
            message(VERSIONS[0], "tools/call", outside),
        ],
    );
    assert_eq!(answers[0]["result"]["protocolVersion"], VERSIONS[0]);
    assert_eq!(answers[1]["result"]["tools"].as_array().unwrap().len(), TOOLS.len());
    assert_eq!(structured(&answers[2]["result"])["tokens"], 3);
    assert!(error_text(&answers[3]["result"]).contains("file_not_found"));
    let answers = spoken(folder.path(), &[], &[message(VERSIONS[1], "tools/call", count)]);
    assert_eq!(structured(&answers[0]["result"])["tokens"], 3);
    assert_eq!(spoken(folder.path(), &[], &[]), Vec::<Value>::new());
}

#[test]
fn beside_a_service_originals_are_to_be_had_from_it() {
    let service = run(Whittle::new(
        SERVE,
        "[proxy.recall]\nenabled = true\n[[upstreams]]\nname = 'u'\ndialect = 'openai'\nbase_url = 'http://127.0.0.1:1/v1'\n",
    ));
    let recall = json!({"name": "recall", "arguments": {"id": "0123456789abcdef"}});
    let answers = spoken(service.folder(), &[], &[message(VERSIONS[1], "tools/call", recall)]);
    assert!(error_text(&answers[0]["result"]).contains("/mcp"), "{answers:?}");
}
