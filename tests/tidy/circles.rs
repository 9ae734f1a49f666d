//! Circles of imports between files inside one top-level folder.
//!
//! A file may use what a folder around it declares (its `mod.rs`): so do the parts of a folder share types. What such a
//! `mod.rs` only passes on (`pub use`) counts as used where it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Source, is_inside_word};

/// A path of names: of a module below `src/`, or as it is written.
type Names = Vec<String>;

/// The files of each circle.
pub(crate) fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let graph = Graph::new(sources);
    let reach: BTreeMap<&Names, BTreeSet<&Names>> =
        graph.uses.keys().map(|module| (module, graph.reachable(module))).collect();
    let mut circles = BTreeSet::new();
    for (module, reached) in reach.iter().filter(|(module, reached)| reached.contains(*module)) {
        let circle = reached.iter().filter(|other| reach[*other].contains(module));
        circles.insert(circle.map(|other| graph.files[*other].clone()).collect::<Vec<_>>());
    }
    circles.into_iter().collect()
}

struct Graph {
    /// The file of each module.
    files: BTreeMap<Names, String>,
    /// What each module passes on, by name, and whose that is.
    passed_on: BTreeMap<Names, BTreeMap<String, Names>>,
    /// The modules that each one uses, as far as it makes circles.
    uses: BTreeMap<Names, BTreeSet<Names>>,
}

impl Graph {
    fn new(sources: &[Source]) -> Self {
        let files = sources.iter().map(|source| (module_of(&source.path), source.path.clone())).collect();
        let mut graph = Self { files, passed_on: BTreeMap::new(), uses: BTreeMap::new() };
        for source in sources {
            let module = module_of(&source.path);
            let public = imports(&source.code).filter(|(public, _)| *public).flat_map(|(_, paths)| paths);
            let public: Vec<_> = public.filter_map(|path| Some((path.last()?.clone(), path))).collect();
            let of = |path: &[String]| graph.walk(&module, path).map(|(module, _)| module);
            let passed_on = public.iter().filter_map(|(name, path)| Some((name.clone(), of(path)?)));
            let passed_on = passed_on.filter(|(_, of)| *of != module).collect();
            graph.passed_on.insert(module, passed_on);
        }
        for source in sources {
            let module = module_of(&source.path);
            let paths = imports(&source.code).flat_map(|(_, paths)| paths).chain(inline_paths(&source.code));
            let used = paths.filter_map(|path| graph.used(&module, &path)).collect();
            graph.uses.insert(module, used);
        }
        graph
    }

    /// The module that `path`, written in `module`, leads to, and the names behind it.
    fn walk(&self, module: &[String], path: &[String]) -> Option<(Names, Names)> {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Names::new(), &path[1..]),
            "self" => (module.to_vec(), &path[1..]),
            "super" => (module[..module.len().checked_sub(ups)?].to_vec(), &path[ups..]),
            _ => (module.to_vec(), path),
        };
        while let Some((name, behind)) = rest.split_first() {
            let below: Names = at.iter().chain([name]).cloned().collect();
            if !self.files.contains_key(&below) {
                break;
            }
            (at, rest) = (below, behind);
        }
        self.files.contains_key(&at).then(|| (at, rest.to_vec()))
    }

    /// The module that `path` uses, if it is another one of the same folder and none around `module`.
    fn used(&self, module: &Names, path: &[String]) -> Option<Names> {
        let (mut at, rest) = self.walk(module, path)?;
        if let Some(name) = rest.first() {
            while let Some(of) = self.passed_on.get(&at).and_then(|names| names.get(name)) {
                at.clone_from(of);
            }
        }
        (at.first() == module.first() && !module.starts_with(&at)).then_some(at)
    }

    fn reachable<'a>(&'a self, from: &'a Names) -> BTreeSet<&'a Names> {
        let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
        while let Some(module) = left.pop() {
            left.extend(self.uses[module].iter().filter(|next| reached.insert(*next)));
        }
        reached
    }
}

