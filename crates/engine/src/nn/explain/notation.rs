//! Symbols and numbers as plain text and as LaTeX. Each function returns the text first.

use super::super::{Activation, Loss, Quantity, Reduction, ReluAtZero, Scalar};
use super::definition::{Part, Source};
use super::{Entry, Folded, Term};

/// The digits of a number in an equation.
const DIGITS: i32 = 4;

/// The right side of an equation, in symbols and in numbers.
#[derive(Default)]
pub(super) struct Sides {
    pub(super) symbols: String,
    pub(super) symbols_latex: String,
    pub(super) numbers: String,
    pub(super) numbers_latex: String,
}

impl Sides {
    pub(super) fn of(terms: &[Term], folded: Option<Folded>, ends_with_bias: bool) -> Self {
        let mut sides = Self::default();
        let summed = terms.len() - usize::from(ends_with_bias);
        for term in &terms[..summed] {
            sides.add(term);
        }
        if let Some(folded) = folded {
            sides.add_folded(folded);
        }
        for term in &terms[summed..] {
            sides.add(term);
        }
        sides
    }

    fn add(&mut self, term: &Term) {
        let is_first = self.symbols.is_empty();
        // A leading −1 is the sign of the term.
        let (factors, sign) = match &term.factors[..] {
            [sign, rest @ ..] if sign.text == MINUS_ONE && !rest.is_empty() => (rest, ["−", "-"]),
            factors => (factors, ["+", "+"]),
        };
        let join = |parts: Vec<&str>, dot: &str| parts.join(dot);
        let symbols = join(factors.iter().map(|f| &f.text[..]).collect(), "·");
        let latex = join(factors.iter().map(|f| &f.latex[..]).collect(), r" \cdot ");
        let mut values = Vec::with_capacity(factors.len());
        let mut values_latex = Vec::with_capacity(factors.len());
        for (at, factor) in factors.iter().enumerate() {
            let [text, latex] = number(factor.value);
            let is_bare = factor.value >= 0.0 || (is_first && at == 0);
            values.push(if is_bare { text } else { format!("({text})") });
            values_latex.push(if is_bare { latex } else { format!("({latex})") });
        }
        let (numbers, numbers_latex) = (values.join("·"), values_latex.join(r" \cdot "));
        for (side, more, sign) in [
            (&mut self.symbols, symbols, sign[0]),
            (&mut self.symbols_latex, latex, sign[1]),
            (&mut self.numbers, numbers, sign[0]),
            (&mut self.numbers_latex, numbers_latex, sign[1]),
        ] {
            match (is_first, sign) {
                (true, "+") => {}
                (true, sign) => side.push_str(sign),
                (false, sign) => {
                    side.push(' ');
                    side.push_str(sign);
                    side.push(' ');
                }
            }
            side.push_str(&more);
        }
    }

    fn add_folded(&mut self, folded: Folded) {
        let count = folded.terms;
        let [value, value_latex] = number(folded.value);
        let before = if self.symbols.is_empty() { "" } else { " + " };
        self.symbols += &format!("{before}… ({count} more)");
        self.symbols_latex += &format!(r"{before}\cdots");
        self.numbers += &format!("{before}… ({count} more: {value})");
        self.numbers_latex +=
            &format!(r"{before}\underbrace{{\cdots}}_{{{count} \text{{ more: }} {value_latex}}}");
    }
}

const MINUS_ONE: &str = "−1";

