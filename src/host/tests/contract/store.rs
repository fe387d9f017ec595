//! The stores, and where they differ.

use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use super::calls;
use crate::config::Config;
use crate::host::tests::fixture::Scene;
use crate::training::{Id, ModelName, SessionName};

/// A store on which hosts start, one after the other.
pub struct Store {
    place: Place,
    pub differs: Differences,
}

enum Place {
    Folder(TempDir),
    Bucket(String),
}

/// Where stores promise different things. All else is the same.
pub struct Differences {
    /// A step of a small model goes into a log, and later into the model's file. A bucket has no log: each commit is the
    /// model's object.
    pub has_log: bool,
    /// Sessions are listed in the order of their names. A bucket has the order of its keys, which begin with a hash.
    pub lists_sessions_by_name: bool,
}

impl Store {
    pub fn folder() -> Self {
        Self {
            place: Place::Folder(tempfile::tempdir().expect("a folder")),
            differs: Differences {
                has_log: true,
                lists_sessions_by_name: true,
            },
        }
    }

    pub fn bucket(url: &str) -> Self {
        Self {
            place: Place::Bucket(url.to_owned()),
            differs: Differences {
                has_log: false,
                lists_sessions_by_name: false,
            },
        }
    }

    pub async fn start(&self) -> Scene {
        self.start_with(|_| {}).await
    }

    pub async fn start_with(&self, set: impl FnOnce(&mut Config)) -> Scene {
        match &self.place {
            Place::Folder(folder) => Scene::on(folder, set).await,
            Place::Bucket(url) => {
                let share = |config: &mut Config| {
                    config.store_trust_seconds = 0;
                    config.store_timeout_seconds = 1;
                    set(config);
                };
                Scene::sharing(url, share).await
            }
        }
    }

    /// Has sessions end that no call has used for `ttl`. The server of a folder ends them by its uptime; a bucket's are
    /// ended by a sweep of any node, by the date, a quarter later.
    pub async fn end_leases(&self, scene: &Scene, ttl: Duration) {
        let second = Duration::from_secs(1);
        match scene.host.persistence.shared() {
            Some(shared) => {
                let then = SystemTime::now() + ttl + ttl / 4 + second;
                calls::insist(async || shared.sweep_at(then).await)
                    .await
                    .expect("it is swept");
            }
            None => {
                scene.skip(ttl + second);
                scene.host.expire().await;
            }
        }
    }

    /// A session whose name no other test of this store has, even on a store that stays.
    pub fn session(&self, topic: &str) -> SessionName {
        let since = SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970");
        let id = Id::parse(&format!("{topic}-{}", since.as_micros()));
        SessionName(id.expect("an id"))
    }
}

pub fn model_in(session: &SessionName, id: &str) -> ModelName {
    ModelName {
        session: session.clone(),
        model: Id::parse(id).expect("an id"),
    }
}
