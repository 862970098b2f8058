use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::super::testing::{Driver, Transport};
use super::backend::{Full, Offload, PartialChecksum, Segmentation};
use super::*;
use crate::host::net::{NetConfig, UserNet};

const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const CSUM: u64 = 1 << VIRTIO_NET_F_CSUM | 1 << VIRTIO_NET_F_GUEST_CSUM;
const TSO: u64 = 1 << VIRTIO_NET_F_HOST_TSO4 | 1 << VIRTIO_NET_F_GUEST_TSO4;
const MERGE: u64 = 1 << VIRTIO_NET_F_MRG_RXBUF;

type Frames = VecDeque<(Vec<u8>, Offload)>;

/// What a test sees of its backend.
#[derive(Default)]
struct State {
    sent: Frames,
    flushes: usize,
    /// Frames that are taken before there is no room.
    room: usize,
    coming: Frames,
    terms: Vec<GuestOffloads>,
    notifier: Option<Notifier>,
}

#[derive(Clone, Default)]
struct Wire {
    state: Arc<Mutex<State>>,
    shown: Option<(Vec<u8>, Offload)>,
}

impl NetBackend for Wire {
    fn connect(&mut self, notifier: Notifier) {
        self.state.lock().unwrap().notifier = Some(notifier);
    }

    fn negotiate(&mut self, offloads: GuestOffloads) {
        self.state.lock().unwrap().terms.push(offloads);
    }

    fn transmit(
        &mut self,
        len: usize,
        offload: Offload,
        fill: &mut dyn FnMut(&mut [u8]) -> Filled,
    ) -> Result<(), Full> {
        let mut state = self.state.lock().unwrap();
        state.room = state.room.checked_sub(1).ok_or(Full)?;
        let mut bytes = vec![0; len];
        if fill(&mut bytes) == Filled::Complete {
            state.sent.push_back((bytes, offload));
        }
        Ok(())
    }

    fn flush(&mut self) {
        self.state.lock().unwrap().flushes += 1;
    }

    fn receive(&mut self) -> Option<Frame<'_>> {
        if self.shown.is_none() {
            self.shown = self.state.lock().unwrap().coming.pop_front();
        }
        self.shown.as_ref().map(|(bytes, offload)| Frame { bytes, offload: *offload })
    }

    fn consume(&mut self) {
        self.shown = None;
    }
}

fn device(transport: Transport, features: u64) -> (Driver, Arc<Mutex<State>>) {
    let wire = Wire::default();
    let state = Arc::clone(&wire.state);
    state.lock().unwrap().room = usize::MAX;
    let net = Box::new(Net::new(Box::new(wire), MAC, 1500));
    (Driver::started(transport, net, features), state)
}

/// Something arrives for the guest.
fn arrive(state: &Mutex<State>, driver: &mut Driver, frame: &[u8], offload: Offload) {
    let mut state = state.lock().unwrap();
    state.coming.push_back((frame.to_vec(), offload));
    state.notifier.as_ref().unwrap().notify();
    drop(state);
    driver.wake();
}

fn send(driver: &mut Driver, header: &[u8; 12], frame: &[u8]) {
    let header = driver.place_bytes(header);
    let at = driver.place_bytes(frame);
    driver.add(TRANSMIT, &[(header, 12), (at, frame.len() as u32)], &[]);
}

#[test]
fn the_configuration_says_what_the_device_is() {
    for transport in Transport::ALL {
        let (mut driver, state) = device(transport, CSUM | TSO);
        let mut expected = MAC.to_vec();
        expected.extend([1, 0, 1, 0, 0xdc, 0x05]);
        assert_eq!(driver.config(0, 12), expected);
        assert_eq!(state.lock().unwrap().terms.last(), Some(&GuestOffloads::Segmentation));
        driver.set_status(0);
        assert_eq!(state.lock().unwrap().terms.last(), Some(&GuestOffloads::None));
    }
}

