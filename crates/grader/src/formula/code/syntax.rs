//! The syntax tree of a program: the part of Python, MATLAB and Julia that formulas need.

use super::super::Span;

/// A language of programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Python with numpy or torch: `*` is elementwise, indices count from 0.
    Python,
    /// Python with sympy: `*` is the matrix product, indices count from 0.
    Sympy,
    /// `.*` is elementwise, everything is a matrix, indices in parentheses count from 1.
    Matlab,
    /// `.*` is elementwise, indices in brackets count from 1.
    Julia,
}

impl Dialect {
    /// Whether `*` is the matrix product.
    pub(super) fn has_dots(self) -> bool {
        matches!(self, Self::Matlab | Self::Julia)
    }
}

/// An expression.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Form,
    pub(super) span: Span,
    /// The most nodes inside each other, this one among them.
    pub(super) height: u32,
}

impl Node {
    /// The node of this form above its parts.
    pub(super) fn new(kind: Form, span: Span) -> Self {
        let height = 1 + kind.height_of_parts();
        Self { kind, span, height }
    }
}

/// The forms of an expression.
#[derive(Clone, Debug)]
pub(super) enum Form {
    Number(f64),
    Text(String),
    Name(String),
    Nothing,
    Ellipsis,
    Unary(Prefix, Box<Node>),
    Binary(Infix, Box<Node>, Box<Node>),
    /// Two or more operators one after the other, computed from the left: a long row is not a high tree.
    Row(Box<Node>, Vec<(Infix, Node)>),
    /// `a < b <= c`.
    Compare(Box<Node>, Vec<(Relation, Node)>),
    Both(Box<Node>, Box<Node>),
    Any(Box<Node>, Box<Node>),
    /// The condition, and the values where it holds and where it does not.
    Choice(Box<Node>, Box<Node>, Box<Node>),
    Lambda(Vec<String>, Box<Node>),
    Call(Box<Node>, Vec<Node>, Vec<(String, Node)>),
    Attribute(Box<Node>, String),
    Index(Box<Node>, Vec<Node>),
    Slice(Option<Box<Node>>, Option<Box<Node>>, Option<Box<Node>>),
    List(Vec<Node>),
    Tuple(Vec<Node>),
    /// `element for target in iterable if condition …`.
    Each(Box<Node>, Vec<Clause>),
    /// `[a b; c d]`.
    Rows(Vec<Vec<Node>>),
    /// `a'`.
    Transpose(Box<Node>),
}

impl Form {
    fn height_of_parts(&self) -> u32 {
        let highest = |nodes: &[Node]| nodes.iter().map(|node| node.height).max().unwrap_or(0);
        let slice = |part: &Option<Box<Node>>| part.as_ref().map_or(0, |node| node.height);
        match self {
            Self::Number(_) | Self::Text(_) | Self::Name(_) | Self::Nothing | Self::Ellipsis => 0,
            Self::Unary(_, inner)
            | Self::Lambda(_, inner)
            | Self::Attribute(inner, _)
            | Self::Transpose(inner) => inner.height,
            Self::Binary(_, a, b) | Self::Both(a, b) | Self::Any(a, b) => a.height.max(b.height),
            Self::Row(first, rest) => {
                let rest = rest.iter().map(|(_, node)| node.height);
                rest.fold(first.height, u32::max)
            }
            Self::Compare(first, rest) => {
                let rest = rest.iter().map(|(_, node)| node.height);
                rest.fold(first.height, u32::max)
            }
            Self::Choice(condition, one, other) => {
                condition.height.max(one.height).max(other.height)
            }
            Self::Call(callee, values, named) => {
                let named = named.iter().map(|(_, node)| node.height);
                named.fold(callee.height.max(highest(values)), u32::max)
            }
            Self::Index(base, items) => base.height.max(highest(items)),
            Self::Slice(from, to, step) => slice(from).max(slice(to)).max(slice(step)),
            Self::List(nodes) | Self::Tuple(nodes) => highest(nodes),
            Self::Each(element, clauses) => {
                let clauses = clauses
                    .iter()
                    .map(|clause| clause.iterable.height.max(highest(&clause.conditions)));
                clauses.fold(element.height, u32::max)
            }
            Self::Rows(rows) => rows.iter().map(|row| highest(row)).max().unwrap_or(0),
        }
    }
}

/// `for target in iterable if condition`.
#[derive(Clone, Debug)]
pub(super) struct Clause {
    pub(super) targets: Vec<String>,
    pub(super) iterable: Node,
    pub(super) conditions: Vec<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    Minus,
    Plus,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Infix {
    Add,
    Subtract,
    Multiply,
    Divide,
    Floor,
    Remainder,
    Power,
    Product,
    And,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    GreaterOrEqual,
    Greater,
    LessOrEqual,
    Less,
    Equal,
    NotEqual,
}

/// A statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub(super) kind: Action,
    pub(super) span: Span,
}

/// The forms of a statement.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Assign(Vec<Node>, Node),
    Change(Node, Infix, Node),
    Value(Node),
    Return(Option<Node>),
    Define(String, Vec<(String, Option<Node>)>, Vec<Statement>),
    For(Vec<String>, Node, Vec<Statement>),
    If(Node, Vec<Statement>, Vec<Statement>),
    /// Each alias with its module, and whether all of its names are meant.
    Import(Vec<(String, String)>),
    /// `assert …`.
    Assert(Node),
    Pass,
}
