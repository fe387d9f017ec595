//! The forward pass in blocks of rows and units, with a pause after each.

use super::super::pauses::{Pauses, Tile};
use super::super::product::{min_rows, same_order};
use super::super::slices::{take, take_mut};
use super::super::threads::{Cut, each};
use super::{ForwardBuffers, ForwardLayer, Mlp, Scalar, Trace};

impl<'a, T: Scalar> Mlp<'a, T> {
    /// [`Mlp::forward`] with pauses.
    pub async fn forward_in_blocks<'b>(
        &self,
        inputs: &'b [T],
        rows: usize,
        buffers: &'b mut ForwardBuffers<T>,
        pauses: &impl Pauses,
    ) -> Trace<'b, T>
    where
        'a: 'b,
    {
        for index in 0..self.architecture.depth() {
            let (layer, z, h) = self.layer(index, inputs, rows, buffers);
            layer.compute_in_blocks(z, h, pauses).await;
        }
        Trace {
            mlp: *self,
            rows,
            inputs,
            buffers,
        }
    }
}

impl<T: Scalar> ForwardLayer<'_, T> {
    /// z (padded × n) and h (rows × n; empty for a linear layer).
    async fn compute_in_blocks(&self, z: &mut [T], h: &mut [T], pauses: &impl Pauses) {
        let (n, k) = (self.layer.units, self.layer.fan_in);
        let (mut z, mut h, mut h_before, mut kept) = (z, h, self.h_before, self.rows);
        while !z.is_empty() {
            let par = pauses.par();
            let block = pauses.block().saturating_mul(par.degree());
            let tile = Tile::of(z.len() / n, n, k, min_rows(k, n), block);
            let rows = tile.rows;
            let layer = ForwardLayer {
                h_before: take(&mut h_before, rows * k),
                rows: rows.min(kept),
                padded: rows,
                ..*self
            };
            kept -= layer.rows;
            let z = take_mut(&mut z, rows * n);
            let kept_h = h.len().min(rows * n);
            let h = take_mut(&mut h, kept_h);
            if tile.columns >= n {
                layer.compute(z, h, par);
                pauses.pause().await;
                continue;
            }
            let units = n.div_ceil(tile.columns / par.degree());
            let units = Cut::into(n, units, |units| same_order(rows, units, k));
            let mut pieces = layer.unit_pieces(units, z, h).into_iter();
            loop {
                let group: Vec<_> = pieces.by_ref().take(par.degree()).collect();
                if group.is_empty() {
                    break;
                }
                each(group, |piece| layer.compute_piece(piece));
                pauses.pause().await;
            }
        }
    }
}
