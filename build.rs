//! Compiles `proto/` with protox, a protobuf compiler in Rust, so that no `protoc` is needed.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let directory = PathBuf::from("proto/backprop/v1");
    let mut files = fs::read_dir(&directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();

    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("backprop.v1.descriptors"),
        descriptors.encode_to_vec(),
    )?;

    let mut messages = tonic_prost_build::Config::new();
    messages.enable_type_names();
    tonic_prost_build::configure()
        .codec_path("crate::service::CountingCodec")
        .bytes(".backprop.v1.Tensor.raw")
        .bytes(".backprop.v1.ExportModelResponse.data")
        .bytes(".backprop.v1.ImportModelRequest.data")
        .boxed(".backprop.v1.GradientsRequest.target.inline")
        .compile_fds_with_config(descriptors, messages)?;
    Ok(())
}
