//! What the disk has of a model: a state machine, drawn in `docs/durability.md`, too.
//!
//! ```text
//!            filed                     logged, redo_logged
//! Nothing ─────────► InFile ◄────────────────────────► InLog
//!                     │   ▲    filed                    │
//!            replacing│   │filed                        │replacing
//!                     ▼   │                             ▼
//!                    Unsure ◄───────────────────────────┘
//! ```

use tokio::sync::OwnedSemaphorePermit;

use crate::store::{Anchor, Segment};

/// How much of a model the disk has. Only the holder of the turn to change the model may change this.
#[derive(Debug, Default)]
pub enum OnDisk {
    /// Nothing: the model is new, or nothing is persisted.
    #[default]
    Nothing,
    /// The last commit is in the file.
    InFile {
        /// The last commit's step.
        step: u64,
        /// Identifies this version of the file.
        file: Anchor,
    },
    /// The last commit is in the log and builds on the file.
    InLog {
        /// The last commit's step.
        step: u64,
        /// Identifies this version of the file.
        file: Anchor,
        /// The log segments with commits newer than the file.
        segments: Vec<Segment>,
        /// Startup's budget for replaying them: one permit a unit of work.
        redo: Option<OwnedSemaphorePermit>,
    },
    /// The file is being replaced, or a log write has failed: the disk may hold the last acknowledged commit or the
    /// attempted one. Nothing goes into the log until a new file resolves this.
    Unsure {
        /// The step of the last acknowledged commit; `None` for a new model.
        step: Option<u64>,
        /// The log segments that still hold commits.
        segments: Vec<Segment>,
        /// Startup's budget for replaying them.
        _redo: Option<OwnedSemaphorePermit>,
    },
}

impl OnDisk {
    /// The file now holds everything that was acknowledged.
    pub fn filed(&mut self, step: u64, file: Anchor) {
        *self = Self::InFile { step, file };
    }

    /// The log now holds a whole snapshot in these segments, newer than this file.
    pub fn logged(&mut self, step: u64, file: Anchor, segments: Vec<Segment>) {
        *self = Self::InLog {
            step,
            file,
            segments,
            redo: None,
        };
    }

    /// The log now also holds a record that leads from the last commit to this step, at the cost of `work` for a
    /// replay. Has no effect in a state that does not allow log commits.
    pub fn redo_logged(&mut self, step: u64, segment: Segment, work: OwnedSemaphorePermit) {
        *self = match std::mem::take(self) {
            Self::InFile { file, .. } => Self::InLog {
                step,
                file,
                segments: vec![segment],
                redo: Some(work),
            },
            Self::InLog {
                file,
                mut segments,
                redo,
                ..
            } => {
                if !segments.contains(&segment) {
                    segments.push(segment);
                }
                let redo = match redo {
                    Some(mut before) => {
                        before.merge(work);
                        before
                    }
                    None => work,
                };
                Self::InLog {
                    step,
                    file,
                    segments,
                    redo: Some(redo),
                }
            }
            other @ (Self::Nothing | Self::Unsure { .. }) => other,
        };
    }

