//! Loads assignments: the built-in ones and those in a folder.

use std::fs;
use std::iter;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::formula::STACK_BYTES;
use crate::grade::{Assignment, AssignmentError, BUILT_IN, Grader, GraderError};

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
    /// The folder holds too many files.
    #[error("{path} holds more than {MAX_FILES} assignments")]
    TooMany {
        /// The folder.
        path: PathBuf,
    },
}

/// Prepares graders for the built-in assignments and the `.toml` files in `folder`, sorted by name. A file
/// with the id of a built-in assignment overrides it.
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
    Ok(graders.into_iter().map(|(_, grader)| grader).collect())
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
