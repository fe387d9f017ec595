//! Honest clients: each creates, trains, replaces and deletes its own models, and remembers what was acknowledged.

use backpropd::rpc::pb::{self, train_batch_response::Event};
use tokio::sync::mpsc;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::fixture::{
    self, Training, homework_parameters, homework_with_adam, next, numbers, train, wide,
};
use crate::random::Random;

/// The session that all of them work in.
pub const SESSION_ID: &str = "crash";
const SESSION: &str = "sessions/crash";

/// A model's step and the digest of its weights; `None` where there is no model.
pub type Seen = Option<(i64, String)>;

/// What a client asks of one of its models.
#[derive(Clone, Debug)]
pub enum Request {
    Create { seed: i64 },
    Train { steps: i32 },
    Replace,
    Apply,
    Update { beta1: f64 },
    Delete,
}

/// A model, as its client knows it.
pub struct Slot {
    pub name: String,
    /// Whether it is large, so that what is kept of a run is the run.
    pub is_wide: bool,
    /// How many requests it has been sent; numbers their ids.
    pub sent: u64,
    pub seen: Seen,
    /// Sent, and not answered when the server died.
    pub pending: Option<Request>,
}

impl Slot {
    /// Sends a request under this slot's current id.
    async fn send(&self, client: &mut Training, request: &Request) -> Result<Seen, Status> {
        let id = format!("request-{}", self.sent);
        match request {
            Request::Create { seed } => {
                let request = pb::CreateModelRequest {
                    session: SESSION.to_owned(),
                    model_id: self.name.clone(),
                    spec: Some(if self.is_wide {
                        wide()
                    } else {
                        homework_with_adam()
                    }),
                    seed: *seed,
                    request_id: format!("{}-{id}", self.name),
                    ..Default::default()
                };
                let made = client.create_model(request).await?.into_inner().model;
                Ok(made.map(|model| (model.step, model.weights_digest)))
            }
            Request::Train { steps } => {
                let model = pb::Model {
                    name: self.full_name(),
                    ..Default::default()
                };
                let request = pb::TrainBatchRequest {
                    request_id: id,
                    ..train(&model, *steps)
                };
                let mut stream = client.train_batch(request).await?.into_inner();
                while let Some(reply) = next(&mut stream).await? {
                    if let Some(Event::Completed(end)) = reply.event {
                        assert_eq!(end.steps_done, i64::from(*steps), "{}", self.name);
                        return Ok(Some((end.step, end.weights_digest)));
                    }
                }
                Err(Status::unavailable(
                    "the stream ended without its Completed",
                ))
            }
            Request::Replace => {
                let request = pb::SetParametersRequest {
                    model: self.full_name(),
                    parameters: self.parameters(),
                    request_id: id,
                    ..Default::default()
                };
                let reply = client.set_parameters(request).await?.into_inner();
                Ok(Some((reply.step, reply.weights_digest)))
            }
            Request::Apply => {
                let request = pb::ApplyGradientsRequest {
                    model: self.full_name(),
                    gradients: vec![pb::GradientSet {
                        tensors: as_gradients(self.parameters()),
                        weight: Some(1e-3),
                    }],
                    request_id: id,
                    ..Default::default()
                };
                let reply = client.apply_gradients(request).await?.into_inner();
                assert!(
                    reply
                        .durable_step
                        .is_none_or(|durable| durable >= reply.step)
                );
                Ok(Some((reply.step, reply.weights_digest)))
            }
            Request::Update { beta1 } => {
                // The weights of the next run tell whether it is there.
                let adam = pb::Adam {
                    beta1: Some(*beta1),
                    ..Default::default()
                };
                let request = pb::UpdateModelRequest {
                    model: self.full_name(),
                    spec: Some(pb::ModelSpec {
                        optimizer: Some(pb::model_spec::Optimizer::Adam(adam)),
                        ..Default::default()
                    }),
                    update_mask: Some(prost_types::FieldMask {
                        paths: vec!["adam.beta1".to_owned()],
                    }),
                    request_id: id,
                    ..Default::default()
                };
                let model = client.update_model(request).await?.into_inner().model;
                Ok(model.map(|model| (model.step, model.weights_digest)))
            }
            Request::Delete => {
                let name = self.full_name();
                match client.delete_model(pb::DeleteModelRequest { name }).await {
                    // The one that was not answered has done it.
                    Err(status) if status.code() == Code::NotFound && self.pending.is_some() => {
                        Ok(None)
                    }
                    deleted => deleted.map(|_| None),
                }
            }
        }
    }

    /// What a server says of the model.
    async fn look(&self, client: &mut Training) -> Seen {
        match fixture::get(client, &self.full_name()).await {
            Ok(model) => Some((model.step, model.weights_digest)),
            Err(status) if status.code() == Code::NotFound => None,
            Err(status) => panic!("{}: {status}", self.name),
        }
    }

    /// Numbers in the shape of the model's parameters.
    fn parameters(&self) -> Vec<pb::LayerParameters> {
        if self.is_wide {
            wide_parameters()
        } else {
            homework_parameters()
        }
    }

    fn full_name(&self) -> String {
        format!("{SESSION}/models/{}", self.name)
    }

    fn choose(&self, random: &mut Random) -> Request {
        if self.seen.is_none() {
            return Request::Create {
                seed: random.below(1 << 20) as i64,
            };
        }
        match random.below(20) {
            0 => Request::Delete,
            1 | 2 => Request::Replace,
            3 | 4 => Request::Apply,
            5 => Request::Update {
                beta1: 0.5 + random.below(400) as f64 / 1000.0,
            },
            6..10 => Request::Train {
                steps: 1 + random.below(400) as i32,
            },
            _ => Request::Train { steps: 1 },
        }
    }
}

