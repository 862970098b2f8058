//! Text to [`Table`]: one line at a time, every name resolved where it is used.

use std::collections::HashMap;

use crate::body::{Body, Comparand, NamedTest, Tested, name, parse_field, parse_template, tokens};
use crate::error::{Error, ErrorKind, Place};
use crate::model::{
    ArgumentSet, Chapter, Condition, Deferred, Extension, Field, Group, Pattern, Source, Test, Type,
};
use crate::{Table, check};

/// An extension is a bit of a `u128` in the generated code.
const MAX_EXTENSIONS: usize = 128;

/// A definition that must be used by something.
pub(crate) struct Named<T> {
    pub(crate) value: T,
    place: Place,
    used: bool,
}

/// Definitions of one kind (`%`, `&` or `@`), by name.
pub(crate) struct Names<T> {
    what: &'static str,
    map: HashMap<String, Named<T>>,
}

impl<T> Names<T> {
    fn new(what: &'static str) -> Self {
        Names { what, map: HashMap::new() }
    }

    fn define(&mut self, place: &Place, name: &str, value: T) -> Result<(), Error> {
        if let Some(first) = self.map.get(name) {
            return Err(duplicate(place, self.what, name, &first.place));
        }
        self.map.insert(name.into(), Named { value, place: place.clone(), used: false });
        Ok(())
    }

    pub(crate) fn get(&mut self, place: &Place, name: &str) -> Result<&T, Error> {
        let what = self.what;
        let named = self
            .map
            .get_mut(name)
            .ok_or_else(|| place.error(ErrorKind::Unknown { what, name: name.into() }))?;
        named.used = true;
        Ok(&named.value)
    }

    /// The first definition in the text that nothing uses.
    fn unused(&self) -> Option<Error> {
        self.map
            .iter()
            .filter(|(_, named)| !named.used)
            .min_by_key(|(_, named)| (named.place.file.as_str(), named.place.line))
            .map(|(name, named)| {
                let kind = ErrorKind::Unused { what: self.what, name: name.clone() };
                named.place.error(kind)
            })
    }
}

fn duplicate(place: &Place, what: &'static str, name: &str, first: &Place) -> Error {
    place.error(ErrorKind::Duplicate { what, name: name.into(), first: first.clone() })
}

pub(crate) struct Parser {
    pub(crate) table: Table,
    pub(crate) fields: Names<Field>,
    pub(crate) sets: Names<usize>,
    pub(crate) formats: Names<Body>,
    extension: Option<usize>,
    requires: Vec<Vec<usize>>,
    groups: Vec<(Group, Place)>,
    group_count: usize,
    doc: Vec<String>,
}

impl Parser {
    pub(crate) fn new() -> Self {
        Parser {
            table: Table::default(),
            fields: Names::new("field"),
            sets: Names::new("argument set"),
            formats: Names::new("format"),
            extension: None,
            requires: Vec::new(),
            groups: Vec::new(),
            group_count: 0,
            doc: Vec::new(),
        }
    }

