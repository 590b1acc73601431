//! Standard output and error of commands that print once.

use std::io::Write as _;

/// To standard output. A reader that went away (`gateway check FILE | head`) is no reason to panic.
pub fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// To standard error.
pub fn complain(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}
