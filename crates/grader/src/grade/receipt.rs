//! Receipts prove that a holder of the secret graded a student's answers with this score.

use std::collections::BTreeMap;
use std::fmt;

use super::GradeReport;

/// The context of key derivation, so that no other use of the secret derives the same key.
const CONTEXT: &str = "backpropd 2026-12 grading receipt v2";
/// The context for the names of keys.
const NAME_CONTEXT: &str = "backpropd 2026-12 name of a receipt key";
const VERSION: &str = "v2";
/// The default secret of commands. It is public, so it proves nothing.
pub const PUBLIC_SECRET: &[u8] = b"public";
/// The most secrets in a file.
pub const MAX_SECRETS: usize = 64;

/// The secrets in a file's content, with surrounding whitespace removed: each line of text that does not begin with `#`
/// is a secret, of which the first signs; binary content is a single secret. `None` if one of them is empty or public, or there are too many.
pub fn secrets(content: &[u8]) -> Option<Vec<Vec<u8>>> {
    let secrets: Vec<Vec<u8>> = match std::str::from_utf8(content) {
        Ok(text) => text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(|line| line.as_bytes().trim_ascii().to_vec())
            .filter(|secret| !secret.is_empty() && !secret.starts_with(b"#"))
            .collect(),
        Err(_) => vec![content.trim_ascii().to_vec()],
    };
    let is_secret = |secret: &Vec<u8>| !secret.is_empty() && secret != PUBLIC_SECRET;
    let fits = (1..=MAX_SECRETS).contains(&secrets.len());
    (fits && secrets.iter().all(is_secret)).then_some(secrets)
}

/// A name for a key that does not reveal it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyId(String);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Key {
    id: KeyId,
    mac: [u8; 32],
}

/// The keys of receipts: the first signs, all verify.
pub struct Keys(Vec<Key>);

/// Why a receipt is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGenuine {
    /// The report has no receipt.
    #[error("the report has no receipt: a report is signed where it is graded with a secret")]
    Missing,
    /// An old format that binds neither student nor time.
    #[error(
        "the receipt is of an older version, which names no student and no time: grade the answers again"
    )]
    Old,
    /// Not in the format of a receipt.
    #[error("the receipt is not one: it is cut off or altered")]
    Malformed,
    /// Signed with another secret.
    #[error("the receipt was made with the key {0}, and the secrets given have another one")]
    OtherKey(String),
    /// Signed for another report.
    #[error(
        "the receipt is not that of this report: the student, the time, the assignment, the answers or the score is another one"
    )]
    OtherReport,
}

impl Keys {
    /// The keys of these secrets; `None` if there is none, or one is empty or public and would prove nothing.
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Option<Self> {
        let proves = |secret: &S| {
            let secret = secret.as_ref().trim_ascii();
            !secret.is_empty() && secret != PUBLIC_SECRET
        };
        let key = |secret: &S| {
            let secret = secret.as_ref();
            let name = blake3::hash(&blake3::derive_key(NAME_CONTEXT, secret));
            Key {
                id: KeyId(name.to_hex()[..16].to_owned()),
                mac: blake3::derive_key(CONTEXT, secret),
            }
        };
        let all_prove = !secrets.is_empty() && secrets.iter().all(proves);
        all_prove.then(|| Self(secrets.iter().map(key).collect()))
    }

    /// Signs a report on these answers in its current state, including its student and time.
    pub fn sign(&self, report: &mut GradeReport, answers: &BTreeMap<String, String>) {
        report.receipt = self.0.first().map(|key| {
            let mac = mac(key, report, answers).to_hex();
            format!("{VERSION}-{}-{mac}", key.id)
        });
    }

