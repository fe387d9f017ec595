//! Conversions of tensors and parameters from and to slices. Entries are in row-major order.

use bytes::Bytes;

use crate::pb::{Dtype, LayerParameters, Tensor};

/// Why a tensor and its entries do not fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The shape and the entries disagree.
    #[error("the shape {shape:?} has {expected} entries, and {given} are given")]
    Count {
        /// The shape.
        shape: Vec<usize>,
        /// Number of entries of that shape.
        expected: usize,
        /// Number of given entries.
        given: usize,
    },
    /// A dimension is outside of 0 to 2³¹ − 1.
    #[error("a dimension is {0}, and 0 to 2147483647 are allowed")]
    Dimension(i128),
    /// The type of the entries is unknown to this version.
    #[error(
        "the type of the entries is {0}, and DTYPE_FLOAT32 (1) and DTYPE_FLOAT64 (2) are known"
    )]
    Dtype(i32),
    /// The raw entries are cut off in the middle of a number.
    #[error("raw has {0} bytes, which are not a whole number of entries")]
    Bytes(usize),
}

impl Tensor {
    /// A FLOAT64 tensor.
    ///
    /// # Errors
    /// The number of entries differs from that of the shape, or a dimension exceeds 2³¹ − 1.
    pub fn from_f64(shape: &[usize], entries: &[f64]) -> Result<Self, TensorError> {
        let raw = entries.iter().flat_map(|entry| entry.to_le_bytes());
        Self::new(shape, entries.len(), Dtype::Float64, raw.collect())
    }

    /// A FLOAT32 tensor.
    ///
    /// # Errors
    /// As [`Self::from_f64`].
    pub fn from_f32(shape: &[usize], entries: &[f32]) -> Result<Self, TensorError> {
        let raw = entries.iter().flat_map(|entry| entry.to_le_bytes());
        Self::new(shape, entries.len(), Dtype::Float32, raw.collect())
    }

    fn new(
        shape: &[usize],
        entries: usize,
        dtype: Dtype,
        raw: Vec<u8>,
    ) -> Result<Self, TensorError> {
        check_count(shape, entries)?;
        let sizes = shape
            .iter()
            .map(|&size| i32::try_from(size).map_err(|_| TensorError::Dimension(size as i128)));
        Ok(Self {
            shape: sizes.collect::<Result<_, _>>()?,
            values: Vec::new(),
            raw: Bytes::from(raw),
            dtype: dtype.into(),
        })
    }

    /// The shape.
    ///
    /// # Errors
    /// A dimension is negative.
    pub fn sizes(&self) -> Result<Vec<usize>, TensorError> {
        let sizes = self
            .shape
            .iter()
            .map(|&size| usize::try_from(size).map_err(|_| TensorError::Dimension(size.into())));
        sizes.collect()
    }

    /// The entries, of either type and encoding. Every FLOAT32 is a FLOAT64 as well.
    ///
    /// # Errors
    /// The shape, the type and the entries do not fit each other. A server does not send such a tensor.
    pub fn to_f64(&self) -> Result<Vec<f64>, TensorError> {
        let entries = if self.raw.is_empty() {
            self.values.clone()
        } else {
            self.raw_entries()?
        };
        check_count(&self.sizes()?, entries.len())?;
        Ok(entries)
    }

    fn raw_entries(&self) -> Result<Vec<f64>, TensorError> {
        let dtype = Dtype::try_from(self.dtype).map_err(|_| TensorError::Dtype(self.dtype))?;
        let (entries, rest): (Vec<f64>, _) = match dtype {
            Dtype::Float32 => {
                let (entries, rest) = self.raw.as_chunks();
                let entries = entries
                    .iter()
                    .map(|&bytes| f32::from_le_bytes(bytes).into());
                (entries.collect(), rest)
            }
            Dtype::Float64 | Dtype::Unspecified => {
                let (entries, rest) = self.raw.as_chunks();
                let entries = entries.iter().map(|&bytes| f64::from_le_bytes(bytes));
                (entries.collect(), rest)
            }
        };
        if rest.is_empty() {
            Ok(entries)
        } else {
            Err(TensorError::Bytes(self.raw.len()))
        }
    }
}

