//! Blobs: data URIs, base64, long numbers in hexadecimal, keys, tokens of access, the longest URLs. Nobody reads them, they
//! take more tokens than words, and a part of one is worth nothing.

use std::ops::Range;

use super::entries::KEY;
use super::{Segment, SegmentKind};

/// The worth of a blob.
pub(super) const WORTH: f32 = 0.02;

/// Fewest characters of a blob, of one behind `base64,`, and of a line of one that is wrapped.
const SHORTEST: usize = 96;
const SHORTEST_URI: usize = 24;
const SHORTEST_LINE: usize = 56;
/// Fewest bytes of a URL: shorter ones are protected.
const SHORTEST_URL: usize = 512;
/// Most bytes of a scheme, and of a key with its ends.
const LONGEST_SCHEME: usize = 16;
const LONGEST_KEY: usize = 20_000;
/// Most words of the name of a key.
const MOST_WORDS: usize = 2;
/// Fewest bytes of each part of a token.
const SHORTEST_PART: usize = 10;
/// Bytes before `base64,` in which `data:` is looked for.
const URI_HEAD: usize = 120;

/// Returns the ranges of the blobs of `text`.
pub(super) fn blobs(text: &str) -> Vec<Range<usize>> {
    let mut found = encoded(text);
    let own = found.len();
    found.extend(keys(text));
    found.extend(tokens(text));
    found.extend(long_urls(text));
    if found.len() > own {
        found.sort_by_key(|blob| (blob.start, blob.end));
        found.dedup_by(|next, blob| {
            let joins = next.start < blob.end;
            blob.end = if joins { blob.end.max(next.end) } else { blob.end };
            joins
        });
    }
    found
}

/// Finds keys and certificates: from `-----BEGIN` to the end of the line with `-----END`.
fn keys(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    memchr::memmem::find_iter(text.as_bytes(), KEY).filter_map(|start| {
        let near = &text[start..text.floor_char_boundary(start + LONGEST_KEY)];
        let last = near.find("-----END ")?;
        let name = near[last + 9..].find("-----").filter(|&name| name < 60)?;
        Some(start..start + last + 9 + name + 5)
    })
}

/// Finds tokens of three parts, the first of which is an object of JSON in base64: JWT.
fn tokens(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let of_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut behind = 0;
    memchr::memmem::find_iter(text.as_bytes(), "eyJ").filter_map(move |start| {
        let bytes = text.as_bytes();
        if start < behind || start > 0 && of_part(&bytes[start - 1]) {
            return None;
        }
        let mut end = start;
        for part in 0..3 {
            let length = bytes[end..].iter().take_while(|byte| of_part(byte)).count();
            end += length;
            // The last one may be missing.
            if part < 2 && (length < SHORTEST_PART || bytes.get(end) != Some(&b'.')) {
                return None;
            }
            end += usize::from(part < 2);
        }
        behind = end;
        Some(start..end)
    })
}

/// Finds URLs that are too long to be protected.
fn long_urls(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut behind = 0;
    memchr::memmem::find_iter(text.as_bytes(), "://").filter_map(move |at| {
        if at < behind {
            return None;
        }
        let rest = &text[at..];
        let ends =
            |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | '`' | ')' | ']' | '}' | '\\');
        let length = rest.find(ends).unwrap_or(rest.len());
        behind = at + length;
        let length = rest[..length].trim_end_matches(['.', ',', ';', ':', '!', '?']).len();
        let before = &text.as_bytes()[at.saturating_sub(LONGEST_SCHEME)..at];
        let scheme = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        (scheme > 0 && scheme + length > SHORTEST_URL).then_some(at - scheme..at + length)
    })
}

