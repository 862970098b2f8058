//! The right-hand side of patterns, formats and fields: bits, sources, conditions, templates.

use crate::error::{Error, ErrorKind, Place};
use crate::model::{Field, Piece, Relation, Segment, Source};
use crate::parse::{Parser, syntax, unquote};

/// Splits a line at blanks; a string in double quotes is one token; `#` outside one ends the line.
pub(crate) fn tokens(place: &Place, line: &str) -> Result<Vec<String>, Error> {
    let mut tokens = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let end = if let Some(inside) = rest.strip_prefix('"') {
            let close = inside.find('"').ok_or_else(|| syntax(place, "unclosed string"))?;
            close + 2
        } else {
            rest.find(char::is_whitespace).unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token.into());
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// A comparison before its names are bound to fields.
#[derive(Debug, Clone)]
pub(crate) struct NamedTest {
    pub(crate) tested: Tested,
    pub(crate) relation: Relation,
    pub(crate) with: Comparand,
}

/// What is compared.
#[derive(Debug, Clone)]
pub(crate) enum Tested {
    Argument(String),
    Field(Field),
}

/// What an argument is compared with.
#[derive(Debug, Clone)]
pub(crate) enum Comparand {
    Constant(i64),
    Argument(String),
}

/// What stands behind the name of a format or pattern.
#[derive(Debug, Clone, Default)]
pub(crate) struct Body {
    pub(crate) width: u8,
    pub(crate) mask: u32,
    pub(crate) value: u32,
    pub(crate) ignored: u32,
    pub(crate) format: Option<String>,
    pub(crate) set: Option<usize>,
    pub(crate) sources: Vec<(String, Source)>,
    pub(crate) conditions: Vec<Vec<NamedTest>>,
    pub(crate) template: Option<String>,
}

impl Body {
    pub(crate) fn parse(
        place: &Place,
        tokens: &[String],
        parser: &mut Parser,
    ) -> Result<Body, Error> {
        let mut body = Body::default();
        let bit_count = tokens.iter().take_while(|token| is_bits(token)).count();
        body.bits(place, &tokens[..bit_count])?;
        let mut rest = tokens[bit_count..].iter();
        while let Some(token) = rest.next() {
            match token.chars().next() {
                Some('@') => body.format = Some(token[1..].into()),
                Some('&') => body.set = Some(*parser.sets.get(place, &token[1..])?),
                Some('"') => body.template = Some(unquote(token).into()),
                _ if token == "where" => {
                    let more: Vec<&str> =
                        rest.clone().take_while(|t| !t.starts_with('"')).map(|t| &**t).collect();
                    body.conditions(place, &more.join(" "), parser)?;
                    rest.by_ref().take(more.len()).for_each(drop);
                }
                _ => body.source(place, token, parser)?,
            }
        }
        Ok(body)
    }

    /// `0`, `1`, `.` (a field's bit), `-` (ignored), and `name:length` for a field in place.
    fn bits(&mut self, place: &Place, tokens: &[String]) -> Result<(), Error> {
        let total: usize = tokens.iter().map(|token| bits_length(token)).sum();
        if total != 16 && total != 32 {
            return Err(place.error(ErrorKind::Width(total)));
        }
        self.width = total as u8;
        let mut position = self.width;
        for token in tokens {
            if let Some((name, length)) = token.split_once(':') {
                let signed = length.starts_with('s');
                let length = bits_length(token) as u8;
                if length == 0 {
                    return Err(syntax(place, format!("`{token}` needs a length")));
                }
                position -= length;
                let segments = vec![Segment { position, length, signed }];
                let field = Field { segments, shift: 0, add: 0, function: None };
                self.assign(place, name, Source::Field(field))?;
                continue;
            }
            for bit in token.chars() {
                position -= 1;
                match bit {
                    '0' => self.mask |= 1 << position,
                    '1' => {
                        self.mask |= 1 << position;
                        self.value |= 1 << position;
                    }
                    '-' => self.ignored |= 1 << position,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// `%field`, `argument=%field` or `argument=constant`
    fn source(&mut self, place: &Place, token: &str, parser: &mut Parser) -> Result<(), Error> {
        if let Some(name) = token.strip_prefix('%') {
            let field = parser.fields.get(place, name)?.clone();
            return self.assign(place, name, Source::Field(field));
        }
        let Some((argument, value)) = token.split_once('=') else {
            return Err(syntax(place, format!("`{token}` is not understood here")));
        };
        let source = match value.strip_prefix('%') {
            Some(name) => Source::Field(parser.fields.get(place, name)?.clone()),
            None => Source::Constant(integer(place, value)?),
        };
        self.assign(place, argument, source)
    }

    fn assign(&mut self, place: &Place, name: &str, source: Source) -> Result<(), Error> {
        if self.sources.iter().any(|(other, _)| other == name) {
            let first = place.clone();
            return Err(place.error(ErrorKind::Duplicate {
                what: "value of argument",
                name: name.into(),
                first,
            }));
        }
        self.sources.push((name.into(), source));
        Ok(())
    }

    /// `argument != constant, argument <= constant | %field == argument, …`
    fn conditions(&mut self, place: &Place, text: &str, parser: &mut Parser) -> Result<(), Error> {
        for condition in text.split(',') {
            let tests = condition.split('|').map(|test| named_test(place, test, parser));
            self.conditions.push(tests.collect::<Result<_, _>>()?);
        }
        Ok(())
    }

    /// This pattern's body over its format's: what the pattern says itself wins.
    pub(crate) fn merge(mut self, place: &Place, name: &str, format: &Body) -> Result<Body, Error> {
        if self.width != format.width {
            return Err(place.error(ErrorKind::WidthMismatch {
                pattern: self.width,
                name: name.into(),
                format: format.width,
            }));
        }
        let conflict = (self.value ^ format.value) & self.mask & format.mask;
        if conflict != 0 {
            return Err(place.error(ErrorKind::FixedConflict(conflict.trailing_zeros() as u8)));
        }
        self.mask |= format.mask;
        self.value |= format.value;
        self.ignored = (self.ignored | format.ignored) & !self.mask;
        self.set = self.set.or(format.set);
        for (argument, source) in &format.sources {
            if !self.sources.iter().any(|(own, _)| own == argument) {
                self.sources.push((argument.clone(), source.clone()));
            }
        }
        self.conditions.extend(format.conditions.iter().cloned());
        self.template = self.template.or_else(|| format.template.clone());
        Ok(self)
    }
}

/// An argument or `%field`, a relation, and a constant or an argument.
fn named_test(place: &Place, text: &str, parser: &mut Parser) -> Result<NamedTest, Error> {
    let (relation, (tested, with)) = Relation::ALL
        .into_iter()
        .find_map(|r| Some((r, text.split_once(r.symbol())?)))
        .ok_or_else(|| syntax(place, format!("`{}` is no condition", text.trim())))?;
    let with = with.trim();
    let with = match name(place, with) {
        Ok(argument) => Comparand::Argument(argument),
        Err(_) => Comparand::Constant(integer(place, with)?),
    };
    let tested = match tested.trim().strip_prefix('%') {
        Some(field) => Tested::Field(parser.fields.get(place, field)?.clone()),
        None => Tested::Argument(tested.trim().into()),
    };
    Ok(NamedTest { tested, relation, with })
}

fn is_bits(token: &str) -> bool {
    token.split_once(':').is_some_and(|(name, _)| !name.is_empty() && !name.starts_with(['%', '"']))
        || token.chars().all(|c| matches!(c, '0' | '1' | '.' | '-'))
}

fn bits_length(token: &str) -> usize {
    match token.split_once(':') {
        Some((_, length)) => length.trim_start_matches('s').parse::<u8>().map_or(0, usize::from),
        None => token.len(),
    }
}

/// Segments `position:[s]length`, then `<<n`, `+n`, `!function`.
pub(crate) fn parse_field(place: &Place, tokens: &[String]) -> Result<Field, Error> {
    let mut field = Field { segments: Vec::new(), shift: 0, add: 0, function: None };
    for token in tokens {
        let bad = || syntax(place, format!("`{token}` is no part of a field"));
        if let Some(shift) = token.strip_prefix("<<") {
            field.shift = shift.parse().map_err(|_| bad())?;
        } else if let Some(add) = token.strip_prefix('+') {
            field.add = add.parse::<u16>().map_err(|_| bad())?.into();
        } else if let Some(function) = token.strip_prefix('!') {
            field.function = Some(name(place, function)?);
        } else {
            let (position, length) = token.split_once(':').ok_or_else(bad)?;
            let signed = length.starts_with('s');
            let position: u8 = position.parse().map_err(|_| bad())?;
            let length: u8 = length.trim_start_matches('s').parse().map_err(|_| bad())?;
            let fits = length > 0 && length <= 32 && position <= 32 - length;
            if !fits || (signed && !field.segments.is_empty()) {
                return Err(bad());
            }
            field.segments.push(Segment { position, length, signed });
        }
    }
    let overlap = field.segments.iter().map(|s| u64::from(s.mask())).sum::<u64>();
    if field.segments.is_empty() || overlap != u64::from(field.mask()) || field.shift > 31 {
        return Err(syntax(place, "a field needs segments that do not overlap"));
    }
    Ok(field)
}

/// `text {op} text {argument,argument:kind}`
pub(crate) fn parse_template(place: &Place, text: &str) -> Result<Vec<Piece>, Error> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, after) =
            after.split_once('}').ok_or_else(|| syntax(place, "unclosed `{` in the template"))?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.into()));
        }
        let (names, kind) = match inside.split_once(':') {
            Some((names, kind)) => (names, Some(kind.to_string())),
            None => (inside, None),
        };
        pieces.push(match names {
            "op" => Piece::Mnemonic,
            _ => Piece::Operand { arguments: names.split(',').map(String::from).collect(), kind },
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(pieces)
}

/// `text`, if it can be a name in the generated code.
pub(crate) fn name(place: &Place, text: &str) -> Result<String, Error> {
    let well_formed = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if well_formed { Ok(text.into()) } else { Err(syntax(place, format!("`{text}` is no name"))) }
}

/// A number that fits 32 bits, signed or not, in decimal or hexadecimal.
fn integer(place: &Place, text: &str) -> Result<i64, Error> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse::<u32>(),
    };
    let value = value.map_err(|_| syntax(place, format!("`{text}` is no number")))?;
    Ok(sign * i64::from(value))
}
