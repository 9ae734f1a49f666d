//! RTF: paragraphs, headings, lists with their marks, tables as grids, notes behind what they belong to, and what stands
//! above and below each page, told apart from the text. Pictures, comments and hidden text are not read.

mod encoding;
mod flow;
mod grid;
mod token;

use std::collections::HashMap;

use encoding_rs::{Encoding, WINDOWS_1252};

use super::Parsed;
use flow::{Flow, ParagraphProps};
use token::{Token, Tokens};

/// Groups inside each other, which no person makes as many of.
const DEEPEST: usize = 1000;

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    if !bytes.trim_ascii_start().starts_with(b"{\\rtf") {
        return Err(
            "it is no RTF, whatever it is called: give it the name or type that it should have".into()
        );
    }
    let mut reader = Reader::new();
    for token in Tokens::new(bytes.trim_ascii_start()) {
        reader.read(token)?;
        if reader.groups.is_empty() {
            return Ok(reader.finished());
        }
    }
    Err("it ends within its text: it is damaged; save it again".into())
}

/// The place that the text of a group goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Flow,
    Mark,
    Title,
    /// Facts about the document, in groups of their own.
    Info,
    /// The name of a style.
    Style,
    Fonts,
    Nowhere,
}

/// The settings within a group; behind it they are as before.
#[derive(Debug, Clone, Copy)]
struct Group {
    target: Target,
    /// Characters that stand behind one in Unicode for programs that do not know that.
    substitutes: usize,
    encoding: &'static Encoding,
    is_hidden: bool,
    /// The flow that ends with the group.
    ends: Option<Ending>,
}

/// A text beside that of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Note,
    Header,
    Footer,
    /// The text of a shape, which goes before the paragraph that it hangs on.
    Shape,
}

struct Reader {
    /// The groups that are open, the innermost last.
    groups: Vec<Group>,
    /// The texts that are being read, the innermost last; the document's first.
    flows: Vec<Flow>,
    encoding: &'static Encoding,
    /// Bytes that are not decoded yet.
    bytes: Vec<u8>,
    /// The first half of a character in UTF-16.
    half: Option<u16>,
    /// Substitutes that are still to be passed over.
    passed_over: usize,
    /// Says whether the next word names a destination that programs may pass over.
    is_optional: bool,
    fonts: HashMap<i32, &'static Encoding>,
    /// The font of the table of fonts, or the style, that is being read.
    named: i32,
    style: String,
    style_level: Option<usize>,
    headings: HashMap<i32, usize>,
    title: String,
    notes: usize,
    margins: Vec<String>,
}

impl Reader {
    fn new() -> Self {
        Self {
            groups: Vec::new(),
            flows: vec![Flow::default()],
            encoding: WINDOWS_1252,
            bytes: Vec::new(),
            half: None,
            passed_over: 0,
            is_optional: false,
            fonts: HashMap::new(),
            named: 0,
            style: String::new(),
            style_level: None,
            headings: HashMap::new(),
            title: String::new(),
            notes: 0,
            margins: Vec::new(),
        }
    }

    fn finished(mut self) -> Parsed {
        let mut text = self.flows.drain(..).map(Flow::finished).collect::<String>();
        if !self.margins.is_empty() {
            text += "# Headers and footers\n\n";
            text += &self.margins.concat();
        }
        let title = self.title.split_whitespace().collect::<Vec<_>>().join(" ");
        Parsed { title: Some(title).filter(|title| !title.is_empty()), text }
    }

    fn read(&mut self, token: Token<'_>) -> Result<(), String> {
        if let Token::Byte(byte) = token {
            if self.passed_over > 0 {
                self.passed_over -= 1;
            } else {
                self.bytes.push(byte);
            }
            self.is_optional = false;
            return Ok(());
        }
        self.decode();
        match token {
            Token::Open => self.open()?,
            Token::Close => self.close(),
            Token::Symbol(b'*') => self.is_optional = true,
            Token::Symbol(symbol) => self.symbol(symbol),
            Token::Word(word, number) => self.word(word, number),
            Token::Byte(_) => {}
        }
        Ok(())
    }

