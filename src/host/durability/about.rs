//! Metadata that is persisted with a model.

use crate::host::models::handle::ModelEntry;
use crate::training::snapshot::About;

/// The metadata that is persisted with a model.
pub fn about(entry: &ModelEntry) -> About {
    About {
        name: entry.name.to_string(),
        created: entry.created,
        updated: entry.updated(),
        access: entry.access,
        made_by: entry.made_by.clone(),
        compare: entry.compare,
    }
}
