//! Every fault of an assignment's file that shows without evaluating a formula, each with its line. [`Assignment::parse`]
//! stops at the first one, which is enough for a server that refuses to start, and tedious for an instructor who writes the file.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::super::network::WeightShape;
use super::convention::{ConstantFile, LayoutWord};
use super::network_file::{
    ActivationWord, AtZeroWord, LossWord, NetworkFile, NetworkSpec, ReductionWord,
};
use super::{
    AnswerKind, Assignment, BatchKind, JacobianLayout, MAX_FILE_BYTES, MAX_QUESTIONS, Mistake,
    Question, Rubric, check_id, check_question, check_rubric,
};

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileFault {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what is allowed.
    pub reason: String,
}

/// A field of a table.
struct Field {
    name: &'static str,
    is_mandatory: bool,
    /// Reads a value as the field's type.
    read: for<'i> fn(Spanned<DeValue<'i>>) -> Result<(), Error>,
}

fn reads<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<(), Error> {
    T::deserialize(ValueDeserializer::from(value)).map(drop)
}

/// The value is looked at on its own.
fn nested(_: Spanned<DeValue<'_>>) -> Result<(), Error> {
    Ok(())
}

const fn must(
    name: &'static str,
    read: for<'i> fn(Spanned<DeValue<'i>>) -> Result<(), Error>,
) -> Field {
    Field {
        name,
        is_mandatory: true,
        read,
    }
}

const fn may(
    name: &'static str,
    read: for<'i> fn(Spanned<DeValue<'i>>) -> Result<(), Error>,
) -> Field {
    Field {
        name,
        is_mandatory: false,
        read,
    }
}

const FILE: [Field; 12] = [
    must("id", reads::<String>),
    must("title", reads::<String>),
    may("description", reads::<String>),
    may("layout", reads::<LayoutWord>),
    may("weights", reads::<WeightShape>),
    may("notation", reads::<String>),
    may("names", reads::<BTreeMap<String, Vec<String>>>),
    may("constants", reads::<BTreeMap<String, ConstantFile>>),
    must("network", nested),
    may("rubric", nested),
    may("given", nested),
    must("questions", nested),
];
const NETWORK: [Field; 5] = [
    must("input_size", reads::<i64>),
    must("layers", nested),
    must("loss", reads::<LossWord>),
    may("reduction", reads::<ReductionWord>),
    may("relu_at_zero", reads::<AtZeroWord>),
];
const LAYER: [Field; 3] = [
    must("units", reads::<i64>),
    must("activation", reads::<ActivationWord>),
    may("bias", reads::<bool>),
];
const RUBRIC: [Field; 10] = [
    may("transposed", reads::<f64>),
    may("constant_factor", reads::<f64>),
    may("sign", reads::<f64>),
    may("one_mask", reads::<f64>),
    may("one_index", reads::<f64>),
    may("one_batch_size", reads::<f64>),
    may("entries", reads::<f64>),
    may("stated_shape", reads::<f64>),
    may("stated_derivative", reads::<f64>),
    may("carried_forward", reads::<f64>),
];
const QUESTION: [Field; 23] = [
    must("id", reads::<String>),
    must("part", reads::<String>),
    must("prompt", reads::<String>),
    must("points", reads::<f64>),
    may("kind", reads::<AnswerKind>),
    may("batch", reads::<BatchKind>),
    may("of", reads::<String>),
    may("wrt", reads::<String>),
    may("jacobian", reads::<JacobianLayout>),
    may("free", reads::<Vec<char>>),
    may("layers", reads::<BTreeMap<String, usize>>),
    may("argument", reads::<Vec<String>>),
    may("allow", reads::<Vec<String>>),
    may("forbid", reads::<Vec<String>>),
    must("solution", reads::<String>),
    may("accept", reads::<Vec<String>>),
    may("choices", reads::<Vec<String>>),
    may("given", reads::<String>),
    may("tolerance", reads::<f64>),
    may("hints", reads::<Vec<String>>),
    may("tags", reads::<Vec<String>>),
    may("mistakes", nested),
    may("carry", nested),
];
const MISTAKE: [Field; 3] = [
    must("code", reads::<Mistake>),
    must("answer", reads::<String>),
    may("hint", reads::<String>),
];
const CARRY: [Field; 3] = [
    must("from", reads::<String>),
    must("stands_for", reads::<String>),
    must("formula", reads::<String>),
];

