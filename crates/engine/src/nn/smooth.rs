//! The curved activations and their slopes, within 8 units in the last place of the exact value on all of ±40.
//!
//! No formula here subtracts numbers that may be nearly equal: not 1 − tanh², which is 0 from z = 20 where the exact
//! value is 10⁻¹⁷, and not Φ(z) + z φ(z), which has a zero. Each takes one exponential, computes in `f64`, and is
//! inlined into the loop over a layer.

use super::exponential::{Exponential, difference, polynomial};

/// The two factors where z < 0, and ones elsewhere: selected, not branched on.
#[inline(always)]
fn left_of_zero(z: f64, factor: f64, scale: f64) -> (f64, f64) {
    let factor = if z < 0.0 { factor } else { 1.0 };
    let scale = if z < 0.0 { scale } else { 1.0 };
    (factor, scale)
}

/// σ and σ′ at one number.
pub trait Smooth {
    /// σ(z).
    fn value(z: f64) -> f64;
    /// σ′(z).
    fn slope(z: f64) -> f64;
}

/// 1 / (1 + exp(−z)).
pub struct Sigmoid;

/// tanh z.
pub struct Tanh;

/// z Φ(z), with the exact normal distribution function.
pub struct Gelu;

/// z / (1 + exp(−z)).
pub struct Silu;

/// exp(−|z|), the common part of a sigmoid and its logarithm.
pub struct Decay;

impl Smooth for Decay {
    #[inline(always)]
    fn value(z: f64) -> f64 {
        Exponential::new(-z.abs(), 0.0).value()
    }

    #[inline(always)]
    fn slope(z: f64) -> f64 {
        -Self::value(z).copysign(z)
    }
}

impl Smooth for Sigmoid {
    #[inline(always)]
    fn value(z: f64) -> f64 {
        let e = Exponential::new(-z.abs(), 0.0).value();
        let numerator = if z < 0.0 { e } else { 1.0 };
        numerator / (1.0 + e)
    }

    /// σ(z) σ(−z).
    #[inline(always)]
    fn slope(z: f64) -> f64 {
        let e = Exponential::new(-z.abs(), 0.0).value();
        let sum = 1.0 + e;
        e / (sum * sum)
    }
}

impl Smooth for Tanh {
    #[inline(always)]
    fn value(z: f64) -> f64 {
        let below_one = -Exponential::new(-2.0 * z.abs(), 0.0).minus_one();
        (below_one / (2.0 - below_one)).copysign(z)
    }

    /// sech² z.
    #[inline(always)]
    fn slope(z: f64) -> f64 {
        let e = Exponential::new(-2.0 * z.abs(), 0.0).value();
        let sum = 1.0 + e;
        4.0 * e / (sum * sum)
    }
}

/// The t > 0 with SiLU′(−t) = 0, which is 1 + exp(−t) = t, and what rounding it lost.
const SILU_ZERO: [f64; 2] = [1.2784645427610737, 1.0946994183093437e-16];
/// exp(−[`SILU_ZERO`]).
const EXP_AT_SILU_ZERO: f64 = 0.2784645427610738;

impl Smooth for Silu {
    #[inline(always)]
    fn value(z: f64) -> f64 {
        let exponential = Exponential::new(-z.abs(), 0.0);
        let (factor, scale) = left_of_zero(z, exponential.unscaled(), exponential.scale());
        z * factor / (1.0 + exponential.value()) * scale
    }

    /// With e = exp(−|z|): (1 + e (1 + z)) / (1 + e)² for z ≥ 0, and e (1 + e − t) / (1 + e)² for z = −t. With d = t₀ − t
    /// from the zero t₀, 1 + e − t = d + exp(−t₀) (exp(d) − 1): both terms have the sign of d.
    #[inline(always)]
    fn slope(z: f64) -> f64 {
        let t = z.abs();
        let (d, rest) = difference(SILU_ZERO[0], t);
        let rest = rest + SILU_ZERO[1];
        let from_zero = Exponential::new(d, rest);
        let e = EXP_AT_SILU_ZERO * from_zero.value();
        let sum = 1.0 + e;
        let below = d + (rest + EXP_AT_SILU_ZERO * from_zero.minus_one());
        let left = EXP_AT_SILU_ZERO * from_zero.unscaled() * below;
        let right = 1.0 + e * (1.0 + t);
        let numerator = if z < 0.0 { left } else { right };
        let (_, scale) = left_of_zero(z, 1.0, from_zero.scale());
        numerator / (sum * sum) * scale
    }
}

