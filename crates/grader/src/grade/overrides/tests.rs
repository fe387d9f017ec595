use std::collections::BTreeMap;

use crate::grade::{
    Assignment, BUILT_IN, GradeReport, Grader, Mistake, QuestionReport, Reveal, Verdict,
};

fn grader(overrides: &str) -> Grader {
    let (file, text) = BUILT_IN[0];
    let assignment = Assignment::parse(text, file).expect("it is sound");
    let mut grader = Grader::new(assignment, b"s").expect("it is sound");
    if let Err(faults) = grader.overrule(overrides, "o.toml") {
        panic!("{faults:?}");
    }
    grader
}

fn entry(question: &str, answer: &str, verdict: &str) -> String {
    format!(
        "[[overrides]]\nquestion = '{question}'\nanswer = '''{answer}'''\nverdict = '{verdict}'\nreason = 'Because.'\n"
    )
}

fn report(grader: &Grader, question: &str, answer: &str) -> GradeReport {
    let answers = BTreeMap::from([(question.to_owned(), answer.to_owned())]);
    grader.grade(&answers, Reveal::Mistake)
}

fn grade(grader: &Grader, question: &str, answer: &str) -> QuestionReport {
    let mut questions = report(grader, question, answer).questions.into_iter();
    let found = questions.find(|report| report.id == question);
    found.expect("a question")
}

#[test]
fn a_ruling_reaches_every_equal_answer_and_no_other() {
    // The wrong one reads as another formula than what is ruled, with its values.
    let ruled = entry("1.11", r"(\delta W^3)^\top h^1", "CORRECT")
        + &entry("1.12", "see my notes,  page 3", "INCORRECT");
    let grader = grader(&ruled);
    for equal in [
        r"(\delta W^3)^\top h^1",
        r"(\delta  W^3)^\top   h^1",
        r"W^{3\top} \delta h^1",
        "delta * W3.T @ h1",
    ] {
        let graded = grade(&grader, "1.11", equal);
        assert_eq!(graded.verdict, Verdict::Correct, "{equal}");
        assert_eq!(graded.points.to_bits(), graded.max_points.to_bits());
        assert_eq!((graded.mistake, graded.span), (None, None), "{equal}");
        assert_eq!(graded.message, "Because.");
        let ruling = graded.ruling.expect("a ruling");
        assert_ne!(ruling.instead_of, Verdict::Correct);
        assert_eq!((&*ruling.reason, &*ruling.entry), ("Because.", "o.toml:1"));
        assert!(graded.note.contains("; overruled="), "{}", graded.note);
    }
    for other in [
        r"-(\delta W^3)^\top h^1",
        r"2 (\delta W^3)^\top h^1",
        r"(\delta W^3 \odot (z^2 > 0))^\top h^1",
    ] {
        assert_eq!(grade(&grader, "1.11", other).ruling, None, "{other}");
    }
    let unread = grade(&grader, "1.12", "see my notes,\n page 3");
    assert_eq!(unread.verdict, Verdict::Incorrect);
    assert_eq!(unread.mistake, Some(Mistake::Other));
    assert_eq!(unread.points.to_bits(), 0.0f64.to_bits());
    assert_eq!(grade(&grader, "1.12", "see my notes, page 4").ruling, None);
    // The text of one question says nothing about another.
    assert_eq!(grade(&grader, "1.13", "see my notes, page 3").ruling, None);
}

#[test]
fn a_ruling_on_one_form_of_the_right_answer_spares_the_others() {
    let grader = grader(&entry("1.1", r"\delta h^2_{1,1}", "INCORRECT"));
    let graded = grade(&grader, "1.1", r"\delta  h^2_{1,1}");
    assert_eq!(graded.verdict, Verdict::Incorrect);
    assert_eq!(graded.mistake, Some(Mistake::Other));
    for other in [r"h^2_{1,1} \delta", r"(f(x, \theta) - y) h^2_{1,1}"] {
        let graded = grade(&grader, "1.1", other);
        assert_eq!(graded.verdict, Verdict::Correct, "{other}");
        assert_eq!(graded.ruling, None, "{other}");
    }
}

#[test]
fn the_score_is_that_of_the_rulings() {
    let partial = entry("1.1", r"2 h^2_{1,1}", "partial") + "points = 0.5\n";
    let grader = grader(&partial);
    let report = report(&grader, "1.1", r"2 h^2_{1,1}");
    assert_eq!(report.score.to_bits(), 0.5f64.to_bits());
    let graded = &report.questions[0];
    assert_eq!(graded.verdict, Verdict::Partial);
    assert!(graded.mistake.is_some(), "what the program found stays");
}

