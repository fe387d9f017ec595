//! DatasetService.

use std::sync::Arc;

use prost::Message as _;
use tonic::{Request, Response, Status, Streaming};

use super::streams::next_message;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::datasets::{Begun, DatasetState, NewDataset, Piece};
use crate::host::refused::Refused;
use crate::rpc::call::caller;
use crate::rpc::convert::dataset::{dataset_name, read_header, write_dataset, write_listed};
use crate::rpc::convert::shared_fields::{id, page_size, page_token, request_id, session_name};
use crate::rpc::pb;
use crate::rpc::services::dataset_service_server::DatasetService;
use crate::training::DatasetName;

/// What a sender that stalls is told.
const AGAIN: [&str; 2] = ["no rows", "send the dataset again, faster"];

/// The handlers of DatasetService.
#[derive(Clone)]
pub struct Datasets(pub Arc<Host>);

#[tonic::async_trait]
impl DatasetService for Datasets {
    async fn create_dataset(
        &self,
        request: Request<Streaming<pb::CreateDatasetRequest>>,
    ) -> Result<Response<pb::CreateDatasetResponse>, Status> {
        let caller = caller();
        let received = receive(&self.0, &caller, request.into_inner());
        let state = caller.deadline.limit(received).await?;
        Ok(Response::new(pb::CreateDatasetResponse {
            dataset: Some(write_dataset(&state)),
        }))
    }

    async fn get_dataset(
        &self,
        request: Request<pb::GetDatasetRequest>,
    ) -> Result<Response<pb::GetDatasetResponse>, Status> {
        let (caller, name) = (caller(), read_name(&request.into_inner().name)?);
        let described = self.0.describe_dataset(&caller, &name);
        let state = caller.deadline.limit(described).await?;
        Ok(Response::new(pb::GetDatasetResponse {
            dataset: Some(write_dataset(&state)),
        }))
    }

    async fn list_datasets(
        &self,
        request: Request<pb::ListDatasetsRequest>,
    ) -> Result<Response<pb::ListDatasetsResponse>, Status> {
        let (caller, request) = (caller(), request.into_inner());
        let mut violations = Violations::new();
        let session = match request.session.as_str() {
            "" => None,
            session => session_name(session, "session", &mut violations),
        };
        let size = page_size(request.page_size, &mut violations);
        let after = page_token(&request.page_token, &mut violations);
        violations.into_result(Some(())).map_err(Refused::from)?;
        let page = self
            .0
            .page_of_datasets(&caller, session.as_ref(), after.as_ref(), size);
        let (datasets, next) = caller.deadline.limit(page).await?;
        Ok(Response::new(pb::ListDatasetsResponse {
            datasets: datasets.iter().map(write_listed).collect(),
            next_page_token: next.map(|id| id.to_string()).unwrap_or_default(),
        }))
    }

    async fn delete_dataset(
        &self,
        request: Request<pb::DeleteDatasetRequest>,
    ) -> Result<Response<pb::DeleteDatasetResponse>, Status> {
        let name = read_name(&request.into_inner().name)?;
        self.0.delete_dataset(&caller(), &name).await?;
        Ok(Response::new(pb::DeleteDatasetResponse {}))
    }
}

fn read_name(text: &str) -> Result<DatasetName, Refused> {
    let mut violations = Violations::new();
    let name = dataset_name(text, "name", &mut violations);
    Ok(violations.into_result(name)?)
}

/// Receives the header, then the rows.
async fn receive(
    host: &Arc<Host>,
    caller: &Arc<Caller>,
    mut messages: Streaming<pb::CreateDatasetRequest>,
) -> Result<DatasetState, Status> {
    use pb::create_dataset_request::Part;

    let mut violations = Violations::new();
    let first = next_message(&mut messages, host, AGAIN).await?;
    let header = match first.and_then(|message| message.part) {
        Some(Part::Header(header)) => header,
        Some(Part::Rows(_)) | None => {
            violations.add("header", "none", "a header in the first message");
            return Err(Refused::from(violations).into());
        }
    };
    let new = read_new(host, header, &mut violations)?;
    let new = violations.into_result(new).map_err(Refused::from)?;
    let mut receiver = match host.begin_dataset(caller, new).await? {
        Begun::Made(state) => return Ok(*state),
        Begun::New(receiver) => *receiver,
    };
    while let Some(message) = next_message(&mut messages, host, AGAIN).await? {
        let bytes = message.encoded_len();
        let Some(Part::Rows(rows)) = message.part else {
            let mut violations = Violations::new();
            violations.add("rows", "no rows", "rows in every message after the header");
            return Err(Refused::from(violations).into());
        };
        let piece = Piece {
            inputs: rows.inputs,
            targets: rows.targets,
            labels: rows.labels,
        };
        receiver = receiver.take(caller, piece).await?;
        caller.release(bytes);
    }
    Ok(host.finish_dataset(caller, receiver).await?)
}

fn read_new(
    host: &Host,
    header: pb::DatasetHeader,
    violations: &mut Violations,
) -> Result<Option<NewDataset>, Status> {
    let mut names = Violations::new();
    let session = session_name(&header.session, "session", &mut names);
    let chosen = host.id_of_request(session.as_ref(), &header.dataset_id, &header.request_id);
    let dataset = match chosen {
        Some(id) => Some(id),
        None => id(&header.dataset_id, "dataset_id", &mut names)?,
    };
    let fingerprint = || blake3::hash(&header.encode_to_vec()).into();
    let request = request_id(header.request_id.clone(), fingerprint, &mut names);
    violations.extend_at("header", names);
    let upload = read_header(header, violations);
    Ok(session
        .zip(dataset)
        .zip(upload)
        .map(|((session, id), header)| NewDataset {
            session,
            id,
            header,
            request,
        }))
}
