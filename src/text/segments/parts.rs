//! The parts of a text by their kinds.

use std::cell::LazyCell;
use std::ops::Range;

use super::builder::{Around, Builder};
use super::entries::{self, Entry};
use super::fences::{FARTHEST, closing, fence, tag};
use super::lines::{Line, Shape, is_code};
use super::runs::{FEW, MAIL, Run, is_source, run_of};
use super::{
    SegmentKind, asciidoc, blocks, captions, diagnostic, dialogue, diff, documents, failures, headings,
    joined, listing, literals, markup, nested, pod, prose, reads, records, sections, table, trace,
};
use crate::text::JsonToken;

/// The maximum depth to which fences and tags are parsed.
const DEEPEST: usize = 8;

/// Cuts lines into parts and those into segments.
pub(super) struct Parts<'b, 't> {
    pub(super) builder: &'b mut Builder<'t>,
    /// Levels and numbers of the headings that are open.
    headings: Vec<(usize, usize)>,
    /// Bytes that may still be read for JSON that turns out to be none.
    tries: usize,
    fineness: records::Fineness,
    /// The end of the last line that is a value of JSON.
    json_line: usize,
    /// Set while the lines that are walked are a program, whose statements its structure joins.
    source: bool,
}

impl<'b, 't> Parts<'b, 't> {
    pub(super) fn new(builder: &'b mut Builder<'t>, fineness: records::Fineness) -> Self {
        let tries = 4 * builder.text.len() + 1024;
        Self { builder, headings: Vec::new(), tries, fineness, json_line: 0, source: false }
    }

    /// Adds the segments of `lines`.
    pub(super) fn cut(&mut self, lines: &[Line], around: &Around, depth: usize) {
        let matter = Some(lines).filter(|_| depth == 0).and_then(documents::matter);
        if let Some(end) = matter {
            documents::add_matter(&lines[..end], self.builder, around);
            if end < lines.len() {
                self.cut(&lines[end..], around, depth + 1);
            }
            return;
        }
        let fenced = lines.first().is_some_and(|first| begins_json(first.text))
            || lines.iter().any(|line| {
                fence(line.text).is_some()
                    || diff::begins_hunk(line.text)
                    || line.text.starts_with('=') && (pod::begins(line.text) || failures::begins(line))
            })
            || lines
                .windows(2)
                .any(|pair| entries::begins(pair[0].text, pair[1].text) || diagnostic::length(pair) > 0);
        // Asked up to three times, and each time of all lines.
        let source = LazyCell::new(|| lines.len() >= FEW && is_source(lines));
        match Some(lines).filter(|_| !fenced).and_then(|lines| run_of(lines, || *source)) {
            Some(run @ (Run::Settings | Run::Nested)) => self.around_keys(run, lines, around),
            Some(run) => self.run(run, lines, around),
            None => {
                let outer = std::mem::replace(&mut self.source, *source);
                self.walk(lines, around, depth);
                self.source = outer;
            }
        }
    }

    /// Adds lines of one kind, between which keys may stand.
    fn around_keys(&mut self, run: Run, lines: &[Line], around: &Around) {
        let (mut at, mut before) = (0, 0);
        while at < lines.len() {
            match entries::key(&lines[at..]) {
                Some(count) => {
                    if before < at {
                        self.run(run, &lines[before..at], around);
                    }
                    Entry::Key(count).add(&lines[at..at + count], self.builder, around);
                    at += count;
                    before = at;
                }
                None => at += 1,
            }
        }
        if before < at {
            self.run(run, &lines[before..at], around);
        }
    }

    fn run(&mut self, run: Run, lines: &[Line], around: &Around) {
        match run {
            Run::Flat => nested::flat(lines, self.builder, around),
            Run::Nested => documents::documents(lines, self.builder, around),
            Run::Labelled => self.labelled(lines, around),
            Run::Settings => nested::settings(lines, self.builder, around),
            Run::Blocks => blocks::blocks(lines, self.builder, around),
            Run::Dialogue => dialogue::dialogue(lines, self.builder, around),
            Run::Subtitles => dialogue::subtitles(lines, self.builder, around),
            Run::Markup => {
                let range = lines.first().map_or(0, |line| line.range.start)
                    ..lines.last().map_or(0, |line| line.range.end);
                markup::markup(range, self.builder, around);
            }
        }
    }

