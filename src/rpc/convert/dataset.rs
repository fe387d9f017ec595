//! Datasets in messages: their names, headers, pieces, rows and descriptions.

use std::num::NonZeroUsize;

use backpropd_datasets::{Moments, Standardization, TruthKind, UploadHeader};

use super::shared_fields::timestamp;
use super::spec::{read_enum, to_i32};
use super::target::read_batch;
use crate::fault::Violations;
use crate::host::datasets::{DatasetState, ListedDataset, Outline};
use crate::host::parts::dataset_rows::{DatasetRows, SamplesParts};
use crate::nn::Dtype;
use crate::rpc::pb;
use crate::training::{DatasetName, Selection};

/// The part of a split that is held out by default.
const DEFAULT_HELD_OUT: f64 = 0.2;

/// The most classes whose names the server makes up: their numbers.
const MOST_NUMBERED: usize = 1 << 16;

/// Reads a dataset's name.
pub fn dataset_name(text: &str, field: &str, violations: &mut Violations) -> Option<DatasetName> {
    let name = DatasetName::parse(text);
    if name.is_none() {
        violations.add(field, format!("{text:?}"), DatasetName::PATTERN);
    }
    name
}

/// Reads the samples of a request: a batch, or rows of a dataset at `dataset`.
pub fn read_samples(
    (inputs, targets, labels): (Option<pb::Tensor>, Option<pb::Tensor>, Vec<i32>),
    dataset: Option<pb::DatasetRows>,
    violations: &mut Violations,
) -> Option<SamplesParts> {
    let Some(rows) = dataset else {
        return read_batch(inputs, targets, labels, violations).map(SamplesParts::Sent);
    };
    let sent = [
        ("inputs", inputs.is_some()),
        ("targets", targets.is_some()),
        ("labels", !labels.is_empty()),
    ];
    for (field, is_sent) in sent {
        if is_sent {
            let given = format!("{field} and dataset");
            violations.add(field, given, "a batch or a dataset, not both");
        }
    }
    read_rows(rows, "dataset", violations).map(SamplesParts::Dataset)
}

/// Reads rows of a dataset at `field`.
pub fn read_rows(
    rows: pb::DatasetRows,
    field: &str,
    violations: &mut Violations,
) -> Option<DatasetRows> {
    let mut faults = Violations::new();
    let name = dataset_name(&rows.dataset, "dataset", &mut faults);
    let selection = match rows.selection {
        None => Selection::All,
        Some(pb::dataset_rows::Selection::Range(range)) => {
            let start = index(range.start, "range.start", &mut faults);
            let end = range
                .end
                .map_or(usize::MAX, |end| index(end, "range.end", &mut faults));
            if start >= end {
                let given = format!("rows {start} to {end}");
                faults.add("range", given, "a start below the end");
            }
            Selection::Range { start, end }
        }
        Some(pb::dataset_rows::Selection::Split(split)) => {
            let held_out = split.held_out_fraction.unwrap_or(DEFAULT_HELD_OUT);
            if !(held_out > 0.0 && held_out < 1.0) {
                let allowed = "more than 0 and less than 1";
                faults.add("split.held_out_fraction", held_out, allowed);
            }
            let part: pb::SplitPart = read_enum(
                split.part,
                "split.part",
                "SPLIT_PART_TRAINING (1) or SPLIT_PART_HELD_OUT (2)",
                &mut faults,
            );
            Selection::Split {
                held_out,
                seed: split.seed,
                is_held_out: part == pb::SplitPart::HeldOut,
            }
        }
    };
    let is_sound = faults.is_empty();
    violations.extend_at(field, faults);
    is_sound.then_some(DatasetRows {
        name: name?,
        selection,
        standardize: rows.standardize,
    })
}

fn index(given: i64, field: &str, violations: &mut Violations) -> usize {
    usize::try_from(given).unwrap_or_else(|_| {
        violations.add(field, given, "0 or more");
        0
    })
}

