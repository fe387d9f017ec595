//! Converts between protobuf and the domain. Requests are validated here, once; replies cannot fail.

pub mod dataset;
pub mod gradient_sets;
pub mod grading;
pub mod model;
pub mod quantity;
pub mod run;
pub mod shared_fields;
pub mod spec;
pub mod submitted;
pub mod target;
pub mod tensor;
pub mod training;
pub mod update_mask;