#[test]
fn the_guests_frames_are_sent_in_one_batch() {
    for transport in Transport::ALL {
        let (mut driver, state) = device(transport, CSUM | TSO);
        send(&mut driver, &[0; 12], &[1; 60]);
        // Cut in the middle of the header.
        let mut bytes = vec![1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
        bytes.extend([2; 3000]);
        let at = driver.place_bytes(&bytes);
        driver.add(TRANSMIT, &[(at, 5), (at + 5, 7), (at + 12, 1), (at + 13, 2999)], &[]);
        driver.kick(TRANSMIT);
        assert_eq!(driver.used(TRANSMIT).len(), 2);
        assert_eq!(driver.take_interrupts(), 1);
        let state = state.lock().unwrap();
        let checksum = Some(PartialChecksum { start: 34, offset: 16 });
        let segmentation = Some(Segmentation { size: 1460, headers: 54 });
        let expected = [
            (vec![1; 60], Offload::default()),
            (vec![2; 3000], Offload { checksum, segmentation }),
        ];
        assert_eq!(state.sent, expected);
        assert_eq!(state.flushes, 1);
    }
}

#[test]
fn headers_that_were_not_agreed_to_or_make_no_sense_are_dropped() {
    let needs_csum = [1, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0];
    let tso = [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 0, 0];
    let cases: [(u64, [u8; 12], usize, bool); 9] = [
        (0, [0; 12], 60, true),
        (0, needs_csum, 60, false),
        (CSUM, needs_csum, 60, true),
        (CSUM, needs_csum, 51, false),
        (CSUM, tso, 60, false),
        (CSUM | TSO, tso, 60, true),
        (TSO, tso, 60, false),
        (CSUM | TSO, [1, 3, 0, 0, 9, 0, 34, 0, 16, 0, 0, 0], 60, false),
        (CSUM | TSO, [0, 1, 54, 0, 0xb4, 5, 0, 0, 0, 0, 0, 0], 60, false),
    ];
    for (features, header, len, sent) in cases {
        let (mut driver, state) = device(Transport::Mmio, features);
        send(&mut driver, &header, &vec![0; len]);
        driver.kick(TRANSMIT);
        assert_eq!(driver.used(TRANSMIT).len(), 1, "{header:?}");
        assert_eq!(state.lock().unwrap().sent.len(), usize::from(sent), "{features:x} {header:?}");
    }
    // Nothing, not even a header, and a frame that is none.
    let (mut driver, state) = device(Transport::Mmio, 0);
    let at = driver.room(70_000);
    driver.add(TRANSMIT, &[(at, 7)], &[]);
    driver.add(TRANSMIT, &[(at, 12)], &[]);
    driver.add(TRANSMIT, &[(at, 69_000)], &[]);
    driver.kick(TRANSMIT);
    assert_eq!(driver.used(TRANSMIT).len(), 3);
    assert!(state.lock().unwrap().sent.is_empty());
}

#[test]
fn frames_wait_until_there_is_room() {
    let (mut driver, state) = device(Transport::PciMsix, 0);
    state.lock().unwrap().room = 2;
    (0..5).for_each(|index| send(&mut driver, &[0; 12], &[index; 60]));
    driver.kick(TRANSMIT);
    assert_eq!(driver.used(TRANSMIT).len(), 2);
    driver.wake();
    assert_eq!(driver.used(TRANSMIT).len(), 0);
    {
        let mut state = state.lock().unwrap();
        state.room = 10;
        state.notifier.as_ref().unwrap().notify();
    }
    driver.wake();
    assert_eq!(driver.used(TRANSMIT).len(), 3);
    let sent: Vec<_> = state.lock().unwrap().sent.iter().map(|(bytes, _)| bytes[0]).collect();
    assert_eq!(sent, [0, 1, 2, 3, 4]);
}

#[test]
fn frames_arrive_in_buffers_that_wait_or_come_later() {
    for transport in Transport::ALL {
        let (mut driver, state) = device(transport, 0);
        let room = driver.room(2000);
        driver.add(RECEIVE, &[], &[(room, 12), (room + 12, 1514)]);
        driver.kick(RECEIVE);
        arrive(&state, &mut driver, &[7; 100], Offload::default());
        assert_eq!(driver.used(RECEIVE), [(0, 112)]);
        assert_eq!(driver.take_interrupts(), 1);
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
        expected.extend([7; 100]);
        expected.extend([0xee; 10]);
        assert_eq!(driver.bytes(room, 122), expected);

        arrive(&state, &mut driver, &[8; 1514], Offload::default());
        assert!(driver.used(RECEIVE).is_empty());
        let later = driver.room(2000);
        driver.add(RECEIVE, &[], &[(later, 1526)]);
        driver.kick(RECEIVE);
        assert_eq!(driver.used(RECEIVE).len(), 1);
        assert_eq!(driver.bytes(later + 12, 1514), [8; 1514]);
    }
}

#[test]
fn a_frame_too_long_for_its_buffer_is_dropped_and_the_next_gets_it() {
    let (mut driver, state) = device(Transport::Mmio, 0);
    let room = driver.room(200);
    driver.add(RECEIVE, &[], &[(room, 100)]);
    arrive(&state, &mut driver, &[1; 89], Offload::default());
    arrive(&state, &mut driver, &[2; 88], Offload::default());
    assert_eq!(driver.used(RECEIVE), [(0, 100)]);
    assert_eq!(driver.bytes(room + 12, 88), [2; 88]);
}

#[test]
fn long_frames_are_spread_over_chains_all_at_once() {
    for transport in Transport::ALL {
        let (mut driver, state) = device(transport, CSUM | TSO | MERGE);
        let room = driver.room(10 * 1024);
        let checksum = Some(PartialChecksum { start: 34, offset: 16 });
        let segmentation = Some(Segmentation { size: 1460, headers: 54 });
        let frame: Vec<_> = (0..5000_u32).map(|at| (at % 251) as u8).collect();
        for index in 0..4 {
            driver.add(RECEIVE, &[], &[(room + 1024 * index, 1024)]);
        }
        arrive(&state, &mut driver, &frame, Offload { checksum, segmentation });
        assert!(driver.used(RECEIVE).is_empty(), "4 KiB are not enough");
        assert_eq!(driver.bytes(room, 1), [0xee]);
        for index in 4..6 {
            driver.add(RECEIVE, &[], &[(room + 1024 * index, 1024)]);
        }
        driver.kick(RECEIVE);
        let used = driver.used(RECEIVE);
        assert_eq!(used, [(0, 1024), (1, 1024), (2, 1024), (3, 1024), (4, 916)]);
        assert_eq!(driver.take_interrupts(), 1);
        let header = [1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0, 5, 0];
        assert_eq!(driver.bytes(room, 12), header);
        assert_eq!(driver.bytes(room + 12, 5000), frame);

        // The sixth is still there, and is enough for a short one.
        arrive(&state, &mut driver, &[9; 60], Offload::default());
        assert_eq!(driver.used(RECEIVE), [(5, 72)]);
        assert_eq!(driver.bytes(room + 5 * 1024 + 10, 2), [1, 0]);
    }
}

#[test]
fn what_the_guest_has_not_agreed_to_is_not_shown_to_it() {
    let (mut driver, state) = device(Transport::Mmio, MERGE);
    let room = driver.room(2000);
    driver.add(RECEIVE, &[], &[(room, 2000)]);
    let checksum = Some(PartialChecksum { start: 34, offset: 16 });
    arrive(&state, &mut driver, &[1; 60], Offload { checksum, segmentation: None });
    arrive(&state, &mut driver, &[2; 60], Offload::default());
    assert_eq!(driver.used(RECEIVE), [(0, 72)]);
    assert_eq!(driver.bytes(room + 12, 1), [2]);
}

#[test]
fn a_guest_asks_the_network_in_user_mode_who_the_router_is() {
    let Ok(NetConfig::User(config)) = "user".parse() else { panic!("no configuration") };
    let backend = Box::new(UserNet::open(&config).unwrap());
    let net = Box::new(Net::new(backend, config.mac.0, config.mtu));
    let mut driver = Driver::started(Transport::PciMsix, net, CSUM | TSO | MERGE);
    let room = driver.room(2048);
    driver.add(RECEIVE, &[], &[(room, 2048)]);
    driver.kick(RECEIVE);
    let mut request = vec![0xff; 6];
    request.extend(MAC);
    request.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    request.extend(MAC);
    request.extend([10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    send(&mut driver, &[0; 12], &request);
    driver.kick(TRANSMIT);
    assert_eq!(driver.wait_used(RECEIVE, 1), [(0, 12 + 42)]);
    let answer = driver.bytes(room + 12, 42);
    assert_eq!(answer[..6], MAC);
    assert_eq!(answer[20..32], [0, 2, 0x52, 0x55, 10, 0, 2, 2, 10, 0, 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever buffers the driver gives, only they are written, and frames come whole or not at all.
    #[test]
    fn any_buffers_are_filled_with_whole_frames(
        features in prop_oneof![Just(0), Just(MERGE), Just(CSUM | TSO | MERGE)],
        steps in prop::collection::vec((any::<bool>(), 1u32..400, 1usize..600), 1..40),
    ) {
        let (mut driver, state) = device(Transport::Mmio, features);
        let mut rooms = Vec::new();
        for (buffer, len, frame) in steps {
            if buffer {
                let room = driver.room(u64::from(len) + 64);
                rooms.push((driver.add(RECEIVE, &[], &[(room, len)]), room, len));
                driver.kick(RECEIVE);
            } else {
                arrive(&state, &mut driver, &vec![3; frame], Offload::default());
            }
        }
        prop_assert_eq!(driver.status() & 0x40, 0);
        let used = driver.used(RECEIVE);
        for &(_, room, len) in &rooms {
            prop_assert_eq!(driver.bytes(room + u64::from(len), 64), vec![0xee; 64]);
        }
        for (index, &(head, written)) in used.iter().enumerate() {
            prop_assert_eq!(head, rooms[index].0);
            prop_assert!(written <= rooms[index].2);
        }
    }

    /// Whatever the driver sends, it is taken, or the device needs a reset.
    #[test]
    fn any_request_is_taken(
        features in prop_oneof![Just(0), Just(CSUM), Just(CSUM | TSO | MERGE)],
        requests in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..80), prop::collection::vec(0u32..40, 1..4), 0u64..4),
            1..20,
        ),
    ) {
        let (mut driver, state) = device(Transport::Mmio, features);
        for (bytes, pieces, wild) in requests {
            let at = driver.place_bytes(&bytes);
            let (mut from, mut readable) = (at, Vec::new());
            for len in pieces {
                readable.push((from, len));
                from += u64::from(len);
            }
            if wild == 0 {
                readable.push((u64::MAX - 5, 50));
            }
            driver.add(TRANSMIT, &readable, &[]);
            driver.kick(TRANSMIT);
        }
        let taken = driver.used(TRANSMIT).len();
        prop_assert!(state.lock().unwrap().sent.len() <= taken);
    }
}
