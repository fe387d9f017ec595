//! The engine against independent references: PyTorch's numbers, central differences, and itself under other conditions
//! (threads, batches, interruptions).

mod activations;
mod blocks;
mod cases;
mod determinism;
mod evaluation;
mod explain;
mod goldens;
mod gradients;
mod random;
mod redo;
mod steps;
