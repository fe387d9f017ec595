//! The tree of a formula.

use super::{Span, Symbol};

/// A piece of a formula and where it was written. Equality is about what it says, not where.
///
/// A row of a thousand factors or terms is a tree that leans to the left, a thousand levels deep. So no walk over trees
/// recurses down the left side of [`Kind::Binary`]; down everything else it may, since [`Self::height`] is bounded.
/// The module `tree` has the walks that the compiler would derive with a recursion.
pub struct Expr {
    /// What it says.
    pub kind: Kind,
    /// Where it was written.
    pub span: Span,
    /// By what number a [`super::Memory`] knows its value; 0 where none does. A copy keeps the number, and a piece that
    /// gives out its parts to be changed loses it.
    pub(super) number: u32,
    /// As [`Self::height`] tells it.
    pub(super) height: u32,
}

/// What a piece of a formula says.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number.
    Number(f64),
    /// A quantity of the network.
    Symbol(Symbol),
    /// The value of an index, as in `[q = i]`.
    Letter(char),
    /// A column of ones, as long as `Some` size or as the batch.
    Ones(Option<Box<Expr>>),
    /// One entry, a row or a column.
    Select(Box<Expr>, Indices),
    /// Rows become columns.
    Transpose(Box<Expr>),
    /// The opposite sign.
    Negate(Box<Expr>),
    /// A scalar's, or elementwise, power.
    Power(Box<Expr>, Box<Expr>),
    /// Two operands.
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// Factors joined by ⊙ and by products without parentheses: to be read by [`super::readings`].
    Mixed(Box<Expr>, Vec<(Operator, Expr)>),
    /// 1 where it holds, else 0.
    Compare(Comparison, Box<Expr>, Box<Expr>),
    /// A function of its arguments.
    Call(Function, Vec<Expr>),
    /// Σ over an index, from and to; without limits where the body tells them.
    Sum(char, Option<(Box<Expr>, Box<Expr>)>, Box<Expr>),
    /// A row for every value of an index, from and to: what the dots of a matrix stand for.
    Stack(char, Box<Expr>, Box<Expr>, Box<Expr>),
    /// Rows of blocks.
    Rows(Vec<Vec<Expr>>),
    /// The value of the first case whose condition holds, entry by entry.
    Cases(Vec<(Expr, Option<Expr>)>),
    /// ∂ of the first with respect to the second.
    Derivative(Box<Expr>, Box<Expr>),
}

/// The indices behind a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indices {
    /// One index: of a row or a column, or a row of a matrix.
    One(Index),
    /// Row and column.
    Two(Index, Index),
}

/// One index, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Index {
    /// `·` or `:`.
    All,
    /// An integer.
    Number(usize),
    /// A letter.
    Letter(char),
    /// m or nᵢ.
    Size(Symbol),
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Entry by entry.
    Add,
    /// Entry by entry.
    Subtract,
    /// The matrix product, or scaling where a side is a scalar.
    Times,
    /// Entry by entry, ⊙.
    Hadamard,
    /// By a scalar.
    Divide,
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// ≥
    GreaterOrEqual,
    /// >
    Greater,
    /// ≤
    LessOrEqual,
    /// <
    Less,
    /// =
    Equal,
    /// ≠
    NotEqual,
}

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// The network's own activation.
    Sigma,
    /// Its derivative.
    SigmaPrime,
    /// max(z, 0).
    Relu,
    /// Its derivative.
    ReluPrime,
    /// 1/(1 + e⁻ᶻ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// Its derivative.
    TanhPrime,
    /// eᶻ.
    Exp,
    /// The natural logarithm.
    Log,
    /// The square root.
    Sqrt,
    /// |z|.
    Abs,
    /// −1, 0 or 1.
    Sign,
    /// 1 where z ≥ 0.
    Step,
    /// Of each row.
    Softmax,
    /// The square matrix with a row on its diagonal, or the diagonal of a square matrix as a row.
    Diag,
    /// Entry by entry the larger one.
    Max,
    /// Entry by entry the smaller one.
    Min,
    /// The sum over the rows, as a row.
    ColumnSums,
    /// The sum over the columns, as a column.
    RowSums,
    /// The sum of all entries.
    Total,
}

impl Expr {
    /// A piece written at `span`.
    pub fn new(kind: Kind, span: Span) -> Self {
        let height = kind.height();
        Self {
            kind,
            span,
            number: 0,
            height,
        }
    }

    /// How deep a walk over it recurses: how many pieces lie inside each other, a row of operands counted once. As
    /// it was when the piece was made.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Its transpose, written where it is.
    #[must_use]
    pub fn transposed(self) -> Self {
        let span = self.span;
        Self::new(Kind::Transpose(Box::new(self)), span)
    }

