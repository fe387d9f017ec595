//! The answer files: spellings of right answers, wrong answers with the name of their mistake, and unreadable answers
//! with a piece of the message. Every answer is graded on networks of several secrets, because a verdict that holds for
//! one draw of numbers proves little.
//!
//! - `right/<kind>.toml`: `"1.11" = ['…', '''…''']`. Every answer is CORRECT for its question, and for no other
//!   question unless the two ask for the same value.
//! - `wrong/<kind>.toml`: `[MISSING_MASK]`, then `"1.11" = ['…']`. No answer is CORRECT, and each has that name.
//!   `[ANY]` wants no name; `[MISSING_MASK__SIGN_FLIPPED]` wants both in the name, the message or the note.
//! - `invalid/<kind>.toml`: `"1.11" = [['answer', 'a piece of the message']]`.
//!
//! `ANSWER_SECRETS=50` runs the long form, in which also each right answer is graded at all other questions, rather than
//! at a third of them.

mod sentences;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use backpropd_grader::grade::{Assignment, BUILT_IN, Grader, QuestionReport, Reveal, Verdict};
use serde::de::DeserializeOwned;

/// The secrets of a usual run, and the variable for a longer one.
const SECRETS: usize = 3;
const SECRETS_VARIABLE: &str = "ANSWER_SECRETS";

/// One answer of a file.
struct Answer {
    /// The file and, for wrong answers, the table in it.
    kind: String,
    question: String,
    text: String,
    /// The codes of a wrong answer, or the piece of the message of an invalid one.
    wanted: Vec<String>,
}

/// The answers to each question, as the files of right answers have them.
type ByQuestion = BTreeMap<String, Vec<String>>;

/// The graders of all secrets, which the tests share.
fn graders() -> &'static [Grader] {
    static GRADERS: OnceLock<Vec<Grader>> = OnceLock::new();
    GRADERS.get_or_init(|| {
        let count = std::env::var(SECRETS_VARIABLE).map_or(SECRETS, |count| {
            count
                .parse()
                .expect("ANSWER_SECRETS is a number of secrets")
        });
        (0..count)
            .map(|secret| {
                let (name, text) = BUILT_IN[0];
                let assignment = Assignment::parse(text, name).expect("the file is valid");
                let secret = format!("secret {secret}");
                Grader::new(assignment, secret.as_bytes()).expect("it can be graded")
            })
            .collect()
    })
}

/// The files of one folder: their names and their contents.
fn files<T: DeserializeOwned>(folder: &str) -> Vec<(String, T)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/answers")
        .join(folder);
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Vec::new();
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("the file can be read");
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    paths
        .iter()
        .map(|path| {
            let name = path.file_stem().unwrap_or_default();
            (name.to_string_lossy().into_owned(), read(path))
        })
        .collect()
}

fn right() -> Vec<Answer> {
    let mut all = Vec::new();
    for (file, questions) in files::<ByQuestion>("right") {
        for (question, answers) in questions {
            all.extend(answers.into_iter().map(|text| Answer {
                kind: format!("right/{file}"),
                question: question.clone(),
                text,
                wanted: Vec::new(),
            }));
        }
    }
    all
}

fn wrong() -> Vec<Answer> {
    let mut all = Vec::new();
    for (file, tables) in files::<BTreeMap<String, ByQuestion>>("wrong") {
        for (codes, questions) in tables {
            for (question, answers) in questions {
                all.extend(answers.into_iter().map(|text| Answer {
                    kind: format!("wrong/{file} [{codes}]"),
                    question: question.clone(),
                    text,
                    wanted: codes.split("__").map(str::to_owned).collect(),
                }));
            }
        }
    }
    all
}

fn invalid() -> Vec<Answer> {
    let mut all = Vec::new();
    for (file, questions) in files::<BTreeMap<String, Vec<(String, String)>>>("invalid") {
        for (question, answers) in questions {
            all.extend(answers.into_iter().map(|(text, piece)| Answer {
                kind: format!("invalid/{file}"),
                question: question.clone(),
                text,
                wanted: vec![piece],
            }));
        }
    }
    all
}

