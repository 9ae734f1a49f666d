//! Lines of a text, and what single lines look like.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

/// A line that is not blank.
#[derive(Debug, Clone)]
pub(super) struct Line<'t> {
    /// The bytes of the line with its line break and the blank lines after it; the first also holds those before it.
    pub(super) range: Range<usize>,
    /// The text of the line, without white space at its end.
    pub(super) text: &'t str,
    /// Tabs in the white space at its end: in a table, each is one more cell without a text.
    pub(super) tabs: usize,
    /// Bytes of `text` before the content: the number or path that a tool puts before a line.
    pub(super) label: usize,
    /// Columns of white space between the label and the content.
    pub(super) indent: usize,
    /// Set if a blank line follows.
    pub(super) gap: bool,
}

impl<'t> Line<'t> {
    /// Returns the text after label and indentation.
    pub(super) fn content(&self) -> &'t str {
        self.text[self.label..].trim_start()
    }

    /// Takes the first `bytes` for a label.
    pub(super) fn with_label(&self, bytes: usize) -> Self {
        Self { label: bytes, indent: columns(&self.text[bytes..]), ..self.clone() }
    }
}

/// Columns of the white space that `text` begins with; a tab counts 4.
fn columns(text: &str) -> usize {
    let white = text.chars().take_while(|c| c.is_whitespace());
    white.map(|c| if c == '\t' { 4 } else { 1 }).sum()
}

/// The lines of `text[range]` that are not blank; their ranges together are all of it. None where all is blank.
pub(super) fn lines(text: &str, range: Range<usize>) -> Vec<Line<'_>> {
    let mut lines: Vec<Line> = Vec::new();
    let (mut start, mut at) = (range.start, range.start);
    for raw in text[range.clone()].split_inclusive('\n') {
        let end = at + raw.len();
        if raw.trim().is_empty() {
            if let Some(last) = lines.last_mut() {
                (last.range.end, last.gap) = (end, true);
                start = end;
            }
        } else {
            let own = raw.trim_end();
            let tabs = raw[own.len()..].matches('\t').count();
            lines.push(Line {
                range: start..end,
                text: own,
                tabs,
                label: 0,
                indent: columns(own),
                gap: false,
            });
            start = end;
        }
        at = end;
    }
    lines
}

/// A shape that a line has by itself, whatever stands around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Begins with a time or a level.
    Log,
    /// A frame of a stack trace, or what stands above and below the frames.
    Trace,
    /// A line of `ls -l`, `git status`, a test runner, a package manager, or a prompt of a shell.
    Listing,
    /// A path and perhaps a number before a line: `grep -n`.
    Found,
    /// A change, who made it and a number before a line: `git blame`.
    Blamed,
    /// A number before a line: `cat -n`.
    Numbered,
    /// `KEY=value`, `key = value`, `[section]`.
    Setting,
    /// Any other line.
    Other,
}

