//! A small dense matrix, the only type of a formula's value; a scalar is 1 × 1.

use std::ops::Range;

use smallvec::{SmallVec, smallvec};

/// Up to this many entries are stored inline: the values of a formula are mostly scalars, rows and small matrices,
/// created and dropped by the million.
const INLINE: usize = 6;
type Entries = SmallVec<[f64; INLINE]>;

/// Row-major entries. Rows and columns are at least 1.
#[derive(Debug, PartialEq)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    entries: Entries,
}

impl Clone for Matrix {
    /// As the derived one, which would copy entry by entry.
    #[inline]
    fn clone(&self) -> Self {
        Self {
            rows: self.rows,
            columns: self.columns,
            entries: Entries::from_slice(&self.entries),
        }
    }
}

impl Matrix {
    /// A matrix of `entries`, row by row.
    ///
    /// # Panics
    /// If there are not `rows · columns` entries.
    pub fn new(rows: usize, columns: usize, entries: Vec<f64>) -> Self {
        Self::of(rows, columns, Entries::from_vec(entries))
    }

    fn of(rows: usize, columns: usize, entries: Entries) -> Self {
        assert_eq!(rows * columns, entries.len(), "{rows}×{columns}");
        Self {
            rows,
            columns,
            entries,
        }
    }

    /// One number, 1 × 1.
    #[inline]
    pub fn scalar(value: f64) -> Self {
        Self {
            rows: 1,
            columns: 1,
            entries: Entries::from_slice(&[value]),
        }
    }

    /// The sum over the rows, as a row.
    #[must_use]
    pub fn column_sums(&self) -> Self {
        Self::filled(1, self.rows, 1.0).product(self)
    }

    /// A matrix of one repeated number.
    pub fn filled(rows: usize, columns: usize, value: f64) -> Self {
        Self::of(rows, columns, smallvec![value; rows * columns])
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The entries, row after row.
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }

    /// The entries, row after row.
    pub fn entries_mut(&mut self) -> &mut [f64] {
        &mut self.entries
    }

    /// The entry at a row and a column, both from 0.
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.columns + column]
    }

    /// The entries at the given rows and columns, both from 0.
    #[must_use]
    pub fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Self {
        if (rows.len(), columns.len()) == (1, 1) {
            return Self::scalar(self.at(rows.start, columns.start));
        }
        let mut entries = Entries::with_capacity(rows.len() * columns.len());
        for row in rows.clone() {
            entries.extend_from_slice(&self.entries[row * self.columns..][columns.clone()]);
        }
        Self::of(rows.len(), columns.len(), entries)
    }

    /// The number, if the matrix is 1 × 1.
    pub fn as_scalar(&self) -> Option<f64> {
        match self.entries[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Applies `f` to every entry.
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        if let Some(value) = self.as_scalar() {
            return Self::scalar(f(value));
        }
        let entries = self.entries.iter().map(|&entry| f(entry)).collect();
        Self::of(self.rows, self.columns, entries)
    }

    /// Applies `f` to every pair of entries of two matrices of one shape.
    ///
    /// # Panics
    /// If the shapes differ.
    #[must_use]
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape(), other.shape());
        if let (Some(a), Some(b)) = (self.as_scalar(), other.as_scalar()) {
            return Self::scalar(f(a, b));
        }
        let pairs = self.entries.iter().zip(&other.entries);
        let entries = pairs.map(|(&a, &b)| f(a, b)).collect();
        Self::of(self.rows, self.columns, entries)
    }

    /// Rows or columns that are alone repeated, up to this shape.
    #[must_use]
    pub fn repeated(&self, rows: usize, columns: usize) -> Self {
        if self.shape() == (rows, columns) {
            return self.clone();
        }
        let mut entries = Entries::with_capacity(rows * columns);
        for row in 0..rows {
            let row = if self.rows == 1 { 0 } else { row };
            let at = |column| if self.columns == 1 { 0 } else { column };
            entries.extend((0..columns).map(|column| self.at(row, at(column))));
        }
        Self::of(rows, columns, entries)
    }

    /// The transpose.
    #[must_use]
    pub fn transposed(&self) -> Self {
        if self.rows == 1 || self.columns == 1 {
            let entries = Entries::from_slice(&self.entries);
            return Self::of(self.columns, self.rows, entries);
        }
        let mut entries = Entries::with_capacity(self.entries.len());
        for column in 0..self.columns {
            entries.extend((0..self.rows).map(|row| self.at(row, column)));
        }
        Self::of(self.columns, self.rows, entries)
    }

    /// The matrix product.
    ///
    /// # Panics
    /// If `self` does not have as many columns as `other` has rows.
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        assert_eq!(self.columns, other.rows);
        let mut entries = Entries::with_capacity(self.rows * other.columns);
        for row in 0..self.rows {
            for column in 0..other.columns {
                let terms = (0..self.columns).map(|k| self.at(row, k) * other.at(k, column));
                entries.push(terms.sum());
            }
        }
        Self::of(self.rows, other.columns, entries)
    }
}
