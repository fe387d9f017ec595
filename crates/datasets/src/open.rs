//! Opening a file of any format.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backpropd_engine::fault::Violations;
use backpropd_engine::nn::Dtype;
use flate2::read::MultiGzDecoder;

use crate::arrays::{Array, Budget, Source};
use crate::dataset::{Dataset, Draft, Truth};
use crate::error::{Fault, OpenError};
use crate::file::SourceFile;
use crate::inputs::Inputs;
use crate::options::OpenOptions;
use crate::table::Table;
use crate::{canonical, csv, idx, npy, npz};

/// The file of what to predict, beside a file of inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TruthFile {
    /// Classes from 0, one integer for each row.
    Labels(PathBuf),
    /// Numbers, \[rows\] or \[rows, columns\].
    Targets(PathBuf),
}

/// A dataset of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// The file's name without the ending of its format.
    pub name: String,
    /// The file to open.
    pub path: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Canonical,
    Npz,
    Npy,
    Text { is_packed: bool },
    Idx { is_packed: bool },
}

/// Opens a dataset of any format, which the file's name tells.
///
/// # Errors
/// Everything that is wrong with the file, with rows and columns; a file that is too large for the memory that it may take.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset, OpenError> {
    let opened = open_draft(path, options).and_then(Draft::check);
    opened.map_err(|fault| fault.at(path))
}

/// Opens inputs and what to predict from two files, each `.npy` or IDX.
///
/// # Errors
/// As [`open`].
pub fn open_pair(
    inputs: &Path,
    truth: &TruthFile,
    options: &OpenOptions,
) -> Result<Dataset, OpenError> {
    let mut budget = Budget::new(options.max_resident_bytes);
    let table = array_table(inputs, "inputs", options.dtype, &mut budget);
    let table = table.map_err(|fault| fault.at(inputs))?;
    let (truth_path, truth) = match truth {
        TruthFile::Labels(path) => (path, labels(path, &mut budget)),
        TruthFile::Targets(path) => {
            let targets = array_table(path, "targets", Some(table.dtype), &mut budget);
            (path, targets.map(Truth::Targets))
        }
    };
    let truth = truth.map_err(|fault| fault.at(truth_path))?;
    let checked = Draft::new(table, truth).check();
    checked.map_err(|fault| fault.at(inputs))
}

/// Opens the inputs of a file of any format, without what to predict: a text file is read by `options.encoding`, which says
/// which columns are features, and without one all columns are.
///
/// # Errors
/// As [`open`].
pub fn open_inputs(path: &Path, options: &OpenOptions) -> Result<Inputs, OpenError> {
    let mut budget = Budget::new(options.max_resident_bytes);
    let mut read = || {
        let (_, format) = name_and_format(path).ok_or_else(|| unknown_format(path))?;
        let file = Arc::new(SourceFile::open(path)?);
        let (table, dropped) = match format {
            Format::Canonical => (canonical::read_inputs(&file, options, &mut budget)?, 0),
            Format::Npz => (npz::read_inputs(&file, options, &mut budget)?, 0),
            Format::Text { is_packed } => {
                let open = || text(&file, is_packed);
                csv::read_inputs(&open, options, &mut budget)?
            }
            Format::Npy | Format::Idx { .. } => {
                let array = open_array(&file, "inputs", true)?;
                (array.table("inputs", options.dtype, &mut budget)?, 0)
            }
        };
        let mut violations = Violations::new();
        table.scan("inputs", &mut blake3::Hasher::new(), &mut violations)?;
        violations.into_result(Some(()))?;
        Ok(Inputs::new(table, dropped))
    };
    read().map_err(|fault: Fault| fault.at(path))
}

fn text(file: &SourceFile, is_packed: bool) -> Box<dyn Read + '_> {
    if is_packed {
        Box::new(MultiGzDecoder::new(BufReader::new(file.reader())))
    } else {
        Box::new(file.reader())
    }
}

fn unknown_format(path: &Path) -> Fault {
    Fault::one(
        "format",
        format!("the name {:?}", path.file_name().unwrap_or_default()),
        "names that end in .safetensors, .npz, .npy, .csv, .tsv, .csv.gz, .tsv.gz, or -ubyte and -ubyte.gz (IDX)",
    )
}

/// The datasets of a folder, by name. Files of labels or targets beside their inputs, and files of other formats, are not
/// among them.
///
/// # Errors
/// The folder cannot be read.
pub fn find(folder: &Path) -> io::Result<Vec<FoundFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some((name, _)) = name_and_format(&path)
            && !is_truth(&name)
            && path.is_file()
        {
            found.push(FoundFile { name, path });
        }
    }
    found.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
    Ok(found)
}

fn open_draft(path: &Path, options: &OpenOptions) -> Result<Draft, Fault> {
    let Some((_, format)) = name_and_format(path) else {
        return Err(unknown_format(path));
    };
    let is_text = matches!(format, Format::Text { .. });
    if options.label_column.is_some() && !is_text {
        let allowed = "none: it is for .csv and .tsv files";
        return Err(Fault::one("label column", "a column", allowed));
    }
    let mut budget = Budget::new(options.max_resident_bytes);
    let file = Arc::new(SourceFile::open(path)?);
    match format {
        Format::Canonical => canonical::read(&file, options, &mut budget),
        Format::Npz => npz::read(&file, options, &mut budget),
        Format::Text { is_packed } => {
            let open = || text(&file, is_packed);
            let draft = csv::read(&open, options, &mut budget)?;
            file.check_unchanged()?;
            Ok(draft)
        }
        Format::Npy => pair(path, npy_truth(path)?, options, &mut budget),
        Format::Idx { .. } => pair(path, idx_truth(path)?, options, &mut budget),
    }
}

