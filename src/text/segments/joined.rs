//! Lines of a program that say nothing without others, however they are indented: lines that go on, statements of SQL,
//! environments of LaTeX.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::SegmentKind;
use super::builder::Builder;
use super::lines::{Line, is_comment};
use super::multiline::{Block, opened, opens_text};

/// Most lines that go whole because each goes on with the next.
const LONGEST_CHAIN: usize = 40;
/// Most lines of a statement that goes whole.
const LONGEST_STATEMENT: usize = 12;
/// Most lines of a table that name its columns.
const MOST_HEADER: usize = 6;
/// Lines in which the end of a statement or an environment is looked for.
const FARTHEST: usize = 400;

static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^(?:create\s+(?:or\s+replace\s+)?(?:temp\w*\s+|unique\s+|materialized\s+)*(?:table|view|function|procedure|trigger|index|type|policy)|insert\s+into|update\s+\S+|delete\s+from|select|alter\s+table|merge\s+into|with\s+\S+\s+as)(?-u:\b)")
        .expect("a test compiles it")
});
static QUOTE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\$\w*\$").expect("a test compiles it"));
static VALUES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)(?-u:\b)values\s*$").expect("a test compiles it"));
static BEGIN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\s*\\begin\{([a-zA-Z]+\*?)\}").expect("a test compiles it"));

/// Ties the lines of a program that need each other; the first of them is segment `base`, and each is one.
pub(super) fn join(lines: &[Line], base: usize, strings: &[Block], builder: &mut Builder) {
    let mut inside = vec![false; lines.len()];
    for block in strings {
        inside[block.first + 1..=block.last].fill(true);
    }
    let mut at = 0;
    while at < lines.len() {
        let end = if inside[at] { at } else { chain(&lines[at..]) + at };
        let end = (at..end).find(|&line| inside[line + 1]).unwrap_or(end);
        for line in at..end {
            builder.need(base + line + 1, base + line);
            if end - at < LONGEST_CHAIN {
                builder.need(base + line, base + line + 1);
            }
        }
        at = end + 1;
    }
    at = 0;
    while at < lines.len() {
        let end = if inside[at] { None } else { statement(&lines[at..]) };
        if let Some(end) = end {
            tie_statement(&lines[at..=at + end], base + at, builder);
        }
        at += end.unwrap_or_default() + 1;
    }
    environments(lines, base, builder);
}

/// Returns how many of `lines` belong to what the first of them begins, if that is more than one line: a text behind
/// `<<EOF`, a line that goes on, a statement of SQL, an environment. None of them is begun by prose.
pub(super) fn length(lines: &[Line]) -> usize {
    let content = lines[0].content();
    let last = if opens_text(content) {
        opened(lines, 0, 0).map(|block| block.last)
    } else if content.starts_with("\\begin{") && !content.starts_with("\\begin{document}") {
        environment(lines)
    } else if content.starts_with(|c: char| c.is_ascii_uppercase()) && !content.ends_with('\\') {
        let upper =
            content.split(' ').next().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
        let closed = |&end: &usize| lines[end].text.ends_with(';');
        statement(lines).filter(|_| upper).filter(closed)
    } else if content.ends_with('\\') {
        Some(chain(lines))
    } else {
        None
    };
    last.filter(|&last| last > 0).map_or(0, |last| last + 1)
}

/// Returns the number of lines behind the first one that each line before them goes on with.
fn chain(lines: &[Line]) -> usize {
    lines.windows(2).take_while(|pair| goes_on(&pair[0], &pair[1])).count()
}

/// Returns whether a line goes on with the next one by a mark at its end.
fn goes_on(line: &Line, next: &Line) -> bool {
    let content = line.content();
    if line.gap || is_comment(content) || content.starts_with('|') {
        return false;
    }
    if content.ends_with('\\') {
        return !content.ends_with("\\\\");
    }
    let Some((before, last)) = content.rsplit_once(' ') else { return false };
    match last {
        "&&" | "||" => true,
        // As in YAML, a bar may stand for a text below it.
        "|" => {
            !before.ends_with(':') && next.indent >= line.indent && !before.contains(" | ")
                || before.contains("$(")
        }
        "+" | "=" => next.indent > line.indent,
        _ => false,
    }
}

