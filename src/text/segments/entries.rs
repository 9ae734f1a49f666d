//! Entries that tell themselves by their first lines: records between `BEGIN:` and `END:`, keys, matches of a search
//! below the path of their file, games of chess, texts with their translations, and metrics with their samples.

use std::sync::LazyLock;

use regex::Regex;

use super::builder::{Around, Builder};
use super::lines::Line;
use super::{SegmentKind, nested};

/// Most lines in which the end of a record is looked for.
const FARTHEST: usize = 20_000;
/// The beginning of the first line of a key or certificate.
pub(super) const KEY: &str = "-----BEGIN ";
/// Most lines of a key.
const LONGEST_KEY: usize = 200;

static OPENS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^BEGIN:[A-Za-z][\w-]*$").expect("a test compiles it"));
static CLOSES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^END:[A-Za-z][\w-]*$").expect("a test compiles it"));
/// The property that a record is called by.
static NAMES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:FN|SUMMARY|NAME|TITLE)[;:]").expect("a test compiles it"));
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[\w@.+~:-]*(?:[/\\][\w@.+~-]+)+|[\w-]+(?:\.\w+)+)$").expect("a test compiles it")
});
static MATCH: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\d{1,6}(?:[:-])(?:\d{1,4}:)?").expect("a test compiles it"));
static TAG: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\[[A-Z]\w* "[^"]*"\]$"#).expect("a test compiles it"));
static MOVES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d+\. ?\S").expect("a test compiles it"));

/// An entry, with the number of its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Record(usize),
    Key(usize),
    Found(usize),
    Game(usize),
    Message(usize),
    Metric(usize),
}

impl Entry {
    /// Returns the entry that `lines` begin with.
    pub(super) fn of(lines: &[Line]) -> Option<Self> {
        let first = lines.first()?.text;
        if OPENS.is_match(first) {
            return record(lines).map(Self::Record);
        }
        if first.contains(KEY) {
            return key(lines).map(Self::Key);
        }
        let count = found(lines);
        if count > 0 {
            return Some(Self::Found(count));
        }
        let count = message(lines);
        if count > 0 {
            return Some(Self::Message(count));
        }
        let count = metric(lines);
        if count > 0 {
            return Some(Self::Metric(count));
        }
        let count = game(lines);
        (count > 0).then_some(Self::Game(count))
    }

    /// Returns the number of its lines.
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Record(count)
            | Self::Key(count)
            | Self::Found(count)
            | Self::Game(count)
            | Self::Message(count)
            | Self::Metric(count) => count,
        }
    }

    /// Adds the segments of `lines`, which are those of the entry.
    pub(super) fn add(self, lines: &[Line], builder: &mut Builder, around: &Around) {
        match self {
            Self::Record(_) => add_record(lines, builder, around),
            Self::Key(_) => {
                let last = lines.last().map_or(0, |line| line.range.end);
                builder.push(lines[0].range.start..last, SegmentKind::Blob, around);
            }
            Self::Found(_) => add_found(lines, builder, around),
            Self::Game(_) => add_game(lines, builder, around),
            Self::Message(_) => add_message(lines, builder, around),
            Self::Metric(_) => add_metric(lines, builder, around),
        }
    }
}

/// Returns the lines of the key that begins on the first of `lines`.
pub(super) fn key(lines: &[Line]) -> Option<usize> {
    lines.first().filter(|first| first.text.contains(KEY))?;
    lines.iter().take(LONGEST_KEY).position(|line| line.text.contains("-----END ")).map(|last| last + 1)
}

/// Returns whether an entry other than a key may begin on a line, by the one behind it.
pub(super) fn begins(line: &str, next: &str) -> bool {
    OPENS.is_match(line)
        || MATCH.is_match(next) && PATH.is_match(line)
        || line.starts_with('[') && TAG.is_match(line)
        || names_metric(line).is_some()
        || is_message(line)
}

/// Returns whether an entry may begin with notes on a line, by the one behind it.
pub(super) fn begins_with_notes(line: &str, next: &str) -> bool {
    is_note(line) && (is_note(next) || is_message(next))
}

