//! Compiles `proto/` with protox, a protobuf compiler in Rust, so that no `protoc` is needed.

use std::{env, fs, path::PathBuf};

use prost::Message as _;

const CODEC: &str = "crate::service::CountingCodec";

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
        .build_server(false)
        .codec_path(CODEC)
        .bytes(".backprop.v1.Tensor.raw")
        .bytes(".backprop.v1.ExportModelResponse.data")
        .bytes(".backprop.v1.ImportModelRequest.data")
        .boxed(".backprop.v1.GradientsRequest.target.inline")
        .compile_fds_with_config(descriptors.clone(), messages)?;

    // The services, which answer with the same messages, but for the one that is written straight to the wire.
    let served = out.join("served");
    fs::create_dir_all(&served)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path(CODEC)
        .extern_path(".backprop.v1", "crate::service::pb")
        .extern_path(
            ".backprop.v1.GradientsResponse",
            "crate::service::GradientsReply",
        )
        .out_dir(served)
        .compile_fds_with_config(descriptors, tonic_prost_build::Config::new())?;
    Ok(())
}
