//! Fused multiply-add on the host: the one operation that not every host CPU has.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "calls functions compiled for a CPU feature that is checked first"
    )
)]

/// `a * b + c` rounded once, or `None` where the CPU cannot do that in one instruction.
#[inline]
pub(super) fn fma_f64(a: f64, b: f64, c: f64) -> Option<f64> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has FMA, checked on the line above.
        return Some(unsafe { x86::fma_f64(a, b, c) });
    }
    #[cfg(target_arch = "aarch64")]
    return Some(a.mul_add(b, c));
    #[cfg(not(target_arch = "aarch64"))]
    return None;
}

/// [`fma_f64`] in single precision.
#[inline]
pub(super) fn fma_f32(a: f32, b: f32, c: f32) -> Option<f32> {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") {
        // SAFETY: the CPU has FMA, checked on the line above.
        return Some(unsafe { x86::fma_f32(a, b, c) });
    }
    #[cfg(target_arch = "aarch64")]
    return Some(a.mul_add(b, c));
    #[cfg(not(target_arch = "aarch64"))]
    return None;
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #[target_feature(enable = "fma")]
    pub(super) fn fma_f64(a: f64, b: f64, c: f64) -> f64 {
        a.mul_add(b, c)
    }

    #[target_feature(enable = "fma")]
    pub(super) fn fma_f32(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}