/// Finds base64, with the head of a data URI, and hexadecimal.
fn encoded(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    // The last line of what may be a wrapped blob, and where that began.
    let mut wrapped: Option<Range<usize>> = None;
    for run in runs(text.as_bytes()) {
        let head = uri_head(text, run.start).filter(|_| run.len() >= SHORTEST_URI);
        let goes_on = wrapped.clone().filter(|open| is_line_break(&text[open.end..run.start]));
        let start = match (&goes_on, head) {
            (Some(open), _) => open.start,
            (None, Some(head)) => head,
            (None, None) => run.start,
        };
        if goes_on.is_some() && found.last().is_some_and(|last| last.start == start) {
            found.pop();
        }
        let whole = start..run.end;
        let dense =
            head.is_some() || text[whole.clone()].starts_with("data:") || is_dense(&text[whole.clone()]);
        if dense && (whole.len() >= SHORTEST || head.is_some()) {
            found.push(whole.clone());
        }
        wrapped = (run.len() >= SHORTEST_LINE && dense).then_some(whole);
    }
    found
}

/// Runs of the characters that base64 and hexadecimal are written with, which are long enough to matter.
fn runs(bytes: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let of_blob =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let start = at + bytes[at..].iter().take_while(|byte| !of_blob(byte)).count();
            let end = start + bytes[start..].iter().take_while(|byte| of_blob(byte)).count();
            at = end;
            if end - start >= 4 {
                return Some(start..end);
            }
        }
        None
    })
}

fn is_line_break(between: &str) -> bool {
    matches!(between, "\n" | "\r\n")
}

/// Returns the start of the data URI whose content begins at `start`.
fn uri_head(text: &str, start: usize) -> Option<usize> {
    let from = text.floor_char_boundary(start.saturating_sub(URI_HEAD));
    let head = text[from..start].strip_suffix("base64,")?;
    let at = head.rfind("data:")?;
    (!head[at..].contains(char::is_whitespace)).then_some(from + at)
}

/// Returns whether the text has digits and letters in the mixture of encoded bytes, and not that of words or of a
/// repeated letter.
fn is_dense(text: &str) -> bool {
    let bytes = &text.as_bytes()[..text.len().min(4096)];
    let share = |is: fn(&u8) -> bool| bytes.iter().filter(|byte| is(byte)).count() * 100 / bytes.len().max(1);
    let (digits, upper, lower) =
        (share(u8::is_ascii_digit), share(u8::is_ascii_uppercase), share(u8::is_ascii_lowercase));
    let different = bytes.iter().collect::<std::collections::BTreeSet<_>>().len();
    let hex = digits >= 30 && different >= 10 && (upper == 0 || lower == 0);
    text.starts_with("data:") || hex || (digits >= 4 && upper >= 12 && lower >= 12 && different >= 24)
}

