//! The fixed numbers of an assignment: W, b, x and y of its `[given]` tables, read in the course's layout and checked all
//! at once.

use std::collections::BTreeMap;

use super::network::Layout;
use super::{Convention, Network, NetworkSpec, Numbers};
use crate::formula::{Matrix, Symbol};
use backpropd_engine::nn::Loss;

/// The name of the numbers of a lone `[given]` table.
pub const ONLY: &str = "given";
/// The most tables of given numbers.
pub const MAX_GIVEN: usize = 32;
/// The most samples of given numbers.
pub const MAX_SAMPLES: usize = 64;
/// The allowed error of a number that a student writes, relative to the largest entry, if the question names none.
pub(super) const DEFAULT_TOLERANCE: f64 = 1e-3;

/// Numbers for the network of an assignment, and one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The name by which questions refer to them.
    pub name: String,
    /// W¹, b¹, …, x and y in the engine's layout.
    numbers: Numbers,
    /// The values of the assignment's constants, in its order.
    constants: Vec<Matrix>,
}

/// Nested lists of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenArray {
    /// The length of each axis; empty for a lone number.
    pub shape: Vec<usize>,
    /// The entries, row after row.
    pub values: Vec<f64>,
}

impl Given {
    /// Their network, as a course with this layout sees it.
    pub(super) fn network(&self, spec: &NetworkSpec, layout: Layout) -> Network {
        let network = Network::new(spec, &self.numbers);
        let is_batch = network.samples() > 1;
        let constants = self.constants.iter().cloned();
        network
            .of_batch(is_batch)
            .in_layout(layout)
            .with_constants(constants)
    }

    /// m.
    pub(super) fn samples(&self, spec: &NetworkSpec) -> usize {
        self.numbers.inputs.len() / spec.architecture.input_size()
    }

    /// W1, b1, …, x and y as arrays in the engine's layout: weights are units × inputs, rows are samples.
    pub fn arrays(&self, spec: &NetworkSpec) -> Vec<(String, GivenArray)> {
        let architecture = &spec.architecture;
        let array = |shape: &[usize], values: &[f64]| GivenArray {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let mut all = Vec::new();
        for (i, layer) in (1..).zip(architecture.layers()) {
            let weights = &self.numbers.parameters[layer.weights.clone()];
            let shape = [layer.units, layer.fan_in];
            all.push((format!("W{i}"), array(&shape, weights)));
            if layer.has_bias() {
                let bias = &self.numbers.parameters[layer.bias.clone()];
                all.push((format!("b{i}"), array(&[layer.units], bias)));
            }
        }
        let samples = self.samples(spec);
        let inputs = [samples, architecture.input_size()];
        all.push(("x".to_owned(), array(&inputs, &self.numbers.inputs)));
        let targets = [samples, architecture.output_size()];
        all.push(("y".to_owned(), array(&targets, &self.numbers.targets)));
        all
    }
}

/// Reads the `[given]` tables of a file.
///
/// # Errors
/// Every table, array and number that is not allowed.
pub(super) fn read(
    tables: &toml::Table,
    network: &NetworkSpec,
    convention: &Convention,
) -> Result<Vec<Given>, Vec<String>> {
    let is_table = |value: &toml::Value| matches!(value, toml::Value::Table(_));
    let mut faults = Vec::new();
    let mut all = Vec::new();
    let mut one = |name: &str, table: &toml::Table| match given(name, table, network, convention) {
        Ok(given) => all.push(given),
        Err(found) => faults.extend(found.into_iter().map(|fault| match name {
            ONLY => format!("[given]: {fault}"),
            _ => format!("[given.{name}]: {fault}"),
        })),
    };
    if tables.values().any(is_table) {
        for (name, value) in tables {
            match value {
                toml::Value::Table(table) => one(name, table),
                _ => one(name, &toml::Table::new()),
            }
        }
    } else if !tables.is_empty() {
        one(ONLY, tables);
    }
    if all.len() > MAX_GIVEN {
        faults.push(format!(
            "[given]: {} tables; at most {MAX_GIVEN} are allowed",
            all.len()
        ));
    }
    if faults.is_empty() {
        Ok(all)
    } else {
        Err(faults)
    }
}

fn given(
    name: &str,
    table: &toml::Table,
    network: &NetworkSpec,
    convention: &Convention,
) -> Result<Given, Vec<String>> {
    let mut faults = Vec::new();
    let mut arrays: BTreeMap<&str, GivenArray> = BTreeMap::new();
    for (key, value) in table {
        match array(value) {
            Ok(array) => drop(arrays.insert(key, array)),
            Err(fault) => faults.push(format!("{key}: {fault}")),
        }
    }
    let mut reader = Reader {
        network,
        layout: convention.layouts.first().copied().unwrap_or_default(),
        is_broken: table
            .keys()
            .filter(|key| !arrays.contains_key(key.as_str()))
            .cloned()
            .collect(),
        arrays,
        faults,
    };
    let parameters = reader.parameters();
    let inputs = reader.batch(
        "x",
        network.architecture.input_size(),
        Symbol::Activation(0),
    );
    let targets = reader.batch("y", network.architecture.output_size(), Symbol::Targets);
    if let (Some((m, _)), Some((of_targets, _))) = (&inputs, &targets)
        && m != of_targets
    {
        (reader.faults).push(format!("x has {m} samples, and y has {of_targets}"));
    }
    if let Some((_, targets)) = &targets {
        reader.faults.extend(target_fault(network, targets));
    }
    let constants = convention.constants.iter().map(|constant| {
        let name = constant.name.as_str();
        let array = reader.take(name, || {
            format!("a {} × {} matrix", constant.shape.0, constant.shape.1)
        })?;
        let (rows, columns) = constant.shape;
        if array.values.len() != rows * columns
            || array.shape.len() == 2 && array.shape[..] != [rows, columns]
        {
            let shape = shape_text(&array.shape);
            reader.faults.push(format!(
                "{name}: found {shape}, and {rows} × {columns} is expected"
            ));
            return None;
        }
        Some(Matrix::new(rows, columns, array.values))
    });
    let constants: Option<Vec<Matrix>> = constants.collect();
    let mut faults = reader.faults;
    for name in reader.arrays.keys() {
        faults.push(format!("{name} is no array of this network; W1, b1, …, x and y are, and the assignment's constants"));
    }
    match (parameters, inputs, targets, constants) {
        (Some(parameters), Some((_, inputs)), Some((_, targets)), Some(constants))
            if faults.is_empty() =>
        {
            Ok(Given {
                name: name.to_owned(),
                numbers: Numbers {
                    parameters,
                    inputs,
                    targets,
                    argument: 1.0,
                },
                constants,
            })
        }
        _ => Err(faults),
    }
}

/// The arrays of one table that have not been used yet, and the faults found so far.
struct Reader<'r> {
    network: &'r NetworkSpec,
    layout: Layout,
    arrays: BTreeMap<&'r str, GivenArray>,
    /// The arrays that are no arrays; their fault has been said.
    is_broken: Vec<String>,
    faults: Vec<String>,
}