fn grade(grader: &Grader, question: &str, text: &str) -> QuestionReport {
    let answers = BTreeMap::from([(question.to_owned(), text.to_owned())]);
    let report = grader.grade(&answers, Reveal::Mistake);
    assert!(report.unknown_answers.is_empty(), "no question {question}");
    let mut questions = report.questions.into_iter();
    let own = questions.find(|report| report.id == question);
    own.expect("every question is reported")
}

/// Grades every answer under every secret, and lists all that are not as `is_wanted` says.
fn check(answers: &[Answer], is_wanted: impl Fn(&Answer, &QuestionReport) -> bool) {
    let mut faults = String::new();
    let mut count = 0;
    for answer in answers {
        let mut secrets = Vec::new();
        let mut shown = None;
        for (secret, grader) in graders().iter().enumerate() {
            let report = grade(grader, &answer.question, &answer.text);
            if !is_wanted(answer, &report) {
                secrets.push(secret);
                shown.get_or_insert(report);
            }
        }
        if let Some(report) = shown {
            count += 1;
            let Answer {
                kind,
                question,
                text,
                ..
            } = answer;
            let name = report.mistake.map_or("-", |mistake| mistake.word());
            let understood = report.understood.map(|understood| understood.plain);
            // Writing to a String cannot fail.
            let _ = writeln!(
                faults,
                "{kind} {question}: {text}\n    {} {name} (secrets {secrets:?}): {}\n    read as {}",
                report.verdict,
                report.message,
                understood.as_deref().unwrap_or("-"),
            );
        }
    }
    assert!(
        faults.is_empty(),
        "{count} of {} answers:\n{faults}",
        answers.len()
    );
}

#[test]
fn right_answers_are_right() {
    check(&right(), |_, report| report.verdict == Verdict::Correct);
}

#[test]
fn wrong_answers_are_wrong_and_named() {
    check(&wrong(), |answer, report| {
        let is_named = |code: &String| {
            code == "ANY"
                || report.mistake.is_some_and(|own| own.word() == code)
                || (answer.wanted.len() > 1
                    && (report.message.contains(code) || report.note.contains(code)))
        };
        report.verdict != Verdict::Correct && answer.wanted.iter().all(is_named)
    });
}

#[test]
fn unreadable_answers_are_invalid_and_the_message_says_why() {
    check(&invalid(), |answer, report| {
        let says = |piece: &String| report.message.contains(piece.as_str());
        report.verdict == Verdict::Invalid && answer.wanted.iter().all(says)
    });
}

/// Pairs of questions that ask for the same value: the solution of one is right for the other.
fn equal_questions(grader: &Grader) -> BTreeSet<(&str, &str)> {
    let questions = &grader.assignment().questions;
    let mut equal = BTreeSet::new();
    for one in questions {
        let everywhere = questions
            .iter()
            .map(|other| (other.id.clone(), one.solution.clone()));
        let report = grader.grade(&everywhere.collect(), Reveal::Verdict);
        for (other, report) in questions.iter().zip(report.questions) {
            if report.verdict == Verdict::Correct {
                equal.insert((one.id.as_str(), other.id.as_str()));
                equal.insert((other.id.as_str(), one.id.as_str()));
            }
        }
    }
    equal
}

/// A question about a whole and one about its entry: `(∂l/∂W)_{ij} = …` answers both.
const BY_ENTRIES: &[(&str, &str)] = &[
    ("1.11", "1.10"),
    ("1.15", "1.14"),
    ("2.7", "2.6"),
    ("2.7", "1.10"),
    ("2.8", "1.14"),
];

