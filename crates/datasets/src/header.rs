//! What an upload announces.

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::Dtype;

use crate::encoding::Encoding;
use crate::labels::MOST_CLASSES;
use crate::standardization::Standardization;
use crate::truth::TruthKind;

/// What an upload will contain.
#[derive(Clone, Debug, PartialEq)]
pub struct UploadHeader {
    /// The number of rows.
    pub rows: usize,
    /// The number of inputs of each row.
    pub features: usize,
    /// The type of inputs and targets.
    pub dtype: Dtype,
    /// What there is to predict.
    pub truth: TruthKind,
    /// Constants by which rows are standardized on request.
    pub standardization: Option<Standardization>,
    /// How columns of text became features.
    pub encoding: Option<Encoding>,
    /// What else the program that writes the file wants to find in it; see [`crate::read_note`].
    pub note: Option<String>,
}

/// Where the numbers of a canonical file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) inputs: u64,
    pub(crate) truth: u64,
}

impl UploadHeader {
    /// The size of the numbers and labels, in bytes; `None` if the product overflows.
    pub fn data_bytes(&self) -> Option<u64> {
        let sizes = self.sizes()?;
        sizes.inputs.checked_add(sizes.truth)
    }

    pub(crate) fn sizes(&self) -> Option<Sizes> {
        let (rows, size) = (self.rows as u64, self.dtype.size() as u64);
        let row = (self.features as u64).checked_mul(size)?;
        let truth = match &self.truth {
            TruthKind::Labels { .. } => 4,
            TruthKind::Targets { columns } => (*columns as u64).checked_mul(size)?,
        };
        Some(Sizes {
            inputs: rows.checked_mul(row)?,
            truth: rows.checked_mul(truth)?,
        })
    }

    /// All violations of the header.
    ///
    /// # Errors
    /// No rows or features, too few or too many classes, constants that do not fit.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::new();
        for (field, count) in [("rows", self.rows), ("features", self.features)] {
            if count == 0 {
                violations.add(field, 0, "at least 1");
            }
        }
        match &self.truth {
            TruthKind::Labels { names } => {
                if !(2..=MOST_CLASSES).contains(&names.len()) {
                    violations.add("classes", names.len(), format!("2 to {MOST_CLASSES}"));
                }
            }
            TruthKind::Targets { columns: 0 } => violations.add("target_columns", 0, "at least 1"),
            TruthKind::Targets { .. } => {}
        }
        if self
            .data_bytes()
            .is_none_or(|bytes| i64::try_from(bytes).is_err())
        {
            let given = format!("{} × {}", self.rows, self.features);
            violations.add("rows", given, "a product that a file can hold");
        }
        if let Some(standardization) = &self.standardization
            && !standardization.fits(self.features, self.truth.target_columns())
        {
            violations.add(
                "standardization",
                "constants that do not fit the columns",
                "a finite mean and a positive deviation for each column",
            );
        }
        violations.into_result(Some(()))
    }
}
