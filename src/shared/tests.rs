use std::time::Duration;

use super::fake::{FakeServer, bulk, closed_port, look, recorded, shared_at, until};
use super::*;
use crate::config::Config;

const LONG: Duration = Duration::from_secs(10);

fn script() -> Script {
    Script::new("return 7")
}

#[tokio::test]
async fn a_connection_that_is_lost_is_made_again() {
    let server = FakeServer::new(|_| look("1"));
    let shared = server.shared(|_| {});
    assert!(matches!(shared.away(), Some(Away::Connecting { .. })));
    tokio::spawn(shared.clone().keep());
    shared.tried().await;
    assert_eq!(shared.away(), None);
    assert_eq!((shared.beats().borrow().connection, &*shared.beats().borrow().version), (1, "1"));
    // The server's clock, which is years behind.
    assert!(
        shared.now() >= Duration::from_secs(1_000_000_000)
            && shared.now() < Duration::from_secs(1_100_000_000)
    );
    server.hang_up();
    until(|| shared.beats().borrow().connection == 2).await;
    until(|| shared.away().is_none()).await;
}

#[tokio::test]
async fn a_server_that_takes_no_commands_is_away_and_says_why() {
    for (answer, reason) in [
        ("-READONLY You can't write against a read only replica.\r\n", "refuses commands"),
        ("-LOADING Redis is loading the dataset in memory\r\n", "refuses commands"),
        ("-NOAUTH Authentication required.\r\n", "`shared.password_env`"),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", "refuses commands"),
    ] {
        let server = FakeServer::new(|_| look(""));
        let shared = server.shared(|_| {});
        tokio::spawn(shared.clone().keep());
        shared.tried().await;
        assert_eq!(shared.away(), None, "{answer}");
        server.answers(move |_| answer.to_owned());
        until(|| shared.away().is_some_and(|away| away.to_string().contains(reason))).await;
        server.answers(|_| look(""));
        until(|| shared.away().is_none()).await;
    }
}

#[tokio::test]
async fn a_call_of_a_server_that_is_away_fails_at_once_and_counts() {
    let shared = shared_at(closed_port(), |_| {});
    tokio::spawn(shared.clone().keep());
    shared.tried().await;
    let error = shared.run::<u64>(&script(), (&[], &[]), LONG).await.unwrap_err();
    assert!(matches!(&error, Away::Unreachable { reason, .. } if reason.contains("refused")), "{error}");
    assert_eq!(shared.state().failed, 1);
}

#[tokio::test]
async fn a_call_waits_no_longer_than_it_may() {
    let server = FakeServer::new(|command| if command[1].len() == 40 { look("") } else { String::new() });
    let shared = server.shared(|_| {});
    tokio::spawn(shared.clone().keep());
    shared.tried().await;
    server.answers(|command| if command.len() == 6 { look("") } else { String::new() });
    let within = Duration::from_millis(20);
    let error = shared.run::<u64>(&script(), (&[], &[]), within).await.unwrap_err();
    assert_eq!(error, Away::Late { address: shared.state().address, time: within });
}

#[tokio::test]
async fn a_script_that_the_server_does_not_have_is_sent() {
    let server = FakeServer::new(|_| look(""));
    let shared = server.shared(|_| {});
    tokio::spawn(shared.clone().keep());
    shared.tried().await;
    let loaded = std::sync::atomic::AtomicBool::new(false);
    let (commands, answer) = recorded(move |command| match &*command[0] {
        "SCRIPT" => {
            loaded.store(true, Ordering::Relaxed);
            bulk(&"0".repeat(40))
        }
        _ if command.len() == 6 => look(""),
        _ if loaded.load(Ordering::Relaxed) => ":7\r\n".into(),
        _ => "-NOSCRIPT No matching script. Please use EVAL.\r\n".into(),
    });
    server.answers(answer);
    let keys = [shared.key("a", "b")];
    assert_eq!(shared.run::<u64>(&script(), (&keys, &["c".into()]), LONG).await.unwrap(), 7);
    let seen: Vec<_> = commands.try_iter().filter(|command| command.len() != 6).collect();
    assert_eq!(seen[0][2..], ["1", "whittle:{a}:b", "c"]);
    assert_eq!((&*seen[1][0], &*seen[1][2]), ("SCRIPT", "return 7"));
}

#[tokio::test]
async fn values_are_stored_with_a_time_and_found() {
    let (commands, answer) = recorded(|command| match &*command[0] {
        "GET" if command[1] == "one" => bulk("1"),
        "GET" => "$-1\r\n".into(),
        "SET" => "+OK\r\n".into(),
        _ => look(""),
    });
    let server = FakeServer::new(answer);
    let shared = server.shared(|_| {});
    tokio::spawn(shared.clone().keep());
    shared.tried().await;
    let found = shared.values(&["one".into(), "two".into()], LONG).await.unwrap();
    assert_eq!(found, [Some(b"1".to_vec()), None]);
    let value = |key: &str, replaces| Value { key: key.into(), bytes: b"v".to_vec(), replaces };
    shared.put(&[value("a", false), value("b", true)], Duration::from_secs(1), LONG).await.unwrap();
    let sets: Vec<_> = commands.try_iter().filter(|command| command[0] == "SET").collect();
    assert_eq!(sets, [&["SET", "a", "v", "PX", "1000", "NX"][..], &["SET", "b", "v", "PX", "1000"]]);
}

#[test]
fn nothing_is_shared_unless_it_is_asked_for() {
    struct Password;
    impl Env for Password {
        fn value(&self, name: &str) -> Option<std::ffi::OsString> {
            (name == "SET").then(|| "secret".into())
        }
    }
    let mut config = Config::default().shared;
    config.url = Some("redis://127.0.0.1:1".into());
    assert!(Shared::new(&config, &Password).unwrap().is_none());
    config.kind = SharedKind::Valkey;
    config.password_env = Some("SET".into());
    let shown = format!("{:?}", Shared::new(&config, &Password).unwrap().unwrap());
    assert!(shown.contains("127.0.0.1:1") && !shown.contains("secret"), "{shown}");
    config.password_env = Some("UNSET".into());
    let error = Shared::new(&config, &Password).unwrap_err().to_string();
    assert!(error.contains("UNSET, which is not set"), "{error}");
}
