//! Reads the answers of a file of any kind, and says what to hand in instead of one that has none.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::super::files::{self, Links, PDF_BYTES, TEXT_BYTES};
use super::super::pdf;
use crate::grade::formats::printable_name;
use crate::grade::submission::Submission;

/// The files that hold answers, as messages name them.
pub(super) const KINDS: &str = ".tex, .pdf, .json or .toml";

/// Their extensions.
const EXTENSIONS: [&str; 5] = ["json", "toml", "tex", "latex", "pdf"];

/// Deepest folder below a student's own, and the most files in all of them.
const DEEPEST: usize = 5;
const MOST_FILES: usize = 200;
/// The most files of answers that are read to find the one that counts.
const MOST_CANDIDATES: usize = 20;

/// Kinds of files that hold no answers: their extensions, and what to do.
const REFUSED: [(&[&str], &str); 8] = [
    (
        &["md", "markdown", "rst"],
        "Markdown is not read: put each formula into the sheet",
    ),
    (
        &["ipynb"],
        "a notebook is not read: put each formula into the sheet; gradients of code are graded by `backpropd grade-gradients`",
    ),
    (
        &["doc", "docx", "odt", "pages", "rtf"],
        "a word processor's document is not read: put each formula into the sheet",
    ),
    (
        &["zip", "gz", "tgz", "tar", "7z", "rar", "xz"],
        "an archive is not read: unpack it",
    ),
    (
        &["png", "jpg", "jpeg", "heic", "gif", "webp", "svg"],
        "a picture is not read: type each formula into the sheet",
    ),
    (
        &["py", "m", "jl", "r", "nb", "cpp", "java"],
        "code is not run: put each formula into the sheet; gradients of code are graded by `backpropd grade-gradients`",
    ),
    (
        &["npz", "npy", "csv"],
        "numbers are graded by `backpropd grade-gradients`, not here: put each formula into the sheet",
    ),
    (
        &["html", "htm", "xlsx", "xls", "pptx", "ppt"],
        "it is not read: put each formula into the sheet",
    ),
];

/// The answers of the file that the user names; `-` is standard input.
pub(in crate::cli) fn read_named(path: &Path) -> Result<Submission, String> {
    if path.as_os_str() != "-" {
        return read(path, Links::Followed);
    }
    let mut bytes = Vec::new();
    let mut input = io::stdin().take(PDF_BYTES + 1);
    input
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read standard input: {error}"))?;
    if bytes.len() as u64 > PDF_BYTES {
        return Err(format!("standard input has more than {PDF_BYTES} bytes"));
    }
    parse(bytes, None).map_err(|why| format!("standard input: {why}"))
}

/// The answers of a file.
pub(super) fn read(path: &Path, links: Links) -> Result<Submission, String> {
    let name = || printable_name(&path.display().to_string());
    let extension = path.extension().and_then(|extension| extension.to_str());
    let is_text = extension.is_some_and(|extension| is_one_of(&EXTENSIONS[..4], extension));
    if let Some(why) = extension.and_then(refusal) {
        // A link or a pipe by such a name is refused as what it is.
        files::check(path, links)?;
        return Err(format!("{}: {why}", name()));
    }
    let most = if is_text { TEXT_BYTES } else { PDF_BYTES };
    let bytes = files::read(path, most, links)?;
    parse(bytes, extension).map_err(|why| format!("{}: {why}", name()))
}

