//! To which life of its session a large model belongs, without reading all of it.

use bytes::Bytes;
use tokio::time::Instant;

use crate::bucket::{Bucket, LARGEST_TOMBSTONE};
use crate::envelope::{self, Envelope};
use crate::ids::Generation;
use crate::objects::Listed;
use crate::outcome::Unavailable;
use crate::watch::{Operation, Outcome};

/// So much of a model is read at first: most have their header within it.
const BEGINNING: u64 = 32 << 10;

impl Bucket {
    /// The generation of a listed model, if it can be told without reading all of it: it was asked for before, or the model
    /// is too large for a tombstone. None as well if it is gone.
    pub(crate) async fn listed_generation(
        &self,
        object: &Listed,
    ) -> Result<Option<Generation>, Unavailable> {
        let generations = &self.inner.generations;
        if let Some(known) = generations.get(object) {
            return Ok(Some(known));
        }
        if object.size <= LARGEST_TOMBSTONE {
            return Ok(None);
        }
        let found = self.peek_generation(object).await?;
        if let Some(found) = found {
            generations.note(&object.key, object.e_tag.as_deref(), found);
        }
        Ok(found)
    }

    /// The generation of a model that is too large for a tombstone, from its header; none if it is gone.
    async fn peek_generation(&self, object: &Listed) -> Result<Option<Generation>, Unavailable> {
        let mut most = BEGINNING;
        loop {
            let Some(bytes) = self.peek(&object.key, most).await? else {
                return Ok(None);
            };
            let end = envelope::header_end(&bytes).filter(|end| *end <= object.size);
            if let Some(end) = end
                && most < end
                && bytes.len() as u64 == most
            {
                most = end;
                continue;
            }
            let opened = envelope::open(&bytes);
            let opened = opened
                .map_err(|text| Unavailable::content(format!("read {}", object.key), text))?;
            return Ok(match opened {
                Envelope::Model(mark) => Some(mark.generation),
                Envelope::Session(_) | Envelope::Dataset(_) | Envelope::Tombstone(_) => None,
            });
        }
    }

