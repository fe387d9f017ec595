//! The codes of mistakes.

/// Declares the codes, their names and their meanings in one table.
macro_rules! mistakes {
    ($($name:ident $word:literal $meaning:literal,)*) => {
        /// What is wrong with an answer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Mistake {
            $(#[doc = $meaning] $name,)*
        }

        impl Mistake {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as reports write it, such as `MISSING_MASK`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// The meaning, as a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

mistakes! {
    MissingMask "MISSING_MASK" "A derivative of the activation, the mask (z ≥ 0), is left out.",
    InvertedMask "INVERTED_MASK" "A mask passes where it should stop, and stops where it should pass.",
    WrongMaskLayer "WRONG_MASK_LAYER" "A mask is taken from the wrong layer.",
    MaskOnOutput "MASK_ON_OUTPUT" "The linear output layer is masked.",
    MissingTranspose "MISSING_TRANSPOSE" "A transpose is left out, or stands where none belongs.",
    TransposedResult "TRANSPOSED_RESULT" "The result is the transpose of the right one.",
    SignFlipped "SIGN_FLIPPED" "The sign is the opposite one.",
    MissingBatchMean "MISSING_BATCH_MEAN" "The mean over the batch, 1/m, is left out.",
    DoubleBatchMean "DOUBLE_BATCH_MEAN" "The mean over the batch, 1/m, is taken twice.",
    ConstantFactor "CONSTANT_FACTOR" "The result is the right one times a constant.",
    HardcodedBatchSize "HARDCODED_BATCH_SIZE" "The answer holds for one batch size only.",
    FirstSampleOnly "FIRST_SAMPLE_ONLY" "Only the first sample of the batch counts.",
    ProductOfSums "PRODUCT_OF_SUMS" "A product of sums stands where a sum of products belongs.",
    WrongIndex "WRONG_INDEX" "An index is another one than it should be.",
    SumNotCollapsed "SUM_NOT_COLLAPSED" "A sum is kept of which only one term remains.",
    LostSum "LOST_SUM" "A sum is left out.",
    ElementwiseForMatmul "ELEMENTWISE_FOR_MATMUL" "An elementwise product stands where a matrix product belongs.",
    MatmulForElementwise "MATMUL_FOR_ELEMENTWISE" "A matrix product stands where an elementwise product belongs.",
    OperandOrder "OPERAND_ORDER" "The factors of a matrix product are in the wrong order.",
    WrongActivation "WRONG_ACTIVATION" "The derivative is that of another activation, or its threshold is not 0.",
    WeightDropped "WEIGHT_DROPPED" "A weight, or another factor of the chain rule, is left out.",
    WrongWeight "WRONG_WEIGHT" "A weight or an activation is taken from the wrong layer, or does not belong here.",
    BiasNotSummed "BIAS_NOT_SUMMED" "The gradient of the bias is not summed over the samples.",
    GradientNotZeroed "GRADIENT_NOT_ZEROED" "The gradient was added to that of an earlier batch.",
    UpdatedWeightsUsed "UPDATED_WEIGHTS_USED" "Weights after the update were used where those before it belong.",
    ShapeMismatch "SHAPE_MISMATCH" "Shapes do not fit.",
    UnboundIndex "UNBOUND_INDEX" "An index is neither summed over nor given by the question.",
    ForbiddenSymbol "FORBIDDEN_SYMBOL" "The answer uses what the question asks for, or another symbol that it does not allow.",
    UnknownSymbol "UNKNOWN_SYMBOL" "A symbol has no meaning in this assignment.",
    SyntaxError "SYNTAX_ERROR" "The answer cannot be read.",
    TooLarge "TOO_LARGE" "The answer is too long, too deep or too much work.",
    Other "OTHER" "Something else.",
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl std::str::FromStr for Mistake {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|mistake| mistake.word() == word);
        found
            .copied()
            .ok_or_else(|| format!("{word:?} is not the code of a mistake"))
    }
}

impl serde::Serialize for Mistake {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> serde::Deserialize<'de> for Mistake {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        word.parse().map_err(serde::de::Error::custom)
    }
}
