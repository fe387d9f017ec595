//! The values of a formula on all networks of a question, and their comparison.

use super::steps::{complete, pause};
use super::{Grid, Network};
use crate::formula::{
    Bindings, Expr, Fault, FormulaError, Matrix, Symbol, evaluate_counting, too_much_work,
};

/// The allowed error of an entry, relative to the reference's largest entry.
const RELATIVE: f64 = 1e-9;
/// The same for derivatives by differences.
const RELATIVE_APPROXIMATE: f64 = 1e-5;
/// The allowed rounding around a reference of zero.
const ABSOLUTE: f64 = 1e-12;

/// The work limit of one formula on all networks with all bindings, in entries; the homework's longest needs a
/// hundredth.
const MAX_WORK: usize = 1_000_000;
/// The minimum work per binding, however many there are: indices of a large network have thousands of values.
const WORK_OF_EACH: usize = 200;

/// The values on one network: a matrix for each binding of the free indices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct OnNetwork {
    pub(super) samples: usize,
    /// `None` if the formula does not evaluate there.
    pub(super) matrices: Option<Vec<Matrix>>,
    /// The allowed error of an entry, relative to the largest.
    relative: f64,
}

/// The values on every network.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Values {
    pub(super) networks: Vec<OnNetwork>,
    /// Why it does not evaluate, on the largest batch on which it does not.
    pub(super) error: Option<FormulaError>,
    /// The number of entries computed for them.
    pub(super) work: usize,
}

/// Evaluates `expr` with every binding of the free indices on every network.
pub(super) fn evaluate_on(
    expr: &Expr,
    networks: &[Network],
    letters: &[Vec<(char, usize)>],
) -> Values {
    complete(evaluate_in_steps(expr, networks, letters))
}

/// The same, with a pause after each binding on each network.
pub(super) async fn evaluate_in_steps(
    expr: &Expr,
    networks: &[Network],
    letters: &[Vec<(char, usize)>],
) -> Values {
    let networks = networks.iter().map(|network| network as &dyn Bindings);
    evaluate_with(expr, networks, letters).await
}

/// The same on any bindings.
pub(super) async fn evaluate_with<'b>(
    expr: &Expr,
    networks: impl Iterator<Item = &'b dyn Bindings>,
    letters: &[Vec<(char, usize)>],
) -> Values {
    let mut values = Values::default();
    let (mut largest_failing, mut evaluations) = (0, 0);
    for bindings in networks {
        let samples = bindings
            .value(Symbol::BatchSize)
            .map_or(1, |m| m.at(0, 0) as usize);
        let mut approximate = false;
        let mut matrices = Vec::with_capacity(letters.len());
        for bound in letters {
            // Work that exceeds the limit once would exceed it every time.
            if values.is_too_large() {
                break;
            }
            evaluations += 1;
            let value = if values.work > MAX_WORK.max(WORK_OF_EACH * evaluations) {
                Err(too_much_work(expr))
            } else {
                evaluate_counting(expr, bindings, bound, &mut values.work)
            };
            match value {
                Ok(value) => {
                    approximate |= value.approximate;
                    matrices.push(value.matrix);
                }
                Err(error) => {
                    if samples > largest_failing {
                        largest_failing = samples;
                        values.error = Some(error);
                    }
                    break;
                }
            }
            pause().await;
        }
        values.networks.push(OnNetwork {
            samples,
            matrices: (matrices.len() == letters.len()).then_some(matrices),
            relative: if approximate {
                RELATIVE_APPROXIMATE
            } else {
                RELATIVE
            },
        });
    }
    values
}

impl OnNetwork {
    fn largest(&self) -> f64 {
        let entries = self.matrices.iter().flatten().flat_map(Matrix::entries);
        entries.fold(0.0, |largest: f64, entry| largest.max(entry.abs()))
    }

    /// The allowed error of an entry of values as accurate as `relative` says, compared with these.
    fn tolerance(&self, relative: f64) -> f64 {
        ABSOLUTE + relative.max(self.relative) * self.largest()
    }

    fn shapes_agree(&self, other: &Self) -> bool {
        match (&self.matrices, &other.matrices) {
            (Some(a), Some(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.shape() == b.shape())
            }
            _ => false,
        }
    }

