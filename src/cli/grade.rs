//! `backpropd grade`: grade one submission, one answer, or a folder of submissions.

pub(super) mod class;
mod hand_in;
mod source;
mod wire;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use self::source::Source;
use super::files::{self, Links};
use super::{Failure, connection};
use crate::grade::formats::{Format, Style, printable};
use crate::grade::submission::Submission;
use crate::grade::{GradeReport, Grader, Reveal};
use crate::host::assignments::{load_graders, overrule};
use crate::host::secrets::read_secrets;

pub(super) const NAME: &str = "grade";
pub(super) const DEFAULT_ASSIGNMENT: &str = "hw-backprop";
/// The default secret, known to everyone: the networks are reproducible and predictable, and reports are not signed.
const PUBLIC: &str = "public";
/// The format of a class's scores.
const CSV: &str = "csv";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Grade formulas: one file of answers, or a folder of hand-ins")
        .override_usage(
            "backpropd grade [OPTIONS] FILE\n       backpropd grade [OPTIONS] FOLDER [--out DIR]\n       \
             backpropd grade [OPTIONS] --try QUESTION ANSWER\n       backpropd grade --compare OLD.json NEW.json",
        )
        .after_help(
            "FILE contains {\"assignment\": \"hw-backprop\", \"answers\": {\"1.1\": \"\\\\delta h^2_{1,1}\"}}, the same in TOML, \
             LaTeX in which \\begin{answer}{1.1} … \\end{answer} marks each answer, or the PDF of the sheet (`backpropd sheet`), \
             which has its answers inside. In a FOLDER, each file or folder is the hand-in of a student, as Canvas, Moodle and \
             Gradescope export them; symbolic links are not followed, and a hand-in that cannot be read gets 0 points with the \
             reason. The exit code is 0 for any score and 2 if a file cannot be read.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required_unless_present("try")
                .conflicts_with("try")
                .value_parser(value_parser!(PathBuf))
                .help("A .json, .toml, .tex or .pdf file of answers, - for standard input, or a folder, graded as a class"),
        )
        .arg(
            Arg::new("try")
                .long("try")
                .value_names(["QUESTION", "ANSWER"])
                .num_args(2)
                .allow_hyphen_values(true)
                .help("Grade one answer, such as --try 1.1 '\\delta h^2_{1,1}'"),
        )
        .args(assignment_arguments())
        .arg(source::argument())
        .args(connection::credentials())
        .arg(overrides_argument())
        .args(report_arguments())
        .args(class_arguments())
}

/// The rulings of a person.
fn overrides_argument() -> Arg {
    Arg::new("overrides")
        .long("overrides")
        .value_name("FILE.toml")
        .action(ArgAction::Append)
        .value_parser(value_parser!(PathBuf))
        .help("A person's rulings on answers, each applied to every equal answer; may be given several times")
}

/// Adds the rulings of the files that the arguments name.
fn overrule_by_files(matches: &ArgMatches, graders: &mut [Grader]) -> Result<(), Failure> {
    let id = matches.get_one::<String>("assignment");
    let id = id.map_or(DEFAULT_ASSIGNMENT, String::as_str);
    for path in overrides_of(matches) {
        let text = read_text(&path)?;
        let undecided = overrule(graders, &path, &text, Some(id))
            .map_err(|error| Failure::usage(error.to_string()))?;
        if undecided > 0 {
            let entries = if undecided == 1 {
                "entry has"
            } else {
                "entries have"
            };
            note(&format!(
                "{}: {undecided} {entries} no verdict yet, which changes nothing",
                path.display()
            ));
        }
    }
    Ok(())
}

fn overrides_of(matches: &ArgMatches) -> Vec<PathBuf> {
    let paths = matches.get_many::<PathBuf>("overrides");
    paths.into_iter().flatten().cloned().collect()
}

