//! `backpropd verify`: whether a report's receipt is genuine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::grade::GradeReport;
use crate::grade::receipt::{KeyId, Keys};

pub(super) const NAME: &str = "verify";

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .value_name(name.to_uppercase())
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    Command::new(NAME)
        .about("Check the receipt of a graded report: exit code 0 where it is genuine, 1 where it is not")
        .after_help(
            "A genuine receipt binds the student, the time, the assignment's content, the answers, the score and each\n\
             question's verdict. It needs the secret that signed it; the file's other lines are older or newer ones.",
        )
        .arg(file("report", "The report, as --format json writes it"))
        .arg(file("answers", "The file of answers that it grades"))
        .arg(
            Arg::new("student")
                .long("student")
                .value_name("NAME")
                .help("Whose report it has to be"),
        )
        .arg(grade::secret_argument())
        .arg(grade::secret_file_argument())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let keys = Keys::new(&grade::secrets(matches)?).ok_or_else(|| {
        Failure::usage(
            "a receipt is checked with the secret that signed it: give --secret-file FILE, the server's \
             grading_secret_file. The public secret proves nothing"
                .to_owned(),
        )
    })?;
    let path = grade::required::<PathBuf>(matches, "report")?;
    let text = grade::read_text(path)?;
    let report: GradeReport = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{} is not a report: {error}", path.display())))?;
    let submission = grade::read_submission(grade::required::<PathBuf>(matches, "answers")?)?;
    let asked = matches.get_one::<String>("student");
    let found = keys.verify(&report, &submission.answers);
    let student = report.student.as_deref();
    let text = match &found {
        Err(why) => format!("not genuine: {why}\n"),
        Ok(_) if asked.is_some_and(|asked| student != Some(asked)) => format!(
            "not {}'s: the report is {}'s\n",
            asked.map_or("", String::as_str),
            student.unwrap_or("nobody")
        ),
        Ok(key) => {
            let (code, about) = (ExitCode::SUCCESS, described(&report, key));
            grade::publish(&about, None)?;
            return Ok(code);
        }
    };
    grade::publish(&text, None)?;
    Ok(ExitCode::FAILURE)
}

/// What a genuine receipt proves.
fn described(report: &GradeReport, key: &KeyId) -> String {
    let time = report.graded_at.and_then(|seconds| {
        let seconds = i64::try_from(seconds).ok()?;
        Some(prost_types::Timestamp { seconds, nanos: 0 }.to_string())
    });
    // A student's name comes from a file that the student may have written.
    let student: String = report
        .student
        .as_deref()
        .unwrap_or("-")
        .escape_debug()
        .collect();
    format!(
        "genuine\nstudent     {student}\ntime        {}\nassignment  {}, content {}\nscore       {} of {}\nkey         {key}\n",
        time.as_deref().unwrap_or("-"),
        report.assignment.escape_debug(),
        report
            .assignment_digest
            .as_deref()
            .unwrap_or("-")
            .escape_debug(),
        report.score,
        report.max_score,
    )
}