/// Cuts `blobs` out of the segments that they are a part of. What is left of those goes together.
pub(super) fn cut_out(text: &str, segments: Vec<Segment>, blobs: &[Range<usize>]) -> Vec<Segment> {
    if blobs.is_empty() {
        return segments;
    }
    let (mut cut, mut place): (Vec<Segment>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut blobs = blobs.iter().peekable();
    let mut segments = segments.into_iter();
    while let Some(mut segment) = segments.next() {
        place.push(cut.len());
        while blobs.next_if(|blob| blob.start < segment.range.start).is_some() {}
        if matches!(segment.kind, SegmentKind::Record | SegmentKind::Tag) || is_key(text, &segment) {
            // A value of JSON stays one, and so does a key with its name.
            let own: usize = std::iter::from_fn(|| blobs.next_if(|blob| blob.end <= segment.range.end))
                .map(Range::len)
                .sum();
            let worth = if own * 2 > segment.range.len() { WORTH } else { segment.worth };
            cut.push(Segment { worth, ..segment });
            continue;
        }
        if segment.kind == SegmentKind::Blob {
            segment.kind = SegmentKind::Line;
        }
        let absorbed = absorb(&mut segment, &mut segments, blobs.peek().copied());
        let first = cut.len();
        let mut at = segment.range.start;
        while let Some(blob) = blobs.next_if(|blob| blob.end <= segment.range.end) {
            if !text[at..blob.start].trim().is_empty() {
                cut.push(Segment { range: at..blob.start, ..segment.clone() });
                at = blob.start;
            }
            let kind = SegmentKind::Blob;
            cut.push(Segment { range: at..blob.end, kind, worth: WORTH, ..segment.clone() });
            at = blob.end;
        }
        if text[at..segment.range.end].trim().is_empty() && cut.len() > first {
            if let Some(last) = cut.last_mut() {
                last.range.end = segment.range.end;
            }
        } else {
            cut.push(Segment { range: at..segment.range.end, ..segment });
        }
        place.extend(std::iter::repeat_n(cut.len(), absorbed));
    }
    renumber(&mut cut, &place);
    cut
}

/// Returns whether a segment is a key with nothing but its name on its lines.
fn is_key(text: &str, segment: &Segment) -> bool {
    let own = &text[segment.range.clone()];
    let before = own.split(KEY).next().unwrap_or_default();
    let behind = own.rsplit("-----").next().unwrap_or_default();
    segment.kind == SegmentKind::Blob
        && before.split_whitespace().count() <= MOST_WORDS
        && !behind.contains(char::is_alphanumeric)
}

/// Joins to `segment` the following ones that `blob` goes on in, for it may be wrapped over lines. Returns how many.
fn absorb(
    segment: &mut Segment,
    following: &mut impl Iterator<Item = Segment>,
    blob: Option<&Range<usize>>,
) -> usize {
    let Some(blob) = blob.filter(|blob| blob.start < segment.range.end) else { return 0 };
    let mut absorbed = 0;
    while segment.range.end < blob.end {
        let Some(next) = following.next() else { break };
        segment.range.end = next.range.end;
        absorbed += 1;
    }
    absorbed
}

/// Makes needs name segments by their new places, and ties what is left of one.
fn renumber(cut: &mut [Segment], place: &[usize]) {
    let end = |old: usize, len: usize| place.get(old + 1).copied().unwrap_or(len);
    let len = cut.len();
    let is_blob: Vec<bool> = cut.iter().map(|segment| segment.kind == SegmentKind::Blob).collect();
    let parts = |old: usize| (place[old]..end(old, len)).filter(|&new| !is_blob[new]).collect::<Vec<_>>();
    for segment in &mut *cut {
        segment.needs = segment.needs.iter().flat_map(|&old| parts(old)).collect();
    }
    for (old, &start) in place.iter().enumerate() {
        let own = parts(old);
        let blobs = (start..end(old, len)).filter(|&new| is_blob[new]);
        for new in own.iter().copied().chain(blobs) {
            let others = own.iter().copied().filter(|&other| other != new);
            cut[new].needs.extend(others);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::cut;
    use super::*;

    #[test]
    fn keys_tokens_and_long_urls_are_whole() {
        let part = "Zm9vYmFyMTIzNDU2Nzg5MGFiY2RlZg";
        let key = format!("-----BEGIN PUBLIC KEY-----\n{part}{part}\n{part}==\n-----END PUBLIC KEY-----");
        let token = format!("eyJ{part}.eyJ{part}.{part}");
        let url = format!("https://a.example/x?{}", "name=value&".repeat(60).trim_end_matches('&'));
        for own in [key, token, url] {
            let text = format!("Take this one: {own} and go. It is late.\n");
            let found: Vec<&str> = blobs(&text).into_iter().map(|blob| &text[blob]).collect();
            assert_eq!(found, [own.as_str()]);
            assert!(cut(&text).contains(&(SegmentKind::Blob, &own)), "{:?}", cut(&text));
        }
        for text in ["See https://a.example/x?b=c.", "eyJ is the beginning. Of.it.all", "-----BEGIN it"] {
            assert!(blobs(text).is_empty(), "{text}");
        }
    }
}
