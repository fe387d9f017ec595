//! The model that a command names: one on a server, or a file of `backpropd train --save`.

use std::path::Path;

use backpropd_client::{Client, pb, random_id};
use clap::{Arg, ArgMatches};

use super::Failure;
use super::saved::{self, DataNotes};

/// A model on a server.
pub(super) struct OpenModel {
    pub model: pb::Model,
    pub notes: DataNotes,
}

pub(super) fn argument() -> Arg {
    Arg::new("model").value_name("MODEL").required(true).help(
        "A file of `train --save` or `export`; or with --server, sessions/SESSION/models/MODEL",
    )
}

/// The server of a command that can start one itself.
pub(super) fn server() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .help("Server to use, such as localhost:50051 [default: one inside this process]")
}

/// The server to use: a model by name is on one that runs already.
pub(super) fn server_of(matches: &ArgMatches, model: &str) -> Result<Option<String>, Failure> {
    let server = matches.get_one::<String>("server").cloned();
    if server.is_none() && is_name(model) {
        return Err(Failure::usage(format!(
            "{model} is a model on a server: name it, as in --server localhost:50051"
        )));
    }
    Ok(server)
}

/// Whether this names a model on a server.
pub(super) fn is_name(model: &str) -> bool {
    model.starts_with("sessions/") && !Path::new(model).is_file()
}

/// Finds the model, or brings its file to the server.
pub(super) async fn open(server: &Client, model: &str) -> Result<OpenModel, Failure> {
    if is_name(model) {
        let name = model.to_owned();
        let reply = server.get_model(pb::GetModelRequest { name }).await?;
        return Ok(OpenModel {
            model: reply.model.unwrap_or_default(),
            notes: DataNotes::default(),
        });
    }
    let (bytes, notes) = saved::read(Path::new(model))?;
    let model = import(server, bytes, "", "").await?;
    Ok(OpenModel {
        model,
        notes: notes.unwrap_or_default(),
    })
}

/// Deletes what [`open`] brought to the server.
pub(super) async fn close(server: &Client, named: &str, opened: &OpenModel) {
    if let (false, Some((session, _))) = (is_name(named), opened.model.name.split_once("/models/"))
    {
        let name = session.to_owned();
        // A session that cannot be deleted expires by itself.
        let _ = server
            .delete_session(pb::DeleteSessionRequest { name })
            .await;
    }
}

/// Imports a file into `session`; without one, into a new session.
pub(super) async fn import(
    server: &Client,
    bytes: Vec<u8>,
    session: &str,
    model_id: &str,
) -> Result<pb::Model, Failure> {
    let request = pb::ImportModelRequest {
        session: session.to_owned(),
        model_id: model_id.to_owned(),
        request_id: random_id(),
        data: bytes.into(),
    };
    let reply = server.import_model(request).await?;
    Ok(reply.model.unwrap_or_default())
}
