//! The command: started, given the signals of this process, and waited for.

use std::ffi::OsString;
use std::process::{Child, Command, ExitCode, ExitStatus};

use anyhow::Context;

/// Runs a command with the standard streams of this process and returns its exit status: as a shell does, 128 and the
/// signal where one ended it.
pub(super) async fn run(
    command: &[OsString],
    variables: Vec<(&'static str, String)>,
) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("name a command to run")?;
    // From before it starts, so that none is missed in between.
    let mut signals = Signals::new().context("cannot handle signals")?;
    let child = Command::new(program).args(arguments).envs(variables).spawn();
    let mut child = child.with_context(|| format!("cannot run {}", program.display()))?;
    let process = child.id();
    let mut waiting = tokio::task::spawn_blocking(move || Child::wait(&mut child));
    loop {
        tokio::select! {
            ended = &mut waiting => return Ok(code(ended??)),
            signal = signals.next() => signals.pass_on(signal, process),
        }
    }
}

#[cfg(unix)]
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

#[cfg(not(unix))]
fn code(status: ExitStatus) -> ExitCode {
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}

#[cfg(unix)]
mod unix {
    use std::io::{self, IsTerminal};

    use rustix::process::{Pid, Signal, kill_process};
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    /// The signals that a command is to have, too.
    pub(in crate::cli::run) struct Signals {
        terminate: Stream,
        hangup: Stream,
        interrupt: Stream,
        quit: Stream,
        /// A terminal sends what its keys stand for to the command as well.
        at_terminal: bool,
    }

    impl Signals {
        pub(in crate::cli::run) fn new() -> io::Result<Self> {
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                hangup: signal(SignalKind::hangup())?,
                interrupt: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
                at_terminal: io::stdin().is_terminal(),
            })
        }

        pub(in crate::cli::run) async fn next(&mut self) -> Signal {
            tokio::select! {
                _ = self.terminate.recv() => Signal::TERM,
                _ = self.hangup.recv() => Signal::HUP,
                _ = self.interrupt.recv() => Signal::INT,
                _ = self.quit.recv() => Signal::QUIT,
            }
        }

        pub(in crate::cli::run) fn pass_on(&self, signal: Signal, process: u32) {
            let has_it = self.at_terminal && (signal == Signal::INT || signal == Signal::QUIT);
            let process = i32::try_from(process).ok().and_then(Pid::from_raw);
            if let Some(process) = process.filter(|_| !has_it) {
                // It may have ended just now.
                kill_process(process, signal).ok();
            }
        }
    }
}
#[cfg(unix)]
use unix::Signals;

/// The signals that a command is to have, too: the console sends it its own.
#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }

    fn pass_on(&self, (): (), _: u32) {}
}
