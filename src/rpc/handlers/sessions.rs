//! SessionService.

use std::sync::Arc;
use std::time::Duration;

use backpropd_identity::Reach;
use tonic::{Request, Response, Status};

use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::rpc::call::caller;
use crate::rpc::convert::model::{read_access, session as write_session};
use crate::rpc::convert::shared_fields::{id, page_size, page_token, request_id, session_name};
use crate::rpc::convert::spec::to_i32;
use crate::rpc::pb;
use crate::rpc::roles::{Privilege, check_privilege};
use crate::rpc::services::session_service_server::SessionService;
use crate::status::{Reason, Refusal};
use crate::training::{Access, SessionInfo, SessionName};

/// The handlers of SessionService.
#[derive(Clone)]
pub struct Sessions(pub Arc<Host>);

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn create_session(
        &self,
        request: Request<pb::CreateSessionRequest>,
    ) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let request = request.into_inner();
        let mut violations = Violations::new();
        let id = id(&request.session_id, "session_id", &mut violations)?;
        let most = self.0.config.session_ttl_seconds;
        let ttl = request
            .ttl
            .and_then(|ttl| read_ttl(&ttl, most, &mut violations));
        let access = read_access(request.access, &mut violations);
        let content = format!("CreateSession {:?} {ttl:?} {access:?}", request.session_id);
        let known = || blake3::hash(content.as_bytes()).into();
        let asked = request_id(request.request_id, known, &mut violations);
        if asked.is_some() && request.session_id.is_empty() {
            violations.add(
                "request_id",
                "a request_id without a session_id",
                "both: a retry cannot find a session whose name the server chose",
            );
        }
        let name = SessionName(violations.into_result(id).map_err(Refused::from)?);
        let (host, caller) = (&self.0, caller());
        if access == Access::CompareOnly {
            check_privilege(&caller, Privilege::CompareOnly)?;
        }
        let session = host
            .create_session(&caller, name, (ttl, access), asked)
            .await?;
        Ok(Response::new(pb::CreateSessionResponse {
            session: Some(shown(&caller, &session)),
        }))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let caller = caller();
        let name = read_name(&request.into_inner().name).map_err(Refused::from)?;
        self.0.admit(&caller, &name).await?;
        let session = self
            .0
            .registry()
            .session(&name, self.0.now())
            .map_err(Refused::from)?;
        let session = self.0.count_shared_models(session).await?;
        Ok(Response::new(pb::GetSessionResponse {
            session: Some(shown(&caller, &session)),
        }))
    }

    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        if !self.0.config.lists_sessions() {
            let message = "this server does not list sessions, since a session's name is all it takes to use it: \
                           keep the names that CreateSession and CreateModel answer, or start it with \
                           list_sessions = true";
            return Err(Refusal::new(Reason::ListingDisabled, message).status());
        }
        let (caller, request) = (caller(), request.into_inner());
        let mut violations = Violations::new();
        let size = page_size(request.page_size, &mut violations);
        let after = page_token(&request.page_token, &mut violations).map(SessionName);
        let identity = caller.identity();
        if identity.is_none() && !request.owner.is_empty() {
            let allowed = "none: this server's callers have no identity, and its sessions no owner";
            violations.add("owner", &request.owner, allowed);
        }
        violations.into_result(Some(())).map_err(Refused::from)?;
        // Who may see only their own sessions sees those, whichever owner they ask for.
        let wanted = Some(request.owner.as_str()).filter(|owner| !owner.is_empty());
        let owner = match identity {
            Some(identity) if caller.reach() == Reach::Own => {
                let own = &*identity.subject;
                if wanted.is_some_and(|wanted| wanted != own) {
                    return Ok(Response::new(pb::ListSessionsResponse::default()));
                }
                Some(own)
            }
            Some(_) | None => wanted,
        };
        let listed = self.0.list_sessions(owner, after.as_ref(), size + 1);
        let mut found = listed.await?;
        let more = found.len() > size;
        found.truncate(size);
        let next_page_token = match found.last() {
            Some(last) if more => last.name.0.to_string(),
            Some(_) | None => String::new(),
        };
        let subject = identity.map(|identity| &*identity.subject);
        if found.iter().any(|it| it.owner.as_deref() != subject) {
            caller.note(|| Resource::Sessions);
            caller.note_foreign();
        }
        Ok(Response::new(pb::ListSessionsResponse {
            sessions: found.iter().map(|it| shown(&caller, it)).collect(),
            next_page_token,
        }))
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        let name = read_name(&request.into_inner().name).map_err(Refused::from)?;
        let models = self.0.delete_session(&caller(), &name).await?;
        Ok(Response::new(pb::DeleteSessionResponse {
            deleted_models: to_i32(models),
        }))
    }
}

/// A session, with its owner where callers have an identity.
fn shown(caller: &Caller, session: &SessionInfo) -> pb::Session {
    let owner = session
        .owner
        .as_deref()
        .filter(|_| caller.identity().is_some());
    pb::Session {
        owner: owner.unwrap_or_default().to_owned(),
        ..write_session(session)
    }
}

fn read_name(text: &str) -> Result<SessionName, Violations> {
    let mut violations = Violations::new();
    let name = session_name(text, "name", &mut violations);
    violations.into_result(name)
}

fn read_ttl(
    ttl: &prost_types::Duration,
    most: u64,
    violations: &mut Violations,
) -> Option<Duration> {
    let read = Duration::try_from(*ttl)
        .ok()
        .filter(|read| (1..=most).contains(&read.as_secs()));
    if read.is_none() {
        let given = format!("{} seconds", ttl.seconds);
        violations.add("ttl", given, format!("1 to {most} seconds"));
    }
    read
}
