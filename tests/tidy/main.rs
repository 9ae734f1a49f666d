//! Tidiness of `src/`: which module may know which, and what no file may hold.

mod circles;
mod table;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, tests not counted.
const LONGEST: usize = 600;

/// What each top-level module may use of the others. `model` stands for its traits and types alone: who may
/// also use the models themselves is said in [`PARTS`].
const MAY_USE: [(&str, &[&str]); 26] = [
    ("text", &[]),
    ("docs", &[]),
    ("environment", &[]),
    ("kernels", &[]),
    ("random", &[]),
    ("jsonl", &[]),
    ("outbound", &[]),
    ("telemetry", &[]),
    ("admission", &["model"]),
    ("storage", &["telemetry"]),
    ("wire", &["model", "text"]),
    ("config", &["compress", "environment", "model", "wire"]),
    ("model", &["environment", "kernels", "outbound", "random", "storage", "telemetry", "text"]),
    ("compress", &["model", "text"]),
    ("index", &["config", "kernels", "storage", "text"]),
    ("retrieve", &["index"]),
    (
        "engine",
        &[
            "compress",
            "config",
            "index",
            "model",
            "outbound",
            "random",
            "retrieve",
            "telemetry",
            "text",
            "wire",
        ],
    ),
    ("eval", &["compress", "config", "engine", "jsonl", "model", "random", "text", "upstream", "wire"]),
    ("keys", &["config", "index", "shared"]),
    ("shared", &["config"]),
    ("upstream", &["config", "keys", "outbound", "telemetry", "wire"]),
    (
        "proxy",
        &[
            "admission",
            "compress",
            "config",
            "engine",
            "index",
            "jsonl",
            "keys",
            "model",
            "random",
            "shared",
            "storage",
            "telemetry",
            "text",
            "upstream",
            "wire",
        ],
    ),
    ("mcp", &["admission", "compress", "config", "engine", "keys", "model", "proxy", "retrieve", "text"]),
    (
        "http",
        &[
            "admission",
            "config",
            "docs",
            "engine",
            "keys",
            "mcp",
            "model",
            "proxy",
            "shared",
            "telemetry",
            "upstream",
            "wire",
        ],
    ),
    (
        "cli",
        &[
            "admission",
            "compress",
            "config",
            "docs",
            "engine",
            "eval",
            "http",
            "jsonl",
            "keys",
            "mcp",
            "model",
            "proxy",
            "retrieve",
            "shared",
            "telemetry",
            "text",
            "upstream",
            "wire",
        ],
    ),
    ("main", &["cli"]),
];

/// Parts of `model` that only some may use, beside `model` itself.
const PARTS: [(&str, &[&str]); 3] =
    [("local", &["engine"]), ("remote", &["engine"]), ("store", &["engine", "cli"])];

/// Crates that only the places named may use.
const CRATES: [(&str, &[&str]); 22] = [
    ("candle_core", &["model/local/"]),
    ("candle_nn", &["model/local/"]),
    ("candle_transformers", &["model/local/"]),
    ("rten_gemm", &["model/local/"]),
    ("rten_tensor", &["model/local/"]),
    ("axum", &["http/"]),
    ("rmcp", &["mcp/"]),
    ("reqwest", &["model/remote/", "model/store/", "outbound/", "upstream/"]),
    (
        "redb",
        &[
            "storage/",
            "proxy/originals/",
            "proxy/store/",
            "index/store.rs",
            "index/error.rs",
            "model/cached/file.rs",
        ],
    ),
    ("redis", &["shared/"]),
    ("tokio_postgres", &["index/postgres/"]),
    ("deadpool_postgres", &["index/postgres/"]),
    ("ring::aead", &["proxy/originals/cipher.rs"]),
    ("tantivy", &["index/lexical"]),
    ("hnsw_rs", &["index/hnsw.rs"]),
    ("htmd", &["engine/collections/files/html"]),
    ("pdf_extract", &["engine/collections/files/pdf"]),
    ("quick_xml", &["engine/collections/files/"]),
    ("calamine", &["engine/collections/files/spreadsheet.rs"]),
    ("mail_parser", &["engine/collections/files/mail.rs"]),
    ("csv", &["engine/collections/files/delimited.rs"]),
    ("minijinja", &["engine/prompt", "model/local/chat_template"]),
];

/// Files that may hold `unsafe`.
const UNSAFE: [&str; 4] =
    ["kernels.rs", "model/local/int8/avx2.rs", "model/local/int8/vnni.rs", "model/local/roofline.rs"];

/// A source file without its tests.
struct Source {
    /// Below `src/`, with forward slashes.
    path: String,
    /// Without comments and strings.
    code: String,
    text: String,
    /// Lines as written, tests not counted.
    lines: usize,
}

