//! A folder of submissions, graded as a class: a score for each, then which question and which mistake, how often.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::source::Source;
use super::{Graded, Options, grade_file, publish};
use crate::cli::Failure;
use crate::grade::Verdict;
use crate::grade::formats::Format;

pub(super) fn grade(
    folder: &Path,
    source: &Source,
    options: &Options,
) -> Result<ExitCode, Failure> {
    let paths = submissions(folder)?;
    if let Some(out) = &options.out {
        fs::create_dir_all(out)
            .map_err(|error| Failure::failed(format!("cannot make {}: {error}", out.display())))?;
    }
    let bar = ProgressBar::new(paths.len() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let mut graded = Vec::with_capacity(paths.len());
    let mut unreadable = Vec::new();
    for path in &paths {
        let name = name_of(path);
        bar.set_message(name.clone());
        match grade_file(path, source, options) {
            Ok(one) => {
                if let Some(out) = &options.out {
                    let file = out.join(format!("{name}.{}", extension(options.format)));
                    publish(&one.written(options, false), Some(&file))?;
                }
                graded.push((name, one));
            }
            Err(failure) if failure.code == Failure::USAGE => {
                unreadable.push(failure.to_string());
            }
            // A server that fails for one fails for all.
            Err(failure) => return Err(failure),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    publish(&table(&graded, &unreadable), None)?;
    if unreadable.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Failure::usage(format!(
            "{} of {} files cannot be read",
            unreadable.len(),
            paths.len()
        )))
    }
}

fn submissions(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::usage(format!("cannot read {}: {error}", folder.display()));
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("json" | "toml" | "tex")) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(Failure::usage(format!(
            "{} holds no .json, .toml or .tex file",
            folder.display()
        )));
    }
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

fn extension(format: Format) -> &'static str {
    match format {
        Format::Text | Format::Autolab => "txt",
        Format::Json | Format::Gradescope | Format::PrairieLearn | Format::GitHub => "json",
        Format::Junit => "xml",
    }
}

/// The scores, then for each question how many are right, and its mistakes from the most frequent down.
fn table(graded: &[(String, Graded)], unreadable: &[String]) -> String {
    let mut text = String::new();
    let wide = graded
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    // Writing to a String cannot fail.
    for (name, one) in graded {
        let _ = writeln!(
            text,
            "{name:wide$}  {:>6.2} of {:.0}",
            one.report.score, one.report.max_score
        );
    }
    for reason in unreadable {
        let _ = writeln!(text, "{reason}");
    }
    let mut questions: Vec<(&str, usize, BTreeMap<&str, usize>)> = Vec::new();
    for question in graded.iter().flat_map(|(_, one)| &one.report.questions) {
        let at = questions
            .iter()
            .position(|(id, ..)| *id == question.id)
            .unwrap_or_else(|| {
                questions.push((&question.id, 0, BTreeMap::new()));
                questions.len() - 1
            });
        let (_, right, mistakes) = &mut questions[at];
        if question.verdict == Verdict::Correct {
            *right += 1;
        } else {
            let name = question
                .mistake
                .map_or("unanswered", |mistake| mistake.word());
            *mistakes.entry(name).or_default() += 1;
        }
    }
    let _ = writeln!(text, "\nquestion   right  mistakes");
    for (id, right, mistakes) in &questions {
        let mut mistakes: Vec<_> = mistakes.iter().collect();
        mistakes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mistakes: Vec<String> = mistakes
            .iter()
            .map(|(name, count)| format!("{name} × {count}"))
            .collect();
        let _ = writeln!(
            text,
            "{id:<8} {right:>4}/{:<3}  {}",
            graded.len(),
            mistakes.join(", ")
        );
    }
    let mean =
        graded.iter().map(|(_, one)| one.report.score).sum::<f64>() / graded.len().max(1) as f64;
    let _ = writeln!(
        text,
        "\n{} submissions, {mean:.2} points on average",
        graded.len()
    );
    text
}
