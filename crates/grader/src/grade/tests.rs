mod given;
mod points;
mod rewritten;
mod stated;
mod stepwise;

use std::collections::BTreeMap;

use super::*;

pub(super) fn homework() -> Grader {
    let text = include_str!("../../../../assignments/hw-backprop.toml");
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

/// The reason why the homework is refused with `from` replaced in its file.
fn refusal(from: &str, to: &str) -> String {
    let text = include_str!("../../../../assignments/hw-backprop.toml");
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    let assignment = Assignment::parse(&text, "hw-backprop.toml").expect("it is well formed");
    let error = Grader::new(assignment, b"secret").err();
    error.expect("it cannot be graded").to_string()
}

#[test]
fn an_assignment_is_refused_that_contradicts_itself() {
    let wrong_solution = refusal(
        "solution = '\\delta h^2_{1,1}'",
        "solution = '\\delta h^2_{1,2}'",
    );
    assert_eq!(
        wrong_solution,
        "question 1.1: the solution is not the derivative: its values differ"
    );
    let right_mistake = refusal(
        "answer = '2 \\delta h^2_{1,1}'",
        "answer = 'h^2_{1,1} \\delta'",
    );
    assert_eq!(
        right_mistake,
        "question 1.1: the mistake \"h^2_{1,1} \\\\delta\" has the values of the right answer"
    );
    let two_names = refusal(
        "answer = '2 \\delta h^2_{1,1}'",
        "answer = '(y - f(x,\\theta)) \\cdot h^2_{1,1}'",
    );
    assert!(
        two_names.contains("have the same values and different codes"),
        "{two_names}"
    );
}

#[derive(serde::Deserialize)]
struct WrongAnswers {
    questions: Vec<WrongAnswersTo>,
}

#[derive(serde::Deserialize)]
struct WrongAnswersTo {
    id: String,
    answers: Vec<WrongAnswer>,
}

#[derive(serde::Deserialize)]
struct WrongAnswer {
    answer: String,
    codes: Vec<Mistake>,
}

#[test]
fn wrong_answers_outside_the_catalogue_are_wrong_and_named() {
    let grader = homework();
    let table: WrongAnswers =
        toml::from_str(include_str!("../../../../tests/grading/wrong.toml")).expect("valid");
    let mut faults = Vec::new();
    for question in &table.questions {
        for wrong in &question.answers {
            let report = grade(&grader, &question.id, &wrong.answer);
            let named = report
                .mistake
                .is_some_and(|mistake| wrong.codes.contains(&mistake));
            if report.verdict == Verdict::Correct || !named {
                faults.push(format!(
                    "{} {}: {} {:?}, expected {:?}",
                    question.id, wrong.answer, report.verdict, report.mistake, wrong.codes
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_assignment_that_nobody_here_foresaw_is_graded_by_its_file() {
    let text = include_str!("../../../../examples/assignments/classifier.toml");
    let assignment = Assignment::parse(text, "classifier.toml").expect("a good file");
    let grader = Grader::new(assignment, b"secret").expect("it can be graded");
    let right = [
        ("a", "(softmax(z3) - y) / m"),
        ("b", r"\sum_k \delta_{k,\cdot}^\top h^2_{k,\cdot}"),
        ("c", r"\delta_{1,j} + \dots + \delta_{m,j}"),
        ("d", r"1 - \tanh^2 x"),
        ("d", r"\frac{4}{(e^{x} + e^{-x})^2}"),
        ("e", "(delta @ W3) * (1 - h2**2)"),
        ("e", r"(\delta W^3) \odot (1 - \tanh^2(z^2))"),
        ("f", r"((\delta W^3) \odot (1 - h^2 \odot h^2))^\top h^1"),
        (
            "g",
            "sum((((delta @ W3) * (1 - h2**2)) @ W2) * (1 - h1**2), axis=0)",
        ),
    ];
    for (id, answer) in right {
        let report = grade(&grader, id, answer);
        assert_eq!(
            report.verdict,
            Verdict::Correct,
            "{id} {answer}: {}",
            report.message
        );
    }
    let wrong = [
        ("a", r"\frac{1}{m}(z^3 - y)", Mistake::WrongActivation),
        (
            "a",
            r"\frac{1}{m}(y - \mathrm{softmax}(z^3))",
            Mistake::SignFlipped,
        ),
        (
            "b",
            r"\frac{1}{m} \delta^\top h^2",
            Mistake::DoubleBatchMean,
        ),
        ("c", r"\delta_{k,j}", Mistake::UnboundIndex),
        ("d", r"1 - \tanh(x)", Mistake::Other),
        (
            "e",
            r"(\delta W^3) \odot (1 - h^2)",
            Mistake::WrongActivation,
        ),
        (
            "e",
            r"(\delta W^{3\top}) \odot (1 - h^2 \odot h^2)",
            Mistake::MissingTranspose,
        ),
        (
            "f",
            r"h^{1\top} \frac{\partial l}{\partial z^2}",
            Mistake::TransposedResult,
        ),
        (
            "g",
            "(((delta @ W3) * (1 - h2**2)) @ W2) * (1 - h1**2)",
            Mistake::BiasNotSummed,
        ),
    ];
    for (id, answer, code) in wrong {
        let report = grade(&grader, id, answer);
        assert_ne!(report.verdict, Verdict::Correct, "{id} {answer}");
        assert_eq!(
            report.mistake,
            Some(code),
            "{id} {answer}: {}",
            report.message
        );
    }
}

#[derive(serde::Deserialize)]
struct Spellings {
    answers: BTreeMap<String, Vec<String>>,
}

#[test]
fn right_answers_are_right_however_they_are_spelled() {
    let grader = homework();
    let spellings: Spellings =
        toml::from_str(include_str!("../../../../tests/grading/correct.toml")).expect("valid");
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

/// What is wrong in the key as it is printed, read by hand: question, side of its chain, and place.
const PRINTED_SLIPS: &[(&str, usize, usize, Place)] = &[
    // ∂/∂W²_{1,j} stands where ∂/∂W²_{2,j} is meant.
    ("1.8", 1, 2, Place::Step),
    // ∂l over W, without a ∂ below.
    ("1.10", 1, 1, Place::Unreadable),
    // h¹_{1,i} for h¹_{1,j}.
    ("1.10", 1, 8, Place::FinalAnswer),
    // The entry in row 1, column 3 has the weight and the mask of the second unit.
    ("1.11", 1, 3, Place::Step),
    // h³_{1,j}, of which there is one.
    ("1.14", 1, 2, Place::Step),
    // The first unit twice.
    ("1.14", 1, 8, Place::Step),
    // z²_{1,2} for z²_{1,q}.
    ("1.15", 2, 2, Place::FinalAnswer),
    // The mask of z¹ is missing.
    ("1.16", 1, 4, Place::Step),
    ("1.16", 1, 5, Place::FinalAnswer),
    // Cut off in print.
    ("1.17", 1, 2, Place::Unreadable),
    // The first sample twice.
    ("2.1", 1, 4, Place::FinalAnswer),
    // Differentiated twice.
    ("2.2", 1, 4, Place::Step),
    // h²_{i,1}, with an i that nothing binds.
    ("2.2", 1, 9, Place::FinalAnswer),
    // ∂/∂h²_{2,1} for ∂/∂h²_{1,2}.
    ("2.5", 1, 2, Place::Step),
    // W³_{1,1} twice.
    ("2.5", 1, 4, Place::Step),
    // Differentiated twice.
    ("2.6", 1, 3, Place::Step),
    // W²_{2,2} and W²_{2,3} in the first row.
    ("2.7", 1, 2, Place::Step),
    // z²_{·,1} in the second row, h¹_{·,2} in the third column.
    ("2.7", 1, 4, Place::Step),
    // h_2² for h².
    ("2.8", 2, 5, Place::FinalAnswer),
];

#[test]
fn a_key_of_long_products_that_do_not_fit_is_checked_in_bounded_work() {
    let grader = homework();
    let questions = grader.prepared().iter();
    let answers = questions.map(|prepared| {
        let factors = vec!["W^3"; 200].join(r"\times ");
        (prepared.question.id.clone(), factors)
    });
    let answers: BTreeMap<String, String> = answers.collect();
    let findings = key::lint_within(&grader, &answers, 5_000_000);
    assert_eq!(findings.len(), answers.len(), "each has its line");
    let (checked, passed_over): (Vec<_>, Vec<_>) = findings
        .iter()
        .partition(|finding| finding.place == Place::FinalAnswer);
    // Of its own work, which computes next to no entry, three would do for that.
    assert_eq!(checked.len(), 1);
    for finding in passed_over {
        assert!(finding.message.contains("too much work"), "{finding:?}");
    }
}

#[test]
fn linting_the_printed_key_finds_its_slips_and_accuses_nothing_else() {
    let grader = homework();
    let text = include_str!("../../../../tests/grading/printed-key.toml");
    let key = submission::Submission::from_toml(text).expect("valid");
    let findings = lint_key(&grader, &key.answers);
    let found: Vec<_> = findings
        .iter()
        .map(|finding| {
            (
                finding.question.as_str(),
                finding.chain,
                finding.side,
                finding.place,
            )
        })
        .collect();
    assert_eq!(found, PRINTED_SLIPS);
    let in_little = key::lint_within(&grader, &key.answers, key::MAX_WORK_OF_KEY / 2);
    assert_eq!(in_little, findings);
    let mended = |question: &str, side: usize| {
        let finding = findings
            .iter()
            .find(|finding| finding.question == question && finding.side == side);
        finding
            .and_then(|finding| finding.should_be.clone())
            .unwrap_or_default()
    };
    assert_eq!(
        mended("1.10", 8),
        r"\delta W^{3}_{1,i} \left(z^{2}_{1,i} \ge 0\right) h^{1}_{1,j}"
    );
    assert!(mended("1.15", 2).contains(r"z^{2}_{1,q} \ge 0\right) W^{2}_{q,3}"));
}
