//! Any bytes as the PDF of a sheet: answers or a reason, never a panic, and in bounded memory.
#![no_main]

use backpropd::cli::pdf::answers;
use backpropd::grade::submission::Submission;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = answers(bytes) {
        assert!(text.len() <= 1 << 20);
        let _ = Submission::from_tex(&text);
    }
});
