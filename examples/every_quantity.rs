//! Trains a small network on XOR and prints every quantity of its last pass, with the library alone:
//!
//!     cargo run -p backpropd-engine --example every_quantity

use std::error::Error;
use std::fmt::Write as _;

use backpropd_engine::nn::{
    Activation, Architecture, ArchitectureLimits, Backward, ForwardBuffers, Init, InputGradient,
    LayerSpec, Loss, Mlp, Objective, Optimizer, Pass, Quantity, Reduction, ReluAtZero, State,
    TargetsRef, Updated, initialize,
};
use faer::Par;

const INPUTS: [f64; 8] = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
const LABELS: [u32; 4] = [0, 1, 1, 0];
const STEPS: u64 = 500;

const OBJECTIVE: Objective = Objective {
    loss: Loss::BinaryCrossEntropy,
    reduction: Reduction::Mean,
};

fn main() -> Result<(), Box<dyn Error>> {
    let architecture = architecture()?;
    let (first, last) = (losses(&architecture, 0)?, losses(&architecture, STEPS)?);
    println!("the loss fell from {first:.4} to {last:.4} in {STEPS} steps");
    print!("{}", every_quantity(&architecture, STEPS)?);
    Ok(())
}

/// Two inputs, four units, one output.
fn architecture() -> Result<Architecture, Box<dyn Error>> {
    let layer = |units, activation| LayerSpec {
        units,
        activation,
        bias: true,
        init: Init::default_for(activation),
    };
    let layers = [layer(4, Activation::Tanh), layer(1, Activation::Linear)];
    let limits = ArchitectureLimits {
        layers: 2,
        units: 4,
        parameters: 100,
    };
    Ok(Architecture::new(2, &layers, ReluAtZero::One, &limits)?)
}

/// The parameters after so many steps of Adam on the whole batch.
fn train(architecture: &Architecture, steps: u64) -> Result<Vec<f64>, Box<dyn Error>> {
    let adam = Optimizer::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
    };
    let mut state = State::new(initialize(architecture, 1), &adam);
    let mut next = State::blank(&state);
    let mut buffers = ForwardBuffers::new(architecture, LABELS.len());
    let mut backward = Backward::new(architecture, LABELS.len(), InputGradient::Skip);
    for step in 1..=steps {
        let trace = Mlp::new(architecture, &state.parameters).forward(
            &INPUTS,
            LABELS.len(),
            &mut buffers,
            Par::Seq,
        );
        trace.backward(
            OBJECTIVE,
            TargetsRef::Labels(&LABELS),
            &mut backward,
            Par::Seq,
        );
        let rule = adam.rule(step, 1.0, 0.05);
        let updated = rule.update(&state, &mut next).apply(backward.parameters());
        if updated == Updated::NonFinite {
            return Err(format!("step {step} diverged").into());
        }
        std::mem::swap(&mut state, &mut next);
    }
    Ok(state.parameters)
}

/// Runs `show` on the pass after so many steps of training, and on its loss.
fn with_pass<R>(
    architecture: &Architecture,
    steps: u64,
    show: impl FnOnce(&Pass<'_, f64>, f64) -> R,
) -> Result<R, Box<dyn Error>> {
    let parameters = train(architecture, steps)?;
    let targets = TargetsRef::Labels(&LABELS);
    let mut buffers = ForwardBuffers::new(architecture, LABELS.len());
    let mut backward = Backward::new(architecture, LABELS.len(), InputGradient::Compute);
    let trace =
        Mlp::new(architecture, &parameters).forward(&INPUTS, LABELS.len(), &mut buffers, Par::Seq);
    let loss = trace.backward(OBJECTIVE, targets, &mut backward, Par::Seq);
    let pass = Pass {
        trace,
        backward: &backward,
        targets,
    };
    Ok(show(&pass, loss))
}

fn losses(architecture: &Architecture, steps: u64) -> Result<f64, Box<dyn Error>> {
    with_pass(architecture, steps, |_, loss| loss)
}

/// One line for each quantity of each layer: its name, its shape, its entries.
fn every_quantity(architecture: &Architecture, steps: u64) -> Result<String, Box<dyn Error>> {
    with_pass(architecture, steps, |pass, _| {
        let mut text = String::new();
        for quantity in Quantity::ALL {
            for layer in quantity.layers(architecture) {
                let Some((shape, entries)) = pass.entries(quantity, layer) else {
                    continue;
                };
                let name = match layer {
                    0 => quantity.symbol().to_owned(),
                    _ => format!("{}{layer}", quantity.symbol()),
                };
                let entries: Vec<String> =
                    entries.iter().map(|entry| format!("{entry:.3}")).collect();
                writeln!(text, "{name} {:?}: {}", &shape[..], entries.join(" "))?;
            }
        }
        Ok(text)
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_xor_and_shows_every_quantity_of_every_layer() {
        let architecture = architecture().expect("small");
        let loss = |steps| losses(&architecture, steps).expect("it converges");
        assert!(loss(0) > 0.5, "{}", loss(0));
        assert!(loss(STEPS) < 0.02, "{}", loss(STEPS));
        let text = every_quantity(&architecture, STEPS).expect("it converges");
        let names: Vec<&str> = text
            .lines()
            .filter_map(|line| line.split_once(':').map(|(name, _)| name))
            .collect();
        let expected = [
            "x [4, 2]",
            "z1 [4, 4]",
            "z2 [4, 1]",
            "h1 [4, 4]",
            "h2 [4, 1]",
            "y [4, 1]",
            "l [4]",
            "dW1 [4, 2]",
            "dW2 [1, 4]",
            "db1 [4]",
            "db2 [1]",
            "dz1 [4, 4]",
            "dz2 [4, 1]",
            "dh1 [4, 4]",
            "dh2 [4, 1]",
            "dx [4, 2]",
            "delta [4, 1]",
            "W1 [4, 2]",
            "W2 [1, 4]",
            "b1 [4]",
            "b2 [1]",
        ];
        assert_eq!(names, expected);
        assert!(text.contains("y [4, 1]: 0.000 1.000 1.000 0.000"), "{text}");
    }
}
