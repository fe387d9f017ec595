//! GradingService.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use backpropd_identity::Role;
use tonic::{Request, Response, Status};

use super::grade_gradients;
use crate::fault::Violations;
use crate::grade::submission::{MAX_ANSWERS, MAX_ID_BYTES, MAX_SUBMISSION_BYTES};
use crate::grade::{Grader, Grading};
use crate::host::Host;
use crate::host::refused::Refused;
use crate::rpc::call::caller;
use crate::rpc::convert::grading as convert;
use crate::rpc::convert::shared_fields::page_size;
use crate::rpc::pb;
use crate::rpc::roles::{Privilege, has_privilege};
use crate::rpc::services::grading_service_server::GradingService;
use crate::status::{Reason, Refusal};

/// The longest name of a student, in bytes.
const LONGEST_STUDENT: usize = 256;

/// The handlers of GradingService.
#[derive(Clone)]
pub struct Gradings(pub Arc<Host>);

#[tonic::async_trait]
impl GradingService for Gradings {
    async fn list_assignments(
        &self,
        request: Request<pb::ListAssignmentsRequest>,
    ) -> Result<Response<pb::ListAssignmentsResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        let size = page_size(request.page_size, &mut violations);
        violations.into_result(Some(())).map_err(Refused::from)?;
        // The token is the last id of the previous page. The empty token sorts before every id.
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
        let (caller, request) = (caller(), request.into_inner());
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
        // The reply repeats ids that match no question, so their length is limited.
        if let Some(id) = request.answers.keys().find(|id| id.len() > MAX_ID_BYTES) {
            let given = format!("an id of {} bytes", id.len());
            violations.add("answers", given, format!("at most {MAX_ID_BYTES} bytes"));
        }
        if request.student.len() > LONGEST_STUDENT {
            let given = format!("{} bytes", request.student.len());
            violations.add("student", given, format!("at most {LONGEST_STUDENT} bytes"));
        }
        // The receipt of a student is for nobody else.
        if let Some(identity) = caller.identity()
            && identity.role == Role::Student
            && !["", &identity.subject].contains(&request.student.as_str())
        {
            let allowed = format!("{:?}, the person of the token, or none", identity.subject);
            violations.add("student", format!("{:?}", request.student), allowed);
        }
        let reveal = convert::reveal(request.reveal, &mut violations);
        let reveal = violations.into_result(reveal).map_err(Refused::from)?;
        let grader = self.find(&request.assignment)?;
        if reveal > self.0.grading.most && !has_privilege(&caller, Privilege::Reveal) {
            let message = "this server does not reveal so much; ask with a lower `reveal`, or have it started with \
                           another `reveal_limit`";
            return Err(Refusal::new(Reason::RevealLimit, message).status());
        }
        let answers: Arc<BTreeMap<_, _>> = Arc::new(request.answers.into_iter().collect());
        let student = Some(request.student).filter(|student| !student.is_empty());
        let preview = request.preview;
        let grading = Grading::new(grader, Arc::clone(&answers), reveal);
        let host = Arc::clone(&self.0);
        let finish = move |grading: Grading| {
            let mut report = grading.report();
            if preview {
                let questions = &mut report.questions;
                questions.retain(|question| answers.contains_key(&question.id));
                return convert::preview(report);
            }
            // A question without an answer says nothing about a mistake.
            let questions = report.questions.iter();
            for question in questions.filter(|question| answers.contains_key(&question.id)) {
                let (verdict, named) = (question.verdict, question.named);
                host.metrics.note_graded(verdict, named);
                let counts = &host.grading.counts;
                counts.note(&report.assignment, &question.id, verdict, named);
            }
            report.student = student;
            report.graded_at = Some(host.grading.time.unwrap_or_else(now));
            if let Some(keys) = &host.grading.keys {
                keys.sign(&mut report, &answers);
            }
            convert::report(report)
        };
        let graded = self
            .0
            .compute_in_turns(&caller, grading, Grading::advance, finish);
        let (report, _) = graded.await?;
        Ok(Response::new(pb::GradeFormulasResponse {
            report: Some(report),
        }))
    }

    async fn grade_gradients(
        &self,
        request: Request<pb::GradeGradientsRequest>,
    ) -> Result<Response<pb::GradeGradientsResponse>, Status> {
        let (caller, request) = (caller(), request.into_inner());
        let graded = grade_gradients::grade(&self.0, &caller, request).await?;
        Ok(Response::new(graded))
    }

    async fn get_grading_statistics(
        &self,
        request: Request<pb::GetGradingStatisticsRequest>,
    ) -> Result<Response<pb::GetGradingStatisticsResponse>, Status> {
        let grader = self.find(&request.into_inner().assignment)?;
        let counts = &self.0.grading.counts;
        let statistics = convert::statistics(grader.assignment(), counts);
        Ok(Response::new(statistics))
    }
}

impl Gradings {
    fn find(&self, id: &str) -> Result<Arc<Grader>, Status> {
        let graders = &self.0.grading.graders;
        let found = graders.iter().find(|grader| grader.assignment().id == id);
        found.cloned().ok_or_else(|| {
            let given: String = id.chars().take(80).collect();
            let mut ids: Vec<&str> = graders.iter().map(|grader| grader.assignment().id.as_str()).collect();
            ids.truncate(20);
            let message = format!(
                "there is no assignment {given:?}; ListAssignments lists those that there are, such as {}",
                ids.join(", ")
            );
            Refusal::new(Reason::NotFound, message.as_str())
                .resource("assignment", id, message.as_str())
                .status()
        })
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
