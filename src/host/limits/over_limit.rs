//! Models above a limit that was lowered after their creation: they remain readable, and changes are refused.

use crate::host::Host;
use crate::host::models::handle::ModelEntry;
use crate::host::refused::Refused;

impl Host {
    /// Refuses to change a model that is above a limit that was lowered after the model's creation.
    ///
    /// # Errors
    /// Names the limit, the model's size and the way out.
    pub fn check_limits(&self, entry: &ModelEntry) -> Result<(), Refused> {
        let over = entry.model.spec().over_limit(&self.limits);
        match over.or_else(|| self.registry().over_limit(&entry.name)) {
            None => Ok(()),
            Some(over) => Err(Refused::OverLimit(entry.name.clone(), over)),
        }
    }
}
