//! Holds a shape that an answer states, such as "a 2 × 3 matrix", against the shape of the formula that it describes.

use super::Network;
use super::values::Values;
use crate::formula::{Expr, Kind, Notation, StatedShape, Symbol, evaluate, render};

/// What a stated shape turns out to be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The shape of the formula on every network.
    Holds,
    /// The shape of the formula on batches of one size above 1 alone: an answer may write 2 for m where its homework has
    /// a batch of 2.
    OneSize {
        stated: String,
        own: String,
        samples: usize,
    },
    /// Another shape.
    Fails { stated: String, own: String },
    /// Nothing is known: the formula or a side of the shape has no value.
    Open,
}

/// Compares a stated shape with that of `values`, which are those of its formula on `networks`.
pub(super) fn claim(shape: &StatedShape, values: &Values, networks: &[Network]) -> Claim {
    let side = |stated: &Option<Expr>, network: &Network, own: usize| match stated {
        None => Some(true),
        Some(stated) => {
            let size = evaluate(stated, network, &[]).ok()?.matrix.as_scalar()?;
            Some((size - own as f64).abs() < 0.5)
        }
    };
    // For each network, its batch size and whether the claim holds there.
    let mut holding: Vec<(usize, bool)> = Vec::new();
    for (network, values) in networks.iter().zip(&values.networks) {
        let Some((rows, columns)) =
            (values.matrices.iter().flatten().next()).map(|own| own.shape())
        else {
            continue;
        };
        match (
            side(&shape.rows, network, rows),
            side(&shape.columns, network, columns),
        ) {
            (Some(rows), Some(columns)) => holding.push((network.samples(), rows && columns)),
            _ => return Claim::Open,
        }
    }
    let Some(own) = values.shape_text() else {
        return Claim::Open;
    };
    if holding.iter().all(|&(_, holds)| holds) {
        return Claim::Holds;
    }
    let stated = text(shape);
    let of_size = |size: usize| {
        let mut of_size = holding.iter().filter(|(samples, _)| *samples == size);
        of_size.all(|&(_, holds)| holds)
    };
    let is_in_m = [&shape.rows, &shape.columns]
        .into_iter()
        .flatten()
        .any(|side| (side.pieces()).any(|piece| piece.kind == Kind::Symbol(Symbol::BatchSize)));
    let mut sizes = holding.iter().map(|&(samples, _)| samples);
    match sizes.find(|&size| size > 1 && !is_in_m && of_size(size)) {
        Some(samples) => Claim::OneSize {
            stated,
            own,
            samples,
        },
        None => Claim::Fails { stated, own },
    }
}

/// The shape as the answer states it.
fn text(shape: &StatedShape) -> String {
    let side = |side: &Expr| match side.kind {
        Kind::Symbol(Symbol::Units(layer)) => format!("n{layer}"),
        _ => render(side, Notation::Plain),
    };
    match (&shape.rows, &shape.columns) {
        (Some(rows), Some(columns)) => {
            let (rows, columns) = (side(rows), side(columns));
            if rows == "1" && columns == "1" {
                "a scalar".to_owned()
            } else {
                format!("{rows} × {columns}")
            }
        }
        (Some(_), None) => "a row vector".to_owned(),
        (None, _) => "a column vector".to_owned(),
    }
}
