//! A session's record as bytes: JSON that ends with a checksum over everything before it.
//!
//! ```text
//! {"version":2,"session":"lab","made_by":null,"created":…,"ttl":…,"access":"Full","checksum":"BLAKE3 in hexadecimal"}
//! ```
//!
//! The first version had neither `version` nor `session` nor `checksum`. It is still read, and startup rewrites it in
//! the second one. A session that has an owner is written in the third version, which only adds `owner`: a program that
//! knows no owners must not open it to everybody.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::{Access, SessionRecord};
use crate::training::names::SessionName;
use crate::training::request_log::RequestId;

/// The version of a session without an owner.
const WITHOUT_OWNER: u32 = 2;

/// The version of a session with an owner: the latest that is read.
const VERSION: u32 = 3;

const CHECKSUM: &str = ",\"checksum\":\"";
const END: &str = "\"}";
const HEX: usize = 2 * blake3::OUT_LEN;

/// Why bytes are not a session record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The bytes differ from those that were written, or belong to another session.
    #[error("session.json is damaged: {0}")]
    Damaged(String),
    /// Written by an unknown version of the program.
    #[error("session.json has format version {0}; this program reads up to version {VERSION}")]
    Version(u32),
}

/// The result of reading a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// The record.
    pub record: SessionRecord,
    /// Whether a checksum protects it on disk.
    pub is_sealed: bool,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    version: u32,
    session: String,
    made_by: Option<RequestId>,
    created: SystemTime,
    ttl: Duration,
    access: Access,
    #[serde(default)]
    compare_tries: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

/// The first version. A record of version 2 that lost its checksum does not parse as this.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unsealed {
    made_by: Option<RequestId>,
    created: SystemTime,
    ttl: Duration,
    access: Access,
    #[serde(default)]
    compare_tries: u64,
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

impl SessionRecord {
    /// Encodes the record of this session.
    ///
    /// # Errors
    /// A date before 1970.
    pub fn to_bytes(&self, name: &SessionName) -> Result<Vec<u8>, serde_json::Error> {
        let text = serde_json::to_string(&Sealed {
            version: match self.owner {
                None => WITHOUT_OWNER,
                Some(_) => VERSION,
            },
            session: name.0.to_string(),
            made_by: self.made_by.clone(),
            created: self.created,
            ttl: self.ttl,
            access: self.access,
            compare_tries: self.compare_tries,
            owner: self.owner.as_deref().map(str::to_owned),
        })?;
        Ok(seal(text))
    }

    /// Decodes the record of this session.
    ///
    /// # Errors
    /// Damaged bytes, another session's record, or another version.
    pub fn from_bytes(bytes: &[u8], name: &SessionName) -> Result<ReadRecord, RecordError> {
        let Some((covered, checksum)) = split(bytes) else {
            let Unsealed {
                made_by,
                created,
                ttl,
                access,
                compare_tries,
            } = serde_json::from_slice(bytes).map_err(damaged)?;
            let record = Self {
                made_by,
                created,
                ttl,
                access,
                compare_tries,
                owner: None,
            };
            return Ok(ReadRecord {
                record,
                is_sealed: false,
            });
        };
        if !fits(covered, checksum) {
            return Err(damaged("the checksum does not match"));
        }
        // The bytes are undamaged, so anything unreadable was written by another program.
        let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
        if !(WITHOUT_OWNER..=VERSION).contains(&version) {
            return Err(RecordError::Version(version));
        }
        let sealed: Sealed = serde_json::from_slice(bytes).map_err(damaged)?;
        if sealed.session != name.0.to_string() {
            return Err(damaged("it is the record of another session"));
        }
        let record = Self {
            made_by: sealed.made_by,
            created: sealed.created,
            ttl: sealed.ttl,
            access: sealed.access,
            compare_tries: sealed.compare_tries,
            owner: sealed.owner.map(Into::into),
        };
        Ok(ReadRecord {
            record,
            is_sealed: true,
        })
    }
}

