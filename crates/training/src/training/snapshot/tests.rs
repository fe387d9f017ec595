use std::sync::Arc;

use super::*;
use crate::training::Committed;
use backpropd_engine::nn::{ArchitectureLimits, Optimizer};

const LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 8,
    units: 64,
    parameters: 4096,
};

fn about() -> About {
    About {
        name: "sessions/s/models/m".to_owned(),
        created: SystemTime::UNIX_EPOCH
            + std::time::Duration::from_nanos(1_700_000_000_123_456_789),
        updated: SystemTime::UNIX_EPOCH,
        access: Access::CompareOnly,
        made_by: Some(request("made")),
        compare: Some(CompareTerms {
            batch: [7; 32],
            relative_tolerance: 1e-7,
        }),
    }
}

fn request(id: &str) -> RequestId {
    RequestId {
        id: id.to_owned(),
        fingerprint: [7; 32],
    }
}

/// 3-2-1 with Adam, a bias in the first layer, after some steps, and a run that diverged.
fn model<T: Scalar>() -> Model<T> {
    use crate::training::{DecayParts, Divergence, RunSummary, ScheduleParts};
    use backpropd_engine::nn::{
        Activation, Init, LayerSpec, Loss, Objective, Reduction, ReluAtZero, WeightsDigest,
    };
    let layer = |units, bias| LayerSpec {
        units,
        activation: Activation::LeakyRelu { slope: 0.1 + 0.2 },
        bias,
        init: Init::HeNormal,
    };
    let parts = SpecParts {
        input_size: 3,
        layers: vec![layer(2, true), layer(1, false)],
        relu_at_zero: ReluAtZero::Zero,
        objective: Objective {
            loss: Loss::MeanSquaredError,
            reduction: Reduction::Sum,
        },
        optimizer: Optimizer::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decoupled: true,
        },
        learning_rate: 1.0 / 3.0,
        schedule: ScheduleParts {
            warmup_steps: 3,
            decay: DecayParts::Cosine {
                total_steps: 9,
                final_factor: 0.1,
            },
        },
        clip_norm: 2.0,
        dtype: T::DTYPE,
    };
    let spec = parts.validate(&LIMITS).expect("valid");
    let numbers = |from: f64| {
        (0..10)
            .map(|at| T::from_f64(from + f64::from(at) / 7.0))
            .collect()
    };
    let mut state = State::new(numbers(-0.5), &spec.optimizer);
    (state.first, state.second, state.updates) = (numbers(0.1), numbers(0.2), 41);
    let digest = WeightsDigest::new(&spec.architecture, &state.parameters);
    let finished = RunSummary {
        steps_done: 4,
        step: 42,
        final_loss: 0.1 + 0.2,
        digest,
        is_early: true,
        best_step: Some(3),
    };
    let diverged = Divergence {
        steps_done: 0,
        step: 42,
        loss: f64::INFINITY,
        gradient_norm: f64::INFINITY,
    };
    let revision = Revision {
        committed: Arc::new(Committed::new(state, 42)),
        requests: vec![
            (request("a"), Outcome::Finished(finished)),
            (request("b"), Outcome::Diverged(diverged)),
            (request("c"), Outcome::Interrupted { steps_done: 9 }),
            (request("d"), Outcome::ParametersSet { step: 42, digest }),
        ],
    };
    Model::restored(spec, revision, 8)
}

fn bytes<T: Scalar>(model: &Model<T>) -> Vec<u8> {
    encode(model.spec(), &model.revision(), &about()).expect("it fits")
}

fn assert_same<T: Scalar>(restored: &Model<T>, model: &Model<T>) {
    assert_eq!(restored.spec(), model.spec());
    let (given, revision) = (restored.revision(), model.revision());
    assert_eq!(given.committed.state, revision.committed.state);
    assert_eq!(given.committed.step, revision.committed.step);
    assert_eq!(given.requests, revision.requests);
}

