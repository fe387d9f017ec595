//! GradingService.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tonic::{Code, Request, Response, Status};

use super::convert::grading as convert;
use super::convert::request::{count, page_size};
use super::convert::submitted;
use super::convert::target::{Asked, BatchParts, Target};
use super::deadline::Deadline;
use super::entry::{ModelScalar, with_model};
use super::pb::{self, grading_service_server::GradingService};
use super::status::{Refusal, limited};
use super::{ServeError, Server, load_graders};
use crate::config::Config;
use crate::grade::submission::MAX_ANSWERS;
use crate::grade::{
    Extras, Grader, References, Reveal, SubmittedTensor, Tolerance, Verdict, grade_tensors, receipt,
};
use crate::nn::{Batch, Violations};
use crate::training::Model;

/// What one answer costs about, so that a submission is not taken for a small call.
const FLOPS_PER_ANSWER: u64 = 1_000_000;

/// The assignments, and what seeds their networks and signs receipts.
pub(super) struct Grading {
    pub(super) graders: Vec<Arc<Grader>>,
    pub(super) secret: Vec<u8>,
    pub(super) most: Reveal,
}

impl Grading {
    /// Reads the assignments and the secret that the configuration names.
    pub(super) fn start(config: &Config) -> Result<Self, ServeError> {
        let secret = secret(&config.grading_secret_file).map_err(ServeError::Secret)?;
        let folder =
            Some(Path::new(&config.assignments)).filter(|folder| !folder.as_os_str().is_empty());
        let graders = load_graders(folder, &secret)?;
        Ok(Self {
            graders: graders.into_iter().map(Arc::new).collect(),
            secret,
            // The configuration allows these words alone.
            most: Reveal::from_word(&config.reveal_limit).unwrap_or(Reveal::Hints),
        })
    }
}

/// The file's content without the blanks around it, or 256 random bits.
fn secret(file: &str) -> io::Result<Vec<u8>> {
    if file.is_empty() {
        let mut bits = vec![0; 32];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        return Ok(bits);
    }
    let secret = fs::read(file)?.trim_ascii().to_vec();
    if secret.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{file} is empty"),
        ));
    }
    Ok(secret)
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
        let reveal = convert::reveal(request.reveal, &mut violations);
        let reveal = violations.into_result(reveal)?;
        let grader = self.find(&request.assignment)?;
        if reveal > self.0.grading.most {
            let message = "this server does not reveal so much; ask with a lower `reveal`, or have it started with \
                           another `reveal_limit`";
            return Err(Refusal::new(Code::PermissionDenied, "REVEAL_LIMIT", message).status());
        }
        let answers: BTreeMap<String, String> = request.answers.into_iter().collect();
        let flops = FLOPS_PER_ANSWER * answers.len() as u64;
        let server = Arc::clone(&self.0);
        let work = move |_| {
            let mut report = grader.grade(&answers, reveal);
            report.receipt = Some(receipt::receipt(&server.grading.secret, &report, &answers));
            convert::report(report)
        };
        let (report, _) = self.0.compute_by(deadline, flops, work).await?;
        Ok(Response::new(pb::GradeFormulasResponse {
            report: Some(report),
        }))
    }

    async fn grade_gradients(
        &self,
        request: Request<pb::GradeGradientsRequest>,
    ) -> Result<Response<pb::GradeGradientsResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let server = &self.0;
        let mut violations = Violations::new();
        let target = Target::read(request.target.map(Asked::from), server, &mut violations);
        let batch = BatchParts::read(
            request.inputs,
            request.targets,
            request.labels,
            &mut violations,
        );
        let submitted = submitted::read(request.submitted, &mut violations);
        let tolerance = submitted::tolerance(
            request.tolerance,
            request.relative_tolerance,
            &mut violations,
        );
        let dataset_size = count(request.dataset_size, "dataset_size", 0, &mut violations);
        let all = target.zip(batch).zip(submitted).zip(tolerance);
        let (((target, batch), submitted), tolerance) = violations.into_result(all)?;

        with_model!(target.find_to_grade(server).await?, model => {
            let batch = batch.typed::<f64>(model.spec(), server.config.max_batch_rows)?;
            let flops = 3 * model.spec().architecture.forward_flops(batch.rows());
            let most = server.config.max_graded_flops;
            if flops > most {
                let message = format!("one pass takes about {flops} operations, and this server grades up to {most}; send fewer rows");
                return Err(limited("TOO_MUCH_TO_GRADE", "max_graded_flops", most, &message));
            }
            let work = move |_| {
                let extras = Extras {
                    earlier: None,
                    learning_rate: request.learning_rate,
                    dataset_size: Some(dataset_size).filter(|&size| size > 0),
                };
                grade_against(&model, &batch, extras, &submitted, &tolerance)
            };
            // Naming a mistake takes dozens of passes.
            let (reply, _) = server.compute_by(deadline, flops.saturating_mul(50), work).await?;
            Ok(Response::new(reply?))
        })
    }
}

/// Grades in FLOAT64, whatever the model computes in.
fn grade_against<T: ModelScalar>(
    model: &Model<T>,
    batch: &Batch<f64>,
    extras: Extras<'_>,
    submitted: &[SubmittedTensor],
    tolerance: &Tolerance,
) -> Result<pb::GradeGradientsResponse, Violations> {
    let (spec, committed) = (model.spec(), model.committed());
    let parameters: Vec<f64> = committed
        .state
        .parameters
        .iter()
        .map(|parameter| parameter.to_f64())
        .collect();
    let references = References::new(
        &spec.architecture,
        &parameters,
        spec.objective,
        batch.view(),
        extras,
    )?;
    let reports = grade_tensors(&references, submitted, tolerance)?;
    let all_right = reports
        .iter()
        .all(|report| report.verdict == Verdict::Correct);
    Ok(pb::GradeGradientsResponse {
        tensors: reports.into_iter().map(submitted::report).collect(),
        verdict: convert::verdict(if all_right {
            Verdict::Correct
        } else {
            Verdict::Incorrect
        })
        .into(),
        step: committed.step.cast_signed(),
        weights_digest: committed.digest(spec).to_string(),
    })
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
