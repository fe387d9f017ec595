//! Submissions in JSON and TOML.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::content::{Answers, Submission, SubmissionError, id};
use super::single_backslash::doubled;

/// The file's structure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    assignment: Option<String>,
    answers: Answers,
}

impl Document {
    fn submission(self) -> Result<Submission, String> {
        Ok(Submission {
            assignment: self.assignment.as_deref().map(id).transpose()?,
            answers: self.answers.filled(),
            notes: Vec::new(),
        })
    }
}

/// Said where single backslashes were read as LaTeX.
const SINGLE_BACKSLASHES: &str = "the backslashes of some answers are single, which JSON takes for the start of an escape; they were \
     read as those of LaTeX. Compare what was understood, or write each of them twice";

pub(super) fn from_json(text: &str) -> Result<Submission, SubmissionError> {
    let Some(doubled) = doubled(text)? else {
        return from_strict_json(text);
    };
    let mut submission = from_strict_json(&doubled.text).map_err(|error| SubmissionError {
        column: doubled.original_column(error.line, error.column),
        ..error
    })?;
    submission.notes.push(SINGLE_BACKSLASHES.to_owned());
    Ok(submission)
}

fn from_strict_json(text: &str) -> Result<Submission, SubmissionError> {
    let document: Document = serde_json::from_str(text).map_err(|error| {
        // serde_json ends its messages with the position, which the error states itself.
        let place = format!(" at line {} column {}", error.line(), error.column());
        let message = error.to_string();
        SubmissionError {
            line: error.line().max(1),
            column: error.column().max(1),
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    })?;
    document.submission().map_err(|m| at_assignment(text, m))
}

pub(super) fn from_toml(text: &str) -> Result<Submission, SubmissionError> {
    let document: Document = toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        SubmissionError::at(text, start, error.message().replace('\n', "; "))
    })?;
    document.submission().map_err(|m| at_assignment(text, m))
}

/// An error of the assignment's id, at the word `assignment`.
fn at_assignment(text: &str, message: String) -> SubmissionError {
    SubmissionError::at(text, text.find("assignment").unwrap_or(0), message)
}

/// An answer, or answers whose ids begin alike: in TOML a bare `1.1 = "…"` is a table 1 with an entry 1.
enum Answer {
    Text(String),
    Group(Vec<(String, Answer)>),
}

impl Answer {
    fn add_to(self, answers: &mut Answers, question: &str) -> Result<(), String> {
        match self {
            Self::Text(text) => answers.insert(question, text),
            Self::Group(group) => group.into_iter().try_for_each(|(part, answer)| {
                answer.add_to(answers, &format!("{question}.{part}"))
            }),
        }
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneAnswer;

        impl<'de> Visitor<'de> for OneAnswer {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an answer as a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Answer, E> {
                Ok(Answer::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answer, A::Error> {
                let mut group = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    group.push(entry);
                }
                Ok(Answer::Group(group))
            }
        }

        deserializer.deserialize_any(OneAnswer)
    }
}

impl<'de> Deserialize<'de> for Answers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllAnswers;

        impl<'de> Visitor<'de> for AllAnswers {
            type Value = Answers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("answers by their ids, such as {\"1.1\": \"…\"}")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Answers, A::Error> {
                let mut answers = Answers::default();
                while let Some((question, answer)) = map.next_entry::<String, Answer>()? {
                    let added = answer.add_to(&mut answers, question.trim());
                    added.map_err(A::Error::custom)?;
                }
                Ok(answers)
            }
        }

        deserializer.deserialize_map(AllAnswers)
    }
}
