//! The dataset: rows with what to predict of them, in memory or in a file.

use std::sync::Arc;

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Dtype, Scalar};

use crate::digest::{ContentDigest, ContentHasher, ContentHashes};
use crate::encoding::Encoding;
use crate::error::{Fault, ReadError};
use crate::labels::LabelReader;
use crate::numbers::Numbers;
use crate::standardization::Standardization;
use crate::table::Table;
use crate::truth::{TruthKind, TruthRows, TruthSlices};

/// Rows with what to predict of them; cheap to clone, and immutable.
#[derive(Clone, Debug)]
pub struct Dataset {
    content: Arc<Content>,
    standardization: Option<Arc<Standardization>>,
    digest: ContentDigest,
}

#[derive(Debug)]
struct Content {
    inputs: Table,
    truth: Truth,
    kind: TruthKind,
    hashes: ContentHashes,
    encoding: Option<Encoding>,
    dropped_rows: usize,
}

#[derive(Debug)]
pub(crate) enum Truth {
    Labels {
        labels: Vec<u32>,
        names: Vec<String>,
    },
    Targets(Table),
}

/// What a reader found: a dataset whose numbers have not been checked.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) inputs: Table,
    pub(crate) truth: Truth,
    pub(crate) standardization: Option<Standardization>,
    pub(crate) encoding: Option<Encoding>,
    pub(crate) dropped_rows: usize,
    /// The hashes that the file says it has; they are believed in place of a pass over all numbers.
    pub(crate) known: Option<ContentHashes>,
}

impl Draft {
    pub(crate) fn new(inputs: Table, truth: Truth) -> Self {
        Self {
            inputs,
            truth,
            standardization: None,
            encoding: None,
            dropped_rows: 0,
            known: None,
        }
    }

    /// Checks that every number is finite, and computes the digest.
    pub(crate) fn check(self) -> Result<Dataset, Fault> {
        let mut violations = Violations::new();
        let rows = self.inputs.rows;
        let (name, found, kind) = match &self.truth {
            Truth::Labels { labels, names } => {
                let names = names.clone();
                ("labels", labels.len(), TruthKind::Labels { names })
            }
            Truth::Targets(targets) => {
                let columns = targets.columns;
                ("targets", targets.rows, TruthKind::Targets { columns })
            }
        };
        check_rows(name, found, rows, &mut violations);
        if let Some(standardization) = &self.standardization
            && !standardization.fits(self.inputs.columns, kind.target_columns())
        {
            violations.add(
                "standardization",
                "constants that do not fit the columns",
                "a finite mean and a positive deviation for each column",
            );
        }
        violations.into_result(Some(()))?;
        let hashes = match self.known {
            Some(hashes) => hashes,
            None => self.scan()?,
        };
        let content = Content {
            inputs: self.inputs,
            truth: self.truth,
            kind,
            hashes,
            encoding: self.encoding,
            dropped_rows: self.dropped_rows,
        };
        let standardization = self.standardization.map(Arc::new);
        Ok(Dataset {
            digest: content.digest(standardization.as_deref()),
            content: Arc::new(content),
            standardization,
        })
    }

    fn scan(&self) -> Result<ContentHashes, Fault> {
        let mut hasher = ContentHasher::default();
        let mut violations = Violations::new();
        self.inputs
            .scan("inputs", &mut hasher.inputs, &mut violations)?;
        match &self.truth {
            Truth::Labels { labels, .. } => hasher.labels(labels),
            Truth::Targets(targets) => {
                targets.scan("targets", &mut hasher.truth, &mut violations)?;
            }
        }
        violations.into_result(Some(()))?;
        Ok(hasher.finish())
    }
}

/// Records a truth of other rows than the inputs.
fn check_rows(name: &str, found: usize, rows: usize, violations: &mut Violations) {
    if found != rows {
        violations.add(
            name,
            format!("{found} rows"),
            format!("{rows}, a row for each row of the inputs"),
        );
    }
}

impl Content {
    fn digest(&self, standardization: Option<&Standardization>) -> ContentDigest {
        self.hashes.digest(
            self.inputs.rows,
            self.inputs.columns,
            self.inputs.dtype,
            &self.kind,
            standardization,
        )
    }
}

impl Dataset {
    /// A dataset with a class for each row: rows × `features` numbers, row-major, and labels below `names.len()`; without
    /// names, classes are those up to the largest label.
    ///
    /// # Errors
    /// Every number that is not finite, every label beyond the classes, and shapes that do not fit.
    pub fn with_labels<T: Scalar>(
        features: usize,
        inputs: Vec<T>,
        labels: &[u32],
        names: Option<Vec<String>>,
    ) -> Result<Self, Fault> {
        let inputs = matrix("inputs", features, inputs)?;
        let mut reader = LabelReader::with_capacity("labels", labels.len())?;
        let numbers: Vec<f64> = labels.iter().copied().map(f64::from).collect();
        reader.extend(&numbers);
        let (labels, names) = reader.finish(names)?;
        Draft::new(inputs, Truth::Labels { labels, names }).check()
    }

    /// A dataset with numbers to predict: rows × `features` inputs and rows × `columns` targets, row-major.
    ///
    /// # Errors
    /// Every number that is not finite, and shapes that do not fit.
    pub fn with_targets<T: Scalar>(
        features: usize,
        inputs: Vec<T>,
        columns: usize,
        targets: Vec<T>,
    ) -> Result<Self, Fault> {
        let inputs = matrix("inputs", features, inputs)?;
        let targets = matrix("targets", columns, targets)?;
        Draft::new(inputs, Truth::Targets(targets)).check()
    }

