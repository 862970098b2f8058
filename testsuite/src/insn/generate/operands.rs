//! What registers and memory hold before a generated case.

use super::GenerateError;
use super::list::Template;
use crate::cache;
use base::rng::Rng;
use fuzz::case;
use fuzz::guest::Guest;
use fuzz::machine::State;

/// Where base registers point to, as a case has it, and as an offset in a state's memory.
const BASE: (&str, usize) = ("data+0x40", 0x40);
/// Enough for every lane of most operands to have met most corners.
const WANTED_LANES: u32 = 12;
const MOST: usize = 4;

/// A register that an instruction names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operand {
    /// As cases name the whole of it.
    pub register: String,
    /// What it holds.
    pub kind: Kind,
    /// How wide one lane is.
    pub lane: u32,
    /// How wide all that the instruction uses is.
    pub bits: u32,
    /// What it is for.
    pub role: Role,
}

/// What an operand is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is written and nothing else, as far as one can tell.
    Destination,
    /// It is read.
    Source,
    /// It is a memory address.
    Base,
}

/// Kinds of values; a list may name them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `int`: integers of the lane's width.
    Int,
    /// `float`: of the lane's width, 16, 32 or 64.
    Float,
    /// `bf16`: 8 bits of exponent, 7 of fraction.
    Bf16,
    /// `shift`: amounts in the lowest byte about as large as the lane, signed; above it any bits.
    Shift,
    /// `index`: bytes from 0 to 80.
    Index,
    /// `small`: from 0 to 15.
    Small,
}

impl Kind {
    fn named(text: &str) -> Option<Self> {
        match text {
            "int" => Some(Self::Int),
            "float" => Some(Self::Float),
            "bf16" => Some(Self::Bf16),
            "shift" => Some(Self::Shift),
            "index" => Some(Self::Index),
            "small" => Some(Self::Small),
            _ => None,
        }
    }

    /// A lane.
    fn value(self, lane: u32, specials: bool, rng: &mut Rng) -> u64 {
        let float = |rng: &mut Rng, exponent, fraction| match specials {
            true => special(exponent, fraction, rng),
            false => rng.float_of(exponent, fraction),
        };
        match (self, lane) {
            (Self::Float, 16) => float(rng, 5, 10),
            (Self::Float, 32) => float(rng, 8, 23),
            (Self::Float, 64) => float(rng, 11, 52),
            // Of 80 bits, their upper 64.
            (Self::Float, 80) => float(rng, 15, 48),
            (Self::Bf16, _) => float(rng, 8, 7),
            (Self::Shift, _) => {
                let amount = rng.bits() % (4 * u64::from(lane) + 1);
                let amount = amount.wrapping_sub(2 * u64::from(lane)) & 0xff;
                rng.bits() & !0xff | amount
            }
            (Self::Index, _) => rng.bits() % 81,
            (Self::Small, _) => rng.bits() % 16,
            _ => integer(lane, rng),
        }
    }
}

/// Zeros, the least and the greatest, infinities, NaNs of both kinds.
fn special(exponent_bits: u32, fraction_bits: u32, rng: &mut Rng) -> u64 {
    let greatest = ((1_u64 << exponent_bits) - 1) << fraction_bits;
    let fraction = (1_u64 << fraction_bits) - 1;
    let quiet = 1_u64 << (fraction_bits - 1);
    let payload = rng.bits() & fraction & !quiet | 1;
    let magnitudes = [
        0,
        1,
        fraction,
        fraction + 1,
        greatest - 1,
        greatest,
        greatest | quiet,
        greatest | quiet | payload,
        greatest | 1,
        greatest | payload,
    ];
    (rng.bits() & 1) << (exponent_bits + fraction_bits) | magnitudes[rng.below(magnitudes.len())]
}

/// Corners of the width, small numbers, any.
fn integer(bits: u32, rng: &mut Rng) -> u64 {
    let most = u64::MAX >> (64 - bits);
    let top = 1_u64 << (bits - 1);
    let corners = [0, 1, most, most - 1, top, top - 1, top + 1, 0x5555_5555_5555_5555 & most];
    match rng.below(4) {
        0 => corners[rng.below(corners.len())],
        1 => rng.integer() & most,
        _ => rng.bits() & most,
    }
}

/// The states that a template's cases start from.
///
/// # Errors
/// When it sets what does not exist.
pub fn states(guest: &'static Guest, template: &Template) -> Result<Vec<State>, GenerateError> {
    let text = template.text();
    let seed = u64::from_str_radix(&cache::fingerprint([text.as_bytes()]), 16).unwrap_or(0);
    let operands = super::syntax(guest, &template.place)?.operands(&template.instructions);
    let mut states = Vec::new();
    for index in 0..count(template, &operands) {
        let mut rng = Rng::new(seed.wrapping_add(index as u64));
        states.push(state(guest, template, &operands, index, &mut rng)?);
    }
    if template.modes {
        for mode in super::syntax(guest, &template.place)?.modes {
            let index = states.len();
            let mut rng = Rng::new(!seed.wrapping_add(index as u64));
            let mut state = state(guest, template, &operands, index, &mut rng)?;
            let register = super::syntax(guest, &template.place)?.mode_register;
            set(&mut state, template, &format!("{register}={mode}"))?;
            states.push(state);
        }
    }
    Ok(states)
}

