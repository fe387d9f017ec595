//! backpropd: a gRPC service that trains multi-layer perceptrons and shows every quantity of the backward pass.
//!
//! The tree, from the inside out; each module imports only those above it in this list. Those without IO are crates of
//! their own, in `crates/`, as is the client (`backpropd_client`), which `rpc` and `cli` know:
//!
//! - [`fault`]: every fault of a request, with its place.
//! - [`nn`]: the engine. Forward, backward, losses, optimizers, central differences; pure, generic over `f32`, `f64`.
//! - [`formula`]: formulas of the backward pass, read from LaTeX or plain text, and evaluated; pure.
//! - [`grade`]: assignments, reference values, verdicts, mistakes, reports; pure.
//! - `backpropd_identity`: roles, and tokens that name a person and a role; pure.
//! - [`training`]: models, runs, sessions and their quotas; pure state.
//! - [`store`]: snapshots on disk, committed whole; knows files and bytes only.
//! - [`config`]: every limit and address, one table.
//! - `host`: models that live, train and survive, for any kind of caller; knows no HTTP, no protobuf, no tonic.
//! - [`status`]: a refusal as a caller sees it, one table of errors.
//! - `encoded`: a reply that is bytes already, on its way from a handler to its connection.
//! - `transport`: connections and bytes. It and `rpc` do not know each other.
//! - [`rpc`]: protobuf in, protobuf out.
//! - `gateway`: requests of browsers and curl, before and behind the call log of `transport`. It and `rpc` do not know
//!   each other.
//! - [`server`]: the rooms put together and served.
//! - [`cli`]: the commands, one file for each.

pub mod cli;
pub mod config;
mod encoded;
mod gateway;
mod host;
pub mod rpc;
pub mod server;
pub mod status;
pub mod store;
mod transport;

pub use backpropd_engine::{fault, nn};
pub use backpropd_grader::{formula, grade};
pub use backpropd_training::training;

pub use crate::host::trash;

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::path::Path;

    /// `cargo run -p backpropd-codegen -- --check` compares every byte, and takes a minute to build.
    #[test]
    fn the_generated_code_is_that_of_the_protos() {
        let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
        let mut files: Vec<_> = fs::read_dir(proto.join("backprop/v1"))
            .expect("the protos are part of the repository")
            .map(|entry| entry.expect("readable").path())
            .collect();
        files.sort();
        let mut digests = String::new();
        for file in files {
            let name = file.file_name().expect("a name").to_string_lossy();
            let digest = blake3::hash(&fs::read(&file).expect("readable"));
            writeln!(digests, "{digest}  {name}").expect("memory");
        }
        let generated = fs::read_to_string(proto.join("generated/protos.blake3"));
        assert_eq!(
            generated.expect("it is part of the repository"),
            digests,
            "a proto has changed: run `cargo run -p backpropd-codegen` and commit what it writes"
        );
    }
}
