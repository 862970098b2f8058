//! What a flash chip says of itself: the query table (JEDEC JESD68.01) with the fields of Intel's command set
//! (JEP137, identifier 1), and the identifier codes.

/// Where the table stands in the query's address space.
const FIRST: usize = 0x10;

/// Of one chip.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    /// Bytes, as a power of two.
    pub(super) size_log2: u32,
    /// Bytes of a block, which is erased as a whole.
    pub(super) block: u32,
    /// Bytes of the write buffer, as a power of two.
    pub(super) buffer_log2: u32,
}

/// The byte at an address of the query's space.
pub(super) fn query(geometry: Geometry, address: usize) -> u8 {
    let table = table(geometry);
    address.checked_sub(FIRST).and_then(|index| table.get(index)).copied().unwrap_or(0)
}

fn table(geometry: Geometry) -> [u8; 0x30] {
    let blocks = ((1_u64 << geometry.size_log2) / u64::from(geometry.block)) as u16 - 1;
    let [blocks_low, blocks_high] = blocks.to_le_bytes();
    let [unit_low, unit_high] = ((geometry.block / 256) as u16).to_le_bytes();
    let mut table = [0; 0x30];
    let fields: [(usize, &[u8]); 9] = [
        (0x10, b"QRY"),
        // The command set, and where its own table is.
        (0x13, &[1, 0, 0x31, 0]),
        // Supply voltage: 4.5 V to 5.5 V.
        (0x1b, &[0x45, 0x55]),
        // Typical times, as powers of two: word and buffer (µs), block (ms).
        (0x1f, &[7, 7, 10, 0]),
        // Most times, as powers of two of these.
        (0x23, &[4, 4, 4, 0]),
        // Size; x8 and x16 asynchronous; the write buffer.
        (0x27, &[geometry.size_log2 as u8, 2, 0, geometry.buffer_log2 as u8, 0]),
        // One region of blocks: how many less one, and their size in units of 256 bytes.
        (0x2c, &[1, blocks_low, blocks_high, unit_low, unit_high]),
        // Intel's own table, version 1.0, without optional features.
        (0x31, b"PRI10"),
        // One protection register field.
        (0x3f, &[1]),
    ];
    for (address, bytes) in fields {
        table[address - FIRST..][..bytes.len()].copy_from_slice(bytes);
    }
    table
}
