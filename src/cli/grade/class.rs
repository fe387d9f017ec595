//! Grades a folder of submissions as a class: a score for each, then the count of each mistake of each question.

mod compare;
mod entries;
mod html;
mod queue;
mod result;
pub(in crate::cli) mod roster;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::entries::{Entry, entries};
use self::result::{ClassReport, HandIn};
use self::roster::Roster;
use super::source::Source;
use super::{GradedSubmission, Options, ReportFormat, grade_submission, note, publish};
use crate::cli::Failure;
use crate::cli::progress_bar::Bar;
use crate::grade::formats::{Format, printable_name};

pub(super) fn grade(
    folder: &Path,
    source: &Source,
    options: &Options,
) -> Result<ExitCode, Failure> {
    // A roster that cannot be read fails before a class is graded.
    let roster = options
        .roster
        .as_deref()
        .map(Roster::read_to_match)
        .transpose()?;
    let old = options.compare.as_deref().map(compare::read).transpose()?;
    let is_paged = options.format == ReportFormat::One(Format::Html);
    if is_paged && options.out.is_none() {
        let why = "--format html writes a page for each student: name their folder with --out";
        return Err(Failure::usage(why.to_owned()));
    }
    if let Some(queue) = options.queue.as_deref().filter(|path| path.exists()) {
        return Err(Failure::usage(format!(
            "{} is there already and may hold rulings: name a new file",
            queue.display()
        )));
    }
    let except: Vec<&Path> = [&options.roster, &options.compare]
        .into_iter()
        .flatten()
        .chain(&options.overrides)
        .map(PathBuf::as_path)
        .collect();
    let entries = entries(folder, &except)?;
    let class = ClassReport::new(hand_ins(entries, source, options)?);
    note_unused_rulings(&class, source);
    if let Some(queue) = &options.queue {
        queue::write(&class, queue)?;
    }
    let is_printed = options.queue.as_deref() == Some(Path::new("-"));
    if let Some(old) = &old {
        return finish_comparison(old, &class);
    }
    match (options.format, &options.out) {
        // The terminal has the queue.
        _ if is_printed => {}
        (ReportFormat::Csv, out) => {
            let csv = scores(&class, roster.as_ref(), source, options)?;
            publish(&csv, out.as_deref())?;
            if out.is_some() {
                publish(&text(&class, options), None)?;
            }
        }
        (ReportFormat::One(Format::Json), None) => publish(&json(&class)?, None)?,
        (ReportFormat::One(format), out) => {
            if let (Format::Html, Some(out)) = (format, out) {
                publish(&html::index(&class), Some(&out.join("index.html")))?;
            }
            publish(&text(&class, options), None)?;
        }
    }
    match class.unread() {
        0 => Ok(ExitCode::SUCCESS),
        unread => Err(Failure::usage(format!(
            "{unread} of {} files cannot be read",
            class.submissions.len()
        ))),
    }
}

/// Names the rulings that apply to no answer: their answer may be misspelled.
fn note_unused_rulings(class: &ClassReport, source: &Source) {
    let id = class.assignment.as_deref().unwrap_or_default();
    let reports = class
        .submissions
        .iter()
        .filter_map(|one| one.report.as_ref());
    let rulings = reports
        .flat_map(|report| &report.questions)
        .filter_map(|question| question.ruling.as_ref());
    let used: BTreeSet<&str> = rulings.map(|ruling| ruling.entry.as_str()).collect();
    let entries = source.override_entries(id);
    let unused: Vec<&str> = entries
        .iter()
        .copied()
        .filter(|entry| !used.contains(entry))
        .collect();
    if !unused.is_empty() {
        note(&format!(
            "{} of {} rulings match no answer of the class: {}",
            unused.len(),
            entries.len(),
            unused.join(", ")
        ));
    }
}

/// Compares two gradings that were made before.
pub(super) fn compare_files(old: &Path, new: &Path) -> Result<ExitCode, Failure> {
    finish_comparison(&compare::read(old)?, &compare::read(new)?)
}

