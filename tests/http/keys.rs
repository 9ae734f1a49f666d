//! Virtual keys of the real binary: made and revoked while it runs, limits that hold, and secrets that stay secret.

use std::sync::Arc;

use crate::support::{Answer, Running, Whittle, serve, serve_again, serve_local};
use crate::upstream::Upstream;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m1"}"#;

/// Makes a key and gives its secret.
fn create(service: &Running, arguments: &[&str]) -> String {
    let output = service.whittle(&[&["keys", "create"], arguments].concat()).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let secret = String::from_utf8(output.stdout).unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains(secret.trim()));
    secret.trim().to_owned()
}

fn keys(service: &Running, arguments: &[&str]) -> String {
    let output = service.whittle(&[&["keys"], arguments].concat()).output();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn ask(service: &Running, secret: &str) -> Answer {
    service.post_with(CHAT, BODY, &[("authorization", &format!("Bearer {secret}"))])
}

#[track_caller]
fn assert_denied(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &code.into()), "{}", answer.body);
}

#[test]
fn a_running_service_heeds_keys_at_once_and_tells_nobody() {
    let upstream = Upstream::start();
    let service = serve_local(&upstream.config());
    assert_eq!(service.post(CHAT, BODY).status, 200);
    let secret = create(&service, &["ci"]);
    for path in [CHAT, "/v1/compress", "/v1/score", "/upstreams/open/files"] {
        assert_denied(&service.post(path, BODY), 401, "invalid_api_key");
    }
    for path in ["/v1/models", "/v1/usage", "/metrics"] {
        assert_denied(&service.get(path), 401, "invalid_api_key");
    }
    let refused = service.post_with("/v1/messages", BODY, &[("x-api-key", "sk-ant-other")]);
    assert_eq!((refused.status, &refused.body["error"]["type"]), (401, &"authentication_error".into()));
    assert_eq!(service.get("/healthz").status, 200);
    assert_eq!(upstream.heads().len(), 1);

    let bearer = format!("Bearer {secret}");
    for headers in [
        &[("authorization", &*bearer)][..],
        &[("x-api-key", &secret)],
        &[("x-whittle-key", &secret), ("authorization", "Bearer sk-of-the-upstream")],
        &[("authorization", "Bearer sk-of-the-upstream"), ("x-api-key", &secret)],
    ] {
        assert_eq!(service.post_with(CHAT, BODY, headers).status, 200, "{headers:?}");
    }
    assert_eq!(service.post_with("/upstreams/open/files", BODY, &[("x-api-key", &secret)]).status, 200);
    let heads = upstream.heads();
    assert!(heads.iter().all(|head| !head.contains(&secret)), "{heads:#?}");
    let with_own = |head: &&String| head.contains("authorization: bearer sk-of-the-upstream");
    assert_eq!(heads.iter().filter(with_own).count(), 2, "{heads:#?}");

    keys(&service, &["revoke", "ci"]);
    assert_denied(&ask(&service, &secret), 401, "invalid_api_key");
    assert_denied(&service.post(CHAT, BODY), 401, "invalid_api_key");
    let listed = keys(&service, &["list"]);
    assert!(listed.contains("ci") && listed.contains("REVOKED"), "{listed}");

    let digits = secret.strip_prefix("whittle-").unwrap().to_owned();
    let kept = std::fs::read_to_string(service.folder.path().join("data/keys.toml")).unwrap();
    service.terminate();
    let (_, log) = service.end();
    assert!(log.contains("reloaded the keys"), "{log}");
    assert!(![&listed, &kept, &log].iter().any(|text| text.contains(&digits)));
}

