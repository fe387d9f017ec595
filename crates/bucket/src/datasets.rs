//! Datasets: contents that never change, of any size, and a small object for each that names its content.

use std::collections::BTreeSet;
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use crate::bucket::{AT_ONCE, Bucket, live, version};
use crate::envelope::{self, Envelope};
use crate::explain::file_fault;
use crate::ids::{Generation, Mark};
use crate::keys::{self, Kind};
use crate::outcome::{Create, Read, Seen, Unavailable};
use crate::protocol::{Found, Stored};
use crate::watch::{Operation, Outcome};

/// A dataset in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDataset {
    /// Its id in the session.
    pub id: String,
    /// The digest that it was created with.
    pub digest: String,
    /// What the caller said about it.
    pub about: String,
}

impl Bucket {
    /// Creates a dataset from a file, with a text `about` it for lists. Its content is uploaded first, and exists when
    /// the name does.
    ///
    /// Of an existing dataset ([`Create::Taken`]), [`Bucket::dataset_digest`] tells the digest.
    pub async fn create_dataset(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
        digest: &str,
        about: &str,
        file: &Path,
    ) -> Create {
        let content = keys::content(session, dataset, digest, &self.id().to_string());
        let begun = Instant::now();
        let uploaded = self.protocol().objects.upload(&content, file).await;
        self.request(
            Operation::Upload,
            begun,
            uploaded.as_ref().ok().map(|()| true),
        );
        if let Err(fault) = uploaded {
            return Create::Unknown(Unavailable::new(format!("upload {content}"), fault));
        }
        let new = |mark: &Mark| Ok(envelope::dataset(mark, digest, &content, about));
        let key = keys::dataset(session, dataset);
        let is_alive = |stored: &Stored| is_dataset(stored, generation);
        self.create_inside(session, generation, &key, &new, &is_alive)
            .await
    }

    /// The digest of a dataset; none if there is none.
    pub async fn dataset_digest(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
    ) -> Result<Option<String>, Unavailable> {
        let object = self.dataset_object(session, generation, dataset).await?;
        Ok(object.map(|object| object.digest))
    }

    /// Copies a dataset's content into a file; false if there is none. The file appears when it is whole.
    pub async fn fetch_dataset(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
        into: &Path,
    ) -> Result<bool, Unavailable> {
        let Some(object) = self.dataset_object(session, generation, dataset).await? else {
            return Ok(false);
        };
        let mut partial = into.as_os_str().to_owned();
        partial.push(format!(".{}.part", self.id()));
        let partial = Path::new(&partial);
        let begun = Instant::now();
        let downloaded = self
            .protocol()
            .objects
            .download(&object.content, partial)
            .await;
        self.request(
            Operation::Download,
            begun,
            downloaded.as_ref().ok().copied(),
        );
        let what = || format!("download {}", object.content);
        let renamed = match downloaded {
            Ok(true) => tokio::fs::rename(partial, into)
                .await
                .map_err(|error| file_fault(into, &error)),
            Ok(false) => return Ok(false),
            Err(fault) => Err(fault),
        };
        if let Err(fault) = renamed {
            let _ = tokio::fs::remove_file(partial).await;
            return Err(Unavailable::new(what(), fault));
        }
        Ok(true)
    }

    /// Deletes a dataset of this generation; false if there is none. Its content is removed by the sweeper.
    pub async fn delete_dataset(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
    ) -> Result<bool, Unavailable> {
        self.protocol()
            .delete(&keys::dataset(session, dataset), generation)
            .await
    }

    /// The datasets of a session of this generation, in the order of their ids: at most `limit` after `after`. Reads one
    /// small object for each, and no content.
    pub async fn list_datasets(
        &self,
        session: &str,
        generation: Generation,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ListedDataset>, Unavailable> {
        let objects = self.objects_of(session).await?;
        let ids = objects
            .iter()
            .filter_map(|object| match keys::parse(&object.key) {
                Some((_, Kind::Dataset(id))) => Some(id.to_owned()),
                Some((_, Kind::Session | Kind::Model(_) | Kind::Content(_))) | None => None,
            });
        // Their keys have another order, as `-` precedes the dot.
        let ids: BTreeSet<String> = ids.filter(|id| Some(id.as_str()) > after).collect();
        let mut ids = ids.into_iter().peekable();
        let mut found = Vec::new();
        while found.len() < limit && ids.peek().is_some() {
            let next: Vec<String> = ids.by_ref().take(limit - found.len()).collect();
            let read: Vec<Option<ListedDataset>> = stream::iter(next)
                .map(|id| self.listed_dataset(session, generation, id))
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            found.extend(read.into_iter().flatten());
        }
        Ok(found)
    }

    /// A dataset for a list; none if it is dead.
    async fn listed_dataset(
        &self,
        session: &str,
        generation: Generation,
        id: String,
    ) -> Result<Option<ListedDataset>, Unavailable> {
        let object = self.dataset_object(session, generation, &id).await?;
        Ok(object.map(|object| ListedDataset {
            id,
            digest: object.digest,
            about: object.about,
        }))
    }

    /// Reads which content a dataset has, unless it is as it was last seen.
    pub async fn read_dataset(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
        seen: Option<&Seen>,
    ) -> Result<Read, Unavailable> {
        let key = keys::dataset(session, dataset);
        let found = self.protocol().fetch(&key, version(seen)).await?;
        Ok(match found {
            Found::Unchanged => Read::Unchanged,
            Found::Missing => Read::Missing,
            Found::Stored(stored) => live(&stored, |stored| is_dataset(stored, generation)),
        })
    }

    async fn dataset_object(
        &self,
        session: &str,
        generation: Generation,
        dataset: &str,
    ) -> Result<Option<envelope::DatasetObject>, Unavailable> {
        let key = keys::dataset(session, dataset);
        Ok(match self.protocol().fetch(&key, None).await? {
            Found::Stored(stored) if is_dataset(&stored, generation) => match stored.envelope {
                Envelope::Dataset(object) => Some(object),
                Envelope::Session(_) | Envelope::Model(_) | Envelope::Tombstone(_) => None,
            },
            Found::Stored(_) | Found::Missing | Found::Unchanged => None,
        })
    }

    /// Tells the observer of a request that found its object, did not, or failed.
    pub(crate) fn request(&self, operation: Operation, begun: Instant, found: Option<bool>) {
        let outcome = match found {
            Some(true) => Outcome::Done,
            Some(false) => Outcome::Missing,
            None => Outcome::Failed,
        };
        self.protocol()
            .watch
            .request(operation, begun.elapsed(), outcome);
    }
}

fn is_dataset(stored: &Stored, generation: Generation) -> bool {
    matches!(stored.envelope, Envelope::Dataset(_)) && stored.generation() == generation
}