/// Returns the last line of the statement of SQL that the first line begins.
fn statement(lines: &[Line]) -> Option<usize> {
    if !STATEMENT.is_match(lines[0].content()) {
        return None;
    }
    let mut quote: Option<&str> = None;
    let mut block: Option<usize> = None;
    for (at, line) in lines.iter().enumerate().take(FARTHEST) {
        let content = line.content();
        for found in QUOTE.find_iter(content) {
            quote = if quote == Some(found.as_str()) { None } else { quote.or(Some(found.as_str())) };
        }
        let code = content.split(" --").next().unwrap_or_default().trim_end();
        if quote.is_none() && block.is_none() && begins_block(code) && at > 0 {
            block = Some(line.indent);
        }
        let closes = block == Some(line.indent) && ends_block(code);
        if quote.is_none() && (closes || block.is_none() && (code.ends_with(';') || line.gap)) {
            return Some(at);
        }
    }
    quote.is_none().then(|| lines.len().min(FARTHEST) - 1).filter(|_| block.is_none())
}

fn begins_block(code: &str) -> bool {
    code.eq_ignore_ascii_case("begin")
}

fn ends_block(code: &str) -> bool {
    code.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("end"))
        && code[3..].chars().all(|c| matches!(c, ' ' | ';' | '/' | '$'))
}

/// Ties the lines of a statement: all of a short one, the tuples of an `INSERT` to its head, and what a function does
/// to the head and the end of it.
fn tie_statement(lines: &[Line], base: usize, builder: &mut Builder) {
    let last = lines.len() - 1;
    let mut chain = |range: Range<usize>| range.for_each(|line| builder.tie(base + line, base + line + 1));
    let quoted = |line: &Line| QUOTE.find_iter(line.content()).count() % 2 == 1;
    let open = lines.iter().position(|line| quoted(line) || begins_block(line.content()));
    let values = lines.iter().position(|line| VALUES.is_match(line.content()));
    let inner = if let Some(open) = open {
        let close = lines.iter().rposition(quoted).filter(|&close| close > open).unwrap_or(last);
        chain(0..open);
        chain(close..last);
        builder.tie(base + open, base + close);
        Some((open, open + 1..close))
    } else if let Some(head) = values {
        chain(0..head);
        builder.segments[base + head].kind = SegmentKind::Parent;
        Some((head, head + 1..last + 1))
    } else if last < LONGEST_STATEMENT {
        chain(0..last);
        None
    } else {
        builder.tie(base, base + last);
        Some((0, 1..last))
    };
    if let Some((head, inner)) = inner {
        inner.for_each(|line| builder.put_under(base + line, base + head));
    }
}

/// The last line of the environment that the first line begins.
fn environment(lines: &[Line]) -> Option<usize> {
    let name = BEGIN.captures(lines[0].text)?.get(1)?.as_str();
    let (begin, end) = (format!("\\begin{{{name}}}"), format!("\\end{{{name}}}"));
    let mut depth = 0;
    lines.iter().take(FARTHEST).position(|line| {
        depth += usize::from(line.text.contains(&begin));
        depth -= usize::from(depth > 0 && line.text.contains(&end));
        depth == 0
    })
}

