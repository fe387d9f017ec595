//! The expression tree of a formula.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::{Span, Symbol};

/// A node of a formula's tree, with the text it was parsed from. Equality ignores that text.
///
/// A row of a thousand factors or terms is a tree that leans to the left, a thousand levels deep. So no traversal
/// recurses down the left side of [`Kind::Binary`]; it may recurse down everything else, because [`Self::height`] is
/// bounded. The module `tree` has the traversals that the compiler would derive recursively.
#[derive(Clone)]
pub struct Expr {
    /// The meaning of the node.
    pub kind: Kind,
    /// The text of the node.
    pub span: Span,
    /// The number under which a [`super::Memory`] knows its value; 0 if none does. A copy keeps the number; a node
    /// whose parts are borrowed mutably loses it.
    pub(super) number: u32,
    /// The value of [`Self::height`].
    pub(super) height: u32,
}

/// The direct parts of a node.
pub type Parts<'e> = SmallVec<[&'e Expr; 3]>;

/// The direct parts of a node, mutable.
pub type PartsMut<'e> = SmallVec<[&'e mut Expr; 3]>;

/// The meaning of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A number.
    Number(f64),
    /// A quantity of the network.
    Symbol(Symbol),
    /// The value of an index, as in `[q = i]`.
    Letter(char),
    /// A column of ones, as long as `Some` size or as the batch.
    Ones(Option<Arc<Expr>>),
    /// A column with a one at this index and zeros, of this size.
    Unit(Index, Option<Arc<Expr>>),
    /// One entry, a row or a column.
    Select(Arc<Expr>, Indices),
    /// The transpose.
    Transpose(Arc<Expr>),
    /// The negation.
    Negate(Arc<Expr>),
    /// The power of a scalar, or an elementwise power.
    Power(Arc<Expr>, Arc<Expr>),
    /// Two operands.
    Binary(Operator, Arc<Expr>, Arc<Expr>),
    /// Factors joined by ⊙ and by products without parentheses, to be grouped by [`super::readings`].
    Mixed(Arc<Expr>, Vec<(Operator, Expr)>),
    /// 1 if the comparison holds, else 0.
    Compare(Comparison, Arc<Expr>, Arc<Expr>),
    /// A function of its arguments.
    Call(Function, Vec<Expr>),
    /// Σ over an index, from and to; without limits if the body implies them.
    Sum(char, Option<(Arc<Expr>, Arc<Expr>)>, Arc<Expr>),
    /// A row for every value of an index, from and to: the meaning of the dots in a matrix.
    Stack(char, Arc<Expr>, Arc<Expr>, Arc<Expr>),
    /// The matrix of this entry for all values of a row's and a column's index; for one index given as both, a row or a
    /// column, by what it indexes.
    /// The last is a quantity of the same shape, where the text gives one.
    Entries(Option<char>, Option<char>, Arc<Expr>, Option<Arc<Expr>>),
    /// The same for one index that runs from 1 to a last value.
    Range(char, Arc<Expr>, Arc<Expr>),
    /// Rows of blocks.
    Rows(Vec<Vec<Expr>>),
    /// The value of the first case whose condition holds, entry by entry.
    Cases(Vec<(Expr, Option<Expr>)>),
    /// ∂ of the first with respect to the second.
    Derivative(Arc<Expr>, Arc<Expr>),
    /// A formula from a program, with the array rules of its language.
    Code(Semantics, Arc<Expr>),
}

/// What an operator does with operands of different shapes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Semantics {
    /// Shapes must be equal; only a literal number stands for a matrix of itself.
    #[default]
    Mathematics,
    /// Numpy and torch: rows, columns and numbers are broadcast, and a 1 × 1 matrix is no number in a matrix product.
    Numpy,
    /// MATLAB and Julia: rows, columns and numbers are broadcast, and a 1 × 1 matrix is a number.
    Matlab,
}

/// The indices of a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indices {
    /// One index: of a row or a column, or a row of a matrix.
    One(Index),
    /// Row and column.
    Two(Index, Index),
}

