//! Requests of pages of other sites, and under names that were made to mean this machine, are refused on every route.

use crate::support::{Running, serve};

/// Asks for a path under a name, from a page, and gives the status and the code of the error.
fn ask(service: &Running, path: &str, host: &str, origin: Option<&str>) -> (u16, String) {
    let (status, _, body) = service.fetch(|client, base| {
        let request = client.get(format!("{base}{path}")).header("host", host);
        origin.iter().fold(request, |request, origin| request.header("origin", *origin))
    });
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    (status, body["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn every_route_is_for_hosts_of_the_service_alone() {
    let service = serve("hosts = ['whittle.example']\n");
    let own = service.address.clone();
    for path in [
        "/healthz",
        "/readyz",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/v1/collections",
        "/mcp",
        "/no-such-path",
    ] {
        let (status, _) = ask(&service, path, &own, None);
        assert!(status != 403, "{path}: {status}");
        for (host, origin) in [("localhost:1", None), ("WHITTLE.example", Some("https://whittle.example"))] {
            assert_eq!(ask(&service, path, host, origin).0, status, "{path} {host}");
        }
        assert_eq!(ask(&service, path, &own, Some("http://localhost:3000")).0, status, "{path}");
        let refused = |host: &str, origin| ask(&service, path, host, origin);
        assert_eq!(refused("evil.example", None), (403, "forbidden_host".into()), "{path}");
        assert_eq!(refused(&own, Some("https://evil.example")), (403, "forbidden_origin".into()), "{path}");
        assert_eq!(refused(&own, Some("null")), (403, "forbidden_origin".into()), "{path}");
    }
}

#[test]
fn the_refusal_names_the_key_in_the_form_of_the_route() {
    let service = serve("");
    let headers = [("host", "evil.example")];
    let refused = service.post_with("/v1/messages", "{}", &headers);
    assert_eq!((refused.status, refused.body["error"]["type"].as_str()), (403, Some("permission_error")));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("`hosts`"), "{}", refused.body);
    let refused = service.post_with("/v1/compress", "{}", &headers);
    assert_eq!((refused.status, refused.body["error"]["param"].as_str()), (403, Some("host")));
}

#[test]
fn a_service_of_a_network_whose_callers_need_keys_has_any_name() {
    let service = serve("keys.required = true\n");
    assert_eq!(
        ask(&service, "/healthz", "anything.example", None).0,
        403,
        "it listens on this machine alone"
    );
    let folder = service.folder.clone();
    drop(service);
    std::fs::write(folder.path().join("whittle.toml"), "keys.required = true\n").unwrap();
    let arguments = &["serve", "--listen", "0.0.0.0:0"];
    let mut service = crate::support::run(crate::support::Whittle::beside(folder, arguments));
    service.address = service.address.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(ask(&service, "/healthz", "anything.example", None).0, 200);
    assert_eq!(ask(&service, "/healthz", "anything.example", Some("http://anything.example")).0, 200);
    assert_eq!(ask(&service, "/healthz", "anything.example", Some("http://evil.example")).0, 403);
    assert_eq!(ask(&service, "/v1/collections", "anything.example", None).0, 401);
}
