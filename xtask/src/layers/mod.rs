//! `cargo xtask layers`: imports point one way, and `unsafe` stays in its corner. The rules are in [`rules`].

mod rules;
mod scan;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell::root;
use rules::{LINES, PACKAGES, Package};
use scan::{Import, Source};

/// Checks the tree; violations are printed as `file:line: what`, long files as warnings.
///
/// # Errors
/// When a rule is broken or a file cannot be read.
pub fn run() -> Result<()> {
    let root = root();
    let mut violations = Vec::new();
    let mut files = 0;
    for package in PACKAGES {
        let source = root.join(package.directory);
        for file in rust_files(&source)? {
            files += 1;
            let relative = file.strip_prefix(&source).unwrap_or(&file);
            let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            violations.extend(check(package, relative, &text));
        }
    }
    for directory in ["gateway-ebpf", "gateway-daemon", "tests", "xtask"] {
        for file in rust_files(&root.join(directory))? {
            let lines = std::fs::read_to_string(&file)?.lines().count();
            if lines > LINES {
                println!("warning: {}: {lines} lines; over {LINES} it is two rooms", file.strip_prefix(&root).unwrap_or(&file).display());
            }
        }
    }
    for violation in &violations {
        println!("error: {violation}");
    }
    if !violations.is_empty() {
        bail!("{} broken layering rules; the rules are in xtask/src/layers/rules.rs", violations.len());
    }
    println!("layers: {files} files keep the rules");
    Ok(())
}

/// The violations in one file; `relative` is its path below the package's `src`.
fn check(package: &Package, relative: &Path, text: &str) -> Vec<String> {
    let place = |line: usize| format!("{}/{}:{line}", package.directory, relative.display());
    let source = match Source::read(relative, text) {
        Ok(source) => source,
        Err(error) => return vec![format!("{}: cannot be read as Rust: {error}", place(1))],
    };
    let mut found = Vec::new();
    if !package.may_be_unsafe(relative) {
        found.extend(
            source.unsafe_lines.iter().map(|line| format!("{}: `unsafe` outside of {}", place(*line), package.unsafe_in.join(", "))),
        );
    }
    let Some(layer) = package.layer(&source.layer) else {
        found.push(format!("{}: the module `{}` stands in no rule; give it a line in xtask/src/layers/rules.rs", place(1), source.layer));
        return found;
    };
    for Import { path, line } in &source.imports {
        let own = path.split_once("::").filter(|(library, _)| *library == package.library);
        let target = own.map_or(path.as_str(), |(_, module)| module);
        if !layer.may_import(&source.layer, target) {
            let allowed = match layer.imports {
                [] => "nothing".to_owned(),
                imports => imports.join(", "),
            };
            found.push(format!("{}: `{}` imports `{target}`; it may import {allowed}", place(*line), source.layer,));
        }
    }
    found
}

