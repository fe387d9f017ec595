//! Stores of the three clouds, and those that speak like them, by the usual environment variables.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::address::{Address, Cloud};
use crate::bucket::Options;
use crate::connector::Connector;
use crate::explain::explain;
use crate::open_error::OpenError;
use crate::stores::Stores;

/// How long a read is repeated.
const READ_RETRIES_END: Duration = Duration::from_secs(15);

/// Both handles of a bucket.
pub(crate) fn connect(address: &Address, options: &Options) -> Result<Stores, OpenError> {
    let connector = Connector::new(options.timeout);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: options.read_retries,
        retry_timeout: READ_RETRIES_END,
    };
    let once = RetryConfig {
        max_retries: 0,
        ..retry.clone()
    };
    let handles = match address.cloud {
        Cloud::S3 => s3(&address.bucket, connector, retry, once),
        Cloud::Google => google(&address.bucket, connector, retry, once),
        Cloud::Azure => azure(&address.bucket, connector, retry, once),
    };
    let (reads, writes) = handles.map_err(|error| OpenError::Settings {
        cloud: address.cloud.name(),
        variables: address.cloud.variables(),
        reason: explain(&error).text,
    })?;
    Ok(Stores {
        reads,
        writes,
        prefix: address.prefix.clone(),
    })
}

type Handles = (Arc<dyn ObjectStore>, Arc<dyn ObjectStore>);

fn s3(
    bucket: &str,
    connector: Connector,
    retry: RetryConfig,
    once: RetryConfig,
) -> object_store::Result<Handles> {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    // TLS protects a body already; to hash it for its signature would take as long as to send it.
    let is_encrypted = endpoint.is_none_or(|endpoint| !endpoint.starts_with("http://"));
    let builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_unsigned_payload(is_encrypted)
        .with_http_connector(connector);
    let reads = builder.clone().with_retry(retry).build()?;
    let writes = builder
        .with_credentials(Arc::clone(reads.credentials()))
        .with_retry(once)
        .build()?;
    Ok((Arc::new(reads), Arc::new(writes)))
}

fn google(
    bucket: &str,
    connector: Connector,
    retry: RetryConfig,
    once: RetryConfig,
) -> object_store::Result<Handles> {
    let builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_http_connector(connector);
    let reads = builder.clone().with_retry(retry).build()?;
    let writes = builder
        .with_credentials(Arc::clone(reads.credentials()))
        .with_retry(once)
        .build()?;
    Ok((Arc::new(reads), Arc::new(writes)))
}

fn azure(
    container: &str,
    connector: Connector,
    retry: RetryConfig,
    once: RetryConfig,
) -> object_store::Result<Handles> {
    let builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(container)
        .with_http_connector(connector);
    let emulator = builder.get_config_value(&AzureConfigKey::UseEmulator);
    let reads = builder.clone().with_retry(retry).build()?;
    // The emulator's account is part of the credentials that the builder makes for it.
    let builder = match emulator.as_deref() {
        Some("true") => builder,
        _ => builder.with_credentials(Arc::clone(reads.credentials())),
    };
    let writes = builder.with_retry(once).build()?;
    Ok((Arc::new(reads), Arc::new(writes)))
}