/// Ties the ends of environments of LaTeX, and what is inside to them.
fn environments(lines: &[Line], base: usize, builder: &mut Builder) {
    // Environments that are open: their names and first lines, the outermost first.
    let mut open: Vec<(&str, usize)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let content = line.content();
        if !content.starts_with('\\') && open.is_empty() {
            continue;
        }
        let ends = content.strip_prefix("\\end{").and_then(|rest| rest.split('}').next());
        let begun = ends.and_then(|name| {
            let depth = open.iter().rev().take(8).position(|(own, _)| *own == name)?;
            open.truncate(open.len() - depth);
            open.pop()
        });
        if let Some((name, first)) = begun {
            builder.tie(base + first, base + at);
            builder.segments[base + first].kind = SegmentKind::Parent;
            builder.segments[base + at].kind = SegmentKind::Tag;
            if is_formula(name) && at - first < LONGEST_STATEMENT {
                (first..at).for_each(|line| builder.tie(base + line, base + line + 1));
            } else if is_table(name) {
                tie_rows(&lines[first + 1..at], base + first + 1, builder);
            }
            put_under_caption(&lines[first..at], base + first, builder);
        } else if let Some(&(_, first)) = open.last().filter(|(name, _)| *name != "document") {
            builder.put_under(base + at, base + first);
        }
        let name = BEGIN.captures(line.text).and_then(|found| found.get(1));
        if let Some(name) = name.filter(|name| !line.text.contains(&format!("\\end{{{}}}", name.as_str()))) {
            open.push((name.as_str(), at));
        }
    }
}

fn is_table(name: &str) -> bool {
    ["tabular", "longtab", "tabu", "tblr"].iter().any(|table| name.contains(table))
}

fn is_formula(name: &str) -> bool {
    ["equation", "align", "gather", "multline", "math", "eqnarray", "split", "cases", "matrix", "flalign"]
        .iter()
        .any(|formula| name.contains(formula))
}

/// A row of a table of LaTeX, or a rule that is drawn between rows.
struct TableRow<'t> {
    lines: Range<usize>,
    is_rule: bool,
    /// The rule itself, or what stands behind the row on its last line.
    behind: &'t str,
}

impl TableRow<'_> {
    /// Returns whether what stands here ends the names of the columns: a rule through all of them.
    fn ends_header(&self) -> bool {
        ["\\hline", "\\midrule", "\\specialrule", "\\hhline", "\\endhead", "\\endfirsthead"]
            .iter()
            .any(|rule| self.behind.starts_with(rule))
    }
}

/// Returns whether a line of a table only draws one, or ends the part that each page repeats.
fn is_rule(content: &str) -> bool {
    const RULES: [&str; 7] = ["hline", "hhline", "cline", "toprule", "midrule", "bottomrule", "cmidrule"];
    const OTHERS: [&str; 5] = ["specialrule", "addlinespace", "endhead", "endfirsthead", "endfoot"];
    let name = content.strip_prefix('\\').unwrap_or_default();
    RULES.iter().chain(&OTHERS).any(|rule| name.starts_with(rule))
}

/// Returns the rows of a table and the rules between them. A row ends with two backslashes, and may take several lines.
fn rows<'t>(lines: &[Line<'t>]) -> Vec<TableRow<'t>> {
    let (mut rows, mut start) = (Vec::new(), None);
    for (at, line) in lines.iter().enumerate() {
        let content = line.content();
        let behind = content.rsplit_once("\\\\").map(|(_, behind)| behind.trim_start());
        if is_rule(content) {
            rows.push(TableRow { lines: at..at + 1, is_rule: true, behind: content });
            start = None;
        } else if let Some(behind) =
            behind.filter(|behind| behind.is_empty() || behind.starts_with(['\\', '[', '%']))
        {
            let first = start.take().unwrap_or(at);
            rows.push(TableRow { lines: first..at + 1, is_rule: false, behind });
        } else {
            start = start.or(Some(at));
        }
    }
    rows
}

