//! `backpropd export` and `backpropd import`: a model from a server into a file, and back; in the server's own format, or in
//! one that other programs read.

mod network;
mod onnx;
mod sequential;

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use backpropd_client::{pb, random_id};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Command, value_parser};
use safetensors::SafeTensors;

use self::network::Network;
use self::sequential::Said;
use super::connection::{self, connect};
use super::files::{self, Links};
use super::{Failure, grade, model, saved, serve};

pub(super) const EXPORT: &str = "export";
pub(super) const IMPORT: &str = "import";

/// The entry of a safetensors header that files of `backpropd export` have.
const OWN_METADATA: &str = "backpropd";

const ACTIVATIONS: [(&str, pb::Activation); 7] = [
    ("relu", pb::Activation::Relu),
    ("leaky-relu", pb::Activation::LeakyRelu),
    ("sigmoid", pb::Activation::Sigmoid),
    ("tanh", pb::Activation::Tanh),
    ("gelu", pb::Activation::Gelu),
    ("silu", pb::Activation::Silu),
    ("linear", pb::Activation::Linear),
];

const LOSSES: [(&str, pb::Loss); 4] = [
    ("half-squared-error", pb::Loss::HalfSquaredError),
    ("mean-squared-error", pb::Loss::MeanSquaredError),
    ("cross-entropy", pb::Loss::CrossEntropy),
    ("binary-cross-entropy", pb::Loss::BinaryCrossEntropy),
];

pub(super) fn export_command() -> Command {
    Command::new(EXPORT)
        .about("Export a model to a file: its whole state, or its network for PyTorch or ONNX")
        .after_help(
            "Without options the file holds weights, optimizer state, spec and remembered requests, for `backpropd import`. \
             With --names sequential it holds weights and biases under the names of a torch.nn.Sequential:\n\n    \
             backpropd export sessions/lab/models/hw hw.safetensors --names sequential\n    \
             net.load_state_dict(safetensors.torch.load_file(\"hw.safetensors\"))",
        )
        .arg(
            Arg::new("name")
                .value_name("MODEL")
                .required(true)
                .help("The model, as sessions/SESSION/models/MODEL, or a file of `export` or `train --save`"),
        )
        .arg(file("The file to write; an existing file is replaced"))
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .default_value("safetensors")
                .value_parser(PossibleValuesParser::new(["safetensors", "onnx"]))
                .help("Format of the file; onnx has the network from `inputs` to `outputs`, for any batch size"),
        )
        .arg(
            Arg::new("names")
                .long("names")
                .value_name("NAMES")
                .default_value("layers")
                .value_parser(PossibleValuesParser::new(["layers", "sequential"]))
                .help("Names of the tensors in safetensors: layer1.weight with the whole state, or 0.weight of a torch.nn.Sequential"),
        )
        .arg(connection::server())
        .args(connection::credentials())
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
        .about("Import a model from a file of `backpropd export`, `train --save` or a torch.nn.Sequential, and print its name")
        .after_help(
            "A Sequential of Linear layers and activations is saved by PyTorch with:\n\n    \
             safetensors.torch.save_file(net.state_dict(), \"net.safetensors\")\n\n\
             Such a file does not say which activations and which loss its network has.",
        )
        .arg(file("The file to read"))
        .arg(word(
            "activation",
            ACTIVATIONS.map(|(word, _)| word),
            "Activation of the hidden layers of a Sequential [default: relu, unless the file says it]",
        ))
        .arg(word(
            "loss",
            LOSSES.map(|(word, _)| word),
            "Loss of a Sequential [default: half-squared-error, unless the file says it]",
        ))
        .arg(text(
            "session",
            "The session to import into, as sessions/SESSION [default: a new one]",
        ))
        .arg(text(
            "model-id",
            "The id of the new model [default: a random one]",
        ))
        .arg(connection::server())
        .args(connection::credentials())
}

fn word<const N: usize>(name: &'static str, words: [&'static str; N], help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("NAME")
        .value_parser(PossibleValuesParser::new(words))
        .help(help)
}

