//! The names that the wire has for the engine's quantities.

use crate::nn::Quantity;
use crate::rpc::pb;

/// The quantity that a number on the wire means; `None` for an unknown one, and for UNSPECIFIED.
pub fn read(number: i32) -> Option<Quantity> {
    match pb::Quantity::try_from(number).ok()? {
        pb::Quantity::Unspecified => None,
        pb::Quantity::X => Some(Quantity::Inputs),
        pb::Quantity::Z => Some(Quantity::PreActivation),
        pb::Quantity::H => Some(Quantity::Activation),
        pb::Quantity::Y => Some(Quantity::Targets),
        pb::Quantity::LossPerSample => Some(Quantity::SampleLoss),
        pb::Quantity::DW => Some(Quantity::WeightsGradient),
        pb::Quantity::DB => Some(Quantity::BiasGradient),
        pb::Quantity::DZ => Some(Quantity::PreActivationGradient),
        pb::Quantity::DH => Some(Quantity::ActivationGradient),
        pb::Quantity::DX => Some(Quantity::InputsGradient),
        pb::Quantity::Delta => Some(Quantity::Delta),
        pb::Quantity::W => Some(Quantity::Weights),
        pb::Quantity::B => Some(Quantity::Bias),
    }
}

/// A quantity on the wire.
pub fn named(quantity: Quantity) -> pb::Quantity {
    match quantity {
        Quantity::Inputs => pb::Quantity::X,
        Quantity::PreActivation => pb::Quantity::Z,
        Quantity::Activation => pb::Quantity::H,
        Quantity::Targets => pb::Quantity::Y,
        Quantity::SampleLoss => pb::Quantity::LossPerSample,
        Quantity::WeightsGradient => pb::Quantity::DW,
        Quantity::BiasGradient => pb::Quantity::DB,
        Quantity::PreActivationGradient => pb::Quantity::DZ,
        Quantity::ActivationGradient => pb::Quantity::DH,
        Quantity::InputsGradient => pb::Quantity::DX,
        Quantity::Delta => pb::Quantity::Delta,
        Quantity::Weights => pb::Quantity::W,
        Quantity::Bias => pb::Quantity::B,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_has_a_name_of_its_own_on_the_wire() {
        for quantity in Quantity::ALL {
            assert_eq!(read(named(quantity).into()), Some(quantity));
        }
        let known = (-1..=20).filter(|&number| read(number).is_some());
        assert_eq!(known.count(), Quantity::ALL.len());
    }
}
