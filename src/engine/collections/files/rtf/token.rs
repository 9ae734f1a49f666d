//! What an RTF file is made of: groups, words that control, and characters.

/// One piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Open,
    Close,
    /// A word behind a backslash, and the number that it may have.
    Word(&'a str, Option<i32>),
    /// A character behind a backslash that is no letter and stands for no byte.
    Symbol(u8),
    /// A byte of text, in whatever encoding holds there.
    Byte(u8),
}

/// The pieces of a file from its beginning on.
pub(super) struct Tokens<'a> {
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    /// Takes the bytes up to the first that `is_in` does not hold for.
    fn run(&mut self, is_in: impl Fn(&u8) -> bool) -> &'a str {
        let end = self.rest.iter().position(|byte| !is_in(byte)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        std::str::from_utf8(run).unwrap_or_default()
    }

    fn behind_backslash(&mut self) -> Option<Token<'a>> {
        if self.rest.first()?.is_ascii_alphabetic() {
            return Some(self.word());
        }
        let symbol = self.byte()?;
        if symbol != b'\'' {
            return Some(match symbol {
                b'{' | b'}' | b'\\' => Token::Byte(symbol),
                _ => Token::Symbol(symbol),
            });
        }
        let digits = self.rest.get(..2)?;
        let value = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // What is no number is no character.
        let Some(value) = value else { return Some(Token::Symbol(symbol)) };
        self.rest = &self.rest[2..];
        Some(Token::Byte(value))
    }

    fn word(&mut self) -> Token<'a> {
        let name = self.run(u8::is_ascii_alphabetic);
        let is_negative =
            self.rest.first() == Some(&b'-') && self.rest.get(1).is_some_and(u8::is_ascii_digit);
        if is_negative {
            self.rest = &self.rest[1..];
        }
        let digits = self.run(u8::is_ascii_digit);
        let number = (!digits.is_empty()).then(|| digits.parse().unwrap_or(i32::MAX));
        // A space ends the word and is a part of it.
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
        if name == "bin" {
            let length = number.filter(|_| !is_negative).unwrap_or(0) as usize;
            let length = length.min(self.rest.len());
            self.rest = &self.rest[length..];
        }
        Token::Word(name, number.map(|number| if is_negative { -number } else { number }))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            return Some(match self.byte()? {
                b'{' => Token::Open,
                b'}' => Token::Close,
                b'\\' => self.behind_backslash()?,
                b'\r' | b'\n' | 0 => continue,
                byte => Token::Byte(byte),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Token::{Byte, Close, Open, Symbol, Word};
    use super::*;

    #[test]
    fn pieces_are_told_apart() {
        let tokens = |text: &'static str| Tokens::new(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(
            tokens("{\\rtf1\\u-10 ?\\b0 a\r\n\\'e9\\~\\{}"),
            [
                Open,
                Word("rtf", Some(1)),
                Word("u", Some(-10)),
                Byte(b'?'),
                Word("b", Some(0)),
                Byte(b'a'),
                Byte(0xe9),
                Symbol(b'~'),
                Byte(b'{'),
                Close
            ]
        );
        assert_eq!(tokens("\\bin3 {}}a"), [Word("bin", Some(3)), Byte(b'a')]);
        assert_eq!(tokens("\\bin99999999999 a"), [Word("bin", Some(i32::MAX))]);
        assert_eq!(tokens("\\bin-1 a"), [Word("bin", Some(-1)), Byte(b'a')]);
        assert_eq!(tokens("\\'zz"), [Symbol(b'\''), Byte(b'z'), Byte(b'z')]);
        for cut in ["\\", "\\'", "\\'e"] {
            assert_eq!(tokens(cut), [], "{cut}");
        }
    }
}
