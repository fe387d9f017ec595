//! Renders a tree as LaTeX or plain text, so that a student can see how an answer was understood. Parsing the result
//! gives the same tree.

use std::sync::Arc;

use super::Symbol;
use super::expr::{Comparison, Expr, Function, Index, Indices, Kind, Operator};
use super::names::Letters;
use super::vocabulary::index_text;

/// The notation of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// For a math environment.
    Latex,
    /// For terminals and code.
    Plain,
}

// Precedences; a node looser than its context gets parentheses.
const COMPARE: u8 = 1;
const ADD: u8 = 2;
const TERM: u8 = 3;
const TIMES: u8 = 4;
const FACTOR: u8 = 5;
const ATOM: u8 = 6;

/// `expr` in `notation`, with the letters that the parser knows.
pub fn render(expr: &Expr, notation: Notation) -> String {
    let letters = None;
    write(expr, COMPARE, Pen { notation, letters })
}

/// The same with the letters of a course.
pub(super) fn render_with(expr: &Expr, notation: Notation, letters: &Letters<'_>) -> String {
    let letters = Some(letters);
    write(expr, COMPARE, Pen { notation, letters })
}

/// How a formula is written.
#[derive(Clone, Copy)]
struct Pen<'l> {
    notation: Notation,
    letters: Option<&'l Letters<'l>>,
}

impl Pen<'_> {
    fn is_latex(self) -> bool {
        self.notation == Notation::Latex
    }
}

fn write(expr: &Expr, place: u8, pen: Pen<'_>) -> String {
    let (text, tightness) = piece(expr, pen);
    enclosed(text, tightness, place, pen)
}

/// The text of a node, in parentheses if it is looser than its context.
fn enclosed(text: String, tightness: u8, place: u8, pen: Pen<'_>) -> String {
    if tightness >= place {
        text
    } else if pen.is_latex() {
        format!("\\left({text}\\right)")
    } else {
        format!("({text})")
    }
}

