//! Feedback on a mistake: a question that leads the student to it, never the answer.

use super::Mistake;

/// A question for the student.
pub(super) fn question(mistake: Mistake) -> &'static str {
    match mistake {
        Mistake::MissingMask => "Where does the gradient go when z is negative?",
        Mistake::InvertedMask => "For which sign of z does the activation let its input through?",
        Mistake::WrongMaskLayer => "Which layer's z decides whether this unit is live?",
        Mistake::MaskOnOutput => {
            "Which activation does the last layer have, and what is its slope?"
        }
        Mistake::MissingTranspose => {
            "Write the shape below each factor: which one has to be turned?"
        }
        Mistake::TransposedResult => {
            "Which shape does the quantity have that you differentiate with respect to?"
        }
        Mistake::SignFlipped => {
            "Does the loss grow or shrink when the output grows beyond the target?"
        }
        Mistake::MissingBatchMean => "The loss is a mean over the batch: where did its 1/m go?",
        Mistake::DoubleBatchMean => {
            "How often does 1/m stand in the loss, and is it already inside δ?"
        }
        Mistake::ConstantFactor => {
            "Which constant does differentiating the square bring down, and what does the ½ do to it?"
        }
        Mistake::HardcodedBatchSize => "Does it still hold when the batch has five samples?",
        Mistake::FirstSampleOnly => "How does the loss depend on the other samples of the batch?",
        Mistake::ProductOfSums => "Is the sum of products the product of the sums?",
        Mistake::WrongIndex => {
            "Which unit does each index stand for? Follow one weight through the network."
        }
        Mistake::SumNotCollapsed => "Which terms of the sum depend on this one entry at all?",
        Mistake::LostSum => "Along how many paths does this quantity reach the loss?",
        Mistake::ElementwiseForMatmul => {
            "Are the entries multiplied one by one here, or is there a sum over units or samples?"
        }
        Mistake::MatmulForElementwise => {
            "Does the derivative of the activation mix units, or act on each alone?"
        }
        Mistake::OperandOrder => "In which order do the shapes of the product fit?",
        Mistake::WrongActivation => {
            "What is the derivative of this network's activation, at a negative and at a positive z?"
        }
        Mistake::WeightDropped => {
            "What does a change of this quantity get multiplied by on its way to the loss?"
        }
        Mistake::WrongWeight => "Which layer does each factor belong to?",
        Mistake::BiasNotSummed => "How many samples does one bias act on?",
        Mistake::GradientNotZeroed => "What was in the gradient before this batch?",
        Mistake::UpdatedWeightsUsed => "Which weights did the forward pass use?",
        Mistake::ShapeMismatch => "Write the shape below each factor: where do they not fit?",
        Mistake::UnboundIndex => {
            "Which index does the question give, and which one does a sum run over?"
        }
        Mistake::ForbiddenSymbol => "What is it made of, in terms of the network's quantities?",
        Mistake::UnknownSymbol => "Which quantity of the network do you mean?",
        Mistake::SyntaxError => "How would you read it aloud?",
        Mistake::TooLarge => "Which parts repeat, and can be written as a matrix or a sum?",
        Mistake::Other => "Try it on a network with one unit in each layer: what comes out?",
    }
}
