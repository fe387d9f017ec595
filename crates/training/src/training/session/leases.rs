//! The idle times of sessions, as bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{seal, unseal};
use crate::training::names::{Id, SessionName};

/// The version that is written and read.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Leases {
    version: u32,
    /// Seconds by session.
    idle: BTreeMap<String, u64>,
}

/// Encodes idle times, with a checksum.
///
/// # Errors
/// None in practice: the data are names and numbers.
pub fn encode(ages: &BTreeMap<SessionName, Duration>) -> Result<Vec<u8>, serde_json::Error> {
    let ages = ages.iter();
    let leases = Leases {
        version: VERSION,
        idle: ages
            .map(|(name, age)| (name.0.to_string(), age.as_secs()))
            .collect(),
    };
    Ok(seal(serde_json::to_string(&leases)?))
}

/// Decodes idle times; `None` if the bytes are damaged or of another version, so that every lease restarts.
pub fn decode(bytes: &[u8]) -> Option<BTreeMap<SessionName, Duration>> {
    unseal(bytes)?;
    let leases: Leases = serde_json::from_slice(bytes).ok()?;
    let sessions = leases.idle.into_iter().filter_map(|(id, seconds)| {
        let name = SessionName(Id::parse(&id)?);
        Some((name, Duration::from_secs(seconds)))
    });
    (leases.version == VERSION).then(|| sessions.collect())
}
