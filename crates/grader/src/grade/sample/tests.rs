use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use super::conditions::POINTS;
use super::demands::LEVELS;
use super::draft::least_delta;
use super::*;
use crate::formula::{Bindings as _, Matrix, Symbol};
use crate::grade::Assignment;
use backpropd_engine::nn::Reduction;

/// How many seeds a property is held against.
const SEEDS: u64 = 50;
const KINDS: [BatchKind; 2] = [BatchKind::One, BatchKind::Many];

const HOMEWORK: &str = r#"
input_size = 4
loss = "half_squared_error"
layers = [{ units = 3, activation = "relu" }, { units = 2, activation = "relu" }, { units = 1, activation = "linear" }]
"#;

fn spec(network: &str) -> NetworkSpec {
    let question = "id = '1'\npart = ''\nprompt = ''\npoints = 1\nbatch = 'one'\nof = 'l'\nwrt = 'x'\nsolution = ''";
    let text = format!("id = 'a'\ntitle = ''\n[network]\n{network}\n[[questions]]\n{question}");
    Assignment::parse(&text, "a.toml")
        .expect("it is right")
        .network
}

fn seed_of(number: u64) -> Seed {
    seed(b"secret", "assignment", &number.to_string())
}

/// The design for a shape, which takes longer than everything that is drawn from it.
fn design(spec: &NetworkSpec, kind: BatchKind) -> Arc<Design> {
    static DESIGNS: Mutex<BTreeMap<String, Arc<Design>>> = Mutex::new(BTreeMap::new());
    let mut designs = DESIGNS.lock().expect("no test panics while it holds this");
    let design = designs.entry(format!("{spec:?} {kind:?}"));
    let made = design
        .or_insert_with(|| Arc::new(Design::new(spec, kind).expect("there are such networks")));
    Arc::clone(made)
}

fn drawn(spec: &NetworkSpec, kind: BatchKind, number: u64) -> Vec<Network> {
    let design = design(spec, kind);
    let sampler = Sampler::new(spec, &design, seed_of(number));
    let networks = (0..design.len()).map(|index| sampler.network(index));
    networks
        .collect::<Result<_, _>>()
        .expect("there are such networks")
}

fn value(network: &Network, symbol: Symbol) -> &Matrix {
    network.value(symbol).expect("every network has it")
}

fn parameters(network: &Network) -> Vec<f64> {
    let symbols = (1..=network.depth()).flat_map(|i| [Symbol::Weights(i), Symbol::Bias(i)]);
    let values = symbols.filter_map(|symbol| network.value(symbol));
    values.flat_map(|value| value.entries().to_vec()).collect()
}

/// Where units of a layer are live.
fn live(network: &Network, layer: usize) -> Vec<bool> {
    let z = value(network, Symbol::PreActivation(layer));
    z.entries().iter().map(|&z| z > 0.0).collect()
}

/// By how much a drawn number may be nearer to 0, or farther from it, than that of its design.
const SLACK: f64 = 0.1;

fn has_magnitude(number: f64) -> bool {
    ((1.0 - SLACK) * MAGNITUDES.0..=(1.0 + SLACK) * MAGNITUDES.1).contains(&number.abs())
}

/// Whether a unit is far from its kink, or near it by choice.
fn is_placed(z: f64) -> bool {
    z.abs() >= (1.0 - SLACK) * LEAST_PRE_ACTIVATION || (z.abs() / NEAR - 1.0).abs() < SLACK
}

/// Asserts everything that is demanded of each network of a shape that can have it.
fn check_distances(spec: &NetworkSpec, network: &Network) {
    let parameters = parameters(network);
    assert!(parameters.iter().all(|&w| has_magnitude(w)));
    for (i, a) in parameters.iter().enumerate() {
        for b in &parameters[..i] {
            assert!((a - b).abs() >= LEAST_GAP / 4.0, "{a} and {b}");
        }
    }
    let x = value(network, Symbol::Activation(0));
    assert!(x.entries().iter().all(|&x| has_magnitude(x)));
    let depth = network.depth();
    for i in 1..depth {
        if spec.architecture.layers()[i - 1].activation.has_kink() {
            let z = value(network, Symbol::PreActivation(i)).entries();
            assert!(z.iter().all(|&z| is_placed(z)), "{z:?}");
        }
    }
    let factor = match spec.objective.reduction {
        Reduction::Mean => network.samples() as f64,
        Reduction::Sum => 1.0,
    };
    for delta in value(network, Symbol::Delta).entries() {
        assert!(
            (delta * factor).abs() >= (1.0 - SLACK) * least_delta(spec),
            "{delta}"
        );
    }
    let (f, h) = (
        value(network, Symbol::Activation(depth)),
        value(network, Symbol::Activation(depth - 1)),
    );
    for k in 0..f.rows() {
        let is_reached = (0..h.columns()).any(|j| h.at(k, j).abs() > 2.0 * NEAR);
        for j in 0..f.columns() {
            let least = (1.0 - SLACK) * LEAST_OUTPUT;
            assert!(!is_reached || f.at(k, j).abs() >= least, "{f:?}");
        }
    }
}

