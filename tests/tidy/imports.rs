//! What a source file names, read off its syntax.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The crates of this project besides the root, whose rooms are called as if they were in it.
const OWN_CRATES: [&str; 3] = ["backpropd_engine", "backpropd_grader", "backpropd_training"];

/// The crates that are one room each: their names, their sources, and their rooms.
const ROOM_CRATES: [(&str, &str, &str); 5] = [
    ("backpropd_bucket", "crates/bucket/src", "bucket"),
    ("backpropd_client", "crates/client/src", "client"),
    ("backpropd_datasets", "crates/datasets/src", "datasets"),
    ("backpropd_identity", "crates/identity/src", "identity"),
    ("backpropd_json", "crates/json/src", "json"),
];

/// A path that a file names, from the crate's root or from another crate's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    /// Whether it is in this project.
    pub is_own: bool,
    segments: Vec<String>,
}

impl Import {
    /// The room that it is in, or the other crate.
    pub fn room(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }

    /// Whether it is this path or in it.
    pub fn is_within(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split("::").collect();
        self.segments.len() >= path.len() && self.segments.iter().zip(&path).all(|(a, b)| a == b)
    }

    /// The file that it leads to: where the name is defined, though it may be named by a module that passes it on.
    pub fn file<'s>(&self, sources: &BTreeMap<&'s str, &'s Source>) -> Option<&'s str> {
        let (file, length) = (1..=self.segments.len()).rev().find_map(|length| {
            let module = self.segments[..length].join("::");
            Some((*sources.get(module.as_str())?, length))
        })?;
        let name = self.segments.get(length);
        match name.and_then(|name| file.passes_on.get(name)) {
            Some(import) if import.is_own => import.file(sources),
            Some(_) | None => Some(&file.module),
        }
    }
}

impl fmt::Display for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segments.join("::"))
    }
}

/// A source file.
pub struct Source {
    /// Its path below the repository.
    pub path: String,
    /// Its module, without the crate: "host::models".
    pub module: String,
    imports: BTreeSet<Import>,
    /// What it only passes on (`pub use`), by its name there.
    passes_on: BTreeMap<String, Import>,
}

impl Source {
    /// The room that it is in.
    pub fn room(&self) -> &str {
        self.module.split("::").next().unwrap_or_default()
    }

    /// What it names in this project.
    pub fn own(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| import.is_own)
    }

    /// What it names in this project to use it, and not to pass it on.
    pub fn used(&self) -> impl Iterator<Item = &Import> {
        let passed_on: BTreeSet<&Import> = self.passes_on.values().collect();
        self.own().filter(move |import| !passed_on.contains(import))
    }

    /// What it names in other crates.
    pub fn foreign(&self) -> impl Iterator<Item = &Import> {
        self.imports.iter().filter(|import| !import.is_own)
    }
}

/// Every source file of the program.
pub fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [
        "src",
        ROOM_CRATES[0].1,
        ROOM_CRATES[1].1,
        ROOM_CRATES[2].1,
        ROOM_CRATES[3].1,
        ROOM_CRATES[4].1,
        "crates/engine/src",
        "crates/grader/src",
        "crates/training/src",
    ];
    let mut folders: Vec<PathBuf> = roots.map(|folder| root.join(folder)).into();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of sources is readable") {
            let path = entry.expect("a folder of sources is readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(source(root, &path));
            }
        }
    }
    assert!(sources.len() > 100, "the walk found the tree");
    sources
}

fn source(root: &Path, path: &Path) -> Source {
    let text = fs::read_to_string(path).expect("sources are text");
    let below: PathBuf = path
        .strip_prefix(root)
        .expect("it is in the repository")
        .into();
    let module = module(&below);
    let parsed = syn::parse_file(&text)
        .unwrap_or_else(|error| panic!("{} cannot be parsed: {error}", below.display()));
    let (imports, passes_on) = imports(&parsed, &module);
    Source {
        imports,
        passes_on,
        path: below.display().to_string(),
        module: module.join("::"),
    }
}

