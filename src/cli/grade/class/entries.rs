//! The hand-ins of a class's folder: a file or a folder each, and how the platform that exported them names the student.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::iter;
use std::path::{Path, PathBuf};

use super::super::hand_in::{self, KINDS, has_only_an_ending, is_of_answers};
use crate::cli::Failure;
use crate::cli::files::{self, Links};

/// Largest number of hand-ins in a folder.
const MOST_FILES: usize = 10_000;

/// Longest name of a report before its extension, in bytes; file systems allow 255 in total.
const LONGEST_NAME: usize = 200;

/// Gradescope's list of the students of an export.
const GRADESCOPE: &str = "submission_metadata.yml";

/// A hand-in before it is read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) is_folder: bool,
    /// Name in the table and of the report.
    pub(super) name: String,
    /// How a roster may name the students: for each, the surest first.
    pub(super) students: Vec<Vec<String>>,
}

/// The hand-ins of a folder in the order of their paths; `except` is no hand-in.
pub(super) fn entries(folder: &Path, except: &[&Path]) -> Result<Vec<Entry>, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let except: Vec<PathBuf> = except
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let is_hand_in = !is_folder && (is_of_answers(&path) || has_only_an_ending(&path));
        let is_other = name == "__MACOSX"
            || name == GRADESCOPE
            || (!except.is_empty() && path.canonicalize().is_ok_and(|path| except.contains(&path)));
        if (is_hand_in || !is_hidden) && !is_other {
            found.push((path, is_folder));
        }
        if found.len() > MOST_FILES {
            return Err(Failure::usage(format!(
                "{} contains more than {MOST_FILES} files; grade it in parts",
                folder.display()
            )));
        }
    }
    if !found
        .iter()
        .any(|(path, is_folder)| *is_folder || is_of_answers(path))
    {
        return Err(Failure::usage(format!(
            "{} contains no {KINDS} file",
            folder.display()
        )));
    }
    found.sort();
    let exported = gradescope(folder);
    let students: Vec<Vec<Vec<String>>> = found
        .iter()
        .map(|(path, is_folder)| students(path, *is_folder, &exported))
        .collect();
    let names = names(&found, &students);
    let all = found.into_iter().zip(students).zip(names);
    Ok(all
        .map(|(((path, is_folder), students), name)| Entry {
            path,
            is_folder,
            name,
            students,
        })
        .collect())
}

/// The file or folder name without its extension.
fn stem(path: &Path, is_folder: bool) -> String {
    let is_plain_folder = is_folder && !is_of_answers(path);
    let part = if is_plain_folder {
        path.file_name()
    } else {
        path.file_stem()
    };
    part.map_or_else(String::new, |part| part.to_string_lossy().into_owned())
}

/// The students of a hand-in, by its name or by the list of the export.
fn students(
    path: &Path,
    is_folder: bool,
    exported: &BTreeMap<String, Vec<Vec<String>>>,
) -> Vec<Vec<String>> {
    let stem = stem(path, is_folder);
    if let Some(students) = exported.get(&stem) {
        return students.clone();
    }
    vec![
        moodle(&stem)
            .or_else(|| canvas(&stem))
            .unwrap_or_else(|| vec![stem]),
    ]
}

/// `Ada Lovelace_4711_assignsubmission_file`, a folder of Moodle's export, or the beginning of a file's name.
fn moodle(stem: &str) -> Option<Vec<String>> {
    let (student, _) = stem.split_once("_assignsubmission_")?;
    let (name, id) = student.rsplit_once('_')?;
    let is_number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| vec![format!("Participant {id}"), name.to_owned(), id.to_owned()])
}

/// `lovelaceada_LATE_4711_815_homework.tex`, a file of Canvas's export: the student's name, the ids of user and attachment.
fn canvas(stem: &str) -> Option<Vec<String>> {
    let (name, rest) = stem.split_once('_')?;
    let rest = rest.strip_prefix("LATE_").unwrap_or(rest);
    let mut parts = rest.splitn(3, '_');
    let (user, attachment, file) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = |id: &str| id.len() >= 3 && id.bytes().all(|byte| byte.is_ascii_digit());
    let is_canvas = is_id(user) && is_id(attachment) && !name.is_empty() && !file.is_empty();
    is_canvas.then(|| vec![user.to_owned(), name.to_owned()])
}

/// The students by the folder of an export of Gradescope. Its list is YAML in one fixed form, of which the lines are read.
fn gradescope(folder: &Path) -> BTreeMap<String, Vec<Vec<String>>> {
    let list = files::read_text(&folder.join(GRADESCOPE), Links::Refused).unwrap_or_default();
    let mut exported: BTreeMap<String, Vec<Vec<String>>> = BTreeMap::new();
    let mut students: Option<&mut Vec<Vec<String>>> = None;
    for line in list.lines() {
        if let Some(folder) = line
            .strip_suffix(':')
            .filter(|name| !name.starts_with([' ', '-', ':']))
        {
            let folder = folder.trim_matches(['"', '\'']).to_owned();
            students = Some(exported.entry(folder).or_default());
            continue;
        }
        let Some(students) = &mut students else {
            continue;
        };
        let line = line.trim_start();
        let item = line.strip_prefix("- ").unwrap_or(line);
        let Some((field @ (":name" | ":sid" | ":email"), value)) = item.split_once(": ") else {
            continue;
        };
        if line != item {
            students.push(Vec::new());
        }
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        if let Some(student) = students.last_mut().filter(|_| !value.is_empty()) {
            // The id first, then the address, then the name.
            let at = if field == ":sid" { 0 } else { student.len() };
            let is_before_name = field == ":email" && at > 0 && !student[at - 1].contains('@');
            student.insert(if is_before_name { at - 1 } else { at }, value);
        }
    }
    exported.retain(|_, students| {
        students.retain(|student| !student.is_empty());
        !students.is_empty()
    });
    exported
}

