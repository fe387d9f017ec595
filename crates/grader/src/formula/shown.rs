//! A formula as it is shown to its author: with `*` where numbers are multiplied, and with the author's own brackets around
//! a layer.

use std::sync::Arc;

use super::expr::{Expr, Function, Index, Indices, Kind, Operator};
use super::names::Letters;
use super::render::render_with;
use super::{Bindings, Notation, Scope, Span, render};

/// `expr` in LaTeX, with the course's letters and with layers as in `text`: `W^{(3)}`, `W^{[3]}` or `W^{3}`.
pub fn shown_in_latex(expr: &Expr, text: &str, scope: &Scope) -> String {
    let letters = Letters::of(scope, text);
    let latex = match &letters {
        Some(letters) => render_with(expr, Notation::Latex, letters),
        None => render(expr, Notation::Latex),
    };
    let with_layers = match &letters {
        Some(letters) => letters.with_layers(),
        None => ["W", "b", "z", "h"].map(str::to_owned).to_vec(),
    };
    let brackets = if text.contains("^{(") || text.contains("^(") || text.contains('⁽') {
        ("(", ")")
    } else if text.contains("^{[") || text.contains("^[") {
        ("[", "]")
    } else {
        return latex;
    };
    let mut shown = String::with_capacity(latex.len() + 16);
    let mut rest = &latex[..];
    while let Some(at) = rest.find("^{") {
        let (before, script) = (&rest[..at], &rest[at + 2..]);
        shown.push_str(before);
        let is_layered = with_layers
            .iter()
            .any(|letter| before.ends_with(letter.as_str()));
        let digits = script.bytes().take_while(u8::is_ascii_digit).count();
        if is_layered && digits > 0 && script[digits..].starts_with(['}', '\\']) {
            shown.push_str("^{");
            shown.push_str(brackets.0);
            shown.push_str(&script[..digits]);
            shown.push_str(brackets.1);
            rest = &script[digits..];
        } else {
            shown.push_str("^{");
            rest = script;
        }
    }
    shown.push_str(rest);
    shown
}

/// `expr` in plain text, where `@` stands between matrices only. The shapes are those of `bindings`.
pub fn shown_in_plain(expr: &Expr, text: &str, scope: &Scope, bindings: &dyn Bindings) -> String {
    let mut shown = expr.clone();
    Shapes { bindings }.mark(&mut shown);
    match Letters::of(scope, text) {
        Some(letters) => render_with(&shown, Notation::Plain, &letters),
        None => render(&shown, Notation::Plain),
    }
}

/// A shape, if it is known without evaluating.
type Shape = Option<(usize, usize)>;
const NUMBER: Shape = Some((1, 1));

struct Shapes<'b> {
    bindings: &'b dyn Bindings,
}

impl Shapes<'_> {
    /// Makes every product with a number elementwise, which is the same value, and gives the shape.
    fn mark(&self, expr: &mut Expr) -> Shape {
        // A row of operands is walked, because it may be a thousand long.
        let mut row = Vec::new();
        let leaf = || Expr::new(Kind::Number(0.0), Span::default());
        let mut base = std::mem::replace(expr, leaf());
        while let Kind::Binary(operator, left, right) = &mut base.kind {
            let left = std::mem::replace(Arc::make_mut(left), leaf());
            let right = std::mem::replace(Arc::make_mut(right), leaf());
            row.push((*operator, right, base.span));
            base = left;
        }
        let mut shape = self.mark_piece(&mut base);
        while let Some((operator, mut right, span)) = row.pop() {
            let other = self.mark(&mut right);
            let has_number = shape == NUMBER || other == NUMBER;
            let shown = if operator == Operator::Times && has_number {
                Operator::Hadamard
            } else {
                operator
            };
            shape = match (operator, shape, other) {
                (_, NUMBER, other) => other,
                (_, own, NUMBER) => own,
                (Operator::Times, Some((rows, _)), Some((_, columns))) => Some((rows, columns)),
                (Operator::Times, ..) => None,
                (_, own, other) => own.or(other),
            };
            base = Expr::new(Kind::Binary(shown, Arc::new(base), Arc::new(right)), span);
        }
        *expr = base;
        shape
    }

    fn mark_piece(&self, piece: &mut Expr) -> Shape {
        let shapes: Vec<Shape> = piece
            .parts_mut()
            .into_iter()
            .map(|part| self.mark(part))
            .collect();
        let first = shapes.first().copied().flatten();
        match &piece.kind {
            Kind::Number(_) | Kind::Letter(_) => NUMBER,
            Kind::Symbol(symbol) => self.bindings.value(*symbol).map(super::Matrix::shape),
            Kind::Select(_, indices) => selected(first?, indices),
            Kind::Transpose(_) => first.map(|(rows, columns)| (columns, rows)),
            Kind::Negate(_) | Kind::Power(..) => first,
            Kind::Compare(..) => shapes.iter().copied().flatten().max(),
            Kind::Call(function, _) => match function {
                Function::Total | Function::Trace => NUMBER,
                Function::Diag
                | Function::ColumnSums
                | Function::RowSums
                | Function::Outer
                | Function::Dot => None,
                _ => first,
            },
            Kind::Sum(..) => shapes.last().copied().flatten(),
            Kind::Derivative(..) => match shapes[..] {
                [NUMBER, below] => below,
                [above, NUMBER] => above,
                _ => None,
            },
            Kind::Cases(_) => shapes.iter().copied().flatten().max(),
            _ => None,
        }
    }
}

fn selected((rows, columns): (usize, usize), indices: &Indices) -> Shape {
    let size = |index: &Index, all: usize| if *index == Index::All { all } else { 1 };
    Some(match indices {
        Indices::Two(row, column) => (size(row, rows), size(column, columns)),
        Indices::One(index) if columns == 1 => (size(index, rows), 1),
        Indices::One(index) if rows == 1 => (1, size(index, columns)),
        Indices::One(index) => (size(index, rows), columns),
    })
}

#[cfg(test)]
mod tests {
    use super::shown_in_latex;
    use crate::formula::{Scope, parse};

    #[test]
    fn layers_are_shown_in_the_author_s_brackets() {
        let scope = Scope {
            depth: 3,
            ..Scope::default()
        };
        for (text, shown) in [
            (r"(W^{(3)})^\top z^{(2)}_1", r"W^{(3)\top} z^{(2)}_{1}"),
            (r"W^{[3]} 2^{2}", r"W^{[3]} {2}^{2}"),
            (r"W_3 h^2", "W^{3} h^{2}"),
        ] {
            let mut chains = parse(text, &scope).expect("tokens");
            let side = chains[0].remove(0);
            let expr = side.expr.expect("a formula");
            assert_eq!(shown_in_latex(&expr, text, &scope), shown);
        }
    }
}
