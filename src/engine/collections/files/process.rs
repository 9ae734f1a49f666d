//! Files of other formats to Markdown, in a process of its own: such files may come from anyone, and their parsers were not
//! written against an enemy. What makes one loop, swell or crash costs that file alone.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use clap::ValueEnum;

use super::{FileError, Format, Parsed, delimited, docx, epub, html, mail, pdf, rtf, slides, spreadsheet};
use crate::model::Cancel;

/// The time limit for one file.
const TIME: Duration = Duration::from_mins(1);
/// The interval at which cancellation is checked.
const STEP: Duration = Duration::from_millis(20);
/// Address space of the process, in bytes (on Linux).
const MEMORY: u64 = 1 << 30;
/// The most bytes of a file's text. A small file may hold far more than anyone has written: cells that span columns,
/// entries that unpack.
const TEXT: usize = 32 << 20;
/// The most bytes of an answer: such a text in JSON, where characters have escapes.
const ANSWER: u64 = 2 * TEXT as u64 + (1 << 20);
/// Bytes of what it says on standard error that are read.
const COMPLAINT: u64 = 64 << 10;

/// Runs the child process: reads a file from standard input, and prints its title and text, or the error, as JSON. Of an
/// HTML page it reads all where `whole` says so.
///
/// # Errors
/// It cannot limit itself, read or print.
pub fn child(format: Format, whole: bool) -> io::Result<()> {
    limit()?;
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes)?;
    let parsed = match format {
        Format::Html => html::parsed(&bytes, whole),
        Format::Pdf => pdf::parsed(&bytes),
        Format::Docx => docx::parsed(&bytes),
        Format::Csv => delimited::parsed(&bytes, None),
        Format::Tsv => delimited::parsed(&bytes, Some(b'\t')),
        Format::Xlsx => spreadsheet::xlsx(&bytes),
        Format::Ods => spreadsheet::ods(&bytes),
        Format::Rtf => rtf::parsed(&bytes),
        Format::Pptx => slides::parsed(&bytes),
        Format::Epub => epub::parsed(&bytes),
        Format::Eml => mail::parsed(&bytes),
    };
    let parsed = parsed.and_then(bounded);
    Ok(serde_json::to_writer(io::stdout().lock(), &parsed)?)
}

/// A text that is not larger than any that is read.
fn bounded(parsed: Parsed) -> Result<Parsed, String> {
    if parsed.text.len() > TEXT { Err(too_large()) } else { Ok(parsed) }
}

/// Returns what is wrong with a file that has too much text.
fn too_large() -> String {
    format!("its text is larger than {} MB: split it, or save its text as text files", TEXT >> 20)
}

#[cfg(target_os = "linux")]
fn limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::As, most(MEMORY))?;
    // The parent ends it before. Should the parent be gone, nobody else would.
    Ok(setrlimit(Resource::Cpu, most(TIME.as_secs() + 1))?)
}

/// Elsewhere time alone is limited.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn limit() -> io::Result<()> {
    Ok(())
}

/// The program that is running, even where its file has been replaced since: a service may well outlive that.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
fn itself() -> io::Result<Command> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("whittle");
    Ok(command)
}

/// The program that is running.
#[cfg(not(target_os = "linux"))]
fn itself() -> io::Result<Command> {
    std::env::current_exe().map(Command::new)
}

/// Parses `bytes` in a child process; of an HTML page all where `whole` says so.
pub(super) fn parsed(
    format: Format,
    whole: bool,
    bytes: &[u8],
    cancel: &Cancel,
) -> Result<Parsed, FileError> {
    let mut command = itself().map_err(|error| failed(&error))?;
    let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    command.args(["index", "parse", &name]);
    if whole {
        command.arg("--whole");
    }
    answer(&mut command, bytes, TIME, cancel)
}

fn failed(error: &dyn Display) -> FileError {
    FileError::Process(error.to_string())
}

/// Runs a process on `input` and returns its output, unless `time` passes or the caller leaves before. In any case it
/// has ended then.
fn answer(command: &mut Command, input: &[u8], time: Duration, cancel: &Cancel) -> Result<Parsed, FileError> {
    cancel.check()?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        // One that fails early reads no more, and has its say on standard output or error.
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        let complaint = scope.spawn(move || read(stderr, COMPLAINT));
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move || sender.send(read(stdout, ANSWER)));
        let answer = awaited(&receiver, time, cancel);
        // It has said all that it will, or its time is up. It may have ended already.
        child.kill().ok();
        child.wait().map_err(|error| failed(&error))?;
        let complaint = complaint.join().unwrap_or_default();
        let answer = answer?;
        let fault = || if answer.len() as u64 >= ANSWER { too_large() } else { broken(&complaint) };
        let parsed: Result<Parsed, String> = serde_json::from_slice(&answer).unwrap_or_else(|_| Err(fault()));
        parsed.map_err(FileError::Unreadable)
    })
}

