//! Runs `whittle` apart from whatever configuration the machine has.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// A story with names, numbers and a negation.
pub(crate) const STORY: &str = "The town council met on Monday evening to discuss the budget for the coming year. \
    Mayor Ellen Whitfield opened the meeting at 7:30 p.m. and said that the bridge over the Marl would cost \
    $1,250,000.50, which was not approved in 2023.\r\nCouncillor Ravi Menon asked, as he had asked before, whether \
    the old mill might be sold to pay for it.\r\n\r\nNobody answered him, and the meeting was closed at nine.\r\n";

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Done {
    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub(crate) fn text(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        std::str::from_utf8(&self.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// What was said by a command that must have failed with `code`, without a word to standard output.
    #[track_caller]
    pub(crate) fn failure(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        assert!(self.stdout.is_empty());
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        &self.stderr
    }
}

/// Runs `whittle` with `input` on its standard input.
pub(crate) fn whittle(arguments: &[&str], input: impl AsRef<[u8]>) -> Done {
    run(arguments, input.as_ref(), &[], Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The same with environment variables and in a folder.
pub(crate) fn run(arguments: &[&str], input: &[u8], variables: &[(&str, &str)], folder: &Path) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whittle"));
    command.args(arguments).current_dir(folder).env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        // The cache alone stays, so that no test fetches a model that is there already.
        if name.to_string_lossy().starts_with("WHITTLE_") && name != "WHITTLE_CACHE" {
            command.env_remove(name);
        }
    }
    command.envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A command that fails early does not read its input.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    let stderr = String::from_utf8(output.stderr).unwrap();
    Done { code: output.status.code(), stdout: output.stdout, stderr }
}

pub(crate) fn is_subsequence(part: &str, whole: &str) -> bool {
    let mut whole = whole.bytes();
    part.bytes().all(|wanted| whole.any(|byte| byte == wanted))
}
