//! The scores of a class as CSV: in the columns that a platform imports, if its list of students is given.

use std::path::Path;

use super::result::{ClassReport, HandIn, mistake_word};
use crate::cli::Failure;
use crate::cli::files::{self, Links};
use crate::grade::Verdict;

/// A list of students, as a platform exports it.
pub(in crate::cli) struct Roster {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The platform of a list, by its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Canvas's gradebook: the columns that it wants back, and one for the assignment.
    Canvas,
    /// Moodle's grading worksheet: all its columns, with the grade and the feedback filled in.
    Moodle,
    /// Any other list: all its columns, then ours.
    Other,
}

/// The columns by which Canvas recognizes a student.
const CANVAS: [&str; 6] = [
    "Student",
    "ID",
    "SIS User ID",
    "SIS Login ID",
    "Integration ID",
    "Section",
];

/// Columns that name a student, without case, blanks and signs.
const NAMING: [&str; 18] = [
    "sub",
    "id",
    "sisuserid",
    "sisloginid",
    "identifier",
    "idnumber",
    "studentid",
    "sid",
    "username",
    "login",
    "emailaddress",
    "email",
    "student",
    "fullname",
    "name",
    "lastname",
    "surname",
    "firstname",
];

/// The scores, and the hand-ins that no line of the list is about.
pub(super) struct Scores {
    pub(super) csv: String,
    pub(super) unmatched: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Roster {
    /// Reads a list of students.
    pub(in crate::cli) fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, Links::Followed).map_err(Failure::usage)?;
        let fault = |why: String| Failure::usage(format!("the roster {}: {why}", path.display()));
        let text = text.trim_start_matches('\u{feff}');
        let first = text.lines().next().unwrap_or_default();
        let most = [b',', b';', b'\t'].into_iter().max_by_key(|wanted| {
            (
                first.bytes().filter(|byte| byte == wanted).count(),
                *wanted == b',',
            )
        });
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(most.unwrap_or(b','))
            .flexible(true)
            .has_headers(false)
            .from_reader(text.as_bytes());
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| fault(error.to_string()))?;
            rows.push(record.iter().map(str::to_owned).collect::<Vec<_>>());
        }
        if rows.is_empty() {
            return Err(fault(
                "it is empty; its first line names the columns".to_owned(),
            ));
        }
        let header = rows.remove(0);
        for row in &mut rows {
            row.resize(header.len(), String::new());
        }
        Ok(Self { header, rows })
    }

    /// [`Self::read`], for hand-ins that have to be matched with their students.
    pub(super) fn read_to_match(path: &Path) -> Result<Self, Failure> {
        let roster = Self::read(path)?;
        if roster.naming_columns().is_empty() {
            return Err(Failure::usage(format!(
                "the roster {}: no column names a student; the columns are {}, and one such as ID, email or name is expected",
                path.display(),
                roster.header.join(", ")
            )));
        }
        Ok(roster)
    }

    /// The names that more than one column has.
    pub(in crate::cli) fn doubled_columns(&self) -> Vec<&str> {
        let names: Vec<&str> = self.header.iter().map(|name| name.trim()).collect();
        let is_second = |at: &usize| {
            let earlier = names[..*at].iter();
            !names[*at].is_empty()
                && earlier
                    .filter(|name| name.eq_ignore_ascii_case(names[*at]))
                    .count()
                    == 1
        };
        let seconds = (0..names.len()).filter(is_second);
        seconds.map(|at| names[at]).collect()
    }

    /// The columns, and the lines below them.
    pub(in crate::cli) fn table(&self) -> (&[String], &[Vec<String>]) {
        (&self.header, &self.rows)
    }

    /// The column of this name, without case, blanks and signs.
    pub(in crate::cli) fn column(&self, name: &str) -> Option<usize> {
        let name = plain(name);
        self.header.iter().position(|column| plain(column) == name)
    }

    /// Whether a line is about no student: Canvas has one with the points of each assignment, and one of a student that
    /// teachers use to look at their course.
    pub(in crate::cli) fn is_of_no_student(&self, row: &[String]) -> bool {
        let name = self.header.iter().position(|column| column == "Student");
        let name = name.map(|at| row[at].trim());
        self.kind() == Kind::Canvas
            && matches!(name, Some("Points Possible" | "Student, Test" | ""))
    }

    fn kind(&self) -> Kind {
        let has = |name: &str| self.header.iter().any(|column| column == name);
        if has("Student") && has("ID") && (has("Section") || has("SIS Login ID")) {
            Kind::Canvas
        } else if has("Identifier") && has("Full name") {
            Kind::Moodle
        } else {
            Kind::Other
        }
    }

    /// The columns that name a student, the surest first.
    fn naming_columns(&self) -> Vec<usize> {
        let named = |wanted: &&str| {
            self.header
                .iter()
                .position(|column| plain(column) == **wanted)
        };
        NAMING.iter().filter_map(named).collect()
    }

    /// The line of a student: the only one that has one of the keys, tried in their order.
    fn row_of(&self, keys: &[String]) -> Option<usize> {
        let columns = self.naming_columns();
        for key in keys {
            let key = plain(key);
            for shorten in [plain as fn(&str) -> String, before_at, sorted_words] {
                let is_same = |row: &Vec<String>| {
                    columns.iter().any(|column| {
                        let cell = shorten(&row[*column]);
                        !cell.is_empty() && cell == key
                    })
                };
                let mut rows = self.rows.iter().enumerate().filter(|(_, row)| is_same(row));
                if let (Some((at, _)), None) = (rows.next(), rows.next()) {
                    return Some(at);
                }
            }
        }
        None
    }
}