    /// The file is about to be replaced, or a log write has failed.
    pub fn replacing(&mut self) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::Unsure {
                step: None,
                segments: Vec::new(),
                _redo: None,
            },
            Self::InFile { step, .. } => Self::Unsure {
                step: Some(step),
                segments: Vec::new(),
                _redo: None,
            },
            Self::InLog {
                step,
                segments,
                redo,
                ..
            } => Self::Unsure {
                step: Some(step),
                segments,
                _redo: redo,
            },
            unsure @ Self::Unsure { .. } => unsure,
        };
    }

    /// The last commit's step; `None` if there is no commit.
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::InFile { step, .. } | Self::InLog { step, .. } => Some(*step),
            Self::Unsure { step, .. } => *step,
        }
    }

    /// The file that a log commit would build on; `None` if it is unknown which version the disk has.
    pub fn file(&self) -> Option<Anchor> {
        match self {
            Self::InFile { file, .. } | Self::InLog { file, .. } => Some(*file),
            Self::Nothing | Self::Unsure { .. } => None,
        }
    }

    /// The log segments with commits of this model.
    pub fn segments(&self) -> &[Segment] {
        match self {
            Self::InLog { segments, .. } | Self::Unsure { segments, .. } => segments,
            Self::Nothing | Self::InFile { .. } => &[],
        }
    }

    /// Number of log segments newer than the file, and units of work to replay them; `None` unless `last` is the last
    /// commit's step and the file is known.
    pub fn redo_after(&self, last: u64) -> Option<(usize, usize)> {
        match self {
            Self::InFile { step, .. } if *step == last => Some((0, 0)),
            Self::InLog {
                step,
                segments,
                redo,
                ..
            } if *step == last => {
                let work = redo.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
                Some((segments.len(), work))
            }
            Self::Nothing | Self::InFile { .. } | Self::InLog { .. } | Self::Unsure { .. } => None,
        }
    }

    /// Whether the model may be evicted from memory: its file is known and complete.
    pub fn is_whole_in_file(&self) -> bool {
        matches!(self, Self::InFile { .. })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;
    use crate::store::{Kind, Mark, Record, Store};

    fn file(of: u8) -> Anchor {
        Anchor::of(&[of; 64])
    }

    /// A part of a log.
    fn segment() -> Segment {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("it opens");
        let record = Record {
            session: "a".to_owned(),
            model: "m".to_owned(),
            anchor: file(1),
            mark: Mark {
                updated: 1,
                step: 1,
            },
            kind: Kind::Redo,
            content: vec![0; 8],
        };
        store.log(&[record]).expect("it is written")
    }

    /// Work to replay a run.
    fn work(of: &Arc<Semaphore>, units: u32) -> OwnedSemaphorePermit {
        let work = Arc::clone(of).try_acquire_many_owned(units);
        work.expect("so much is left")
    }

    #[test]
    fn a_commit_to_the_log_comes_after_the_file_and_a_new_file_ends_it() {
        let mut disk = OnDisk::default();
        assert_eq!((disk.step(), disk.file()), (None, None));
        disk.filed(1, file(1));
        assert!(disk.is_whole_in_file());
        assert_eq!(disk.redo_after(1), Some((0, 0)));
        assert_eq!(disk.redo_after(2), None, "not the last commit");
        let (part, left) = (segment(), Arc::new(Semaphore::new(10)));
        disk.redo_logged(2, part.clone(), work(&left, 3));
        disk.redo_logged(3, part, work(&left, 4));
        assert_eq!((disk.step(), disk.file()), (Some(3), Some(file(1))));
        assert_eq!(disk.redo_after(3), Some((1, 7)), "one part, all the work");
        assert!(!disk.is_whole_in_file());
        disk.filed(4, file(2));
        assert_eq!((disk.step(), disk.file()), (Some(4), Some(file(2))));
        assert!(disk.segments().is_empty());
        assert_eq!(left.available_permits(), 10, "nothing is left to replay");
    }

    #[test]
    fn nothing_goes_into_the_log_until_a_file_settles_what_the_disk_has() {
        let part = segment();
        for begin in [
            |_: &mut OnDisk, _: Segment| {},
            |disk: &mut OnDisk, _: Segment| disk.filed(5, file(1)),
            |disk: &mut OnDisk, segment: Segment| disk.logged(5, file(1), vec![segment]),
        ] {
            let mut disk = OnDisk::default();
            begin(&mut disk, part.clone());
            let (step, segments) = (disk.step(), disk.segments().len());
            disk.replacing();
            disk.replacing();
            assert_eq!(disk.step(), step, "what was acknowledged stays");
            assert_eq!(disk.segments().len(), segments, "and its parts of the log");
            assert_eq!(disk.file(), None);
            assert_eq!(disk.redo_after(5), None);
            assert!(!disk.is_whole_in_file());
            disk.redo_logged(6, part.clone(), work(&Arc::new(Semaphore::new(1)), 1));
            assert_eq!(disk.step(), step, "the log is not written in this state");
            disk.filed(7, file(2));
            assert!(disk.is_whole_in_file());
        }
    }
}
