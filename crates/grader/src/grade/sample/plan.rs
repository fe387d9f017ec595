//! Plans which units of the last hidden layer are live on which sample.

use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use crate::grade::BatchKind;
use backpropd_engine::nn::Architecture;

/// With this many units, every mask occurs among the samples of the fewest networks, 8 or 30.
const FEW_UNITS: usize = 3;
/// Of this many samples, one has every unit live and one has none.
const PERIOD: usize = 8;
const ALL_LIVE_AT: usize = 3;
const ALL_DEAD_AT: usize = 6;

/// The live units for each sample of a sequence.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The number of units in the layer; 0 without a plan.
    units: usize,
    /// Masks with a live and a dead unit, in the order in which samples use them; empty if there are too many.
    mixed: Vec<Vec<bool>>,
    /// Whether all units may be dead.
    can_be_dead: bool,
}

impl Plan {
    /// A plan for a network's last hidden layer, if that has a kink.
    pub(super) fn new(
        architecture: &Architecture,
        kind: BatchKind,
        generator: &mut ChaCha8Rng,
    ) -> Self {
        let (units, can_be_dead) = match architecture.layers() {
            [.., hidden, output] if hidden.activation.has_kink() => {
                // With all dead, an output without a bias is σ(0), which a kink leaves without a derivative.
                let can_be_dead = output.has_bias() || !output.activation.has_kink();
                (hidden.units, can_be_dead)
            }
            _ => (0, false),
        };
        // One unit alone is never mixed; dead on the only sample, it would hide every gradient.
        let is_of_use = |live: &Vec<bool>| match units {
            1 => kind == BatchKind::Many || live[0],
            _ => is_mixed(live),
        };
        let mut mixed = Vec::new();
        if (1..=FEW_UNITS).contains(&units) {
            mixed = (0..1_usize << units)
                .map(|mask| (0..units).map(|j| mask >> j & 1 == 1).collect())
                .filter(is_of_use)
                .collect();
            mixed.shuffle(generator);
        }
        Self {
            units,
            mixed,
            can_be_dead,
        }
    }

    /// The live units on a sample of the sequence; `None` if left to chance.
    pub(super) fn live_units(&self, sample: usize) -> Option<Vec<bool>> {
        if self.units == 0 {
            return None;
        }
        let (turns, place) = (sample / PERIOD, sample % PERIOD);
        match place {
            ALL_LIVE_AT => Some(vec![true; self.units]),
            ALL_DEAD_AT => Some(vec![!self.can_be_dead; self.units]),
            _ => {
                let earlier = usize::from(place > ALL_LIVE_AT) + usize::from(place > ALL_DEAD_AT);
                let index = turns * (PERIOD - 2) + place - earlier;
                let index = index.checked_rem(self.mixed.len())?;
                Some(self.mixed[index].clone())
            }
        }
    }
}

/// Whether there is a live and a dead unit.
pub(super) fn is_mixed(live: &[bool]) -> bool {
    live.contains(&true) && live.contains(&false)
}
