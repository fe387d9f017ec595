//! Receipts: proof that answers got a score from somebody who holds the secret.

use std::collections::BTreeMap;

use super::GradeReport;

/// What keys are derived for, so that no other use of the secret makes the same one.
const CONTEXT: &str = "backpropd 2026-11 grading receipt";
const VERSION: &str = "v1-";

/// A keyed BLAKE3 hash, which is a message authentication code, over the assignment, every answer, and each
/// question's verdict and points.
pub fn receipt(secret: &[u8], report: &GradeReport, answers: &BTreeMap<String, String>) -> String {
    format!("{VERSION}{}", mac(secret, report, answers).to_hex())
}

/// Whether `report` carries the receipt that `secret` makes for it; compared in constant time.
pub fn verify(secret: &[u8], report: &GradeReport, answers: &BTreeMap<String, String>) -> bool {
    let given = report
        .receipt
        .as_deref()
        .and_then(|receipt| receipt.strip_prefix(VERSION));
    let given = given.and_then(|hex| blake3::Hash::from_hex(hex).ok());
    // `blake3::Hash` compares in constant time.
    given.is_some_and(|given| given == mac(secret, report, answers))
}

fn mac(secret: &[u8], report: &GradeReport, answers: &BTreeMap<String, String>) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(CONTEXT, secret));
    // Each part goes in behind its length, so that no two contents run together to the same bytes.
    let mut part = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    part(report.assignment.as_bytes());
    for (id, answer) in answers {
        part(id.as_bytes());
        part(answer.as_bytes());
    }
    for question in &report.questions {
        part(question.id.as_bytes());
        part(question.verdict.word().as_bytes());
        part(&question.points.to_le_bytes());
    }
    part(&report.score.to_le_bytes());
    part(&report.max_score.to_le_bytes());
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_holds_for_one_secret_one_score_and_one_set_of_answers() {
        let mut report = GradeReport {
            assignment: "hw".to_owned(),
            score: 1.5,
            max_score: 2.0,
            questions: Vec::new(),
            unknown_answers: Vec::new(),
            receipt: None,
        };
        let answers = BTreeMap::from([("1".to_owned(), "x".to_owned())]);
        assert!(!verify(b"a", &report, &answers), "there is none yet");
        report.receipt = Some(receipt(b"a", &report, &answers));
        assert!(verify(b"a", &report, &answers));
        assert!(!verify(b"b", &report, &answers));
        assert!(!verify(b"a", &report, &BTreeMap::new()));
        report.score = 2.0;
        assert!(!verify(b"a", &report, &answers));
    }
}
