//! Changes of masks: inverted, of another layer, of another activation, with another threshold, or added.

use std::sync::Arc;

use super::build::{binary, number, selected, symbol};
use super::change::{Changes, Side};
use crate::formula::{
    Bindings, Comparison, Expr, Function, Index, Indices, Kind, Operator, Symbol,
};
use crate::grade::Mistake;

/// Whether a node is a derivative of an activation, as comparisons and σ′ are.
pub(super) fn is_mask(expr: &Expr) -> bool {
    match &expr.kind {
        Kind::Compare(comparison, ..) => {
            !matches!(comparison, Comparison::Equal | Comparison::NotEqual)
        }
        Kind::Call(
            Function::SigmaPrime | Function::ReluPrime | Function::TanhPrime | Function::Step,
            _,
        ) => true,
        Kind::Transpose(inner) | Kind::Select(inner, _) => is_mask(inner),
        Kind::Binary(Operator::Subtract, one, mask) => {
            one.kind == Kind::Number(1.0) && is_mask(mask)
        }
        _ => false,
    }
}

/// The same, without a transpose or an index around it.
pub(super) fn is_mask_itself(expr: &Expr) -> bool {
    is_mask(expr) && !matches!(expr.kind, Kind::Transpose(_) | Kind::Select(..))
}

/// The layer whose z or h a mask depends on.
fn mask_layer(expr: &Expr) -> Option<usize> {
    expr.pieces().find_map(|piece| match &piece.kind {
        Kind::Symbol(Symbol::PreActivation(layer) | Symbol::Activation(layer)) => Some(*layer),
        _ => None,
    })
}

/// Whether a mask depends on the output layer, or on δ or y, and on no hidden layer.
pub(super) fn masks_output(mask: &Expr, bindings: &dyn Bindings) -> bool {
    let mut symbols = mask.pieces().filter_map(|piece| match piece.kind {
        Kind::Symbol(symbol) => Some(symbol),
        _ => None,
    });
    let depth = bindings.depth();
    symbols.all(|symbol| match symbol {
        Symbol::PreActivation(layer) | Symbol::Activation(layer) => layer == depth,
        Symbol::Delta | Symbol::Targets | Symbol::BatchSize | Symbol::Units(_) => true,
        _ => false,
    })
}

/// `(a ≥ 0)`.
pub(super) fn positive(a: Expr) -> Expr {
    let span = a.span;
    let zero = Expr::new(Kind::Number(0.0), span);
    let kind = Kind::Compare(Comparison::GreaterOrEqual, Arc::new(a), Arc::new(zero));
    Expr::new(kind, span)
}

/// The mask of a whole layer.
fn mask(layer: usize, like: &Expr) -> Expr {
    positive(symbol(Symbol::PreActivation(layer), like))
}

