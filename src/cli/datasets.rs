//! `backpropd datasets`: files of data, described and converted, and the datasets of a server.

use std::path::PathBuf;
use std::process::ExitCode;

use backpropd_client::{Client, pb};
use backpropd_datasets::{Dataset, OpenOptions, TruthFile, TruthKind};
use backpropd_engine::nn::Dtype;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use serde_json::{Value, json};
use tonic::Code;

use super::train::advise;
use super::{Failure, grade, remote, upload};

pub(super) const NAME: &str = "datasets";
const CONVERT: &str = "convert";
const SHOW: &str = "show";
const LIST: &str = "list";
const CREATE: &str = "create";
const DELETE: &str = "delete";
/// Items of a page.
const PAGE: i32 = 1000;

pub(super) fn command() -> Command {
    Command::new(NAME)
        .about("Describe and convert files of data; list, create and delete the datasets of a server")
        .subcommand_required(true)
        .subcommand(
            Command::new(SHOW)
                .about("Describe a file: rows, features, what to predict, number type, digest")
                .arg(file("file", "FILE", "The file: any format that `train` reads"))
                .args(reading())
                .arg(switch("json", "Print one JSON object")),
        )
        .subcommand(
            Command::new(CONVERT)
                .about("Convert a file of data to .safetensors, which is read in blocks if it is larger than memory")
                .after_help(
                    "Example:\n  backpropd datasets convert train-images-idx3-ubyte.gz mnist.safetensors\n\n\
                     Columns, classes and constants stay with the numbers; the digest stays the same.",
                )
                .arg(file("file", "FILE", "The file to read: any format that `train` reads"))
                .arg(file("out", "OUT.safetensors", "The file to write; an existing file is replaced"))
                .args(reading())
                .arg(
                    Arg::new("dtype")
                        .long("dtype")
                        .value_name("NAME")
                        .value_parser(["float32", "float64"])
                        .help("Number type to write [default: that of the file; float64 for a text file]"),
                )
                .arg(switch("json", "Print one JSON object")),
        )
        .subcommands(server_commands())
}

fn server_commands() -> [Command; 3] {
    let name = |value: &'static str, help: &'static str| {
        Arg::new("name").value_name(value).required(true).help(help)
    };
    [
        Command::new(LIST)
            .about("List the datasets that a server shares, or those of a session")
            .arg(name("SESSION", "sessions/SESSION [default: the shared ones]").required(false))
            .args(remote::common()),
        Command::new(CREATE)
            .about(
                "Create a dataset in a session from a file, for TrainBatch, Gradients and Evaluate",
            )
            .after_help("Example:\n  backpropd datasets create iris.csv sessions/lab/datasets/iris")
            .arg(file(
                "file",
                "FILE",
                "The file: any format that `train` reads",
            ))
            .arg(name(
                "NAME",
                "sessions/SESSION/datasets/DATASET, in a session that exists",
            ))
            .args(reading())
            .args(remote::common()),
        Command::new(DELETE)
            .about("Delete a dataset of a session")
            .arg(name("NAME", "sessions/SESSION/datasets/DATASET"))
            .args(remote::common()),
    ]
}

fn file(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .value_name(value)
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

/// How a file is read, as in `train`.
fn reading() -> Vec<Arg> {
    let other = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help(help)
    };
    vec![
        other("labels", "Classes of the rows of an .npy or IDX file [default: the file beside it]")
            .conflicts_with("targets"),
        other("targets", "Regression targets of the rows of an .npy file [default: the file beside it]"),
        Arg::new("label-column")
            .long("label-column")
            .value_name("COLUMN")
            .help("Column of a text file to predict: its name, or its number from 1 [default: the last]"),
        switch("regression", "Predict a number instead of a class"),
        switch("one-hot", "Make a feature of 0 or 1 of each text in the columns of a text file that are not numbers"),
        switch("drop-missing", "Leave out the rows of a text file in which a value is missing"),
    ]
}

pub(super) fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    match matches.subcommand() {
        Some((CONVERT, matches)) => convert(matches),
        Some((LIST, matches)) => list(matches),
        Some((CREATE, matches)) => create(matches),
        Some((DELETE, matches)) => delete(matches),
        Some((_, matches)) => show(matches),
        None => Err(Failure::usage(
            "name a command: show, convert, list, create or delete",
        )),
    }
}

