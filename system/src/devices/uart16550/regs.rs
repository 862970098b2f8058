//! Registers of the 16550, under the data sheet's names (section 8.0, table II).

#![expect(missing_docs, reason = "the bits bear the data sheet's names")]

/// Offsets. Those of DLL and DLM are RBR's and IER's while LCR's DLAB is set.
pub mod reg {
    /// Receiver buffer (read), transmitter holding (written), divisor latch low.
    pub const RBR_THR_DLL: u64 = 0;
    /// Interrupt enable, divisor latch high.
    pub const IER_DLM: u64 = 1;
    /// Interrupt identification (read), FIFO control (written).
    pub const IIR_FCR: u64 = 2;
    /// Line control.
    pub const LCR: u64 = 3;
    /// Modem control.
    pub const MCR: u64 = 4;
    /// Line status.
    pub const LSR: u64 = 5;
    /// Modem status.
    pub const MSR: u64 = 6;
    /// Scratch.
    pub const SCR: u64 = 7;
}

/// Interrupt enable register.
pub mod ier {
    pub const ERBFI: u8 = 1 << 0;
    pub const ETBEI: u8 = 1 << 1;
    pub const ELSI: u8 = 1 << 2;
    pub const EDSSI: u8 = 1 << 3;
    pub const ALL: u8 = 0xf;
}

/// Interrupt identification register: a source, and whether FIFOs are enabled.
pub mod iir {
    pub const MODEM_STATUS: u8 = 0b0000;
    pub const NONE: u8 = 0b0001;
    pub const THR_EMPTY: u8 = 0b0010;
    pub const DATA_AVAILABLE: u8 = 0b0100;
    pub const LINE_STATUS: u8 = 0b0110;
    pub const CHARACTER_TIMEOUT: u8 = 0b1100;
    pub const FIFOS: u8 = 0b1100_0000;
}

/// FIFO control register.
pub mod fcr {
    pub const ENABLE: u8 = 1 << 0;
    pub const RCVR_RESET: u8 = 1 << 1;
    pub const XMIT_RESET: u8 = 1 << 2;
    /// Where the receiver's trigger level starts.
    pub const TRIGGER_SHIFT: u8 = 6;
    /// Bytes in the receiver's FIFO that raise an interrupt, by the trigger field.
    pub const TRIGGERS: [usize; 4] = [1, 4, 8, 14];
}

/// Line control register.
pub mod lcr {
    /// Word length, less 5.
    pub const WLS: u8 = 0b11;
    /// Two stop bits.
    pub const STB: u8 = 1 << 2;
    /// Parity enable.
    pub const PEN: u8 = 1 << 3;
    /// Set break.
    pub const BREAK: u8 = 1 << 6;
    /// Divisor latch access bit.
    pub const DLAB: u8 = 1 << 7;
}

/// Modem control register.
pub mod mcr {
    pub const DTR: u8 = 1 << 0;
    pub const RTS: u8 = 1 << 1;
    pub const OUT1: u8 = 1 << 2;
    pub const OUT2: u8 = 1 << 3;
    pub const LOOP: u8 = 1 << 4;
    pub const ALL: u8 = 0x1f;
}

/// Line status register.
pub mod lsr {
    pub const DR: u8 = 1 << 0;
    pub const OE: u8 = 1 << 1;
    pub const PE: u8 = 1 << 2;
    pub const FE: u8 = 1 << 3;
    pub const BI: u8 = 1 << 4;
    pub const THRE: u8 = 1 << 5;
    pub const TEMT: u8 = 1 << 6;
    /// A character in the FIFO has an error.
    pub const FIFO_ERROR: u8 = 1 << 7;
    /// What raises the line status interrupt.
    pub const ERRORS: u8 = OE | PE | FE | BI;
}

/// Modem status register.
pub mod msr {
    pub const DCTS: u8 = 1 << 0;
    pub const DDSR: u8 = 1 << 1;
    pub const TERI: u8 = 1 << 2;
    pub const DDCD: u8 = 1 << 3;
    pub const CTS: u8 = 1 << 4;
    pub const DSR: u8 = 1 << 5;
    pub const RI: u8 = 1 << 6;
    pub const DCD: u8 = 1 << 7;
}
