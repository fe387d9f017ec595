//! Compiles the page in: each file of `web/dist` with its path, its type and, where that is smaller, its gzip bytes.
//!
//! `web/dist` is committed, so that a build needs Rust alone. It is written by `npm run build` in `web`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io, process};

use flate2::{Compression, GzBuilder};

const DIST: &str = "web/dist";

/// Files of other types stop the build: a browser would save them instead of showing them.
const TYPES: [(&str, &str); 8] = [
    ("css", "text/css; charset=utf-8"),
    ("html", "text/html; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("json", "application/json"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain; charset=utf-8"),
    ("woff2", "font/woff2"),
];

fn main() {
    println!("cargo::rerun-if-changed={DIST}");
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(error) = write_table() {
        println!("cargo::error={error}");
        process::exit(1);
    }
}

fn write_table() -> Result<(), String> {
    let mut files = Vec::new();
    find(Path::new(DIST), &mut files).map_err(|error| no_page(&error.to_string()))?;
    files.sort();
    if !files.contains(&Path::new(DIST).join("index.html")) {
        return Err(no_page("it has no index.html"));
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets no OUT_DIR")?);
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let content_type = content_type(file)?;
        let plain = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let packed = pack(&plain).map_err(|error| format!("{}: {error}", file.display()))?;
        let is_packed = packed.len() < plain.len() - plain.len() / 16;
        let name = out.join(format!("page-{number}"));
        fs::write(&name, if is_packed { &packed } else { &plain })
            .map_err(|error| format!("{}: {error}", name.display()))?;
        // On Windows a path has backslashes; a URL never has.
        let path = file.strip_prefix(DIST).unwrap_or(file);
        let path = path.to_string_lossy().replace('\\', "/");
        let _ = writeln!(
            table,
            "    File {{ path: {path:?}, content_type: {content_type:?}, is_packed: {is_packed}, length: {}, bytes: include_bytes!({name:?}) }},",
            plain.len(),
        );
    }
    table.push(']');
    fs::write(out.join("page.rs"), table).map_err(|error| format!("page.rs: {error}"))
}

fn no_page(why: &str) -> String {
    format!(
        "{DIST} is not the page ({why}): it is committed, so check it out again, or write it with `npm ci && npm run build` in web"
    )
}

/// The files of a folder and of the folders in it.
fn find(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

fn content_type(file: &Path) -> Result<&'static str, String> {
    let end = file.extension().unwrap_or_default().to_string_lossy();
    let found = TYPES.iter().find(|(known, _)| *known == end);
    found.map(|(_, content_type)| *content_type).ok_or_else(|| {
        let known: Vec<&str> = TYPES.iter().map(|(end, _)| *end).collect();
        format!(
            "{}: the page has files that end with {} only; give this one a type in build.rs, or leave it out",
            file.display(),
            known.join(", ")
        )
    })
}

/// Without a name and a time: the same file gives the same bytes.
fn pack(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = GzBuilder::new().write(Vec::new(), Compression::best());
    packer.write_all(plain)?;
    packer.finish()
}
