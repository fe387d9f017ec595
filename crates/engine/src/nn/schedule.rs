//! Learning-rate schedules, as a factor of the base rate.

/// The learning rate over a model's steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// w: step t of the first w, counted from 1, uses t/w.
    pub warmup_steps: u64,
    /// The decay after the warmup.
    pub decay: Decay,
}

/// How the learning rate decays after the warmup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// By `gamma` after every `every_steps` steps.
    Step {
        /// At least 1.
        every_steps: u64,
        /// In (0, 1].
        gamma: f64,
    },
    /// Along half a cosine, to `final_factor` after `total_steps`.
    Cosine {
        /// At least 1.
        total_steps: u64,
        /// In [0, 1].
        final_factor: f64,
    },
}

impl Schedule {
    /// The factor of the base rate for the update that follows `step` committed ones.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        let since = step - self.warmup_steps;
        match self.decay {
            Decay::Constant => 1.0,
            Decay::Step { every_steps, gamma } => gamma.powf((since / every_steps) as f64),
            Decay::Cosine {
                total_steps,
                final_factor,
            } => {
                let done = since.min(total_steps) as f64 / total_steps as f64;
                let fall = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                final_factor + (1.0 - final_factor) * fall
            }
        }
    }
}
