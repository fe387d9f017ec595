//! `backpropd verify`: whether a report's receipt is genuine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::grade::{GradeReport, receipt};

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
        .arg(file("report", "The report, as --format json writes it"))
        .arg(file("answers", "The file of answers that it grades"))
        .arg(grade::secret_argument())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = grade::required::<PathBuf>(matches, "report")?;
    let text = grade::read_text(path)?;
    let report: GradeReport = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("{} is not a report: {error}", path.display())))?;
    let submission = grade::read_submission(grade::required::<PathBuf>(matches, "answers")?)?;
    let secret = grade::required::<String>(matches, "secret")?;
    if receipt::verify(secret.as_bytes(), &report, &submission.answers) {
        grade::publish("genuine\n", None)?;
        Ok(ExitCode::SUCCESS)
    } else {
        grade::publish(
            "not genuine: the report, the answers or the secret is another one\n",
            None,
        )?;
        Ok(ExitCode::FAILURE)
    }
}
