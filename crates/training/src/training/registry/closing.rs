//! Sessions that are being deleted: what disk and memory hold of one goes in several steps, and no call comes between.

use std::sync::Arc;

use super::Registry;
use crate::training::names::{ModelName, SessionName};
use crate::training::quota::RegistryError;

impl<M> Registry<M> {
    /// Begins to delete a session, and hands out its models that are in memory: until it is deleted or reopened, no call
    /// finds it, and its name is taken.
    ///
    /// # Errors
    /// No such session, or one that is being deleted.
    pub fn close_session(&mut self, name: &SessionName) -> Result<Vec<Arc<M>>, RegistryError> {
        match self.sessions.get_mut(name) {
            Some(session) if !session.is_closing => session.is_closing = true,
            Some(_) | None => return Err(RegistryError::NoSession(name.clone())),
        }
        Ok(self.all_models(name))
    }

    /// Takes a session back that could not be deleted.
    pub fn reopen_session(&mut self, name: &SessionName) {
        if let Some(session) = self.sessions.get_mut(name) {
            session.is_closing = false;
        }
    }

    /// Puts `model` in the place of the one in memory that has this name.
    pub fn replace_model(&mut self, name: &ModelName, model: Arc<M>) {
        let session = self.sessions.get_mut(&name.session);
        if let Some(held) = session.and_then(|session| session.models.get_mut(&name.model)) {
            held.model = Some(model);
        }
    }
}
