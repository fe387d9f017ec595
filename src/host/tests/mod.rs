//! The host without sockets, on a clock that stands still until a test moves it.

mod fixture;
mod survival;
mod training;
mod turns;