#[test]
fn a_key_in_the_query_is_read_and_goes_no_further() {
    const PATH: &str = "/v1beta/models/m1:generateContent";
    let upstream = Upstream::start();
    let service = serve(&upstream.config());
    let secret = create(&service, &["ci", "--model", "m1"]);
    let none = service.post(PATH, "{}");
    assert_eq!(
        (none.status, &none.body["error"]["status"]),
        (401, &"UNAUTHENTICATED".into()),
        "{}",
        none.body
    );
    for path in [format!("{PATH}?key={secret}&x=y"), format!("/upstreams/gemini{PATH}?x=y&key={secret}")] {
        assert_eq!(service.post(&path, "{}").status, 200, "{path}");
        assert!(upstream.heads()[0].starts_with("post /v1beta/models/m1:generatecontent?x=y http/1.1\r\n"));
    }
    assert_eq!(service.post_with(PATH, "{}", &[("x-goog-api-key", &secret)]).status, 200);
    assert!(upstream.heads().iter().all(|head| !head.contains(&secret)));
    // The path names what answers, whatever the body says.
    let other = service.post(&format!("{}?key={secret}", PATH.replace("m1", "m2")), r#"{"model":"m1"}"#);
    assert_eq!(
        (other.status, &other.body["error"]["status"]),
        (403, &"PERMISSION_DENIED".into()),
        "{}",
        other.body
    );
    // Elsewhere the parameter means something else.
    assert_denied(&service.get(&format!("/upstreams/open/files?key={secret}")), 401, "invalid_api_key");
    assert_denied(&service.get(&format!("/v1/usage?key={secret}")), 401, "invalid_api_key");
    service.terminate();
    let (_, log) = service.end();
    assert!(!log.contains(&secret), "{log}");
}

#[test]
fn limits_hold_and_say_when_to_come_back() {
    let upstream = Upstream::start();
    let service = serve(&upstream.config());
    let narrow = create(&service, &["narrow", "--model", "m1", "--requests-per-minute", "3"]);
    assert_eq!(ask(&service, &narrow).status, 200);
    let bearer = format!("Bearer {narrow}");
    let other = service.post_with(CHAT, r#"{"model":"m2"}"#, &[("authorization", &bearer)]);
    assert_denied(&other, 403, "model_not_allowed");
    let unread = service.post_with("/upstreams/open/files", "{}", &[("authorization", &bearer)]);
    assert_denied(&unread, 403, "path_not_allowed");
    let fourth = ask(&service, &narrow);
    assert_denied(&fourth, 429, "rate_limit_exceeded");
    assert_eq!(fourth.body["error"]["type"], "rate_limit_error");
    let wait: u64 = fourth.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    let anthropic = service.post_with("/v1/messages", BODY, &[("x-api-key", &narrow)]);
    assert_eq!((anthropic.status, &anthropic.body["error"]["type"]), (429, &"rate_limit_error".into()));
    assert!(anthropic.headers.contains_key("retry-after"));

    // Each request takes 110 tokens, which is known only after it.
    let few = create(&service, &["few", "--tokens-per-minute", "50"]);
    assert_eq!(ask(&service, &few).status, 200);
    assert_denied(&ask(&service, &few), 429, "rate_limit_exceeded");
    assert_eq!(upstream.heads().len(), 2);
}

#[test]
fn spending_is_limited_by_day_also_after_a_restart() {
    let upstream = Upstream::start();
    let mut service = serve(&upstream.config());
    // Each request costs 0.00011 dollars.
    let secret = create(&service, &["thrifty", "--usd-per-day", "0.0003"]);
    for restart in [Running::kill as fn(Running), |service: Running| service.terminate_and_end()] {
        assert_eq!(ask(&service, &secret).status, 200);
        // The answer waits until what came before it is on disk.
        let bearer = format!("Bearer {secret}");
        service.get_with("/v1/usage", ("authorization", &bearer));
        let folder = Arc::clone(&service.folder);
        restart(service);
        service = serve_again(folder);
    }
    assert_eq!(ask(&service, &secret).status, 200);
    let spent = ask(&service, &secret);
    assert_denied(&spent, 429, "insufficient_quota");
    assert!(spent.headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 24 * 60 * 60);
    let unpriced = [("authorization", &*format!("Bearer {secret}"))];
    let unpriced = service.post_with(CHAT, r#"{"model":"unknown"}"#, &unpriced);
    assert_denied(&unpriced, 403, "model_without_price");
    assert_eq!(upstream.heads().len(), 3);
}

#[test]
fn a_key_sees_what_it_took_and_an_administrator_sees_all() {
    let upstream = Upstream::start();
    let service = serve_local(&upstream.config());
    let (one, two) = (create(&service, &["one"]), create(&service, &["two"]));
    let admin = create(&service, &["admin", "--admin"]);
    for secret in [&one, &one, &two] {
        assert_eq!(ask(&service, secret).status, 200);
    }
    let usage =
        |secret: &str, query: &str| service.get_with(&format!("/v1/usage{query}"), ("x-whittle-key", secret));
    let own = usage(&one, "?group_by=key").body;
    assert_eq!((&own["total"]["requests"], own["groups"].as_array().unwrap().len()), (&2.into(), 1));
    let all = usage(&admin, "?group_by=key").body;
    assert_eq!((&all["total"]["requests"], all["groups"].as_array().unwrap().len()), (&3.into(), 2));
    let id = own["groups"][0]["key"].as_str().unwrap();
    assert_eq!(usage(&admin, &format!("?key={id}")).body["total"]["requests"], 2);
    assert_denied(&usage(&two, &format!("?key={id}")), 403, "admin_only");
    for path in ["/metrics", "/v1/status", "/v1/shadow", "/v1/evaluations", "/v1/evaluations/eval/results/nq"]
    {
        assert_denied(&service.get_with(path, ("x-whittle-key", &one)), 403, "admin_only");
    }
    let output = service.whittle(&["usage", "--format", "json"]).env("WHITTLE_KEY", &two).output();
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["total"]["requests"], 1);
    let without = service.whittle(&["usage"]).output();
    assert!(String::from_utf8_lossy(&without.stderr).contains("a key is needed"));
}

#[test]
fn required_keys_are_required_from_the_start() {
    let service = serve("keys.required = true");
    assert_denied(&service.post("/v1/compress", "{}"), 401, "invalid_api_key");
    let secret = create(&service, &["first"]);
    let answer = service.post_with("/v1/compress", "{}", &[("x-api-key", &secret)]);
    assert_eq!(answer.status, 400, "{}", answer.body);
}

#[test]
fn a_broken_file_of_keys_keeps_the_service_from_starting() {
    let whittle = Whittle::local(&["serve", "--listen", "127.0.0.1:0"], "");
    let data = whittle.folder.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::fs::write(data.join("keys.toml"), "version = 1\nkeys = [ { hash = 'not shown' } ]").unwrap();
    let output = whittle.output();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains("keys.toml"), "{message}");
    assert!(!message.contains("not shown"), "{message}");
}

#[test]
fn a_key_is_shown_the_models_that_it_may_call() {
    let upstream = Upstream::start();
    let base = &upstream.base;
    let service = serve(&format!(
        "[[upstreams]]\nname = 'open'\ndialect = 'openai'\nbase_url = '{base}/v1'\nmodels = ['gpt-a', 'gpt-b', 'o1']\n\
         aliases = {{ fast = 'gpt-a' }}\nprices = [{{ model = 'gpt-*', input = 1.0, output = 1.0 }}]\n"
    ));
    let [local, embedder] = ["local/smollm2-135m-instruct", "local/all-minilm-l6-v2"];
    for (name, limits, expected) in [
        ("all", &[][..], &["gpt-a", "gpt-b", "o1", "fast", local, embedder][..]),
        ("one", &["--model", "gpt-a"], &["gpt-a", "fast"]),
        ("alias", &["--model", "fast"], &["fast"]),
        ("here", &["--model", "local/*"], &[local, embedder]),
        ("priced", &["--usd-per-day", "1"], &["gpt-a", "gpt-b", "fast", local, embedder]),
        ("none", &["--model", "claude-*"], &[]),
    ] {
        let secret = create(&service, &[&[name], limits].concat());
        let list = service.get_with("/v1/models", ("x-whittle-key", &secret)).body;
        let ids: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
        assert_eq!(ids, expected, "{name}");
    }
}

#[test]
fn administrators_make_list_and_revoke_keys_over_http() {
    let service = serve("");
    let made = service.post("/v1/keys", r#"{"name": "first", "admin": true}"#);
    assert_eq!(made.status, 201, "{}", made.body);
    assert_eq!(made.headers["cache-control"], "no-store");
    let secret = made.body["secret"].as_str().unwrap();
    let admin = ("x-whittle-key", secret);
    // From the first key on nobody calls without one.
    assert_eq!(service.post("/v1/keys", r#"{"name": "second"}"#).status, 401);
    let second = service.post_with("/v1/keys", r#"{"name": "second", "usd_per_day": 2.5}"#, &[admin]);
    assert_eq!(second.status, 201, "{}", second.body);
    let other = ("x-whittle-key", second.body["secret"].as_str().unwrap());
    let refused = service.get_with("/v1/keys", other);
    assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &"admin_only".into()));
    let list = service.get_with("/v1/keys", admin);
    let names: Vec<_> = list.body["keys"].as_array().unwrap().iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["first", "second"]);
    assert!(!list.body.to_string().contains("hash") && !list.body.to_string().contains("whittle-"));
    for (body, code) in [
        (r#"{"name": "second"}"#, "invalid_key"),
        (r#"{"name": "third", "usd_per_day": 0}"#, "invalid_key"),
        (r#"{"name": "third", "usd_a_day": 1}"#, "unknown_field"),
    ] {
        let answer = service.post_with("/v1/keys", body, &[admin]);
        assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &code.into()), "{}", answer.body);
    }
    let revoke = |id: &str| {
        let path = format!("/v1/keys/{id}");
        let secret = secret.to_owned();
        service
            .send(move |client, base| client.delete(format!("{base}{path}")).header("x-whittle-key", secret))
    };
    let revoked = revoke(second.body["key"]["id"].as_str().unwrap());
    assert!(revoked.status == 200 && revoked.body["revoked"].is_string(), "{}", revoked.body);
    assert_eq!(revoke("second").body["error"]["code"], "unknown_key");
    assert_eq!(service.get_with("/v1/collections", other).status, 401);
}