static LOG: LazyLock<Regex> = LazyLock::new(|| {
    let time = r"\d{4}[-/.]\d\d[-/.]\d\d[ T,_-]\d\d[:.]\d\d|\d\d/\d\d/\d\d \d\d:\d\d|\d\d:\d\d:\d\d|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d|\d{6} \d{6} \d+ [A-Z]+|\d{10}(?:\.\d+)? |[A-Z][a-z]{2} [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d|\d\d-\d\d \d\d:\d\d:\d\d|\d{8}-\d\d?:\d\d?:\d\d|\d\d\.\d\d\.\d{4} \d\d:\d\d";
    let level = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)[\s:\]|]";
    let host = r"[\w.:-]+ \S+ \S+ \[\d\d/[A-Z][a-z]{2}/\d{4}:|- \d{10} \d{4}\.\d\d\.\d\d";
    Regex::new(&format!(r"^[\[(<]?(?:{time}|{level}|{host})")).expect("a test compiles it")
});
static TRACE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:Traceback \(most recent|\s+File "[^"]*", line \d|\s+at \S.*|Caused by: |\s*\.\.\. \d+ more|goroutine \d+ \[|Exception in thread|thread '.*' panicked|\s+\d+: 0x|panic: |[\w.]+(?:Error|Exception|Interrupt|Fault)(?:: .*)?$)"#)
        .expect("a test compiles it")
});
static LISTING: LazyLock<Regex> = LazyLock::new(|| {
    let ls = r"[-dlbcps][-rwxsStT]{9}[.+@]?\s+\d+\s|total \d+$";
    let git = r"\s*(?:modified|new file|deleted|renamed|both modified|typechange): |\s*[MADRCU?!]{1,2} {1,2}[\w./-]+$|On branch |Your branch is |Changes (?:not staged for commit|to be committed):$|(?:Untracked|Ignored) files:$|Unmerged paths:$|\s*\(use \x22git [^\x22]+\x22 ";
    let tests = r"\s*(?:test \S+ \.\.\. |(?:---|===) ?(?:PASS|FAIL|RUN|SKIP)|(?:ok|FAIL|not ok)\s+\S+|(?:PASS|FAIL|PASSED|FAILED|SKIPPED|✓|✗|✕|×|√)\s|\S+::\S+ (?:PASSED|FAILED|SKIPPED|ERROR))";
    let build = r"#\d+ (?:\[|\d+\.\d|DONE|CACHED|ERROR|sha256:|transferring|extracting|naming|exporting|writing|resolve)|\s*(?:Collecting \S+$|Downloading \S+ \(|Using cached \S+|Preparing metadata|Requirement already satisfied|Installing collected packages|Successfully (?:installed|built|uninstalled))";
    let shell = r"[\w.@~:/\\-]*[$#%] \S|PS [A-Z]:\\|>>> |\.\.\. |[├│└][^│┤┘╡╛]*$|[ │]*[├└]─{1,3}[^─┬┴┼┤┘]";
    Regex::new(&format!("^(?:{ls}|{git}|{tests}|{build}|{shell})")).expect("a test compiles it")
});
static FOUND: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^(?:[\w@+~-]?[\w./@+~\\-]*[./\\][\w./@+~\\-]*|[\w./@+~\\-]+)(?::\d+(?::\d+)?[:\t]|-\d+-|:\d+-)",
    )
    .expect("a test compiles it")
});
static BLAMED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\^?[0-9a-f]{7,40} (?:[^\s()]+ +)?\([^()\n]{1,80} \d{4}-\d\d-\d\d [^()\n]{1,30} \d{1,6}\) ?")
        .expect("a test compiles it")
});
static NUMBERED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^\s*(?:\d{1,6}(?:\t|→| ?\| ?|: |:\t|  )|\d{1,6}$|L\d+: ?)").expect("a test compiles it")
});
static SETTING: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(?:export )?(?:[A-Za-z_][\w.-]*|"[^"\n]+") ?[=] ?\S*|^\[{1,2}[\w."' :-]+\]{1,2}$|^[A-Za-z_][\w.-]*\s*=\s*$"#)
        .expect("a test compiles it")
});

/// Returns whether a line is an entry of a log.
pub(super) fn is_entry(line: &str) -> bool {
    LOG.is_match(line)
}

impl Shape {
    pub(super) fn of(line: &str) -> Self {
        if is_entry(line) {
            Self::Log
        } else if TRACE.is_match(line) {
            Self::Trace
        } else if LISTING.is_match(line) {
            Self::Listing
        } else if FOUND.is_match(line) {
            Self::Found
        } else if BLAMED.is_match(line) {
            Self::Blamed
        } else if NUMBERED.is_match(line) {
            Self::Numbered
        } else if is_setting(line) {
            Self::Setting
        } else {
            Self::Other
        }
    }

