//! The host without sockets, on a clock that only the test moves.

mod contract;
mod fixture;
mod shared;
mod survival;
mod training;
mod turns;
