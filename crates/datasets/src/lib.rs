//! Datasets: rows of numbers, each with what to predict of it.
//!
//! [`open`] reads a file of any format below; [`Dataset`] is the result, immutable and cheap to clone. [`Upload`] writes
//! the canonical form of one that arrives in pieces. A dataset that fits the memory it may take is loaded once; a larger
//! one is read in blocks, which needs a format with its numbers at fixed places.
//!
//! | Format | In blocks |
//! |---|---|
//! | `.safetensors`, the canonical form: `inputs` and `labels` or `targets` | yes |
//! | `.npy` beside `NAME.labels.npy` or `NAME.targets.npy` | in C order, little-endian |
//! | `.npz` with `x` and `y`, or `x_train` and `y_train` | no |
//! | `.csv`, `.tsv`, `.csv.gz`, `.tsv.gz` | no |
//! | IDX, as MNIST comes: `…-images-idx3-ubyte` beside `…-labels-idx1-ubyte`, also `.gz` | if not compressed |
//!
//! It does file IO, and knows no server.

#[cfg(target_endian = "big")]
compile_error!("the canonical form of a dataset is little-endian, and is read without conversion");

mod arrays;
mod averages;
mod canonical;
mod csv;
mod dataset;
mod digest;
mod digits;
mod element;
mod encoding;
mod error;
mod file;
mod header;
mod idx;
mod inputs;
mod labels;
pub mod npy;
mod npz;
mod numbers;
mod open;
mod options;
mod split;
mod standardization;
mod summary;
mod table;
mod truth;
mod upload;
mod write;

pub use canonical::{read_note, read_summary};
pub use dataset::Dataset;
pub use digest::ContentDigest;
pub use digits::digits;
pub use encoding::{Column, Encoding};
pub use error::{Advice, Fault, OpenError, ReadError, UploadError};
pub use header::UploadHeader;
pub use inputs::Inputs;
pub use open::{FoundFile, TruthFile, find, open, open_inputs, open_pair};
pub use options::OpenOptions;
pub use split::{Parts, Split};
pub use standardization::{Moments, Standardization};
pub use summary::Summary;
pub use truth::{TruthKind, TruthRows, TruthSlices};
pub use upload::{Upload, remove_partial};
