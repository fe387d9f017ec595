//! Text files: an optional header, columns of numbers or of texts, a column to predict.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, Read};
use std::rc::Rc;

use ::csv::{ByteRecord, Reader, ReaderBuilder};
use backpropd_engine::fault::Violations;
use backpropd_engine::nn::{Dtype, Scalar};

use crate::arrays::Budget;
use crate::dataset::{Draft, Truth};
use crate::encoding::{Column, Encoding};
use crate::error::{Advice, Fault};
use crate::numbers::Numbers;
use crate::options::OpenOptions;
use crate::table::Table;

/// More classes than this are most likely numbers to predict, or names of samples.
const MOST_CLASSES: usize = 1000;
/// Up to this many different integers are classes.
const PLAUSIBLE_CLASSES: usize = 50;
/// The most different texts of a column that becomes one-hot.
const MOST_CATEGORIES: usize = 1000;
/// The most violations that are collected; a file of the wrong kind has one in each cell.
const MOST_VIOLATIONS: usize = 100;
/// The longest row, in bytes.
const MOST_ROW_BYTES: usize = 64 << 20;
/// How programs write that a value is missing.
const MISSING: [&str; 8] = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"];

/// Opens the text from its start; twice, if columns of texts are to be found first.
pub(crate) type OpenText<'a> = &'a dyn Fn() -> Box<dyn Read + 'a>;

pub(crate) fn read(
    open: OpenText<'_>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Draft, Fault> {
    match options.dtype.unwrap_or(Dtype::Float64) {
        Dtype::Float32 => read_of::<f32>(open, options, budget),
        Dtype::Float64 => read_of::<f64>(open, options, budget),
    }
}

/// The inputs of a text, and how many rows were left out.
pub(crate) fn read_inputs(
    open: OpenText<'_>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<(Table, usize), Fault> {
    let inputs = |parsed: Parsed| (parsed.inputs, parsed.dropped);
    match options.dtype.unwrap_or(Dtype::Float64) {
        Dtype::Float32 => parse::<f32>(open, options, budget, false).map(inputs),
        Dtype::Float64 => parse::<f64>(open, options, budget, false).map(inputs),
    }
}

fn read_of<T: Scalar>(
    open: OpenText<'_>,
    options: &OpenOptions,
    budget: &mut Budget,
) -> Result<Draft, Fault> {
    let parsed = parse::<T>(open, options, budget, true)?;
    let truth = parsed.truth.expect("asked for it");
    let mut draft = Draft::new(parsed.inputs, truth);
    draft.encoding = Some(parsed.encoding);
    draft.dropped_rows = parsed.dropped;
    Ok(draft)
}

/// The content of a text.
struct Parsed {
    inputs: Table,
    /// If it was asked for.
    truth: Option<Truth>,
    encoding: Encoding,
    dropped: usize,
}

fn parse<T: Scalar>(
    open: OpenText<'_>,
    options: &OpenOptions,
    budget: &mut Budget,
    has_truth: bool,
) -> Result<Parsed, Fault> {
    let mut text = Text::open(open())?;
    let plan = match &options.encoding {
        Some(encoding) => Plan::of(encoding, &text)?,
        None if !has_truth && options.label_column.is_none() => Plan::of_numbers(&text),
        None => Plan::new(&text, open, options)?,
    };
    let label = plan.label.filter(|_| has_truth);
    if has_truth && label.is_none() {
        let given = format!("{} columns", text.columns);
        let allowed = "the column to predict beside the features";
        return Err(Fault::one("columns", given, allowed));
    }
    let mut rows: Rows<T> = Rows::new(&plan, label, options);
    let mut record = ByteRecord::new();
    while text.next(&mut record)? {
        rows.add(&text, &record, budget)?;
        if rows.violations.len() >= MOST_VIOLATIONS {
            break;
        }
    }
    rows.finish(&text)
}

/// Which columns become features, and which one is to be predicted.
struct Plan {
    features: Vec<usize>,
    label: Option<usize>,
    encoding: Encoding,
}