fn parse(bytes: Vec<u8>, extension: Option<&str>) -> Result<Submission, String> {
    if bytes.starts_with(b"%PDF-") || extension.is_some_and(|it| it.eq_ignore_ascii_case("pdf")) {
        let answers = pdf::answers(&bytes)?;
        return Submission::from_tex(&answers)
            .map_err(|error| format!("the answers inside: {error}"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("byte {at} is not UTF-8; save it as UTF-8")
    })?;
    Submission::parse(&text, extension).map_err(|error| error.to_string())
}

/// Why files of this extension are not read, and what to hand in.
fn refusal(extension: &str) -> Option<String> {
    let known = REFUSED
        .iter()
        .find(|(extensions, _)| is_one_of(extensions, extension));
    known.map(|(_, why)| format!("{why}, and hand in a {KINDS} file"))
}

fn is_one_of(known: &[&str], extension: &str) -> bool {
    known
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// Whether a file holds answers, by its name.
pub(super) fn is_of_answers(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| is_one_of(&EXTENSIONS, extension))
}

/// Whether the name of a file is only an extension such as `.json`, as if it was saved without a name.
pub(super) fn has_only_an_ending(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let ending = name.and_then(|name| name.strip_prefix('.'));
    ending.is_some_and(|ending| {
        let mut refused = REFUSED.iter().flat_map(|(extensions, _)| *extensions);
        is_one_of(&EXTENSIONS, ending)
            || ending.eq_ignore_ascii_case("txt")
            || refused.any(|known| ending.eq_ignore_ascii_case(known))
    })
}

/// The answers of a file in a class, which has to say by its name that it holds some.
pub(super) fn read_of_class(path: &Path) -> Result<Submission, String> {
    if has_only_an_ending(path) {
        return Err(
            "its name has nothing before the extension; rename it after the student".to_owned(),
        );
    }
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !is_of_answers(path) && extension.and_then(refusal).is_none() {
        return Err(format!("it is not a {KINDS} file"));
    }
    read(path, Links::Refused)
}

/// The hand-in of one student: the answers, and the names of the files beside them that were not read.
pub(super) struct FolderContent {
    pub(super) submission: Submission,
    pub(super) beside: Vec<String>,
}

/// The answers in a student's folder: those of its only file of answers, or of several that say the same.
pub(super) fn read_folder(folder: &Path) -> Result<FolderContent, String> {
    let mut paths = Vec::new();
    files_below(folder, DEEPEST, &mut paths)?;
    paths.sort();
    let shown = |path: &Path| {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        printable_name(&inside.display().to_string())
    };
    let (candidates, others): (Vec<_>, Vec<_>) = paths
        .iter()
        .partition(|path| is_of_answers(path) && !has_only_an_ending(path));
    if candidates.len() > MOST_CANDIDATES {
        return Err(format!(
            "it holds {} files of answers; a hand-in is one. If these are several students, grade the folder above them",
            candidates.len()
        ));
    }
    let mut read: Vec<(String, Submission)> = Vec::new();
    let mut faults = Vec::new();
    for path in candidates {
        match self::read(path, Links::Refused) {
            Ok(submission) => read.push((shown(path), submission)),
            Err(why) => faults.push((shown(path), why)),
        }
    }
    // A PDF and the LaTeX that it was made from differ in blanks at most.
    let plain = |submission: &Submission| -> Vec<(String, String)> {
        let answers = submission.answers.iter();
        let words = |answer: &str| answer.split_whitespace().collect::<Vec<_>>().join(" ");
        answers
            .map(|(id, answer)| (id.clone(), words(answer)))
            .collect()
    };
    let mut read = read.into_iter();
    let Some((first, submission)) = read.next() else {
        return Err(nothing_read(&faults, &others, shown));
    };
    if let Some((other, _)) = read.find(|(_, other)| plain(other) != plain(&submission)) {
        return Err(format!(
            "{first} and {other} hold different answers; hand in one of them"
        ));
    }
    let beside = others
        .into_iter()
        .map(|path| shown(path))
        .chain(faults.into_iter().map(|(name, _)| name))
        .collect();
    Ok(FolderContent { submission, beside })
}

/// Why no file of a folder was read.
fn nothing_read(
    faults: &[(String, String)],
    others: &[&PathBuf],
    shown: impl Fn(&Path) -> String,
) -> String {
    if let [(_, why)] = faults {
        return why.clone();
    }
    let mut reasons: Vec<String> = faults.iter().map(|(_, why)| why.clone()).collect();
    for path in others.iter().take(MOST_CANDIDATES) {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let why = extension.and_then(refusal);
        let why = why.unwrap_or_else(|| format!("it is not a {KINDS} file"));
        reasons.push(format!("{}: {why}", shown(path)));
    }
    if reasons.is_empty() {
        return format!("the folder has no file in it; hand in a {KINDS} file");
    }
    reasons.join("; ")
}

/// Every file below a folder, except hidden ones and those that an archive of macOS adds.
fn files_below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error: io::Error| {
        let name = printable_name(&folder.display().to_string());
        format!("cannot read {name}: {error}")
    };
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name();
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if name == "__MACOSX" || (is_hidden && !is_of_answers(&entry.path())) {
            continue;
        }
        // A link to a folder is no folder here, and is refused as a file.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth == 0 {
                return Err("its folders are nested too deeply; hand in one file".to_owned());
            }
            files_below(&entry.path(), depth - 1, found)?;
        } else {
            found.push(entry.path());
        }
        if found.len() > MOST_FILES {
            return Err(format!(
                "it holds more than {MOST_FILES} files; hand in one"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ANSWER: &str = r"\begin{answer}{1.1} \delta h^2_{1,1} \end{answer}";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("writable");
        }
        folder
    }

    #[test]
    fn the_answers_of_a_folder_are_those_of_its_one_file() {
        let json = r#"{"answers": {"1.1": "\\delta   h^2_{1,1}"}}"#;
        let inside = folder(&[
            ("deep/er/hw.tex", ANSWER),
            ("same.json", json),
            ("notes.md", "# x"),
            ("__MACOSX/._hw.tex", "x"),
            (".git/config", "x"),
        ]);
        let read = read_folder(inside.path()).expect("one hand-in");
        assert_eq!(read.submission.answers.len(), 1);
        assert_eq!(read.beside, ["notes.md"]);

        let two = folder(&[
            ("a.tex", ANSWER),
            ("b.json", r#"{"answers": {"1.1": "0"}}"#),
        ]);
        let why = read_folder(two.path()).err().expect("two hand-ins");
        assert!(
            why.contains("a.tex and b.json hold different answers"),
            "{why}"
        );

        let none = folder(&[("a.docx", "PK"), ("b.xyz", "")]);
        let why = read_folder(none.path()).err().expect("no hand-in");
        assert!(
            why.contains("a.docx: a word processor's document is not read"),
            "{why}"
        );
        assert!(
            why.contains("b.xyz: it is not a .tex, .pdf, .json or .toml file"),
            "{why}"
        );

        let empty = folder(&[]);
        let why = read_folder(empty.path()).err().expect("no hand-in");
        assert!(why.contains("no file in it"), "{why}");
    }
}
