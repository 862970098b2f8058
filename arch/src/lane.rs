//! Vectors as lanes of integers, for the helpers of all guests; lane 0 is the lowest.

/// An integer that a vector is made of.
pub(crate) trait Lane: Copy {
    /// All lanes of a vector.
    type Lanes: AsRef<[Self]>;
    /// The other signedness.
    type Opposite: Lane;
    const BITS: u32;
    /// Binary logarithm of the bytes.
    const SIZE: u32;
    const MIN: i128;
    const MAX: i128;

    fn split(vector: u128) -> Self::Lanes;
    /// The vector of which `lane` gives the lanes.
    fn join(lane: impl FnMut(usize) -> Self) -> u128;
    fn wide(self) -> i128;
    /// The value of a lane of at most 32 bits.
    fn long(self) -> i64;
    /// Truncates.
    fn wrap(value: i128) -> Self;

    /// The nearest value that there is.
    fn saturate(value: i128) -> Self {
        Self::wrap(value.clamp(Self::MIN, Self::MAX))
    }

    fn map(a: u128, mut f: impl FnMut(Self) -> Self) -> u128 {
        let a = Self::split(a);
        Self::join(|i| f(a.as_ref()[i]))
    }

    fn zip(a: u128, b: u128, mut f: impl FnMut(Self, Self) -> Self) -> u128 {
        let (a, b) = (Self::split(a), Self::split(b));
        Self::join(|i| f(a.as_ref()[i], b.as_ref()[i]))
    }
}

macro_rules! lane {
    ($($type:ident $opposite:ident $size:literal;)*) => {$(
        impl Lane for $type {
            type Lanes = [$type; 16 >> $size];
            type Opposite = $opposite;
            const BITS: u32 = <$type>::BITS;
            const SIZE: u32 = $size;
            const MIN: i128 = <$type>::MIN as i128;
            const MAX: i128 = <$type>::MAX as i128;

            #[inline(always)]
            fn split(vector: u128) -> Self::Lanes {
                let bytes = vector.to_le_bytes();
                std::array::from_fn(|i| {
                    <$type>::from_le_bytes(std::array::from_fn(|k| bytes[(i << $size) + k]))
                })
            }
            #[inline(always)]
            fn join(lane: impl FnMut(usize) -> Self) -> u128 {
                let lanes: Self::Lanes = std::array::from_fn(lane);
                let byte = |i: usize| lanes[i >> $size].to_le_bytes()[i & ((1 << $size) - 1)];
                u128::from_le_bytes(std::array::from_fn(byte))
            }
            #[inline(always)]
            fn wide(self) -> i128 {
                i128::from(self)
            }
            #[inline(always)]
            fn long(self) -> i64 {
                self as i64
            }
            #[inline(always)]
            fn wrap(value: i128) -> Self {
                value as $type
            }
        }
    )*};
}

lane! {
    i8 u8 0;
    u8 i8 0;
    i16 u16 1;
    u16 i16 1;
    i32 u32 2;
    u32 i32 2;
    i64 u64 3;
    u64 i64 3;
}

/// Narrow signed lanes and those of twice their width.
pub(crate) trait Narrow: Lane {
    type Wide: Lane;
}

macro_rules! narrow {
    ($($narrow:ident $wide:ident;)*) => {
        $(impl Narrow for $narrow {
            type Wide = $wide;
        })*
    };
}

narrow! {
    i8 i16;
    i16 i32;
    i32 i64;
}

/// An expression with `$type` the signed or unsigned lane of a size.
macro_rules! lanes {
    (signed $size:expr, $type:ident => $body:expr) => {
        lanes!($size, $type in i8 i16 i32 i64 => $body)
    };
    (unsigned $size:expr, $type:ident => $body:expr) => {
        lanes!($size, $type in u8 u16 u32 u64 => $body)
    };
    ($size:expr, $type:ident in $a:ident $b:ident $c:ident $d:ident => $body:expr) => {
        match $size {
            0 => { type $type = $a; $body }
            1 => { type $type = $b; $body }
            2 => { type $type = $c; $body }
            _ => { type $type = $d; $body }
        }
    };
}

/// An expression with `$type` the signed lane of a size of at most 4 bytes.
macro_rules! narrow_lanes {
    ($size:expr, $type:ident => $body:expr) => {
        lanes!($size, $type in i8 i16 i32 i32 => $body)
    };
}

pub(crate) use {lanes, narrow_lanes};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lane_zero_is_the_lowest() {
        let vector = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100_u128;
        assert_eq!(u8::split(vector)[5], 5);
        assert_eq!(u32::split(vector), [0x0302_0100, 0x0706_0504, 0x0b0a_0908, 0x0f0e_0d0c]);
        assert_eq!(u16::join(|i| u16::split(vector)[i]), vector);
        assert_eq!(i64::map(1, |lane| -lane), u128::from(u64::MAX));
    }
}
