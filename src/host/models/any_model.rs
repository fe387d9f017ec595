//! A model whose scalar type is chosen at run time.

use std::sync::{Arc, PoisonError, RwLock};

use crate::nn::WeightsDigest;
use crate::training::snapshot::DecodedModel;
use crate::training::{Model, Spec};

/// A model of either scalar type.
#[derive(Clone, Debug)]
pub enum AnyModel {
    /// Computes in FLOAT32.
    F32(Arc<Model<f32>>),
    /// Computes in FLOAT64.
    F64(Arc<Model<f64>>),
}

/// Evaluates an expression with the inner model, whichever type it has.
macro_rules! with_model {
    ($any:expr, $model:ident => $body:expr) => {
        match $any {
            $crate::host::models::any_model::AnyModel::F32($model) => $body,
            $crate::host::models::any_model::AnyModel::F64($model) => $body,
        }
    };
}
pub(crate) use with_model;

/// A scalar type of models, as used by the host.
pub trait ModelScalar: crate::nn::Scalar {
    /// Wraps the model, erasing its type.
    fn any(model: Arc<Model<Self>>) -> AnyModel;

    /// The model, if it has this type.
    fn of(any: AnyModel) -> Option<Arc<Model<Self>>>;
}

impl ModelScalar for f32 {
    fn any(model: Arc<Model<Self>>) -> AnyModel {
        AnyModel::F32(model)
    }

    fn of(any: AnyModel) -> Option<Arc<Model<Self>>> {
        match any {
            AnyModel::F32(model) => Some(model),
            AnyModel::F64(_) => None,
        }
    }
}

impl ModelScalar for f64 {
    fn any(model: Arc<Model<Self>>) -> AnyModel {
        AnyModel::F64(model)
    }

    fn of(any: AnyModel) -> Option<Arc<Model<Self>>> {
        match any {
            AnyModel::F64(model) => Some(model),
            AnyModel::F32(_) => None,
        }
    }
}

impl From<DecodedModel> for AnyModel {
    fn from(restored: DecodedModel) -> Self {
        match restored {
            DecodedModel::F32(model) => Self::F32(Arc::new(model)),
            DecodedModel::F64(model) => Self::F64(Arc::new(model)),
        }
    }
}

impl AnyModel {
    /// The architecture and hyperparameters.
    pub fn spec(&self) -> &Spec {
        with_model!(self, model => model.spec())
    }

    /// The last committed step.
    pub fn step(&self) -> u64 {
        with_model!(self, model => model.committed().step)
    }

    /// Whether the digest of the committed step is cached.
    pub fn has_digest(&self) -> bool {
        with_model!(self, model => model.committed().has_digest())
    }

    /// The committed step and its digest. Computing a digest reads every parameter once.
    pub fn step_and_digest(&self) -> (u64, WeightsDigest) {
        with_model!(self, model => {
            let committed = model.committed();
            (committed.step, committed.digest(model.spec()))
        })
    }
}

/// The model of a handle. UpdateModel replaces it by one with another spec and the same state, in the model's turn.
#[derive(Debug)]
pub struct CurrentModel(RwLock<AnyModel>);

impl CurrentModel {
    /// Holds this model.
    pub fn new(model: AnyModel) -> Self {
        Self(RwLock::new(model))
    }

    /// The model now. A writer asks for it in its turn: an earlier answer may have been replaced.
    pub fn get(&self) -> AnyModel {
        let model = self.0.read();
        model.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// [`Self::get`] for a writer that has planned its change with `before`, a model of the same type.
    pub fn in_turn<T: ModelScalar>(&self, before: Arc<Model<T>>) -> Arc<Model<T>> {
        T::of(self.get()).unwrap_or(before)
    }

    /// Replaces it; the caller has the model's turn.
    pub fn replace(&self, model: AnyModel) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = model;
    }

    /// The architecture and hyperparameters.
    pub fn spec(&self) -> Arc<Spec> {
        with_model!(self.get(), model => model.shared_spec())
    }

    /// The last committed step.
    pub fn step(&self) -> u64 {
        self.get().step()
    }

    /// Whether the digest of the committed step is cached.
    pub fn has_digest(&self) -> bool {
        self.get().has_digest()
    }
}
