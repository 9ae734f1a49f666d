//! Chunks: pieces of a document that are small enough to be embedded, cut at sentences and headings.

use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde::{Deserialize, Serialize};

use super::sentences;

/// Most bytes of a chunk for each token that it may have. A vocabulary may take a very long word for one unknown
/// token; without this bound a chunk could be of any size.
const BYTES_PER_TOKEN: usize = 16;

/// The settings for chunking a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ChunkSettings {
    /// Most tokens of a chunk, 16 to 8,192.
    pub tokens: usize,
    /// Tokens at most that a chunk repeats from the end of the one before; less than half of `tokens`.
    pub overlap: usize,
}

impl Default for ChunkSettings {
    fn default() -> Self {
        Self { tokens: 220, overlap: 32 }
    }
}

impl ChunkSettings {
    /// Returns an error that describes the first invalid setting, if any.
    ///
    /// # Errors
    /// The range that a value must be in.
    pub fn check(&self) -> Result<(), String> {
        if !(16..=8192).contains(&self.tokens) {
            return Err(format!("chunks of {} tokens; they must be from 16 to 8192", self.tokens));
        }
        if self.overlap * 2 >= self.tokens {
            return Err(format!(
                "an overlap of {} tokens is half of a chunk or more; it must be less than {}",
                self.overlap,
                self.tokens.div_ceil(2)
            ));
        }
        Ok(())
    }
}

/// The layout of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Sentences and paragraphs.
    #[default]
    Plain,
    /// Markdown: a heading begins a chunk, lines of code and rows of tables stay whole, and what a chunk has of a table
    /// comes with the table's header.
    Markdown,
    /// Code: lines stay whole,.
    Code,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Byte range of the text, without white space around it.
    pub range: Range<usize>,
    /// The headings that it stands under, outermost first.
    pub headings: Vec<String>,
    /// Byte range of the header row of the table that it begins inside of.
    pub header: Option<Range<usize>>,
    /// Tokens, as the caller counts them, those of the header included.
    pub tokens: usize,
}

/// Cuts `text` into chunks of at most `settings.tokens` tokens as `count` counts them: whole sentences where they
/// fit, never across a heading. Together the chunks hold everything but white space; neighbours under one heading
/// overlap by whole sentences of at most `settings.overlap` tokens.
///
/// ```
/// use whittle::text::{ChunkSettings, Layout, chunks};
///
/// let text = "# Harbour\n\nIt closes in May.\n\n# Airport\n\nIt stays open.\n";
/// let words = |text: &str| text.split_whitespace().count();
/// let found = chunks(text, Layout::Markdown, ChunkSettings::default(), &words);
/// assert_eq!(found[1].headings, ["Airport"]);
/// assert!(text[found[1].range.clone()].ends_with("It stays open."));
/// ```
#[must_use]
pub fn chunks(
    text: &str,
    layout: Layout,
    settings: ChunkSettings,
    count: &dyn Fn(&str) -> usize,
) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    for section in sections(text, layout) {
        let mut pieces = Vec::new();
        for (range, kind) in section.blocks {
            let part = &text[range.clone()];
            let units = if kind == Block::Prose { sentences(part) } else { lines(part) };
            let mut header = None;
            for (place, unit) in units.into_iter().enumerate() {
                let unit = trimmed(text, range.start + unit.start..range.start + unit.end);
                let most = settings.tokens - header.map_or(0, |header: Header| header.tokens);
                split(text, unit.clone(), (most, header), count, &mut pieces);
                if kind == Block::Table && place == 0 {
                    header = Header::new(&text[unit.clone()], unit, settings.tokens, count);
                }
            }
        }
        pack(&pieces, &section.headings, settings, &mut chunks);
    }
    chunks
}

/// A text's part under one heading.
struct Section {
    headings: Vec<String>,
    /// Ranges of the text in order.
    blocks: Vec<(Range<usize>, Block)>,
}

