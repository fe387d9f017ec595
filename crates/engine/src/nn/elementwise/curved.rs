//! Loops that take an exponential of each entry.

use std::marker::PhantomData;

use super::super::Scalar;
use super::super::exponential::{Exponential, difference};
use super::super::smooth::Smooth;
use super::{Walk, dispatch, largest};

/// `h[i] = σ(z[i])`. A type instead of a closure, because the body is too long to be inlined without an attribute.
#[inline]
pub fn map_smooth<S: Smooth, T: Scalar>(z: &[T], h: &mut [T]) {
    struct MapSmooth<'a, S, T>(&'a [T], &'a mut [T], PhantomData<S>);

    impl<S: Smooth, T: Scalar> Walk for MapSmooth<'_, S, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len().min(self.1.len())
        }
        #[inline(always)]
        fn run(self) {
            let n = self.rounds();
            let (z, h) = (&self.0[..n], &mut self.1[..n]);
            for i in 0..n {
                h[i] = T::from_f64(S::value(z[i].to_f64()));
            }
        }
    }

    dispatch(MapSmooth(z, h, PhantomData::<S>));
}

/// `dz[i] = dh[i] σ′(z[i])`.
#[inline]
pub fn pull_back_smooth<S: Smooth, T: Scalar>(z: &[T], dh: &[T], dz: &mut [T]) {
    struct PullBack<'a, S, T>(&'a [T], &'a [T], &'a mut [T], PhantomData<S>);

    impl<S: Smooth, T: Scalar> Walk for PullBack<'_, S, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len().min(self.1.len()).min(self.2.len())
        }
        #[inline(always)]
        fn run(self) {
            let n = self.rounds();
            let (z, dh, dz) = (&self.0[..n], &self.1[..n], &mut self.2[..n]);
            for i in 0..n {
                dz[i] = T::from_f64(dh[i].to_f64() * S::slope(z[i].to_f64()));
            }
        }
    }

    dispatch(PullBack(z, dh, dz, PhantomData::<S>));
}

/// `to[r][j]` = exp(f − the largest f of row r), for rows of `columns` entries, so that none overflows; `rests[r]` = the
/// sum of all of row r but the largest, which is 1.
#[inline]
pub fn exponentials_of_rows<T: Scalar>(
    from: &[T],
    to: &mut [T],
    rests: &mut [f64],
    columns: usize,
) {
    /// Sums side by side: none of 1,000 terms passes through more than 80 additions.
    const LANES: usize = 16;

    struct Exponentials<'a, T>(&'a [T], &'a mut [T], &'a mut [f64], usize);

    impl<T: Scalar> Walk for Exponentials<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len()
        }
        #[inline(always)]
        fn run(self) {
            let rows = self.0.chunks_exact(self.3);
            let rows = rows.zip(self.1.chunks_exact_mut(self.3));
            for ((from, to), rest) in rows.zip(self.2) {
                *rest = row(from, to);
            }
        }
    }

    #[inline(always)]
    fn row<T: Scalar>(from: &[T], to: &mut [T]) -> f64 {
        let at = largest(from);
        let top = from[at].to_f64();
        let mut lanes = [0.0; LANES];
        let chunks = from.chunks(LANES).zip(to.chunks_mut(LANES));
        for (chunk, (from, to)) in chunks.enumerate() {
            // The last chunk is padded instead of looped over, because a row of ten classes has no other.
            let mut f = [f64::NEG_INFINITY; LANES];
            for (f, from) in f.iter_mut().zip(from) {
                *f = from.to_f64();
            }
            let mut exponentials = [0.0; LANES];
            for lane in 0..LANES {
                exponentials[lane] = exponential_of_difference(f[lane], top);
            }
            for (to, e) in to.iter_mut().zip(exponentials) {
                *to = T::from_f64(e);
            }
            if at / LANES == chunk {
                exponentials[at % LANES] = 0.0;
            }
            for lane in 0..LANES {
                lanes[lane] += exponentials[lane];
            }
        }
        lanes.iter().sum()
    }

    dispatch(Exponentials(from, to, rests, columns));
}

/// exp(f − top), with the rounding error of the difference corrected.
#[inline(always)]
fn exponential_of_difference(f: f64, top: f64) -> f64 {
    let (shifted, lost) = difference(f, top);
    // If the difference overflows, its rounding error is NaN.
    let lost = if shifted > -2000.0 { lost } else { 0.0 };
    Exponential::new(shifted, lost).value()
}
