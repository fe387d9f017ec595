//! Models as files: written for export, received in pieces for import.

use std::sync::Arc;

use blake3::Hasher;
use bytes::Bytes;

use super::any_model::{AnyModel, with_model};
use super::handle::ModelEntry;
use super::lifecycle::ModelState;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::durability::about;
use crate::host::limits::memory::Reservation;
use crate::host::limits::stream_slots::StreamSlot;
use crate::host::refused::Refused;
use crate::training::snapshot::{self, Body, Head, Rules, SnapshotError};
use crate::training::{ModelName, Placement, RequestId};

/// Size of the length field before a file's header.
const HEAD_BEFORE: usize = 8;

/// Work to hash, parse and copy one byte of a file, in floating-point operations, roughly.
const FLOPS_PER_BYTE: u64 = 4;

impl Host {
    /// Exports a model; returns its file and the memory reserved for it.
    ///
    /// # Errors
    /// No such model; no memory for the file; a full queue; a panic.
    pub async fn export(
        &self,
        caller: &Caller,
        name: &ModelName,
    ) -> Result<(Bytes, Reservation, StreamSlot), Refused> {
        self.admit_to_model(caller, name).await?;
        let entry = self.open_to_export(caller, name).await?;
        let slot = self.streams.take(caller.party())?;
        let bytes = entry.model.spec().state_bytes();
        let memory = self.reserve(caller, bytes)?;
        let work = FLOPS_PER_BYTE * bytes as u64;
        let encode = move |_| {
            with_model!(entry.model.get(), model => {
                snapshot::encode(model.spec(), &model.revision(), &about(&entry))
            })
        };
        let (file, _) = self.compute.run(caller.parties(), work, encode).await?;
        let file = file.map_err(|error| {
            tracing::error!(%error, "a model cannot be written");
            Refused::Bug
        })?;
        Ok((file.into(), memory, slot))
    }

    /// Creates a model from a file, unless the same request created it before.
    ///
    /// # Errors
    /// A damaged or foreign file, a model beyond the limits, a taken id, an exhausted quota.
    pub async fn import(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        (name, new_session): (ModelName, bool),
        request: Option<RequestId>,
        received: ReceivedFile,
    ) -> Result<ModelState, Refused> {
        let ReceivedFile { body, bytes } = received;
        let work = FLOPS_PER_BYTE * bytes as u64;
        let decode = move |_| {
            let (restored, about) = body.finish()?;
            let model = AnyModel::from(restored);
            // Caches the digest while on a compute thread.
            model.step_and_digest();
            Ok::<_, SnapshotError>((model, about))
        };
        let (decoded, _) = self.compute.run(caller.parties(), work, decode).await?;
        let (restored, about) = decoded.map_err(|error| not_imported(&error))?;
        let placement = Placement {
            name,
            new_session,
            bytes,
            request,
            owner: caller.owner(),
        };
        caller.note_model(&placement.name);
        self.sync_placement(&placement).await?;
        let now = self.now();
        let made = self.registry().check(&placement, now)?;
        let entry = match made {
            Some(made) => self.keep_found(self.look_up(&made).await?).await?,
            None => {
                let access = self.access_in(&placement, about.access, now)?;
                let (name, made_by) = (placement.name.clone(), placement.request.clone());
                let entry = ModelEntry::new(name, restored, access, made_by, now.date);
                let entry = Arc::new(entry.with_compare(about.compare));
                self.keep_model(caller, placement, entry, now).await?
            }
        };
        self.describe_one(caller, entry).await
    }
}

/// A completely received file, whose numbers are already in the model's layout.
pub struct ReceivedFile {
    body: Body,
    /// The size of the model.
    bytes: usize,
}

/// A partially received file. The memory of the pieces themselves is accounted for where they arrive.
pub struct FileReceiver {
    rules: Rules,
    /// Bytes received so far.
    length: usize,
    part: Part,
}

enum Part {
    /// A part of the head.
    Head(Vec<u8>),
    /// The whole head and the first numbers after it, before memory for the numbers is reserved.
    Found {
        head: Box<Head>,
        start: Vec<u8>,
        rest: Bytes,
    },
    /// The numbers; `bytes` is the size of the model.
    Body { body: Box<Body>, bytes: usize },
}

