//! An explanation has the value that the pass has, bit for bit, its terms are the products of their factors, and its
//! factors are entries of the pass.

use backpropd_engine::nn::explain::{Equation, FactorKind};
use backpropd_engine::nn::{
    Activation, Architecture, Backward, Batch, Detail, Entry, ExplainLimits, Explanation,
    ForwardBuffers, Init, InputGradient, LayerSpec, Loss, Matrix, Mlp, Objective, Pass, Quantity,
    Reduction, ReluAtZero, Scalar, initialize,
};
use faer::Par;
use proptest::prelude::*;

use crate::cases::LIMITS;
use crate::random::{batch, layer, objective};

const WIDE: ExplainLimits = ExplainLimits {
    terms: 1000,
    factors: 10_000,
};

/// The entries of every quantity of a pass, as Gradients returns them.
struct Gradients<T>(Vec<(Quantity, usize, Vec<T>)>);

impl<T: Scalar> Gradients<T> {
    fn of(pass: &Pass<'_, T>) -> Self {
        let architecture = pass.trace.mlp().architecture();
        let mut all = Vec::new();
        for quantity in Quantity::ALL {
            for layer in quantity.layers(architecture) {
                let (_, entries) = pass.entries(quantity, layer).expect("it has it");
                all.push((quantity, layer, entries.into_owned()));
            }
        }
        Self(all)
    }

    fn columns(architecture: &Architecture, entry: Entry) -> usize {
        let shape = entry.quantity.shape(architecture, 1, entry.layer);
        shape.expect("it has it").get(1).copied().unwrap_or(1)
    }

    fn entry(&self, architecture: &Architecture, entry: Entry) -> f64 {
        let own = |(quantity, layer, _): &&(Quantity, usize, Vec<T>)| {
            (*quantity, *layer) == (entry.quantity, entry.layer)
        };
        let (_, _, entries) = self.0.iter().find(own).expect("it has it");
        entries[entry.row * Self::columns(architecture, entry) + entry.column].to_f64()
    }
}

/// A network with a batch.
struct Setting<T> {
    architecture: Architecture,
    objective: Objective,
    parameters: Vec<T>,
    batch: Batch<T>,
}

