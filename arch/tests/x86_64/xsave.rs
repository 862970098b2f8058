//! FXSAVE, XSAVE and their like, with areas as the host writes and reads them.

#![expect(unsafe_code, reason = "the host's instructions")]

use base::{CpuFrame, HelperId};
use ferry_arch::x86_64::xsave::{self, XSTATE_BV};
use ferry_arch::x86_64::{helpers, mxcsr, slot, x87};

use crate::native::{Code, Random};

const BYTES: usize = 832;
const ALL: u64 = xsave::X87 | xsave::SSE | xsave::AVX;

#[derive(Clone, PartialEq, Debug)]
#[repr(C, align(64))]
struct Area([u8; BYTES]);

impl Area {
    fn filled(fill: u8) -> Box<Self> {
        Box::new(Self([fill; BYTES]))
    }

    /// What can be restored: random numbers in the components that its header names.
    fn random(random: &mut Random) -> Box<Self> {
        let mut area = Self::filled(0);
        area.0.iter_mut().for_each(|byte| *byte = random.next() as u8);
        area.0[512..576].fill(0);
        // How wide addresses are depends on the processor.
        for pointer in [8, 16] {
            area.0[pointer + 5..pointer + 8].fill(0);
        }
        let mxcsr = random.next() as u32 & 0xffff;
        area.0[24..28].copy_from_slice(&mxcsr.to_le_bytes());
        area.0[XSTATE_BV] = random.next() as u8 & 7;
        if random.below(2) == 0 {
            let room = u64::from(area.0[XSTATE_BV]) | random.next() & 7 | 1 << 63;
            area.0[520..528].copy_from_slice(&room.to_le_bytes());
        }
        area
    }

    fn address(&mut self) -> *mut u8 {
        self.0.as_mut_ptr()
    }
}

