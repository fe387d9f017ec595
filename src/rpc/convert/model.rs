//! Models and sessions as messages.

use crate::fault::Violations;
use crate::host::models::any_model::ModelScalar;
use crate::host::models::lifecycle::ModelState;
use crate::host::veil::Veil;
use crate::nn::{Mlp, Pauses};
use crate::rpc::convert::run::write_run;
use crate::rpc::convert::shared_fields::timestamp;
use crate::rpc::convert::spec;
use crate::rpc::convert::tensor::{Encoding, write, write_in_blocks};
use crate::rpc::pb;
use crate::training::{Access, SessionInfo};

/// A model as a message.
pub fn write_model(state: &ModelState, veil: &Veil) -> pb::Model {
    let entry = &*state.entry;
    let spec = entry.model.spec();
    pb::Model {
        name: entry.name.to_string(),
        spec: Some(spec::write(&spec)),
        step: state.step.cast_signed(),
        weights_digest: veil.digest(entry, state.digest),
        parameter_count: (spec.architecture.parameter_count() as u64).cast_signed(),
        create_time: Some(timestamp(entry.created)),
        update_time: Some(timestamp(entry.updated())),
        training: entry.is_training(),
        access: access(veil.access(entry)).into(),
        durable_step: entry.durable_step().map(u64::cast_signed),
        run: entry
            .runs
            .in_progress()
            .and_then(|run| write_run(&entry.name, &run)),
    }
}

/// A session as a message.
pub fn session(info: &SessionInfo) -> pb::Session {
    pb::Session {
        name: info.name.to_string(),
        model_count: spec::to_i32(info.models),
        create_time: Some(timestamp(info.created)),
        expire_time: Some(timestamp(info.expires)),
        access: access(info.access).into(),
        // Not everybody is told.
        owner: String::new(),
    }
}

fn access(access: Access) -> pb::Access {
    match access {
        Access::Full => pb::Access::Full,
        Access::CompareOnly => pb::Access::CompareOnly,
    }
}

/// Reads the access of a model, or the default access of a session's models.
pub fn read_access(access: i32, violations: &mut Violations) -> Access {
    match pb::Access::try_from(access) {
        Ok(pb::Access::Unspecified | pb::Access::Full) => Access::Full,
        Ok(pb::Access::CompareOnly) => Access::CompareOnly,
        Err(_) => {
            violations.add(
                "access",
                access,
                "ACCESS_FULL (1) or ACCESS_COMPARE_ONLY (2)",
            );
            Access::Full
        }
    }
}

/// A network's parameters, layer by layer.
pub async fn parameters<T: ModelScalar>(
    mlp: &Mlp<'_, T>,
    encoding: Encoding,
    pauses: &impl Pauses,
) -> Vec<pb::LayerParameters> {
    let mut layers = Vec::with_capacity(mlp.architecture().depth());
    for (index, layer) in (1..).zip(mlp.architecture().layers()) {
        let shape = [layer.units, layer.fan_in];
        let weights = write_in_blocks(&shape, mlp.weights(index), encoding, pauses).await;
        let bias = layer
            .has_bias()
            .then(|| write(&[layer.units], mlp.bias(index), encoding));
        layers.push(pb::LayerParameters {
            weights: Some(weights),
            bias,
        });
    }
    layers
}
