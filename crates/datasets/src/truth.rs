//! What there is to predict: classes, or numbers.

use crate::labels::numbered;

/// What there is to predict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthKind {
    /// A class for each row.
    Labels {
        /// The classes' names, in the order of their numbers; as many as there are classes.
        names: Vec<String>,
    },
    /// Numbers for each row.
    Targets {
        /// How many for each row.
        columns: usize,
    },
}

/// The truth of all rows, in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TruthSlices<'a, T> {
    /// A class for each row.
    Labels(&'a [u32]),
    /// rows × columns numbers, row-major.
    Targets(&'a [T]),
}

/// The truth of rows that were copied. Labels or targets: the other vector stays empty.
#[derive(Clone, Debug, PartialEq)]
pub struct TruthRows<T> {
    /// A class for each row.
    pub labels: Vec<u32>,
    /// rows × columns numbers, row-major.
    pub targets: Vec<T>,
}

impl<T> Default for TruthRows<T> {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            targets: Vec::new(),
        }
    }
}

impl<T> TruthRows<T> {
    /// Removes all rows, and retains the memory.
    pub fn clear(&mut self) {
        self.labels.clear();
        self.targets.clear();
    }
}

impl TruthKind {
    /// Classes that are called by their numbers, from 0.
    pub fn unnamed(classes: usize) -> Self {
        Self::Labels {
            names: numbered(classes),
        }
    }

    /// The number of classes; 0 for targets.
    pub fn classes(&self) -> usize {
        match self {
            Self::Labels { names } => names.len(),
            Self::Targets { .. } => 0,
        }
    }

    /// The number of target columns; 0 for labels.
    pub fn target_columns(&self) -> usize {
        match self {
            Self::Labels { .. } => 0,
            Self::Targets { columns } => *columns,
        }
    }
}
