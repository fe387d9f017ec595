//! Lost models, and where their files are now.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::host::models::any_model::AnyModel;
use crate::store::Storage;
use crate::training::ModelName;
use crate::training::snapshot::{self, Rules};

/// Lost models, each with the message that refusals show.
pub type Losses = BTreeMap<ModelName, String>;

/// Records a model whose last commit is unusable, and moves its files to quarantine.
pub fn lose(store: &dyn Storage, lost: &Mutex<Losses>, name: ModelName, reason: &str) {
    let (session, model) = (name.session.0.to_string(), name.model.to_string());
    let what = match store.quarantine(&session, &model) {
        Err(error) => format!("it cannot be moved away ({error})"),
        Ok((last, previous)) => {
            let moved = last.display().to_string();
            // If the last commit was in the log, the file holds the one before it.
            let files = [Some(last), previous].into_iter().flatten();
            let sound = { files }.find_map(|path| {
                let bytes = std::fs::read(&path).ok()?;
                let (restored, _) = snapshot::decode(&bytes, &Rules::own(0)).ok()?;
                Some((path, AnyModel::from(restored).step()))
            });
            match sound {
                None => format!("it was moved to {moved}; there is no intact commit before it"),
                Some((path, step)) => format!(
                    "it was moved to {moved}; the commit before it, of step {step}, is intact: an operator can restore \
                     it with `backpropd import {}`",
                    path.display()
                ),
            }
        }
    };
    let message = format!("the snapshot of {name} cannot be used: {reason}; {what}");
    tracing::error!("{message}");
    let mut lost = lost.lock().unwrap_or_else(PoisonError::into_inner);
    lost.insert(name, message);
}
