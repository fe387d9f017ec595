use super::*;
use backpropd_engine::nn::{ArchitectureLimits, Init, LayerSpec, Loss};

/// The step of the central differences, and how far they may be from the derivative.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-7;

const LIMITS: ArchitectureLimits = ArchitectureLimits {
    layers: 4,
    units: 8,
    parameters: 200,
};

/// 2 → 3 → 2 → 2 with biases in the first and the last layer, on 3 samples.
fn network(hidden: Activation, output: Activation, objective: Objective) -> Network {
    let layer = |units, activation, bias| LayerSpec {
        units,
        activation,
        bias,
        init: Init::Zeros,
    };
    let layers = [
        layer(3, hidden, true),
        layer(2, hidden, false),
        layer(2, output, true),
    ];
    let architecture =
        Architecture::new(2, &layers, ReluAtZero::One, &LIMITS).expect("within the limits");
    let numbers = Numbers {
        parameters: vec![
            0.7, -1.1, 0.4, 0.9, -1.3, 0.6, 0.25, -0.35, 0.5, // W¹, b¹
            0.8, -0.55, 1.2, -0.95, 0.3, 0.65, // W²
            1.4, -0.75, 0.45, 1.05, -0.4, 0.85, // W³, b³
        ],
        inputs: vec![0.9, -0.6, 1.3, 0.7, -0.8, 1.1],
        targets: match objective.loss {
            Loss::HalfSquaredError | Loss::MeanSquaredError => vec![0.5, -1.0, 1.2, 0.3, -0.7, 0.9],
            Loss::CrossEntropy | Loss::BinaryCrossEntropy => vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0],
        },
        argument: 0.6,
    };
    let spec = NetworkSpec {
        architecture: Arc::new(architecture),
        objective,
    };
    Network::new(&spec, &numbers)
}

fn objectives() -> impl Iterator<Item = Objective> {
    let losses = [
        Loss::HalfSquaredError,
        Loss::MeanSquaredError,
        Loss::CrossEntropy,
        Loss::BinaryCrossEntropy,
    ];
    losses.into_iter().flat_map(|loss| {
        [Reduction::Mean, Reduction::Sum].map(|reduction| Objective { loss, reduction })
    })
}

fn networks() -> Vec<Network> {
    let mut networks = Vec::new();
    for objective in objectives() {
        for hidden in [Activation::Relu, Activation::Tanh] {
            networks.push(network(hidden, Activation::Linear, objective));
        }
        networks.push(network(Activation::Tanh, Activation::Sigmoid, objective));
    }
    networks
}

fn variables(network: &Network) -> Vec<Symbol> {
    let all = (0..=network.depth()).flat_map(|i| {
        [
            Symbol::Weights(i),
            Symbol::Bias(i),
            Symbol::PreActivation(i),
            Symbol::Activation(i),
        ]
    });
    all.filter(|&symbol| network.value(symbol).is_some())
        .collect()
}

/// ∂`of`/∂`with_respect_to` by central differences.
fn differences(network: &Network, of: Symbol, with_respect_to: Symbol) -> Matrix {
    let value = |entry, by| {
        let moved = network.moved(with_respect_to, entry, by);
        let moved = moved.expect("a variable can be moved");
        moved.value(of).expect("it has a value").clone()
    };
    let columns = network
        .value(with_respect_to)
        .map_or(0, |v| v.entries().len());
    let rows = network.value(of).map_or(0, |v| v.entries().len());
    let mut transposed = Vec::new();
    for entry in 0..columns {
        let slope = value(entry, STEP).zip(&value(entry, -STEP), |a, b| (a - b) / (2.0 * STEP));
        transposed.extend_from_slice(slope.entries());
    }
    Matrix::new(columns, rows, transposed).transposed()
}

fn check(network: &Network, of: Symbol, with_respect_to: Symbol) {
    let exact = network.jacobian(of, with_respect_to);
    let exact = exact.unwrap_or_else(|| panic!("∂{of:?}/∂{with_respect_to:?}"));
    let measured = differences(network, of, with_respect_to);
    assert_eq!(exact.shape(), measured.shape());
    for (a, b) in exact.entries().iter().zip(measured.entries()) {
        let objective = network.objective();
        assert!(
            (a - b).abs() < TOLERANCE,
            "∂{of:?}/∂{with_respect_to:?}: {a} and {b}, {objective:?}"
        );
    }
}

