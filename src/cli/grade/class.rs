//! Grades a folder of submissions as a class: a score for each, then the count of each mistake of each question.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::source::Source;
use super::{GradedSubmission, Options, grade_file, publish};
use crate::cli::Failure;
use crate::cli::files::Links;
use crate::cli::progress_bar::Bar;
use crate::grade::formats::{Format, printable_name};
use crate::grade::{GradeReport, Verdict};

/// Largest number of files in a folder.
const MOST_FILES: usize = 10_000;

/// Longest name of a report before its extension, in bytes; file systems allow 255 in total.
const LONGEST_NAME: usize = 200;

/// Extensions of submissions of any kind: answers, arrays, papers.
const HAND_INS: [&str; 9] = [
    "json", "toml", "tex", "npz", "npy", "csv", "txt", "pdf", "zip",
];

/// A file of the folder and its result.
struct HandIn {
    /// Name in the table and of the report.
    name: String,
    /// The graded submission, or the reason for 0 points.
    outcome: Result<GradeReport, String>,
}

pub(super) fn grade(
    folder: &Path,
    source: &Source,
    options: &Options,
) -> Result<ExitCode, Failure> {
    let paths = files(folder)?;
    let names = report_names(&paths);
    if let Some(out) = &options.out {
        fs::create_dir_all(out).map_err(|error| {
            Failure::failed(format!("cannot create {}: {error}", out.display()))
        })?;
    }
    let bar = Bar::new(paths.len() as u64, "{bar:30} {pos}/{len} {msg}", "█░");
    let mut class = Vec::with_capacity(paths.len());
    for (path, name) in paths.iter().zip(names) {
        bar.set_texts(String::new(), printable_name(&name));
        let outcome = outcome(path, source, options)?;
        if let (Ok(one), Some(out)) = (&outcome, &options.out) {
            let file = out.join(format!("{name}.{}", extension(options.format)));
            publish(&one.written(options, false), Some(&file))?;
        }
        // The answers are not needed any more, and those of a class need memory.
        let outcome = outcome.map(|one| one.report);
        class.push(HandIn { name, outcome });
        bar.advance(1);
    }
    bar.clear();
    publish(&table(&class), None)?;
    let unread = class.iter().filter(|one| one.outcome.is_err()).count();
    if unread == 0 {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::usage(format!(
            "{unread} of {} files cannot be read",
            class.len()
        )))
    }
}

/// # Errors
/// A failure that concerns every file, such as a server that cannot be reached.
fn outcome(
    path: &Path,
    source: &Source,
    options: &Options,
) -> Result<Result<GradedSubmission, String>, Failure> {
    if has_only_an_ending(path) {
        let why = "its name has nothing before the extension; rename it after the student";
        return Ok(Err(why.to_owned()));
    }
    if !is_of_answers(path) {
        return Ok(Err("it is not a .json, .toml or .tex file".to_owned()));
    }
    match grade_file(path, Links::Refused, source, options) {
        Ok(one) => Ok(Ok(one)),
        Err(failure) if failure.code == Failure::USAGE => Ok(Err(failure.to_string())),
        Err(failure) => Err(failure),
    }
}

fn is_of_answers(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        ["json", "toml", "tex"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known))
    })
}

/// Whether the name of a file is only an extension such as `.json`, as if it was saved without a name.
fn has_only_an_ending(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let ending = name.and_then(|name| name.strip_prefix('.'));
    ending.is_some_and(|ending| {
        HAND_INS
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// The entries of the folder, except folders and hidden files whose names are not those of answers.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_hand_in = is_of_answers(&path) || has_only_an_ending(&path);
        if is_hand_in || !(is_hidden || is_folder) {
            paths.push(path);
        }
        if paths.len() > MOST_FILES {
            return Err(Failure::usage(format!(
                "{} contains more than {MOST_FILES} files; grade it in parts",
                folder.display()
            )));
        }
    }
    if !paths.iter().any(|path| is_of_answers(path)) {
        return Err(Failure::usage(format!(
            "{} contains no .json, .toml or .tex file",
            folder.display()
        )));
    }
    paths.sort();
    Ok(paths)
}

/// A name for the report of each file: `ada` for `ada.json`, or `ada.json` if there is also an `ada.tex`. All names differ, even
/// on a file system that ignores case.
fn report_names(paths: &[PathBuf]) -> Vec<String> {
    let text = |part: Option<&OsStr>| {
        let part = part.map_or_else(String::new, |part| part.to_string_lossy().into_owned());
        let part = part.replace(|c: char| c.is_control(), "\u{fffd}");
        // Leaves room for an extension and a number.
        part[..part.floor_char_boundary(LONGEST_NAME)].to_owned()
    };
    let stems: Vec<String> = paths.iter().map(|path| text(path.file_stem())).collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for stem in &stems {
        *count.entry(stem.to_lowercase()).or_default() += 1;
    }
    let mut taken = BTreeSet::new();
    let mut names = Vec::with_capacity(paths.len());
    for (path, stem) in paths.iter().zip(stems) {
        let wanted = if count[&stem.to_lowercase()] == 1 {
            stem
        } else {
            text(path.file_name())
        };
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let free = iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()));
        names.push(free.unwrap_or(wanted));
    }
    names
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Text | Format::Autolab => "txt",
        Format::Json | Format::Gradescope | Format::PrairieLearn | Format::GitHub => "json",
        Format::Junit => "xml",
    }
}

