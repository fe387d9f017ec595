//! `.npz`: a zip archive of `.npy` files.

use std::io::BufReader;
use std::sync::Arc;

use zip::ZipArchive;

use crate::arrays::{Array, Budget, Source};
use crate::dataset::{Draft, Truth};
use crate::error::Fault;
use crate::file::{Reader, SourceFile};
use crate::npy;
use crate::options::{OpenOptions, choose_inputs, choose_names};
use crate::table::Table;

/// The most arrays of an archive.
const MOST_ARRAYS: usize = 1000;

pub(crate) fn read(
    file: &Arc<SourceFile>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Draft, Fault> {
    let (mut archive, names) = open(file)?;
    let (inputs, truth, truth_name) = choose_names(&names, options)?;
    let table = with_array(&mut archive, &inputs, |array| {
        array.table(&inputs, options.dtype, budget)
    })?;
    let dtype = Some(table.dtype);
    let truth = with_array(&mut archive, &truth, |array| {
        if truth_name.is_labels(&array.layout, options) {
            let (labels, names) = array.labels(&truth, budget)?.finish(None)?;
            Ok(Truth::Labels { labels, names })
        } else {
            Ok(Truth::Targets(array.table(&truth, dtype, budget)?))
        }
    })?;
    file.check_unchanged()?;
    Ok(Draft::new(table, truth))
}

/// The inputs alone.
pub(crate) fn read_inputs(
    file: &Arc<SourceFile>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Table, Fault> {
    let (mut archive, names) = open(file)?;
    let inputs = choose_inputs(&names)?;
    with_array(&mut archive, &inputs, |array| {
        array.table(&inputs, options.dtype, budget)
    })
}

type Archive<'a> = ZipArchive<BufReader<Reader<'a>>>;

/// The archive, and the names of its arrays.
fn open(file: &SourceFile) -> Result<(Archive<'_>, Vec<String>), Fault> {
    let archive = ZipArchive::new(BufReader::new(file.reader())).map_err(no_archive)?;
    if archive.len() > MOST_ARRAYS {
        let given = format!("{} arrays", archive.len());
        let allowed = format!("at most {MOST_ARRAYS}");
        return Err(Fault::one("archive", given, allowed));
    }
    let mut names = Vec::new();
    for name in archive.file_names() {
        let name = name.map_err(no_archive)?;
        names.extend(name.strip_suffix(".npy").map(str::to_owned));
    }
    Ok((archive, names))
}

fn with_array<V>(
    archive: &mut Archive<'_>,
    name: &str,
    read: impl FnOnce(Array<'_>) -> Result<V, Fault>,
) -> Result<V, Fault> {
    let mut file = archive
        .by_name(&format!("{name}.npy"))
        .map_err(no_archive)?;
    let header = npy::Header::read(&mut file, usize::MAX);
    let header = header.map_err(|why| Fault::one(name, why, "an array of numbers"))?;
    read(Array {
        layout: header.into_layout(),
        source: Source::Stream(Box::new(file)),
    })
}

fn no_archive(error: zip::result::ZipError) -> Fault {
    Fault::one("archive", error, "an .npz file, as numpy.savez writes it")
}