impl Plan {
    /// All columns but the one to predict.
    fn new(text: &Text<'_>, open: OpenText<'_>, options: &OpenOptions) -> Result<Self, Fault> {
        let label = text.label_column(options.label_column.as_deref())?;
        if text.columns < 2 {
            return Err(Fault::one(
                "columns",
                "only one",
                "at least one feature beside the column to predict",
            ));
        }
        let features: Vec<usize> = (0..text.columns).filter(|at| *at != label).collect();
        let categories = if options.one_hot {
            categories(Text::open(open())?, &features)?
        } else {
            vec![Vec::new(); features.len()]
        };
        let column = |(at, categories): (&usize, Vec<String>)| Column {
            name: text.name(*at).map(Cow::into_owned),
            categories,
        };
        let encoding = Encoding {
            columns: features.iter().zip(categories).map(column).collect(),
            label_position: label,
            label_name: text.name(label).map(Cow::into_owned),
        };
        Ok(Self {
            features,
            label: Some(label),
            encoding,
        })
    }

    /// All columns as numbers.
    fn of_numbers(text: &Text<'_>) -> Self {
        let column = |at: usize| Column {
            name: text.name(at).map(Cow::into_owned),
            categories: Vec::new(),
        };
        Self {
            features: (0..text.columns).collect(),
            label: None,
            encoding: Encoding {
                columns: (0..text.columns).map(column).collect(),
                ..Encoding::default()
            },
        }
    }

    /// The columns of `encoding`: by name where both have names, else by place, with the column to predict or without.
    fn of(encoding: &Encoding, text: &Text<'_>) -> Result<Self, Fault> {
        let names: Option<Vec<&str>> = encoding
            .columns
            .iter()
            .map(|column| column.name.as_deref())
            .collect();
        let place = |name: &str| {
            (0..text.columns).find(|at| text.name(*at).is_some_and(|there| there == name))
        };
        let count = encoding.columns.len();
        let (features, label) = match names {
            Some(names) if text.header.is_some() => {
                let mut violations = Violations::new();
                let mut features = Vec::new();
                for name in names {
                    match place(name) {
                        Some(at) => features.push(at),
                        None => violations.add(
                            format!("column {name}"),
                            "no such column",
                            "every column that became a feature",
                        ),
                    }
                }
                violations.into_result(Some(()))?;
                (features, encoding.label_name.as_deref().and_then(place))
            }
            Some(_) | None if text.columns == count => ((0..count).collect(), None),
            Some(_) | None if text.columns == count + 1 => {
                let label = encoding.label_position;
                let features = (0..text.columns).filter(|at| *at != label);
                (features.collect(), Some(label))
            }
            Some(_) | None => {
                let given = format!("{} columns", text.columns);
                let allowed = format!("{count} features, and with them the column to predict");
                return Err(Fault::one("columns", given, allowed));
            }
        };
        if features.len() != count {
            let given = format!("{} features", features.len());
            return Err(Fault::one("columns", given, format!("{count}")));
        }
        Ok(Self {
            features,
            label,
            encoding: encoding.clone(),
        })
    }
}

/// A text of which at most a row's bytes are read between rows: a few bytes of a compressed file can expand to one cell
/// of any length.
struct Metered<'a> {
    text: Box<dyn Read + 'a>,
    allowance: Rc<Cell<usize>>,
}

impl Read for Metered<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.text.read(bytes)?;
        let left = self.allowance.get().checked_sub(count);
        self.allowance.set(left.ok_or_else(|| {
            io::Error::other(format!("it has a row of more than {MOST_ROW_BYTES} bytes"))
        })?);
        Ok(count)
    }
}

/// The records of a text, behind its header.
struct Text<'a> {
    reader: Reader<BufReader<Metered<'a>>>,
    allowance: Rc<Cell<usize>>,
    header: Option<ByteRecord>,
    columns: usize,
    /// Records that were read to find the header, the next one last.
    pending: Vec<ByteRecord>,
}

