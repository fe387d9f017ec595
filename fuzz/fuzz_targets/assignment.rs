//! Any text as an assignment file: refused with its faults, or one that can be graded by.
#![no_main]

use backpropd::grade::{Assignment, Grader};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(assignment) = Assignment::parse(text, "fuzz.toml") {
        // A refusal is an answer, too.
        let _ = Grader::new(assignment, b"fuzz");
    }
});