    /// Reads one file. Definitions stay known to the files after it; the section does not.
    pub(crate) fn file(&mut self, file: &str, text: &str) -> Result<(), Error> {
        self.extension = None;
        self.doc.clear();
        let mut lines = text.lines().enumerate();
        while let Some((index, first)) = lines.next() {
            let place = Place { file: file.into(), line: index + 1 };
            let mut line = first.to_string();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().map_or("", |(_, more)| more));
            }
            self.line(&place, line.trim())?;
        }
        match self.groups.pop() {
            Some((group, place)) => Err(place.error(ErrorKind::Unbalanced(opening(group)))),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(self) -> Result<Table, Error> {
        let unused =
            [self.fields.unused(), self.sets.unused(), self.formats.unused()].into_iter().flatten();
        if let Some(error) = unused.min_by_key(|e| (e.place.file.clone(), e.place.line)) {
            return Err(error);
        }
        check::table(&self.table)?;
        Ok(self.table)
    }

    fn line(&mut self, place: &Place, line: &str) -> Result<(), Error> {
        if let Some(doc) = line.strip_prefix("##") {
            self.doc.push(doc.trim().into());
            return Ok(());
        }
        let tokens = tokens(place, line)?;
        let Some(first) = tokens.first() else { return Ok(()) };
        let rest = &tokens[1..];
        match (first.as_str(), first.chars().next()) {
            ("chapter", _) => self.chapter(place, rest),
            ("extension", _) => self.declare_extension(place, rest),
            ("section", _) => self.section(place, rest),
            ("require", _) => self.require(place, rest),
            ("deferred", _) => self.deferred(place, rest),
            ("{" | "[", _) => {
                self.open_group(place, first == "{");
                Ok(())
            }
            ("}" | "]", _) => self.close_group(place, first == "}"),
            (_, Some('%')) => {
                let field = parse_field(place, rest)?;
                self.fields.define(place, &first[1..], field)
            }
            (_, Some('&')) => self.argument_set(place, &first[1..], rest),
            (_, Some('@')) => {
                let body = Body::parse(place, rest, self)?;
                self.formats.define(place, &first[1..], body)
            }
            _ => self.pattern(place, first, rest),
        }
    }

    fn chapter(&mut self, place: &Place, rest: &[String]) -> Result<(), Error> {
        let [trait_name, title] = rest else {
            return Err(syntax(place, "a chapter is `chapter TraitName \"Title\"`"));
        };
        let name = name(place, trait_name)?;
        self.table.chapters.push(Chapter { name, title: unquote(title).into() });
        self.extension = None;
        Ok(())
    }

    /// `extension Name "Title" [implies Other…]`
    fn declare_extension(&mut self, place: &Place, rest: &[String]) -> Result<(), Error> {
        let (own, title, implied) = match rest {
            [own, title] => (own, title, &[][..]),
            [own, title, word, implied @ ..] if word == "implies" => (own, title, implied),
            _ => {
                return Err(syntax(
                    place,
                    "an extension is `extension Name \"Title\" [implies …]`",
                ));
            }
        };
        if let Some(first) = self.table.extensions.iter().find(|e| &e.name == own) {
            return Err(duplicate(place, "extension", own, &first.place));
        }
        if self.table.extensions.len() == MAX_EXTENSIONS {
            return Err(syntax(place, format!("more than {MAX_EXTENSIONS} extensions")));
        }
        let implies =
            implied.iter().map(|name| self.extension(place, name)).collect::<Result<_, _>>()?;
        self.table.extensions.push(Extension {
            place: place.clone(),
            name: name(place, own)?,
            title: unquote(title).into(),
            implies,
        });
        Ok(())
    }

    fn extension(&self, place: &Place, name: &str) -> Result<usize, Error> {
        let unknown = || place.error(ErrorKind::Unknown { what: "extension", name: name.into() });
        self.table.extensions.iter().position(|e| e.name == name).ok_or_else(unknown)
    }

    fn section(&mut self, place: &Place, rest: &[String]) -> Result<(), Error> {
        let [name] = rest else { return Err(syntax(place, "a section is `section Extension`")) };
        let extension = self.extension(place, name)?;
        self.extension = Some(extension);
        self.requires = vec![vec![extension]];
        Ok(())
    }

    /// `require A & B | C`
    fn require(&mut self, place: &Place, rest: &[String]) -> Result<(), Error> {
        let text = rest.join(" ");
        self.requires = text
            .split('|')
            .map(|all| all.split('&').map(|name| self.extension(place, name.trim())).collect())
            .collect::<Result<_, _>>()?;
        Ok(())
    }

    fn deferred(&mut self, place: &Place, rest: &[String]) -> Result<(), Error> {
        let extension =
            self.extension.ok_or_else(|| place.error(ErrorKind::Homeless("section")))?;
        for name in rest {
            let (place, name) = (place.clone(), name.clone());
            self.table.deferred.push(Deferred { place, name, extension });
        }
        Ok(())
    }

    fn open_group(&mut self, place: &Place, overlapping: bool) {
        self.group_count += 1;
        self.groups.push((Group { id: self.group_count, overlapping }, place.clone()));
    }

    fn close_group(&mut self, place: &Place, overlapping: bool) -> Result<(), Error> {
        match self.groups.pop() {
            Some((group, _)) if group.overlapping == overlapping => Ok(()),
            _ => Err(place.error(ErrorKind::Unbalanced(if overlapping { '}' } else { ']' }))),
        }
    }

    /// `&name argument[:type]…`
    fn argument_set(&mut self, place: &Place, own: &str, rest: &[String]) -> Result<(), Error> {
        let mut arguments: Vec<(String, Type)> = Vec::new();
        for token in rest {
            let (argument, ty) = token.split_once(':').unwrap_or((token, "u8"));
            let unknown = || place.error(ErrorKind::Unknown { what: "type", name: ty.into() });
            let ty = Type::from_name(ty).ok_or_else(unknown)?;
            if arguments.iter().any(|(other, _)| other == argument) {
                return Err(duplicate(place, "argument", argument, place));
            }
            arguments.push((name(place, argument)?, ty));
        }
        if arguments.is_empty() {
            return Err(syntax(place, "an argument set needs arguments"));
        }
        self.sets.define(place, own, self.table.sets.len())?;
        self.table.sets.push(ArgumentSet { name: name(place, own)?, arguments });
        Ok(())
    }

    /// `name [=> method] bits… [@format] [&set] [argument=…] [where …] ["template"]`
    fn pattern(&mut self, place: &Place, own_name: &str, rest: &[String]) -> Result<(), Error> {
        let default = name(place, &own_name.replace('.', "_"))?;
        let (method, rest) = match rest {
            [arrow, method, rest @ ..] if arrow == "=>" => (name(place, method)?, rest),
            _ => (default, rest),
        };
        let own = Body::parse(place, rest, self)?;
        let body = match own.format.clone() {
            Some(format) => own.merge(place, &format, self.formats.get(place, &format)?)?,
            None => own,
        };
        let chapter = self.table.chapters.len().checked_sub(1);
        let chapter = chapter.ok_or_else(|| place.error(ErrorKind::Homeless("chapter")))?;
        let extension =
            self.extension.ok_or_else(|| place.error(ErrorKind::Homeless("section")))?;
        let (sources, conditions) = self.resolve(place, &body)?;
        let template = match &body.template {
            Some(template) => parse_template(place, template)?,
            None => parse_template(place, "{op}")?,
        };
        self.table.patterns.push(Pattern {
            place: place.clone(),
            name: own_name.into(),
            method,
            doc: std::mem::take(&mut self.doc).join("\n"),
            width: body.width,
            mask: body.mask,
            value: body.value,
            arguments: body.set,
            sources,
            conditions,
            template,
            extension,
            requires: self.requires.clone(),
            chapter,
            groups: self.groups.iter().map(|(group, _)| *group).collect(),
        });
        let pattern = &self.table.patterns[self.table.patterns.len() - 1];
        check::pattern(&self.table, pattern, body.ignored)
    }

    /// Puts the sources into the argument set's order and binds the conditions to their fields.
    fn resolve(&self, place: &Place, body: &Body) -> Result<(Vec<Source>, Vec<Condition>), Error> {
        let no_arguments = Vec::new();
        let arguments = body.set.map_or(&no_arguments, |set| &self.table.sets[set].arguments);
        if let Some((name, _)) =
            body.sources.iter().find(|(name, _)| !arguments.iter().any(|(a, _)| a == name))
        {
            return Err(place.error(ErrorKind::NoSuchArgument(name.clone())));
        }
        let source = |name: &String| body.sources.iter().find(|(n, _)| n == name).map(|(_, s)| s);
        let sources = arguments
            .iter()
            .map(|(name, _)| {
                let missing = || place.error(ErrorKind::MissingArgument(name.clone()));
                source(name).cloned().ok_or_else(missing)
            })
            .collect::<Result<_, _>>()?;
        let field = |name: &String| match source(name) {
            Some(Source::Field(field)) => Ok(field.clone()),
            _ => Err(place.error(ErrorKind::NoSuchArgument(name.clone()))),
        };
        let test = |test: &NamedTest| {
            let with = match &test.with {
                Comparand::Constant(value) => Source::Constant(*value),
                Comparand::Argument(name) => Source::Field(field(name)?),
            };
            let field = match &test.tested {
                Tested::Argument(name) => field(name)?,
                Tested::Field(field) => field.clone(),
            };
            Ok(Test { field, relation: test.relation, with })
        };
        let condition = |tests: &Vec<NamedTest>| {
            let alternatives = tests.iter().map(test).collect::<Result<_, Error>>()?;
            Ok(Condition { alternatives })
        };
        let conditions = body.conditions.iter().map(condition).collect::<Result<_, Error>>()?;
        Ok((sources, conditions))
    }
}

fn opening(group: Group) -> char {
    if group.overlapping { '{' } else { '[' }
}

pub(crate) fn unquote(token: &str) -> &str {
    token.trim_matches('"')
}

pub(crate) fn syntax(place: &Place, message: impl Into<String>) -> Error {
    place.error(ErrorKind::Syntax(message.into()))
}