    async fn peek(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, Unavailable> {
        let begun = Instant::now();
        let peeked = self.protocol().objects.peek(key, bytes).await;
        let outcome = match &peeked {
            Ok(Some(_)) => Outcome::Done,
            Ok(None) => Outcome::Missing,
            Err(_) => Outcome::Failed,
        };
        self.protocol()
            .watch
            .request(Operation::Get, begun.elapsed(), outcome);
        peeked.map_err(|fault| Unavailable::new(format!("read {key}"), fault))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::bucket::Options;
    use crate::envelope::{Lease, MARK_ENTRY};
    use crate::ids::{CommitId, Mark};
    use crate::keys;
    use crate::objects::Condition;
    use crate::outcome::{Create, Encode, Read};
    use crate::watch::Watch;

    const DAY: Duration = Duration::from_secs(86_400);

    /// Counts requests.
    #[derive(Default)]
    struct Requests(AtomicUsize);

    impl Watch for Requests {
        fn request(&self, _: Operation, _: Duration, _: Outcome) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A model that no tombstone is as large as, with a header that is longer than what is read at first.
    fn large(mark: &Mark) -> io::Result<Bytes> {
        let values = vec![0; 80_000];
        let tensor =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F64, vec![10_000], &values)
                .map_err(io::Error::other)?;
        let mark = serde_json::to_string(mark)?;
        let notes = "-".repeat(70_000);
        let metadata = [(MARK_ENTRY.to_owned(), mark), ("notes".to_owned(), notes)];
        let file = safetensors::serialize([("w", tensor)], Some(metadata.into()));
        Ok(file.map_err(io::Error::other)?.into())
    }

    async fn new_session(bucket: &Bucket, lease: Lease) -> Generation {
        let created = bucket.create_session("s", "{}", lease).await;
        let Create::Created(seen) = created else {
            panic!("the name is free: {created:?}");
        };
        seen.mark.generation
    }

    async fn write_late(bucket: &Bucket, generation: Generation, model: &str, encode: &dyn Encode) {
        write_late_to(bucket, generation, &keys::model("s", model), encode).await;
    }

    /// Writes an object as a node does whose write arrives late.
    async fn write_late_to(
        bucket: &Bucket,
        generation: Generation,
        key: &str,
        encode: &dyn Encode,
    ) {
        let commits = vec![CommitId::new([7; 16])];
        let mark = Mark {
            generation,
            commits,
        };
        let bytes = encode.encode(&mark).await.expect("it is a file");
        let put = bucket.protocol().put(key, bytes, Condition::Absent).await;
        put.expect("there is none");
    }

    #[tokio::test]
    async fn a_large_model_of_an_older_life_of_its_session_is_removed_while_the_session_lives() {
        let requests = Arc::new(Requests::default());
        let options = Options {
            watch: Arc::clone(&requests) as _,
            ..Options::default()
        };
        let bucket = Bucket::open("memory:", options).expect("memory needs nothing");
        let now = SystemTime::now();
        let lease = Lease {
            ttl: 30 * DAY,
            at: now,
        };
        let first = new_session(&bucket, lease).await;
        let deleted = bucket.delete_session("s", first).await;
        assert_eq!(deleted, Ok(true));
        let generation = new_session(&bucket, lease).await;
        let alive = bucket.create_model("s", generation, "alive", &large).await;
        assert!(matches!(alive, Create::Created(_)), "{alive:?}");
        write_late(&bucket, first, "dead", &large).await;
        let alive = Ok(vec!["alive".to_owned()]);
        assert_eq!(bucket.list_models("s", generation).await, alive);
        assert_eq!(
            bucket.list_models("s", first).await.map(|ids| ids.len()),
            Ok(1)
        );

        let swept = bucket.sweep(now).await.expect("it is swept");
        assert_eq!((swept.sessions, swept.removed), (1, 0));
        let mut removed = 0;
        for days in 2..8 {
            let swept = bucket.sweep(now + days * DAY).await;
            removed += swept.expect("it is swept").removed;
        }
        assert_eq!(removed, 1, "the dead one");
        let before = requests.0.load(Ordering::Relaxed);
        assert_eq!(bucket.list_models("s", generation).await, alive);
        let took = requests.0.load(Ordering::Relaxed) - before;
        assert_eq!(took, 1, "a list: no model is read that has not changed");
        let before = requests.0.load(Ordering::Relaxed);
        bucket.sweep(now + 8 * DAY).await.expect("it is swept");
        let took = requests.0.load(Ordering::Relaxed) - before;
        assert_eq!(took, 1, "a list: what a sweep has seen is not read again");
    }

    #[tokio::test]
    async fn what_is_written_late_into_the_next_life_of_its_session_is_dead_and_its_name_is_free() {
        let bucket = Bucket::open("memory:", Options::default()).expect("memory needs nothing");
        let lease = Lease {
            ttl: DAY,
            at: SystemTime::now(),
        };
        let first = new_session(&bucket, lease).await;
        assert_eq!(bucket.delete_session("s", first).await, Ok(true));
        let second = new_session(&bucket, lease).await;
        write_late(&bucket, first, "m", &large).await;
        let late = |mark: &Mark| Ok(envelope::dataset(mark, "digest", "content", "about"));
        write_late_to(&bucket, first, &keys::dataset("s", "d"), &late).await;

        let read = bucket.read_model("s", second, "m", None).await;
        assert_eq!(read, Ok(Read::Missing));
        let read = bucket.read_dataset("s", second, "d", None).await;
        assert_eq!(read, Ok(Read::Missing));
        let listed = bucket.list_datasets("s", second, None, 9).await;
        assert_eq!(listed.map(|listed| listed.len()), Ok(0));
        let created = bucket.create_model("s", second, "m", &large).await;
        assert!(matches!(created, Create::Created(_)), "{created:?}");
    }

    #[tokio::test]
    async fn an_object_that_cannot_be_read_keeps_no_other_session_from_being_swept() {
        let bucket = Bucket::open("memory:", Options::default()).expect("memory needs nothing");
        let now = SystemTime::now();
        let lease = Lease { ttl: DAY, at: now };
        let generation = new_session(&bucket, lease).await;
        let bytes = Bytes::from_static(b"no file of this program");
        for session in ["r", "s", "t"] {
            let key = keys::model(session, "foreign");
            if session != "s" {
                let put = bucket
                    .protocol()
                    .put(&key, bytes.clone(), Condition::Absent);
                put.await.expect("there is none");
            }
        }
        let swept = bucket.sweep(now + 2 * DAY).await.expect("it is swept");
        assert_eq!((swept.expired, swept.unreadable), (1, 2));
        assert_eq!(bucket.delete_session("s", generation).await, Ok(false));
    }
}
