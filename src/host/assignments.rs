//! Loads assignments: the built-in ones and those in a folder.

use std::fs;
use std::iter;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::formula::STACK_BYTES;
use crate::grade::{
    Assignment, AssignmentError, BUILT_IN, FileFault, Grader, GraderError, assignment_of_overrides,
};

/// Most assignment files in a folder.
const MAX_FILES: usize = 200;

/// Why the assignments cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum AssignmentsError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// A file is not an assignment.
    #[error(transparent)]
    Malformed(#[from] AssignmentError),
    /// An assignment's reference formulas are wrong.
    #[error("{file}: {error}")]
    Wrong {
        /// The file's name.
        file: String,
        /// The question, and the mistake in it.
        #[source]
        error: GraderError,
    },
    /// Two files have one id.
    #[error("{file}: another assignment has the id {id:?}")]
    Repeated {
        /// The second file's name.
        file: String,
        /// The id.
        id: String,
    },
    /// An overrides file has faults.
    #[error("{}", listed(path, faults))]
    Overrides {
        /// The file.
        path: PathBuf,
        /// All its faults.
        faults: Vec<FileFault>,
    },
    /// The folder holds too many files.
    #[error("{path} holds more than {MAX_FILES} assignments")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// The ending of an overrides file's name; before it is the assignment's id, as in `demo.overrides.toml`.
const OVERRIDES: &str = "overrides.toml";

/// Whether a file holds rulings on answers and no assignment, by its name.
pub fn is_of_overrides(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name == OVERRIDES || name.ends_with(&format!(".{OVERRIDES}")))
}

/// Each fault on a line, after the file and its line.
fn listed(path: &Path, faults: &[FileFault]) -> String {
    let lines = faults.iter();
    let lines: Vec<String> = lines
        .map(|fault| format!("{}:{}: {}", path.display(), fault.line, fault.reason))
        .collect();
    lines.join("\n")
}

/// Prepares graders for the built-in assignments and the `.toml` files in `folder`, sorted by name. A file
/// with the id of a built-in assignment overrides it. The rulings of `ID.overrides.toml` apply to the assignment of that id.
///
/// # Errors
/// The first file that cannot be read or is invalid, with line and reason.
pub fn load_graders(folder: Option<&Path>, secret: &[u8]) -> Result<Vec<Grader>, AssignmentsError> {
    let mut graders: Vec<(bool, Grader)> = Vec::new();
    let built_in = BUILT_IN
        .iter()
        .map(|(file, text)| Ok(((*file).to_owned(), (*text).to_owned(), true)));
    let own = match folder {
        None => Vec::new(),
        Some(folder) => files(folder)?,
    };
    let (overrides, own): (Vec<_>, Vec<_>) = own
        .into_iter()
        .partition(|(file, ..)| is_of_overrides(Path::new(file)));
    for file in built_in.chain(own.into_iter().map(Ok::<_, AssignmentsError>)) {
        let (file, text, is_built_in) = file?;
        let assignment = Assignment::parse(&text, &file)?;
        let same = graders
            .iter()
            .position(|(_, grader)| grader.assignment().id == assignment.id);
        if let Some(at) = same {
            if !graders[at].0 {
                let id = assignment.id;
                return Err(AssignmentsError::Repeated { file, id });
            }
            graders.remove(at);
        }
        let grader = Grader::prepared_by(assignment, secret, on_all_cores)
            .map_err(|error| AssignmentsError::Wrong { file, error })?;
        graders.push((is_built_in, grader));
    }
    let mut graders: Vec<Grader> = graders.into_iter().map(|(_, grader)| grader).collect();
    for (file, text, _) in overrides {
        overrule(&mut graders, Path::new(&file), &text, None)?;
    }
    Ok(graders)
}

/// Adds the rulings of an overrides file to the grader of its assignment: that which the file names, else that of its
/// name, else `default`. Returns the number of entries without a verdict.
///
/// # Errors
/// All faults of the file.
pub fn overrule(
    graders: &mut [Grader],
    path: &Path,
    text: &str,
    default: Option<&str>,
) -> Result<usize, AssignmentsError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.unwrap_or_default();
    let by_name = name.strip_suffix(&format!(".{OVERRIDES}"));
    let id = assignment_of_overrides(text)
        .or_else(|| by_name.map(str::to_owned))
        .or_else(|| default.map(str::to_owned));
    let fault = |line, reason| AssignmentsError::Overrides {
        path: path.to_owned(),
        faults: vec![FileFault { line, reason }],
    };
    let Some(id) = id else {
        let why = "it names no assignment: add a line assignment = \"ID\" at the top";
        return Err(fault(1, why.to_owned()));
    };
    let known: Vec<String> = graders
        .iter()
        .map(|grader| grader.assignment().id.clone())
        .collect();
    let mut found = graders.iter_mut();
    let Some(grader) = found.find(|grader| grader.assignment().id == id) else {
        let why = format!(
            "there is no assignment {id:?}; the known assignments are {}",
            known.join(", ")
        );
        return Err(fault(1, why));
    };
    let added = grader.overrule(text, name);
    let added = added.map_err(|faults| AssignmentsError::Overrides {
        path: path.to_owned(),
        faults,
    })?;
    Ok(added.undecided)
}

/// Prepares the questions on all cores, to keep startup short.
fn on_all_cores(count: usize, prepare: &(dyn Fn(usize) + Sync)) {
    let next = AtomicUsize::new(0);
    let work = || {
        let places = iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed));
        places.take_while(|&at| at < count).for_each(prepare);
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 1..cores.min(count) {
            // Fewer threads only make it slower.
            let helper = thread::Builder::new().stack_size(STACK_BYTES);
            let _ = helper.spawn_scoped(scope, work);
        }
        work();
    });
}

fn files(folder: &Path) -> Result<Vec<(String, String, bool)>, AssignmentsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| AssignmentsError::Unreadable { path, source }
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            paths.push(path);
        }
    }
    if paths.len() > MAX_FILES {
        return Err(AssignmentsError::TooMany {
            path: folder.to_owned(),
        });
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).map_err(unreadable(&path))?;
        Ok((path.display().to_string(), text, false))
    };
    paths.into_iter().map(read).collect()
}