/// The kind of a block, which decides how it is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Prose, which is split by sentences.
    Prose,
    /// Code, which is split by lines.
    Code,
    /// A table, which is split by rows; the first one is repeated.
    Table,
}

/// The header row of a table.
#[derive(Debug, Clone, Copy)]
struct Header {
    start: usize,
    end: usize,
    tokens: usize,
}

impl Header {
    /// A row that is repeated in chunks of `most` tokens, unless it would take half of them or more.
    fn new(text: &str, range: Range<usize>, most: usize, count: &dyn Fn(&str) -> usize) -> Option<Self> {
        if text.len() > most * BYTES_PER_TOKEN / 2 {
            return None;
        }
        let tokens = count(text);
        (tokens * 2 < most).then_some(Self { start: range.start, end: range.end, tokens })
    }
}

fn sections(text: &str, layout: Layout) -> Vec<Section> {
    match layout {
        Layout::Plain => vec![Section { headings: Vec::new(), blocks: vec![(0..text.len(), Block::Prose)] }],
        Layout::Code => vec![Section { headings: Vec::new(), blocks: vec![(0..text.len(), Block::Code)] }],
        Layout::Markdown => markdown_sections(text),
    }
}

/// An element that structures a Markdown text.
enum Mark {
    Heading(HeadingLevel, String),
    Block(Block),
}

fn marks(text: &str) -> Vec<(Range<usize>, Mark)> {
    let mut marks = Vec::new();
    let mut heading: Option<(Range<usize>, HeadingLevel, String)> = None;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { level, .. }) => heading = Some((range, level, String::new())),
            Event::End(TagEnd::Heading(_)) => {
                if let Some((range, level, title)) = heading.take() {
                    marks.push((range, Mark::Heading(level, title.trim().to_owned())));
                }
            }
            Event::Text(part) | Event::Code(part) => {
                if let Some((_, _, title)) = &mut heading {
                    title.push_str(&part);
                }
            }
            Event::SoftBreak => {
                if let Some((_, _, title)) = &mut heading {
                    title.push(' ');
                }
            }
            Event::Start(Tag::CodeBlock(_)) => marks.push((range, Mark::Block(Block::Code))),
            Event::Start(Tag::Table(_)) => marks.push((range, Mark::Block(Block::Table))),
            _ => {}
        }
    }
    marks
}

fn markdown_sections(text: &str) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut path: Vec<(HeadingLevel, String)> = Vec::new();
    let mut blocks = Vec::new();
    let mut at = 0;
    let titles = |path: &[(HeadingLevel, String)]| path.iter().map(|(_, title)| title.clone()).collect();
    for (range, mark) in marks(text) {
        if range.start < at {
            continue; // Inside a block that was taken already.
        }
        blocks.push((at..range.start, Block::Prose));
        at = range.start;
        match mark {
            Mark::Heading(level, title) => {
                sections.push(Section { headings: titles(&path), blocks: std::mem::take(&mut blocks) });
                path.retain(|&(above, _)| above < level);
                path.push((level, title));
            }
            Mark::Block(kind) => {
                blocks.push((range.clone(), kind));
                at = range.end;
            }
        }
    }
    blocks.push((at..text.len(), Block::Prose));
    sections.push(Section { headings: titles(&path), blocks });
    sections
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|line| {
            at += line.len();
            at - line.len()..at
        })
        .collect()
}

fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let start = range.start + part.len() - part.trim_start().len();
    start..start + part.trim().len()
}

/// A sentence, or a part of one that is too long for a chunk.
struct Piece {
    range: Range<usize>,
    tokens: usize,
    /// The table's header, for a row of a table.
    header: Option<Header>,
}