impl<'a> Text<'a> {
    fn open(text: Box<dyn Read + 'a>) -> Result<Self, Fault> {
        let allowance = Rc::new(Cell::new(MOST_ROW_BYTES));
        let metered = Metered {
            text,
            allowance: Rc::clone(&allowance),
        };
        let mut text = BufReader::with_capacity(1 << 16, metered);
        // Spreadsheets often write a byte-order mark.
        if text.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            text.consume(3);
        }
        let delimiter = delimiter(text.fill_buf()?);
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(text);
        let mut pending = Vec::new();
        let mut record = ByteRecord::new();
        while pending.len() < 2 && reader.read_byte_record(&mut record).map_err(io_error)? {
            pending.push(record.clone());
        }
        let columns = pending.first().map_or(0, ByteRecord::len);
        let header = is_header(&pending).then(|| pending.remove(0));
        if pending.is_empty() {
            return Err(Fault::one("rows", "none", "at least one"));
        }
        pending.reverse();
        Ok(Self {
            reader,
            allowance,
            header,
            columns,
            pending,
        })
    }

    /// Reads the next record; `false` at the end.
    fn next(&mut self, record: &mut ByteRecord) -> Result<bool, Fault> {
        if let Some(pending) = self.pending.pop() {
            *record = pending;
            return Ok(true);
        }
        self.allowance.set(MOST_ROW_BYTES);
        self.reader.read_byte_record(record).map_err(io_error)
    }

    fn name(&self, column: usize) -> Option<Cow<'_, str>> {
        let name = self.header.as_ref()?.get(column)?;
        Some(String::from_utf8_lossy(name.trim_ascii()))
    }

    /// Finds the column to predict, by name or by number from 1; by default the last one.
    fn label_column(&self, asked: Option<&str>) -> Result<usize, Fault> {
        let Some(asked) = asked else {
            return Ok(self.columns.saturating_sub(1));
        };
        let names: Vec<_> = (0..self.columns).filter_map(|at| self.name(at)).collect();
        if let Some(column) = names.iter().position(|name| name == asked) {
            return Ok(column);
        }
        match asked.parse::<usize>() {
            Ok(number) if (1..=self.columns).contains(&number) => Ok(number - 1),
            Ok(_) | Err(_) => {
                let known = if names.is_empty() {
                    "there is no header".to_owned()
                } else {
                    format!("names: {}", names.join(", "))
                };
                let allowed = format!(
                    "a column's name, or its number from 1 to {}; {known}",
                    self.columns
                );
                Err(Fault::one("label column", asked, allowed))
            }
        }
    }

    fn place(&self, record: &ByteRecord, column: usize) -> String {
        let title = match self.name(column) {
            Some(title) => format!(" ({title})"),
            None => String::new(),
        };
        format!("line {}, column {}{title}", line(record), column + 1)
    }
}

/// The texts of each feature column that has one, which is not a number; none for a column of numbers.
fn categories(mut text: Text<'_>, features: &[usize]) -> Result<Vec<Vec<String>>, Fault> {
    struct Found {
        has_text: bool,
        values: HashSet<String>,
    }
    let new = || Found {
        has_text: false,
        values: HashSet::new(),
    };
    let mut columns: Vec<Found> = features.iter().map(|_| new()).collect();
    let mut record = ByteRecord::new();
    while text.next(&mut record)? {
        if record.len() != text.columns {
            continue;
        }
        for (column, found) in features.iter().zip(&mut columns) {
            let cell = cell(&record, *column);
            if is_missing(cell) {
                continue;
            }
            found.has_text |= number(cell).is_none();
            // One more than the limit says that it is exceeded. A column of numbers may have any number of them.
            if found.values.len() <= MOST_CATEGORIES {
                let value = String::from_utf8_lossy(cell);
                if !found.values.contains(value.as_ref()) {
                    found.values.insert(value.into_owned());
                }
            }
        }
    }
    let mut violations = Violations::new();
    let mut all = Vec::new();
    for (column, found) in features.iter().zip(columns) {
        if found.has_text && found.values.len() > MOST_CATEGORIES {
            violations.add(
                format!("column {}", column + 1),
                format!("more than {MOST_CATEGORIES} different texts"),
                "fewer texts, or numbers; remove the column if it names the samples",
            );
        }
        let values: BTreeSet<String> = if found.has_text {
            found.values.into_iter().collect()
        } else {
            BTreeSet::new()
        };
        all.push(values.into_iter().collect());
    }
    Ok(violations.into_result(Some(all))?)
}

