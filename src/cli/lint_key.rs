//! `backpropd lint-key`: find mistakes in an answer key.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, grade};
use crate::formula::underline;
use crate::grade::{Place, lint_key};

pub(super) const NAME: &str = "lint-key";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Find wrong final answers and wrong derivation steps in an answer key")
        .after_help(
            "An answer may be a derivation a = b = c, or several. Each side is evaluated and compared with the derivative \
             that the question asks for, or with the first side of its chain. The exit code is 0 if the key has no \
             mistake, 1 if it has one, 2 if the file cannot be read.",
        )
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The key, as a .json, .toml or .tex file of answers"),
        )
        .args(grade::assignment_arguments())
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let graders = grade::graders(matches)?;
    let key = grade::read_submission(grade::required::<PathBuf>(matches, "file")?)?;
    let named = matches.get_one::<String>("assignment").map(String::as_str);
    let grader = grade::choose(
        &graders,
        named
            .or(key.assignment.as_deref())
            .unwrap_or(grade::DEFAULT_ASSIGNMENT),
    )?;
    let findings = lint_key(grader, &key.answers);
    let mut text = String::new();
    // Writing to a String cannot fail.
    for finding in &findings {
        let place = match finding.place {
            Place::FinalAnswer => "the final answer is wrong",
            Place::Step => "a wrong step",
            Place::Unreadable => "cannot be read",
        };
        let (question, chain, side) = (&finding.question, finding.chain, finding.side);
        let _ = writeln!(
            text,
            "{question}, chain {chain}, side {side}: {place}. {}",
            finding.message
        );
        let answer = key.answers.get(question).map_or("", String::as_str);
        let _ = writeln!(text, "{}", underline(answer, finding.span));
        if let Some(right) = &finding.should_be {
            let _ = writeln!(text, "    should be: {right}");
        }
        text.push('\n');
    }
    let finals = findings
        .iter()
        .filter(|finding| finding.place == Place::FinalAnswer)
        .count();
    let steps = findings
        .iter()
        .filter(|finding| finding.place == Place::Step)
        .count();
    let unreadable = findings.len() - finals - steps;
    let _ = writeln!(
        text,
        "{} answers: {finals} wrong final answers, {steps} wrong steps, {unreadable} sides that cannot be read",
        key.answers.len()
    );
    grade::publish(&text, None)?;
    Ok(if findings.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
