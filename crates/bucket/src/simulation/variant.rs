//! What is left out of the protocol or the store.

use crate::protocol::Policy;

/// A protocol with or without a safeguard, over a store with or without its conditions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    pub policy: Policy,
    /// The client of the store repeats writes, conditional ones too.
    pub retries_writes: bool,
    /// Writes have no condition.
    pub is_plain: bool,
}

/// Nothing.
pub(crate) const SAFE: Variant = Variant {
    policy: Policy::SAFE,
    retries_writes: false,
    is_plain: false,
};
