//! HTML, PDF and DOCX to Markdown, in a process of its own: such files may come from anyone, and their parsers were not
//! written against an enemy. What makes one loop, swell or crash costs that file alone.

mod docx;
mod html;
mod pdf;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// How long one file may take.
const TIME: Duration = Duration::from_mins(1);
/// Address space of the process, in bytes (on Linux).
const MEMORY: u64 = 1 << 30;
/// Bytes of an answer that are read.
const ANSWER: u64 = 256 << 20;
/// Bytes of what it says on standard error that are read.
const COMPLAINT: u64 = 64 << 10;

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Html,
    Pdf,
    Docx,
}

impl Format {
    /// By the lower-case end of a file's name.
    pub(super) fn of(extension: &str) -> Option<Self> {
        match extension {
            "html" | "htm" | "xhtml" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            "docx" => Some(Self::Docx),
            _ => None,
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parsed {
    pub(super) title: Option<String>,
    /// Markdown; of a PDF each page stands under a heading with its number.
    pub(super) text: String,
}

/// Read a file of another format from standard input and print it as JSON, for `ingest`
#[derive(Debug, Args)]
pub(super) struct ParseArgs {
    format: Format,
}

/// What the child process does.
pub(super) fn run(args: &ParseArgs) -> anyhow::Result<()> {
    limit_memory()?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let parsed = match args.format {
        Format::Html => html::parsed(bytes),
        Format::Pdf => pdf::parsed(&bytes),
        Format::Docx => docx::parsed(&bytes),
    };
    let parsed = parsed.and_then(|parsed| match parsed.text.trim() {
        "" => Err("it holds no text".to_owned()),
        _ => Ok(parsed),
    });
    Ok(serde_json::to_writer(std::io::stdout().lock(), &parsed)?)
}

#[cfg(target_os = "linux")]
fn limit_memory() -> anyhow::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    Ok(setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) })?)
}

/// Elsewhere time alone is limited.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn limit_memory() -> anyhow::Result<()> {
    Ok(())
}

/// What `bytes` say, or why they cannot be read and what helps.
pub(super) fn parsed(format: Format, bytes: &[u8]) -> Result<Parsed, String> {
    let program = std::env::current_exe().map_err(|error| format!("no process can read it: {error}"))?;
    let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    answer(Command::new(program).args(["index", "parse", &name]), bytes, TIME)
}

/// What a process answers to `input` within `time`.
fn answer(command: &mut Command, input: &[u8], time: Duration) -> Result<Parsed, String> {
    let failed = |error: std::io::Error| format!("no process can read it: {error}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // One that fails early reads no more, and has its say on standard output or error.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let complaint = scope.spawn(move || read(stderr, COMPLAINT));
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(read(stdout, ANSWER)));
        let answer = receiver.recv_timeout(time);
        // It has said all that it will, or its time is up. It may have ended already.
        child.kill().ok();
        child.wait().map_err(failed)?;
        let complaint = complaint.join().unwrap_or_default();
        let Ok(answer) = answer else {
            return Err(format!(
                "it took longer than {} s: split it, or make it a text file",
                time.as_secs()
            ));
        };
        serde_json::from_slice(&answer).unwrap_or_else(|_| Err(broken(&complaint)))
    })
}

/// All that comes, or its first `most` bytes.
fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What broke off is no answer, and is told as such.
    from.map(|from| from.take(most).read_to_end(&mut bytes).ok());
    bytes
}

/// Why a process ended without an answer.
fn broken(complaint: &[u8]) -> String {
    let complaint = String::from_utf8_lossy(complaint);
    if complaint.contains("memory allocation") {
        format!("it takes more than {} MB of memory: split it, or make it a text file", MEMORY >> 20)
    } else {
        "its reader broke down: it is damaged or hostile; print it to a new file, or make it a text file"
            .into()
    }
}

/// A line that Markdown must not take for a heading or a fence of code.
fn plain(line: &str) -> String {
    let line = line.trim();
    let marks = !line.is_empty() && line.chars().all(|c| matches!(c, '=' | '-'));
    let begins = ["#", "```", "~~~"].iter().any(|start| line.starts_with(start));
    if marks || begins { format!("\\{line}") } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    fn shell(script: &str, input: &[u8], time: Duration) -> Result<Parsed, String> {
        answer(Command::new("sh").args(["-c", script]), input, time)
    }

    #[cfg(unix)]
    #[test]
    fn a_process_answers_or_is_told_of() {
        let long = Duration::from_secs(50);
        let parsed = Parsed { title: None, text: "x".repeat(200_000) };
        let input = serde_json::to_vec(&Ok::<_, String>(parsed.clone())).unwrap();
        assert_eq!(shell("cat", &input, long), Ok(parsed));
        assert_eq!(shell("echo '{\"Err\": \"no\"}'; exit 1", &input, long), Err("no".to_owned()));
        for (script, wanted) in [
            ("exit 0", "broke down"),
            ("kill -SEGV $$", "broke down"),
            ("echo '{\"Ok\": {\"ti'", "broke down"),
            ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", "more than 1024 MB"),
        ] {
            let error = shell(script, &input, long).unwrap_err();
            assert!(error.contains(wanted), "{script}: {error}");
        }
        let error = shell("exec sleep 100", b"", Duration::from_millis(100)).unwrap_err();
        assert!(error.contains("it took longer"), "{error}");
        let error = answer(&mut Command::new("/nowhere/at/all"), b"", long).unwrap_err();
        assert!(error.contains("no process"), "{error}");
    }

    #[test]
    fn lines_are_no_headings() {
        for (line, wanted) in [("# a", "\\# a"), ("  ----", "\\----"), ("```", "\\```"), ("- a #", "- a #")] {
            assert_eq!(plain(line), wanted);
        }
    }
}