    /// Adds lines behind numbers or paths: their kind is that of what stands behind those.
    fn labelled(&mut self, lines: &[Line], around: &Around) {
        let inner: Vec<Line> =
            lines.iter().map(|line| line.with_label(Shape::of(line.text).label(line.text))).collect();
        let name = |line: &Line| {
            let label = &line.text[..line.label];
            // Lines of one program, whoever wrote them.
            let label = if label.contains('(') { "" } else { label };
            label.trim_end_matches(|c: char| !c.is_alphabetic()).to_owned()
        };
        // Another file begins another program.
        let mut at = 0;
        while at < inner.len() {
            let own = name(&inner[at]);
            let end = at + 1 + inner[at + 1..].iter().take_while(|line| name(line) == own).count();
            nested::nested(&inner[at..end], self.builder, around);
            at = end;
        }
    }

    /// Adds parts that tell themselves by their first lines, and what stands between them.
    fn walk(&mut self, lines: &[Line], around: &Around, depth: usize) {
        let (mut at, mut pending) = (0, 0);
        while at < lines.len() {
            let before = self.builder.segments.len();
            let flush = at - pending;
            let taken = self.special(&lines[at..], (&lines[pending..at], flush), around, depth);
            if taken == 0 {
                at += 1;
            } else {
                debug_assert!(self.builder.segments.len() > before, "a part has segments");
                at += taken;
                pending = at;
            }
        }
        self.plain(&lines[pending..], around);
    }

    /// Adds the part that the first of `lines` begins, behind the lines `before` it; gives how many lines it has.
    fn special(
        &mut self,
        lines: &[Line],
        (before, count): (&[Line], usize),
        around: &Around,
        depth: usize,
    ) -> usize {
        let first = lines[0].text;
        if let Some(end) =
            fence(first).and_then(|mark| closing(lines, |line| line.trim_start().starts_with(mark)))
        {
            self.plain(before, around);
            self.fenced(&lines[..=end], around, depth);
            return end + 1;
        }
        if let Some(name) = tag(first).filter(|_| depth < DEEPEST && self.tries > 0) {
            let close = format!("</{name}>");
            if let Some(end) = closing(lines, |line| line.trim().eq_ignore_ascii_case(&close)) {
                self.plain(before, around);
                self.fenced(&lines[..=end], around, depth);
                return end + 1;
            }
            self.tries = self.tries.saturating_sub(lines.len().min(FARTHEST));
        }
        let next = lines.get(1).map_or("", |line| line.text);
        let may_begin = first.contains(entries::KEY)
            || entries::begins(first, next)
            || !self.source && entries::begins_with_notes(first, next);
        if self.tries > 0 && may_begin {
            if let Some(entry) = Entry::of(lines) {
                self.plain(before, around);
                entry.add(&lines[..entry.len()], self.builder, around);
                return entry.len();
            }
            self.tries = self.tries.saturating_sub(lines.len().min(FARTHEST));
        }
        let own = self.of_format(lines, before, around);
        if own > 0 {
            return own;
        }
        if let Some((count, level)) = Some(lines).filter(|_| !self.source).and_then(headings::told_below) {
            self.plain(before, around);
            headings::push(&lines[..count], level, &mut self.headings, self.builder, around);
            return count;
        }
        if let Some(end) = headings::drawer(lines) {
            self.plain(before, around);
            let around = self.headings.last().map_or_else(
                || around.clone(),
                |&(_, heading)| around.under(heading, self.builder.segments[heading].range.clone()),
            );
            headings::add_drawer(&lines[..end], self.builder, &around);
            return end;
        }
        let log = blocks::log(lines);
        if log > 0 {
            self.plain(before, around);
            self.commit(&lines[..log], around, depth);
            return log;
        }
        if first.trim_start().starts_with(['{', '[']) {
            let found = self.json(lines, before, around);
            if found > 0 {
                return found;
            }
        }
        if lines[0].indent == 0 && markup::is_element(first) {
            self.plain(before, around);
            markup::markup(lines[0].range.clone(), self.builder, around);
            return 1;
        }
        let message = diagnostic::length(lines);
        if message > 0 {
            self.plain(before, around);
            diagnostic::diagnostic(&lines[..message], self.builder, around);
            return message;
        }
        let changes = diff::length(lines);
        if changes > 0 {
            self.plain(before, around);
            diff::diff(&lines[..changes], self.builder, around);
            return changes;
        }
        let own = sections::length(lines);
        if own > 0 {
            self.plain(before, around);
            sections::sections(&lines[..own], self.builder, around);
            return own;
        }
        let joined = if self.source { 0 } else { joined::length(lines) };
        if joined > 0 && Shape::of(first) != Shape::Setting {
            self.plain(before, around);
            nested::nested(&lines[..joined], self.builder, around);
            return joined;
        }
        let rows = self.rows(lines, (before, count), around);
        if rows > 0 {
            return rows;
        }
        let trace = trace::length(lines);
        if trace > 0 {
            self.plain(before, around);
            trace::trace(&lines[..trace], self.builder, around);
            return trace;
        }
        self.shaped(lines, before, around)
    }