/// What the report shows, and where it goes.
fn report_arguments() -> [Arg; 6] {
    let formats = Format::ALL.map(Format::word).into_iter().chain([CSV]);
    [
        Arg::new("format")
            .long("format")
            .value_name("FORMAT")
            .default_value(Format::Text.word())
            .value_parser(PossibleValuesParser::new(formats))
            .help("Format of the report; csv is for a class"),
        Arg::new("out")
            .long("out")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Write the report to this file instead of the terminal; for a class, the folder for the reports"),
        Arg::new("student")
            .long("student")
            .value_name("NAME")
            .help("Name of the student in the report and its receipt [default: the file's name]"),
        Arg::new("reveal")
            .long("reveal")
            .value_name("HOW_MUCH")
            .default_value("mistake")
            .value_parser(PossibleValuesParser::new(Reveal::ALL.map(Reveal::word)))
            .help("How much to reveal: verdicts only, also mistakes, also hints, also the right formulas"),
        Arg::new("question")
            .long("question")
            .value_name("ID")
            .action(ArgAction::Append)
            .help("Report this question alone; may be given several times. Such a report has no receipt"),
        Arg::new("autograder")
            .long("autograder")
            .action(ArgAction::SetTrue)
            .help(
                "FILE or FOLDER is the hand-in of one student; if it cannot be read, the report says why, and the exit code is 0",
            ),
    ]
}

/// The options of a class.
fn class_arguments() -> [Arg; 6] {
    let path = |name: &'static str, value: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name(value)
            .value_parser(value_parser!(PathBuf))
            .help_heading("A class")
    };
    [
        path("roster", "LIST.csv").help(
            "With --format csv: write the scores into this list of students, as Canvas and Moodle export and import it",
        ),
        Arg::new("column")
            .long("column")
            .value_name("NAME")
            .requires("roster")
            .help_heading("A class")
            .help("The roster's column for the score [default: the assignment's title; Moodle: Grade]"),
        Arg::new("alike")
            .long("alike")
            .action(ArgAction::SetTrue)
            .help_heading("A class")
            .help("Also list the wrong answers that several students gave, and who shares rare ones"),
        path("queue", "FILE.toml").help(
            "Write the answers that no one has judged, most frequent first, as a draft for --overrides; - for the terminal",
        ),
        path("compare", "OLD.json").help(
            "Print what differs from this earlier --format json of the class; exit code 1 if something does",
        ),
        path("metadata", "FILE.json")
            .requires("autograder")
            .help_heading("A class")
            .help("With --autograder: Gradescope's submission_metadata.json, which names the student"),
    ]
}

/// The assignment and the folder of its file.
pub(super) fn assignment_arguments() -> [Arg; 4] {
    [
        Arg::new("assignment")
            .long("assignment")
            .value_name("ID")
            .help("Id of the assignment [default: the one that the file names, else hw-backprop]"),
        assignments_argument(),
        secret_argument(),
        secret_file_argument(),
    ]
}

