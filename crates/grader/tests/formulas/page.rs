//! The forms that the page for students shows are right.

use std::fs;

use super::{Verdict, judge};

#[test]
fn every_form_that_the_page_shows_is_right() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notation.md");
    let page = fs::read_to_string(path).expect("it is part of the repository");
    let (_, table) = page.split_once("<!-- forms -->").expect("a table");
    let (table, _) = table.split_once("<!-- /forms -->").expect("its end");
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
