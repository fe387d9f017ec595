//! Explain: one pass from the last committed weights, then the equations of one entry of it.

use std::sync::Arc;

use faer::Par;
use tonic::{Response, Status};

use super::gradients::gradients_bytes;
use super::reads;
use crate::fault::Violations;
use crate::host::Host;
use crate::host::caller::Caller;
use crate::host::models::any_model::{ModelScalar, with_model};
use crate::host::parts::dataset_rows::SamplesParts;
use crate::host::refused::Refused;
use crate::nn::explain::{Equation, Factor, FactorKind, Term};
use crate::nn::pauses::is_long;
use crate::nn::threads::share;
use crate::nn::{
    Backward, Batch, Detail, Entry, ExplainLimits, Explanation, ForwardBuffers, InputGradient,
    Pass, Pauses, Quantity,
};
use crate::rpc::convert::dataset::read_samples;
use crate::rpc::convert::quantity;
use crate::rpc::convert::shared_fields::count;
use crate::rpc::convert::spec::{read_enum, to_i32};
use crate::rpc::convert::target::RequestedTarget;
use crate::rpc::convert::training::timings;
use crate::rpc::pb;
use crate::training::Model;

/// The terms of an equation, unless the request says otherwise.
const DEFAULT_TERMS: usize = 32;

/// The memory of a factor in an explanation and its message, in bytes: its symbols, twice, and their share of the
/// equation's texts.
const FACTOR_BYTES: usize = 1 << 10;

/// What to explain, and how.
#[derive(Clone, Copy)]
struct Question {
    entry: Entry,
    detail: Detail,
    limits: ExplainLimits,
}

/// Answers Explain.
///
/// # Errors
/// Invalid fields, an unknown model, no memory, or a passed deadline.
pub async fn explain(
    host: &Host,
    caller: &Caller,
    request: pb::ExplainRequest,
) -> Result<Response<pb::ExplainResponse>, Status> {
    let mut violations = Violations::new();
    let target = RequestedTarget::read(request.target, &host.limits, caller, &mut violations);
    let sent = (request.inputs, request.targets, request.labels);
    let samples = read_samples(sent, request.dataset, &mut violations);
    let quantity = read_quantity(request.quantity, &mut violations);
    let detail = match read_enum(
        request.expand,
        "expand",
        "EXPANSION_NONE (1), EXPANSION_CHAIN (2) or EXPANSION_LEAVES (3)",
        &mut violations,
    ) {
        pb::Expansion::Unspecified | pb::Expansion::None => Detail::Definition,
        pb::Expansion::Chain => Detail::Chain,
        pb::Expansion::Leaves => Detail::Leaves,
    };
    let limits = ExplainLimits {
        terms: read_terms(
            request.max_terms,
            host.config.max_explain_factors,
            &mut violations,
        ),
        factors: host.config.max_explain_factors,
    };
    let place = [request.layer, request.row, request.column].map(i64::from);
    let parts = target.zip(samples).zip(quantity);
    let ((target, samples), quantity) = violations.into_result(parts).map_err(Refused::from)?;

    with_model!(target.find(host, caller).await?, model => {
        let spec = model.spec();
        let (rows, batch) = match samples {
            SamplesParts::Sent(batch) => {
                (batch.inputs.rows(), reads::checked(host, caller, spec, batch).await?)
            }
            SamplesParts::Dataset(rows) => {
                let batch = host.fetch_batch(caller, &model, &rows).await?;
                (batch.rows(), Ok(batch))
            }
        };
        let architecture = &spec.architecture;
        let mut violations = Violations::new();
        let entry = Entry::from_one(architecture, rows, quantity, place);
        let entry = violations.take_own(entry);
        let batch = violations.take_own(batch);
        let (entry, batch) = violations.into_result(entry.zip(batch)).map_err(Refused::from)?;
        let question = Question { entry, detail, limits };
        caller.hold(reply_bytes(question))?;
        let memory = host.workspace(caller, gradients_bytes(&model, rows))?;
        let flops = 3 * architecture.forward_flops(rows);
        host.check_work(flops, "use a smaller network")?;
        let (mut reply, timing) = if is_long(architecture, rows, 3) {
            let work = |turns| async move {
                let _memory = memory;
                explanation_in_blocks(&model, &batch, question, &turns).await
            };
            host.compute_in_blocks(caller, flops, work).await?
        } else {
            let work = move |par| {
                let _memory = memory;
                explanation(&model, &batch, question, par)
            };
            host.compute_by(caller, flops, work).await?
        };
        reply.timings = Some(timings(timing));
        Ok(Response::new(reply))
    })
}

/// The quantity to explain; those that are not computed are left to [`Entry::from_one`].
fn read_quantity(number: i32, violations: &mut Violations) -> Option<Quantity> {
    let quantity = quantity::read(number);
    if quantity.is_none() {
        let allowed = "QUANTITY_Z (2), QUANTITY_H (3), or QUANTITY_D_W (6) to QUANTITY_DELTA (11)";
        violations.add("quantity", number, allowed);
    }
    quantity
}

