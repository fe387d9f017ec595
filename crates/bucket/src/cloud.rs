//! Stores of the three clouds, and those that speak like them, by the usual environment variables.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::bucket::Options;
use crate::connector::Connector;
use crate::explain::explain;
use crate::open_error::OpenError;
use crate::stores::Stores;

/// How long a read is repeated.
const READ_RETRIES_END: Duration = Duration::from_secs(15);

/// A cloud, as the scheme of the URL names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cloud {
    /// `s3://`: Amazon S3, and all stores that speak its protocol.
    S3,
    /// `gs://`: Google Cloud Storage.
    Google,
    /// `az://`: Azure Blob Storage.
    Azure,
}

/// Where a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub cloud: Cloud,
    pub bucket: String,
    pub prefix: Path,
}

impl Address {
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let cloud = match scheme {
            "s3" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
            _ => return None,
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if bucket.is_empty() || !bucket.chars().all(is_name) {
            return None;
        }
        Some(Self {
            cloud,
            bucket: bucket.to_owned(),
            prefix: Path::parse(prefix.trim_end_matches('/')).ok()?,
        })
    }
}

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

impl Cloud {
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Google => "Google Cloud Storage",
            Self::Azure => "Azure Blob Storage",
        }
    }

    /// The variables that a user is most likely to need.
    pub fn variables(self) -> &'static str {
        match self {
            Self::S3 => {
                "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and AWS_ENDPOINT_URL for a store that is not Amazon's"
            }
            Self::Google => {
                "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS, the path of a file"
            }
            Self::Azure => {
                "AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or another credential"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_cloud_bucket_and_prefix() {
        let address = Address::parse("s3://b-1.x/a/b/").expect("it is an address");
        assert_eq!(address.cloud, Cloud::S3);
        assert_eq!(address.bucket, "b-1.x");
        assert_eq!(address.prefix.as_ref(), "a/b");
        for url in ["gs://b", "az://b/"] {
            let address = Address::parse(url).expect("it is an address");
            assert_eq!(address.prefix.as_ref(), "");
        }
        for wrong in [
            "",
            "s3:",
            "s3://",
            "s3:///x",
            "http://b/x",
            "s3://user:secret@b/x",
            "s3://b/../x",
        ] {
            assert_eq!(Address::parse(wrong), None, "{wrong}");
        }
    }
}
