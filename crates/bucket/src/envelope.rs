//! What this crate writes around a content, and how it finds its mark again.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ids::Mark;

/// The version of these formats. A program refuses what a newer one has written.
const VERSION: u32 = 1;

/// The entry of a model's `__metadata__` that holds its mark, as JSON.
pub const MARK_ENTRY: &str = "backpropd.bucket";

/// How long a session lives without a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Time to live.
    pub ttl: Duration,
    /// When it was renewed, by the clock of the node that serves the session.
    pub at: SystemTime,
}

/// A session's object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionObject {
    version: u32,
    #[serde(flatten)]
    pub mark: Mark,
    /// When the lease was renewed, in milliseconds since 1970.
    pub leased: u64,
    /// Its time to live, in milliseconds.
    pub ttl: u64,
    pub record: String,
}

impl SessionObject {
    pub fn lease(&self) -> Lease {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(self.leased));
        Lease {
            ttl: Duration::from_millis(self.ttl),
            at: at.unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

/// What stays of a deleted object, so that no late write brings it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    version: u32,
    #[serde(flatten)]
    pub mark: Mark,
    /// When it was deleted, in milliseconds since 1970.
    pub tombstone: u64,
    /// When a sweeper decided to remove it, in milliseconds since 1970. From then on nothing may be created in its
    /// place until it is gone, because the removal has no condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<u64>,
}

/// A dataset's object, which names its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DatasetObject {
    version: u32,
    #[serde(flatten)]
    pub mark: Mark,
    pub digest: String,
    pub content: String,
    /// What a list says of it, in the words of the caller.
    pub about: String,
}

/// An object, as far as the protocol reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Envelope {
    Session(SessionObject),
    Dataset(DatasetObject),
    Model(Mark),
    Tombstone(Tombstone),
}

impl Envelope {
    pub fn mark(&self) -> &Mark {
        match self {
            Self::Session(session) => &session.mark,
            Self::Dataset(dataset) => &dataset.mark,
            Self::Model(mark) => mark,
            Self::Tombstone(tombstone) => &tombstone.mark,
        }
    }
}

/// The forms that are JSON, by the fields that only they have.
#[derive(Deserialize)]
#[serde(untagged)]
enum Json {
    Session(SessionObject),
    Dataset(DatasetObject),
    Tombstone(Tombstone),
}

/// The metadata in the header of a safetensors file.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "backpropd.bucket")]
    mark: Option<String>,
}

/// Where the header of a safetensors file ends that begins with these bytes, by the length in its first 8. Of JSON, these
/// make a number that is longer than any object.
pub(crate) fn header_end(bytes: &[u8]) -> Option<u64> {
    let length = bytes.first_chunk::<8>()?;
    u64::from_le_bytes(*length).checked_add(8)
}

/// Reads the mark of an object, and what else this crate wrote.
pub(crate) fn open(bytes: &[u8]) -> Result<Envelope, String> {
    let header = header_end(bytes)
        .and_then(|end| usize::try_from(end).ok())
        .and_then(|end| bytes.get(8..end));
    let Some(header) = header else {
        return open_json(bytes);
    };
    let header: Header = serde_json::from_slice(header)
        .map_err(|error| format!("the header of its safetensors is invalid: {error}"))?;
    let mark = header
        .metadata
        .and_then(|metadata| metadata.mark)
        .ok_or_else(|| format!("its safetensors has no `{MARK_ENTRY}` in `__metadata__`"))?;
    let mark = serde_json::from_str(&mark)
        .map_err(|error| format!("`{MARK_ENTRY}` in its `__metadata__` is invalid: {error}"))?;
    Ok(Envelope::Model(mark))
}

fn open_json(bytes: &[u8]) -> Result<Envelope, String> {
    let json: Json = serde_json::from_slice(bytes)
        .map_err(|_| "it is neither a safetensors file nor JSON of this program".to_owned())?;
    let (version, envelope) = match json {
        Json::Session(session) => (session.version, Envelope::Session(session)),
        Json::Dataset(dataset) => (dataset.version, Envelope::Dataset(dataset)),
        Json::Tombstone(tombstone) => (tombstone.version, Envelope::Tombstone(tombstone)),
    };
    if version != VERSION {
        return Err(format!(
            "its format is version {version}, and this program reads version {VERSION}"
        ));
    }
    Ok(envelope)
}