impl<T: Scalar> Setting<T> {
    fn with_pass<R>(&self, use_pass: impl FnOnce(&Pass<'_, T>) -> R) -> R {
        let view = self.batch.view();
        let mut buffers = ForwardBuffers::new(&self.architecture, view.rows);
        let mut backward = Backward::new(&self.architecture, view.rows, InputGradient::Compute);
        let mlp = Mlp::new(&self.architecture, &self.parameters);
        let trace = mlp.forward(view.inputs, view.rows, &mut buffers, Par::Seq);
        trace.backward(self.objective, view.targets, &mut backward, Par::Seq);
        use_pass(&Pass {
            trace,
            backward: &backward,
            targets: view.targets,
        })
    }

    fn explain(&self, entry: Entry, detail: Detail, limits: ExplainLimits) -> Explanation {
        self.with_pass(|pass| pass.explain(self.objective, entry, detail, limits))
    }

    /// Every entry that is computed.
    fn entries(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for quantity in Quantity::COMPUTED {
            for layer in quantity.layers(&self.architecture) {
                let shape = quantity.shape(&self.architecture, self.batch.rows(), layer);
                let shape = shape.expect("the layer has it");
                for row in 0..shape[0] {
                    for column in 0..shape.get(1).copied().unwrap_or(1) {
                        entries.push(Entry {
                            quantity,
                            layer,
                            row,
                            column,
                        });
                    }
                }
            }
        }
        entries
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let gradients = self.with_pass(Gradients::of);
        self.with_pass(|pass| {
            for (at, entry) in self.entries().into_iter().enumerate() {
                let expected = gradients.entry(&self.architecture, entry);
                // The leaves of one entry are many equations.
                let more = match at % 16 {
                    0 => Some(Detail::Leaves),
                    at if at % 4 == 1 => Some(Detail::Chain),
                    _ => None,
                };
                for detail in [Some(Detail::Definition), more].into_iter().flatten() {
                    let explained = pass.explain(self.objective, entry, detail, WIDE);
                    let first = &explained.equations[0];
                    prop_assert_eq!(first.entry, entry);
                    prop_assert_eq!(first.value.to_bits(), expected.to_bits(), "{}", first.text);
                    for equation in &explained.equations {
                        self.check_equation(equation, &explained, &gradients)?;
                    }
                    if detail == Detail::Leaves && explained.unexplained == 0 {
                        Self::check_leaves(&explained)?;
                    }
                }
            }
            Ok(())
        })
    }

    fn check_equation(
        &self,
        equation: &Equation,
        explained: &Explanation,
        gradients: &Gradients<T>,
    ) -> Result<(), TestCaseError> {
        let text = &equation.text;
        if equation.kind == FactorKind::Entry {
            let value = gradients.entry(&self.architecture, equation.entry);
            prop_assert_eq!(equation.value.to_bits(), value.to_bits(), "{}", text);
        }
        let (mut sum, mut size) = (0.0, equation.value.abs());
        for term in &equation.terms {
            let product: f64 = term.factors.iter().map(|factor| factor.value).product();
            prop_assert_eq!(term.value, T::from_f64(product).to_f64(), "{}", text);
            sum += term.value;
            size += term.value.abs();
            for factor in &term.factors {
                if factor.kind == FactorKind::Entry {
                    let entry = factor.entry.expect("an entry");
                    let value = gradients.entry(&self.architecture, entry);
                    prop_assert_eq!(factor.value.to_bits(), value.to_bits(), "{}", factor.text);
                }
                if factor.equation > 0
                    && matches!(factor.kind, FactorKind::Entry | FactorKind::Residual)
                {
                    let further = &explained.equations[factor.equation - 1];
                    prop_assert_eq!(Some(further.entry), factor.entry);
                    prop_assert_eq!(further.kind, factor.kind);
                    prop_assert_eq!(further.value.to_bits(), factor.value.to_bits());
                }
            }
        }
        // A product of one term is what the engine computes; a sum may be added up in another order.
        if equation.terms.len() == 1 && equation.terms[0].factors.len() <= 2 {
            prop_assert_eq!(equation.sum_of_terms, equation.value, "{}", text);
        }
        let unit = if size_of::<T>() == 4 {
            f64::from(f32::EPSILON)
        } else {
            f64::EPSILON
        };
        // A residual of a probability is not computed by this subtraction, which cancels. The chain rounds once a term
        // where the engine rounds at every factor.
        let least = if equation.kind == FactorKind::Residual {
            1.0
        } else {
            size
        };
        let rounding = 64.0 * unit * least.max(size);
        for sum in [sum, equation.sum_of_terms] {
            prop_assert!(
                (sum - equation.value).abs() <= rounding,
                "{text}: {sum} instead of {}",
                equation.value
            );
        }
        Ok(())
    }

    /// Everything but inputs, targets, weights, biases and constants is explained by a further equation.
    fn check_leaves(explained: &Explanation) -> Result<(), TestCaseError> {
        for factor in explained
            .equations
            .iter()
            .flat_map(|e| &e.terms)
            .flat_map(|t| &t.factors)
        {
            let is_leaf = match factor.kind {
                FactorKind::Constant => true,
                FactorKind::Entry => {
                    !Quantity::COMPUTED.contains(&factor.entry.expect("it").quantity)
                }
                FactorKind::Mask
                | FactorKind::Slope
                | FactorKind::Activation
                | FactorKind::Residual
                | FactorKind::Probability => false,
            };
            prop_assert_eq!(factor.equation == 0, is_leaf, "{}", factor.text);
        }
        Ok(())
    }
}

fn setting<T: Scalar>(
    (input_size, layers, at_zero): (i64, &[LayerSpec], ReluAtZero),
    objective: Objective,
    rows: usize,
    seed: i64,
) -> Setting<T> {
    let architecture = Architecture::new(input_size, layers, at_zero, &LIMITS).expect("in range");
    Setting {
        objective,
        parameters: initialize(&architecture, seed),
        batch: batch(&architecture, objective, rows, seed),
        architecture,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn every_entry_of_every_quantity_is_explained_with_the_bits_of_gradients(
        input_size in 1_i64..=5,
        layers in prop::collection::vec(layer(), 1..=3),
        at_zero in prop_oneof![Just(ReluAtZero::One), Just(ReluAtZero::Zero)],
        objective in objective(),
        single in any::<bool>(),
        rows in 1_usize..=4,
        seed in any::<i64>(),
    ) {
        let network = (input_size, &layers[..], at_zero);
        if single {
            setting::<f32>(network, objective, rows, seed).check()?;
        } else {
            setting::<f64>(network, objective, rows, seed).check()?;
        }
    }
}

/// The network of the homework, 4-3-2-1 with ReLU, and two samples.
fn homework() -> Setting<f64> {
    let layer = |units, activation| LayerSpec {
        units,
        activation,
        bias: false,
        init: Init::Zeros,
    };
    let layers = [
        layer(3, Activation::Relu),
        layer(2, Activation::Relu),
        layer(1, Activation::Linear),
    ];
    let objective = Objective {
        loss: Loss::HalfSquaredError,
        reduction: Reduction::Mean,
    };
    let architecture = Architecture::new(4, &layers, ReluAtZero::One, &LIMITS).expect("in range");
    let matrix = |columns, entries: &[f64]| Matrix {
        rows: 2,
        columns,
        entries: entries.to_vec(),
    };
    let inputs = matrix(4, &[1.0, 2.0, 3.0, 4.0, 0.5, -1.0, 1.5, 2.5]);
    let targets = matrix(1, &[1.0, -0.5]);
    let batch = Batch::new(&architecture, objective, inputs, Some(targets), &[], 2);
    Setting {
        objective,
        parameters: vec![
            0.1, 0.2, 0.3, 0.4, 0.5, -0.6, 0.7, 0.8, -0.9, 1.0, 0.2, 0.1, // W¹
            0.3, -0.2, 0.5, 0.7, 0.1, -0.4, // W²
            0.6, -0.8, // W³
        ],
        batch: batch.expect("it fits"),
        architecture,
    }
}

fn entry(setting: &Setting<f64>, quantity: Quantity, numbers: [i64; 3]) -> Entry {
    let rows = setting.batch.rows();
    Entry::from_one(&setting.architecture, rows, quantity, numbers).expect("in range")
}

/// Computed by hand: h¹ = [[3, 4.6, 2.1], [1.3, 3.9, 0]], z² = [[1.03, 1.72], [−0.39, 1.3]], f = (−0.758, −1.04),
/// δ = (−0.879, −0.27).
#[test]
#[allow(non_snake_case, reason = "gradients have the names of the mathematics")]
fn the_homework_reads_as_its_solution() {
    let homework = homework();
    let shown = |quantity, numbers, detail| {
        let entry = entry(&homework, quantity, numbers);
        let mut explained = homework.explain(entry, detail, WIDE);
        explained.equations.remove(0)
    };
    let dW = Quantity::WeightsGradient;
    let one = shown(dW, [2, 1, 2], Detail::Definition);
    assert_eq!(one.text, "dW²₁₂ = dz²₁₁·h¹₁₂ + dz²₂₁·h¹₂₂ = −2.426");
    assert_eq!(one.numbers, "−0.5274·4.6 + 0·3.9");
    let chain = shown(dW, [2, 1, 2], Detail::Chain);
    assert_eq!(
        chain.text,
        "dW²₁₂ = δ₁·W³₁₁·1[z²₁₁ ≥ 0]·h¹₁₂ + δ₂·W³₁₁·1[z²₂₁ ≥ 0]·h¹₂₂ = −2.426"
    );
    assert_eq!(chain.numbers, "−0.879·0.6·1·4.6 + (−0.27)·0.6·0·3.9");
    assert_eq!(
        chain.latex,
        r"\frac{\partial l}{\partial W^{2}_{1,2}} = \delta_{1} \cdot W^{3}_{1,1} \cdot \mathbf{1}[z^{2}_{1,1} \geq 0] \cdot h^{1}_{1,2} + \delta_{2} \cdot W^{3}_{1,1} \cdot \mathbf{1}[z^{2}_{2,1} \geq 0] \cdot h^{1}_{2,2} = -2.426"
    );
    let dx = shown(Quantity::InputsGradient, [0, 2, 3], Detail::Chain);
    assert!(
        dx.text.starts_with(
            "dx₂₃ = δ₂·W³₁₁·1[z²₂₁ ≥ 0]·W²₁₁·1[z¹₂₁ ≥ 0]·W¹₁₃ + δ₂·W³₁₂·1[z²₂₂ ≥ 0]·W²₂₁·1[z¹₂₁ ≥ 0]·W¹₁₃ + "
        ),
        "{}",
        dx.text
    );
    let delta = shown(Quantity::Delta, [0, 1, 1], Detail::Definition);
    assert_eq!(delta.text, "δ₁ = 1/m·(h³₁₁ − y₁) = −0.879");
    assert_eq!(delta.numbers, "0.5·(−1.758)");

    let all = homework.explain(entry(&homework, dW, [3, 1, 1]), Detail::Leaves, WIDE);
    let texts: Vec<&str> = all.equations.iter().map(|e| &e.text[..]).collect();
    let expected = [
        "dW³₁₁ = δ₁·h²₁₁ + δ₂·h²₂₁ = −0.9054",
        "δ₁ = 1/m·(h³₁₁ − y₁) = −0.879",
        "h²₁₁ = max(0, z²₁₁) = 1.03",
        "δ₂ = 1/m·(h³₂₁ − y₂) = −0.27",
        "h²₂₁ = max(0, z²₂₁) = 0",
        "(h³₁₁ − y₁) = h³₁₁ − y₁ = −1.758",
        "z²₁₁ = h¹₁₁·W²₁₁ + h¹₁₂·W²₁₂ + h¹₁₃·W²₁₃ = 1.03",
    ];
    assert_eq!(texts[..expected.len()], expected);
}

#[test]
fn every_loss_and_activation_has_its_own_formula() {
    let with = |activation, last, loss, reduction, bias| {
        let layer = |units, activation| LayerSpec {
            units,
            activation,
            bias,
            init: Init::PytorchLinear,
        };
        let layers = [layer(2, activation), layer(3, last)];
        let objective = Objective { loss, reduction };
        setting::<f64>((2, &layers, ReluAtZero::Zero), objective, 2, 2)
    };
    let text = |setting: &Setting<f64>, quantity, numbers| {
        let entry = entry(setting, quantity, numbers);
        let explained = setting.explain(entry, Detail::Definition, WIDE);
        let text = &explained.equations[0].text;
        text.rsplit_once(" = ").expect("a value").0.to_owned()
    };
    let (dz, delta) = (Quantity::PreActivationGradient, Quantity::Delta);
    let (linear, mean, sum) = (Activation::Linear, Reduction::Mean, Reduction::Sum);
    for (loss, reduction, formula) in [
        (Loss::HalfSquaredError, mean, "δ₂₃ = 1/m·(h²₂₃ − y₂₃)"),
        (Loss::HalfSquaredError, sum, "δ₂₃ = (h²₂₃ − y₂₃)"),
        (Loss::MeanSquaredError, mean, "δ₂₃ = 2/(m·n)·(h²₂₃ − y₂₃)"),
        (Loss::MeanSquaredError, sum, "δ₂₃ = 2·(h²₂₃ − y₂₃)"),
        (Loss::CrossEntropy, mean, "δ₂₃ = 1/m·(softmax(z²₂)₃ − y₂₃)"),
        (Loss::CrossEntropy, sum, "δ₂₃ = (softmax(z²₂)₃ − y₂₃)"),
        (
            Loss::BinaryCrossEntropy,
            mean,
            "δ₂₃ = 1/(m·n)·(σ(z²₂₃) − y₂₃)",
        ),
        (Loss::BinaryCrossEntropy, sum, "δ₂₃ = (σ(z²₂₃) − y₂₃)"),
    ] {
        let setting = with(Activation::Relu, linear, loss, reduction, false);
        assert_eq!(text(&setting, delta, [0, 2, 3]), formula);
    }
    for (activation, slope, value) in [
        (Activation::Linear, "δ₁₁·W²₁₂ + δ₁₂·W²₂₂ + δ₁₃·W²₃₂", "z¹₁₂"),
        (Activation::Relu, "dh¹₁₂·1[z¹₁₂ > 0]", "max(0, z¹₁₂)"),
        (
            Activation::LeakyRelu { slope: 0.1 },
            "dh¹₁₂·LeakyReLU′(z¹₁₂)",
            "LeakyReLU(z¹₁₂)",
        ),
        (Activation::Sigmoid, "dh¹₁₂·σ(z¹₁₂)(1 − σ(z¹₁₂))", "σ(z¹₁₂)"),
        (Activation::Tanh, "dh¹₁₂·(1 − tanh²(z¹₁₂))", "tanh(z¹₁₂)"),
        (Activation::Gelu, "dh¹₁₂·GELU′(z¹₁₂)", "GELU(z¹₁₂)"),
        (Activation::Silu, "dh¹₁₂·SiLU′(z¹₁₂)", "SiLU(z¹₁₂)"),
    ] {
        let setting = with(activation, linear, Loss::HalfSquaredError, mean, true);
        assert_eq!(text(&setting, dz, [1, 1, 2]), format!("dz¹₁₂ = {slope}"));
        let h = text(&setting, Quantity::Activation, [1, 1, 2]);
        assert_eq!(h, format!("h¹₁₂ = {value}"));
        let z = text(&setting, Quantity::PreActivation, [1, 2, 1]);
        assert_eq!(z, "z¹₂₁ = x₂₁·W¹₁₁ + x₂₂·W¹₁₂ + b¹₁");
        assert_eq!(
            text(&setting, Quantity::BiasGradient, [2, 3, 0]),
            "db²₃ = δ₁₃ + δ₂₃"
        );
    }
    let curved = with(linear, Activation::Tanh, Loss::CrossEntropy, mean, false);
    assert_eq!(
        text(&curved, delta, [0, 1, 1]),
        "δ₁₁ = dh²₁₁·(1 − tanh²(z²₁₁))"
    );
    let dh = text(&curved, Quantity::ActivationGradient, [2, 1, 1]);
    assert_eq!(dh, "dh²₁₁ = 1/m·(softmax(h²₁)₁ − y₁₁)");
}

#[test]
#[allow(non_snake_case, reason = "gradients have the names of the mathematics")]
fn what_exceeds_the_limits_is_folded_into_one_number_and_counted() {
    let layers = [LayerSpec {
        units: 2,
        activation: Activation::Linear,
        bias: true,
        init: Init::PytorchLinear,
    }];
    let objective = Objective {
        loss: Loss::HalfSquaredError,
        reduction: Reduction::Mean,
    };
    let setting = setting::<f64>((300, &layers, ReluAtZero::One), objective, 40, 3);
    let limits = ExplainLimits {
        terms: 10,
        factors: 100,
    };
    let z = entry(&setting, Quantity::PreActivation, [1, 7, 2]);
    let whole = &setting.explain(z, Detail::Definition, WIDE).equations[0];
    let short = &setting.explain(z, Detail::Definition, limits).equations[0];
    assert_eq!((whole.terms.len(), short.terms.len()), (301, 11));
    assert_eq!(short.terms[..10], whole.terms[..10]);
    assert_eq!(short.terms[10].factors[0].text, "b¹₂");
    let folded = short.folded.expect("290 terms");
    let rest: f64 = whole.terms[10..300].iter().map(|term| term.value).sum();
    assert_eq!((folded.terms, folded.value), (290, rest));
    assert_eq!(
        (short.value, short.sum_of_terms),
        (whole.value, whole.sum_of_terms)
    );
    assert!(
        short.text.contains(" + … (290 more) + b¹₂ = "),
        "{}",
        short.text
    );
    assert_eq!(whole.folded, None);

    let db = entry(&setting, Quantity::WeightsGradient, [1, 1, 1]);
    let leaves = setting.explain(db, Detail::Leaves, limits);
    assert!(leaves.unexplained > 0);
    let terms = leaves.equations.iter().flat_map(|equation| &equation.terms);
    assert!(terms.map(|term| term.factors.len()).sum::<usize>() <= 130);

    // Of long sums, which have to be added up, fewer are explained.
    let wide = [30, 1].map(|units| LayerSpec {
        units,
        activation: Activation::Relu,
        bias: false,
        init: Init::PytorchLinear,
    });
    let explained = |inputs: i64| {
        let wide = self::setting::<f64>((inputs, &wide, ReluAtZero::One), objective, 1, 3);
        let h = entry(&wide, Quantity::Activation, [2, 1, 1]);
        let limits = ExplainLimits {
            terms: 30,
            factors: 2000,
        };
        wide.explain(h, Detail::Leaves, limits).equations.len()
    };
    // h², z², each h¹ and z¹.
    assert_eq!(explained(3), 62);
    assert!(
        (3..40).contains(&explained(10_000)),
        "{}",
        explained(10_000)
    );

    // Two layers of 20 units: a path through each pair of them, for each of 40 samples, is too many.
    let deep = [20, 20, 1].map(|units| LayerSpec {
        units,
        activation: Activation::Tanh,
        bias: false,
        init: Init::PytorchLinear,
    });
    let deep = self::setting::<f64>((2, &deep, ReluAtZero::One), objective, 40, 3);
    let dW = entry(&deep, Quantity::WeightsGradient, [1, 1, 1]);
    let chain = deep.explain(dW, Detail::Chain, WIDE);
    assert_eq!(chain.equations[0].terms.len(), 800);
    assert!(
        chain.equations[0]
            .text
            .starts_with("dW¹₁₁ = δ₁·W³₁₁·(1 − tanh²(z²₁₁))·W²₁₁·")
    );
    assert_eq!(chain.unexplained, 0);
    let narrow = ExplainLimits { terms: 100, ..WIDE };
    let chain = deep.explain(dW, Detail::Chain, narrow);
    assert_eq!(
        (chain.equations[0].terms.len(), chain.unexplained),
        (40, 40)
    );
}

#[test]
fn an_entry_that_does_not_exist_is_refused_with_every_reason() {
    let homework = homework();
    let fields = |quantity, numbers| {
        let refused = Entry::from_one(&homework.architecture, 2, quantity, numbers);
        let refused = refused.expect_err("there is no such entry");
        let all = refused.iter();
        all.map(|violation| format!("{}: {}", violation.field, violation.description))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        fields(Quantity::WeightsGradient, [2, 3, 0]),
        [
            "row: given 3; allowed: 1 to 2: dW2 is [2, 3]",
            "column: given 0; allowed: 1 to 3: dW2 is [2, 3]"
        ]
    );
    assert_eq!(
        fields(Quantity::Activation, [4, 0, -1]),
        [
            "layer: given 4; allowed: 1 to 3",
            "row: given 0; allowed: 1 or more",
            "column: given -1; allowed: 1 or more"
        ]
    );
    assert_eq!(
        fields(Quantity::Delta, [3, 1, 1]),
        ["layer: given 3; allowed: 0: delta belongs to the network"]
    );
    assert_eq!(
        fields(Quantity::BiasGradient, [1, 1, 1]),
        ["layer: given 1; allowed: another quantity: no layer has a bias"]
    );
    assert_eq!(
        fields(Quantity::Weights, [1, 1, 1]),
        [
            "quantity: given W, which is an input of the computation; allowed: one of z, h, dW, db, dz, dh, dx, delta"
        ]
    );
}
