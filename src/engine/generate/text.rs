//! An answer's text while its tokens come: whole characters, and nothing that may yet turn out to end it.

/// The text of an answer.
pub(super) struct Text<'a> {
    stop: &'a [String],
    /// The bytes that are held back.
    held: Vec<u8>,
    stopped: Option<&'a str>,
}

impl<'a> Text<'a> {
    /// Ends before the first of the texts in `stop` to be whole; none of them is empty.
    pub(super) fn new(stop: &'a [String]) -> Self {
        Self { stop, held: Vec::new(), stopped: None }
    }

    /// Takes the next token's bytes, and gives what can be told now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stopped.is_some() {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        let found = self
            .stop
            .iter()
            .filter_map(|stop| Some((memchr::memmem::find(&self.held, stop.as_bytes())?, stop)));
        // The first to be whole, however the tokens cut it; of several the longest.
        if let Some((at, stop)) = found.min_by_key(|(at, stop)| (at + stop.len(), *at)) {
            self.stopped = Some(stop);
            self.held.truncate(at);
            return self.finish();
        }
        let rest = self.held.split_off(self.ready());
        let ready = std::mem::replace(&mut self.held, rest);
        String::from_utf8_lossy(&ready).into_owned()
    }

    /// The text that ended the answer.
    pub(super) fn stopped(&self) -> Option<&'a str> {
        self.stopped
    }

    /// Returns the text that was held back, once the answer is over. A character that is not whole becomes U+FFFD.
    pub(super) fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }

    /// Bytes that neither a stop text nor a character may still begin in.
    fn ready(&self) -> usize {
        let held = &self.held;
        let longest = self.stop.iter().map(String::len).max().unwrap_or(0);
        let first = held.len().saturating_sub(longest.saturating_sub(1));
        let begins = |at: &usize| self.stop.iter().any(|stop| stop.as_bytes().starts_with(&held[*at..]));
        let clear = (first..held.len()).find(begins).unwrap_or(held.len());
        // A character has at most four bytes.
        let last = (0..clear).rev().take(4).find(|&at| held[at] & 0b1100_0000 != 0b1000_0000);
        let whole = |at: usize| match held[at] {
            0b1111_0000.. => 4,
            0b1110_0000.. => 3,
            0b1100_0000.. => 2,
            _ => 1,
        };
        match last {
            Some(at) if at + whole(at) > clear => at,
            _ => clear,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the text that is reported for each piece, and the stop text that ended the answer.
    fn told(stop: &[&str], pieces: &[&[u8]]) -> (Vec<String>, Option<String>) {
        let stop: Vec<String> = stop.iter().map(ToString::to_string).collect();
        let mut text = Text::new(&stop);
        let mut parts: Vec<String> = pieces.iter().map(|piece| text.push(piece)).collect();
        parts.push(text.finish());
        (parts, text.stopped().map(str::to_owned))
    }

    #[test]
    fn a_stop_text_is_found_over_the_borders_of_tokens_and_never_told() {
        let (parts, stopped) = told(&["\nUser:"], &[b"Hi", b"\n", b"Us", b"er", b": x"]);
        assert_eq!(parts, ["Hi", "", "", "", "", ""]);
        assert_eq!(stopped.as_deref(), Some("\nUser:"));
        let (parts, stopped) = told(&["\nUser:"], &[b"Hi", b"\n", b"Use", b"d"]);
        assert_eq!((parts.concat().as_str(), parts[3].as_str()), ("Hi\nUsed", "\nUsed"));
        assert_eq!(stopped, None);
        // What looked like one is told when the answer ends.
        assert_eq!(told(&["END"], &[b"the EN"]).0, ["the ", "EN"]);
    }

    #[test]
    fn the_first_to_be_whole_ends_the_answer() {
        for pieces in [&[&b"a1b2c"[..]][..], &[b"a", b"1", b"b", b"2", b"c"]] {
            let (parts, stopped) = told(&["2", "b2", "1b"], pieces);
            assert_eq!((parts.concat().as_str(), stopped.as_deref()), ("a", Some("1b")));
        }
        assert_eq!(told(&["abc", "b"], &[b"abc"]).0.concat(), "a");
        assert_eq!(told(&["b", "ab"], &[b"a", b"b"]).0.concat(), "");
        assert_eq!(told(&["aab"], &[b"aa", b"ab!"]).0.concat(), "a");
    }

    #[test]
    fn characters_are_told_whole() {
        let (parts, _) = told(&[], &[b"a\xF0\x9F", b"\x98", b"\x80b", b"\xE2\x82"]);
        assert_eq!(parts, ["a", "", "\u{1F600}b", "", "\u{FFFD}"]);
        assert_eq!(
            told(&[], &[b"\xFFa\x80\x80\x80\x80b"]).0.concat(),
            "\u{FFFD}a\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}b"
        );
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[ab\u{e9}\u{1F600}]{0,24}", stops in prop::collection::vec("[ab\u{e9}]{1,3}", 0..3), size in 1..5_usize) {
            let ends = stops.iter().filter_map(|stop| text.find(stop).map(|at| (at + stop.len(), at)));
            let found = ends.min().map(|(_, at)| at);
            let expected = &text[..found.unwrap_or(text.len())];
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (parts, stopped) = told(&stops, &pieces);
            prop_assert_eq!(parts.concat(), expected);
            prop_assert_eq!(stopped.is_some(), found.is_some());
        }
    }
}