    /// The same with `index` wherever `letter` is an index.
    #[must_use]
    pub fn with_index(&self, letter: char, index: Index) -> Self {
        let mut expr = self.clone();
        let put = |place: &mut Index| {
            if *place == Index::Letter(letter) {
                *place = index;
            }
        };
        expr.for_each_piece_mut(|piece| match &mut piece.kind {
            Kind::Select(_, Indices::One(one)) => put(one),
            Kind::Select(_, Indices::Two(row, column)) => {
                put(row);
                put(column);
            }
            _ => {}
        });
        expr
    }

    /// Its direct parts.
    pub fn parts(&self) -> Vec<&Expr> {
        self.kind.parts()
    }

    /// How many direct parts it has.
    pub fn part_count(&self) -> usize {
        match &self.kind {
            Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_) => 0,
            Kind::Select(..) | Kind::Transpose(_) | Kind::Negate(_) => 1,
            Kind::Binary(..) | Kind::Compare(..) => 2,
            _ => self.parts().len(),
        }
    }

    /// The direct part at a place of [`Self::parts`].
    pub fn part(&self, at: usize) -> Option<&Expr> {
        match (&self.kind, at) {
            (Kind::Select(part, _) | Kind::Transpose(part) | Kind::Negate(part), 0)
            | (Kind::Binary(_, part, _) | Kind::Compare(_, part, _), 0)
            | (Kind::Binary(_, _, part) | Kind::Compare(_, _, part), 1)
            | (Kind::Sum(_, Some(_), part), 2) => Some(part),
            _ => self.parts().into_iter().nth(at),
        }
    }

    /// The same, to be changed.
    pub fn part_mut(&mut self, at: usize) -> Option<&mut Expr> {
        self.number = 0;
        match (&mut self.kind, at) {
            (Kind::Select(part, _) | Kind::Transpose(part) | Kind::Negate(part), 0)
            | (Kind::Binary(_, part, _) | Kind::Compare(_, part, _), 0)
            | (Kind::Binary(_, _, part) | Kind::Compare(_, _, part), 1)
            | (Kind::Sum(_, Some(_), part), 2) => Some(part),
            (kind, _) => kind.parts_mut().into_iter().nth(at),
        }
    }

    /// Its direct parts, to be changed.
    pub fn parts_mut(&mut self) -> Vec<&mut Expr> {
        self.number = 0;
        self.kind.parts_mut()
    }

    /// Whether matrices or samples are written out one by one, so that it may be meant for one batch size.
    pub fn is_written_out(&self) -> bool {
        self.pieces().any(|piece| match &piece.kind {
            Kind::Rows(_) => true,
            Kind::Select(base, Indices::One(row) | Indices::Two(row, _)) => {
                let of_samples = matches!(
                    base.kind,
                    Kind::Symbol(
                        Symbol::Delta
                            | Symbol::Targets
                            | Symbol::Activation(_)
                            | Symbol::PreActivation(_)
                            | Symbol::SampleLoss
                    )
                );
                of_samples && matches!(row, Index::Number(_))
            }
            _ => false,
        })
    }
}

impl Kind {
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match self {
            Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_) | Kind::Ones(None) => vec![],
            Kind::Ones(Some(part))
            | Kind::Select(part, _)
            | Kind::Transpose(part)
            | Kind::Negate(part) => vec![part],
            Kind::Power(a, b)
            | Kind::Binary(_, a, b)
            | Kind::Compare(_, a, b)
            | Kind::Derivative(a, b) => vec![a, b],
            Kind::Mixed(first, rest) => std::iter::once(&**first)
                .chain(rest.iter().map(|(_, part)| part))
                .collect(),
            Kind::Call(_, parts) => parts.iter().collect(),
            Kind::Sum(_, None, body) => vec![body],
            Kind::Sum(_, Some((from, to)), body) | Kind::Stack(_, from, to, body) => {
                vec![from, to, body]
            }
            Kind::Rows(rows) => rows.iter().flatten().collect(),
            Kind::Cases(cases) => cases
                .iter()
                .flat_map(|(value, condition)| std::iter::once(value).chain(condition))
                .collect(),
        }
    }

    pub(super) fn parts_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_) | Kind::Ones(None) => vec![],
            Kind::Ones(Some(part))
            | Kind::Select(part, _)
            | Kind::Transpose(part)
            | Kind::Negate(part) => vec![part],
            Kind::Power(a, b)
            | Kind::Binary(_, a, b)
            | Kind::Compare(_, a, b)
            | Kind::Derivative(a, b) => vec![a, b],
            Kind::Mixed(first, rest) => {
                let rest = rest.iter_mut().map(|(_, part)| part);
                std::iter::once(&mut **first).chain(rest).collect()
            }
            Kind::Call(_, parts) => parts.iter_mut().collect(),
            Kind::Sum(_, None, body) => vec![body],
            Kind::Sum(_, Some((from, to)), body) | Kind::Stack(_, from, to, body) => {
                vec![from, to, body]
            }
            Kind::Rows(rows) => rows.iter_mut().flatten().collect(),
            Kind::Cases(cases) => cases
                .iter_mut()
                .flat_map(|(value, condition)| std::iter::once(value).chain(condition))
                .collect(),
        }
    }
}