/// States like those, but by `rng`; those of what has modes, or works on floating point, in any.
///
/// # Errors
/// When the template sets what does not exist.
pub fn fresh(
    guest: &'static Guest,
    template: &Template,
    count: usize,
    rng: &mut Rng,
) -> Result<Vec<State>, GenerateError> {
    let syntax = super::syntax(guest, &template.place)?;
    let operands = syntax.operands(&template.instructions);
    let moded = template.modes
        || operands.iter().any(|operand| matches!(operand.kind, Kind::Float | Kind::Bf16));
    let sets = |name: &str| template.settings.iter().any(|(set, _)| set == name);
    let mut states = Vec::new();
    for _ in 0..count {
        let index = rng.below(1000);
        let mut state = state(guest, template, &operands, index, rng)?;
        if moded && !sets(syntax.mode_register) {
            let names: Vec<&str> = syntax.modes.iter().copied().filter(|_| rng.one_in(3)).collect();
            let names = if names.is_empty() { "0".to_owned() } else { names.join("+") };
            set(&mut state, template, &format!("{}={names}", syntax.mode_register))?;
        }
        states.push(state);
    }
    Ok(states)
}

fn count(template: &Template, operands: &[Operand]) -> usize {
    let listed = template.settings.iter().map(|(_, values)| values.len()).max().unwrap_or(0);
    let sources = operands.iter().filter(|operand| operand.role == Role::Source);
    let lanes = sources.map(|operand| operand.bits / operand.lane.max(1)).min();
    let by_lanes = lanes.map_or(1, |lanes| WANTED_LANES.div_ceil(lanes.max(1)).max(2) as usize);
    template.count.unwrap_or(by_lanes.min(MOST)).max(listed)
}

fn state(
    guest: &'static Guest,
    template: &Template,
    operands: &[Operand],
    index: usize,
    rng: &mut Rng,
) -> Result<State, GenerateError> {
    let mut state = State::new(guest);
    if operands.iter().any(|operand| operand.role == Role::Base) {
        fill_memory(&mut state, template, operands, index % 3 == 1, rng);
    }
    for operand in operands {
        let setting = template.settings.iter().find(|(name, _)| *name == operand.register);
        let value = setting.map(|(_, values)| values[index % values.len()].as_str());
        match (value, operand.role) {
            (Some(text), _) if Kind::named(text).is_none() => {}
            (None, Role::Destination) if !template.both => {}
            (None, Role::Base) => {
                set(&mut state, template, &format!("{}={}", operand.register, BASE.0))?;
            }
            _ => {
                let kind = value.and_then(Kind::named).unwrap_or(operand.kind);
                fill(&mut state, operand, kind, index % 3 == 1, rng);
            }
        }
    }
    for (name, values) in &template.settings {
        let value = &values[index % values.len()];
        if Kind::named(value).is_none() {
            set(&mut state, template, &format!("{name}={value}"))?;
        }
    }
    Ok(state)
}

/// Such lanes as the other operands have, or bytes.
fn fill_memory(
    state: &mut State,
    template: &Template,
    operands: &[Operand],
    specials: bool,
    rng: &mut Rng,
) {
    let is_wide = |operand: &&Operand| operand.role != Role::Base && operand.kind == Kind::Float;
    let wide = operands.iter().rfind(is_wide);
    let memory = &mut state.memory[BASE.1..][..16 * template.memory];
    let lane = wide.map_or(8, |operand| operand.lane);
    if lane == 80 {
        for (n, chunk) in memory.chunks_exact_mut(16).enumerate() {
            let bytes = match template.text() {
                text if text.contains("dword") => Kind::Float.value(32, specials, rng).into(),
                text if text.contains("qword") => Kind::Float.value(64, specials, rng).into(),
                _ if n == 0 => extended(specials, rng),
                _ => u128::from(rng.bits()),
            };
            chunk.copy_from_slice(&u128::to_le_bytes(bytes));
        }
        return;
    }
    let kind = wide.map_or(Kind::Int, |operand| operand.kind);
    for chunk in memory.chunks_exact_mut(lane as usize / 8) {
        let value = if wide.is_some() { kind.value(lane, specials, rng) } else { rng.bits() };
        chunk.copy_from_slice(&value.to_le_bytes()[..lane as usize / 8]);
    }
}

/// x87's format: with an integer bit, mostly as it should be.
pub(crate) fn extended(specials: bool, rng: &mut Rng) -> u128 {
    let value = Kind::Float.value(80, specials, rng);
    let (exponent, fraction) = (value >> 48, value << 16 >> 1);
    let low = if rng.one_in(2) { 0 } else { rng.bits() & 0x7fff };
    let integer = u64::from(exponent & 0x7fff != 0) ^ u64::from(rng.one_in(24));
    u128::from(exponent) << 64 | u128::from(integer << 63 | fraction & !(1 << 63) | low)
}

/// Every lane of the register, those that the instruction does not use as well.
fn fill(state: &mut State, operand: &Operand, kind: Kind, specials: bool, rng: &mut Rng) {
    let Some(register) = state.guest.register(&operand.register) else { return };
    if operand.lane == 80 {
        register.set(&mut state.words, extended(specials, rng));
        return;
    }
    let mut value = 0_u128;
    let lane = operand.lane.min(64);
    for at in (0..register.bits).step_by(lane as usize) {
        let used = at < operand.bits;
        let bits = if used { kind.value(lane, specials, rng) } else { rng.bits() };
        value |= u128::from(bits & u64::MAX >> (64 - lane)) << at;
    }
    register.set(&mut state.words, value);
}

fn set(state: &mut State, template: &Template, setting: &str) -> Result<(), GenerateError> {
    case::set(state, setting)
        .map_err(|message| GenerateError::List { place: template.place.clone(), message })
}