/// A question's place in the file: its lines, and each of its texts with the line.
#[derive(Clone, Debug, Default)]
pub(in crate::grade) struct QuestionPlace {
    pub(in crate::grade) line: usize,
    pub(in crate::grade) texts: Vec<(String, usize)>,
}

/// The faults of a file in the order of their lines, and the places of its questions.
pub(in crate::grade) fn faults(text: &str) -> (Vec<FileFault>, Vec<QuestionPlace>) {
    let mut check = Check {
        text,
        faults: Vec::new(),
    };
    if text.len() > MAX_FILE_BYTES {
        check.fault(
            0,
            format!("{} bytes; at most {MAX_FILE_BYTES} are read", text.len()),
        );
        return (check.faults, Vec::new());
    }
    let (file, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            check.fault(at, error.message().replace('\n', "; "));
        }
        return (check.faults, Vec::new());
    }
    let places = check.file(file.get_ref());
    // What the fields do not show one by one, if anything is left.
    if check.faults.is_empty()
        && let Err(error) = Assignment::parse(text, "")
    {
        check.faults.push(FileFault {
            line: error.line,
            reason: error.reason,
        });
    }
    check.faults.sort();
    (check.faults, places)
}

/// The line of a byte of a text, from 1.
pub(in crate::grade) fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

struct Check<'t> {
    text: &'t str,
    faults: Vec<FileFault>,
}

