//! What a running service takes over of a changed configuration, and what it does not.

use crate::support::{SERVE, Whittle, run, serve};
use crate::upstream::Upstream;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

#[test]
fn upstreams_and_keys_are_taken_over_if_the_whole_of_it_is_valid() {
    let (first, second) = (Upstream::start(), Upstream::start());
    let service = serve(&first.config());
    assert_eq!(service.post(CHAT, BODY).status, 200);
    service.reload(&second.config(), "reloaded [");
    assert_eq!(service.post(CHAT, BODY).status, 200);
    assert_eq!((first.heads().len(), second.heads().len()), (1, 1));

    let required = format!("keys.required = true\nproxy.ledger_days = 7\n{}", second.config());
    service.reload(&required, "reloaded [");
    assert_eq!(service.post(CHAT, BODY).status, 401);
    // Neither a value that makes no sense nor one that needs what is not there changes anything.
    let days = format!("proxy.ledger_days = 0\n{}", second.config());
    service.reload(&days, "proxy.ledger_days");
    let no_key = format!("{}api_key_env = 'WHITTLE_TEST_NOT_SET'\n", second.config());
    service.reload(&no_key, "WHITTLE_TEST_NOT_SET");
    assert_eq!(service.post(CHAT, BODY).status, 401);
    service.reload(&second.config(), "reloaded [");
    assert_eq!(service.post(CHAT, BODY).status, 200);
}

#[test]
fn an_upstreams_variable_may_go_out_of_the_configuration() {
    let upstream = Upstream::start();
    let keyed = format!("{}api_key_env = 'WHITTLE_UPSTREAM'\n", upstream.config());
    let service = run(Whittle::new(SERVE, &keyed).env("WHITTLE_UPSTREAM", "sk-1"));
    // The process still has the variable, which no configuration names now.
    service.reload(&upstream.config(), "reloaded [");
    assert_eq!(service.post(CHAT, BODY).status, 200);
}

#[test]
fn a_service_that_other_machines_reach_does_not_stop_asking_for_keys() {
    let service = run(Whittle::new(&["serve"], "listen = '0.0.0.0:0'\nkeys.required = true"));
    assert_eq!(service.get("/v1/models").status, 401);
    // Fit for a service on loopback, where this one would be once it is started again.
    service.reload("listen = '127.0.0.1:0'", "which other machines can reach");
    assert_eq!(service.get("/v1/models").status, 401);
    service.reload("listen = '127.0.0.1:0'\nallow_remote = true", "reloaded [");
    assert_eq!(service.get("/v1/models").status, 200);
}
