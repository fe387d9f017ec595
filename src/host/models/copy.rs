//! CopyModel: another model with the same weights, optimizer state and step.

use std::sync::Arc;

use super::any_model::{AnyModel, ModelScalar, with_model};
use super::handle::ModelEntry;
use super::lifecycle::ModelState;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::refused::Refused;
use crate::host::resource::Resource;
use crate::training::{Model, ModelName, Placement, RequestId, Revision};

impl Host {
    /// Creates a model as a copy of the last committed step of `source`, unless the same request created it before. The
    /// copy remembers no requests.
    ///
    /// # Errors
    /// No such model; a taken id; an exhausted quota; a failed disk write.
    pub async fn copy_model(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        source: &ModelName,
        (name, new_session): (ModelName, bool),
        request: Option<RequestId>,
    ) -> Result<ModelState, Refused> {
        for name in [source, &name] {
            caller.note(|| Resource::Model(name.clone()));
        }
        self.admit(caller, &source.session).await?;
        if !new_session {
            self.admit(caller, &name.session).await?;
        }
        let now = self.now();
        let mut placement = Placement {
            name,
            new_session,
            bytes: 0,
            request,
            owner: caller.owner(),
        };
        self.sync_placement(&placement).await?;
        // A repeated request is answered even if the source is gone.
        let is_made = placement.request.as_ref().is_some_and(|request| {
            !new_session && self.registry().has_made(&placement.name.session, request)
        });
        if !is_made {
            let entry = self.open(caller, source).await?;
            let spec = entry.model.spec();
            if let Some(over) = spec.over_limit(&self.limits) {
                return Err(Refused::OverLimit(source.clone(), over));
            }
            placement.bytes = spec.state_bytes();
            if self.registry().check(&placement, now)?.is_none() {
                // The numbers are shared until one of the two is trained; the file is written at once.
                caller.hold(spec.state_bytes())?;
                let remembered = self.config.request_ids_per_model;
                let copy = with_model!(entry.model.get(), model => copy_of(&model, remembered));
                let access = self.access_in(&placement, entry.access, now)?;
                let (name, made_by) = (placement.name.clone(), placement.request.clone());
                let copy = Arc::new(ModelEntry::new(name, copy, access, made_by, now.date));
                let copy = self.keep_model(caller, placement, copy, now).await?;
                return self.describe_one(caller, copy).await;
            }
        }
        let made = self.registry().check(&placement, now)?;
        let made = self.look_up(&made.ok_or(Refused::Bug)?).await?;
        let made = self.keep_found(made).await?;
        self.describe_one(caller, made).await
    }
}

fn copy_of<T: ModelScalar>(model: &Model<T>, remembered: usize) -> AnyModel {
    let revision = Revision {
        committed: model.committed(),
        requests: Vec::new(),
    };
    let copy = Model::restored(model.spec().clone(), revision, remembered);
    T::any(Arc::new(copy))
}