impl Indices {
    /// Whether they pick a single entry.
    pub fn is_entry(&self) -> bool {
        match self {
            Self::One(index) => *index != Index::All,
            Self::Two(row, column) => *row != Index::All && *column != Index::All,
        }
    }
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
    /// Division by a scalar.
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
    /// The derivative of the network's own activation.
    SigmaPrime,
    /// max(z, 0).
    Relu,
    /// The derivative of max(z, 0).
    ReluPrime,
    /// 1/(1 + e⁻ᶻ).
    Sigmoid,
    /// The hyperbolic tangent.
    Tanh,
    /// The derivative of the hyperbolic tangent.
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
    /// Softmax of each sample.
    Softmax,
    /// The square matrix with a row on its diagonal, or the diagonal of a square matrix as a row.
    Diag,
    /// The elementwise maximum.
    Max,
    /// The elementwise minimum.
    Min,
    /// The sum over the rows, as a row.
    ColumnSums,
    /// The sum over the columns, as a column.
    RowSums,
    /// The sum of all entries.
    Total,
    /// The sum of the diagonal.
    Trace,
    /// The outer product of two vectors.
    Outer,
    /// The inner product of two columns or two rows, or else the product.
    Dot,
    /// All entries, row after row, as one row.
    Flatten,
    /// The entries, row after row, in a matrix of as many rows and columns as the second and third argument say; −1
    /// stands for what is left.
    Reshape,
    /// The diagonal of a matrix, as a row.
    DiagonalOf,
}

impl Expr {
    /// A node parsed from `span`.
    pub fn new(kind: Kind, span: Span) -> Self {
        let height = kind.height();
        Self {
            kind,
            span,
            number: 0,
            height,
        }
    }

    /// The recursion depth of a traversal: how many nodes are nested, with a row of operands counted once. Set when the
    /// node is created.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The transpose, with the same span.
    #[must_use]
    pub fn transposed(self) -> Self {
        let span = self.span;
        Self::new(Kind::Transpose(Arc::new(self)), span)
    }

    /// Whether a quantity in it has this index.
    pub fn has_index(&self, index: Index) -> bool {
        self.pieces().any(|piece| match &piece.kind {
            Kind::Select(_, Indices::One(one)) | Kind::Unit(one, _) => *one == index,
            Kind::Select(_, Indices::Two(row, column)) => *row == index || *column == index,
            _ => false,
        })
    }

    /// A copy with `index` in place of the index `letter`.
    #[must_use]
    pub fn with_index(&self, letter: char, index: Index) -> Self {
        let mut expr = self.clone();
        let own = Index::Letter(letter);
        // Then the copy shares all of its parts.
        if !self.has_index(own) {
            return expr;
        }
        let put = |place: &mut Index| {
            if *place == own {
                *place = index;
            }
        };
        expr.for_each_piece_mut(|piece| match &mut piece.kind {
            Kind::Select(_, Indices::One(one)) | Kind::Unit(one, _) => put(one),
            Kind::Select(_, Indices::Two(row, column)) => {
                put(row);
                put(column);
            }
            _ => {}
        });
        expr
    }

