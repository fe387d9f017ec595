//! How long each session had been without a call, as bytes.

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

/// Ages as bytes, under a checksum.
///
/// # Errors
/// None that is known: these are names and numbers.
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

/// The ages that `bytes` hold; none where they are damaged or of another version: then every lease starts anew.
pub fn decode(bytes: &[u8]) -> Option<BTreeMap<SessionName, Duration>> {
    unseal(bytes)?;
    let leases: Leases = serde_json::from_slice(bytes).ok()?;
    let sessions = leases.idle.into_iter().filter_map(|(id, seconds)| {
        let name = SessionName(Id::parse(&id)?);
        Some((name, Duration::from_secs(seconds)))
    });
    (leases.version == VERSION).then(|| sessions.collect())
}