fn piece(expr: &Expr, pen: Pen<'_>) -> (String, u8) {
    let latex = pen.is_latex();
    let at = |part: &Expr, place| write(part, place, pen);
    match &expr.kind {
        Kind::Number(number) => (number.to_string(), ATOM),
        Kind::Letter(letter) => (index_text(*letter, latex), ATOM),
        Kind::Symbol(symbol) => (symbol_text(*symbol, pen), ATOM),
        Kind::Ones(None) => ("\\mathbf{1}".to_owned(), ATOM),
        Kind::Ones(Some(size)) if latex => {
            (format!("\\mathbf{{1}}_{{{}}}", at(size, COMPARE)), ATOM)
        }
        Kind::Ones(Some(size)) => (format!("ones({})", at(size, COMPARE)), ATOM),
        Kind::Select(base, indices) => (select(base, indices, pen), ATOM),
        Kind::Transpose(base) if let Some(matrix) = stacked(base) => {
            let name = if latex { "\\operatorname{vec}" } else { "vec" };
            (format!("{name}({})", at(matrix, COMPARE)), ATOM)
        }
        Kind::Transpose(base) => (transpose(base, pen), FACTOR),
        Kind::Negate(inner) => (format!("-{}", at(inner, TERM)), ADD),
        Kind::Power(base, exponent) => {
            let exponent = at(exponent, COMPARE);
            if latex && base.kind == Kind::Symbol(Symbol::Delta) {
                // Without the parentheses the exponent is a layer.
                (format!("\\left(\\delta\\right)^{{{exponent}}}"), FACTOR)
            } else if latex {
                (format!("{{{}}}^{{{exponent}}}", at(base, COMPARE)), FACTOR)
            } else {
                (format!("({})**{{{exponent}}}", at(base, COMPARE)), FACTOR)
            }
        }
        Kind::Binary(..) => row_of_operands(expr, pen),
        Kind::Mixed(first, rest) => {
            let mut text = at(first, FACTOR);
            for (operator, factor) in rest {
                text.push_str(operator_text(*operator, pen));
                text.push_str(&at(factor, FACTOR));
            }
            (text, TERM)
        }
        Kind::Compare(comparison @ (Comparison::Equal | Comparison::NotEqual), a, b) => {
            let sign = if *comparison == Comparison::Equal {
                "="
            } else if latex {
                "\\ne"
            } else {
                "!="
            };
            let name = if latex { "\\mathbb{1}" } else { "indicator" };
            (
                format!("{name}[{} {sign} {}]", at(a, ADD), at(b, ADD)),
                ATOM,
            )
        }
        Kind::Compare(comparison, a, b) => {
            let sign = match (comparison, latex) {
                (Comparison::GreaterOrEqual, true) => "\\ge",
                (Comparison::GreaterOrEqual, false) => ">=",
                (Comparison::LessOrEqual, true) => "\\le",
                (Comparison::LessOrEqual, false) => "<=",
                (Comparison::Less, _) => "<",
                _ => ">",
            };
            (format!("{} {sign} {}", at(a, ADD), at(b, ADD)), COMPARE)
        }
        Kind::Call(function, arguments)
            if let Some(text) = pen
                .letters
                .and_then(|letters| letters.of_prediction(*function, arguments, latex)) =>
        {
            (text, ATOM)
        }
        Kind::Call(function, arguments) => (call(*function, arguments, pen), ATOM),
        Kind::Sum(letter, range, body) => (sum(*letter, range.as_ref(), body, pen), TERM),
        Kind::Stack(letter, from, to, body) => (stack(*letter, from, to, body, pen), ATOM),
        Kind::Unit(index, _) => (format!("e_{{{}}}", index_name(index, pen)), ATOM),
        Kind::Range(letter, to, body) => {
            let range = format!("{}=1", index_text(*letter, latex));
            let text = if latex {
                format!(
                    "\\left[{}\\right]_{{{range}}}^{{{}}}",
                    at(body, COMPARE),
                    at(to, ADD)
                )
            } else {
                format!("[{}]_{{{range}}}^{{{}}}", at(body, COMPARE), at(to, ADD))
            };
            (text, ATOM)
        }
        Kind::Entries(row, column, body, _) => (entries(*row, *column, body, pen), ATOM),
        Kind::Rows(rows) => (matrix(rows, pen), ATOM),
        Kind::Cases(cases) => (case_text(cases, pen), ATOM),
        Kind::Derivative(of, by) => derivative(of, by, pen),
        Kind::Code(_, inner) => piece(inner, pen),
    }
}

fn derivative(of: &Expr, by: &Expr, pen: Pen<'_>) -> (String, u8) {
    let at = |part: &Expr, place| write(part, place, pen);
    if pen.is_latex() {
        let (of, by) = (at(of, COMPARE), at(by, COMPARE));
        (format!("\\frac{{\\partial {of}}}{{\\partial {by}}}"), ATOM)
    } else {
        (format!("∂{}/∂{}", at(of, ATOM), at(by, ATOM)), TIMES)
    }
}

fn symbol_text(symbol: Symbol, pen: Pen<'_>) -> String {
    let latex = pen.is_latex();
    if let Some(letters) = pen.letters
        && let Some(text) = letters.of_symbol(symbol, latex)
    {
        return text;
    }
    let layered = |name: &str, layer: usize| {
        if latex {
            format!("{name}^{{{layer}}}")
        } else {
            format!("{name}{layer}")
        }
    };
    match symbol {
        Symbol::Weights(layer) => layered("W", layer),
        Symbol::Bias(layer) => layered("b", layer),
        Symbol::PreActivation(layer) => layered("z", layer),
        Symbol::Activation(layer) => layered("h", layer),
        Symbol::Units(layer) => format!("n_{{{layer}}}"),
        Symbol::Targets => "y".to_owned(),
        Symbol::Delta => if latex { "\\delta" } else { "delta" }.to_owned(),
        Symbol::Loss => "l".to_owned(),
        Symbol::SampleLoss => "l_{:}".to_owned(),
        Symbol::BatchSize => "m".to_owned(),
        Symbol::Argument => "x".to_owned(),
        Symbol::Constant(at) => format!("c_{{{}}}", at + 1),
    }
}

