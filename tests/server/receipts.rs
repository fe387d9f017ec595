//! Receipts, from a server that signs to the command that verifies.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use backpropd::grade::GradeReport;
use tempfile::TempDir;

use super::fixture::Server;

const ANSWERS: &str = r#"{"answers": {"1.1": "\\delta h^2_{1,1}"}}"#;

/// Files of one test.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        desk.write("ada.json", ANSWERS);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn report(&self, name: &str) -> GradeReport {
        serde_json::from_str(&fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    fn write_report(&self, name: &str, report: &GradeReport) -> PathBuf {
        self.write(name, &serde_json::to_string(report).unwrap())
    }
}

fn backpropd(arguments: &[&dyn AsRef<Path>]) -> impl Future<Output = ExitCode> + use<> {
    let arguments = arguments
        .iter()
        .map(|argument| argument.as_ref().as_os_str().to_owned());
    let arguments: Vec<OsString> = std::iter::once("backpropd".into())
        .chain(arguments)
        .collect();
    // The command brings a runtime of its own.
    let ran = tokio::task::spawn_blocking(|| backpropd::cli::run(arguments));
    async { ran.await.unwrap() }
}

async fn grade_with(secret: &Path, answers: &Path, report: &Path) {
    let code = backpropd(&[
        &"grade",
        &answers,
        &"--secret-file",
        &secret,
        &"--format",
        &"json",
        &"--out",
        &report,
    ]);
    assert_eq!(code.await, ExitCode::SUCCESS);
}

