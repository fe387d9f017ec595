//! A dataset that arrives in pieces, written in the canonical form.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Dtype, Scalar};

use crate::canonical;
use crate::digest::{ContentDigest, ContentHasher};
use crate::element::Element;
use crate::error::UploadError;
use crate::header::{Sizes, UploadHeader};
use crate::numbers::BLOCK_BYTES;
use crate::table::check_finite;
use crate::truth::TruthKind;

/// The ending of a file that is not whole yet.
const PARTIAL: &str = "part";
/// The most labels of a piece that are reported as wrong.
const MOST_REPORTED: usize = 20;

/// A dataset that arrives in pieces: inputs and truth each in order, and in any alternation. The file has its name once
/// [`Upload::finish`] has it on disk; an upload that is dropped before leaves nothing behind, and one that is killed a file
/// that [`remove_partial`] removes.
#[derive(Debug)]
pub struct Upload {
    header: UploadHeader,
    sizes: Sizes,
    file: File,
    path: PathBuf,
    partial: PathBuf,
    data_at: u64,
    /// Bytes that have arrived.
    inputs_done: u64,
    truth_done: u64,
    hasher: ContentHasher,
}

impl Upload {
    /// Begins the file that will be `path`, which is replaced when the upload is finished.
    ///
    /// # Errors
    /// A wrong header, or a file that cannot be created.
    pub fn create(path: &Path, header: UploadHeader) -> Result<Self, UploadError> {
        static UPLOADS: AtomicU64 = AtomicU64::new(0);
        header.check().map_err(UploadError::Invalid)?;
        let sizes = header.sizes().expect("checked with the header");
        let number = UPLOADS.fetch_add(1, Ordering::Relaxed);
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".{}-{number}.{PARTIAL}", std::process::id()));
        let partial = PathBuf::from(partial);
        let failed = |error| UploadError::Io {
            path: partial.clone(),
            error,
        };
        let mut options = File::options();
        // It can hold what other accounts may not read.
        options.mode(0o600);
        let file = options.write(true).create_new(true).open(&partial);
        let file = file.map_err(failed)?;
        Ok(Self {
            data_at: canonical::header(&header, sizes, None).len() as u64,
            header,
            sizes,
            file,
            path: path.to_owned(),
            partial,
            inputs_done: 0,
            truth_done: 0,
            hasher: ContentHasher::default(),
        })
    }

    /// Where the file will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was announced.
    pub fn header(&self) -> &UploadHeader {
        &self.header
    }

    /// Appends inputs: little-endian numbers of the header's type, row after row. A piece may end within a row.
    ///
    /// # Errors
    /// Numbers that are not finite, a piece that ends within a number, more numbers than announced; the disk.
    pub fn inputs(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        let mut violations = Violations::new();
        let columns = self.header.features;
        check_length(
            "inputs",
            bytes,
            self.header.dtype.size(),
            self.inputs_done,
            self.sizes.inputs,
            &mut violations,
        );
        self.check_numbers("inputs", self.inputs_done, columns, bytes, &mut violations);
        violations
            .into_result(Some(()))
            .map_err(UploadError::Invalid)?;
        self.write(bytes, self.inputs_done)?;
        self.hasher.inputs.update(bytes);
        self.inputs_done += bytes.len() as u64;
        Ok(())
    }

    /// Appends targets, as [`Upload::inputs`].
    ///
    /// # Errors
    /// As [`Upload::inputs`]; also targets where labels are announced.
    pub fn targets(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut violations = Violations::new();
        let columns = self.header.truth.target_columns();
        if columns == 0 {
            violations.add("targets", "targets", "labels, as announced");
        } else {
            check_length(
                "targets",
                bytes,
                self.header.dtype.size(),
                self.truth_done,
                self.sizes.truth,
                &mut violations,
            );
            self.check_numbers("targets", self.truth_done, columns, bytes, &mut violations);
        }
        violations
            .into_result(Some(()))
            .map_err(UploadError::Invalid)?;
        self.truth(bytes)
    }

    /// Appends labels: a class for each of the next rows.
    ///
    /// # Errors
    /// Labels beyond the classes, more labels than announced, labels where targets are announced; the disk.
    pub fn labels(&mut self, labels: &[u32]) -> Result<(), UploadError> {
        if labels.is_empty() {
            return Ok(());
        }
        let mut violations = Violations::new();
        let bytes: &[u8] = bytemuck::cast_slice(labels);
        let classes = self.header.truth.classes();
        if classes == 0 {
            violations.add("labels", "labels", "targets, as announced");
        } else {
            check_length(
                "labels",
                bytes,
                4,
                self.truth_done,
                self.sizes.truth,
                &mut violations,
            );
            let wrong = labels.iter().enumerate();
            let wrong = wrong.filter(|(_, label)| **label as usize >= classes);
            for (at, label) in wrong.take(MOST_REPORTED) {
                let row = self.truth_done / 4 + at as u64 + 1;
                violations.add(
                    format!("labels, row {row} (from 1)"),
                    label,
                    format!("a class from 0 to {}", classes - 1),
                );
            }
        }
        violations
            .into_result(Some(()))
            .map_err(UploadError::Invalid)?;
        self.truth(bytes)
    }

    fn truth(&mut self, bytes: &[u8]) -> Result<(), UploadError> {
        self.write(bytes, self.sizes.inputs + self.truth_done)?;
        self.hasher.truth.update(bytes);
        self.truth_done += bytes.len() as u64;
        Ok(())
    }

    fn check_numbers(
        &self,
        name: &str,
        done: u64,
        columns: usize,
        bytes: &[u8],
        violations: &mut Violations,
    ) {
        match self.header.dtype {
            Dtype::Float32 => {
                check_numbers::<f32>(Element::F32, name, done, columns, bytes, violations)
            }
            Dtype::Float64 => {
                check_numbers::<f64>(Element::F64, name, done, columns, bytes, violations)
            }
        }
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), UploadError> {
        let written = self.file.write_all_at(bytes, self.data_at + at);
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> UploadError {
        UploadError::Io {
            path: self.path.clone(),
            error,
        }
    }

    /// Syncs the file, gives it its name, and syncs that.
    ///
    /// # Errors
    /// Rows that have not arrived; the disk.
    pub fn finish(self) -> Result<ContentDigest, UploadError> {
        let mut violations = Violations::new();
        let size = self.header.dtype.size() as u64;
        let (name, truth_size) = match &self.header.truth {
            TruthKind::Labels { .. } => ("labels", 4),
            TruthKind::Targets { .. } => ("targets", size),
        };
        let parts = [
            ("inputs", self.inputs_done, self.sizes.inputs, size),
            (name, self.truth_done, self.sizes.truth, truth_size),
        ];
        for (name, done, announced, size) in parts {
            if done != announced {
                let given = format!("{} numbers", done / size);
                violations.add(name, given, format!("{}, as announced", announced / size));
            }
        }
        violations
            .into_result(Some(()))
            .map_err(UploadError::Invalid)?;
        let hashes = self.hasher.finish();
        let header = canonical::header(&self.header, self.sizes, Some(hashes));
        debug_assert_eq!(header.len() as u64, self.data_at);
        self.place(&header).map_err(|error| self.failed(error))?;
        Ok(hashes.digest(
            self.header.rows,
            self.header.features,
            self.header.dtype,
            &self.header.truth,
            self.header.standardization.as_ref(),
        ))
    }

    fn place(&self, header: &[u8]) -> io::Result<()> {
        self.file.write_all_at(header, 0)?;
        self.file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Upload {
    /// Removes what has not got its name.
    fn drop(&mut self) {
        // After `finish` there is no such file.
        let _ = fs::remove_file(&self.partial);
    }
}

/// Removes what uploads have left in `folder` that a crash ended. No upload may be under way in it.
///
/// # Errors
/// The folder cannot be read, or a file not removed.
pub fn remove_partial(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == PARTIAL) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn check_length(
    name: &str,
    bytes: &[u8],
    size: usize,
    done: u64,
    announced: u64,
    violations: &mut Violations,
) {
    if !bytes.len().is_multiple_of(size) {
        let given = format!("a piece of {} bytes", bytes.len());
        violations.add(name, given, format!("whole numbers of {size} bytes"));
    }
    let arrived = done.saturating_add(bytes.len() as u64);
    if arrived > announced {
        let given = format!("{} numbers", arrived / size as u64);
        violations.add(
            name,
            given,
            format!("{}, as announced", announced / size as u64),
        );
    }
}

fn check_numbers<T: Scalar>(
    element: Element,
    name: &str,
    done: u64,
    columns: usize,
    bytes: &[u8],
    violations: &mut Violations,
) {
    let first = usize::try_from(done).unwrap_or(usize::MAX) / size_of::<T>();
    match bytemuck::try_cast_slice::<u8, T>(bytes) {
        Ok(numbers) => check_finite(name, first, columns, numbers, violations),
        // A piece of a message begins at any address.
        Err(_) => {
            let mut numbers: Vec<T> = Vec::new();
            for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
                numbers.clear();
                element.decode(block, false, &mut numbers);
                let first = first + at * (BLOCK_BYTES / size_of::<T>());
                check_finite(name, first, columns, &numbers, violations);
            }
        }
    }
}