/// The rows that have been read.
struct Rows<'a, T> {
    plan: &'a Plan,
    /// For each feature column: the place of each text among the column's features.
    places: Vec<HashMap<String, usize>>,
    label: Option<usize>,
    options: &'a OpenOptions,
    inputs: Vec<T>,
    targets: Vec<T>,
    labels: Vec<u32>,
    /// The classes by their texts, numbered as they occur.
    classes: HashMap<String, u32>,
    dropped: usize,
    has_text: bool,
    has_missing: bool,
    violations: Violations,
}

impl<'a, T: Scalar> Rows<'a, T> {
    fn new(plan: &'a Plan, label: Option<usize>, options: &'a OpenOptions) -> Self {
        let by_text = |column: &Column| {
            let texts = column.categories.iter().cloned();
            texts.enumerate().map(|(at, text)| (text, at)).collect()
        };
        Self {
            plan,
            places: plan.encoding.columns.iter().map(by_text).collect(),
            label,
            options,
            inputs: Vec::new(),
            targets: Vec::new(),
            labels: Vec::new(),
            classes: HashMap::new(),
            dropped: 0,
            has_text: false,
            has_missing: false,
            violations: Violations::new(),
        }
    }

    fn add(
        &mut self,
        text: &Text<'_>,
        record: &ByteRecord,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        if record.len() != text.columns {
            self.violations.add(
                format!("line {}", line(record)),
                format!("{} columns", record.len()),
                format!("{}, as in the first line", text.columns),
            );
            return Ok(());
        }
        let plan = self.plan;
        let mut used = plan.features.iter().copied().chain(self.label);
        if self.options.drop_missing && used.any(|column| is_missing(cell(record, column))) {
            self.dropped += 1;
            return Ok(());
        }
        let before = self.inputs.len() + self.targets.len();
        for (at, column) in plan.features.iter().enumerate() {
            let cell = cell(record, *column);
            if self.places[at].is_empty() {
                let number = self.number(text, record, *column, cell);
                self.inputs.push(number);
            } else {
                self.one_hot(text, record, at, cell);
            }
        }
        if let Some(label) = self.label {
            let cell = cell(record, label);
            if self.options.regression {
                let number = self.number(text, record, label, cell);
                self.targets.push(number);
            } else {
                self.class(text, record, label, cell);
            }
        }
        let numbers = self.inputs.len() + self.targets.len() - before;
        budget.take((numbers * size_of::<T>()) as u64 + 4)
    }

    fn number(&mut self, text: &Text<'_>, record: &ByteRecord, column: usize, cell: &[u8]) -> T {
        let found = number(cell)
            .map(T::from_f64)
            .filter(|number| number.finite());
        found.unwrap_or_else(|| {
            if is_missing(cell) {
                self.has_missing = true;
            } else {
                self.has_text = true;
            }
            let given = quoted(cell);
            self.violations
                .add(text.place(record, column), given, "a finite number");
            T::ZERO
        })
    }

    fn one_hot(&mut self, text: &Text<'_>, record: &ByteRecord, at: usize, cell: &[u8]) {
        let place = self.places[at].get(String::from_utf8_lossy(cell).as_ref());
        let place = place.copied();
        let column = &self.plan.encoding.columns[at];
        if place.is_none() {
            self.has_missing |= is_missing(cell);
            let place = text.place(record, self.plan.features[at]);
            let known: Vec<&str> = column
                .categories
                .iter()
                .take(10)
                .map(String::as_str)
                .collect();
            let allowed = format!("a text that the column has, such as {}", known.join(", "));
            self.violations.add(place, quoted(cell), allowed);
        }
        let first = self.inputs.len();
        self.inputs.resize(first + column.features(), T::ZERO);
        self.inputs[first + place.unwrap_or(0)] = T::ONE;
    }

    fn class(&mut self, text: &Text<'_>, record: &ByteRecord, label: usize, cell: &[u8]) {
        if cell.is_empty() {
            self.has_missing = true;
            self.violations
                .add(text.place(record, label), "nothing", "a class");
        }
        let name = String::from_utf8_lossy(cell);
        let class = match self.classes.get(name.as_ref()) {
            Some(class) => *class,
            None => {
                let class = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
                self.classes.insert(name.into_owned(), class);
                class
            }
        };
        self.labels.push(class);
    }

