//! The bytes of instructions, which the log shows once, when a block is made.

use std::collections::HashMap;

use crate::formats::riscv_insn;
use crate::formats::text::Scan;
use crate::{Architecture, Insn};

/// What is known about blocks.
///
/// A block is known by its place in QEMU's memory, as programs in several address spaces have different instructions at
/// the same address.
#[derive(Default)]
pub(super) struct Blocks {
    by_place: HashMap<u64, (u64, Insn)>,
    /// By address: shown, but not executed so far.
    fresh: HashMap<u64, Insn>,
    listing: Option<Listing>,
}

/// The text of a block.
struct Listing {
    pc: u64,
    bytes: [u8; 15],
    len: usize,
}

/// Beyond this, what is known is forgotten: the instructions of later events may be unknown then.
const MOST_BLOCKS: usize = 1 << 20;

impl Blocks {
    /// A line that begins with an address.
    pub(super) fn line(&mut self, text: &[u8], architecture: Architecture) -> Result<(), String> {
        let Some((pc, bytes, has_text)) = parse(text, architecture) else { return Ok(()) };
        match &mut self.listing {
            None => {
                let mut listing = Listing { pc, bytes: [0; 15], len: bytes.len() };
                listing.bytes[..bytes.len()].copy_from_slice(&bytes);
                self.listing = Some(listing);
            }
            Some(_) if has_text => {
                return Err(
                    "a block of several instructions: run QEMU with -one-insn-per-tb".to_owned()
                );
            }
            Some(listing) => {
                let end = listing.len + bytes.len();
                let rest = listing
                    .bytes
                    .get_mut(listing.len..end)
                    .ok_or("an instruction of more than 15 bytes")?;
                rest.copy_from_slice(&bytes);
                listing.len = end;
            }
        }
        Ok(())
    }

    /// The text of a block ends, if there is one.
    pub(super) fn end(&mut self) {
        let Some(Listing { pc, bytes, len }) = self.listing.take() else { return };
        if let Some(insn) = Insn::new(&bytes[..len]) {
            if self.fresh.len() >= MOST_BLOCKS {
                self.fresh.clear();
            }
            self.fresh.insert(pc, insn);
        }
    }

    /// The instruction of the block at this place.
    pub(super) fn executed(&mut self, place: u64, pc: u64) -> Option<Insn> {
        if self.fresh.is_empty() {
            return self.by_place.get(&place).filter(|known| known.0 == pc).map(|known| known.1);
        }
        match self.fresh.remove(&pc) {
            Some(insn) => {
                if self.by_place.len() >= MOST_BLOCKS {
                    self.by_place.clear();
                }
                self.by_place.insert(place, (pc, insn));
                Some(insn)
            }
            None => self.by_place.get(&place).filter(|known| known.0 == pc).map(|known| known.1),
        }
    }
}

/// `0x<pc>:  <bytes>  <text>`: an address, the bytes, and whether there is a text. The bytes stand singly on x86, as a number
/// elsewhere.
fn parse(text: &[u8], architecture: Architecture) -> Option<(u64, Vec<u8>, bool)> {
    let mut scan = Scan::new(text);
    let pc = scan.prefixed_hex()?.value;
    scan.eat(b":  ")?;
    if architecture != Architecture::X86_64 {
        let word = scan.hex()?;
        let insn = match architecture {
            Architecture::Riscv64 => riscv_insn(word.value)?,
            _ => Insn::from_word(word.value, 4)?,
        };
        return Some((pc, insn.bytes().to_vec(), true));
    }
    let mut bytes = Vec::new();
    while let Some(byte) = scan.hex().filter(|byte| byte.digits == 2 && bytes.len() < 15) {
        bytes.push(u8::try_from(byte.value).ok()?);
        if scan.eat(b" ").is_none() {
            break;
        }
    }
    (!bytes.is_empty()).then(|| (pc, bytes, !scan.rest.trim_ascii().is_empty()))
}
