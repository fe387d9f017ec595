//! The values of a program: trees with the rank and the sizes that numpy would give them.

use std::sync::Arc;

use std::rc::Rc;

use super::super::expr::{Expr, Kind};
use super::super::{Scope, Span, Symbol};
use super::syntax::{Node, Statement};

/// The size of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Fixed(usize),
    /// m.
    Batch,
    /// nᵢ.
    Units(usize),
    Unknown,
}

impl Size {
    /// The size as a tree.
    pub(super) fn kind(self) -> Option<Kind> {
        match self {
            Self::Fixed(size) => Some(Kind::Number(size as f64)),
            Self::Batch => Some(Kind::Symbol(Symbol::BatchSize)),
            Self::Units(layer) => Some(Kind::Symbol(Symbol::Units(layer))),
            Self::Unknown => None,
        }
    }

    /// The size after broadcasting.
    pub(super) fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Fixed(1), size) | (size, Self::Fixed(1)) => size,
            (a, b) if a == b => a,
            _ => Self::Unknown,
        }
    }
}

pub(super) const ONE: Size = Size::Fixed(1);

/// An array. Its tree is a matrix: a number is 1 × 1, an array of rank 1 is a row or a column.
#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) expr: Expr,
    /// The number of axes; of three axes, the first is the index of `batch`, and the tree is the matrix at that index.
    pub(super) rank: u8,
    /// Whether an array of rank 1 is held as a column.
    pub(super) column: bool,
    /// The rows and columns of the tree.
    pub(super) sizes: (Size, Size),
    /// Whether the entries are truth values.
    pub(super) mask: bool,
    /// The value, if it is a whole number that is written in the program.
    pub(super) whole: Option<i64>,
    /// The index that is this number, and what is added to it.
    pub(super) index: Option<(char, i64)>,
    pub(super) batch: Option<Axis>,
    /// Whether all entries are written as zeros.
    pub(super) zero: bool,
    /// The number of nodes of the tree.
    pub(super) nodes: usize,
}

/// What an index runs over: from a number to before another.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) letter: char,
    pub(super) from: Bound,
    pub(super) to: Bound,
    /// Whether a condition leaves some values out; they are zeros, which only a sum does not notice.
    pub(super) filtered: bool,
}

/// A limit: a size, and what is added to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) size: Size,
    pub(super) plus: i64,
}

impl Bound {
    pub(super) fn fixed(value: i64) -> Self {
        Self {
            size: Size::Fixed(0),
            plus: value,
        }
    }

    /// The limit with a fixed size added to `plus`.
    pub(super) fn normal(self) -> Self {
        match self.size {
            Size::Fixed(size) => Self::fixed(size as i64 + self.plus),
            _ => self,
        }
    }

    pub(super) fn value(self) -> Option<i64> {
        match self.size {
            Size::Fixed(size) => Some(size as i64 + self.plus),
            _ => None,
        }
    }
}

/// Anything that a name can stand for.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Array(Box<Array>),
    List(Vec<Value>),
    Text(String),
    Nothing,
    Function(Rc<Defined>),
    /// A function of a library, by its usual name, and whether it is torch's.
    Library(String, bool),
    /// A module.
    Module(String),
    /// `W`, `h`, `z` before the layer is chosen.
    Layers(String),
    /// `range(a, b)`.
    Range(Bound, Bound),
    /// The element at each value of an index.
    Series(Axis, Box<Value>),
    /// A slice as an index.
    Slice(Box<Value>, Box<Value>, Box<Value>),
    Ellipsis,
    /// A name whose value cannot be known: what to say about it.
    Lost(String),
    /// A dictionary that the program fills.
    Dictionary(Vec<(String, Value)>),
}

/// A function of the program.
#[derive(Debug)]
pub(super) struct Defined {
    pub(super) name: String,
    pub(super) parameters: Vec<(String, Option<Node>)>,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    Expression(Node),
    Block(Vec<Statement>),
}

impl Value {
    /// The number of nodes and elements, and how many values lie inside each other.
    pub(super) fn measure(&self) -> (usize, usize) {
        let (mut nodes, mut height) = (0, 0);
        let mut open = vec![(self, 1)];
        while let Some((value, depth)) = open.pop() {
            height = height.max(depth);
            nodes += match value {
                Self::Array(array) => array.nodes,
                _ => usize::from(depth > 1),
            };
            match value {
                Self::List(values) => open.extend(values.iter().map(|part| (part, depth + 1))),
                Self::Series(_, element) => open.push((element, depth + 1)),
                Self::Dictionary(entries) => {
                    open.extend(entries.iter().map(|(_, part)| (part, depth + 1)));
                }
                Self::Slice(from, to, step) => {
                    open.extend([from, to, step].map(|part| (&**part, depth + 1)));
                }
                _ => {}
            }
        }
        (nodes, height)
    }
}

