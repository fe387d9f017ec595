//! CreateDataset: rows arrive in pieces and go to a file, or to memory on a server without a data folder.

use std::sync::Arc;
use std::time::SystemTime;

use backpropd_datasets::{Dataset, TruthKind, Upload, UploadError, UploadHeader};
use bytes::Bytes;

use super::catalogue::UploadPlace;
use super::entry::{DatasetEntry, DatasetState, Note, Opened, Source};
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::disk_thread::on_disk_thread;
use crate::host::refused::{NotStored, Refused};
use crate::host::resource::Resource;
use crate::nn::{Dtype, Scalar};
use crate::training::{DatasetName, Id, RequestId, SessionName};

/// A request to create a dataset.
pub struct NewDataset {
    /// The session.
    pub session: SessionName,
    /// The dataset's id in it.
    pub id: Id,
    /// What will arrive.
    pub header: UploadHeader,
    /// The request, if it is remembered.
    pub request: Option<RequestId>,
}

impl NewDataset {
    /// The dataset's name.
    pub fn name(&self) -> DatasetName {
        DatasetName {
            session: Some(self.session.clone()),
            dataset: self.id.clone(),
        }
    }
}

/// How the creation of a dataset begins.
pub enum Begun {
    /// The same request created it before.
    Made(Box<DatasetState>),
    /// The rows can come.
    New(Box<DatasetReceiver>),
}

/// Receives the rows of a new dataset.
pub struct DatasetReceiver {
    new: NewDataset,
    bytes: u64,
    created: SystemTime,
    place: UploadPlace,
    sink: Sink,
}

/// Where the rows go.
enum Sink {
    File(Box<Upload>),
    Memory32(Numbers<f32>),
    Memory64(Numbers<f64>),
}

struct Numbers<T> {
    inputs: Vec<T>,
    targets: Vec<T>,
    labels: Vec<u32>,
}

/// Rows of one message.
pub struct Piece {
    /// Little-endian numbers.
    pub inputs: Bytes,
    /// Little-endian numbers.
    pub targets: Bytes,
    /// Classes.
    pub labels: Vec<i32>,
}

impl Host {
    /// Begins to create a dataset, unless the same request did so before.
    ///
    /// # Errors
    /// No such session; a taken id; a quota; an invalid header.
    pub async fn begin_dataset(&self, caller: &Caller, new: NewDataset) -> Result<Begun, Refused> {
        caller.note(|| Resource::Dataset(new.name()));
        self.admit(caller, &new.session).await?;
        self.registry().session(&new.session, self.now())?;
        self.sync_dataset(&new.name()).await?;
        if let Some(made) = self.made_before(&new).await? {
            return Ok(Begun::Made(Box::new(made)));
        }
        new.header.check()?;
        let bytes = new.header.data_bytes().unwrap_or(u64::MAX);
        let place = self.datasets.expect(&new.name(), bytes, &self.config)?;
        let created = self.now().date;
        let sink = if self.persistence.is_on() {
            self.keep_session(&new.session).await?;
            self.file_sink(&new, created).await?
        } else {
            let limit = self.datasets.memory.limit() as u64;
            if bytes > limit {
                let message = format!(
                    "the dataset takes {bytes} bytes, and {limit} are allowed (max_dataset_memory_bytes): send fewer rows, or \
                     start the server with a data folder, which reads larger datasets in blocks"
                );
                return Err(Refused::quota("max_dataset_memory_bytes", limit, message));
            }
            match new.header.dtype {
                Dtype::Float32 => Sink::Memory32(Numbers::new(&new.header)?),
                Dtype::Float64 => Sink::Memory64(Numbers::new(&new.header)?),
            }
        };
        Ok(Begun::New(Box::new(DatasetReceiver {
            new,
            bytes,
            created,
            place,
            sink,
        })))
    }

    /// The dataset that the same request created before.
    async fn made_before(&self, new: &NewDataset) -> Result<Option<DatasetState>, Refused> {
        let Some(request) = &new.request else {
            return Ok(None);
        };
        let Some(entry) = self.datasets.made_by(&new.session, request)? else {
            return Ok(None);
        };
        let opened = entry.open().await?;
        Ok(Some(DatasetState::of(entry, &opened)))
    }

    async fn file_sink(&self, new: &NewDataset, created: SystemTime) -> Result<Sink, Refused> {
        let path = self.persistence.new_dataset(&new.session, &new.id).await?;
        let path = path.ok_or(Refused::Bug)?;
        let note = Note {
            created,
            request: new.request.clone(),
        };
        let header = UploadHeader {
            note: serde_json::to_string(&note).ok(),
            ..new.header.clone()
        };
        let created = on_disk_thread(move || Upload::create(&path, header)).await;
        let upload = created.map_err(|_| Refused::Bug)?.map_err(refused)?;
        Ok(Sink::File(Box::new(upload)))
    }

