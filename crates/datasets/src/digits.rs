//! The pictures that come with this program.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;

use crate::arrays::Budget;
use crate::csv;
use crate::dataset::Dataset;
use crate::options::OpenOptions;
use crate::truth::TruthKind;

const PACKED: &[u8] = include_bytes!("../../../data/digits.csv.gz");

/// 1797 pictures of handwritten digits, 8 × 8 pixels from 0 to 1, in float32; parsed once.
pub fn digits() -> Dataset {
    static DIGITS: OnceLock<Dataset> = OnceLock::new();
    DIGITS.get_or_init(parse).clone()
}

fn parse() -> Dataset {
    let open = || Box::new(GzDecoder::new(PACKED)) as Box<dyn Read>;
    let options = OpenOptions {
        dtype: Some(backpropd_engine::nn::Dtype::Float32),
        ..OpenOptions::default()
    };
    let mut budget = Budget::new(options.max_resident_bytes);
    let levels = csv::read(&open, &options, &mut budget).and_then(crate::dataset::Draft::check);
    let levels = levels.expect("the digits are part of this program");
    let (pixels, _) = levels.whole::<f32>().expect("read as float32, in memory");
    // Sixteenths are exact.
    let pixels: Vec<f32> = pixels.iter().map(|level| level / 16.0).collect();
    let TruthKind::Labels { names } = levels.truth().clone() else {
        unreachable!("read as classes")
    };
    let labels = levels.labels().unwrap_or_default();
    Dataset::with_labels(levels.features(), pixels, labels, Some(names))
        .expect("the digits are part of this program")
}
