//! `backpropd grade` on a folder as students fill it: nothing in it hangs the command, takes its memory, hides another
//! hand-in or reaches what is outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const RIGHT: &str = r#"{"assignment": "hw-backprop", "answers": {"1.1": "\\delta h^2_{1,1}"}}"#;
const RIGHT_TEX: &str = r"\begin{answer}{1.1} \delta h^2_{1,1} \end{answer}";

/// Long beyond what grading takes; a command that hangs never ends.
const PATIENCE: Duration = Duration::from_secs(120);

fn run(arguments: &[&str], folder: &Path) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_backpropd"))
        .args(arguments)
        .current_dir(folder)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let started = Instant::now();
    while child.try_wait().expect("it can be waited for").is_none() {
        if started.elapsed() > PATIENCE {
            let _ = child.kill();
            panic!("{arguments:?} does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("it ended")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn every_file_of_a_class_has_its_line_and_the_rest_is_graded() {
    let folder = tempfile::tempdir().expect("a folder");
    let class = folder.path().join("class");
    fs::create_dir(&class).expect("a folder");
    let put = |name: &str, text: &[u8]| fs::write(class.join(name), text).expect("writable");
    put("ada.json", RIGHT.as_bytes());
    put("ada.tex", RIGHT_TEX.as_bytes());
    put("binary.toml", b"\xff\xfe");
    put("deep.json", "[".repeat(1_000_000).as_bytes());
    put(
        "deep.toml",
        format!("a = {}", "[".repeat(100_000)).as_bytes(),
    );
    put("escape\u{1b}[2J.json", b"{\"\x1b[31m\": ");
    put("paper.pdf", b"%PDF");
    put(".json", RIGHT.as_bytes());
    put(".TEX", RIGHT_TEX.as_bytes());
    put(".npz", b"PK");
    put(".DS_Store", b"not handed in");
    let _socket = UnixListener::bind(class.join("socket.json")).expect("it can be made");
    fs::write(folder.path().join("key.json"), RIGHT).expect("writable");
    symlink("../key.json", class.join("thief.json")).expect("a link");
    symlink("ada.json", class.join("copy.json")).expect("a link");
    symlink("/dev/zero", class.join("zero.json")).expect("a link");
    symlink("nowhere", class.join("broken.json")).expect("a link");
    fs::create_dir(class.join("folder.json")).expect("a folder");
    let huge = fs::File::create(class.join("huge.json")).expect("writable");
    huge.set_len(1 << 40).expect("a hole");
    let pipe = Command::new("mkfifo").arg(class.join("pipe.json")).status();
    assert!(pipe.expect("mkfifo runs").success());

    let output = run(&["grade", "class", "--out", "reports"], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let line = |name: &str| {
        let found = table.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("{name} is missing in\n{table}"))
            .to_owned()
    };
    for graded in ["ada.json ", "ada.tex "] {
        assert!(line(graded).contains(" 2.00 of 50"), "{}", line(graded));
    }
    for (unread, why) in [
        ("binary ", "UTF-8"),
        ("broken ", "symbolic link"),
        ("copy ", "symbolic link"),
        ("deep.json ", ""),
        ("deep.toml ", ""),
        ("folder ", "folder"),
        ("huge ", "more than"),
        ("paper ", "not a .json, .toml or .tex"),
        ("pipe ", "pipe"),
        ("socket ", "it is a socket"),
        (".json ", "rename it"),
        (".TEX ", "rename it"),
        (".npz ", "rename it"),
        ("thief ", "symbolic link"),
        ("zero ", "symbolic link"),
    ] {
        let line = line(unread);
        assert!(
            line.contains(" 0.00 of 50 ") && line.contains(why),
            "{line}"
        );
    }
    assert!(table.contains("18 submissions, 0.22 points"), "{table}");
    assert!(table.contains("16 could not be read"), "{table}");
    let all = format!("{table}{}", text(&output.stderr));
    assert!(!all.contains('\u{1b}'), "{all:?}");
    assert!(!all.contains("DS_Store"), "{all:?}");
    for report in ["ada.json.txt", "ada.tex.txt"] {
        assert!(
            folder.path().join("reports").join(report).is_file(),
            "{report}"
        );
    }
}

#[test]
fn a_file_that_is_no_file_is_refused_wherever_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("ok.json"), RIGHT).expect("writable");
    let pipe = Command::new("mkfifo")
        .arg(folder.path().join("pipe.json"))
        .status();
    assert!(pipe.expect("mkfifo runs").success());
    for name in ["zero.json", "zero.npz", "zero.npy", "zero.csv"] {
        symlink("/dev/zero", folder.path().join(name)).expect("a link");
    }
    for arguments in [
        &["grade", "pipe.json"][..],
        &["grade", "zero.json"],
        &["lint-key", "pipe.json"],
        &["grade-gradients", "pipe.json"],
        &["grade-gradients", "zero.npz"],
        &["grade-gradients", "zero.npy"],
        &["train", "--data", "zero.csv"],
        &["train", "--data", "zero.npy", "--labels", "zero.npy"],
    ] {
        let output = run(arguments, folder.path());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains("not a file"), "{arguments:?}: {told}");
    }
    let output = run(&["grade", "ok.json"], folder.path());
    assert_eq!(output.status.code(), Some(0));
}
