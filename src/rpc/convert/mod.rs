//! Between protobuf and the domain: what comes in is checked once, here; what goes out cannot fail.

pub mod grading;
pub mod model;
pub mod request;
pub mod spec;
pub mod submitted;
pub mod target;
pub mod tensor;
pub mod training;