/// `a/b` for both `a/b.rs` and `a/b/mod.rs`.
fn module_of(path: &str) -> Names {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The paths of each `use`, and whether it passes on what it imports.
fn imports(code: &str) -> impl Iterator<Item = (bool, Vec<Names>)> {
    code.match_indices("use ").filter(|(at, _)| !code[..*at].ends_with(is_inside_word)).map(|(at, found)| {
        let tree = &code[at + found.len()..];
        let tree = &tree[..tree.find(';').unwrap_or(tree.len())];
        let public = code[..at].trim_end().ends_with("pub") || code[..at].trim_end().ends_with(')');
        let mut paths = Vec::new();
        expand(tree, &Names::new(), &mut paths);
        (public, paths)
    })
}

/// `a::{b, c::d as e}` as `a::b` and `a::c::d`.
fn expand(tree: &str, before: &Names, paths: &mut Vec<Names>) {
    let (mut depth, mut start) = (0_usize, 0);
    let ends = tree.char_indices().filter(|&(_, c)| {
        depth = depth + usize::from(c == '{') - usize::from(c == '}');
        c == ',' && depth == 0
    });
    let ends: Vec<usize> = ends.map(|(at, _)| at).chain([tree.len()]).collect();
    for end in ends {
        let part = tree[start..end].trim();
        start = (end + 1).min(tree.len());
        let (head, inner) = part.split_once('{').map_or((part, None), |(head, inner)| (head, Some(inner)));
        let head = head.split(" as ").next().unwrap_or_default();
        let names = head.split("::").map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
        let path: Names = before.iter().cloned().chain(names).collect();
        match inner {
            Some(inner) => expand(inner.trim_end().trim_end_matches('}'), &path, paths),
            None if !part.is_empty() => paths.push(path),
            None => {}
        }
    }
}

/// Paths of two names or more, wherever they are written.
fn inline_paths(code: &str) -> impl Iterator<Item = Names> {
    let words = code.split(|c: char| !is_inside_word(c) && c != ':').filter(|word| word.contains("::"));
    words
        .map(|word| word.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Names>())
        .filter(|path| path.len() > 1)
}

#[test]
fn no_files_of_a_folder_import_each_other_in_a_circle() {
    let circles = circles(&crate::sources());
    assert!(circles.is_empty(), "{} circles: {circles:#?}", circles.len());
}

#[test]
fn circles_are_seen_through_any_way_of_writing() {
    let source = |(path, code): &(&str, &str)| Source {
        path: (*path).into(),
        code: (*code).into(),
        text: String::new(),
        lines: 1,
    };
    let found = |sources: &[(&str, &str)]| circles(&sources.iter().map(source).collect::<Vec<_>>());
    let parent = ("a/mod.rs", "mod b; mod c; pub use b::B; use d::{self, D};");
    let circle = [vec!["a/b.rs".to_owned(), "a/c.rs".to_owned()]];
    for (b, c) in [
        ("use super::c::C;", "use super::b::{B, X as Y};"),
        ("use crate::a::{c::{C, D}, x};", "use super::B;"),
        ("fn f() -> super::c::C {}", "pub(super) use super::{E, B};"),
    ] {
        assert_eq!(found(&[parent, ("a/b.rs", b), ("a/c.rs", c)]), circle, "{b} {c}");
    }
    for (b, c) in [
        ("use super::c::C;", "use super::{E, x::B};"),
        ("use super::c::C;", "use crate::b::B; fn reuse() {}"),
        ("use super::D;", "use super::b::B;"),
        ("mod inner { use super::super::x; }", "use super::b;"),
    ] {
        assert_eq!(found(&[parent, ("a/b.rs", b), ("a/c.rs", c)]), Vec::<Vec<String>>::new(), "{b} {c}");
    }
}