#[test]
fn every_network_is_far_from_kinks_and_zeros() {
    for network in [
        HOMEWORK,
        "input_size = 3\nloss = 'binary_cross_entropy'\nlayers = [{ units = 2, activation = 'relu', bias = true }, \
         { units = 1, activation = 'linear', bias = true }]",
        "input_size = 2\nloss = 'cross_entropy'\nlayers = [{ units = 3, activation = 'tanh' }, { units = 3, activation \
         = 'linear' }]",
        "input_size = 2\nloss = 'mean_squared_error'\nreduction = 'sum'\nlayers = [{ units = 4, activation = \
         'leaky_relu' }, { units = 1, activation = 'sigmoid' }]",
        "input_size = 3\nloss = 'half_squared_error'\nlayers = [{ units = 2, activation = 'linear' }]",
    ] {
        let spec = spec(network);
        for number in 0..SEEDS {
            for kind in KINDS {
                for network in drawn(&spec, kind, number) {
                    check_distances(&spec, &network);
                }
            }
        }
    }
}

#[test]
fn most_networks_have_a_live_and_a_dead_unit_in_each_hidden_layer() {
    let spec = spec(HOMEWORK);
    for number in 0..SEEDS {
        for kind in KINDS {
            let networks = drawn(&spec, kind, number);
            let is_mixed = |network: &&Network| (1..3).all(|i| plan::is_mixed(&live(network, i)));
            let mixed = networks.iter().filter(is_mixed).count();
            assert!(
                4 * mixed >= 3 * networks.len(),
                "{mixed} of {}",
                networks.len()
            );
        }
    }
}

#[test]
fn every_mask_of_a_small_last_hidden_layer_comes_up() {
    for units in 1..=3 {
        let spec = spec(&HOMEWORK.replace("units = 2", &format!("units = {units}")));
        for (number, kind) in (0..SEEDS).flat_map(|n| KINDS.map(|kind| (n, kind))) {
            let networks = drawn(&spec, kind, number);
            let masks: HashSet<Vec<bool>> = networks
                .iter()
                .flat_map(|network| {
                    let live = live(network, 2);
                    live.chunks(units).map(<[bool]>::to_vec).collect::<Vec<_>>()
                })
                .collect();
            assert_eq!(
                masks.len(),
                1 << units,
                "{units} units, {kind:?}, seed {number}"
            );
        }
    }
}

#[test]
fn batch_sizes_come_up_in_turn() {
    let spec = spec(HOMEWORK);
    let sizes =
        |kind| -> Vec<usize> { drawn(&spec, kind, 0).iter().map(Network::samples).collect() };
    assert!(sizes(BatchKind::One).iter().all(|&size| size == 1));
    let many = sizes(BatchKind::Many);
    let (first, more) = many.split_at(BATCH_SIZES.len());
    assert_eq!(first, BATCH_SIZES);
    assert_eq!(*more, BATCH_SIZES[..more.len()]);
}

#[test]
fn arguments_come_up_at_every_point_on_its_inner_side() {
    let spec = spec(HOMEWORK);
    for number in 0..SEEDS {
        for network in drawn(&spec, BatchKind::One, number).iter().zip(POINTS) {
            let (network, point) = network;
            let ratio = value(network, Symbol::Argument).at(0, 0) / point;
            assert!(ratio > 0.94 && ratio < 0.98, "{ratio} of {point}");
        }
    }
}

#[test]
fn the_homeworks_networks_meet_every_condition() {
    let spec = spec(HOMEWORK);
    for kind in KINDS {
        let design = design(&spec, kind);
        let open: Vec<&Condition> = (design.conditions().iter())
            .filter(|(_, is_met)| !is_met)
            .map(|(condition, _)| condition)
            .collect();
        // Of more than a hundred pairs of a live unit and another quantity, a few do not come up.
        let is_pair = |condition: &&Condition| matches!(condition, Condition::LiveWith { .. });
        assert!(
            open.iter().all(is_pair) && open.len() <= 4,
            "{kind:?}: {open:?}"
        );
        for number in 0..SEEDS {
            let networks = drawn(&spec, kind, number);
            let near = (design.conditions().iter()).filter(|(_, is_met)| *is_met);
            for (condition, _) in near {
                let is_met = networks.iter().any(|network| condition.holds(network));
                // A pair that holds by a hair in the design may miss it.
                assert!(
                    is_met || is_pair(&condition),
                    "{kind:?}, seed {number}: {condition}"
                );
            }
        }
    }
}