pub(crate) fn session(mark: &Mark, record: &str, lease: Lease) -> Bytes {
    json(&SessionObject {
        version: VERSION,
        mark: mark.clone(),
        leased: millis(lease.at),
        ttl: u64::try_from(lease.ttl.as_millis()).unwrap_or(u64::MAX),
        record: record.to_owned(),
    })
}

pub(crate) fn tombstone(mark: &Mark, at: u64, sealed: Option<u64>) -> Bytes {
    json(&Tombstone {
        version: VERSION,
        mark: mark.clone(),
        tombstone: at,
        sealed,
    })
}

pub(crate) fn dataset(mark: &Mark, digest: &str, content: &str, about: &str) -> Bytes {
    json(&DatasetObject {
        version: VERSION,
        mark: mark.clone(),
        digest: digest.to_owned(),
        content: content.to_owned(),
        about: about.to_owned(),
    })
}

fn json(object: &impl Serialize) -> Bytes {
    serde_json::to_vec(object)
        .expect("strings, numbers and ids are JSON")
        .into()
}

/// Milliseconds since 1970.
pub(crate) fn millis(at: SystemTime) -> u64 {
    at.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CommitId, Generation};

    fn mark() -> Mark {
        Mark {
            generation: Generation::new([1; 16]),
            commits: vec![CommitId::new([2; 16]), CommitId::new([3; 16])],
        }
    }

    #[test]
    fn each_form_is_told_from_the_others() {
        let lease = Lease {
            ttl: Duration::from_secs(60),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(5),
        };
        let session = open(&session(&mark(), "{\"owner\":\"ä\"}", lease)).expect("it is a session");
        assert!(
            matches!(&session, Envelope::Session(s) if s.record == "{\"owner\":\"ä\"}" && s.leased == 5000 && s.ttl == 60_000)
        );
        let grave = open(&tombstone(&mark(), 7, Some(9))).expect("it is a tombstone");
        assert!(
            matches!(&grave, Envelope::Tombstone(t) if t.tombstone == 7 && t.sealed == Some(9))
        );
        let dataset = open(&dataset(&mark(), "d", "c", "a")).expect("it is a dataset");
        assert!(matches!(&dataset, Envelope::Dataset(d) if d.content == "c" && d.about == "a"));
        for envelope in [session, grave, dataset] {
            assert_eq!(envelope.mark(), &mark());
        }
    }

    #[test]
    fn the_mark_of_a_model_is_in_its_metadata() {
        let text = serde_json::to_string(&mark()).expect("a mark is JSON");
        let metadata = [(MARK_ENTRY.to_owned(), text), ("other".into(), "1".into())].into();
        let values = [0_u8; 8];
        let tensor =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![1], &values)
                .expect("8 bytes are an f64");
        let file = safetensors::serialize([("w", tensor)], Some(metadata)).expect("it is a file");
        assert_eq!(open(&file), Ok(Envelope::Model(mark())));
    }

    #[test]
    fn foreign_bytes_are_refused_with_a_reason() {
        let header = |text: &str| {
            let length = u64::try_from(text.len()).expect("it is short");
            [&length.to_le_bytes(), text.as_bytes()].concat()
        };
        let cases: [(Vec<u8>, &str); 6] = [
            (b"".to_vec(), "neither"),
            (b"{\"version\":1}".to_vec(), "neither"),
            (header("{"), "header"),
            (header("{}"), "has no `backpropd.bucket`"),
            (header("{\"__metadata__\":{\"backpropd.bucket\":\"{}\"}}"), "missing field"),
            (
                br#"{"version":2,"generation":"00000000000000000000000000000000","commits":[],"tombstone":1}"#.to_vec(),
                "version 2",
            ),
        ];
        for (bytes, reason) in cases {
            let error = open(&bytes).expect_err("it is foreign");
            assert!(error.contains(reason), "{error}");
        }
    }
}