fn file(help: &'static str) -> Arg {
    Arg::new("file")
        .value_name("FILE")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

pub(super) fn export(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let path = grade::required::<PathBuf>(matches, "file")?;
    let format = grade::required::<String>(matches, "format")?;
    let names = grade::required::<String>(matches, "names")?;
    if format == "onnx" && names == "sequential" {
        return Err(Failure::usage(
            "--names sequential is for --format safetensors; an ONNX file has names of its own",
        ));
    }
    let (own, is_standardized) = exported(matches)?;
    let network = || {
        let read = Network::read(&own);
        read.map_err(|why| Failure::usage(format!("this is no file of `backpropd export`: {why}")))
    };
    let (bytes, mut note) = if format == "onnx" {
        let network = network()?;
        let bytes = onnx::write(&network).map_err(Failure::usage)?;
        let outputs = network.meaning_of_outputs();
        let mut note = format!("outputs: {outputs}\n");
        if onnx::lacks_an_operator(&network) {
            note += "onnxruntime has no Gelu for float64: it cannot run this file\n";
        }
        (bytes, note)
    } else if names == "sequential" {
        let network = network()?;
        let bytes = sequential::write(&network).map_err(Failure::usage)?;
        (bytes, format!("{}\n", sequential::modules(&network)))
    } else {
        (own, String::new())
    };
    if is_standardized && !note.is_empty() {
        note += "the network expects standardized inputs; the constants are in the file of `train --save`\n";
    }
    replace(path, &bytes)
        .map_err(|error| Failure::failed(format!("cannot write {}: {error}", path.display())))?;
    let size = bytes.len();
    grade::publish(&format!("{}: {size} bytes\n{note}", path.display()), None)?;
    Ok(ExitCode::SUCCESS)
}

/// The model's file in the server's format, from the server or from the disk, and whether its data were standardized.
fn exported(matches: &ArgMatches) -> Result<(Vec<u8>, bool), Failure> {
    let name = grade::required::<String>(matches, "name")?.clone();
    if !model::is_name(&name) {
        let (bytes, notes) = saved::read(Path::new(&name))?;
        let is_standardized = notes.is_some_and(|notes| notes.standardization.is_some());
        return Ok((bytes, is_standardized));
    }
    let server = grade::required::<String>(matches, "server")?;
    serve::runtime()?.block_on(async {
        let client = connect(server, matches).await?;
        let request = pb::ExportModelRequest { name };
        Ok((client.export_model(request).await?, false))
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
    let bytes = files::read(path, saved::MOST_BYTES, Links::Followed).map_err(Failure::usage)?;
    let said = Said {
        activation: chosen(matches, "activation", &ACTIVATIONS),
        loss: chosen(matches, "loss", &LOSSES),
    };
    let session = grade::required::<String>(matches, "session")?.clone();
    let model_id = grade::required::<String>(matches, "model-id")?.clone();
    // The import can be repeated after a broken connection.
    let request_id = random_id();
    let server = grade::required::<String>(matches, "server")?;
    let created = if is_of_others(&bytes) {
        let problem = |why| Failure::usage(format!("{}: {why}", path.display()));
        let read = sequential::read(&bytes, said).map_err(problem)?;
        if read.is_guess {
            eprintln!(
                "backpropd: {} does not say its activations: ReLU is assumed; --activation says another one",
                path.display()
            );
        }
        let request = pb::CreateModelRequest {
            session,
            model_id,
            spec: Some(read.spec),
            parameters: read.parameters,
            request_id,
            ..Default::default()
        };
        serve::runtime()?
            .block_on(async {
                Ok::<_, Failure>(
                    connect(server, matches)
                        .await?
                        .create_model(request)
                        .await?,
                )
            })?
            .model
    } else {
        if said.activation.is_some() || said.loss.is_some() {
            return Err(Failure::usage(
                "--activation and --loss are for a torch.nn.Sequential: a file of `backpropd export` states its own",
            ));
        }
        // What `train --save` adds for `predict` is not the server's.
        let (model, _) = saved::read(path)?;
        let request = pb::ImportModelRequest {
            session,
            model_id,
            request_id,
            data: model.into(),
        };
        serve::runtime()?
            .block_on(async {
                Ok::<_, Failure>(
                    connect(server, matches)
                        .await?
                        .import_model(request)
                        .await?,
                )
            })?
            .model
    };
    let name = created.map_or(String::new(), |model| model.name);
    grade::publish(&format!("{name}\n"), None)?;
    Ok(ExitCode::SUCCESS)
}

/// The value of an option's word.
fn chosen<V: Copy>(matches: &ArgMatches, option: &str, values: &[(&str, V)]) -> Option<V> {
    let word = matches.get_one::<String>(option)?;
    let value = values.iter().find(|(known, _)| known == word);
    value.map(|(_, value)| *value)
}

/// Whether a safetensors file was written by another program, or for one. What cannot be read is left to the server, which
/// says why.
fn is_of_others(bytes: &[u8]) -> bool {
    SafeTensors::read_metadata(bytes).is_ok_and(|(_, header)| {
        let metadata = header.metadata().as_ref();
        !metadata.is_some_and(|metadata| metadata.contains_key(OWN_METADATA))
    })
}
