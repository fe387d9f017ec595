//! TrainingService: each handler converts in, calls the core, converts out.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::Server;
use super::check::GradientCheck;
use super::convert::request::{count, model_name, reply_limit};
use super::convert::target::{Asked, BatchParts, Target, parameter_bytes, read_parameters};
use super::convert::tensor::Encoding;
use super::convert::training::{Bounds, TrainParts, timings};
use super::create::Creation;
use super::deadline::Deadline;
use super::entry::{ModelEntry, ModelScalar, with_model};
use super::feed::Feed;
use super::parameters::{self, Replacement};
use super::pb::{self, training_service_server::TrainingService};
use super::reads;
use super::reply::GradientsReply;
use super::run_task::{self, Conditions, conduct};
use super::streams::{Streamed, Watch, run_events};
use super::telemetry;
use super::transfer::{self, Import};
use crate::nn::Violations;
use crate::nn::finite_difference::CheckOptions;
use crate::training::{Model, Plan};

/// The handlers.
#[derive(Clone)]
pub struct Training(pub(super) Arc<Server>);

#[tonic::async_trait]
impl TrainingService for Training {
    async fn create_model(
        &self,
        request: Request<pb::CreateModelRequest>,
    ) -> Result<Response<pb::CreateModelResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let creation = Creation::read(request.into_inner(), &self.0, deadline).await?;
        let model = deadline.limit(creation.create(&self.0, deadline)).await?;
        Ok(Response::new(pb::CreateModelResponse {
            model: Some(model),
        }))
    }

    type TrainBatchStream = Streamed<pb::TrainBatchResponse>;

    async fn train_batch(
        &self,
        request: Request<pb::TrainBatchRequest>,
    ) -> Result<Response<Self::TrainBatchStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        let parts = TrainParts::read(request, &mut violations);
        let (name, parts) = violations.into_result(name.zip(parts))?;
        let entry = self.0.open(&name).await?;

        // Kept by the reader and by the run, either of which may outlast the other.
        let place = Arc::new(self.0.streams.take(telemetry::party())?);
        let caller_gone = CancellationToken::new();
        let guard = parts
            .stop_on_disconnect
            .then(|| caller_gone.clone().drop_guard());
        let conditions = Conditions {
            deadline,
            caller_gone,
            expected_step: parts.expected_step,
            is_relaxed: parts.is_relaxed,
            _place: Arc::clone(&place),
        };
        let most = self.0.config.max_buffered_metrics;
        let memory = self.0.reserve(Feed::bytes(parts.most_reports(), most))?;
        let feed = Feed::new(parts.metrics_every, most, memory);
        let (begun, began) = oneshot::channel();
        let server = Arc::clone(&self.0);
        let to_reader = Arc::clone(&feed);
        with_model!(entry.model.clone(), model => {
            let run = async move {
                match plan(&server, deadline, &model, parts).await {
                    Ok(plan) => conduct(server, entry, model, plan, conditions, feed, begun).await,
                    Err(status) => {
                        // A caller that has gone needs no answer.
                        let _ = begun.send(Err(status));
                    }
                }
            };
            self.0.tasks.spawn(telemetry::in_this_call(run));
        });
        // A run that ends without a word has panicked before it began.
        began
            .await
            .unwrap_or_else(|_| Err(super::status::internal()))?;
        Ok(Response::new(run_events(to_reader, (guard, place))))
    }

    async fn gradients(
        &self,
        request: Request<pb::GradientsRequest>,
    ) -> Result<Response<GradientsReply>, Status> {
        reads::gradients(&self.0, request).await
    }

    async fn predict(
        &self,
        request: Request<pb::PredictRequest>,
    ) -> Result<Response<pb::PredictResponse>, Status> {
        reads::predict(&self.0, request).await
    }

    async fn get_model(
        &self,
        request: Request<pb::GetModelRequest>,
    ) -> Result<Response<pb::GetModelResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let entry = self.find(&request.into_inner().name, "name").await?;
        let model = deadline
            .limit(self.0.describe(deadline, vec![entry]))
            .await?
            .pop();
        Ok(Response::new(pb::GetModelResponse { model }))
    }

    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let list = self.0.list_models(deadline, request.into_inner());
        Ok(Response::new(deadline.limit(list).await?))
    }

    async fn delete_model(
        &self,
        request: Request<pb::DeleteModelRequest>,
    ) -> Result<Response<pb::DeleteModelResponse>, Status> {
        let mut violations = Violations::new();
        let name = model_name(&request.into_inner().name, "name", &mut violations);
        let name = violations.into_result(name)?;
        telemetry::note_model(&name);
        self.0.delete_model(&name).await?;
        Ok(Response::new(pb::DeleteModelResponse {}))
    }

    async fn get_parameters(
        &self,
        request: Request<pb::GetParametersRequest>,
    ) -> Result<Response<pb::GetParametersResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let server = &self.0;
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        let encoding = Encoding::of_reply(request.encoding, None, &mut violations);
        let limit = reply_limit(
            request.max_reply_bytes,
            server.config.max_reply_bytes,
            &mut violations,
        );
        let name = violations.into_result(name)?;
        let entry = server.open(&name).await?;
        parameters::get(server, deadline, entry, encoding, limit).await
    }

    async fn set_parameters(
        &self,
        request: Request<pb::SetParametersRequest>,
    ) -> Result<Response<pb::SetParametersResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        // The model may have more layers than a new one may.
        let parts = read_parameters(request.parameters, usize::MAX, &mut violations);
        let (name, parts) = violations.into_result(name.zip(parts))?;
        let entry = self.0.open(&name).await?;
        let spec = entry.model.spec();
        // What is there already stays until the new numbers are safe, and is written to a file.
        let bytes = parameter_bytes(spec, &parts).saturating_add(spec.state_bytes());
        self.0.hold(bytes)?;
        let replacement = Replacement {
            parameters: parts,
            expected_step: request.expected_step,
            request_id: request.request_id,
        };
        with_model!(entry.model.clone(), model => {
            let replaced = replacement.apply(&self.0, deadline, &entry, model);
            Ok(Response::new(deadline.limit(replaced).await?))
        })
    }

    async fn check_gradients(
        &self,
        request: Request<pb::CheckGradientsRequest>,
    ) -> Result<Response<pb::CheckGradientsResponse>, Status> {
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
        let step_size = request.step_size.unwrap_or(1e-5);
        if !(1e-10..=0.1).contains(&step_size) {
            violations.add("step_size", step_size, "1e-10 to 0.1");
        }
        let tolerance = request.tolerance.unwrap_or(1e-7);
        if tolerance.is_nan() || tolerance <= 0.0 {
            violations.add("tolerance", tolerance, "above 0");
        }
        let most = count(
            request.max_entries_per_tensor,
            "max_entries_per_tensor",
            usize::MAX,
            &mut violations,
        );
        let (target, batch) = violations.into_result(target.zip(batch))?;

        with_model!(target.find(server).await?, model => {
            let batch = reads::typed::<f64>(server, deadline, model.spec(), batch).await?;
            let options = CheckOptions { step_size, max_entries_per_tensor: most };
            let check = GradientCheck::new(&model, batch, options, tolerance, server)?;
            // Never at once: it differentiates by many passes, however small each is.
            let (flops, work) = (u64::MAX, |turns| async move { check.reply(&turns).await });
            let (mut reply, timing) = server.compute_in_blocks(deadline, flops, work).await?;
            reply.timings = Some(timings(timing));
            Ok(Response::new(reply))
        })
    }

    type ExportModelStream = Streamed<pb::ExportModelResponse>;

    async fn export_model(
        &self,
        request: Request<pb::ExportModelRequest>,
    ) -> Result<Response<Self::ExportModelStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        let mut violations = Violations::new();
        let name = model_name(&request.into_inner().name, "name", &mut violations);
        let name = violations.into_result(name)?;
        let entry = self.0.open_to_export(&name).await?;
        deadline.limit(transfer::export(&self.0, entry)).await
    }

    async fn import_model(
        &self,
        request: Request<Streaming<pb::ImportModelRequest>>,
    ) -> Result<Response<pb::ImportModelResponse>, Status> {
        let deadline = Deadline::of(request.metadata());
        let import = Import::receive(request.into_inner(), &self.0);
        let import = deadline.limit(import).await?;
        let model = deadline.limit(import.create(&self.0)).await?;
        Ok(Response::new(pb::ImportModelResponse {
            model: Some(model),
        }))
    }

    type WatchModelStream = Streamed<pb::WatchModelResponse>;

    async fn watch_model(
        &self,
        request: Request<pb::WatchModelRequest>,
    ) -> Result<Response<Self::WatchModelStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        let request = request.into_inner();
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        let every = count(request.metrics_every, "metrics_every", 1, &mut violations) as u64;
        let name = violations.into_result(name)?;
        let server = &self.0;
        let entry = server.open(&name).await?;
        let place = server.streams.take(telemetry::party())?;
        let watch = Watch::follow(place, server, &entry, every, deadline)?;
        let model = deadline
            .limit(server.describe(deadline, vec![entry]))
            .await?
            .pop();
        Ok(Response::new(watch.into_stream(model)))
    }
}

