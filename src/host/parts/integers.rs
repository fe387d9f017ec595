//! Detects integers sent as the bytes of floating-point numbers: `np.array([[1, 2]]).tobytes()` is two int64, which
//! read as float64 are the subnormals 4.9e-324 and 9.9e-324. Every such tensor is finite, and training on it has no
//! effect.
//!
//! Real data almost always begins with a normal number, so the first nonzero entry usually settles the question.

use crate::fault::Violations;

/// Most entries examined in a tensor: the check runs while the request is decoded and must stay short.
const LOOKED_AT: usize = 1 << 16;

/// Which tensors are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// Tensors whose nonzero entries are all subnormal, or all small negative integers: for inputs, targets and
    /// parameters.
    Subnormal,
    /// Of those, only small integers. A vanishing gradient may be subnormal, but its bits then read as a large integer.
    SmallIntegers,
}

/// Classes of bit patterns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Zero,
    Suspect,
    Fine,
}

/// The bits of a floating-point number, readable as an integer.
trait Bits: Copy {
    const FLOAT: &'static str;
    const INTEGER: &'static str;
    /// Number of fraction bits.
    const FRACTION: u32;
    /// Number of bits in a small integer, at most.
    const SMALL: u32;

    fn integer(self) -> i64;
    fn number(self) -> f64;
    fn magnitude(self) -> u64;
}

impl Bits for f64 {
    const FLOAT: &'static str = "float64";
    const INTEGER: &'static str = "int64";
    const FRACTION: u32 = 52;
    const SMALL: u32 = 32;

    fn integer(self) -> i64 {
        self.to_bits().cast_signed()
    }
    fn number(self) -> f64 {
        self
    }
    fn magnitude(self) -> u64 {
        self.abs().to_bits()
    }
}

impl Bits for f32 {
    const FLOAT: &'static str = "float32";
    const INTEGER: &'static str = "int32";
    const FRACTION: u32 = 23;
    const SMALL: u32 = 16;

    fn integer(self) -> i64 {
        i64::from(self.to_bits().cast_signed())
    }
    fn number(self) -> f64 {
        f64::from(self)
    }
    fn magnitude(self) -> u64 {
        u64::from(self.abs().to_bits())
    }
}

impl Suspicion {
    fn judge<B: Bits>(self, bits: B) -> Entry {
        let integer = bits.integer();
        if bits.magnitude() == 0 {
            return Entry::Zero;
        }
        // A small negative integer reads as a NaN. The usual NaN, −2ᶠ⁻¹ as an integer, is not small.
        let negative = integer < 0 && integer > -(1 << (B::FRACTION - 1));
        let suspect = match self {
            Self::Subnormal => bits.magnitude() < 1 << B::FRACTION || negative,
            Self::SmallIntegers => integer.unsigned_abs() < 1 << B::SMALL,
        };
        if suspect { Entry::Suspect } else { Entry::Fine }
    }

    /// The mistake in a tensor whose nonzero entries are all suspect.
    pub fn of_values(self, values: &[f64]) -> Option<TypeMistake> {
        self.of(values.iter().copied())
    }

    /// [`Self::of_values`] for the little-endian bytes of float64.
    pub fn of_raw_64(self, raw: &[u8]) -> Option<TypeMistake> {
        let (entries, _) = raw.as_chunks::<8>();
        self.of(entries.iter().map(|&entry| f64::from_le_bytes(entry)))
    }

    /// [`Self::of_values`] for the little-endian bytes of float32.
    pub fn of_raw_32(self, raw: &[u8]) -> Option<TypeMistake> {
        let (entries, _) = raw.as_chunks::<4>();
        self.of(entries.iter().map(|&entry| f32::from_le_bytes(entry)))
    }

    fn of<B: Bits>(self, entries: impl Iterator<Item = B>) -> Option<TypeMistake> {
        let mut first = None;
        for bits in entries.take(LOOKED_AT) {
            match self.judge(bits) {
                Entry::Zero => {}
                Entry::Suspect => first = first.or(Some(bits)),
                Entry::Fine => return None,
            }
        }
        first.map(TypeMistake::new)
    }
}

