//! `backpropd copy-store`: copy a data folder to a bucket, or back.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use tonic::Status;

use super::{Failure, grade, serve};
use crate::host::copy_store::{CopyError, copy_store};

pub(super) const NAME: &str = "copy-store";

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Copy sessions, models and datasets from a data folder to a bucket, or back")
        .long_about(
            "Copy sessions, models and datasets from a data folder to a bucket, or back.\n\n\
             FROM and TO are each the path of a data folder, or the address of a bucket as in the setting `store` \
             (s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX). Stop the servers that use either. Each model \
             and dataset is read back and compared by its digest. Nothing in TO is replaced: what it has already with the \
             same content is left alone, so that an interrupted copy goes on when the command is repeated.",
        )
        .arg(Arg::new("from").value_name("FROM").required(true).help("The original"))
        .arg(Arg::new("to").value_name("TO").required(true).help("The target"))
        .arg(
            Arg::new("store-cache-dir")
                .long("store-cache-dir")
                .value_name("FOLDER")
                .env("BACKPROPD_STORE_CACHE_DIR")
                .default_value("")
                .hide_default_value(true)
                .help("Folder for the file of a dataset while it is copied [default: the system's for temporary files]"),
        )
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let from = grade::required::<String>(matches, "from")?;
    let to = grade::required::<String>(matches, "to")?;
    let cache = grade::required::<String>(matches, "store-cache-dir")?;
    let copied = serve::runtime()?.block_on(copy_store(from, to, cache));
    let copied = copied.map_err(failed)?;
    let line = format!(
        "copied to {to}: {} sessions, {} models, {} datasets, checked; {} models and datasets were there already\n",
        copied.sessions, copied.models, copied.datasets, copied.found
    );
    grade::publish(&line, None)?;
    Ok(ExitCode::SUCCESS)
}

fn failed(error: CopyError) -> Failure {
    let told = error.to_string();
    match error {
        CopyError::Differs(_) | CopyError::Lost(_) | CopyError::NoFolder(_) => Failure::usage(told),
        CopyError::NotRead { cause, .. } | CopyError::NotWritten { cause, .. } => {
            let cause = Status::from(cause);
            Failure::failed(format!(
                "{told}: {}. What was copied stays: repeat the command to go on from there",
                cause.message()
            ))
        }
        CopyError::Host(_) | CopyError::Unsound(_) => Failure::failed(told),
    }
}
