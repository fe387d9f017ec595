//! The disk formats that this program can read.

use crate::store::Formats;
use crate::training::{RecordError, SessionName, SessionRecord, names::Id, redo, snapshot};

/// The disk formats that this program can read.
pub const FORMATS: Formats = Formats {
    unknown_model: |start| {
        let version = snapshot::version(start)?;
        let is_known = snapshot::is_known(version) || redo::is_known(version);
        (!is_known).then_some(version)
    },
    is_sound: snapshot::is_sound,
    unknown_session: |bytes, id| {
        let name = SessionName(Id::parse(id)?);
        match SessionRecord::from_bytes(bytes, &name) {
            Err(RecordError::Version(version)) => Some(version),
            Ok(_) | Err(RecordError::Damaged(_)) => None,
        }
    },
};
