use serde_json::json;

use super::{assert_whole, report};
use crate::policy::{FileError, LoadError, load_file};

const TWO: &str = "version = 1\nzones.lan = [\"lan0\"]\n[firewall]\ndefalt = \"drop\"\nrules = 1\n[timeouts]\nudp = \"1m\"\n";

#[test]
fn log_lines_name_file_line_and_column() {
    let lines: Vec<String> = report(TWO).to_string().lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "policy.toml:4:1: unknown key `defalt` in `[firewall]` (did you mean `default`?)",
            "policy.toml:5:9: `rules` must be a list of tables, not a number (write `[[firewall.rules]]` on a line of its own, and its keys below)",
            "policy.toml:7:7: warning: `udp` is below the 2m that RFC 4787 REQ-5 asks for (write at least `\"2m\"`, or expect idle connections to be cut)",
        ]
    );
}

#[test]
fn a_quoted_text_cannot_break_a_log_line() {
    let report = report("version = 1\nzones.lan = [\"lan0\"]\n[firewall]\n\"a\\nb\\u001B\" = 1\n");
    assert_eq!(report.to_string().lines().count(), 1);
    assert!(!report.to_string().contains('\u{1b}'));
    assert!(!report.render(false, 80).contains('\u{1b}'), "nor take over a terminal");
}

#[test]
fn a_quoted_text_cannot_flood_the_log() {
    let text = format!("version = 1\nzones.lan = [\"{}\"]\n", "x".repeat(100_000));
    assert!(report(&text).to_string().len() < 1_000);
}

#[test]
fn json_has_every_field() {
    assert_eq!(
        report(TWO).to_json()[0],
        json!({
            "file": "policy.toml", "line": 4, "column": 1, "end": {"line": 4, "column": 7},
            "severity": "error", "code": "unknown-key",
            "message": "unknown key `defalt` in `[firewall]`", "help": "did you mean `default`?",
        })
    );
    assert_eq!(report(TWO).to_json()[2]["severity"], "warning");
}

#[test]
fn a_terminal_sees_the_line_underlined() {
    let plain = report(TWO).render(false, 80);
    assert!(plain.contains("policy.toml:4:1"), "{plain}");
    assert!(plain.contains("defalt = \"drop\""), "{plain}");
    assert!(plain.contains("───┬──"), "six letters underlined: {plain}");
    assert!(!plain.contains('\u{1b}'), "no color unless asked for");
    assert!(report(TWO).render(true, 80).contains('\u{1b}'));
}

#[test]
fn columns_count_characters() {
    assert_whole("version = 1\nzones = { lan = [\"eth0\"], \"ü\" = «1» }\n", &["wrong-type"]);
}

#[test]
fn files_that_give_no_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("policy.toml");
    assert!(matches!(load_file(&path), Err(LoadError::File(FileError::NotFound(_)))));
    assert!(matches!(load_file(dir.path()), Err(LoadError::File(FileError::Unreadable(..)))));
    std::fs::write(&path, b"version = 1\n\xff").unwrap();
    assert!(matches!(load_file(&path), Err(LoadError::File(FileError::NotUtf8(_, 12)))));
    std::fs::write(&path, vec![b'#'; 16 * 1024 * 1024 + 1]).unwrap();
    let error = load_file(&path).unwrap_err();
    assert!(matches!(error, LoadError::File(FileError::TooLarge(_))));
    assert_eq!(error.to_string().lines().count(), 1);
    std::fs::write(&path, TWO).unwrap();
    let Err(LoadError::Policy(report)) = load_file(&path) else { panic!("a text with errors") };
    assert!(report.to_string().starts_with(&format!("{}:4:1: ", path.display())));
}