/// The given value and the allowed ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeMistake {
    given: String,
    allowed: String,
}

impl TypeMistake {
    fn new<B: Bits>(first: B) -> Self {
        Self {
            given: format!(
                "numbers like {:e}, the bits of {} {}",
                first.number(),
                B::INTEGER,
                first.integer()
            ),
            allowed: format!(
                "{float}, little-endian; are these integers, or big-endian? Convert them first: np.asarray(a, \
                 \"<f{bytes}\").tobytes(), with dtype DTYPE_{upper}",
                float = B::FLOAT,
                bytes = size_of::<B>(),
                upper = B::FLOAT.to_uppercase()
            ),
        }
    }

    /// Records it as a violation.
    pub fn note(self, field: String, violations: &mut Violations) {
        violations.add(field, self.given, self.allowed);
    }
}

/// For bytes of an unexpected length: a guess at their type, to append to the violation; empty if no type fits.
pub fn guess(given: u64, entries: u64, expected: u64) -> String {
    let size = |size: u64| entries.checked_mul(size) == Some(given) && size != expected;
    if size(4) {
        "; this is the length of float32 or int32: set dtype to DTYPE_FLOAT32 for float32, or send \
         np.asarray(a, \"<f8\").tobytes()"
            .to_owned()
    } else if size(8) {
        "; this is the length of float64 or int64: leave dtype unset for float64, or send \
         np.asarray(a, \"<f4\").tobytes()"
            .to_owned()
    } else if size(1) || size(2) {
        format!(
            "; this is the length of integers of {} byte(s) an entry: send np.asarray(a, \"<f{expected}\").tobytes()",
            given / entries.max(1)
        )
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<const N: usize>(suspicion: Suspicion, entries: [[u8; 8]; N]) -> bool {
        suspicion.of_raw_64(&entries.concat()).is_some()
    }

    #[test]
    fn integers_are_told_from_numbers_whatever_their_size_and_sign() {
        for suspicion in [Suspicion::Subnormal, Suspicion::SmallIntegers] {
            for integers in [[1, 2, 0], [0, 0, -1], [-3, 5, 100_000], [0, 1 << 31, 0]] {
                assert!(
                    refused(suspicion, integers.map(i64::to_le_bytes)),
                    "{integers:?}"
                );
            }
            // Big-endian numbers with short fractions.
            assert!(refused(suspicion, [1.0, 0.0, 2.5].map(f64::to_be_bytes)));
            for numbers in [
                [0.0, -0.0, 0.0],
                [0.0, 5e-324, 1.0],
                [1e-310, 1.0, 2.0],
                [f64::NAN, -f64::NAN, 0.0],
            ] {
                assert!(
                    !refused(suspicion, numbers.map(f64::to_le_bytes)),
                    "{numbers:?}"
                );
            }
        }
    }

    #[test]
    fn a_gradient_that_vanished_is_no_integer() {
        let vanished = [3.1e-310, -2.7e-312, 0.0].map(f64::to_le_bytes);
        assert!(refused(Suspicion::Subnormal, vanished));
        assert!(!refused(Suspicion::SmallIntegers, vanished));
    }

    #[test]
    fn int32_and_int64_read_as_float32_are_integers_too() {
        let refused = |raw: &[u8]| Suspicion::Subnormal.of_raw_32(raw).is_some();
        assert!(refused(&[1, -2, 0].map(i32::to_le_bytes).concat()));
        assert!(refused(&[1, -2].map(i64::to_le_bytes).concat()));
        assert!(!refused(&[1e-40_f32, 0.5].map(f32::to_le_bytes).concat()));
        assert!(!refused(
            &[-f32::NAN, f32::NAN].map(f32::to_le_bytes).concat()
        ));
    }

    #[test]
    fn the_length_says_what_was_sent() {
        assert!(guess(16, 4, 8).contains("float32 or int32"));
        assert!(guess(32, 4, 4).contains("float64 or int64"));
        assert!(guess(4, 4, 8).contains("1 byte(s)"));
        assert_eq!(guess(9, 4, 8), "");
        assert_eq!(guess(0, u64::MAX, 8), "");
    }
}
