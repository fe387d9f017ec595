//! The number types of files, and their conversion to those that the engine computes in.

use backpropd_engine::nn::{Dtype, Scalar};

/// A number type as it is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    F16,
    Bf16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
    /// A byte that stands for 0 to 1, such as a pixel of MNIST: it is divided by 255.
    Pixel,
}

impl Element {
    /// The size of one number, in bytes.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 | Self::Bool | Self::Pixel => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    /// The smaller of the engine's types that represents every number; `f64` for 64-bit integers, which it rounds.
    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F16
            | Self::Bf16
            | Self::F32
            | Self::I8
            | Self::U8
            | Self::I16
            | Self::U16
            | Self::Bool
            | Self::Pixel => Dtype::Float32,
            Self::F64 | Self::I32 | Self::U32 | Self::I64 | Self::U64 => Dtype::Float64,
        }
    }

    /// Whether numbers of this type are usually classes when they are what to predict.
    pub(crate) fn is_integer(self) -> bool {
        match self {
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 | Self::Pixel => false,
            Self::I8
            | Self::I16
            | Self::I32
            | Self::I64
            | Self::U8
            | Self::U16
            | Self::U32
            | Self::U64
            | Self::Bool => true,
        }
    }

    /// Whether little-endian bytes of this type are the memory of a `T`.
    pub(crate) fn is<T: Scalar>(self) -> bool {
        match T::DTYPE {
            Dtype::Float32 => self == Self::F32,
            Dtype::Float64 => self == Self::F64,
        }
    }

    /// Appends the numbers of `bytes`, each converted to `f64` and from there to `T`.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_lossless,
        trivial_numeric_casts,
        reason = "integers beyond 2^53 are rounded, as numpy's astype does"
    )]
    pub(crate) fn decode<T: Scalar>(self, bytes: &[u8], big_endian: bool, out: &mut Vec<T>) {
        if self.is::<T>() && !big_endian {
            let old = out.len();
            out.resize(old + bytes.len() / size_of::<T>(), T::ZERO);
            let target: &mut [u8] = bytemuck::cast_slice_mut(&mut out[old..]);
            let length = target.len();
            target.copy_from_slice(&bytes[..length]);
            return;
        }
        macro_rules! widen {
            ($number:ty) => {
                widen!($number, |number| number as f64)
            };
            ($number:ty, $value:expr) => {{
                let (numbers, _) = bytes.as_chunks();
                let value = $value;
                if big_endian {
                    out.extend(numbers.iter().map(|bytes| {
                        let number = <$number>::from_be_bytes(*bytes);
                        T::from_f64(value(number))
                    }));
                } else {
                    out.extend(numbers.iter().map(|bytes| {
                        let number = <$number>::from_le_bytes(*bytes);
                        T::from_f64(value(number))
                    }));
                }
            }};
        }
        match self {
            Self::F16 => widen!(u16, half),
            Self::Bf16 => widen!(u16, |bits: u16| f64::from(f32::from_bits(
                u32::from(bits) << 16
            ))),
            Self::F32 => widen!(f32),
            Self::F64 => widen!(f64),
            Self::I8 => widen!(i8),
            Self::I16 => widen!(i16),
            Self::I32 => widen!(i32),
            Self::I64 => widen!(i64),
            Self::U8 => widen!(u8),
            Self::U16 => widen!(u16),
            Self::U32 => widen!(u32),
            Self::U64 => widen!(u64),
            Self::Bool => widen!(u8, |byte: u8| f64::from(u8::from(byte != 0))),
            Self::Pixel => widen!(u8, |byte: u8| f64::from(f32::from(byte) / 255.0)),
        }
    }
}

/// The number that the bits of a float16 stand for: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (fraction + 1024.0) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float16_is_widened_as_numpy_does() {
        for (bits, number) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7bff, 65_504.0),
            (0x0001, 2_f64.powi(-24)),
            (0x03ff, 1023.0 * 2_f64.powi(-24)),
            (0xfc00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits), number, "{bits:#x}");
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn a_pixel_is_a_255th() {
        let mut pixels: Vec<f32> = Vec::new();
        Element::Pixel.decode(&[0, 51, 255], false, &mut pixels);
        assert_eq!(pixels, [0.0, 51.0 / 255.0, 1.0]);
        let mut brain: Vec<f64> = Vec::new();
        Element::Bf16.decode(&[0x80, 0x3f, 0x00, 0xc0], false, &mut brain);
        assert_eq!(brain, [1.0, -2.0]);
    }
}
