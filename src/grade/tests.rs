use std::collections::BTreeMap;

use super::*;

fn homework() -> Grader {
    let text = include_str!("../../assignments/hw-backprop.toml");
    let assignment =
        Assignment::parse(text, "hw-backprop.toml").expect("the built-in file is valid");
    Grader::new(assignment, b"secret").expect("the built-in assignment can be graded")
}

fn grade(grader: &Grader, id: &str, answer: &str) -> QuestionReport {
    let answers = BTreeMap::from([(id.to_owned(), answer.to_owned())]);
    let report = grader.grade(&answers, Reveal::Mistake);
    report
        .questions
        .into_iter()
        .find(|question| question.id == id)
        .expect("the question exists")
}

#[test]
fn every_solution_is_right_and_every_expected_mistake_is_named() {
    let grader = homework();
    let mut faults = Vec::new();
    for question in &grader.assignment().questions {
        let report = grade(&grader, &question.id, &question.solution);
        if report.verdict != Verdict::Correct {
            faults.push(format!(
                "{}: {} {}",
                question.id, report.verdict, report.message
            ));
        }
        for mistake in &question.mistakes {
            let report = grade(&grader, &question.id, &mistake.answer);
            if report.verdict == Verdict::Correct || report.mistake != Some(mistake.code) {
                faults.push(format!(
                    "{} {}: {} {:?}: {}",
                    question.id, mistake.answer, report.verdict, report.mistake, mistake.code
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[derive(serde::Deserialize)]
struct Spellings {
    answers: BTreeMap<String, Vec<String>>,
}

#[test]
fn right_answers_are_right_however_they_are_spelled() {
    let grader = homework();
    let spellings: Spellings =
        toml::from_str(include_str!("../../tests/grading/correct.toml")).expect("valid");
    let mut faults = Vec::new();
    for (id, answers) in &spellings.answers {
        for answer in answers {
            let report = grade(&grader, id, answer);
            if report.verdict != Verdict::Correct || report.first_wrong_step.is_some() {
                faults.push(format!(
                    "{id} {answer}: {} {:?} {:?} {}",
                    report.verdict, report.mistake, report.first_wrong_step, report.message
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
