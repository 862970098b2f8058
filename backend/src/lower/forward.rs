//! Loads of what the same block has just stored take it from host registers.
//!
//! Hosts forward a store to a load that it contains, but stall where a load gathers several stores:
//! for the compilers of guests without unaligned accesses that is the usual way to read an unaligned
//! word (bytes to the stack, a word back).
//!
//! A load that comes right after the stores, with no access but other stores in between, may be
//! answered by them under every guest's memory model: it is as if nobody else had been quicker. So
//! any load that is performed, any atomic, fence or helper forgets what was stored; and so does a
//! store through another base, which may overlap. The stores themselves are all performed.
//!
//! The stores' base is often another register than the load's (a pointer to a local variable, and the
//! stack pointer). If the latest stores make up just as many bytes as are loaded, compiled code
//! compares the two addresses, and performs the load only if they differ.
//!
//! To the placement of sync points the load remains a load: a replay performs it.

use base::defect::{Defect, is_seeded};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{BlockArg, InstBuilder, Type, Value, types};

use super::Lowering;
use super::memory::guest_flags;

/// A store since which nothing was loaded.
struct Stored {
    offset: i32,
    /// Of the width that was stored.
    value: Value,
    bytes: i32,
}

impl Stored {
    fn end(&self) -> i32 {
        self.offset.saturating_add(self.bytes)
    }
}

/// The latest stores, all through one base, without overlap.
#[derive(Default)]
pub(super) struct RecentStores {
    base: Option<Value>,
    stores: Vec<Stored>,
}

/// Bytes that a load finds among the recent stores: values and how far up they belong.
type Pieces = Vec<(Value, i64)>;

impl RecentStores {
    pub(super) fn forget(&mut self) {
        self.base = None;
        self.stores.clear();
    }

    pub(super) fn note(&mut self, base: Value, offset: i32, value: Value, bytes: u32) {
        if self.base != Some(base) {
            self.forget();
            self.base = Some(base);
        }
        let new = Stored { offset, value, bytes: bytes as i32 };
        self.stores.retain(|old| old.end() <= new.offset || new.end() <= old.offset);
        self.stores.push(new);
    }

    /// The latest stores, if they are several that make up `bytes` in a row: their base, where the
    /// first byte is from there, and the pieces.
    fn latest(&self, bytes: u32) -> Option<(Value, i32, Pieces)> {
        let mut count = 0;
        let mut left = bytes as i32;
        for stored in self.stores.iter().rev() {
            if left <= 0 {
                break;
            }
            left -= stored.bytes;
            count += 1;
        }
        let start = self.stores.iter().rev().take(count).map(|stored| stored.offset).min()?;
        let pieces = self.pieces(self.base?, start, bytes)?;
        (pieces.len() == count && count > 1).then_some((self.base?, start, pieces))
    }

    /// The stores that make up the `bytes` at `offset` from `base`, exactly.
    fn pieces(&self, base: Value, offset: i32, bytes: u32) -> Option<Pieces> {
        if self.base != Some(base) && !is_seeded(Defect::ForwardsFromAnyBase) {
            return None;
        }
        let end = offset.saturating_add(bytes as i32);
        let within = |stored: &&Stored| stored.offset >= offset && stored.end() <= end;
        let found = || self.stores.iter().filter(within);
        // They do not overlap: if they are as many bytes as the load, they are all of its bytes.
        let covered: i32 = found().map(|stored| stored.bytes).sum();
        let shift = |stored: &Stored| i64::from(stored.offset - offset) * 8;
        let mut pieces: Pieces = found().map(|stored| (stored.value, shift(stored))).collect();
        pieces.sort_unstable_by_key(|&(_, shift)| shift);
        (covered == bytes as i32).then_some(pieces)
    }
}

impl Lowering<'_, '_> {
    /// The integer of type `ty` that a load would find, if the recent stores have all of it.
    pub(super) fn forwarded(&mut self, base: Value, offset: i32, ty: Type) -> Option<Value> {
        let pieces = self.recent_stores.pieces(base, offset, ty.bytes())?;
        Some(self.joined(&pieces, ty))
    }

    /// A load of an integer that the latest stores probably have, through whatever base.
    pub(super) fn load_if_not_stored(
        &mut self,
        base: Value,
        offset: i32,
        ty: Type,
    ) -> Option<Value> {
        let (stored_base, stored_offset, pieces) = self.recent_stores.latest(ty.bytes())?;
        let distance = i64::from(offset) - i64::from(stored_offset);
        let from_stored = self.fb.ins().iadd_imm_s(base, distance);
        let same = self.fb.ins().icmp(IntCC::Equal, from_stored, stored_base);
        let [load, join, done] = std::array::from_fn(|_| self.fb.create_block());
        self.fb.set_cold_block(load);
        let result = self.fb.append_block_param(done, ty);
        self.fb.ins().brif(same, join, &[], load, &[]);
        self.begin(load);
        self.keep_next_access();
        let loaded = self.fb.ins().load(ty, guest_flags(), base, offset);
        self.fb.ins().jump(done, &[BlockArg::Value(loaded)]);
        self.begin(join);
        let joined = self.joined(&pieces, ty);
        self.fb.ins().jump(done, &[BlockArg::Value(joined)]);
        self.begin(done);
        Some(result)
    }

    fn joined(&mut self, pieces: &Pieces, ty: Type) -> Value {
        if let [(whole, _)] = pieces[..] {
            return self.as_integer(whole);
        }
        let mut parts: Vec<Value> =
            pieces.iter().map(|&(value, shift)| self.placed(value, shift)).collect();
        // In pairs: the words of a chain would wait for each other.
        while parts.len() > 1 {
            parts = parts
                .chunks(2)
                .map(|pair| match *pair {
                    [low, high] => self.fb.ins().bor(low, high),
                    _ => pair[0],
                })
                .collect();
        }
        let wide = parts[0];
        if ty == types::I64 { wide } else { self.fb.ins().ireduce(ty, wide) }
    }

    fn placed(&mut self, value: Value, shift: i64) -> Value {
        let value = self.as_integer(value);
        let wide = match self.fb.func.dfg.value_type(value) {
            types::I64 => value,
            _ => self.fb.ins().uextend(types::I64, value),
        };
        if shift == 0 { wide } else { self.fb.ins().ishl_imm_u(wide, shift) }
    }
}
