//! From a URL to a bucket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::bucket::{Bucket, Options};
use crate::ids::system_random;
use crate::objects::Objects;
use crate::protocol::{Policy, Protocol};
use crate::stores::Stores;

/// Why a bucket cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The URL names no store.
    #[error(
        "{url:?} names no store; allowed are s3://bucket/prefix, gs://bucket/prefix, az://container/prefix and memory:"
    )]
    Url {
        /// What was given.
        url: String,
    },
}

/// Stores in memory that have a name, for tests of several nodes in one process.
static NAMED: Mutex<Option<HashMap<String, Arc<InMemory>>>> = Mutex::new(None);

impl Bucket {
    /// Opens a bucket by its URL, with the credentials of the environment.
    ///
    /// `memory:` is a store of its own, in memory; `memory:name` is the same one throughout the process.
    pub fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let Some(name) = url.strip_prefix("memory:") else {
            return Err(OpenError::Url {
                url: url.to_owned(),
            });
        };
        let store: Arc<dyn ObjectStore> = match name {
            "" => Arc::new(InMemory::new()),
            name => named(name),
        };
        let objects = Arc::new(Stores {
            reads: Arc::clone(&store),
            writes: store,
            prefix: Path::default(),
        });
        Ok(Self::over(objects, url.to_owned(), options))
    }

    fn over(objects: Arc<dyn Objects>, description: String, options: Options) -> Self {
        let protocol = Protocol {
            objects,
            random: system_random(),
            clock: Arc::new(SystemTime::now),
            watch: options.watch,
            policy: Policy::SAFE,
        };
        Self::new(protocol, description)
    }
}

fn named(name: &str) -> Arc<InMemory> {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = named.get_or_insert_default();
    Arc::clone(stores.entry(name.to_owned()).or_default())
}