    /// Adds the documentation of Perl, the output of tests or the table of `AsciiDoc` that `lines` begin with; gives how
    /// many lines it has.
    fn of_format(&mut self, lines: &[Line], before: &[Line], around: &Around) -> usize {
        type Length = fn(&[Line]) -> usize;
        type Add = fn(&[Line], &mut Builder, &Around);
        let formats: [(Length, Add); 3] = [
            (pod::length, pod::pod),
            (failures::length, failures::failures),
            (asciidoc::length, asciidoc::table),
        ];
        for (length, add) in formats {
            let count = length(lines);
            if count > 0 {
                self.plain(before, around);
                add(&lines[..count], self.builder, around);
                return count;
            }
        }
        0
    }

    /// Adds a commit with its changes.
    fn commit(&mut self, lines: &[Line], around: &Around, depth: usize) {
        let changes = lines.iter().position(|line| line.text.starts_with("diff --")).unwrap_or(lines.len());
        let head = self.builder.segments.len();
        blocks::blocks(&lines[..changes], self.builder, around);
        if changes < lines.len() {
            let inner = around.under(head, self.builder.segments[head].range.clone());
            self.cut(&lines[changes..], &inner, depth + 1);
        }
    }

    /// Adds the table that `lines` begin with, under the statement or the caption above it; gives how many lines it has.
    fn rows(&mut self, lines: &[Line], (before, count): (&[Line], usize), around: &Around) -> usize {
        let rows = table::rows(lines);
        if rows > 0 {
            if let Some((head, before)) =
                before.split_last().filter(|(head, _)| sections::names_columns(head))
            {
                self.plain(before, around);
                let end = lines.get(rows).filter(|end| end.text == r"\.");
                sections::copied(head, &lines[..rows], end, self.builder, around);
                return rows + usize::from(end.is_some());
            }
            let own = before.split_last().filter(|(last, _)| captions::heads(last, &lines[0]));
            self.plain(own.map_or(before, |(_, others)| others), around);
            let mut around = around.clone();
            if let Some((caption, _)) = own {
                let number = self.builder.push(caption.range.clone(), SegmentKind::Heading, &around);
                around = around.under(number, caption.range.clone());
            } else if count > 0
                && let Some(caption) = self.builder.segments.last().filter(|last| last.range.len() < 200)
            {
                // What stands right above a table is its caption.
                around.context.push(caption.range.clone());
            }
            let first = self.builder.segments.len();
            table::table(&lines[..rows], self.builder, &around);
            if let Some(caption) = captions::below(&lines[rows..]).filter(|_| own.is_none()) {
                captions::add_below(caption, first, self.builder, &around);
                return rows + 1;
            }
        }
        rows
    }