/// Makes the rows of a table need those above its first rule, which name the columns, and rules the rows beside them.
fn tie_rows(lines: &[Line], base: usize, builder: &mut Builder) {
    let rows = rows(lines);
    for row in &rows {
        (row.lines.start + 1..row.lines.end).for_each(|line| builder.tie(base + line - 1, base + line));
    }
    let Some(first) = rows.iter().position(|row| !row.is_rule) else { return };
    let Some(rule) = rows[first..].iter().position(TableRow::ends_header).map(|rule| first + rule) else {
        return;
    };
    let names: Vec<usize> =
        rows[..=rule].iter().filter(|row| !row.is_rule).flat_map(|row| row.lines.clone()).collect();
    let Some(&name) = names.last().filter(|_| names.len() <= MOST_HEADER) else { return };
    if rows[rule + 1..].iter().all(|row| row.is_rule) {
        return;
    }
    let mut above = base + name;
    for (i, row) in rows.iter().enumerate() {
        for line in row.lines.clone().map(|line| base + line) {
            if row.is_rule {
                let outer = i <= rule || i + 1 == rows.len();
                builder.need(line, if outer { base + name } else { above });
                builder.segments[line].kind = if outer { SegmentKind::Header } else { SegmentKind::Line };
            } else if i <= rule {
                builder.segments[line].kind = SegmentKind::Header;
                builder.tie(line, base + name);
            } else {
                above = line;
                for &name in &names {
                    builder.put_under(line, base + name);
                }
            }
        }
    }
}

/// Makes what a caption is of need it.
fn put_under_caption(lines: &[Line], base: usize, builder: &mut Builder) {
    let Some(caption) = lines.iter().position(|line| line.content().starts_with("\\caption")) else { return };
    let is_shown = |line: &Line| {
        ["\\begin{tab", "\\begin{longtab", "\\includegraphics"]
            .iter()
            .any(|shown| line.content().starts_with(shown))
    };
    for shown in (0..lines.len()).filter(|&line| line != caption && is_shown(&lines[line])) {
        builder.need(base + shown, base + caption);
    }
}

#[cfg(test)]
mod tests {
    use super::super::segments;