impl FileReceiver {
    /// Starts with an empty file.
    pub fn new(host: &Host) -> Self {
        Self {
            rules: Rules::sent(host.limits, host.config.request_ids_per_model),
            length: 0,
            part: Part::Head(Vec::new()),
        }
    }

    /// Adds a piece to the file and to the fingerprint, on a compute thread if it is large.
    ///
    /// # Errors
    /// The file is too long or not a model's; no memory for it; a full queue.
    pub async fn take(
        mut self,
        host: &Host,
        caller: &Caller,
        data: Bytes,
        mut fingerprint: Hasher,
    ) -> Result<(Self, Hasher), Refused> {
        self.length = self.length.saturating_add(data.len());
        check_length(self.length, host.config.max_import_bytes)?;
        if let Part::Head(start) = &self.part {
            // Room for a copy of the head; what follows the head is not copied.
            let room = self.rules.largest_header().saturating_add(HEAD_BEFORE);
            caller.hold(data.len().min(room.saturating_sub(start.len())))?;
        }
        let work = FLOPS_PER_BYTE * data.len() as u64;
        let taken = move |_| {
            fingerprint.update(&data);
            self.add(data).map(|()| (self, fingerprint))
        };
        let (mut this, fingerprint) = host.compute.run(caller.parties(), work, taken).await?.0?;
        if let Part::Found { head, .. } = &this.part {
            check_length(head.file_bytes(), host.config.max_import_bytes)?;
            let bytes = head.held_bytes();
            caller.hold(bytes)?;
            let begin = move |_| this.begin(bytes).map(|()| this);
            this = host.compute.run(caller.parties(), work, begin).await?.0?;
        }
        Ok((this, fingerprint))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Refused> {
        match &mut self.part {
            Part::Body { body, .. } => body.push(&data).map_err(|error| not_imported(&error)),
            Part::Head(start) => {
                let room = self.rules.largest_header().saturating_add(HEAD_BEFORE);
                let seen = start.len();
                let more = data.len().min(room.saturating_sub(seen));
                start.extend_from_slice(&data[..more]);
                let found = Head::read(start, &self.rules).map_err(|error| not_imported(&error))?;
                if let Some((head, end)) = found {
                    // The head ends in this piece, and all earlier bytes belong to it.
                    let rest = data.slice(end - seen..);
                    let mut start = std::mem::take(start);
                    start.truncate(end);
                    let head = Box::new(head);
                    self.part = Part::Found { head, start, rest };
                }
                Ok(())
            }
            // `begin` runs before the next piece.
            Part::Found { .. } => Err(Refused::Bug),
        }
    }

    /// Reserves memory for the numbers, and decodes the first of them.
    fn begin(&mut self, bytes: usize) -> Result<(), Refused> {
        let part = std::mem::replace(&mut self.part, Part::Head(Vec::new()));
        let Part::Found { head, start, rest } = part else {
            return Err(Refused::Bug);
        };
        let mut hasher = Hasher::new();
        hasher.update(&start);
        let mut body = Box::new(head.into_body(Some(hasher)));
        let pushed = body.push(&rest).map_err(|error| not_imported(&error));
        self.part = Part::Body { body, bytes };
        pushed
    }

    /// Ends the file.
    ///
    /// # Errors
    /// It is incomplete.
    pub fn finish(self) -> Result<ReceivedFile, Refused> {
        match self.part {
            Part::Body { body, bytes } => Ok(ReceivedFile { body: *body, bytes }),
            Part::Head(_) | Part::Found { .. } => Err(not_imported(&SnapshotError::Damaged)),
        }
    }
}

/// Checks a file's length against `max_import_bytes`. If that is unset, the length follows from the file's own head,
/// which the limits on models bound.
fn check_length(length: usize, most: usize) -> Result<(), Refused> {
    if most == 0 || length <= most {
        return Ok(());
    }
    let message = format!(
        "the file is larger than {most} bytes (max_import_bytes): import a smaller model, or have the limit raised"
    );
    Err(Refused::quota("max_import_bytes", most as u64, message))
}

fn not_imported(error: &SnapshotError) -> Refused {
    let mut violations = Violations::new();
    let allowed = format!("the bytes of one ExportModel, all of them in order; {error}");
    violations.add("data", "an invalid file", allowed);
    violations.into()
}
