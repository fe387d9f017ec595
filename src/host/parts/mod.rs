//! Request parts: decoded, but not yet converted to a model's scalar type or checked against its shape.

pub mod batch;
pub mod dataset_rows;
pub mod gradient;
pub mod integers;
pub mod parameters;
pub mod run;
pub mod tensor;
