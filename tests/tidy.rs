//! The architecture as the crate's documentation draws it, held: who may import whom, and how long a file may be.

use std::fs;
use std::path::{Path, PathBuf};

/// A module and the modules of this crate that it may name. `crate::` paths to anything else fail.
const MAY_IMPORT: [(&str, &[&str]); 8] = [
    ("nn", &["nn"]),
    ("formula", &["formula"]),
    ("grade", &["formula", "grade", "nn"]),
    ("training", &["nn", "training"]),
    ("config", &["config"]),
    ("store", &["store"]),
    (
        "service",
        &[
            "config", "formula", "grade", "nn", "service", "store", "training",
        ],
    ),
    (
        "cli",
        &["cli", "config", "formula", "grade", "nn", "service"],
    ),
];

/// Crates that only the edge and the client on the command line may name.
const WIRE: [&str; 6] = [
    "tonic",
    "prost",
    "prost_types",
    "hyper",
    "http_body",
    "tower",
];

/// What a pure module must not do: IO, clocks, threads, randomness from the system.
const IMPURE: [&str; 7] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "getrandom",
];

const LONGEST_FILE: usize = 450;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("src is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("sources are text");
                let path = path.strip_prefix(&root).expect("it lies in src").to_owned();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 30, "the walk found the tree");
    files
}

/// The top-level module that a file belongs to.
fn module(path: &Path) -> String {
    let first = path.components().next().expect("a file has a name");
    Path::new(first.as_os_str())
        .with_extension("")
        .to_string_lossy()
        .into_owned()
}

/// Lines of code, without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn modules_import_only_what_lies_below_them() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        let module = module(&path);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
            assert!(
                module == "lib" || module == "main",
                "{module} has no place in the picture"
            );
            continue;
        };
        for (at, line) in code(&text) {
            for imported in line.split("crate::").skip(1) {
                let imported: String = imported
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                if !imported.is_empty() && !allowed.contains(&imported.as_str()) {
                    faults.push(format!(
                        "{}:{at}: {module} names {imported}",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_edge_and_its_client_know_the_wire() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if matches!(module(&path).as_str(), "service" | "cli") {
            continue;
        }
        for (at, line) in code(&text) {
            for name in WIRE {
                if line.contains(&format!("{name}::")) {
                    faults.push(format!("{}:{at}: {name}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_core_does_no_io_and_holds_no_clock() {
    let mut faults = Vec::new();
    for (path, text) in sources() {
        if !matches!(
            module(&path).as_str(),
            "nn" | "formula" | "grade" | "training"
        ) {
            continue;
        }
        for (at, line) in code(&text) {
            for name in IMPURE {
                if line.contains(name) {
                    faults.push(format!("{}:{at}: {name}", path.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(_, text)| text.lines().count() > LONGEST_FILE)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_documentation_lists_every_setting_with_its_default() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let text = fs::read_to_string(&page).expect("the page is part of the repository");
    let (before, rest) = text
        .split_once("<!-- settings -->\n")
        .expect("the page marks its table of settings");
    let (table, after) = rest
        .split_once("<!-- /settings -->\n")
        .expect("the page marks the table's end");
    let mut expected = String::new();
    let mut group = "";
    for setting in backpropd::config::SETTINGS {
        if setting.group != group {
            group = setting.group;
            expected +=
                &format!("\n### {group}\n\n| Setting | Default | Meaning |\n|---|---|---|\n");
        }
        let default = setting.default_text().unwrap_or_default();
        let (name, description) = (setting.name, setting.description);
        expected += &format!("| `{name}` | {default} | {description} |\n");
    }
    expected.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}<!-- settings -->\n{expected}<!-- /settings -->\n{after}");
        fs::write(&page, text).expect("docs/ is writable");
        return;
    }
    assert!(
        table == expected,
        "docs/configuration.md is stale: run `UPDATE=1 cargo test --test tidy setting`"
    );
}