fn index_name(index: &Index, pen: Pen<'_>) -> String {
    let latex = pen.is_latex();
    match index {
        Index::All => if latex { "\\cdot" } else { ":" }.to_owned(),
        Index::Number(number) => number.to_string(),
        Index::Letter(letter) => index_text(*letter, latex),
        Index::Size(symbol) => symbol_text(*symbol, pen),
    }
}

fn select(base: &Expr, indices: &Indices, pen: Pen<'_>) -> String {
    let latex = pen.is_latex();
    let one = |index: &Index| index_name(index, pen);
    let inner = match indices {
        Indices::One(index) => one(index),
        Indices::Two(row, column) => format!("{},{}", one(row), one(column)),
    };
    if base.kind == Kind::Symbol(Symbol::SampleLoss) {
        return format!("{}_{{{inner}}}", symbol_text(Symbol::Loss, pen));
    }
    let is_symbol = matches!(base.kind, Kind::Symbol(_));
    let base = write(base, if is_symbol { ATOM } else { ATOM + 1 }, pen);
    if latex {
        format!("{base}_{{{inner}}}")
    } else {
        format!("{base}[{inner}]")
    }
}

/// The matrix whose columns stand below each other in the transpose of `base`.
fn stacked(base: &Expr) -> Option<&Expr> {
    let Kind::Call(Function::Flatten, arguments) = &base.kind else {
        return None;
    };
    match &arguments[..] {
        [
            Expr {
                kind: Kind::Transpose(matrix),
                ..
            },
        ] => Some(matrix),
        _ => None,
    }
}

fn transpose(base: &Expr, pen: Pen<'_>) -> String {
    if !pen.is_latex() {
        return format!("{}.T", write(base, FACTOR, pen));
    }
    match &base.kind {
        Kind::Symbol(Symbol::Delta | Symbol::Targets) => {
            format!("{}^\\top", write(base, ATOM, pen))
        }
        Kind::Symbol(
            symbol @ (Symbol::Weights(_)
            | Symbol::Bias(_)
            | Symbol::PreActivation(_)
            | Symbol::Activation(_)),
        ) => {
            let text = symbol_text(*symbol, pen);
            match text.strip_suffix('}') {
                Some(layer) if text.contains("^{") => format!("{layer}\\top}}"),
                _ if text.chars().all(char::is_alphanumeric) => format!("{text}^\\top"),
                _ => format!("{{{text}}}^\\top"),
            }
        }
        Kind::Symbol(_) | Kind::Select(..) | Kind::Transpose(_) | Kind::Rows(_) => {
            format!("{{{}}}^\\top", write(base, COMPARE, pen))
        }
        _ => format!("{}^\\top", write(base, ATOM + 1, pen)),
    }
}

