//! The grader of a command: inside this process, or on a server.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use backpropd_client::{Client, pb};
use clap::{Arg, ArgMatches};
use tokio::runtime::Runtime;

use super::wire::{asked_reveal, read_report};
use super::{Options, choose, graders_seeded, overrule_by_files, restrict, secrets};
use crate::cli::{Failure, connection, serve};
use crate::grade::receipt::Keys;
use crate::grade::submission::Submission;
use crate::grade::{AnswerKind, Assignment, GradeReport, Grader, Verdict};

pub(super) fn argument() -> Arg {
    Arg::new("server")
        .long("server")
        .value_name("URL")
        .env("BACKPROPD_SERVER")
        .conflicts_with_all(["assignments", "secret", "secret-file", "overrides"])
        .help(
            "Grade on a server, with its assignments and its secret, such as localhost:50051 \
             [default: grade inside this process]",
        )
}

/// The grader. A process makes one, so the difference in size does not matter.
#[allow(clippy::large_enum_variant)]
pub(super) enum Source {
    Here {
        graders: Vec<Grader>,
        /// Signs reports; `None` if the secret is the public default.
        keys: Option<Keys>,
    },
    Server {
        runtime: Runtime,
        client: Client,
    },
}

impl Source {
    /// The grader of the arguments; connects to the server if there is one.
    pub(super) fn of(matches: &ArgMatches) -> Result<Self, Failure> {
        let Some(server) = matches.get_one::<String>("server") else {
            let secrets = secrets(matches)?;
            let mut graders = graders_seeded(matches, &secrets)?;
            overrule_by_files(matches, &mut graders)?;
            return Ok(Self::Here {
                graders,
                keys: Keys::new(&secrets),
            });
        };
        let runtime = serve::runtime()?;
        let client = runtime.block_on(connection::connect(server, matches))?;
        Ok(Self::Server { runtime, client })
    }

    /// Grades a submission by the assignment `id`.
    pub(super) fn grade(
        &self,
        id: &str,
        submission: &Submission,
        student: String,
        options: &Options,
    ) -> Result<GradeReport, Failure> {
        match self {
            Self::Here { graders, keys } => {
                let mut report = choose(graders, id)?.grade(&submission.answers, options.reveal);
                restrict(&mut report, &options.questions)?;
                if let Some(keys) = keys.as_ref().filter(|_| options.questions.is_empty()) {
                    let since = SystemTime::now().duration_since(UNIX_EPOCH);
                    report.student = Some(student);
                    report.graded_at = since.ok().map(|since| since.as_secs());
                    keys.sign(&mut report, &submission.answers);
                }
                Ok(report)
            }
            Self::Server { runtime, client } => {
                let request = pb::GradeFormulasRequest {
                    assignment: id.to_owned(),
                    answers: submission.answers.clone().into_iter().collect(),
                    reveal: asked_reveal(options.reveal).into(),
                    student,
                    preview: false,
                };
                let reply = runtime.block_on(client.grade_formulas(request))?;
                let report = reply.report;
                let report = report.ok_or_else(|| "it has no report".to_owned());
                let mut report = report
                    .and_then(read_report)
                    .map_err(|why| Failure::failed(format!("the server's reply: {why}")))?;
                restrict(&mut report, &options.questions)?;
                Ok(report)
            }
        }
    }

    /// The assignment `id`, if it is graded here: a server does not send its file.
    fn assignment(&self, id: &str) -> Option<&Assignment> {
        match self {
            Self::Here { graders, .. } => choose(graders, id).ok().map(Grader::assignment),
            Self::Server { .. } => None,
        }
    }

    /// The title of an assignment.
    pub(super) fn title(&self, id: &str) -> Option<String> {
        self.assignment(id)
            .map(|assignment| assignment.title.clone())
    }

    /// A digest of the values of each wrong answer, if it is graded here.
    pub(super) fn value_digests(
        &self,
        report: &GradeReport,
        submission: &Submission,
    ) -> BTreeMap<String, String> {
        let Self::Here { graders, .. } = self else {
            return BTreeMap::new();
        };
        let Ok(grader) = choose(graders, &report.assignment) else {
            return BTreeMap::new();
        };
        let is_wrong = |verdict| matches!(verdict, Verdict::Partial | Verdict::Incorrect);
        let wrong = report.questions.iter().filter(|it| is_wrong(it.verdict));
        wrong
            .filter_map(|question| {
                let answer = submission.answers.get(&question.id)?;
                let digest = grader.value_digest(&question.id, answer)?;
                Some((question.id.clone(), digest))
            })
            .collect()
    }

    /// Whether the question offers choices; `false` if a server grades it.
    pub(super) fn is_choice(&self, id: &str, question: &str) -> bool {
        let question = self.assignment(id).and_then(|it| it.question(question));
        question.is_some_and(|question| question.kind == AnswerKind::Choice)
    }

    /// A key that answers of one meaning share; `None` if the answer is not read, or a server grades it.
    pub(super) fn meaning(&self, id: &str, question: &str, answer: &str) -> Option<String> {
        match self {
            Self::Here { graders, .. } => choose(graders, id).ok()?.meaning(question, answer),
            Self::Server { .. } => None,
        }
    }

    /// The entries of overrides files, as `FILE:LINE`; those of a server are not known.
    pub(super) fn override_entries(&self, id: &str) -> Vec<&str> {
        match self {
            Self::Here { graders, .. } => choose(graders, id)
                .map_or_else(|_| Vec::new(), |grader| grader.override_entries().collect()),
            Self::Server { .. } => Vec::new(),
        }
    }

    /// The text of each question.
    pub(super) fn prompts(&self, id: &str) -> BTreeMap<String, String> {
        let questions = self.assignment(id).map(|assignment| &assignment.questions);
        let questions = questions.into_iter().flatten();
        questions
            .map(|question| (question.id.clone(), question.prompt.clone()))
            .collect()
    }

    /// The questions and their points.
    pub(super) fn questions(&self, id: &str) -> Vec<(String, f64)> {
        let questions = self.assignment(id).map(|assignment| &assignment.questions);
        let questions = questions.into_iter().flatten();
        questions
            .map(|question| (question.id.clone(), question.points))
            .collect()
    }
}