fn read_terms(given: i32, most_factors: usize, violations: &mut Violations) -> usize {
    let most = most_factors / 4;
    let terms = count(given, "max_terms", DEFAULT_TERMS, violations);
    if terms > most {
        let allowed = format!("at most {most}, a quarter of the server's max_explain_factors");
        violations.add("max_terms", given, allowed);
    }
    terms.min(most)
}

/// The memory of the equations and the reply, until it is sent.
fn reply_bytes(question: Question) -> usize {
    let limits = question.limits;
    let factors = match question.detail {
        Detail::Definition => 2 * (limits.terms + 1),
        Detail::Chain | Detail::Leaves => limits.factors,
    };
    factors * FACTOR_BYTES
}

fn input_gradient(question: Question) -> InputGradient {
    if question.entry.quantity == Quantity::InputsGradient {
        InputGradient::Compute
    } else {
        InputGradient::Skip
    }
}

fn explanation<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    question: Question,
    par: Par,
) -> pb::ExplainResponse {
    let spec = model.spec();
    let committed = model.committed();
    let view = batch.view();
    let mut forward = ForwardBuffers::new(&spec.architecture, view.rows);
    let mut backward = Backward::new(&spec.architecture, view.rows, input_gradient(question));
    let trace = share(&spec.architecture, view.rows, par, |par| {
        let mlp = committed.mlp(spec);
        let trace = mlp.forward(view.inputs, view.rows, &mut forward, par);
        trace.backward(spec.objective, view.targets, &mut backward, par);
        trace
    });
    let pass = Pass {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    pb::ExplainResponse {
        step: committed.step.cast_signed(),
        weights_digest: committed.digest(spec).to_string(),
        ..write(&pass, model, question)
    }
}

/// [`explanation`] with pauses.
async fn explanation_in_blocks<T: ModelScalar>(
    model: &Arc<Model<T>>,
    batch: &Batch<T>,
    question: Question,
    pauses: &impl Pauses,
) -> pb::ExplainResponse {
    let spec = model.spec();
    let committed = model.committed();
    let view = batch.view();
    let mut forward = ForwardBuffers::new(&spec.architecture, view.rows);
    let mut backward = Backward::new(&spec.architecture, view.rows, input_gradient(question));
    let trace = committed
        .mlp(spec)
        .forward_in_blocks(view.inputs, view.rows, &mut forward, pauses)
        .await;
    trace
        .backward_in_blocks(spec.objective, view.targets, &mut backward, pauses)
        .await;
    let pass = Pass {
        trace,
        backward: &backward,
        targets: view.targets,
    };
    let reply = write(&pass, model, question);
    pauses.pause().await;
    pb::ExplainResponse {
        step: committed.step.cast_signed(),
        weights_digest: committed.digest_in_blocks(spec, pauses).await.to_string(),
        ..reply
    }
}

/// The equations and the size of the batch.
fn write<T: ModelScalar>(
    pass: &Pass<'_, T>,
    model: &Model<T>,
    question: Question,
) -> pb::ExplainResponse {
    let Question {
        entry,
        detail,
        limits,
    } = question;
    let Explanation {
        equations,
        unexplained,
    } = pass.explain(model.spec().objective, entry, detail, limits);
    pb::ExplainResponse {
        equations: equations.into_iter().map(write_equation).collect(),
        unexplained: to_i32(unexplained),
        batch_size: to_i32(pass.trace.rows()),
        ..Default::default()
    }
}

fn write_equation(equation: Equation) -> pb::Equation {
    let folded = equation.folded;
    pb::Equation {
        kind: kind(equation.kind).into(),
        entry: Some(write_entry(equation.entry)),
        value: Some(equation.value),
        terms: equation.terms.into_iter().map(write_term).collect(),
        folded_terms: folded.map_or(0, |folded| to_i32(folded.terms)),
        folded_value: folded.map_or(0.0, |folded| folded.value),
        sum_of_terms: Some(equation.sum_of_terms),
        text: equation.text,
        latex: equation.latex,
        numbers: equation.numbers,
        numbers_latex: equation.numbers_latex,
    }
}

fn write_term(term: Term) -> pb::Term {
    pb::Term {
        factors: term.factors.into_iter().map(write_factor).collect(),
        value: Some(term.value),
    }
}

fn write_factor(factor: Factor) -> pb::Factor {
    pb::Factor {
        kind: kind(factor.kind).into(),
        entry: factor.entry.map(write_entry),
        value: Some(factor.value),
        text: factor.text,
        latex: factor.latex,
        equation: to_i32(factor.equation),
    }
}

fn write_entry(entry: Entry) -> pb::QuantityEntry {
    pb::QuantityEntry {
        quantity: quantity::named(entry.quantity).into(),
        layer: to_i32(entry.layer),
        row: to_i32(entry.row + 1),
        column: to_i32(entry.column + 1),
    }
}

fn kind(kind: FactorKind) -> pb::FactorKind {
    match kind {
        FactorKind::Entry => pb::FactorKind::Entry,
        FactorKind::Mask => pb::FactorKind::Mask,
        FactorKind::Slope => pb::FactorKind::Slope,
        FactorKind::Activation => pb::FactorKind::Activation,
        FactorKind::Residual => pb::FactorKind::Residual,
        FactorKind::Probability => pb::FactorKind::Probability,
        FactorKind::Constant => pb::FactorKind::Constant,
    }
}