#[test]
fn every_bit_of_a_model_comes_back() {
    let single = model::<f32>();
    let (restored, beside) = decode(&bytes(&single), &Rules::sent(LIMITS, 8)).expect("sound");
    assert_eq!(beside, about());
    match restored {
        DecodedModel::F32(restored) => assert_same(&restored, &single),
        DecodedModel::F64(_) => panic!("the type has changed"),
    }
    let double = model::<f64>();
    match decode(&bytes(&double), &Rules::sent(LIMITS, 8))
        .expect("sound")
        .0
    {
        DecodedModel::F64(restored) => assert_same(&restored, &double),
        DecodedModel::F32(_) => panic!("the type has changed"),
    }
}

#[test]
fn every_flipped_bit_and_every_shorter_file_is_noticed() {
    let sound = bytes(&model::<f32>());
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << bit;
            let error = decode(&damaged, &Rules::sent(LIMITS, 8)).expect_err("a bit is flipped");
            assert_eq!(error, SnapshotError::Damaged, "byte {at}, bit {bit}");
        }
        let error = decode(&sound[..at], &Rules::sent(LIMITS, 8)).expect_err("the end is missing");
        assert_eq!(error, SnapshotError::Damaged, "cut at {at}");
    }
    let zeros = vec![0; sound.len()];
    assert_eq!(
        decode(&zeros, &Rules::sent(LIMITS, 8)).expect_err("zeros"),
        SnapshotError::Damaged
    );
}

/// The file with the first `from` in its header replaced by `to`, of the same length, and its checksum made good.
fn forged(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes(&model::<f32>());
    let at = bytes
        .windows(from.len())
        .position(|window| window == from.as_bytes())
        .expect("the header has it");
    bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    let covered = bytes.len() - CHECKSUM_BYTES;
    let checksum = blake3::hash(&bytes[..covered]);
    bytes[covered..].copy_from_slice(checksum.as_bytes());
    bytes
}

