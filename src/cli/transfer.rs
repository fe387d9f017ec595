//! `backpropd export` and `backpropd import`: a model from a server into a file, and back.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use backpropd_client::{pb, random_id};
use clap::{Arg, ArgMatches, Command, value_parser};

use super::connection::connect;
use super::{Failure, grade, saved, serve};

pub(super) const EXPORT: &str = "export";
pub(super) const IMPORT: &str = "import";

pub(super) fn export_command() -> Command {
    Command::new(EXPORT)
        .about("Export a model to a safetensors file: weights, optimizer state, spec, remembered requests")
        .arg(
            Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("The model, as sessions/SESSION/models/MODEL"),
        )
        .arg(file("The file to write; an existing file is replaced"))
        .arg(server())
}

pub(super) fn import_command() -> Command {
    let text = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("ID")
            .default_value("")
            .hide_default_value(true)
            .help(help)
    };
    Command::new(IMPORT)
        .about("Import a model from a file of `backpropd export` or `train --save`, and print its name")
        .arg(file("The file to read"))
        .arg(text(
            "session",
            "The session to import into, as sessions/SESSION [default: a new one]",
        ))
        .arg(text(
            "model-id",
            "The id of the new model [default: a random one]",
        ))
        .arg(server())
}

fn file(help: &'static str) -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

pub(super) fn server() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .default_value("http://127.0.0.1:50051")
        .help("Server address; a URL, or HOST:PORT such as localhost:50051")
}

pub(super) fn export(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = grade::required::<PathBuf>(matches, "file")?;
    let name = grade::required::<String>(matches, "name")?.clone();
    let server = grade::required::<String>(matches, "server")?;
    serve::runtime()?.block_on(async {
        let client = connect(server).await?;
        let model = client.export_model(pb::ExportModelRequest { name }).await?;
        replace(path, &model).map_err(|error| {
            Failure::failed(format!("cannot write {}: {error}", path.display()))
        })?;
        grade::publish(
            &format!("{}: {} bytes\n", path.display(), model.len()),
            None,
        )?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Replaces a file atomically.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    // Readable by its owner only, as in the server's data folder.
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(temporary, path)
}

pub(super) fn import(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = grade::required::<PathBuf>(matches, "file")?;
    // What `train --save` adds for `predict` is not the server's.
    let (model, _) = saved::read(path)?;
    let request = pb::ImportModelRequest {
        session: grade::required::<String>(matches, "session")?.clone(),
        model_id: grade::required::<String>(matches, "model-id")?.clone(),
        // The import can be repeated after a broken connection.
        request_id: random_id(),
        data: model.into(),
    };
    let server = grade::required::<String>(matches, "server")?;
    serve::runtime()?.block_on(async {
        let reply = connect(server).await?.import_model(request).await?;
        let name = reply.model.map_or(String::new(), |model| model.name);
        grade::publish(&format!("{name}\n"), None)?;
        Ok(ExitCode::SUCCESS)
    })
}
