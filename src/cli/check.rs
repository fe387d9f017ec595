//! `backpropd check`: all faults of an assignment's file at once, or what its networks prove.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::grade::check::{Checked, Proven, check};
use crate::grade::formats::printable;
use crate::grade::{Grader, Proofs, QuestionProof};

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
        .arg(
            Arg::new("proofs")
                .long("proofs")
                .action(ArgAction::SetTrue)
                .help("Show everything that is proved about each question"),
        )
        .arg(
            Arg::new("question")
                .long("question")
                .value_name("ID")
                .action(ArgAction::Append)
                .help("Show everything that is proved about this question alone; may be given several times"),
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
            report += &proved(&grader, &proven, matches)?;
            ExitCode::SUCCESS
        }
    };
    grade::publish(&report, None)?;
    Ok(code)
}

/// What is proved about each question: in short, or whole for all or some.
fn proved(grader: &Grader, proven: &[Proven], matches: &ArgMatches) -> Result<String, Failure> {
    let asked: Vec<&String> = matches.get_many("question").into_iter().flatten().collect();
    let known = |id: &str| proven.iter().any(|one| one.question == id);
    if let Some(unknown) = asked.iter().find(|id| !known(id)) {
        let ids: Vec<&str> = proven.iter().map(|one| one.question.as_str()).collect();
        return Err(Failure::usage(format!(
            "there is no question {unknown:?}; the questions are {}",
            ids.join(", ")
        )));
    }
    let proofs = grader.proofs();
    if asked.is_empty() && !matches.get_flag("proofs") {
        return Ok(table(proven, &proofs));
    }
    let both = proven.iter().zip(&proofs.questions);
    let shown = both.filter(|(one, _)| asked.is_empty() || asked.contains(&&one.question));
    Ok(shown.map(|(one, proof)| whole(proof, &one.shape)).collect())
}

/// Each question with the shape of its answer and the extent of its proof.
fn table(proven: &[Proven], proofs: &Proofs) -> String {
    let rows = proven.iter().zip(&proofs.questions).map(|(one, proof)| {
        let conditions = proof.met.len() + proof.left_out.len();
        [
            one.question.clone(),
            one.shape.clone(),
            proof.batch_sizes.len().to_string(),
            format!("{} of {conditions}", proof.met.len()),
            proof.mistakes.len().to_string(),
            format!(
                "{} of {}",
                proof.probes,
                proof.probes + proof.unproven.len()
            ),
        ]
    });
    let heading = [
        "question",
        "shape",
        "networks",
        "conditions",
        "mistakes",
        "variants refused",
    ];
    let rows: Vec<[String; 6]> = std::iter::once(heading.map(str::to_owned))
        .chain(rows)
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let mut text = String::from("\n");
    for row in &rows {
        // Writing to a String cannot fail.
        for (column, cell) in row.iter().enumerate() {
            let wide = width(column);
            let _ = match column {
                0 => write!(text, "{cell:wide$}"),
                1 => write!(text, "  {cell:wide$}"),
                _ => write!(text, "  {cell:>wide$}"),
            };
        }
        text.push('\n');
    }
    for proof in &proofs.questions {
        for variant in &proof.unproven {
            let _ = writeln!(
                text,
                "{}: NOT REFUSED, although it is wrong: {}",
                proof.id,
                printable(variant)
            );
        }
    }
    text + "\nEvery solution is the derivative that its question asks for, and every mistake of the file differs from the solution \
            and from the mistakes of other codes. --proofs shows the details.\n"
}

/// Everything that is proved about a question.
fn whole(proof: &QuestionProof, shape: &str) -> String {
    let mut sizes = proof.batch_sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let sizes: Vec<String> = sizes.iter().map(usize::to_string).collect();
    let count = proof.batch_sizes.len();
    let mut text = format!(
        "\n{}: {shape}, {count} networks, m = {}\n",
        proof.id,
        sizes.join(", ")
    );
    // Writing to a String cannot fail.
    for condition in &proof.met {
        let _ = writeln!(text, "  met       {condition}");
    }
    for condition in &proof.left_out {
        let _ = writeln!(text, "  left out  {condition}");
    }
    for mistake in &proof.mistakes {
        let _ = writeln!(
            text,
            "  mistake   {} differs on {} of {count}: {}",
            mistake.code,
            mistake.networks,
            printable(&mistake.answer)
        );
    }
    let _ = writeln!(
        text,
        "  pairs     {} pairs of mistakes with different codes differ",
        proof.pairs
    );
    let _ = writeln!(
        text,
        "  variants  {} of {} wrong variants of the solution are refused",
        proof.probes,
        proof.probes + proof.unproven.len()
    );
    for variant in &proof.equal {
        let _ = writeln!(text, "  right     {}", printable(variant));
    }
    for variant in &proof.unproven {
        let _ = writeln!(
            text,
            "  NOT REFUSED, although it is wrong: {}",
            printable(variant)
        );
    }
    text
}
