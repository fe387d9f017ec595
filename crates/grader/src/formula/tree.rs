//! Tree traversals that do not recurse down a row of operands: copying, comparing, dropping, printing, and visiting
//! every node.

use std::sync::Arc;

use std::{fmt, mem};

use smallvec::{SmallVec, smallvec};

use super::expr::{Expr, Kind};
use super::render::{Notation, render};

/// The smallest stack on which formulas are parsed, graded and dropped; each thread that does so has at least this
/// much.
pub const STACK_BYTES: usize = 2 << 20;

/// The limit on the height of a formula. The traversal with the largest frames, times this, takes less than half of
/// [`STACK_BYTES`]; the tests in `crates/grader/tests/formulas` run on such a half.
pub const MAX_HEIGHT: u32 = 100;

/// The binary nodes down a left side, the outermost first.
pub(super) type Spine<'e> = SmallVec<[&'e Expr; 8]>;

impl Kind {
    /// The height of a node of this kind.
    pub(super) fn height(&self) -> u32 {
        match self {
            Kind::Number(_) | Kind::Symbol(_) | Kind::Letter(_) | Kind::Ones(None) => 1,
            Kind::Select(part, _) | Kind::Transpose(part) | Kind::Negate(part) => part.height + 1,
            Kind::Binary(_, left, right) => {
                let is_row = matches!(left.kind, Kind::Binary(..));
                let left = left.height + u32::from(!is_row);
                left.max(right.height + 1)
            }
            _ => {
                let parts = self.parts();
                let highest = parts.iter().map(|part| part.height).max().unwrap_or(0);
                // Grouped, it is a row of rows.
                let own = if matches!(self, Kind::Mixed(..)) {
                    2
                } else {
                    1
                };
                highest + own
            }
        }
    }

    /// Whether another node has the same meaning, apart from its parts.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Kind::Number(a), Kind::Number(b)) => a == b,
            (Kind::Symbol(a), Kind::Symbol(b)) => a == b,
            (Kind::Letter(a), Kind::Letter(b)) | (Kind::Stack(a, ..), Kind::Stack(b, ..)) => a == b,
            (Kind::Ones(a), Kind::Ones(b)) => a.is_some() == b.is_some(),
            (Kind::Select(_, a), Kind::Select(_, b)) => a == b,
            (Kind::Unit(a, c), Kind::Unit(b, d)) => a == b && c.is_some() == d.is_some(),
            (Kind::Range(a, ..), Kind::Range(b, ..)) => a == b,
            (Kind::Entries(a, b, ..), Kind::Entries(c, d, ..)) => (a, b) == (c, d),
            (Kind::Code(a, _), Kind::Code(b, _)) => a == b,
            (Kind::Transpose(_), Kind::Transpose(_))
            | (Kind::Negate(_), Kind::Negate(_))
            | (Kind::Power(..), Kind::Power(..))
            | (Kind::Derivative(..), Kind::Derivative(..)) => true,
            (Kind::Binary(a, ..), Kind::Binary(b, ..)) => a == b,
            (Kind::Mixed(_, a), Kind::Mixed(_, b)) => {
                let operators = a.iter().zip(b);
                a.len() == b.len() && operators.into_iter().all(|((a, _), (b, _))| a == b)
            }
            (Kind::Compare(a, ..), Kind::Compare(b, ..)) => a == b,
            (Kind::Call(f, a), Kind::Call(g, b)) => f == g && a.len() == b.len(),
            (Kind::Sum(a, from, _), Kind::Sum(b, to, _)) => {
                a == b && from.is_some() == to.is_some()
            }
            (Kind::Rows(a), Kind::Rows(b)) => a.iter().map(Vec::len).eq(b.iter().map(Vec::len)),
            (Kind::Cases(a), Kind::Cases(b)) => {
                let has_condition = |(_, condition): &(Expr, Option<Expr>)| condition.is_some();
                a.iter().map(has_condition).eq(b.iter().map(has_condition))
            }
            _ => false,
        }
    }
}

impl Expr {
    /// The meaning, without the span.
    pub fn into_kind(mut self) -> Kind {
        mem::replace(&mut self.kind, Kind::Number(0.0))
    }

    /// The binary nodes down the left side, and the first one below them that is not binary.
    pub(super) fn spine(&self) -> (Spine<'_>, &Expr) {
        let mut spine = Spine::new();
        let mut base = self;
        while let Kind::Binary(_, left, _) = &base.kind {
            spine.push(base);
            base = left;
        }
        (spine, base)
    }

    /// The left side of a node in a row of operands, which nothing else needs.
    fn take_row(&mut self) -> Option<Self> {
        match &mut self.kind {
            Kind::Binary(_, left, _) if matches!(left.kind, Kind::Binary(..)) => {
                let leaf = Self::new(Kind::Number(0.0), super::Span::default());
                Arc::get_mut(left).map(|left| mem::replace(left, leaf))
            }
            _ => None,
        }
    }

    /// The node and all nodes below it, each before its parts.
    pub fn pieces(&self) -> impl Iterator<Item = &Expr> {
        let mut open: SmallVec<[&Self; 16]> = smallvec![self];
        std::iter::from_fn(move || {
            let piece = open.pop()?;
            open.extend(piece.parts().into_iter().rev());
            Some(piece)
        })
    }

    /// Changes the node and all nodes below it, each before its parts; they lose their numbers first.
    pub fn for_each_piece_mut(&mut self, mut change: impl FnMut(&mut Expr)) {
        let mut open = vec![self];
        while let Some(piece) = open.pop() {
            piece.number = 0;
            change(piece);
            open.extend(piece.kind.parts_mut().into_iter().rev());
        }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        let mut open = vec![(self, other)];
        while let Some((a, b)) = open.pop() {
            // Copies share what was not changed.
            if std::ptr::eq(a, b) {
                continue;
            }
            if !a.kind.is_like(&b.kind) {
                return false;
            }
            open.extend(a.parts().into_iter().zip(b.parts()));
        }
        true
    }
}

impl Drop for Expr {
    fn drop(&mut self) {
        // Each node of a row gives up its left side before it is dropped, unless a copy shares it.
        let mut row = self.take_row();
        while let Some(mut next) = row {
            row = next.take_row();
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(self, Notation::Plain))
    }
}
