//! What RISC-V instructions need and IR has no operation for. [`HELPERS`] is the table that IR's
//! helper ids index; the constants are those ids.

#![expect(unsafe_code, reason = "the engines pass the frame as a raw pointer")]

pub mod bit;
pub mod cipher;
pub mod fp;
pub mod system;

use base::CpuFrame;
use base::float::{Env, F16, F32, F64, Rules};

use super::privileged::SystemContext;
use super::slot;
pub use crate::frame::FrameRef;
use crate::helper_table::helpers;

/// A whole machine's hart: its registers, and what it has beside them. `None` in user mode.
fn hart(frame: &FrameRef) -> Option<(&CpuFrame, &SystemContext)> {
    // SAFETY: a machine that runs translations of system mode hangs this on the CPU, and keeps it.
    unsafe { frame.machine() }
}

/// Runs `op` in an environment of its own; the rounding mode is an argument where it matters.
fn with_fp<R>(frame: &mut FrameRef, op: impl FnOnce(&mut Env) -> R) -> R {
    let mut env = Env::new(Rules::RISCV);
    let result = op(&mut env);
    frame.accrue(slot::FFLAGS, env.flags);
    result
}

helpers! {
    // Zicsr, Zicntr, Zifencei, Zihintpause, Zawrs.
    SET_FRM "set_frm" Frame (frm) system::set_frm;
    READ_CYCLE "read_cycle" Frame () system::cycle;
    READ_TIME "read_time" Frame () system::time;
    READ_INSTRET "read_instret" Frame () system::instret;
    SYNC_CODE "sync_code" Frame () system::sync_code;
    PAUSE "pause" Frame () system::pause;
    YIELD "yield" Frame () system::yield_now;
    // The privileged architecture's.
    SSTATUS "sstatus" Memory (function, operand) system::sstatus;
    MACHINE_TIME "machine_time" Memory () system::machine_time;
    // Zacas.
    AMOCAS_Q "amocas_q" Memory (addr, rd, rs2) system::amocas_q;
    // Zbc, Zbkb, Zbkx.
    CLMUL "clmul" Pure (a, b) bit::clmul;
    CLMULH "clmulh" Pure (a, b) bit::clmulh;
    CLMULR "clmulr" Pure (a, b) bit::clmulr;
    BREV8 "brev8" Pure (a) bit::brev8;
    XPERM4 "xperm4" Pure (a, b) bit::xperm4;
    XPERM8 "xperm8" Pure (a, b) bit::xperm8;
    // Zkne, Zknd, Zksed.
    AES64ES "aes64es" Pure (a, b) cipher::aes64es;
    AES64ESM "aes64esm" Pure (a, b) cipher::aes64esm;
    AES64DS "aes64ds" Pure (a, b) cipher::aes64ds;
    AES64DSM "aes64dsm" Pure (a, b) cipher::aes64dsm;
    AES64IM "aes64im" Pure (a) cipher::aes64im;
    AES64KS1I "aes64ks1i" Pure (a, rnum) cipher::aes64ks1i;
    SM4ED "sm4ed" Pure (a, b, bs) cipher::sm4ed;
    SM4KS "sm4ks" Pure (a, b, bs) cipher::sm4ks;
    // F, D.
    FCLASS_S "fclass_s" Pure (a) fp::class::<F32>;
    FCLASS_D "fclass_d" Pure (a) fp::class::<F64>;
    // Zfh.
    FMADD_H "fmadd_h" FpFlags (a, b, c, rm) fp::fma::<F16>;
    FADD_H "fadd_h" FpFlags (a, b, rm) fp::add::<F16>;
    FSUB_H "fsub_h" FpFlags (a, b, rm) fp::sub::<F16>;
    FMUL_H "fmul_h" FpFlags (a, b, rm) fp::mul::<F16>;
    FDIV_H "fdiv_h" FpFlags (a, b, rm) fp::div::<F16>;
    FSQRT_H "fsqrt_h" FpFlags (a, rm) fp::sqrt::<F16>;
    FSGNJ_H "fsgnj_h" Pure (a, b) fp::sgnj::<F16>;
    FSGNJN_H "fsgnjn_h" Pure (a, b) fp::sgnjn::<F16>;
    FSGNJX_H "fsgnjx_h" Pure (a, b) fp::sgnjx::<F16>;
    FMIN_H "fmin_h" FpFlags (a, b) fp::min::<F16>;
    FMAX_H "fmax_h" FpFlags (a, b) fp::max::<F16>;
    FEQ_H "feq_h" FpFlags (a, b) fp::eq::<F16>;
    FLT_H "flt_h" FpFlags (a, b) fp::lt::<F16>;
    FLE_H "fle_h" FpFlags (a, b) fp::le::<F16>;
    FCLASS_H "fclass_h" Pure (a) fp::class::<F16>;
    FCVT_W_H "fcvt_w_h" FpFlags (a, rm) fp::to_w::<F16>;
    FCVT_WU_H "fcvt_wu_h" FpFlags (a, rm) fp::to_wu::<F16>;
    FCVT_L_H "fcvt_l_h" FpFlags (a, rm) fp::to_l::<F16>;
    FCVT_LU_H "fcvt_lu_h" FpFlags (a, rm) fp::to_lu::<F16>;
    FCVT_H_W "fcvt_h_w" FpFlags (a, rm) fp::from_w::<F16>;
    FCVT_H_WU "fcvt_h_wu" FpFlags (a, rm) fp::from_wu::<F16>;
    FCVT_H_L "fcvt_h_l" FpFlags (a, rm) fp::from_l::<F16>;
    FCVT_H_LU "fcvt_h_lu" FpFlags (a, rm) fp::from_lu::<F16>;
    FCVT_S_H "fcvt_s_h" FpFlags (a, rm) fp::convert::<F16, F32>;
    FCVT_H_S "fcvt_h_s" FpFlags (a, rm) fp::convert::<F32, F16>;
    FCVT_D_H "fcvt_d_h" FpFlags (a, rm) fp::convert::<F16, F64>;
    FCVT_H_D "fcvt_h_d" FpFlags (a, rm) fp::convert::<F64, F16>;
    // Zfa.
    FMINM_S "fminm_s" FpFlags (a, b) fp::minm::<F32>;
    FMAXM_S "fmaxm_s" FpFlags (a, b) fp::maxm::<F32>;
    FROUND_S "fround_s" FpFlags (a, rm) fp::round::<F32>;
    FROUNDNX_S "froundnx_s" FpFlags (a, rm) fp::roundnx::<F32>;
    FMINM_D "fminm_d" FpFlags (a, b) fp::minm::<F64>;
    FMAXM_D "fmaxm_d" FpFlags (a, b) fp::maxm::<F64>;
    FROUND_D "fround_d" FpFlags (a, rm) fp::round::<F64>;
    FROUNDNX_D "froundnx_d" FpFlags (a, rm) fp::roundnx::<F64>;
    FCVTMOD_W_D "fcvtmod_w_d" FpFlags (a) fp::to_w_modular;
    FMINM_H "fminm_h" FpFlags (a, b) fp::minm::<F16>;
    FMAXM_H "fmaxm_h" FpFlags (a, b) fp::maxm::<F16>;
    FROUND_H "fround_h" FpFlags (a, rm) fp::round::<F16>;
    FROUNDNX_H "froundnx_h" FpFlags (a, rm) fp::roundnx::<F16>;
    FLTQ_H "fltq_h" FpFlags (a, b) fp::ltq::<F16>;
    FLEQ_H "fleq_h" FpFlags (a, b) fp::leq::<F16>;
}
