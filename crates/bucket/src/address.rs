//! The URL of a bucket in a cloud.

use object_store::path::Path;

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
