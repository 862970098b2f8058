//! Integer vectors of SSE and AVX (SDM vol. 1, 10 to 14).

use decoders::x86_64::{Code, Mnemonic};
use ir::Type;

use super::table::Semantics;
use super::vector::{Align, is_mmx};

/// What an encoding means.
pub(super) fn table(code: Code) -> Option<Semantics> {
    use Mnemonic as M;
    Some(match code.mnemonic() {
        M::Paddb | M::Vpaddb if !is_mmx(code) => {
            |i| i.packed2(|a, b| a.as_vector(Type::I8x16) + b.as_vector(Type::I8x16))
        }
        M::Movaps | M::Movapd | M::Movdqa | M::Vmovaps | M::Vmovapd | M::Vmovdqa => {
            |i| i.move_vector(Align::Demanded)
        }
        _ => return None,
    })
}
