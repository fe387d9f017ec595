//! `backpropd token`: the commands of docs/identity.md, and what they refuse.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};

use tempfile::TempDir;

use crate::pages::read;
use crate::server::program;

/// A gradebook as Canvas exports it, with names that a spreadsheet would take for formulas.
const ROSTER: &str = "\u{feff}Student,ID,SIS Login ID,Section\n\
                      Points Possible,,,\n\
                      \"Student, Test\",99,a3f0,A\n\
                      \"Lovelace, Ada\",1,ada@uni.edu,A\n\
                      \"=HYPERLINK(1)\",2,alan@uni.edu,A\n";

fn token(folder: &Path, arguments: &str) -> Output {
    let mut command = program();
    command
        .current_dir(folder)
        .env_remove("BACKPROPD_AUTH_SECRET_FILE");
    command.arg("token").args(arguments.split_whitespace());
    command.output().expect("it runs")
}

fn done(folder: &Path, arguments: &str) -> String {
    let output = token(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

#[track_caller]
fn refused(folder: &Path, arguments: &str, code: i32, parts: &[&str]) {
    let output = token(folder, arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments}: {errors}");
    for part in parts {
        assert!(errors.contains(part), "{arguments}: {errors}");
    }
}

fn folder() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("roster.csv"), ROSTER).expect("writable");
    done(folder.path(), "--new-secret secrets");
    folder
}

#[test]
fn the_commands_of_the_chapter_sign_tokens_that_verify() {
    let folder = TempDir::new().expect("a folder");
    let at = folder.path();
    fs::write(at.join("roster.csv"), ROSTER).expect("writable");
    let page = read("docs/identity.md");
    let lines = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ backpropd token "));
    let mut printed = Vec::new();
    for line in lines {
        let (arguments, file) = line.split_once(" > ").unwrap_or((line, ""));
        // The page is read long after it was written.
        let output = done(at, &arguments.replace("2027-01-20", "90d"));
        if !file.is_empty() {
            fs::write(at.join(file), &output).expect("writable");
        }
        printed.push(output);
    }
    assert_eq!(printed.len(), 3, "the page has three commands");
    let mode = fs::metadata(at.join("secrets"))
        .expect("written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let verified = done(
        at,
        &format!("--secret-file secrets --inspect {}", printed[1].trim()),
    );
    assert!(
        verified.contains("for ada@uni.edu with the role instructor"),
        "{verified}"
    );

    let mut table = csv::Reader::from_reader(printed[2].as_bytes());
    let header = table.headers().expect("a header").clone();
    let column = |name: &str| header.iter().position(|it| it == name).expect("a column");
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.expect("a row")).collect();
    assert_eq!(
        rows.len(),
        2,
        "no token for the points possible and the test student"
    );
    let subjects: Vec<&str> = rows.iter().map(|row| &row[column("sub")]).collect();
    assert_eq!(subjects, ["ada@uni.edu", "alan@uni.edu"]);
    assert_eq!(&rows[1][0], "'=HYPERLINK(1)", "no formula");
    assert_ne!(rows[0][column("token_id")], rows[1][column("token_id")]);
    for row in &rows {
        let arguments = format!(
            "--secret-file secrets --json --inspect {}",
            &row[column("token")]
        );
        let verified: serde_json::Value =
            serde_json::from_str(&done(at, &arguments)).expect("JSON");
        assert_eq!(verified["valid"], true);
        assert_eq!(verified["claims"]["sub"], row[column("sub")]);
        assert_eq!(verified["claims"]["role"], "student");
        assert_eq!(verified["claims"]["jti"], row[column("token_id")]);
    }
}