impl Check<'_> {
    fn line(&self, at: usize) -> usize {
        line_of(self.text, at)
    }

    fn fault(&mut self, at: usize, reason: String) {
        let line = self.line(at);
        self.faults.push(FileFault { line, reason });
    }

    fn file(&mut self, file: &DeTable<'_>) -> Vec<QuestionPlace> {
        self.fields(&FILE, file, 0..0, "the file");
        if let Some(id) = file.get("id")
            && let Some(text) = id.get_ref().as_str()
            && let Err(reason) = check_id(text)
        {
            self.fault(id.span().start, reason);
        }
        if let Some(network) = file.get("network") {
            self.network(network);
        }
        if let Some(rubric) = file.get("rubric") {
            let is_sound = self.table(&RUBRIC, rubric, "[rubric]");
            let read: Result<Rubric, _> = read(rubric);
            if is_sound
                && let Ok(rubric_read) = read
                && let Err(reason) = check_rubric(&rubric_read)
            {
                self.fault(rubric.span().start, reason);
            }
        }
        let Some(questions) = file.get("questions") else {
            return Vec::new();
        };
        let Some(all) = questions.get_ref().as_array() else {
            let why = "questions are tables, each below a line [[questions]]";
            self.fault(questions.span().start, why.to_owned());
            return Vec::new();
        };
        if all.is_empty() || all.len() > MAX_QUESTIONS {
            let why = format!("{} questions; 1 to {MAX_QUESTIONS} are allowed", all.len());
            self.fault(questions.span().start, why);
        }
        let mut earlier: HashSet<String> = HashSet::new();
        all.iter()
            .map(|question| self.question(question, &mut earlier))
            .collect()
    }

    fn network(&mut self, network: &Spanned<DeValue<'_>>) {
        let mut is_sound = self.table(&NETWORK, network, "[network]");
        let layers = network
            .get_ref()
            .as_table()
            .and_then(|table| table.get("layers"));
        if let Some(layers) = layers {
            match layers.get_ref().as_array() {
                None => {
                    let why = "layers is a list such as [{ units = 4, activation = \"tanh\" }]";
                    self.fault(layers.span().start, why.to_owned());
                    is_sound = false;
                }
                Some(layers) => {
                    for (layer, number) in layers.iter().zip(1..) {
                        is_sound &= self.table(&LAYER, layer, &format!("layer {number}"));
                    }
                }
            }
        }
        let network_file: Result<NetworkFile, _> = read(network);
        if is_sound
            && let Ok(file) = network_file
            && let Err(reason) = NetworkSpec::of_assignment(&file)
        {
            self.fault(network.span().start, reason);
        }
    }

    fn question(
        &mut self,
        question: &Spanned<DeValue<'_>>,
        earlier: &mut HashSet<String>,
    ) -> QuestionPlace {
        let at = question.span().start;
        let table = question.get_ref().as_table();
        let id = table
            .and_then(|table| table.get("id"))
            .and_then(|id| id.get_ref().as_str());
        let named = id.map_or_else(
            || "a question without an id".to_owned(),
            |id| format!("question {id:?}"),
        );
        let mut is_sound = self.table(&QUESTION, question, &named);
        for (list, fields) in [("mistakes", &MISTAKE), ("carry", &CARRY)] {
            let Some(value) = table.and_then(|table| table.get(list)) else {
                continue;
            };
            let Some(entries) = value.get_ref().as_array() else {
                self.fault(
                    value.span().start,
                    format!("{named}: {list} is a list of tables"),
                );
                is_sound = false;
                continue;
            };
            for entry in entries {
                is_sound &= self.table(fields, entry, &format!("{named}, {list}"));
            }
        }
        let read: Result<Question, _> = read(question);
        if is_sound && let Ok(question) = read {
            let known: HashSet<&str> = earlier.iter().map(String::as_str).collect();
            if let Err(reason) = check_question(&question, &known) {
                self.fault(at, format!("{named}: {reason}"));
            }
        }
        earlier.extend(id.map(str::to_owned));
        let mut place = QuestionPlace {
            line: self.line(at),
            texts: Vec::new(),
        };
        self.texts(question, &mut place.texts);
        place
    }

    /// Every text below a value, with its line.
    fn texts(&self, value: &Spanned<DeValue<'_>>, texts: &mut Vec<(String, usize)>) {
        match value.get_ref() {
            DeValue::String(text) => texts.push((text.to_string(), self.line(value.span().start))),
            DeValue::Array(array) => array.iter().for_each(|value| self.texts(value, texts)),
            DeValue::Table(table) => table.values().for_each(|value| self.texts(value, texts)),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }

    /// Checks the fields of a value that is to be a table; returns whether all are sound.
    fn table(&mut self, fields: &[Field], value: &Spanned<DeValue<'_>>, what: &str) -> bool {
        let Some(table) = value.get_ref().as_table() else {
            self.fault(value.span().start, format!("{what} is a table of fields"));
            return false;
        };
        self.fields(fields, table, value.span(), what)
    }

    fn fields(
        &mut self,
        fields: &[Field],
        table: &DeTable<'_>,
        place: Range<usize>,
        what: &str,
    ) -> bool {
        let before = self.faults.len();
        for (key, value) in table {
            let name: &str = key.get_ref();
            let Some(field) = fields.iter().find(|field| field.name == name) else {
                let known: Vec<&str> = fields.iter().map(|field| field.name).collect();
                let why = format!(
                    "{what} has no field {name:?}; allowed are {}",
                    known.join(", ")
                );
                self.fault(key.span().start, why);
                continue;
            };
            if let Err(error) = (field.read)(value.clone()) {
                let why = error.message().replace('\n', "; ");
                self.fault(value.span().start, format!("{what}: {name}: {why}"));
            }
        }
        let has = |name: &str| table.keys().any(|key| key.get_ref() == name);
        let missing = fields
            .iter()
            .filter(|field| field.is_mandatory && !has(field.name));
        let missing: Vec<&str> = missing.map(|field| field.name).collect();
        if !missing.is_empty() {
            let why = format!("{what} needs {}", missing.join(", "));
            self.fault(place.start, why);
        }
        self.faults.len() == before
    }
}