#[test]
fn right_answers_are_right_for_no_other_question() {
    let grader = &graders()[0];
    let equal = equal_questions(grader);
    let ids: Vec<&str> = grader
        .assignment()
        .questions
        .iter()
        .map(|question| question.id.as_str())
        .collect();
    let some = if std::env::var_os(SECRETS_VARIABLE).is_some() {
        1
    } else {
        3
    };
    let mut faults = Vec::new();
    // Another third for the next answer, so that each pair of questions comes up.
    for (at, answer) in right().into_iter().enumerate() {
        let foreign = ids.iter().skip(at % some).step_by(some);
        let foreign = foreign.filter(|&&id| !equal.contains(&(answer.question.as_str(), id)));
        let everywhere = foreign.map(|&id| (id.to_owned(), answer.text.clone()));
        let report = grader.grade(&everywhere.collect(), Reveal::Verdict);
        for own in &report.questions {
            let by_entries = answer.text.contains(['=']) && answer.text.contains("\\right)_{")
                || answer.text.contains("\\right]_{");
            let pair = (answer.question.as_str(), own.id.as_str());
            if own.verdict == Verdict::Correct && !(by_entries && BY_ENTRIES.contains(&pair)) {
                let Answer {
                    kind,
                    question,
                    text,
                    ..
                } = &answer;
                faults.push(format!("{kind} {question} is right for {}: {text}", own.id));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The answers in the tests at the root, and the mistakes that the assignment lists.
fn known() -> Vec<Answer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/grading");
    let table = |name: &str| -> toml::Value {
        let text = std::fs::read_to_string(root.join(name)).expect("the file can be read");
        toml::from_str(&text).expect("the file is valid")
    };
    let mut all = Vec::new();
    let mut add = |kind: &str, question: &str, text: &str| {
        all.push(Answer {
            kind: kind.to_owned(),
            question: question.to_owned(),
            text: text.to_owned(),
            wanted: Vec::new(),
        });
    };
    let strings = |value: &toml::Value| -> Vec<String> {
        let list = value.as_array().cloned().unwrap_or_default();
        list.iter()
            .map(|item| item.get("answer").unwrap_or(item))
            .filter_map(|answer| answer.as_str().map(str::to_owned))
            .collect()
    };
    let correct = table("correct.toml");
    let answers = correct.get("answers").and_then(toml::Value::as_table);
    for (question, list) in answers.into_iter().flatten() {
        for text in strings(list) {
            add("correct.toml", question, &text);
        }
    }
    let wrong = table("wrong.toml");
    let questions = wrong.get("questions").and_then(toml::Value::as_array);
    for question in questions.into_iter().flatten() {
        let id = question.get("id").and_then(toml::Value::as_str);
        for text in question.get("answers").map(strings).unwrap_or_default() {
            add("wrong.toml", id.unwrap_or_default(), &text);
        }
    }
    for question in &graders()[0].assignment().questions {
        for mistake in &question.mistakes {
            add("listed mistake", &question.id, &mistake.answer);
        }
    }
    assert!(all.len() > 500, "{} answers", all.len());
    all
}

/// Asserts that the whole report on every answer is the same under all secrets: verdict, points, mistake, note,
/// message, grid and step.
fn check_equality(answers: &[Answer]) {
    let mut faults = Vec::new();
    for answer in answers {
        let mut reports = graders()
            .iter()
            .map(|grader| grade(grader, &answer.question, &answer.text));
        let first = reports.next().expect("there is a secret");
        for (secret, report) in (1..).zip(reports) {
            if report != first {
                let Answer {
                    kind,
                    question,
                    text,
                    ..
                } = answer;
                faults.push(format!(
                    "{kind} {question}: {text}\n    secret 0: {} points, {}\n    secret {secret}: {} points, {}",
                    first.points, first.note, report.points, report.note
                ));
                break;
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {} answers:\n{}",
        faults.len(),
        answers.len(),
        faults.join("\n")
    );
}

#[test]
fn right_and_unreadable_answers_are_reported_alike_under_every_secret() {
    check_equality(&right());
    check_equality(&invalid());
}

#[test]
fn wrong_answers_are_reported_alike_under_every_secret() {
    check_equality(&wrong());
}

#[test]
fn answers_of_other_tests_are_reported_alike_under_every_secret() {
    check_equality(&known());
}

/// Masks, thresholds and signs that no list foresees, at every question: refused under every secret.
#[test]
fn masks_and_thresholds_at_the_wrong_place_are_never_right() {
    let factors = [
        r"(z^3 \ge 0)",
        r"(z^3 > 0)",
        r"(h^3 \ge 0)",
        r"(z^3 < 0)",
        r"(z^3 \ge 0.3)",
        r"(z^3 \ge -0.3)",
        r"(y \ge 0)",
        r"(y < 0)",
        r"\mathrm{sign}(y)",
        r"\mathrm{sign}(z^3)",
        r"|y|",
        r"\min(1, |y|)",
    ];
    let mut answers = Vec::new();
    for question in &graders()[0].assignment().questions {
        let of_loss = question.id.starts_with("1.") && question.of.as_deref() == Some("l");
        for factor in factors.iter().filter(|_| of_loss) {
            answers.push(Answer {
                kind: "factor".to_owned(),
                question: question.id.clone(),
                text: format!("{factor} ({})", question.solution),
                wanted: Vec::new(),
            });
        }
        for threshold in [
            "1", "0.3", "0.1", "0.05", "2", "-0.05", "-0.1", "-0.3", "-1",
        ] {
            let text = question
                .solution
                .replace(r"\ge 0", &format!(r"\ge {threshold}"));
            if text != question.solution {
                answers.push(Answer {
                    kind: "threshold".to_owned(),
                    question: question.id.clone(),
                    text,
                    wanted: Vec::new(),
                });
            }
        }
        let delta = question
            .solution
            .replacen(r"\delta", r"(\delta \odot (\delta \ge 0))", 1);
        if delta != question.solution {
            answers.push(Answer {
                kind: "mask on delta".to_owned(),
                question: question.id.clone(),
                text: delta,
                wanted: Vec::new(),
            });
        }
    }
    assert!(answers.len() > 200, "{}", answers.len());
    check(&answers, |_, report| report.verdict != Verdict::Correct);
    check_equality(&answers);
}

/// The pieces of a text that a slip of the pen touches: commands, numbers, letters and marks.
fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut all: Vec<std::ops::Range<usize>> = Vec::new();
    let mut in_command = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let goes_on = match all.last() {
            Some(last) if last.end == at => {
                let before = text[last.clone()].chars().last().unwrap_or(' ');
                (in_command && c.is_ascii_alphabetic())
                    || (before.is_ascii_digit() && (c.is_ascii_digit() || c == '.'))
                    || (!in_command && before.is_ascii_alphabetic() && c.is_ascii_alphabetic())
            }
            _ => false,
        };
        if goes_on {
            if let Some(last) = all.last_mut() {
                last.end = end;
            }
        } else {
            in_command = c == '\\';
            if !c.is_whitespace() {
                all.push(at..end);
            }
        }
    }
    all
}

/// How many changed answers a usual run grades.
const CHANGED: usize = 1500;

#[test]
fn a_token_dropped_doubled_or_negated_is_never_right_unless_the_value_stays() {
    let mut answers = right();
    answers.extend(known().into_iter().filter(|own| own.kind == "correct.toml"));
    let mut changed = Vec::new();
    for answer in &answers {
        let text = &answer.text;
        for token in tokens(text) {
            let (before, own, after) = (
                &text[..token.start],
                &text[token.clone()],
                &text[token.end..],
            );
            for change in [
                format!("{before} {after}"),
                format!("{before}{own} {own}{after}"),
                format!("{before}-{own}{after}"),
            ] {
                changed.push((answer, change));
            }
        }
    }
    let is_long = std::env::var(SECRETS_VARIABLE).is_ok();
    let stride = if is_long {
        1
    } else {
        changed.len() / CHANGED + 1
    };
    let grader = &graders()[0];
    let mut faults = Vec::new();
    for (answer, change) in changed.iter().step_by(stride) {
        let report = grade(grader, &answer.question, change);
        let holds = |text: &str| grader.holds_elsewhere(&answer.question, text, 30);
        // An answer that divides by |h| has no value where every unit is dead, however it is changed.
        if report.verdict == Verdict::Correct
            && holds(change) != Some(true)
            && holds(&answer.text) == Some(true)
        {
            let Answer {
                kind,
                question,
                text,
                ..
            } = answer;
            faults.push(format!(
                "{kind} {question}: {change}\n    is CORRECT like {text}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Prints the time to prepare all questions, to be compared between two builds.
#[test]
#[ignore = "it measures, and asserts nothing"]
fn time_of_preparing() {
    const TIMES: usize = 5;
    let start = std::time::Instant::now();
    for secret in 0..TIMES {
        let (name, text) = BUILT_IN[0];
        let assignment = Assignment::parse(text, name).expect("the file is valid");
        let secret = secret.to_string();
        Grader::new(assignment, secret.as_bytes()).expect("it can be graded");
    }
    let each = start.elapsed() / TIMES as u32;
    println!("{each:?} to prepare {}", BUILT_IN[0].0);
}