/// Appends a checksum to a JSON object, as its last entry.
pub(super) fn seal(mut object: String) -> Vec<u8> {
    // The closing brace comes after the checksum.
    object.pop();
    let checksum = blake3::hash(object.as_bytes()).to_hex();
    for part in [CHECKSUM, checksum.as_str(), END] {
        object.push_str(part);
    }
    object.into_bytes()
}

/// The bytes that the checksum at the end covers, if it matches.
pub(super) fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    split(bytes)
        .filter(|(covered, checksum)| fits(covered, checksum))
        .map(|(covered, _)| covered)
}

fn fits(covered: &[u8], checksum: &[u8]) -> bool {
    blake3::hash(covered).to_hex().as_bytes() == checksum
}

/// Splits bytes that end with a checksum into the covered part and the checksum.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = bytes.strip_suffix(END.as_bytes())?;
    let (rest, checksum) = rest.split_at_checked(rest.len().checked_sub(HEX)?)?;
    Some((rest.strip_suffix(CHECKSUM.as_bytes())?, checksum))
}

fn damaged(what: impl std::fmt::Display) -> RecordError {
    RecordError::Damaged(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SessionName {
        SessionName::parse(text).expect("a name")
    }

    fn record() -> SessionRecord {
        SessionRecord {
            made_by: Some(RequestId {
                id: "once".to_owned(),
                fingerprint: [9; 32],
            }),
            created: SystemTime::UNIX_EPOCH + Duration::new(1_700_000_000, 5),
            ttl: Duration::from_secs(600),
            access: Access::CompareOnly,
            compare_tries: 7,
            owner: Some("alice".into()),
        }
    }

    #[test]
    fn every_flipped_bit_and_every_shorter_record_is_noticed() {
        let lab = name("sessions/lab");
        let sound = record().to_bytes(&lab).expect("written");
        let read = SessionRecord::from_bytes(&sound, &lab).expect("sound");
        assert_eq!((read.record, read.is_sealed), (record(), true));
        for bit in 0..sound.len() * 8 {
            let mut flipped = sound.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = SessionRecord::from_bytes(&flipped, &lab).expect_err("a bit is flipped");
            assert!(
                matches!(error, RecordError::Damaged(_)),
                "bit {bit}: {error}"
            );
        }
        for length in 0..sound.len() {
            let error = SessionRecord::from_bytes(&sound[..length], &lab).expect_err("cut");
            assert!(matches!(error, RecordError::Damaged(_)), "{length}");
        }
        let other = SessionRecord::from_bytes(&sound, &name("sessions/other"));
        assert!(matches!(other, Err(RecordError::Damaged(_))), "{other:?}");
    }

    #[test]
    fn the_first_version_is_read_and_a_later_one_is_named() {
        let lab = name("sessions/lab");
        let first = r#"{"made_by":null,"created":{"secs_since_epoch":1,"nanos_since_epoch":2},
            "ttl":{"secs":60,"nanos":0},"access":"CompareOnly"}"#;
        let read = SessionRecord::from_bytes(first.as_bytes(), &lab).expect("the first version");
        assert!(!read.is_sealed);
        assert_eq!(read.record.access, Access::CompareOnly);
        let mut later = r#"{"version":4,"anything":1"#.to_owned();
        let checksum = blake3::hash(later.as_bytes()).to_hex();
        later.push_str(&format!("{CHECKSUM}{checksum}{END}"));
        let error = SessionRecord::from_bytes(later.as_bytes(), &lab);
        assert_eq!(error, Err(RecordError::Version(4)));
    }

    #[test]
    fn only_a_record_with_an_owner_is_of_the_version_that_has_owners() {
        let lab = name("sessions/lab");
        let text = |record: &SessionRecord| {
            String::from_utf8(record.to_bytes(&lab).expect("written")).expect("text")
        };
        let owned = text(&record());
        assert!(owned.starts_with(r#"{"version":3,"#), "{owned}");
        let open = SessionRecord {
            owner: None,
            ..record()
        };
        let written = text(&open);
        assert!(written.starts_with(r#"{"version":2,"#), "{written}");
        assert!(!written.contains("owner"), "{written}");
        let read = SessionRecord::from_bytes(written.as_bytes(), &lab).expect("sound");
        assert_eq!(read.record, open);
    }
}
