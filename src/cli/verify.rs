//! `backpropd verify`: check the receipt of a graded report.

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
        .about("Verify the receipt of a graded report: exit code 0 if it is genuine, 1 if not")
        .after_help(
            "A receipt covers the student, the time, the content of the assignment, the answers, the score and each \
             question's verdict. Verifying needs the secret that signed it, which may be any line of the file.",
        )
        .arg(file("report", "The report, as --format json writes it, or results for Gradescope or PrairieLearn"))
        .arg(file("answers", "The file of answers that was graded"))
        .arg(
            Arg::new("student")
                .long("student")
                .value_name("NAME")
                .help("Also require that the report is this student's"),
        )
        .arg(grade::secret_argument())
        .arg(grade::secret_file_argument())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let keys = Keys::new(&grade::secrets(matches)?).ok_or_else(|| {
        Failure::usage(
            "verifying a receipt needs the secret that signed it: give --secret-file FILE, the server's \
             grading_secret_file. The default secret is public and proves nothing"
                .to_owned(),
        )
    })?;
    let path = grade::required::<PathBuf>(matches, "report")?;
    let text = grade::read_text(path)?;
    let report = report(&text)
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

/// The report in a file: as `--format json` writes it, or inside the results for Gradescope or PrairieLearn.
fn report(text: &str) -> Result<GradeReport, serde_json::Error> {
    let mut value: serde_json::Value = serde_json::from_str(text)?;
    for inside in ["/extra_data/report", "/report"] {
        if let Some(report) = value.pointer_mut(inside) {
            return serde_json::from_value(report.take());
        }
    }
    // Read from the text, which says where a fault is.
    serde_json::from_str(text)
}

/// The facts that a genuine receipt proves.
fn described(report: &GradeReport, key: &KeyId) -> String {
    let time = report.graded_at.and_then(|seconds| {
        let seconds = i64::try_from(seconds).ok()?;
        Some(prost_types::Timestamp { seconds, nanos: 0 }.to_string())
    });
    // The name may come from a file that the student wrote.
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
