//! `backpropd check`: all faults of an assignment's file at once, or what its networks prove.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::grade::check::{Checked, Proven, check};
use crate::grade::formats::printable;

pub(super) const NAME: &str = "check";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Check an assignment's file: all its faults, or what it proves about each question")
        .after_help(
            "The exit code is 0 if the file is sound, 1 if it has faults, 2 if it cannot be read.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The assignment, a .toml file"),
        )
        .arg(grade::secret_argument())
        .arg(grade::secret_file_argument())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = grade::required::<PathBuf>(matches, "file")?;
    let text = grade::read_text(path)?;
    let secrets = grade::secrets(matches)?;
    let secret = secrets.first().map_or(&[][..], Vec::as_slice);
    let mut report = String::new();
    let code = match check(&text, secret) {
        // Writing to a String cannot fail.
        Checked::Faults(faults) => {
            for fault in &faults {
                let reason = printable(&fault.reason).replace('\n', "\n    ");
                let _ = writeln!(report, "{}:{}: {reason}", path.display(), fault.line);
            }
            let count = faults.len();
            let _ = writeln!(
                report,
                "{count} {}",
                if count == 1 { "fault" } else { "faults" }
            );
            ExitCode::FAILURE
        }
        Checked::Sound(grader, proven) => {
            let assignment = grader.assignment();
            let _ = writeln!(
                report,
                "{}: {}, {} questions, {} points",
                assignment.id,
                printable(&assignment.title),
                assignment.questions.len(),
                assignment.max_score()
            );
            report += &table(&proven);
            ExitCode::SUCCESS
        }
    };
    grade::publish(&report, None)?;
    Ok(code)
}

/// Each question with the shape of its answer, and what its networks prove.
fn table(proven: &[Proven]) -> String {
    let wide = |text: fn(&Proven) -> &str, heading: &str| {
        let widths = proven.iter().map(|one| text(one).chars().count());
        widths.max().unwrap_or(0).max(heading.len())
    };
    let (id, shape) = (
        wide(|one| &one.question, "question"),
        wide(|one| &one.shape, "shape"),
    );
    let mut text = format!(
        "\n{:id$}  {:shape$}  networks  mistakes told apart\n",
        "question", "shape"
    );
    for one in proven {
        let _ = writeln!(
            text,
            "{:id$}  {:shape$}  {:>8}  {:>8}",
            one.question, one.shape, one.networks, one.mistakes
        );
    }
    text + "\nEvery solution is the derivative that its question asks for, and no mistake of the file has its values on all networks.\n"
}
