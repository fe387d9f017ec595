//! Limits how much is computed at once: long work is cut into blocks, between which other work runs.

/// Approximate multiplications in one block, a fraction of a millisecond.
const BLOCK: usize = 1 << 18;

/// The cost of one entry of an activation, a slope or a loss, in multiplications.
pub(super) const ELEMENTWISE: usize = 32;

/// The multiplications left in the current block, and those spent in total.
#[derive(Clone, Debug, Default)]
pub(super) struct Budget {
    left: usize,
    spent: usize,
}

impl Budget {
    /// Begins the next block.
    pub(super) fn refill(&mut self) {
        self.left = BLOCK;
    }

    /// How many of `items`, which cost `cost` each, fit in this block: at least one while any is left.
    pub(super) fn take(&mut self, items: usize, cost: usize) -> usize {
        if self.is_spent() || items == 0 {
            return 0;
        }
        let cost = cost.max(1);
        let count = (self.left / cost).clamp(1, items);
        self.spend(count.saturating_mul(cost));
        count
    }

    /// Charges work that cannot be cut.
    pub(super) fn spend(&mut self, cost: usize) {
        self.left = self.left.saturating_sub(cost);
        self.spent = self.spent.saturating_add(cost);
    }

    /// Whether the block is over.
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// The multiplications of all blocks.
    pub(super) fn spent(&self) -> usize {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_holds_one_item_at_least_and_no_more_than_it_can_pay() {
        let mut budget = Budget::default();
        assert_eq!(budget.take(10, 1), 0, "no block has begun");
        budget.refill();
        assert_eq!(budget.take(0, 5), 0);
        assert_eq!(budget.take(10, BLOCK / 4), 4);
        assert_eq!((budget.take(6, BLOCK / 4), budget.is_spent()), (0, true));
        budget.refill();
        assert_eq!(budget.take(6, usize::MAX), 1);
        assert_eq!((budget.spent(), budget.is_spent()), (usize::MAX, true));
    }
}