fn list(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let session = matches.get_one::<String>("name").cloned();
    let session = session.unwrap_or_default();
    let is_json = matches.get_flag("json");
    remote::with_server(matches, async |server| {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListDatasetsRequest {
                session: session.clone(),
                page_size: PAGE,
                page_token,
            };
            let page = server.list_datasets(request).await?;
            for listed in page.datasets {
                all.push(described(&server, listed).await?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        Ok(if is_json {
            remote::array(all.iter().map(remote_json).collect())
        } else {
            let head = ["NAME", "ROWS", "FEATURES", "TO PREDICT", "BYTES", "DIGEST"];
            let head = head.map(str::to_owned).to_vec();
            remote::table(head, all.iter().map(row).collect())
        })
    })
}

/// The dataset with its sizes: the server lists a file that no call has used by its name alone.
async fn described(server: &Client, listed: pb::Dataset) -> Result<pb::Dataset, Failure> {
    if listed.rows > 0 {
        return Ok(listed);
    }
    let name = listed.name.clone();
    match server.get_dataset(pb::GetDatasetRequest { name }).await {
        Ok(reply) => Ok(reply.dataset.unwrap_or(listed)),
        Err(status) if status.code() == Code::FailedPrecondition => Ok(listed),
        Err(status) => Err(status.into()),
    }
}

fn row(dataset: &pb::Dataset) -> Vec<String> {
    vec![
        dataset.name.clone(),
        dataset.rows.to_string(),
        dataset.features.to_string(),
        if dataset.classes > 0 {
            format!("{} classes", dataset.classes)
        } else {
            format!("{} numbers", dataset.target_columns)
        },
        dataset.bytes.to_string(),
        dataset.digest.chars().take(16).collect(),
    ]
}

fn remote_json(dataset: &pb::Dataset) -> Value {
    json!({
        "name": dataset.name,
        "rows": dataset.rows,
        "features": dataset.features,
        "classes": dataset.classes,
        "target_columns": dataset.target_columns,
        "bytes": dataset.bytes,
        "digest": dataset.digest,
        "created": remote::time(dataset.create_time.as_ref()),
    })
}

fn create(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = grade::required::<String>(matches, "name")?;
    let Some((session, id)) = name.split_once("/datasets/") else {
        return Err(Failure::usage(format!(
            "given the name {name}, allowed is sessions/SESSION/datasets/DATASET"
        )));
    };
    let dataset = open(matches, None)?;
    let is_json = matches.get_flag("json");
    remote::with_server(matches, async |server| {
        let created = upload::upload(&server, &dataset, session, id).await?;
        Ok(if is_json {
            remote_json(&created).to_string() + "\n"
        } else {
            format!(
                "{}: {}\ndigest {}\n",
                created.name,
                line(&dataset),
                created.digest
            )
        })
    })
}

fn delete(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let name = grade::required::<String>(matches, "name")?.clone();
    remote::with_server(matches, async |server| {
        let request = pb::DeleteDatasetRequest { name: name.clone() };
        server.delete_dataset(request).await?;
        Ok(format!("deleted {name}\n"))
    })
}

fn open(matches: &ArgMatches, dtype: Option<Dtype>) -> Result<Dataset, Failure> {
    let path = grade::required::<PathBuf>(matches, "file")?;
    let options = OpenOptions {
        label_column: matches.get_one::<String>("label-column").cloned(),
        regression: matches.get_flag("regression"),
        one_hot: matches.get_flag("one-hot"),
        drop_missing: matches.get_flag("drop-missing"),
        dtype,
        // A file of a format that cannot be read in blocks is to be converted just because it is large.
        max_resident_bytes: u64::MAX,
        ..OpenOptions::default()
    };
    let [labels, targets] = ["labels", "targets"].map(|name| matches.get_one::<PathBuf>(name));
    let truth = labels
        .cloned()
        .map(TruthFile::Labels)
        .or(targets.cloned().map(TruthFile::Targets));
    let opened = match truth {
        Some(truth) => backpropd_datasets::open_pair(path, &truth, &options),
        None => backpropd_datasets::open(path, &options),
    };
    opened.map_err(|error| Failure::usage(advise(&error)))
}

fn show(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let dataset = open(matches, None)?;
    publish(&dataset, matches, None)
}

fn convert(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let out = grade::required::<PathBuf>(matches, "out")?;
    if out.extension().is_none_or(|ending| ending != "safetensors") {
        return Err(Failure::usage(format!(
            "{}: given this name, allowed are names that end in .safetensors",
            out.display()
        )));
    }
    let dtype = matches.get_one::<String>("dtype");
    let dtype = dtype.map(|name| {
        if name == "float32" {
            Dtype::Float32
        } else {
            Dtype::Float64
        }
    });
    let dataset = open(matches, dtype)?;
    dataset
        .write(out)
        .map_err(|error| Failure::failed(error.to_string()))?;
    publish(&dataset, matches, Some(out.display().to_string()))
}

fn publish(
    dataset: &Dataset,
    matches: &ArgMatches,
    written: Option<String>,
) -> Result<ExitCode, Failure> {
    let mut object = json(dataset);
    let text = if matches.get_flag("json") {
        if let Some(written) = written {
            object["file"] = json!(written);
        }
        object.to_string() + "\n"
    } else {
        let written = written.map_or(String::new(), |written| written + ": ");
        format!("{written}{}\ndigest {}\n", line(dataset), dataset.digest())
    };
    grade::publish(&text, None)?;
    Ok(ExitCode::SUCCESS)
}

/// A dataset in a line.
pub(super) fn line(dataset: &Dataset) -> String {
    let truth = match dataset.truth() {
        TruthKind::Labels { names } => format!("{} classes", names.len()),
        TruthKind::Targets { columns: 1 } => "a number to predict".to_owned(),
        TruthKind::Targets { columns } => format!("{columns} numbers to predict"),
    };
    let dropped = match dataset.dropped_rows() {
        0 => String::new(),
        rows => format!(", {rows} rows with missing values left out"),
    };
    format!(
        "{} rows × {} features, {truth}, {}, {}{dropped}",
        dataset.rows(),
        dataset.features(),
        dtype(dataset),
        size(dataset.data_bytes()),
    )
}

fn dtype(dataset: &Dataset) -> &'static str {
    match dataset.dtype() {
        Dtype::Float32 => "float32",
        Dtype::Float64 => "float64",
    }
}

#[allow(clippy::cast_precision_loss, reason = "shown with a digit")]
fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        format!("{:.1} KiB", bytes as f64 / 1024.0)
    } else {
        format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
    }
}

fn json(dataset: &Dataset) -> Value {
    let (classes, columns) = match dataset.truth() {
        TruthKind::Labels { names } => (json!(names), Value::Null),
        TruthKind::Targets { columns } => (Value::Null, json!(columns)),
    };
    json!({
        "rows": dataset.rows(),
        "features": dataset.features(),
        "classes": classes,
        "target_columns": columns,
        "dtype": dtype(dataset),
        "bytes": dataset.data_bytes(),
        "digest": dataset.digest().to_string(),
        "dropped_rows": dataset.dropped_rows(),
    })
}
