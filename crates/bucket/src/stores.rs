//! `Objects` by the crate `object_store`.

use std::path::Path as FilePath;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    UpdateVersion,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::explain::{explain, file_fault};
use crate::objects::{Condition, Fault, Fetched, Listed, Objects, Unwritten, Version};

/// The parts in which a file is uploaded. Stores take parts from 5 MiB, and at most 10,000.
const PART_BYTES: usize = 16 << 20;

/// Two handles on one bucket: the client repeats reads when a connection breaks or the store is busy, and it would
/// repeat conditional writes as well, whose second refusal would then be the echo of the first's success.
pub(crate) struct Stores {
    /// With retries.
    pub reads: Arc<dyn ObjectStore>,
    /// Without.
    pub writes: Arc<dyn ObjectStore>,
    /// What precedes each key; empty, or without a slash at its end.
    pub prefix: Path,
}

impl Stores {
    fn path(&self, key: &str) -> Path {
        self.prefix.parts().chain(Path::from(key).parts()).collect()
    }
}

impl Version {
    fn new(e_tag: Option<String>, number: Option<String>) -> Self {
        Self { e_tag, number }
    }
}

#[async_trait]
impl Objects for Stores {
    async fn get(&self, key: &str, unless: Option<&Version>) -> Result<Fetched, Fault> {
        let options = GetOptions {
            if_none_match: unless.and_then(|version| version.e_tag.clone()),
            ..GetOptions::default()
        };
        let result = match self.reads.get_opts(&self.path(key), options).await {
            Ok(result) => result,
            Err(Error::NotModified { .. }) => return Ok(Fetched::Unchanged),
            Err(error) => return missing_or_fault(error, Fetched::Missing),
        };
        let version = Version::new(result.meta.e_tag.clone(), result.meta.version.clone());
        let bytes = result.bytes().await.map_err(|error| explain(&error))?;
        Ok(Fetched::Found(bytes, version))
    }

    async fn peek(&self, key: &str, bytes: u64) -> Result<Option<Bytes>, Fault> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(0..bytes)),
            ..GetOptions::default()
        };
        let result = match self.reads.get_opts(&self.path(key), options).await {
            Ok(result) => result,
            Err(error) => return missing_or_fault(error, None),
        };
        let bytes = result.bytes().await.map_err(|error| explain(&error))?;
        Ok(Some(bytes))
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        condition: Condition<'_>,
    ) -> Result<Version, Unwritten> {
        let mode = match condition {
            Condition::Absent => PutMode::Create,
            Condition::Unchanged(version) => PutMode::Update(UpdateVersion {
                e_tag: version.e_tag.clone(),
                version: version.number.clone(),
            }),
        };
        let is_creation = mode == PutMode::Create;
        let options = PutOptions::from(mode);
        match self
            .writes
            .put_opts(&self.path(key), bytes.into(), options)
            .await
        {
            Ok(result) => Ok(Version::new(result.e_tag, result.version)),
            Err(error @ Error::Precondition { .. }) => Err(Unwritten::Refused(explain(&error))),
            // Of an update, this is a conflict with a write at the same time, and may be tried again.
            Err(error @ Error::AlreadyExists { .. }) if is_creation => {
                Err(Unwritten::Refused(explain(&error)))
            }
            Err(error) => Err(Unwritten::Unknown(explain(&error))),
        }
    }

    async fn list(
        &self,
        folder: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Listed>, Fault> {
        let folder = self.path(folder);
        let folder = (!folder.as_ref().is_empty()).then_some(folder);
        let objects = match after {
            Some(after) => self
                .reads
                .list_with_offset(folder.as_ref(), &self.path(after)),
            None => self.reads.list(folder.as_ref()),
        };
        let mut objects = std::pin::pin!(objects);
        let mut listed = Vec::new();
        while listed.len() < limit {
            let Some(meta) = objects.try_next().await.map_err(|error| explain(&error))? else {
                break;
            };
            let Some(key) = meta.location.prefix_match(&self.prefix) else {
                continue;
            };
            let parts: Vec<_> = key.collect();
            let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            listed.push(Listed {
                key: parts.join("/"),
                e_tag: meta.e_tag,
                size: meta.size,
                written: meta.last_modified.into(),
            });
        }
        listed.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(listed)
    }

    async fn delete(&self, key: &str) -> Result<(), Fault> {
        match self.writes.delete(&self.path(key)).await {
            Ok(()) => Ok(()),
            Err(error) => missing_or_fault(error, ()),
        }
    }

    async fn upload(&self, key: &str, file: &FilePath) -> Result<(), Fault> {
        let mut source = tokio::fs::File::open(file)
            .await
            .map_err(|error| file_fault(file, &error))?;
        let path = self.path(key);
        let first = part(&mut source, file).await?;
        if first.len() < PART_BYTES {
            let put = self.reads.put(&path, first.into()).await;
            return put.map(|_| ()).map_err(|error| explain(&error));
        }
        let mut upload = self
            .reads
            .put_multipart(&path)
            .await
            .map_err(|error| explain(&error))?;
        match parts(upload.as_mut(), first, &mut source, file).await {
            Ok(()) => Ok(()),
            Err(fault) => {
                // What cannot be aborted either is left to the lifecycle rule of the bucket.
                let _ = upload.abort().await;
                Err(fault)
            }
        }
    }

    async fn download(&self, key: &str, file: &FilePath) -> Result<bool, Fault> {
        let result = match self.reads.get(&self.path(key)).await {
            Ok(result) => result,
            Err(error) => return missing_or_fault(error, false),
        };
        let mut target = tokio::fs::File::create_new(file)
            .await
            .map_err(|error| file_fault(file, &error))?;
        let mut stream = result.into_stream();
        while let Some(bytes) = stream.try_next().await.map_err(|error| explain(&error))? {
            target
                .write_all(&bytes)
                .await
                .map_err(|error| file_fault(file, &error))?;
        }
        target
            .sync_all()
            .await
            .map_err(|error| file_fault(file, &error))?;
        Ok(true)
    }
}

/// The next part of a file; shorter than the others at its end.
async fn part(source: &mut tokio::fs::File, file: &FilePath) -> Result<Bytes, Fault> {
    let mut bytes = Vec::new();
    source
        .take(PART_BYTES as u64)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| file_fault(file, &error))?;
    Ok(bytes.into())
}

async fn parts(
    upload: &mut dyn MultipartUpload,
    first: Bytes,
    source: &mut tokio::fs::File,
    file: &FilePath,
) -> Result<(), Fault> {
    let mut next = first;
    while !next.is_empty() {
        upload
            .put_part(next.into())
            .await
            .map_err(|error| explain(&error))?;
        next = part(source, file).await?;
    }
    let completed = upload.complete().await;
    completed.map(|_| ()).map_err(|error| explain(&error))
}

fn missing_or_fault<T>(error: Error, missing: T) -> Result<T, Fault> {
    // A bucket that does not exist is no missing object.
    if matches!(error, Error::NotFound { .. }) && !crate::explain::is_bucket(&error) {
        Ok(missing)
    } else {
        Err(explain(&error))
    }
}
