//! EPUB: the chapters in the order in which they are read, each as HTML.

use std::collections::HashMap;

use quick_xml::events::Event;
use url::Url;

use super::archive::{self, attribute, each_event, part, text_of};
use super::{Parsed, html};

/// Where the package says which file describes the book.
const CONTAINER: &str = "META-INF/container.xml";

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    let mut archive = archive::open(bytes, "an EPUB")?;
    let mut package = None;
    let found = each_event(&mut archive, CONTAINER, |event| {
        if let Event::Start(tag) | Event::Empty(tag) = event
            && tag.local_name().as_ref() == "rootfile"
        {
            package = package.take().or_else(|| attribute(tag, "full-path"));
        }
    })?;
    if !found {
        return Err(format!("it is not an EPUB file: it has no {CONTAINER}; give it the right name or type"));
    }
    if archive.index_for_name("META-INF/rights.xml").is_some() {
        return Err("it is protected against copying: get a copy that is not".into());
    }
    let damaged = |name: &str| format!("`{name}` in it is missing: it is damaged; get it again");
    let package = package.ok_or_else(|| damaged("rootfile"))?;
    let mut book = Book::default();
    if !each_event(&mut archive, &package, |event| book.read(event))? {
        return Err(damaged(&package));
    }
    let mut text = String::new();
    for id in &book.order {
        let Some(chapter) = book.chapters.get(id) else { continue };
        let path = resolved_path(&package, chapter).ok_or_else(|| damaged(chapter))?;
        let bytes = part(&mut archive, &path)?.ok_or_else(|| damaged(&path))?;
        let chapter = html::parsed(&bytes, true).map_err(|error| format!("`{path}` in it: {error}"))?;
        text += &chapter.text;
        text += "\n\n";
    }
    let title = book.title.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(Parsed { title: Some(title).filter(|title| !title.is_empty()), text })
}

/// The path in the archive of what `href` leads to from `package`.
fn resolved_path(package: &str, href: &str) -> Option<String> {
    let base = Url::parse("zip://book/").ok()?.join(package).ok()?;
    let path = base.join(href).ok()?;
    Some(decoded(path.path().trim_start_matches('/')))
}

/// A path without the escapes that addresses have.
fn decoded(path: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), path.as_bytes());
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| behind.get(..2)).flatten();
        let number =
            escaped.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(number.unwrap_or(byte));
        rest = if number.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What describes a book.
#[derive(Default)]
struct Book {
    title: String,
    in_title: bool,
    /// Addresses of the chapters by ids.
    chapters: HashMap<String, String>,
    /// The ids in the order in which they are read.
    order: Vec<String>,
}

impl Book {
    fn read(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(tag) | Event::Empty(tag) => match tag.local_name().as_ref() {
                "title" => self.in_title = self.title.is_empty() && matches!(event, Event::Start(_)),
                "item" => {
                    let named = |name| attribute(tag, name).unwrap_or_default();
                    let is_text = matches!(&*named("media-type"), "application/xhtml+xml" | "text/html");
                    // The table of contents repeats the headings.
                    if is_text && !named("properties").split(' ').any(|property| property == "nav") {
                        self.chapters.insert(named("id"), named("href"));
                    }
                }
                "itemref" => self.order.extend(attribute(tag, "idref")),
                _ => {}
            },
            Event::End(_) => self.in_title = false,
            _ if self.in_title => self.title.extend(text_of(event)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::collections::files::archive::tests::archive as packed;

    fn book(chapter: &str) -> Vec<u8> {
        let container =
            "<container><rootfiles><rootfile full-path=\"OEBPS/book.opf\"/></rootfiles></container>";
        let package = "<package><metadata><dc:title>Harbour &amp; town</dc:title></metadata><manifest>\
            <item id=\"n\" href=\"nav.xhtml\" media-type=\"application/xhtml+xml\" properties=\"nav\"/>\
            <item id=\"a\" href=\"text/one%20a.xhtml\" media-type=\"application/xhtml+xml\"/>\
            <item id=\"b\" href=\"text/two.xhtml\" media-type=\"application/xhtml+xml\"/>\
            <item id=\"c\" href=\"x.css\" media-type=\"text/css\"/></manifest>\
            <spine><itemref idref=\"n\"/><itemref idref=\"b\"/><itemref idref=\"a\"/><itemref idref=\"c\"/></spine></package>";
        packed(&[
            ("mimetype", "application/epub+zip"),
            (CONTAINER, container),
            ("OEBPS/book.opf", package),
            ("OEBPS/nav.xhtml", "<nav>Contents</nav>"),
            ("OEBPS/text/one a.xhtml", chapter),
            ("OEBPS/text/two.xhtml", "<html><body><h1>Ferry</h1><p>At noon.</p></body></html>"),
            ("x.css", "p {}"),
        ])
    }

    #[test]
    fn chapters_stand_in_the_order_of_reading() {
        let read =
            parsed(&book("<html><body><h1>Bridge</h1><aside>It bears 7.5 t.</aside></body></html>")).unwrap();
        assert_eq!(read.title.as_deref(), Some("Harbour & town"));
        let words = read.text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words, "# Ferry At noon. # Bridge It bears 7.5 t.");
    }

    #[test]
    fn what_is_no_book_is_refused() {
        let whole = book("<p>a</p>");
        let bomb = book(&" ".repeat(archive::UNPACKED as usize));
        let lost = packed(&[(CONTAINER, "<rootfile full-path=\"a.opf\"/>")]);
        for (bytes, wanted) in [
            (b"%PDF-1.4".to_vec(), "not an EPUB file or is damaged"),
            (whole[..whole.len() / 2].to_vec(), "not an EPUB file or is damaged"),
            (packed(&[("word/document.xml", "<w/>")]), "no META-INF/container.xml"),
            (packed(&[(CONTAINER, "<a/>"), ("META-INF/rights.xml", "<a/>")]), "protected against copying"),
            (lost, "`a.opf` in it is missing"),
            (bomb, "unpacks to 128 MB or more"),
        ] {
            let error = parsed(&bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