async fn verify_with(secret: &Path, report: &Path, answers: &Path) -> ExitCode {
    backpropd(&[&"verify", &report, &answers, &"--secret-file", &secret]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_a_student_makes_is_never_genuine() {
    let desk = Desk::new();
    let answers = desk.path("ada.json");
    let usage = ExitCode::from(2);
    // Everything that needs no secret: a report of one's own, graded and verified by whoever likes.
    let report = desk.path("own.json");
    let graded = backpropd(&[&"grade", &answers, &"--format", &"json", &"--out", &report]).await;
    assert_eq!(graded, ExitCode::SUCCESS);
    assert_eq!(desk.report("own.json").receipt, None);
    assert_eq!(backpropd(&[&"verify", &report, &answers]).await, usage);
    for secret in ["public", "", " "] {
        let code = backpropd(&[&"verify", &report, &answers, &"--secret", &secret]).await;
        assert_eq!(code, usage, "{secret:?}");
    }
    let secret = desk.write("secret", "the course's own\n");
    assert_eq!(
        verify_with(&secret, &report, &answers).await,
        ExitCode::FAILURE
    );
    for content in ["public\n", "\n", "own\npublic\n"] {
        let weak = desk.write("weak", content);
        assert_eq!(verify_with(&weak, &report, &answers).await, usage);
    }

    // A genuine one, altered.
    let genuine = desk.path("genuine.json");
    grade_with(&secret, &answers, &genuine).await;
    assert_eq!(
        verify_with(&secret, &genuine, &answers).await,
        ExitCode::SUCCESS
    );
    let signed = desk.report("genuine.json");
    assert_eq!(signed.student.as_deref(), Some("ada"));
    let mut full = signed.clone();
    full.score = full.max_score;
    let mut later = signed.clone();
    later.graded_at = later.graded_at.map(|at| at - 86_400);
    let mut lent = signed.clone();
    lent.student = Some("eve".to_owned());
    let mut other = signed.clone();
    other.assignment_digest = Some("0".repeat(64));
    for forged in [full, later, lent, other] {
        let forged = desk.write_report("forged.json", &forged);
        assert_eq!(
            verify_with(&secret, &forged, &answers).await,
            ExitCode::FAILURE
        );
    }
    let others = desk.write("eve.json", r#"{"answers": {"1.1": "0"}}"#);
    assert_eq!(
        verify_with(&secret, &genuine, &others).await,
        ExitCode::FAILURE
    );
    let whose = |student: &'static str| {
        let (genuine, answers, secret) = (genuine.clone(), answers.clone(), secret.clone());
        async move {
            backpropd(&[
                &"verify",
                &genuine,
                &answers,
                &"--secret-file",
                &secret,
                &"--student",
                &student,
            ])
            .await
        }
    };
    assert_eq!(whose("ada").await, ExitCode::SUCCESS);
    assert_eq!(whose("eve").await, ExitCode::FAILURE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_signs_with_its_first_secret_and_all_of_them_verify() {
    let desk = Desk::new();
    let answers = desk.path("ada.json");
    let (old, new) = (
        desk.write("old", "of last year\n"),
        desk.write("new", "of this year"),
    );
    let both = desk.write("both", "of this year\nof last year\n");
    let mut receipts = Vec::new();
    for secrets in [&old, &both] {
        let file = secrets.to_str().unwrap().to_owned();
        let server = Server::with(|config| config.grading_secret_file = file).await;
        let url = format!("http://{}", server.address);
        let report = desk.path("served.json");
        let code = backpropd(&[
            &"grade",
            &answers,
            &"--server",
            &url,
            &"--student",
            &"Ada L.",
            &"--format",
            &"json",
            &"--out",
            &report,
        ]);
        assert_eq!(code.await, ExitCode::SUCCESS);
        let report = desk.report("served.json");
        assert_eq!(report.student.as_deref(), Some("Ada L."));
        receipts.push(report);
    }
    let [by_old, by_new] = <[GradeReport; 2]>::try_from(receipts).unwrap();
    let by_old = desk.write_report("by-old.json", &by_old);
    let by_new = desk.write_report("by-new.json", &by_new);
    let (yes, no) = (ExitCode::SUCCESS, ExitCode::FAILURE);
    for (secret, expected) in [(&old, [yes, no]), (&new, [no, yes]), (&both, [yes, yes])] {
        for (report, expected) in [&by_old, &by_new].into_iter().zip(expected) {
            assert_eq!(
                verify_with(secret, report, &answers).await,
                expected,
                "{secret:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_of_one_line_draws_the_networks_that_it_drew() {
    let desk = Desk::new();
    let answers = desk.path("ada.json");
    let (text, file) = (desk.path("text.json"), desk.path("file.json"));
    let code = backpropd(&[
        &"grade",
        &answers,
        &"--secret",
        &"of one line",
        &"--format",
        &"json",
        &"--out",
        &text,
    ]);
    assert_eq!(code.await, ExitCode::SUCCESS);
    // Verified by the file: the text is the same key.
    let secret = desk.write("secret", "  of one line \n\n");
    assert_eq!(
        verify_with(&secret, &text, &answers).await,
        ExitCode::SUCCESS
    );
    grade_with(&secret, &answers, &file).await;
    let (mut text, mut file) = (desk.report("text.json"), desk.report("file.json"));
    for report in [&mut text, &mut file] {
        (report.graded_at, report.receipt) = (None, None);
    }
    assert_eq!(text, file);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_given_time_of_grading_the_same_answers_get_the_same_receipt() {
    let desk = Desk::new();
    let (secret, report) = (
        desk.write("secret", "of this year"),
        desk.path("served.json"),
    );
    let mut reports = Vec::new();
    for time in [1_800_000_000, 1_800_000_000, 1_800_000_001] {
        let file = secret.to_str().unwrap().to_owned();
        let server = Server::with(|config| {
            config.grading_secret_file = file;
            config.grade_time = time;
        })
        .await;
        let url = format!("http://{}", server.address);
        let code = backpropd(&[
            &"grade",
            &desk.path("ada.json"),
            &"--server",
            &url,
            &"--format",
            &"json",
            &"--out",
            &report,
        ]);
        assert_eq!(code.await, ExitCode::SUCCESS);
        reports.push(desk.report("served.json"));
    }
    let [first, again, later] = <[GradeReport; 3]>::try_from(reports).unwrap();
    assert_eq!(first.graded_at, Some(1_800_000_000));
    assert!(first.receipt.is_some());
    assert_eq!(first, again);
    assert_ne!(first.receipt, later.receipt);
}
