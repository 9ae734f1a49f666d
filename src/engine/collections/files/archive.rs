//! Archives of XML, which many formats are: their parts, none of which may be of any size.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Cursor, Read};

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use zip::ZipArchive;

/// Bytes that one part of an archive may unpack to.
pub(super) const UNPACKED: u64 = 128 << 20;

/// An archive in memory.
pub(super) type Archive<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// The parts that one of an archive names: types and paths by ids.
pub(super) type Relations = HashMap<String, (String, String)>;

/// The archive that a file is; `format` names what it should be, such as `a DOCX`.
pub(super) fn open<'a>(bytes: &'a [u8], format: &str) -> Result<Archive<'a>, String> {
    ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| format!("it is not {format} file or is damaged ({error}): save it again"))
}

fn bomb(name: &str) -> String {
    format!("`{name}` in it unpacks to {} MB or more: it is hostile, or to be split", UNPACKED >> 20)
}

fn damaged(name: &str, error: &dyn std::fmt::Display) -> String {
    format!("`{name}` in it is damaged ({error}): save it again")
}

/// A part of the archive; none where there is no such part.
pub(super) fn part(archive: &mut Archive<'_>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let part = archive.by_index(index).map_err(|error| damaged(name, &error))?;
    let mut bytes = Vec::new();
    part.take(UNPACKED).read_to_end(&mut bytes).map_err(|error| damaged(name, &error))?;
    if bytes.len() as u64 >= UNPACKED { Err(bomb(name)) } else { Ok(Some(bytes)) }
}

/// Unpacks all parts, for a reader that sets itself no limits, and keeps none of them.
pub(super) fn check(bytes: &[u8], format: &str) -> Result<(), String> {
    let mut archive = open(bytes, format)?;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|error| damaged(&format!("part {index}"), &error))?;
        let name = part.name().map_or_else(|_| format!("part {index}"), std::borrow::Cow::into_owned);
        let unpacked = std::io::copy(&mut part.take(UNPACKED), &mut std::io::sink());
        if unpacked.map_err(|error| damaged(&name, &error))? >= UNPACKED {
            return Err(bomb(&name));
        }
    }
    Ok(())
}

/// Calls `each` with the events of a part; false where there is no such part.
pub(super) fn each_event(
    archive: &mut Archive<'_>,
    name: &str,
    mut each: impl FnMut(&Event<'_>),
) -> Result<bool, String> {
    let Some(index) = archive.index_for_name(name) else { return Ok(false) };
    let part = archive.by_index(index).map_err(|error| damaged(name, &error))?;
    let mut reader = Reader::from_reader(BufReader::new(part.take(UNPACKED)));
    let mut buffer = Vec::new();
    loop {
        let event = reader.read_event_into(&mut buffer);
        if let Ok(Event::Eof) | Err(_) = event {
            let error = event.err();
            drop(buffer);
            let mut rest = reader.into_inner();
            let ended = rest.get_ref().limit() == 0 && rest.fill_buf().is_ok_and(<[u8]>::is_empty);
            return match error {
                _ if ended => Err(bomb(name)),
                Some(error) => Err(damaged(name, &error)),
                None => Ok(true),
            };
        }
        event.iter().for_each(&mut each);
        buffer.clear();
    }
}

/// The value of an attribute, whatever its prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let mut attributes = tag.attributes().filter_map(Result::ok);
    let attribute = attributes.find(|attribute| attribute.key.local_name().as_ref() == name)?;
    Some(attribute.value.into_owned())
}

/// Returns the text that an event stands for: characters as they are, in CDATA, or by a reference.
pub(super) fn text_of<'a>(event: &'a Event<'a>) -> Option<Cow<'a, str>> {
    match event {
        Event::Text(text) => Some(text.xml10_content()),
        Event::CData(text) => Some(text.xml10_content()),
        Event::GeneralRef(reference) => Some(resolved(reference).into()),
        _ => None,
    }
}

/// The text of a reference to a character.
fn resolved(reference: &BytesRef<'_>) -> String {
    match reference.resolve_char_ref() {
        Ok(Some(character)) => character.to_string(),
        _ => resolve_predefined_entity(reference).unwrap_or_default().to_owned(),
    }
}

/// The relations of the part at `path`: types and paths by ids.
pub(super) fn relations(archive: &mut Archive<'_>, path: &str) -> Result<Relations, String> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut found = Relations::new();
    each_event(archive, &format!("{folder}/_rels/{name}.rels"), |event| {
        let (Event::Start(tag) | Event::Empty(tag)) = event else { return };
        let named = |name| attribute(tag, name);
        if let (Some(id), Some(kind), Some(target)) = (named("Id"), named("Type"), named("Target")) {
            found.insert(id, (kind, joined(folder, &target)));
        }
    })?;
    Ok(found)
}

/// The path of `target` as seen from `folder`.
fn joined(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    parts.join("/")
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An archive with these parts.
    pub(in crate::engine::collections::files) fn archive(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in parts {
            archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(text.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn parts_are_read_within_their_limit() {
        let big = " ".repeat(UNPACKED as usize);
        let bytes = archive(&[("a", "x"), ("b", &big)]);
        let mut opened = open(&bytes, "an EPUB").unwrap();
        assert_eq!(part(&mut opened, "a").unwrap().unwrap(), b"x");
        assert_eq!(part(&mut opened, "c"), Ok(None));
        for error in [part(&mut opened, "b").unwrap_err(), check(&bytes, "an EPUB").unwrap_err()] {
            assert!(error.contains("`b` in it unpacks to 128 MB or more"), "{error}");
        }
        assert!(check(&archive(&[("a", "x")]), "an EPUB").is_ok());
    }

    #[test]
    fn lengths_that_lie_and_parts_that_are_cut_are_told() {
        let mut bytes = archive(&[("a", &"some words ".repeat(100))]);
        assert!(
            check(&bytes[..bytes.len() - 30], "an EPUB")
                .unwrap_err()
                .contains("is not an EPUB file or is damaged")
        );
        // The sizes in the local header and in the directory stay; the data do not.
        bytes[40] ^= 0x55;
        assert!(check(&bytes, "an EPUB").unwrap_err().contains("`a` in it is damaged"));
    }
}
