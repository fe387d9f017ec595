//! Reads CSV: an optional header, numbers for features, a class or a number to predict.

use std::{collections::BTreeSet, path::Path};

use ::csv::{ByteRecord, ReaderBuilder};

use super::dataset::{Dataset, Matrix, Truth};
use crate::cli::files::{self, Links};

/// More classes than this are most likely numbers to predict.
const MOST_CLASSES: usize = 1000;

pub(super) fn load(
    path: &Path,
    label_column: Option<&str>,
    regression: bool,
) -> Result<Dataset, String> {
    let name = path.display().to_string();
    let bytes = files::read(path, files::DATA_BYTES, Links::Followed)?;
    parse(&bytes, &name, label_column, regression)
}

/// Parses `bytes`, called `name` in messages.
pub(super) fn parse(
    bytes: &[u8],
    name: &str,
    label_column: Option<&str>,
    regression: bool,
) -> Result<Dataset, String> {
    let table = Table::read(bytes, name)?;
    let label = table.label_column(label_column)?;
    let columns = table.columns - 1;
    if columns == 0 {
        return Err(format!(
            "{name}: there is only one column; at least one feature is needed beside the column to predict"
        ));
    }
    let mut values = Vec::with_capacity(columns * table.rows().len());
    for record in table.rows() {
        for column in (0..table.columns).filter(|column| *column != label) {
            values.push(table.number(record, column)?);
        }
    }
    let truth = if regression {
        let numbers = table
            .rows()
            .iter()
            .map(|record| table.number(record, label));
        Truth::Targets(Matrix {
            columns: 1,
            values: numbers.collect::<Result<_, _>>()?,
        })
    } else {
        table.classes(label)?
    };
    Ok(Dataset {
        inputs: Matrix { columns, values },
        truth,
    })
}

struct Table<'a> {
    name: &'a str,
    header: Option<ByteRecord>,
    columns: usize,
    rows: Vec<ByteRecord>,
}

impl<'a> Table<'a> {
    fn read(bytes: &[u8], name: &'a str) -> Result<Self, String> {
        // Spreadsheets often write a byte-order mark.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut rows = Vec::new();
        let reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(bytes))
            .from_reader(bytes);
        for record in reader.into_byte_records() {
            let mut record = record.map_err(|error| format!("{name}: {error}"))?;
            record.trim();
            rows.push(record);
        }
        let columns = rows.first().map_or(0, ByteRecord::len);
        if let Some(short) = rows.iter().find(|record| record.len() != columns) {
            return Err(format!(
                "{name}, line {}: {} columns, but the first line has {columns}",
                line(short),
                short.len()
            ));
        }
        let header = is_header(&rows).then(|| rows.remove(0));
        if rows.is_empty() {
            return Err(format!("{name}: there are no samples in it"));
        }
        Ok(Self {
            name,
            header,
            columns,
            rows,
        })
    }

    fn rows(&self) -> &[ByteRecord] {
        &self.rows
    }

    /// Finds the column to predict, by name or by number from 1; by default the last one.
    fn label_column(&self, asked: Option<&str>) -> Result<usize, String> {
        let Some(asked) = asked else {
            return Ok(self.columns - 1);
        };
        let names: Vec<_> = self
            .header
            .iter()
            .flatten()
            .map(|name| String::from_utf8_lossy(name))
            .collect();
        if let Some(column) = names.iter().position(|name| name == asked) {
            return Ok(column);
        }
        match asked.parse::<usize>() {
            Ok(number) if (1..=self.columns).contains(&number) => Ok(number - 1),
            Ok(_) | Err(_) => {
                let known = if names.is_empty() {
                    "it has no header".to_owned()
                } else {
                    format!("its columns are {}", names.join(", "))
                };
                Err(format!(
                    "{}: --label-column {asked}: there is no such column; {known}; allowed are names and numbers from 1 to {}",
                    self.name, self.columns
                ))
            }
        }
    }

    fn cell<'r>(&self, record: &'r ByteRecord, column: usize) -> &'r [u8] {
        record
            .get(column)
            .expect("every record has as many columns as the first")
    }

    fn number(&self, record: &ByteRecord, column: usize) -> Result<f64, String> {
        let cell = self.cell(record, column);
        number(cell).ok_or_else(|| {
            let title = match self.header.as_ref().and_then(|header| header.get(column)) {
                Some(title) => format!(" ({})", String::from_utf8_lossy(title)),
                None => String::new(),
            };
            let found = if cell.is_empty() {
                "nothing".to_owned()
            } else {
                format!("{:?}", String::from_utf8_lossy(cell))
            };
            format!(
                "{}, line {}, column {}{title}: found {found}, expected a finite number",
                self.name,
                line(record),
                column + 1
            )
        })
    }

    fn classes(&self, column: usize) -> Result<Truth, String> {
        let text = |record| String::from_utf8_lossy(self.cell(record, column)).into_owned();
        let mut names: Vec<String> = self
            .rows
            .iter()
            .map(text)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        if let Some(empty) = self
            .rows
            .iter()
            .find(|record| self.cell(record, column).is_empty())
        {
            return Err(format!(
                "{}, line {}, column {}: found nothing, expected a class",
                self.name,
                line(empty),
                column + 1
            ));
        }
        let numbers: Option<Vec<f64>> = names.iter().map(|name| number(name.as_bytes())).collect();
        let fractional = numbers
            .as_ref()
            .is_some_and(|numbers| numbers.iter().any(|number| number.fract() != 0.0));
        if fractional || names.len() > MOST_CLASSES {
            return Err(format!(
                "{}, column {}: {} different values, such as {:?}, look like numbers to predict, not like classes; use \
                 --regression, or choose another column with --label-column",
                self.name,
                column + 1,
                names.len(),
                names[0]
            ));
        }
        if names.len() < 2 {
            return Err(format!(
                "{}, column {}: every sample has the class {:?}; at least two are needed",
                self.name,
                column + 1,
                names[0]
            ));
        }
        if numbers.is_some() {
            // Numbers sort as numbers: 10 after 9.
            names.sort_by(|a, b| {
                number(a.as_bytes())
                    .partial_cmp(&number(b.as_bytes()))
                    .unwrap_or_else(|| a.cmp(b))
            });
        }
        let index: std::collections::HashMap<&str, usize> = names
            .iter()
            .enumerate()
            .map(|(at, name)| (name.as_str(), at))
            .collect();
        let labels = self
            .rows
            .iter()
            .map(|record| index[text(record).as_str()])
            .collect();
        Ok(Truth::Labels { labels, names })
    }
}

