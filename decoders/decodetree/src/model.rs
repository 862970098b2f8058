//! A table after parsing: names resolved, every pattern complete.

use crate::error::Place;

/// A run of bits of the instruction word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) position: u8,
    pub(crate) length: u8,
    pub(crate) signed: bool,
}

impl Segment {
    pub(crate) fn mask(self) -> u32 {
        low_bits(self.length) << self.position
    }
}

/// `length` ones, from bit 0.
pub(crate) fn low_bits(length: u8) -> u32 {
    if length >= 32 { u32::MAX } else { (1 << length) - 1 }
}

/// `%name`: how a value is put together from bits of the word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The most significant first.
    pub(crate) segments: Vec<Segment>,
    pub(crate) shift: u8,
    pub(crate) add: i64,
    /// A function of the including module's `transform`, applied last.
    pub(crate) function: Option<String>,
}

impl Field {
    pub(crate) fn mask(&self) -> u32 {
        self.segments.iter().fold(0, |mask, segment| mask | segment.mask())
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.segments[0].signed
    }

    /// Bits of the value before `+n`.
    pub(crate) fn length(&self) -> u8 {
        self.segments.iter().map(|segment| segment.length).sum::<u8>() + self.shift
    }

    /// The value in `word`; none if it passes through a named function.
    pub(crate) fn value(&self, word: u32) -> Option<i64> {
        if self.function.is_some() {
            return None;
        }
        let raw = self.segments.iter().fold(0i64, |value, segment| {
            let bits = i64::from((word >> segment.position) & low_bits(segment.length));
            let top = segment.signed && bits >> (segment.length - 1) != 0;
            let extended = if top { bits - (1i64 << segment.length) } else { bits };
            (value << segment.length) | extended
        });
        Some((raw << self.shift) + self.add)
    }
}

/// The type of an argument in the generated structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Bool,
    U8,
    U16,
    U32,
    I64,
}

impl Type {
    pub(crate) fn from_name(name: &str) -> Option<Type> {
        [Type::Bool, Type::U8, Type::U16, Type::U32, Type::I64]
            .into_iter()
            .find(|ty| ty.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::U8 => "u8",
            Type::U16 => "u16",
            Type::U32 => "u32",
            Type::I64 => "i64",
        }
    }

    /// The least and the greatest value.
    pub(crate) fn range(self) -> (i64, i64) {
        match self {
            Type::Bool => (0, 1),
            Type::U8 => (0, 0xff),
            Type::U16 => (0, 0xffff),
            Type::U32 => (0, 0xffff_ffff),
            Type::I64 => (i64::MIN, i64::MAX),
        }
    }
}

/// `&name`: an argument structure.
#[derive(Debug, Clone)]
pub(crate) struct ArgumentSet {
    pub(crate) name: String,
    pub(crate) arguments: Vec<(String, Type)>,
}

/// Where an argument's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Field(Field),
    Constant(i64),
}

/// One `where` condition: it holds if one of its tests does.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) alternatives: Vec<Test>,
}

/// A comparison in a condition.
#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) field: Field,
    pub(crate) relation: Relation,
    pub(crate) with: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    NotEqual,
    AtMost,
}

impl Relation {
    pub(crate) const ALL: [Relation; 3] = [Relation::Equal, Relation::NotEqual, Relation::AtMost];

    pub(crate) fn symbol(self) -> &'static str {
        match self {
            Relation::Equal => "==",
            Relation::NotEqual => "!=",
            Relation::AtMost => "<=",
        }
    }
}

impl Condition {
    /// The bits that it depends on.
    pub(crate) fn mask(&self) -> u32 {
        self.alternatives.iter().fold(0, |mask, test| mask | test.mask())
    }

    /// Whether it may hold, as far as that can be told without calling named functions.
    pub(crate) fn may_hold(&self, word: u32) -> bool {
        self.alternatives.iter().any(|test| test.may_hold(word))
    }
}

impl Test {
    fn mask(&self) -> u32 {
        let with = match &self.with {
            Source::Field(field) => field.mask(),
            Source::Constant(_) => 0,
        };
        self.field.mask() | with
    }

    fn may_hold(&self, word: u32) -> bool {
        let with = match &self.with {
            Source::Field(field) => field.value(word),
            Source::Constant(value) => Some(*value),
        };
        let (Some(left), Some(right)) = (self.field.value(word), with) else { return true };
        match self.relation {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::AtMost => left <= right,
        }
    }
}

/// A piece of an assembly template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// `{op}`
    Mnemonic,
    /// `{a,b:kind}`
    Operand {
        arguments: Vec<String>,
        kind: Option<String>,
    },
}

/// One kind of bracket around patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) id: usize,
    /// `{ }`: patterns inside may overlap, and the first that matches wins.
    pub(crate) overlapping: bool,
}

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) doc: String,
    pub(crate) width: u8,
    pub(crate) mask: u32,
    pub(crate) value: u32,
    /// Index into [`crate::Table`]'s argument sets; none if the instruction has no arguments.
    pub(crate) arguments: Option<usize>,
    /// One for each argument, in the order of the argument set.
    pub(crate) sources: Vec<Source>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) template: Vec<Piece>,
    pub(crate) extension: usize,
    /// Alternatives, each a set of extensions that are needed together.
    pub(crate) requires: Vec<Vec<usize>>,
    pub(crate) chapter: usize,
    pub(crate) groups: Vec<Group>,
}

impl Pattern {
    /// Name of the variant of `Op`: `fcvt.w.s` is `FcvtWS`.
    pub(crate) fn variant(&self) -> String {
        camel_case(&self.name)
    }

    /// What the manual and `{op}` call it: the name without what follows `_`.
    pub(crate) fn mnemonic(&self) -> &str {
        self.name.split_once('_').map_or(&self.name, |(mnemonic, _)| mnemonic)
    }
}

/// `a.b_c` to `ABC`.
pub(crate) fn camel_case(name: &str) -> String {
    name.split(['.', '_', '-'])
        .flat_map(|part| {
            let mut chars = part.chars();
            chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars)
        })
        .collect()
}

/// An extension (or a name for several of them).
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) implies: Vec<usize>,
}

/// A chapter of the manual: becomes one trait.
#[derive(Debug, Clone)]
pub(crate) struct Chapter {
    pub(crate) name: String,
    pub(crate) title: String,
}

/// An instruction that is known but not decoded.
#[derive(Debug, Clone)]
pub(crate) struct Deferred {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) extension: usize,
}
