//! Keys, variables and the data folder, as the binary takes them.

use std::path::Path;

use crate::support::{Done, run, whittle};

/// Runs `whittle` with one variable, in a folder without a configuration.
fn with(variable: (&str, &str), arguments: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    run(arguments, b"", &[variable], folder.path())
}

#[test]
fn an_unknown_variable_is_refused_with_the_one_that_was_meant() {
    for arguments in [
        &["config", "show"][..],
        &["compress", "--rate", "0.5"],
        &["serve", "--listen", "127.0.0.1:0"],
        &["usage"],
        &["keys", "list"],
        &["models", "list"],
    ] {
        let done = with(("WHITTLE_LIMIT_QUEUE", "8"), arguments);
        let said = done.failure(1);
        assert!(
            said.contains("WHITTLE_LIMIT_QUEUE is unknown (did you mean WHITTLE_LIMITS_QUEUE?)"),
            "{said}"
        );
        assert!(said.contains("`whittle config keys`") && said.lines().count() == 1, "{said}");
    }
    assert!(with(("WHITTLE_OFLINE", "1"), &["models", "pull"]).failure(1).contains("WHITTLE_OFFLINE"));
    with(("WHITTLE_LIMIT_QUEUE", ""), &["config", "check"]).text();
}

#[test]
fn the_table_of_keys_has_variables_that_the_binary_takes() {
    let done = whittle(&["config", "keys"], "");
    let rows = done.text().lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | `WHITTLE_"));
    let names: Vec<_> = rows.map(|(key, rest)| (key, rest.split('`').next().unwrap())).collect();
    assert!(
        names.contains(&("proxy.compress.fold_min_tokens", "PROXY_COMPRESS_FOLD_MIN_TOKENS")),
        "{names:?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let variables: Vec<_> = names.iter().map(|(_, name)| format!("WHITTLE_{name}")).collect();
    // No value of any type: each variable is known, and refused by its name.
    for name in variables.iter().filter(|name| name.ends_with("_BYTES") || name.ends_with("_MS")) {
        let done = run(&["config", "check"], b"", &[(name, "many")], folder.path());
        assert!(
            done.failure(1).contains(&format!("variable {name} is `many`: invalid digit")),
            "{}",
            done.stderr
        );
    }
}

#[test]
fn the_help_of_a_flag_says_what_the_key_says() {
    let help = whittle(&["serve", "--help"], "").text().to_owned();
    assert!(
        help.contains("port 0 chooses a free one") && help.contains("[default: 127.0.0.1:8787]"),
        "{help}"
    );
}

/// The files below `folder` that are called `name`.
fn count(folder: &Path, name: &str) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { count(&path, name) } else { usize::from(path.ends_with(name)) })
        .sum()
}

#[cfg(unix)]
#[test]
fn data_is_kept_below_the_users_folder_whatever_the_working_folder_holds() {
    let home = tempfile::tempdir().unwrap();
    let working = tempfile::tempdir().unwrap();
    std::fs::create_dir(working.path().join("indexes")).unwrap();
    let data = home.path().join("data");
    let variables = [("HOME", home.path().to_str().unwrap()), ("XDG_DATA_HOME", data.to_str().unwrap())];
    run(&["keys", "create", "me"], b"", &variables, working.path()).text();
    assert_eq!((count(working.path(), "keys.toml"), count(home.path(), "keys.toml")), (0, 1));

    std::fs::write(working.path().join("Cargo.toml"), "[package]\nname = \"whittle\"\n").unwrap();
    run(&["keys", "create", "me"], b"", &variables, working.path()).text();
    assert!(working.path().join("indexes/data/keys.toml").is_file());
}