    /// Whether the values match those of `reference`, including the shape.
    pub(super) fn agrees_with(&self, reference: &Self) -> bool {
        self.shapes_agree(reference) && self.right_entries(reference).all(|right| right)
    }

    /// Entry by entry, over all bindings; for values of one shape.
    fn right_entries(&self, reference: &Self) -> impl Iterator<Item = bool> {
        let tolerance = reference.tolerance(self.relative);
        let pairs = self
            .matrices
            .iter()
            .flatten()
            .zip(reference.matrices.iter().flatten());
        let entries = pairs.flat_map(|(a, b)| a.entries().iter().zip(b.entries()));
        entries.map(move |(a, b)| is_near(*a, *b, tolerance))
    }
}

/// NaN is within no tolerance.
pub(super) fn is_near(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance
}

impl Values {
    /// The number of entries of a value.
    pub(super) fn entries(&self) -> usize {
        let first = self
            .networks
            .first()
            .and_then(|network| network.matrices.as_ref()?.first());
        first.map_or(0, |matrix| matrix.entries().len())
    }

    /// Whether evaluating took more work than is allowed.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(&self.error, Some(error) if error.fault == Fault::TooLarge)
    }

    /// The number of networks on which it evaluates.
    pub(super) fn evaluated(&self) -> usize {
        self.networks
            .iter()
            .filter(|network| network.matrices.is_some())
            .count()
    }

    /// Whether the values match those of `reference` on every network.
    pub(super) fn agrees_with(&self, reference: &Self) -> bool {
        self.networks.len() == reference.networks.len()
            && self.counted(reference).all(|(a, b)| a.agrees_with(b))
    }

    /// The pairs of values on a network that count. A single sample among batches does not count where a formula does
    /// not evaluate: it may write out the first two samples, as in δ₁ + δ₂ + … + δₘ.
    fn counted<'v>(
        &'v self,
        reference: &'v Self,
    ) -> impl Iterator<Item = (&'v OnNetwork, &'v OnNetwork)> {
        let has_batches = reference.has_batches();
        let pairs = self.networks.iter().zip(&reference.networks);
        pairs.filter(move |(a, b)| {
            let is_open = a.matrices.is_none() || b.matrices.is_none();
            !(has_batches && b.samples == 1 && is_open)
        })
    }

    /// Whether a network has more than one sample.
    fn has_batches(&self) -> bool {
        self.networks.iter().any(|network| network.samples > 1)
    }

    /// The shape for messages, with m for a side that is the batch size on batches of several sizes.
    pub(super) fn shape_text(&self) -> Option<String> {
        let on_network = |values: &OnNetwork| {
            let (rows, columns) = values.matrices.as_ref()?.first()?.shape();
            Some((values.samples, [rows, columns]))
        };
        let shapes: Vec<_> = self.networks.iter().filter_map(on_network).collect();
        let &(size, sides) = shapes.last()?;
        let has_sizes = shapes.iter().any(|&(samples, _)| samples != size);
        let side = |axis: usize| {
            let is_batch = shapes
                .iter()
                .all(|&(samples, sides)| sides[axis] == samples);
            if has_sizes && is_batch {
                "m".to_owned()
            } else {
                sides[axis].to_string()
            }
        };
        Some(format!("{} × {}", side(0), side(1)))
    }

    /// The number of networks on which the values match those of `reference`.
    pub(super) fn agreeing(&self, reference: &Self) -> usize {
        let pairs = self.networks.iter().zip(&reference.networks);
        pairs.filter(|(a, b)| a.agrees_with(b)).count()
    }

    /// Whether the values of `expr` are right where they can be: on every network of one batch size at least, and
    /// nowhere wrong in the right shape unless samples are written out. So a matrix written for m = 2 holds. A single
    /// sample among batches proves nothing: there a sum and its first term are equal.
    pub(super) fn holds(&self, expr: &Expr, reference: &Self) -> bool {
        let least = usize::from(reference.has_batches());
        let pairs = || {
            let pairs = self.networks.iter().zip(&reference.networks);
            pairs.filter(move |(_, b)| b.samples > least)
        };
        let contradicts = pairs().any(|(a, b)| a.shapes_agree(b) && !a.agrees_with(b));
        (expr.is_written_out() || !contradicts)
            && pairs().any(|(_, size)| {
                let mut same_size = pairs().filter(|(_, b)| b.samples == size.samples);
                same_size.all(|(a, b)| a.agrees_with(b))
            })
    }

    /// The number of right entries, over all networks.
    pub(super) fn right_entries(&self, reference: &Self) -> usize {
        let pairs = self
            .networks
            .iter()
            .zip(&reference.networks)
            .filter(|(a, b)| a.shapes_agree(b));
        pairs
            .map(|(a, b)| a.right_entries(b).filter(|&right| right).count())
            .sum()
    }

    /// The only batch size above 1 at which the values are right, if they are right on all of its networks.
    pub(super) fn only_batch_size(&self, reference: &Self) -> Option<usize> {
        let mut sizes: Vec<usize> = reference
            .networks
            .iter()
            .map(|network| network.samples)
            .filter(|&samples| samples > 1)
            .collect();
        sizes.sort_unstable();
        sizes.dedup();
        let right_at = |size: usize| {
            let pairs = self.networks.iter().zip(&reference.networks);
            pairs
                .filter(|(_, b)| b.samples == size)
                .all(|(a, b)| a.agrees_with(b))
        };
        let right: Vec<usize> = sizes
            .iter()
            .copied()
            .filter(|&size| right_at(size))
            .collect();
        match right[..] {
            [size] if sizes.len() > 1 => Some(size),
            _ => None,
        }
    }

    /// Whether every value has the reference's shape.
    pub(super) fn has_shape_of(&self, reference: &Self) -> bool {
        self.counted(reference).all(|(a, b)| a.shapes_agree(b))
    }

    /// Whether the sums over the rows are the reference, which has one row itself: a bias's gradient that was left one
    /// row for each sample.
    pub(super) fn is_unsummed(&self, reference: &Self) -> bool {
        let matrices = self
            .networks
            .iter()
            .flat_map(|network| network.matrices.iter().flatten());
        let rows = matrices.map(Matrix::rows).max();
        rows > Some(1) && self.map(Matrix::column_sums).agrees_with(reference)
    }

    /// Whether a value was taken by differences.
    pub(super) fn is_approximate(&self) -> bool {
        self.networks
            .iter()
            .any(|network| network.relative > RELATIVE)
    }

    /// Whether every entry on every network is 0.
    pub(super) fn is_all_zero(&self) -> bool {
        let zeros = |network: &OnNetwork| network.largest() == 0.0;
        self.networks.iter().all(zeros)
    }

    /// The share of the entries that are right on every network, 0 to 1; 0 where a shape is wrong.
    pub(super) fn share_of_right_entries(&self, reference: &Self) -> f64 {
        let mut right: Vec<bool> = Vec::new();
        for (own, reference) in self.networks.iter().zip(&reference.networks) {
            if !own.shapes_agree(reference) {
                return 0.0;
            }
            let here = own.right_entries(reference);
            if right.is_empty() {
                right.extend(here);
                continue;
            }
            // A batch of another size has other rows: its entries count row by row where they can.
            for (at, here) in here.enumerate() {
                match right.get_mut(at) {
                    Some(all) => *all &= here,
                    None => right.push(here),
                }
            }
        }
        right.iter().filter(|&&right| right).count() as f64 / right.len().max(1) as f64
    }

    /// Whether every entry is one of the reference's entries, though not the one in its place.
    pub(super) fn has_entries_of(&self, reference: &Self) -> bool {
        /// The most entries to look for.
        const MOST: usize = 64;
        if !self.has_shape_of(reference) {
            return false;
        }
        let flat = |values: &Self| -> Vec<Vec<f64>> {
            let networks = values.networks.iter();
            let entries = networks.map(|network| {
                let matrices = network.matrices.iter().flatten();
                matrices.flat_map(Matrix::entries).copied().collect()
            });
            entries.collect()
        };
        let (own, right) = (flat(self), flat(reference));
        let count = right.first().map_or(0, Vec::len);
        if !(2..=MOST).contains(&count) || right.iter().any(|entries| entries.len() != count) {
            return false;
        }
        let is_at = |place: usize, other: usize| {
            let mut networks = self
                .networks
                .iter()
                .zip(&reference.networks)
                .zip(own.iter().zip(&right));
            networks.all(|((given, reference), (own, right))| {
                let tolerance = reference.tolerance(given.relative);
                is_near(own[place], right[other], tolerance)
            })
        };
        // Some entries have to be in their places: the rest are slips.
        (0..count).any(|place| is_at(place, place))
            && (0..count).all(|place| (0..count).any(|other| is_at(place, other)))
    }

    /// The same with this error allowed, relative to the largest entry: a student rounds.
    pub(super) fn within(mut self, relative: f64) -> Self {
        for network in &mut self.networks {
            network.relative = network.relative.max(relative);
        }
        self
    }

    /// The factor between these values and those of `of`, if there is one for all entries.
    pub(super) fn factor_of(&self, of: &Self) -> Option<f64> {
        let largest = |network: &OnNetwork| {
            let entries = network.matrices.iter().flatten().flat_map(Matrix::entries);
            entries.copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))
        };
        let (own, wanted) = (self.networks.first()?, of.networks.first()?);
        let place = largest(wanted).filter(|largest| *largest != 0.0)?;
        let entries = |network: &OnNetwork| -> Vec<f64> {
            let entries = network.matrices.iter().flatten().flat_map(Matrix::entries);
            entries.copied().collect()
        };
        let at = (entries(wanted).iter()).position(|entry| entry.to_bits() == place.to_bits())?;
        let factor = entries(own).get(at)? / place;
        let scaled = of.map(|matrix| matrix.map(|entry| factor * entry));
        (factor.is_finite() && factor != 0.0 && self.agrees_with(&scaled)).then_some(factor)
    }

    /// The same with every matrix transposed.
    pub(super) fn transposed(&self) -> Self {
        self.map(Matrix::transposed)
    }

    /// The values on batches of `samples` alone, with which those of `reference` are parallel.
    pub(super) fn of_size(&self, reference: &Self, samples: usize) -> Self {
        let networks = self.networks.iter().zip(&reference.networks);
        let networks = networks.filter(|(_, reference)| reference.samples == samples);
        let networks: Vec<OnNetwork> = networks.map(|(own, _)| own.clone()).collect();
        let is_whole = networks.iter().all(|network| network.matrices.is_some());
        Self {
            networks,
            error: self.error.clone().filter(|_| !is_whole),
            work: self.work,
        }
    }

    /// The same with every matrix transformed.
    fn map(&self, change: impl Fn(&Matrix) -> Matrix) -> Self {
        let mut changed = self.clone();
        for network in &mut changed.networks {
            for matrix in network.matrices.iter_mut().flatten() {
                *matrix = change(matrix);
            }
        }
        changed
    }

    /// Which entries are right on every network of the largest batch size; the values of free indices are laid out
    /// as rows and columns of their own. `None` where the shape is another one.
    pub(super) fn grid(&self, reference: &Self, letters: &[Vec<(char, usize)>]) -> Option<Grid> {
        let samples = reference
            .networks
            .iter()
            .map(|network| network.samples)
            .max()?;
        let mut right: Option<Vec<bool>> = None;
        let mut shape = (1, 1);
        for (a, b) in self.networks.iter().zip(&reference.networks) {
            if b.samples != samples {
                continue;
            }
            if !a.shapes_agree(b) {
                return None;
            }
            shape = b.matrices.as_ref()?.first()?.shape();
            let here: Vec<bool> = a.right_entries(b).collect();
            right = Some(match right {
                None => here,
                Some(before) => before.iter().zip(here).map(|(&a, b)| a && b).collect(),
            });
        }
        let right = right?;
        let last_range = letters.last()?.last().map_or(1, |&(_, range)| range);
        let (rows, columns) = if letters.len() > 1 && shape == (1, 1) {
            (right.len() / last_range, last_range)
        } else {
            (right.len() / shape.1, shape.1)
        };
        Some(Grid {
            rows,
            columns,
            right,
        })
    }
}