impl<T: Scalar> Source<'_, T> {
    /// The symbol of a part.
    pub(super) fn symbol(&self, part: Part) -> [String; 2] {
        match part {
            Part::Entry(own) => self.symbol_of_entry(own),
            Part::Mask(z) => {
                let [text, latex] = self.symbol_of_entry(z);
                let (relation, command) = match self.architecture.relu_at_zero() {
                    ReluAtZero::One => ("≥", r"\geq"),
                    ReluAtZero::Zero => (">", ">"),
                };
                [
                    format!("1[{text} {relation} 0]"),
                    format!(r"\mathbf{{1}}[{latex} {command} 0]"),
                ]
            }
            Part::Slope(z) => self.slope_symbol(z),
            Part::Activation(z) => self.activation_symbol(z),
            Part::Residual(output) => {
                let compared = if self.objective.loss.is_classification() {
                    Part::Probability(output)
                } else {
                    Part::Entry(output)
                };
                let [f, f_latex] = self.symbol(compared);
                let [y, y_latex] = self.symbol_of_entry(Entry {
                    quantity: Quantity::Targets,
                    layer: 0,
                    ..output
                });
                [
                    format!("({f} − {y})"),
                    format!(r"\left({f_latex} - {y_latex}\right)"),
                ]
            }
            Part::Probability(output) => self.probability_symbol(output),
            Part::Scale => self.scale_symbol(),
            Part::MinusOne => [MINUS_ONE.to_owned(), "-1".to_owned()],
        }
    }

    fn symbol_of_entry(&self, own: Entry) -> [String; 2] {
        let n = self.architecture.output_size();
        let (text, latex) = match own.quantity {
            Quantity::Inputs => ("x", "x"),
            Quantity::PreActivation => ("z", "z"),
            Quantity::Activation => ("h", "h"),
            Quantity::Targets => ("y", "y"),
            Quantity::SampleLoss => ("l", "l"),
            Quantity::WeightsGradient => ("dW", "W"),
            Quantity::BiasGradient => ("db", "b"),
            Quantity::PreActivationGradient => ("dz", "z"),
            Quantity::ActivationGradient => ("dh", "h"),
            Quantity::InputsGradient => ("dx", "x"),
            Quantity::Delta => ("δ", r"\delta"),
            Quantity::Weights => ("W", "W"),
            Quantity::Bias => ("b", "b"),
        };
        // δ and y of a single output have one number for each sample.
        let is_vector = match own.quantity {
            Quantity::Bias | Quantity::BiasGradient | Quantity::SampleLoss => true,
            Quantity::Targets | Quantity::Delta => n == 1,
            Quantity::Inputs
            | Quantity::PreActivation
            | Quantity::Activation
            | Quantity::WeightsGradient
            | Quantity::PreActivationGradient
            | Quantity::ActivationGradient
            | Quantity::InputsGradient
            | Quantity::Weights => false,
        };
        let column = (!is_vector).then_some(own.column);
        let layer = (own.layer > 0).then(|| raised(own.layer));
        let text = format!(
            "{text}{}{}",
            layer.unwrap_or_default(),
            lowered(own.row, column)
        );
        let layer = match own.layer {
            0 => String::new(),
            layer => format!("^{{{layer}}}"),
        };
        let latex = match column {
            None => format!("{latex}{layer}_{{{}}}", own.row + 1),
            Some(column) => format!("{latex}{layer}_{{{},{}}}", own.row + 1, column + 1),
        };
        let is_gradient = match own.quantity {
            Quantity::WeightsGradient
            | Quantity::BiasGradient
            | Quantity::PreActivationGradient
            | Quantity::ActivationGradient
            | Quantity::InputsGradient => true,
            Quantity::Inputs
            | Quantity::PreActivation
            | Quantity::Activation
            | Quantity::Targets
            | Quantity::SampleLoss
            | Quantity::Delta
            | Quantity::Weights
            | Quantity::Bias => false,
        };
        if is_gradient {
            return [text, format!(r"\frac{{\partial l}}{{\partial {latex}}}")];
        }
        [text, latex]
    }

    fn activation_symbol(&self, z: Entry) -> [String; 2] {
        let [text, latex] = self.symbol_of_entry(z);
        let named = |name: &str| {
            [
                format!("{name}({text})"),
                format!(r"\operatorname{{{name}}}({latex})"),
            ]
        };
        match self.activation(z.layer) {
            Activation::Linear => [text, latex],
            Activation::Relu => [format!("max(0, {text})"), format!(r"\max(0, {latex})")],
            Activation::LeakyRelu { .. } => named("LeakyReLU"),
            Activation::Sigmoid => [format!("σ({text})"), format!(r"\sigma({latex})")],
            Activation::Tanh => [format!("tanh({text})"), format!(r"\tanh({latex})")],
            Activation::Gelu => named("GELU"),
            Activation::Silu => named("SiLU"),
        }
    }

    fn slope_symbol(&self, z: Entry) -> [String; 2] {
        let [text, latex] = self.symbol_of_entry(z);
        let named = |name: &str| {
            [
                format!("{name}′({text})"),
                format!(r"\operatorname{{{name}}}'({latex})"),
            ]
        };
        match self.activation(z.layer) {
            Activation::Linear => ["1".to_owned(), "1".to_owned()],
            Activation::Relu => named("ReLU"),
            Activation::LeakyRelu { .. } => named("LeakyReLU"),
            Activation::Sigmoid => [
                format!("σ({text})(1 − σ({text}))"),
                format!(r"\sigma({latex})\left(1 - \sigma({latex})\right)"),
            ],
            Activation::Tanh => [
                format!("(1 − tanh²({text}))"),
                format!(r"\left(1 - \tanh^{{2}}({latex})\right)"),
            ],
            Activation::Gelu => named("GELU"),
            Activation::Silu => named("SiLU"),
        }
    }

    fn probability_symbol(&self, output: Entry) -> [String; 2] {
        let [text, latex] = self.symbol_of_entry(output);
        if self.objective.loss == Loss::CrossEntropy {
            let symbol = if output.quantity == Quantity::PreActivation {
                "z"
            } else {
                "h"
            };
            let (layer, row, column) = (output.layer, output.row, output.column);
            return [
                format!(
                    "softmax({symbol}{}{}){}",
                    raised(layer),
                    lowered(row, None),
                    lowered(column, None)
                ),
                format!(
                    r"\operatorname{{softmax}}({symbol}^{{{layer}}}_{{{}}})_{{{}}}",
                    row + 1,
                    column + 1
                ),
            ];
        }
        [format!("σ({text})"), format!(r"\sigma({latex})")]
    }

    fn scale_symbol(&self) -> [String; 2] {
        let (text, latex) = match (self.objective.reduction, self.objective.loss) {
            (Reduction::Mean, Loss::HalfSquaredError | Loss::CrossEntropy) => {
                ("1/m", r"\frac{1}{m}")
            }
            (Reduction::Mean, Loss::MeanSquaredError) => ("2/(m·n)", r"\frac{2}{m n}"),
            (Reduction::Mean, Loss::BinaryCrossEntropy) => ("1/(m·n)", r"\frac{1}{m n}"),
            (Reduction::Sum, Loss::MeanSquaredError) => ("2", "2"),
            (
                Reduction::Sum,
                Loss::HalfSquaredError | Loss::CrossEntropy | Loss::BinaryCrossEntropy,
            ) => ("1", "1"),
        };
        [text.to_owned(), latex.to_owned()]
    }
}

