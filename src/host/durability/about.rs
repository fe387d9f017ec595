//! What is written of a model beside the model itself.

use crate::host::models::handle::ModelEntry;
use crate::training::snapshot::About;

/// What is written of a model beside the model itself.
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