    /// The key that signed this report on these answers, compared in constant time.
    ///
    /// # Errors
    /// No key did.
    pub fn verify(
        &self,
        report: &GradeReport,
        answers: &BTreeMap<String, String>,
    ) -> Result<KeyId, NotGenuine> {
        let receipt = report.receipt.as_deref().ok_or(NotGenuine::Missing)?;
        if receipt.starts_with("v1-") {
            return Err(NotGenuine::Old);
        }
        let mut parts = receipt.split('-');
        let (Some(VERSION), Some(id), Some(given), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotGenuine::Malformed);
        };
        let given = blake3::Hash::from_hex(given).map_err(|_| NotGenuine::Malformed)?;
        let mut keys = self.0.iter().filter(|key| key.id.0 == id).peekable();
        if keys.peek().is_none() {
            // The id comes from the report and may have any length.
            let shown = id.chars().take(16).collect();
            return Err(NotGenuine::OtherKey(shown));
        }
        // `blake3::Hash` compares in constant time.
        let signed = keys.find(|key| given == mac(key, report, answers));
        let key = signed.ok_or(NotGenuine::OtherReport)?;
        Ok(key.id.clone())
    }
}

/// A keyed BLAKE3 hash, used as a message authentication code. Every string and every list is hashed after its length,
/// and every optional part after a flag, so that different contents never hash the same bytes.
fn mac(key: &Key, report: &GradeReport, answers: &BTreeMap<String, String>) -> blake3::Hash {
    let mut parts = Parts(blake3::Hasher::new_keyed(&key.mac));
    parts.text(&key.id.0);
    parts.text(&report.assignment);
    parts.optional(report.assignment_digest.as_deref().map(str::as_bytes));
    parts.optional(report.student.as_deref().map(str::as_bytes));
    let time = report.graded_at.map(u64::to_le_bytes);
    parts.optional(time.as_ref().map(<[u8; 8]>::as_slice));
    parts.count(answers.len());
    for (id, answer) in answers {
        parts.text(id);
        parts.text(answer);
    }
    parts.count(report.questions.len());
    for question in &report.questions {
        parts.text(&question.id);
        parts.text(question.verdict.word());
        let mistake = question.mistake.map(|mistake| mistake.word().as_bytes());
        parts.optional(mistake);
        parts.number(question.points);
        parts.number(question.max_points);
    }
    parts.number(report.score);
    parts.number(report.max_score);
    parts.0.finalize()
}

struct Parts(blake3::Hasher);

impl Parts {
    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn number(&mut self, number: f64) {
        self.bytes(&number.to_le_bytes());
    }