impl Changes<'_> {
    /// The node with the mask of a layer beside it.
    pub(super) fn masked(&mut self, expr: &Expr) {
        let depth = self.bindings.depth();
        for layer in 1..=depth {
            let made = if layer == depth {
                Mistake::MaskOnOutput
            } else {
                Mistake::WrongMaskLayer
            };
            let masked = binary(Operator::Hadamard, expr, &mask(layer, expr));
            self.put_by_side(made, Mistake::MissingMask, masked);
        }
    }

    /// The node with the mask of a single unit beside it, for the units that an index can mean here.
    pub(super) fn masked_by_unit(&mut self, expr: &Expr) {
        let depth = self.bindings.depth();
        let place = self.place;
        let letters = &place.letters;
        // The letter of a sum may count samples; those of the question count units.
        let summed = if self.is_of_batch() {
            &letters[place.free.min(letters.len())..]
        } else {
            &[]
        };
        for layer in 1..=depth {
            let units = self.bindings.value(Symbol::Units(layer));
            let units = units.map_or(1, |units| units.at(0, 0) as usize);
            let numbers = (1..=units.min(4)).map(Index::Number);
            for unit in letters.iter().copied().map(Index::Letter).chain(numbers) {
                let samples = summed.iter().copied().map(Index::Letter);
                let samples = samples.chain([Index::Number(1)]);
                for sample in samples.filter(|&sample| sample != unit || unit == Index::Number(1)) {
                    let z = symbol(Symbol::PreActivation(layer), expr);
                    let mask = positive(selected(z, sample, unit));
                    let made = if layer == depth {
                        Mistake::MaskOnOutput
                    } else {
                        Mistake::WrongMaskLayer
                    };
                    let masked = binary(Operator::Times, expr, &mask);
                    self.put_by_side(made, Mistake::MissingMask, masked);
                }
            }
        }
    }

    /// δ with a mask of its own sign or of the output's.
    pub(super) fn masked_delta(&mut self, delta: &Expr) {
        if self.side != Side::Solution {
            return;
        }
        let depth = self.bindings.depth();
        for compared in [
            delta.clone(),
            symbol(Symbol::Delta, delta),
            symbol(Symbol::PreActivation(depth), delta),
            symbol(Symbol::Activation(depth), delta),
            symbol(Symbol::Targets, delta),
        ] {
            let masked = binary(Operator::Hadamard, delta, &positive(compared));
            self.put(Mistake::MaskOnOutput, masked);
        }
    }

    pub(super) fn mask_changes(&mut self, expr: &Expr) {
        self.inverted(expr);
        self.thresholds(expr);
        if let Some(own) = mask_layer(expr) {
            for layer in (1..=self.bindings.depth()).filter(|&layer| layer != own) {
                let mut moved = expr.clone();
                move_layers(&mut moved, layer);
                self.put(Mistake::WrongMaskLayer, moved.clone());
                // The unit of the other layer is another one.
                for unit in self.units() {
                    let mut of_unit = moved.clone();
                    of_unit.for_each_piece_mut(|piece| {
                        if let Kind::Select(_, Indices::Two(_, column)) = &mut piece.kind {
                            *column = unit;
                        }
                    });
                    if of_unit != moved {
                        self.put(Mistake::WrongMaskLayer, of_unit);
                    }
                }
            }
        }
        if let Kind::Compare(_, z, _) = &expr.kind
            && matches!(z.kind, Kind::Symbol(Symbol::PreActivation(_)))
        {
            // The mask of one unit for all.
            for unit in [1, 2] {
                let z = selected((**z).clone(), Index::Number(1), Index::Number(unit));
                self.make(Mistake::WrongIndex, || positive(z));
            }
        }
        if self.side == Side::Solution {
            self.other_activations(expr);
        }
    }

    fn inverted(&mut self, expr: &Expr) {
        match &expr.kind {
            Kind::Compare(_, a, b) => {
                for comparison in [Comparison::Less, Comparison::GreaterOrEqual] {
                    let kind = Kind::Compare(comparison, a.clone(), b.clone());
                    let other = Expr::new(kind, expr.span);
                    if other != *expr {
                        self.put(Mistake::InvertedMask, other);
                    }
                }
            }
            Kind::Binary(_, _, mask) => self.put(Mistake::InvertedMask, (**mask).clone()),
            Kind::Call(..) => {
                let opposite = binary(Operator::Subtract, &number(1.0, expr), expr);
                self.put(Mistake::InvertedMask, opposite);
            }
            _ => {}
        }
    }

    /// A comparison with a number other than 0.
    fn thresholds(&mut self, expr: &Expr) {
        let Kind::Compare(comparison, a, b) = &expr.kind else {
            return;
        };
        if self.side == Side::Solution || is_zero(a) || is_zero(b) {
            return;
        }
        let zero = Arc::new(number(0.0, expr));
        let kind = if is_number(b) {
            Kind::Compare(*comparison, a.clone(), zero)
        } else if is_number(a) {
            Kind::Compare(*comparison, zero, b.clone())
        } else {
            return;
        };
        self.put(Mistake::WrongActivation, Expr::new(kind, expr.span));
    }

    /// σ(z), z itself, and the derivatives of sigmoid and tanh where σ′(z) belongs.
    fn other_activations(&mut self, expr: &Expr) {
        let Some(z) = compared(expr) else { return };
        let h = match &z.kind {
            Kind::Symbol(Symbol::PreActivation(layer)) => symbol(Symbol::Activation(*layer), expr),
            Kind::Select(base, indices) => match base.kind {
                Kind::Symbol(Symbol::PreActivation(layer)) => {
                    let h = symbol(Symbol::Activation(layer), expr);
                    Expr::new(Kind::Select(Arc::new(h), indices.clone()), expr.span)
                }
                _ => return,
            },
            Kind::Symbol(Symbol::Argument) => call(Function::Sigma, z),
            _ => return,
        };
        let one = number(1.0, expr);
        let product = |a: &Expr, b: &Expr| binary(Operator::Hadamard, a, b);
        let minus = |a: &Expr, b: &Expr| binary(Operator::Subtract, a, b);
        let (sigmoid, tanh) = (call(Function::Sigmoid, z), call(Function::Tanh, z));
        for wrong in [
            h.clone(),
            minus(&h, &product(&h, &h)),
            minus(&one, &product(&h, &h)),
            z.clone(),
            minus(z, &product(z, z)),
            minus(&one, &product(z, z)),
            product(z, &positive(z.clone())),
            sigmoid.clone(),
            minus(&sigmoid, &product(&sigmoid, &sigmoid)),
            tanh.clone(),
            minus(&one, &product(&tanh, &tanh)),
            call(Function::Sign, z),
            call(Function::Abs, z),
            call(Function::Exp, z),
            minus(&one, &h),
            minus(&one, z),
        ] {
            self.put(Mistake::WrongActivation, wrong);
        }
    }

    /// A factor that stands where a mask belongs: h, σ(z), z, h ⊙ (1 − h), 1 − h².
    pub(super) fn habits(&mut self, expr: &Expr) {
        if self.side != Side::Answer {
            return;
        }
        if let Some(mask) = mask_for(expr) {
            self.put(Mistake::WrongActivation, mask);
        }
        // A ⊙ h ⊙ (1 − h) is read from left to right.
        if let Kind::Binary(Operator::Times | Operator::Hadamard, left, right) = &expr.kind
            && let Kind::Binary(operator, factor, h) = &left.kind
            && matches!(operator, Operator::Times | Operator::Hadamard)
            && is_one_minus(right, h)
            && let Some(mask) = mask_for(h)
        {
            self.put(Mistake::WrongActivation, binary(*operator, factor, &mask));
        }
    }
}