fn operator_text(operator: Operator, pen: Pen<'_>) -> &'static str {
    match (operator, pen.notation) {
        (Operator::Add, _) => " + ",
        (Operator::Subtract, _) => " - ",
        (Operator::Times, Notation::Latex) => " ",
        (Operator::Times, Notation::Plain) => " @ ",
        (Operator::Hadamard, Notation::Latex) => " \\odot ",
        (Operator::Hadamard, Notation::Plain) => " * ",
        (Operator::Divide, _) => " / ",
    }
}

/// The most divisions of one row to render as fractions; more nested fractions would exceed the parser's depth.
const MOST_FRACTIONS: usize = 8;

/// A row of operands, from its first to its last.
fn row_of_operands(expr: &Expr, pen: Pen<'_>) -> (String, u8) {
    let (spine, first) = expr.spine();
    let is_division = |piece: &&&Expr| matches!(piece.kind, Kind::Binary(Operator::Divide, ..));
    let as_fractions = pen.is_latex() && spine.iter().filter(is_division).count() <= MOST_FRACTIONS;
    let (mut text, mut tightness) = piece(first, pen);
    let mut before = None;
    for piece in spine.into_iter().rev() {
        let Kind::Binary(operator, _, right) = &piece.kind else {
            continue;
        };
        let (left_place, right_place, own) = match operator {
            Operator::Add | Operator::Subtract => (ADD, TERM, ADD),
            Operator::Hadamard if before == Some(Operator::Hadamard) => (TERM, FACTOR, TERM),
            // Products beside ⊙ get parentheses, so that the reading is not ambiguous.
            Operator::Hadamard => (FACTOR, FACTOR, TERM),
            Operator::Divide if as_fractions => (COMPARE, COMPARE, ATOM),
            Operator::Times | Operator::Divide => (TIMES, FACTOR, TIMES),
        };
        let (left, right) = (
            enclosed(text, tightness, left_place, pen),
            write(right, right_place, pen),
        );
        text = if *operator == Operator::Divide && as_fractions {
            format!("\\frac{{{left}}}{{{right}}}")
        } else {
            left + operator_text(*operator, pen) + &right
        };
        tightness = own;
        before = Some(*operator);
    }
    (text, tightness)
}

fn call(function: Function, arguments: &[Expr], pen: Pen<'_>) -> String {
    let latex = pen.is_latex();
    let (name, prime, suffix) = match function {
        Function::Sigma => ("sigma", "", ""),
        Function::SigmaPrime => ("sigma", "'", ""),
        Function::Relu => ("relu", "", ""),
        Function::ReluPrime => ("relu", "'", ""),
        Function::Sigmoid => ("sigmoid", "", ""),
        Function::Tanh => ("tanh", "", ""),
        Function::TanhPrime => ("tanh", "'", ""),
        Function::Exp => ("exp", "", ""),
        Function::Log => ("log", "", ""),
        Function::Sqrt => ("sqrt", "", ""),
        Function::Abs => ("abs", "", ""),
        Function::Sign => ("sign", "", ""),
        Function::Step => ("step", "", ""),
        Function::Softmax => ("softmax", "", ""),
        Function::Diag => ("diag", "", ""),
        Function::Max => ("max", "", ""),
        Function::Min => ("min", "", ""),
        Function::ColumnSums => ("sum", "", ", axis=0"),
        Function::RowSums => ("sum", "", ", axis=1"),
        Function::Total => ("sum", "", ""),
        Function::Trace => ("tr", "", ""),
        Function::Outer => {
            return product(
                arguments,
                if latex { " \\otimes " } else { " otimes " },
                pen,
            );
        }
        Function::Dot => {
            return product(arguments, if latex { " \\cdot " } else { " . " }, pen);
        }
        Function::Flatten => ("flatten", "", ""),
        Function::Reshape => ("reshape", "", ""),
        Function::DiagonalOf => ("diagonal", "", ""),
    };
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| write(argument, COMPARE, pen))
        .collect();
    let name = match (latex, name) {
        (_, "sigma" | "sigmoid")
            if let Some(own) = pen
                .letters
                .and_then(|letters| letters.of_function(name, latex)) =>
        {
            own
        }
        (true, "sigma" | "tanh" | "exp" | "log" | "max" | "min") => format!("\\{name}"),
        (true, _) => format!("\\operatorname{{{name}}}"),
        (false, _) => name.to_owned(),
    };
    format!("{name}{prime}({}{suffix})", arguments.join(", "))
}

/// A product of two with a sign of its own, in parentheses.
fn product(arguments: &[Expr], sign: &str, pen: Pen<'_>) -> String {
    let factors: Vec<String> = arguments
        .iter()
        .map(|argument| write(argument, FACTOR, pen))
        .collect();
    enclosed(factors.join(sign), TIMES, ATOM, pen)
}

