//! Hands the arguments over and returns the exit code.

use std::process::ExitCode;

/// A static binary would otherwise use its libc's allocator, which is slow under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    backpropd::cli::run(std::env::args_os())
}
