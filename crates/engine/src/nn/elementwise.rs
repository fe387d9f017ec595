//! Loops over memory, compiled for the widest vector instructions of the machine. No entry depends on another, and the
//! order of every sum depends on its length alone, so that the bits are the same for any vector width.

mod curved;

use pulp::{Arch, Simd, WithSimd};

pub use self::curved::{exponentials_of_rows, map_smooth, pull_back_smooth};
use super::Scalar;

/// Loops of fewer rounds than this cost less than selecting the instructions.
const SHORT: usize = 32;

/// A loop. `run` has to be `#[inline(always)]`: only inlined code is compiled for the selected instructions.
trait Walk {
    type Output;
    fn rounds(&self) -> usize;
    fn run(self) -> Self::Output;
}

struct Dispatched<W>(W);

impl<W: Walk> WithSimd for Dispatched<W> {
    type Output = W::Output;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> W::Output {
        self.0.run()
    }
}

#[inline(always)]
fn dispatch<W: Walk>(walk: W) -> W::Output {
    if walk.rounds() < SHORT {
        walk.run()
    } else {
        Arch::new().dispatch(Dispatched(walk))
    }
}

/// `to[i] = f(from[i])`. Here and below, move captured values into `f`: a reference would be read again in every round
/// and prevent vectorization.
#[inline]
pub fn map<T: Scalar>(from: &[T], to: &mut [T], f: impl Fn(T) -> T) {
    struct Map<'a, T, F>(&'a [T], &'a mut [T], F);

    impl<T: Scalar, F: Fn(T) -> T> Walk for Map<'_, T, F> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len().min(self.1.len())
        }
        #[inline(always)]
        fn run(self) {
            let n = self.rounds();
            let (from, to) = (&self.0[..n], &mut self.1[..n]);
            for i in 0..n {
                to[i] = (self.2)(from[i]);
            }
        }
    }

    dispatch(Map(from, to, f));
}

/// `to[i] = f(a[i], b[i])`.
#[inline]
pub fn combine<T: Scalar>(a: &[T], b: &[T], to: &mut [T], f: impl Fn(T, T) -> T) {
    struct Combine<'a, T, F>(&'a [T], &'a [T], &'a mut [T], F);

    impl<T: Scalar, F: Fn(T, T) -> T> Walk for Combine<'_, T, F> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len().min(self.1.len()).min(self.2.len())
        }
        #[inline(always)]
        fn run(self) {
            let n = self.rounds();
            let (a, b, to) = (&self.0[..n], &self.1[..n], &mut self.2[..n]);
            for i in 0..n {
                to[i] = (self.3)(a[i], b[i]);
            }
        }
    }

    dispatch(Combine(a, b, to, f));
}

/// `to[i] += from[i]`.
#[inline]
pub fn add_entries<T: Scalar>(to: &mut [T], from: &[T]) {
    struct Add<'a, T>(&'a mut [T], &'a [T]);

    impl<T: Scalar> Walk for Add<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len().min(self.1.len())
        }
        #[inline(always)]
        fn run(self) {
            let n = self.rounds();
            let (to, from) = (&mut self.0[..n], &self.1[..n]);
            for i in 0..n {
                to[i] += from[i];
            }
        }
    }

    dispatch(Add(to, from));
}

/// `to[r][i] += from[i]` for every row r of `to`.
#[inline]
pub fn add_to_rows<T: Scalar>(to: &mut [T], from: &[T]) {
    struct AddToRows<'a, T>(&'a mut [T], &'a [T]);

    impl<T: Scalar> Walk for AddToRows<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len()
        }
        #[inline(always)]
        fn run(self) {
            let n = self.1.len();
            for to in self.0.chunks_exact_mut(n) {
                for (to, from) in to.iter_mut().zip(self.1) {
                    *to += *from;
                }
            }
        }
    }

    dispatch(AddToRows(to, from));
}

/// `to[i] += from[r][first + i]`, one row r of `from`, of `columns` entries, after the other.
#[inline]
pub fn add_rows<T: Scalar>(to: &mut [T], from: &[T], columns: usize, first: usize) {
    struct AddRows<'a, T> {
        to: &'a mut [T],
        from: &'a [T],
        columns: usize,
        first: usize,
    }

    impl<T: Scalar> Walk for AddRows<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.from.len()
        }
        #[inline(always)]
        fn run(self) {
            let n = self.to.len();
            for row in self.from.chunks_exact(self.columns) {
                let row = &row[self.first..self.first + n];
                for (to, from) in self.to.iter_mut().zip(row) {
                    *to += *from;
                }
            }
        }
    }

    dispatch(AddRows {
        to,
        from,
        columns,
        first,
    });
}

/// `to[i] *= factor`.
#[inline]
pub fn scale_entries<T: Scalar>(to: &mut [T], factor: T) {
    struct Scale<'a, T>(&'a mut [T], T);

    impl<T: Scalar> Walk for Scale<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.0.len()
        }
        #[inline(always)]
        fn run(self) {
            for i in 0..self.0.len() {
                self.0[i] *= self.1;
            }
        }
    }

    dispatch(Scale(to, factor));
}

