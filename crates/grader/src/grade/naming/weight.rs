//! How simple a mistake is. Of several that explain an answer the simplest is named, on any networks.

use crate::grade::Mistake;

/// The weight of a mistake: the lower, the more likely it is what happened.
pub(super) fn weight(mistake: Mistake) -> u32 {
    match mistake {
        Mistake::MissingMask
        | Mistake::InvertedMask
        | Mistake::MissingTranspose
        | Mistake::TransposedResult
        | Mistake::SignFlipped
        | Mistake::MissingBatchMean
        | Mistake::DoubleBatchMean
        | Mistake::HardcodedBatchSize => 2,
        Mistake::ConstantFactor
        | Mistake::MaskOnOutput
        | Mistake::FirstSampleOnly
        | Mistake::ProductOfSums
        | Mistake::WrongActivation
        | Mistake::OperandOrder
        | Mistake::ElementwiseForMatmul
        | Mistake::MatmulForElementwise
        | Mistake::WrongMaskLayer
        | Mistake::WeightDropped
        | Mistake::LostSum => 3,
        Mistake::SumNotCollapsed => 4,
        Mistake::WrongIndex | Mistake::WrongWeight => 5,
        _ => 6,
    }
}

/// Whether two mistakes explain anything together: leaving a factor out and putting another one in turns every product
/// into every other.
pub(super) fn is_pair(left: Mistake, corrected: Mistake) -> bool {
    let replaces = |mistake| {
        matches!(
            mistake,
            Mistake::WeightDropped
                | Mistake::WrongWeight
                | Mistake::LostSum
                | Mistake::SumNotCollapsed
        )
    };
    let is_mask = |mistake| matches!(mistake, Mistake::MissingMask | Mistake::InvertedMask);
    !(replaces(left) && replaces(corrected) || is_mask(left) && is_mask(corrected))
}
