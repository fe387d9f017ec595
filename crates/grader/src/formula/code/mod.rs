//! Formulas written as a program: numpy, torch, MATLAB, Julia, sympy.
//!
//! # What makes a text code
//! One of the signs in [`signs`]: a module's name with a dot (`np.`), a keyword of a statement (`def`, `return`,
//! `import`, `lambda`, `for … in`), an index that only counts from 0 (`h2[0, 1]`, `[-1]`), a slice with limits, `None`
//! among indices, a named argument (`axis=`), a method (`.astype(…)`), several assignments below each other, or an
//! elementwise operator with a dot (`.*`). Indices of code count from 0, those of MATLAB and Julia from 1. Any other
//! text is mathematics, and its indices count from 1. Plain text that Python could read as well, such as
//! `delta * W3`, is read as mathematics first and then as Python.

mod assertions;
mod detect;
mod einsum;
mod elementwise;
mod evaluate;
mod execute;
mod indexing;
mod join;
mod lex;
mod library;
mod loops;
mod methods;
mod names;
mod parse;
mod product;
mod reduce;
mod statements;
mod syntax;
mod value;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::chain::{OtherReading, Side};
use super::expr::{Expr, Kind, Semantics};
use super::text::{Named, StatedShape};
use super::{Fault, FormulaError, MAX_HEIGHT, Scope, Span};
pub(super) use detect::counts_from_zero;
use detect::{Signs, signs};
use execute::Program;
pub(super) use names::named_gradient;
use syntax::Dialect;

/// A program as it was read.
pub struct Reading {
    /// Its value.
    pub side: Side,
    /// The shapes that it asserts.
    pub shapes: Vec<StatedShape>,
    /// The derivative that the name of its value stands for.
    pub named: Option<Named>,
}

/// Reads a text as a program; `None` if it is not code.
pub fn read(text: &str, scope: &Scope) -> Option<Result<Reading, FormulaError>> {
    let (text, offset) = detect::without_fence(text);
    let reading = match signs(text) {
        Signs::Code(dialect) => read_as(text, scope, dialect, false),
        Signs::Plain(_) | Signs::None => return None,
    };
    Some(shifted(reading, offset))
}

/// Whether a text with the signs of code is a program from its first to its last character.
pub(super) fn is_program(text: &str) -> bool {
    match signs(text) {
        Signs::Code(dialect) => lex::lex(text, dialect)
            .and_then(|lines| statements::statements(&lines, dialect))
            .is_ok(),
        Signs::Plain(_) | Signs::None => false,
    }
}

/// A second reading, as a program, of a text that is read as mathematics first; `None` if there is none.
pub fn read_plain(text: &str, scope: &Scope) -> Option<Side> {
    let (text, offset) = detect::without_fence(text);
    match signs(text) {
        Signs::Plain(dialect) => shifted(read_as(text, scope, dialect, true), offset)
            .ok()
            .map(|reading| reading.side),
        Signs::Code(_) | Signs::None => None,
    }
}

/// Moves the spans to where the program stands in the whole text.
fn shifted(reading: Result<Reading, FormulaError>, offset: usize) -> Result<Reading, FormulaError> {
    let shift = |span: &mut Span| {
        span.start += offset;
        span.end += offset;
    };
    match reading {
        Ok(mut reading) => {
            shift(&mut reading.side.span);
            if let Ok(expr) = &mut reading.side.expr {
                expr.for_each_piece_mut(|piece| shift(&mut piece.span));
            }
            for shape in &mut reading.shapes {
                shift(&mut shape.span);
            }
            if let Some(named) = &mut reading.named {
                shift(&mut named.span);
                shift(&mut named.by.span);
            }
            Ok(reading)
        }
        Err(mut error) => {
            shift(&mut error.span);
            Err(error)
        }
    }
}

fn read_as(
    text: &str,
    scope: &Scope,
    dialect: Dialect,
    plain: bool,
) -> Result<Reading, FormulaError> {
    if text.len() > super::MAX_BYTES {
        let message = format!(
            "The code has {} bytes; at most {} are read. Write it shorter.",
            text.len(),
            super::MAX_BYTES
        );
        let end = text.len();
        return Err(FormulaError::new(
            Fault::TooLarge,
            Span { start: 0, end },
            message,
        ));
    }
    let lines = lex::lex(text, dialect)?;
    let statements = statements::statements(&lines, dialect)?;
    let mut program = Program::new(scope, dialect, plain);
    let array = program.answer(&statements, text.len())?;
    let assertions = std::mem::take(&mut program.assertions);
    let named = program.named.take().and_then(|(name, span)| {
        named_gradient(&name, scope).map(|symbol| Named::of_name(symbol, span))
    });
    let mut advice = program.advice();
    if array.rank == 1 {
        advice.push("The code gives an array with one axis, neither a row nor a column; its entries decide.".to_owned());
    }
    let semantics = if dialect.has_dots() {
        Semantics::Matlab
    } else {
        Semantics::Numpy
    };
    let span = array.expr.span;
    if array.expr.height() + 4 > MAX_HEIGHT {
        let message = format!(
            "More than {MAX_HEIGHT} pieces of the formula lie inside each other. Write it flatter."
        );
        return Err(FormulaError::new(Fault::TooLarge, span, message));
    }
    let code = |expr: Expr| Expr::new(Kind::Code(semantics, Arc::new(expr)), span);
    // An array of rank 1 is neither a row nor a column: either is right.
    let mut others = Vec::new();
    if array.rank == 1 && array.sizes != (value::ONE, value::ONE) {
        let other = if array.column {
            array.clone().into_row()
        } else {
            array.clone().into_column()
        };
        others.push(OtherReading {
            expr: code(other.expr),
            is_fallback: false,
            advice: advice.clone(),
        });
    }
    let shapes = assertions
        .into_iter()
        .map(|assertion| StatedShape {
            of: (assertion.array != array.expr).then(|| code(assertion.array)),
            rows: Some(assertion.rows),
            columns: Some(assertion.columns),
            span: assertion.span,
        })
        .collect();
    let side = Side {
        span,
        expr: Ok(code(array.expr)),
        others,
        advice,
    };
    Ok(Reading {
        side,
        shapes,
        named,
    })
}

/// Puts a reading as code behind the last side, for where that has no value as mathematics.
pub fn beside(sides: &mut Vec<Side>, code: Side) {
    let Some(last) = sides.last_mut() else {
        sides.push(code);
        return;
    };
    if last.expr.is_err() {
        *last = code;
    } else if let Ok(expr) = code.expr {
        let others = code.others.into_iter().map(|other| other.expr);
        for expr in std::iter::once(expr).chain(others) {
            last.others.push(OtherReading {
                expr,
                is_fallback: true,
                advice: code.advice.clone(),
            });
        }
    }
}