/// The scores, then the right answers and the mistakes of each question, the most frequent first. A file that cannot be read
/// has a line with 0 points and the reason, and counts in the average.
fn table(class: &[HandIn]) -> String {
    let mut text = String::new();
    let names: Vec<String> = class.iter().map(|one| printable_name(&one.name)).collect();
    let wide = names.iter().map(|name| name.chars().count()).max();
    let wide = wide.unwrap_or(0);
    let graded = || class.iter().filter_map(|one| one.outcome.as_ref().ok());
    let most = graded().map(|one| one.max_score).next();
    let most = most.map_or_else(|| "?".to_owned(), |most| format!("{most:.0}"));
    // Writing to a String cannot fail.
    for (name, one) in names.iter().zip(class) {
        let _ = match &one.outcome {
            Ok(one) => writeln!(
                text,
                "{name:wide$}  {:>6.2} of {:.0}",
                one.score, one.max_score
            ),
            Err(why) => writeln!(
                text,
                "{name:wide$}    0.00 of {most}  {}",
                printable_name(&why.replace('\n', " "))
            ),
        };
    }
    let unread = class.len() - graded().count();
    let mut questions: Vec<(&str, usize, BTreeMap<&str, usize>)> = Vec::new();
    for question in graded().flat_map(|one| &one.questions) {
        let at = questions
            .iter()
            .position(|(id, ..)| *id == question.id)
            .unwrap_or_else(|| {
                questions.push((&question.id, 0, BTreeMap::new()));
                questions.len() - 1
            });
        let (_, right, mistakes) = &mut questions[at];
        if question.verdict == Verdict::Correct {
            *right += 1;
        } else {
            let name = question
                .mistake
                .map_or("unanswered", |mistake| mistake.word());
            *mistakes.entry(name).or_default() += 1;
        }
    }
    let _ = writeln!(text, "\nquestion   right  mistakes");
    for (id, right, mistakes) in &mut questions {
        if unread > 0 {
            mistakes.insert("not read", unread);
        }
        let mut mistakes: Vec<_> = mistakes.iter().collect();
        mistakes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mistakes: Vec<String> = mistakes
            .iter()
            .map(|(name, count)| format!("{name} × {count}"))
            .collect();
        let _ = writeln!(
            text,
            "{id:<8} {right:>4}/{:<3}  {}",
            class.len(),
            mistakes.join(", ")
        );
    }
    let sum: f64 = graded().map(|one| one.score).sum();
    let _ = write!(
        text,
        "\n{} submissions, {:.2} points on average",
        class.len(),
        sum / class.len().max(1) as f64
    );
    let _ = match unread {
        0 => writeln!(text),
        unread => writeln!(text, "; {unread} could not be read and count as 0"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_reports_have_one_name() {
        let names = |files: &[&str]| {
            let paths: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            report_names(&paths)
        };
        assert_eq!(names(&["c/ada.json", "c/alan.tex"]), ["ada", "alan"]);
        assert_eq!(
            names(&["ada.json", "ada.json.toml", "ada.tex"]),
            ["ada.json", "ada.json-2", "ada.tex"]
        );
        assert_eq!(names(&["Ada.json", "ada.json"]), ["Ada.json", "ada.json-2"]);
        let long = "é".repeat(120);
        let [one, other] = &names(&[&format!("{long}1.json"), &format!("{long}2.json")])[..] else {
            panic!("two names");
        };
        assert!(one != other && one.len() < 210 && other.len() < 210);
    }
}
