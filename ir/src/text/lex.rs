//! Characters to tokens.

/// A token and where it stands. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) line: u32,
    pub(super) column: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind<'a> {
    /// Letters, digits and `_`, starting with a letter or `_`.
    Word(&'a str),
    /// Letters, digits and `_`, starting with a digit.
    Number(&'a str),
    /// Anything else that is not space or comment.
    Symbol(char),
    End,
}

/// The tokens of a text, with one to look ahead.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, column: 1 }
    }

    pub(super) fn next(&mut self) -> Token<'a> {
        self.skip_space();
        let (line, column) = (self.line, self.column);
        let kind = match self.rest.chars().next() {
            None => Kind::End,
            Some(first) if is_word(first) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let word = self.take(end);
                if first.is_ascii_digit() { Kind::Number(word) } else { Kind::Word(word) }
            }
            Some(symbol) => {
                self.take(symbol.len_utf8());
                Kind::Symbol(symbol)
            }
        };
        Token { kind, line, column }
    }

    pub(super) fn peek(&self) -> Token<'a> {
        self.clone().next()
    }

    fn skip_space(&mut self) {
        loop {
            let space = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.take(space);
            if !self.rest.starts_with("//") {
                return;
            }
            let line = self.rest.find('\n').unwrap_or(self.rest.len());
            self.take(line);
        }
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        for c in taken.chars() {
            if c == '\n' {
                (self.line, self.column) = (self.line + 1, 1);
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