/// "src/host/models/mod.rs" is host::models, "crates/client/src/retry.rs" is client::retry.
fn module(path: &Path) -> Vec<String> {
    let room = ROOM_CRATES
        .iter()
        .find(|(_, folder, _)| path.starts_with(folder));
    let stem = path.with_extension("");
    let parts = stem
        .components()
        .skip_while(|part| part.as_os_str() != "src")
        .skip(1)
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let name = room.map(|(_, _, name)| (*name).to_owned());
    let mut module: Vec<String> = name.into_iter().chain(parts).collect();
    let ends_in = |name: &str| module.last().is_some_and(|last| last == name);
    if ends_in("mod") || room.is_some() && ends_in("lib") {
        module.pop();
    }
    module
}

/// Everything that a file in this module names, and what it only passes on.
fn imports(file: &syn::File, module: &[String]) -> (BTreeSet<Import>, BTreeMap<String, Import>) {
    let mut names = Names {
        module: module.to_vec(),
        children: BTreeSet::new(),
        brought: BTreeMap::new(),
        is_passed_on: false,
        imports: BTreeSet::new(),
        passes_on: BTreeMap::new(),
    };
    names.visit_file(file);
    (names.imports, names.passes_on)
}

struct Names {
    /// The module at hand, inline ones included.
    module: Vec<String>,
    /// Modules that the file declares.
    children: BTreeSet<String>,
    /// What `use` has brought into scope, by its name there.
    brought: BTreeMap<String, Import>,
    /// Whether the `use` at hand is public.
    is_passed_on: bool,
    imports: BTreeSet<Import>,
    passes_on: BTreeMap<String, Import>,
}

impl Names {
    /// Notes a path by its segments, if it leads out of its module.
    fn note(&mut self, segments: &[String], is_use: bool) {
        let import = self.resolve(segments, is_use);
        // `$crate` alone names no module.
        self.imports
            .extend(import.filter(|import| !import.segments.is_empty()));
    }

    /// The root of the crate.
    fn root(&self) -> &[String] {
        let of_crate = |name: &String| ROOM_CRATES.iter().any(|(_, _, room)| room == name);
        &self.module[..usize::from(self.module.first().is_some_and(of_crate))]
    }

    fn resolve(&self, segments: &[String], is_use: bool) -> Option<Import> {
        let (first, rest) = segments.split_first()?;
        let room = |name: &str| ROOM_CRATES.iter().find(|(krate, _, _)| *krate == name);
        let own = |segments: Vec<String>| {
            Some(Import {
                is_own: true,
                segments,
            })
        };
        match first.as_str() {
            "crate" | "$crate" => own([self.root(), rest].concat()),
            "self" => own([&self.module[..], rest].concat()),
            "super" => {
                let ups = segments.iter().take_while(|part| *part == "super").count();
                let parent = self.module.len().checked_sub(ups)?;
                own([&self.module[..parent], &segments[ups..]].concat())
            }
            child if self.children.contains(child) => own([&self.module[..], segments].concat()),
            name => match self.brought.get(name) {
                // What `use` has brought in, followed further: `use std::fs; fs::read`, `use crate::host; host::…`.
                Some(import) if !is_use && !rest.is_empty() => Some(Import {
                    is_own: import.is_own,
                    segments: [&import.segments[..], rest].concat(),
                }),
                None if OWN_CRATES.contains(&name) && !rest.is_empty() => own(rest.to_vec()),
                None if let Some((_, _, room)) = room(name) => {
                    own([&[(*room).to_owned()], rest].concat())
                }
                // A crate: in a `use`, or before `::`.
                None if is_use || !rest.is_empty() => Some(Import {
                    is_own: false,
                    segments: segments.to_vec(),
                }),
                Some(_) | None => None,
            },
        }
    }