/// Parameters of the large models, scaled so that training them converges.
fn wide_parameters() -> Vec<pb::LayerParameters> {
    let tensor = |shape: &[i32], scale: f64| {
        let count = shape.iter().product::<i32>() as usize;
        let values = numbers(count, 1).into_iter().map(|number| number * scale);
        pb::Tensor {
            shape: shape.to_vec(),
            values: values.collect(),
            ..Default::default()
        }
    };
    let layer = |(units, fan_in): (i32, i32)| pb::LayerParameters {
        weights: Some(tensor(&[units, fan_in], 2.0 / f64::from(fan_in).sqrt())),
        bias: Some(tensor(&[units], 1.0)),
    };
    [(128, 4), (128, 128), (1, 128)].map(layer).to_vec()
}

/// The same numbers as dW and db.
fn as_gradients(parameters: Vec<pb::LayerParameters>) -> Vec<pb::NamedTensor> {
    let mut tensors = Vec::new();
    for (layer, given) in (1..).zip(parameters) {
        let named = |quantity: pb::Quantity, tensor| pb::NamedTensor {
            quantity: quantity.into(),
            layer,
            tensor: Some(tensor),
        };
        tensors.extend(given.weights.map(|tensor| named(pb::Quantity::DW, tensor)));
        tensors.extend(given.bias.map(|tensor| named(pb::Quantity::DB, tensor)));
    }
    tensors
}

/// What a client has heard of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Acknowledged.
    Done,
    /// The disk does not take it now.
    DiskRefused,
    /// Others keep the server busy.
    Busy,
    /// A limit of this start forbids it.
    Forbidden,
}

/// How to take a refusal by a server that lives; `None` where it may have died.
fn refusal(status: &Status) -> Option<Answer> {
    let details = status.get_error_details();
    let reason = details.error_info()?.reason.clone();
    match reason.as_str() {
        "NOT_STORED" | "DISK_FULL" | "NOT_READ" => Some(Answer::DiskRefused),
        "QUEUE_FULL" => Some(Answer::Busy),
        // A model that this start would not make is refused as a request that is not valid.
        "QUOTA" | "OVER_LIMIT" | "INVALID_REQUEST" => Some(Answer::Forbidden),
        _ => None,
    }
}

/// One client's round: its requests go to `real` until that dies, and to `shadow` once each.
pub async fn work(
    mut slots: Vec<Slot>,
    mut real: Training,
    mut shadow: Training,
    mut random: Random,
    heard: mpsc::UnboundedSender<Answer>,
) -> Vec<Slot> {
    loop {
        let at = random.below(slots.len() as u64) as usize;
        let slot = &mut slots[at];
        let request = slot.choose(&mut random);
        slot.sent += 1;
        let answer = loop {
            let answer = slot.send(&mut real, &request).await;
            let Some(refused) = answer.as_ref().err().and_then(refusal) else {
                break Some(answer);
            };
            let _ = heard.send(refused);
            match refused {
                // Nothing of it is done, and nothing is remembered of it.
                Answer::Forbidden => break None,
                // Sent again until it is taken; what it has done then, it has done once.
                Answer::Done | Answer::DiskRefused | Answer::Busy => {
                    slot.pending = Some(request.clone());
                }
            }
        };
        match answer {
            None => slot.pending = None,
            Some(Ok(seen)) => {
                let expected = slot.send(&mut shadow, &request).await;
                let expected = expected.expect("nothing stops this one");
                assert_eq!(seen, expected, "{} {request:?}", slot.name);
                slot.seen = seen;
                slot.pending = None;
                let _ = heard.send(Answer::Done);
            }
            Some(Err(status)) => {
                let dead = [Code::Unavailable, Code::Unknown, Code::Cancelled];
                assert!(dead.contains(&status.code()), "{}: {status:?}", slot.name);
                slot.pending = Some(request);
                return slots;
            }
        }
    }
}

/// Whether a model is where a long run was committed before its end. That it got there rightly shows when the run, sent
/// again, ends with the right weights.
fn is_on_the_way(before: &Seen, found: &Seen, after: &Seen) -> bool {
    let step = |seen: &Seen| seen.as_ref().map(|(step, _)| *step);
    match (step(before), step(found), step(after)) {
        (Some(before), Some(found), Some(after)) => before < found && found < after,
        _ => false,
    }
}

/// After a restart: every model is as it was acknowledged, or as the unanswered request leaves it; sent again, that
/// request has been done once.
pub async fn check(slots: &mut [Slot], real: &mut Training, shadow: &mut Training) {
    for slot in slots {
        let found = slot.look(real).await;
        let Some(request) = slot.pending.clone() else {
            assert_eq!(
                found, slot.seen,
                "{}: an acknowledged request is lost",
                slot.name
            );
            continue;
        };
        let after = slot.send(shadow, &request).await.expect("it lives");
        assert!(
            found == slot.seen || found == after || is_on_the_way(&slot.seen, &found, &after),
            "{} {request:?}: half done, {found:?}",
            slot.name
        );
        let again = slot.send(real, &request).await.expect("it lives");
        assert_eq!(again, after, "{} {request:?}: not done once", slot.name);
        slot.seen = after;
        slot.pending = None;
    }
}
