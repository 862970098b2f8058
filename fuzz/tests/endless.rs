//! Code that goes round for ever is stopped, whatever runs it.

use ferry_fuzz::guest::RISCV64;
use ferry_fuzz::machine::{CODE, End, State};
use ferry_fuzz::tier::{Runner, Tier};

#[test]
fn a_jump_to_itself_ends_under_every_tier() {
    let before = State::new(&RISCV64);
    let mut runner = Runner::new(&RISCV64).unwrap();
    for tier in Tier::ALL {
        let (_, end) = runner.run(tier, &[0x6f, 0, 0, 0], &before);
        assert_eq!(end, End::Endless, "{}", tier.name());
    }
    // What follows is not stopped.
    let (_, end) = runner.run(Tier::Region, RISCV64.breakpoint, &before);
    assert_eq!(end, End::Breakpoint(CODE));
}
