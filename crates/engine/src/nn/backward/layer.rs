//! One layer of the backward pass, whole or in pieces on several threads.
#![allow(non_snake_case, reason = "matrices have the names of the mathematics")]

use std::sync::atomic::{AtomicBool, Ordering};

use faer::{MatMut, MatRef, Par};

use super::super::mlp::{Mlp, rows_of};
use super::super::optimizer::{Update, Updated};
use super::super::product::{
    flops, gradient_product, is_small, same_order, same_order_of_gradient, small_gradient,
};
use super::super::slices::take_mut;
use super::super::threads::{Cut, each};
use super::super::{Activation, Layer, ReluAtZero, Scalar};

/// The size of a gradient block that stays in a core's private cache until it is used, in bytes.
pub(super) const BLOCK_BYTES: usize = 1 << 20;

/// The inputs of one layer in a backward pass.
#[derive(Clone, Copy)]
pub(super) struct BackwardLayer<'a, T> {
    pub(super) shape: &'a Layer,
    pub(super) mlp: Mlp<'a, T>,
    /// i.
    pub(super) index: usize,
    /// m.
    pub(super) rows: usize,
    /// dzⁱ, m × n.
    pub(super) dz: &'a [T],
    /// hⁱ⁻¹, m × k.
    pub(super) h_before: &'a [T],
}

/// The gradient of some units' parameters, dW (units × k) and db (units, or none), and its use.
pub(super) struct Own<'a, T> {
    /// The number of the first unit, from 0.
    pub(super) from: usize,
    pub(super) dW: &'a mut [T],
    pub(super) db: &'a mut [T],
    pub(super) descent: Option<OwnDescent<'a, T>>,
}

/// A [`Descent`] for some units of one layer.
pub(super) struct OwnDescent<'a, T> {
    pub(super) squares: &'a mut [f64],
    /// Of the weights, and of the bias.
    pub(super) update: Option<(Update<'a, T>, Update<'a, T>)>,
    pub(super) failed: &'a AtomicBool,
}

/// What a layer passes to the one below: dh, and dz = dh ⊙ σ′(z) where that is not the same.
pub(super) struct Down<'a, T> {
    pub(super) dh: &'a mut [T],
    pub(super) dz: &'a mut [T],
    pub(super) z: &'a [T],
    pub(super) activation: Activation,
    pub(super) at_zero: ReluAtZero,
}

/// [`Down`] for some of the units below: columns of its matrices, the first of which is number `from`.
pub(super) struct DownPiece<'a, T> {
    pub(super) from: usize,
    pub(super) dh: MatMut<'a, T>,
    pub(super) dz: MatMut<'a, T>,
    pub(super) z: &'a [T],
    pub(super) activation: Activation,
    pub(super) at_zero: ReluAtZero,
}