    /// Makes a dataset that has arrived whole visible and durable.
    ///
    /// # Errors
    /// Missing rows; a failed disk write; a quota that is used up meanwhile.
    pub async fn finish_dataset(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        receiver: DatasetReceiver,
    ) -> Result<DatasetState, Refused> {
        let (host, caller) = (Arc::clone(self), Arc::clone(caller));
        self.finish(async move { host.keep_dataset(&caller, receiver).await })
            .await
    }

    async fn keep_dataset(
        &self,
        caller: &Caller,
        receiver: DatasetReceiver,
    ) -> Result<DatasetState, Refused> {
        let DatasetReceiver {
            new,
            bytes,
            created,
            place,
            sink,
        } = receiver;
        let name = new.name();
        // Held until the dataset is registered, so that a deletion of the session waits.
        let _turn = self.session_turns.take(&new.session).await;
        // Meanwhile the name may have become another person's.
        self.admit_to_known(caller, &new.session)?;
        self.registry().session(&new.session, self.now())?;
        if let Some(made) = self.made_before(&new).await? {
            // Another try of the same request was faster.
            return Ok(made);
        }
        // Another upload of this name may have been faster; its file must not be replaced.
        if self.datasets.get(&name).is_some() {
            return Err(Refused::DatasetTaken(name.clone()));
        }
        let memory = &self.datasets.memory;
        let about = (Some(created), new.request.clone());
        let mut file = None;
        let source = match sink {
            Sink::File(upload) => {
                let path = upload.path().to_owned();
                let finished = on_disk_thread(move || upload.finish()).await;
                finished.map_err(|_| Refused::Bug)?.map_err(refused)?;
                file = Some(path.clone());
                Source::File { path, is_own: true }
            }
            Sink::Memory32(numbers) => Source::Memory(self.in_memory(&new, numbers).await?),
            Sink::Memory64(numbers) => Source::Memory(self.in_memory(&new, numbers).await?),
        };
        let entry = DatasetEntry::new(name.clone(), source, about, bytes, memory);
        let opened = entry.open().await?;
        let entry = Arc::new(entry);
        if let Some(path) = &file {
            let summary = opened.dataset.summary();
            match self.share_dataset(&name, created, &summary, path).await {
                // Another node was faster, with this request or another.
                Err(NotStored::Moved) => {
                    self.sync_session_in_turn(&new.session).await?;
                    self.registry().session(&new.session, self.now())?;
                    self.sync_dataset(&name).await?;
                    let made = self.made_before(&new).await?;
                    return made.ok_or(Refused::DatasetTaken(name));
                }
                shared => shared?,
            }
        }
        drop(place);
        if let Err(refused) = self.datasets.insert(Arc::clone(&entry), &self.config) {
            self.persistence
                .delete_dataset(&new.session, &new.id)
                .await?;
            return Err(refused);
        }
        self.note_datasets(&new.session);
        Ok(DatasetState::of(entry, &opened))
    }

    async fn in_memory<T: Scalar>(
        &self,
        new: &NewDataset,
        numbers: Numbers<T>,
    ) -> Result<Opened, Refused> {
        let header = new.header.clone();
        let memory = Arc::clone(&self.datasets.memory);
        let built = move || {
            let dataset = numbers.into_dataset(&header)?;
            let limit = memory.limit() as u64;
            memory.hold(dataset).ok_or_else(|| {
                let message = format!(
                    "the memory for datasets, {limit} bytes (max_dataset_memory_bytes), is used up: delete datasets you no \
                     longer need"
                );
                Refused::quota("max_dataset_memory_bytes", limit, message)
            })
        };
        on_disk_thread(built).await.map_err(|_| Refused::Bug)?
    }
}

impl DatasetReceiver {
    /// Adds rows.
    ///
    /// # Errors
    /// Numbers that are not finite, labels beyond the classes, more rows than announced, pieces that do not fit each
    /// other; the disk; no memory.
    pub async fn take(mut self, caller: &Caller, piece: Piece) -> Result<Self, Refused> {
        if let Sink::Memory32(_) | Sink::Memory64(_) = self.sink {
            caller.hold(piece.inputs.len() + piece.targets.len() + 4 * piece.labels.len())?;
        }
        let taken = on_disk_thread(move || self.add(&piece).map(|()| self)).await;
        taken.map_err(|_| Refused::Bug)?
    }

