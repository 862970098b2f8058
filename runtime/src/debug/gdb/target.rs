//! A [`Debuggee`] as the protocol's crate wants it.

use std::collections::{HashMap, VecDeque};

use arch::debug::DebugValue;
use base::{GuestPhys, GuestVirt};
use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::Signal as GdbSignal;
use gdbstub::target::ext::auxv::{Auxv, AuxvOps};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::single_register_access::{
    SingleRegisterAccess, SingleRegisterAccessOps,
};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps,
    SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::target_description_xml_override::{
    TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps,
};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use softmmu::Watch;

use super::debuggee::{Debuggee, Memory, Resume, Signal, StopReason, Thread};
use super::packets::AddressMode;
use crate::debug::{BreakKind, Point};

/// `EFAULT`: what gdb says is that it cannot access memory.
const EFAULT: u8 = 14;
/// `EINVAL`
const EINVAL: u8 = 22;

/// Every guest: registers are what its description says.
pub(super) enum Guest {}

impl Arch for Guest {
    type Usize = u64;
    type Registers = General;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// The general registers, 64 bits each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct General {
    values: Vec<Option<u64>>,
    pc: u64,
}

impl Registers for General {
    type ProgramCounter = u64;

    fn pc(&self) -> u64 {
        self.pc
    }

    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        for value in &self.values {
            match value {
                Some(value) => value.to_le_bytes().into_iter().for_each(|b| write_byte(Some(b))),
                None => (0..8).for_each(|_| write_byte(None)),
            }
        }
    }

    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        let (words, rest) = bytes.as_chunks::<8>();
        self.values = words.iter().map(|word| Some(u64::from_le_bytes(*word))).collect();
        if rest.is_empty() { Ok(()) } else { Err(()) }
    }
}

/// A register's number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(u32);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Self, Option<std::num::NonZeroUsize>)> {
        Some((Self(u32::try_from(id).ok()?), None))
    }
}

/// See the module.
pub(super) struct GdbTarget<'a> {
    pub(super) debuggee: &'a mut dyn Debuggee,
    pub(super) mode: AddressMode,
    xml: String,
    actions: HashMap<Thread, (Resume, Option<Signal>)>,
    others: Resume,
    /// The debugger has asked for the guest's end.
    pub(super) is_killed: bool,
    /// Stops that gdb does not know of yet: it must before anything goes on.
    pub(super) pending: VecDeque<(Thread, StopReason)>,
}

impl<'a> GdbTarget<'a> {
    pub(super) fn new(debuggee: &'a mut dyn Debuggee) -> Self {
        let xml = debuggee.registers().xml();
        let (actions, pending) = (HashMap::new(), VecDeque::new());
        let (mode, others) = (AddressMode::Virtual, Resume::Run);
        Self { debuggee, mode, xml, actions, others, is_killed: false, pending }
    }

    fn place(&self, addr: u64) -> Memory {
        match self.mode {
            AddressMode::Virtual => Memory::Virtual(GuestVirt(addr)),
            AddressMode::Physical => Memory::Physical(GuestPhys(addr)),
        }
    }

    fn insert(&self, point: Point) -> bool {
        self.debuggee.engine().insert_point(point)
    }

    fn remove(&self, point: Point) -> bool {
        self.debuggee.engine().remove_point(point)
    }
}

impl Target for GdbTarget<'_> {
    type Arch = Guest;
    type Error = &'static str;

    fn base_ops(&mut self) -> BaseOps<'_, Guest, Self::Error> {
        BaseOps::MultiThread(self)
    }

    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }

    fn support_auxv(&mut self) -> Option<AuxvOps<'_, Self>> {
        if self.debuggee.auxiliary_vector().is_some() { Some(self) } else { None }
    }

    fn support_target_description_xml_override(
        &mut self,
    ) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
}

/// A piece of a whole, as far as it goes.
fn piece(whole: &[u8], offset: u64, length: usize, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|at| whole.get(at..));
    let rest = rest.unwrap_or_default();
    let len = rest.len().min(length).min(buffer.len());
    buffer[..len].copy_from_slice(&rest[..len]);
    len
}

impl Auxv for GdbTarget<'_> {
    fn get_auxv(&self, offset: u64, length: usize, buffer: &mut [u8]) -> TargetResult<usize, Self> {
        let vector = self.debuggee.auxiliary_vector().unwrap_or_default();
        Ok(piece(vector, offset, length, buffer))
    }
}

impl TargetDescriptionXmlOverride for GdbTarget<'_> {
    fn target_description_xml(
        &self,
        annex: &[u8],
        offset: u64,
        length: usize,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return Err(TargetError::Errno(EINVAL));
        }
        Ok(piece(self.xml.as_bytes(), offset, length, buffer))
    }
}