#[test]
fn a_sound_checksum_does_not_make_a_sound_model() {
    let refused = |from: &str, to: &str| {
        let error = decode(&forged(from, to), &Rules::sent(LIMITS, 8)).expect_err("it is forged");
        error.to_string()
    };
    assert_eq!(
        refused(r#"{\"version\":1"#, r#"{\"version\":7"#),
        "format version 7; this program reads version 1"
    );
    assert!(refused("layer1.weight", "layer9.weight").contains("layer1.weight"));
    assert!(refused(r#"\"input_size\":3"#, r#"\"input_size\":2"#).contains("layer1.weight is"));
    assert!(refused(r#"\"units\":2"#, r#"\"units\":0"#).contains("units"));
    assert!(refused("\"backpropd\"", "\"backdropd\"").contains("no \"backpropd\" metadata"));
}

/// The file with `change` made to its metadata, and its checksum made good.
fn remade(change: impl Fn(&mut Metadata)) -> Vec<u8> {
    let model = model::<f64>();
    let mut metadata = Metadata {
        version: VERSION,
        about: about(),
        spec: model.spec().parts(),
        step: 42,
        updates: 41,
        requests: model.revision().requests,
    };
    change(&mut metadata);
    let sound = bytes(&model);
    let length =
        usize::try_from(tensor_file::header_length(&sound).expect("a file")).expect("fits");
    let (header, data) = sound[8..].split_at(length);
    let mut header: serde_json::Value = serde_json::from_slice(header).expect("JSON");
    header["__metadata__"]["backpropd"] = serde_json::to_string(&metadata).expect("JSON").into();
    let header = serde_json::to_vec(&header).expect("JSON");
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    sign(&mut file);
    file
}

fn sign(file: &mut [u8]) {
    let (covered, checksum) = file
        .split_last_chunk_mut::<CHECKSUM_BYTES>()
        .expect("a checksum");
    *checksum = blake3::hash(covered).into();
}

#[test]
fn a_file_from_outside_passes_what_a_request_passes_and_one_of_our_own_is_read_whatever_was_allowed()
 {
    let long = || RequestId {
        id: "x".repeat(1 << 10),
        fingerprint: [0; 32],
    };
    type Change = Box<dyn Fn(&mut Metadata)>;
    let changes: [(&str, Change); 5] = [
        (
            "a request id of a kilobyte",
            Box::new(move |m| m.requests[0].0 = long()),
        ),
        (
            "an empty request id",
            Box::new(|m| m.requests[0].0.id.clear()),
        ),
        (
            "two requests of one id",
            Box::new(|m| m.requests[0].0.id = m.requests[1].0.id.clone()),
        ),
        (
            "more requests than are remembered",
            Box::new(|m| {
                m.requests = (0..9)
                    .map(|at| {
                        (
                            request(&format!("{at}")),
                            Outcome::Interrupted { steps_done: 0 },
                        )
                    })
                    .collect();
            }),
        ),
        (
            "a name of no model",
            Box::new(|m| m.about.name = "x".repeat(99)),
        ),
    ];
    for (what, change) in changes {
        let file = remade(change);
        let sent = decode(&file, &Rules::sent(LIMITS, 8));
        assert!(matches!(sent, Err(SnapshotError::Malformed(_))), "{what}");
        let (own, _) = decode(&file, &Rules::own(8)).expect(what);
        let DecodedModel::F64(own) = own else {
            panic!("{what}")
        };
        let again = encode(own.spec(), &own.revision(), &about()).expect(what);
        decode(&again, &Rules::own(8)).expect(what);
    }
    for step in [(1 << 53) + 1, i64::MAX.cast_unsigned()] {
        let file = remade(move |m| m.step = step);
        let refused = decode(&file, &Rules::sent(LIMITS, 8)).expect_err("no run comes to it");
        assert!(
            refused.to_string().contains("9007199254740992"),
            "{refused}"
        );
        decode(&file, &Rules::own(8)).expect("an earlier version wrote it");
    }
    decode(&remade(|m| m.step = 1 << 53), &Rules::sent(LIMITS, 8)).expect("the largest");
    let file = remade(|m| m.step = 1 << 63);
    decode(&file, &Rules::own(8)).expect_err("no int64 holds it");
    // 3-2-1 within other limits.
    let narrow = ArchitectureLimits { units: 2, ..LIMITS };
    decode(&bytes(&model::<f32>()), &Rules::sent(narrow, 8)).expect_err("too wide");
    let forged = remade(|_| ());
    let mut negative = forged.clone();
    // The last number of the file is one of the parameters; the second moment comes before them, by its name.
    let at = negative.len() - CHECKSUM_BYTES - 8;
    negative[at..at + 8].copy_from_slice(&(-1.0_f64).to_le_bytes());
    sign(&mut negative);
    decode(&negative, &Rules::sent(LIMITS, 8)).expect_err("a negative second moment");
}

#[test]
fn a_file_in_pieces_of_any_size_is_the_file() {
    let file = bytes(&model::<f32>());
    let rules = Rules::sent(LIMITS, 8);
    for size in [1, 7, 300, file.len()] {
        let (mut start, mut body) = (Vec::new(), None::<Body>);
        for piece in file.chunks(size) {
            if let Some(body) = &mut body {
                body.push(piece).expect("the next piece");
                continue;
            }
            start.extend_from_slice(piece);
            if let Some((head, end)) = Head::read(&start, &rules).expect("a head") {
                assert_eq!(head.file_bytes(), file.len());
                let mut hasher = blake3::Hasher::new();
                hasher.update(&start[..end]);
                let mut rest = head.into_body(Some(hasher));
                rest.push(&start[end..]).expect("the first numbers");
                body = Some(rest);
            }
        }
        let (restored, beside) = body.expect("a body").finish().expect("sound");
        assert_eq!(beside, about());
        match restored {
            DecodedModel::F32(restored) => assert_same(&restored, &model()),
            DecodedModel::F64(_) => panic!("the type has changed"),
        }
    }
}