/// Appends `range`, in halves where it has more than `most` tokens.
fn split(
    text: &str,
    range: Range<usize>,
    (most, header): (usize, Option<Header>),
    count: &dyn Fn(&str) -> usize,
    pieces: &mut Vec<Piece>,
) {
    // Ranges still to be looked at, the first on top.
    let mut rest = vec![range];
    while let Some(range) = rest.pop() {
        let part = &text[range.clone()];
        if part.is_empty() {
            continue;
        }
        let short = part.len() <= most * BYTES_PER_TOKEN;
        let tokens = if short { count(part) } else { usize::MAX };
        match middle(part).filter(|_| tokens > most) {
            None => pieces.push(Piece { range, tokens: tokens.min(most), header }),
            Some(cut) => {
                let cut = range.start + cut;
                rest.push(trimmed(text, cut..range.end));
                rest.push(trimmed(text, range.start..cut));
            }
        }
    }
}

/// A place to cut: the white space nearest to the middle, else the middle; none in a single character.
fn middle(part: &str) -> Option<usize> {
    let half = part.floor_char_boundary(part.len() / 2);
    let before = part[..half].rfind(char::is_whitespace).filter(|&at| at > 0);
    let after = part[half..].find(char::is_whitespace).map(|at| half + at).filter(|&at| at > 0);
    let near = match (before, after) {
        (Some(before), Some(after)) => Some(if half - before < after - half { before } else { after }),
        (one, other) => one.or(other),
    };
    near.or(Some(half)).filter(|&at| at > 0).or_else(|| part.char_indices().nth(1).map(|(at, _)| at))
}

