//! The engine against outside authorities: PyTorch's numbers, central differences, and itself under other
//! circumstances (threads, batches, interruptions).

mod activations;
mod blocks;
mod cases;
mod determinism;
mod goldens;
mod gradients;
mod redo;
mod steps;
