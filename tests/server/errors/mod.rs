//! Refusals: each has its code, its reason and the details that fit it, and changes nothing.

mod fields;
mod integers;
mod limits;
mod names;
mod wire;