fn sum(letter: char, range: Option<&(Arc<Expr>, Arc<Expr>)>, body: &Expr, pen: Pen<'_>) -> String {
    let sign = if pen.is_latex() { "\\sum" } else { "sum" };
    let body = write(body, TERM, pen);
    let letter = index_text(letter, pen.is_latex());
    match range {
        None => format!("{sign}_{{{letter}}} {body}"),
        Some((from, to)) => {
            let (from, to) = (write(from, ADD, pen), write(to, ADD, pen));
            format!("{sign}_{{{letter}={from}}}^{{{to}}} {body}")
        }
    }
}

fn row_text(row: &[Expr], pen: Pen<'_>) -> String {
    let entries: Vec<String> = row.iter().map(|entry| write(entry, COMPARE, pen)).collect();
    entries.join(match pen.notation {
        Notation::Latex => " & ",
        Notation::Plain => ", ",
    })
}

fn matrix(rows: &[Vec<Expr>], pen: Pen<'_>) -> String {
    let lines = match pen.notation {
        Notation::Latex => " \\\\ ",
        Notation::Plain => "; ",
    };
    // Brackets directly in brackets would be rows of a matrix.
    if let ([row], Notation::Plain) = (rows, pen.notation)
        && row.iter().all(|entry| matches!(entry.kind, Kind::Rows(_)))
    {
        let entries: Vec<String> = row
            .iter()
            .map(|entry| write(entry, ATOM + 1, pen))
            .collect();
        return format!("[{}]", entries.join(", "));
    }
    let rows: Vec<String> = rows.iter().map(|row| row_text(row, pen)).collect();
    let inner = rows.join(lines);
    match pen.notation {
        Notation::Latex => format!("\\begin{{bmatrix}} {inner} \\end{{bmatrix}}"),
        Notation::Plain => format!("[{inner}]"),
    }
}

/// `[a_{ij}]_{ij}`.
fn entries(row: Option<char>, column: Option<char>, body: &Expr, pen: Pen<'_>) -> String {
    let latex = pen.is_latex();
    let text = |letter: Option<char>| letter.map_or("1".to_owned(), |own| index_text(own, latex));
    let letters = if row == column {
        text(row)
    } else {
        format!("{},{}", text(row), text(column))
    };
    let body = write(body, COMPARE, pen);
    if latex {
        format!("\\left[{body}\\right]_{{{letters}}}")
    } else {
        format!("[{body}]_{{{letters}}}")
    }
}

/// The first and the last row, with dots between them.
fn stack(letter: char, from: &Expr, to: &Expr, body: &Expr, pen: Pen<'_>) -> String {
    let row = |index: &Expr| {
        let index = match index.kind {
            Kind::Symbol(symbol) => Index::Size(symbol),
            Kind::Number(number) => Index::Number(number as usize),
            _ => Index::All,
        };
        let row = body.with_index(letter, index);
        match &row.kind {
            Kind::Rows(rows) if rows.len() == 1 => row_text(&rows[0], pen),
            _ => write(&row, COMPARE, pen),
        }
    };
    let (first, last) = (row(from), row(to));
    match pen.notation {
        Notation::Latex => {
            format!("\\begin{{bmatrix}} {first} \\\\ \\vdots \\\\ {last} \\end{{bmatrix}}")
        }
        Notation::Plain => format!("[{first}; \\dots; {last}]"),
    }
}

fn case_text(cases: &[(Expr, Option<Expr>)], pen: Pen<'_>) -> String {
    let part = |expr: &Expr| write(expr, COMPARE, pen);
    // In parentheses, since a comparison in front would be the condition.
    let value_text = |expr: &Expr| write(expr, ADD, pen);
    if !pen.is_latex()
        && let [(a, Some(condition)), (b, None)] = cases
    {
        return format!("where({}, {}, {})", part(condition), part(a), part(b));
    }
    let lines: Vec<String> = cases
        .iter()
        .map(|(value, condition)| match condition {
            Some(condition) => format!("{} & {}", value_text(value), part(condition)),
            None => format!("{} & \\text{{otherwise}}", value_text(value)),
        })
        .collect();
    format!("\\begin{{cases}} {} \\end{{cases}}", lines.join(" \\\\ "))
}