/// Returns the lines up to the end of the record that the first one opens.
fn record(lines: &[Line]) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, line) in lines.iter().take(FARTHEST).enumerate() {
        if OPENS.is_match(line.text) {
            depth += 1;
        } else if CLOSES.is_match(line.text) {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

/// A record that is open.
struct Open {
    begin: usize,
    name: Option<usize>,
    members: Vec<usize>,
}

/// Adds the lines of a record, which need its ends and the line that names it. One that is indented goes on with the one
/// above.
fn add_record(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut open: Vec<Open> = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = &lines[at];
        let end = at + 1 + lines[at + 1..].iter().take_while(|next| next.indent > 0).count();
        let range = line.range.start..lines[end - 1].range.end;
        at = end;
        if CLOSES.is_match(line.text) {
            let number = builder.push(range, SegmentKind::Tag, around);
            if let Some(record) = open.pop() {
                builder.tie(record.begin, number);
                name_members(&record, builder);
            }
            continue;
        }
        let opens = OPENS.is_match(line.text);
        let kind = if opens { SegmentKind::Parent } else { SegmentKind::Line };
        let number = builder.push(range, kind, around);
        if let Some(outer) = open.last_mut() {
            builder.put_under(number, outer.begin);
            outer.members.push(number);
            if outer.name.is_none() && NAMES.is_match(line.text) {
                outer.name = Some(number);
            }
        }
        if opens {
            open.push(Open { begin: number, name: None, members: Vec::new() });
        }
    }
}

/// Makes the lines of a record need the one that names it.
fn name_members(record: &Open, builder: &mut Builder) {
    let Some(name) = record.name else { return };
    let range = builder.segments[name].range.clone();
    for &member in record.members.iter().filter(|&&member| member != name) {
        builder.need(member, name);
        builder.segments[member].context.push(range.clone());
    }
}

/// Returns the lines of the matches in one file: its path, and below it numbers before lines.
fn found(lines: &[Line]) -> usize {
    let [first, second, ..] = lines else { return 0 };
    if first.gap || !MATCH.is_match(second.text) || !PATH.is_match(first.text) {
        return 0;
    }
    let inside =
        |at: &usize| !lines[at - 1].gap && (lines[*at].text == "--" || MATCH.is_match(lines[*at].text));
    1 + (1..lines.len()).take_while(inside).count()
}

/// Adds the matches in one file: each needs its path, and the lines that stand around it in the program.
fn add_found(lines: &[Line], builder: &mut Builder, around: &Around) {
    let [path, matches @ ..] = lines else { return };
    let number = builder.push(path.range.clone(), SegmentKind::Parent, around);
    let inner = around.under(number, path.range.clone());
    for group in matches.split_inclusive(|line| line.text == "--") {
        let labelled: Vec<Line> = group
            .iter()
            .map(|line| line.with_label(MATCH.find(line.text).map_or(0, |label| label.end())))
            .collect();
        nested::nested(&labelled, builder, &inner);
    }
}

/// Returns whether a line begins a text of a catalogue of translations.
fn is_message(line: &str) -> bool {
    line.starts_with("msgid \"") || line.starts_with("msgctxt \"")
}

/// Returns whether a line says where such a text is from.
fn is_note(line: &str) -> bool {
    ["#:", "#,", "#.", "#|"].iter().any(|mark| line.starts_with(mark))
}

/// Returns the lines of a text with its translation, and of the notes above it.
fn message(lines: &[Line]) -> usize {
    let notes = lines.iter().take(LONGEST_KEY).take_while(|line| is_note(line.text) && !line.gap).count();
    if !lines.get(notes).is_some_and(|line| is_message(line.text)) {
        return 0;
    }
    let part = |line: &&Line| line.text.starts_with('"') || line.text.starts_with("msg");
    let own = &lines[notes..];
    let end = own.iter().position(|line| line.gap).map_or(own.len(), |gap| gap + 1);
    notes + own[..end].iter().take_while(part).count()
}

/// Adds a text with its translation, which are one; the notes above need it.
fn add_message(lines: &[Line], builder: &mut Builder, around: &Around) {
    let notes = lines.iter().take_while(|line| is_note(line.text)).count();
    let numbers: Vec<usize> = lines[..notes].iter().map(|line| builder.push_line(line, around)).collect();
    let (Some(first), Some(last)) = (lines.get(notes), lines.last()) else { return };
    let own = builder.push(first.range.start..last.range.end, SegmentKind::Line, around);
    for note in numbers {
        builder.put_under(note, own);
    }
}

/// Returns the name of the metric that a line says something of: `# HELP name`, `# TYPE name`.
fn names_metric(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "))?;
    rest.split(' ').next().filter(|name| name.contains(['_', ':']) && rest.len() > name.len())
}

/// Returns the lines of a metric: what it is, and its samples.
fn metric(lines: &[Line]) -> usize {
    let Some(name) = lines.first().and_then(|first| names_metric(first.text)) else { return 0 };
    let own = |line: &&Line| {
        names_metric(line.text).map_or_else(|| line.text.starts_with(name), |other| other == name)
    };
    lines.iter().take_while(own).count()
}

/// Adds a metric: its samples need what says what it is.
fn add_metric(lines: &[Line], builder: &mut Builder, around: &Around) {
    let mut heads = Vec::new();
    for line in lines {
        let number = builder.push_line(line, around);
        if names_metric(line.text).is_some() {
            builder.segments[number].kind = SegmentKind::Parent;
            heads.push(number);
        } else {
            for &head in &heads {
                builder.put_under(number, head);
            }
        }
    }
}

/// Returns the lines of a game: tags, and the moves behind them.
fn game(lines: &[Line]) -> usize {
    let tags = lines.iter().take(FARTHEST).take_while(|line| TAG.is_match(line.text)).count();
    if tags < 2 || !lines.get(tags).is_some_and(|line| MOVES.is_match(line.text)) {
        return 0;
    }
    lines[tags..].iter().position(|line| line.gap).map_or(lines.len(), |gap| tags + gap + 1)
}

/// Adds a game: its moves are one, and need those who played it and the result; what else is said of it needs the
/// players.
fn add_game(lines: &[Line], builder: &mut Builder, around: &Around) {
    let tags = lines.iter().take_while(|line| TAG.is_match(line.text)).count();
    let is = |line: &Line, names: &[&str]| {
        names.iter().any(|name| line.text[1..].strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')))
    };
    let numbers: Vec<usize> = lines[..tags].iter().map(|line| builder.push_line(line, around)).collect();
    let named = |names: &[&str]| -> Vec<usize> {
        lines[..tags]
            .iter()
            .zip(&numbers)
            .filter(|(line, _)| is(line, names))
            .map(|(_, &number)| number)
            .collect()
    };
    let (players, results) = (named(&["White", "Black"]), named(&["Result"]));
    for &number in &numbers {
        for &player in &players {
            builder.put_under(number, player);
        }
    }
    let (Some(first), Some(last)) = (lines.get(tags), lines.last()) else { return };
    let moves = builder.push(first.range.start..last.range.end, SegmentKind::Line, around);
    for &needed in players.iter().chain(&results) {
        builder.put_under(moves, needed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cut, kept_with};
    use super::*;

    #[test]
    fn a_text_keeps_its_translation() {
        let texts = "#: a.c:4\n#, fuzzy\nmsgid \"No paper\"\nmsgstr \"Kein Papier\"\n\nmsgid \"\"\n\"It is \"\n\"shut\"\nmsgstr \"\"\n\"Es ist zu\"\n\n#: b.c:7\nmsgid \"Open\"\nmsgstr \"Offen\"\n";
        for (part, whole) in [
            ("Kein", "msgid \"No paper\"\nmsgstr \"Kein Papier\""),
            ("shut", "msgid \"\"\n\"It is \"\n\"shut\"\nmsgstr \"\"\n\"Es ist zu\""),
        ] {
            assert!(kept_with(texts, part).is_empty());
            assert!(cut(texts).contains(&(SegmentKind::Line, whole)), "{:?}", cut(texts));
        }
        assert_eq!(kept_with(texts, "b.c"), ["msgid \"Open\"\nmsgstr \"Offen\""]);
    }

    #[test]
    fn samples_keep_what_they_measure() {
        let metrics = "# HELP gate_opened_total How often the gate was opened.\n# TYPE gate_opened_total counter\ngate_opened_total{side=\"north\"} 7\ngate_opened_total{side=\"south\"} 9\n# TYPE lamp_watts gauge\nlamp_watts 4\n";
        assert_eq!(kept_with(metrics, "south").len(), 2);
        assert_eq!(kept_with(metrics, "watts 4"), ["# TYPE lamp_watts gauge"]);
        assert_eq!(cut(metrics)[0].0, SegmentKind::Parent);
    }
}
