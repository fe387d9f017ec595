//! `backpropd sheet`: write the sheet of an assignment, for students to fill in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::files::{self, Links};
use super::{Failure, grade};
use crate::grade::sheet::sheet;
use crate::grade::{Assignment, BUILT_IN};
use crate::host::assignments::is_of_overrides;

pub(super) const NAME: &str = "sheet";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Write the LaTeX sheet of an assignment, whose PDF carries its answers")
        .after_help(
            "Students fill in the sheet, compile it with pdfLaTeX or LuaLaTeX, and hand in the PDF or the .tex: `backpropd grade` \
             reads both.",
        )
        .arg(
            Arg::new("assignment")
                .value_name("ASSIGNMENT")
                .required(true)
                .help("Id of an assignment, such as hw-backprop, or its .toml file"),
        )
        .arg(grade::assignments_argument())
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Write the sheet to this file instead of the terminal"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let named = grade::required::<String>(matches, "assignment")?;
    let folder = matches.get_one::<PathBuf>("assignments");
    let (assignment, _) = find(named, folder.map(PathBuf::as_path))?;
    let out = matches.get_one::<PathBuf>("out");
    grade::publish(&sheet(&assignment), out.map(PathBuf::as_path))?;
    Ok(ExitCode::SUCCESS)
}

/// The assignment of a file or an id, and the text of its file; its formulas are not evaluated.
pub(super) fn find(named: &str, folder: Option<&Path>) -> Result<(Assignment, String), Failure> {
    let parse = |path: &Path| {
        let text = files::read_text(path, Links::Followed).map_err(Failure::usage)?;
        let assignment = Assignment::parse(&text, &path.display().to_string())
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok((assignment, text))
    };
    let path = Path::new(named);
    if path
        .extension()
        .is_some_and(|extension| extension == "toml")
    {
        return parse(path);
    }
    let mut known = Vec::new();
    let own = folder.map_or_else(Vec::new, |folder| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let extension = path.extension();
            extension.is_some_and(|extension| extension == "toml") && !is_of_overrides(path)
        });
        paths.sort();
        paths
    });
    for path in own {
        let (assignment, text) = parse(&path)?;
        if assignment.id == named {
            return Ok((assignment, text));
        }
        known.push(assignment.id);
    }
    for (file, text) in BUILT_IN {
        let assignment =
            Assignment::parse(text, file).map_err(|error| Failure::usage(error.to_string()))?;
        if assignment.id == named {
            return Ok((assignment, (*text).to_owned()));
        }
        known.push(assignment.id);
    }
    Err(Failure::usage(format!(
        "there is no assignment {named:?}; the known assignments are {}. Name its .toml file, or its folder with --assignments",
        known.join(", ")
    )))
}
