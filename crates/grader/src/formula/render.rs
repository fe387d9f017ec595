//! Renders a tree as LaTeX or plain text, so that a student can see how an answer was understood. Parsing the result
//! gives the same tree.

use super::Symbol;
use super::expr::{Comparison, Expr, Function, Index, Indices, Kind, Operator};
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

/// `expr` in `notation`.
pub fn render(expr: &Expr, notation: Notation) -> String {
    write(expr, COMPARE, notation)
}

fn write(expr: &Expr, place: u8, notation: Notation) -> String {
    let (text, tightness) = piece(expr, notation);
    enclosed(text, tightness, place, notation)
}

/// The text of a node, in parentheses if it is looser than its context.
fn enclosed(text: String, tightness: u8, place: u8, notation: Notation) -> String {
    if tightness >= place {
        text
    } else if notation == Notation::Latex {
        format!("\\left({text}\\right)")
    } else {
        format!("({text})")
    }
}

fn piece(expr: &Expr, notation: Notation) -> (String, u8) {
    let latex = notation == Notation::Latex;
    let at = |part: &Expr, place| write(part, place, notation);
    match &expr.kind {
        Kind::Number(number) => (number.to_string(), ATOM),
        Kind::Letter(letter) => (index_text(*letter, latex), ATOM),
        Kind::Symbol(symbol) => (symbol_text(*symbol, notation), ATOM),
        Kind::Ones(None) => ("\\mathbf{1}".to_owned(), ATOM),
        Kind::Ones(Some(size)) if latex => {
            (format!("\\mathbf{{1}}_{{{}}}", at(size, COMPARE)), ATOM)
        }
        Kind::Ones(Some(size)) => (format!("ones({})", at(size, COMPARE)), ATOM),
        Kind::Select(base, indices) => (select(base, indices, notation), ATOM),
        Kind::Transpose(base) => (transpose(base, notation), FACTOR),
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
        Kind::Binary(..) => row_of_operands(expr, notation),
        Kind::Mixed(first, rest) => {
            let mut text = at(first, FACTOR);
            for (operator, factor) in rest {
                text.push_str(operator_text(*operator, notation));
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
        Kind::Call(function, arguments) => (call(*function, arguments, notation), ATOM),
        Kind::Sum(letter, range, body) => (sum(*letter, range.as_ref(), body, notation), TERM),
        Kind::Stack(letter, from, to, body) => (stack(*letter, from, to, body, notation), ATOM),
        Kind::Unit(index, _) => (format!("e_{{{}}}", index_name(index, notation)), ATOM),
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
        Kind::Entries(row, column, body, _) => (entries(*row, *column, body, notation), ATOM),
        Kind::Rows(rows) => (matrix(rows, notation), ATOM),
        Kind::Cases(cases) => (case_text(cases, notation), ATOM),
        Kind::Derivative(of, by) if latex => (
            format!(
                "\\frac{{\\partial {}}}{{\\partial {}}}",
                at(of, COMPARE),
                at(by, COMPARE)
            ),
            ATOM,
        ),
        Kind::Derivative(of, by) => (format!("∂{}/∂{}", at(of, ATOM), at(by, ATOM)), TIMES),
        Kind::Code(_, inner) => piece(inner, notation),
    }
}

fn symbol_text(symbol: Symbol, notation: Notation) -> String {
    let latex = notation == Notation::Latex;
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

fn index_name(index: &Index, notation: Notation) -> String {
    let latex = notation == Notation::Latex;
    match index {
        Index::All => if latex { "\\cdot" } else { ":" }.to_owned(),
        Index::Number(number) => number.to_string(),
        Index::Letter(letter) => index_text(*letter, latex),
        Index::Size(symbol) => symbol_text(*symbol, notation),
    }
}

fn select(base: &Expr, indices: &Indices, notation: Notation) -> String {
    let latex = notation == Notation::Latex;
    let one = |index: &Index| index_name(index, notation);
    let inner = match indices {
        Indices::One(index) => one(index),
        Indices::Two(row, column) => format!("{},{}", one(row), one(column)),
    };
    if base.kind == Kind::Symbol(Symbol::SampleLoss) {
        return format!("l_{{{inner}}}");
    }
    let is_symbol = matches!(base.kind, Kind::Symbol(_));
    let base = write(base, if is_symbol { ATOM } else { ATOM + 1 }, notation);
    if latex {
        format!("{base}_{{{inner}}}")
    } else {
        format!("{base}[{inner}]")
    }
}

fn transpose(base: &Expr, notation: Notation) -> String {
    if notation == Notation::Plain {
        return format!("{}.T", write(base, FACTOR, notation));
    }
    match &base.kind {
        Kind::Symbol(Symbol::Delta | Symbol::Targets) => {
            format!("{}^\\top", write(base, ATOM, notation))
        }
        Kind::Symbol(
            symbol @ (Symbol::Weights(_)
            | Symbol::Bias(_)
            | Symbol::PreActivation(_)
            | Symbol::Activation(_)),
        ) => symbol_text(*symbol, notation).replace('}', "\\top}"),
        Kind::Symbol(_) | Kind::Select(..) | Kind::Transpose(_) | Kind::Rows(_) => {
            format!("{{{}}}^\\top", write(base, COMPARE, notation))
        }
        _ => format!("{}^\\top", write(base, ATOM + 1, notation)),
    }
}

fn operator_text(operator: Operator, notation: Notation) -> &'static str {
    match (operator, notation) {
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
fn row_of_operands(expr: &Expr, notation: Notation) -> (String, u8) {
    let (spine, first) = expr.spine();
    let is_division = |piece: &&&Expr| matches!(piece.kind, Kind::Binary(Operator::Divide, ..));
    let as_fractions =
        notation == Notation::Latex && spine.iter().filter(is_division).count() <= MOST_FRACTIONS;
    let (mut text, mut tightness) = piece(first, notation);
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
            enclosed(text, tightness, left_place, notation),
            write(right, right_place, notation),
        );
        text = if *operator == Operator::Divide && as_fractions {
            format!("\\frac{{{left}}}{{{right}}}")
        } else {
            left + operator_text(*operator, notation) + &right
        };
        tightness = own;
        before = Some(*operator);
    }
    (text, tightness)
}

fn call(function: Function, arguments: &[Expr], notation: Notation) -> String {
    let latex = notation == Notation::Latex;
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
                notation,
            );
        }
        Function::Dot => {
            return product(arguments, if latex { " \\cdot " } else { " . " }, notation);
        }
        Function::Flatten => ("flatten", "", ""),
        Function::Reshape => ("reshape", "", ""),
        Function::DiagonalOf => ("diagonal", "", ""),
    };
    let arguments: Vec<String> = arguments
        .iter()
        .map(|argument| write(argument, COMPARE, notation))
        .collect();
    let name = match (latex, name) {
        (true, "sigma" | "tanh" | "exp" | "log" | "max" | "min") => format!("\\{name}"),
        (true, _) => format!("\\operatorname{{{name}}}"),
        (false, _) => name.to_owned(),
    };
    format!("{name}{prime}({}{suffix})", arguments.join(", "))
}