    /// Texts of the segments that are kept with the one that holds `part`, itself among them.
    fn kept<'t>(text: &'t str, part: &str) -> Vec<&'t str> {
        let all = segments(text);
        let at = all.iter().position(|own| text[own.range.clone()].contains(part)).expect("it is there");
        let (mut kept, mut open) = (std::collections::BTreeSet::from([at]), vec![at]);
        while let Some(next) = open.pop() {
            open.extend(all[next].needs.iter().filter(|&&need| kept.insert(need)));
        }
        kept.into_iter().map(|need| text[all[need].range.clone()].trim()).collect()
    }

    #[test]
    fn texts_behind_commands_keep_their_ends() {
        let shell =
            "#!/bin/sh\nset -e\ncat > note <<-'END'\nThe pump is off.\nDo not touch it.\nEND\necho done\n";
        let whole = ["cat > note <<-'END'", "The pump is off.", "Do not touch it.", "END"];
        assert_eq!(kept(shell, "touch"), whole);
        assert_eq!(kept(shell, "END\n"), whole);
        let docker = "FROM debian\n\nRUN <<EOF\napt-get update\napt-get install -y jq\nEOF\nUSER app\n";
        assert_eq!(kept(docker, "jq"), ["RUN <<EOF", "apt-get update", "apt-get install -y jq", "EOF"]);
        assert_eq!(kept(docker, "USER"), ["USER app"]);
        let toml = "[boat]\nname = \"Elsa\"\nabout = \"\"\"\nA boat of oak.\nShe does not leak.\n\"\"\"\nmasts = [\n    1,\n]\n";
        assert_eq!(kept(toml, "leak").len(), 5);
        assert_eq!(kept(toml, "1,"), ["[boat]", "masts = [", "1,", "]"]);
        let long =
            format!("#!/bin/sh\nset -e\ncat <<END\n{}END\necho done\n", "All is well here.\n".repeat(30));
        assert_eq!(kept(&long, "All is"), ["cat <<END", "All is well here.", "END"]);
    }

    #[test]
    fn lines_that_go_on_are_one() {
        let docker = "FROM debian\nENV A=1 \\\n    B=2\nHEALTHCHECK --retries=4 \\\n  CMD wget -qO- localhost || exit 1\nUSER app\n";
        assert_eq!(kept(docker, "A=1"), ["ENV A=1 \\", "B=2"]);
        assert_eq!(kept(docker, "retries").len(), 2);
        let shell = "#!/bin/sh\nset -e\ntest -f lock &&\n  rm lock\necho done\n";
        assert_eq!(kept(shell, "test -f"), ["test -f lock &&", "rm lock"]);
    }

    #[test]
    fn lines_of_sql_belong_to_their_statement() {
        let sql = "CREATE TABLE boat (id int);\n\nCREATE FUNCTION sink(b int) RETURNS void AS $$\nBEGIN\n    IF b > 9 THEN\n        RAISE EXCEPTION 'no such boat';\n    END IF;\nEND\n$$;\n\nINSERT INTO boat (id) VALUES\n  (1),\n  (2);\n\nSELECT id\nFROM boat\nWHERE id <> 2;\nDROP TABLE boat;\n";
        assert_eq!(
            kept(sql, "RAISE"),
            [
                "CREATE FUNCTION sink(b int) RETURNS void AS $$",
                "BEGIN",
                "IF b > 9 THEN",
                "RAISE EXCEPTION 'no such boat';",
                "END IF;",
                "END",
                "$$;"
            ]
        );
        assert_eq!(kept(sql, "(2)"), ["INSERT INTO boat (id) VALUES", "(2);"]);
        assert_eq!(kept(sql, "<> 2"), ["SELECT id", "FROM boat", "WHERE id <> 2;"]);
        let mixed = "Run this on Monday.\n\nINSERT INTO crew (name, age) VALUES\n  ('Ann', 30),\n  ('Bo', NULL);\n\nThen tell the mate.\n";
        assert_eq!(kept(mixed, "Bo"), ["INSERT INTO crew (name, age) VALUES", "('Bo', NULL);"]);
    }

    #[test]
    fn rows_of_latex_need_the_names_of_their_columns() {
        let table = |body: &str| format!("\\begin{{tabular}}{{lr}}\n{body}\\end{{tabular}}\n");
        for (above, names, below) in [
            ("\\hline\n", "Plot & Rye \\\\", "\\hline\n"),
            ("\\toprule\n", "Plot & Rye \\\\", "\\midrule\n"),
            ("", "Plot & Rye \\\\ \\hline", ""),
            ("\\hline\n", "Plot &", "Rye \\\\[2pt]\n\\hline\n"),
            ("\\toprule\n & Yield \\\\\n\\cmidrule{2-2}\n", "Plot & Rye \\\\", "\\midrule\n"),
        ] {
            let text = table(&format!(
                "{above}{names}\n{below}A & 6.1 \\\\\nB & 4.9 \\\\ \\hline\nC & 7 \\\\\n\\bottomrule\n"
            ));
            for row in ["6.1", "4.9", "C &"] {
                assert!(kept(&text, row).contains(&names), "{:?}", kept(&text, row));
            }
            assert_eq!(above.contains("Yield"), kept(&text, "C &").contains(&"& Yield \\\\"));
            assert!(kept(&text, "bottomrule").contains(&names), "a rule says nothing");
        }
        let bare = table("A & 6.1 \\\\\nB & 4.9 \\\\\n");
        assert_eq!(kept(&bare, "4.9").len(), 3);
    }

    #[test]
    fn environments_keep_their_ends() {
        let table = "The yields are these.\n\n\\begin{table}\n\\begin{tabular}{lr}\nPlot & Rye \\\\\n\\hline\nA & 6.1 \\\\\nB & 4.9 \\\\\n\\end{tabular}\n\\end{table}\nNo more is known.\n";
        assert_eq!(
            kept(table, "4.9"),
            [
                "\\begin{table}",
                "\\begin{tabular}{lr}",
                "Plot & Rye \\\\",
                "B & 4.9 \\\\",
                "\\end{tabular}",
                "\\end{table}"
            ]
        );
        assert_eq!(kept(table, "No more"), ["No more is known."]);
        let formula = "We have\n\\begin{equation}\n  x = y\n\\end{equation}\nfor all of them.\n";
        assert_eq!(kept(formula, "x = y"), ["\\begin{equation}", "x = y", "\\end{equation}"]);
    }
}
