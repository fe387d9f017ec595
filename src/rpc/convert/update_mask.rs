//! UpdateModel: reads which fields of a spec to change.

use super::spec::{read_enum, read_optimizer, read_reduction, read_schedule};
use crate::fault::Violations;
use crate::rpc::pb;
use crate::training::spec_update::{OptimizerUpdate, SpecUpdate, constants_of, name_of};

/// Limit on the paths of a mask.
const MOST_PATHS: usize = 32;

/// The paths that may be updated, for messages.
const PATHS: &str = "clip_norm, reduction, schedule, and of the model's own optimizer: sgd.{learning_rate, momentum, \
                     nesterov, weight_decay}, adam. and adamw.{learning_rate, beta1, beta2, epsilon, weight_decay}, \
                     rmsprop.{learning_rate, alpha, epsilon, momentum, weight_decay}, or its name for all of them";

/// The names of the optimizers.
const OPTIMIZERS: [&str; 4] = ["sgd", "adam", "adamw", "rmsprop"];

/// Reads the fields of `spec` that `mask` names; a field that is absent gets its default.
pub fn read_update(
    spec: Option<pb::ModelSpec>,
    mask: Option<prost_types::FieldMask>,
    violations: &mut Violations,
) -> Option<SpecUpdate> {
    let before = violations.len();
    let spec = spec.unwrap_or_default();
    let paths = mask.unwrap_or_default().paths;
    if paths.is_empty() || paths.len() > MOST_PATHS {
        let given = format!("{} paths", paths.len());
        let allowed = format!("1 to {MOST_PATHS} of {PATHS}");
        violations.add("update_mask", given, allowed);
        return None;
    }
    let given = spec.optimizer.map(|given| read_optimizer(Some(given)));
    let mut update = SpecUpdate::default();
    let mut constants = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let (name, constant) = match path.split_once('.') {
            Some((name, constant)) => (name, Some(constant)),
            None => (path.as_str(), None),
        };
        match (name, constant) {
            ("schedule", None) => update.schedule = Some(read_schedule(spec.schedule)),
            ("clip_norm", None) => update.clip_norm = Some(spec.clip_norm),
            ("reduction", None) => {
                let allowed = "REDUCTION_MEAN (1) or REDUCTION_SUM (2)";
                let given = read_enum(spec.reduction, "spec.reduction", allowed, violations);
                update.reduction = Some(read_reduction(given));
            }
            (name, constant) if OPTIMIZERS.contains(&name) => {
                let Some((optimizer, _)) = given.filter(|(own, _)| name_of(own) == name) else {
                    let given = "nothing, or another optimizer";
                    let allowed = format!("the optimizer with the new {path}");
                    violations.add(format!("spec.{name}"), given, allowed);
                    continue;
                };
                let all = constants_of(&optimizer).into_iter();
                let meant = all.filter(|own| constant.is_none_or(|name| own.name() == name));
                let known = constants.len();
                constants.extend(meant);
                if constants.len() == known {
                    add_unknown(index, path, violations);
                }
            }
            _ => add_unknown(index, path, violations),
        }
    }
    if let Some((optimizer, learning_rate)) = given
        && !constants.is_empty()
    {
        update.optimizer = Some(OptimizerUpdate {
            optimizer,
            learning_rate,
            constants,
        });
    }
    (violations.len() == before).then_some(update)
}

fn add_unknown(index: usize, path: &str, violations: &mut Violations) {
    let field = format!("update_mask.paths[{index}]");
    violations.add(field, format!("{path:?}"), PATHS);
}