/// All that the process says.
fn awaited(receiver: &Receiver<Vec<u8>>, time: Duration, cancel: &Cancel) -> Result<Vec<u8>, FileError> {
    let start = Instant::now();
    loop {
        match receiver.recv_timeout(STEP) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Disconnected) => return Err(failed(&"its answer cannot be received")),
            Err(RecvTimeoutError::Timeout) => cancel.check()?,
        }
        if start.elapsed() >= time {
            let reason =
                format!("it took longer than {} s: split it, or make it a text file", time.as_secs());
            return Err(FileError::Unreadable(reason));
        }
    }
}

/// All that comes, or its first `most` bytes.
fn read(from: Option<impl Read>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What broke off is no answer, and is told as such.
    from.map(|from| from.take(most).read_to_end(&mut bytes).ok());
    bytes
}

/// Returns the reason why a process ended without an answer.
fn broken(complaint: &[u8]) -> String {
    let complaint = String::from_utf8_lossy(complaint);
    if complaint.contains("memory allocation") {
        format!("it takes more than {} MB of memory: split it, or make it a text file", MEMORY >> 20)
    } else {
        "its reader broke down: it is damaged or hostile; print it to a new file, or make it a text file"
            .into()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::model::Stopped;

    const LONG: Duration = Duration::from_secs(50);

    fn shell(script: &str, input: &[u8], time: Duration) -> Result<Parsed, FileError> {
        answer(Command::new("sh").args(["-c", script]), input, time, &Cancel::never())
    }

    #[test]
    fn a_process_answers_or_is_told_of() {
        let parsed = Parsed { title: None, text: "x".repeat(200_000) };
        let input = serde_json::to_vec(&Ok::<_, String>(parsed.clone())).unwrap();
        assert_eq!(shell("cat", &input, LONG), Ok(parsed));
        let said = shell("echo '{\"Err\": \"no\"}'; exit 1", &input, LONG);
        assert_eq!(said, Err(FileError::Unreadable("no".to_owned())));
        for (script, wanted) in [
            ("exit 0", "broke down"),
            ("kill -SEGV $$", "broke down"),
            ("echo '{\"Ok\": {\"ti'", "broke down"),
            ("head -c 100000000 /dev/zero", "text is larger than 32 MB"),
            ("echo 'memory allocation of 9 bytes failed' >&2; kill -ABRT $$", "more than 1024 MB"),
        ] {
            let error = shell(script, &input, LONG).unwrap_err();
            assert!(error.to_string().contains(wanted), "{script}: {error}");
        }
        let error = shell("exec sleep 100", b"", Duration::from_millis(100)).unwrap_err();
        assert!(error.to_string().contains("it took longer"), "{error}");
        let error = answer(&mut Command::new("/nowhere/at/all"), b"", LONG, &Cancel::never()).unwrap_err();
        assert!(matches!(error, FileError::Process(_)), "{error}");
    }

    #[test]
    fn a_text_that_is_too_large_is_refused_with_a_remedy() {
        let parsed = |bytes| Parsed { title: None, text: "x".repeat(bytes) };
        assert!(bounded(parsed(TEXT)).is_ok());
        assert!(bounded(parsed(TEXT + 1)).unwrap_err().contains("split it"));
    }

    #[test]
    fn a_process_ends_when_its_caller_leaves_or_runs_out_of_time() {
        let start = Instant::now();
        let sleeping = |cancel: &Cancel| answer(Command::new("sleep").arg("100"), b"", LONG, cancel);
        let late = Cancel::at(Instant::now() + Duration::from_millis(50));
        assert_eq!(sleeping(&late), Err(Stopped::Deadline.into()));
        let leaving = Cancel::never();
        let left = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| sleeping(&leaving));
            std::thread::sleep(Duration::from_millis(50));
            drop(leaving.on_drop());
            waiting.join().unwrap()
        });
        assert_eq!(left, Err(Stopped::Cancelled.into()));
        assert!(start.elapsed() < LONG, "each was waited for to its end");
    }
}
