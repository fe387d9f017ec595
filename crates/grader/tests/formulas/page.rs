//! The forms and the words that the page for students shows are read as it says.

use std::fs;

use super::{Verdict, judge};

/// The table between two comments of the page.
fn table(name: &str) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notation.md");
    let page = fs::read_to_string(path).expect("it is part of the repository");
    let (_, table) = page
        .split_once(&format!("<!-- {name} -->"))
        .expect("a table");
    let (table, _) = table
        .split_once(&format!("<!-- /{name} -->"))
        .expect("its end");
    table.to_owned()
}

#[test]
fn every_form_that_the_page_shows_is_right() {
    let table = table("forms");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| "));
    let mut forms = 0;
    for row in rows.filter(|row| row.starts_with(|c: char| c.is_ascii_digit())) {
        let (id, _) = row.split_once(',').expect("a question");
        for form in row.split('`').skip(1).step_by(2) {
            let report = judge(id, form);
            assert_eq!(
                report.verdict,
                Verdict::Correct,
                "{id}: {form}: {}",
                report.message
            );
            forms += 1;
        }
    }
    assert!(forms > 20, "{forms} forms");
}

#[test]
fn words_are_read_as_the_page_says() {
    let table = table("words");
    let rows = table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'));
    let mut examples = 0;
    let mut faults = Vec::new();
    for row in rows {
        let columns: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, shown, meaning] = columns[..] else {
            panic!("three columns: {row}");
        };
        let wanted = if meaning.contains("INVALID") {
            Verdict::Invalid
        } else {
            Verdict::Correct
        };
        // Each example stands behind the number of its question.
        let pieces: Vec<&str> = shown.split('`').collect();
        for pair in pieces.chunks_exact(2) {
            let (id, form) = (pair[0].trim(), pair[1]);
            let report = judge(id, form);
            if report.verdict != wanted {
                faults.push(format!(
                    "{id}: {form}: {} {}",
                    report.verdict, report.message
                ));
            }
            examples += 1;
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(examples > 20, "{examples} examples");
}
