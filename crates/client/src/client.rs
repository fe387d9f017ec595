//! The calls.

use bytes::Bytes;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::connect::{Bearer, ConnectError, Connection, Credentials, connect};
use crate::pb::{
    self, dataset_service_client::DatasetServiceClient,
    grading_service_client::GradingServiceClient, server_service_client::ServerServiceClient,
    session_service_client::SessionServiceClient, training_service_client::TrainingServiceClient,
};
use crate::retry::Retry;
use crate::run::Run;
use crate::session::{InSession as _, routed, with_session};
use crate::watch::Watch;

/// Limit on a reply, in bytes. A server refuses to compute more than the `max_reply_bytes` of a request, whose default
/// is 4 MiB; set it up to this limit for larger replies.
pub(crate) const MAX_REPLY_BYTES: usize = 64 << 20;

/// Bytes of a file in one message, within the limit of any server.
const PIECE: usize = 256 << 10;

/// A client of one server. Clones share a connection, which is restored after it breaks.
///
/// Each method sends its request again after a failure that [`is_retryable`](crate::is_retryable), as often as
/// [`Retry`] says, but only if that cannot change the effect of the call:
///
/// - reads always;
/// - writes with a `request_id` ([`random_id`](crate::random_id) draws one). CreateModel, CopyModel and ImportModel also need a
///   `session`, since a new session does not know the requests of another;
/// - deletions never, because the second reply would be NOT_FOUND;
/// - GradeGradients only with a network in the request, because a call against a COMPARE_ONLY model uses up a try.
///
/// A request about a session carries its id in the header [`SESSION_HEADER`](crate::SESSION_HEADER), by which a proxy
/// in front of several nodes finds the one that has the session in memory.
#[derive(Clone, Debug)]
pub struct Client {
    connection: Connection,
    retry: Retry,
}

impl Client {
    /// Connects to `server`, which is `HOST:PORT` or a URL with the scheme `http` or `https`; the authorities of the
    /// system vouch for the latter.
    ///
    /// # Errors
    /// The address is invalid, or no server answers there.
    pub async fn connect(server: &str) -> Result<Self, ConnectError> {
        Self::connect_with(server, &Credentials::default()).await
    }

    /// [`Self::connect`] with authorities, a token or a certificate of one's own.
    ///
    /// # Errors
    /// The address or the credentials are invalid, or no server answers there. A token is sent over https, or over
    /// plain http to this machine, and refused otherwise.
    pub async fn connect_with(
        server: &str,
        credentials: &Credentials,
    ) -> Result<Self, ConnectError> {
        Ok(Self {
            connection: connect(server, credentials).await?,
            retry: Retry::default(),
        })
    }