/// An instruction of the host that saves, and the helper.
type Save = (&'static [u8], HelperId, u64);

const SAVES: &[Save] = &[
    (&[0x48, 0x0f, 0xae, 0x26], helpers::XSAVE, 64),
    (&[0x0f, 0xae, 0x26], helpers::XSAVE, 32),
    (&[0x48, 0x0f, 0xae, 0x36], helpers::XSAVEOPT, 64),
    (&[0x48, 0x0f, 0xc7, 0x26], helpers::XSAVEC, 64),
    (&[0x48, 0x0f, 0xae, 0x06], helpers::FXSAVE, 64),
    (&[0x0f, 0xae, 0x06], helpers::FXSAVE, 32),
];

fn move_to_eax(value: u64) -> Vec<u8> {
    [&[0xb8][..], &(value as u32).to_le_bytes()].concat()
}

#[test]
#[expect(clippy::print_stderr, reason = "says why nothing was tested")]
fn areas_are_as_the_host_s() {
    if !is_x86_feature_detected!("xsavec") || !is_x86_feature_detected!("avx") {
        eprintln!("passed over: the host has no XSAVEC or no AVX");
        return;
    }
    let mut random = Random::new(0xa5a5);
    let mut code = Code::new();
    for n in 0..3000 {
        let (save, id, bits) = SAVES[n % SAVES.len()];
        let mut clean = Area::filled(0);
        clean.0[24..28].copy_from_slice(&mxcsr::INIT.to_le_bytes());
        let mut first = Area::random(&mut random);
        // MXCSR that is restored with AVX alone does not count as SSE in use, where else it does.
        let (restored, saved) = (random.pick(&[0, 1, 2, 3, 6, 7]), random.next() & 7);
        let mut host = Area::filled(random.next() as u8);
        let mut ours = host.clone();
        // Without AVX-512's registers, which nothing here names.
        let text = [
            &[0x0f, 0xae, 0x1a, 0x52, 0x31, 0xd2][..], // stmxcsr [rdx]; push rdx; xor edx, edx
            &move_to_eax(ALL),
            &[0x48, 0x0f, 0xae, 0x29], // xrstor64 [rcx]
            &move_to_eax(restored),
            &[0x48, 0x0f, 0xae, 0x2f], // xrstor64 [rdi]
            &move_to_eax(saved),
            save,
            &[0x5a, 0xdb, 0xe3, 0x0f, 0xae, 0x12, 0xc5, 0xf8, 0x77, 0xc3], // pop rdx; fninit; ldmxcsr [rdx]; vzeroupper; ret
        ]
        .concat();
        let mut control = 0_u32;
        // SAFETY: vectors and the FPU are left as the calling convention says, MXCSR as it was.
        unsafe {
            let arguments =
                [first.address(), host.address(), (&raw mut control).cast(), clean.address()];
            code.call(&text, arguments);
        }
        let mut frame = CpuFrame::new();
        ferry_arch::x86_64::reset(&mut frame);
        let xcr0 = ALL | 1 << 63;
        let from = first.address() as u64;
        let result = helpers::call(&mut frame, helpers::XRSTOR, [from, 64, restored, xcr0]);
        assert_eq!((result, frame.fault), (Some(0), 0), "{n}");
        let to = ours.address() as u64;
        let result = helpers::call(&mut frame, id, [to, bits, saved, ALL]);
        assert_eq!((result, frame.fault), (Some(0), 0), "{n}");
        if !base::host::is_intel() {
            // AMD's processors write the last instruction and operand where an exception is pending only, and have another
            // MXCSR_MASK.
            for at in (6..24).chain(28..32) {
                host.0[at] = ours.0[at];
            }
        }
        let differing: Vec<_> = (0..BYTES)
            .filter(|at| ours.0[*at] != host.0[*at])
            .map(|at| (at, ours.0[at], host.0[at]))
            .collect();
        assert!(differing.is_empty(), "{n}: {save:x?} of {saved} after {restored}: {differing:x?}");
    }
}

#[test]
fn areas_of_a_frame_come_back() {
    let mut random = Random::new(7);
    let mut frame = CpuFrame::new();
    for n in 0..16 {
        frame.set_wide(slot::xmm(n), u128::from(random.next()) << 64 | u128::from(random.next()));
        frame.set_wide(slot::ymm_high(n), u128::from(random.next()) << 64);
    }
    x87::State {
        registers: [x87::F80 { significand: 5, sign_exponent: 6 }; 8],
        ..x87::State::initial()
    }
    .store(&mut frame);
    mxcsr::set(&mut frame, 0x7fbf);
    for xcr0 in [0, 3, 7] {
        let area = xsave::area_of(&frame, xcr0);
        assert_eq!(area.len(), [512, 0, 0, 576, 0, 0, 0, 832][xcr0 as usize]);
        let mut other = CpuFrame::new();
        other.set_wide(slot::ymm_high(3), 77);
        xsave::restore_area(&mut other, &area, xcr0).unwrap();
        assert_eq!(other.get_wide(slot::xmm(9)), frame.get_wide(slot::xmm(9)));
        assert_eq!(mxcsr::get(&other), 0x7fbf);
        assert_eq!(x87::State::of(&other), x87::State::of(&frame));
        let expected = match xcr0 {
            0 => 0,
            3 => 77,
            _ => frame.get_wide(slot::ymm_high(3)),
        };
        assert_eq!(other.get_wide(slot::ymm_high(3)), expected);
    }
}

#[test]
fn areas_that_are_not_valid_change_nothing() {
    let mut frame = CpuFrame::new();
    ferry_arch::x86_64::reset(&mut frame);
    frame.set_wide(slot::xmm(0), 1);
    let good = xsave::area_of(&frame, ALL);
    let with = |at: usize, value: u8| {
        let mut area = good.clone();
        area[at] = value;
        area
    };
    for area in [
        with(XSTATE_BV, 8),
        with(XSTATE_BV + 7, 0x80),
        with(xsave::XCOMP_BV, 1),
        with(xsave::XCOMP_BV + 8, 1),
        with(26, 1),
        with(xsave::XCOMP_BV + 7, 0x80),
        good[..100].to_vec(),
    ] {
        let mut other = CpuFrame::new();
        assert!(xsave::restore_area(&mut other, &area, ALL).is_err());
        assert!(other.slots.iter().all(|slot| *slot == 0));
    }
}
