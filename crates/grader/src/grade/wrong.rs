//! Switches for the known mistakes in the code of a backward pass.

/// The factor from dhⁱ to dzⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Slope {
    /// σ′(zⁱ).
    #[default]
    Right,
    /// 1: the mask is missing.
    Omitted,
    /// The slope of the other side of the kink.
    Inverted,
    /// σ′ at another layer's z.
    At(usize),
    /// (zⁱ ≥ 0), for every activation.
    Step,
    /// σ(zⁱ).
    Value,
    /// σ′(hⁱ).
    AtActivation,
    /// hⁱ(1 − hⁱ).
    Logistic,
    /// 1 − hⁱ².
    Tangent,
    /// zⁱ(1 − zⁱ).
    LogisticOfZ,
    /// 1 − zⁱ².
    TangentOfZ,
}

/// The slope of units on their kink, where two are right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Kinks {
    /// As the network defines it.
    #[default]
    AsTheyAre,
    /// The other one.
    Switched,
    /// The slope of positive z.
    On,
    /// The slope of negative z.
    Off,
}

/// ∂l/∂f, from which everything else follows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Start {
    #[default]
    Right,
    /// One row of it; the others are 0, or absent.
    Sample { row: usize, alone: bool },
    /// The mean of f_k − y_l over all l: what m outputs against m × 1 targets broadcast to.
    MeanTargets,
    /// f − y, without the softmax or the sigmoid of the loss.
    RawOutputs,
}

/// The factor from dzⁱ to dhⁱ⁻¹.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Weights {
    #[default]
    Right,
    /// Its transpose, at one layer or wherever it is square.
    Transposed(Option<usize>),
    /// Wⁱ − rate·dWⁱ.
    Updated(f64),
    /// Nothing, at a layer whose W is square.
    Dropped(usize),
    /// The weights of another layer of that shape.
    Of { layer: usize, other: usize },
}

/// The factor from dzⁱ to dWⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Factor {
    #[default]
    Right,
    /// zⁱ⁻¹ for hⁱ⁻¹.
    PreActivation,
    /// Another layer's h of that shape.
    Of { layer: usize, other: usize },
    /// h, but with dz not transposed; it fits if m = nᵢ.
    Untransposed,
}

/// The reduction from dzⁱ to dbⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum BiasSum {
    #[default]
    Right,
    /// None: a row for each sample.
    Missing,
    /// Over the units.
    OverUnits,
}

/// Switches of a backward pass; the default is right everywhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wrong {
    /// The wrong slopes, by layer.
    pub(super) slopes: Vec<(usize, Slope)>,
    pub(super) start: Start,
    /// An additional factor of ∂l/∂f, if not 1.
    pub(super) scale: Option<f64>,
    pub(super) weights: Weights,
    pub(super) factor: Factor,
    pub(super) bias: BiasSum,
}

impl Wrong {
    pub(super) fn slope(&self, i: usize) -> Slope {
        let own = self.slopes.iter().find(|(layer, _)| *layer == i);
        own.map_or(Slope::Right, |(_, slope)| *slope)
    }
}
