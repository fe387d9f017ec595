//! Numbers that keep a distance from each other.

/// Numbers between -most and most, any two of them at least `gap` apart. Where a number is on the axis says where its
/// neighbours are stored, so a search does not depend on how many there are: the widest networks of an assignment have
/// hundreds of weights, each drawn thousands of times.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    gap: f64,
    most: f64,
    /// The number in each piece of the axis, NaN for none.
    cells: Vec<f64>,
}

/// The length of a cell in gaps: less than 1, so that no cell has two numbers, and more than ½, so that a number's
/// neighbours are at most two cells away.
const CELL: f64 = 0.75;
/// The cells on either side that can have a neighbour.
const REACH: usize = 2;

impl Axis {
    /// No numbers. Without a gap, there is always room.
    pub(super) fn new(gap: f64, most: f64) -> Self {
        let cells = if gap > 0.0 {
            (2.0 * most / (CELL * gap)).ceil() as usize + 1 + 2 * REACH
        } else {
            0
        };
        Self {
            gap,
            most,
            cells: vec![f64::NAN; cells],
        }
    }

    /// Whether a number is far enough from all.
    pub(super) fn has_room(&self, number: f64) -> bool {
        let Some(cell) = self.cell(number) else {
            return true;
        };
        // A comparison with NaN is false.
        !self.cells[cell - REACH..=cell + REACH]
            .iter()
            .any(|other| (number - other).abs() < self.gap)
    }

    /// Whether two numbers are far enough from each other.
    pub(super) fn are_apart(&self, a: f64, b: f64) -> bool {
        (a - b).abs() >= self.gap
    }

    /// Adds a number that has room.
    pub(super) fn insert(&mut self, number: f64) {
        if let Some(cell) = self.cell(number) {
            self.cells[cell] = number;
        }
    }

    /// Removes a number that was added.
    pub(super) fn remove(&mut self, number: f64) {
        if let Some(cell) = self.cell(number) {
            self.cells[cell] = f64::NAN;
        }
    }

    /// The cell of a number; none without a gap.
    fn cell(&self, number: f64) -> Option<usize> {
        let cell = || ((number + self.most) / (CELL * self.gap)) as usize + REACH;
        (self.gap > 0.0).then(cell)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn it_agrees_with_a_comparison_with_each_number() {
        let mut generator = ChaCha8Rng::seed_from_u64(1);
        for gap in [0.0, 0.002, 0.05, 0.7] {
            let (mut axis, mut all) = (Axis::new(gap, 1.5), Vec::<f64>::new());
            for at in 0..2000 {
                // Ends and exact distances as well.
                let number = match at % 4 {
                    0 => f64::from(generator.random_range(-3..=3)) / 2.0,
                    1 => all.last().map_or(0.0, |last| last + gap).min(1.5),
                    _ => generator.random_range(-1.5..=1.5),
                };
                let is_apart = |other: &f64| (number - other).abs() >= gap;
                let has_room = all.iter().all(is_apart);
                assert_eq!(axis.has_room(number), has_room, "{number} by {gap}");
                if has_room {
                    axis.insert(number);
                    all.push(number);
                }
                if at % 5 == 0 {
                    let last = all.swap_remove(generator.random_range(0..all.len()));
                    axis.remove(last);
                }
            }
        }
    }
}