fn read<T: DeserializeOwned>(value: &Spanned<DeValue<'_>>) -> Result<T, Error> {
    T::deserialize(ValueDeserializer::from(value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names in serde's message about an unknown field.
    fn fields_of<T: DeserializeOwned>() -> Vec<String> {
        let Err(error) = toml::from_str::<T>("zzz = 1") else {
            panic!("zzz is no field");
        };
        let message = error.message().to_owned();
        let names = message.split('`').skip(3).step_by(2);
        names.map(str::to_owned).collect()
    }

    #[test]
    fn every_field_that_is_read_is_known_here() {
        let names = |fields: &[Field]| -> Vec<String> {
            fields.iter().map(|field| field.name.to_owned()).collect()
        };
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        for (read, known) in [
            (fields_of::<super::super::File>(), names(&FILE)),
            (fields_of::<NetworkFile>(), names(&NETWORK)),
            (fields_of::<Rubric>(), names(&RUBRIC)),
            (fields_of::<Question>(), names(&QUESTION)),
            (fields_of::<super::super::CatalogueEntry>(), names(&MISTAKE)),
            (fields_of::<super::super::Carry>(), names(&CARRY)),
        ] {
            assert_eq!(sorted(read), sorted(known));
        }
    }

    #[test]
    fn all_faults_are_listed_with_their_lines() {
        let text = "id = \"a b\"\ntitle = 3\nnetwrk = 1\n[network]\ninput_size = 2\nlayers = [\n  { units = 1, activation = \"rlu\" },\n  \
                    { unit = 1, activation = \"tanh\" },\n]\n[rubric]\nsign = 2.0\n[[questions]]\nid = \"1\"\npart = \"p\"\npoints = \"two\"\n\
                    batch = \"some\"\nof = 'l'\nwrt = 'W^1'\nsolution = '\\delta'\nmistakes = [\n  { code = \"NOPE\", answer = 'x' },\n]\n\
                    [[questions]]\nid = \"1\"\npart = \"p\"\nprompt = \"q\"\npoints = 0\nbatch = \"one\"\nof = 'l'\nwrt = 'W^1'\nsolution = ''\n";
        let (found, _) = faults(text);
        let shown: Vec<String> = found
            .iter()
            .map(|fault| format!("{}: {}", fault.line, fault.reason))
            .collect();
        for (line, pieces) in [
            (1, &["\"a b\" is not made of"][..]),
            (2, &["title: invalid type"]),
            (3, &["has no field \"netwrk\"", "allowed are id, title"]),
            (4, &["[network] needs loss"]),
            (7, &["layer 1: activation", "`rlu`", "`tanh`"]),
            (8, &["layer 2 has no field \"unit\""]),
            (8, &["layer 2 needs units"]),
            (10, &["sign = 2 is not a share"]),
            (12, &["question \"1\" needs prompt"]),
            (15, &["points: invalid type"]),
            (16, &["batch", "`some`", "`many`"]),
            (21, &["mistakes: code", "NOPE"]),
            (23, &["another question has this id"]),
        ] {
            let is_there = shown.iter().any(|fault| {
                fault.starts_with(&format!("{line}: "))
                    && pieces.iter().all(|piece| fault.contains(piece))
            });
            assert!(is_there, "{line}: {pieces:?} in {shown:#?}");
        }
        assert_eq!(shown.len(), 13, "{shown:#?}");
        let (syntax, _) = faults("id = \ntitle = \"\n");
        assert!(syntax.len() > 1, "{syntax:?}");
    }

    #[test]
    fn the_homework_has_no_fault() {
        let (found, places) = faults(super::super::BUILT_IN[0].1);
        assert_eq!(found, []);
        assert_eq!(places.len(), 25);
        assert!(
            places[0]
                .texts
                .iter()
                .any(|(text, _)| text == r"\delta h^2_{1,1}")
        );
    }
}
