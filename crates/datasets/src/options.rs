//! How a file is read, and which of its arrays are the inputs and the truth.

use backpropd_engine::nn::Dtype;

use crate::arrays::Layout;
use crate::encoding::Encoding;
use crate::error::Fault;

/// Names of inputs in archives, the first that is there.
const INPUT_NAMES: [&str; 8] = [
    "inputs", "x", "X", "x_train", "X_train", "data", "features", "images",
];
/// Names of what to predict, whose type decides between labels and targets.
const TRUTH_NAMES: [&str; 6] = ["y", "Y", "y_train", "Y_train", "target", "classes"];

/// How a file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenOptions {
    /// The column of a text file to predict: its name, or its number from 1. By default the last one.
    pub label_column: Option<String>,
    /// Predict numbers: of the column of a text file, or of the integers of an array called `y`.
    pub regression: bool,
    /// Make a feature of 0 or 1 of each text of a column of texts.
    pub one_hot: bool,
    /// Leave out the rows of a text file in which a value is missing.
    pub drop_missing: bool,
    /// Read the columns of a text file that this names, as it says, in place of what `label_column` and `one_hot` say: as
    /// another file was read before.
    pub encoding: Option<Encoding>,
    /// The type of the numbers. By default that of the file, or the smaller one that represents the integers of a file;
    /// float64 for a text file.
    pub dtype: Option<Dtype>,
    /// The most memory that the numbers may take, in bytes. A larger dataset is read in blocks.
    pub max_resident_bytes: u64,
    /// Believe the hashes in a canonical file, in place of a pass over all numbers: for files that no other program writes.
    pub trust_hashes: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            label_column: None,
            regression: false,
            one_hot: false,
            drop_missing: false,
            encoding: None,
            dtype: None,
            max_resident_bytes: 1 << 30,
            trust_hashes: false,
        }
    }
}

/// What the name of an array says of what to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TruthName {
    Labels,
    Targets,
    Either,
}

impl TruthName {
    /// Whether the array holds classes. Integers do unless a regression is asked for, or there are several for a row.
    pub(crate) fn is_labels(self, layout: &Layout, options: &OpenOptions) -> bool {
        match self {
            Self::Labels => true,
            Self::Targets => false,
            Self::Either => {
                let (_, columns) = layout.rows_and_columns();
                layout.element.is_integer() && columns == 1 && !options.regression
            }
        }
    }
}

/// Which of an archive's arrays are the inputs.
pub(crate) fn choose_inputs(names: &[String]) -> Result<String, Fault> {
    let there = |name: &&&str| names.iter().any(|there| there == *name);
    let inputs = INPUT_NAMES.iter().find(there);
    inputs.map(|name| (*name).to_owned()).ok_or_else(|| {
        let allowed = format!("inputs called {}", INPUT_NAMES.join(", "));
        Fault::one("arrays", list(names), allowed)
    })
}

/// Which of an archive's arrays are the inputs and the truth.
pub(crate) fn choose_names(
    names: &[String],
    options: &OpenOptions,
) -> Result<(String, String, TruthName), Fault> {
    let there = |name: &&&str| names.iter().any(|there| there == *name);
    let inputs = INPUT_NAMES.iter().find(there);
    let either = TRUTH_NAMES.iter().find(there);
    let labels = names.iter().any(|name| name == "labels");
    let targets = names.iter().any(|name| name == "targets");
    let truth = if targets && (options.regression || !labels) {
        Some(("targets", TruthName::Targets))
    } else if labels {
        Some(("labels", TruthName::Labels))
    } else {
        either.map(|name| (*name, TruthName::Either))
    };
    if let (Some(inputs), Some((truth, kind))) = (inputs, truth) {
        return Ok(((*inputs).to_owned(), truth.to_owned(), kind));
    }
    Err(Fault::one(
        "arrays",
        list(names),
        format!(
            "inputs called {}, and what to predict called labels, targets, {}",
            INPUT_NAMES.join(", "),
            TRUTH_NAMES.join(", ")
        ),
    ))
}

/// The first names.
fn list(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(10).map(String::as_str).collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}