    fn finish(mut self, text: &Text<'_>) -> Result<Parsed, Fault> {
        if self.violations.is_empty() && self.inputs.is_empty() {
            let given = format!(
                "none without a missing value; {} were dropped",
                self.dropped
            );
            self.violations.add("rows", given, "at least one");
        }
        if !self.violations.is_empty() {
            let advice = if self.has_text {
                Some(Advice::OneHot)
            } else if self.has_missing {
                Some(Advice::DropMissing)
            } else {
                None
            };
            return Err(Fault::Invalid {
                violations: self.violations,
                advice,
            });
        }
        let truth = match self.label {
            None => None,
            Some(_) if self.options.regression => {
                let targets = Numbers::from_vec(self.targets);
                Some(Truth::Targets(Table::in_memory(1, targets)))
            }
            Some(label) => {
                let field = match text.name(label) {
                    Some(name) => format!("column {} ({name})", label + 1),
                    None => format!("column {}", label + 1),
                };
                Some(name_classes(&field, self.labels, self.classes)?)
            }
        };
        let encoding = self.plan.encoding.clone();
        let inputs = Numbers::from_vec(self.inputs);
        Ok(Parsed {
            inputs: Table::in_memory(encoding.features(), inputs),
            truth,
            encoding,
            dropped: self.dropped,
        })
    }
}

/// Sorts the classes by name, numbers as numbers, and numbers the labels accordingly.
fn name_classes(
    field: &str,
    mut labels: Vec<u32>,
    classes: HashMap<String, u32>,
) -> Result<Truth, Fault> {
    let mut classes: Vec<(String, u32)> = classes.into_iter().collect();
    classes.sort();
    let numbers: Option<Vec<f64>> = classes
        .iter()
        .map(|(name, _)| number(name.as_bytes()))
        .collect();
    let are_numbers = numbers.is_some();
    let looks_continuous = numbers.is_some_and(|numbers| {
        let many = numbers.len() > PLAUSIBLE_CLASSES && 3 * numbers.len() > labels.len();
        many || numbers.iter().any(|number| number.fract() != 0.0)
    });
    if looks_continuous || classes.len() > MOST_CLASSES {
        let mut violations = Violations::new();
        let looks = if are_numbers {
            "look like numbers to predict, not like classes"
        } else {
            "are too many to be classes"
        };
        violations.add(
            field,
            format!(
                "{} different values, such as {:?}",
                classes.len(),
                classes[0].0
            ),
            format!("at most {MOST_CLASSES} classes; the values {looks}"),
        );
        return Err(Fault::Invalid {
            violations,
            advice: are_numbers.then_some(Advice::Regression),
        });
    }
    if classes.len() < 2 {
        let given = format!("the class {:?} in every row", classes[0].0);
        return Err(Fault::one(field, given, "at least two classes"));
    }
    if are_numbers {
        // Numbers sort as numbers: 10 after 9.
        classes.sort_by(|(a, _), (b, _)| {
            number(a.as_bytes())
                .partial_cmp(&number(b.as_bytes()))
                .unwrap_or_else(|| a.cmp(b))
        });
    }
    let mut class_of = vec![0; classes.len()];
    for (class, (_, occurred)) in (0_u32..).zip(&classes) {
        class_of[*occurred as usize] = class;
    }
    for label in &mut labels {
        *label = class_of[*label as usize];
    }
    Ok(Truth::Labels {
        labels,
        names: classes.into_iter().map(|(name, _)| name).collect(),
    })
}

fn io_error(error: ::csv::Error) -> Fault {
    let text = error.to_string();
    // A reader of bytes with rows of any length reports nothing else.
    let ::csv::ErrorKind::Io(error) = error.into_kind() else {
        return Fault::Io(io::Error::other(text));
    };
    Fault::Io(error)
}

fn cell(record: &ByteRecord, column: usize) -> &[u8] {
    record.get(column).unwrap_or_default().trim_ascii()
}

fn is_missing(cell: &[u8]) -> bool {
    MISSING.iter().any(|missing| missing.as_bytes() == cell)
}

/// A cell as a message shows it.
fn quoted(cell: &[u8]) -> String {
    if cell.is_empty() {
        "nothing".to_owned()
    } else {
        format!("{:?}", String::from_utf8_lossy(cell))
    }
}

fn line(record: &ByteRecord) -> u64 {
    record.position().map_or(0, ::csv::Position::line)
}