    /// Adds lines that look like the first one, where that has a look of its own.
    fn shaped(&mut self, lines: &[Line], before: &[Line], around: &Around) -> usize {
        let shape = Shape::of(lines[0].text);
        let mail = MAIL.is_match(lines[0].text);
        let alike = |line: &Line| {
            if mail {
                MAIL.is_match(line.text) || line.indent > 0
            } else {
                !line.text.contains(entries::KEY) && Shape::of(line.text) == shape
                    || line.indent > lines[0].indent && shape != Shape::Numbered
            }
        };
        let (fewest, run) = match shape {
            _ if mail => (3, Run::Flat),
            Shape::Log | Shape::Listing => (2, Run::Flat),
            Shape::Trace => (2, Run::Nested),
            // Codes below the title that says what they are of.
            Shape::Numbered if is_titled(before, &lines[0]) => return 0,
            Shape::Found | Shape::Numbered | Shape::Blamed => (3, Run::Labelled),
            Shape::Setting => (2, Run::Settings),
            Shape::Other => return 0,
        };
        let (mut count, mut fewest) = (0, fewest);
        while count < lines.len() {
            // What a command of a shell writes may be a table.
            let other = count > 0 && shape == Shape::Listing && Shape::of(lines[count].text) != shape;
            if other && table::rows(&lines[count..]) > 0 {
                fewest = 1;
                break;
            }
            let own = |lines: &[Line]| diagnostic::length(lines) > 0 || trace::length(lines) > 0;
            let ends = matches!(shape, Shape::Trace | Shape::Found) && count > 0 && own(&lines[count..]);
            if ends {
                fewest = 1;
                break;
            }
            // A trace belongs to the entry of the log above it.
            let entry = shape == Shape::Log && count > 0 && !lines[count - 1].gap;
            let trace = if entry { trace::length(&lines[count..]) } else { 0 };
            match trace {
                0 if shape == Shape::Setting && alike(&lines[count]) => {
                    count += nested::value_length(&lines[count..]);
                }
                0 if alike(&lines[count]) => count += 1,
                0 => break,
                trace => count += trace,
            }
        }
        if count < fewest {
            return 0;
        }
        self.plain(before, around);
        self.run(run, &lines[..count], around);
        count
    }

    /// Adds lines between a first and a last one that belong together: what stands inside needs both.
    fn fenced(&mut self, lines: &[Line], around: &Around, depth: usize) {
        let [first, inside @ .., last] = lines else { return };
        // It says nothing by itself.
        let open = self.builder.push(first.range.clone(), SegmentKind::Parent, around);
        let inner = around.under(open, first.range.clone());
        let language = first.text.trim_start().trim_start_matches(['`', '~']).trim().to_lowercase();
        let is_text = tag(first.text).is_some()
            || matches!(
                &*language,
                "md" | "markdown"
                    | "txt"
                    | "text"
                    | "json"
                    | "csv"
                    | "diff"
                    | "xml"
                    | "html"
                    | ""
                    | "jsonl"
                    | "tsv"
                    | "log"
                    | "patch"
            );
        let code = inside.iter().filter(|line| is_code(line.content())).count() * 4 >= inside.len();
        if depth < DEEPEST && (is_text && !(language.is_empty() && code && tag(first.text).is_none())) {
            self.cut(inside, &inner, depth + 1);
        } else {
            documents::documents(inside, self.builder, &inner);
        }
        let close = self.builder.push(last.range.clone(), SegmentKind::Tag, around);
        self.builder.tie(open, close);
    }

    /// Adds the JSON that `lines` begin with, or the lines of JSON.
    fn json(&mut self, lines: &[Line], before: &[Line], around: &Around) -> usize {
        let Some(last) = lines.last() else { return 0 };
        let range = lines[0].range.start..last.range.end;
        if self.tries == 0 {
            return 0;
        }
        let Some((tokens, value)) = self.value(lines, range) else {
            self.tries = self.tries.saturating_sub(last.range.end - lines[0].range.start);
            return 0;
        };
        // A word in brackets is no JSON that anybody would keep whole.
        if tokens.len() < 4 {
            return 0;
        }
        let count = lines.iter().take_while(|line| line.range.start < value.end).count();
        self.plain(before, around);
        let whole = lines[0].range.start..lines[count - 1].range.end;
        let is_line = count == 1 && (beside_json(lines) || whole.start > 0 && self.json_line == whole.start);
        self.json_line = if count == 1 { whole.end } else { 0 };
        records::records(&tokens, whole, is_line, self.fineness, self.builder, around);
        count
    }