/// Reads the sizes, the classes and the constants of a header, or records the violations at `header`. What they have to
/// fulfil together is checked where the dataset begins.
pub fn read_header(header: pb::DatasetHeader, violations: &mut Violations) -> Option<UploadHeader> {
    let before = violations.len();
    let mut count = |given: i64, field: &str| match usize::try_from(given) {
        Ok(count) => count,
        Err(_) => {
            violations.add(format!("header.{field}"), given, "0 or more");
            0
        }
    };
    let rows = count(header.rows, "rows");
    let features = count(header.features.into(), "features");
    let columns = count(header.target_columns.into(), "target_columns");
    let classes = count(header.classes.into(), "classes");
    let truth = match NonZeroUsize::new(columns) {
        Some(columns) => {
            if classes > 0 || !header.class_names.is_empty() {
                let allowed = "none with target_columns; classes are for labels";
                violations.add("header.classes", "classes", allowed);
            }
            TruthKind::Targets {
                columns: columns.get(),
            }
        }
        None => {
            let named = header.class_names.len();
            if named > 0 && classes > 0 && named != classes {
                let allowed = format!("{classes}, as `classes` says");
                violations.add("header.class_names", format!("{named} names"), allowed);
            }
            let names = if named > 0 {
                header.class_names
            } else {
                if classes > MOST_NUMBERED {
                    let allowed = format!("at most {MOST_NUMBERED} classes");
                    violations.add("header.classes", classes, allowed);
                }
                let numbers = 0..classes.min(MOST_NUMBERED);
                numbers.map(|class| class.to_string()).collect()
            };
            TruthKind::Labels { names }
        }
    };
    let dtype: pb::Dtype = read_enum(
        header.dtype,
        "header.dtype",
        "DTYPE_FLOAT32 (1) or DTYPE_FLOAT64 (2)",
        violations,
    );
    (violations.len() == before).then(|| UploadHeader {
        rows,
        features,
        dtype: match dtype {
            pb::Dtype::Float32 => Dtype::Float32,
            pb::Dtype::Float64 | pb::Dtype::Unspecified => Dtype::Float64,
        },
        truth,
        standardization: header.standardization.map(read_standardization),
        encoding: None,
        note: None,
    })
}

fn read_standardization(given: pb::Standardization) -> Standardization {
    let has_targets = !given.target_means.is_empty() || !given.target_deviations.is_empty();
    Standardization {
        inputs: Moments {
            means: given.input_means,
            deviations: given.input_deviations,
        },
        targets: has_targets.then_some(Moments {
            means: given.target_means,
            deviations: given.target_deviations,
        }),
    }
}

/// Describes a dataset, with the names of classes and the constants.
pub fn write_dataset(DatasetState { entry, summary }: &DatasetState) -> pb::Dataset {
    let listed = ListedDataset {
        name: entry.name.clone(),
        created: entry.created,
        outline: Some(Outline::from(summary)),
    };
    let header = &summary.header;
    pb::Dataset {
        class_names: match &header.truth {
            TruthKind::Labels { names } => names.clone(),
            TruthKind::Targets { .. } => Vec::new(),
        },
        standardization: header.standardization.as_ref().map(write_standardization),
        ..write_listed(&listed)
    }
}

/// Describes a dataset in a list.
pub fn write_listed(listed: &ListedDataset) -> pb::Dataset {
    let named = pb::Dataset {
        name: listed.name.to_string(),
        create_time: listed.created.map(timestamp),
        ..Default::default()
    };
    let Some(outline) = &listed.outline else {
        return named;
    };
    pb::Dataset {
        rows: i64::try_from(outline.rows).unwrap_or(i64::MAX),
        features: to_i32(outline.features),
        target_columns: to_i32(outline.target_columns),
        classes: to_i32(outline.classes),
        dtype: match outline.dtype {
            Dtype::Float32 => pb::Dtype::Float32,
            Dtype::Float64 => pb::Dtype::Float64,
        }
        .into(),
        digest: outline.digest.clone(),
        bytes: i64::try_from(outline.bytes).unwrap_or(i64::MAX),
        ..named
    }
}

fn write_standardization(constants: &Standardization) -> pb::Standardization {
    let targets = constants.targets.clone();
    let (target_means, target_deviations) = targets
        .map(|targets| (targets.means, targets.deviations))
        .unwrap_or_default();
    pb::Standardization {
        input_means: constants.inputs.means.clone(),
        input_deviations: constants.inputs.deviations.clone(),
        target_means,
        target_deviations,
    }
}
