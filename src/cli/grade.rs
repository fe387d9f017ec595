//! `backpropd grade`: grade one submission or a folder of submissions.

mod class;
mod source;
mod wire;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};

use self::source::Source;
use super::Failure;
use super::files::{self, Links};
use crate::grade::formats::{Format, Style};
use crate::grade::submission::Submission;
use crate::grade::{GradeReport, Grader, Reveal};
use crate::host::assignments::load_graders;
use crate::host::secrets::read_secrets;

pub(super) const NAME: &str = "grade";
pub(super) const DEFAULT_ASSIGNMENT: &str = "hw-backprop";
/// The default secret, known to everyone: the networks are reproducible and predictable, and reports are not signed.
const PUBLIC: &str = "public";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Grade formulas: one file of answers, or a folder of files")
        .after_help(
            "FILE contains {\"assignment\": \"hw-backprop\", \"answers\": {\"1.1\": \"\\\\delta h^2_{1,1}\"}}, the same in TOML, or \
             LaTeX in which \\begin{answer}{1.1} … \\end{answer} marks each answer. The exit code is 0 for any score and \
             2 if a file cannot be read. In a folder, symbolic links are not followed, and a file that cannot be read gets \
             0 points with the reason.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("A .json, .toml or .tex file of answers, or a folder of such files, graded as a class"),
        )
        .args(assignment_arguments())
        .arg(source::argument())
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .default_value(Format::Text.word())
                .value_parser(PossibleValuesParser::new(Format::ALL.map(Format::word)))
                .help("Format of the report"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the report to this file instead of the terminal; for a class, the folder for the reports"),
        )
        .arg(
            Arg::new("student")
                .long("student")
                .value_name("NAME")
                .help("Name of the student in the report and its receipt [default: the file's name]"),
        )
        .arg(
            Arg::new("reveal")
                .long("reveal")
                .value_name("HOW_MUCH")
                .default_value("mistake")
                .value_parser(PossibleValuesParser::new(Reveal::ALL.map(Reveal::word)))
                .help("How much to reveal: verdicts only, also mistakes, also hints, also the right formulas"),
        )
}

/// The assignment and the folder of its file.
pub(super) fn assignment_arguments() -> [Arg; 4] {
    [
        Arg::new("assignment")
            .long("assignment")
            .value_name("ID")
            .help("Id of the assignment [default: the one that the file names, else hw-backprop]"),
        Arg::new("assignments")
            .long("assignments")
            .value_name("DIR")
            .env("BACKPROPD_ASSIGNMENTS")
            .value_parser(value_parser!(PathBuf))
            .help("A folder of .toml assignments, in addition to the built-in ones"),
        secret_argument(),
        secret_file_argument(),
    ]
}

/// The secret that seeds the networks and signs receipts.
pub(super) fn secret_argument() -> Arg {
    Arg::new("secret")
        .long("secret")
        .value_name("TEXT")
        .env("BACKPROPD_GRADING_SECRET")
        .hide_env_values(true)
        .default_value(PUBLIC)
        .hide_default_value(true)
        .help("Secret that seeds the networks that answers are tested on, and signs receipts")
}

/// The secrets, from a file.
pub(super) fn secret_file_argument() -> Arg {
    Arg::new("secret-file")
        .long("secret-file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(
            "File of secrets, one per line, in place of --secret: the first seeds and signs, each verifies; mode 600",
        )
}

