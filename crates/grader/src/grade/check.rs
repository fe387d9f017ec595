//! Checks an assignment's file as a whole: all its faults at once, and what the networks of each question prove.

use super::assignment::faults::{FileFault, QuestionPlace, faults};
use super::naming::at_numbers::blind;
use super::{Assignment, Grader, Mistake, Question};

/// What the check of an assignment found.
pub enum Checked {
    /// The faults of the file, by their lines.
    Faults(Vec<FileFault>),
    /// The file is sound: the grader, and what each question's networks prove.
    Sound(Box<Grader>, Vec<Proven>),
}

/// What the networks of a question prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The question's id.
    pub question: String,
    /// The shape of its answer.
    pub shape: String,
    /// The number of networks.
    pub networks: usize,
    /// The number of mistakes of the file that no network confuses with the right answer or with one of another code.
    pub mistakes: usize,
    /// Of a question at given numbers, the mistakes that these cannot show, each with a formula that is right at them.
    pub blind: Vec<(Mistake, String)>,
}

/// Reads an assignment and evaluates its formulas on networks seeded by `secret`.
pub fn check(text: &str, secret: &[u8]) -> Checked {
    let (mut found, places) = faults(text);
    let Ok(assignment) = Assignment::parse(text, "") else {
        return Checked::Faults(found);
    };
    for (question, place) in assignment.questions.iter().zip(&places) {
        for reason in formula_faults(&assignment, question, secret) {
            found.push(FileFault {
                line: line_of(&reason, place),
                reason: format!("question {:?}: {reason}", question.id),
            });
        }
    }
    if !found.is_empty() {
        return Checked::Faults(found);
    }
    match Grader::new(assignment, secret) {
        Ok(grader) => {
            let proven = proven(&grader);
            Checked::Sound(Box::new(grader), proven)
        }
        Err(error) => Checked::Faults(vec![FileFault {
            line: 1,
            reason: error.to_string(),
        }]),
    }
}

/// The faults of a question's formulas. Those of mistakes are found one by one, if the question is sound without them.
fn formula_faults(assignment: &Assignment, question: &Question, secret: &[u8]) -> Vec<String> {
    let fault = |question: Question| {
        let alone = Assignment {
            questions: vec![question],
            ..assignment.clone()
        };
        Grader::new(alone, secret).err().map(|error| error.reason)
    };
    let Some(whole) = fault(question.clone()) else {
        return Vec::new();
    };
    let with = |mistakes| Question {
        mistakes,
        ..question.clone()
    };
    if let Some(reason) = fault(with(Vec::new())) {
        return vec![reason];
    }
    let single = question.mistakes.iter();
    let found: Vec<String> = single
        .filter_map(|mistake| fault(with(vec![mistake.clone()])))
        .collect();
    // Two mistakes that each are sound can be one formula.
    if found.is_empty() { vec![whole] } else { found }
}

/// The line of the formula that a reason quotes, or the question's.
fn line_of(reason: &str, place: &QuestionPlace) -> usize {
    let quoted = |text: &&(String, usize)| {
        text.0.len() > 1 && (reason.contains(&text.0) || reason.contains(&format!("{:?}", text.0)))
    };
    // The longest, since a short formula is a part of many.
    let texts = place.texts.iter().filter(quoted);
    let longest = texts.max_by_key(|(text, _)| text.len());
    longest.map_or(place.line, |(_, line)| *line)
}

fn proven(grader: &Grader) -> Vec<Proven> {
    let questions = grader.prepared().iter();
    questions
        .map(|prepared| Proven {
            blind: blind(prepared),
            question: prepared.question.id.clone(),
            shape: grader.shape(&prepared.question.id).unwrap_or_default(),
            networks: prepared.solution.networks.len(),
            mistakes: (prepared.mistakes())
                .filter(|(_, _, networks)| *networks > 0)
                .count(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grade::BUILT_IN;

    #[test]
    fn a_sound_file_says_what_is_proved_and_a_wrong_one_which_lines_are_wrong() {
        let text = BUILT_IN[0].1;
        let Checked::Sound(_, proven) = check(text, b"s") else {
            panic!("the homework is sound");
        };
        assert_eq!(proven.len(), 25);
        assert!(proven[0].networks >= 8 && proven[0].mistakes > 0);

        let lines: Vec<&str> = text.lines().collect();
        let at = |piece: &str| {
            1 + lines
                .iter()
                .position(|line| line.contains(piece))
                .expect(piece)
        };
        let wrong = text
            .replacen(
                "answer = '2 \\delta h^2_{1,1}'",
                "answer = 'h^2_{1,1} \\delta'",
                1,
            )
            .replacen(
                "answer = '\\delta h^1_{1,1}'",
                "answer = '\\delta \\quux'",
                1,
            )
            .replacen(
                "solution = '\\delta h^2_{1,2}'",
                "solution = '\\delta h^2_{1,1}'",
                1,
            );
        let Checked::Faults(found) = check(&wrong, b"s") else {
            panic!("it has faults");
        };
        let found: Vec<usize> = found.iter().map(|fault| fault.line).collect();
        let second = 1 + lines
            .iter()
            .position(|line| *line == "id = \"1.2\"")
            .expect("a question");
        let expected = [
            at("answer = '2 \\delta h^2_{1,1}'"),
            at("answer = '\\delta h^1_{1,1}'"),
        ];
        assert_eq!(found[..2], expected, "{found:?}");
        assert!(found[2] >= second - 1 && found.len() == 3, "{found:?}");
    }
}
