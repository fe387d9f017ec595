//! Reads submitted gradients. A wrong tensor is the student's mistake to grade, not an invalid request, so it is read
//! leniently.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::fault::Violations;
use crate::grade::tensors::MOST_AXES;
use crate::grade::{Closeness, Quantity, SubmittedTensor, TensorReport, Tolerance};
use crate::host::parts::integers::Suspicion;
use crate::rpc::convert::grading::{grid, mistake, verdict};
use crate::rpc::convert::quantity as wire;
use crate::rpc::convert::spec::to_i32;
use crate::rpc::pb;

/// A submitted tensor whose entries are not decoded yet.
pub struct SubmittedParts {
    quantity: Quantity,
    shape: Vec<usize>,
    numbers: Numbers,
}

enum Numbers {
    Values(Vec<f64>),
    Raw32(Bytes),
    Raw64(Bytes),
}

impl SubmittedParts {
    /// The number of entries to decode.
    pub fn entries(&self) -> u64 {
        match &self.numbers {
            Numbers::Values(values) => values.len() as u64,
            Numbers::Raw32(raw) => raw.len() as u64 / 4,
            Numbers::Raw64(raw) => raw.len() as u64 / 8,
        }
    }

    /// Decodes the entries.
    pub fn into_tensor(self) -> SubmittedTensor {
        let values = match self.numbers {
            Numbers::Values(values) => values,
            Numbers::Raw32(raw) => {
                let (entries, _) = raw.as_chunks::<4>();
                let number = |&bytes: &[u8; 4]| f64::from(f32::from_le_bytes(bytes));
                entries.iter().map(number).collect()
            }
            Numbers::Raw64(raw) => {
                let (entries, _) = raw.as_chunks::<8>();
                entries
                    .iter()
                    .map(|&bytes| f64::from_le_bytes(bytes))
                    .collect()
            }
        };
        SubmittedTensor {
            quantity: self.quantity,
            shape: self.shape,
            values,
        }
    }
}

/// Reads the tensors at `submitted[…]`: one for each quantity and layer, at most as many as a network of `most_layers`
/// has. Shapes and entries are graded later.
pub fn read(
    submitted: Vec<pb::NamedTensor>,
    most_layers: usize,
    violations: &mut Violations,
) -> Option<Vec<SubmittedParts>> {
    let most = Quantity::most(most_layers);
    if submitted.is_empty() {
        violations.add("submitted", "no tensor", "at least one");
    }
    if submitted.len() > most {
        let given = format!("{} tensors", submitted.len());
        let allowed = format!("at most {most}: one for each quantity and layer");
        violations.add("submitted", given, allowed);
        return None;
    }
    let before = violations.len();
    let mut first: BTreeMap<Quantity, usize> = BTreeMap::new();
    let mut tensors = Vec::with_capacity(submitted.len());
    for (index, named) in submitted.into_iter().enumerate() {
        let field = |name: &str| format!("submitted[{index}].{name}");
        let quantity = quantity(named.quantity, named.layer, &field, violations);
        if let Some(quantity) = quantity
            && let Some(before) = first.insert(quantity, index)
        {
            first.insert(quantity, before);
            let given = format!("{quantity}, as submitted[{before}] is");
            let allowed = "one tensor for each quantity and layer";
            violations.add(format!("submitted[{index}]"), given, allowed);
        }
        let tensor = named.tensor.unwrap_or_default();
        let shape = shape(&tensor.shape, &field, violations);
        let numbers = numbers(tensor, &field, violations);
        if let (Some(quantity), Some(shape), Some(numbers)) = (quantity, shape, numbers) {
            tensors.push(SubmittedParts {
                quantity,
                shape,
                numbers,
            });
        }
    }
    (violations.len() == before).then_some(tensors)
}

fn shape(
    shape: &[i32],
    field: &impl Fn(&str) -> String,
    violations: &mut Violations,
) -> Option<Vec<usize>> {
    if shape.len() > MOST_AXES {
        let given = format!("{} axes", shape.len());
        let allowed = format!("at most {MOST_AXES}");
        violations.add(field("tensor.shape"), given, allowed);
        return None;
    }
    let sizes: Option<Vec<usize>> = shape
        .iter()
        .map(|&size| usize::try_from(size).ok())
        .collect();
    if sizes.is_none() {
        let given = format!("{shape:?}");
        violations.add(field("tensor.shape"), given, "sizes of at least 0");
    }
    sizes
}

