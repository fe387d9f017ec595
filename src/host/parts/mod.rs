//! What callers send, read but not yet of a model's type nor compared with its sizes.

pub mod batch;
pub mod integers;
pub mod parameters;
pub mod run;
pub mod tensor;
