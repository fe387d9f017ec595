//! Any bytes as a token, and as the files that decide about tokens: a verdict, and never a token that verifies.
#![no_main]

use backpropd_identity::{PublicKeys, Revoked, Secrets, Verifier};
use libfuzzer_sys::fuzz_target;

const SECRET: &[u8] = b"a secret that no input of this test knows";

fuzz_target!(|data: &[u8]| {
    let _ = Secrets::read(data);
    let _ = Revoked::read(data);
    let verifier = Verifier {
        secrets: Secrets::read(SECRET).ok(),
        keys: PublicKeys::read(data).ok(),
        ..Verifier::default()
    };
    let text = String::from_utf8_lossy(data);
    assert!(verifier.verify(&text, 0).is_err(), "it verifies");
    let _ = backpropd_identity::unverified(&text);
});