fn finish_comparison(old: &ClassReport, new: &ClassReport) -> Result<ExitCode, Failure> {
    let (text, is_different) = compare::compare(old, new);
    publish(&text, None)?;
    Ok(ExitCode::from(u8::from(is_different)))
}

fn text(class: &ClassReport, options: &Options) -> String {
    let mut text = table::table(class);
    if options.alike {
        text += &table::alike(class);
    }
    text
}

fn json(class: &ClassReport) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(class)
        .map_err(|error| Failure::failed(format!("cannot write the class: {error}")))?;
    Ok(text + "\n")
}

fn scores(
    class: &ClassReport,
    roster: Option<&Roster>,
    source: &Source,
    options: &Options,
) -> Result<String, Failure> {
    let Some(roster) = roster else {
        return roster::plain_scores(class);
    };
    let id = class.assignment.as_deref().unwrap_or_default();
    let title = source.title(id).unwrap_or_else(|| id.to_owned());
    let scores = roster::scores(class, roster, options.column.as_deref(), &title)?;
    for warning in &scores.warnings {
        note(warning);
    }
    if !scores.unmatched.is_empty() {
        note(&format!(
            "no line of the roster is about {}; their scores are not in the list",
            scores.unmatched.join(", ")
        ));
    }
    Ok(scores.csv)
}

/// Grades every hand-in, and writes its report.
fn hand_ins(
    entries: Vec<Entry>,
    source: &Source,
    options: &Options,
) -> Result<Vec<HandIn>, Failure> {
    // For CSV, `out` is the one file.
    let reports = match options.format {
        ReportFormat::Csv => None,
        ReportFormat::One(format) => options.out.as_ref().map(|out| (format, out)),
    };
    if let Some((_, out)) = reports {
        fs::create_dir_all(out).map_err(|error| {
            Failure::failed(format!("cannot create {}: {error}", out.display()))
        })?;
    }
    let bar = Bar::new(entries.len() as u64, "{bar:30} {pos}/{len} {msg}", "█░");
    let mut class = Vec::with_capacity(entries.len());
    for entry in entries {
        bar.set_texts(String::new(), printable_name(&entry.name));
        let (outcome, beside) = outcome(&entry, source, options)?;
        if let (Ok(one), Some((format, out))) = (&outcome, reports) {
            let file = out.join(format!("{}.{}", entry.name, format.extension()));
            publish(&one.written(format, &entry.name, false), Some(&file))?;
        }
        // The answers are not needed any more, and those of a class need memory.
        let mut unjudged = Vec::new();
        let (report, values, unread) = match outcome {
            Ok(one) => {
                let values = source.value_digests(&one.report, &one.submission);
                if options.queue.is_some() {
                    unjudged = queue::unjudged(&one, source);
                }
                (Some(one.report), values, None)
            }
            Err(why) => (None, BTreeMap::new(), Some(why)),
        };
        let file = entry.path.file_name();
        class.push(HandIn {
            file: file.map_or_else(String::new, |file| file.to_string_lossy().into_owned()),
            name: entry.name,
            beside,
            unread,
            report,
            students: entry.students,
            values,
            unjudged,
        });
        bar.advance(1);
    }
    bar.clear();
    Ok(class)
}

/// The graded hand-in or the reason why it is not, and the names of the files beside it.
///
/// # Errors
/// A failure that concerns every file, such as a server that cannot be reached.
fn outcome(
    entry: &Entry,
    source: &Source,
    options: &Options,
) -> Result<(Result<GradedSubmission, String>, Vec<String>), Failure> {
    let content = match entries::read(entry) {
        Ok(content) => content,
        Err(why) => return Ok((Err(why), Vec::new())),
    };
    match grade_submission(content.submission, &entry.name, source, options) {
        Ok(one) => Ok((Ok(one), content.beside)),
        Err(failure) if failure.code == Failure::USAGE => {
            Ok((Err(failure.to_string()), content.beside))
        }
        Err(failure) => Err(failure),
    }
}