/// Joins neighbouring pieces to chunks.
fn pack(pieces: &[Piece], headings: &[String], settings: ChunkSettings, chunks: &mut Vec<Chunk>) {
    // Does the piece `end` fit behind those from `start` on, which have so many tokens?
    let fits = |start: usize, end: usize, tokens: usize| {
        tokens + pieces[end].tokens <= settings.tokens
            && pieces[end].range.end - pieces[start].range.start <= settings.tokens * BYTES_PER_TOKEN
    };
    // Tokens of what comes before the first piece of a chunk.
    let opening = |start: usize| pieces[start].header.map_or(0, |header| header.tokens);
    let mut start = 0;
    while start < pieces.len() {
        let (mut end, mut tokens) = (start, opening(start));
        while end < pieces.len() && (end == start || fits(start, end, tokens)) {
            tokens += pieces[end].tokens;
            end += 1;
        }
        chunks.push(Chunk {
            range: pieces[start].range.start..pieces[end - 1].range.end,
            headings: headings.to_vec(),
            header: pieces[start].header.map(|header| header.start..header.end),
            tokens,
        });
        if end == pieces.len() {
            return;
        }
        let (mut next, mut repeated) = (end, 0);
        // The piece that did not fit must fit behind what is repeated, or a chunk would be nothing but repetition.
        while next > start + 1
            && repeated + pieces[next - 1].tokens <= settings.overlap
            && fits(next - 1, end, opening(next - 1) + repeated + pieces[next - 1].tokens)
        {
            next -= 1;
            repeated += pieces[next].tokens;
        }
        start = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn cut(text: &str, layout: Layout, tokens: usize, overlap: usize) -> Vec<(&str, String)> {
        chunks(text, layout, ChunkSettings { tokens, overlap }, &words)
            .into_iter()
            .map(|chunk| (&text[chunk.range], chunk.headings.join(" > ")))
            .collect()
    }

    #[test]
    fn sentences_stay_whole_and_overlap() {
        let text = "One two three. Four five six. Seven eight. Nine ten eleven twelve.";
        let texts: Vec<&str> = cut(text, Layout::Plain, 8, 2).into_iter().map(|(text, _)| text).collect();
        assert_eq!(
            texts,
            ["One two three. Four five six. Seven eight.", "Seven eight. Nine ten eleven twelve."]
        );
        let texts: Vec<&str> = cut(text, Layout::Plain, 8, 0).into_iter().map(|(text, _)| text).collect();
        assert_eq!(texts, ["One two three. Four five six. Seven eight.", "Nine ten eleven twelve."]);
    }

    #[test]
    fn headings_begin_chunks_and_code_is_cut_by_lines() {
        let text = "Intro.\n\n# A *b* `c`\n\nText one.\n\n## D\n\nMore.\n\n```\n# no heading\nlet x = 1. y\n```\n\n# E\nEnd.";
        let chunks = cut(text, Layout::Markdown, 5, 0);
        assert_eq!(
            chunks,
            [
                ("Intro.", String::new()),
                ("# A *b* `c`", "A b c".into()),
                ("Text one.", "A b c".into()),
                ("## D\n\nMore.\n\n```", "A b c > D".into()),
                ("# no heading", "A b c > D".into()),
                ("let x = 1. y", "A b c > D".into()),
                ("```", "A b c > D".into()),
                ("# E\nEnd.", "E".into()),
            ]
        );
    }

    #[test]
    fn what_a_chunk_has_of_a_table_comes_with_its_header() {
        let text = "Intro here.\n\n| Kind | Age |\n|---|---|\n| Alder | 50 |\n| Birch tree | 80 |\n| Cedar | 17 |\n\nThe end.\n\n\
                    | Long long long long long header | b |\n|---|---|\n| c | d |\n| e | f |\n";
        let settings = ChunkSettings { tokens: 12, overlap: 0 };
        let chunks: Vec<(Option<&str>, &str)> = chunks(text, Layout::Markdown, settings, &words)
            .into_iter()
            .map(|chunk| (chunk.header.map(|header| &text[header]), &text[chunk.range]))
            .collect();
        assert_eq!(
            chunks,
            [
                (None, "Intro here.\n\n| Kind | Age |\n|---|---|"),
                (Some("| Kind | Age |"), "| Alder | 50 |"),
                (Some("| Kind | Age |"), "| Birch tree | 80 |"),
                (Some("| Kind | Age |"), "| Cedar | 17 |\n\nThe end."),
                (None, "| Long long long long long header | b |\n|---|---|"),
                (None, "| c | d |\n| e | f |"),
            ]
        );
    }

    #[test]
    fn long_sentences_are_cut_at_spaces_and_long_words_anywhere() {
        let chunks = cut("a b c d e f g h", Layout::Plain, 3, 0);
        assert_eq!(chunks.iter().map(|(text, _)| *text).collect::<Vec<_>>(), ["a b", "c d", "e f", "g h"]);
        let word = "x".repeat(1000);
        let chunks = cut(&word, Layout::Plain, 16, 0);
        assert!(chunks.len() >= 4 && chunks.iter().all(|(text, _)| text.len() <= 16 * BYTES_PER_TOKEN));
        assert!(cut(" \n ", Layout::Plain, 16, 0).is_empty());
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        assert!(ChunkSettings::default().check().is_ok());
        assert!(ChunkSettings { tokens: 15, overlap: 0 }.check().unwrap_err().contains("16"));
        assert!(ChunkSettings { tokens: 20, overlap: 10 }.check().unwrap_err().contains("less than 10"));
    }

    proptest! {
        #[test]
        fn chunks_hold_everything_within_the_limit(
            text in "([a-zA-Z# .!`\n-]|é|文|\\| a \\| b \\|\n|\\|---\\|---\\|\n){0,200}", tokens in 3_usize..12, overlap in 0_usize..3,
            markdown in any::<bool>(),
        ) {
            let layout = if markdown { Layout::Markdown } else { Layout::Plain };
            let chunks = chunks(&text, layout, ChunkSettings { tokens, overlap }, &words);
            let mut covered = 0;
            for chunk in &chunks {
                let header = chunk.header.clone().map_or(0, |header| words(&text[header]));
                prop_assert!(header + words(&text[chunk.range.clone()]) <= tokens);
                prop_assert!(chunk.range.start >= covered || chunk.range.end > covered);
                let gap = text.get(covered..chunk.range.start).unwrap_or_default();
                prop_assert!(gap.trim().is_empty(), "lost {gap:?}");
                covered = chunk.range.end;
            }
            prop_assert!(text[covered..].trim().is_empty());
        }
    }
}
