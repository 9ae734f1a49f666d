//! The `whittle` command: parse arguments, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    whittle::cli::main()
}
