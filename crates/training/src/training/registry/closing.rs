//! Sessions that are being deleted. Disk and memory are cleared in several steps, and no call may see a state between
//! them.

use std::sync::Arc;

use super::Registry;
use crate::training::names::{ModelName, SessionName};
use crate::training::quota::RegistryError;

impl<M> Registry<M> {
    /// Starts to delete a session and returns its models in memory. Until it is deleted or reopened, no call finds it
    /// and its name stays taken.
    ///
    /// # Errors
    /// An unknown session, or one that is being deleted already.
    pub fn close_session(&mut self, name: &SessionName) -> Result<Vec<Arc<M>>, RegistryError> {
        match self.sessions.get_mut(name) {
            Some(session) if !session.is_closing => session.is_closing = true,
            Some(_) | None => return Err(RegistryError::NoSession(name.clone())),
        }
        Ok(self.all_models(name))
    }

    /// Reopens a session whose deletion failed.
    pub fn reopen_session(&mut self, name: &SessionName) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.is_closing = false;
        }
    }

    /// Replaces the model in memory that has this name.
    pub fn replace_model(&mut self, name: &ModelName, model: Arc<M>) {
        let session = self.sessions.get_mut(&name.session);
        if let Some(held) = session.and_then(|session| session.models.get_mut(&name.model)) {
            held.model = Some(model);
        }
    }
}
