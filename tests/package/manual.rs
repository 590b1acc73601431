//! The manual pages: complete, true, and readable.

use std::collections::BTreeSet;
use std::process::Command;

use gateway_tests::skip::skip;

use crate::bench::{built, installed};

/// gateway-policy(5).
const PAGE: &str = include_str!("../../gateway-daemon/packaging/man/gateway-policy.5");
/// Every key that the gateway knows.
const FULL: &str = include_str!("../policies/full.toml");

/// Headers and keys of a policy; names that the operator chooses are left out.
fn words(policy: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut names = false;
    for line in policy.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            let table = header.trim_matches(['[', ']']);
            names = matches!(table, "zones" | "sets");
            words.insert(if table.starts_with("interfaces.") { "[interfaces.<name>]".to_owned() } else { line.to_owned() });
        } else if let Some((key, _)) = line.split_once(" = ")
            && !names
        {
            words.insert(key.to_owned());
        }
    }
    words
}

#[test]
fn the_page_knows_every_key_of_the_policy() {
    let page = PAGE.replace("\\-", "-");
    let words = words(FULL);
    assert!(words.contains("source-validation") && words.contains("[[firewall.rules]]"), "{words:?}");
    // A key stands in bold, alone or in a row; a table is a heading.
    let rows: BTreeSet<&str> = page.lines().filter(|line| line.starts_with(".B")).flat_map(|line| line.split([' ', ',', '"'])).collect();
    for word in words {
        let known = if word.starts_with('[') { page.contains(&format!(".SS {word}")) } else { rows.contains(word.as_str()) };
        assert!(known, "gateway-policy(5) does not explain `{word}`");
    }
}

#[test]
fn the_pages_example_is_a_valid_policy() {
    let (_, behind) = PAGE.split_once(".EX\n").unwrap();
    let (example, _) = behind.split_once(".EE\n").unwrap();
    let checked = gateway_daemon::policy::load("the example", example).unwrap_or_else(|report| panic!("{}", report.render(false, 100)));
    assert!(checked.warnings.is_empty());
    assert_eq!(checked.model.firewall.rules.len(), 2);
}

#[test]
#[ignore = "boots a container; see `cargo xtask package --test`"]
fn the_package_brings_pages_and_completions_for_every_command() {
    const TEST: &str = "manual::the_package_brings_pages_and_completions_for_every_command";
    installed(TEST, |_, container, _| {
        let help = container.run("gateway --help").unwrap();
        let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
        // What is indented further goes on with the line before.
        let names =
            commands.take_while(|line| !line.is_empty()).filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
        let commands: Vec<&str> = names.filter_map(|line| line.split_whitespace().next()).collect();
        assert!(commands.contains(&"run") && commands.contains(&"status"), "{help}");
        for command in commands.iter().filter(|command| **command != "help") {
            assert!(container.path(&format!("/usr/share/man/man8/gateway-{command}.8.gz")).is_file(), "{command}");
        }
        for file in [
            "man/man8/gateway.8.gz",
            "man/man5/gateway-policy.5.gz",
            "bash-completion/completions/gateway",
            "zsh/vendor-completions/_gateway",
            "fish/vendor_completions.d/gateway.fish",
            "doc/gateway/copyright",
        ] {
            assert!(container.path(&format!("/usr/share/{file}")).is_file(), "{file}");
        }
        // Sourced by a real shell, it completes.
        let said = container.run(
            "bash -c '. /usr/share/bash-completion/completions/gateway; COMP_WORDS=(gateway st); COMP_CWORD=1; _gateway gateway st gateway; echo ${COMPREPLY[*]}'",
        );
        assert_eq!(said.unwrap(), "status");
    });
}

#[test]
#[ignore = "needs a built package; see `cargo xtask package --test`"]
fn groff_reads_the_pages_without_a_warning() {
    const TEST: &str = "manual::groff_reads_the_pages_without_a_warning";
    let Some(built) = built(TEST) else { return };
    if Command::new("groff").arg("--version").output().is_err() {
        skip(TEST, "needs groff");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("-xzf").arg(built.join("gateway.tar.gz")).arg("-C").arg(home.path()).status().unwrap();
    assert!(unpacked.success());
    let listed = Command::new("find").arg(home.path()).args(["-path", "*/man/*", "-type", "f"]).output().unwrap();
    let pages: Vec<String> = String::from_utf8(listed.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(pages.len() > 5, "{pages:?}");
    for page in pages {
        let output = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-rLL=100n", "-P-cbou", &page]).output().unwrap();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaints.is_empty(), "{page}:\n{complaints}");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("NAME") && text.contains("SEE ALSO"), "{page}:\n{text}");
    }
}
