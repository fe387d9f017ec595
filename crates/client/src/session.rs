//! The session that a call is about, as a header by which a proxy finds the node that has it in memory.

use tonic::Request;
use tonic::metadata::MetadataValue;

use crate::pb;

/// The header that names the session of a call: its id, without `sessions/`. It is a hint, of which an answer does not
/// depend: a proxy sends calls with the same value to the same node.
pub const SESSION_HEADER: &str = "x-backpropd-session";

/// A request, which may be about a session.
pub trait InSession {
    /// The id of the session, if the request names one. Of a request that names two, it is the one that is written.
    fn session(&self) -> Option<&str>;
}

/// `message` as a request with the header of its session. The methods of [`Client`](crate::Client) do this themselves;
/// it is for its generated stubs.
#[must_use]
pub fn routed<M: InSession>(message: M) -> Request<M> {
    let session = message.session().map(str::to_owned);
    with_session(message, session.as_deref())
}

/// `message` as a request with the header of this session.
pub(crate) fn with_session<M>(message: M, session: Option<&str>) -> Request<M> {
    let mut request = Request::new(message);
    // An id that is no header is no id either: the server says so.
    if let Some(Ok(value)) = session.map(MetadataValue::try_from) {
        request.metadata_mut().insert(SESSION_HEADER, value);
    }
    request
}

/// The id of a session in its name, `sessions/{session}`, and in the names of what is in it.
#[must_use]
pub fn session_in(name: &str) -> Option<&str> {
    let id = name.strip_prefix("sessions/")?.split('/').next()?;
    (!id.is_empty()).then_some(id)
}

/// The id in a field that is one, not a name.
fn id(field: &str) -> Option<&str> {
    (!field.is_empty()).then_some(field)
}

/// Reads the session from these fields of a request, the first that has one.
macro_rules! in_session {
    ($($request:ident: $($read:ident($field:ident)),*;)*) => {$(
        impl InSession for pb::$request {
            fn session(&self) -> Option<&str> {
                None$(.or_else(|| $read(&self.$field)))*
            }
        }
    )*};
}

/// Reads it from the network of a request, which is a stored model or in the request itself.
macro_rules! in_target {
    ($($request:ident in $module:ident;)*) => {$(
        impl InSession for pb::$request {
            fn session(&self) -> Option<&str> {
                match self.target.as_ref()? {
                    pb::$module::Target::Model(model) => session_in(model),
                    pb::$module::Target::Inline(_) => None,
                }
            }
        }
    )*};
}

in_session! {
    CreateSessionRequest: id(session_id);
    GetSessionRequest: session_in(name);
    ListSessionsRequest:;
    DeleteSessionRequest: session_in(name);

    CreateModelRequest: session_in(session);
    ImportModelRequest: session_in(session);
    CopyModelRequest: session_in(session), session_in(model);
    UpdateModelRequest: session_in(model);
    GetModelRequest: session_in(name);
    ListModelsRequest: session_in(session);
    DeleteModelRequest: session_in(name);
    ExportModelRequest: session_in(name);
    TrainBatchRequest: session_in(model);
    StopTrainingRequest: session_in(run), session_in(model);
    WatchModelRequest: session_in(model);
    ListRunsRequest: session_in(model);
    GetRunRequest: session_in(name);
    GetParametersRequest: session_in(model);
    SetParametersRequest: session_in(model);
    ApplyGradientsRequest: session_in(model);

    DatasetHeader: session_in(session);
    GetDatasetRequest: session_in(name);
    ListDatasetsRequest: session_in(session);
    DeleteDatasetRequest: session_in(name);

    ListAssignmentsRequest:;
    GetAssignmentRequest:;
    GradeFormulasRequest:;
    GetGradingStatisticsRequest:;
    GetServerInfoRequest:;
}

in_target! {
    GradientsRequest in gradients_request;
    PredictRequest in predict_request;
    CheckGradientsRequest in check_gradients_request;
    EvaluateRequest in evaluate_request;
    ExplainRequest in explain_request;
    GradeGradientsRequest in grade_gradients_request;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of a request.
    fn header<M: InSession>(message: M) -> Option<String> {
        let request = routed(message);
        let value = request.metadata().get(SESSION_HEADER)?;
        Some(value.to_str().expect("an id").to_owned())
    }

    #[test]
    fn a_request_carries_the_session_that_its_names_lie_in() {
        let list = |session: &str| pb::ListModelsRequest {
            session: session.to_owned(),
            ..Default::default()
        };
        assert_eq!(header(list("sessions/lab")).as_deref(), Some("lab"));
        let run = pb::GetRunRequest {
            name: "sessions/lab/models/hw/runs/r1".to_owned(),
        };
        assert_eq!(header(run).as_deref(), Some("lab"));
        let session = pb::CreateSessionRequest {
            session_id: "lab".to_owned(),
            ..Default::default()
        };
        assert_eq!(header(session).as_deref(), Some("lab"));
        let stored = pb::gradients_request::Target::Model("sessions/lab/models/hw".to_owned());
        let gradients = pb::GradientsRequest {
            target: Some(stored),
            ..Default::default()
        };
        assert_eq!(header(gradients).as_deref(), Some("lab"));
    }

    #[test]
    fn a_copy_goes_to_the_session_that_it_is_written_to() {
        let copy = |session: &str| pb::CopyModelRequest {
            model: "sessions/from/models/hw".to_owned(),
            session: session.to_owned(),
            ..Default::default()
        };
        assert_eq!(header(copy("sessions/to")).as_deref(), Some("to"));
        assert_eq!(header(copy("")).as_deref(), Some("from"));
    }

    #[test]
    fn what_is_in_no_session_has_no_header() {
        let dataset = |name: &str| pb::GetDatasetRequest {
            name: name.to_owned(),
        };
        let names = ["datasets/digits", "sessions/", "", "sessions/a\nb", "lab"];
        for name in names {
            assert_eq!(header(dataset(name)), None, "{name:?}");
        }
        assert_eq!(header(pb::CreateModelRequest::default()), None);
        assert_eq!(header(pb::GradientsRequest::default()), None);
    }
}
