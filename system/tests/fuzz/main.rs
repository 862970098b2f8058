//! Hostile guests and images, made up afresh in each run: whatever they do, a machine's devices neither panic nor
//! hang, nor reach anything beyond their memory and files.
//!
//! Each run prints its seed. `FERRY_FUZZ_SEED` repeats one; `FERRY_FUZZ_CASES` sets how many cases there are for
//! each test, instead of what fits into some seconds.

mod guest;
mod harness;
mod image;
mod machine;

use harness::run;

/// All devices of a machine, by loads and stores at the addresses at which they are: registers, configuration
/// space, queues that are set up well or badly and changed while they run.
#[test]
fn whatever_a_guest_does_to_its_devices() {
    run("devices", machine::case);
    machine::clean();
}

/// Disk images whose structures are wrong.
#[test]
fn whatever_is_in_an_image() {
    run("images", image::case);
}