fn quantity(
    quantity: i32,
    layer: i32,
    field: &impl Fn(&str) -> String,
    violations: &mut Violations,
) -> Option<Quantity> {
    let gradient = wire::read(quantity).filter(|&kind| Quantity::of_gradient(kind, 1).is_some());
    let Some(gradient) = gradient else {
        let allowed = "QUANTITY_D_W, QUANTITY_D_B, QUANTITY_D_Z, QUANTITY_D_H, QUANTITY_D_X or QUANTITY_DELTA";
        violations.add(field("quantity"), quantity, allowed);
        return None;
    };
    if !gradient.is_of_layers() {
        return Quantity::of_gradient(gradient, 0);
    }
    match usize::try_from(layer) {
        Ok(layer) if layer > 0 => Quantity::of_gradient(gradient, layer),
        Ok(_) | Err(_) => {
            violations.add(field("layer"), layer, "a layer, counted from 1");
            None
        }
    }
}

fn numbers(
    tensor: pb::Tensor,
    field: &impl Fn(&str) -> String,
    violations: &mut Violations,
) -> Option<Numbers> {
    // Gradients may vanish and are graded as they are; only small integers suggest a mistake in the bytes.
    let suspicion = Suspicion::SmallIntegers;
    if tensor.raw.is_empty() {
        if let Some(mistaken) = suspicion.of_values(&tensor.values) {
            mistaken.note(field("tensor.values"), violations);
            return None;
        }
        return Some(Numbers::Values(tensor.values));
    }
    if !tensor.values.is_empty() {
        violations.add(field("tensor"), "values and raw", "one of the two");
        return None;
    }
    let float32 = tensor.dtype == i32::from(pb::Dtype::Float32);
    let size = if float32 { 4 } else { 8 };
    if !tensor.raw.len().is_multiple_of(size) {
        let allowed = format!("a multiple of the entry's {size} bytes");
        violations.add(
            field("tensor.raw"),
            format!("{} bytes", tensor.raw.len()),
            allowed,
        );
        return None;
    }
    let mistaken = if float32 {
        suspicion.of_raw_32(&tensor.raw)
    } else {
        suspicion.of_raw_64(&tensor.raw)
    };
    if let Some(mistaken) = mistaken {
        mistaken.note(field("tensor.raw"), violations);
        return None;
    }
    Some(if float32 {
        Numbers::Raw32(tensor.raw)
    } else {
        Numbers::Raw64(tensor.raw)
    })
}

/// Reads the tolerance.
pub fn tolerance(
    preset: i32,
    relative: Option<f64>,
    violations: &mut Violations,
) -> Option<Tolerance> {
    let mut tolerance = match pb::TolerancePreset::try_from(preset) {
        Ok(pb::TolerancePreset::Unspecified | pb::TolerancePreset::Exact) => Tolerance::EXACT,
        Ok(pb::TolerancePreset::Float32) => Tolerance::FLOAT32,
        Ok(pb::TolerancePreset::FiniteDifference) => Tolerance::FINITE_DIFFERENCE,
        Err(_) => {
            let allowed = "TOLERANCE_PRESET_EXACT (1), _FLOAT32 (2) or _FINITE_DIFFERENCE (3)";
            violations.add("tolerance", preset, allowed);
            return None;
        }
    };
    if let Some(relative) = relative {
        if !(relative > 0.0 && relative <= 0.5) {
            violations.add("relative_tolerance", relative, "above 0 and at most 0.5");
            return None;
        }
        tolerance.relative = relative;
    }
    Some(tolerance)
}

/// A tensor's report as a message.
pub fn report(report: TensorReport) -> pb::TensorReport {
    let quantity = wire::named(report.quantity.gradient().0);
    pb::TensorReport {
        quantity: quantity.into(),
        layer: report.quantity.layer().map_or(0, to_i32),
        verdict: verdict(report.verdict).into(),
        mistake: report
            .mistake
            .map_or(pb::Mistake::Unspecified, mistake)
            .into(),
        message: report.message,
        largest_absolute_error: report.largest_absolute_error,
        largest_relative_error: report.largest_relative_error,
        worst: report
            .worst
            .into_iter()
            .map(|entry| pb::WrongEntry {
                row: to_i32(entry.row),
                column: to_i32(entry.column),
                given: entry.given,
            })
            .collect(),
        grid: report.grid.map(grid),
        closeness: match report.closeness {
            Closeness::Right => pb::Closeness::Right,
            Closeness::WithinOnePercent => pb::Closeness::WithinOnePercent,
            Closeness::Wrong => pb::Closeness::Wrong,
        }
        .into(),
    }
}
