//! `backpropd check`: all faults of an assignment's file at once, or what its networks prove.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::grade::check::{Checked, Proven, check};
use crate::grade::formats::printable;
use crate::grade::{AnswerKind, Condition, Grader, Proofs, QuestionProof};

pub(super) const NAME: &str = "check";

/// The widest line of a list of conditions, in characters.
const WIDEST: usize = 110;

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
        return Ok(table(grader, proven, &proofs));
    }
    let both = proven.iter().zip(&proofs.questions);
    let shown = both.filter(|(one, _)| asked.is_empty() || asked.contains(&&one.question));
    Ok(shown.map(|(one, proof)| whole(proof, &one.shape)).collect())
}

/// Each question with the shape of its answer and the extent of its proof.
fn table(grader: &Grader, proven: &[Proven], proofs: &Proofs) -> String {
    let rows = proven.iter().zip(&proofs.questions).map(|(one, proof)| {
        let conditions = proof.met.len() + proof.left_out.len();
        let of_formula = [
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
        ];
        let question = grader.assignment().question(&one.question);
        let what = match question.map(|question| question.kind) {
            None | Some(AnswerKind::Formula) => return of_formula,
            Some(AnswerKind::Number) => "a number",
            Some(AnswerKind::Shape) => "a shape",
            Some(AnswerKind::Choice) => "a choice",
        };
        // Such an answer is not told from wrong ones by networks.
        [&one.question, what, "-", "-", "-", "-"].map(str::to_owned)
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
    for one in proven {
        for (mistake, answer) in &one.blind {
            let _ = writeln!(
                text,
                "{}: the given numbers do not show {mistake}: {} is right at them",
                one.question,
                printable(answer)
            );
        }
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
    text + "\nWhere a question has of and wrt, its solution is that derivative. Every mistake of the file differs from the solution\n\
            and from those with other codes. --proofs shows the details.\n"
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
    let listed = |conditions: &[Condition]| {
        let conditions = conditions.iter().map(Condition::to_string);
        conditions.collect::<Vec<_>>().join("; ")
    };
    text += &wrapped("  met       ", &listed(&proof.met));
    if !proof.left_out.is_empty() {
        text += &wrapped("  left out  ", &listed(&proof.left_out));
    }
    // Writing to a String cannot fail.
    for mistake in &proof.mistakes {
        let _ = writeln!(
            text,
            "  mistake   {} differs on {} of {count}: {}",
            mistake.code,
            mistake.networks,
            printable(&mistake.answer)
        );
    }
    let pairs = if proof.pairs == 1 { "pair" } else { "pairs" };
    let _ = writeln!(
        text,
        "  pairs     {} {pairs} of mistakes with different codes, which differ",
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

/// Words in lines of at most [`WIDEST`] characters, the first after a label and the others below it.
fn wrapped(label: &str, words: &str) -> String {
    let mut text = label.to_owned();
    let mut wide = label.len();
    let mut is_first = true;
    for word in words.split(' ') {
        let length = 1 + word.chars().count();
        if is_first {
            is_first = false;
        } else if wide + length > WIDEST {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n{:1$}", "", label.len());
            wide = label.len();
        } else {
            text.push(' ');
        }
        text += word;
        wide += length;
    }
    text + "\n"
}