#[test]
fn a_token_that_does_not_verify_is_shown_and_said_to_be_none() {
    let folder = folder();
    let at = folder.path();
    done(at, "--new-secret other");
    let signed = done(at, "--secret-file secrets --sub ada --expires 1h");
    let signed = signed.trim();
    for (flags, said) in [
        (
            "--secret-file other",
            "refused: the token's signature does not verify",
        ),
        (
            "--secret-file secrets --audience us",
            "refused: the token is for another audience",
        ),
        ("", "not checked"),
    ] {
        let output = token(at, &format!("{flags} --inspect {signed}"));
        assert_eq!(output.status.code(), Some(1), "{flags}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            text.contains(said) && text.contains("\"sub\":\"ada\""),
            "{text}"
        );
    }
    let mut child = program()
        .current_dir(at)
        .args(["token", "--secret-file", "secrets", "--inspect", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut input = child.stdin.take().expect("piped");
    writeln!(input, "{signed}").expect("it reads");
    drop(input);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_list_needs_one_column_and_its_names_once() {
    let folder = folder();
    let at = folder.path();
    let signing = "--secret-file secrets --expires 1h";
    fs::write(at.join("subs.csv"), "sub\nada\nalan\n").expect("writable");
    let tokens = done(at, &format!("{signing} --roster subs.csv"));
    let heading = "sub,role,expires,token_id,token\n";
    assert!(
        tokens.starts_with(heading) && tokens.contains("\nalan,student,"),
        "{tokens}"
    );
    // What this command prints, it reads: for the next term.
    fs::write(at.join("tokens.csv"), &tokens).expect("writable");
    let renewed = done(at, &format!("{signing} --role grader --roster tokens.csv"));
    assert!(
        renewed.starts_with(heading) && renewed.contains("\nalan,grader,"),
        "{renewed}"
    );
    // A column of any name, if it is named.
    fs::write(at.join("kennung.csv"), "Kennung\nada\n").expect("writable");
    let named = done(
        at,
        &format!("{signing} --roster kennung.csv --column Kennung"),
    );
    assert!(
        named.starts_with("Kennung,sub,") && named.contains("\nada,ada,student,"),
        "{named}"
    );
    fs::write(
        at.join("doubled.csv"),
        "email,name, Email,note,name,x\na@x,b,c@x,d,e,f\n",
    )
    .expect("writable");
    refused(
        at,
        &format!("{signing} --roster doubled.csv"),
        2,
        &["doubled.csv", "several columns have the name Email, name:"],
    );
}

#[test]
fn a_token_of_characters_that_turn_a_line_around_is_shown_with_their_numbers() {
    use base64::Engine as _;
    let folder = folder();
    let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let claims = "{\"sub\":\"Zoë\u{202e}nimda\u{9b}\"}";
    let forged = format!("{}.{}.AA", part("{\"alg\":\"HS256\"}"), part(claims));
    for flag in ["", "--json"] {
        let output = token(folder.path(), &format!("{flag} --inspect {forged}"));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(text.contains("Zoë\\u202enimda\\u009b"), "{text}");
        assert!(!text.contains(['\u{202e}', '\u{9b}']), "{text}");
    }
}

#[test]
fn what_would_be_unsafe_or_is_not_meant_is_refused_with_what_to_do() {
    let folder = folder();
    let at = folder.path();
    refused(
        at,
        "--new-secret secrets",
        1,
        &["secrets", "exists", "above"],
    );
    refused(
        at,
        "--sub ada --expires 1h",
        2,
        &["--secret-file", "--new-secret"],
    );
    let signing = "--secret-file secrets";
    refused(
        at,
        &format!("{signing} --sub ada"),
        2,
        &["--expires", "90d"],
    );
    refused(
        at,
        &format!("{signing} --sub ada --expires soon"),
        2,
        &["soon", "2027-01-20"],
    );
    refused(
        at,
        &format!("{signing} --sub ada --expires 2020-01-01"),
        2,
        &["from now"],
    );
    refused(
        at,
        &format!("{signing} --sub ada --expires 1h --role root"),
        2,
        &["student", "admin"],
    );
    refused(
        at,
        &format!("{signing} --roster roster.csv --expires 1h --column Mail"),
        2,
        &["Mail", "SIS Login ID"],
    );
    fs::write(at.join("twice.csv"), "name,email\na,x@y\nb,\nc,x@y\n").expect("writable");
    refused(
        at,
        &format!("{signing} --roster twice.csv --expires 1h"),
        2,
        &["line 3", "lines 2 and 4", "x@y"],
    );
    fs::write(at.join("short"), "sesame\n").expect("writable");
    refused(
        at,
        "--secret-file short --sub ada --expires 1h",
        2,
        &["6 bytes", "at least 32"],
    );
    fs::set_permissions(at.join("secrets"), fs::Permissions::from_mode(0o644)).expect("ours");
    let output = token(at, &format!("{signing} --sub ada --expires 1h"));
    assert!(output.status.success());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("warning") && errors.contains("chmod 600"),
        "{errors}"
    );
}
