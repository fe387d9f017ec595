//! Any bytes as the request of any method: an answer, never INTERNAL, never a panic.
#![no_main]

use std::sync::LazyLock;

use backpropd::server::fuzzing::Calls;
use libfuzzer_sys::fuzz_target;

static CALLS: LazyLock<Calls> = LazyLock::new(Calls::new);

fuzz_target!(|bytes: &[u8]| {
    if let [method, message @ ..] = bytes {
        CALLS.call(usize::from(*method), message);
    }
});
