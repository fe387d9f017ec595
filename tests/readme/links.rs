//! Links lead to a page and a heading that exist; paths in backticks name files that exist; every chapter is in the book.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::pages::{self, Page, ROOT};

/// The targets of `[text](target)` and `![text](target)` outside code.
fn links(line: &str) -> Vec<String> {
    let without_code: String = line.split('`').step_by(2).collect();
    let parts = without_code.split("](").skip(1);
    parts
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The ids that GitHub and mdBook give to the headings of a page.
fn anchors(text: &str) -> HashSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = HashSet::new();
    for (_, line) in pages::prose(text) {
        let title = line.trim_start_matches('#');
        if !line.starts_with('#') || !title.starts_with(' ') {
            continue;
        }
        let id: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let count = seen.entry(id.clone()).or_default();
        anchors.insert(if *count == 0 {
            id
        } else {
            format!("{id}-{count}")
        });
        *count += 1;
    }
    anchors
}

/// `a/b/../c` as `a/c`; `None` for a path that leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::CurDir => {}
            Component::Normal(name) => normal.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

/// Why the target of a link on `page` leads nowhere.
fn fault(page: &Page, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let text = if file.is_empty() {
        page.text.clone()
    } else {
        let folder = Path::new(&page.file).parent().unwrap_or(Path::new(""));
        let Some(path) = normal(&folder.join(file)) else {
            return Some("it leaves the repository".to_owned());
        };
        if page.file.starts_with("docs/") && !path.starts_with("docs") {
            return Some(
                "the book holds docs/ only: name the file in backticks instead".to_owned(),
            );
        }
        let path = Path::new(ROOT).join(path);
        if !path.exists() {
            return Some("there is no such file".to_owned());
        }
        fs::read_to_string(path).unwrap_or_default()
    };
    let is_missing = !anchor.is_empty() && !anchors(&text).contains(anchor);
    is_missing.then(|| "there is no such heading".to_owned())
}

fn broken_links(page: &Page) -> Vec<String> {
    let lines = pages::prose(&page.text);
    let targets = lines
        .into_iter()
        .flat_map(|(number, line)| links(line).into_iter().map(move |target| (number, target)));
    targets
        .filter_map(|(number, target)| {
            let why = fault(page, &target)?;
            Some(format!("{}:{number}: {target}: {why}", page.file))
        })
        .collect()
}

/// Why a text in backticks that looks like a path of this repository, or `path::function`, names nothing.
fn missing(span: &str) -> Option<String> {
    let (path, function) = match span.split_once(".rs::") {
        Some((path, function)) => (format!("{path}.rs"), Some(function)),
        None => (span.to_owned(), None),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    let (first, rest) = path.split_once('/')?;
    // Paths below `target/` are build products, and `data/sessions` lies in a server's data folder.
    let is_ours =
        Path::new(ROOT).join(first).is_dir() && !matches!(first, "" | ".." | "target" | "data");
    if !path.chars().all(is_plain) || !is_ours || rest.is_empty() {
        return None;
    }
    let file = Path::new(ROOT).join(&path);
    if !file.exists() {
        return Some(format!("there is no {path}"));
    }
    let function = function?;
    let name = function.rsplit("::").next().unwrap_or(function);
    let text = fs::read_to_string(file).unwrap_or_default();
    (!text.contains(&format!("fn {name}("))).then(|| format!("{path} has no function {name}"))
}

fn missing_paths(page: &Page) -> Vec<String> {
    let lines = pages::prose(&page.text).into_iter();
    let spans =
        lines.flat_map(|(number, line)| pages::code_spans(line).map(move |span| (number, span)));
    spans
        .filter_map(|(number, span)| {
            let why = missing(span)?;
            Some(format!("{}:{number}: {why}", page.file))
        })
        .collect()
}

fn page(file: &str, text: &str) -> Page {
    Page {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn links_lead_to_pages_and_headings() {
    let faults: Vec<String> = pages::all().iter().flat_map(broken_links).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn paths_in_backticks_exist() {
    let faults: Vec<String> = pages::all().iter().flat_map(missing_paths).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_summary_of_the_book_lists_every_chapter() {
    let summary = pages::read("docs/SUMMARY.md");
    let listed: Vec<String> = summary.lines().flat_map(links).collect();
    for page in pages::all() {
        if let Some(chapter) = page.file.strip_prefix("docs/")
            && chapter != "SUMMARY.md"
        {
            let count = listed.iter().filter(|target| *target == chapter).count();
            assert_eq!(count, 1, "{chapter} in docs/SUMMARY.md");
        }
    }
}

#[test]
fn a_broken_link_or_path_is_reported() {
    let broken = |text: &str| broken_links(&page("docs/new.md", text)).len();
    assert_eq!(
        broken("[a](configuration.md), [b](https://example.org/)"),
        0
    );
    assert_eq!(broken("[a](configuration.md#settings)"), 0);
    assert_eq!(broken("[a](configuration.md#no-such-heading)"), 1);
    assert_eq!(broken("[a](nothing.md)"), 1);
    assert_eq!(broken("[a](../README.md)"), 1);
    assert_eq!(broken("[a](../../elsewhere.md)"), 1);
    assert_eq!(broken("`[a](nothing.md)`"), 0);
    assert_eq!(broken("# One two\n[a](#one-two) [b](#three)"), 1);

    let missing = |text: &str| missing_paths(&page("new.md", text)).len();
    assert_eq!(
        missing("`src/main.rs`, `src/`, `tests/readme/links.rs::missing`"),
        0
    );
    assert_eq!(missing("`src/no_such.rs`"), 1);
    assert_eq!(missing("`tests/readme/links.rs::no_such_test`"), 1);
}
