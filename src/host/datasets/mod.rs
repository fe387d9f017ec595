//! Datasets: shared ones from a folder of the server, and those that clients create in their sessions. Each is opened on
//! first use, in memory if it fits into the memory for datasets, and once for all who use it.

mod catalogue;
mod create;
mod delete;
mod entry;
mod fit;
mod outline;
mod reads;
mod samples;
mod selected;
mod startup;

pub use catalogue::{Catalogue, SharedDataset};
pub use create::{Begun, NewDataset, Piece};
pub use entry::DatasetState;
pub use outline::{About, ListedDataset, Outline};
pub use samples::Found;
pub use startup::SharedDatasetsError;
