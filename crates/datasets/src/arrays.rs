//! An array of a file, with its header read and its numbers not yet.

use std::io::Read;
use std::sync::Arc;

use backpropd_engine::nn::{Dtype, Scalar};

use crate::element::Element;
use crate::error::Fault;
use crate::file::SourceFile;
use crate::labels::LabelReader;
use crate::numbers::{BLOCK_BYTES, Numbers};
use crate::table::{InFile, Table};

/// What a header says of the numbers that follow it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) shape: Vec<usize>,
    pub(crate) element: Element,
    pub(crate) big_endian: bool,
    /// Whether the first axis changes fastest (Fortran order).
    pub(crate) by_column: bool,
}

/// Where the numbers are.
pub(crate) enum Source<'a> {
    /// In a file, from this byte on.
    File(Arc<SourceFile>, u64),
    /// In a stream, from its next byte on.
    Stream(Box<dyn Read + 'a>),
}

/// An array whose header has been read.
pub(crate) struct Array<'a> {
    pub(crate) layout: Layout,
    pub(crate) source: Source<'a>,
}

/// Memory for the numbers of one dataset.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    pub(crate) fn new(most: u64) -> Self {
        Self { most, left: most }
    }

    /// Takes `bytes` if they fit.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Fault> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Fault::TooLarge {
                bytes: bytes.saturating_add(self.most - self.left),
                most: self.most,
            }),
        }
    }
}

impl Layout {
    /// The number of numbers; `usize::MAX` if it is larger.
    pub(crate) fn count(&self) -> usize {
        self.shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size))
            .unwrap_or(usize::MAX)
    }

    /// The size of the numbers in the file.
    fn stored_bytes(&self) -> u64 {
        (self.count() as u64).saturating_mul(self.element.size() as u64)
    }

    /// The size of the numbers as `dtype`.
    fn bytes(&self, dtype: Dtype) -> u64 {
        (self.count() as u64).saturating_mul(dtype.size() as u64)
    }

    /// Rows and columns: the first axis, and the product of the others.
    pub(crate) fn rows_and_columns(&self) -> (usize, usize) {
        let rows = self.shape.first().copied().unwrap_or(1);
        (rows, self.count() / rows.max(1))
    }

    fn is_raw(&self) -> bool {
        !self.by_column && !self.big_endian
    }
}

impl Array<'_> {
    /// The axes as rows and columns; all axes but the first are one, as in pictures. Refuses an array without numbers.
    pub(crate) fn check_shape(&self, name: &str) -> Result<(usize, usize), Fault> {
        let shape = &self.layout.shape[..self.layout.shape.len().min(8)];
        if shape.is_empty() || self.layout.count() == 0 {
            return Err(Fault::one(
                name,
                format!("the shape {shape:?}"),
                "[samples, features], each at least 1",
            ));
        }
        if let Source::File(file, offset) = &self.source {
            let promised = offset.saturating_add(self.layout.stored_bytes());
            if promised > file.size() {
                return Err(Fault::one(
                    name,
                    format!("the shape {shape:?}, which takes {promised} bytes"),
                    format!("the {} bytes of the file; copy it again", file.size()),
                ));
            }
        }
        Ok(self.layout.rows_and_columns())
    }

    /// The numbers as a table of `dtype`: in memory if `budget` allows, else in blocks.
    pub(crate) fn table(
        self,
        name: &str,
        dtype: Option<Dtype>,
        budget: &mut Budget,
    ) -> Result<Table, Fault> {
        let (rows, columns) = self.check_shape(name)?;
        let layout = &self.layout;
        let dtype = dtype.unwrap_or(layout.element.dtype());
        let taken = budget.take(layout.bytes(dtype));
        match self.source {
            Source::File(file, offset) if taken.is_err() && layout.is_raw() => {
                let element = layout.element;
                let file = InFile {
                    file,
                    offset,
                    element,
                };
                Ok(Table::in_file(rows, columns, dtype, file))
            }
            source @ (Source::File(..) | Source::Stream(_)) => {
                taken?;
                let numbers = match dtype {
                    Dtype::Float32 => Numbers::from_vec(load::<f32>(name, layout, source)?),
                    Dtype::Float64 => Numbers::from_vec(load::<f64>(name, layout, source)?),
                };
                Ok(Table::in_memory(columns, numbers))
            }
        }
    }

    /// The numbers as classes from 0.
    pub(crate) fn labels(self, name: &str, budget: &mut Budget) -> Result<LabelReader, Fault> {
        let (rows, columns) = self.check_shape(name)?;
        if columns != 1 {
            return Err(Fault::one(
                name,
                format!("the shape {:?}", self.layout.shape),
                "[samples]: a class for each",
            ));
        }
        budget.take(rows as u64 * 4)?;
        let mut labels = LabelReader::with_capacity(name, rows)?;
        let mut numbers: Vec<f64> = Vec::new();
        let layout = self.layout;
        for_each_piece(name, &layout, self.source, |bytes| {
            numbers.clear();
            layout
                .element
                .decode(bytes, layout.big_endian, &mut numbers);
            labels.extend(&numbers);
        })?;
        Ok(labels)
    }
}

