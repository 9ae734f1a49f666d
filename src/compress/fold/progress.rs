//! Progress of downloads and builds.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::{Line, Stay, fold_runs, is_trouble};

/// Fewest lines of a run.
const LEAST: usize = 4;

static STEP: LazyLock<Regex> = LazyLock::new(|| {
    let pip = r"Collecting \S|Downloading \S|Using cached \S|Requirement already satisfied|Building wheel|Created wheel|Stored in directory|Preparing metadata|Installing build dependencies|Getting requirements to build|Found existing installation|Attempting uninstall|Uninstalling \S|Obtaining \S";
    let apt = r"Get:\d+ |Hit:\d+ |Ign:\d+ |Selecting previously|Preparing to unpack|Unpacking |Setting up |Processing triggers|\(Reading database";
    let cargo = r"(?:Compiling|Checking|Downloaded|Downloading|Fresh|Adding|Locking|Updating|Blocking) [\w-]+ v?\d|Downloading crates|Unpacking \S";
    let git = r"(?:remote: )?(?:Counting|Compressing|Receiving|Enumerating|Writing) objects|(?:remote: )?Resolving deltas|Updating files:|Unpacking objects";
    let npm = r"npm (?:http|timing|sill|verb)|(?:\[\d+/\d+\] )?(?:Fetching|Resolving|Linking) packages|Progress: resolved|Packages: ";
    let docker =
        r"[0-9a-f]{12}: (?:Pulling|Waiting|Download|Verifying|Extracting|Pull complete|Already exists)";
    Regex::new(&format!(r"^\s*(?:{pip}|{apt}|{cargo}|{git}|{npm}|{docker})")).expect("a test compiles it")
});

/// A bar takes far longer to look for than a step.
static BAR: LazyLock<Regex> = LazyLock::new(|| {
    let bars = r".{0,80}?\d{1,3}%[ |\[(:].*|\d{1,3}%$|.*[█▏▎▍▌▋▊▉━╸#=]{8,}.*(?:\d%|B/s|it/s|eta)";
    Regex::new(&format!(r"^\s*(?:{bars})")).expect("a test compiles it")
});

pub(super) fn fold(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let stay = Stay { first: 1, last: 1 };
    fold_runs(lines, (LEAST, stay, "progress"), |lines| {
        lines.iter().take_while(|line| is_progress(line)).count()
    })
}

fn is_progress(line: &Line) -> bool {
    let text = line.body();
    let is_bar = || ["%", "B/s", "it/s", "eta"].iter().any(|sign| text.contains(sign)) && BAR.is_match(text);
    !line.is_mark && line.text.len() < 400 && (STEP.is_match(text) || is_bar()) && !is_trouble(text)
}
