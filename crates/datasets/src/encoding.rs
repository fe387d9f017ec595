//! How the columns of a text file became features, so that another file can be read the same way.

use serde::{Deserialize, Serialize};

/// The columns of a text file that became features, in order, and the one to predict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// The columns that became features.
    pub columns: Vec<Column>,
    /// The place of the column to predict among all columns of the file, from 0.
    pub label_position: usize,
    /// The name of the column to predict, if the file has a header.
    pub label_name: Option<String>,
}

/// A column of a text file that became one feature, or several.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, if the file has a header.
    pub name: Option<String>,
    /// Empty for a column of numbers; else the texts that occur, each of which became a feature of 0 or 1 (one-hot).
    pub categories: Vec<String>,
}

impl Column {
    /// How many features the column became.
    pub fn features(&self) -> usize {
        self.categories.len().max(1)
    }
}

impl Encoding {
    /// The number of features.
    pub fn features(&self) -> usize {
        self.columns.iter().map(Column::features).sum()
    }
}