fn pair(
    inputs: &Path,
    truth: TruthFile,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Draft, Fault> {
    let table = array_table(inputs, "inputs", options.dtype, budget)?;
    let truth = match &truth {
        TruthFile::Labels(path) => labels(path, budget)?,
        TruthFile::Targets(path) => {
            Truth::Targets(array_table(path, "targets", Some(table.dtype), budget)?)
        }
    };
    Ok(Draft::new(table, truth))
}

fn array_table(
    path: &Path,
    name: &str,
    dtype: Option<Dtype>,
    budget: &mut Budget,
) -> Result<Table, Fault> {
    let file = Arc::new(SourceFile::open(path)?);
    open_array(&file, name, true)?.table(name, dtype, budget)
}

fn labels(path: &Path, budget: &mut Budget) -> Result<Truth, Fault> {
    let file = Arc::new(SourceFile::open(path)?);
    let array = open_array(&file, "labels", false)?;
    let (labels, names) = array.labels("labels", budget)?.finish(None)?;
    Ok(Truth::Labels { labels, names })
}

fn open_array<'a>(file: &'a Arc<SourceFile>, name: &str, pixels: bool) -> Result<Array<'a>, Fault> {
    match name_and_format(file.path()) {
        Some((_, Format::Idx { is_packed })) => idx::open(file, name, pixels, is_packed),
        Some((_, Format::Npy)) => {
            let mut reader = file.reader();
            let header = npy::Header::read(&mut reader, usize::MAX);
            let header = header.map_err(|why| Fault::one(name, why, "an array of numbers"))?;
            Ok(Array {
                layout: header.into_layout(),
                source: Source::File(Arc::clone(file), reader.at()),
            })
        }
        Some((_, Format::Canonical | Format::Npz | Format::Text { .. })) | None => {
            let given = format!("the name {:?}", file.path().file_name().unwrap_or_default());
            Err(Fault::one(name, given, "an .npy or an IDX file"))
        }
    }
}

/// The file that goes with an `.npy` file of inputs.
fn npy_truth(path: &Path) -> Result<TruthFile, Fault> {
    let labels = path.with_extension("labels.npy");
    let targets = path.with_extension("targets.npy");
    if labels.is_file() {
        return Ok(TruthFile::Labels(labels));
    }
    if targets.is_file() {
        return Ok(TruthFile::Targets(targets));
    }
    Err(Fault::one(
        "labels",
        "no file of labels or targets",
        format!(
            "{:?} or {:?} beside it",
            labels.file_name().unwrap_or_default(),
            targets.file_name().unwrap_or_default()
        ),
    ))
}

/// The file of labels that goes with an IDX file of pictures, compressed or not.
fn idx_truth(path: &Path) -> Result<TruthFile, Fault> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unpacked = name.strip_suffix(".gz").unwrap_or(&name);
    let labels = unpacked
        .replace("images", "labels")
        .replace("idx3", "idx1")
        .replace("idx4", "idx1");
    for name in [labels.clone(), format!("{labels}.gz")] {
        let path = path.with_file_name(&name);
        if path.is_file() && labels != unpacked {
            return Ok(TruthFile::Labels(path));
        }
    }
    Err(Fault::one(
        "labels",
        "no file of labels",
        format!("{labels:?} beside it, also with .gz"),
    ))
}

/// Splits the name of a file into that of the dataset and its format.
fn name_and_format(path: &Path) -> Option<(String, Format)> {
    const ENDINGS: [(&str, Format); 14] = [
        (".safetensors", Format::Canonical),
        (".npz", Format::Npz),
        (".npy", Format::Npy),
        (".csv", Format::Text { is_packed: false }),
        (".tsv", Format::Text { is_packed: false }),
        (".txt", Format::Text { is_packed: false }),
        (".csv.gz", Format::Text { is_packed: true }),
        (".tsv.gz", Format::Text { is_packed: true }),
        ("-images-idx3-ubyte", Format::Idx { is_packed: false }),
        ("-images-idx3-ubyte.gz", Format::Idx { is_packed: true }),
        ("-images.idx3-ubyte", Format::Idx { is_packed: false }),
        ("-images.idx3-ubyte.gz", Format::Idx { is_packed: true }),
        ("-ubyte", Format::Idx { is_packed: false }),
        ("-ubyte.gz", Format::Idx { is_packed: true }),
    ];
    let name = path.file_name()?.to_str()?;
    let lower = name.to_ascii_lowercase();
    let (ending, format) = ENDINGS
        .iter()
        .find(|(ending, _)| lower.ends_with(ending) && lower.len() > ending.len())?;
    Some((name[..name.len() - ending.len()].to_owned(), *format))
}

/// Whether a file, by its name without the ending, belongs to the one of the inputs.
fn is_truth(name: &str) -> bool {
    name.ends_with(".labels")
        || name.ends_with(".targets")
        || name.ends_with("-labels-idx1")
        || name.ends_with("-labels.idx1")
}