#[test]
fn entries_without_a_verdict_change_nothing() {
    let mut grader = grader("");
    let draft = "[[overrides]]\nquestion = '1.1'\nanswer = 'x'\nverdict = ''\nreason = ''\n\
                 [[overrides]]\nquestion = '1.1'\nanswer = 'y'\n";
    let added = grader.overrule(draft, "o.toml").expect("sound");
    assert_eq!((added.decided, added.undecided), (0, 2));
    assert_eq!(grade(&grader, "1.1", "x").ruling, None);
}

#[test]
fn all_faults_of_a_file_are_told_at_once() {
    let text = "assignment = 'other'\nassigment = 1\n\
                [[overrides]]\nquestion = '9.9'\nanswer = 'x'\nverdict = 'CORRECT'\nreason = 'r'\n\
                [[overrides]]\nquestion = '1.1'\nanswer = ''\nverdict = 'RIGHT'\nreason = 'r'\n\
                [[overrides]]\nquestion = '1.1'\nanswer = 'x'\nverdict = 'CORRECT'\n\
                [[overrides]]\nquestion = '1.1'\nanswer = 'x'\nverdict = 'PARTIAL'\nreason = 'r'\n\
                [[overrides]]\nquestion = '1.1'\nanswer = 'x'\nverdict = 'INCORRECT'\nreason = 'r'\npoints = 1\n\
                [[overrides]]\nquestion = '1.1'\nanswer = 7\nverdict = 'PARTIAL'\nreason = 'r'\npoints = 3\n";
    let faults = grader("").overrule(text, "o.toml").expect_err("faults");
    let shown: Vec<String> = faults
        .iter()
        .map(|fault| format!("{}: {}", fault.line, fault.reason))
        .collect();
    for expected in [
        "1: assignment is another one than \"hw-backprop\"",
        "2: the file has no field \"assigment\"; allowed are assignment, overrides",
        "4: there is no question \"9.9\"; the questions are 1.1, ",
        "8: an override needs answer",
        "11: \"RIGHT\" is no verdict; allowed are CORRECT, PARTIAL, INCORRECT",
        "16: a verdict needs a reason",
        "20: PARTIAL needs points, from 0 to 2",
        "27: INCORRECT earns 0 of 2 points; for 1, the verdict is PARTIAL",
        "30: answer is a text",
    ] {
        let is_told = shown.iter().any(|fault| fault.starts_with(expected));
        assert!(is_told, "{expected} in {shown:#?}");
    }
    assert_eq!(shown.len(), 9, "{shown:#?}");
    let broken = grader("").overrule("[[overrides", "o.toml");
    assert!(broken.is_err());
}

#[test]
fn two_rulings_on_one_answer_have_to_agree() {
    let one = entry("1.11", r"(\delta W^3)^\top h^1", "CORRECT");
    let other = entry("1.11", "delta * W3.T @ h1", "INCORRECT");
    let faults = grader("").overrule(&format!("{one}{other}"), "o.toml");
    let faults = faults.expect_err("a contradiction");
    let [fault] = &faults[..] else {
        panic!("{faults:?}");
    };
    assert_eq!(fault.line, 6);
    assert!(
        fault.reason.contains("the same as that of o.toml:1"),
        "{fault:?}"
    );
    // Also with an earlier file; and nothing of the second one is added.
    let mut ruled = grader(&one);
    let third = entry("1.1", "2", "CORRECT");
    assert!(
        ruled
            .overrule(&format!("{third}{other}"), "p.toml")
            .is_err()
    );
    assert_eq!(grade(&ruled, "1.1", "2").ruling, None);
    let agreeing = entry("1.11", "delta * W3.T @ h1", "CORRECT");
    assert!(ruled.overrule(&agreeing, "q.toml").is_ok());
}

#[test]
fn a_student_learns_of_a_ruling_in_every_format() {
    use crate::grade::formats::{Format, Style};
    let grader = grader(&entry("1.1", "2 h^2_{1,1}", "CORRECT"));
    let answers = BTreeMap::from([("1.1".to_owned(), "2 h^2_{1,1}".to_owned())]);
    for reveal in Reveal::ALL {
        let report = grader.grade(&answers, reveal);
        for format in Format::ALL {
            let style = Style {
                answers: Some(&answers),
                ..Style::default()
            };
            let text = format.write(&report, &style);
            assert!(text.contains("Because."), "{format}: {text}");
            assert!(
                text.contains("INCORRECT") && !text.contains("o.toml"),
                "{format}: {text}"
            );
        }
    }
}
