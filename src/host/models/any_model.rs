//! A model whose scalar type is chosen at run time.

use std::sync::Arc;

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
}

impl ModelScalar for f32 {
    fn any(model: Arc<Model<Self>>) -> AnyModel {
        AnyModel::F32(model)
    }
}

impl ModelScalar for f64 {
    fn any(model: Arc<Model<Self>>) -> AnyModel {
        AnyModel::F64(model)
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
