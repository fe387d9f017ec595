//! Generates `proto/generated` from `proto/backprop`, and the descriptors of the Python package and of Envoy; with `--check`, reports which of its files are stale instead.
//!
//! The output is committed because the protobuf compiler and the code formatter make up a third of a clean build, while
//! the protos change a few times a year. protox is a compiler in Rust, so `protoc` is not needed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

use prost::Message as _;

/// The server's codec. Clients use prost's.
const CODEC: &str = "crate::rpc::CountingCodec";
/// The messages, for the server.
const MESSAGES: &str = "::backpropd_client::pb";
/// The server's one reply that is encoded straight to the wire; it replaces the message of the same name.
const GRADIENTS_REPLY: &str = "crate::rpc::GradientsReply";

/// The package in Python builds its messages from this copy when it is imported.
const DESCRIPTORS_OF_PYTHON: &str = "../../python/backpropd/descriptors.binpb";
/// Envoy finds the session in a message by this copy, which lies beside its configuration as one piece to mount.
const DESCRIPTORS_OF_ENVOY: &str = "../../deploy/envoy/descriptors.binpb";

/// The generated files: names, relative to `proto/generated`, and bytes.
type Output = BTreeMap<&'static str, Vec<u8>>;

fn main() -> ExitCode {
    let check = match &env::args().skip(1).collect::<Vec<_>>()[..] {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => {
            eprintln!("usage: cargo run -p backpropd-codegen [-- --check]");
            return ExitCode::from(2);
        }
    };
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let done = generate(&proto).and_then(|output| {
        if check {
            Ok(stale(&output, &proto.join("generated")))
        } else {
            write(&output, &proto.join("generated"))?;
            Ok(Vec::new())
        }
    });
    match done {
        Ok(stale) if stale.is_empty() => ExitCode::SUCCESS,
        Ok(stale) => {
            eprintln!(
                "stale in proto/generated: {}. Run `cargo run -p backpropd-codegen` and commit what it writes",
                stale.join(", ")
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn generate(proto: &Path) -> Result<Output, Box<dyn Error>> {
    let mut files = fs::read_dir(proto.join("backprop/v1"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<PathBuf>, _>>()?;
    files.sort();
    let descriptors = protox::compile(&files, [proto])?;
    let mut digests = String::new();
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let digest = blake3::hash(&fs::read(file)?);
        writeln!(digests, "{digest}  {name}")?;
    }

    let scratch = env::temp_dir().join(format!("backpropd-codegen-{}", std::process::id()));
    let (messages, services) = (scratch.join("messages"), scratch.join("services"));
    fs::create_dir_all(&messages)?;
    fs::create_dir_all(&services)?;

    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".backprop.v1.Tensor.raw")
        .bytes(".backprop.v1.ExportModelResponse.data")
        .bytes(".backprop.v1.ImportModelRequest.data")
        .bytes(".backprop.v1.DatasetPiece")
        .boxed(".backprop.v1.GradientsRequest.target.inline")
        .out_dir(&messages)
        .compile_fds_with_config(descriptors.clone(), config)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path(CODEC)
        .extern_path(".backprop.v1", MESSAGES)
        .extern_path(".backprop.v1.GradientsResponse", GRADIENTS_REPLY)
        .out_dir(&services)
        .compile_fds_with_config(descriptors.clone(), tonic_prost_build::Config::new())?;

    let mut output = Output::new();
    output.insert("messages.rs", fs::read(messages.join("backprop.v1.rs"))?);
    output.insert("services.rs", fs::read(services.join("backprop.v1.rs"))?);
    output.insert(DESCRIPTORS_OF_PYTHON, descriptors.encode_to_vec());
    output.insert(DESCRIPTORS_OF_ENVOY, descriptors.encode_to_vec());
    output.insert("descriptors.binpb", descriptors.encode_to_vec());
    output.insert("protos.blake3", digests.into_bytes());
    fs::remove_dir_all(&scratch)?;
    Ok(output)
}

fn write(output: &Output, folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in output {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// The names of the files that differ from the generated output.
fn stale(output: &Output, folder: &Path) -> Vec<&'static str> {
    let differs = |(name, bytes): (&&str, &Vec<u8>)| {
        !fs::read(folder.join(name)).is_ok_and(|committed| committed == *bytes)
    };
    let stale = output.iter().filter(|(name, bytes)| differs((name, bytes)));
    stale.map(|(name, _)| *name).collect()
}
