//! Whether a store keeps the conditions on which everything rests, found out at the start by four writes.

use bytes::Bytes;

use crate::ids::CommitId;
use crate::objects::{Condition, Fault, FaultKind, Fetched, Objects, Unwritten, Version};
use crate::open_error::OpenError;
use crate::protocol::Protocol;

/// How often the probe begins again when an answer does not arrive.
const ATTEMPTS: u32 = 3;

/// Why a probe ended without success.
enum Failure {
    /// The store ignores a condition.
    Ignored(&'static str),
    Fault(Fault),
}

/// Creates, is refused a second creation, updates, is refused an update of an old version; cleans up.
pub(crate) async fn probe(protocol: &Protocol, store: &str) -> Result<(), OpenError> {
    let mut attempt = 1;
    loop {
        let key = format!("probe/{}", protocol.id());
        let objects = &*protocol.objects;
        let steps = steps(objects, &key, protocol).await;
        // A probe that stays behind does no harm: nothing reads it.
        let _ = objects.delete(&key).await;
        match steps {
            Ok(()) => return Ok(()),
            Err(Failure::Ignored(what)) => {
                return Err(OpenError::Unconditional {
                    store: store.to_owned(),
                    what,
                });
            }
            Err(Failure::Fault(fault))
                if attempt < ATTEMPTS
                    && matches!(fault.kind, FaultKind::Busy | FaultKind::Network) =>
            {
                attempt += 1;
            }
            Err(Failure::Fault(fault)) => {
                return Err(OpenError::Unavailable {
                    store: store.to_owned(),
                    fault,
                });
            }
        }
    }
}

async fn steps(objects: &dyn Objects, key: &str, protocol: &Protocol) -> Result<(), Failure> {
    let content = |id: CommitId| Bytes::from(id.to_string());
    let put = |condition| objects.put(key, content(protocol.id()), condition);
    let first = written(put(Condition::Absent).await)?;
    if !refused(put(Condition::Absent).await)? {
        return Err(Failure::Ignored(
            "it created an object that existed, which the condition If-None-Match forbids",
        ));
    }
    let last = content(protocol.id());
    let update = objects.put(key, last.clone(), Condition::Unchanged(&first));
    let second = written(update.await)?;
    if !refused(put(Condition::Unchanged(&first)).await)? {
        return Err(Failure::Ignored(
            "it replaced an object by a write that depended on an older version, which the condition If-Match forbids",
        ));
    }
    match objects.get(key, None).await.map_err(Failure::Fault)? {
        Fetched::Found(bytes, version) if bytes == last && version == second => {}
        Fetched::Found(..) | Fetched::Missing | Fetched::Unchanged => {
            return Err(Failure::Ignored(
                "it did not give back what was last written, or gave it another version than the write",
            ));
        }
    }
    objects
        .list("probe", None, 1)
        .await
        .map_err(Failure::Fault)?;
    Ok(())
}

fn written(put: Result<Version, Unwritten>) -> Result<Version, Failure> {
    match put {
        Ok(version) => Ok(version),
        Err(Unwritten::Refused(fault) | Unwritten::Unknown(fault)) => Err(Failure::Fault(fault)),
    }
}

fn refused(put: Result<Version, Unwritten>) -> Result<bool, Failure> {
    match put {
        Ok(_) => Ok(false),
        Err(Unwritten::Refused(_)) => Ok(true),
        Err(Unwritten::Unknown(fault)) => Err(Failure::Fault(fault)),
    }
}