impl Reader<'_> {
    fn take(&mut self, name: &str, expected: impl Fn() -> String) -> Option<GivenArray> {
        let found = self.arrays.remove(name);
        if found.is_none() && !self.is_broken.iter().any(|broken| broken == name) {
            self.faults
                .push(format!("{name} is missing: {} is expected", expected()));
        }
        found
    }

    fn parameters(&mut self) -> Option<Vec<f64>> {
        let network = self.network;
        let mut all = Some(Vec::with_capacity(network.architecture.parameter_count()));
        for (i, layer) in (1..).zip(network.architecture.layers()) {
            let mut add = |values: Option<Vec<f64>>| match (&mut all, values) {
                (Some(all), Some(values)) => all.extend(values),
                (all, _) => *all = None,
            };
            add(self.weights(i, layer.units, layer.fan_in));
            if layer.has_bias() {
                add(self.bias(i, layer.units));
            }
        }
        all
    }

    /// Wⁱ with a row for each unit.
    fn weights(&mut self, i: usize, units: usize, inputs: usize) -> Option<Vec<f64>> {
        let is_turned = self.layout.transposes(Symbol::Weights(i));
        let (rows, columns) = if is_turned {
            (inputs, units)
        } else {
            (units, inputs)
        };
        let name = format!("W{i}");
        let array = self.take(&name, || format!("a {rows} × {columns} matrix"))?;
        match array.shape[..] {
            [r, c] if (r, c) == (rows, columns) => {}
            [n] if n == rows * columns && rows.min(columns) == 1 => {}
            [] if rows * columns == 1 => {}
            _ => {
                let found = shape_text(&array.shape);
                self.faults.push(format!(
                    "{name}: found {found}, and {rows} × {columns} is expected"
                ));
                return None;
            }
        }
        let matrix = Matrix::new(rows, columns, array.values);
        Some(
            if is_turned {
                matrix.transposed()
            } else {
                matrix
            }
            .entries()
            .to_vec(),
        )
    }

    fn bias(&mut self, i: usize, units: usize) -> Option<Vec<f64>> {
        let name = format!("b{i}");
        let array = self.take(&name, || format!("a list of {units} numbers"))?;
        match array.shape[..] {
            [n] | [1, n] | [n, 1] if n == units => Some(array.values),
            [] if units == 1 => Some(array.values),
            _ => {
                let found = shape_text(&array.shape);
                self.faults.push(format!(
                    "{name}: found {found}, and {units} numbers are expected"
                ));
                None
            }
        }
    }

    /// x or y with a row for each sample: how many there are, and the entries.
    fn batch(&mut self, name: &str, units: usize, symbol: Symbol) -> Option<(usize, Vec<f64>)> {
        let is_turned = self.layout.transposes(symbol);
        let expected = || {
            if is_turned {
                format!("{units} × m, a column for each sample")
            } else {
                format!("m × {units}, a row for each sample")
            }
        };
        let array = self.take(name, expected)?;
        let (samples, is_turned) = match array.shape[..] {
            [] if units == 1 => (1, false),
            [n] if n == units => (1, false),
            [n] if units == 1 => (n, false),
            [m, n] if !is_turned && n == units => (m, false),
            [n, m] if is_turned && n == units => (m, true),
            _ => {
                let found = shape_text(&array.shape);
                self.faults.push(format!(
                    "{name}: found {found}, and {} is expected",
                    expected()
                ));
                return None;
            }
        };
        if !(1..=MAX_SAMPLES).contains(&samples) {
            self.faults.push(format!(
                "{name}: {samples} samples; 1 to {MAX_SAMPLES} are allowed"
            ));
            return None;
        }
        let values = if is_turned {
            Matrix::new(units, samples, array.values)
                .transposed()
                .entries()
                .to_vec()
        } else {
            array.values
        };
        Some((samples, values))
    }
}

