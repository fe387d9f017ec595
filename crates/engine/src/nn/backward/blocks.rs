//! The backward pass in blocks, with a pause after each.
#![allow(non_snake_case, reason = "matrices have the names of the mathematics")]

use faer::{MatMut, MatRef};

use super::super::mlp::Trace;
use super::super::pauses::{Pauses, Tile, WALK};
use super::super::product::{
    PANEL_SAMPLES, flops, is_small, min_rows, same_order, same_order_of_gradient,
};
use super::super::slices::{take, take_mut};
use super::super::threads::{Cut, each};
use super::super::{Objective, Scalar, TargetsRef};
use super::layer::{BLOCK_BYTES, BackwardLayer, Down, Own};
use super::{Backward, Descent, FEW_PARAMETERS};

impl<T: Scalar> Trace<'_, T> {
    /// [`Trace::backward`] with pauses.
    pub async fn backward_in_blocks(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        pauses: &impl Pauses,
    ) -> f64 {
        let loss = self
            .loss_in_blocks(objective, targets, backward, pauses)
            .await;
        self.pull_back_in_blocks(backward, pauses, None).await;
        loss
    }

    /// [`Trace::descend`] with pauses.
    pub async fn descend_in_blocks(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        pauses: &impl Pauses,
        descent: Descent<'_, T>,
    ) -> f64 {
        let loss = self
            .loss_in_blocks(objective, targets, backward, pauses)
            .await;
        let architecture = self.mlp().architecture();
        if architecture.parameter_count() <= FEW_PARAMETERS {
            self.pull_back_in_blocks(backward, pauses, None).await;
            descent.take_gradient(architecture, &backward.parameters);
        } else {
            self.pull_back_in_blocks(backward, pauses, Some(descent))
                .await;
        }
        loss
    }

    /// [`Trace::loss`] with pauses.
    pub async fn loss_in_blocks(
        &self,
        objective: Objective,
        targets: TargetsRef<'_, T>,
        backward: &mut Backward<T>,
        pauses: &impl Pauses,
    ) -> f64 {
        let depth = self.mlp().architecture().depth();
        let entries = self.entries(depth);
        let mut losses = std::mem::take(&mut backward.loss_per_sample);
        let per_sample = &mut losses[..self.rows()];
        let df = backward.dh_mut(depth, entries);
        let loss = objective
            .evaluate_in_blocks(self.outputs(), targets, per_sample, df, pauses)
            .await;
        backward.loss_per_sample = losses;
        loss
    }

    /// With ∂l/∂hᴸ in place, fills in ∂l/∂ of everything below.
    async fn pull_back_in_blocks(
        &self,
        backward: &mut Backward<T>,
        pauses: &impl Pauses,
        mut descent: Option<Descent<'_, T>>,
    ) {
        let architecture = self.mlp().architecture();
        let depth = architecture.depth();
        let dh = &backward.dh[depth - 1];
        if !dh.is_empty() {
            let entries = self.entries(depth);
            let activation = architecture.layers()[depth - 1].activation;
            let blocks = self.z(depth).chunks(WALK).zip(dh[..entries].chunks(WALK));
            let dz = backward.dz[depth - 1][..entries].chunks_mut(WALK);
            for ((z, dh), dz) in blocks.zip(dz) {
                activation.backward(z, dh, dz, architecture.relu_at_zero());
                pauses.pause().await;
            }
        }
        for i in (1..=depth).rev() {
            let (layer, own, down) = self.layer_below(i, backward, &mut descent);
            if let Some(down) = down {
                layer.pass_down_in_blocks(down, pauses).await;
            }
            layer.gradient_in_blocks(own, pauses).await;
        }
    }
}

