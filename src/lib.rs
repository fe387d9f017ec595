//! backpropd: a gRPC service that trains multi-layer perceptrons and shows every quantity of the backward pass.
//!
//! The tree, from the inside out; each module imports only those above it in this list:
//!
//! - [`nn`]: the engine. Forward, backward, losses, optimizers, central differences; pure, generic over `f32`, `f64`.
//! - [`formula`]: formulas of the backward pass, read from LaTeX or plain text, and evaluated; pure.
//! - [`grade`]: assignments, reference values, verdicts, mistakes, reports; pure.
//! - [`training`]: models, runs, sessions and their quotas; pure state.
//! - [`store`]: snapshots on disk, committed whole; knows files and bytes only.
//! - [`config`]: every limit and address, one table.
//! - [`service`]: the edge, the only code that knows gRPC and protobuf: conversions, errors, threads, connections.
//! - [`cli`]: the commands, one file for each.

pub mod cli;
pub mod config;
pub mod formula;
pub mod grade;
pub mod nn;
pub mod service;
pub mod store;
pub mod training;
