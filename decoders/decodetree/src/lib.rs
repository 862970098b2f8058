//! Decoder generator: instruction tables in, Rust source out.
//!
//! For build scripts. A [`Table`] is read from one or more text files (one a chapter of the
//! manual), checked, and turned into argument structures, visitor traits, a decision tree, a
//! disassembler and a coverage list. It knows nothing of any particular guest: how operands
//! are printed and what an address is, the including module supplies.
//!
//! # The language
//!
//! One definition a line; `\` at the end of a line continues it; `#` begins a comment and `##`
//! the documentation of the pattern that follows. Names are defined before they are used.
//!
//! ```text
//! extension Zba "Address generation"             # a name for feature gating …
//! extension B "Bit manipulation" implies Zba     # … which may stand for others, too
//!
//! chapter RvB "Bit manipulation"                 # the patterns below go to trait RvB
//! section Zba                                    # … belong to Zba and need it
//! require Zbb | Zbkb & M                         # … need this instead, until the next section
//! deferred zip unzip                             # known to be missing, and listed as such
//!
//! %imm_b 31:s1 7:1 25:6 8:4 <<1                  # field: position:[s]length, high part first
//! %rdc   2:3 +8                                  # then `<<n`, `+n`, `!function`, in that order
//! &r     rd rs1 rs2 flag:bool                    # argument structure; u8 unless said otherwise
//! @r     ....... rs2:5 rs1:5 ... rd:5 ....... &r flag=0 "{op} {rd:x},{rs1:x},{rs2:x}"
//!
//! sh1add    0010000 ..... ..... 010 ..... 0110011 @r
//! c.add => add  1001 rd:5 rs2:5 10 &r rs1=%rd_field flag=0 where rd != 0, rs2 != 0 "…"
//! add_imm   … where sf == 1 | amount <= 31, n == sf  # `|` before `,`; of arguments that are fields
//! shift     … where %immh != 0                   # … or of fields that are no arguments
//! {                                              # overlaps allowed, the first match wins
//!   pause   …
//!   fence   …
//! }
//! [ … ]                                          # no overlaps, inside of { } as well
//! ```
//!
//! * Bits are `0`, `1`, `.` (a field's), `-` (ignored), or `name:[s]length` for an argument in
//!   place. They add up to 16 or 32. Every bit must be accounted for.
//! * A pattern's name is its mnemonic. If several patterns have the same one, `_` and what follows
//!   it tell them apart: `add_imm` is an `add`.
//! * A pattern's method is its name with `_` for `.`, or what `=>` names; several patterns
//!   may share one method if they have the same argument structure.
//! * A condition on a field with a `!function` asks for what the function gives.
//! * A template prints the instruction: `{op}` is the mnemonic, `{a,b:kind}` calls
//!   `operand::kind(f, args.a, args.b)` of the including module, `{a}` prints a number, and `pc`
//!   is the address of the instruction.
//!
//! # What the including module supplies
//!
//! `mod operand` with a function for each kind, `mod transform` with a function for each
//! `!function` (`fn(i64) -> i64`), and a type `Pc`, all in scope where the text is included.

mod body;
mod check;
mod emit;
mod error;
mod model;
mod parse;
mod tree;

pub use error::{Error, ErrorKind, Place};

/// A checked set of instruction patterns.
#[derive(Debug, Default)]
pub struct Table {
    pub(crate) extensions: Vec<model::Extension>,
    pub(crate) chapters: Vec<model::Chapter>,
    pub(crate) sets: Vec<model::ArgumentSet>,
    pub(crate) patterns: Vec<model::Pattern>,
    pub(crate) deferred: Vec<model::Deferred>,
}

impl Table {
    /// Reads and checks the files, given as pairs of name (for messages) and text, in order.
    ///
    /// # Errors
    /// The first mistake, with its place: see [`ErrorKind`].
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Table, Error> {
        let mut parser = parse::Parser::new();
        for (name, text) in files {
            parser.file(name, text)?;
        }
        parser.finish()
    }

    /// The Rust source of the decoder of `guest`, whose name becomes part of the name of the one
    /// macro in it.
    #[must_use]
    pub fn generate(&self, guest: &str) -> String {
        emit::source(self, guest)
    }
}
