//! A dataset on its way to a server.

use std::sync::{Arc, Mutex, PoisonError};

use backpropd_client::{Client, pb, random_id};
use backpropd_datasets::{Dataset, ReadError, TruthKind, TruthRows};
use backpropd_engine::nn::{Dtype, Scalar};

use super::Failure;

/// The size of a piece, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// Creates `dataset` in `session`, with its constants and the names of its classes.
pub(super) async fn upload(
    server: &Client,
    dataset: &Dataset,
    session: &str,
    id: &str,
) -> Result<pb::Dataset, Failure> {
    let header = header(dataset, session, id)?;
    // A piece that cannot be read ends the stream, which the server refuses as incomplete.
    let failed: Arc<Mutex<Option<ReadError>>> = Arc::default();
    let pieces = || Pieces {
        dataset: dataset.clone(),
        next: 0,
        failed: Arc::clone(&failed),
    };
    let created = server.create_dataset(header, pieces).await;
    if let Some(error) = failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(Failure::failed(error.to_string()));
    }
    Ok(created?.dataset.unwrap_or_default())
}

fn header(dataset: &Dataset, session: &str, id: &str) -> Result<pb::DatasetHeader, Failure> {
    let size = |what: &str, size: usize| {
        i32::try_from(size).map_err(|_| {
            Failure::usage(format!(
                "the data have {size} {what}, more than a server takes"
            ))
        })
    };
    let (class_names, columns) = match dataset.truth() {
        TruthKind::Labels { names } => (names.clone(), 0),
        TruthKind::Targets { columns } => (Vec::new(), *columns),
    };
    let standardization = dataset.standardization().map(|constants| {
        let targets = constants.targets.clone();
        let (target_means, target_deviations) = targets.map_or_else(Default::default, |targets| {
            (targets.means, targets.deviations)
        });
        pb::Standardization {
            input_means: constants.inputs.means.clone(),
            input_deviations: constants.inputs.deviations.clone(),
            target_means,
            target_deviations,
        }
    });
    Ok(pb::DatasetHeader {
        session: session.to_owned(),
        dataset_id: id.to_owned(),
        rows: i64::try_from(dataset.rows()).unwrap_or(i64::MAX),
        features: size("features", dataset.features())?,
        target_columns: size("targets", columns)?,
        classes: size("classes", class_names.len())?,
        class_names,
        dtype: match dataset.dtype() {
            Dtype::Float32 => pb::Dtype::Float32,
            Dtype::Float64 => pb::Dtype::Float64,
        }
        .into(),
        standardization,
        request_id: random_id(),
    })
}

/// The rows in pieces.
struct Pieces {
    dataset: Dataset,
    next: usize,
    failed: Arc<Mutex<Option<ReadError>>>,
}

impl Pieces {
    fn read<T: Scalar>(&self, rows: &[usize]) -> Result<pb::DatasetPiece, ReadError> {
        let (mut inputs, mut truth) = (Vec::<T>::new(), TruthRows::default());
        self.dataset
            .copy_rows(rows, false, &mut inputs, &mut truth)?;
        let bytes = |numbers: &[T]| bytemuck::cast_slice::<T, u8>(numbers).to_vec().into();
        Ok(pb::DatasetPiece {
            inputs: bytes(&inputs),
            targets: bytes(&truth.targets),
            labels: truth
                .labels
                .iter()
                .map(|label| label.cast_signed())
                .collect(),
        })
    }
}

impl Iterator for Pieces {
    type Item = pb::DatasetPiece;

    fn next(&mut self) -> Option<pb::DatasetPiece> {
        let columns = self.dataset.features() + self.dataset.truth().target_columns();
        let count = (PIECE_BYTES / (columns * self.dataset.dtype().size())).max(1);
        let rows: Vec<usize> =
            (self.next..self.dataset.rows().min(self.next.saturating_add(count))).collect();
        if rows.is_empty() {
            return None;
        }
        self.next += rows.len();
        let read = match self.dataset.dtype() {
            Dtype::Float32 => self.read::<f32>(&rows),
            Dtype::Float64 => self.read::<f64>(&rows),
        };
        read.map_err(|error| {
            self.next = usize::MAX;
            *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        })
        .ok()
    }
}