impl Array {
    pub(super) fn new(kind: Kind, span: Span, rank: u8, sizes: (Size, Size)) -> Self {
        let expr = Expr::new(kind, span);
        let nodes = expr.pieces().count();
        Self {
            expr,
            rank,
            column: false,
            sizes,
            mask: false,
            whole: None,
            index: None,
            batch: None,
            zero: false,
            nodes,
        }
    }

    /// A number.
    pub(super) fn number(value: f64, span: Span) -> Self {
        let mut array = Self::new(Kind::Number(value.abs()), span, 0, (ONE, ONE));
        if value < 0.0 {
            array.expr = Expr::new(Kind::Negate(Arc::new(array.expr)), span);
            array.nodes = 2;
        }
        if value.fract() == 0.0 && value.abs() < 1e9 {
            array.whole = Some(value as i64);
        }
        array.zero = value == 0.0;
        array
    }

    pub(super) fn symbol(symbol: Symbol, scope: &Scope, span: Span) -> Self {
        let batch = match scope.samples {
            Some(samples) => Size::Fixed(samples),
            None => Size::Batch,
        };
        let units = |layer: usize| match scope.units.get(layer) {
            Some(units) => Size::Fixed(*units),
            None => Size::Units(layer),
        };
        let unclear = scope.units.is_empty();
        let turned = |turns: bool, (rows, columns): (Size, Size)| {
            (
                2,
                if turns {
                    (columns, rows)
                } else {
                    (rows, columns)
                },
            )
        };
        let of_samples = |columns: Size| turned(scope.columns, (batch, columns));
        let (rank, sizes) = match symbol {
            Symbol::Weights(layer) => {
                let own = (units(layer), units(layer.saturating_sub(1)));
                turned(scope.inputs_by_outputs, own)
            }
            Symbol::Bias(layer) => turned(scope.columns, (ONE, units(layer))),
            Symbol::PreActivation(layer) | Symbol::Activation(layer) => of_samples(units(layer)),
            Symbol::Targets | Symbol::Delta => of_samples(units(scope.depth)),
            Symbol::SampleLoss => of_samples(ONE),
            Symbol::Constant(at) => match scope.constant_shapes.get(at) {
                Some((1, 1)) => (0, (ONE, ONE)),
                Some((rows, columns)) => (2, (Size::Fixed(*rows), Size::Fixed(*columns))),
                None => (2, (Size::Unknown, Size::Unknown)),
            },
            Symbol::Loss | Symbol::BatchSize | Symbol::Units(_) | Symbol::Argument => {
                (0, (ONE, ONE))
            }
        };
        let sizes = if unclear && rank > 0 && !matches!(symbol, Symbol::Constant(_)) {
            (Size::Unknown, Size::Unknown)
        } else {
            sizes
        };
        Self::new(Kind::Symbol(symbol), span, rank, sizes)
    }

    /// The same with another tree, which is computed from this one.
    pub(super) fn with(&self, expr: Expr, added: usize) -> Self {
        Self {
            expr,
            rank: self.rank,
            column: self.column,
            sizes: self.sizes,
            mask: false,
            whole: None,
            index: None,
            batch: self.batch.clone(),
            zero: false,
            nodes: self.nodes + added,
        }
    }

    /// The matrix turned around, as a tree only.
    fn turned(mut self) -> Self {
        self.sizes = (self.sizes.1, self.sizes.0);
        if self.sizes == (ONE, ONE) {
            return self;
        }
        let span = self.expr.span;
        if let Kind::Transpose(_) = self.expr.kind {
            if let Kind::Transpose(inner) = self.expr.into_kind() {
                self.expr = Arc::unwrap_or_clone(inner);
            } else {
                self.expr = Expr::new(Kind::Number(0.0), span);
            }
            self.nodes -= 1;
            return self;
        }
        self.expr = self.expr.transposed();
        self.nodes += 1;
        self
    }

    /// The array with its last two axes turned around, as `.T` does it; of rank 1, itself.
    pub(super) fn transposed(self) -> Self {
        if self.rank < 2 { self } else { self.turned() }
    }

    /// An array of rank 1 or less, held as a row; others as they are.
    pub(super) fn into_row(mut self) -> Self {
        if self.rank == 1 && self.column {
            self = self.turned();
            self.column = false;
        }
        self
    }

    /// An array of rank 1, held as a column; others as they are.
    pub(super) fn into_column(mut self) -> Self {
        if self.rank == 1 && !self.column {
            self = self.turned();
            self.column = true;
        }
        self
    }

    pub(super) fn into_value(self) -> Value {
        Value::Array(Box::new(self))
    }
}