    /// A client on a channel of your own; [`endpoint`](crate::endpoint) has the settings of [`Self::connect`].
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self {
            connection: InterceptedService::new(channel, Bearer::default()),
            retry: Retry::default(),
        }
    }

    /// Replaces how often and how soon calls are sent again.
    #[must_use]
    pub fn with_retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    /// How often and how soon calls are sent again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// The connection, for the stubs of other services, such as health.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    /// The generated stub of TrainingService, for deadlines and metadata. It sends nothing again.
    #[must_use]
    pub fn training(&self) -> TrainingServiceClient<Connection> {
        let stub = TrainingServiceClient::new(self.connection.clone());
        stub.max_decoding_message_size(MAX_REPLY_BYTES)
    }

    /// The generated stub of SessionService. It sends nothing again.
    #[must_use]
    pub fn sessions(&self) -> SessionServiceClient<Connection> {
        SessionServiceClient::new(self.connection.clone())
    }

    /// The generated stub of GradingService. It sends nothing again.
    #[must_use]
    pub fn grading(&self) -> GradingServiceClient<Connection> {
        let stub = GradingServiceClient::new(self.connection.clone());
        stub.max_decoding_message_size(MAX_REPLY_BYTES)
    }

    /// The generated stub of ServerService. It sends nothing again.
    #[must_use]
    pub fn server(&self) -> ServerServiceClient<Connection> {
        ServerServiceClient::new(self.connection.clone())
    }

    /// The generated stub of DatasetService. It sends nothing again.
    #[must_use]
    pub fn datasets(&self) -> DatasetServiceClient<Connection> {
        DatasetServiceClient::new(self.connection.clone())
    }

    /// Creates a dataset. `rows` makes the pieces after the header, each time that they are sent; a piece and its names
    /// must fit into the server's `max_request_bytes`.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it.
    pub async fn create_dataset<I>(
        &self,
        header: pb::DatasetHeader,
        rows: impl Fn() -> I,
    ) -> Result<pb::CreateDatasetResponse, Status>
    where
        I: Iterator<Item = pb::DatasetPiece> + Send + 'static,
    {
        use pb::create_dataset_request::Part;
        let may_repeat = !header.request_id.is_empty();
        let call = |header: pb::DatasetHeader| {
            let mut stub = self.datasets();
            let session = pb::DatasetHeader::session(&header).map(str::to_owned);
            let parts = std::iter::once(Part::Header(header)).chain(rows().map(Part::Rows));
            let messages = parts.map(|part| pb::CreateDatasetRequest { part: Some(part) });
            async move {
                let messages = tokio_stream::iter(messages);
                let sent = stub.create_dataset(with_session(messages, session.as_deref()));
                sent.await.map(Response::into_inner)
            }
        };
        self.retry.send(may_repeat, header, call).await
    }

    /// Trains a model on a batch.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it.
    pub async fn train_batch(&self, request: pb::TrainBatchRequest) -> Result<Run, Status> {
        Run::start(self.training(), self.retry, request).await
    }

    /// Follows the training of a model by other clients: its current state, then the events of every run.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it.
    pub async fn watch_model(&self, request: pb::WatchModelRequest) -> Result<Watch, Status> {
        Watch::start(self.training(), self.retry, request).await
    }

    /// Returns a model as a safetensors file. The file is in memory as a whole.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it.
    pub async fn export_model(&self, request: pb::ExportModelRequest) -> Result<Vec<u8>, Status> {
        let call = |request| {
            let mut stub = self.training();
            async move {
                let mut pieces = stub.export_model(routed(request)).await?.into_inner();
                let mut file = Vec::new();
                while let Some(piece) = pieces.message().await? {
                    file.extend_from_slice(&piece.data);
                }
                Ok(file)
            }
        };
        self.retry.send(true, request, call).await
    }

    /// Creates a model from a file of [`Self::export_model`], which is the `data` of the request. It is sent in pieces,
    /// so that only `max_import_bytes` of the server limits its size.
    ///
    /// # Errors
    /// The server's refusal, or the last failure to reach it.
    pub async fn import_model(
        &self,
        request: pb::ImportModelRequest,
    ) -> Result<pb::ImportModelResponse, Status> {
        let may_repeat = !request.request_id.is_empty() && !request.session.is_empty();
        let call = |request| {
            let mut stub = self.training();
            async move {
                let session = pb::ImportModelRequest::session(&request).map(str::to_owned);
                let pieces = tokio_stream::iter(pieces(request));
                let sent = stub.import_model(with_session(pieces, session.as_deref()));
                sent.await.map(Response::into_inner)
            }
        };
        self.retry.send(may_repeat, request, call).await
    }
}

/// The messages of an ImportModel: the names, then the file.
fn pieces(request: pb::ImportModelRequest) -> impl Iterator<Item = pb::ImportModelRequest> {
    let (mut rest, names) = (
        request.data,
        pb::ImportModelRequest {
            data: Bytes::new(),
            ..request
        },
    );
    let pieces = std::iter::from_fn(move || {
        let data = rest.split_to(rest.len().min(PIECE));
        (!data.is_empty()).then(|| pb::ImportModelRequest {
            data,
            ..Default::default()
        })
    });
    std::iter::once(names).chain(pieces)
}

/// A method for each call with one request and one reply, and the requests that may be sent again.
macro_rules! calls {
    ($(
        $(#[$doc:meta])*
        $stub:ident.$method:ident($request:ident) -> $reply:ident if $may_repeat:expr;
    )*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// The server's refusal, or the last failure to reach it.
            pub async fn $method(&self, request: pb::$request) -> Result<pb::$reply, Status> {
                let may_repeat: fn(&pb::$request) -> bool = $may_repeat;
                let may_repeat = may_repeat(&request);
                let call = |request| {
                    let mut stub = self.$stub();
                    async move { stub.$method(routed(request)).await.map(Response::into_inner) }
                };
                self.retry.send(may_repeat, request, call).await
            }
        )*}
    };
}

