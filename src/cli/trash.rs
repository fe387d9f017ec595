//! `backpropd trash`: list expired sessions, restore one.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::{Failure, backup, grade};
use crate::host::trash;

pub(super) const NAME: &str = "trash";
const LIST: &str = "list";
const RESTORE: &str = "restore";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("List or restore expired sessions while the server is stopped")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new(LIST)
                .about("List the expired sessions, and the uptime after which each is removed")
                .arg(folder()),
        )
        .subcommand(
            Command::new(RESTORE)
                .about("Restore a session with its models, for the next start of the server")
                .arg(
                    Arg::new("session")
                        .value_name("SESSION")
                        .required(true)
                        .help("The session, as sessions/SESSION or its id alone"),
                )
                .arg(folder()),
        )
}

fn folder() -> Arg {
    Arg::new("data-dir")
        .long("data-dir")
        .value_name("FOLDER")
        .env("BACKPROPD_DATA_DIR")
        .help("The server's data folder [default: backpropd in the user's data folder]")
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let Some((name, matches)) = matches.subcommand() else {
        return Err(Failure::usage("trash list, or trash restore".to_owned()));
    };
    let folder = backup::data_dir(matches)?;
    let failed = |error: trash::TrashError| Failure::failed(error.to_string());
    if name == RESTORE {
        let session = grade::required::<String>(matches, "session")?;
        let id = session.strip_prefix("sessions/").unwrap_or(session);
        trash::restore(&folder, id).map_err(failed)?;
        let message = format!(
            "sessions/{id} is restored; its time to live starts anew with the next start of the server\n"
        );
        grade::publish(&message, None)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = String::new();
    for trashed in trash::list(&folder).map_err(failed)? {
        let trash::TrashEntry {
            session,
            models,
            seconds_left,
        } = trashed;
        lines.push_str(&format!(
            "sessions/{session}\t{models} models\tremoved after {seconds_left} s of uptime\n"
        ));
    }
    if lines.is_empty() {
        lines.push_str("the trash is empty\n");
    }
    grade::publish(&lines, None)?;
    Ok(ExitCode::SUCCESS)
}