impl Source {
    /// `http` for both `http/mod.rs` and `http.rs`.
    fn module(&self) -> &str {
        self.path.find(['/', '.']).map_or(&self.path, |end| &self.path[..end])
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let path = file
            .strip_prefix(&root)
            .expect("the file is below the root")
            .to_string_lossy()
            .replace('\\', "/");
        let text = fs::read_to_string(&file).expect("a source file is readable UTF-8");
        // Tests come last in a file.
        let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(&*text, |(code, _)| code);
        Source { path, code: code_of(text), text: text.to_owned(), lines: text.lines().count() }
    };
    files.into_iter().map(read).filter(|source| !is_test(&source.path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is there") {
        let path = entry.expect("a folder stays while it is read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn is_test(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// `text` with its comments left out and its strings emptied.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(hashes) = raw_string(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            start + rest[start..].find(&end).expect("a raw string ends") + end.len()
        } else if first == '"' {
            string_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            rest[1..].find('\'').expect("a character ends") + 2
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Hashes of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn string_length(text: &str) -> usize {
    let mut escaped = false;
    let end = text[1..].find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.expect("a string ends") + 2
}

/// Does `code` name `word`, not only as a part of a longer word?
fn names(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(is_inside_word) && !code[at + word.len()..].starts_with(is_inside_word)
    })
}

fn is_inside_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Modules of ours that `code` names by their full path, each with the word behind it: (`model`, `local`).
fn uses(code: &str) -> BTreeSet<(&str, &str)> {
    let end = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    ["crate::", "whittle::"]
        .iter()
        .flat_map(|start| code.match_indices(start).map(|(at, _)| &code[at + start.len()..]))
        .map(|path| {
            let (module, rest) = path.split_at(end(path));
            let rest = rest.strip_prefix("::").unwrap_or_default();
            (module, &rest[..end(rest)])
        })
        .collect()
}

/// `super::` in a row that lead to the crate's root, and so past [`uses`].
fn reaches_root(source: &Source) -> bool {
    let folders = source.path.matches('/').count();
    let depth = if source.path.ends_with("mod.rs") { folders } else { folders + 1 };
    source.code.contains(&"super::".repeat(depth))
}

#[test]
fn modules_use_only_those_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != "lib.rs") {
        let own = source.module();
        let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == own) else {
            wrong.push(format!("{}: the module `{own}` has no place in this test's table", source.path));
            continue;
        };
        for (module, part) in uses(&source.code) {
            if module != own && !allowed.contains(&module) {
                wrong.push(format!("{}: `{own}` must not use `{module}`", source.path));
            }
            let users = PARTS.iter().find(|(name, _)| module == "model" && *name == part);
            if users.is_some_and(|(_, users)| own != "model" && !users.contains(&own)) {
                wrong.push(format!("{}: `{own}` must not use `model::{part}`", source.path));
            }
        }
        // Such paths would hide from this test what they name.
        if reaches_root(source) {
            wrong.push(format!("{}: write `crate::` where `super::` leads to the root", source.path));
        }
        if PARTS.iter().any(|(part, _)| source.code.contains(&format!("{{{part}::"))) {
            wrong.push(format!("{}: write `use crate::model::PART` on a line of its own", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// At a `\b` of Unicode a character that is not ASCII makes the regex engine begin again with one that takes fifty times
/// as long: patterns that look at each line write `(?-u:\b)`, or `(?:\W|$)` where the word before may go on.
#[test]
fn patterns_that_look_at_each_line_know_borders_of_ascii_alone() {
    let of_ascii = |text: &str| {
        let mut groups = text.split("(?-u:");
        let first = groups.next().unwrap_or_default().to_owned();
        groups.fold(first, |rest, group| rest + group.split_once(')').map_or("", |(_, behind)| behind))
    };
    let has_border = |text: &str| text.match_indices("\\b").any(|(at, _)| !text[..at].ends_with('\\'));
    assert!(has_border(&of_ascii("(?-u:\\b)a\\b")) && !has_border(&of_ascii("(?-u:\\ba\\b)b\\\\begin")));
    let each_line =
        |source: &&Source| source.path.starts_with("text/segments/") || source.path == "text/kind.rs";
    let sources = sources();
    let wrong: Vec<&str> = sources
        .iter()
        .filter(each_line)
        .filter(|source| has_border(&of_ascii(&source.text)))
        .map(|source| source.path.as_str())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_engine_has_one_place() {
    let mut wrong = Vec::new();
    for source in &sources() {
        for (name, places) in CRATES {
            if names(&source.code, name) && !places.iter().any(|place| source.path.starts_with(place)) {
                wrong.push(format!("{}: only {places:?} may use `{name}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_are_short_and_hold_nothing_that_is_unfinished_or_waived() {
    let mut wrong = Vec::new();
    for source in &sources() {
        if source.lines > LONGEST {
            wrong.push(format!("{}: {} lines, at most {LONGEST}", source.path, source.lines));
        }
        for mark in ["todo!", "unimplemented!", "dbg!", "#[allow", "#![allow"] {
            if source.code.contains(mark) {
                wrong.push(format!("{}: `{mark}`", source.path));
            }
        }
        for mark in ["TODO", "FIXME", "XXX"] {
            if names(&source.text, mark) {
                wrong.push(format!("{}: `{mark}`", source.path));
            }
        }
        if names(&source.code, "unsafe") && !UNSAFE.contains(&source.path.as_str()) {
            wrong.push(format!("{}: `unsafe`", source.path));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_readme_is_short_and_names_every_guide() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("the README is readable UTF-8");
    assert!(readme.lines().count() <= 150, "the README has {} lines, at most 150", readme.lines().count());
    for guide in fs::read_dir(root.join("src/docs")).expect("the guides are there") {
        let name = guide.expect("a folder stays while it is read").file_name();
        let link = format!("(src/docs/{})", name.to_string_lossy());
        assert!(readme.contains(&link), "the README does not link to {link}");
    }
}

/// Largest share of doc comments that may open elliptically, in percent.
const MOST_ELLIPTICAL: usize = 3;

/// Words that open a phrase which does not stand alone: "What is kept", "Of the texts", "As given", "Whether it fits".
const ELLIPTICAL: [&str; 58] = [
    "Above", "After", "Again", "Already", "Also", "And", "Around", "As", "At", "Before", "Behind", "Below",
    "Beside", "Between", "Both", "But", "By", "For", "From", "Here", "How", "If", "In", "Into", "It", "Its",
    "Like", "Neither", "None", "Not", "Of", "On", "Or", "Same", "Since", "So", "Than", "That", "Their",
    "Them", "Then", "There", "These", "They", "This", "Those", "Through", "To", "Under", "Until", "What",
    "When", "Where", "Whether", "Which", "Who", "Whose", "Why",
];

/// Openings of several words that lean on what stands before them.
const ELLIPTICAL_PHRASES: [&str; 5] = ["The same", "One a ", "One for each", "With ", "Without "];

/// First lines of the doc comments in `text`.
fn openings(text: &str) -> Vec<&str> {
    let doc = |line: &str| {
        let line = line.trim_start();
        (line.starts_with("///") && !line.starts_with("////")) || line.starts_with("//!")
    };
    let mut openings = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if doc(line) && !inside {
            openings.push(line.trim_start()[3..].trim());
        }
        inside = doc(line);
    }
    openings
}

/// Does a doc comment with this first line need what stands around it to be understood?
fn is_elliptical(line: &str) -> bool {
    let word = line.split(|c: char| !c.is_alphanumeric() && c != '\'').next().unwrap_or_default();
    ELLIPTICAL.contains(&word)
        || ELLIPTICAL_PHRASES.iter().any(|phrase| line.starts_with(phrase))
        || word.starts_with(char::is_lowercase)
        || line.ends_with('?')
}

#[test]
fn doc_comments_stand_alone() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let texts: Vec<String> =
        files.iter().map(|file| fs::read_to_string(file).expect("a source file is readable UTF-8")).collect();
    let all: Vec<&str> = texts.iter().flat_map(|text| openings(text)).collect();
    let elliptical: Vec<&str> = all.iter().copied().filter(|line| is_elliptical(line)).collect();
    assert!(all.len() > 1000, "{}", all.len());
    assert!(
        elliptical.len() * 100 <= all.len() * MOST_ELLIPTICAL,
        "{} of {}: {elliptical:#?}",
        elliptical.len(),
        all.len()
    );
}

#[test]
fn elliptical_openings_are_told_from_sentences() {
    let text =
        "//! The module.\n//! More.\n\n/// First.\nfn a() {} // no\n    /// Second\n    //// none\n/// Third";
    assert_eq!(openings(text), ["The module.", "First.", "Second", "Third"]);
    for line in [
        "What became of the text.",
        "Of the texts that were compressed, as they were sent.",
        "As it is written in a configuration.",
        "Its name.",
        "Whether it may be used.",
        "The same for one row.",
        "One a group.",
        "Does `text` hold `name`?",
        "Is anything ever kept?",
        "exp of the mean.",
        "With a sign.",
    ] {
        assert!(is_elliptical(line), "{line}");
    }
    for line in [
        "Returns whether `text` holds `name`.",
        "The number of tokens.",
        "`x += y`.",
        "[`Mode::Exact`] for `n` tokens.",
        "Institutions and their ids.",
        "Answers a request.",
        "",
    ] {
        assert!(!is_elliptical(line), "{line}");
    }
}

#[test]
fn the_test_sees_what_it_looks_for() {
    let code = code_of(
        "use crate::http::Server; // crate::cli\nlet s = \"unsafe \\\" todo!\"; r#\"axum \"x\"\"#; '\"' /x",
    );
    assert_eq!(code, "use crate::http::Server; \nlet s = ; ;  /x");
    assert_eq!(
        uses("crate::http::Server whittle::cli::main() crate::text;"),
        [("cli", "main"), ("http", "Server"), ("text", "")].into()
    );
    assert!(names("use axum::x", "axum") && !names("taxum_", "axum"));
    let source = |path: &str, code: &str| Source {
        path: path.into(),
        code: code.into(),
        text: String::new(),
        lines: 1,
    };
    assert!(
        reaches_root(&source("http/mod.rs", "super::cli"))
            && reaches_root(&source("http/a.rs", "super::super::x"))
    );
    assert!(!reaches_root(&source("http/a.rs", "super::body")));
    assert!(sources().len() > 40 && sources().iter().all(|source| source.lines > 0));
}
