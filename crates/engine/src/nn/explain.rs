//! One entry of a pass as the sum of products that it is: which factors, with which values, add up to it.
//!
//! ```text
//! dW²₂₃ = Σ_samples dz²·h¹        dz² = dh²·1[z² ≥ 0]        dh²₁₂ = Σ_units δ₁·W³        δ₁ = 1/m·(h³₁₁ − y₁)
//! ```
//!
//! An [`Equation`] defines an entry by entries that are computed before it. [`Detail`] chooses how far to go: the
//! definition alone, the definition with the chain rule multiplied out, or the definitions of all factors down to the
//! inputs, targets, weights and biases.
//!
//! The value of an equation is the entry of the pass, bit for bit. The value of a term is the product of its factors, in
//! `f64`, rounded to the type of the model; this is what the engine computes wherever it computes that product. The
//! engine adds up long sums in vector lanes and panels, so a sum of the terms in their order may differ from the entry in
//! its last bits: [`Equation::sum_of_terms`] is that sum.

mod definition;
mod expansion;
mod notation;
mod values;

use super::{Architecture, Quantity};
use crate::fault::Violations;

/// An entry of a quantity. Rows and columns count from 0 here; equations write them from 1, as mathematics does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The quantity.
    pub quantity: Quantity,
    /// Its layer, from 1; 0 for quantities of the network.
    pub layer: usize,
    /// The row: a sample, or a unit for dW, db, W and b.
    pub row: usize,
    /// The column: a unit or feature; 0 for db and b.
    pub column: usize,
}

/// How far an explanation goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The definition of the entry.
    #[default]
    Definition,
    /// The definition with dz and dh replaced by theirs down to δ: a term for each path through the network.
    Chain,
    /// The definition, and those of its factors, down to inputs, targets, weights and biases.
    Leaves,
}

/// Limits on the size of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExplainLimits {
    /// The most terms of an equation; the rest is folded into one number.
    pub terms: usize,
    /// The most factors of all equations together; some terms that are only added up count as a factor.
    pub factors: usize,
}

/// The kind of a factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorKind {
    /// An entry of a quantity.
    Entry,
    /// `1[z ≥ 0]`, or `1[z > 0]`: σ′ of ReLU.
    Mask,
    /// σ′(z) of another activation.
    Slope,
    /// σ(z).
    Activation,
    /// ∂l/∂f without the factor that all entries share: h − y, softmax(z) − y, σ(z) − y.
    Residual,
    /// softmax(z) or σ(z) of the loss.
    Probability,
    /// A number: 1/m, 2/(m·n), 2, 1/(m·n) or −1.
    Constant,
}

/// A factor of a term.
#[derive(Clone, Debug, PartialEq)]
pub struct Factor {
    /// What it is.
    pub kind: FactorKind,
    /// The entry that it is, or of which it is a function: z of a mask, a slope and an activation, h or z of the last
    /// layer of a residual and a probability. `None` for a constant.
    pub entry: Option<Entry>,
    /// Its value; that of a smooth slope is not yet rounded to the type of the model.
    pub value: f64,
    /// As plain text, such as `W³₁₂`.
    pub text: String,
    /// As LaTeX.
    pub latex: String,
    /// The number of the equation that explains it, from 1; 0 if there is none.
    pub equation: usize,
}

/// A product.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// Its factors, in order.
    pub factors: Vec<Factor>,
    /// Their product, in the type of the model.
    pub value: f64,
}

/// Terms that an equation does not list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folded {
    /// How many.
    pub terms: usize,
    /// Their sum.
    pub value: f64,
}

/// A value as a sum of products.
#[derive(Clone, Debug, PartialEq)]
pub struct Equation {
    /// The kind of its left side: an entry or a residual.
    pub kind: FactorKind,
    /// The entry on its left side; for a residual, the output that it compares.
    pub entry: Entry,
    /// The value of the left side, as the engine computed it.
    pub value: f64,
    /// The terms, in the order of samples or units; a bias last.
    pub terms: Vec<Term>,
    /// The terms that are left out, if there are too many. They precede a bias.
    pub folded: Option<Folded>,
    /// All terms, the folded ones included, added up one after the other in the type of the model.
    pub sum_of_terms: f64,
    /// `left side = symbols = value`, with four digits.
    pub text: String,
    /// The same as LaTeX.
    pub latex: String,
    /// The right side with numbers instead of symbols.
    pub numbers: String,
    /// The same as LaTeX.
    pub numbers_latex: String,
}

