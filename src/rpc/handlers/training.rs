//! TrainingService: each handler converts its request, asks the host, and converts the answer.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::streams::{Streamed, model_events, run_events};
use super::{
    apply_gradients, check_gradients, copy_model, create_model, evaluate, explain, parameters,
    reads, runs, transfer, update_model,
};
use crate::fault::Violations;
use crate::host::Host;
use crate::host::refused::Refused;
use crate::rpc::GradientsReply;
use crate::rpc::call::caller;
use crate::rpc::convert::model::write_model;
use crate::rpc::convert::shared_fields::{count, model_name, page_size, page_token, session_name};
use crate::rpc::convert::training::read_run;
use crate::rpc::pb;
use crate::rpc::services::training_service_server::TrainingService;
use crate::training::ModelName;

/// The handlers of TrainingService.
#[derive(Clone)]
pub struct Training(pub Arc<Host>);

#[tonic::async_trait]
impl TrainingService for Training {
    async fn create_model(
        &self,
        request: Request<pb::CreateModelRequest>,
    ) -> Result<Response<pb::CreateModelResponse>, Status> {
        create_model::create(&self.0, &caller(), request.into_inner()).await
    }

    type TrainBatchStream = Streamed<pb::TrainBatchResponse>;

    async fn train_batch(
        &self,
        request: Request<pb::TrainBatchRequest>,
    ) -> Result<Response<Self::TrainBatchStream>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        let parts = read_run(request, &mut violations);
        let (name, parts) = violations
            .into_result(name.zip(parts))
            .map_err(Refused::from)?;
        let events = self.0.train(&caller(), &name, parts).await?;
        Ok(Response::new(run_events(events)))
    }

    async fn gradients(
        &self,
        request: Request<pb::GradientsRequest>,
    ) -> Result<Response<GradientsReply>, Status> {
        reads::gradients(&self.0, &caller(), request.into_inner()).await
    }

    async fn predict(
        &self,
        request: Request<pb::PredictRequest>,
    ) -> Result<Response<pb::PredictResponse>, Status> {
        reads::predict(&self.0, &caller(), request.into_inner()).await
    }

    async fn get_model(
        &self,
        request: Request<pb::GetModelRequest>,
    ) -> Result<Response<pb::GetModelResponse>, Status> {
        let (caller, name) = (
            caller(),
            read_name(&request.into_inner().name).map_err(Refused::from)?,
        );
        let entry = self.0.find(&caller, &name).await?;
        let state = self.0.describe_one(&caller, entry).await?;
        Ok(Response::new(pb::GetModelResponse {
            model: Some(write_model(&state, &self.0.grading.veil)),
        }))
    }

    async fn list_models(
        &self,
        request: Request<pb::ListModelsRequest>,
    ) -> Result<Response<pb::ListModelsResponse>, Status> {
        let (caller, request) = (caller(), request.into_inner());
        let mut violations = Violations::new();
        let session = session_name(&request.session, "session", &mut violations);
        let size = page_size(request.page_size, &mut violations);
        let after = page_token(&request.page_token, &mut violations);
        let session = violations.into_result(session).map_err(Refused::from)?;
        let page = self
            .0
            .page_of_models(&caller, &session, after.as_ref(), size);
        let (models, next) = caller.deadline.limit(page).await?;
        let veil = &self.0.grading.veil;
        Ok(Response::new(pb::ListModelsResponse {
            models: models
                .iter()
                .map(|model| write_model(model, veil))
                .collect(),
            next_page_token: next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn delete_model(
        &self,
        request: Request<pb::DeleteModelRequest>,
    ) -> Result<Response<pb::DeleteModelResponse>, Status> {
        let name = read_name(&request.into_inner().name).map_err(Refused::from)?;
        self.0.delete_model(&caller(), &name).await?;
        Ok(Response::new(pb::DeleteModelResponse {}))
    }

    async fn get_parameters(
        &self,
        request: Request<pb::GetParametersRequest>,
    ) -> Result<Response<pb::GetParametersResponse>, Status> {
        parameters::get(&self.0, &caller(), request.into_inner()).await
    }

    async fn set_parameters(
        &self,
        request: Request<pb::SetParametersRequest>,
    ) -> Result<Response<pb::SetParametersResponse>, Status> {
        parameters::set(&self.0, &caller(), request.into_inner()).await
    }

    async fn check_gradients(
        &self,
        request: Request<pb::CheckGradientsRequest>,
    ) -> Result<Response<pb::CheckGradientsResponse>, Status> {
        check_gradients::check(&self.0, &caller(), request.into_inner()).await
    }

    async fn explain(
        &self,
        request: Request<pb::ExplainRequest>,
    ) -> Result<Response<pb::ExplainResponse>, Status> {
        explain::explain(&self.0, &caller(), request.into_inner()).await
    }

    async fn evaluate(
        &self,
        request: Request<pb::EvaluateRequest>,
    ) -> Result<Response<pb::EvaluateResponse>, Status> {
        evaluate::evaluate(&self.0, &caller(), request.into_inner()).await
    }

    type ExportModelStream = Streamed<pb::ExportModelResponse>;

    async fn export_model(
        &self,
        request: Request<pb::ExportModelRequest>,
    ) -> Result<Response<Self::ExportModelStream>, Status> {
        let name = read_name(&request.into_inner().name).map_err(Refused::from)?;
        transfer::export(&self.0, &caller(), &name).await
    }

    async fn import_model(
        &self,
        request: Request<Streaming<pb::ImportModelRequest>>,
    ) -> Result<Response<pb::ImportModelResponse>, Status> {
        transfer::import(&self.0, &caller(), request.into_inner()).await
    }

    async fn stop_training(
        &self,
        request: Request<pb::StopTrainingRequest>,
    ) -> Result<Response<pb::StopTrainingResponse>, Status> {
        runs::stop(&self.0, &caller(), request.into_inner()).await
    }

    async fn list_runs(
        &self,
        request: Request<pb::ListRunsRequest>,
    ) -> Result<Response<pb::ListRunsResponse>, Status> {
        runs::list(&self.0, &caller(), request.into_inner()).await
    }

    async fn get_run(
        &self,
        request: Request<pb::GetRunRequest>,
    ) -> Result<Response<pb::GetRunResponse>, Status> {
        runs::get(&self.0, &caller(), request.into_inner()).await
    }

    async fn apply_gradients(
        &self,
        request: Request<pb::ApplyGradientsRequest>,
    ) -> Result<Response<pb::ApplyGradientsResponse>, Status> {
        apply_gradients::apply(&self.0, &caller(), request.into_inner()).await
    }

    async fn copy_model(
        &self,
        request: Request<pb::CopyModelRequest>,
    ) -> Result<Response<pb::CopyModelResponse>, Status> {
        copy_model::copy(&self.0, &caller(), request.into_inner()).await
    }

    async fn update_model(
        &self,
        request: Request<pb::UpdateModelRequest>,
    ) -> Result<Response<pb::UpdateModelResponse>, Status> {
        update_model::update(&self.0, &caller(), request.into_inner()).await
    }

    type WatchModelStream = Streamed<pb::WatchModelResponse>;

    async fn watch_model(
        &self,
        request: Request<pb::WatchModelRequest>,
    ) -> Result<Response<Self::WatchModelStream>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        let name = model_name(&request.model, "model", &mut violations);
        let every = count(request.metrics_every, "metrics_every", 1, &mut violations) as u64;
        let name = violations.into_result(name).map_err(Refused::from)?;
        let (state, watch) = self.0.watch(&caller(), &name, every).await?;
        Ok(Response::new(model_events(&state, watch, &self.0)))
    }
}

fn read_name(text: &str) -> Result<ModelName, Violations> {
    let mut violations = Violations::new();
    let name = model_name(text, "name", &mut violations);
    violations.into_result(name)
}
