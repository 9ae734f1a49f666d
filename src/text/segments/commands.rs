//! Commands of a shell that stand in prose on lines of their own, without a prompt or a fence.

use super::lines::Line;

/// Programs that no sentence begins with, so that two or three words of them are a command.
const PROGRAMS: [&str; 24] = [
    "apt-get",
    "bundle",
    "cargo",
    "conda",
    "docker",
    "dotnet",
    "ffmpeg",
    "git",
    "gradle",
    "helm",
    "kubectl",
    "mvn",
    "npm",
    "npx",
    "pip",
    "pip3",
    "pnpm",
    "podman",
    "poetry",
    "rustup",
    "sudo",
    "terraform",
    "uv",
    "yarn",
];
/// Words that commands seldom hold and sentences seldom lack.
const COMMON: [&str; 30] = [
    "a", "an", "and", "are", "as", "be", "but", "can", "for", "if", "in", "is", "it", "not", "of", "or",
    "so", "that", "the", "then", "this", "to", "was", "we", "which", "will", "with", "you", "und", "der",
];
/// Most words of a command without an option or a path.
const FEW: usize = 4;

/// Returns whether line `at` is a command: it looks like one, and no sentence reaches over it.
pub(super) fn is_command(lines: &[Line], at: usize) -> bool {
    let ends = |line: &Line| line.gap || line.text.ends_with(['.', ':', '!', '?', '。', '：']);
    let begins = |line: &Line| line.content().starts_with(char::is_uppercase);
    looks_like_command(lines[at].content())
        && (at == 0 || ends(&lines[at - 1]) || looks_like_command(lines[at - 1].content()))
        && (lines[at].gap
            || lines.get(at + 1).is_none_or(|next| begins(next) || looks_like_command(next.content())))
}

/// Returns whether a line is the name of a program with options, paths and a few words.
fn looks_like_command(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let Some(program) = words.next() else { return false };
    let path = program.trim_start_matches(['.', '~']).starts_with('/') || program.starts_with('.');
    let named = program.starts_with(|c: char| c.is_ascii_lowercase())
        && program.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte));
    let goes_on =
        line.ends_with([',', ':', ';', '?', '!', '。']) || line.ends_with('.') && !line.ends_with(" .");
    let named = named || path && program.len() > 2;
    if !named || goes_on {
        return false;
    }
    let (mut plain, mut marked, mut strong, mut option) = (0, 0, false, false);
    for word in words {
        if COMMON.contains(&word) {
            return false;
        }
        let value = std::mem::replace(&mut option, is_option(word));
        if option || word.contains(['/', '=', '@', '$', '|', '>', '<', '*']) || word == "&&" {
            (marked, strong) = (marked + 1, true);
        } else if word.contains(|c: char| !c.is_alphabetic()) {
            marked += 1;
        } else if !value {
            plain += 1;
        }
    }
    let known = PROGRAMS.contains(&program) && (1..FEW).contains(&(plain + marked));
    known || strong && plain <= marked + 1
}

fn is_option(word: &str) -> bool {
    word.strip_prefix('-')
        .is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-') && name != "-")
}

#[cfg(test)]
mod tests {
    use super::super::{SegmentKind, segments};
    use super::*;

    #[test]
    fn commands_are_told_from_sentences() {
        for line in [
            "cargo build --release --features fast",
            "gs -sDEVICE=pdfwrite -o out.pdf in.pdf",
            "kubectl get pods -n shop -o wide",
            "git clone https://example.org/boat.git && cd boat",
            "./configure --prefix=/opt/boat CFLAGS=\"-O2 -g\"",
            "make -j8",
            "npm start",
            "docker build -t boat .",
        ] {
            assert!(looks_like_command(line), "{line}");
        }
        for line in [
            "make sure that it works",
            "use the option --rate for less",
            "go to the yard and/or the quay",
            "git is what we use",
            "either/or",
            "see docs/boat.md.",
            "it costs $5 or so",
            "Run cargo build --release",
        ] {
            assert!(!looks_like_command(line), "{line}");
        }
    }

    #[test]
    fn commands_within_a_paragraph_are_lines() {
        let text = "The boat is built with a tool. Do this in the yard:\ncargo build --release --features sails\nnpm start\nThen she is ready for the sea, and you may go on board.\nIn a calm one may call the tool\nboat --row -n 4\nand wait for the wind that comes with the tide.\n";
        let lines: Vec<&str> = segments(text)
            .into_iter()
            .filter(|segment| segment.kind == SegmentKind::Line)
            .map(|segment| text[segment.range].trim())
            .collect();
        assert_eq!(lines, ["cargo build --release --features sails", "npm start"]);
    }
}