/// `(new.0[i], …) = f((old.0[i], …), gradient[i])` for the N numbers that a state has of each parameter; whether all
/// that was written is finite.
#[inline]
pub fn update<const N: usize, T: Scalar>(
    old: [&[T]; N],
    gradient: &[T],
    new: [&mut [T]; N],
    f: impl Fn([T; N], T) -> [T; N],
) -> bool {
    struct Update<'a, const N: usize, T, F> {
        old: [&'a [T]; N],
        gradient: &'a [T],
        new: [&'a mut [T]; N],
        f: F,
    }

    impl<const N: usize, T: Scalar, F: Fn([T; N], T) -> [T; N]> Walk for Update<'_, N, T, F> {
        type Output = bool;

        fn rounds(&self) -> usize {
            self.gradient.len()
        }
        #[inline(always)]
        fn run(self) -> bool {
            let Self {
                mut old,
                gradient,
                mut new,
                f,
            } = self;
            let n = gradient.len();
            for slot in 0..N {
                old[slot] = &old[slot][..n];
                new[slot] = &mut std::mem::take(&mut new[slot])[..n];
            }
            let mut finite = true;
            for i in 0..n {
                let mut numbers = [T::ZERO; N];
                for slot in 0..N {
                    numbers[slot] = old[slot][i];
                }
                let numbers = f(numbers, gradient[i]);
                for slot in 0..N {
                    new[slot][i] = numbers[slot];
                    finite &= numbers[slot].finite();
                }
            }
            finite
        }
    }

    dispatch(Update {
        old,
        gradient,
        new,
        f,
    })
}

/// `sums[r]` = Σ x² over row r of `entries`, of `columns` each, in `f64`: sixteen partial sums side by side, then the
/// remaining entries one by one.
#[inline]
pub fn squares_of_rows<T: Scalar>(sums: &mut [f64], entries: &[T], columns: usize) {
    const LANES: usize = 16;

    struct Squares<'a, T> {
        sums: &'a mut [f64],
        entries: &'a [T],
        columns: usize,
    }

    impl<T: Scalar> Walk for Squares<'_, T> {
        type Output = ();

        fn rounds(&self) -> usize {
            self.entries.len()
        }
        #[inline(always)]
        fn run(self) {
            let mut entries = self.entries;
            for sum in self.sums {
                let row;
                (row, entries) = entries.split_at(self.columns);
                *sum = if row.len() < LANES {
                    in_order(row)
                } else {
                    side_by_side(row)
                };
            }
        }
    }

    #[inline(always)]
    fn in_order<T: Scalar>(row: &[T]) -> f64 {
        let mut sum = 0.0;
        for x in row {
            let x = x.to_f64();
            sum += x * x;
        }
        sum
    }

    #[inline(always)]
    fn side_by_side<T: Scalar>(row: &[T]) -> f64 {
        let mut lanes = [0.0_f64; LANES];
        let (chunks, rest) = row.as_chunks::<LANES>();
        for chunk in chunks {
            for lane in 0..LANES {
                let x = chunk[lane].to_f64();
                lanes[lane] += x * x;
            }
        }
        for (lane, x) in rest.iter().enumerate() {
            let x = x.to_f64();
            lanes[lane] += x * x;
        }
        let mut sum = 0.0;
        for lane in lanes {
            sum += lane;
        }
        sum
    }

    dispatch(Squares {
        sums,
        entries,
        columns,
    });
}

/// Whether no entry is infinite or NaN.
pub fn all_finite<T: Scalar>(entries: &[T]) -> bool {
    struct AllFinite<'a, T>(&'a [T]);

    impl<T: Scalar> Walk for AllFinite<'_, T> {
        type Output = bool;

        fn rounds(&self) -> usize {
            self.0.len()
        }
        #[inline(always)]
        fn run(self) -> bool {
            // No early exit, so that the loop is vectorized: non-finite entries are the exception.
            let mut finite = true;
            for &entry in self.0 {
                finite &= entry.finite();
            }
            finite
        }
    }

    dispatch(AllFinite(entries))
}

/// The index of the largest entry, or of the first of them.
#[inline]
pub fn largest<T: Scalar>(row: &[T]) -> usize {
    let mut best = 0;
    for (index, value) in row.iter().enumerate() {
        if *value > row[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_that_is_not_finite_is_seen_wherever_it_lies() {
        for count in [0, 1, 31, 32, 100] {
            assert!(all_finite(&vec![1.0_f32; count]));
            for at in 0..count {
                let mut entries = vec![1.0_f32; count];
                entries[at] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][at % 3];
                assert!(!all_finite(&entries), "{at} of {count}");
            }
        }
    }

    #[test]
    fn a_long_walk_has_the_bits_of_a_short_one() {
        let x: Vec<f64> = (0..1000).map(|i| (f64::from(i) * 0.7).sin()).collect();
        let (mut long, mut short) = (vec![0.0; 1000], vec![0.0; 1000]);
        let f = |a: f64, b: f64| a * 3.1 - b / 7.3;
        combine(&x, &x[1..], &mut long, f);
        for i in 0..999 {
            combine(&x[i..=i], &x[i + 1..], &mut short[i..=i], f);
        }
        assert_eq!(long, short);
    }
}
