//! What is the same each time that an instruction is executed.

use super::bytes::Malformed;
use super::hart::{AccessShape, Hart, Part, Says, Site};
use crate::{Access, AccessKind, Event, Insn, Privilege};

impl Says {
    /// What this event has.
    #[inline]
    pub(super) fn of(event: &Event) -> Self {
        let trap = event.trap.unwrap_or_default();
        let fields = [
            (event.order.is_some(), Self::ORDER),
            (event.insn.is_some(), Self::INSN),
            (event.insn.is_some_and(|insn| insn.is_cut()), Self::CUT),
            (event.privilege.is_some(), Self::PRIVILEGE),
            (event.trap.is_some(), Self::TRAP),
            (trap.cause.is_some(), Self::CAUSE),
            (trap.value.is_some(), Self::TRAP_VALUE),
            (trap.signal.is_some(), Self::SIGNAL),
        ];
        Self(fields.into_iter().fold(0, |all, (has, field)| if has { all | field } else { all }))
    }
}

impl AccessShape {
    const STORE: u8 = 0x80;
    const PHYS: u8 = 0x40;
    const VALUE: u8 = 0x20;

    #[inline]
    pub(super) fn of(access: &Access) -> Self {
        Self {
            kind: access.kind,
            size: access.size,
            has_phys: access.phys.is_some(),
            has_value: access.value.is_some(),
        }
    }

    /// As one byte: three flags, and the size or 0.
    pub(super) fn byte(self) -> u8 {
        let flag = |has: bool, flag: u8| if has { flag } else { 0 };
        flag(self.kind == AccessKind::Store, Self::STORE)
            | flag(self.has_phys, Self::PHYS)
            | flag(self.has_value, Self::VALUE)
            | self.size.unwrap_or(0)
    }

    pub(super) fn from_byte(byte: u8) -> Result<Self, Malformed> {
        let size = byte & !(Self::STORE | Self::PHYS | Self::VALUE);
        if size > 16 {
            return Err(Malformed("an access of more than 16 bytes"));
        }
        Ok(Self {
            kind: if byte & Self::STORE == 0 { AccessKind::Load } else { AccessKind::Store },
            size: (size != 0).then_some(size),
            has_phys: byte & Self::PHYS != 0,
            has_value: byte & Self::VALUE != 0,
        })
    }
}

impl Site {
    pub(super) fn new(
        pc: u64,
        (insn, privilege, says): (Option<Insn>, Option<Privilege>, Says),
        slots: Part,
        accesses: Part,
        writes: Part,
    ) -> Self {
        let next = [super::hart::NOWHERE; 2];
        Self { pc, insn, privilege, says, slots, accesses, writes, next }
    }
}

/// Whether the event is at this site.
#[inline]
pub(super) fn matches(hart: &Hart, site: u32, event: &Event) -> bool {
    let Some(site) = hart.site(site) else { return false };
    let accesses = site.accesses.of(&hart.accesses);
    let writes = site.writes.of(&hart.writes);
    site.pc == event.pc
        && site.insn == event.insn
        && site.privilege == event.privilege
        && accesses.len() == event.accesses.len()
        && writes.len() == event.writes.len()
        && site.says == Says::of(event)
        && writes.iter().zip(&event.writes).all(|(shape, write)| shape.register == write.register)
        && accesses
            .iter()
            .zip(&event.accesses)
            .all(|(shape, access)| *shape == AccessShape::of(access))
}

/// A number that is most probably different for different sites.
pub(super) fn key(event: &Event) -> u64 {
    let mut key = 0_u64;
    let mut mix =
        |field: u64| key = (key.rotate_left(5) ^ field).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mix(event.pc);
    mix(event.insn.map_or(0, |insn| insn.word()));
    mix(Says::of(event).0.into());
    mix(event.privilege.map_or(0, |privilege| privilege.0.into()));
    for write in &event.writes {
        mix(u64::from(write.register.number) << 8 | u64::from(write.register.class as u8));
    }
    for access in &event.accesses {
        mix(u64::from(AccessShape::of(access).byte()));
    }
    key
}