    fn add(&mut self, piece: &Piece) -> Result<(), Refused> {
        let mut violations = Violations::new();
        let labels: Vec<u32> = {
            let labels = piece.labels.iter().enumerate();
            let read = labels.map(|(at, label)| {
                u32::try_from(*label).map_err(|_| {
                    violations.add(format!("rows.labels[{at}]"), label, "0 or more");
                })
            });
            read.filter_map(Result::ok).collect()
        };
        violations.into_result(Some(()))?;
        match &mut self.sink {
            Sink::File(upload) => {
                let mut faults = Violations::new();
                for done in [
                    upload.inputs(&piece.inputs),
                    upload.targets(&piece.targets),
                    upload.labels(&labels),
                ] {
                    match done {
                        Ok(()) => {}
                        Err(UploadError::Invalid(found)) => faults.extend_at("rows", found),
                        Err(error) => return Err(refused(error)),
                    }
                }
                Ok(faults.into_result(Some(()))?)
            }
            Sink::Memory32(numbers) => numbers.add(piece, &labels, &self.new.header),
            Sink::Memory64(numbers) => numbers.add(piece, &labels, &self.new.header),
        }
    }
}

impl<T: Scalar> Numbers<T> {
    /// Room for what is announced, so that it does not move as it grows. The caller has checked its size; the memory is
    /// used as the rows arrive.
    fn new(header: &UploadHeader) -> Result<Self, Refused> {
        let columns = header.truth.target_columns();
        let labels = if columns == 0 { header.rows } else { 0 };
        Ok(Self {
            inputs: room_for(header.rows * header.features)?,
            targets: room_for(header.rows * columns)?,
            labels: room_for(labels)?,
        })
    }

    fn add(&mut self, piece: &Piece, labels: &[u32], header: &UploadHeader) -> Result<(), Refused> {
        let mut violations = Violations::new();
        let columns = header.truth.target_columns();
        let parts = [
            (
                "rows.inputs",
                &mut self.inputs,
                &piece.inputs,
                header.features,
            ),
            ("rows.targets", &mut self.targets, &piece.targets, columns),
        ];
        for (field, numbers, bytes, columns) in parts {
            let most = header.rows.saturating_mul(columns);
            let arrived = numbers.len() + bytes.len() / size_of::<T>();
            if !bytes.len().is_multiple_of(size_of::<T>()) {
                let given = format!("a piece of {} bytes", bytes.len());
                let allowed = format!("whole numbers of {} bytes", size_of::<T>());
                violations.add(field, given, allowed);
            } else if arrived > most {
                let allowed = format!("{most}, as announced");
                violations.add(field, format!("{arrived} numbers"), allowed);
            } else {
                let read = bytes.chunks_exact(size_of::<T>());
                numbers.extend(read.map(bytemuck::pod_read_unaligned::<T>));
            }
        }
        let most = if columns == 0 { header.rows } else { 0 };
        let arrived = self.labels.len() + labels.len();
        if arrived > most {
            let allowed = format!("{most}, as announced");
            violations.add("rows.labels", format!("{arrived} labels"), allowed);
        } else {
            self.labels.extend(labels);
        }
        Ok(violations.into_result(Some(()))?)
    }

    fn into_dataset(self, header: &UploadHeader) -> Result<Dataset, Refused> {
        let mut violations = Violations::new();
        let columns = header.truth.target_columns();
        let truth = if columns == 0 {
            ("rows.labels", self.labels.len(), header.rows)
        } else {
            ("rows.targets", self.targets.len(), header.rows * columns)
        };
        let inputs = (
            "rows.inputs",
            self.inputs.len(),
            header.rows * header.features,
        );
        for (field, arrived, announced) in [inputs, truth] {
            if arrived != announced {
                let allowed = format!("{announced}, as announced");
                violations.add(field, format!("{arrived} numbers"), allowed);
            }
        }
        violations.into_result(Some(()))?;
        let built = match &header.truth {
            TruthKind::Labels { names } => {
                let names = Some(names.clone());
                Dataset::with_labels(header.features, self.inputs, &self.labels, names)
            }
            TruthKind::Targets { columns } => {
                Dataset::with_targets(header.features, self.inputs, *columns, self.targets)
            }
        };
        let built =
            built.and_then(|dataset| dataset.with_standardization(header.standardization.clone()));
        built.map_err(|fault| {
            let mut violations = Violations::new();
            violations.add("rows", fault, "finite numbers, and labels below `classes`");
            violations.into()
        })
    }
}

fn room_for<N>(count: usize) -> Result<Vec<N>, Refused> {
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(count).map_err(|_| {
        let message = "the machine has no memory left for the dataset: try again later";
        Refused::Busy {
            setting: "max_dataset_memory_bytes",
            limit: 0,
            message: message.to_owned(),
        }
    })?;
    Ok(numbers)
}

fn refused(error: UploadError) -> Refused {
    match error {
        UploadError::Invalid(violations) => violations.into(),
        UploadError::Io { error, .. } => NotStored::of(&error).into(),
        UploadError::Read(error) => {
            tracing::error!(%error, "a dataset cannot be read back");
            NotStored::Failed.into()
        }
    }
}