/// Every .rs file below a directory, sorted; none when the directory is missing.
fn rust_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn core(file: &str, text: &str) -> Vec<String> {
        check(&rules::CORE, Path::new(file), text)
    }

    fn daemon(file: &str, text: &str) -> Vec<String> {
        check(&rules::DAEMON, Path::new(file), text)
    }

    #[test]
    fn the_tree_itself_keeps_the_rules() {
        run().unwrap();
    }

    #[test]
    fn the_allowed_direction_passes() {
        assert_eq!(core("nat/mapping.rs", "use crate::packet::Tuple; use crate::abi::{MapKey, MapValue};"), Vec::<String>::new());
        assert_eq!(core("pipeline.rs", "use crate::{nat, flow::Flow, zone, route};"), Vec::<String>::new());
        assert_eq!(daemon("plan/nat.rs", "use crate::{model::Nat, inventory::Link}; use gateway_ebpf::abi::Key;"), Vec::<String>::new());
        assert_eq!(daemon("cli/run.rs", "use crate::{daemon, policy, datapath};"), Vec::<String>::new());
    }

    #[test]
    fn the_objects_path_into_its_own_library_is_judged_as_one_of_the_crate() {
        assert_eq!(core("maps.rs", "use gateway_ebpf::abi::Flow;").len(), 0);
        assert_eq!(core("maps.rs", "use crate::hooks::tc;").len(), 1);
        assert_eq!(core("zone/judge.rs", "use gateway_ebpf::nat::Source;").len(), 1);
    }

    #[test]
    fn stages_do_not_import_each_other() {
        let found = core("nat/allocate.rs", "use crate::abi::Key;\n\nuse crate::flow::Flow;");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("gateway-ebpf/src/nat/allocate.rs:3: `nat` imports `flow`"), "{}", found[0]);
        assert_eq!(core("route/mod.rs", "fn f() { crate::zone::verdict(); }").len(), 1);
    }

    #[test]
    fn an_import_is_found_in_every_form() {
        assert_eq!(core("wire/ipv4.rs", "use crate::{abi, pipeline::{self, run}};").len(), 1, "in a group");
        assert_eq!(core("wire/ipv4.rs", "use super::super::pipeline;").len(), 1, "by super");
        assert_eq!(core("wire/ipv4.rs", "mod inner { use super::super::super::pipeline; }").len(), 1, "by super from an inline module");
        assert_eq!(core("wire/ipv4.rs", "fn f() { assert!(matches!(x, crate::pipeline::X)); }").len(), 1, "in a macro");
        assert_eq!(
            core("wire/ipv4.rs", "#[path = \"x\"] pub(crate) fn f() -> ::std::u8 { 0 } use super::tcp;").len(),
            0,
            "siblings and visibilities are none"
        );
    }

    #[test]
    fn tests_may_import_what_they_like_and_comments_are_no_imports() {
        assert_eq!(core("wire/ipv4.rs", "// use crate::pipeline;\nconst X: &str = \"crate::pipeline unsafe\";").len(), 0);
        assert_eq!(core("wire/ipv4.rs", "#[cfg(test)] mod tests { use crate::pipeline; }").len(), 0);
    }

    #[test]
    fn the_daemons_walls_hold() {
        assert_eq!(daemon("model/nat.rs", "use crate::policy::Span;").len(), 1);
        assert_eq!(daemon("inventory.rs", "use crate::netlink::Handle;").len(), 1);
        assert_eq!(daemon("plan/mod.rs", "use crate::policy::Policy;").len(), 1);
        assert_eq!(daemon("plan/mod.rs", "use gateway_ebpf::pipeline::run;").len(), 1);
        assert_eq!(daemon("datapath/apply.rs", "use crate::netlink::Links;").len(), 1);
        assert_eq!(daemon("netlink/links.rs", "use crate::plan::Plan;").len(), 1);
        assert_eq!(daemon("nftables/guard.rs", "use crate::datapath::Attached;").len(), 1);
    }

    #[test]
    fn unsafe_stays_in_its_corner() {
        let text = "fn f() { unsafe { g() } }";
        assert_eq!(core("hooks/tc.rs", text).len(), 0);
        assert_eq!(core("maps.rs", text).len(), 0);
        assert_eq!(core("packet/parse.rs", text).len(), 1);
        assert_eq!(core("packet/parse.rs", "#[cfg(test)] mod tests { fn f() { unsafe { g() } } }").len(), 1, "in tests neither");
        assert_eq!(daemon("datapath/raw.rs", text).len(), 0);
        assert_eq!(daemon("datapath/apply.rs", text).len(), 1);
        assert_eq!(daemon("datapath/apply.rs", "#![deny(unsafe_code)]").len(), 0);
    }

    #[test]
    fn a_module_without_a_rule_is_reported() {
        let found = core("surprise.rs", "");
        assert!(found[0].contains("`surprise` stands in no rule"), "{found:?}");
    }
}
