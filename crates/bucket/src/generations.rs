//! To which lives of their sessions models belong.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::ids::Generation;
use crate::objects::Listed;

/// The generation of each model's object by its key and ETag, as far as it was asked for since the last sweep but one.
#[derive(Default)]
pub(crate) struct Generations {
    maps: Mutex<[HashMap<String, (String, Generation)>; 2]>,
}

impl Generations {
    /// A sweep begins: what was not asked for since the last one began is forgotten.
    pub fn begin_sweep(&self) {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        maps.swap(0, 1);
        maps[0].clear();
    }

    pub fn get(&self, object: &Listed) -> Option<Generation> {
        let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let [this, last] = &mut *maps;
        if let Some(found) = last.remove(&object.key) {
            this.insert(object.key.clone(), found);
        }
        let (e_tag, generation) = this.get(&object.key)?;
        (Some(e_tag) == object.e_tag.as_ref()).then_some(*generation)
    }

    pub fn note(&self, key: &str, e_tag: Option<&str>, generation: Generation) {
        if let Some(e_tag) = e_tag {
            let mut maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
            maps[0].insert(key.to_owned(), (e_tag.to_owned(), generation));
        }
    }
}