/// An entry explained.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The equation of the entry; with [`Detail::Leaves`], followed by those of its factors, nearest first.
    pub equations: Vec<Equation>,
    /// The number of factors that would have been explained further, within larger limits.
    pub unexplained: usize,
}

impl Quantity {
    /// The quantities that an equation defines.
    pub const COMPUTED: [Self; 8] = [
        Self::PreActivation,
        Self::Activation,
        Self::WeightsGradient,
        Self::BiasGradient,
        Self::PreActivationGradient,
        Self::ActivationGradient,
        Self::InputsGradient,
        Self::Delta,
    ];
}

impl Entry {
    /// An entry by numbers that count from 1, of a batch of `rows` samples. The only column, as of a vector, may also be
    /// 0.
    ///
    /// # Errors
    /// All violations: a quantity that is given instead of computed, a layer that does not have it, a row or column
    /// outside of its shape.
    pub fn from_one(
        architecture: &Architecture,
        rows: usize,
        quantity: Quantity,
        [layer, row, column]: [i64; 3],
    ) -> Result<Self, Violations> {
        let mut violations = Violations::new();
        let symbol = quantity.symbol();
        if !Quantity::COMPUTED.contains(&quantity) {
            let computed = Quantity::COMPUTED.map(Quantity::symbol).join(", ");
            let given = format!("{symbol}, which is an input of the computation");
            violations.add("quantity", given, format!("one of {computed}"));
            return Err(violations);
        }
        let index = usize::try_from(layer).ok();
        let has_it = |layer: &usize| {
            quantity
                .layers(architecture)
                .any(|candidate| candidate == *layer)
        };
        let index = index.filter(has_it);
        let shape = index.and_then(|layer| quantity.shape(architecture, rows, layer));
        if shape.is_none() {
            violations.add("layer", layer, layers_of(quantity, architecture));
        }
        let name = match index {
            Some(layer) if layer > 0 => format!("{symbol}{layer}"),
            Some(_) | None => symbol.to_owned(),
        };
        let mut read = |field: &str, given: i64, axis: usize| {
            let size = match shape {
                None => usize::MAX,
                Some(shape) => shape.get(axis).copied().unwrap_or(1),
            };
            let is_left_out = axis == 1 && given == 0 && (size == 1 || shape.is_none());
            let given_from_0 = given.checked_sub(1).map(usize::try_from);
            match given_from_0 {
                _ if is_left_out => Some(0),
                Some(Ok(at)) if at < size => Some(at),
                Some(_) | None => {
                    let allowed = match shape {
                        None => "1 or more".to_owned(),
                        Some(shape) => format!("1 to {size}: {name} is {:?}", &shape[..]),
                    };
                    violations.add(field, given, allowed);
                    None
                }
            }
        };
        let (row, column) = (read("row", row, 0), read("column", column, 1));
        let entry = index.zip(row.zip(column));
        violations.into_result(entry.map(|(layer, (row, column))| Self {
            quantity,
            layer,
            row,
            column,
        }))
    }
}

/// The layers of a quantity, for a message.
fn layers_of(quantity: Quantity, architecture: &Architecture) -> String {
    let depth = architecture.depth();
    if !quantity.is_of_layers() {
        return format!("0: {} belongs to the network", quantity.symbol());
    }
    if quantity == Quantity::BiasGradient {
        // As many as fit a message.
        let some: Vec<String> = quantity
            .layers(architecture)
            .take(20)
            .map(|layer| layer.to_string())
            .collect();
        return match &some[..] {
            [] => "another quantity: no layer has a bias".to_owned(),
            some => format!("a layer with a bias: {}", some.join(", ")),
        };
    }
    format!("1 to {depth}")
}
