//! From a URL to a bucket.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::address::Address;
use crate::bucket::{Bucket, Options};
#[cfg(feature = "clouds")]
use crate::cloud::connect;
use crate::ids::system_random;
use crate::objects::Objects;
use crate::open_error::OpenError;
use crate::probe::probe;
use crate::protocol::{Policy, Protocol};
use crate::stores::Stores;

/// Stores in memory that have a name, for tests of several nodes in one process.
static NAMED: Mutex<Option<HashMap<String, Arc<InMemory>>>> = Mutex::new(None);

impl Bucket {
    /// Opens a bucket by its URL, with the credentials of the environment. No request is made.
    ///
    /// `memory:` is a store of its own, in memory; `memory:name` is the same one throughout the process.
    pub fn open(url: &str, options: Options) -> Result<Self, OpenError> {
        let stores = match url.strip_prefix("memory:") {
            Some(name) => in_memory(name),
            None => {
                let address = Address::parse(url).ok_or_else(|| OpenError::Url {
                    url: url.to_owned(),
                })?;
                connect(&address, &options)?
            }
        };
        Ok(Self::over(Arc::new(stores), url.to_owned(), options))
    }

    /// Writes an object four times, to see whether the store keeps the conditions on which everything rests: a creation,
    /// a second one that must fail, an update, and an update of the older version, which must fail.
    pub async fn probe(&self) -> Result<(), OpenError> {
        probe(self.protocol(), self.describe()).await
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

#[cfg(not(feature = "clouds"))]
fn connect(address: &Address, _: &Options) -> Result<Stores, OpenError> {
    let cloud = address.cloud.name();
    Err(OpenError::LeftOut { cloud })
}

fn in_memory(name: &str) -> Stores {
    let store: Arc<dyn ObjectStore> = match name {
        "" => Arc::new(InMemory::new()),
        name => named(name),
    };
    Stores {
        reads: Arc::clone(&store),
        writes: store,
        prefix: Path::default(),
    }
}

fn named(name: &str) -> Arc<InMemory> {
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = named.get_or_insert_default();
    Arc::clone(stores.entry(name.to_owned()).or_default())
}

#[cfg(all(test, not(feature = "clouds")))]
mod tests {
    use super::*;

    #[test]
    fn a_program_without_clouds_says_so() {
        let error = Bucket::open("s3://b", Options::default()).expect_err("it has no client");
        assert!(
            error.to_string().contains("built without the client of S3"),
            "{error}"
        );
    }
}
