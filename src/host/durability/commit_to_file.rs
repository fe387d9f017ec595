//! Writes a model to its own file.

use std::io;

use super::about::about;
use super::marks::mark;
use crate::host::models::handle::ModelEntry;
use crate::nn::Scalar;
use crate::store::Storage;
use crate::training::{Model, Revision, snapshot};

/// Writes a model to its file and returns the written state. The caller holds the turn to change the model.
pub(super) fn write_file<T: Scalar>(
    store: &dyn Storage,
    entry: &ModelEntry,
    model: &Model<T>,
) -> io::Result<Revision<T>> {
    let revision = model.revision();
    let about = about(entry);
    let mark = mark(&about, revision.committed.step);
    let bytes = snapshot::encode(model.spec(), &revision, &about);
    let bytes = bytes.map_err(io::Error::other)?;
    let (session, id) = (
        entry.name.session.0.to_string(),
        entry.name.model.to_string(),
    );
    entry.note_replacing();
    let file = store.put_model(&session, &id, &bytes, Some(mark))?;
    entry.committed(|on_disk| on_disk.filed(revision.committed.step, file));
    Ok(revision)
}
