//! The host without sockets, on a clock that only the test moves.

mod fixture;
mod shared;
mod survival;
mod training;
mod turns;
