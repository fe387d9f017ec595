use serde_json::Value;

use std::collections::BTreeMap;

use super::*;
use crate::formula::Span;
use crate::grade::{Grid, Mistake, QuestionReport, Understood, Verdict};

fn question(id: &str, verdict: Verdict, points: f64) -> QuestionReport {
    QuestionReport {
        id: id.to_owned(),
        verdict,
        points,
        max_points: 2.0,
        mistake: (verdict != Verdict::Correct).then_some(Mistake::MissingMask),
        message: "A <mask> & more_than_that.".to_owned(),
        understood: Some(Understood {
            latex: r"\delta h^{1}".to_owned(),
            plain: "delta @ h1".to_owned(),
        }),
        span: Some(Span { start: 7, end: 10 }),
        first_wrong_step: None,
        grid: Some(Grid {
            rows: 1,
            columns: 2,
            right: vec![true, false],
        }),
        advice: Vec::new(),
        hints: vec!["Look below.".to_owned()],
        reference: None,
        tags: vec!["mask".to_owned()],
        note: format!("{id}: shape-ok"),
        ruling: None,
        named: None,
    }
}

fn report() -> GradeReport {
    GradeReport {
        assignment: "hw".to_owned(),
        assignment_digest: None,
        student: None,
        graded_at: None,
        score: 2.5,
        max_score: 4.0,
        questions: vec![
            question("1.1", Verdict::Correct, 2.0),
            question("1.2", Verdict::Partial, 0.5),
        ],
        unknown_answers: vec!["9.9".to_owned()],
        receipt: None,
    }
}

fn parsed(format: Format, report: &GradeReport) -> Value {
    serde_json::from_str(&format.write(report, &Style::default())).expect("it is JSON")
}

#[test]
fn the_json_report_reads_back_as_itself() {
    let text = Format::Json.write(&report(), &Style::default());
    assert_eq!(
        serde_json::from_str::<GradeReport>(&text).expect("it is a report"),
        report()
    );
    let value = parsed(Format::Json, &report());
    assert_eq!(value["questions"][1]["verdict"], "PARTIAL");
    assert_eq!(value["questions"][1]["mistake"], "MISSING_MASK");
}

#[test]
fn gradescope_gets_points_status_and_markdown() {
    let value = parsed(Format::Gradescope, &report());
    assert_eq!(value["score"], 2.5);
    let test = &value["tests"][1];
    assert_eq!(
        (&test["score"], &test["max_score"], &test["status"]),
        (&0.5.into(), &2.0.into(), &"failed".into())
    );
    assert_eq!(test["output_format"], "md");
    let output = test["output"].as_str().expect("text");
    assert!(
        output.starts_with(r"A \<mask\> & more\_than\_that."),
        "{output}"
    );
    assert!(output.contains("    ✓ ✗"), "{output}");
    assert_eq!(test["extra_data"]["note"], "1.2: shape-ok");
}

#[test]
fn prairielearn_gets_a_share_and_loses_no_attempt_to_what_cannot_be_read() {
    let value = parsed(Format::PrairieLearn, &report());
    assert_eq!(
        (&value["gradable"], &value["score"]),
        (&true.into(), &0.625.into())
    );
    let unreadable = GradeReport {
        questions: vec![question("1.1", Verdict::Invalid, 0.0)],
        ..report()
    };
    let value = parsed(Format::PrairieLearn, &unreadable);
    assert_eq!(value["gradable"], false);
    assert_eq!(value["format_errors"].as_array().map(Vec::len), Some(1));
}

#[test]
fn junit_names_the_mistake_of_each_failure() {
    let xml = Format::Junit.write(&report(), &Style::default());
    assert!(
        xml.contains("<testsuite name=\"hw\" tests=\"2\" failures=\"1\""),
        "{xml}"
    );
    assert!(
        xml.contains(
            "<failure type=\"MISSING_MASK\" message=\"A &lt;mask&gt; &amp; more_than_that.\">"
        ),
        "{xml}"
    );
}

#[test]
fn github_and_autolab_get_their_lines() {
    let value = parsed(Format::GitHub, &report());
    assert_eq!(
        (&value["status"], &value["tests"][0]["status"]),
        (&"fail".into(), &"pass".into())
    );
    let autolab = Format::Autolab.write(&report(), &Style::default());
    let last: Value =
        serde_json::from_str(autolab.lines().last().expect("a line")).expect("it is JSON");
    assert_eq!(last["scores"]["1.2"], 0.5);
}

#[test]
fn a_terminal_shows_the_piece_that_is_meant() {
    let answers = BTreeMap::from([("1.2".to_owned(), r"\delta h^1".to_owned())]);
    let style = Style {
        answers: Some(&answers),
        ..Style::default()
    };
    let text = Format::Text.write(&report(), &style);
    assert!(
        text.contains("1.2  ~ PARTIAL    0.5/2  MISSING_MASK"),
        "{text}"
    );
    assert!(
        text.contains("\\delta h^1\n") && text.contains("       ^^^\n"),
        "{text}"
    );
    assert!(text.contains("There is no question 9.9"), "{text}");
    assert!(text.ends_with("2.5 of 4 points\n"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours unless asked for");
}

#[test]
fn a_page_shows_each_verdict_by_sign_and_sets_its_formulas() {
    let answers = BTreeMap::from([("1.2".to_owned(), r"\delta <h>^1".to_owned())]);
    let prompts = BTreeMap::from([("1.1".to_owned(), r"Derive $\partial l$.".to_owned())]);
    let style = Style {
        answers: Some(&answers),
        prompts: Some(&prompts),
        student: Some("Ada <Lovelace>"),
        ..Style::default()
    };
    let html = Format::Html.write(&report(), &style);
    for expected in [
        "<h1>Ada &lt;Lovelace&gt;</h1>",
        "2.5 of 4 points",
        "· no answer",
        "<math><mo>∂</mo><mi>l</mi></math>",
        "~ PARTIAL",
        "<pre>\\delta <mark>&lt;h&gt;</mark>^1</pre>",
        "<math display=\"block\"><mi>δ</mi><msup><mi>h</mi><mrow><mn>1</mn></mrow></msup></math>",
        "<td class=\"right\">✓</td><td class=\"wrong\">✗</td>",
        "A &lt;mask&gt; &amp; more_than_that.",
        "There is no question 9.9",
    ] {
        assert!(html.contains(expected), "{expected} in {html}");
    }
    for forbidden in ["<script", "http:", "https:", "//"] {
        assert!(!html.contains(forbidden), "{forbidden} in {html}");
    }
}

#[test]
fn a_hand_in_that_cannot_be_read_is_refused_with_the_reason_in_every_format() {
    let questions = [("1.1".to_owned(), 2.0)];
    for format in Format::ALL {
        let refused = format.refuse("line 1: \"x\" & more", &questions);
        assert!(refused.contains("line 1: "), "{format}: {refused}");
        assert!(refused.ends_with('\n'), "{format}");
    }
    let parse = |format: Format| -> Value {
        serde_json::from_str(&format.refuse("why", &questions)).expect("it is JSON")
    };
    assert_eq!(parse(Format::Gradescope)["score"], 0);
    assert_eq!(parse(Format::Gradescope)["output"], "why");
    assert_eq!(parse(Format::PrairieLearn)["gradable"], false);
    assert_eq!(parse(Format::GitHub)["status"], "error");
    let autolab = Format::Autolab.refuse("why", &questions);
    assert!(autolab.ends_with("{\"scores\":{\"1.1\":0}}\n"), "{autolab}");
}