#[test]
fn the_kinks_are_far_from_every_unit() {
    for network in networks() {
        for i in 1..network.depth() {
            let z = network.of(Symbol::PreActivation(i)).entries();
            assert!(z.iter().all(|z| z.abs() > 0.01), "{z:?}");
        }
    }
}

#[test]
fn a_jacobian_is_the_central_difference_of_moved_networks() {
    for network in networks() {
        let variables = variables(&network);
        assert_eq!(variables.len(), 12);
        for &with_respect_to in &variables {
            for &of in variables.iter().chain(&[Symbol::Loss, Symbol::SampleLoss]) {
                check(&network, of, with_respect_to);
            }
        }
    }
}

#[test]
fn delta_is_the_gradient_at_the_last_pre_activation() {
    for network in networks() {
        let exact = network.jacobian(Symbol::Loss, Symbol::PreActivation(3));
        let exact = exact.expect("l has a gradient");
        for (a, b) in exact
            .entries()
            .iter()
            .zip(network.of(Symbol::Delta).entries())
        {
            assert!((a - b).abs() < 1e-14, "{a} and {b}");
        }
    }
}

#[test]
fn the_plain_loops_agree_with_the_engine() {
    for network in networks() {
        let mut parameters = Vec::new();
        for i in 1..=network.depth() {
            parameters.extend_from_slice(network.of(Symbol::Weights(i)).entries());
            if let Some(b) = network.value(Symbol::Bias(i)) {
                parameters.extend_from_slice(b.entries());
            }
        }
        let mut buffers = ForwardBuffers::new(&network.architecture, 3);
        let x = network.of(Symbol::Activation(0)).entries();
        let mlp = Mlp::new(&network.architecture, &parameters);
        let trace = mlp.forward(x, 3, &mut buffers, Par::Seq);
        for i in 1..=network.depth() {
            let ours = network.of(Symbol::Activation(i)).entries();
            for (a, b) in trace.h(i).iter().zip(ours) {
                assert!((a - b).abs() < 1e-14, "h{i}: {a} and {b}");
            }
        }
    }
}

#[test]
fn what_a_network_does_not_have_or_cannot_move_is_none() {
    let network = &networks()[0];
    assert!(network.value(Symbol::Bias(2)).is_none());
    assert!(network.value(Symbol::Weights(0)).is_none());
    assert!(network.value(Symbol::Activation(4)).is_none());
    for symbol in [
        Symbol::Loss,
        Symbol::Delta,
        Symbol::BatchSize,
        Symbol::Units(1),
    ] {
        assert!(network.moved(symbol, 0, 0.1).is_none(), "{symbol:?}");
    }
    assert!(network.moved(Symbol::Weights(2), 6, 0.1).is_none());
    assert!(
        network
            .jacobian(Symbol::Units(1), Symbol::Weights(1))
            .is_none()
    );
    assert!(network.jacobian(Symbol::Loss, Symbol::Argument).is_none());
}

#[test]
fn moving_keeps_what_the_moved_quantity_depends_on() {
    let network = &networks()[0];
    let moved = network.moved(Symbol::PreActivation(2), 0, 0.25);
    let moved = moved.expect("z can be moved");
    let h = Symbol::Activation(1);
    assert_eq!(moved.value(h), network.value(h));
    assert_ne!(moved.value(Symbol::Loss), network.value(Symbol::Loss));
    assert!(moved.jacobian(Symbol::Loss, h).is_none());
    let moved = network.moved(Symbol::Targets, 0, 0.25);
    let moved = moved.expect("y can be moved");
    assert_ne!(moved.value(Symbol::Delta), network.value(Symbol::Delta));
}

#[test]
fn sizes_are_values() {
    let network = &networks()[0];
    let number = |symbol| network.value(symbol).and_then(Matrix::as_scalar);
    assert_eq!(number(Symbol::BatchSize), Some(3.0));
    assert_eq!(number(Symbol::Units(0)), Some(2.0));
    assert_eq!(number(Symbol::Units(1)), Some(3.0));
    assert_eq!(number(Symbol::Argument), Some(0.6));
    assert_eq!(network.activation_slope(0.0), 1.0);
    assert_eq!(network.activation(-2.0), 0.0);
}