/// A name for each report: `ada` for `ada.json`, or `ada.json` if there is also an `ada.tex`; the student's id or name where the
/// platform gives one. All names differ, even on a file system that ignores case.
fn names(found: &[(PathBuf, bool)], students: &[Vec<Vec<String>>]) -> Vec<String> {
    let tidy = |text: &str| {
        let text = text.replace(|c: char| c.is_control() || c == '/', "\u{fffd}");
        // Leaves room for an extension and a number.
        text[..text.floor_char_boundary(LONGEST_NAME)].to_owned()
    };
    let wanted: Vec<String> = found
        .iter()
        .zip(students)
        .map(|((path, is_folder), students)| {
            let stem = stem(path, *is_folder);
            let first: Vec<&str> = students
                .iter()
                .filter_map(|student| student.first().map(String::as_str))
                .collect();
            match (moodle(&stem), canvas(&stem)) {
                (Some(keys), _) => tidy(&format!("{} ({})", keys[1], keys[2])),
                (None, Some(keys)) => tidy(&format!("{} ({})", keys[1], keys[0])),
                (None, None) => tidy(&first.join("+")),
            }
        })
        .collect();
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for name in &wanted {
        *count.entry(name.to_lowercase()).or_default() += 1;
    }
    // The page that leads to the others has this name.
    let mut taken = BTreeSet::from(["index".to_owned()]);
    let mut names = Vec::with_capacity(found.len());
    for ((path, is_folder), name) in found.iter().zip(wanted) {
        let file_name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let wanted = match file_name {
            Some(file) if count[&name.to_lowercase()] > 1 && !is_folder => tidy(&file),
            _ => name,
        };
        let numbered = (2..).map(|number| format!("{wanted}-{number}"));
        let free = iter::once(wanted.clone())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()));
        names.push(free.unwrap_or(wanted));
    }
    names
}

/// Reads a hand-in: its answers, and the names of files beside them that are not read.
pub(super) fn read(entry: &Entry) -> Result<hand_in::FolderContent, String> {
    // A folder by the name of a file is not a student's.
    if entry.is_folder && !is_of_answers(&entry.path) {
        return hand_in::read_folder(&entry.path);
    }
    let submission = hand_in::read_of_class(&entry.path)?;
    Ok(hand_in::FolderContent {
        submission,
        beside: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(files: &[&str]) -> Vec<String> {
        let found: Vec<(PathBuf, bool)> = files.iter().map(|file| (file.into(), false)).collect();
        let students: Vec<_> = found
            .iter()
            .map(|(path, _)| students(path, false, &BTreeMap::new()))
            .collect();
        names(&found, &students)
    }

    #[test]
    fn no_two_reports_have_one_name() {
        assert_eq!(named(&["c/ada.json", "c/alan.tex"]), ["ada", "alan"]);
        assert_eq!(
            named(&["ada.json", "ada.json.toml", "ada.tex"]),
            ["ada.json", "ada.json-2", "ada.tex"]
        );
        assert_eq!(named(&["Ada.json", "ada.json"]), ["Ada.json", "ada.json-2"]);
        let long = "é".repeat(120);
        let [one, other] = &named(&[&format!("{long}1.json"), &format!("{long}2.json")])[..] else {
            panic!("two names");
        };
        assert!(one != other && one.len() < 210 && other.len() < 210);
    }

    #[test]
    fn students_are_named_as_their_platform_names_them() {
        assert_eq!(
            named(&[
                "Ada Lovelace_4711_assignsubmission_file_hw.tex",
                "hoppergrace_LATE_1234_98765_hw-1.pdf",
                "turingalan_1235_98766_hw_2_final.tex",
                "hw_1_2_final.tex",
            ]),
            [
                "Ada Lovelace (4711)",
                "hoppergrace (1234)",
                "turingalan (1235)",
                "hw_1_2_final",
            ]
        );
        let keys = moodle("J. R. Smith_12_assignsubmission_file_").expect("Moodle's");
        assert_eq!(keys, ["Participant 12", "J. R. Smith", "12"]);
    }

    #[test]
    fn a_list_of_gradescope_names_the_students_of_its_folders() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["submission_1", "submission_2", "submission_3"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let list = "---\nsubmission_1:\n  :submitters:\n  - :name: Ada Lovelace\n    :sid: '4711'\n    :email: ada@uni.edu\n  \
                    :created_at: 2026-01-01 10:00:00 Z\n  :score: 3.0\nsubmission_2:\n  :submitters:\n  - :name: Alan Turing\n    \
                    :email: alan@uni.edu\n  - :name: Grace Hopper\n    :sid: \"12\"\n";
        fs::write(folder.path().join(GRADESCOPE), list).expect("writable");
        let found = entries(folder.path(), &[]).expect("three folders");
        let names: Vec<&str> = found.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["4711", "alan@uni.edu+12", "submission_3"]);
        assert_eq!(found[0].students, [["4711", "ada@uni.edu", "Ada Lovelace"]]);
        assert_eq!(
            found[1].students,
            [["alan@uni.edu", "Alan Turing"], ["12", "Grace Hopper"]]
        );
    }
}