    /// This dataset with other constants, or without any; the numbers are shared.
    ///
    /// # Errors
    /// Constants that do not fit the columns.
    pub fn with_standardization(
        &self,
        standardization: Option<Standardization>,
    ) -> Result<Self, Fault> {
        if let Some(standardization) = &standardization
            && !standardization.fits(self.features(), self.truth().target_columns())
        {
            return Err(Fault::one(
                "standardization",
                "constants that do not fit the columns",
                "a finite mean and a positive deviation for each column",
            ));
        }
        Ok(Self {
            digest: self.content.digest(standardization.as_ref()),
            content: Arc::clone(&self.content),
            standardization: standardization.map(Arc::new),
        })
    }

    /// The number of rows, at least 1.
    pub fn rows(&self) -> usize {
        self.content.inputs.rows
    }

    /// The number of inputs of each row, at least 1.
    pub fn features(&self) -> usize {
        self.content.inputs.columns
    }

    /// What there is to predict.
    pub fn truth(&self) -> &TruthKind {
        &self.content.kind
    }

    /// The type of the inputs and of the targets.
    pub fn dtype(&self) -> Dtype {
        self.content.inputs.dtype
    }

    /// The digest of the content, standardization constants included.
    pub fn digest(&self) -> ContentDigest {
        self.digest
    }

    /// The size of the numbers and labels, in bytes, wherever they are.
    pub fn data_bytes(&self) -> u64 {
        let size = self.dtype().size() as u64;
        let rows = self.rows() as u64;
        let truth = match &self.content.truth {
            Truth::Labels { .. } => 4,
            Truth::Targets(targets) => targets.columns as u64 * size,
        };
        rows * (self.features() as u64 * size + truth)
    }

    /// The memory that the numbers and labels take, in bytes: of a dataset that is read in blocks, the labels alone.
    pub fn resident_bytes(&self) -> usize {
        let truth = match &self.content.truth {
            Truth::Labels { labels, .. } => size_of_val(&labels[..]),
            Truth::Targets(targets) => targets.resident_bytes(),
        };
        self.content.inputs.resident_bytes() + truth
    }

    /// The constants by which rows are standardized on request.
    pub fn standardization(&self) -> Option<&Standardization> {
        self.standardization.as_deref()
    }

    /// How columns of text became features; `None` for formats of numbers.
    pub fn encoding(&self) -> Option<&Encoding> {
        self.content.encoding.as_ref()
    }

    /// How many rows were left out because a value was missing.
    pub fn dropped_rows(&self) -> usize {
        self.content.dropped_rows
    }

    /// The class of each row, from 0; `None` for a regression.
    pub fn labels(&self) -> Option<&[u32]> {
        match &self.content.truth {
            Truth::Labels { labels, .. } => Some(labels),
            Truth::Targets(_) => None,
        }
    }

    /// All rows, if they are in memory and of type `T`: inputs rows × features, row-major, not standardized.
    pub fn whole<T: Scalar>(&self) -> Option<(&[T], TruthSlices<'_, T>)> {
        let inputs = self.content.inputs.whole()?;
        let truth = match &self.content.truth {
            Truth::Labels { labels, .. } => TruthSlices::Labels(labels),
            Truth::Targets(targets) => TruthSlices::Targets(targets.whole()?),
        };
        Some((inputs, truth))
    }

    /// Whether the inputs are in memory, and not read in blocks.
    pub fn is_in_memory(&self) -> bool {
        self.content.inputs.resident_bytes() > 0
    }

    /// Announces that `rows`, from 0, will be copied soon. Of a dataset that is read in blocks, the kernel then reads them
    /// into its cache meanwhile.
    pub fn announce(&self, rows: &[usize]) {
        self.content.inputs.announce(rows);
        if let Truth::Targets(targets) = &self.content.truth {
            targets.announce(rows);
        }
    }

    /// Appends `rows`, from 0 and in any order, to the buffers: converted to `T`, and standardized in `f64` before that if
    /// `standardize` asks for it and the dataset has constants.
    ///
    /// # Errors
    /// A row that does not exist, a file that has changed or cannot be read, a number too large for `T`. The buffers are
    /// then as they were.
    pub fn copy_rows<T: Scalar>(
        &self,
        rows: &[usize],
        standardize: bool,
        inputs: &mut Vec<T>,
        truth: &mut TruthRows<T>,
    ) -> Result<(), ReadError> {
        let standardization = self.standardization.as_deref().filter(|_| standardize);
        let old = inputs.len();
        let moments = standardization.map(|standardization| &standardization.inputs);
        self.content.inputs.copy_rows(rows, moments, inputs)?;
        match &self.content.truth {
            Truth::Labels { labels, .. } => {
                truth.labels.extend(rows.iter().map(|row| labels[*row]));
                Ok(())
            }
            Truth::Targets(targets) => {
                let moments = standardization.and_then(|all| all.targets.as_ref());
                let copied = targets.copy_rows(rows, moments, &mut truth.targets);
                if copied.is_err() {
                    inputs.truncate(old);
                }
                copied
            }
        }
    }
}

fn matrix<T: Scalar>(name: &str, columns: usize, numbers: Vec<T>) -> Result<Table, Fault> {
    if columns == 0 || numbers.is_empty() || !numbers.len().is_multiple_of(columns) {
        return Err(Fault::one(
            name,
            format!("{} numbers in rows of {columns}", numbers.len()),
            "whole rows of at least one number, and at least one row",
        ));
    }
    Ok(Table::in_memory(columns, Numbers::from_vec(numbers)))
}
