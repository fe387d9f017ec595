//! Changes of a matrix that is written out: entries swapped, signs of entries.

use std::sync::Arc;

use super::change::Changes;
use crate::formula::{Expr, Kind};
use crate::grade::Mistake;

/// Larger matrices are only changed inside their entries.
const MOST_ENTRIES: usize = 16;

impl Changes<'_> {
    pub(super) fn row_changes(&mut self, rows: &[Vec<Expr>], whole: &Expr) {
        let columns = rows.first().map_or(0, Vec::len);
        let is_regular = rows.iter().all(|row| row.len() == columns);
        if !is_regular || rows.len() * columns > MOST_ENTRIES || rows.len() * columns < 2 {
            return;
        }
        let mut put = |mistake, rows: Vec<Vec<Expr>>| {
            self.put(mistake, Expr::new(Kind::Rows(rows), whole.span));
        };
        for a in 0..rows.len() {
            for b in a + 1..rows.len() {
                let mut swapped = rows.to_vec();
                swapped.swap(a, b);
                put(Mistake::WrongIndex, swapped);
                // A row that is written twice.
                for (from, to) in [(a, b), (b, a)] {
                    let mut twice = rows.to_vec();
                    twice[to] = rows[from].clone();
                    put(Mistake::WrongIndex, twice);
                }
            }
        }
        for a in 0..columns {
            for b in a + 1..columns {
                let mut swapped = rows.to_vec();
                swapped.iter_mut().for_each(|row| row.swap(a, b));
                put(Mistake::WrongIndex, swapped);
            }
        }
        if rows.len() > 1 && columns > 1 {
            let turned = (0..columns).map(|at| rows.iter().map(|row| row[at].clone()).collect());
            put(Mistake::TransposedResult, turned.collect());
        }
        for (at, row) in rows.iter().enumerate() {
            for (column, entry) in row.iter().enumerate() {
                if matches!(entry.kind, Kind::Number(_)) {
                    continue;
                }
                let mut negated = rows.to_vec();
                let entry = Arc::new(entry.clone());
                negated[at][column] = Expr::new(Kind::Negate(entry), whole.span);
                put(Mistake::SignFlipped, negated);
            }
        }
    }
}