impl Training {
    async fn find(&self, name: &str, field: &str) -> Result<Arc<ModelEntry>, Status> {
        let mut violations = Violations::new();
        let name = model_name(name, field, &mut violations);
        let name = violations.into_result(name)?;
        self.0.find(&name).await
    }
}

/// Reads what a run is to do; a large batch is copied and hashed on a compute thread.
async fn plan<T: ModelScalar>(
    server: &Arc<Server>,
    deadline: Deadline,
    model: &Arc<Model<T>>,
    parts: TrainParts,
) -> Result<Plan<T>, Status> {
    let planned = Arc::clone(model);
    // An outcome that is known is answered though the limits are lower by now. `conduct` checks what is not answered by one.
    let is_known = model.knows(parts.request_id());
    let bounds = if is_known {
        Bounds::NONE
    } else {
        Bounds::of(&server.config)
    };
    let plan = if parts.entries() > reads::MANY_ENTRIES {
        let (entries, read) = (parts.entries(), |turns| async move {
            parts.plan_in_blocks(planned.spec(), bounds, &turns).await
        });
        server.compute_in_blocks(deadline, entries, read).await?.0?
    } else {
        let (entries, read) = (parts.entries(), move |_| parts.plan(planned.spec(), bounds));
        server.compute_by(deadline, entries, read).await?.0?
    };
    if !is_known {
        // Refused before it waits for its turn.
        run_task::check_bounds(server, model, &plan)?;
    }
    Ok(plan)
}
