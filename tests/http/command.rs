//! `whittle config`, and configurations that `whittle serve` does not start with.

use std::net::TcpListener;
use std::process::Output;

use crate::support::Whittle;

/// Asserts that the command failed, and gives what it said.
#[track_caller]
fn failure(output: &Output) -> String {
    let message = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(output.stdout.is_empty());
    message
}

#[test]
fn what_is_shown_is_what_holds() {
    let show = |config: &str| {
        let whittle = Whittle::new(&["config", "show"], config).env("WHITTLE_LIMITS_QUEUE", "8");
        String::from_utf8(whittle.output().stdout).unwrap()
    };
    let shown = show("limits.documents = 77\nlimits.queue = 5");
    let table: toml::Table = shown.parse().unwrap();
    assert_eq!(table["limits"]["documents"].as_integer(), Some(77));
    assert_eq!(table["limits"]["queue"].as_integer(), Some(8));
    assert_eq!(table["listen"].as_str(), Some("127.0.0.1:8787"));
    assert_eq!(show(&shown), shown);
}

#[test]
fn a_valid_file_is_named() {
    let output = Whittle::new(&["config", "check"], "").output();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "the configuration is valid: whittle.toml\n");
}

#[test]
fn a_misspelt_key_fails_by_name() {
    for arguments in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let message = failure(&Whittle::new(arguments, "[limits]\nqueu = 1").output());
        assert!(message.contains("unknown field `queu`") && message.contains("`queue`"), "{message}");
        assert!(message.contains("whittle.toml") && message.contains("line 2"), "{message}");
    }
}

#[test]
fn it_does_not_listen_to_other_machines_unasked() {
    let message = failure(&Whittle::new(&["serve", "--listen", "0.0.0.0:0"], "").output());
    assert!(message.contains("allow_remote = true"), "{message}");
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let message = failure(&Whittle::new(&["serve", "--listen", &address], "").output());
    assert!(message.contains(&format!("cannot listen on {address}")), "{message}");
}

#[test]
fn usage_errors_exit_with_2_and_help_has_examples() {
    let output = Whittle::new(&["serve", "--listen", "8787"], "").output();
    assert_eq!(output.status.code(), Some(2));
    for arguments in [&["serve", "--help"][..], &["config", "--help"]] {
        let output = Whittle::new(arguments, "").output();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains("Examples:"));
    }
}
