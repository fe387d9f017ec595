//! `backpropd backup` and `backpropd restore`: copy the data folder of a server, which may be running, and bring it back.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::{Failure, grade, serve};
use crate::host::backup::{self, BackupError, Summary};

pub(super) const BACKUP: &str = "backup";
pub(super) const RESTORE: &str = "restore";

pub(super) fn backup_command() -> Command {
    Command::new(BACKUP)
        .about("Copy the data folder of a server, running or stopped, and check the copy")
        .long_about(
            "Copy the data folder of a server, running or stopped, and check the copy.\n\n\
             The copy holds every step that was acknowledged when the command began. The server is not asked and does not \
             wait. The copy is a data folder itself: `backpropd restore` brings it back.",
        )
        .arg(
            Arg::new("to")
                .value_name("DEST")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The folder to create; an empty one is taken, too"),
        )
        .arg(folder("The server's data folder [default: backpropd in the user's data folder]"))
}

pub(super) fn restore_command() -> Command {
    Command::new(RESTORE)
        .about("Copy a backup into an empty data folder, and check it")
        .arg(
            Arg::new("from")
                .value_name("BACKUP")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("A folder that `backpropd backup` made"),
        )
        .arg(folder(
            "The data folder, which must be empty or not exist [default: backpropd in the user's data folder]",
        ))
}

fn folder(help: &'static str) -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("FOLDER")
        .env("BACKPROPD_DATA_DIR")
        .help(help)
}

pub(super) fn back_up(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let folder = data_dir(matches)?;
    let to = grade::required::<PathBuf>(matches, "to")?;
    let made = backup::back_up(Path::new(&folder), to).map_err(failed)?;
    told(&made, &format!("backed up to {}", to.display()))
}

pub(super) fn restore(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let folder = data_dir(matches)?;
    let from = grade::required::<PathBuf>(matches, "from")?;
    let made = backup::restore(from, Path::new(&folder)).map_err(failed)?;
    told(&made, &format!("restored to {folder}"))
}

/// The data folder that is given, or the user's.
pub(super) fn data_dir(matches: &ArgMatches) -> Result<String, Failure> {
    match matches.get_one::<String>("data-dir") {
        Some(folder) if !folder.is_empty() => Ok(folder.clone()),
        Some(_) | None => serve::users_data_dir(),
    }
}

fn failed(error: BackupError) -> Failure {
    match error {
        BackupError::NotEmpty(_) | BackupError::Within { .. } => Failure::usage(error.to_string()),
        BackupError::Store(_)
        | BackupError::Unsound { .. }
        | BackupError::Datasets(_)
        | BackupError::Disk { .. } => Failure::failed(error.to_string()),
    }
}

fn told(made: &Summary, what: &str) -> Result<ExitCode, Failure> {
    let copied = &made.copied;
    for name in &made.lost {
        eprintln!("{name} was lost before, and answers DATA_LOSS as it did");
    }
    for what in &made.damage {
        eprintln!("damaged: {what}");
    }
    let (verdict, code) = match made.damage.len() {
        0 => ("checked".to_owned(), ExitCode::SUCCESS),
        count => (
            format!("checked: {count} damaged, which the lines above name"),
            ExitCode::FAILURE,
        ),
    };
    let line = format!(
        "{what}: {} sessions, {} models, {} bytes, {verdict}\n",
        copied.sessions, copied.models, copied.bytes
    );
    grade::publish(&line, None)?;
    Ok(code)
}
