//! GradingService.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tonic::{Code, Request, Response, Status};

use super::compare::{InlineTries, Veil};
use super::convert::grading as convert;
use super::convert::request::page_size;
use super::deadline::Deadline;
use super::pb::{self, grading_service_server::GradingService};
use super::secrets::read_secrets;
use super::status::Refusal;
use super::{ServeError, Server, grade_gradients, load_graders};
use crate::config::Config;
use crate::grade::receipt::Keys;
use crate::grade::submission::{MAX_ANSWERS, MAX_ID_BYTES, MAX_SUBMISSION_BYTES};
use crate::grade::{Grader, Grading, Reveal};
use crate::nn::Violations;

/// The longest name of a student, in bytes.
const LONGEST_STUDENT: usize = 256;

/// The assignments, and what signs receipts and hides digests.
pub(super) struct GradingDesk {
    pub(super) graders: Vec<Arc<Grader>>,
    pub(super) keys: Option<Keys>,
    pub(super) most: Reveal,
    /// How COMPARE_ONLY models are shown.
    pub(super) veil: Veil,
    /// Tries against networks sent along.
    pub(super) inline_tries: InlineTries,
}

impl GradingDesk {
    /// Reads the assignments and the secrets that the configuration names.
    pub(super) fn start(config: &Config) -> Result<Self, ServeError> {
        let secrets = secrets(&config.grading_secret_file).map_err(ServeError::Secret)?;
        let first = secrets.first().map_or(&[][..], Vec::as_slice);
        let folder =
            Some(Path::new(&config.assignments)).filter(|folder| !folder.as_os_str().is_empty());
        let graders = load_graders(folder, first)?;
        Ok(Self {
            graders: graders.into_iter().map(Arc::new).collect(),
            keys: Keys::new(&secrets),
            // The configuration allows these words alone.
            most: Reveal::from_word(&config.reveal_limit).unwrap_or(Reveal::Hints),
            veil: Veil::new(first, config.compare_only),
            inline_tries: InlineTries::default(),
        })
    }
}

/// The file's secrets, or one of 256 random bits.
fn secrets(file: &str) -> io::Result<Vec<Vec<u8>>> {
    if file.is_empty() {
        let mut bits = vec![0; 32];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        return Ok(vec![bits]);
    }
    let secrets = read_secrets(Path::new(file))?;
    if let Some(warning) = secrets.warning {
        tracing::warn!("grading_secret_file: {warning}");
    }
    Ok(secrets.all)
}

/// The handlers.
#[derive(Clone)]
pub struct Gradings(pub(super) Arc<Server>);

#[tonic::async_trait]
impl GradingService for Gradings {
    async fn list_assignments(
        &self,
        request: Request<pb::ListAssignmentsRequest>,
    ) -> Result<Response<pb::ListAssignmentsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        let size = page_size(request.page_size, &mut violations);
        violations.into_result(Some(()))?;
        // The token is the last id of the page before; every id comes after the empty one.
        let after = request.page_token;
        let mut graders: Vec<&Arc<Grader>> = self.0.grading.graders.iter().collect();
        graders.sort_by(|a, b| a.assignment().id.cmp(&b.assignment().id));
        graders.retain(|grader| grader.assignment().id > after);
        let more = graders.len() > size;
        graders.truncate(size);
        let next = graders
            .last()
            .filter(|_| more)
            .map(|grader| grader.assignment().id.clone());
        Ok(Response::new(pb::ListAssignmentsResponse {
            assignments: graders
                .iter()
                .map(|grader| convert::summary(grader.assignment()))
                .collect(),
            next_page_token: next.unwrap_or_default(),
        }))
    }

    async fn get_assignment(
        &self,
        request: Request<pb::GetAssignmentRequest>,
    ) -> Result<Response<pb::GetAssignmentResponse>, Status> {
        let grader = self.find(&request.into_inner().assignment)?;
        Ok(Response::new(convert::assignment(&grader)))
    }

    async fn grade_formulas(
        &self,
        request: Request<pb::GradeFormulasRequest>,
    ) -> Result<Response<pb::GradeFormulasResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let mut violations = Violations::new();
        if request.answers.len() > MAX_ANSWERS {
            let given = format!("{} answers", request.answers.len());
            violations.add("answers", given, format!("at most {MAX_ANSWERS}"));
        }
        let text: usize = request.answers.values().map(String::len).sum();
        if text > MAX_SUBMISSION_BYTES {
            let given = format!("{text} bytes of answers");
            let allowed = format!("at most {MAX_SUBMISSION_BYTES} in one call");
            violations.add("answers", given, allowed);
        }
        // What no question of the assignment has comes back in the reply.
        if let Some(id) = request.answers.keys().find(|id| id.len() > MAX_ID_BYTES) {
            let given = format!("an id of {} bytes", id.len());
            violations.add("answers", given, format!("at most {MAX_ID_BYTES} bytes"));
        }
        if request.student.len() > LONGEST_STUDENT {
            let given = format!("{} bytes", request.student.len());
            violations.add("student", given, format!("at most {LONGEST_STUDENT} bytes"));
        }
        let reveal = convert::reveal(request.reveal, &mut violations);
        let reveal = violations.into_result(reveal)?;
        let grader = self.find(&request.assignment)?;
        if reveal > self.0.grading.most {
            let message = "this server does not reveal so much; ask with a lower `reveal`, or have it started with \
                           another `reveal_limit`";
            return Err(Refusal::new(Code::PermissionDenied, "REVEAL_LIMIT", message).status());
        }
        let answers: Arc<BTreeMap<_, _>> = Arc::new(request.answers.into_iter().collect());
        let student = Some(request.student).filter(|student| !student.is_empty());
        let grading = Grading::new(grader, Arc::clone(&answers), reveal);
        let server = Arc::clone(&self.0);
        let finish = move |grading: Grading| {
            let mut report = grading.report();
            report.student = student;
            report.graded_at = Some(now());
            if let Some(keys) = &server.grading.keys {
                keys.sign(&mut report, &answers);
            }
            convert::report(report)
        };
        let quantum = Duration::from_millis(self.0.config.quantum_ms);
        let compute = &self.0.compute;
        let graded = async {
            let graded = compute.run_in_turns(quantum, grading, Grading::advance, finish);
            Ok(graded.await?)
        };
        let (report, _) = deadline.limit(graded).await?;
        Ok(Response::new(pb::GradeFormulasResponse {
            report: Some(report),
        }))
    }

    async fn grade_gradients(
        &self,
        request: Request<pb::GradeGradientsRequest>,
    ) -> Result<Response<pb::GradeGradientsResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let graded = grade_gradients::grade(&self.0, deadline, request.into_inner());
        Ok(Response::new(graded.await?))
    }
}

impl Gradings {
    fn find(&self, id: &str) -> Result<Arc<Grader>, Status> {
        let graders = &self.0.grading.graders;
        let found = graders.iter().find(|grader| grader.assignment().id == id);
        found.cloned().ok_or_else(|| {
            let message = "there is no such assignment; ListAssignments names those that there are";
            Refusal::new(Code::NotFound, "NOT_FOUND", message)
                .resource("assignment", id, message)
                .status()
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