impl<T: Scalar> BackwardLayer<'_, T> {
    /// dhⁱ⁻¹ (m × k) = dzⁱ (m × n) Wⁱ (n × k), and dzⁱ⁻¹.
    async fn pass_down_in_blocks(&self, down: Down<'_, T>, pauses: &impl Pauses) {
        let (n, k) = (self.shape.units, self.shape.fan_in);
        let (mut dh, mut dz_below, mut z, mut dz) = (down.dh, down.dz, down.z, self.dz);
        while !dh.is_empty() {
            let par = pauses.par();
            let block = pauses.block().saturating_mul(par.degree());
            let tile = Tile::of(dh.len() / k, k, n, min_rows(n, k), block);
            let rows = tile.rows;
            let layer = BackwardLayer {
                rows,
                dz: take(&mut dz, rows * n),
                ..*self
            };
            let kept = dz_below.len().min(rows * k);
            let down = Down {
                dh: take_mut(&mut dh, rows * k),
                dz: take_mut(&mut dz_below, kept),
                z: take(&mut z, kept),
                ..down
            };
            let pieces = if tile.columns < k {
                k.div_ceil(tile.columns / par.degree())
            } else if is_small(n, k) || flops(rows, n, k) < block / 2 {
                1
            } else {
                par.degree()
            };
            // For a single row, faer adds up rows of W: an entry's terms in their order, whichever columns are beside it.
            let keeps = |below| rows == 1 || same_order(rows, below, n);
            let below = Cut::into(k, pieces, keeps);
            if below.is_whole() {
                layer.pass_down(down);
                pauses.pause().await;
                continue;
            }
            let mut pieces = down.cut(below, rows, k).into_iter();
            loop {
                let group: Vec<_> = pieces.by_ref().take(par.degree()).collect();
                if group.is_empty() {
                    break;
                }
                each(group, |piece| layer.pass_down_piece(piece));
                pauses.pause().await;
            }
        }
    }

    /// dW = dzᵀ h and db = Σ_rows dz, some units at a time.
    async fn gradient_in_blocks(&self, own: Own<'_, T>, pauses: &impl Pauses) {
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        let degree = pauses.par().degree();
        let pieces = size_of_val(own.dW).div_ceil(BLOCK_BYTES).max(degree);
        let units = Cut::into(n, pieces, |units| same_order_of_gradient(units, k, m));
        let mut owns = own.cut(units, k).into_iter();
        loop {
            let mut group: Vec<_> = owns.by_ref().take(degree).collect();
            if group.is_empty() {
                break;
            }
            if is_small(n, k) {
                self.small_gradient_in_blocks(&mut group, pauses).await;
            } else {
                self.products_in_blocks(&mut group, pauses).await;
            }
            self.bias_in_blocks(&mut group, pauses).await;
            each(group, |own| own.take_gradient(k));
            pauses.pause().await;
        }
    }

    async fn small_gradient_in_blocks(&self, group: &mut [Own<'_, T>], pauses: &impl Pauses) {
        let (n, k) = (self.shape.units, self.shape.fan_in);
        for own in group {
            own.dW.fill(T::ZERO);
            let dz = self.dz.chunks(WALK * n);
            for (dz, h) in dz.zip(self.h_before.chunks(WALK * k)) {
                T::add_small_gradient(own.dW, dz, h, k);
                pauses.pause().await;
            }
        }
    }

    /// Each block of dW, on a thread of its own: panel after panel of samples, and some columns at a time where a row is long.
    async fn products_in_blocks(&self, group: &mut [Own<'_, T>], pauses: &impl Pauses) {
        let (m, n, k) = (self.rows, self.shape.units, self.shape.fan_in);
        let dz = MatRef::from_row_major_slice(self.dz, m, n);
        let h = MatRef::from_row_major_slice(self.h_before, m, k);
        let units = |own: &Own<'_, T>| own.dW.len() / k;
        let most = group.iter().map(units).max().unwrap_or_default();
        let work = flops(most, k, m.min(PANEL_SAMPLES));
        let columns = Cut::into(k, work.div_ceil(pauses.block()), |columns| {
            group
                .iter()
                .all(|own| same_order_of_gradient(units(own), columns, m))
        });
        for first in (0..m).step_by(PANEL_SAMPLES) {
            let mut from = 0;
            for columns in columns.sizes() {
                each(group.iter_mut().collect(), |own: &mut Own<'_, T>| {
                    let units = own.dW.len() / k;
                    let dW = MatMut::from_row_major_slice_mut(&mut *own.dW, units, k);
                    let dz = dz.subcols(own.from, units);
                    let h = h.subcols(from, columns);
                    T::gradient_panel(dW.subcols_mut(from, columns), dz, h, first);
                });
                from += columns;
                pauses.pause().await;
            }
        }
    }

    async fn bias_in_blocks(&self, group: &mut [Own<'_, T>], pauses: &impl Pauses) {
        let n = self.shape.units;
        if group.iter().all(|own| own.db.is_empty()) {
            return;
        }
        for own in &mut *group {
            own.db.fill(T::ZERO);
        }
        let rows = (WALK / n).max(1);
        for dz in self.dz.chunks(rows * n) {
            each(group.iter_mut().collect(), |own: &mut Own<'_, T>| {
                T::add_rows(own.db, dz, n, own.from);
            });
            pauses.pause().await;
        }
    }
}
