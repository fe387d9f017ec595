//! The command line: one file for each command.

mod answers;
mod arrays;
mod backup;
mod call;
mod check;
mod connection;
mod copy_store;
mod datasets;
mod explain;
mod failure;
mod files;
mod grade;
mod grade_gradients;
mod healthcheck;
mod kit;
mod lint_key;
mod local_server;
mod memory_limit;
mod model;
pub mod pdf;
mod progress_bar;
mod remote;
mod saved;
mod serve;
mod settings;
mod sheet;
mod tls_init;
mod token;
mod train;
mod transfer;
mod trash;
mod upload;
mod verify;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgMatches, Command, builder::styling};
pub use failure::Failure;

use crate::grade::formats::printable;

/// Parses the arguments (the program's name first), runs the command, and returns the exit code: 0 done, 1 failed, 2 invalid
/// arguments or data, 130 interrupted.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let matches = match command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) => {
            // If the message itself cannot be written, there is nowhere to report that.
            let _ = error.print();
            return exit_code(error.exit_code());
        }
    };
    match dispatch(&matches) {
        Ok(code) => code,
        Err(failure) => {
            // The message may quote a file of unknown origin, control characters included.
            eprintln!("backpropd: {}", printable(&failure.to_string()));
            exit_code(failure.code)
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    match matches.subcommand() {
        Some((train::NAME, matches)) => train::run(matches),
        Some((answers::PREDICT, matches)) => answers::predict(matches),
        Some((answers::EVALUATE, matches)) => answers::evaluate(matches),
        Some((datasets::NAME, matches)) => datasets::run(matches),
        Some((remote::MODELS, matches)) => remote::models(matches),
        Some((remote::SESSIONS, matches)) => remote::sessions(matches),
        Some((remote::RUNS, matches)) => remote::runs(matches),
        Some((remote::WATCH, matches)) => remote::watch(matches),
        Some((grade::NAME, matches)) => grade::run(matches),
        Some((grade_gradients::NAME, matches)) => grade_gradients::run(matches),
        Some((explain::NAME, matches)) => explain::run(matches),
        Some((check::NAME, matches)) => check::run(matches),
        Some((kit::NAME, matches)) => kit::run(matches),
        Some((sheet::NAME, matches)) => sheet::run(matches),
        Some((verify::NAME, matches)) => verify::run(matches),
        Some((lint_key::NAME, matches)) => lint_key::run(matches),
        Some((transfer::EXPORT, matches)) => transfer::export(matches),
        Some((transfer::IMPORT, matches)) => transfer::import(matches),
        Some((tls_init::NAME, matches)) => tls_init::run(matches),
        Some((backup::BACKUP, matches)) => backup::back_up(matches),
        Some((backup::RESTORE, matches)) => backup::restore(matches),
        Some((copy_store::NAME, matches)) => copy_store::run(matches),
        Some((call::NAME, matches)) => call::run(matches),
        Some((trash::NAME, matches)) => trash::run(matches),
        Some((token::NAME, matches)) => token::run(matches),
        Some((healthcheck::NAME, matches)) => healthcheck::run(matches),
        // Without a command, backpropd serves.
        Some((_, matches)) => serve::run(matches),
        None => serve::run(matches),
    }
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The grammar of the command line.
fn command() -> Command {
    let styles = styling::Styles::styled()
        .header(styling::AnsiColor::Green.on_default().bold())
        .usage(styling::AnsiColor::Green.on_default().bold())
        .literal(styling::AnsiColor::Cyan.on_default().bold())
        .placeholder(styling::AnsiColor::Cyan.on_default());
    Command::new("backpropd")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A gRPC server that trains multi-layer perceptrons and shows every quantity of the backward pass")
        .override_usage("backpropd [COMMAND] [OPTIONS]")
        .after_help(
            "Without a command, backpropd serves: `backpropd --port 8080` is `backpropd serve --port 8080`.\n\
             `backpropd serve --help` lists all settings, `backpropd COMMAND --help` the options of a command.\n\n\
             Train a network on handwritten digits, without a server:  backpropd train\n\
             Grade a file of answers:                                  backpropd grade answers.json",
        )
        .styles(styles)
        .max_term_width(120)
        .args_conflicts_with_subcommands(true)
        .args(settings::hidden_arguments())
        .subcommand(serve::command())
        .subcommand(train::command())
        .subcommand(answers::predict_command())
        .subcommand(answers::evaluate_command())
        .subcommand(datasets::command())
        .subcommand(remote::models_command())
        .subcommand(remote::sessions_command())
        .subcommand(remote::runs_command())
        .subcommand(remote::watch_command())
        .subcommand(grade::command())
        .subcommand(grade_gradients::command())
        .subcommand(explain::command())
        .subcommand(check::command())
        .subcommand(sheet::command())
        .subcommand(kit::command())
        .subcommand(lint_key::command())
        .subcommand(verify::command())
        .subcommand(transfer::export_command())
        .subcommand(transfer::import_command())
        .subcommand(tls_init::command())
        .subcommand(copy_store::command())
        .subcommand(backup::backup_command())
        .subcommand(backup::restore_command())
        .subcommand(call::command())
        .subcommand(trash::command())
        .subcommand(token::command())
        .subcommand(healthcheck::command())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn settings_are_accepted_with_and_without_serve() {
        for arguments in [
            &["backpropd", "--threads", "2", "--insecure-remote"][..],
            &[
                "backpropd",
                "serve",
                "--threads=2",
                "--insecure-remote=true",
            ],
        ] {
            let matches = command().try_get_matches_from(arguments).expect("valid");
            let matches = matches.subcommand_matches("serve").unwrap_or(&matches);
            let flags = settings::flags(matches);
            assert!(
                flags.contains(&("threads".to_owned(), "2".to_owned())),
                "{flags:?}"
            );
            assert!(
                flags.contains(&("insecure-remote".to_owned(), "true".to_owned())),
                "{flags:?}"
            );
        }
    }
}
