//! The ways in which the code of a backward pass is wrong.

/// What multiplies dhⁱ to make dzⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Slope {
    /// σ′(zⁱ).
    #[default]
    Right,
    /// 1: there is no mask.
    Omitted,
    /// The slope of the other side of the kink.
    Inverted,
    /// σ′ at another layer's z.
    At(usize),
    /// (zⁱ ≥ 0), whatever the activation.
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

/// The slope of units that lie on their kink, where two are right.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Kinks {
    /// As the network has it.
    #[default]
    AsTheyAre,
    /// The other one.
    Switched,
    /// That of positive z.
    On,
    /// That of negative z.
    Off,
}

/// ∂l/∂f, from which all else follows.
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

/// What dzⁱ is multiplied by to make dhⁱ⁻¹.
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

/// What dzⁱ is multiplied by to make dWⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Factor {
    #[default]
    Right,
    /// zⁱ⁻¹ for hⁱ⁻¹.
    PreActivation,
    /// Another layer's h of that shape.
    Of { layer: usize, other: usize },
    /// h, but dz is not transposed; it fits where m = nᵢ.
    Untransposed,
}

/// How dzⁱ becomes dbⁱ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum BiasSum {
    #[default]
    Right,
    /// Not at all: a row for each sample.
    Missing,
    /// Over the units.
    OverUnits,
}

/// Switches of a backward pass; the default is right everywhere.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wrong {
    /// The slopes that are not right, by layer.
    pub(super) slopes: Vec<(usize, Slope)>,
    pub(super) start: Start,
    /// What ∂l/∂f is multiplied by besides, where it is not 1.
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