    fn note_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                let path_so_far = [before, &[path.ident.to_string()]].concat();
                self.note_tree(&path_so_far, &path.tree);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_tree(before, tree);
                }
            }
            syn::UseTree::Name(name) => self.bring(before, &name.ident, &name.ident),
            syn::UseTree::Rename(rename) => self.bring(before, &rename.ident, &rename.rename),
            syn::UseTree::Glob(_) => self.note(before, true),
        }
    }

    fn bring(&mut self, before: &[String], name: &syn::Ident, called: &syn::Ident) {
        let mut segments = before.to_vec();
        if name != "self" {
            segments.push(name.to_string());
        }
        let called = if called == "self" {
            before.last().cloned().unwrap_or_default()
        } else {
            called.to_string()
        };
        if let Some(import) = self.resolve(&segments, true) {
            if self.is_passed_on {
                self.passes_on.insert(called.clone(), import.clone());
            }
            self.brought.insert(called, import.clone());
            self.imports.insert(import);
        }
    }

    /// The paths in a macro's tokens, which are no syntax yet.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.end_path(&mut path);
                    colons = 0;
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.end_path(&mut path);
                    colons = 0;
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        let whole = std::mem::take(path);
        if whole.len() > 1 {
            self.note(&whole, false);
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string() == "test")
        });
        // What tests name is their own business.
        if is_test {
            return;
        }
        if item.content.is_none() {
            self.children.insert(item.ident.to_string());
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.is_passed_on = !matches!(item.vis, syn::Visibility::Inherited);
        self.note_tree(&[], &item.tree);
        self.is_passed_on = false;
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {
        // `pub(super)` uses nothing.
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        self.note(&segments, false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.visit_path(&item.path);
        self.note_tokens(item.tokens.clone());
    }
}

/// The circles of a graph, each as the nodes that reach each other.
pub fn circles(below: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    let reach = |from: &str| {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = below.get(from).into_iter().flatten().copied().collect();
        while let Some(node) = next.pop() {
            if seen.insert(node) {
                next.extend(below.get(node).into_iter().flatten());
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        below.keys().map(|&node| (node, reach(node))).collect();
    let mut circles = BTreeSet::new();
    for (&node, seen) in &reached {
        if seen.contains(node) {
            let circle: Vec<&str> = seen
                .iter()
                .copied()
                .filter(|other| reached.get(other).is_some_and(|back| back.contains(node)))
                .collect();
            circles.insert(circle.join(" <-> "));
        }
    }
    circles.into_iter().collect()
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let module = ["host".to_owned(), "models".to_owned(), "handle".to_owned()];
    let named = |text: &str| -> Vec<String> {
        let file = syn::parse_file(text).expect("it parses");
        imports(&file, &module)
            .0
            .iter()
            .map(Import::to_string)
            .collect()
    };
    assert_eq!(named("use crate::rpc::pb;"), ["rpc::pb"]);
    assert_eq!(
        named("use crate::{rpc::{self, pb}, nn::Mlp as M};"),
        ["nn::Mlp", "rpc", "rpc::pb"]
    );
    assert_eq!(named("use super::super::super::rpc;"), ["rpc"]);
    assert_eq!(
        named("use super::{super::runs, lifecycle};"),
        ["host::models::lifecycle", "host::runs"]
    );
    assert_eq!(named("use backpropd_engine::nn::Mlp;"), ["nn::Mlp"]);
    assert_eq!(
        named("use backpropd_client::{pb, Client};"),
        ["client::Client", "client::pb"]
    );
    assert_eq!(named("use std::{fs};"), ["std::fs"]);
    assert_eq!(
        named("use std as s; fn f() { s::fs::read(p); }"),
        ["std", "std::fs::read"]
    );
    assert_eq!(
        named("fn f(x: crate::rpc::pb::Tensor) {}"),
        ["rpc::pb::Tensor"]
    );
    assert_eq!(named("fn f() { g!(a, { crate::rpc::pb }) }"), ["rpc::pb"]);
    assert_eq!(
        named("macro_rules! m { () => { $crate::rpc::pb } }"),
        ["rpc::pb"]
    );
    assert_eq!(
        named("mod inner { use super::super::runs; }"),
        ["host::models::runs"]
    );
    assert_eq!(
        named("mod child; use child::Thing;"),
        ["host::models::handle::child::Thing"]
    );
    assert_eq!(named("#[cfg(test)] mod tests { use crate::rpc; }"), [""; 0]);
}

#[test]
fn the_client_is_one_room() {
    let module = module(Path::new("crates/client/src/retry.rs"));
    assert_eq!(module, ["client", "retry"]);
    let file = syn::parse_file("use crate::pb;").expect("it parses");
    let (imports, _) = imports(&file, &module);
    let named: Vec<String> = imports.iter().map(Import::to_string).collect();
    assert_eq!(named, ["client::pb"]);
}