calls! {
    /// Creates a session.
    sessions.create_session(CreateSessionRequest) -> CreateSessionResponse
        if |request| !request.request_id.is_empty();
    /// Describes a session.
    sessions.get_session(GetSessionRequest) -> GetSessionResponse if |_| true;
    /// Lists the sessions, if the server allows that.
    sessions.list_sessions(ListSessionsRequest) -> ListSessionsResponse if |_| true;
    /// Deletes a session and its models.
    sessions.delete_session(DeleteSessionRequest) -> DeleteSessionResponse if |_| false;

    /// Creates a model from a spec and a seed, or from exact parameters.
    training.create_model(CreateModelRequest) -> CreateModelResponse
        if |request| !request.request_id.is_empty() && !request.session.is_empty();
    /// Changes how a model is trained.
    training.update_model(UpdateModelRequest) -> UpdateModelResponse
        if |request| !request.request_id.is_empty();
    /// Creates a copy of a model.
    training.copy_model(CopyModelRequest) -> CopyModelResponse
        if |request| !request.request_id.is_empty() && !request.session.is_empty();
    /// Describes a model.
    training.get_model(GetModelRequest) -> GetModelResponse if |_| true;
    /// Lists the models of a session.
    training.list_models(ListModelsRequest) -> ListModelsResponse if |_| true;
    /// Deletes a model.
    training.delete_model(DeleteModelRequest) -> DeleteModelResponse if |_| false;
    /// Stops a run of a model, whichever client started it. Without the run's name or request id, it is not sent again:
    /// another run may have begun.
    training.stop_training(StopTrainingRequest) -> StopTrainingResponse
        if |request| !request.request_id.is_empty() || !request.run.is_empty();
    /// Lists the run of a model that is in progress, and its latest runs.
    training.list_runs(ListRunsRequest) -> ListRunsResponse if |_| true;
    /// Returns a run with its metrics.
    training.get_run(GetRunRequest) -> GetRunResponse if |_| true;
    /// Returns a model's parameters.
    training.get_parameters(GetParametersRequest) -> GetParametersResponse if |_| true;
    /// Replaces a model's parameters.
    training.set_parameters(SetParametersRequest) -> SetParametersResponse
        if |request| !request.request_id.is_empty();
    /// Takes one step with given gradients.
    training.apply_gradients(ApplyGradientsRequest) -> ApplyGradientsResponse
        if |request| !request.request_id.is_empty();
    /// Returns the loss, the gradients and the other quantities of a forward and backward pass.
    training.gradients(GradientsRequest) -> GradientsResponse if |_| true;
    /// Returns a network's outputs.
    training.predict(PredictRequest) -> PredictResponse if |_| true;
    /// Compares the gradients with central differences.
    training.check_gradients(CheckGradientsRequest) -> CheckGradientsResponse if |_| true;
    /// Returns loss, accuracy, confusion matrix and R² of a network on samples.
    training.evaluate(EvaluateRequest) -> EvaluateResponse if |_| true;
    /// Explains one entry of a pass by the terms and factors that it consists of.
    training.explain(ExplainRequest) -> ExplainResponse if |_| true;

    /// Describes a dataset.
    datasets.get_dataset(GetDatasetRequest) -> GetDatasetResponse if |_| true;
    /// Lists the shared datasets, or those of a session.
    datasets.list_datasets(ListDatasetsRequest) -> ListDatasetsResponse if |_| true;
    /// Deletes a dataset of a session.
    datasets.delete_dataset(DeleteDatasetRequest) -> DeleteDatasetResponse if |_| false;

    /// Lists the assignments.
    grading.list_assignments(ListAssignmentsRequest) -> ListAssignmentsResponse if |_| true;
    /// Describes an assignment and its questions.
    grading.get_assignment(GetAssignmentRequest) -> GetAssignmentResponse if |_| true;
    /// Grades formulas.
    grading.grade_formulas(GradeFormulasRequest) -> GradeFormulasResponse if |_| true;
    /// Grades gradients that a student's code computed.
    grading.grade_gradients(GradeGradientsRequest) -> GradeGradientsResponse
        if |request| matches!(request.target, Some(pb::grade_gradients_request::Target::Inline(_)));

    /// Counts the verdicts and the mistakes of each question since the server started.
    grading.get_grading_statistics(GetGradingStatisticsRequest) -> GetGradingStatisticsResponse if |_| true;

    /// Describes the server and its limits.
    server.get_server_info(GetServerInfoRequest) -> GetServerInfoResponse if |_| true;
}