    fn optional(&mut self, part: Option<&[u8]>) {
        self.0.update(&[u8::from(part.is_some())]);
        self.bytes(part.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::{Mistake, QuestionReport, Verdict};

    fn question(id: &str) -> QuestionReport {
        QuestionReport {
            id: id.to_owned(),
            verdict: Verdict::Partial,
            points: 1.5,
            max_points: 2.0,
            mistake: Some(Mistake::MissingMask),
            message: String::new(),
            understood: None,
            span: None,
            first_wrong_step: None,
            grid: None,
            advice: Vec::new(),
            hints: Vec::new(),
            reference: None,
            tags: Vec::new(),
            note: String::new(),
            ruling: None,
            named: None,
        }
    }

    fn report() -> GradeReport {
        GradeReport {
            assignment: "hw".to_owned(),
            assignment_digest: Some("ab".to_owned()),
            student: Some("ada".to_owned()),
            graded_at: Some(1_800_000_000),
            score: 1.5,
            max_score: 2.0,
            questions: vec![question("1")],
            unknown_answers: Vec::new(),
            receipt: None,
        }
    }

    fn answers(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |&(id, answer): &(&str, &str)| (id.to_owned(), answer.to_owned());
        pairs.iter().map(owned).collect()
    }

    fn keys(secrets: &[&str]) -> Keys {
        Keys::new(secrets).expect("they are secret")
    }

    #[test]
    fn a_receipt_holds_for_one_report_and_nothing_beside_it() {
        let keys = keys(&["a"]);
        let given = answers(&[("1", "x")]);
        let mut signed = report();
        assert_eq!(keys.verify(&signed, &given), Err(NotGenuine::Missing));
        keys.sign(&mut signed, &given);
        assert!(keys.verify(&signed, &given).is_ok());
        let other_answers = [
            &[][..],
            &[("1", "y")],
            &[("2", "x")],
            &[("1", "x"), ("2", "")],
        ];
        for other in other_answers {
            let verified = keys.verify(&signed, &answers(other));
            assert_eq!(verified, Err(NotGenuine::OtherReport), "{other:?}");
        }
        let changes: [fn(&mut GradeReport); 13] = [
            |report| report.student = Some("eve".to_owned()),
            |report| report.student = Some(String::new()),
            |report| report.student = None,
            |report| report.graded_at = Some(1_800_000_001),
            |report| report.graded_at = None,
            |report| report.assignment = "other".to_owned(),
            |report| report.assignment_digest = Some("cd".to_owned()),
            |report| report.score = 2.0,
            |report| report.max_score = 1.5,
            |report| report.questions[0].points = 2.0,
            |report| report.questions[0].verdict = Verdict::Correct,
            |report| report.questions[0].mistake = None,
            |report| report.questions.clear(),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut forged = signed.clone();
            change(&mut forged);
            let verified = keys.verify(&forged, &given);
            assert_eq!(verified, Err(NotGenuine::OtherReport), "change {at}");
        }
    }

    #[test]
    fn parts_do_not_run_together() {
        let keys = keys(&["a"]);
        let mac_of = |report: &GradeReport, answers| mac(&keys.0[0], report, &answers);
        // What one list loses the next one gains: two answers more are as many texts as a question's.
        let mut fewer = report();
        fewer.questions.clear();
        assert_ne!(
            mac_of(&fewer, answers(&[("1", "x"), ("1a", "PARTIAL")])),
            mac_of(&report(), answers(&[("1", "x")]))
        );
        let shifted = |student: &str, assignment: &str| GradeReport {
            student: Some(student.to_owned()),
            assignment: assignment.to_owned(),
            ..report()
        };
        assert_ne!(
            mac_of(&shifted("ab", "c"), answers(&[])),
            mac_of(&shifted("b", "ca"), answers(&[]))
        );
        assert_ne!(
            mac_of(&report(), answers(&[("1", "xy")])),
            mac_of(&report(), answers(&[("1x", "y")]))
        );
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let given = answers(&[]);
        let mut old = report();
        keys(&["old"]).sign(&mut old, &given);
        let mut new = report();
        let both = keys(&["new", "old"]);
        both.sign(&mut new, &given);
        assert!(both.verify(&old, &given).is_ok() && both.verify(&new, &given).is_ok());
        let id = both.verify(&new, &given).expect("genuine");
        assert_eq!(keys(&["new"]).verify(&new, &given), Ok(id));
        let refused = keys(&["new"]).verify(&old, &given);
        assert!(
            matches!(refused, Err(NotGenuine::OtherKey(_))),
            "{refused:?}"
        );
    }

    #[test]
    fn what_everybody_knows_proves_nothing() {
        for secrets in [
            &["public"][..],
            &[""],
            &[" "],
            &["a", "public"],
            &["public\n"],
            &[],
        ] {
            assert!(Keys::new(secrets).is_none(), "{secrets:?}");
        }
        for receipt in ["v1-00", "v2-", "v2-a-b", "v2--", "", "v3-a-b", "v2-a-b-c"] {
            let forged = GradeReport {
                receipt: Some(receipt.to_owned()),
                ..report()
            };
            assert!(keys(&["a"]).verify(&forged, &answers(&[])).is_err());
        }
    }

    #[test]
    fn a_file_of_one_line_is_the_secret_that_it_was() {
        let read = |content: &[u8]| secrets(content);
        let one = |secret: &[u8]| Some(vec![secret.to_vec()]);
        assert_eq!(read(b" a secret \n"), one(b"a secret"));
        assert_eq!(read(b"\n\na b\r\n\n"), one(b"a b"));
        assert_eq!(read(&[0xff, b'\n', 7]), one(&[0xff, b'\n', 7]), "not text");
        let two = Some(vec![b"new".to_vec(), b"old".to_vec()]);
        assert_eq!(read(b"new\r\n\n old"), two);
        let dressed = "\u{feff}new\n# replaced in May\n#older\nold\n";
        assert_eq!(read(dressed.as_bytes()), two);
        for content in [&b""[..], b" \n", b"public\n", b"a\npublic", b"# a\n"] {
            assert_eq!(read(content), None);
        }
        assert_eq!(read("a\n".repeat(MAX_SECRETS + 1).as_bytes()), None);
    }
}
