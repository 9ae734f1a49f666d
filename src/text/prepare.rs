//! Compiling of patterns ahead of their first use.

use std::sync::Once;
use std::thread;

use super::negation::negates;
use super::protect::Protector;
use super::segments::segments;

/// A text with something of each kind, so that whatever tells one kind from another is asked for.
const SAMPLE: &str = "# Notes\n\nThe ferry does not leave before 5 p.m. on 3 May. See https://example.org.\n\n- one\n- two\n\n\
    | a | b |\n|---|---|\n| 1 | 2 |\n\n2024-05-03 10:00:00 ERROR failed\n2024-05-03 10:00:01 INFO done\n\n\
    Ann: Is it so?\nBob: It is.\n\nkey: 1\nother:\n  inner: 2\n\ndef f(x):\n    return x\n\n<p>So.</p>\n";

/// Begins to compile the patterns that most texts need, in threads of their own: once in a process, and without waiting
/// for it. It takes about as long as reading a small model, and both can be done side by side.
pub fn prepare() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| {
        // What they find is of no use, and what no thread compiles is compiled by the first text that needs it.
        begin(|| _ = (segments(SAMPLE), negates(SAMPLE)));
        begin(|| _ = Protector::default().spans(SAMPLE));
    });
}

fn begin(compile: fn()) {
    thread::Builder::new().name("whittle-prepare".into()).spawn(compile).ok();
}
