//! Ids that the server chooses for a request that has an id: another node chooses the same for a repeat.

use crate::host::Host;
use crate::training::{Id, SessionName};

impl Host {
    /// The id of what a request creates, if it gives none (`given` is empty) and another node has to choose the same one.
    pub fn id_of_request(
        &self,
        session: Option<&SessionName>,
        given: &str,
        request_id: &str,
    ) -> Option<Id> {
        self.persistence.shared()?;
        let is_left = given.is_empty() && !request_id.is_empty();
        let session = session.filter(|_| is_left)?;
        let mut hasher = blake3::Hasher::new();
        for part in ["id of a request 1", &session.0.to_string(), request_id] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut bits = [0; 16];
        bits.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Some(Id::from_random(u128::from_le_bytes(bits)))
    }
}