/// The mask that belongs where a value of the activation, or another one's derivative, stands.
fn mask_for(expr: &Expr) -> Option<Expr> {
    match &expr.kind {
        Kind::Symbol(Symbol::Activation(layer) | Symbol::PreActivation(layer)) if *layer > 0 => {
            Some(mask(*layer, expr))
        }
        Kind::Select(base, indices) => match base.kind {
            Kind::Symbol(Symbol::Activation(layer) | Symbol::PreActivation(layer)) if layer > 0 => {
                let z = symbol(Symbol::PreActivation(layer), expr);
                let z = Expr::new(Kind::Select(Arc::new(z), indices.clone()), expr.span);
                Some(positive(z))
            }
            _ => None,
        },
        Kind::Call(
            Function::Sigma
            | Function::Relu
            | Function::Sigmoid
            | Function::Tanh
            | Function::Exp
            | Function::Sign
            | Function::Abs
            | Function::TanhPrime,
            arguments,
        ) => match arguments.first()?.kind {
            Kind::Symbol(Symbol::PreActivation(_) | Symbol::Argument) | Kind::Select(..) => {
                Some(positive(arguments.first()?.clone()))
            }
            _ => None,
        },
        // h ⊙ (1 − h), in either order.
        Kind::Binary(Operator::Times | Operator::Hadamard, a, b) => {
            if is_one_minus(b, a) {
                mask_for(a)
            } else if is_one_minus(a, b) {
                mask_for(b)
            } else {
                None
            }
        }
        // 1 − h², h − h², 1 − h.
        Kind::Binary(Operator::Subtract, _, b) => match &b.kind {
            Kind::Power(base, _) => mask_for(base),
            Kind::Binary(Operator::Times | Operator::Hadamard, a, other) if a == other => {
                mask_for(a)
            }
            Kind::Symbol(_) | Kind::Select(..) | Kind::Call(..) => mask_for(b),
            _ => None,
        },
        _ => None,
    }
}

fn is_one_minus(expr: &Expr, of: &Expr) -> bool {
    matches!(&expr.kind, Kind::Binary(Operator::Subtract, one, other)
        if one.kind == Kind::Number(1.0) && **other == *of)
}

fn is_zero(expr: &Expr) -> bool {
    expr.kind == Kind::Number(0.0)
}

fn is_number(expr: &Expr) -> bool {
    expr.pieces().all(|piece| {
        matches!(
            piece.kind,
            Kind::Number(_) | Kind::Negate(_) | Kind::Binary(..)
        )
    })
}

fn call(function: Function, argument: &Expr) -> Expr {
    Expr::new(Kind::Call(function, vec![argument.clone()]), argument.span)
}

/// What a mask compares with 0.
fn compared(expr: &Expr) -> Option<&Expr> {
    match &expr.kind {
        Kind::Compare(_, a, _) => Some(a),
        Kind::Call(_, arguments) => arguments.first(),
        Kind::Transpose(inner) => compared(inner),
        _ => None,
    }
}

pub(super) fn move_layers(expr: &mut Expr, layer: usize) {
    expr.for_each_piece_mut(|piece| {
        if let Kind::Symbol(Symbol::PreActivation(at) | Symbol::Activation(at)) = &mut piece.kind {
            *at = layer;
        }
    });
}

/// `a ≥ b` as `a < b`, and the other way round.
pub(super) fn inverted(expr: &Expr) -> Option<Expr> {
    let Kind::Compare(comparison, a, b) = &expr.kind else {
        return None;
    };
    let opposite = match *comparison {
        Comparison::GreaterOrEqual | Comparison::Greater => Comparison::Less,
        Comparison::LessOrEqual | Comparison::Less => Comparison::GreaterOrEqual,
        other => other,
    };
    let kind = Kind::Compare(opposite, Arc::clone(a), Arc::clone(b));
    Some(Expr::new(kind, expr.span))
}
