//! Hands the arguments over and returns the exit code.

use std::process::ExitCode;

/// A static binary would otherwise use its libc's allocator, which is slow under many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Reads FAILPOINTS; without the feature there is nothing that would.
    #[cfg(feature = "failpoints")]
    let _faults = fail::FailScenario::setup();
    backpropd::cli::run(std::env::args_os())
}
