//! A recognized mistake and the feedback on it.

use crate::grade::{Mistake, feedback};

/// A mistake, what was seen of it, and the question to ask.
#[derive(Clone, Debug)]
pub(super) struct Diagnosis {
    pub(super) mistake: Mistake,
    pub(super) observation: String,
    pub(super) question: String,
}

impl Diagnosis {
    pub(super) fn new(
        mistake: Mistake,
        observation: impl Into<String>,
        question: impl Into<String>,
    ) -> Self {
        Self {
            mistake,
            observation: observation.into(),
            question: question.into(),
        }
    }

    /// Two mistakes at once. `found` says what the first one is.
    pub(super) fn two((first, found): (Mistake, &str), second: Mistake, question: String) -> Self {
        let found = format!(
            "There seem to be two mistakes. {found} ({first}) {} ({second})",
            second.meaning()
        );
        Self::new(Mistake::Other, found, question)
    }

    /// The meaning of the mistake, and the usual question.
    pub(super) fn usual(mistake: Mistake) -> Self {
        Self::new(mistake, mistake.meaning(), feedback::question(mistake))
    }
}