    /// Changes what holds in the present group.
    fn change(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    /// The text that is being read. That of the document is always there.
    fn flow(&mut self) -> &mut Flow {
        if self.flows.is_empty() {
            self.flows.push(Flow::default());
        }
        let last = self.flows.len() - 1;
        &mut self.flows[last]
    }

    fn open(&mut self) -> Result<(), String> {
        if self.groups.len() == DEEPEST {
            return Err(format!("its groups are nested deeper than {DEEPEST}: it is damaged or hostile"));
        }
        (self.passed_over, self.is_optional) = (0, false);
        let first = Group {
            target: Target::Flow,
            substitutes: 1,
            encoding: self.encoding,
            is_hidden: false,
            ends: None,
        };
        let group = self.groups.last().copied().unwrap_or(first);
        self.groups.push(Group { ends: None, ..group });
        Ok(())
    }

    fn close(&mut self) {
        (self.passed_over, self.is_optional) = (0, false);
        let Some(group) = self.groups.pop() else { return };
        if let Some(ending) = group.ends {
            self.end_flow(ending);
        }
        let in_styles = self.groups.last().is_some_and(|outer| outer.target == Target::Style);
        if group.target == Target::Style && in_styles {
            self.end_style();
        }
    }

    /// Notes the style that was read, whose name ends with a semicolon.
    fn end_style(&mut self) {
        let name = std::mem::take(&mut self.style).trim_end_matches(';').trim().to_ascii_lowercase();
        let by_name = match name.strip_prefix("heading ") {
            Some(level) => level.trim().parse().ok(),
            None => (name == "title").then_some(1),
        };
        let level = by_name.or(self.style_level);
        self.headings.extend(level.map(|level| (self.named, level)));
        (self.named, self.style_level) = (0, None);
    }

    fn begin_flow(&mut self, ending: Ending) {
        self.flows.push(Flow::default());
        self.change(|group| (group.target, group.ends) = (Target::Flow, Some(ending)));
    }

    fn end_flow(&mut self, ending: Ending) {
        let Some(text) = self.flows.pop().map(Flow::finished) else { return };
        if text.trim().is_empty() {
            return;
        }
        match ending {
            Ending::Note => {
                self.notes += 1;
                let mark = format!("[^{}]", self.notes);
                let flow = self.flow();
                flow.paragraph += &mark;
                let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
                flow.notes += &[mark.as_str(), ": ", &words, "\n\n"].concat();
            }
            Ending::Header | Ending::Footer => {
                let name = if ending == Ending::Header { "Header" } else { "Footer" };
                let margin = format!("{name}:\n\n{text}");
                if !self.margins.contains(&margin) {
                    self.margins.push(margin);
                }
            }
            Ending::Shape => self.flow().text += &text,
        }
    }

    /// Adds text to where that of the group goes.
    fn put(&mut self, text: &str) {
        let Some(&Group { target, is_hidden, .. }) = self.groups.last() else { return };
        match target {
            Target::Flow if !is_hidden => self.flow().paragraph += text,
            Target::Mark if !is_hidden => self.flow().mark += text,
            Target::Title => self.title += text,
            Target::Style => self.style += text,
            _ => {}
        }
    }

    /// Decodes the bytes that were collected.
    fn decode(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let encoding = self.groups.last().map_or(self.encoding, |group| group.encoding);
        self.half = None;
        let (text, _) = encoding.decode_without_bom_handling(&bytes);
        self.put(&text);
    }

    fn symbol(&mut self, symbol: u8) {
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return;
        }
        match symbol {
            b'~' => self.put("\u{a0}"),
            b'_' => self.put("-"),
            b'\r' | b'\n' => self.end_paragraph(),
            _ => {}
        }
    }

    /// A character in UTF-16, of which two may make one.
    fn unicode(&mut self, number: i32) {
        // Numbers above 32767 are written as negative ones.
        let unit = number as u16;
        let units: Vec<u16> = self.half.take().into_iter().chain([unit]).collect();
        self.passed_over = self.groups.last().map_or(1, |group| group.substitutes);
        if (0xd800..0xdc00).contains(&unit) {
            self.half = Some(unit);
            return;
        }
        self.put(&String::from_utf16_lossy(&units));
    }

    fn end_paragraph(&mut self) {
        if self.groups.last().is_some_and(|group| group.target == Target::Flow) {
            self.flow().end_paragraph();
        }
    }

    fn word(&mut self, word: &str, number: Option<i32>) {
        let is_optional = std::mem::take(&mut self.is_optional);
        if self.passed_over > 0 {
            self.passed_over -= 1;
            return;
        }
        let target = self.groups.last().map_or(Target::Nowhere, |group| group.target);
        if target == Target::Nowhere || self.destination(word, is_optional) || self.character(word, number) {
            return;
        }
        match (target, word) {
            (Target::Flow, _) => self.layout(word, number.unwrap_or_default()),
            (Target::Style, "s") => self.named = number.unwrap_or_default(),
            (Target::Style, "outlinelevel") => self.style_level = heading_of(number.unwrap_or_default()),
            _ => {}
        }
    }