/// A layer's number, raised.
fn raised(layer: usize) -> String {
    digits(layer, ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'])
}

/// Indices from 1, lowered: `₁₂` for row 0 and column 1, `₁₂,₃` where they have several digits.
fn lowered(row: usize, column: Option<usize>) -> String {
    let low = |index: usize| {
        digits(
            index + 1,
            ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'],
        )
    };
    match column {
        None => low(row),
        Some(column) if row < 9 && column < 9 => low(row) + &low(column),
        Some(column) => format!("{},{}", low(row), low(column)),
    }
}

fn digits(number: usize, alphabet: [char; 10]) -> String {
    let text = number.to_string();
    let digits = text.bytes().map(|digit| usize::from(digit - b'0'));
    digits.map(|digit| alphabet[digit]).collect()
}

/// A number of four digits.
pub(super) fn number(value: f64) -> [String; 2] {
    if !value.is_finite() {
        let (text, latex) = if value.is_nan() {
            ("NaN", r"\mathrm{NaN}")
        } else if value > 0.0 {
            ("∞", r"\infty")
        } else {
            ("−∞", r"-\infty")
        };
        return [text.to_owned(), latex.to_owned()];
    }
    let rounded = format!("{:.*e}", (DIGITS - 1) as usize, value);
    let (mantissa, exponent) = rounded.split_once('e').unwrap_or((&rounded, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => text.to_owned(),
    };
    let minus = |text: String| text.replace('-', "−");
    if value == 0.0 {
        return ["0".to_owned(), "0".to_owned()];
    }
    if (-4..6).contains(&exponent) {
        let decimals = (DIGITS - 1 - exponent).max(0) as usize;
        let plain = trimmed(&format!("{value:.decimals$}"));
        return [minus(plain.clone()), plain];
    }
    let mantissa = trimmed(mantissa);
    [
        minus(format!("{mantissa}e{exponent}")),
        format!(r"{mantissa} \cdot 10^{{{exponent}}}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_a_minus_sign() {
        for (value, text, latex) in [
            (0.0, "0", "0"),
            (-0.0, "0", "0"),
            (-0.084_444, "−0.08444", "-0.08444"),
            (0.5, "0.5", "0.5"),
            (123_456.0, "123456", "123456"),
            (0.000_123_456, "0.0001235", "0.0001235"),
            (-1.5e-7, "−1.5e−7", r"-1.5 \cdot 10^{-7}"),
            (2e10, "2e10", r"2 \cdot 10^{10}"),
            (9.999_96, "10", "10"),
            (f64::NEG_INFINITY, "−∞", r"-\infty"),
        ] {
            assert_eq!(
                number(value),
                [text.to_owned(), latex.to_owned()],
                "{value}"
            );
        }
    }

    #[test]
    fn indices_are_separated_where_they_would_run_together() {
        assert_eq!(raised(120), "¹²⁰");
        assert_eq!(lowered(0, Some(8)), "₁₉");
        assert_eq!(lowered(0, Some(9)), "₁,₁₀");
        assert_eq!(lowered(11, None), "₁₂");
    }
}