    /// The direct parts.
    pub fn parts(&self) -> Parts<'_> {
        self.kind.parts()
    }

    /// The number of direct parts.
    pub fn part_count(&self) -> usize {
        match &self.kind {
            Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_) => 0,
            Kind::Select(..) | Kind::Transpose(_) | Kind::Negate(_) => 1,
            Kind::Binary(..) | Kind::Compare(..) => 2,
            _ => self.parts().len(),
        }
    }

    /// The direct part at an index of [`Self::parts`].
    pub fn part(&self, at: usize) -> Option<&Expr> {
        match (&self.kind, at) {
            (Kind::Select(part, _) | Kind::Transpose(part) | Kind::Negate(part), 0)
            | (Kind::Binary(_, part, _) | Kind::Compare(_, part, _), 0)
            | (Kind::Binary(_, _, part) | Kind::Compare(_, _, part), 1)
            | (Kind::Sum(_, Some(_), part), 2) => Some(part),
            _ => self.parts().into_iter().nth(at),
        }
    }

    /// The same, mutable.
    pub fn part_mut(&mut self, at: usize) -> Option<&mut Expr> {
        self.number = 0;
        match (&mut self.kind, at) {
            (Kind::Select(part, _) | Kind::Transpose(part) | Kind::Negate(part), 0)
            | (Kind::Binary(_, part, _) | Kind::Compare(_, part, _), 0)
            | (Kind::Binary(_, _, part) | Kind::Compare(_, _, part), 1)
            | (Kind::Sum(_, Some(_), part), 2) => Some(Arc::make_mut(part)),
            (kind, _) => kind.parts_mut().into_iter().nth(at),
        }
    }

    /// The direct parts, mutable.
    pub fn parts_mut(&mut self) -> PartsMut<'_> {
        self.number = 0;
        self.kind.parts_mut()
    }

    /// Whether matrices or samples are written out one by one, so that it may be intended for one batch size.
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
    pub(super) fn parts(&self) -> Parts<'_> {
        match self {
            Kind::Number(_)
            | Kind::Symbol(_)
            | Kind::Letter(_)
            | Kind::Ones(None)
            | Kind::Unit(_, None) => smallvec![],
            Kind::Ones(Some(part))
            | Kind::Unit(_, Some(part))
            | Kind::Entries(_, _, part, _)
            | Kind::Select(part, _)
            | Kind::Transpose(part)
            | Kind::Negate(part)
            | Kind::Code(_, part) => smallvec![&**part],
            Kind::Power(a, b)
            | Kind::Range(_, a, b)
            | Kind::Binary(_, a, b)
            | Kind::Compare(_, a, b)
            | Kind::Derivative(a, b) => smallvec![&**a, &**b],
            Kind::Mixed(first, rest) => std::iter::once(&**first)
                .chain(rest.iter().map(|(_, part)| part))
                .collect(),
            Kind::Call(_, parts) => parts.iter().collect(),
            Kind::Sum(_, None, body) => smallvec![&**body],
            Kind::Sum(_, Some((from, to)), body) | Kind::Stack(_, from, to, body) => {
                smallvec![&**from, &**to, &**body]
            }
            Kind::Rows(rows) => rows.iter().flatten().collect(),
            Kind::Cases(cases) => cases
                .iter()
                .flat_map(|(value, condition)| std::iter::once(value).chain(condition))
                .collect(),
        }
    }

    pub(super) fn parts_mut(&mut self) -> PartsMut<'_> {
        match self {
            Kind::Number(_)
            | Kind::Symbol(_)
            | Kind::Letter(_)
            | Kind::Ones(None)
            | Kind::Unit(_, None) => smallvec![],
            Kind::Ones(Some(part))
            | Kind::Unit(_, Some(part))
            | Kind::Entries(_, _, part, _)
            | Kind::Select(part, _)
            | Kind::Transpose(part)
            | Kind::Negate(part)
            | Kind::Code(_, part) => smallvec![Arc::make_mut(part)],
            Kind::Power(a, b)
            | Kind::Range(_, a, b)
            | Kind::Binary(_, a, b)
            | Kind::Compare(_, a, b)
            | Kind::Derivative(a, b) => smallvec![Arc::make_mut(a), Arc::make_mut(b)],
            Kind::Mixed(first, rest) => {
                let rest = rest.iter_mut().map(|(_, part)| part);
                std::iter::once(Arc::make_mut(first)).chain(rest).collect()
            }
            Kind::Call(_, parts) => parts.iter_mut().collect(),
            Kind::Sum(_, None, body) => smallvec![Arc::make_mut(body)],
            Kind::Sum(_, Some((from, to)), body) | Kind::Stack(_, from, to, body) => {
                smallvec![Arc::make_mut(from), Arc::make_mut(to), Arc::make_mut(body)]
            }
            Kind::Rows(rows) => rows.iter_mut().flatten().collect(),
            Kind::Cases(cases) => cases
                .iter_mut()
                .flat_map(|(value, condition)| std::iter::once(value).chain(condition))
                .collect(),
        }
    }
}