/// The secrets of the arguments; the first seeds and signs.
pub(super) fn secrets(matches: &ArgMatches) -> Result<Vec<Vec<u8>>, Failure> {
    let Some(path) = matches.get_one::<PathBuf>("secret-file") else {
        let secret = required::<String>(matches, "secret")?;
        return Ok(vec![secret.as_bytes().to_vec()]);
    };
    let secrets = read_secrets(path)
        .map_err(|error| Failure::usage(format!("cannot load the secrets: {error}")))?;
    if let Some(warning) = secrets.warning {
        let _ = writeln!(io::stderr(), "warning: {warning}");
    }
    Ok(secrets.all)
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let source = Source::of(matches)?;
    let file = required::<PathBuf>(matches, "file")?;
    let options = Options {
        assignment: matches.get_one::<String>("assignment").cloned(),
        format: required::<String>(matches, "format")?
            .parse()
            .map_err(Failure::usage)?,
        out: matches.get_one::<PathBuf>("out").cloned(),
        reveal: reveal(matches)?,
        student: matches.get_one::<String>("student").cloned(),
    };
    if file.is_dir() {
        return class::grade(file, &source, &options);
    }
    let graded = grade_file(file, Links::Followed, &source, &options)?;
    let text = graded.written(
        &options,
        options.out.is_none() && io::stdout().is_terminal(),
    );
    publish(&text, options.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// The options of the command.
struct Options {
    assignment: Option<String>,
    format: Format,
    out: Option<PathBuf>,
    reveal: Reveal,
    student: Option<String>,
}

/// A graded submission.
struct GradedSubmission {
    submission: Submission,
    report: GradeReport,
    seconds: f64,
}

impl GradedSubmission {
    fn written(&self, options: &Options, colour: bool) -> String {
        let style = Style {
            colour,
            answers: Some(&self.submission.answers),
            seconds: self.seconds,
        };
        options.format.write(&self.report, &style)
    }
}

fn grade_file(
    path: &Path,
    links: Links,
    source: &Source,
    options: &Options,
) -> Result<GradedSubmission, Failure> {
    let started = Instant::now();
    let submission = read_hand_in(path, links)?;
    let named = options.assignment.as_deref();
    let id = named
        .or(submission.assignment.as_deref())
        .unwrap_or(DEFAULT_ASSIGNMENT);
    let stem = || {
        path.file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    let student = options.student.clone().or_else(stem);
    let report = source.grade(id, &submission, student.unwrap_or_default(), options.reveal)?;
    Ok(GradedSubmission {
        submission,
        report,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The text of a file.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    files::read_text(path, Links::Followed).map_err(Failure::usage)
}

/// The answers of a file.
pub(super) fn read_submission(path: &Path) -> Result<Submission, Failure> {
    read_hand_in(path, Links::Followed)
}

fn read_hand_in(path: &Path, links: Links) -> Result<Submission, Failure> {
    let text = files::read_text(path, links).map_err(Failure::usage)?;
    let extension = path.extension().and_then(|extension| extension.to_str());
    Submission::parse(&text, extension)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// The assignments that the arguments name.
pub(super) fn graders(matches: &ArgMatches) -> Result<Vec<Grader>, Failure> {
    graders_seeded(matches, &secrets(matches)?)
}

/// The assignments that the arguments name, seeded by the first of these secrets.
fn graders_seeded(matches: &ArgMatches, secrets: &[Vec<u8>]) -> Result<Vec<Grader>, Failure> {
    let folder = matches
        .get_one::<PathBuf>("assignments")
        .map(PathBuf::as_path);
    let first = secrets.first().map_or(&[][..], Vec::as_slice);
    load_graders(folder, first).map_err(|error| Failure::usage(error.to_string()))
}

/// The grader of the assignment called `id`.
pub(super) fn choose<'g>(graders: &'g [Grader], id: &str) -> Result<&'g Grader, Failure> {
    let found = graders.iter().find(|grader| grader.assignment().id == id);
    found.ok_or_else(|| {
        let known: Vec<&str> = graders
            .iter()
            .map(|grader| grader.assignment().id.as_str())
            .collect();
        Failure::usage(format!(
            "there is no assignment {id:?}; the known assignments are {}",
            known.join(", ")
        ))
    })
}

fn reveal(matches: &ArgMatches) -> Result<Reveal, Failure> {
    let word = required::<String>(matches, "reveal")?;
    Reveal::from_word(word)
        .ok_or_else(|| Failure::usage(format!("{word:?} is not a value of --reveal")))
}

/// An argument that clap guarantees.
pub(super) fn required<'m, V: Clone + Send + Sync + 'static>(
    matches: &'m ArgMatches,
    name: &str,
) -> Result<&'m V, Failure> {
    matches
        .get_one::<V>(name)
        .ok_or_else(|| Failure::usage(format!("{name} is missing")))
}

/// Writes to the file, or to the terminal.
pub(super) fn publish(text: &str, out: Option<&Path>) -> Result<(), Failure> {
    match out {
        Some(path) => fs::write(path, text)
            .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display()))),
        None => io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| Failure::failed(format!("cannot write the report: {error}"))),
    }
}
