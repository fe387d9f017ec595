//! The norm of a gradient, summed in `f64` in an order that does not depend on how it was cut.

use super::Scalar;
/// The norm of `gradient`, whose parts have these sums of squares; infinite or NaN if the gradient is.
pub fn norm<T: Scalar>(squares: &[f64], gradient: &[T]) -> f64 {
    let sum: f64 = squares.iter().sum();
    if sum.is_normal() || sum == 0.0 && gradient.iter().all(|g| *g == T::ZERO) {
        return sum.sqrt();
    }
    // The squares overflowed or vanished: sum again, scaled by the largest entry.
    let top = gradient
        .iter()
        .map(|g| g.to_f64().abs())
        .fold(0.0, |top, g| if g > top || g.is_nan() { g } else { top });
    if !top.is_finite() {
        return top;
    }
    let scaled: f64 = gradient
        .iter()
        .map(|g| (g.to_f64() / top) * (g.to_f64() / top))
        .sum();
    top * scaled.sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::elementwise::squares_of_rows;
    use super::*;

    fn squares<T: Scalar>(entries: &[T]) -> f64 {
        let mut sum = [0.0];
        squares_of_rows(&mut sum, entries, entries.len());
        sum[0]
    }

    /// A gradient in one part.
    fn length(gradient: &[f64]) -> f64 {
        norm(&[squares(gradient)], gradient)
    }

    #[test]
    fn neither_huge_nor_tiny_entries_spoil_a_length() {
        assert_eq!(length(&[3.0, 4.0]), 5.0);
        assert_eq!(length(&[]), 0.0);
        for scale in [1e200, 1e-200] {
            let error = length(&[3.0 * scale, -4.0 * scale]) / scale - 5.0;
            assert!(error.abs() < 1e-14, "{error} at {scale}");
        }
        assert_eq!(length(&[1.0, f64::INFINITY]), f64::INFINITY);
        assert!(length(&[1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn every_entry_counts_whatever_their_number() {
        for count in 0..100_u32 {
            let entries = vec![1.0_f32; count as usize];
            assert_eq!(squares(&entries), f64::from(count));
        }
    }
}