impl LayerParameters {
    /// The parameters of a layer: `weights` is W, units × inputs, as in `torch.nn.Linear`; `bias` is b, present exactly
    /// if the layer has a bias.
    ///
    /// # Errors
    /// The number of weights is not units × inputs, or that of the biases not units.
    pub fn from_f64(
        units: usize,
        inputs: usize,
        weights: &[f64],
        bias: Option<&[f64]>,
    ) -> Result<Self, TensorError> {
        let bias = bias.map(|bias| Tensor::from_f64(&[units], bias));
        Ok(Self {
            weights: Some(Tensor::from_f64(&[units, inputs], weights)?),
            bias: bias.transpose()?,
        })
    }

    /// W, units × inputs, and b.
    ///
    /// # Errors
    /// As [`Tensor::to_f64`].
    pub fn to_f64(&self) -> Result<(Vec<f64>, Option<Vec<f64>>), TensorError> {
        let weights = self.weights.as_ref().map(Tensor::to_f64).transpose()?;
        let bias = self.bias.as_ref().map(Tensor::to_f64).transpose()?;
        Ok((weights.unwrap_or_default(), bias))
    }
}

fn check_count(shape: &[usize], given: usize) -> Result<(), TensorError> {
    let product = shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size));
    let expected = product.unwrap_or(usize::MAX);
    if expected == given {
        return Ok(());
    }
    Err(TensorError::Count {
        shape: shape.to_vec(),
        expected,
        given,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: [f64; 6] = [0.1, -0.0, 1e300, f64::MIN_POSITIVE, 5.0, -6.5];

    #[test]
    fn entries_survive_the_message_bit_by_bit() {
        let tensor = Tensor::from_f64(&[2, 3], &ENTRIES).expect("six entries");
        assert_eq!(tensor.sizes(), Ok(vec![2, 3]));
        let bits = |entries: &[f64]| entries.iter().map(|e| e.to_bits()).collect::<Vec<_>>();
        let read = tensor.to_f64().expect("a tensor");
        assert_eq!(bits(&read), bits(&ENTRIES));
        assert_eq!(tensor.raw[..8], 0.1_f64.to_le_bytes());

        let single = Tensor::from_f32(&[2], &[0.1, 3.0]).expect("two entries");
        assert_eq!(single.dtype(), Dtype::Float32);
        assert_eq!(single.to_f64(), Ok(vec![f64::from(0.1_f32), 3.0]));

        let values = Tensor {
            shape: vec![6],
            values: ENTRIES.to_vec(),
            ..Default::default()
        };
        assert_eq!(values.to_f64(), Ok(ENTRIES.to_vec()));
    }

    #[test]
    fn entries_that_do_not_fit_are_refused() {
        let error = Tensor::from_f64(&[2, 2], &ENTRIES).expect_err("four entries");
        let text = "the shape [2, 2] has 4 entries, and 6 are given";
        assert_eq!(error.to_string(), text);
        let error = Tensor::from_f64(&[1 << 31, 0], &[]).expect_err("too large");
        assert_eq!(error, TensorError::Dimension(1 << 31));

        let whole = Tensor::from_f64(&[6], &ENTRIES).expect("six entries");
        let cut = |change: fn(&mut Tensor)| {
            let mut tensor = whole.clone();
            change(&mut tensor);
            tensor.to_f64().expect_err("damaged")
        };
        assert_eq!(cut(|t| t.raw.truncate(47)), TensorError::Bytes(47));
        assert_eq!(cut(|t| t.shape = vec![-6]), TensorError::Dimension(-6));
        assert_eq!(cut(|t| t.dtype = 7), TensorError::Dtype(7));
        assert!(matches!(
            cut(|t| t.shape = vec![5]),
            TensorError::Count { .. }
        ));
    }

    #[test]
    fn parameters_have_the_shapes_of_their_layer() {
        let layer = LayerParameters::from_f64(2, 3, &ENTRIES, Some(&[1.0, 2.0])).expect("fits");
        let sizes = layer.weights.as_ref().map(Tensor::sizes);
        assert_eq!(sizes, Some(Ok(vec![2, 3])));
        assert_eq!(layer.to_f64(), Ok((ENTRIES.to_vec(), Some(vec![1.0, 2.0]))));
        assert!(LayerParameters::from_f64(2, 3, &ENTRIES, Some(&[1.0])).is_err());
        assert!(LayerParameters::from_f64(3, 3, &ENTRIES, None).is_err());
    }
}
