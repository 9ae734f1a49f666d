//! The marks of lists: which paragraphs have one, and what stands in it.

use std::collections::HashMap;

use quick_xml::events::{BytesStart, Event};

use crate::engine::collections::files::archive::attribute;

/// Deepest level of a list.
const DEEPEST: usize = 8;

/// A paragraph's place in a list, as the file names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ListPlace {
    /// Id of the list; `0` takes a paragraph out of the list of its style.
    pub(super) list: Option<String>,
    pub(super) level: usize,
}

impl ListPlace {
    /// Notes what a tag inside a paragraph's properties says of it.
    pub(super) fn read(&mut self, tag: &BytesStart<'_>) {
        match tag.local_name().as_ref() {
            "numId" => self.list = attribute(tag, "val"),
            "ilvl" => {
                let level = attribute(tag, "val").and_then(|level| level.parse().ok());
                self.level = level.unwrap_or(0).min(DEEPEST);
            }
            _ => {}
        }
    }
}

/// The marker style of the items of one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bullet,
    Number,
    Letter,
    Nothing,
}

/// One level of a list.
#[derive(Debug, Clone, Copy)]
struct Level {
    style: Style,
    start: usize,
}

/// All lists of a document, with how far each was counted.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Levels by the id of an abstract list.
    levels: HashMap<String, HashMap<usize, Level>>,
    /// The abstract list of each list.
    of: HashMap<String, String>,
    counts: HashMap<String, [usize; DEEPEST + 1]>,
    /// The element that is being read.
    now: (String, usize),
}

impl Lists {
    /// Reads an event of `word/numbering.xml`.
    pub(super) fn read(&mut self, event: &Event<'_>) {
        let (Event::Start(tag) | Event::Empty(tag)) = event else { return };
        let value = |name| attribute(tag, name).unwrap_or_default();
        match tag.local_name().as_ref() {
            "abstractNum" => self.now = (value("abstractNumId"), 0),
            "num" => self.now = (value("numId"), 0),
            "abstractNumId" => {
                self.of.insert(self.now.0.clone(), value("val"));
            }
            "lvl" => {
                self.now.1 = value("ilvl").parse().unwrap_or(0);
                self.level_now();
            }
            "numFmt" => {
                self.level_now().style = match value("val").as_str() {
                    "bullet" => Style::Bullet,
                    "none" => Style::Nothing,
                    "lowerLetter" | "upperLetter" => Style::Letter,
                    _ => Style::Number,
                };
            }
            "start" => self.level_now().start = value("val").parse().unwrap_or(1),
            _ => {}
        }
    }

    fn level_now(&mut self) -> &mut Level {
        let (list, level) = self.now.clone();
        let levels = self.levels.entry(list).or_default();
        levels.entry(level).or_insert(Level { style: Style::Number, start: 1 })
    }

    /// The mark of the next paragraph at `place`, with the indentation of its level.
    pub(super) fn mark(&mut self, place: &ListPlace) -> Option<String> {
        let list = place.list.as_ref().filter(|list| *list != "0")?;
        let levels = self.of.get(list).and_then(|list| self.levels.get(list))?;
        let level = *levels.get(&place.level)?;
        let counts = self.counts.entry(list.clone()).or_default();
        counts[place.level] += 1;
        counts[place.level + 1..].fill(0);
        let number = level.start.saturating_add(counts[place.level] - 1);
        let mark = match level.style {
            Style::Bullet => "-".to_owned(),
            Style::Number => format!("{number}."),
            Style::Letter => format!("{}.", letters(number)),
            Style::Nothing => return None,
        };
        Some(format!("{}{mark} ", "  ".repeat(place.level)))
    }
}

/// `a` to `z`, `aa`, `bb` and so on, as word processors count by letters.
fn letters(number: usize) -> String {
    let place = number.saturating_sub(1);
    let letter = char::from(b'a' + (place % 26) as u8);
    letter.to_string().repeat((place / 26 + 1).min(8))
}
