//! Properties of reading and writing formulas.

use std::sync::Arc;

use proptest::prelude::*;

use super::{
    Comparison, Expr, Function, Index, Indices, Kind, Notation, Operator, Scope, Span, Symbol,
    parse, render,
};

fn scope() -> Scope {
    Scope {
        depth: 3,
        ..Scope::default()
    }
}

fn node(kind: Kind) -> Expr {
    Expr::new(kind, Span::default())
}

fn symbol() -> impl Strategy<Value = Symbol> {
    prop_oneof![
        (1..4_usize).prop_map(Symbol::Weights),
        (1..4_usize).prop_map(Symbol::Bias),
        (1..4_usize).prop_map(Symbol::PreActivation),
        (0..4_usize).prop_map(Symbol::Activation),
        Just(Symbol::Targets),
        Just(Symbol::Delta),
    ]
}

fn index() -> impl Strategy<Value = Index> {
    prop_oneof![
        Just(Index::All),
        (1..10_usize).prop_map(Index::Number),
        prop::sample::select(vec!['i', 'j', 'k', 'q']).prop_map(Index::Letter),
    ]
}

fn indices() -> impl Strategy<Value = Indices> {
    prop_oneof![
        index().prop_map(Indices::One),
        (index(), index()).prop_map(|(row, column)| Indices::Two(row, column)),
    ]
}

fn leaf() -> impl Strategy<Value = Expr> {
    prop_oneof![
        (0..40_u32).prop_map(|quarters| node(Kind::Number(f64::from(quarters) / 4.0))),
        symbol().prop_map(|symbol| node(Kind::Symbol(symbol))),
        Just(node(Kind::Symbol(Symbol::BatchSize))),
        (0..4_usize).prop_map(|layer| node(Kind::Symbol(Symbol::Units(layer)))),
        (symbol(), indices()).prop_map(|(symbol, indices)| {
            node(Kind::Select(Arc::new(node(Kind::Symbol(symbol))), indices))
        }),
    ]
}

fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Add,
        Operator::Subtract,
        Operator::Times,
        Operator::Hadamard,
        Operator::Divide,
    ])
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop::sample::select(vec![
        Comparison::GreaterOrEqual,
        Comparison::Greater,
        Comparison::LessOrEqual,
        Comparison::Less,
        Comparison::Equal,
        Comparison::NotEqual,
    ])
}

fn function() -> impl Strategy<Value = Function> {
    prop::sample::select(vec![
        Function::Sigma,
        Function::SigmaPrime,
        Function::Relu,
        Function::ReluPrime,
        Function::Sigmoid,
        Function::Tanh,
        Function::TanhPrime,
        Function::Exp,
        Function::Log,
        Function::Sqrt,
        Function::Abs,
        Function::Sign,
        Function::Step,
        Function::Softmax,
        Function::Diag,
        Function::Total,
    ])
}

fn tree() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(6, 40, 4, |inner| {
        let boxed = inner.clone().prop_map(Arc::new);
        prop_oneof![
            boxed.clone().prop_map(|part| node(Kind::Transpose(part))),
            boxed.clone().prop_map(|part| node(Kind::Negate(part))),
            (boxed.clone(), 2..5_u32).prop_map(|(part, power)| {
                let power = node(Kind::Number(f64::from(power)));
                node(Kind::Power(part, Arc::new(power)))
            }),
            (operator(), boxed.clone(), boxed.clone())
                .prop_map(|(operator, a, b)| node(Kind::Binary(operator, a, b))),
            (comparison(), boxed.clone(), boxed.clone())
                .prop_map(|(comparison, a, b)| node(Kind::Compare(comparison, a, b))),
            (function(), inner.clone()).prop_map(|(function, part)| match part.kind {
                // The indicator of a condition is read as the condition.
                Kind::Compare(..) if function == Function::Step => part,
                _ => node(Kind::Call(function, vec![part])),
            }),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| node(Kind::Call(Function::Max, vec![a, b]))),
            (boxed.clone(), any::<bool>()).prop_map(|(body, limited)| {
                let (one, size) = (Kind::Number(1.0), Kind::Symbol(Symbol::Units(2)));
                let range = limited.then(|| (Arc::new(node(one)), Arc::new(node(size))));
                node(Kind::Sum('q', range, body))
            }),
            prop::collection::vec((inner.clone(), inner.clone()), 1..4).prop_map(|rows| {
                node(Kind::Rows(
                    rows.into_iter().map(|(a, b)| vec![a, b]).collect(),
                ))
            }),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, condition, b)| {
                node(Kind::Cases(vec![(a, Some(condition)), (b, None)]))
            }),
            (inner.clone(), symbol()).prop_map(|(of, by)| {
                node(Kind::Derivative(
                    Arc::new(of),
                    Arc::new(node(Kind::Symbol(by))),
                ))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn what_was_written_is_read_as_the_same_tree(tree in tree()) {
        for notation in [Notation::Latex, Notation::Plain] {
            let text = render(&tree, notation);
            let chains = parse(&text, &scope()).expect("what is written can be cut into tokens");
            prop_assert_eq!(chains.len(), 1, "{}", text);
            prop_assert_eq!(chains[0].len(), 1, "{}", text);
            match &chains[0][0].expr {
                Ok(read) => prop_assert!(read == &tree, "{text} was read as {}", render(read, notation)),
                Err(error) => prop_assert!(false, "{}: {}", text, error),
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        let _ = parse(&text, &scope());
    }

    /// Pieces of formulas in any order reach further into the parser than any bytes do.
    #[test]
    fn any_pieces_are_read_or_refused(pieces in prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..60)) {
        for side in parse(&pieces.concat(), &scope()).into_iter().flatten().flatten() {
            if let Err(error) = side.expr {
                prop_assert!(error.span.start <= error.span.end);
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "\\delta", "W^3", "W", "h^{2\\top}", "_{1,j}", "_{", "^{", "}", "{", "(", ")", "[", "]", "\\{", "\\}",
    "\\left(", "\\right)", "\\begin{bmatrix}", "\\end{bmatrix}", "\\begin{cases}", "\\end{cases}", "&", "\\\\",
    "\\vdots", "\\dots", "+", "-", "/", "*", "@", "\\odot", "\\ge", "<", "=", ",", ";", ":", "'", ".T", ".dot(",
    ".sum(", "axis", "\\frac", "\\partial", "\\nabla", "\\sum", "_{q=1}^{n_2}", "\\mathbb{1}", "\\mathbf",
    "\\text{if}", "if", "else", "\\sigma", "relu", "max", "diag", "where", "12", "0", ".5", "m", "n_2", "l", "f",
    "(x,\\theta)", "\\hat", "\\langle", "\\rangle", "\\underbrace", "\\sqrt", "$", "$$", "\\[", "%", "\n", "é", "\u{0}",
];
