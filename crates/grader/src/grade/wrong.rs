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
    /// That of leaky ReLU with this slope.
    Leaky(f64),
    /// σ(zⁱ).
    Value,
    /// σ′(hⁱ).
    AtActivation,
    /// hⁱ(1 − hⁱ).
    Logistic,
    /// 1 − hⁱ².
    Tangent,
    /// 1 − hⁱ.
    Complement,
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
    /// The sigmoid of each output in place of the softmax of all.
    Sigmoids,
    /// The right one, times p(1 − p) of the probabilities p.
    ProbabilitySlope,
}

/// The factor from dzⁱ to dhⁱ⁻¹.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) enum Weights {
    #[default]
    Right,
    /// Its transpose, at one layer or wherever it is square.
    Transposed(Option<usize>),
    /// Wⁱ − rate·dWⁱ, at one layer or at all.
    Updated { rate: f64, at: Option<usize> },
    /// Nothing, at a layer whose W is square, or whose single unit broadcasts over those below.
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
    Of {
        layer: usize,
        other: usize,
    },
    /// h, but with dz not transposed; it fits if m = nᵢ.
    Untransposed,
    /// The sums of dz and of h over the samples, multiplied; with the mean of h, the second.
    Sums,
    SumAndMean,
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
    /// Both mistakes at once, if they concern different things.
    pub(super) fn and(&self, other: &Self) -> Option<Self> {
        let is_free = |layer: usize| other.slopes.iter().all(|(taken, _)| *taken != layer);
        if !self.slopes.iter().all(|(layer, _)| is_free(*layer)) {
            return None;
        }
        Some(Self {
            slopes: self.slopes.iter().chain(&other.slopes).copied().collect(),
            start: one_of(self.start, other.start)?,
            scale: one_of(self.scale, other.scale)?,
            weights: one_of(self.weights, other.weights)?,
            factor: one_of(self.factor, other.factor)?,
            bias: one_of(self.bias, other.bias)?,
        })
    }

    pub(super) fn slope(&self, i: usize) -> Slope {
        let own = self.slopes.iter().find(|(layer, _)| *layer == i);
        own.map_or(Slope::Right, |(_, slope)| *slope)
    }
}

/// The switch that is not right, unless both are not.
fn one_of<S: Default + PartialEq>(a: S, b: S) -> Option<S> {
    if a == S::default() {
        Some(b)
    } else if b == S::default() {
        Some(a)
    } else {
        None
    }
}
