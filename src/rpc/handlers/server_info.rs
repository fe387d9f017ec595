//! ServerService.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::host::Host;
use crate::nn::init::PRNG;
use crate::rpc::call::caller;
use crate::rpc::convert::spec::to_i32;
use crate::rpc::pb;
use crate::rpc::roles::{Privilege, check_privilege, methods_of};
use crate::rpc::services::server_service_server::ServerService;

/// The handlers of ServerService.
#[derive(Clone)]
pub struct ServerInfo(pub Arc<Host>);

#[tonic::async_trait]
impl ServerService for ServerInfo {
    async fn get_server_info(
        &self,
        request: Request<pb::GetServerInfoRequest>,
    ) -> Result<Response<pb::GetServerInfoResponse>, Status> {
        let (sessions, models, resident) = self.0.registry().counts();
        let config = &self.0.config;
        let caller = caller();
        let asks = request.into_inner().settings;
        if asks {
            check_privilege(&caller, Privilege::Settings)?;
        }
        let settings = asks.then(|| config.entries());
        let settings = settings.into_iter().flatten();
        let settings = settings.filter(|(name, value, _)| is_public(name, value));
        let of_cgroup = |name| {
            let follows = config.of_cgroup.contains(&name);
            if follows { "cgroup" } else { "" }
        };
        Ok(Response::new(pb::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            compute_threads: to_i32(self.0.config.compute_threads()),
            prng: PRNG.to_owned(),
            settings: settings
                .map(|(name, value, description)| pb::Setting {
                    name: name.to_owned(),
                    value,
                    description: description.to_owned(),
                    origin: of_cgroup(name).to_owned(),
                })
                .collect(),
            sessions: to_i32(sessions),
            models: to_i32(models),
            resident_models: to_i32(resident),
            store: self.0.persistence.describe(asks),
            caller: caller.identity().map(|identity| pb::CallerInfo {
                subject: identity.subject.to_string(),
                role: identity.role.name().to_owned(),
                methods: methods_of(identity.role).map(str::to_owned).collect(),
            }),
        }))
    }
}

/// Whether clients may see a setting. They need limits and switches. Texts name folders, files and addresses of the
/// machine, which help only an attacker.
fn is_public(name: &str, value: &str) -> bool {
    let is_text = value.starts_with(['"', '\'']);
    !is_text || name == "reveal_limit"
}
