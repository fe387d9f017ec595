//! A matrix of a dataset: in memory, or in a file that is read in blocks.

use std::sync::Arc;

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Dtype, Scalar};

use crate::element::Element;
use crate::error::{Fault, ReadError};
use crate::file::SourceFile;
use crate::numbers::{BLOCK_BYTES, Numbers};
use crate::standardization::Moments;

/// The most numbers that are reported as not finite.
const MOST_REPORTED: usize = 20;

/// rows × columns numbers, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) dtype: Dtype,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    Memory(Numbers),
    File(InFile),
}

/// Little-endian numbers of a file, row after row.
#[derive(Clone, Debug)]
pub(crate) struct InFile {
    pub(crate) file: Arc<SourceFile>,
    /// Where the first number begins, in bytes.
    pub(crate) offset: u64,
    pub(crate) element: Element,
}

impl Table {
    pub(crate) fn in_memory(columns: usize, numbers: Numbers) -> Self {
        Self {
            rows: numbers.len() / columns.max(1),
            columns,
            dtype: numbers.dtype(),
            store: Store::Memory(numbers),
        }
    }

    pub(crate) fn in_file(rows: usize, columns: usize, dtype: Dtype, file: InFile) -> Self {
        Self {
            rows,
            columns,
            dtype,
            store: Store::File(file),
        }
    }

    /// The memory that the numbers take.
    pub(crate) fn resident_bytes(&self) -> usize {
        match &self.store {
            Store::Memory(numbers) => numbers.len() * self.dtype.size(),
            Store::File(_) => 0,
        }
    }

    /// All numbers, if they are in memory and of type `T`.
    pub(crate) fn whole<T: Scalar>(&self) -> Option<&[T]> {
        match &self.store {
            Store::Memory(numbers) => numbers.slice(),
            Store::File(_) => None,
        }
    }

    /// Appends `rows`, from 0, converted to `T`, and standardized by `moments` in `f64` before that.
    pub(crate) fn copy_rows<T: Scalar>(
        &self,
        rows: &[usize],
        moments: Option<&Moments>,
        out: &mut Vec<T>,
    ) -> Result<(), ReadError> {
        let old = out.len();
        let copied = match self.dtype {
            Dtype::Float32 => self.copy_of::<f32, T>(rows, moments, out),
            Dtype::Float64 => self.copy_of::<f64, T>(rows, moments, out),
        };
        let converts = moments.is_some() || T::DTYPE != self.dtype;
        let checked = match copied {
            Ok(()) if converts && !T::all_finite(&out[old..]) => {
                Err(self.not_finite(rows, &out[old..]))
            }
            copied => copied,
        };
        if checked.is_err() {
            out.truncate(old);
        }
        checked
    }

    /// Announces that `rows`, from 0, will be copied soon.
    pub(crate) fn announce(&self, rows: &[usize]) {
        if let Store::File(file) = &self.store {
            let row_bytes = self.columns * file.element.size();
            for run in runs(rows, self.block_rows(file.element.size())) {
                let place = file.offset + (run.first * row_bytes) as u64;
                file.file.will_need(place, run.rows * row_bytes);
            }
        }
    }

    /// `D` is the type of this table.
    fn copy_of<D: Scalar, T: Scalar>(
        &self,
        rows: &[usize],
        moments: Option<&Moments>,
        out: &mut Vec<T>,
    ) -> Result<(), ReadError> {
        if let Some(row) = rows.iter().copied().find(|row| *row >= self.rows) {
            return Err(ReadError::NoSuchRow {
                row,
                rows: self.rows,
            });
        }
        out.reserve(rows.len() * self.columns);
        match &self.store {
            Store::Memory(numbers) => {
                let numbers: &[D] = numbers.slice().expect("D is the type of the table");
                for row in rows {
                    let row = &numbers[row * self.columns..(row + 1) * self.columns];
                    append(row, self.columns, moments, out);
                }
                Ok(())
            }
            Store::File(file) => {
                let mut bytes = Vec::new();
                let mut converted: Vec<D> = Vec::new();
                for run in runs(rows, self.block_rows(file.element.size())) {
                    let place = run.first * self.columns * file.element.size();
                    let place = file.offset + place as u64;
                    let count = run.rows * self.columns;
                    if file.element.is::<T>() && T::DTYPE == D::DTYPE && moments.is_none() {
                        let old = out.len();
                        out.resize(old + count, T::ZERO);
                        let target = bytemuck::cast_slice_mut(&mut out[old..]);
                        file.file.read_exact_at(target, place)?;
                    } else {
                        bytes.resize(count * file.element.size(), 0);
                        file.file.read_exact_at(&mut bytes, place)?;
                        converted.clear();
                        file.element.decode(&bytes, false, &mut converted);
                        append(&converted, self.columns, moments, out);
                    }
                }
                // After reading: a write before it has changed the file by now.
                file.file.check_unchanged()
            }
        }
    }

    /// How many rows of numbers of `size` bytes make a block.
    fn block_rows(&self, size: usize) -> usize {
        (BLOCK_BYTES / (self.columns * size).max(1)).max(1)
    }