impl MultiThreadBase for GdbTarget<'_> {
    fn read_registers(
        &mut self,
        registers: &mut General,
        thread: Thread,
    ) -> TargetResult<(), Self> {
        let described = self.debuggee.registers();
        let (general, pc) = (described.general.clone(), described.pc);
        let numbers: Vec<u32> = general.collect();
        let values = self.debuggee.read_registers(thread, &numbers);
        registers.values = values.into_iter().map(|value| value.map(DebugValue::low)).collect();
        let at = numbers.iter().position(|&number| number == pc);
        registers.pc = at.and_then(|at| registers.values[at]).unwrap_or_default();
        Ok(())
    }

    fn write_registers(&mut self, registers: &General, thread: Thread) -> TargetResult<(), Self> {
        let general = self.debuggee.registers().general.clone();
        let values = general.zip(&registers.values);
        let values: Vec<_> = values.filter_map(|(n, value)| Some((n, (*value)?.into()))).collect();
        let written = self.debuggee.write_registers(thread, &values);
        if written { Ok(()) } else { Err(TargetError::Errno(EINVAL)) }
    }

    fn support_single_register_access(
        &mut self,
    ) -> Option<SingleRegisterAccessOps<'_, Thread, Self>> {
        Some(self)
    }

    fn read_addrs(
        &mut self,
        addr: u64,
        data: &mut [u8],
        thread: Thread,
    ) -> TargetResult<usize, Self> {
        let at = self.place(addr);
        match self.debuggee.read_memory(thread, at, data) {
            0 if !data.is_empty() => Err(TargetError::Errno(EFAULT)),
            len => Ok(len),
        }
    }

    fn write_addrs(&mut self, addr: u64, data: &[u8], thread: Thread) -> TargetResult<(), Self> {
        let at = self.place(addr);
        let written = self.debuggee.write_memory(thread, at, data);
        if written { Ok(()) } else { Err(TargetError::Errno(EFAULT)) }
    }

    fn list_active_threads(&mut self, found: &mut dyn FnMut(Thread)) -> Result<(), Self::Error> {
        self.debuggee.threads().into_iter().for_each(found);
        Ok(())
    }

    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }

    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl ThreadExtraInfo for GdbTarget<'_> {
    fn thread_extra_info(&self, thread: Thread, buffer: &mut [u8]) -> Result<usize, Self::Error> {
        let text = self.debuggee.describe(thread);
        let len = text.len().min(buffer.len());
        buffer[..len].copy_from_slice(&text.as_bytes()[..len]);
        Ok(len)
    }
}

impl SingleRegisterAccess<Thread> for GdbTarget<'_> {
    fn read_register(
        &mut self,
        thread: Thread,
        Number(number): Number,
        buffer: &mut [u8],
    ) -> TargetResult<usize, Self> {
        let register = self.debuggee.registers().find(number);
        let bytes = register.ok_or(TargetError::Errno(EINVAL))?.bits as usize / 8;
        let value = self.debuggee.read_registers(thread, &[number]).pop().flatten();
        let value = value.ok_or(TargetError::Errno(EINVAL))?.to_bytes();
        let (Some(target), Some(source)) = (buffer.get_mut(..bytes), value.get(..bytes)) else {
            return Err(TargetError::Errno(EINVAL));
        };
        target.copy_from_slice(source);
        Ok(bytes)
    }

    fn write_register(
        &mut self,
        thread: Thread,
        Number(number): Number,
        bytes: &[u8],
    ) -> TargetResult<(), Self> {
        let value = DebugValue::from_bytes(bytes).ok_or(TargetError::Errno(EINVAL))?;
        let written = self.debuggee.write_registers(thread, &[(number, value)]);
        if written { Ok(()) } else { Err(TargetError::Errno(EINVAL)) }
    }
}

fn signal(signal: Option<GdbSignal>) -> Option<Signal> {
    signal.map(|GdbSignal(number)| Signal(number)).filter(|signal| signal.0 != 0)
}

impl MultiThreadResume for GdbTarget<'_> {
    fn resume(&mut self) -> Result<(), Self::Error> {
        if !self.pending.is_empty() {
            return Ok(());
        }
        let others = (self.others, None);
        let (actions, debuggee) = (&self.actions, &mut self.debuggee);
        debuggee.resume(&|thread| actions.get(&thread).copied().unwrap_or(others));
        Ok(())
    }

    fn clear_resume_actions(&mut self) -> Result<(), Self::Error> {
        self.actions.clear();
        self.others = Resume::Run;
        Ok(())
    }

    fn set_resume_action_continue(
        &mut self,
        thread: Thread,
        with: Option<GdbSignal>,
    ) -> Result<(), Self::Error> {
        self.actions.insert(thread, (Resume::Run, signal(with)));
        Ok(())
    }

    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }

    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for GdbTarget<'_> {
    fn set_resume_action_step(
        &mut self,
        thread: Thread,
        with: Option<GdbSignal>,
    ) -> Result<(), Self::Error> {
        self.actions.insert(thread, (Resume::Step, signal(with)));
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for GdbTarget<'_> {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Self::Error> {
        self.others = Resume::Stay;
        Ok(())
    }
}

impl Breakpoints for GdbTarget<'_> {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }

    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for GdbTarget<'_> {
    fn add_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.insert(Point::Break(GuestVirt(addr), BreakKind::Software)))
    }

    fn remove_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove(Point::Break(GuestVirt(addr), BreakKind::Software)))
    }
}

impl HwBreakpoint for GdbTarget<'_> {
    fn add_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.insert(Point::Break(GuestVirt(addr), BreakKind::Hardware)))
    }

    fn remove_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        Ok(self.remove(Point::Break(GuestVirt(addr), BreakKind::Hardware)))
    }
}

fn watch(start: u64, len: u64, kind: WatchKind) -> Point {
    let kind = match kind {
        WatchKind::Write => softmmu::WatchKind::Write,
        WatchKind::Read => softmmu::WatchKind::Read,
        WatchKind::ReadWrite => softmmu::WatchKind::Access,
    };
    Point::Watch(Watch { start: GuestVirt(start), len, kind })
}

impl HwWatchpoint for GdbTarget<'_> {
    fn add_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.insert(watch(addr, len, kind)))
    }

    fn remove_hw_watchpoint(
        &mut self,
        addr: u64,
        len: u64,
        kind: WatchKind,
    ) -> TargetResult<bool, Self> {
        Ok(self.remove(watch(addr, len, kind)))
    }
}