fn line(record: &ByteRecord) -> u64 {
    record.position().map_or(0, ::csv::Position::line)
}

fn number(cell: &[u8]) -> Option<f64> {
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

    fn classes(text: &str, label_column: Option<&str>) -> (Vec<f64>, Vec<usize>, Vec<String>) {
        let dataset = parse(text.as_bytes(), "t.csv", label_column, false).expect("valid");
        let Truth::Labels { labels, names } = dataset.truth else {
            panic!("asked for classes")
        };
        (dataset.inputs.values, labels, names)
    }

    fn error(text: &str, label_column: Option<&str>, regression: bool) -> String {
        parse(text.as_bytes(), "t.csv", label_column, regression).expect_err("should be refused")
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
    fn errors_name_file_line_column_and_what_was_found() {
        assert_eq!(
            error("x,y,kind\n1,2,bee\n3,oops,ant\n", None, false),
            "t.csv, line 3, column 2 (y): found \"oops\", expected a finite number"
        );
        assert_eq!(
            error("1,2,bee\n3,,ant\n", None, false),
            "t.csv, line 2, column 2: found nothing, expected a finite number"
        );
        assert!(
            error("1,2,bee\nnan,4,ant\n", None, false).contains("line 2, column 1: found \"nan\"")
        );
        assert_eq!(
            error("1,2,bee\n3,ant\n", None, false),
            "t.csv, line 2: 2 columns, but the first line has 3"
        );
        assert!(error("", None, false).contains("no samples"));
        assert!(error("x,y\n1,2\n", Some("z"), false).contains("its columns are x, y"));
        assert!(error("1,0.5\n2,0.25\n", None, false).contains("--regression"));
        assert!(error("1,2\n2,2\n", None, false).contains("at least two"));
        assert!(error("1,a\n2,b\n", None, true).contains("line 1, column 2: found \"a\""));
    }

    #[test]
    fn regression_takes_numbers() {
        let dataset = parse(b"1,0.5\n2,0.25\n", "t.csv", None, true).expect("valid");
        assert_eq!(
            dataset.truth,
            Truth::Targets(Matrix {
                columns: 1,
                values: vec![0.5, 0.25]
            })
        );
    }
}
