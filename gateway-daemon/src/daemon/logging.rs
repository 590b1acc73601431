//! Logs: to the journal with levels and fields when systemd reads our output, as lines with times otherwise.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

/// Starts logging. `GATEWAY_LOG` chooses what is logged (`debug`, `gateway_daemon::netlink=trace`, …); the default is `info`.
pub fn start() {
    let filter = EnvFilter::try_from_env("GATEWAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // systemd sets this when standard error is a journal stream (systemd.exec(5)).
    let journal = std::env::var_os("JOURNAL_STREAM").and_then(|_| tracing_journald::layer().ok());
    // A second call, as in a test, changes nothing.
    let _ = match journal {
        Some(journal) => tracing_subscriber::registry().with(filter).with(journal.with_field_prefix(None)).try_init(),
        None => {
            let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
            let lines = lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
            tracing_subscriber::registry().with(filter).with(lines).try_init()
        }
    };
}