/// A part of a layer's work.
pub(super) enum Piece<'a, T> {
    Own(Own<'a, T>),
    Down(DownPiece<'a, T>),
}

impl<T: Scalar> BackwardLayer<'_, T> {
    pub(super) fn compute(&self, own: Own<'_, T>, down: Option<Down<'_, T>>, par: Par) {
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        let products = if down.is_some() { 2 } else { 1 };
        let cost = if is_small(n, k) {
            0
        } else {
            products * flops(m, n, k)
        };
        let units = Cut::new(n, cost, par, |units| same_order_of_gradient(units, k, m));
        let below = Cut::new(k, cost, par, |below| same_order(m, below, n));
        if units.is_whole() && (below.is_whole() || down.is_none()) {
            if let Some(down) = down {
                self.pass_down(down);
            }
            return self.gradient(own);
        }
        // Each thread gets adjacent pieces and starts with the longer one, which it passes down.
        let mut downs = down.map(|down| down.cut(below, m, k)).into_iter().flatten();
        let mut owns = own.cut(units, k).into_iter();
        let mut pieces = Vec::new();
        loop {
            let (down, own) = (downs.next(), owns.next());
            if down.is_none() && own.is_none() {
                break;
            }
            pieces.extend(down.map(Piece::Down));
            pieces.extend(own.map(Piece::Own));
        }
        each(pieces, |piece| match piece {
            Piece::Own(own) => self.gradient(own),
            Piece::Down(down) => self.pass_down_piece(down),
        });
    }

    /// dhⁱ⁻¹ (m × k) = dzⁱ (m × n) Wⁱ (n × k), and dzⁱ⁻¹.
    pub(super) fn pass_down(&self, down: Down<'_, T>) {
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        if is_small(n, k) {
            T::small_backward(down.dh, self.dz, self.mlp.weights(self.index), k);
        } else {
            T::product(
                MatMut::from_row_major_slice_mut(down.dh, m, k),
                MatRef::from_row_major_slice(self.dz, m, n),
                self.mlp.weight_matrix(self.index),
            );
        }
        if !down.dz.is_empty() {
            let Down { dh, dz, z, .. } = down;
            down.activation.backward(z, dh, dz, down.at_zero);
        }
    }

    pub(super) fn pass_down_piece(&self, down: DownPiece<'_, T>) {
        let DownPiece {
            from,
            mut dh,
            dz,
            z,
            activation,
            at_zero,
        } = down;
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        let columns = dh.ncols();
        let W = self.mlp.weight_matrix(self.index);
        T::product(
            dh.as_mut(),
            MatRef::from_row_major_slice(self.dz, m, n),
            W.subcols(from, columns),
        );
        for ((dz, dh), z) in rows_of(dz).zip(rows_of(dh)).zip(z.chunks_exact(k)) {
            activation.backward(&z[from..from + columns], dh, dz, at_zero);
        }
    }

    /// dW = dzᵀ h and db = Σ_rows dz of some units, in groups that stay in the cache for the update.
    pub(super) fn gradient(&self, own: Own<'_, T>) {
        let (m, k) = (self.rows, self.shape.fan_in);
        let bytes = size_of_val(own.dW);
        if bytes <= BLOCK_BYTES {
            return self.gradient_block(own);
        }
        let blocks = bytes.div_ceil(BLOCK_BYTES);
        let units = own.dW.len() / k;
        let blocks = Cut::into(units, blocks, |units| same_order_of_gradient(units, k, m));
        for block in own.cut(blocks, k) {
            self.gradient_block(block);
        }
    }

    fn gradient_block(&self, own: Own<'_, T>) {
        let from = own.from;
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        let units = own.dW.len() / k;
        if is_small(n, k) {
            small_gradient(own.dW, self.dz, self.h_before, k);
        } else {
            let dz = MatRef::from_row_major_slice(self.dz, m, n);
            gradient_product(
                MatMut::from_row_major_slice_mut(own.dW, units, k),
                dz.subcols(from, units),
                MatRef::from_row_major_slice(self.h_before, m, k),
            );
        }
        if !own.db.is_empty() {
            own.db.fill(T::ZERO);
            T::add_rows(own.db, self.dz, n, from);
        }
        own.take_gradient(k);
    }
}

impl<'a, T: Scalar> Own<'a, T> {
    /// Hands the complete gradient to the training step.
    pub(super) fn take_gradient(self, k: usize) {
        if let Some(descent) = self.descent {
            descent.take_gradient(self.dW, self.db, k);
        }
    }

    pub(super) fn cut(mut self, units: Cut, k: usize) -> Vec<Self> {
        let mut from = self.from;
        let piece = |units| {
            let bias = self.db.len().min(units);
            let descent = self.descent.as_mut().map(|descent| OwnDescent {
                squares: take_mut(&mut descent.squares, units),
                update: descent
                    .update
                    .as_mut()
                    .map(|(weights, own)| (weights.take(units * k), own.take(bias))),
                failed: descent.failed,
            });
            from += units;
            Self {
                from: from - units,
                dW: take_mut(&mut self.dW, units * k),
                db: take_mut(&mut self.db, bias),
                descent,
            }
        };
        units.sizes().map(piece).collect()
    }
}

impl<'a, T: Scalar> Down<'a, T> {
    pub(super) fn cut(self, columns: Cut, m: usize, k: usize) -> Vec<DownPiece<'a, T>> {
        let mut dh = MatMut::from_row_major_slice_mut(self.dh, m, k);
        let mut dz = MatMut::from_row_major_slice_mut(self.dz, self.z.len() / k, k);
        let mut pieces = Vec::new();
        let mut from = 0;
        for columns in columns.sizes() {
            let (dh_piece, dh_rest) = dh.split_at_col_mut(columns);
            let (dz_piece, dz_rest) = dz.split_at_col_mut(columns);
            (dh, dz) = (dh_rest, dz_rest);
            pieces.push(DownPiece {
                from,
                dh: dh_piece,
                dz: dz_piece,
                z: self.z,
                activation: self.activation,
                at_zero: self.at_zero,
            });
            from += columns;
        }
        pieces
    }
}

impl<T: Scalar> OwnDescent<'_, T> {
    fn take_gradient(self, dW: &[T], db: &[T], k: usize) {
        sum_squares(self.squares, dW, db, k);
        if let Some((weights, bias)) = self.update {
            let updated = [weights.apply(dW), bias.apply(db)];
            if updated.contains(&Updated::NonFinite) {
                self.failed.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Adds the squares of each unit's dW (a row of k) and db (an entry, if any).
pub(super) fn sum_squares<T: Scalar>(sums: &mut [f64], dW: &[T], db: &[T], k: usize) {
    T::squares_of_rows(sums, dW, k);
    for (sum, db) in sums.iter_mut().zip(db) {
        *sum += db.to_f64() * db.to_f64();
    }
}
