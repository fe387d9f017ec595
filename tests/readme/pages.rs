//! The Markdown files of the repository, as the tests of this folder read them.

use std::fs;
use std::path::{Path, PathBuf};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A Markdown file.
pub struct Page {
    /// Path from the repository's root.
    pub file: String,
    pub text: String,
}

pub fn read(file: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(file)).expect("it is part of the repository")
}

/// Every Markdown file, in the order of their paths.
pub fn all() -> Vec<Page> {
    let mut folders = vec![PathBuf::from(ROOT)];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the repository is readable") {
            let path = entry.expect("the repository is readable").path();
            let name = path
                .file_name()
                .map_or("", |name| name.to_str().unwrap_or(""));
            if path.is_dir() {
                if !matches!(name, ".git" | "target" | "corpus" | "node_modules") {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                let file = path.strip_prefix(ROOT).expect("below the root");
                pages.push(Page {
                    file: file.display().to_string(),
                    text: fs::read_to_string(&path).expect("Markdown is text"),
                });
            }
        }
    }
    pages.sort_by(|a, b| a.file.cmp(&b.file));
    let has = |file: &str| pages.iter().any(|page| page.file == file);
    assert!(
        has("README.md") && has("docs/SUMMARY.md"),
        "the walk found the pages"
    );
    pages
}

/// The lines outside fenced blocks, with their numbers from 1.
pub fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut is_fenced = false;
    let numbered = text.lines().zip(1..);
    numbered
        .filter_map(|(line, number)| {
            let is_fence = line.trim_start().starts_with("```");
            is_fenced ^= is_fence;
            (!is_fenced && !is_fence).then_some((number, line))
        })
        .collect()
}

/// The texts between single backticks.
pub fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}