/// A product of two with a sign of its own, in parentheses.
fn product(arguments: &[Expr], sign: &str, notation: Notation) -> String {
    let factors: Vec<String> = arguments
        .iter()
        .map(|argument| write(argument, FACTOR, notation))
        .collect();
    enclosed(factors.join(sign), TIMES, ATOM, notation)
}

fn sum(
    letter: char,
    range: Option<&(Box<Expr>, Box<Expr>)>,
    body: &Expr,
    notation: Notation,
) -> String {
    let sign = if notation == Notation::Latex {
        "\\sum"
    } else {
        "sum"
    };
    let body = write(body, TERM, notation);
    let letter = index_text(letter, notation == Notation::Latex);
    match range {
        None => format!("{sign}_{{{letter}}} {body}"),
        Some((from, to)) => {
            let (from, to) = (write(from, ADD, notation), write(to, ADD, notation));
            format!("{sign}_{{{letter}={from}}}^{{{to}}} {body}")
        }
    }
}

fn row_text(row: &[Expr], notation: Notation) -> String {
    let entries: Vec<String> = row
        .iter()
        .map(|entry| write(entry, COMPARE, notation))
        .collect();
    entries.join(match notation {
        Notation::Latex => " & ",
        Notation::Plain => ", ",
    })
}

fn matrix(rows: &[Vec<Expr>], notation: Notation) -> String {
    let lines = match notation {
        Notation::Latex => " \\\\ ",
        Notation::Plain => "; ",
    };
    // Brackets directly in brackets would be rows of a matrix.
    if let ([row], Notation::Plain) = (rows, notation)
        && row.iter().all(|entry| matches!(entry.kind, Kind::Rows(_)))
    {
        let entries: Vec<String> = row
            .iter()
            .map(|entry| write(entry, ATOM + 1, notation))
            .collect();
        return format!("[{}]", entries.join(", "));
    }
    let rows: Vec<String> = rows.iter().map(|row| row_text(row, notation)).collect();
    let inner = rows.join(lines);
    match notation {
        Notation::Latex => format!("\\begin{{bmatrix}} {inner} \\end{{bmatrix}}"),
        Notation::Plain => format!("[{inner}]"),
    }
}

/// `[a_{ij}]_{ij}`.
fn entries(row: Option<char>, column: Option<char>, body: &Expr, notation: Notation) -> String {
    let latex = notation == Notation::Latex;
    let text = |letter: Option<char>| letter.map_or("1".to_owned(), |own| index_text(own, latex));
    let letters = if row == column {
        text(row)
    } else {
        format!("{},{}", text(row), text(column))
    };
    let body = write(body, COMPARE, notation);
    if latex {
        format!("\\left[{body}\\right]_{{{letters}}}")
    } else {
        format!("[{body}]_{{{letters}}}")
    }
}

/// The first and the last row, with dots between them.
fn stack(letter: char, from: &Expr, to: &Expr, body: &Expr, notation: Notation) -> String {
    let row = |index: &Expr| {
        let index = match index.kind {
            Kind::Symbol(symbol) => Index::Size(symbol),
            Kind::Number(number) => Index::Number(number as usize),
            _ => Index::All,
        };
        let row = body.with_index(letter, index);
        match &row.kind {
            Kind::Rows(rows) if rows.len() == 1 => row_text(&rows[0], notation),
            _ => write(&row, COMPARE, notation),
        }
    };
    let (first, last) = (row(from), row(to));
    match notation {
        Notation::Latex => {
            format!("\\begin{{bmatrix}} {first} \\\\ \\vdots \\\\ {last} \\end{{bmatrix}}")
        }
        Notation::Plain => format!("[{first}; \\dots; {last}]"),
    }
}

fn case_text(cases: &[(Expr, Option<Expr>)], notation: Notation) -> String {
    let part = |expr: &Expr| write(expr, COMPARE, notation);
    // In parentheses, since a comparison in front would be the condition.
    let value_text = |expr: &Expr| write(expr, ADD, notation);
    if notation == Notation::Plain
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