    /// Bytes of the label that a line of this shape begins with.
    pub(super) fn label(self, line: &str) -> usize {
        let pattern = match self {
            Self::Found => &FOUND,
            Self::Numbered => &NUMBERED,
            Self::Blamed => &BLAMED,
            Self::Log | Self::Trace | Self::Listing | Self::Setting | Self::Other => return 0,
        };
        pattern.find(line).map_or(0, |found| found.end())
    }
}

/// Returns whether the line is a setting, and no statement of a program.
fn is_setting(line: &str) -> bool {
    SETTING.is_match(line) && !line.ends_with([';', '{', '(']) && !line.contains("==")
}

static CODE: LazyLock<Regex> = LazyLock::new(|| {
    let end = r"[;{}]\s*$|\)\s*[:{]\s*$|\\$|^\s*[\])}]+[,;]?\s*$|[,(\[]\s*$";
    let begin = r#"^\s*(?:(?:pub(?:\(\w+\))? |async |static |export |default |private |public |protected |final |abstract |inline |const |unsafe )*(?:fn|def|func|function|class|struct|enum|impl|interface|trait|type|import|from|use|using|package|module|namespace|return|let|const|var|val|if|elif|else|for|foreach|while|switch|match|case|try|catch|except|finally|with|do|end|raise|throw|yield|await|break|continue|pass|unless|begin|require|include)(?:\W|$)|#include|#define|#undef|#pragma|#error|#if|#el|#end|//|/\*|\*/|\* |\*$|@\w+|#!|"""|''')"#;
    let call =
        r"^\s*(?:[\w.\[\]*&>-]|::)+(?:<[^>]*>)?\(.*\)?[,;]?$|^\s*[\w.\[\]*&>, -]+\s*(?:[-+*/|&%:]?=)\s*\S";
    let shell = r#"^\s*(?:(?:if|elif|while|until) (?:!|\[|test(?:\W|$)|\S.*; *(?:then|do)$)|(?:then|do|else|fi|done|esac|shift)$|case .+ in$|[\w*"'|.-]+\)$|(?:echo|cd|mkdir|rm|cp|mv|ln|chmod|curl|wget|sudo|grep|sed|awk|tar|trap|printf|exit) +[-$"'./\w]|(?:export|local|readonly) +\w+=|set +[-+]|(?:source|test) +[-$"'./~])|;;$|\$\{?[A-Za-z_]|\$\(|&&|\|\|| \| (?:awk|base64|bash|cat|column|curl|cut|diff|egrep|fgrep|fzf|grep|gzip|head|jq|less|md5sum|more|nc|nl|node|paste|perl|pv|python3?|rev|rg|ruby|sed|sh|sha256sum|shuf|sort|ssh|sudo|tac|tail|tar|tee|tr|uniq|wc|while|xargs|xxd|yq|zcat|zsh)(?:\W|$)"#;
    let docker = r"^\s*(?:FROM|RUN|COPY|ADD|ENV|CMD|WORKDIR|EXPOSE|ENTRYPOINT|ARG|USER|LABEL|HEALTHCHECK|VOLUME|SHELL|ONBUILD|STOPSIGNAL)\s+\S";
    let sql = r"^\s*(?:CREATE|SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|JOIN|LEFT|RIGHT|INNER|OUTER|GROUP BY|ORDER BY|HAVING|LIMIT|VALUES|ALTER|DROP|UNION|PRIMARY KEY|FOREIGN KEY|CONSTRAINT|REFERENCES|GRANT|COMMENT ON|AND|OR|ON|SET|WITH|BEGIN|COMMIT|DECLARE)(?:\s|;|$)";
    let others = r"^(?:[\d*/,-]+\s+){4}[\d*/,A-Za-z-]+\s+\S|^\s*\\(?:begin|end|(?:sub)*section|chapter|paragraph|item|label|documentclass|usepackage|includegraphics|caption|centering|maketitle)(?:\W|$)|\\\\$|^\.PHONY:";
    Regex::new(&format!("{end}|{begin}|{call}|{shell}|{docker}|{sql}|{others}")).expect("a test compiles it")
});

