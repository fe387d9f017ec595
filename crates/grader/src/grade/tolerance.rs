//! The comparison of computed numbers with the right ones.

/// The allowed error of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Relative to the larger of the two entries, and to the largest reference entry.
    pub relative: f64,
    /// How close to its kink a unit may be for either subgradient to be right.
    pub kink: f64,
}

impl Tolerance {
    /// For gradients computed in double precision.
    pub const EXACT: Self = Self {
        relative: 1e-7,
        kink: 1e-12,
    };
    /// For gradients computed in single precision.
    pub const FLOAT32: Self = Self {
        relative: 1e-4,
        kink: 1e-6,
    };
    /// For gradients from finite differences.
    pub const FINITE_DIFFERENCE: Self = Self {
        relative: 1e-2,
        kink: 1e-4,
    };

    /// The preset for code of about this precision, with `relative` instead of its own value.
    pub fn of(relative: f64) -> Self {
        let presets = [Self::EXACT, Self::FLOAT32, Self::FINITE_DIFFERENCE];
        let fits = |preset: &Self| relative <= preset.relative;
        let preset = presets.into_iter().find(fits);
        Self {
            relative,
            ..preset.unwrap_or(Self::FINITE_DIFFERENCE)
        }
    }

    /// Whether each entry is right: |a − b| ≤ atol + rtol·max(|a|, |b|), atol = rtol·‖ref‖∞. An entry that is not
    /// finite is wrong, and so is one that has no counterpart.
    pub fn right(&self, given: &[f64], reference: &[f64]) -> Vec<bool> {
        let largest = reference.iter().fold(0.0_f64, |top, b| top.max(b.abs()));
        let entry = |(at, &a): (usize, &f64)| {
            reference.get(at).is_some_and(|b| {
                let allowed = self.relative * (largest + a.abs().max(b.abs()));
                a.is_finite() && (a - b).abs() <= allowed
            })
        };
        given.iter().enumerate().map(entry).collect()
    }

    /// Whether a whole tensor is right; an empty one never is.
    pub fn accepts(&self, given: &[f64], reference: &[f64]) -> bool {
        self.accepts_scaled(given, reference, 1.0)
    }

    /// Whether a whole tensor is `factor` times the reference, which has a nonzero entry.
    pub fn accepts_multiple(&self, given: &[f64], reference: &[f64], factor: f64) -> bool {
        given.len() == reference.len()
            && reference.iter().any(|&value| value != 0.0)
            && self.accepts_scaled(given, reference, factor)
    }

    /// Stops at the first wrong entry.
    fn accepts_scaled(&self, given: &[f64], reference: &[f64], factor: f64) -> bool {
        if given.is_empty() || given.len() != reference.len() {
            return false;
        }
        let scaled = reference.iter().map(|b| factor * b);
        let largest = scaled.clone().fold(0.0_f64, |top, b| top.max(b.abs()));
        given.iter().zip(scaled).all(|(&a, b)| {
            let allowed = self.relative * (largest + a.abs().max(b.abs()));
            a.is_finite() && (a - b).abs() <= allowed
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tolerance;

    #[test]
    fn nan_empty_and_short_tensors_never_pass() {
        let t = Tolerance::FINITE_DIFFERENCE;
        assert!(!t.accepts(&[f64::NAN], &[f64::NAN]));
        assert!(!t.accepts(&[f64::INFINITY], &[1.0]));
        assert!(!t.accepts(&[], &[]));
        assert!(!t.accepts(&[1.0], &[1.0, 1.0]));
    }

    #[test]
    fn single_precision_passes_its_own_tolerance_only() {
        let reference = [0.1, -1.0 / 3.0];
        let given = reference.map(|v| f64::from(v as f32));
        assert!(Tolerance::FLOAT32.accepts(&given, &reference));
        assert!(
            !Tolerance {
                relative: 1e-9,
                ..Tolerance::EXACT
            }
            .accepts(&given, &reference)
        );
    }
}
