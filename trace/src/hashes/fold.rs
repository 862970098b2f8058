//! From events to hashes.

use std::collections::BTreeMap;

use super::{MAX_HARTS, Window};
use crate::native::hash::Words;
use crate::{Access, AccessKind, Carries, Error, Event, RegClass, RegWrite, Register, Writes};

/// Numbers up to which registers' values are found by an index.
const DENSE: usize = 64;

/// Makes the hashes of an execution.
#[derive(Clone, Debug)]
pub struct Folder {
    every: u32,
    carries: Carries,
    harts: Vec<Hart>,
}

/// What a trace does not carry, so that hashes of it cannot be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it does not carry {0}")]
pub struct Lacking(&'static str);

#[derive(Clone, Debug)]
struct Hart {
    /// By class and number.
    dense: Box<[[u128; DENSE]; RegClass::ALL.len()]>,
    others: BTreeMap<Register, u128>,
    is_first: bool,
    events: u32,
    words: Words,
}

impl Default for Hart {
    fn default() -> Self {
        Self {
            dense: Box::new([[0; DENSE]; RegClass::ALL.len()]),
            others: BTreeMap::new(),
            is_first: true,
            events: 0,
            words: Words::NONE,
        }
    }
}

impl Hart {
    /// Whether this is another value than the register had.
    fn changes(&mut self, RegWrite { register, value }: RegWrite) -> bool {
        let dense = &mut self.dense[register.class as usize];
        let known = match dense.get_mut(usize::from(register.number)) {
            Some(known) => known,
            None => self.others.entry(register).or_insert(0),
        };
        std::mem::replace(known, value) != value
    }

    fn window(&mut self, hart: usize) -> Window {
        let (events, words) = (self.events, self.words);
        (self.events, self.words) = (0, Words::NONE);
        Window { hart: u32::try_from(hart).unwrap_or(u32::MAX), events, hash: words.hash() }
    }
}

const fn low(value: u128) -> u64 {
    (value & u64::MAX as u128) as u64
}

const fn high(value: u128) -> u64 {
    (value >> 64) as u64
}

impl Folder {
    /// Hashes of so many events each (1 at least), of what such events carry.
    #[must_use]
    pub fn new(every: u32, carries: &Carries) -> Self {
        Self { every: every.max(1), carries: Self::covered(carries), harts: Vec::new() }
    }

    /// What the hashes cover of what events carry.
    #[must_use]
    pub const fn covered(carries: &Carries) -> Carries {
        const fn changes(writes: Writes) -> Writes {
            match writes {
                Writes::Unknown => Writes::Unknown,
                Writes::Changes | Writes::Every => Writes::Changes,
            }
        }
        let Carries { insn, traps, loads, load_values, stores, store_values, .. } = *carries;
        let memory = loads && load_values && stores && store_values;
        Carries {
            insn,
            privilege: false,
            int: changes(carries.int),
            float: changes(carries.float),
            control: changes(carries.control),
            loads: memory,
            load_values: memory,
            stores: memory,
            store_values: memory,
            traps,
        }
    }

    /// What hashes of two executions can cover alike, of what the events of each carry.
    #[must_use]
    pub const fn common(a: &Carries, b: &Carries) -> Carries {
        const fn both(a: Writes, b: Writes) -> Writes {
            match a {
                Writes::Unknown => Writes::Unknown,
                Writes::Changes | Writes::Every => b,
            }
        }
        let (a, b) = (Self::covered(a), Self::covered(b));
        let memory = a.loads && b.loads;
        Carries {
            insn: a.insn && b.insn,
            privilege: false,
            int: both(a.int, b.int),
            float: both(a.float, b.float),
            control: both(a.control, b.control),
            loads: memory,
            load_values: memory,
            stores: memory,
            store_values: memory,
            traps: a.traps && b.traps,
        }
    }

    /// What these hashes cover.
    #[must_use]
    pub const fn carries(&self) -> Carries {
        self.carries
    }

    /// Whether events that carry this have what these hashes cover.
    ///
    /// # Errors
    /// What they lack.
    pub fn check(&self, carries: &Carries) -> Result<(), Lacking> {
        let (wanted, there) = (&self.carries, Self::covered(carries));
        for (is_wanted, is_there, what) in [
            (wanted.insn, there.insn, "instructions"),
            (wanted.traps, there.traps, "traps"),
            (wanted.loads, there.loads, "accesses to memory with their values"),
            (wanted.int != Writes::Unknown, there.int != Writes::Unknown, "integer registers"),
            (
                wanted.float != Writes::Unknown,
                there.float != Writes::Unknown,
                "floating-point registers",
            ),
            (
                wanted.control != Writes::Unknown,
                there.control != Writes::Unknown,
                "control registers",
            ),
        ] {
            if is_wanted && !is_there {
                return Err(Lacking(what));
            }
        }
        Ok(())
    }

    /// Says which values registers of a hart have, as if it had written them before.
    ///
    /// # Errors
    /// There are no machines with so many harts.
    pub fn know(&mut self, hart: u32, registers: &[RegWrite]) -> Result<(), Error> {
        let hart = self.hart(hart)?;
        let known = &mut self.harts[hart];
        registers.iter().for_each(|&write| _ = known.changes(write));
        Ok(())
    }

    /// Passes over an event, of which only the registers count: what follows it is no hart's first event.
    ///
    /// # Errors
    /// See [`Folder::know`].
    pub fn pass(&mut self, event: &Event) -> Result<(), Error> {
        self.know(event.hart, &event.writes)?;
        let hart = self.hart(event.hart)?;
        self.harts[hart].is_first = false;
        Ok(())
    }

    fn hart(&mut self, hart: u32) -> Result<usize, Error> {
        let index = usize::try_from(hart).unwrap_or(usize::MAX);
        if index >= self.harts.len() {
            if index >= MAX_HARTS {
                let what = format!("hart {hart}");
                return Err(Error::Unsayable { format: super::KIND.name, what });
            }
            self.harts.resize_with(index + 1, Hart::default);
        }
        Ok(index)
    }

    /// Adds an event; the window, if it is full now.
    ///
    /// # Errors
    /// See [`Folder::know`].
    #[inline]
    pub fn add(&mut self, event: &Event) -> Result<Option<Window>, Error> {
        let index = self.hart(event.hart)?;
        let (hart, carries) = (&mut self.harts[index], &self.carries);
        hart.words.add(event.pc);
        let mut length = 0;
        if let Some(insn) = event.insn.filter(|_| carries.insn) {
            length = insn.bytes().len() as u64;
            hart.words.add(insn.word());
            if length > 8 {
                let rest = insn.bytes()[8..].iter().rev();
                hart.words.add(rest.fold(0, |word, &byte| word << 8 | u64::from(byte)));
            }
        }
        if carries.loads {
            event.accesses.iter().for_each(|access| add_access(&mut hart.words, access));
        }
        let mut sum = length | u64::from(carries.traps && event.trap.is_some()) << 8;
        let is_first = std::mem::replace(&mut hart.is_first, false);
        for &write in &event.writes {
            let (register, value) = (write.register, write.value);
            if covers(carries, register.class) && hart.changes(write) && !is_first {
                let mut words = Words::NONE;
                words.add((register.class as u64) << 16 | u64::from(register.number));
                words.add(low(value));
                words.add(high(value));
                sum = sum.wrapping_add(words.hash());
            }
        }
        hart.words.add(sum);
        hart.events += 1;
        Ok((hart.events >= self.every).then(|| hart.window(index)))
    }

    /// The windows that are not full, of which there are events.
    #[must_use]
    pub fn finish(mut self) -> Vec<Window> {
        let harts = self.harts.iter_mut().enumerate().filter(|(_, hart)| hart.events > 0);
        harts.map(|(index, hart)| hart.window(index)).collect()
    }
}

fn covers(carries: &Carries, class: RegClass) -> bool {
    let writes = match class {
        RegClass::Int => carries.int,
        RegClass::Float | RegClass::Vector | RegClass::VectorUpper => carries.float,
        RegClass::Flags | RegClass::Control => carries.control,
    };
    writes != Writes::Unknown
}

fn add_access(words: &mut Words, access: &Access) {
    let value = access.value.unwrap_or_default();
    let is_store = u64::from(access.kind == AccessKind::Store);
    words.add(access.addr);
    words.add(u64::from(access.size.unwrap_or_default()) << 1 | is_store);
    words.add(low(value));
    words.add(high(value));
}