static DEFINITION: LazyLock<Regex> = LazyLock::new(|| {
    let keyword = r"(?:(?:pub(?:\(\w+\))?|export|default|async|static|public|private|protected|abstract|final|const|unsafe|inline|virtual|override|extern) +)*(?:fn|def|func|function|class|struct|enum|interface|trait|type|macro_rules!|sub|proc)(?:\W|$)";
    let value = r"[\w.]+ *= *(?:async )?function(?:\W|$)|(?:const|let|var) +\w+ *= *(?:async *)?\(.*=>";
    // As in C: types and a name before a bracket, not indented.
    let typed = r"(?:[\w:*&<>,]+ +)+[*&]*[\w:~]+\([^;]*$";
    Regex::new(&format!(r"^(?:\s*(?:{keyword}|{value})|{typed})")).expect("a test compiles it")
});

/// Returns whether a line of a program begins the definition of a function or a type.
pub(crate) fn is_definition(line: &str) -> bool {
    /// First words of statements that look like a type and a name before a bracket.
    const STATEMENTS: [&str; 16] = [
        "return", "if", "else", "elif", "while", "for", "await", "raise", "throw", "case", "yield", "assert",
        "with", "match", "new", "not",
    ];
    let first = line.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    !STATEMENTS.contains(&first) && DEFINITION.is_match(line)
}

/// Returns whether the content of a line is a comment, or a part of one.
pub(super) fn is_comment(content: &str) -> bool {
    ["//", "/*", "* ", "*/", "# ", "-- "].iter().any(|mark| content.starts_with(mark)) || content == "*"
}

/// Does the content of a line look like that of a program? Sentences of prose seldom do.
pub(super) fn is_code(content: &str) -> bool {
    let prose = content.ends_with(['.', ',', '?', '!'])
        && content.split(' ').count() > 4
        && content.starts_with(|c: char| c.is_uppercase());
    !prose && CODE.is_match(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_told_from_what_uses_them() {
        for line in [
            "pub(crate) fn read(path: &Path) -> File {",
            "    async def read(self, path):",
            "func (n *node) find(path string) []byte {",
            "export default class Reader {",
            "res.download = function download (path) {",
            "const read = async (path) => {",
            "static int read_file(const char *path) {",
            "type Reader interface {",
        ] {
            assert!(is_definition(line), "{line}");
        }
        for line in [
            "    read(path);",
            "return read(path)",
            "if is_open(path):",
            "    if (read(path)) {",
            "// function of time",
            "int x = read(path);",
        ] {
            assert!(!is_definition(line), "{line}");
        }
    }

    #[test]
    fn lines_of_scripts_and_queries_are_told_from_sentences() {
        for line in [
            "FROM debian:13 AS build",
            "HEALTHCHECK CMD curl -f http://localhost || exit 1",
            "SELECT name, price",
            "WHERE paid_at IS NULL;",
            "if [ -z \"$1\" ]; then",
            "done",
            "  full)",
            "curl -sS \"$URL\" | tar -x",
            "0 2 * * 1-5 /usr/local/bin/backup full",
            "\\begin{equation}",
            "x & y & 873 \\\\",
        ] {
            assert!(is_code(line), "{line}");
        }
        for line in [
            "From the hill you see the harbour.",
            "Run the test again and tell me what you see.",
            "Select a seat, then pay.",
            "It is done",
            "If the lamp is red, then wait.",
            "Where is the key? On the shelf.",
            "10 000 people came to see 2 of them",
            "it costs $5 or so, and more on Sunday",
            "a) the first of them",
            "set of rules that they follow",
        ] {
            assert!(!is_code(line), "{line}");
        }
    }

    #[test]
    fn comments_are_told() {
        assert!(["// a", "/// a", "* a", "*/", "# a", "-- a"].into_iter().all(is_comment));
        assert!(!["#[test]", "#include <a>", "*a = 1;", "a // b"].into_iter().any(is_comment));
    }
}
