//! The architecture, held: which room may name which, what the pure rooms must not touch, and that no files import each
//! other in a circle. It is read off the syntax, so that neither braces nor `super::super` nor a macro hides an import.

#[path = "tidy/imports.rs"]
mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use imports::sources;

/// A room and the rooms below it, which it may name besides itself.
const ROOMS: [(&str, &[&str]); 20] = [
    ("bucket", &[]),
    ("client", &[]),
    ("datasets", &["fault", "nn"]),
    ("fault", &[]),
    ("json", &["fault"]),
    ("nn", &["fault"]),
    ("identity", &[]),
    ("formula", &[]),
    ("grade", &["fault", "formula", "nn"]),
    ("training", &["fault", "nn"]),
    ("config", &["fault"]),
    ("store", &[]),
    (
        "host",
        &[
            "bucket", "config", "datasets", "fault", "formula", "grade", "identity", "nn", "store",
            "training",
        ],
    ),
    ("status", &["fault", "host", "identity", "nn", "training"]),
    ("encoded", &["host"]),
    (
        "transport",
        &[
            "config", "encoded", "host", "identity", "status", "training",
        ],
    ),
    (
        "rpc",
        &[
            "client", "datasets", "encoded", "fault", "formula", "grade", "host", "identity", "nn",
            "status", "training",
        ],
    ),
    (
        "gateway",
        &["client", "config", "host", "json", "status", "transport"],
    ),
    ("server", &["config", "gateway", "host", "rpc", "transport"]),
    (
        "cli",
        &[
            "client", "config", "datasets", "fault", "formula", "grade", "host", "identity",
            "json", "nn", "server", "training",
        ],
    ),
];

/// The crates of the wire: gRPC, HTTP and protobuf.
const WIRE: [&str; 12] = [
    "tonic",
    "tonic_health",
    "tonic_reflection",
    "tonic_types",
    "prost",
    "prost_types",
    "hyper",
    "hyper_util",
    "http",
    "http_body",
    "tower",
    "tonic_prost",
];

/// The rooms that may name the wire: the edge, its client, and the bucket, which is at another edge.
const ON_THE_WIRE: [&str; 10] = [
    "bucket",
    "cli",
    "client",
    "encoded",
    "gateway",
    "json",
    "rpc",
    "server",
    "status",
    "transport",
];

/// What a pure room must not touch: IO, clocks, threads, randomness of the system.
const IMPURE: [&str; 9] = [
    "std::fs",
    "std::net",
    "std::io",
    "std::process",
    "std::thread",
    "std::time::Instant::now",
    "std::time::SystemTime::now",
    "getrandom",
    "tokio",
];

/// Rooms that compute and nothing else.
const PURE: [&str; 7] = [
    "fault", "identity", "json", "nn", "formula", "grade", "training",
];

/// The rooms in which no files import each other in a circle.
const WITHOUT_CIRCLES: [&str; 14] = [
    "bucket",
    "client",
    "datasets",
    "encoded",
    "fault",
    "gateway",
    "grade",
    "host",
    "json",
    "nn",
    "rpc",
    "server",
    "status",
    "transport",
];

/// Files that may import each other: a derivative is simplified by evaluating, and evaluating meets derivatives.
const CIRCLES: [[&str; 2]; 1] = [["formula::derivative", "formula::eval"]];

#[test]
fn rooms_name_only_the_rooms_below_them() {
    let mut faults = Vec::new();
    for source in sources() {
        let room = source.room();
        if room == "lib" || room == "main" {
            continue;
        }
        let Some((_, below)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            faults.push(format!(
                "{}: {room} has no place in the picture",
                source.path
            ));
            continue;
        };
        for import in source.own() {
            let named = import.room();
            if named != room && !below.contains(&named) {
                faults.push(format!("{}: {room} names {import}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_edge_and_its_client_know_the_wire() {
    let mut faults = Vec::new();
    for source in sources() {
        if ON_THE_WIRE.contains(&source.room()) || source.room() == "main" {
            continue;
        }
        for import in source.foreign() {
            if WIRE.contains(&import.room()) {
                faults.push(format!("{}: {import}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_bucket_knows_the_object_store() {
    let mut faults = Vec::new();
    for source in sources() {
        for import in source.foreign() {
            if import.room() == "object_store" && source.room() != "bucket" {
                faults.push(format!("{}: {import}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn pure_rooms_do_no_io_and_hold_no_clock() {
    let mut faults = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.room()) {
            continue;
        }
        for import in source.foreign() {
            if IMPURE.iter().any(|impure| import.is_within(impure)) {
                faults.push(format!("{}: {import}", source.path));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let files: BTreeMap<&str, _> = sources
        .iter()
        .map(|source| (source.module.as_str(), source))
        .collect();
    let mut below: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        if !WITHOUT_CIRCLES.contains(&source.room()) {
            continue;
        }
        for import in source.used() {
            let Some(target) = import.file(&files) else {
                continue;
            };
            let may = CIRCLES
                .iter()
                .any(|pair| pair.contains(&source.module.as_str()) && pair.contains(&target));
            if target != source.module && !may {
                below.entry(&source.module).or_default().insert(target);
            }
        }
    }
    let circles = imports::circles(&below);
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// Holds the block of a page that is marked with `name` against what it is generated from; with `UPDATE` set it is
/// rewritten.
fn check_generated(page: &str, name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = fs::read_to_string(&path).expect("the page is part of the repository");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n"));
    let (before, rest) = text.split_once(&begin).expect("the page marks the block");
    let (block, after) = rest.split_once(&end).expect("the page marks its end");
    if std::env::var_os("UPDATE").is_some() {
        let text = format!("{before}{begin}{expected}{end}{after}");
        fs::write(&path, text).expect("docs/ is writable");
        return;
    }
    assert!(
        block == expected,
        "{page} is stale: run `UPDATE=1 cargo test --test tidy documentation`"
    );
}

#[test]
fn the_documentation_lists_every_setting_with_its_default() {
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
    check_generated("docs/configuration.md", "settings", &expected);
}

#[test]
fn the_documentation_has_the_table_of_roles() {
    let table = format!("\n{}\n", backpropd::rpc::roles::table());
    check_generated("docs/identity.md", "roles", &table);
}

#[test]
fn the_documentation_lists_every_reason_of_an_error() {
    check_generated("docs/errors.md", "reasons", &backpropd::status::table());
}
