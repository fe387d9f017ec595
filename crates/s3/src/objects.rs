//! The objects: conditions are checked and applied under one lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

#[derive(Clone)]
struct Stored {
    bytes: Bytes,
    tag: String,
    written: SystemTime,
}

/// Objects by bucket and key.
#[derive(Default)]
pub(crate) struct Objects {
    bucket: String,
    all: Mutex<BTreeMap<String, Stored>>,
    parts: Mutex<BTreeMap<(String, i32), Bytes>>,
    next: AtomicU64,
    /// Whether conditions are ignored, as some stores do.
    pub ignores_conditions: AtomicBool,
}

#[derive(Clone)]
pub(crate) struct Shared(pub Arc<Objects>);

impl Objects {
    pub fn new(bucket: String) -> Self {
        Self {
            bucket,
            ..Self::default()
        }
    }

    /// Keys and contents.
    pub fn snapshot(&self) -> BTreeMap<String, Bytes> {
        let all = self.lock();
        all.iter()
            .map(|(key, stored)| (key.clone(), stored.bytes.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Stored>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, bucket: &str) -> S3Result<()> {
        match bucket == self.bucket {
            true => Ok(()),
            false => Err(s3_error!(NoSuchBucket)),
        }
    }

    fn get(&self, bucket: &str, key: &str) -> S3Result<Stored> {
        self.check(bucket)?;
        self.lock()
            .get(key)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchKey))
    }

    fn put(
        &self,
        key: String,
        bytes: Bytes,
        unless: Option<&IfNoneMatch>,
        only: Option<&IfMatch>,
    ) -> S3Result<ETag> {
        let mut all = self.lock();
        let now = all.get(&key).map(|stored| ETag::Strong(stored.tag.clone()));
        if !self.ignores_conditions.load(Relaxed) {
            if let Some(condition) = unless {
                let named =
                    |tag: &ETag| condition.as_etag().is_some_and(|other| tag.weak_cmp(other));
                if now
                    .as_ref()
                    .is_some_and(|tag| condition.is_any() || named(tag))
                {
                    return Err(s3_error!(PreconditionFailed));
                }
            }
            if let Some(condition) = only {
                let Some(tag) = &now else {
                    return Err(s3_error!(NoSuchKey));
                };
                let named = condition
                    .as_etag()
                    .is_some_and(|other| tag.strong_cmp(other));
                if !condition.is_any() && !named {
                    return Err(s3_error!(PreconditionFailed));
                }
            }
        }
        let tag = format!("{:032x}", self.next.fetch_add(1, Relaxed) + 1);
        let written = SystemTime::now();
        let stored = Stored {
            bytes,
            tag: tag.clone(),
            written,
        };
        all.insert(key, stored);
        Ok(ETag::Strong(tag))
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let parts: Vec<Bytes> = body
        .try_collect()
        .await
        .map_err(|_| s3_error!(IncompleteBody))?;
    Ok(parts.concat().into())
}

fn blob(bytes: Bytes) -> StreamingBlob {
    StreamingBlob::wrap(stream::once(async move { Ok::<_, std::io::Error>(bytes) }))
}

fn unchanged(tag: &ETag, condition: Option<&IfNoneMatch>) -> bool {
    condition.is_some_and(|condition| {
        condition.is_any() || condition.as_etag().is_some_and(|other| tag.weak_cmp(other))
    })
}

#[async_trait::async_trait]
impl S3 for Shared {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        self.0.check(&input.bucket)?;
        let bytes = collect(input.body).await?;
        let (unless, only) = (input.if_none_match.as_ref(), input.if_match.as_ref());
        let tag = self.0.put(input.key, bytes, unless, only)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(tag),
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let stored = self.0.get(&input.bucket, &input.key)?;
        let tag = ETag::Strong(stored.tag);
        if unchanged(&tag, input.if_none_match.as_ref()) {
            return Err(s3_error!(NotModified));
        }
        let (bytes, content_range) = match input.range {
            None => (stored.bytes, None),
            Some(range) => part(&stored.bytes, &range)?,
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: i64::try_from(bytes.len()).ok(),
            content_range,
            e_tag: Some(tag),
            last_modified: Some(stored.written.into()),
            body: Some(blob(bytes)),
            ..Default::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let stored = self.0.get(&input.bucket, &input.key)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(stored.bytes.len()).ok(),
            e_tag: Some(ETag::Strong(stored.tag)),
            last_modified: Some(stored.written.into()),
            ..Default::default()
        }))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.check(&request.input.bucket)?;
        self.0.lock().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    /// The client removes a single object by a list of one.
    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.0.check(&request.input.bucket)?;
        let mut all = self.0.lock();
        let mut deleted = Vec::new();
        for object in request.input.delete.objects {
            all.remove(&object.key);
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..Default::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        const PAGE: usize = 1000;
        let input = request.input;
        self.0.check(&input.bucket)?;
        let prefix = input.prefix.unwrap_or_default();
        let after = input.continuation_token.or(input.start_after);
        let all = self.0.lock();
        let mut objects = all
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
            .map(|(key, stored)| Object {
                key: Some(key.clone()),
                size: i64::try_from(stored.bytes.len()).ok(),
                e_tag: Some(ETag::Strong(stored.tag.clone())),
                last_modified: Some(stored.written.into()),
                ..Default::default()
            });
        let contents: Vec<Object> = objects.by_ref().take(PAGE).collect();
        let last = contents.last().and_then(|object| object.key.clone());
        let is_truncated = objects.next().is_some();
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents),
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.0.check(&request.input.bucket)?;
        let id = self.0.next.fetch_add(1, Relaxed).to_string();
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = collect(input.body).await?;
        let tag = format!("part-{}", input.part_number);
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.insert((input.upload_id, input.part_number), bytes);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(tag)),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let bytes = {
            let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
            let own: Vec<Bytes> = parts
                .iter()
                .filter(|((upload, _), _)| *upload == input.upload_id)
                .map(|(_, bytes)| bytes.clone())
                .collect();
            parts.retain(|(upload, _), _| *upload != input.upload_id);
            Bytes::from(own.concat())
        };
        let tag = self.0.put(input.key.clone(), bytes, None, None)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(tag),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let mut parts = self.0.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.retain(|(upload, _), _| *upload != request.input.upload_id);
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// The bytes of a range, and which they are.
fn part(bytes: &Bytes, range: &Range) -> S3Result<(Bytes, Option<String>)> {
    let all = bytes.len();
    let asked = range.check(all as u64)?;
    let index = |at: u64| usize::try_from(at).unwrap_or(all);
    let told = format!("bytes {}-{}/{all}", asked.start, asked.end - 1);
    Ok((
        bytes.slice(index(asked.start)..index(asked.end)),
        Some(told),
    ))
}