/// Letters and digits alone, in lower case: `lovelaceada` for Canvas's `Lovelace, Ada`.
fn plain(text: &str) -> String {
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, '@'));
    kept.flat_map(char::to_lowercase).collect()
}

/// The part of an address before its `@`.
fn before_at(text: &str) -> String {
    text.split_once('@')
        .map_or_else(String::new, |(name, _)| plain(name))
}

/// `Lovelace, Ada` as `adalovelace`.
fn sorted_words(text: &str) -> String {
    text.split_once(',')
        .map_or_else(String::new, |(last, first)| plain(first) + &plain(last))
}

/// A cell that a spreadsheet does not take for a formula; its text may come from a student.
pub(in crate::cli) fn safe(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text
    }
}

fn number(points: f64) -> String {
    let text = format!("{points:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(in crate::cli) fn written(rows: Vec<Vec<String>>) -> Result<String, Failure> {
    let failed = |error: String| Failure::failed(format!("cannot write the table: {error}"));
    let mut writer = csv::WriterBuilder::new()
        .flexible(true)
        .from_writer(Vec::new());
    for row in rows {
        writer
            .write_record(&row)
            .map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// Our own columns: those of every class, its questions, and the rulings if there are any.
struct Columns {
    questions: Vec<String>,
    has_rulings: bool,
}

impl Columns {
    fn of(class: &ClassReport) -> Self {
        Self {
            questions: class.questions.iter().map(|it| it.id.clone()).collect(),
            has_rulings: !class.rulings.is_empty(),
        }
    }

    fn heading(&self) -> Vec<String> {
        let ours = ["file", "status", "score", "max_score", "reason"];
        let mut heading: Vec<String> = ours.map(str::to_owned).to_vec();
        heading.extend(self.questions.iter().cloned());
        heading.extend(self.has_rulings.then(|| "overruled".to_owned()));
        heading
    }
}

/// The questions on whose answers a person ruled.
fn rulings(one: &HandIn) -> String {
    let questions = one.report.iter().flat_map(|report| &report.questions);
    let ruled = questions.filter_map(|question| {
        let ruling = question.ruling.as_ref()?;
        let (id, verdict) = (&question.id, question.verdict);
        Some(format!(
            "{id}: {verdict} instead of {}: {}",
            ruling.instead_of, ruling.reason
        ))
    });
    ruled.collect::<Vec<_>>().join("; ")
}

/// Our own columns for a hand-in.
fn cells(one: &HandIn, columns: &Columns) -> Vec<String> {
    let report = one.report.as_ref();
    let mut row = vec![
        safe(&one.file),
        if report.is_some() {
            "graded"
        } else {
            "not read"
        }
        .to_owned(),
        number(one.score()),
        report.map_or_else(String::new, |report| number(report.max_score)),
        safe(one.unread.as_deref().unwrap_or_default()),
    ];
    for id in &columns.questions {
        let found = report.and_then(|report| report.questions.iter().find(|it| it.id == *id));
        row.push(found.map_or_else(|| "0".to_owned(), |question| number(question.points)));
    }
    row.extend(columns.has_rulings.then(|| safe(&rulings(one))));
    row
}

/// The scores without a list: a line for each hand-in.
pub(super) fn plain_scores(class: &ClassReport) -> Result<String, Failure> {
    let columns = Columns::of(class);
    let mut rows = vec![[vec!["student".to_owned()], columns.heading()].concat()];
    for one in &class.submissions {
        let mut row = vec![safe(&one.name)];
        row.extend(cells(one, &columns));
        rows.push(row);
    }
    written(rows)
}

/// What was found, for a cell of feedback: the score, and each question that is not right.
fn feedback(one: &HandIn) -> String {
    let Some(report) = &one.report else {
        return format!("Not read: {}", one.unread.as_deref().unwrap_or_default());
    };
    let mut text = format!(
        "{} of {} points.",
        number(report.score),
        number(report.max_score)
    );
    for question in &report.questions {
        if question.verdict != Verdict::Correct {
            text += &format!(
                " {}: {} ({} of {}).",
                question.id,
                mistake_word(question),
                number(question.points),
                number(question.max_points)
            );
        }
    }
    let rulings = rulings(one);
    if !rulings.is_empty() {
        text += &format!(" Overruled: {rulings}");
    }
    text
}

/// The scores in the lines of the list.
pub(super) fn scores(
    class: &ClassReport,
    roster: &Roster,
    column: Option<&str>,
    title: &str,
) -> Result<Scores, Failure> {
    let mut hand_ins: Vec<Option<&HandIn>> = vec![None; roster.rows.len()];
    let (mut unmatched, mut warnings) = (Vec::new(), Vec::new());
    for one in &class.submissions {
        for student in &one.students {
            match roster.row_of(student) {
                None => unmatched.push(one.name.clone()),
                Some(at) => match hand_ins[at].replace(one) {
                    None => {}
                    Some(other) => warnings.push(format!(
                        "{} and {} are hand-ins of one student; the second one counts",
                        other.name, one.name
                    )),
                },
            }
        }
    }
    let max_score = class.max_score.map_or_else(String::new, number);
    let rows = match roster.kind() {
        Kind::Canvas => canvas(
            roster,
            &hand_ins,
            &score_column(roster, column, title),
            &max_score,
        ),
        Kind::Moodle => moodle(
            roster,
            &hand_ins,
            column.unwrap_or("Grade"),
            &max_score,
            &mut warnings,
        )?,
        Kind::Other => {
            let columns = Columns::of(class);
            let heading = columns.heading();
            let mut rows = vec![[roster.header.clone(), heading.clone()].concat()];
            for (row, one) in roster.rows.iter().zip(&hand_ins) {
                let blank = || vec![String::new(); heading.len()];
                let ours = one.map_or_else(blank, |one| cells(one, &columns));
                rows.push(row.iter().cloned().chain(ours).collect());
            }
            rows
        }
    };
    Ok(Scores {
        csv: written(rows)?,
        unmatched,
        warnings,
    })
}

/// The column of the assignment in Canvas's gradebook, such as `Homework 1 (4711)`, or a new one.
fn score_column(roster: &Roster, column: Option<&str>, title: &str) -> String {
    let wanted = column.unwrap_or(title);
    let is_wanted = |name: &&String| {
        let without_id = name
            .rsplit_once(" (")
            .map_or(name.as_str(), |(before, _)| before);
        name.as_str() == wanted || without_id == wanted
    };
    let found = roster.header.iter().find(is_wanted);
    found.cloned().unwrap_or_else(|| wanted.to_owned())
}

fn canvas(
    roster: &Roster,
    hand_ins: &[Option<&HandIn>],
    score: &str,
    max_score: &str,
) -> Vec<Vec<String>> {
    let columns: Vec<usize> = CANVAS
        .iter()
        .filter_map(|name| roster.header.iter().position(|column| column == name))
        .collect();
    let kept = |row: &[String]| {
        columns
            .iter()
            .map(|at| row[*at].clone())
            .collect::<Vec<_>>()
    };
    let mut rows = vec![kept(&roster.header)];
    rows[0].push(score.to_owned());
    for (row, one) in roster.rows.iter().zip(hand_ins) {
        let is_maximum = row
            .first()
            .is_some_and(|cell| cell.trim() == "Points Possible");
        let mut cells = kept(row);
        // An empty cell leaves the grade that the student has.
        cells.push(match one {
            Some(one) => number(one.score()),
            None if is_maximum => max_score.to_owned(),
            None => String::new(),
        });
        rows.push(cells);
    }
    rows
}

fn moodle(
    roster: &Roster,
    hand_ins: &[Option<&HandIn>],
    grade: &str,
    max_score: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Vec<String>>, Failure> {
    let place = |name: &str| roster.header.iter().position(|column| column == name);
    let Some(grade_at) = place(grade) else {
        return Err(Failure::usage(format!(
            "the worksheet has no column {grade:?}; its columns are {}. Name one with --column",
            roster.header.join(", ")
        )));
    };
    let (maximum, comments) = (place("Maximum grade"), place("Feedback comments"));
    let mut rows = vec![roster.header.clone()];
    for (row, one) in roster.rows.iter().zip(hand_ins) {
        let mut row = row.clone();
        if let Some(one) = one {
            row[grade_at] = number(one.score());
            if let Some(comments) = comments {
                row[comments] = safe(&feedback(one));
            }
            let of = maximum.and_then(|at| row[at].trim().replace(',', ".").parse::<f64>().ok());
            if let Some(of) = of.map(number).filter(|of| of != max_score)
                && warnings.is_empty()
            {
                warnings.push(format!(
                    "the worksheet's maximum grade is {of}, the assignment's points are {max_score}; points are written as they are"
                ));
            }
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(text: &str) -> Roster {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("roster.csv");
        std::fs::write(&path, text).expect("writable");
        Roster::read_to_match(&path).unwrap_or_else(|_| panic!("a roster"))
    }

    fn class(names: &[(&str, &[&str])]) -> ClassReport {
        let one = |(name, keys): &(&str, &[&str])| HandIn {
            name: (*name).to_owned(),
            file: format!("{name}.tex"),
            beside: Vec::new(),
            unread: Some("=cmd: no".to_owned()),
            report: None,
            students: vec![keys.iter().map(|key| (*key).to_owned()).collect()],
            values: std::collections::BTreeMap::new(),
            unjudged: Vec::new(),
        };
        ClassReport {
            max_score: Some(50.0),
            ..ClassReport::new(names.iter().map(one).collect())
        }
    }

    #[test]
    fn canvas_gets_its_columns_and_the_score() {
        let list = "\u{feff}Student,ID,SIS User ID,SIS Login ID,Section,Homework 1 (77),Final Score\n\
                    \x20   Points Possible,,,,,100,(read only)\n\
                    \"Lovelace, Ada\",4711,u1,ada,One,,1\n\"Turing, Alan\",4712,u2,alan@uni.edu,One,3,2\n";
        let class = class(&[
            ("lovelaceada (4711)", &["4711", "lovelaceada"]),
            ("alan", &["alan"]),
            ("eve", &["eve"]),
        ]);
        let found = scores(&class, &roster(list), Some("Homework 1"), "Title")
            .unwrap_or_else(|_| panic!("scores"));
        assert_eq!(
            found.csv,
            "Student,ID,SIS User ID,SIS Login ID,Section,Homework 1 (77)\n    Points Possible,,,,,50\n\
             \"Lovelace, Ada\",4711,u1,ada,One,0\n\"Turing, Alan\",4712,u2,alan@uni.edu,One,0\n"
        );
        assert_eq!(found.unmatched, ["eve"]);
    }

    #[test]
    fn moodle_gets_its_worksheet_back_with_grades_and_feedback() {
        let list = "Identifier,Full name,Email address,Status,Grade,Maximum grade,Feedback comments\n\
                    Participant 12,Ada Lovelace,ada@uni.edu,Submitted,,100.00,\nParticipant 120,Alan,alan@uni.edu,,,100.00,old\n";
        let class = class(&[(
            "Ada Lovelace (12)",
            &["Participant 12", "Ada Lovelace", "12"],
        )]);
        let found =
            scores(&class, &roster(list), None, "Title").unwrap_or_else(|_| panic!("scores"));
        assert!(found.csv.contains(
            "Participant 12,Ada Lovelace,ada@uni.edu,Submitted,0,100.00,Not read: =cmd: no\n"
        ));
        assert!(
            found
                .csv
                .contains("Participant 120,Alan,alan@uni.edu,,,100.00,old\n")
        );
        assert!(found.warnings[0].contains("maximum grade is 100, the assignment's points are 50"));
    }

    #[test]
    fn any_list_with_names_gets_our_columns() {
        let list = "email;group\nada@uni.edu;1\nalan@uni.edu;2\n";
        let class = class(&[("ada", &["ada"])]);
        let found =
            scores(&class, &roster(list), None, "Title").unwrap_or_else(|_| panic!("scores"));
        assert_eq!(
            found.csv,
            "email,group,file,status,score,max_score,reason\nada@uni.edu,1,ada.tex,not read,0,,'=cmd: no\nalan@uni.edu,2,,,,,\n"
        );
    }

    #[test]
    fn a_key_that_two_lines_have_matches_none() {
        let twice = roster("name,email\nAda,a@x\nAda,b@x\n");
        assert_eq!(twice.row_of(&["ada".to_owned()]), None);
        assert_eq!(twice.row_of(&["ada".to_owned(), "b".to_owned()]), Some(1));
    }
}
