//! `backpropd grade` on a folder as students fill it: nothing in it hangs the command, takes its memory, hides another
//! hand-in or reaches what is outside.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const RIGHT: &str = r#"{"assignment": "hw-backprop", "answers": {"1.1": "\\delta h^2_{1,1}"}}"#;
const WRONG: &str = r#"{"assignment": "hw-backprop", "answers": {"1.1": "h^2_{1,1} h^1_{1,1}", "1.2": "h^2_{1,2} \\odot 3", "1.4": "W^3_{1,2} 7"}}"#;
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
        ("paper ", "no answers inside"),
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

/// A folder with files at these paths.
fn class(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        fs::write(path, text).expect("writable");
    }
    folder
}

/// The standard output of a command that ends with this code.
fn printed(code: i32, arguments: &[&str], folder: &Path) -> String {
    let output = run(arguments, folder);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    text(&output.stdout) + &told
}

#[test]
fn a_folder_of_folders_is_a_class_and_no_file_is_lost() {
    let folder = class(&[
        ("c/ada/answers.tex", RIGHT_TEX),
        ("c/ada/notes.md", "# hello"),
        ("c/alan/deep/er/hw.json", RIGHT),
        ("c/eve/hw.docx", "PK"),
        ("c/grace/a.json", RIGHT),
        ("c/grace/b.json", WRONG),
        (
            "c/Ida Noddack_4711_assignsubmission_file/hw.toml",
            "[answers]\n'1.1' = '\\delta h^2_{1,1}'\n",
        ),
        ("c/__MACOSX/ada/x.tex", "x"),
        ("c/mary.ipynb", "{}"),
        ("c/nora.json", r#"{"answers": {"1.1": "\delta h^2_{1,1}"}}"#),
        ("c/olga.zip", "PK"),
        ("c/.DS_Store", "x"),
    ]);
    fs::create_dir(folder.path().join("c/frances")).expect("a folder");
    let table = printed(2, &["grade", "c"], folder.path());
    for (name, points, rest) in [
        ("ada ", "2.00", "(not read: notes.md)"),
        ("alan ", "2.00", ""),
        ("eve ", "0.00", "a word processor's document is not read"),
        ("frances ", "0.00", "no file in it"),
        ("grace ", "0.00", "a.json and b.json hold different answers"),
        ("Ida Noddack (4711) ", "2.00", ""),
        ("mary ", "0.00", "a notebook is not read"),
        ("nora ", "2.00", ""),
        ("olga ", "0.00", "an archive is not read"),
    ] {
        let line = table.lines().find(|line| line.starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is missing in\n{table}"));
        assert!(
            line.contains(&format!(" {points} of 50")) && line.contains(rest),
            "{line}"
        );
    }
    assert!(table.contains("9 submissions"), "{table}");
    assert!(
        !table.contains("MACOSX") && !table.contains("DS_Store"),
        "{table}"
    );
}

#[test]
fn the_scores_of_a_class_go_into_the_platforms_own_list() {
    let folder = class(&[
        ("c/Ada Lovelace_12_assignsubmission_file_/hw.json", RIGHT),
        ("c/Alan Turing_13_assignsubmission_file_/hw.md", "x"),
        (
            "grades.csv",
            "Identifier,Full name,Email address,Status,Grade,Maximum grade,Feedback comments\n\
             Participant 12,Ada Lovelace,ada@uni.edu,,,50.00,\nParticipant 13,Alan Turing,alan@uni.edu,,,50.00,\n\
             Participant 14,Eve,eve@uni.edu,,,50.00,\n",
        ),
    ]);
    let arguments = [
        "grade",
        "c",
        "--format",
        "csv",
        "--roster",
        "grades.csv",
        "--out",
        "done.csv",
    ];
    let table = printed(2, &arguments, folder.path());
    assert!(table.contains("2 submissions"), "{table}");
    let list = fs::read_to_string(folder.path().join("done.csv")).expect("written");
    let lines: Vec<&str> = list.lines().collect();
    assert!(
        lines[1].starts_with("Participant 12,Ada Lovelace,ada@uni.edu,,2,50.00,2 of 50 points."),
        "{list}"
    );
    assert!(
        lines[2].contains(",,0,50.00,") && lines[2].contains("Markdown is not read"),
        "{list}"
    );
    assert_eq!(lines[3], "Participant 14,Eve,eve@uni.edu,,,50.00,");
    let plain = printed(2, &["grade", "c", "--format", "csv"], folder.path());
    let plain: Vec<&str> = plain.lines().collect();
    assert!(
        plain[0].starts_with("student,file,status,score,max_score,reason,1.1,1.2,"),
        "{plain:?}"
    );
    assert!(plain[1].contains(",graded,2,50,,2,0,"), "{plain:?}");
}

#[test]
fn a_regrading_differs_where_an_answer_does_and_nowhere_else() {
    let folder = class(&[
        ("c/ada.json", WRONG),
        ("c/alan.json", WRONG),
        ("c/eve.json", RIGHT),
    ]);
    let here = folder.path();
    let old = printed(0, &["grade", "c", "--format", "json"], here);
    let class: serde_json::Value = serde_json::from_str(&old).expect("JSON");
    assert_eq!(class["submissions"].as_array().map(Vec::len), Some(3));
    assert_eq!(
        class["pairs"][0]["students"],
        serde_json::json!(["ada", "alan"])
    );
    assert_eq!(
        class["alike"][0]["students"],
        serde_json::json!(["ada", "alan"])
    );
    fs::write(here.join("old.json"), old).expect("writable");
    let same = printed(0, &["grade", "c", "--compare", "old.json"], here);
    assert!(same.contains("0 of 3 submissions differ"), "{same}");
    fs::write(here.join("c/ada.json"), RIGHT).expect("writable");
    fs::remove_file(here.join("c/eve.json")).expect("it is there");
    let other = printed(1, &["grade", "c", "--compare", "old.json"], here);
    for expected in [
        "ada: 0.00 → 2.00 points",
        "→ CORRECT 2",
        "eve: only in the old grading",
        "2 of 2 submissions differ",
    ] {
        assert!(other.contains(expected), "{expected} in {other}");
    }
    let table = printed(0, &["grade", "c", "--alike"], here);
    assert!(table.contains("alike: "), "{table}");
}

#[test]
fn every_student_has_a_page_and_the_class_an_index() {
    let folder = class(&[
        ("c/ada l.json", RIGHT),
        ("c/index.json", WRONG),
        ("c/eve.md", "x"),
    ]);
    printed(
        2,
        &["grade", "c", "--format", "html", "--out", "pages"],
        folder.path(),
    );
    let page = |name: &str| {
        let path = folder.path().join("pages").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let index = page("index.html");
    assert!(
        index.contains("<a href=\"./ada%20l.html\">ada l</a>"),
        "{index}"
    );
    assert!(index.contains("<a href=\"./index-2.html\">"), "{index}");
    assert!(index.contains("Markdown is not read"), "{index}");
    let ada = page("ada l.html");
    assert!(ada.contains("✓ CORRECT") && ada.contains("<math"), "{ada}");
    assert!(page("index-2.html").contains("✗"));
    printed(2, &["grade", "c", "--format", "html"], folder.path());
}

#[test]
fn one_answer_one_question_or_standard_input_is_graded() {
    let folder = class(&[("ada.json", RIGHT), ("notes.md", "x")]);
    let here = folder.path();
    let tried = printed(0, &["grade", "--try", "1.1", r"-\delta h^2_{1,1}"], here);
    assert!(
        tried.contains("SIGN_FLIPPED") && tried.contains("of 2 points"),
        "{tried}"
    );
    assert!(!tried.contains("1.2"), "{tried}");
    let unknown = printed(2, &["grade", "--try", "9.9", "x"], here);
    assert!(
        unknown.contains("there is no question \"9.9\"") && unknown.contains("1.11"),
        "{unknown}"
    );
    let one = printed(
        0,
        &[
            "grade",
            "ada.json",
            "--question",
            "1.1",
            "--secret",
            "s",
            "--format",
            "json",
        ],
        here,
    );
    let one: serde_json::Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["max_score"], 2.0);
    assert!(one["receipt"].is_null(), "{one}");
    assert!(
        printed(2, &["grade", "notes.md"], here)
            .contains("hand in a .tex, .pdf, .json or .toml file")
    );

    let mut child = Command::new(env!("CARGO_BIN_EXE_backpropd"))
        .args(["grade", "-"])
        .stdin(fs::File::open(here.join("ada.json")).expect("it is there"))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    assert!(child.wait().expect("it ends").success());
    let output = child.wait_with_output().expect("it ended");
    assert!(text(&output.stdout).contains("2 of 50 points"));
}

#[test]
fn an_autograder_gets_a_report_whatever_was_handed_in() {
    let folder = class(&[
        ("right/hw.json", RIGHT),
        ("wrong/hw.json", "(("),
        (
            "metadata.json",
            r#"{"users": [{"name": "Ada", "email": "ada@uni.edu"}]}"#,
        ),
    ]);
    let grade = |of: &str| {
        let arguments = [
            "grade",
            of,
            "--autograder",
            "--metadata",
            "metadata.json",
            "--secret",
            "s",
            "--format",
            "gradescope",
            "--out",
            "results.json",
        ];
        printed(0, &arguments, folder.path());
        let text = fs::read_to_string(folder.path().join("results.json")).expect("written");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let wrong = grade("wrong");
    assert_eq!(wrong["score"], 0);
    assert!(
        wrong["output"]
            .as_str()
            .is_some_and(|why| why.contains("hw.json: line 1")),
        "{wrong}"
    );
    assert_eq!(grade("right")["score"], 2.0);
    let arguments = [
        "verify",
        "results.json",
        "right",
        "--secret",
        "s",
        "--student",
        "ada@uni.edu",
    ];
    assert!(printed(0, &arguments, folder.path()).starts_with("genuine"));
    let arguments = ["verify", "results.json", "right", "--secret", "t"];
    printed(1, &arguments, folder.path());
}

#[test]
fn a_pdf_is_graded_by_the_answers_inside_whatever_its_name_is() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/pdf");
    let folder = class(&[("c/none.pdf", "%PDF-1.5\n")]);
    for name in ["packed", "plain", "indirect", "encrypted"] {
        fs::copy(
            seeds.join(name),
            folder.path().join(format!("c/{name}.pdf")),
        )
        .expect("a seed");
    }
    let table = printed(2, &["grade", "c", "--question", "1.1"], folder.path());
    for (name, rest) in [
        ("packed ", "2.00 of 2"),
        ("plain ", "2.00 of 2"),
        ("indirect ", "2.00 of 2"),
        ("encrypted ", "0.00 of 2  "),
        ("none ", "hand in the .tex"),
    ] {
        let line = table.lines().find(|line| line.starts_with(name));
        assert!(
            line.is_some_and(|line| line.contains(rest)),
            "{name} in {table}"
        );
    }
    fs::rename(
        folder.path().join("c/plain.pdf"),
        folder.path().join("answers"),
    )
    .expect("a file");
    let one = printed(0, &["grade", "answers", "--question", "1.1"], folder.path());
    assert!(one.contains("2 of 2 points"), "{one}");
}

/// Answers that are not understood, equal ones that are wrong without a name, and one whose mistake has a name.
const UNJUDGED: [(&str, &str); 3] = [
    (
        "c/ada.json",
        r#"{"answers": {"1.1": "see my notes,  page 3", "1.2": "17 x_{1,1} + h^2_{1,1}"}}"#,
    ),
    (
        "c/alan.json",
        r#"{"answers": {"1.1": "see my notes, page 3", "1.2": "h^2_{1,1} + 17 x_{1,1}"}}"#,
    ),
    (
        "c/eve.json",
        r#"{"answers": {"1.1": "see my notes, page 3", "1.2": "-\\delta h^2_{1,2}"}}"#,
    ),
];

#[test]
fn answers_without_a_judgement_are_queued_as_a_draft_that_changes_nothing() {
    let folder = class(&UNJUDGED);
    let here = folder.path();
    let old = printed(0, &["grade", "c", "--format", "json"], here);
    fs::write(here.join("old.json"), old).expect("writable");
    let draft = printed(0, &["grade", "c", "--queue", "-"], here);
    let table: toml::Table = toml::from_str(&draft).unwrap_or_else(|why| panic!("{why}: {draft}"));
    assert_eq!(table["assignment"].as_str(), Some("hw-backprop"));
    let entries = table["overrides"].as_array().expect("entries");
    let questions: Vec<_> = entries.iter().map(|it| it["question"].as_str()).collect();
    assert_eq!(questions, [Some("1.1"), Some("1.2")], "{draft}");
    for expected in [
        "# 3 students: ada, alan, eve\n# INVALID: ",
        "# 2 students: ada, alan\n# INCORRECT, read as ",
        "# also written h^2_{1,1} + 17 x_{1,1}\n",
        "answer = '17 x_{1,1} + h^2_{1,1}'\nverdict = \"\"\nreason = \"\"\n",
    ] {
        assert!(draft.contains(expected), "{expected} in {draft}");
    }
    // A draft changes nothing, and is not replaced once it is there.
    printed(0, &["grade", "c", "--queue", "o.toml"], here);
    let told = printed(2, &["grade", "c", "--queue", "o.toml"], here);
    assert!(told.contains("may hold rulings"), "{told}");
    let again = [
        "grade",
        "c",
        "--overrides",
        "o.toml",
        "--compare",
        "old.json",
    ];
    let same = printed(0, &again, here);
    assert!(same.contains("2 entries have no verdict yet"), "{same}");
}

/// The class, its grading as `old.json`, and its draft with rulings as `o.toml`; returns the line of the ruling that no
/// answer of the class matches.
fn ruled_class() -> (tempfile::TempDir, usize) {
    let folder = class(&UNJUDGED);
    let here = folder.path();
    let old = printed(0, &["grade", "c", "--format", "json"], here);
    fs::write(here.join("old.json"), old).expect("writable");
    printed(0, &["grade", "c", "--queue", "o.toml"], here);
    let ruled = fs::read_to_string(here.join("o.toml")).expect("readable");
    let undecided = "verdict = \"\"\nreason = \"\"\n";
    let ruled = ruled
        .replacen(
            undecided,
            "verdict = 'CORRECT'\nreason = 'It is on page 3.'\n",
            1,
        )
        .replacen(
            undecided,
            "verdict = 'PARTIAL'\nreason = 'Half of it.'\npoints = 1.5\n",
            1,
        )
        + "[[overrides]]\nquestion = '2.1'\nanswer = 'x'\nverdict = 'INCORRECT'\nreason = 'No.'\n";
    fs::write(here.join("o.toml"), &ruled).expect("writable");
    let last = 1 + ruled
        .lines()
        .position(|line| line == "question = '2.1'")
        .expect("a line");
    (folder, last - 1)
}

#[test]
fn a_ruling_changes_every_equal_answer_and_shows_in_the_comparison() {
    let (folder, unused) = ruled_class();
    let here = folder.path();
    let table = printed(0, &["grade", "c", "--overrides", "o.toml"], here);
    for expected in [
        "ada     3.50 of 50",
        "1.1      INVALID → CORRECT 2 × 3: It is on page 3.",
        "1.2      INCORRECT → PARTIAL 1.5 × 2: Half of it.",
        &format!("1 of 3 rulings match no answer of the class: o.toml:{unused}\n"),
    ] {
        assert!(table.contains(expected), "{expected} in {table}");
    }
    let changes = printed(
        1,
        &[
            "grade",
            "c",
            "--overrides",
            "o.toml",
            "--compare",
            "old.json",
        ],
        here,
    );
    for expected in [
        "→ CORRECT 2 overruled",
        "3 of 3 submissions differ, 3 with more points",
    ] {
        assert!(changes.contains(expected), "{expected} in {changes}");
    }
    // Nothing is left to judge; one file is ruled as the class is.
    let rest = printed(
        0,
        &["grade", "c", "--overrides", "o.toml", "--queue", "-"],
        here,
    );
    assert!(!rest.contains("[[overrides]]"), "{rest}");
    let one = printed(0, &["grade", "c/eve.json", "--overrides", "o.toml"], here);
    assert!(
        one.contains("2/2  overruled") && one.contains("It is on page 3."),
        "{one}"
    );
}

#[test]
fn a_ruling_shows_in_every_output_of_a_class() {
    let (folder, _) = ruled_class();
    let here = folder.path();
    let csv = printed(
        0,
        &["grade", "c", "--overrides", "o.toml", "--format", "csv"],
        here,
    );
    assert!(
        csv.lines()
            .next()
            .is_some_and(|heading| heading.ends_with(",overruled")),
        "{csv}"
    );
    assert!(
        csv.contains(",1.1: CORRECT instead of INVALID: It is on page 3.\n"),
        "{csv}"
    );
    let json = printed(
        0,
        &["grade", "c", "--overrides", "o.toml", "--format", "json"],
        here,
    );
    let json = &json[..=json.rfind('}').expect("an object")];
    let class: serde_json::Value = serde_json::from_str(json).expect("JSON");
    assert_eq!(class["rulings"][0]["count"], 3);
    let question = &class["submissions"][0]["report"]["questions"][0];
    assert_eq!(question["ruling"]["reason"], "It is on page 3.");
    assert_eq!(question["ruling"]["instead_of"], "INVALID");
    let pages = ["--format", "html", "--out", "pages"];
    let html = [&["grade", "c", "--overrides", "o.toml"][..], &pages].concat();
    printed(0, &html, here);
    for (page, expected) in [
        ("index.html", "INCORRECT → PARTIAL 1.5 × 2: Half of it."),
        ("ada.html", "the program&#39;s verdict was INVALID"),
    ] {
        let text = fs::read_to_string(here.join("pages").join(page)).expect("a page");
        let text = text
            .replace("&apos;", "&#39;")
            .replace("program's", "program&#39;s");
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn all_faults_of_an_overrides_file_are_told_before_anything_is_graded() {
    let folder = class(&UNJUDGED);
    let here = folder.path();
    let wrong = "[[overrides]]\nquestion = '9.9'\nanswer = 'x'\nverdict = 'CORRECT'\nreason = 'r'\n\
                 [[overrides]]\nquestion = '1.1'\nanswer = 'x'\nverdict = 'RIGHT'\nreason = 'r'\n";
    fs::write(here.join("o.toml"), wrong).expect("writable");
    let told = printed(2, &["grade", "c", "--overrides", "o.toml"], here);
    for expected in [
        "o.toml:2: there is no question \"9.9\"",
        "o.toml:9: \"RIGHT\" is no verdict",
    ] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    assert!(!told.contains("points on average"), "{told}");
    let told = printed(
        2,
        &["grade", "c", "--queue", "q.toml", "--reveal", "verdict"],
        here,
    );
    assert!(told.contains("--reveal verdict"), "{told}");
    fs::write(here.join("other.toml"), "assignment = 'none'\n").expect("writable");
    let told = printed(2, &["grade", "c", "--overrides", "other.toml"], here);
    assert!(told.contains("there is no assignment \"none\""), "{told}");
}

#[test]
fn rulings_beside_an_assignment_apply_without_being_named() {
    let classifier =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assignments/classifier.toml");
    let classifier = fs::read_to_string(classifier).expect("it is there");
    let ruled = "[[overrides]]\nquestion = 'b'\nanswer = 'as in the lecture'\nverdict = 'CORRECT'\nreason = 'Agreed.'\n";
    let folder = class(&[
        ("a/classifier.toml", &classifier),
        ("a/classifier.overrides.toml", ruled),
        (
            "a/hw-backprop.overrides.toml",
            &ruled.replace("'b'", "'1.1'"),
        ),
        (
            "own.json",
            r#"{"assignment": "classifier", "answers": {"b": "as in  the lecture"}}"#,
        ),
        (
            "hw.json",
            r#"{"answers": {"1.1": "as in the lecture", "1.2": "as in the lecture"}}"#,
        ),
    ]);
    let here = folder.path();
    let own = printed(0, &["grade", "own.json", "--assignments", "a"], here);
    assert!(
        own.contains("Agreed.") && own.contains("\n2 of 17 points"),
        "{own}"
    );
    let hw = printed(0, &["grade", "hw.json", "--assignments", "a"], here);
    assert!(hw.contains("\n2 of 50 points"), "{hw}");
    // An autograder takes them along.
    let kit = [
        "kit",
        "prairielearn",
        "kit",
        "--assignment",
        "classifier",
        "--assignments",
        "a",
    ];
    printed(0, &[&kit[..], &["--binary", "own.json"]].concat(), here);
    let packed = here.join("kit/questions/backprop/tests/assignments/classifier.overrides.toml");
    assert_eq!(fs::read_to_string(packed).expect("packed"), ruled);
    // The file is no assignment for the commands that look for one.
    let sheet = printed(0, &["sheet", "classifier", "--assignments", "a"], here);
    assert!(sheet.contains("\\begin{answer}{b}"), "{sheet}");
    fs::write(
        here.join("a/classifier.overrides.toml"),
        ruled.replace("'b'", "'zz'"),
    )
    .expect("writable");
    let told = printed(2, &["grade", "hw.json", "--assignments", "a"], here);
    assert!(
        told.contains("classifier.overrides.toml:2: there is no question \"zz\""),
        "{told}"
    );
}

#[test]
fn an_instructor_sees_what_is_proved_about_each_question() {
    let classifier =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/assignments/classifier.toml");
    let text = fs::read_to_string(&classifier).expect("it is there");
    let closed = text
        + "\n[[questions]]\nid = \"z\"\npart = \"p\"\nprompt = \"q\"\npoints = 1\nkind = \"shape\"\nsolution = '3 \\times 2'\n";
    let folder = class(&[("closed.toml", &closed)]);
    let here = folder.path();
    let table = printed(0, &["check", "closed.toml"], here);
    let b = table
        .lines()
        .find(|line| line.starts_with("b "))
        .expect("a line");
    assert!(b.contains("3 × 2") && b.contains(" of "), "{b}");
    let z = table
        .lines()
        .find(|line| line.starts_with("z "))
        .expect("a line");
    assert!(z.contains("a shape") && !z.contains(" of "), "{z}");
    assert!(!table.contains("  met  "), "{table}");
    let one = printed(0, &["check", "closed.toml", "--question", "b"], here);
    assert!(
        one.contains("TRANSPOSED_RESULT differs on") && one.contains("  met  "),
        "{one}"
    );
    assert!(one.lines().all(|line| line.chars().count() <= 120), "{one}");
    assert!(!one.contains("\na: "), "{one}");
    let all = printed(0, &["check", "closed.toml", "--proofs"], here);
    assert!(all.contains("\na: ") && all.contains("\ng: "), "{all}");
    let told = printed(2, &["check", "closed.toml", "--question", "y"], here);
    assert!(told.contains("there is no question \"y\""), "{told}");
}

#[test]
fn gradients_alone_are_graded_at_the_numbers_that_the_assignment_gives() {
    let page = include_str!("../../docs/assignments.md");
    let section = page.split("<!-- given -->").nth(1).expect("a section");
    let assignment = section.split("```").nth(1).expect("a block");
    let numbers = assignment.trim_start_matches("toml");
    let folder = class(&[
        ("numbers.toml", numbers),
        (
            "right.json",
            r#"{"dW1": [[0, 0], [18, 36]], "dW2": [[0, -36]]}"#,
        ),
        ("unmasked.json", r#"{"dW1": [[-27, -54], [18, 36]]}"#),
        (
            "own.json",
            r#"{"dW1": [[0, 0], [18, 36]], "W1": [[1, -1], [2, 1]]}"#,
        ),
    ]);
    let here = folder.path();
    let grade = |code: i32, file: &str, given: &[&str]| {
        let mut arguments = vec!["grade-gradients", file, "--assignments", "."];
        arguments.extend(["--assignment", "numbers"]);
        arguments.extend(given);
        printed(code, &arguments, here)
    };
    let right = grade(0, "right.json", &[]);
    assert_eq!(right.matches("CORRECT").count(), 2, "{right}");
    assert!(!right.contains("INCORRECT"), "{right}");
    let unmasked = grade(0, "unmasked.json", &["--given", "small"]);
    assert!(unmasked.contains("MISSING_MASK"), "{unmasked}");
    let unknown = grade(2, "right.json", &["--given", "large"]);
    assert!(
        unknown.contains("the assignment numbers has \"small\""),
        "{unknown}"
    );
    let own = grade(2, "own.json", &["--given", "small"]);
    assert!(own.contains("these contain other arrays, too"), "{own}");
}