/// All numbers, in C order.
fn load<T: Scalar>(name: &str, layout: &Layout, source: Source<'_>) -> Result<Vec<T>, Fault> {
    let count = layout.count();
    let no_memory = || Fault::no_memory(count.saturating_mul(size_of::<T>()));
    let numbers = match source {
        Source::File(file, offset) if layout.element.is::<T>() && !layout.big_endian => {
            // Pages of zeros, which the system hands out when they are written.
            let mut numbers: Vec<T> = bytemuck::try_zeroed_vec(count).map_err(|()| no_memory())?;
            file.read_exact_at(bytemuck::cast_slice_mut(&mut numbers), offset)?;
            file.check_unchanged()?;
            numbers
        }
        source @ (Source::File(..) | Source::Stream(_)) => {
            let mut numbers: Vec<T> = Vec::new();
            numbers.try_reserve_exact(count).map_err(|_| no_memory())?;
            for_each_piece(name, layout, source, |bytes| {
                layout
                    .element
                    .decode(bytes, layout.big_endian, &mut numbers);
            })?;
            numbers
        }
    };
    if layout.by_column && layout.shape.len() > 1 {
        return by_row(&layout.shape, &numbers);
    }
    Ok(numbers)
}

/// Passes the bytes of all numbers to `each`, in pieces of whole numbers.
pub(crate) fn for_each_piece(
    name: &str,
    layout: &Layout,
    source: Source<'_>,
    mut each: impl FnMut(&[u8]),
) -> Result<(), Fault> {
    let all = layout.stored_bytes();
    let mut bytes = vec![0; usize::try_from(all).unwrap_or(usize::MAX).min(BLOCK_BYTES)];
    let mut done = 0;
    match source {
        Source::File(file, offset) => {
            while done < all {
                let length = piece(all - done);
                file.read_exact_at(&mut bytes[..length], offset + done)?;
                each(&bytes[..length]);
                done += length as u64;
            }
            file.check_unchanged()?;
        }
        Source::Stream(mut stream) => {
            while done < all {
                let length = piece(all - done);
                let read = read_full(&mut stream, &mut bytes[..length])?;
                if read < length {
                    let size = layout.element.size() as u64;
                    return Err(Fault::one(
                        name,
                        format!("{} numbers", (done + read as u64) / size),
                        format!("{}, as its header says; copy the file again", all / size),
                    ));
                }
                each(&bytes[..length]);
                done += length as u64;
            }
        }
    }
    Ok(())
}

fn piece(left: u64) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(BLOCK_BYTES)
}

/// Reads until `bytes` is full or the stream ends.
fn read_full(stream: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match stream.read(&mut bytes[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Numbers in Fortran order, in C order.
pub(crate) fn by_row<T: Scalar>(shape: &[usize], numbers: &[T]) -> Result<Vec<T>, Fault> {
    /// A tile of both orders fits the first cache.
    const TILE: usize = 32;
    let rows = shape.first().copied().unwrap_or(1).max(1);
    let columns = numbers.len() / rows;
    // The place of column (i₁, i₂, …), in C order, among the columns in Fortran order: i₁ + n₁ (i₂ + n₂ …).
    let axes = shape.get(1..).unwrap_or_default();
    let place = |column: usize| {
        let mut rest = column;
        let mut place = 0;
        let mut stride = columns;
        for size in axes.iter().rev() {
            stride /= size;
            place += rest % size * stride;
            rest /= size;
        }
        place
    };
    let places: Vec<usize> = (0..columns).map(place).collect();
    let mut out: Vec<T> = Vec::new();
    out.try_reserve_exact(numbers.len())
        .map_err(|_| Fault::no_memory(size_of_val(numbers)))?;
    out.resize(numbers.len(), T::ZERO);
    for first_row in (0..rows).step_by(TILE) {
        for first_column in (0..columns).step_by(TILE) {
            for row in first_row..rows.min(first_row + TILE) {
                for column in first_column..columns.min(first_column + TILE) {
                    out[row * columns + column] = numbers[places[column] * rows + row];
                }
            }
        }
    }
    Ok(out)
}