/// Why numbers cannot be the targets of a classifier.
fn target_fault(network: &NetworkSpec, targets: &[f64]) -> Option<String> {
    let is_share = |y: &f64| (0.0..=1.0).contains(y);
    let outputs = network.architecture.output_size();
    let is_right = match network.objective.loss {
        Loss::CrossEntropy => targets
            .chunks(outputs)
            .all(|row| row.iter().all(is_share) && (row.iter().sum::<f64>() - 1.0).abs() < 1e-9),
        Loss::BinaryCrossEntropy => targets.iter().all(is_share),
        Loss::HalfSquaredError | Loss::MeanSquaredError => true,
    };
    (!is_right).then(|| match network.objective.loss {
        Loss::CrossEntropy => {
            "y: the entries of a sample are from 0 to 1, and their sum is 1: one-hot, for example"
                .to_owned()
        }
        _ => "y: every entry is from 0 to 1".to_owned(),
    })
}

fn shape_text(shape: &[usize]) -> String {
    let sides: Vec<String> = shape.iter().map(usize::to_string).collect();
    match shape {
        [] => "one number".to_owned(),
        [n] => format!("a list of {n} numbers"),
        _ => sides.join(" × "),
    }
}

/// Nested lists of equal length, of finite numbers, at most two deep.
fn array(value: &toml::Value) -> Result<GivenArray, String> {
    let number = |value: &toml::Value| match value {
        toml::Value::Integer(number) => Ok(*number as f64),
        toml::Value::Float(number) if number.is_finite() => Ok(*number),
        toml::Value::Float(number) => Err(format!("{number} is not a finite number")),
        other => Err(format!("{other} is not a number")),
    };
    let toml::Value::Array(rows) = value else {
        let values = vec![number(value)?];
        return Ok(GivenArray {
            shape: Vec::new(),
            values,
        });
    };
    let is_list = |value: &toml::Value| matches!(value, toml::Value::Array(_));
    if !rows.iter().any(is_list) {
        let values = rows.iter().map(number).collect::<Result<Vec<f64>, _>>()?;
        return Ok(GivenArray {
            shape: vec![rows.len()],
            values,
        });
    }
    let mut values = Vec::new();
    let mut columns = None;
    for row in rows {
        let toml::Value::Array(row) = row else {
            return Err("some rows are lists and others are numbers".to_owned());
        };
        if *columns.get_or_insert(row.len()) != row.len() {
            return Err(format!(
                "its rows have {} and {} entries",
                columns.unwrap_or(0),
                row.len()
            ));
        }
        for entry in row {
            values.push(number(entry)?);
        }
    }
    Ok(GivenArray {
        shape: vec![rows.len(), columns.unwrap_or(0)],
        values,
    })
}