    fn not_finite<T: Scalar>(&self, rows: &[usize], copied: &[T]) -> ReadError {
        let at = copied.iter().position(|number| !number.finite());
        let at = at.unwrap_or_default();
        let (row, column) = (rows[at / self.columns], at % self.columns);
        let mut stored: Vec<f64> = Vec::new();
        let read = match self.dtype {
            Dtype::Float32 => self.copy_of::<f32, f64>(&[row], None, &mut stored),
            Dtype::Float64 => self.copy_of::<f64, f64>(&[row], None, &mut stored),
        };
        match read {
            Ok(()) => ReadError::NotFinite {
                row: row + 1,
                column: column + 1,
                value: stored[column],
            },
            Err(error) => error,
        }
    }

    /// Passes all numbers in order to `each`, in blocks of whole rows, with the first row of each block.
    pub(crate) fn for_each_block<D: Scalar>(
        &self,
        mut each: impl FnMut(usize, &[D]),
    ) -> Result<(), ReadError> {
        let step = self.block_rows(self.dtype.size());
        match &self.store {
            Store::Memory(numbers) => {
                let numbers: &[D] = numbers.slice().expect("D is the type of the table");
                for (at, block) in numbers.chunks(step * self.columns.max(1)).enumerate() {
                    each(at * step, block);
                }
            }
            Store::File(file) => {
                let size = self.columns * file.element.size();
                let mut bytes = vec![0; step.min(self.rows) * size];
                let mut block: Vec<D> = Vec::new();
                for first in (0..self.rows).step_by(step) {
                    let count = step.min(self.rows - first);
                    let bytes = &mut bytes[..count * size];
                    let place = file.offset + (first * size) as u64;
                    file.file.read_exact_at(bytes, place)?;
                    block.clear();
                    file.element.decode(bytes, false, &mut block);
                    each(first, &block);
                }
                file.file.check_unchanged()?;
            }
        }
        Ok(())
    }

    /// Hashes the little-endian bytes of all numbers and records those that are not finite, as `name`.
    pub(crate) fn scan(
        &self,
        name: &str,
        hasher: &mut blake3::Hasher,
        violations: &mut Violations,
    ) -> Result<(), Fault> {
        match self.dtype {
            Dtype::Float32 => self.scan_of::<f32>(name, hasher, violations),
            Dtype::Float64 => self.scan_of::<f64>(name, hasher, violations),
        }
    }

    fn scan_of<D: Scalar>(
        &self,
        name: &str,
        hasher: &mut blake3::Hasher,
        violations: &mut Violations,
    ) -> Result<(), Fault> {
        self.for_each_block::<D>(|first, block| {
            hasher.update(bytemuck::cast_slice(block));
            check_finite(name, first * self.columns, self.columns, block, violations);
        })?;
        Ok(())
    }
}

/// Records the numbers of `block` that are not finite; it begins with the number `first` of its table.
pub(crate) fn check_finite<D: Scalar>(
    name: &str,
    first: usize,
    columns: usize,
    block: &[D],
    violations: &mut Violations,
) {
    if D::all_finite(block) || violations.len() >= MOST_REPORTED {
        return;
    }
    let faults = block.iter().enumerate().filter(|(_, n)| !n.finite());
    for (at, number) in faults.take(MOST_REPORTED) {
        let (row, column) = ((first + at) / columns + 1, (first + at) % columns + 1);
        violations.add(
            format!("{name}, row {row}, column {column} (from 1)"),
            number.to_f64(),
            "a finite number",
        );
    }
}

/// Appends rows of `columns` numbers, converted and standardized.
fn append<D: Scalar, T: Scalar>(
    rows: &[D],
    columns: usize,
    moments: Option<&Moments>,
    out: &mut Vec<T>,
) {
    match moments {
        None => match bytemuck::try_cast_slice::<D, T>(rows) {
            Ok(rows) if D::DTYPE == T::DTYPE => out.extend_from_slice(rows),
            Ok(_) | Err(_) => out.extend(rows.iter().map(|number| T::from_f64(number.to_f64()))),
        },
        Some(moments) => {
            for row in rows.chunks_exact(columns.max(1)) {
                let scales = moments.means.iter().zip(&moments.deviations);
                let standardized = row
                    .iter()
                    .zip(scales)
                    .map(|(number, (mean, deviation))| (number.to_f64() - mean) / deviation);
                out.extend(standardized.map(T::from_f64));
            }
        }
    }
}

/// Consecutive rows, read at once.
struct Run {
    first: usize,
    rows: usize,
}

/// `rows` as runs of at most `most`.
fn runs(rows: &[usize], most: usize) -> impl Iterator<Item = Run> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let follow = rest.iter().enumerate().take(most);
        let count = follow.take_while(|(at, row)| **row == first + at).count();
        rest = &rest[count..];
        Some(Run { first, rows: count })
    })
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { error, .. } => Self::Io(error),
            other @ (ReadError::Changed { .. }
            | ReadError::NoSuchRow { .. }
            | ReadError::NotFinite { .. }) => Self::Io(std::io::Error::other(other.to_string())),
        }
    }
}