/// The sign of every quantity's every entry.
fn signs(network: &Network) -> Vec<f64> {
    let layers = (0..=network.depth()).flat_map(|i| {
        [
            Symbol::Weights(i),
            Symbol::Bias(i),
            Symbol::PreActivation(i),
            Symbol::Activation(i),
        ]
    });
    let symbols = layers.chain([Symbol::Delta, Symbol::Targets, Symbol::Argument]);
    let values = symbols.filter_map(|symbol| network.value(symbol));
    let sign = |&entry: &f64| if entry == 0.0 { 0.0 } else { entry.signum() };
    values
        .flat_map(|value| value.entries().iter().map(sign).collect::<Vec<_>>())
        .collect()
}

#[test]
fn signs_are_the_same_for_every_seed_and_numbers_are_not() {
    for network in [
        HOMEWORK,
        "input_size = 3\nloss = 'cross_entropy'\nlayers = [{ units = 4, activation = 'tanh', bias = true }, { units = \
         2, activation = 'relu', bias = true }, { units = 3, activation = 'linear', bias = true }]",
    ] {
        let spec = spec(network);
        for kind in KINDS {
            let first = drawn(&spec, kind, 0);
            for number in 1..SEEDS {
                for (a, b) in first.iter().zip(&drawn(&spec, kind, number)) {
                    assert_eq!(signs(a), signs(b), "{kind:?}, seed {number}");
                    let mut pairs = parameters(a).into_iter().zip(parameters(b));
                    assert!(pairs.all(|(a, b)| a != b), "{kind:?}, seed {number}");
                }
            }
        }
    }
}

#[test]
fn the_seed_alone_decides() {
    let spec = spec(HOMEWORK);
    for kind in KINDS {
        let networks = drawn(&spec, kind, 7);
        assert!(networks == drawn(&spec, kind, 7));
        assert_ne!(networks, drawn(&spec, kind, 8));
        let more = sample_networks(&spec, kind, seed_of(7), 16).expect("there are such networks");
        assert_eq!(more.len(), 16);
        assert_eq!(
            more[..networks.len()],
            networks,
            "more networks keep the first ones"
        );
    }
}

#[test]
fn a_seed_depends_on_each_of_its_parts() {
    let seeds = [
        seed(b"secret", "a", "1"),
        seed(b"other", "a", "1"),
        seed(b"secret", "b", "1"),
        seed(b"secret", "a", "2"),
        seed(b"secret", "a1", ""),
    ];
    assert_eq!(HashSet::from(seeds).len(), seeds.len());
}

#[test]
fn a_shape_that_cannot_have_everything_is_drawn_all_the_same() {
    let wide = "{ units = 12, activation = 'relu' }";
    let narrow = "{ units = 1, activation = 'relu' }";
    for (layers, loss) in [
        (
            format!("{wide}, {wide}, {{ units = 10, activation = 'linear' }}"),
            "cross_entropy",
        ),
        (
            format!("{wide}, {{ units = 12, activation = 'sigmoid' }}"),
            "half_squared_error",
        ),
        (
            format!("{wide}, {{ units = 12, activation = 'tanh' }}"),
            "mean_squared_error",
        ),
        (
            format!("{narrow}, {narrow}, {narrow}"),
            "half_squared_error",
        ),
        (
            format!("{wide}, {narrow}, {{ units = 2, activation = 'gelu' }}"),
            "binary_cross_entropy",
        ),
    ] {
        let spec = spec(&format!(
            "input_size = 5\nloss = '{loss}'\nlayers = [{layers}]"
        ));
        for kind in KINDS {
            let networks = sample_networks(&spec, kind, seed_of(1), 0);
            assert!(networks.is_ok(), "{layers}: {:?}", networks.err());
        }
    }
}

#[test]
fn a_shape_whose_gradients_vanish_is_refused() {
    let wide = "{ units = 16, activation = 'linear' }, ".repeat(7);
    let layers = format!("{wide} {{ units = 2, activation = 'sigmoid' }}");
    let spec = spec(&format!(
        "input_size = 16\nloss = 'half_squared_error'\nlayers = [{layers}]"
    ));
    let refused = sample_networks(&spec, BatchKind::Many, seed_of(1), 0);
    let refused = refused.expect_err("the slope of the output is 0");
    assert_eq!(refused.index, 0);
    let most: usize = LEVELS.iter().map(|demands| demands.attempts).sum();
    assert!((1..=most).contains(&refused.attempts), "{refused}");
}

#[test]
fn a_wide_last_hidden_layer_is_all_live_and_all_dead_once() {
    let spec = spec(&HOMEWORK.replace("units = 2", "units = 6"));
    for (number, kind) in (0..SEEDS).flat_map(|n| KINDS.map(|kind| (n, kind))) {
        let networks = drawn(&spec, kind, number);
        let masks: Vec<bool> = networks.iter().flat_map(|n| live(n, 2)).collect();
        let has = |wanted: bool| {
            masks
                .chunks(6)
                .any(|row| row.iter().all(|&live| live == wanted))
        };
        assert!(has(true) && has(false), "{kind:?}, seed {number}");
    }
}