/// The folder of an instructor's own assignments.
pub(super) fn assignments_argument() -> Arg {
    Arg::new("assignments")
        .long("assignments")
        .value_name("DIR")
        .env("BACKPROPD_ASSIGNMENTS")
        .value_parser(value_parser!(PathBuf))
        .help("A folder of .toml assignments, in addition to the built-in ones")
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
    let options = Options::of(matches)?;
    let file = matches.get_one::<PathBuf>("file");
    if let (Some(old), Some(new)) = (&options.compare, file)
        && !new.is_dir()
    {
        return class::compare_files(old, new);
    }
    let source = Source::of(matches)?;
    let Some(file) = file else {
        return try_answer(matches, &source, &options);
    };
    if options.is_autograder {
        return grade_for_autograder(matches, file, &source, &options);
    }
    if file.is_dir() {
        return class::grade(file, &source, &options);
    }
    let ReportFormat::One(format) = options.format else {
        return Err(Failure::usage(format!(
            "--format csv is the scores of a class, and {} is no folder",
            file.display()
        )));
    };
    if options.queue.is_some() {
        return Err(Failure::usage(format!(
            "--queue is for a class, and {} is no folder",
            file.display()
        )));
    }
    let submission = read_submission(file)?;
    for text in &submission.notes {
        note(text);
    }
    let graded = grade_submission(submission, &stem(file), &source, &options)?;
    let colour = options.out.is_none() && io::stdout().is_terminal();
    publish(
        &graded.written(format, &stem(file), colour),
        options.out.as_deref(),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Grades an answer of the command line.
fn try_answer(
    matches: &ArgMatches,
    source: &Source,
    options: &Options,
) -> Result<ExitCode, Failure> {
    let mut words = matches.get_many::<String>("try").into_iter().flatten();
    let (Some(question), Some(answer)) = (words.next(), words.next()) else {
        return Err(Failure::usage(
            "--try takes a question and an answer".to_owned(),
        ));
    };
    let ReportFormat::One(format) = options.format else {
        return Err(Failure::usage(
            "--format csv is the scores of a class".to_owned(),
        ));
    };
    let submission = Submission {
        answers: BTreeMap::from([(question.clone(), answer.clone())]),
        ..Submission::default()
    };
    let options = Options {
        questions: vec![question.clone()],
        ..options.clone()
    };
    let graded = grade_submission(submission, "", source, &options)?;
    let colour = options.out.is_none() && io::stdout().is_terminal();
    publish(&graded.written(format, "", colour), options.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// Grades the hand-in of one student for a platform, which shows the report: also why there is none.
fn grade_for_autograder(
    matches: &ArgMatches,
    path: &Path,
    source: &Source,
    options: &Options,
) -> Result<ExitCode, Failure> {
    let ReportFormat::One(format) = options.format else {
        return Err(Failure::usage(
            "--format csv is the scores of a class".to_owned(),
        ));
    };
    let student = match matches.get_one::<PathBuf>("metadata") {
        Some(metadata) => gradescope_student(metadata)?,
        None => stem(path),
    };
    let read = if path.is_dir() {
        hand_in::read_folder(path).map(|content| content.submission)
    } else {
        hand_in::read_named(path)
    };
    let graded = match read {
        Err(why) => Err(why),
        Ok(submission) => match grade_submission(submission, &student, source, options) {
            Ok(graded) => Ok(graded.written(format, &student, false)),
            Err(failure) if failure.code == Failure::USAGE => Err(failure.to_string()),
            Err(failure) => return Err(failure),
        },
    };
    let text = graded.unwrap_or_else(|why| {
        let id = options.assignment.as_deref().unwrap_or(DEFAULT_ASSIGNMENT);
        // A path of the platform tells the student nothing.
        let why = why.replace(&format!("{}/", path.display()), "");
        format.refuse(&why, &source.questions(id))
    });
    publish(&text, options.out.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

/// The addresses of a submission's students, or their names.
fn gradescope_student(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    let metadata: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?;
    let users = metadata["users"].as_array().cloned().unwrap_or_default();
    let named = users.iter().filter_map(|user| {
        let fields = ["email", "sid", "name"].iter();
        fields.filter_map(|field| user[field].as_str()).next()
    });
    Ok(named.collect::<Vec<_>>().join(", "))
}

/// The report's format: that of one submission, or the scores of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReportFormat {
    One(Format),
    Csv,
}

/// The options of the command.
#[derive(Clone)]
struct Options {
    assignment: Option<String>,
    format: ReportFormat,
    out: Option<PathBuf>,
    reveal: Reveal,
    student: Option<String>,
    /// The questions to report; all if there is none.
    questions: Vec<String>,
    is_autograder: bool,
    roster: Option<PathBuf>,
    column: Option<String>,
    alike: bool,
    compare: Option<PathBuf>,
    queue: Option<PathBuf>,
    overrides: Vec<PathBuf>,
}

impl Options {
    fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let path = |name: &str| matches.get_one::<PathBuf>(name).cloned();
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let format = match required::<String>(matches, "format")?.as_str() {
            CSV => ReportFormat::Csv,
            word => ReportFormat::One(word.parse().map_err(Failure::usage)?),
        };
        if path("roster").is_some() && format != ReportFormat::Csv {
            let why = "--roster is the list of students that --format csv fills in: give both";
            return Err(Failure::usage(why.to_owned()));
        }
        if path("queue").is_some() && reveal(matches)? < Reveal::Mistake {
            let why = "--queue lists the answers without a known mistake, which --reveal verdict leaves out: drop one";
            return Err(Failure::usage(why.to_owned()));
        }
        let questions = matches.get_many::<String>("question").into_iter().flatten();
        Ok(Self {
            assignment: text("assignment"),
            format,
            out: path("out"),
            reveal: reveal(matches)?,
            student: text("student"),
            questions: questions.cloned().collect(),
            is_autograder: matches.get_flag("autograder"),
            roster: path("roster"),
            column: text("column"),
            alike: matches.get_flag("alike"),
            compare: path("compare"),
            queue: path("queue"),
            overrides: overrides_of(matches),
        })
    }
}

/// A graded submission.
struct GradedSubmission {
    submission: Submission,
    report: GradeReport,
    prompts: BTreeMap<String, String>,
    seconds: f64,
}

impl GradedSubmission {
    fn written(&self, format: Format, student: &str, colour: bool) -> String {
        let style = Style {
            colour,
            answers: Some(&self.submission.answers),
            seconds: self.seconds,
            prompts: Some(&self.prompts),
            student: Some(student).filter(|student| !student.is_empty()),
        };
        format.write(&self.report, &style)
    }
}

/// Grades a submission; `student` is their name unless the options give one.
fn grade_submission(
    submission: Submission,
    student: &str,
    source: &Source,
    options: &Options,
) -> Result<GradedSubmission, Failure> {
    let started = Instant::now();
    let named = options.assignment.as_deref();
    let id = named
        .or(submission.assignment.as_deref())
        .unwrap_or(DEFAULT_ASSIGNMENT);
    let student = options
        .student
        .clone()
        .unwrap_or_else(|| student.to_owned());
    let mut report = source.grade(id, &submission, student, options)?;
    // The student sees the report alone.
    let answered = |id: &str| submission.answers.contains_key(id);
    let mut questions = report.questions.iter_mut();
    if let Some(first) = questions.find(|question| answered(&question.id)) {
        first.advice.extend(submission.notes.iter().cloned());
    }
    Ok(GradedSubmission {
        prompts: source.prompts(id),
        submission,
        report,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// The report on some questions alone, with their points.
fn restrict(report: &mut GradeReport, questions: &[String]) -> Result<(), Failure> {
    for id in questions {
        if !report.questions.iter().any(|question| question.id == *id) {
            let known: Vec<&str> = report.questions.iter().map(|it| it.id.as_str()).collect();
            return Err(Failure::usage(format!(
                "there is no question {id:?} in {}; its questions are {}",
                report.assignment,
                known.join(", ")
            )));
        }
    }
    if !questions.is_empty() {
        report
            .questions
            .retain(|question| questions.contains(&question.id));
        report.unknown_answers.clear();
        report.score = report.questions.iter().map(|it| it.points).sum();
        report.max_score = report.questions.iter().map(|it| it.max_points).sum();
        report.receipt = None;
    }
    Ok(())
}

/// The file's name without its extension.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().filter(|_| path.as_os_str() != "-");
    stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// A remark for the person at the terminal.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "note: {}", printable(text));
}

/// The text of a file.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    files::read_text(path, Links::Followed).map_err(Failure::usage)
}

/// The answers of a file, or of a student's folder.
pub(super) fn read_submission(path: &Path) -> Result<Submission, Failure> {
    if path.is_dir() {
        let content = hand_in::read_folder(path).map_err(Failure::usage)?;
        return Ok(content.submission);
    }
    hand_in::read_named(path).map_err(Failure::usage)
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
