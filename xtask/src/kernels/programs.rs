//! The workspace's test programs, the gateway, the init and the plan, as the last of the archives.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};

use super::guest::Guest;
use super::{empty, pack};
use crate::progress::Progress;
use crate::shell::{answer, cargo, root};

/// Builds the programs that the plan names, and makes `tests.cpio` in the directory.
///
/// # Errors
/// When one does not build.
pub fn archive(progress: &Progress, guest: &Guest, directory: &Path) -> Result<()> {
    let source = root().join("tests/kernels");
    let plan = std::fs::read_to_string(source.join("plan")).context("no tests/kernels/plan")?;
    let names = programs(&plan);
    progress.say("kernels: building what runs in them");
    let stage = directory.join("stage");
    empty(&stage.join("tests"))?;
    for (name, path) in build(&names)? {
        // Symbols are most of the files, and all of it is in memory.
        answer("strip", &["-o", &stage.join("tests").join(name).to_string_lossy(), &path.to_string_lossy()])?;
    }
    std::fs::write(stage.join("tests/plan"), plan)?;
    let init = stage.join("init");
    std::fs::copy(source.join("init"), &init).context("no tests/kernels/init")?;
    std::fs::set_permissions(&init, PermissionsExt::from_mode(0o755))?;
    pack(progress, &guest.root, directory, "stage", "tests.cpio")?;
    std::fs::remove_dir_all(&stage).with_context(|| format!("cannot remove {}", stage.display()))
}

/// The first word of each line.
fn programs(plan: &str) -> BTreeSet<&str> {
    plan.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()).collect()
}

/// The test programs of these names, and the gateway itself.
fn build(names: &BTreeSet<&str>) -> Result<Vec<(String, PathBuf)>> {
    let mut command = cargo();
    // The whole workspace, as `cargo xtask test` builds it: with fewer packages cargo would choose other features, and build all anew.
    command.args(["build", "--message-format", "json-render-diagnostics", "--workspace", "--bin", "gateway"]);
    command.args(names.iter().flat_map(|name| ["--test", name]));
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot run cargo")?;
    let output = BufReader::new(child.stdout.take().context("cargo has no output")?);
    let wanted = |name: &str| name == "gateway" || names.contains(name);
    let built: Vec<(String, PathBuf)> =
        output.lines().map_while(Result::ok).filter_map(|line| executable(&line)).filter(|(name, _)| wanted(name)).collect();
    ensure!(child.wait()?.success(), "what runs in the kernels does not build");
    ensure!(built.len() == names.len() + 1, "cargo built {} programs of {}", built.len(), names.len() + 1);
    Ok(built)
}

fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_of_this_tree_names_programs_once_each() {
        let plan = std::fs::read_to_string(root().join("tests/kernels/plan")).unwrap();
        let names = programs(&plan);
        assert!(names.contains("netns") && names.contains("verifier"), "{names:?}");
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase())), "{names:?}");
    }
}
