//! A device by itself, for tests: accesses at a time, in empty memory unless some is given.

use softmmu::GuestMemory;

use crate::device::{
    Access, Device, Effect, InterruptController, Message, Refusal, Time, Width, World,
};

pub(crate) struct Bench<D> {
    pub(crate) device: D,
    pub(crate) memory: GuestMemory,
    pub(crate) now: u64,
    pub(crate) messages: Vec<Message>,
}

impl<D: Device> Bench<D> {
    pub(crate) fn new(device: D) -> Self {
        Self { device, memory: GuestMemory::new(), now: 0, messages: Vec::new() }
    }

    fn call<T>(&mut self, action: impl FnOnce(&mut D, &World<'_>) -> T) -> T {
        let world = World::new(Time(self.now), 0, &self.memory);
        let answer = action(&mut self.device, &world);
        self.messages.extend(world.into_messages());
        if let Some(controller) = self.device.interrupt_controller() {
            self.messages.extend(controller.take_messages());
        }
        answer
    }

    pub(crate) fn try_read(&mut self, access: Access) -> Result<u64, Refusal> {
        let value = self.call(|device, world| device.read(access, world))?;
        Ok(value & access.width.mask())
    }

    pub(crate) fn try_write(&mut self, access: Access, value: u64) -> Result<Effect, Refusal> {
        self.call(|device, world| device.write(access, value & access.width.mask(), world))
    }

    /// A load from the first window.
    pub(crate) fn read(&mut self, offset: u64, width: Width) -> u64 {
        self.try_read(Access { window: 0, offset, width }).unwrap()
    }

    /// A store to the first window.
    pub(crate) fn write(&mut self, offset: u64, width: Width, value: u64) {
        self.try_write(Access { window: 0, offset, width }, value).unwrap();
    }

    pub(crate) fn read32(&mut self, offset: u64) -> u64 {
        self.read(offset, Width::B4)
    }

    pub(crate) fn write32(&mut self, offset: u64, value: u64) {
        self.write(offset, Width::B4, value);
    }

    pub(crate) fn wake(&mut self, now: u64) {
        self.now = now;
        self.call(|device, world| device.wake(world));
    }

    pub(crate) fn input(&mut self, input: u32, asserted: bool) {
        self.controller().set_input(input, asserted);
        let messages = self.controller().take_messages();
        self.messages.extend(messages);
    }

    pub(crate) fn controller(&mut self) -> &mut dyn InterruptController {
        self.device.interrupt_controller().expect("an interrupt controller")
    }

    /// The asserted outputs.
    pub(crate) fn outputs(&mut self) -> Vec<u32> {
        let controller = self.controller();
        (0..controller.outputs()).filter(|&output| controller.output(output)).collect()
    }
}

/// Any access that a bus may let through to a window of this size.
pub(crate) fn any_access(
    window: u32,
    size: u64,
) -> impl proptest::strategy::Strategy<Value = Access> {
    use proptest::prelude::*;
    let width = prop::sample::select(vec![Width::B1, Width::B2, Width::B4, Width::B8]);
    (0..size, width, prop::bool::weighted(0.8)).prop_map(move |(offset, width, aligned)| {
        let offset = if aligned { offset & !(width.bytes() - 1) } else { offset };
        Access { window, offset: offset.min(size - width.bytes()), width }
    })
}