/// A finite number.
fn number(cell: &[u8]) -> Option<f64> {
    /// Integers of this many digits are exact in an `f64`.
    const EXACT_DIGITS: usize = 15;
    if !cell.is_empty() && cell.len() <= EXACT_DIGITS && cell.iter().all(u8::is_ascii_digit) {
        // Pixels and counts: most cells of most files.
        let digit = |value: u64, digit: &u8| value * 10 + u64::from(digit - b'0');
        #[allow(clippy::cast_precision_loss, reason = "at most 15 digits")]
        return Some(cell.iter().fold(0, digit) as f64);
    }
    std::str::from_utf8(cell)
        .ok()?
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite())
}

/// The first row is a header if some column has a word in it and a number below.
fn is_header(rows: &[ByteRecord]) -> bool {
    let [first, second, ..] = rows else {
        return false;
    };
    first.iter().zip(second).any(|(first, second)| {
        let (first, second) = (first.trim_ascii(), second.trim_ascii());
        number(first).is_none() && !first.is_empty() && number(second).is_some()
    })
}

/// The most frequent of the usual delimiters in the first line.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let count = |delimiter: u8| first.iter().filter(|byte| **byte == delimiter).count();
    // max_by_key prefers the last of equals, so the comma is last.
    [b'\t', b';', b',']
        .into_iter()
        .max_by_key(|delimiter| count(*delimiter))
        .unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;

    fn parse(text: &str, options: &OpenOptions) -> Result<Dataset, Fault> {
        let open = || Box::new(text.as_bytes()) as Box<dyn Read>;
        read(&open, options, &mut Budget::new(1 << 20))?.check()
    }

    fn inputs(dataset: &Dataset) -> &[f64] {
        dataset.whole::<f64>().expect("in memory").0
    }

    fn classes(text: &str, label_column: Option<&str>) -> (Vec<f64>, Vec<u32>, Vec<String>) {
        let options = OpenOptions {
            label_column: label_column.map(str::to_owned),
            ..OpenOptions::default()
        };
        let dataset = parse(text, &options).expect("valid");
        let crate::TruthKind::Labels { names } = dataset.truth().clone() else {
            panic!("asked for classes")
        };
        let labels = dataset.labels().expect("classes").to_vec();
        (inputs(&dataset).to_vec(), labels, names)
    }

    fn error(text: &str, options: &OpenOptions) -> String {
        parse(text, options)
            .expect_err("should be refused")
            .to_string()
    }

    #[test]
    fn a_header_is_detected_and_its_absence_too() {
        let expected = (
            vec![1.0, 2.0, 3.0, 4.0],
            vec![1, 0],
            vec!["ant".to_owned(), "bee".to_owned()],
        );
        assert_eq!(classes("x,y,kind\n1,2,bee\n3,4,ant\n", None), expected);
        assert_eq!(classes("1,2,bee\n3,4,ant\n", None), expected);
        assert_eq!(
            classes("\u{feff}kind;x;y\r\nbee; 1;2\r\nant;3;4\r\n", Some("kind")),
            expected
        );
        assert_eq!(classes("bee\t1\t2\nant\t3\t4\n", Some("1")), expected);
    }

    #[test]
    fn numeric_classes_sort_as_numbers() {
        let (_, labels, names) = classes("0,10\n0,9\n0,9\n", None);
        assert_eq!(
            (labels, names),
            (vec![1, 0, 0], vec!["9".to_owned(), "10".to_owned()])
        );
    }

    #[test]
    fn all_errors_name_line_column_and_the_given_text() {
        let default = OpenOptions::default();
        let regression = OpenOptions {
            regression: true,
            ..OpenOptions::default()
        };
        let by_z = OpenOptions {
            label_column: Some("z".to_owned()),
            ..OpenOptions::default()
        };
        assert_eq!(
            error("x,y,kind\n1,2,bee\n3,oops,ant\n4,,\n1,2\n", &default),
            "line 3, column 2 (y): given \"oops\"; allowed: a finite number; \
             line 4, column 2 (y): given nothing; allowed: a finite number; \
             line 4, column 3 (kind): given nothing; allowed: a class; \
             line 5: given 2 columns; allowed: 3, as in the first line"
        );
        assert!(
            error("1,2,bee\nnan,4,ant\n", &default).contains("line 2, column 1: given \"nan\"")
        );
        assert!(error("", &default).contains("rows: given none"));
        assert!(error("x,y\n1,2\n", &by_z).contains("names: x, y"));
        assert!(error("1,2\n2,2\n", &default).contains("at least two"));
        assert!(error("1,a\n2,b\n", &regression).contains("line 1, column 2: given \"a\""));
        assert!(error("1\n2\n", &default).contains("at least one feature"));
    }

    #[test]
    fn a_fault_comes_with_the_option_that_mends_it() {
        let advice = |text: &str| {
            let fault = parse(text, &OpenOptions::default()).expect_err("refused");
            fault.advice()
        };
        assert_eq!(advice("1,0.5\n2,0.25\n"), Some(Advice::Regression));
        let many: String = (0..100).map(|at| format!("1,{}\n", at / 2)).collect();
        assert!(parse(&many, &OpenOptions::default()).is_ok());
        let many: String = (0..100).map(|at| format!("1,{}\n", at * 7 / 5)).collect();
        assert_eq!(advice(&many), Some(Advice::Regression));
        assert_eq!(advice("red,a\nblue,b\n"), Some(Advice::OneHot));
        assert_eq!(advice("1,a\n?,b\n"), Some(Advice::DropMissing));
        assert_eq!(advice("1,a\n1,b,c\n"), None);
    }

    #[test]
    fn regression_takes_numbers() {
        let options = OpenOptions {
            regression: true,
            ..OpenOptions::default()
        };
        let dataset = parse("1,0.5\n2,0.25\n", &options).expect("valid");
        let (inputs, truth) = dataset.whole::<f64>().expect("in memory");
        assert_eq!(inputs, [1.0, 2.0]);
        assert_eq!(truth, crate::TruthSlices::Targets(&[0.5, 0.25]));
    }

    #[test]
    fn texts_become_features_of_0_and_1_on_request() {
        let options = OpenOptions {
            one_hot: true,
            ..OpenOptions::default()
        };
        let text = "colour,size,kind\nred,1,a\nblue,2,b\n7,3,a\n";
        let dataset = parse(text, &options).expect("valid");
        let expected = [
            0.0, 0.0, 1.0, 1.0, //
            0.0, 1.0, 0.0, 2.0, //
            1.0, 0.0, 0.0, 3.0,
        ];
        assert_eq!(inputs(&dataset), expected);
        let encoding = dataset.encoding().expect("of a text file");
        assert_eq!(encoding.columns[0].categories, ["7", "blue", "red"]);
        assert_eq!(
            encoding.columns[1],
            Column {
                name: Some("size".to_owned()),
                categories: Vec::new()
            }
        );
        assert!(
            error("x,n,k\nred,1,a\n,2,b\n", &options)
                .contains("line 3, column 1 (x): given nothing")
        );
    }

    #[test]
    fn rows_with_missing_values_are_dropped_on_request() {
        let options = OpenOptions {
            drop_missing: true,
            one_hot: true,
            ..OpenOptions::default()
        };
        let dataset = parse("x,k\n1,a\n,b\nNA,b\n3,?\n4,b\n", &options).expect("valid");
        assert_eq!(
            (inputs(&dataset), dataset.dropped_rows()),
            (&[1.0, 4.0][..], 3)
        );
        assert!(error("?,a\n?,b\n", &options).contains("2 were dropped"));
    }

    #[test]
    fn a_text_of_more_numbers_than_memory_may_hold_is_refused() {
        let text = "1,2,3,a\n".repeat(1000);
        let open = || Box::new(text.as_bytes()) as Box<dyn Read>;
        let refused = read(&open, &OpenOptions::default(), &mut Budget::new(1000));
        assert!(matches!(refused, Err(Fault::TooLarge { most: 1000, .. })));
    }

    #[test]
    fn integers_of_up_to_15_digits_are_as_parse_reads_them() {
        for text in [
            "0",
            "007",
            "255",
            "999999999999999",
            "9007199254740993",
            "1e3",
            "-4",
            "+5",
        ] {
            assert_eq!(number(text.as_bytes()), text.parse().ok(), "{text}");
        }
        assert_eq!(number(b""), None);
        assert_eq!(number(b"inf"), None);
    }
}