    /// Returns whether a word says where the text of its group goes; one that is not known, and may be passed over, is.
    fn destination(&mut self, word: &str, is_optional: bool) -> bool {
        let target = match word {
            "footnote" => return self.began(Ending::Note),
            "header" | "headerl" | "headerr" | "headerf" => return self.began(Ending::Header),
            "footer" | "footerl" | "footerr" | "footerf" => return self.began(Ending::Footer),
            "shptxt" => return self.began(Ending::Shape),
            "listtext" | "pntext" => Target::Mark,
            "title" => Target::Title,
            "stylesheet" => Target::Style,
            "fonttbl" => Target::Fonts,
            "info" => Target::Info,
            // What stands in these is read.
            "shpinst" | "nesttableprops" => return true,
            "author" | "operator" | "subject" | "keywords" | "doccomm" | "company" | "manager"
            | "category" | "creatim" | "revtim" | "printim" | "buptim" | "colortbl" | "pict" | "fldinst"
            | "nonesttables" | "xe" | "tc" | "filetbl" | "template" | "private" | "upr" | "sp"
            | "objdata" | "mmath" | "hlinkbase" => Target::Nowhere,
            _ if is_optional => Target::Nowhere,
            _ => return false,
        };
        self.change(|group| group.target = target);
        true
    }

    fn began(&mut self, ending: Ending) -> bool {
        self.begin_flow(ending);
        true
    }

    /// Returns whether a word stands for characters, or says how they are written.
    fn character(&mut self, word: &str, number: Option<i32>) -> bool {
        let is_on = number != Some(0);
        let character = match word {
            "u" => {
                self.unicode(number.unwrap_or_default());
                return true;
            }
            "tab" | "emspace" | "enspace" | "qmspace" => " ",
            "line" | "softline" => "\n",
            "emdash" => "\u{2014}",
            "endash" => "\u{2013}",
            "lquote" => "\u{2018}",
            "rquote" => "\u{2019}",
            "ldblquote" => "\u{201c}",
            "rdblquote" => "\u{201d}",
            "bullet" => "\u{2022}",
            "uc" => {
                let substitutes = number.unwrap_or(1).clamp(0, 16) as usize;
                self.change(|group| group.substitutes = substitutes);
                return true;
            }
            "v" | "deleted" => {
                self.change(|group| group.is_hidden = is_on);
                return true;
            }
            "ansicpg" | "f" | "fcharset" | "plain" | "mac" => {
                self.set_encoding(word, number.unwrap_or_default());
                return true;
            }
            _ => return false,
        };
        self.put(character);
        true
    }

    fn set_encoding(&mut self, word: &str, number: i32) {
        let in_fonts = self.groups.last().is_some_and(|group| group.target == Target::Fonts);
        let encoding = match word {
            "ansicpg" | "mac" => {
                self.encoding = encoding::of_code_page(if word == "mac" { 10_000 } else { number });
                self.encoding
            }
            "fcharset" => {
                let named = self.named;
                self.fonts.extend(encoding::of_charset(number).map(|encoding| (named, encoding)));
                return;
            }
            "f" if in_fonts => {
                self.named = number;
                return;
            }
            "f" => self.fonts.get(&number).copied().unwrap_or(self.encoding),
            _ => self.encoding,
        };
        self.change(|group| {
            group.encoding = encoding;
            group.is_hidden &= word != "plain";
        });
    }

    /// A word about paragraphs and tables.
    fn layout(&mut self, word: &str, value: i32) {
        let heading = self.headings.get(&value).copied();
        let flow = self.flow();
        let depth = flow.props.depth.max(1);
        match word {
            "par" | "sect" | "page" | "column" => flow.end_paragraph(),
            "pard" => flow.props = ParagraphProps::default(),
            "intbl" => flow.props.set_depth(depth),
            "itap" => flow.props.set_depth(value.max(0) as usize),
            "outlinelevel" => flow.props.heading = heading_of(value),
            "s" => flow.props.heading = heading.or(flow.props.heading),
            "ilvl" => flow.props.level = value.max(0) as usize,
            "cell" => flow.end_cell(1),
            "nestcell" => flow.end_cell(depth),
            "row" => flow.table(1).end_row(),
            "nestrow" => flow.table(depth).end_row(),
            "trowd" | "cellx" | "clmrg" | "clvmrg" => flow.table(depth).shape(word, value),
            _ => {}
        }
    }
}

/// Level of the heading, from 1, that a level of an outline, from 0, is; the last one is text.
fn heading_of(outline: i32) -> Option<usize> {
    (0..9).contains(&outline).then_some(outline as usize + 1)
}

#[cfg(test)]
mod tests;