    /// The tokens and the range of the value of JSON that `lines` begin with, or of one in the spelling of Python or without
    /// its end.
    fn value(&self, lines: &[Line], range: Range<usize>) -> Option<(Vec<JsonToken>, Range<usize>)> {
        let line = &lines[0];
        let start = range.start + self.builder.text[range.clone()].find(line.text).unwrap_or_default();
        let next = lines.get(1).map_or("", Line::content);
        let goes_on = next.starts_with(['{', '[', '}', ']', '"', '\''])
            || line.text.ends_with([',', '{', '[', ':']) && !next.is_empty();
        let loose = || {
            let (tokens, value) = literals::value(line.text, !goes_on)?;
            let moved = |range: Range<usize>| start + range.start..start + range.end;
            let tokens = tokens.into_iter().map(|token| JsonToken { range: moved(token.range), ..token });
            Some((tokens.collect(), moved(value)))
        };
        // Asked first, for a value that never ends is looked for in all that follows.
        let is_python = line.text.contains("': ") || line.text.contains("{'");
        let value = if is_python { loose() } else { None };
        value
            .or_else(|| records::value(self.builder.text, range))
            .or_else(|| if is_python { None } else { loose() })
    }

    /// Adds what is left: paragraphs of code, and prose.
    fn plain(&mut self, lines: &[Line], around: &Around) {
        let mut at = 0;
        while at < lines.len() {
            let (mut end, code) = (paragraph(lines, at), is_program(&lines[at..paragraph(lines, at)]));
            while end < lines.len() && is_program(&lines[end..paragraph(lines, end)]) == code {
                end = paragraph(lines, end);
            }
            let part = &lines[at..end];
            match run_of(part, || is_source(part)) {
                _ if code => nested::nested(part, self.builder, around),
                Some(run) => self.run(run, part, around),
                None => self.unshaped(part, around),
            }
            at = end;
        }
    }

    /// Adds lines of no kind that is told: those that read as prose are, the others go by lines.
    fn unshaped(&mut self, lines: &[Line], around: &Around) {
        let mut at = 0;
        for (end, is_listing) in listing::parts(lines) {
            let part = &lines[at..end];
            if is_listing {
                let around = prose::under(&self.headings, self.builder, around);
                listing::listing(part, self.builder, &around);
            } else {
                prose::prose(part, &mut self.headings, self.builder, around);
            }
            at = end;
        }
    }
}

/// Returns whether the nearest line above that is indented less is a title of what is below it.
fn is_titled(before: &[Line], line: &Line) -> bool {
    let above = before.iter().rev().take(NEAR).find(|above| above.indent < line.indent);
    above.is_some_and(|above| !above.gap && reads::heads_text(above))
}

/// Lines in which the title above a line is looked for.
const NEAR: usize = 64;

/// Returns whether JSON may begin on a line: it is no section of settings.
fn begins_json(line: &str) -> bool {
    let inside = line.trim_start().trim_start_matches('[');
    line.trim_start().starts_with(['{', '['])
        && !(inside.starts_with(char::is_alphabetic) && Shape::of(line) == Shape::Setting)
}

/// Returns whether the second line, too, holds a JSON value, so that each line is a record.
fn beside_json(lines: &[Line]) -> bool {
    let first = lines[0].content().chars().next();
    lines.get(1).is_some_and(|next| next.content().chars().next() == first && next.text.ends_with(['}', ']']))
}

/// The end of the paragraph that begins at line `at`.
fn paragraph(lines: &[Line], at: usize) -> usize {
    lines[at..].iter().position(|line| line.gap).map_or(lines.len(), |gap| at + gap + 1)
}

/// Returns whether a paragraph of two or more lines is a piece of a program.
fn is_program(lines: &[Line]) -> bool {
    let code = lines.iter().filter(|line| is_code(line.content())).count();
    lines.len() > 1
        && code * 5 >= lines.len() * 4
        && lines.iter().any(|line| line.text.contains(['(', ')', '{', '=', ';', '[']))
        && !lines[0].text.starts_with(['#', '-', '*', '|'])
}
