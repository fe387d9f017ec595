//! eˣ in the engine's own arithmetic: the same bits on every machine, accurate enough for everything built on it, and
//! without a branch or a call, so that loops over it are vectorized.
//!
//! x = k ln 2 + r with |r| ≤ ½ ln 2, and eˣ = 2ᵏ (1 + (eʳ − 1)). The parts stay apart in [`Exponential`]: eʳ − 1 keeps
//! its digits where eˣ is near 1, and 2ᵏ keeps them where eˣ is below the smallest normal number.

/// 2ᵏ (1 + `above_one`), with 2ᵏ = `high`·`low`.
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    /// eʳ − 1, from −0.3 to 0.42.
    above_one: f64,
    high: f64,
    low: f64,
}

/// ln 2 without its last 20 bits: an exact product with any k here.
const LN_2_HIGH: f64 = 0.6931471804855391;
const LN_2_LOW: f64 = 7.440617110012397e-11;

/// 1.5·2⁵²: what is added to it comes out as an integer, in its last bits.
const INTEGER: f64 = 6_755_399_441_055_744.0;

/// (eʳ − 1 − r) / r² in powers of r, interpolated at Chebyshev's points: within 2⁻⁶² of eʳ. Like the other polynomials
/// of the engine, from 60 digits (`tests/goldens/make_activations.py --fit`).
const REST: [f64; 11] = [
    0.5,
    0.1666666666666667,
    0.04166666666666667,
    0.008333333333326084,
    0.0013888888888883711,
    0.0001984126987500228,
    2.480158732567746e-05,
    2.755725517000089e-06,
    2.755727347871858e-07,
    2.5105312729622103e-08,
    2.09147553258932e-09,
];

impl Exponential {
    /// e to the power `x` + `rest`, where `rest` is what rounding `x` lost.
    #[inline(always)]
    pub fn new(x: f64, rest: f64) -> Self {
        // Beyond these bounds the result is 0 or infinite anyway, and half of k has to be an exponent. The comparison
        // keeps NaN.
        let x = if x < -1400.0 { -1400.0 } else { x };
        let x = if x > 1000.0 { 1000.0 } else { x };
        let k = (x * std::f64::consts::LOG2_E + INTEGER) - INTEGER;
        let near = x - k * LN_2_HIGH;
        let rest = rest - k * LN_2_LOW;
        let r = near + rest;
        let lost = (near - r) + rest;
        let above_one = r + (lost + r * r * polynomial(&REST, r));
        let half = k * 0.5 + INTEGER;
        Self {
            above_one,
            high: power_of_two(half),
            low: power_of_two((k - (half - INTEGER)) + INTEGER),
        }
    }

    /// eˣ, 0 and ∞ included.
    #[inline(always)]
    pub fn value(self) -> f64 {
        self.unscaled() * self.low
    }

    /// eˣ / [`Self::scale`], a normal number. A product with it, scaled at the end, is rounded once although it may be
    /// subnormal.
    #[inline(always)]
    pub fn unscaled(self) -> f64 {
        (1.0 + self.above_one) * self.high
    }

    /// The power of two that [`Self::unscaled`] leaves out.
    #[inline(always)]
    pub fn scale(self) -> f64 {
        self.low
    }

    /// eˣ − 1, with all digits where x is near 0.
    #[inline(always)]
    pub fn minus_one(self) -> f64 {
        let power = self.high * self.low;
        (power - 1.0) + power * self.above_one
    }
}

/// Σ `coefficients[i]` xⁱ.
#[inline(always)]
pub fn polynomial<const N: usize>(coefficients: &[f64; N], x: f64) -> f64 {
    let mut sum = coefficients[N - 1];
    let mut i = N - 1;
    while i > 0 {
        i -= 1;
        sum = sum * x + coefficients[i];
    }
    sum
}

/// a − b, and what rounding it lost.
#[inline(always)]
pub fn difference(a: f64, b: f64) -> (f64, f64) {
    let d = a - b;
    let from_a = d + b;
    (d, (a - from_a) - (b - (from_a - d)))
}

/// 2ⁿ for an n, −1022 to 1023, that [`INTEGER`] was added to.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    f64::from_bits((n.to_bits() << 52).wrapping_add(1.0_f64.to_bits()))
}