/// φ(0) = 1/√(2π).
const DENSITY_AT_0: f64 = 0.3989422804014327;
/// Φ(−40) is below the smallest number.
const TAIL_ENDS: f64 = 40.0;
/// The t > 0 with GELU′(−t) = 0, and what rounding it lost.
const GELU_ZERO: [f64; 2] = [0.7517915246935645, -1.4956759177009883e-17];

/// Mills' ratio R(t) = Φ(−t) / φ(t), times t + 4, for t from 0 to 40, in powers of (t − 4) / (t + 4).
const MILLS: [f64; 25] = [
    1.8932190633084853,
    -1.5237709108199828,
    0.9704095548675878,
    -0.4675409629983896,
    0.1513917623124698,
    -0.018900450859888892,
    -0.008722295274662338,
    0.004087855654179439,
    0.000334244618244381,
    -0.0005792690800415446,
    -4.7832559398882555e-06,
    8.809457860851668e-05,
    1.79624396126351e-06,
    -1.4839435113971278e-05,
    -1.5779187587337192e-06,
    2.5602542517556237e-06,
    6.803843608525534e-07,
    -3.880752153113209e-07,
    -2.1299620599135197e-07,
    3.3193411016782793e-08,
    4.843848014671307e-08,
    4.713578067836849e-09,
    -6.087651711949765e-09,
    -1.7599562200978301e-09,
    -1.2929612714595665e-11,
];

/// (R(t) − t) / (t₀ − t), with the zero t₀ of the numerator, likewise. It has none itself.
const MILLS_BELOW_T: [f64; 23] = [
    1.1585917731870352,
    -0.25909988386777605,
    0.15155810686952245,
    -0.07039454410494425,
    0.02382537735915053,
    -0.0044825044352579235,
    -0.00038755810096120373,
    0.0004656708120741522,
    -4.3808885163834934e-05,
    -4.5206906566503644e-05,
    8.870734491990925e-06,
    5.5566137154131464e-06,
    -1.23375143957961e-06,
    -8.759202848178193e-07,
    1.3143332415677364e-07,
    1.588455886703673e-07,
    -1.924767699436814e-09,
    -2.8680752783186797e-08,
    -4.429530383109273e-09,
    4.307213384105912e-09,
    1.4081050775230207e-09,
    -3.7856174798275265e-10,
    -1.8396717913136284e-10,
];

/// exp(−t²/2), with t² to twice the digits: at t = 38 half a unit in the last place of t² is 400 in the result.
#[inline(always)]
fn bell(t: f64) -> Exponential {
    let high = f64::from_bits(t.to_bits() & !((1 << 27) - 1));
    let low = t - high;
    Exponential::new(-0.5 * high * high, -0.5 * low * (t + high))
}

#[inline(always)]
fn tail_argument(z: f64) -> f64 {
    let t = z.abs();
    if t > TAIL_ENDS { TAIL_ENDS } else { t }
}

impl Smooth for Gelu {
    /// Φ(−t) = φ(t) R(t), and Φ(t) = 1 − Φ(−t).
    #[inline(always)]
    fn value(z: f64) -> f64 {
        let t = tail_argument(z);
        let bell = bell(t);
        let inverse = 1.0 / (t + 4.0);
        let ratio = polynomial(&MILLS, (t - 4.0) * inverse) * inverse;
        let tail = DENSITY_AT_0 * ratio * bell.unscaled();
        let factor = if z < 0.0 {
            tail
        } else {
            1.0 - tail * bell.scale()
        };
        let (_, scale) = left_of_zero(z, 1.0, bell.scale());
        z * factor * scale
    }

    /// GELU′(−t) = φ(t) (R(t) − t), and GELU′(t) = 1 − GELU′(−t).
    #[inline(always)]
    fn slope(z: f64) -> f64 {
        let t = tail_argument(z);
        let bell = bell(t);
        let from_zero = (GELU_ZERO[0] - t) + GELU_ZERO[1];
        let factor = from_zero * polynomial(&MILLS_BELOW_T, (t - 4.0) / (t + 4.0));
        let left = DENSITY_AT_0 * factor * bell.unscaled();
        let slope = if z < 0.0 {
            left
        } else {
            1.0 - left * bell.scale()
        };
        let (_, scale) = left_of_zero(z, 1.0, bell.scale());
        slope * scale
    }
}
